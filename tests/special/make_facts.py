"""Writes facts.json: exact values, gradients and Hessians of the special functions and densities, by mpmath.

    python tests/special/make_facts.py

Run by hand where a function is new or its points change. A record is a formula, the names of its constants and of its
variables, and per point the arguments (constants first), the value, the gradient and the Hessian row by row, as
hexadecimal numbers. The formulas of this file are definitions, not those of the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mpmath as mp

mp.mp.dps = 70
#: Derivatives are differences in many more digits than the facts need.
STEP = mp.mpf(10) ** -8
#: What is smaller than this part of the greatest number of a fact is 0.
NOISE = mp.mpf(10) ** -30


class Case(NamedTuple):
    """A formula in the language, what it is, its constants and variables, and its points."""

    formula: str
    exact: Callable[..., Any]
    names: str
    points: list[tuple[float, ...]]


def one(*xs: float) -> list[tuple[float, ...]]:
    return [(x,) for x in xs]


def grid(ns: Sequence[float], xs: Sequence[float]) -> list[tuple[float, ...]]:
    return [(n, x) for n in ns for x in xs]


LINE = one(0.0, 1e-9, 0.3, -0.8, 1.0, -1.7, 2.4, 3.9, -5.5, 7.1, 12.0)
HALF = one(1e-6, 0.3, 0.99, 1.7, 2.4, 3.9, 5.5, 7.1, 12.0, 25.0)
UNIT = one(0.0, 1e-9, 0.3, -0.8, 0.97, -0.9999, 0.5)
RIGHT = (1e-3, 0.3, 1.0, 2.4, 5.5, 12.0, 40.0)


def dawson(x: Any) -> Any:
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


def erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def log1p_square(x: Any) -> Any:
    return mp.log(1 + x * x)


SPECIAL = [
    Case("erfinv(x)", mp.erfinv, ": x", UNIT),
    Case("erfcinv(x)", lambda x: mp.erfinv(1 - x), ": x", one(1e-12, 0.01, 0.3, 0.99, 1.0, 1.4, 1.99)),
    Case("erfcx(x)", erfcx, ": x", [*LINE, *one(0.999, 1.001, 60.0, 1e4)]),
    Case("dawson(x)", dawson, ": x", [*LINE, *one(6.4, 6.6, 60.0)]),
    Case("fresnels(x)", mp.fresnels, ": x", LINE),
    Case("fresnelc(x)", mp.fresnelc, ": x", LINE),
    Case("sinint(x)", mp.si, ": x", [*LINE, *one(0.999, 40.0)]),
    Case("cosint(x)", mp.ci, ": x", HALF),
    Case("expint(x)", mp.e1, ": x", [*HALF, *one(300.0)]),
    Case("airyai(x)", mp.airyai, ": x", [*LINE, *one(30.0, -30.0)]),
    Case("airyaiprime(x)", lambda x: mp.airyai(x, derivative=1), ": x", LINE),
    Case("airybi(x)", mp.airybi, ": x", [*LINE, *one(30.0, -30.0)]),
    Case("airybiprime(x)", lambda x: mp.airybi(x, derivative=1), ": x", LINE),
    Case("besselj(n, x)", mp.besselj, "n: x", grid((0, 1, 2, 5, 0.5, 2.3, -0.4), RIGHT) + grid((0, 1, 3), (-1.2, 0.0))),
    Case("bessely(n, x)", mp.bessely, "n: x", grid((0, 1, 2, 5, 0.5, 2.3), RIGHT)),
    Case("besseli(n, x)", mp.besseli, "n: x", grid((0, 1, 2, 5, 0.5, 2.3), RIGHT) + grid((0, 1, 3), (-1.2, 0.0))),
    Case("besselk(n, x)", mp.besselk, "n: x", grid((0, 1, 2, 5, 0.5, 2.3), RIGHT)),
    Case("besselj0(x)", lambda x: mp.besselj(0, x), ": x", HALF),
    Case("besselj1(x)", lambda x: mp.besselj(1, x), ": x", HALF),
    Case("bessely0(x)", lambda x: mp.bessely(0, x), ": x", HALF),
    Case("bessely1(x)", lambda x: mp.bessely(1, x), ": x", HALF),
    Case("ellipk(m)", mp.ellipk, ": m", one(0.0, 1e-9, 0.29, 0.31, 0.5, 0.99, -0.2, -0.9, -7.0, -200.0)),
    Case("ellipe(m)", mp.ellipe, ": m", one(0.0, 1e-9, 0.29, 0.31, 0.5, 0.99, -0.2, -0.9, -7.0, -200.0)),
    Case("lambertw(x)", lambda x: mp.lambertw(x).real, ": x", one(0.0, 1e-9, -0.2, -0.36, 0.5, 1.0, 2.718, 30.0, 1e6)),
    Case("zeta(s)", mp.zeta, "s:", one(1.5, 2.0, 7.0, 0.3, -1.5, -4.2)),
    Case(
        "zeta(s, a)", mp.zeta, "s: a", grid((1.3, 2.0, 3.7, 10.0, 0.929, 0.5, -0.6, -1.0, -2.5), (0.23, 1.0, 1.7, 6.5))
    ),
    Case("polygamma(n, x)", mp.psi, "n: x", grid((0, 1, 2, 3, 4), (0.3, 1.7, 9.0, -0.7, -3.4))),
    Case("lowergamma(s, x)", lambda s, x: mp.gammainc(s, 0, x), "s: x", grid((0.4, 1.0, 2.5, 9.0), (0.1, 1.3, 8.0))),
    Case("chebyshevt(n, x)", mp.chebyt, "n: x", grid((0, 1, 2, 3, 7, 20), (0.3, -0.99, 1.0, 1.6, -2.5))),
]
SMALL = [
    Case("secd(x)", lambda x: mp.sec(mp.radians(x)), ": x", one(0.0, 33.0, -70.0, 120.0)),
    Case("cscd(x)", lambda x: mp.csc(mp.radians(x)), ": x", one(1e-3, 33.0, -70.0, 120.0)),
    Case("cotd(x)", lambda x: mp.cot(mp.radians(x)), ": x", one(1e-3, 33.0, -70.0, 90.0)),
    Case("asecd(x)", lambda x: mp.degrees(mp.asec(x)), ": x", one(1.0001, 2.0, -3.0, 1e5)),
    Case("acscd(x)", lambda x: mp.degrees(mp.acsc(x)), ": x", one(1.0001, 2.0, -3.0, 1e5)),
    Case("acotd(x)", lambda x: mp.degrees(mp.acot(x)), ": x", one(1e-3, 0.5, -3.0, 1e5)),
    Case("xlogx(x)", lambda x: x * mp.log(x), ": x", one(1e-9, 0.3, 1.5, 1e5)),
    Case("log1psq(x)", log1p_square, ": x", one(0.0, 1e-9, -0.3, 1.5, 1e5, 9.99e7, 1.01e8, -1e12)),
    Case("log1mexp(x)", lambda x: mp.log1p(-mp.exp(x)), ": x", one(-1e-9, -0.3, -0.693, -0.694, -3.0, -40.0, -700.0)),
    Case("logexpm1(x)", lambda x: mp.log(mp.expm1(x)), ": x", one(1e-9, 0.3, 0.65, 0.75, 3.0, 30.0, 1000.0)),
    Case(
        "logmxp1(x)",
        lambda x: mp.log(x) - x + 1,
        ": x",
        one(1e-5, 0.3, 0.61, 0.8, 0.999, 1.00001, 1.3, 1.39, 1.41, 50.0),
    ),
    Case(
        "erf2(x, y)", lambda x, y: mp.erf(y) - mp.erf(x), ": x y", [(0.1, 0.4), (3.0, 4.0), (-6.0, -5.0), (-1.0, 2.0)]
    ),
    Case("deg2rad(x)", mp.radians, ": x", one(0.0, 77.0)),
    Case("rad2deg(x)", mp.degrees, ": x", one(0.0, 1.3)),
]


def normal(y: Any, mu: Any, sigma: Any) -> Any:
    return -(((y - mu) / sigma) ** 2) / 2 - mp.log(sigma) - mp.log(2 * mp.pi) / 2


def gamma(y: Any, a: Any, b: Any) -> Any:
    return a * mp.log(b) - mp.loggamma(a) + (a - 1) * mp.log(y) - b * y


def beta(y: Any, a: Any, b: Any) -> Any:
    scale = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
    return (a - 1) * mp.log(y) + (b - 1) * mp.log(1 - y) - scale


def student(y: Any, nu: Any, mu: Any, sigma: Any) -> Any:
    z = (y - mu) / sigma
    scale = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(nu * mp.pi) / 2 - mp.log(sigma)
    return scale - (nu + 1) / 2 * mp.log(1 + z * z / nu)


def cauchy(y: Any, mu: Any, sigma: Any) -> Any:
    return -mp.log(mp.pi * sigma * (1 + ((y - mu) / sigma) ** 2))


def bernoulli(k: Any, p: Any) -> Any:
    return mp.log(p) if k == 1 else mp.log(1 - p)


def binomial(k: Any, n: Any, p: Any) -> Any:
    return mp.log(mp.binomial(n, k)) + (k * mp.log(p) if k else 0) + ((n - k) * mp.log(1 - p) if n - k else 0)


def poisson(k: Any, rate: Any) -> Any:
    return k * mp.log(rate) - rate - mp.loggamma(k + 1)


def multi_normal(a: Any, b: Any, s: Any, r: Any, t: Any) -> Any:
    det = s * t - r * r
    return -(t * a * a - 2 * r * a * b + s * b * b) / det / 2 - mp.log(det) / 2 - mp.log(2 * mp.pi)


DENSITIES = [
    Case("normal_lpdf(y, mu, sigma)", normal, ": y mu sigma", [(0.3, 0, 1), (-2, 1.5, 0.3), (40, 0.1, 1e-3)]),
    Case(
        "lognormal_lpdf(y, mu, sigma)",
        lambda y, mu, sigma: normal(mp.log(y), mu, sigma) - mp.log(y),
        ": y mu sigma",
        [(0.3, 0, 1), (1e-8, 1.5, 0.3), (1e8, -2, 3)],
    ),
    Case("exponential_lpdf(y, rate)", lambda y, r: mp.log(r) - r * y, ": y rate", [(0, 1.5), (3, 0.2), (1e5, 3)]),
    Case(
        "gamma_lpdf(y, shape, rate)",
        gamma,
        ": y shape rate",
        [(0.3, 1, 2), (2, 0.2, 3), (1e-9, 5, 0.5), (80, 12, 0.3), (3, 1e-8, 1)],
    ),
    Case("beta_lpdf(y, a, b)", beta, ": y a b", [(0.3, 1, 2), (1e-9, 0.2, 3), (0.9999, 50, 0.5), (0.4, 1e4, 1.2e4)]),
    Case(
        "student_t_lpdf(y, nu, mu, sigma)",
        student,
        ": y nu mu sigma",
        [(0.3, 1, 0, 1), (-2, 4.5, 1.5, 0.3), (1e10, 2.5, 0, 0.1), (1.5, 1e6, 0.2, 2)],
    ),
    Case("cauchy_lpdf(y, mu, sigma)", cauchy, ": y mu sigma", [(0.3, 0, 1), (-2, 1.5, 0.3), (1e10, 0, 0.1)]),
    Case(
        "laplace_lpdf(y, mu, sigma)",
        lambda y, mu, s: -mp.log(2 * s) - abs(y - mu) / s,
        ": y mu sigma",
        [(0.3, 0, 1), (-2, 1.5, 0.3), (1e5, 0, 0.1)],
    ),
    Case("uniform_lpdf(y, low, high)", lambda y, a, b: -mp.log(b - a), ": y low high", [(0.3, 0, 1), (-2, -7, 3.5)]),
    Case("bernoulli_lpmf(k, p)", bernoulli, "k: p", [(0, 0.3), (1, 0.3), (0, 1e-9), (1, 1e-9), (0, 0.9999)]),
    Case(
        "binomial_lpmf(k, n, p)",
        binomial,
        "k n: p",
        [(3, 10, 0.3), (0, 10, 1e-9), (10, 10, 0.9), (400, 1000, 0.6), (0, 0, 0.5)],
    ),
    Case("poisson_lpmf(k, rate)", poisson, "k: rate", [(0, 0.3), (3, 0.3), (50, 30), (1, 1e-9), (1000, 1100)]),
    Case(
        "multi_normal_lpdf([a, b], [0, 0], [[s, r], [r, t]])",
        multi_normal,
        ": a b s r t",
        [(0.3, -0.2, 1, 0, 1), (2, 1, 1.5, 0.8, 0.7), (30, -20, 4, -3.9, 4)],
    ),
]
GROUPS = {"special": SPECIAL, "small": SMALL, "densities": DENSITIES}


def rounded(x: Any) -> str:
    return float(mp.mpf(x)).hex()


def difference(f: Callable[..., Any], at: list[Any], orders: tuple[int, ...]) -> Any:
    """A partial derivative by central differences, whose error falls with the sixth power of the step."""
    for i, order in enumerate(orders):
        if order:
            rest = tuple(o - (j == i) for j, o in enumerate(orders))
            h = STEP * (abs(at[i]) or mp.mpf(0.01))
            moved = lambda k: difference(f, [v + k * h * (j == i) for j, v in enumerate(at)], rest)  # noqa: B023
            terms = ((1, 45), (2, -9), (3, 1))
            return sum(w * (moved(k) - moved(-k)) for k, w in terms) / (60 * h)
    return mp.re(f(*at))


def record(group: str, case: Case) -> dict[str, Any]:
    consts, variables = (part.split() for part in case.names.split(":"))
    facts = []
    for point in case.points:
        at = [mp.mpf(x) for x in point]
        fixed, moving = at[: len(consts)], at[len(consts) :]
        f = lambda *xs, fixed=fixed: case.exact(*fixed, *xs)
        n = len(moving)
        unit = [tuple(int(j == i) for j in range(n)) for i in range(n)]
        gradient = [difference(f, moving, unit[i]) for i in range(n)]
        pairs = [tuple(a + b for a, b in zip(unit[i], unit[j], strict=True)) for i in range(n) for j in range(n)]
        hessian = [difference(f, moving, pair) for pair in pairs]
        value = mp.re(f(*moving))
        noise = max(NOISE * max(map(abs, [value, *gradient, *hessian])), mp.mpf(10) ** -40 if 0 in moving else 0)
        numbers = [[rounded(d if abs(d) > noise else 0) for d in part] for part in ([value], gradient, hessian)]
        facts.append([[float(x).hex() for x in point], *numbers])
    return {"group": group, "formula": case.formula, "consts": consts, "vars": variables, "facts": facts}


def main() -> None:
    lines = [
        json.dumps(record(group, case), separators=(",", ":")) for group, cases in GROUPS.items() for case in cases
    ]
    Path(__file__).with_name("facts.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
