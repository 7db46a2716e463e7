"""A short campaign on every run of the tests, the cases that were found before, and the guard itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def campaign(count: int, seed: int) -> str:
    """The report of a campaign in a process of its own: an audit hook cannot be taken off again."""
    command = [sys.executable, str(HERE / "run.py"), "--count", str(count), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_short_campaign() -> None:
    assert "1,000 inputs" in campaign(1000, 1)


@pytest.mark.slow
def test_a_long_campaign() -> None:
    assert "20,000 inputs" in campaign(20_000, 2)


ATTACKS = {
    "open('/etc/hostname')": "open",
    "open('x.txt', 'w')": "open",
    "os.system('true')": "os.system",
    "subprocess.run(['true'])": "subprocess",
    "socket.socket()": "socket",
    "eval('1 + 1')": "compile",
    "pickle.loads(b'cos\\nsystem\\n.')": "pickle",
    "os.remove('nowhere')": "os.remove",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_guard_sees_what_is_not_allowed(attack: str, tmp_path: Path) -> None:
    program = (
        "import os, pickle, socket, subprocess, sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\nfrom guard import Guard\nguard = Guard()\n"
        f"with guard.watching('.'):\n    try:\n        {attack}\n    except Exception:\n        pass\n"
        "print(guard.broken)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert f"'{ATTACKS[attack]}" in done.stdout or f'"{ATTACKS[attack]}' in done.stdout, done.stdout
