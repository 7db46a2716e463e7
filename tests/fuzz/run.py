# ruff: noqa: T201
"""Tries formulas, tables and command lines that nobody would write: `python tests/fuzz/run.py --count 1000000`.

Each command line is run in the process of a worker. What has to hold: the exit status is one of the table and never
that of a fault of tapecli, nothing is printed raw, JSON and its kin can be read, no run takes more than a second of the
processor's time, memory stays bounded, nothing is opened, run, imported or connected beyond what `guard` allows, and
engines agree on what they compute. What breaks this is kept in a folder, one folder for each case, and belongs into
`tests/fuzz/found/` once it is mended. A case follows from the seed and its number alone: `--only` runs it again.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shlex
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

#: Seconds of the clock after which a worker that says nothing is taken to hang: generous, as machines may be busy.
HANG = 120.0
#: A case of so many is computed on several engines, and one of so many of these on machine code as well.
COMPARED, NATIVE = 8, 25


# ---- in a worker -------------------------------------------------------------------------------------------------


def work(seed: int, numbers: range) -> None:
    """Runs cases, and tells of each before it and after it, one line of JSON each."""
    from cases import case
    from guard import Guard
    from perform import perform

    told = os.fdopen(os.dup(1), "w", buffering=1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        folder = os.path.realpath(folder)
        warnings.simplefilter("ignore")
        os.chdir(folder)
        guard = Guard()
        for number in range(-1, -30, -1):  # imports what comes late, so that the first runs are as fast as the others
            perform(case(seed, number), folder, None)
        for number in numbers:
            told.write(json.dumps({"begins": number}) + "\n")
            told.write(json.dumps(verdict(seed, number, folder, guard)) + "\n")
        os.chdir("/")


def verdict(seed: int, number: int, folder: str, guard: Any) -> dict[str, Any]:
    """What came of a case."""
    from cases import case
    from perform import LONG, complaint, disagreement, perform

    one = case(seed, number)
    outcome = perform(one, folder, guard)
    fault = complaint(one, outcome)
    allowed = LONG * max(1, sum(name.endswith(".tape") for name in one.files))
    if fault is None and outcome.seconds > allowed:
        # what is met for the first time is imported or compiled: only what is slow again is slow
        again = min(perform(one, folder, guard).seconds for _ in range(2))
        if again > allowed:
            fault = f"takes {again:.1f} s"
    if guard.broken:
        fault = fault or f"does what it may not: {guard.broken[:3]}"
        guard.broken = []
    compared = fault is None and one.text and outcome.status in (0, 4) and number % COMPARED == 0
    if compared:
        fault = disagreement(one, folder, native=number // COMPARED % NATIVE == 0)
    return {
        "number": number, "kind": one.kind, "command": one.words[0], "status": outcome.status,
        "compared": bool(compared), "fault": fault, "seconds": outcome.seconds,
    }  # fmt: skip


# ---- in the parent -----------------------------------------------------------------------------------------------


class Campaign:
    """Many cases on several workers, and what came of them."""

    def __init__(self, seed: int, numbers: range, workers: int, keep: Path) -> None:
        self.seed = seed
        self.numbers = numbers
        self.keep = keep
        self.lines: queue.Queue[tuple[int, str]] = queue.Queue()
        self.shares = [numbers[k::workers] for k in range(workers)]
        self.workers: dict[int, subprocess.Popen[str]] = {}
        self.running: dict[int, int] = {}
        self.statuses: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.faults: list[str] = []
        self.compared = 0
        self.slowest = 0.0

    def start(self, k: int, numbers: range) -> None:
        """A worker for some cases, and a thread that hands on what it says."""
        line = [sys.executable, __file__, "--seed", str(self.seed), "--share"]
        line.append(f"{numbers.start}:{numbers.stop}:{numbers.step}")
        worker = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        self.workers[k] = worker

        def listen() -> None:
            assert worker.stdout is not None
            for told in worker.stdout:
                self.lines.put((k, told))
            self.lines.put((k, ""))

        threading.Thread(target=listen, daemon=True).start()

    def run(self) -> None:
        for k, share in enumerate(self.shares):
            self.start(k, share)
        heard = {k: perf_counter() for k in self.workers}
        done, begin = 0, perf_counter()
        while self.workers:
            try:
                k, line = self.lines.get(timeout=1.0)
            except queue.Empty:
                line = None
            if line is not None and k in self.workers:
                heard[k] = perf_counter()
                if not line:
                    self.ended(k)
                else:
                    done += self.told(k, json.loads(line))
                    if done % 5000 == 0 and "number" in line:
                        spent = perf_counter() - begin
                        print(
                            f"{done:,} in {spent:.0f} s: {dict(self.statuses)}, {len(self.faults)} faults", flush=True
                        )
            for k in [k for k, at in heard.items() if k in self.workers and perf_counter() - at > HANG]:
                self.workers[k].kill()

    def told(self, k: int, said: dict[str, Any]) -> bool:
        """Notes one line of a worker; whether it is the end of a case."""
        if "begins" in said:
            self.running[k] = said["begins"]
            return False
        number = self.running.pop(k)
        self.statuses[said["status"]] += 1
        self.kinds[said["kind"]] += 1
        self.commands[said["command"]] += 1
        self.compared += said["compared"]
        self.slowest = max(self.slowest, said["seconds"])
        if said["fault"]:
            self.note(number, said["fault"])
        return True

    def ended(self, k: int) -> None:
        """A worker has nothing more to say: its cases are done, or one of them took it along."""
        status = self.workers.pop(k).wait()
        number = self.running.pop(k, None)
        if number is not None:
            self.note(
                number, f"ends the process with {status}" if status != -9 else f"hangs for {HANG:.0f} s, or was killed"
            )
            share = self.shares[k]
            rest = share[share.index(number) + 1 :]
            if rest:
                self.start(k, rest)
        elif status:
            self.faults.append(f"a worker ended with {status}")

    def note(self, number: int, fault: str) -> None:
        from cases import case

        one = case(self.seed, number)
        folder = self.keep / str(number)
        for name, data in {**one.files, "stdin": one.text}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        line = shlex.join(["tapecli", *one.words])
        again = f"python tests/fuzz/run.py --seed {self.seed} --only {number}"
        (folder / "fault.txt").write_text(f"{line} < stdin\n{again}\n{fault}\n", "utf-8")
        self.faults.append(f"{number}: {line[:200]}: {fault}\n  {again}")
        print(self.faults[-1], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="a folder for the cases that fail")
    parser.add_argument("--only", type=int, help="run this one case")
    parser.add_argument("--share", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.share:
        work(given.seed, range(*map(int, given.share.split(":"))))
        return 0
    numbers = range(given.count) if given.only is None else range(given.only, given.only + 1)
    campaign, start = Campaign(given.seed, numbers, given.workers, given.keep), perf_counter()
    campaign.run()
    spent = perf_counter() - start
    print(f"seed {given.seed}: {len(numbers):,} inputs in {spent:.0f} s, {campaign.compared:,} compared on engines")
    print(f"kinds {dict(sorted(campaign.kinds.items()))}; commands {dict(sorted(campaign.commands.items()))}")
    print(f"exit statuses {dict(sorted(campaign.statuses.items()))}; the slowest took {campaign.slowest:.1f} s")
    print(f"{len(campaign.faults)} faults" + (f", kept in {given.keep}" if campaign.faults else ""))
    return 1 if campaign.faults else 0


if __name__ == "__main__":
    sys.exit(main())
