"""Makes tables.py in tapecli/engines/native/library: coefficients and constants as literals, by mpmath.

Run from the top of the project: python tests/native_math/make_tables.py. Polynomials are minimax ones (Remez), weighted
so that what counts is the relative error of the function that they are part of. The lowest power comes first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import mpmath as mp

mp.mp.dps = 90
OUT = Path(__file__).parents[2] / "tapecli" / "engines" / "native" / "library" / "tables.py"
HEAD = '''"""Literals of the vector functions, written by tests/native_math/make_tables.py: do not edit by hand."""

from __future__ import annotations

# fmt: off
Row = tuple[float, ...]
Rows = tuple[tuple[float, float], ...]
Words = tuple[int, ...]
'''
LINES: list[str] = []
Function = Callable[[mp.mpf], mp.mpf]


def emit(name: str, values: Sequence[object], comment: str, kind: str = "Row") -> None:
    LINES.extend(["", f"# {comment}", f"{name}: {kind} = ("])
    row = "   "
    for v in values:
        text = repr(v) + ","
        if len(row) + len(text) + 1 > 118:
            LINES.append(row)
            row = "   "
        row += " " + text
    LINES.extend([row, ")"])


def emit_number(name: str, value: mp.mpf, comment: str) -> None:
    LINES.extend(["", f"{name} = {float(value)!r}  # {comment}"])


def parts(v: mp.mpf, *bits: int) -> list[float]:
    """`v` as a sum of doubles, the first ones of so many bits, the last a full one."""
    found = []
    for b in bits:
        scale = mp.mpf(2) ** (b - 1 - int(mp.floor(mp.log(abs(v), 2))))
        found.append(float(mp.nint(v * scale) / scale))
        v -= mp.mpf(found[-1])
    return [*found, float(v)]


def pair(v: mp.mpf) -> list[float]:
    return parts(v, 53)


def remez(f: Function, weight: Function, low: mp.mpf, high: mp.mpf, n: int) -> tuple[list[mp.mpf], mp.mpf]:
    """The polynomial of `n` coefficients whose greatest weighted error on [low, high] is least, and that error
    (E. Remez, 1934: solve for an error of alternating sign at n + 1 points, move the points to its extrema)."""
    points = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * n + 2)) for k in range(n + 1)]
    grid = [low + (high - low) * (1 - mp.cos(mp.pi * k / (60 * n))) / 2 for k in range(60 * n + 1)]
    sampled = [(x, f(x), weight(x)) for x in grid]
    for _ in range(8):
        rows = [[x**k for k in range(n)] + [(-1) ** i / weight(x)] for i, x in enumerate(points)]
        *c, level = mp.lu_solve(mp.matrix(rows), mp.matrix([f(x) for x in points]))
        errors = [(mp.polyval(c[::-1], x) - y) * w for x, y, w in sampled]
        best: list[tuple[mp.mpf, mp.mpf]] = []
        for (x, _, _), e in zip(sampled, errors, strict=True):
            if best and best[-1][1] * e >= 0:
                if abs(e) > abs(best[-1][1]):
                    best[-1] = (x, e)
            else:
                best.append((x, e))
        while len(best) > n + 1:
            best.pop(0 if abs(best[0][1]) < abs(best[-1][1]) else -1)
        worst = max(abs(e) for e in errors)
        if len(best) <= n or worst < abs(level) * mp.mpf("1.01"):
            break
        points = [x for x, _ in best]
    return c, worst


def fit(name: str, f: Function, a: object, b: object, n: int, comment: str, weight: Function) -> None:
    """`n` coefficients for `f` on [a, b]; times `weight` its error is that of the whole."""
    low, high = mp.mpf(a), mp.mpf(b)
    with mp.workdps(40):
        coefficients, worst = remez(f, weight, low, high, n)
    size = float(mp.log(worst, 2))
    sys.stdout.write(f"{name:12s} terms {n} error 2**{size:.1f}\n")
    emit(name, [float(c) for c in coefficients], f"{comment}; error 2**{size:.1f}")


def at_zero(f: Function, limit: object) -> Function:
    """A function whose formula is undefined at 0."""
    return lambda x: mp.mpf(limit) if abs(x) < mp.mpf(10) ** -25 else f(x)


def exponentials() -> None:
    ln2 = mp.log(2)
    emit("LN2_CUT", parts(ln2, 32), "log 2 in two parts, the first of 32 bits")
    emit_number("PER_LN2", 1 / ln2, "1/log 2")
    emit("LN2_THREE", parts(ln2, 32, 32), "log 2 in three parts, two of 32 bits")
    half = ln2 / 2 * mp.mpf("1.0001")
    fit(
        "EXPF",
        at_zero(lambda r: (mp.expm1(r) - r) / r**2, mp.mpf(1) / 2),
        -half,
        half,
        5,
        "(exp(r) - 1 - r)/r^2, |r| <= log(2)/2, in single precision",
        lambda r: (r**2 + mp.mpf(10) ** -5) * mp.exp(-r),
    )
    root = mp.sqrt(mp.sqrt(2))
    w = ((root**2 - 1) / (root**2 + 1)) ** 2 * mp.mpf("1.0001")

    def atanh_tail(v: mp.mpf) -> mp.mpf:
        s = mp.sqrt(v)
        return (mp.log((1 + s) / (1 - s)) / s - 2) / v

    taylor = [tuple(pair(1 / mp.factorial(k))) for k in range(24)]
    emit("INVERSE_FACTORIALS", taylor, "1/k! as pairs", "Rows")
    emit("SECH_TURN", pair(mp.asinh(1)), "where the second derivative of sech is 0")
    fit(
        "LOGF",
        at_zero(atanh_tail, mp.mpf(2) / 3),
        mp.mpf(10) ** -9,
        w,
        4,
        "(log((1+s)/(1-s))/s - 2)/w in powers of w = s^2, 1+s over 1-s up to sqrt 2, in single precision",
        lambda v: v,
    )
    emit("LN2_SINGLE", parts(ln2, 15), "log 2, the first part of 15 bits")
    top = mp.mpf("0.626") ** 2

    def tanh(z: mp.mpf) -> mp.mpf:
        x = mp.sqrt(z)
        return (mp.tanh(x) - x) / (x * z)

    fit(
        "TANHF",
        at_zero(tanh, -mp.mpf(1) / 3),
        mp.mpf(10) ** -9,
        top,
        5,
        "(tanh(x) - x)/x^3, powers of x^2",
        lambda z: z,
    )
    emit("LOG2E", pair(1 / ln2), "1/log 2")
    emit("LOG10E", pair(1 / mp.log(10)), "1/log 10")
    emit("LOG10_2", parts(mp.log10(2), 42), "log10 2, the first part of 42 bits; the rest above 0, as for log 2")
    emit("LN10", pair(mp.log(10)), "log 10")
    emit("LN2", pair(ln2), "log 2")
    # 2**r and 10**r by their own logarithms
    emit_number("LOG10_2_INVERSE", mp.log(10) / ln2, "log2 10")
    emit("LOG10_2_CUT", parts(mp.log10(2), 32), "log10 2, the first part of 32 bits")


def by_sixteenths() -> None:
    """Tables of sixteen entries, and polynomials for what they leave."""
    powers, shifts = zip(*[_power(j) for j in range(16)], strict=True)
    emit("POWERS", powers, "exp(j log(2)/16 + a shift), to about 2^-63")
    emit("POWER_SHIFTS", shifts, "those shifts, multiples of 2^-46")
    half = mp.log(2) / 32 * mp.mpf("1.0001")
    fit(
        "EXP_SHORT",
        at_zero(lambda r: (mp.expm1(r) - r) / r**2, mp.mpf(1) / 2),
        -half,
        half,
        6,
        "(exp(r) - 1 - r)/r^2, |r| <= log(2)/32",
        lambda r: abs(r) + mp.mpf(10) ** -9,
    )
    for tail, name, base in (("", "", mp.e), ("_2", "2", mp.mpf(2)), ("_10", "10", mp.mpf(10))):
        inverses, logs = zip(*[_sixteenth(j, base) for j in range(16)], strict=True)
        emit(f"INVERSES{tail}", inverses, "about 1/m for m = (1 + (j + 1/2)/16), half of that from 3/2 on; 1 next to 1")
        emit(f"LOG{name}_INVERSES", logs, "-log of that, multiples of 2^-42 to about 2^-70")
        per = 1 / mp.log(base)
        fit(
            f"LOG{name}_SHORT",
            at_zero(lambda r, per=per: (mp.log1p(r) - r) * per / r**2, -per / 2),
            -mp.mpf(1) / 32,
            mp.mpf(1) / 16,
            9,
            "(log(1 + r) - r)/r^2 to this base, -1/32 <= r <= 1/16",
            lambda r, per=per: (abs(r) + mp.mpf(10) ** -9) / per,
        )
    fit(
        "LOG_PAIR",
        at_zero(lambda r: (mp.log1p(r) - r + r**2 / 2 - r**3 / 3) / r**4, -mp.mpf(1) / 4),
        -mp.mpf(1) / 32,
        mp.mpf(1) / 16,
        9,
        "(log(1 + r) - r + r^2/2 - r^3/3)/r^4",
        lambda r: abs(r) ** 3 + mp.mpf(10) ** -20,
    )
    emit("THIRD", pair(mp.mpf(1) / 3), "1/3")
    emit(
        "LN2_LOG",
        parts(mp.log(2), 42),
        "log 2, the first part of 42 bits; the rest is above 0, so that infinities have one sign",
    )


def _power(j: int) -> tuple[float, float]:
    """A double next to 2^(j/16) that lies close to an exponential (S. Gal, 1986), and how far its logarithm is off."""
    with mp.workdps(40):
        for step in range(1 << 14):
            shift = mp.mpf(1009 * step if j else 0) / mp.mpf(2) ** 46
            power = mp.exp(j * mp.log(2) / 16 + shift)
            if abs(float(power) / power - 1) < mp.mpf(2) ** -63:
                return float(power), float(shift)
    raise ValueError("no close power")


def _sixteenth(j: int, base: mp.mpf) -> tuple[float, float]:
    """For mantissas from 1 + j/16 on (of numbers from 3/4 to 3/2) about the inverse of the middle, and its logarithm,
    which is chosen first so that it is short, and so that the inverse lies next to a double (S. Gal, 1991)."""
    if j in (0, 15):
        return 1.0, 0.0
    with mp.workdps(40):
        middle = (1 + (j + mp.mpf(1) / 2) / 16) / (2 if j >= 8 else 1)
        first = int(mp.nint(mp.log(middle, base) * mp.mpf(2) ** 42))
        size = mp.log(base)
        for step in range(1 << 20):
            log = mp.mpf(first + 1009 * step) / mp.mpf(2) ** 42
            inverse = mp.exp(-log * size)
            if abs(float(inverse) / inverse - 1) < mp.mpf(2) ** -70:
                return float(inverse), float(log)
    raise ValueError("no short logarithm")


def roots() -> None:
    low, high = mp.mpf(3) / 4, mp.mpf(3) / 2
    fit("CBRT", mp.cbrt, low, high, 6, "cbrt(m) for the start, m from 3/4 to 3/2", lambda m: 1 / mp.cbrt(m))
    emit("CBRT_2", [float(mp.cbrt(2)), float(mp.cbrt(0.5))], "the cube roots of 2 and 1/2")


def circular() -> None:
    pi = mp.pi
    emit("HALF_PI", pair(pi / 2), "pi/2")
    emit("HALF_PI_CUT", parts(pi / 2, 26, 26, 26), "pi/2 in four parts, three of 26 bits")
    emit_number("PER_HALF_PI", 2 / pi, "2/pi")
    emit("HALF_PI_SINGLE", parts(pi / 2, 24, 24), "pi/2, the first two parts of 24 bits")
    emit("PI", pair(pi), "pi")
    emit("QUARTER_PI", pair(pi / 4), "pi/4")
    emit("TWO_PI", pair(2 * pi), "2 pi")
    emit("PER_RADIAN", pair(180 / pi), "180/pi")
    emit("RADIANS", pair(pi / 180), "pi/180")
    top = (pi / 4) ** 2 * mp.mpf("1.001")

    def sine(z: mp.mpf) -> mp.mpf:
        r = mp.sqrt(z)
        return (mp.sin(r) - r) / (r * z)

    def cosine(z: mp.mpf) -> mp.mpf:
        return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2

    for tail, n in (("", 6), ("F", 3)):
        fit(
            "SIN" + tail,
            at_zero(sine, -mp.mpf(1) / 6),
            mp.mpf(10) ** -9,
            top,
            n,
            "(sin(r) - r)/r^3, powers of r^2",
            lambda z: z,
        )
        fit(
            "COS" + tail,
            at_zero(cosine, mp.mpf(1) / 24),
            mp.mpf(10) ** -9,
            top,
            n,
            "(cos(r) - 1 + r^2/2)/r^4",
            lambda z: z**2,
        )
    digits = two_over_pi(64 * 20)
    words = [0, *[(digits >> (64 * (19 - k))) & (2**64 - 1) for k in range(20)]]
    emit("TWO_OVER_PI", words, "the bits of 2/pi after the point, 64 in a word, behind 64 zeros", "Words")

    def arctan(z: mp.mpf) -> mp.mpf:
        t = mp.sqrt(z)
        return (mp.atan(t) - t) / (t * z)

    tangents = [mp.mpf(0), *[(j + mp.mpf(1) / 2) / 16 for j in range(1, 16)]]
    emit("TANGENTS", [float(c) for c in tangents], "c for u from j/16 on, 0 next to 0")
    angles = [pair(a) if a else (0.0, 0.0) for c in tangents for a in [mp.atan(c)]]
    angles += [pair(pi / 2 - mp.atan(c)) for c in tangents]
    emit("ANGLES", [a for a, _ in angles], "atan c, and pi/2 less that")
    emit("ANGLES_REST", [a for _, a in angles], "what those lack")
    fit(
        "ATAN",
        at_zero(arctan, -mp.mpf(1) / 3),
        mp.mpf(10) ** -9,
        mp.mpf(1) / 16**2 * mp.mpf("1.001"),
        5,
        "(atan(t) - t)/t^3, powers of t^2, |t| <= 1/16",
        lambda z: z,
    )

    def arcsin(z: mp.mpf) -> mp.mpf:
        v = mp.sqrt(z)
        return (mp.asin(v) - v) / (v * z)

    fit(
        "ASIN",
        at_zero(arcsin, mp.mpf(1) / 6),
        mp.mpf(10) ** -9,
        0.25,
        13,
        "(asin(t) - t)/t^3, powers of t^2",
        lambda z: z,
    )


def two_over_pi(bits: int) -> int:
    with mp.workprec(bits + 100):
        return int(mp.floor(2 / mp.pi * mp.mpf(2) ** bits))


def main() -> None:
    exponentials()
    by_sixteenths()
    circular()
    roots()
    OUT.write_text(HEAD + "\n".join(LINES) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
