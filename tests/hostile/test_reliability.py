"""The page of figures is not stale where its figures follow from the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_shows_the_table() -> None:
    command = [sys.executable, str(ROOT / "tests" / "reliability.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout in (ROOT / "docs" / "reliability.md").read_text("utf-8")
