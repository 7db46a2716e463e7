"""A signal, or a time limit that compiled code does not hear, leaves a whole document that says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tapecli

from .schemas import junit, sarif

ENV = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1])}
SLOW = "var x = 0.5\nminimize fold(s = x for k in 1..30000000: 3.9*s*(1 - s))\n"
#: What happens in one operation of NumPy, where no signal is heard.
DEAF = "var x[300000] = 1\nsum(sin(x[i]*x[j]) for i in 1..300000, j in 1..300000)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k in range(4):
        (tmp_path / f"a{k}.tape").write_text(f"var x = {k}\nexpect x == {k}\n")
        (tmp_path / f"z{k}.tape").write_text(f"var x = {k}\nexpect x == {k}\n")
    (tmp_path / "slow1.tape").write_text(SLOW)
    (tmp_path / "slow2.tape").write_text(SLOW)
    return tmp_path


def begun(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tapecli", "check", ".", "--engine", "tape", *words]
    return subprocess.Popen(argv, cwd=folder, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def so_far(process: subprocess.Popen[bytes], folder: Path, mark: bytes, to_file: bool) -> bytes:
    """Waits until the document holds `mark`; what was read of it."""
    assert process.stdout is not None
    read = b""
    while mark not in read and process.poll() is None:
        if to_file:
            found = list(folder.glob(".report.*.tmp"))
            read = found[0].read_bytes() if found else b""
            time.sleep(0.02)
        else:
            read += os.read(process.stdout.fileno(), 65536)
    return b"" if to_file else read


def checked(format: str, text: str) -> Any:
    return {"junit": junit, "sarif": sarif}[format](text)


@pytest.mark.parametrize("to_file", [False, True])
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("format", ["junit", "sarif"])
def test_a_signal(folder: Path, format: str, number: signal.Signals, status: int, jobs: str, to_file: bool) -> None:
    (folder / "report").write_text("old")
    words = ["--format", format, "--jobs", jobs, *(["--output", "report", "--force"] if to_file else [])]
    process = begun(folder, *words)
    read = so_far(process, folder, b"a3.tape" if format == "junit" else b"results", to_file)
    time.sleep(0.5)  # somewhere in the work
    process.send_signal(number)
    rest, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert b"Traceback" not in said and said.endswith(b"interrupted\n")
    text = (folder / "report").read_text() if to_file else (read + rest).decode()
    assert not list(folder.glob(".report.*"))
    if format == "junit":
        *suites, last = checked(format, text)
        errors = {suite.get("name") for suite in suites if suite.find("testcase/error") is not None}
        assert errors <= {"slow1.tape", "slow2.tape"} and errors
        error = last.find("testcase/error")
        assert error is not None and "the run ended early (interrupted): " in error.get("message", "")
    else:
        (invocation,) = checked(format, text)["invocations"]
        assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, status)
        assert "(interrupted)" in invocation["toolExecutionNotifications"][0]["message"]["text"]


@pytest.mark.parametrize("delay", [0.05, 0.15, 0.25, 0.35, 0.5])
@pytest.mark.parametrize("format", ["junit", "sarif"])
def test_a_signal_at_any_moment(folder: Path, format: str, delay: float) -> None:
    """What was there stays, or a whole document comes instead; nothing else is left in the folder."""
    (folder / "report").write_text("old")
    before = {path.name for path in folder.iterdir()}
    process = begun(folder, "--format", format, "--output", "report", "--force")
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (143, -signal.SIGTERM), said  # before Python has started, the system ends it
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == before
    text = (folder / "report").read_text()
    assert text == "old" or checked(format, text)


@pytest.mark.parametrize("format", ["junit", "sarif"])
def test_a_minimisation_that_a_signal_ends(folder: Path, format: str) -> None:
    (folder / "m.tape").write_text("var x = 3\nminimize x^4 using sgd(learning_rate=1e-9), steps=100000000\n")
    argv = [sys.executable, "-m", "tapecli", "minimize", "m.tape", "--format", format, "--log", "log.jsonl"]
    process = subprocess.Popen(argv, cwd=folder, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    log = folder / "log.jsonl"
    while not (log.exists() and log.stat().st_size) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    found = checked(format, out.decode())
    if format == "junit":
        assert found[0].find("testcase/error") is not None
    else:
        assert found["invocations"][0]["exitCode"] == 143


@pytest.mark.parametrize("to_file", [False, True])
@pytest.mark.parametrize("format", ["junit", "sarif"])
def test_a_time_limit_that_is_not_heard(folder: Path, format: str, to_file: bool) -> None:
    (folder / "deaf.tape").write_text(DEAF)
    words = ["--output", "report"] if to_file else []
    argv = [sys.executable, "-m", "tapecli", "eval", "deaf.tape", "a0.tape", "--format", format, "--timeout", "1"]
    done = subprocess.run([*argv, *words], cwd=folder, env=ENV, capture_output=True, check=False, timeout=60)
    text = (folder / "report").read_text() if to_file else done.stdout.decode()
    found = checked(format, text)
    assert done.returncode in (1, 5)  # both files are told of, or the second is left out
    if format == "junit":
        error = found[0].find("testcase/error")
        assert error is not None and error.get("type") == "limit"
    else:
        assert found["results"][0]["ruleId"] == "limit"
