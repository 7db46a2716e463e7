"""Makes tables.py and tables_special.py in tapecli/ops/kernels: coefficients and constants as literals, by mpmath.

Run from the top of the project: python tests/kernels/make_tables.py. Polynomials interpolate at Chebyshev nodes
(mpmath.chebyfit) with 60 digits; "head" coefficients are split into two doubles, the highest power comes first.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import mpmath as mp

mp.mp.dps = 80
OUT = Path(__file__).parents[2] / "tapecli" / "ops" / "kernels"
LINES: list[str] = []


def pair(v: mp.mpf) -> tuple[float, float]:
    h = float(v)
    return h, float(v - mp.mpf(h))


def emit(name: str, values: list[object], comment: str, kind: str) -> None:
    LINES.append(f"# {comment}")
    LINES.append(f"{name}: {kind} = (")
    row = "   "
    for v in values:
        text = repr(v) + ","
        if len(row) + len(text) + 1 > 118:
            LINES.append(row)
            row = "   "
        row += " " + text
    LINES.extend([row, ")", ""])


def emit_floats(name: str, values: list[float], comment: str) -> None:
    emit(name, list(values), comment, "Row")


def emit_poly(name: str, coefs: list[mp.mpf], heads: int, comment: str) -> None:
    """Coefficients come highest first; the last `heads` become pairs."""
    cut = len(coefs) - heads
    emit(name + "_T", [float(c) for c in coefs[:cut]], comment, "Row")
    emit(name + "_H", [pair(c) for c in coefs[cut:]], "its last terms, as pairs", "Pairs")


def fit(name: str, f, a: float, b: float, n: int, heads: int, comment: str) -> None:  # type: ignore[no-untyped-def]
    with mp.workdps(60):
        coefs, err = mp.chebyfit(f, [mp.mpf(a), mp.mpf(b)], n, error=True)
        low = min(abs(f(mp.mpf(a) + (mp.mpf(b) - a) * k / 40)) for k in range(41) if a + k > 0 or k)
    sys.stdout.write(f"{name:12s} terms {n} relative error 2**{float(mp.log(err / low, 2)):.1f}\n")
    emit_poly(name, coefs, heads, comment)


def stirling(x: mp.mpf) -> mp.mpf:
    return mp.loggamma(x) - ((x - 0.5) * mp.log(x) - x + mp.log(2 * mp.pi) / 2)


def of_w(g, limit):  # type: ignore[no-untyped-def]
    """A function of w = 1/x**2 that is `limit` at 0."""
    return lambda w: limit if w < mp.mpf(10) ** -40 else g(1 / mp.sqrt(w))


def elementary() -> None:
    two = mp.mpf(2)
    exp = [pair(two ** (mp.mpf(j) / 32)) for j in range(32)]
    emit_floats("EXP_H", [h for h, _ in exp], "2**(j/32), high parts")
    emit_floats("EXP_L", [lo for _, lo in exp], "low parts")
    rec = [float(mp.nint(512 * 64 / mp.mpf(i)) / 512) for i in range(45, 92)]
    logs = [pair(-mp.log(mp.mpf(c))) for c in rec]
    emit_floats("LOG_C", rec, "64/i for i = 45..91 rounded to 9 bits after the point")
    emit_floats("LOG_H", [h for h, _ in logs], "-log(LOG_C), high parts")
    emit_floats("LOG_L", [lo for _, lo in logs], "low parts")
    emit_floats("LOG_P", [float(mp.mpf((-1) ** (k + 1)) / k) for k in range(11, 2, -1)], "log(1+r) from r**3 on")
    emit_floats("EXP_P", [float(1 / mp.factorial(k)) for k in range(8, 2, -1)], "exp(r) from r**3 on")
    pi = mp.pi
    sin = [(-1) ** k * pi ** (2 * k + 1) / mp.factorial(2 * k + 1) for k in range(10, -1, -1)]
    cos = [(-1) ** k * pi ** (2 * k) / mp.factorial(2 * k) for k in range(10, -1, -1)]
    emit_poly("SINPI", sin, 4, "sin(pi r)/r in powers of r**2")
    emit_poly("COSPI", cos, 4, "cos(pi r) in powers of r**2")
    for n in range(1, 5):
        terms = []
        for k in range(25, (n + 1) // 2 - 1, -1):
            c = (-1) ** k * pi ** (2 * k) / mp.factorial(2 * k + 1)
            terms.append(c * mp.ff(2 * k, n))
        emit_poly(f"SINC{n}", terms, 6, f"derivative {n} of sinc, powers of x**2 (times x when {n} is odd)")


def error_functions() -> None:
    def erf_ratio(w: mp.mpf) -> mp.mpf:
        x = mp.sqrt(w)
        return mp.erf(x) / x if w > mp.mpf(10) ** -40 else 2 / mp.sqrt(mp.pi)

    def scaled(x: mp.mpf) -> mp.mpf:
        return mp.exp(x * x) * mp.erfc(x)

    fit("ERF", erf_ratio, 0, 0.25, 11, 2, "erf(x)/x in powers of x**2, |x| <= 1/2")
    fit("ERFC_A", lambda u: scaled(1 + u), -0.5, 0.5, 20, 4, "exp(x*x) erfc(x), powers of x - 1, 1/2 <= x <= 3/2")
    fit("ERFC_B", lambda u: scaled(2.25 + u), -0.75, 0.75, 21, 4, "the same, powers of x - 9/4, 3/2 <= x <= 3")
    limit = 1 / mp.sqrt(mp.pi)
    with mp.workdps(60):
        fit(
            "ERFC_C",
            of_w(lambda x: x * scaled(x), limit),
            0,
            mp.mpf(1) / 9,
            21,
            2,
            "x exp(x*x) erfc(x), powers of 1/x**2, x >= 3",
        )


def gammas() -> None:
    fit(
        "STIRLING",
        of_w(lambda x: x * stirling(x), mp.mpf(1) / 12),
        0,
        mp.mpf(1) / 9,
        16,
        1,
        "x (log gamma(x) - Stirling's formula), powers of 1/x**2, x >= 3",
    )

    def quotient(x: mp.mpf) -> mp.mpf:
        if abs(x - 1) < 1e-40 or abs(x - 2) < 1e-40:
            x += mp.mpf(10) ** -30
        return mp.loggamma(x) / ((x - 1) * (x - 2))

    fit("LG_A", lambda u: quotient(1 + u), -0.40625, 0.5, 28, 5, "log gamma(x)/((x-1)(x-2)), powers of x-1, x < 3/2")
    fit("LG_B", lambda u: quotient(2 + u), -0.5, 0.625, 28, 5, "the same, powers of x - 2, x >= 3/2")

    def psi_tail(x: mp.mpf) -> mp.mpf:
        return (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) * x * x

    fit(
        "PSI",
        of_w(psi_tail, mp.mpf(1) / 12),
        0,
        mp.mpf(1) / 9,
        16,
        1,
        "x**2 (log(x) - 1/(2x) - digamma(x)), powers of 1/x**2, x >= 3",
    )

    def psi1_tail(x: mp.mpf) -> mp.mpf:
        return (mp.psi(1, x) - 1 / x - 1 / (2 * x * x)) * x**3

    fit(
        "PSI1",
        of_w(psi1_tail, mp.mpf(1) / 6),
        0,
        mp.mpf(1) / 9,
        16,
        1,
        "x**3 (trigamma(x) - 1/x - 1/(2x**2)), powers of 1/x**2, x >= 3",
    )
    root = mp.findroot(mp.digamma, 1.4616321449683623)
    emit(
        "PSI_ROOT",
        [*pair(root), float(root - mp.mpf(pair(root)[0]) - mp.mpf(pair(root)[1]))],
        "the positive zero of digamma, in three parts",
        "Row",
    )
    fit(
        "PSI_A",
        lambda u: mp.digamma(1.5 + u) / (1.5 + u - root),
        -0.5,
        0.5,
        25,
        5,
        "digamma(x)/(x - root), powers of x - 3/2, 1 <= x <= 2",
    )
    fit("PSI_B", lambda u: mp.digamma(2.5 + u), -0.5, 0.5, 20, 4, "digamma(x), powers of x - 5/2, 2 <= x <= 3")
    bern = [mp.bernoulli(2 * k) / mp.factorial(2 * k) for k in range(1, 21)]
    emit_floats("BERNOULLI", [float(b) for b in bern], "B(2k)/(2k)! for k = 1..20")


def constants() -> None:
    for name, v, what in (
        ("PI", mp.pi, "pi"),
        ("HALF_PI", mp.pi / 2, "pi/2"),
        ("LN2", mp.log(2), "log 2"),
        ("LN_PI", mp.log(mp.pi), "log pi"),
        ("HALF_LN_2PI", mp.log(2 * mp.pi) / 2, "log(2 pi)/2"),
        ("PER_RADIAN", 180 / mp.pi, "180/pi"),
        ("TWO_OVER_SQRT_PI", 2 / mp.sqrt(mp.pi), "2/sqrt(pi)"),
        ("INV_180", mp.mpf(1) / 180, "1/180"),
    ):
        emit(name, list(pair(v)), what, "tuple[float, float]")


def short(v: mp.mpf, bits: int) -> mp.mpf:
    """v rounded to so many bits: its products with small integers are exact."""
    with mp.workprec(bits):
        return +v


def parts() -> None:
    """Constants in parts with trailing zeros, for exact products with integers."""
    v = mp.log(2) / 32
    a = short(v, 36)
    b = short(v - a, 36)
    emit_floats("LN2_32", [float(a), float(b), float(v - a - b)], "log(2)/32 in three parts, the first two of 36 bits")
    LINES.extend([f"INV_LN2_32 = {float(1 / v)!r}  # 32/log(2)", ""])
    a = short(mp.log(2), 40)
    emit_floats("LN2_PARTS", [float(a), float(mp.log(2) - a)], "log(2) in two parts, the first of 40 bits")
    exps = [1 / mp.factorial(k) for k in range(15, -1, -1)]
    emit_poly("EXPF", exps, 9, "exp(r) to 100 bits for |r| < 0.011")
    sinh = [1 / mp.factorial(2 * k + 1) for k in range(8, -1, -1)]
    emit_poly("SINH", sinh, 2, "sinh(x)/x in powers of x**2, |x| < 0.36")


def full() -> None:
    """Coefficients for the slow paths, about 100 bits."""
    pi = mp.pi
    sin = [(-1) ** k * pi ** (2 * k + 1) / mp.factorial(2 * k + 1) for k in range(15, -1, -1)]
    cos = [(-1) ** k * pi ** (2 * k) / mp.factorial(2 * k) for k in range(15, -1, -1)]
    emit_poly("SINPIF", sin, 12, "sin(pi r)/r in powers of r**2, to 100 bits")
    emit_poly("COSPIF", cos, 12, "cos(pi r) in powers of r**2, to 100 bits")
    stir = [mp.bernoulli(2 * k) / (2 * k * (2 * k - 1)) for k in range(14, 0, -1)]
    emit_poly("STIRF", stir, 8, "Stirling's series in powers of 1/x**2, x >= 30")
    psi = [mp.bernoulli(2 * k) / (2 * k) for k in range(14, 0, -1)]
    emit_poly("PSIF", psi, 8, "the series of digamma in powers of 1/x**2, x >= 30")


def lgamma_zeros() -> None:
    """Zero and slope in two parts each, half the second derivative, for the zeros from -8 to -2."""

    def f(x: mp.mpf) -> mp.mpf:
        return mp.log(abs(mp.gamma(x)))

    starts = [-2.457, -2.748, -3.143, -3.955]
    for n in range(4, 8):
        starts += [-n - 1 / mp.factorial(n), -n - 1 + 1 / mp.factorial(n + 1)]
    rows, edges = [], []
    for s in sorted(starts):
        s = mp.mpf(s)
        near = mp.nint(s)
        if s < -3.5:  # the distance r from the pole solves |gamma(near + r)| = 1
            r = s - near
            for _ in range(60):
                r = r - f(near + r) / mp.digamma(near + r)
            z = near + r
        else:
            z = mp.findroot(f, s)
        assert abs(f(z)) < mp.mpf(10) ** -60
        rows.append([*pair(z), *pair(mp.digamma(z)), float(mp.psi(1, z) / 2)])
        edges.append(z)
    what = "zeros of log|gamma|: two parts, slope in two, half the curvature"
    emit("LG_ZEROS", [tuple(r) for r in rows], what, "Rows")
    emit_floats("LG_ZERO_EDGES", [float((a + b) / 2) for a, b in pairwise(edges)], "midpoints between them")


def write(name: str, what: str) -> None:
    top = [
        f'"""Literals of the {what} kernels, written by tests/kernels/make_tables.py: do not edit by hand."""',
        "",
        "from __future__ import annotations",
        "",
        "# fmt: off",
        "Row = tuple[float, ...]",
        "Pairs = tuple[tuple[float, float], ...]",
        "Rows = tuple[tuple[float, ...], ...]",
        "",
    ]
    (OUT / name).write_text("\n".join(top + LINES).rstrip() + "\n")
    sys.stdout.write(f"{name} {len(top + LINES)} lines\n")
    LINES.clear()


def main() -> None:
    parts()
    elementary()
    constants()
    write("tables.py", "elementary")
    error_functions()
    gammas()
    full()
    lgamma_zeros()
    write("tables_special.py", "special")


if __name__ == "__main__":
    main()
