# ruff: noqa: T201
"""How the time to read and run a formula grows with its length: `python tests/limits/scaling.py`."""

from __future__ import annotations

import gc
from contextlib import suppress
from math import log
from time import perf_counter

import tapecli as tp

SHAPES = {
    "a sum of n terms": lambda n: "var x = 1\ny = " + " + ".join(["x*2"] * n),
    "n lines": lambda n: "var x = 1\n" + "".join(f"a{i} = x*{i}\n" for i in range(n)),
    "n brackets": lambda n: "var x = 1\ny = " + "(" * n + "x" + ")" * n,
    "n calls": lambda n: "var x = 1\ny = " + "sin(" * n + "x" + ")" * n,
    "n unknown names": lambda n: "".join(f"y{i} = a{i}\n" for i in range(n)),
}
SIZES = (10_000, 100_000)


def seconds(text: str) -> float:
    gc.collect()
    start = perf_counter()
    with suppress(tp.TapeError):
        tp.parse(text).evaluate()
    return perf_counter() - start


if __name__ == "__main__":
    for name, make in SHAPES.items():
        times = [min(seconds(make(n)) for _ in range(2)) for n in SIZES]
        exponent = log(times[1] / times[0]) / log(SIZES[1] / SIZES[0])
        print(f"{name:18s} {times[0]:.2f} s at {SIZES[0]:,}, {times[1]:.2f} s at {SIZES[1]:,}, exponent {exponent:.2f}")
