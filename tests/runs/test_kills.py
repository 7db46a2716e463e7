"""A process that is killed at any moment leaves a whole checkpoint, and whoever goes on from it ends with the bits of a
run that nobody stopped. `pytest -m slow tests/runs/test_kills.py -s` does that a thousand times."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tapecli as tp
from tapecli.optimize.checkpoint import Damaged, older, read

from .test_checkpoints import bits

TEXT = "var x = [-1.2, 1, 0.5, 2]\nminimize sum(100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for i in 1..3)"
OPTIONS = {"method": "adam", "learning_rate": 0.02, "steps": 250}


def child(every: float) -> int:
    """A process that minimises from the checkpoint on, and is there to be killed."""
    pid = os.fork()
    if not pid:
        try:
            tp.parse(TEXT).minimize(**OPTIONS, checkpoint="c", resume=True, checkpoint_every=every)
        finally:
            os._exit(0)
    return pid


def survive(kills: int, seed: int) -> dict[str, int]:
    """Kills so many processes; what was found, after each kill, of the checkpoints and of the run that goes on."""
    draw = random.Random(seed)
    whole = bits(tp.parse(TEXT).minimize(**OPTIONS))
    begin = time.monotonic()
    os.waitpid(child(0.0), 0)
    longest = time.monotonic() - begin
    found = {"kills": 0, "finished before": 0, "torn": 0, "none yet": 0, "resumed": 0, "same bits": 0}
    fresh = True
    while found["kills"] < kills:
        if fresh:
            for name in ("c", "c.1", ".c.tmp"):
                Path(name).unlink(missing_ok=True)
        pid = child(0.0)
        time.sleep(draw.random() * longest)
        os.kill(pid, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        found["kills" if killed else "finished before"] += 1
        fresh = not killed or draw.random() < 0.5  # else the next process goes on from what this one left
        present = [name for name in ("c", older("c")) if Path(name).exists()]
        found["none yet"] += not present
        for name in present:
            try:
                read(name)
            except Damaged:
                found["torn"] += 1
        for name in present:
            shutil.copy(name, name.replace("c", "d", 1))
        end = tp.parse(TEXT).minimize(**OPTIONS, checkpoint="d", resume=True)
        found["resumed"] += 1
        found["same bits"] += bits(end) == whole
        for name in ("d", older("d")):
            Path(name).unlink(missing_ok=True)
    return found


def check(found: dict[str, int]) -> None:
    assert found["torn"] == 0
    assert found["same bits"] == found["resumed"] > 0
    assert found["none yet"] < found["resumed"]


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no kill -9 without fork here")


def test_a_few_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(survive(15, 1))


@pytest.mark.slow
def test_a_thousand_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = survive(1000, 2)
    sys.stdout.write(json.dumps(found) + "\n")
    check(found)


def test_the_command_survives_a_kill(tmp_path: Path) -> None:
    """The same from the command line, with a log that ends as if nothing had happened."""
    (tmp_path / "f.tape").write_text(TEXT)
    base = [
        sys.executable,
        "-m",
        "tapecli",
        "minimize",
        "f.tape",
        "--method",
        "adam",
        "--lr",
        "0.02",
        "--steps",
        "3000",
    ]
    kept = ["--checkpoint", "c", "--checkpoint-every", "0", "--resume", "--log", "log.jsonl"]
    whole = subprocess.run([*base, "--json", "--log", "whole.jsonl"], cwd=tmp_path, capture_output=True, check=True)
    process = subprocess.Popen([*base, *kept], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "c").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    rest = subprocess.run([*base, *kept, "--json"], cwd=tmp_path, capture_output=True, check=True)
    first, second = (json.loads(out.stdout) for out in (whole, rest))
    for result in (first, second):
        for key in ("seconds", "warnings", "traces"):
            result.pop(key, None)
    assert first == second
    assert (tmp_path / "log.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
