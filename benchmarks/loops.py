"""How time and memory of loops grow with their length: value and gradient of sums, folds and scans.

    python benchmarks/loops.py [--engine tape] [--rounds 5] [--only chain]

Every length runs in processes of its own: one for the times, one for the memory, which is the peak of what Python and
NumPy have allocated (tracemalloc), so the interpreter and its libraries do not count. A slope is that of the logarithm
of time or memory over that of the length: 1 is proportional, 0.5 a square root. The first one is that of the straight
line through all lengths, those in brackets are from a length to the next.

For fold and scan the memory of the value alone is measured too. What the gradient needs beyond it is what grows with
the square root of the steps.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple


class Subject(NamedTuple):
    """A formula with N for the length, the lengths, and what is allowed to grow how."""

    formula: str
    lengths: tuple[int, ...]
    recurrence: bool


LONG, STEPS = (10_000, 100_000, 1_000_000), (1_000, 10_000, 100_000)
SUBJECTS = {
    "chain": Subject(
        "const n = N; var x[n] = 0.5; sum(100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for i in 1..n-1)", LONG, False
    ),
    "band": Subject(
        "const n = N; var x[n] = 0.5\nsum(x[i]*x[j]/(1 + (i - j)^2) for i in 1..n, j in max(1, i-5)..min(n, i+1))",
        LONG,
        False,
    ),
    "fold": Subject(
        "var a[1000] = 0.5; const n = N\nsum(fold(x = a for k in 1..n: x + 0.01*(sin(a) - x^3)))", STEPS, True
    ),
    "scan": Subject("var a = 0.5; const n = N\nsum(scan(x = 1 for k in 1..n: x + 0.01*(a - x^3)))", STEPS, True),
}
#: The greatest slope that is allowed.
GOAL = 1.1


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def slopes(lengths: tuple[int, ...], values: list[float]) -> list[float]:
    """That of the line of least squares, then those between neighbours."""
    x, y = [math.log(n) for n in lengths], [math.log(max(value, 1e-9)) for value in values]
    middle = sum(x) / len(x)
    line = sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)
    steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(zip(x, y, strict=True))]
    return [line, *steps]


# ---- in a process of its own ------------------------------------------------------------------------------------


def measured(text: str, engine: str, rounds: int, memory: bool) -> dict[str, float]:
    import tapecli

    tapecli.parse("var x = 1; x^2", engine=engine).derivatives()  # what is imported late is there
    if memory:
        tracemalloc.start()
    start = perf_counter()
    p = tapecli.parse(text, engine=engine)
    found = {"load": perf_counter() - start}
    if not memory:
        p.derivatives()
        times = []
        for _ in range(rounds):
            start = perf_counter()
            p.derivatives()
            times.append(perf_counter() - start)
        return {**found, "time": median(times)}
    peak = tracemalloc.get_traced_memory()[1]
    for name, call in (("value", p.evaluate), ("gradient", p.derivatives)):
        tracemalloc.reset_peak()
        call()
        found[name] = tracemalloc.get_traced_memory()[1] / 1e6
    return {**found, "build": peak / 1e6}


def child(name: str, length: int, engine: str, rounds: int, memory: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", f"{name},{length},{int(memory)}"]
    command += ["--engine", engine, "--rounds", str(rounds)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)  # type: ignore[no-any-return]


# ---- all of them ------------------------------------------------------------------------------------------------


def report(name: str, subject: Subject, engine: str, rounds: int) -> bool:
    lengths = subject.lengths
    times = [child(name, n, engine, rounds, False) for n in lengths]
    sizes = [child(name, n, engine, rounds, True) for n in lengths]
    columns: dict[str, tuple[str, list[float]]] = {
        "load": ("{:9.3f} s", [t["load"] for t in times]),
        "value and gradient": ("{:9.3f} s", [t["time"] for t in times]),
        "memory": ("{:8.1f} MB", [max(s["gradient"], s["build"]) for s in sizes]),
    }
    if subject.recurrence:
        columns["memory beyond the value's"] = ("{:8.1f} MB", [s["gradient"] - s["value"] for s in sizes])
    say(f"{name}\n  {'':26}" + "".join(f"{f'n = {n:,}':>14}" for n in lengths) + "   slopes")
    good = True
    for what, (text, values) in columns.items():
        line, *steps = slopes(lengths, values)
        cells = "".join(f"{text.format(value):>14}" for value in values)
        say(f"  {what:26}{cells}   {line:5.2f}  ({', '.join(f'{s:.2f}' for s in steps)})")
        good = good and (what == "load" or line <= GOAL)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="tape", choices=("tape", "numpy"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=SUBJECTS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.child:
        name, length, memory = given.child.split(",")
        text = SUBJECTS[name].formula.replace("N", length)
        say(json.dumps(measured(text, given.engine, given.rounds, memory == "1")))
        return 0
    names = [given.only] if given.only else list(SUBJECTS)
    missed = [name for name in names if not report(name, SUBJECTS[name], given.engine, given.rounds)]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
