"""Every option that writes a file, in a folder that is gone, below a file, read-only, and on a full disk: the exit
status, a message with path and reason, what was there before, and nothing left over.

The options come from their declarations: one that is new has to be entered in `WRITERS`.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tapecli
from tapecli.cli import run
from tapecli.cli.options import OPTIONS

ENV = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1])}
#: option -> a command for each that has it, `@` being the file that is written
WRITERS: dict[str, list[str]] = {
    "output": [
        "eval m.tape --output @", "grad m.tape --output @", "hess m.tape --output @", "jac v.tape --output @",
        "minimize m.tape --output @", "fit f.tape --output @", "check m.tape --output @", "trace m.tape --output @",
        "diff m.tape --output @", "bench m.tape --output @", "ops --output @", "explain name --output @",
        "check m.tape --format junit --output @", "check m.tape --format sarif --output @",
        "eval m.tape f.tape --json --jobs 2 --output @",
    ],
    "log": ["minimize m.tape --log @", "fit f.tape --log @"],
    "checkpoint": ["minimize m.tape --checkpoint @", "fit f.tape --checkpoint @"],
    "plot": ["minimize m.tape --plot @", "fit f.tape --plot @"],
}  # fmt: skip
ALL = [(name, command) for name, commands in WRITERS.items() for command in commands]


def test_every_option_that_writes_is_here() -> None:
    declared = {option.name: set(option.commands) for option in OPTIONS if option.metavar == "FILE"}
    assert {name: {c.split()[0] for c in commands} for name, commands in WRITERS.items()} == declared


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAPECLI_CACHE", str(tmp_path.parent / "cache"))
    (tmp_path / "m.tape").write_text("var x = 3\nminimize x^2 using sgd(learning_rate=0.1), steps=20\n")
    (tmp_path / "v.tape").write_text("var v = [1, 2]\n2*v\n")
    (tmp_path / "f.tape").write_text('var a = 1\ndata t, y from "d.csv"\nfit y ~ a*t\n')
    (tmp_path / "d.csv").write_text("t,y\n1,2\n2,4.1\n3,5.9\n")
    (tmp_path / "there").mkdir()
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def performed(command: str, target: str) -> tuple[int, str]:
    """The status and what is written, in this process where it need not fork."""
    words = [word.replace("@", target) for word in shlex.split(command)]
    if "--jobs" in words:
        argv = [sys.executable, "-m", "tapecli", *words]
        done = subprocess.run(argv, env=ENV, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    try:
        status = run(words)
        said = "".join(s.buffer.getvalue().decode() for s in (sys.stdout, sys.stderr))  # type: ignore[attr-defined]
    finally:
        sys.stdout, sys.stderr = kept
        for number, handler in before:
            signal.signal(number, handler)
    return status, said


@pytest.mark.parametrize(("where", "reason"), [("m.tape/o.svg", "not a directory"), ("gone/o.svg", "no such f")])
@pytest.mark.parametrize(("name", "command"), ALL, ids=[command for _, command in ALL])
def test_no_such_folder(folder: Path, name: str, command: str, where: str, reason: str) -> None:
    before = contents(folder)
    status, said = performed(command, where)
    assert status == 6, said
    assert f"{where} cannot be written: " in said and (reason in said or "there is no such folder" in said)
    assert contents(folder) == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(("name", "command"), ALL, ids=[command for _, command in ALL])
def test_a_read_only_folder(
    folder: Path, name: str, command: str, force: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs the tests may be allowed everything, so the system's answer is made."""
    if "--jobs" in command:
        pytest.skip("the answer is made in this process alone")
    (folder / "there" / ("o.svg" if force else "other")).write_text("kept")
    before = contents(folder)
    true = builtins.open

    def refusing(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if isinstance(file, str) and "there" in file and set(mode) & set("wax+"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return true(file, mode, *args, **options)

    monkeypatch.setattr(builtins, "open", refusing)
    status, said = performed(command + (" --force" if force else ""), "there/o.svg")
    monkeypatch.undo()
    assert "there/o.svg cannot be written: read-only file system" in said
    assert status == (0 if name == "checkpoint" else 6), said  # a run goes on without its checkpoint, and warns
    assert contents(folder) == before


@pytest.mark.parametrize(("name", "command"), ALL, ids=[command for _, command in ALL])
def test_a_full_disk(folder: Path, name: str, command: str) -> None:
    """No file may grow at all. What was there before stays; what is new may be there, but empty."""
    (folder / "there" / "o.svg").write_text("kept")
    before = contents(folder)
    argv = [sys.executable, "-m", "tapecli", *command.replace("@", "there/o.svg").split(), "--force"]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**ENV, "MPLCONFIGDIR": str(folder.parent / "mpl"), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "there/o.svg cannot be written: file too large" in done.stderr, done.stderr
    assert done.returncode == (0 if name == "checkpoint" else 6)
    assert "Traceback" not in done.stdout + done.stderr
    assert contents(folder) == before


def test_a_log_replaces_the_old_one_with_its_first_line(folder: Path) -> None:
    (folder / "log").write_text("kept")
    assert performed("minimize m.tape --log @ --force", "log")[0] == 0
    assert len((folder / "log").read_text().splitlines()) == 21
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_update_on_a_full_disk(folder: Path) -> None:
    (folder / "u.tape").write_text("var x = 3\nexpect x^2 == 8\n")
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tapecli", "check", "u.tape", "--update"],
        env=ENV,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6 and "u.tape cannot be written: file too large" in done.stderr
    assert contents(folder) == before


@pytest.mark.parametrize("place", ["m.tape", "gone/deep"])
def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    for name in ("TAPECLI_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(folder / place / "x"))
    done = subprocess.run(
        [sys.executable, "-m", "tapecli", "eval", "m.tape", "--engine", "native"],
        env={**os.environ, "PYTHONPATH": ENV["PYTHONPATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: text for name, text in contents(folder).items() if name in before} == before
