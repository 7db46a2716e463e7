"""Makes tables_special.py in tapecli/engines/native/library: functions piece by piece, by mpmath.

Run from the top of the project: python tests/native_math/make_special_tables.py. On each of 16 intervals a function is
`head + slope u + (low + u P(u))`, u the distance from a point of the interval, P a minimax polynomial. `head + low` is
the value at that point. Where the function changes much on its interval, `slope` is a power of two near its derivative,
and `head` has few bits, so that `head + slope u` is mostly exact.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import make_tables as base
import mpmath as mp

OUT = Path(__file__).parents[2] / "tapecli" / "engines" / "native" / "library" / "tables_special.py"
HEAD = '''"""Functions piece by piece, written by tests/native_math/make_special_tables.py: do not edit by hand."""

from __future__ import annotations

# fmt: off
from tapecli.engines.native.library.pieces import Pieces

Row = tuple[float, ...]
'''
Function = Callable[[mp.mpf], mp.mpf]
Piece = tuple[mp.mpf, mp.mpf, object]  # from, to, and the point that it is taken from


def two_parts(v: mp.mpf) -> tuple[float, float]:
    high = float(v)
    return high, float(v - mp.mpf(high))


def coefficients(f: Function, piece: Piece, n: int, slope: float) -> tuple[list[mp.mpf], mp.mpf]:
    """P of one piece, and the greatest error relative to f."""
    low, high, point = piece
    c = mp.mpf(point)
    value = f(c)
    step = mp.mpf(10) ** -20

    def rest(u: mp.mpf) -> mp.mpf:
        u = u if abs(u) > step else step
        return (f(c + u) - value) / u - slope

    def weight(u: mp.mpf) -> mp.mpf:
        u = u if abs(u) > step else step
        return abs(u / f(c + u))

    return base.remez(rest, weight, low - c, high - c, n)


def pieces(name: str, f: Function, parts: Sequence[Piece], n: int, comment: str, slopes: dict[int, float]) -> None:
    """The table of `f` with `n` coefficients on each part; `slopes` by the number of the part."""
    rows: list[list[float]] = [[] for _ in range(n)]
    points, heads, lows, tilts = [], [], [], []
    worst = mp.mpf(0)
    with mp.workdps(50):
        for k, part in enumerate(parts):
            slope = slopes.get(k, 0.0)
            found, error = coefficients(f, part, n, slope)
            worst = max(worst, error)
            value = f(mp.mpf(part[2]))
            h, lo = two_parts(value)
            if slope:  # few bits, so that head + slope u is rounded seldom
                h = float(mp.nint(value * 2**20) / 2**20)
                lo = float(value - mp.mpf(h))
            points.append(two_parts(mp.mpf(part[2])))
            heads.append(h)
            lows.append(lo)
            tilts.append(slope)
            for row, c in zip(rows, found, strict=True):
                row.append(float(c))
    size = float(mp.log(worst, 2))
    sys.stdout.write(f"{name:12s} terms {n} error 2**{size:.1f}\n")
    lines = [f"# {comment}; error 2**{size:.1f}", f"{name} = Pieces("]

    def put(label: str, values: Sequence[float]) -> None:
        lines.append(f"    {label}=(")
        wrapped(lines, values, "        ")
        lines.append("    ),")

    lines.append(f"    name={name.lower()!r},")
    put("points", [p for p, _ in points])
    put("points_low", [p for _, p in points] if any(p for _, p in points) else [])
    put("heads", heads)
    put("lows", lows)
    put("slopes", tilts if any(tilts) else [])
    lines.append("    rows=(")
    for row in rows:
        lines.append("        (")
        wrapped(lines, row, "            ")
        lines.append("        ),")
    lines += ["    ),", ")"]
    base.LINES.extend(["", *lines])


def wrapped(lines: list[str], values: Sequence[float], indent: str) -> None:
    row = indent[1:]
    for v in values:
        text = repr(v) + ","
        if len(row) + len(text) + 1 > 118:
            lines.append(row)
            row = indent[1:]
        row += " " + text
    if values:
        lines.append(row)


def errors() -> None:
    step = mp.mpf(3) / 8
    parts: list[Piece] = [(k * step - step / 2, k * step + step / 2, k * step) for k in range(15)]
    parts.append((15 * step - step / 2, mp.mpf(6), 15 * step))
    parts[0] = (mp.mpf(0), step / 2, mp.mpf(0))
    pieces("ERF", mp.erf, parts, 13, "erf(x), points 3/8 apart", {0: 1.0, 1: 1.0})

    def scaled(x: mp.mpf) -> mp.mpf:
        return mp.exp(x * x) * mp.erfc(x)

    edges = [mp.ldexp(4 + j, e - 2) - 2 for e in range(1, 5) for j in range(4)] + [mp.mpf(30)]
    parts = [(a, b, (a + b) / 2) for a, b in zip(edges, edges[1:], strict=False)]
    pieces("ERFCX", scaled, parts, 14, "exp(x^2) erfc(x), four pieces in each octave of x + 2", {})


def main() -> None:
    base.LINES.clear()
    errors()
    OUT.write_text(HEAD + "\n".join(base.LINES) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
