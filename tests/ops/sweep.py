"""Measures the greatest error of every op, in ULP, by order of derivative, over a dense sweep of its domain.

    python tests/ops/sweep.py [--count 400] [--engine numpy] [op ...]

Needs mpmath. An error counts against the exact derivative; where a derivative of two arguments is a difference, in
ULP of its greatest term. A star marks what exceeds the limits (2, 4, 6 ULP).
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from typing import Any

import grids
import mpmath as mp
import numpy as np
from oracle import exact, known

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli import engines
from tapecli.core import TABLE, Op
from tapecli.derive import gradient, ones_like, pullback, record
from tapecli.engines import Argument
from tapecli.ops.linear import sum_

LIMITS = (2.0, 4.0, 6.0)


def total(op: Op, params: dict[str, Any]) -> Any:
    return lambda *xs: sum_(op(*xs, **params), axes=(0,))


def all_orders(op: Op, params: dict[str, Any], arity: int) -> Any:
    """Value, first and second derivatives of an op entry by entry, on arrays."""
    f = total(op, params)

    def run(*xs: Any) -> list[Any]:
        found = [op(*xs, **params)]
        found += gradient(f, range(arity))(*xs)[1:]
        for i in range(arity):

            def slope(*ys: Any, i: int = i) -> Any:
                return sum_(gradient(f, [i])(*ys)[1], axes=(0,))

            y, recording, sources = record(slope, xs, range(arity))
            found += pullback(y, recording, sources, ones_like(y))
        return found

    return run


def error(got: float, want: Any, scale: Any) -> float:
    """The error in ULP of the exact value, or of `scale` where that is greater."""
    rounded = float(want)
    if math.isnan(got) or math.isinf(rounded) or math.isinf(got):
        return 0.0 if got == rounded else math.inf
    size = max(abs(want), scale or 0)
    return float(abs(mp.mpf(got) - want) / math.ulp(min(float(size), 1.7e308)))


def measure(
    op: Op, params: dict[str, Any], points: list[tuple[float, ...]], engine: str
) -> list[list[tuple[float, Any]]]:
    """The errors of each order, with the arguments they occur at, greatest first."""
    arity = len(points[0])
    arrays = [np.array(column) for column in zip(*points, strict=True)]
    named = [Argument(f"x{i}", arrays[i].shape, None) for i in range(arity)]
    got = engines.compile(engine, all_orders(op, params, arity), named, np.float64).run(*arrays)
    errors: list[list[tuple[float, Any]]] = [[], [], []]
    for k, point in enumerate(points):
        value, first, second, scale = exact(op.name, params, point)
        errors[0].append((error(got[0][k], value, scale[0]), point))
        for i in range(arity):
            errors[1].append((error(got[1 + i][k], first[i], scale[1 + i]), (*point, i)))
        for i in range(arity * arity):
            errors[2].append((error(got[1 + arity + i][k], second[i], scale[1 + arity + i]), (*point, i)))
    return [sorted(e, reverse=True, key=lambda pair: pair[0])[:3] for e in errors]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--engine", default="numpy")
    options = parser.parse_args()
    for name, op in TABLE.items():
        if op.kind != "elementwise" or not op.points or not known(name):
            continue
        if options.names and name not in options.names:
            continue
        for params in grids.PARAMS.get(name, [{}]):
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            points = [
                *op.points,
                *grids.HARD.get(name, []),
                *grids.arguments(name, len(op.points[0]), rng, options.count),
            ]
            found = measure(op, params, points, options.engine)
            shift = grids.order(name, params)
            cells = []
            for order, worst in enumerate(found):
                limit = LIMITS[order + shift] if order + shift < 3 else math.inf
                e, at = worst[0]
                cells.append(f"{e:6.2f}" + (f"* at {at}" if e > limit else ""))
            sys.stdout.write(f"{name} {params or ''}".ljust(32) + "  ".join(cells) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
