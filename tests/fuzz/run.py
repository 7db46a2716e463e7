# ruff: noqa: T201
"""Tries formulas and tables that nobody would write: `python tests/fuzz/run.py --count 1000000`.

For each, a command line is run in this process. What has to hold: the exit status is one of the table and never that of
a fault of tapecli, nothing is printed raw, nothing takes longer than a second, memory stays bounded, nothing is opened,
run, imported or connected beyond what `guard` allows, and engines agree on what they compute. What breaks this is kept
in a folder, and belongs into `tests/fuzz/found/` once it is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import numpy as np  # noqa: E402
from guard import Guard  # noqa: E402
from mutate import mutated  # noqa: E402

import tapecli as tp  # noqa: E402
from grammar import formula  # noqa: E402
from tapecli.cli import run as command_line  # noqa: E402

SAMPLES = HERE.parents[1] / "samples"
#: What a run may end with; 2 where a formula has nothing to minimise, or no variable.
STATUSES = {0, 1, 2, 3, 4, 5, 6}
COMMANDS = (
    ["eval"], ["grad"], ["grad", "--json"], ["eval", "--json"], ["hess", "--json"], ["jac"],
    ["minimize", "--steps", "3", "--quiet"], ["eval", "--format", "github"], ["grad", "--engine", "numpy"],
    ["eval", "--format", "concise", "--dtype", "float32"],
)  # fmt: skip
#: Compares every second derivative with numbers, which takes hundreds of runs: as long as it takes, and seldom here.
CHECK = ("check",)
#: Seconds that a run may take, and after which it is broken off.
LONG, BREAK = 1.0, 10.0
MEMORY = "64M"
#: How much the process may have grown at the end, in MB.
GROWTH = 600
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f]|(?m:^::)")
TABLE = b"t,y,z\n1,2,3\n4,5.5,-6\n7,8e3,9\n0.1,0.2,0.3\n"
TABLES = (
    TABLE, b"t\ty\n1\t2\n3\t4\n", b'"t","y, z"\n"1","2"\n', b"1,2\n3,4\n5,6\n", b"t,y\r\n1,\r\n2,3\r\n",
    b"\xef\xbb\xbft,y\n1,2\n", b"t,y\n" + b"1,2\n" * 300,
)  # fmt: skip
READERS = (
    'data t, y from "f.csv"\nvar k = 1\nsum((y - k*t)^2)\n',
    'data p = 1, q = 2 from "f.csv"\nsum(log(p[i]*q[i]) for i in 1..len(p))\n',
    'data X = [*] from "f.csv"\nsum(X)\n',
)


class Hang(BaseException):
    """The run was broken off."""


class Case(NamedTuple):
    kind: str
    text: bytes
    words: list[str]
    table: bytes | None


def corpus() -> list[bytes]:
    files = sorted([*SAMPLES.glob("*.tape"), *(HERE / "found").glob("*.tape")])
    return [path.read_bytes() for path in files if path.stat().st_size < 4000]


def cases(random: Random, count: int) -> Iterator[Case]:
    known = corpus()
    for _ in range(count):
        words = list(CHECK if random.random() < 0.002 else random.choice(COMMANDS))
        kind = random.randrange(10)
        if kind < 3:
            yield Case("grammar", formula(random).encode(), words, None)
        elif kind < 6:
            yield Case("mutated", mutated(random, formula(random).encode(), random.choice(known)), words, None)
        elif kind < 8:
            yield Case("sample", mutated(random, random.choice(known), random.choice(known)), words, None)
        else:
            table = mutated(random, random.choice(TABLES), random.choice(TABLES))
            yield Case("table", random.choice(READERS).encode(), words, table)


class Outcome(NamedTuple):
    status: int
    out: str
    err: str
    seconds: float


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def perform(case: Case, folder: str, guard: Guard | None) -> Outcome:
    """One command line in this process."""
    if case.table is not None:
        Path(folder, "f.csv").write_bytes(case.table)
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    kept = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = Stdin(case.text), *streams  # type: ignore[assignment]
    start = perf_counter()
    words = [case.words[0], "-", *case.words[1:], "--max-memory", MEMORY, "--no-cache"]
    signal.setitimer(signal.ITIMER_REAL, BREAK)
    try:
        if guard is None:
            status = command_line(words)
        else:
            with guard.watching(folder):
                status = command_line(words)
    except Hang:
        status = -1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdin, sys.stdout, sys.stderr = kept
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in streams]  # type: ignore[attr-defined]
    return Outcome(status, *texts, perf_counter() - start)


def complaint(case: Case, o: Outcome) -> str | None:
    """What does not hold of an outcome."""
    if o.status == -1:
        return "hangs"
    if o.status not in STATUSES:
        return f"exit {o.status}: {o.err.strip()[-300:]}"
    if "Traceback" in o.out + o.err or "Warning:" in o.err:
        return f"says {o.err.strip()[-300:]}"
    raw = RAW.search(o.out) or (RAW.search(o.err) if "github" not in case.words else None)
    if raw:
        return f"prints {raw[0]!r}"
    return None


def disagreement(case: Case, native: bool) -> str | None:
    """Where engines differ on the values of a formula that can be computed."""
    try:
        p = tp.parse(case.text.decode(), max_memory=MEMORY)
        got = {e: p.compile(engine=e).evaluate() for e in ("tape", "numpy", *(["native"] if native else []))}
    except (tp.TapeError, UnicodeDecodeError):
        return None
    for engine, other in got.items():
        for name, value in got["tape"].values.items():
            with np.errstate(all="ignore"):
                close = np.isclose(value, other.values[name], rtol=1e-7, atol=1e-290, equal_nan=True)
                huge = ~np.isfinite(value) | (np.abs(value) > 1e290)  # where order of sums decides on overflow
            if not np.all(close | huge):
                return f"engine {engine} has {name} = {other.values[name]}, the tape {value}"
    return None


class Campaign:
    """Many cases, and what came of them."""

    def __init__(self, seed: int, keep: Path | None, guarded: bool = True) -> None:
        self.random = Random(seed)
        self.keep = keep
        self.guard = Guard() if guarded else None
        self.statuses: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        self.faults: list[str] = []
        self.slow: list[tuple[float, str]] = []
        self.compared = 0

    def run(self, count: int, folder: str, progress: bool = False) -> None:
        def broken_off(*_: Any) -> None:
            raise Hang

        before = signal.signal(signal.SIGALRM, broken_off), signal.getsignal(signal.SIGTERM), os.getcwd()
        os.chdir(folder)
        warm(folder)
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for k, case in enumerate(cases(self.random, count)):
                    self.one(k, case, folder)
                    if progress and k % 5000 == 4999:
                        print(f"{k + 1:,}: {dict(self.statuses)}, {len(self.faults)} faults", flush=True)
        finally:
            signal.signal(signal.SIGALRM, before[0])
            signal.signal(signal.SIGTERM, before[1])
            os.chdir(before[2])
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin) // 1024
        if grown > GROWTH:
            self.faults.append(f"the process grew by {grown} MB")

    def one(self, k: int, case: Case, folder: str) -> None:
        outcome = perform(case, folder, self.guard)
        self.statuses[outcome.status] += 1
        self.kinds[case.kind] += 1
        fault = complaint(case, outcome)
        if fault is None and outcome.seconds > LONG and case.words[0] != "check":
            again = min(perform(case, folder, self.guard).seconds for _ in range(2))  # the machine may have been busy
            if again > LONG:
                fault = f"takes {again:.1f} s"
        if fault is None and self.guard is not None and self.guard.broken:
            fault, self.guard.broken = f"does what it may not: {self.guard.broken[:3]}", []
        if fault is None and case.table is None and outcome.status in (0, 4) and k % 8 == 0:
            self.compared += 1
            fault = disagreement(case, native=k % 1600 == 0)
        if fault is not None:
            self.note(case, fault)

    def note(self, case: Case, fault: str) -> None:
        name = hashlib.sha256(case.text + (case.table or b"")).hexdigest()[:12]
        self.faults.append(f"{name} {' '.join(case.words)}: {fault}")
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / f"{name}.tape").write_bytes(case.text)
            if case.table is not None:
                (self.keep / f"{name}.csv").write_bytes(case.table)


def warm(folder: str) -> None:
    """Imports what comes late, so that the first runs are as fast as the others."""
    for words in COMMANDS:
        perform(Case("", b"var x = 2, y[3] = 1\nx^2 + sum(sin(y)) + besselj(0, x)\n", list(words), None), folder, None)
        perform(Case("", b"2 +\n", list(words), None), folder, None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="a folder for the cases that fail")
    given = parser.parse_args()
    campaign, start = Campaign(given.seed, given.keep), perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        campaign.run(given.count, folder, progress=True)
    for fault in campaign.faults[:200]:
        print(fault)
    seconds = perf_counter() - start
    print(
        f"{given.count:,} inputs ({dict(campaign.kinds)}) in {seconds:.0f} s, {campaign.compared:,} compared on engines"
    )
    print(f"exit statuses {dict(sorted(campaign.statuses.items()))}; {len(campaign.faults)} faults")
    return 1 if campaign.faults else 0


if __name__ == "__main__":
    sys.exit(main())
