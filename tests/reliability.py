# ruff: noqa: T201
"""Prints the table of docs/reliability.md: `python tests/reliability.py`. What is counted follows from the tests."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS.parent))


def hostile() -> list[list[str]]:
    lines = (TESTS / "hostile" / "table.txt").read_text("utf-8").splitlines()
    return [line.split(" | ", 3) for line in lines if line and not line.startswith("#")]


def tests_in(folder: str) -> int:
    """The test functions of a folder; one with several sets of parameters counts once."""
    found = 0
    for path in (TESTS / folder).glob("test_*.py"):
        found += sum(
            isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            for node in ast.parse(path.read_text("utf-8")).body
        )
    return found


def rows() -> list[tuple[str, str, str]]:
    from tapecli.core import TABLE
    from tapecli.errors import CODES

    table = hostile()
    statuses = Counter(row[0] for row in table)
    said = ", ".join(f"{n} end with {status}" for status, n in sorted(statuses.items()))
    points = sum(len(op.points) for op in TABLE.values())
    gallery = sum((TESTS / "gallery" / f"{code}.txt").exists() for code in CODES)
    cases = sum(len(re.findall(r"(?m)^== ", path.read_text("utf-8"))) for path in (TESTS / "gallery").glob("*.txt"))
    return [
        (
            "operations with derivative rules, and points that these are checked at",
            f"{len(TABLE)}, {points}",
            "tests/ops",
        ),
        ("hostile formulas with their exact outcomes", f"{len(table)}: {said}", "tests/hostile"),
        (
            "codes of errors, those with an exact text in the gallery, and cases",
            f"{len(CODES)}, {gallery}, {cases}",
            "tests/gallery",
        ),
        ("tests of faults from outside (disk, pipe, memory, signals, cache)", str(tests_in("faults")), "tests/faults"),
        ("tests of limits", str(tests_in("limits")), "tests/limits"),
    ]


def table() -> str:
    head = "| what | how many | shown by |\n| --- | --- | --- |\n"
    return head + "".join(f"| {what} | {count} | `pytest {where}` |\n" for what, count, where in rows())


if __name__ == "__main__":
    import tapecli.ops  # noqa: F401

    print(table(), end="")
