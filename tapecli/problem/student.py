"""Quantiles of Student's t, to nearly full precision, without SciPy."""

from __future__ import annotations

import math

from tapecli.ops.kernels.betas import lbeta

#: Rounds of the continued fraction at most; they grow as the root of the degrees of freedom.
ROUNDS = 2000
#: Beyond so many degrees of freedom the expansion about the normal law has all digits.
LARGE = 2e4


def tail(t: float, nu: float) -> float:
    """The probability of more than t, t ≥ 0: half the regularised incomplete beta function I_x(ν/2, 1/2) at
    x = ν/(ν + t²), by Lentz's evaluation of its continued fraction (Numerical Recipes, 6.4)."""
    if math.isinf(nu):
        return 0.5 * math.erfc(t / math.sqrt(2.0))
    a, b = nu / 2.0, 0.5
    x, y = nu / (nu + t * t), t * t / (nu + t * t)
    if y == 0.0:
        return 0.5
    front = math.exp(a * _log(x, y) + b * math.log(y) - float(lbeta(a, b)))
    if x < (a + 1.0) / (a + b + 2.0):
        return 0.5 * front * _fraction(a, b, x) / a
    return 0.5 * (1.0 - front * _fraction(b, a, y) / b)


def _log(x: float, y: float) -> float:
    """log x, where x = 1 - y."""
    return math.log1p(-y) if y < 0.5 else math.log(x)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0) or tiny)
    h = d
    for m in range(1, ROUNDS):
        for top in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / (1.0 + top * d or tiny)
            c = 1.0 + top / c or tiny
            h *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return h


def quantile(p: float, nu: float) -> float:
    """The t that Student's law with ν degrees of freedom stays below with probability p, 0 < p < 1: bisection to the
    last digits of the tail."""
    if not 0.0 < p < 1.0 or not nu > 0.0:
        raise ValueError("a probability between 0 and 1, and degrees of freedom above 0")
    if p < 0.5:
        return -quantile(1.0 - p, nu)
    if p == 0.5:
        return 0.0
    if LARGE < nu < math.inf:
        return _expanded(quantile(p, math.inf), nu)
    wanted = 1.0 - p
    low, high = 0.0, 1.0
    while tail(high, nu) > wanted and high < 1e300:
        low, high = high, high * 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        low, high = (middle, high) if tail(middle, nu) > wanted else (low, middle)
    return (low + high) / 2.0


def _expanded(z: float, nu: float) -> float:
    """The quantile from that of the normal law (Abramowitz and Stegun, 26.7.5)."""
    s = z * z
    return z * (
        1.0
        + (s + 1.0) / (4.0 * nu)
        + ((5.0 * s + 16.0) * s + 3.0) / (96.0 * nu**2)
        + (((3.0 * s + 19.0) * s + 17.0) * s - 15.0) / (384.0 * nu**3)
    )
