"""Makes tables_errors.py and tables_gammas.py in tapecli/engines/native/library: functions piece by piece, by mpmath.

Run from the top of the project: python tests/native_math/make_special_tables.py. On each of 16 intervals a function is
`head + slope u + (low + u P(u))`, u the distance from a point of the interval, P a minimax polynomial. `head + low` is
the value at that point. Where the function changes much on its interval, `slope` is a power of two near its derivative,
and `head` has few bits, so that `head + slope u` is mostly exact.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import make_tables as base
import mpmath as mp

OUT = Path(__file__).parents[2] / "tapecli" / "engines" / "native" / "library"
HEAD = '''"""Functions piece by piece, written by tests/native_math/make_special_tables.py: do not edit by hand."""

from __future__ import annotations

# fmt: off
from tapecli.engines.native.library.pieces import Pieces

Row = tuple[float, ...]
'''
#: Tables that pairs are made of, too.
PAIRS = ("LGAMMA",)
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


def scaled_derivatives() -> None:
    """The first two derivatives of exp(x^2) erfc(x), the first with its sign turned."""
    edges = [mp.ldexp(4 + j, e - 2) - 2 for e in range(1, 5) for j in range(4)] + [mp.mpf(30)]
    parts: list[Piece] = [(a, b, (a + b) / 2) for a, b in pairwise(edges)]

    def first(x: mp.mpf) -> mp.mpf:
        with mp.extradps(20):
            return 2 / mp.sqrt(mp.pi) - 2 * x * mp.exp(x * x) * mp.erfc(x)

    def second(x: mp.mpf) -> mp.mpf:
        with mp.extradps(20):
            return 2 * mp.exp(x * x) * mp.erfc(x) - 2 * x * first(x)

    pieces("ERFCX1", first, parts, 15, "minus the derivative of exp(x^2) erfc(x), on the same pieces", [0.0] * 16)
    pieces("ERFCX2", second, parts, 16, "its second derivative, likewise", [0.0] * 16)


def inverses() -> None:
    base.emit("PER_ROOT_PI", base.pair(1 / mp.sqrt(mp.pi)), "1/sqrt(pi)")
    top = mp.mpf(1) / 4

    def central(z: mp.mpf) -> mp.mpf:
        x = mp.sqrt(z)
        return mp.erfinv(x) / x - 1

    base.fit(
        "ERFINV",
        base.at_zero(central, mp.sqrt(mp.pi) / 2 - 1),
        mp.mpf(10) ** -9,
        top,
        15,
        "erfinv(x)/x - 1 in powers of x^2, |x| <= 1/2",
        lambda z: mp.mpf(1),
    )

    def tail(s: mp.mpf) -> mp.mpf:
        """The y with -log erfc(y) = s^2, by Newton's method."""
        y = s if s > 2 else mp.mpf(s) - mp.mpf("0.4")
        for _ in range(12):
            step = (mp.log(mp.erfc(y)) + s * s) * mp.sqrt(mp.pi) / 2 * mp.erfc(y) * mp.exp(y * y)
            y += step
            if abs(step) < mp.mpf(10) ** -30:
                break
        return y

    edges = [mp.ldexp(4 + j, e - 2) - mp.mpf("1.25") for e in range(1, 5) for j in range(4)] + [mp.mpf("30.75")]
    edges[0] = mp.mpf("0.82")
    parts: list[Piece] = [(a, min(b, mp.mpf("27.5")), (a + b) / 2) for a, b in pairwise(edges)]
    parts[-1] = (parts[-1][0], parts[-1][1], mp.mpf(27))
    pieces("ERFC_START", tail, parts, 7, "y for s = sqrt(-log(erfc(y))), to begin with", [0.0] * 16)


def lambert() -> None:
    def near(q: mp.mpf) -> mp.mpf:
        with mp.extradps(40):
            return (mp.lambertw((q * q / 2 - 1) / mp.e).real + 1 - q) / q**2

    base.fit(
        "LAMBERT",
        base.at_zero(near, -mp.mpf(1) / 3),
        mp.mpf(10) ** -9,
        mp.mpf("0.96"),
        19,
        "(W(x) + 1 - q)/q^2 in powers of q = sqrt(2 (e x + 1))",
        lambda q: q**2 / (mp.mpf("1.2") - q),
    )
    base.emit("EULER", base.pair(mp.e), "e")


def slope_of(f: Function, piece: Piece) -> float:
    """A power of two next to the derivative whose product with u keeps `head + slope u` exact; 0 where the function
    hardly changes on its piece."""
    low, high, point = piece
    d, half = mp.diff(f, point), (high - low) / 2
    most = max(abs(f(low)), abs(f(high)))
    if abs(d) * half < most / 10:
        return 0.0
    least = mp.mpf(math.ulp(float(most)) / math.ulp(float(low)))
    return float(mp.sign(d) * max(mp.mpf(2) ** int(mp.nint(mp.log(abs(d), 2))), least))


def pieces(name: str, f: Function, parts: Sequence[Piece], n: int, comment: str, slopes: Sequence[float]) -> None:
    """The table of `f` with `n` coefficients on each part."""
    rows: list[list[float]] = [[] for _ in range(n)]
    points, heads, lows, tilts, more = [], [], [], [], []
    worst = mp.mpf(0)
    with mp.workdps(50):
        for k, part in enumerate(parts):
            slope = slopes[k]
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
            more.append(two_parts(found[0])[1])
            for row, c in zip(rows, found, strict=True):
                row.append(float(c))
    size = float(mp.log(worst, 2))
    sys.stdout.write(f"{name:12s} terms {n} error 2**{size:.1f}\n")
    lines = [f"# {comment}; error 2**{size:.1f}", f"{name} = Pieces("]

    def put(label: str, values: Sequence[float]) -> None:
        lines.append(f"    {label}=(")
        wrapped(lines, values, "        ")
        lines.append("    ),")

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
    lines.append("    ),")
    if name in PAIRS:
        put("first_low", more)
    lines.append(")")
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
    pieces("ERF", mp.erf, parts, 13, "erf(x), points 3/8 apart", [1.0, 1.0] + [0.0] * 14)

    def scaled(x: mp.mpf) -> mp.mpf:
        return mp.exp(x * x) * mp.erfc(x)

    edges = [mp.ldexp(4 + j, e - 2) - 2 for e in range(1, 5) for j in range(4)] + [mp.mpf(30)]
    parts = [(a, b, (a + b) / 2) for a, b in pairwise(edges)]
    pieces("ERFCX", scaled, parts, 14, "exp(x^2) erfc(x), four pieces in each octave of x + 2", [0.0] * 16)


def gammas() -> None:
    edges = [mp.ldexp(4 + j, e) / mp.mpf(18) for e in range(1, 5) for j in range(4)] + [mp.mpf(64) / 9]
    middle = [mp.nint((a + b) * 32) / 64 for a, b in pairwise(edges)]
    root = mp.findroot(lambda x: mp.psi(0, x), mp.mpf("1.4616321449683623413"))
    functions: list[tuple[str, Function, dict[int, mp.mpf], int, str]] = [
        ("LGAMMA", mp.loggamma, {4: mp.mpf(1), 8: mp.mpf(2)}, 14, "log gamma(x)"),
        ("DIGAMMA", lambda x: mp.psi(0, x), {6: root}, 14, "digamma(x)"),
        ("TRIGAMMA", lambda x: mp.psi(1, x), {}, 14, "trigamma(x)"),
        ("POLYGAMMA2", lambda x: -mp.psi(2, x), {}, 15, "-polygamma(2, x)"),
        ("POLYGAMMA3", lambda x: mp.psi(3, x), {}, 16, "polygamma(3, x)"),
    ]
    for name, f, own, n, comment in functions:
        points = [own.get(k, c) for k, c in enumerate(middle)]
        parts: list[Piece] = list(zip(edges, edges[1:], points, strict=False))
        slopes = [slope_of(f, part) for part in parts]
        pieces(name, f, parts, n, f"{comment}, 4/9 <= x < 64/9, four pieces in each octave of 9/8 x", slopes)
    with mp.workdps(60):
        top = (mp.mpf(9) / 64) ** 2 * mp.mpf("1.001")

        def of_w(g: Function, limit: mp.mpf) -> Function:
            return lambda w: limit if w < mp.mpf(10) ** -30 else g(1 / mp.sqrt(w))

        def rest(x: mp.mpf) -> mp.mpf:
            return (mp.loggamma(x) - ((x - 0.5) * mp.log(x) - x + mp.log(2 * mp.pi) / 2)) * x

        low = mp.mpf(10) ** -9
        base.fit(
            "STIRLING",
            of_w(rest, mp.mpf(1) / 12),
            low,
            top,
            7,
            "x (log gamma(x) - Stirling's formula) in powers of 1/x^2, x >= 64/9",
            lambda w: mp.mpf(12),
        )
        base.fit(
            "PSI",
            of_w(lambda x: x**2 * (mp.log(x) - 1 / (2 * x) - mp.psi(0, x)), mp.mpf(1) / 12),
            low,
            top,
            7,
            "x^2 (log(x) - 1/(2x) - digamma(x)) likewise",
            lambda w: mp.mpf(12),
        )
        base.fit(
            "PSI1",
            of_w(lambda x: x**3 * (mp.psi(1, x) - 1 / x - 1 / (2 * x**2)), mp.mpf(1) / 6),
            low,
            top,
            8,
            "x^3 (trigamma(x) - 1/x - 1/(2x^2)) likewise",
            lambda w: mp.mpf(6),
        )


def asymptotics() -> None:
    """The series of polygamma without its first two terms."""
    top = (mp.mpf(9) / 64) ** 2 * mp.mpf("1.001")
    for n, terms, limit in ((2, 9, mp.mpf(1) / 2), (3, 10, mp.mpf(2))):

        def rest(w: mp.mpf, n: int = n, limit: mp.mpf = limit) -> mp.mpf:
            if w < mp.mpf(10) ** -30:
                return limit
            x = 1 / mp.sqrt(w)
            first = mp.factorial(n - 1) / x**n + mp.factorial(n) / (2 * x ** (n + 1))
            return (abs(mp.psi(n, x)) - first) * x ** (n + 2)

        comment = f"x^{n + 2} times the rest of |polygamma({n}, x)| in powers of 1/x^2, x >= 64/9"
        with mp.workdps(60):
            base.fit(f"PSI{n}", rest, mp.mpf(10) ** -9, top, terms, comment, lambda w: mp.mpf(1))


def zeros() -> None:
    rows = []
    for k in range(10):
        # cot is steep: digamma(1 + a) = -pi cot(pi a) between the poles -k and -k - 1
        z = mp.findroot(lambda x: mp.psi(0, x), (-k - mp.mpf("0.999"), -k - mp.mpf("0.001")), solver="anderson")
        rows.append((*two_parts(z), *two_parts(mp.psi(1, z)), float(mp.psi(2, z) / 2)))
    comment = "zeros of digamma between -10 and 0: two parts, slope in two, half the curvature"
    base.emit("DIGAMMA_ZEROS", rows, comment, "tuple[Row, ...]")


def write(name: str, *makers: Callable[[], None]) -> None:
    base.LINES.clear()
    for make in makers:
        make()
    (OUT / name).write_text(HEAD + "\n".join(base.LINES) + "\n", encoding="utf-8")


def main() -> None:
    write("tables_errors.py", errors, scaled_derivatives, inverses, lambert)
    write("tables_gammas.py", gammas, asymptotics, zeros)


if __name__ == "__main__":
    main()
