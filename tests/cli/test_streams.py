"""Signals, pipes and terminals: what only a process of its own can show."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tapecli

LONG = (
    "var x[50] = -1.2\nf = sum(100*(x[2..50] - x[1..49]^2)^2 + (1 - x[1..49])^2)\n"
    "minimize f using adam(learning_rate=0.01), steps=100000000\n"
)
ENV = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1]), "TERM": "xterm", "COLUMNS": "80"}
for name in ("CI", "NO_COLOR", "TAPECLI_DEBUG", "PYTHONWARNINGS"):
    ENV.pop(name, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "long.tape").write_text(LONG)
    (tmp_path / "f.tape").write_text("var x = 3\nx^2\n")
    return tmp_path


def start(folder: Path, *argv: str, **how: object) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.Popen([sys.executable, "-m", "tapecli", *argv], cwd=folder, env=ENV, text=True, **streams)  # type: ignore[call-overload, no-any-return]


def wait_for_log(path: Path) -> None:
    end = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_best_point(folder: Path, number: int, status: int) -> None:
    log = folder / "log.jsonl"
    process = start(
        folder, "minimize", "long.tape", "--json", "--log", "log.jsonl", "--log-every", "100", "--output", "out"
    )
    wait_for_log(log)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == status, said
    assert "Traceback" not in said
    result = json.loads((folder / "out").read_text())
    assert (result["ok"], result["stop_reason"], result["converged"]) == (False, "interrupted", False)
    assert len(result["at"]["x"]) == 50
    steps = [json.loads(line) for line in log.read_text().splitlines()]
    assert steps[0]["step"] == 0
    assert steps[-1]["step"] >= 100


def test_a_signal_ends_the_workers_too(folder: Path) -> None:
    (folder / "other.tape").write_text(LONG)
    process = start(folder, "minimize", "long.tape", "other.tape", "--jobs", "2", "--json")
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    for line in out.splitlines():
        assert json.loads(line)["stop_reason"] == "interrupted"


def test_a_closed_pipe_ends_quietly(folder: Path) -> None:
    for k in range(40):
        (folder / f"g{k}.tape").write_text("x = 1.5\n" + "x\n" * 400)
    process = start(folder, "eval", ".", "--json", "-q")
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=30) == 0
    assert said == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_told(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start(folder, "eval", "f.tape", stdout=full)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 6
    assert "cannot be written: no space left on device" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="there is no /proc")
def test_a_file_that_cannot_be_read(folder: Path) -> None:
    process = start(folder, "eval", "/proc/self/mem")
    _, said = process.communicate(timeout=20)
    assert process.returncode == 6
    assert said.startswith("error[file]: ")


def test_a_closed_standard_output(folder: Path) -> None:
    command = f"exec {sys.executable} -m tapecli eval f.tape >&-"
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_bug_is_reported_in_short(folder: Path) -> None:
    script = (
        "import sys, tapecli.problem as p\n"
        "def load(*a, **k): raise ZeroDivisionError('oh')\n"
        "p.load = load\nfrom tapecli.cli import run\nsys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "eval", "f.tape", "--json"]
    for debug in ("", "1"):
        env = {**ENV, "TAPECLI_DEBUG": debug}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 70
        assert json.loads(done.stdout)["error"]["code"] == "bug"
        assert ("Traceback" in done.stderr) == bool(debug)
        assert "error[bug]: a fault of tapecli itself: ZeroDivisionError: oh" in done.stderr


def test_a_time_limit(folder: Path) -> None:
    process = start(folder, "minimize", "long.tape", "--timeout", "0.5", "--json")
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 5
    assert json.loads(out)["stop_reason"] == "timeout"


def on_a_terminal(folder: Path, *argv: str, seconds: float, **extra: str) -> tuple[str, float]:
    """What a command writes to a terminal that standard error is, and when the first of it came."""
    leader, follower = pty.openpty()
    begin = time.monotonic()
    command = [sys.executable, "-m", "tapecli", *argv]
    with open(folder / "stdout", "w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**ENV, **extra}, stdout=out, stderr=follower, stdin=follower
        )
    os.close(follower)
    text, first = b"", float("inf")
    interrupted = False
    while time.monotonic() < begin + seconds + 20:
        if not interrupted and time.monotonic() > begin + seconds:
            interrupted = True
            process.send_signal(signal.SIGINT)
        if not select.select([leader], [], [], 0.05)[0]:
            continue
        try:
            read = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        first = min(first, time.monotonic() - begin)
        text += read
    process.wait(timeout=20)
    os.close(leader)
    return text.decode(), first


def test_progress_on_a_terminal(folder: Path) -> None:
    text, first = on_a_terminal(folder, "minimize", "long.tape", seconds=2.0)
    assert text.startswith("minimising long.tape")
    assert first < 1.0  # 0.1 s on a quiet machine
    assert "step " in text
    assert "left" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is there again
    last = text.rsplit("\x1b[?25h", 1)[1]
    assert "\x1b[1;33mwarning[minimize]\x1b[0m\x1b[1m: interrupted after" in last


@pytest.mark.parametrize(
    ("words", "extra"), [((), {"CI": "1"}), (("-q",), {}), (("--json",), {}), ((), {"TERM": "dumb"})]
)
def test_no_progress_where_nobody_looks(folder: Path, words: tuple[str, ...], extra: dict[str, str]) -> None:
    text, _ = on_a_terminal(folder, "minimize", "long.tape", "--steps", "20", *words, seconds=15, **extra)
    assert "minimising" not in text
    assert "\x1b[2K" not in text


def test_colours_follow_the_terminal_and_no_color(folder: Path) -> None:
    (folder / "bad.tape").write_text("x +\n")
    assert "\x1b[1;31merror" in on_a_terminal(folder, "eval", "bad.tape", seconds=15)[0]
    assert "\x1b[" not in on_a_terminal(folder, "eval", "bad.tape", seconds=15, NO_COLOR="1")[0]
    assert "\x1b[" not in on_a_terminal(folder, "eval", "bad.tape", "--color", "never", seconds=15)[0]
