"""Ctrl-C and SIGTERM end the step at work and then the run: the point reached is told, the checkpoint is written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapecli.optimize.checkpoint import read
from tapecli.optimize.loop import interrupts

TEXT = (
    "var x = [-1.2, 1]\nminimize 100*(x[2] - x[1]^2)^2 + (1 - x[1])^2 using sgd(learning_rate=1e-6), steps=1000000000"
)


def interrupted(folder: Path, number: signal.Signals, *more: str) -> tuple[int, str, str]:
    """The status of a run that gets a signal once it runs, and what it wrote."""
    (folder / "f.tape").write_text(TEXT)
    words = ["minimize", "f.tape", "--json", "--log", "log.jsonl", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "tapecli", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    log = folder / "log.jsonl"
    while not (log.exists() and log.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_ends_the_run_in_order(tmp_path: Path, number: signal.Signals, status: int) -> None:
    code, out, _ = interrupted(tmp_path, number, "--checkpoint", "c")
    assert code == status
    result = json.loads(out)
    assert (result["stop_reason"], result["ok"], result["converged"]) == ("interrupted", False, False)
    saved = read(str(tmp_path / "c"))
    assert saved.state.step == result["steps"]
    assert saved.state.x[0].tolist() == result["at"]["x"]
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == result["steps"]


def test_the_second_signal_is_raised_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts() as pending:
        signal.raise_signal(signal.SIGINT)
        assert pending == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_handlers_of_others_are_still_called() -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with interrupts() as pending:
            signal.raise_signal(signal.SIGTERM)
        assert (heard, pending) == ([signal.SIGTERM], [])  # who raises nothing does not want to stop
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts() as pending:
            signal.raise_signal(signal.SIGINT)
        assert pending == []
    finally:
        signal.signal(signal.SIGINT, before)
