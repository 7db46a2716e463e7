# ruff: noqa: E501
"""A short campaign on every run of the tests, the cases that were found before, and the guard itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def campaign(folder: Path, *words: str) -> str:
    """The report of a campaign in processes of its own: an audit hook cannot be taken off again."""
    command = [sys.executable, str(HERE / "run.py"), "--keep", str(folder / "faults"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_short_campaign(tmp_path: Path) -> None:
    """`.ci/run` goes on to 20,000."""
    said = campaign(tmp_path, "--count", "1000", "--seed", "1", "--workers", "1")
    assert "1,000 inputs" in said and said.endswith("0 faults\n")


def test_a_fault_is_kept_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
        "from pathlib import Path\nfrom run import Campaign\n"
        "c = Campaign(5, range(3), 1, Path(sys.argv[1]))\n"
        "c.running[0] = 2\n"
        "c.told(0, dict(number=2, kind='', command='', status=70, compared=False, fault='broken', seconds=0.0))\n"
        "sys.exit(len(c.faults))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    told = (tmp_path / "2" / "fault.txt").read_text("utf-8")
    assert "broken" in told and "--seed 5 --only 2" in told
    assert (tmp_path / "2" / "stdin").exists()


def test_a_worker_that_dies_or_hangs_is_a_fault(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
        "from pathlib import Path\nimport run\n"
        "run.HANG, run.__file__ = 10.0, sys.argv[2]\n"
        "c = run.Campaign(5, range(4), 1, Path(sys.argv[1]))\nc.run()\nprint(c.faults)\n"
    )
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, os, sys, time\n"
        "first, stop, step = map(int, sys.argv[-1].split(':'))\n"
        "for k in range(first, stop, step):\n"
        "    print(json.dumps({'begins': k}), flush=True)\n"
        "    if k == 1: os._exit(3)\n"
        "    if k == 2: time.sleep(60)\n"
        "    print(json.dumps(dict(number=k, kind='', command='', status=0, compared=False, fault=None, seconds=0.0)), flush=True)\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "faults"), str(worker)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ends the process with 3" in done.stdout and "hangs for 10 s" in done.stdout
    assert sorted(path.name for path in (tmp_path / "faults").iterdir()) == ["1", "2"]


def test_what_is_made_follows_from_the_declarations() -> None:
    """Every function is called, every option given and every statement written by some of the cases."""
    program = (
        "import re, sys\n"
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
        "from cases import case\nfrom kinds import calls\nfrom words import LEFT_OUT\n"
        "from tapecli.catalogue import functions\nfrom tapecli.cli.options import COMMANDS, OPTIONS\n"
        "made = [case(1, k) for k in range(12000)]\n"
        "known = {way.name for ways in calls().values() for one in ways for way in one}\n"
        "print('no way to call:', sorted({f.name for f in functions()} - known))\n"
        "text = b' '.join(one.text for one in made).decode('utf-8', 'replace')\n"
        "written = set(re.findall(r'\\w+(?=\\()', text))\n"
        "print('not called:', sorted(known - written))\n"
        "words = {word for one in made for word in one.words}\n"
        "print('no command:', sorted(set(COMMANDS) - words - {'ops', 'explain'}))\n"
        "print('not given:', sorted(o.name for o in OPTIONS if o.name not in LEFT_OUT and words.isdisjoint(o.flags)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert [line.partition(": ")[2] for line in done.stdout.splitlines()] == ["[]"] * 4, done.stdout + done.stderr


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


def test_the_guard_lets_results_be_written_below_the_folder_alone_and_where_they_are_asked_for(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\nfrom guard import Guard\nguard = Guard()\n"
        "def told(name, **how):\n"
        "    with guard.watching('inner', **how):\n"
        "        try:\n            open(name, 'w').close()\n        except OSError:\n            pass\n"
        "    said, guard.broken = bool(guard.broken), []\n    return said\n"
        "os.mkdir('inner')\n"
        "print(told('inner/a'), told('inner/a', writes=True), told('b', writes=True), told('inner/../c', writes=True))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True", "True"]


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
