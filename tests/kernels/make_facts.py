"""Writes facts.json: arguments and correctly rounded values of the kernels, computed with mpmath.

Run: python tests/kernels/make_facts.py. A fact is one line "arguments... value rest": arguments and the correctly
rounded value as hexadecimal floats, then what the rounding left, so that errors below one unit can be told.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

import mpmath as mp

mp.mp.dps = 60
OUT = Path(__file__).with_name("facts.json")
RNG = random.Random(20250)
F = Callable[..., mp.mpf]


def uniform(a: float, b: float, n: int = 60) -> list[float]:
    return [RNG.uniform(a, b) for _ in range(n)]


def logs(a: float, b: float, n: int = 40, both: bool = True) -> list[float]:
    """Spread over the exponents, with both signs if wanted."""
    out = [math.exp(RNG.uniform(math.log(a), math.log(b))) for _ in range(n)]
    return [x * RNG.choice((-1, 1)) for x in out] if both else out


def around(c: float, n: int = 40, wide: float = 0.25) -> list[float]:
    """Close to c on both sides, down to the next double."""
    near = [math.nextafter(c, math.inf), math.nextafter(c, -math.inf)]
    return near + [c + RNG.choice((-1, 1)) * wide * 2.0 ** -RNG.uniform(0, 50) for _ in range(n)]


def below_1() -> list[float]:
    return uniform(-1, 1) + logs(1e-300, 1) + [x for x in around(1.0) + around(-1.0) if abs(x) < 1]


def from_1() -> list[float]:
    return [x for x in around(1.0) + around(-1.0) + logs(1, 1e300) if abs(x) > 1]


def wide() -> list[float]:
    return uniform(-40, 40) + uniform(-3, 3) + uniform(-740, 740) + logs(1e-300, 700)


def turns() -> list[float]:
    return uniform(-9, 9, 120) + logs(1e-300, 1e6) + around(0.5) + around(1.0) + [k / 4 for k in range(-12, 13)]


def degrees() -> list[float]:
    return uniform(-720, 720, 120) + logs(1e-300, 1e9) + around(90.0) + around(180.0) + [15.0 * k for k in range(25)]


def radians() -> list[float]:
    return uniform(-30, 30, 120) + logs(1e-300, 1e300) + around(math.pi) + around(math.pi / 2)


def sinc_d(n: int) -> F:
    def value(x: mp.mpf) -> mp.mpf:
        if abs(x) < 0.5:
            terms = ((-1) ** k * mp.pi ** (2 * k) / mp.factorial(2 * k + 1) * mp.ff(2 * k, n) * x ** (2 * k - n)
                     for k in range((n + 1) // 2, 40))  # fmt: skip
            return mp.fsum(terms)
        g = mp.sinpi(x) / (mp.pi * x)
        for k in range(1, n + 1):
            g = (mp.pi ** (k - 1) * mp.cos(mp.pi * x + (k - 1) * mp.pi / 2) - k * g) / x
        return g

    return value


def log_gamma(x: mp.mpf) -> mp.mpf:
    return mp.loggamma(x) if x > 0 else mp.log(abs(mp.gamma(x)))


def log_beta(a: mp.mpf, b: mp.mpf) -> mp.mpf:
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def roots(f: F, starts: list[float]) -> list[float]:
    return [float(mp.findroot(f, s)) for s in starts]


def negative_axis() -> list[float]:
    return [-k - RNG.uniform(0.001, 0.999) for k in range(20) for _ in range(6)] + logs(1e-300, 1)


def elementary() -> dict[str, tuple[F, list[float]]]:
    deg = mp.pi / 180
    unit = below_1()
    inside = [x for x in unit if x > 0] + around(0.5)
    beyond = from_1()
    w = wide()
    return {
        "exp10": (lambda x: mp.mpf(10) ** x, uniform(-307, 308) + logs(1e-20, 1)),
        "cbrt": (lambda x: mp.sign(x) * mp.cbrt(abs(x)), logs(5e-324, 1e308, 80) + uniform(-9, 9)),
        "sec": (mp.sec, radians()), "csc": (mp.csc, radians()), "cot": (mp.cot, radians()),
        "asec": (mp.asec, beyond), "acsc": (mp.acsc, beyond),
        "acot": (lambda x: mp.atan(1 / x), logs(1e-300, 1e300, 80) + uniform(-5, 5)),
        "sinpi": (mp.sinpi, turns()), "cospi": (mp.cospi, turns()),
        "tanpi": (lambda x: mp.sinpi(x) / mp.cospi(x), [x for x in turns() if x % 1 != 0.5]),
        "sind": (lambda x: mp.sin(x * deg) if x % 180 else mp.mpf(0), degrees()),
        "cosd": (lambda x: mp.cos(x * deg) if x % 180 != 90 else mp.mpf(0), degrees()),
        "tand": (lambda x: mp.tan(x * deg) if x % 180 else mp.mpf(0), [x for x in degrees() if x % 180 != 90]),
        "asind": (lambda x: mp.asin(x) / deg, [*unit, 0.5, 1.0]), "acosd": (lambda x: mp.acos(x) / deg, [*unit, 0.5]),
        "atand": (lambda x: mp.atan(x) / deg, logs(1e-300, 1e300) + uniform(-3, 3) + [1.0]),
        "sinc": (lambda x: mp.sinpi(x) / (mp.pi * x) if x else mp.mpf(1), turns()),
        "tanh": (mp.tanh, w), "coth": (mp.coth, w), "sech": (mp.sech, w), "csch": (mp.csch, w),
        "sech2": (lambda x: mp.sech(x) ** 2, w), "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), w),
        "sigmoid_d1": (lambda x: (mp.sech(x / 2) / 2) ** 2, w),
        "sigmoid_d2": (lambda x: -mp.tanh(x / 2) * (mp.sech(x / 2) / 2) ** 2, w),
        "softplus": (lambda x: mp.log1p(mp.exp(x)), w),
        "log1mexp": (lambda x: mp.log1p(-mp.exp(x)), [-abs(x) for x in w if abs(x) > 1e-30]),
        "logit": (lambda x: mp.log(x) - mp.log1p(-x), inside + logs(1e-320, 0.5, 40, False)),
        "arccosh": (mp.acosh, [abs(x) for x in beyond]), "asech": (mp.asech, inside),
        "acsch": (mp.acsch, logs(1e-300, 1e300, 80) + uniform(-3, 3)), "acoth": (mp.acoth, beyond),
        "exp_neg_sq": (lambda x: mp.exp(-x * x), uniform(-27, 27, 120)),
        "asin_d1": (lambda x: 1 / mp.sqrt(1 - x * x), unit), "asin_d2": (lambda x: x / mp.sqrt(1 - x * x) ** 3, unit),
        "atan_d1": (lambda x: 1 / (1 + x * x), w), "atan_d2": (lambda x: -2 * x / (1 + x * x) ** 2, w),
        "asinh_d1": (lambda x: 1 / mp.sqrt(1 + x * x), w), "asinh_d2": (lambda x: -x / mp.sqrt(1 + x * x) ** 3, w),
        "acosh_d1": (lambda x: 1 / mp.sqrt(x * x - 1), [x for x in beyond if x > 0]),
        "acosh_d2": (lambda x: -x / mp.sqrt(x * x - 1) ** 3, [x for x in beyond if 0 < x < 1e100]),
        "atanh_d1": (lambda x: 1 / (1 - x * x), unit), "atanh_d2": (lambda x: 2 * x / (1 - x * x) ** 2, unit),
        "sech_d2": (lambda x: mp.sech(x) * (1 - 2 * mp.sech(x) ** 2), w + around(float(mp.asinh(1)))),
        "asech_d2": (lambda x: (1 - 2 * x * x) / (x * x * mp.sqrt(1 - x * x) ** 3),
                     [x for x in inside if x > 1e-100] + around(math.sqrt(0.5))),
        **{f"sinc_d{n}": (sinc_d(n), uniform(-5, 5, 120) + logs(1e-60, 1e9, 60)) for n in range(1, 5)},
    }  # fmt: skip


def special() -> dict[str, tuple[F, list[float]]]:
    neg = negative_axis()
    lg_zeros = [-2.457, -2.748, -3.143, -3.955]
    lg_zeros += [-4.0393618, -4.9915446, -5.0082182]
    psi_zeros = roots(mp.digamma, [-0.504, -1.573, -2.61, -3.635, -8.695])
    near_lg = [x for z in roots(log_gamma, lg_zeros) for x in around(z, 12, 2.0**-12)]
    near_psi = [x for z in psi_zeros for x in around(z, 12, 0.1)]
    near_root = around(float(mp.findroot(mp.digamma, 1.46)))
    right = uniform(0, 30) + logs(1e-300, 1e300, 60, False)
    many = {
        "erf": (mp.erf, uniform(-6.2, 6.2, 120) + logs(1e-300, 1, 60)),
        "erfc": (mp.erfc, uniform(-6, 26.5, 200) + logs(1e-300, 1)),
        "gamma": (mp.gamma, uniform(0, 171.6, 100) + uniform(0, 9) + neg + uniform(-170, 0)),
        "lgamma": (log_gamma, right + around(1.0) + around(2.0) + neg + near_lg),
        "digamma": (mp.digamma, right + near_root + neg + near_psi),
        "trigamma": (lambda x: mp.psi(1, x), uniform(0, 30) + logs(1e-100, 1e300, 60, False) + neg),
    }
    for n in (2, 3, 4, 9):
        points = uniform(0, 30) + logs(1e-9, 1e9, 40, False) + neg[:120:3]
        many[f"polygamma{n}"] = (lambda x, n=n: mp.psi(n, x), points)
    return many


def beta_mixed(a: mp.mpf, b: mp.mpf) -> mp.mpf:
    # what cancels for small arguments is as large as the product of their reciprocals
    with mp.workdps(1500 if min(a, b) < 1e-50 else 500):
        a, b = mp.mpf(a), mp.mpf(b)
        s = a + b
        slopes = (mp.psi(0, a) - mp.psi(0, s)) * (mp.psi(0, b) - mp.psi(0, s))
        return mp.exp(log_beta(a, b)) * (slopes - mp.psi(1, s))


def pairs() -> dict[str, tuple[F, list[tuple[float, float]]]]:
    small = list(zip(uniform(0, 10, 120), uniform(0, 10, 120), strict=True))
    far = list(zip(logs(1e-60, 1, 60, False), logs(1, 1e12, 60, False), strict=True))
    mid = list(zip(logs(1e-4, 1e5, 60, False), logs(1e-4, 1e5, 60, False), strict=True))
    box = list(zip(uniform(-5, 5, 120), uniform(-5, 5, 120), strict=True))
    apart = [(a, a + RNG.uniform(-700, 700)) for a in uniform(-900, 900)]
    power = list(zip(logs(1e-8, 1e8, 120, False), uniform(-20, 20, 120), strict=True))
    flat = list(zip(logs(1e-200, 1e200, 60, False), logs(1e-15, 1, 60), strict=True))

    tiny = [
        (1e-300, 2.0),
        (1e-15, 2.0),
        (1e-6, 2.0),
        (1e-300, 1e-290),
        (1e-200, 1e-100),
        (1e-100, 30.0),
        (40.0, 1e-250),
    ]
    ones = [(1 + a, 1 + b) for a, b in zip(logs(1e-12, 0.1), logs(1e-12, 0.1), strict=True)]

    def logaddexp(a: mp.mpf, b: mp.mpf) -> mp.mpf:
        return max(a, b) + mp.log1p(mp.exp(-abs(a - b)))

    def edge() -> list[tuple[float, float]]:
        return [(-x, math.log(-math.expm1(-x)) * (1 + RNG.uniform(1e-9, 1e-3))) for x in logs(1e-3, 3, 60, False)]

    return {
        "logaddexp": (logaddexp, box + apart + edge()),
        "logaddexp_share": (lambda a, b: 1 / (1 + mp.exp(b - a)), box + apart),
        "logaddexp_d2": (lambda a, b: (mp.sech((a - b) / 2) / 2) ** 2, box + apart),
        "xlogy": (lambda x, y: x * mp.log(y), [(y, x) for x, y in power]),
        "xlog1py": (lambda x, y: x * mp.log1p(y), [(y, x) for x, y in power]),
        "mod": (lambda x, y: x - y * mp.floor(x / y), [(x, y) for x, y in box if abs(x) > abs(y)]),
        "power_dx": (lambda x, y: y * x ** (y - 1), power + flat),
        "power_dxx": (lambda x, y: y * (y - 1) * x ** (y - 2), power),
        "beta": (lambda a, b: mp.beta(a, b) if a + b < 1e4 else mp.exp(log_beta(a, b)), small + far + mid[:30]),
        "lbeta": (log_beta, small + far + mid + ones),
        "digamma_diff": (lambda a, b: mp.digamma(a) - mp.digamma(a + b), small + [(b, a) for a, b in far] + mid),
        "trigamma_diff": (lambda a, b: mp.psi(1, a) - mp.psi(1, a + b), small + [(b, a) for a, b in far] + mid),
        "beta_dxy": (beta_mixed, small + [(a, min(b, 100.0)) for a, b in far] + mid[:30] + tiny),
    }  # fmt: skip


def fact(f: F, args: tuple[float, ...]) -> str | None:
    with mp.workdps(500):  # enough for the reduction of any double and for all cancellation
        v = f(*[mp.mpf(a) for a in args])
        h = float(v)
        if not math.isfinite(h) or (h and abs(h) < 1e-300):
            return None
        return " ".join([*(a.hex() for a in args), h.hex(), f"{float(v - mp.mpf(h)):.4g}"])


def main() -> None:
    facts: dict[str, list[str]] = {}
    for name, (f, xs) in {**elementary(), **special()}.items():
        facts[name] = [row for x in xs if (row := fact(f, (x,)))]
    for name, (f, ps) in pairs().items():
        facts[name] = [row for p in ps if (row := fact(f, p))]
    OUT.write_text(json.dumps(facts, indent=0) + "\n")
    sys.stdout.write(f"{sum(map(len, facts.values()))} facts, {OUT.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
