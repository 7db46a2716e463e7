"""Many files: order, deaths of workers, limits of failures, memory, the closing table and the line of progress."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tapecli
from tapecli.cli import frames
from tapecli.cli.frames import Result, Waiting, packed
from tapecli.report.batch import Batch
from tapecli.report.tally import Outcome, Tally

ENV = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1]), "TERM": "xterm"}
for name in ("CI", "NO_COLOR", "TAPECLI_DEBUG"):
    ENV.pop(name, None)

#: A worker that is told to die by the name of a file, and another that hangs where no signal handler of Python runs.
DEADLY = """
import os, signal, sys
from tapecli import problem
inner = problem.load
def load(path, **options):
    if "killed" in path:
        os.kill(os.getpid(), signal.SIGKILL)
    if "crashed" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "left" in path:
        os._exit(3)
    return inner(path, **options)
problem.load = load
from tapecli.cli import run
sys.exit(run(sys.argv[1:]))
"""


def files(folder: Path, count: int, **special: str) -> list[str]:
    for k in range(count):
        (folder / f"m{k:03d}.tape").write_text(f"var x = {k}\nx^2 + {k}\n")
    for name, text in special.items():
        (folder / f"{name}.tape").write_text(text)
    return sorted(path.name for path in folder.glob("*.tape"))


def tapecli_in(folder: Path, *argv: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    head = [sys.executable, "-m", "tapecli"] if script is None else [sys.executable, "-c", script]
    return subprocess.run([*head, *argv], cwd=folder, env=ENV, capture_output=True, text=True, check=False, timeout=60)


def test_jobs_change_nothing_but_the_time(tmp_path: Path) -> None:
    names = files(tmp_path, 60, m010a="2x", m020a="1/0", m030a="var x = 1; expect x == 2")
    alone = tapecli_in(tmp_path, "grad", ".", "--json", "--format", "concise")
    together = tapecli_in(tmp_path, "grad", ".", "--json", "--format", "concise", "--jobs", "3")
    assert alone.stdout == together.stdout
    assert alone.stderr == together.stderr
    assert alone.returncode == together.returncode == 1
    assert [json.loads(line)["file"] for line in alone.stdout.splitlines()] == names


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the workers of this test are forked")
@pytest.mark.parametrize("jobs", ["2", "3"])
def test_a_death_costs_one_file(tmp_path: Path, jobs: str) -> None:
    special = {"m005_killed": "1", "m006_crashed": "1", "m020_left": "1", "m030_killed": "1"}
    names = files(tmp_path, 40, **special)
    done = tapecli_in(tmp_path, "eval", ".", "--json", "--format", "concise", "--jobs", jobs, script=DEADLY)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [o["file"] for o in objects] == names
    lost = {o["file"].removesuffix(".tape"): o["error"]["message"] for o in objects if not o["ok"]}
    assert set(lost) == set(special)
    assert "for lack of memory" in lost["m005_killed"]
    assert "SIGSEGV" in lost["m006_crashed"]
    assert "status 3" in lost["m020_left"]
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(("words", "most"), [(("--fail-fast",), 1), (("--max-failures", "2"), 2)])
def test_failures_end_a_run(tmp_path: Path, jobs: str, words: tuple[str, ...], most: int) -> None:
    files(tmp_path, 30, m004a="2x", m008a="y", m012a="z")
    done = tapecli_in(tmp_path, "eval", ".", "--json", "--format", "concise", "--jobs", jobs, *words)
    failed = [not json.loads(line)["ok"] for line in done.stdout.splitlines()]
    assert sum(failed) == most
    assert failed[-1]
    assert done.returncode == 1


def test_the_closing_table(tmp_path: Path) -> None:
    files(tmp_path, 12, bad1="2x", bad2="3y", name="q")
    done = tapecli_in(tmp_path, "eval", ".", "--jobs", "2", "--format", "concise")
    table = done.stderr.splitlines()
    at = table.index("failed")
    assert table[at + 1].split() == ["syntax", "2", "bad1.tape,", "bad2.tape"]
    assert table[at + 2].split() == ["name", "1", "name.tape"]
    assert table[at + 3] == "slowest"
    assert table[-1].startswith("15 files: 12 passed, 3 failed in ")


def test_an_interrupt_ends_a_batch_in_order(tmp_path: Path) -> None:
    slow = "f = fold(x = 0.5 for k in 1..3000000: 3.9*x*(1 - x))\nf\n"
    files(tmp_path, 3, z1=slow, z2=slow, z3=slow)
    argv = [sys.executable, "-m", "tapecli", "eval", ".", "--json", "--jobs", "2", "--engine", "tape"]
    process = subprocess.Popen(argv, cwd=tmp_path, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert [json.loads(line)["file"] for line in first] == ["m000.tape", "m001.tape", "m002.tape"]
    assert "Traceback" not in said + out


# ---- parts ------------------------------------------------------------------------------------------------------


def test_results_survive_as_bytes() -> None:
    result = Result(7, 143, 0.25, ("name", "shape"), [(False, "é\udcff\n"), (True, ""), (False, "x" * 70_000)])
    back = Result.read(packed(result))
    assert back == result._replace(reasons=["name", "shape"])


def test_what_waits_takes_no_more_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "ROOM", 1000)
    waiting = Waiting()
    for k in reversed(range(100)):
        waiting.put(Result(k, 0, 0.0, (), [(False, str(k) * 100)]))
    assert sum(isinstance(kept, Result) for kept in waiting._held.values()) <= 10
    for k in range(100):
        found = waiting.take(k)
        assert found is not None
        assert found.parts == [(False, str(k) * 100)]
    assert waiting.take(0) is None
    assert waiting._file.seek(0, 2) == 0
    waiting.close()


def test_a_tally_stays_small() -> None:
    tally = Tally(100_000)
    for k in range(100_000):
        tally.add(Outcome(f"f{k}", 3 if k % 10 == 0 else 0, (k % 977) / 977, ("name", "name") if k % 10 == 0 else ()))
    assert (tally.done, tally.failed, tally.worst) == (100_000, 10_000, 3)
    lines = tally.lines(False)
    assert lines[1] == "  name  10,000  f0, f10, f20 and 9,997 more"
    assert lines[-1].startswith("100,000 files: 90,000 passed, 10,000 failed in ")
    assert len(lines) < 10


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_line_of_progress_fits(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    from tapecli.report.text import width

    tally = Tally(2000)
    batch = Batch(tally, color=False)
    for k in range(500):
        tally.add(Outcome(f"f{k}", int(k % 7 == 0), 0.0, ()))
    batch.tick("models/a long name.tape")
    line = batch.line(columns)
    assert width(line) <= columns
    assert "500/2,000 files" in line
    assert ("72 failed" in line) == (columns >= 40)
    batch.close()
    assert capsys.readouterr().err.endswith("\r\x1b[2K")
