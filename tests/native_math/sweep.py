"""Measures the greatest errors of the native engine's elementwise ops, in ULP, over a dense sweep of their domains.

    python tests/native_math/sweep.py [--count 4000] [op ...]

Needs mpmath. Prints the table of docs/vector_functions.md: in double precision on this machine and in code without
fused instructions, and in single precision. Ops that stand for derivatives have the limits 4 and 6 instead of 2.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))
sys.path.insert(0, str(Path(__file__).parent))

import grids
from harness import BASELINE, Compiled, Kind, own
from oracle import exact, known

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli.core import TABLE

KINDS: dict[str, tuple[Kind, str]] = {
    "own": (own(), "double"),
    "baseline": (BASELINE, "double"),
    "single": (own(), "float"),
}


def error(got: Any, want: Any, scale: Any, dtype: Any) -> float:
    """In ULP of the exact value, or of `scale` where that is greater."""
    with np.errstate(all="ignore"):
        rounded = dtype(float(want))
    if not (np.isfinite(got) and np.isfinite(rounded)):
        return 0.0 if got == rounded or abs(want) > 0.999 * np.finfo(dtype).max else np.inf
    size = min(float(max(abs(want), scale or 0)), float(np.finfo(dtype).max))
    return float(abs(mp.mpf(float(got)) - want) / mp.mpf(float(np.spacing(dtype(size)))))


@lru_cache(maxsize=256)
def points(name: str, count: int) -> list[tuple[float, ...]]:
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 2)
    op = TABLE[name]
    return [*op.points, *grids.HARD.get(name, []), *grids.arguments(name, len(op.points[0]), rng, count)]


def measured(name: str, count: int, how: str) -> tuple[float, tuple[float, ...]]:
    """The greatest error of an op, and where."""
    kind, scalar = KINDS[how]
    dtype: Any = np.float64 if scalar == "double" else np.float32
    with np.errstate(all="ignore"):
        args = [np.array(c).astype(dtype) for c in zip(*points(name, count), strict=True)]
    lanes = kind.bytes // (8 if scalar == "double" else 4)
    run = Compiled({name: TABLE[name].native}, {name: len(args)}, scalar, lanes, kind)
    got = run(name, *args)
    worst: tuple[float, tuple[float, ...]] = (-1.0, ())
    for k, at in enumerate(zip(*args, strict=True)):
        place = tuple(float(x) for x in at)
        if not all(np.isfinite(place)) or (scalar == "float" and 0.0 in place):
            continue
        try:
            value, _, _, scale = exact(name, {}, place)
        except (ZeroDivisionError, ValueError, OverflowError):
            continue
        if not isinstance(value, (mp.mpf, int, float)) or mp.isnan(value) or mp.isinf(value):
            continue
        e = error(got[k], mp.mpf(value), scale[0], dtype)
        if e > worst[0]:
            worst = (e, place)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--count", type=int, default=4000)
    options = parser.parse_args()
    sys.stdout.write("| op | float64 | float64, no fused instructions | float32 |\n| --- | --- | --- | --- |\n")
    trivial = {"abs", "ceil", "floor", "neg", "round", "sign", "stop", "spacing", "positive"}
    for name, op in TABLE.items():
        wanted = name in options.names if options.names else name not in trivial
        if op.kind != "elementwise" or not callable(op.native) or not known(name) or name in grids.PARAMS:
            continue
        if wanted and (name in grids.ONE or name in grids.TWO) and "less" not in name and "equal" not in name:
            cells = [f"{measured(name, options.count, how)[0]:.2f}" for how in KINDS]
            sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
