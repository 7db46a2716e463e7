"""Double-double arithmetic on NumPy arrays and scalars: a number is an unevaluated sum h + l, |l| <= ulp(h) / 2.

Only IEEE addition, multiplication, division and square root are used, so results do not depend on the processor's
mathematical library. two_sum: Knuth, TAOCP 2, 4.2.2, theorem B. split, two_prod: Dekker, Numer. Math. 18 (1971).
All functions take np.float64 scalars or float64 arrays alike and expect the caller to have silenced warnings. The
magnitudes must stay below 2**990, where `split` would overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

# np.float64 or NDArray[np.float64]: the stubs type their arithmetic differently, a union would need casts everywhere.
Real: TypeAlias = Any
Pair: TypeAlias = tuple[Real, Real]

_SPLIT = 134217729.0  # 2**27 + 1


def two_sum(a: Real, b: Real) -> Pair:
    """a + b exactly."""
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


def fast_two_sum(a: Real, b: Real) -> Pair:
    """a + b exactly when |a| >= |b| (else with an error of the order of the square of the rounding unit)."""
    s = a + b
    return s, b - (s - a)


def split(a: Real) -> Pair:
    """a = hi + lo with 26 bits each."""
    c = _SPLIT * a
    hi = c - (c - a)
    return hi, a - hi


def two_prod(a: Real, b: Real) -> Pair:
    """a * b exactly."""
    p = a * b
    ah, al = split(a)
    bh, bl = split(b)
    return p, al * bl - (((p - ah * bh) - al * bh) - ah * bl)


def square(a: Real) -> Pair:
    """a * a exactly."""
    p = a * a
    h, lo = split(a)
    return p, lo * lo - ((p - h * h) - 2.0 * (h * lo))


def add(a: Pair, b: Pair) -> Pair:
    """Sum of two pairs; keeps relative accuracy under cancellation of the high parts."""
    s, e = two_sum(a[0], b[0])
    f, g = two_sum(a[1], b[1])
    s, e = fast_two_sum(s, e + f)
    return fast_two_sum(s, e + g)


def mul(a: Pair, b: Pair) -> Pair:
    """Product of two pairs, relative error about 2**-102."""
    p, e = two_prod(a[0], b[0])
    return fast_two_sum(p, e + (a[0] * b[1] + a[1] * b[0]))


def mul1(a: Pair, b: Real) -> Pair:
    """Product of a pair and a double."""
    p, e = two_prod(a[0], b)
    return fast_two_sum(p, e + a[1] * b)


def div(a: Pair, b: Pair) -> Pair:
    """Quotient of two pairs, relative error about 2**-101."""
    q = a[0] / b[0]
    p, e = two_prod(q, b[0])
    return fast_two_sum(q, (((a[0] - p) - e) + a[1] - q * b[1]) / b[0])


def inv(b: Pair) -> Pair:
    """1 / b."""
    q = 1.0 / b[0]
    p, e = two_prod(q, b[0])
    return fast_two_sum(q, (((1.0 - p) - e) - q * b[1]) * q)


def sqrt(a: Pair) -> Pair:
    """Square root of a positive pair."""
    s = np.sqrt(a[0])
    p, e = square(s)
    return fast_two_sum(s, (((a[0] - p) - e) + a[1]) / (s + s))


def horner(u: Real, coefs: Sequence[float]) -> Real:
    """Polynomial in double, highest coefficient first."""
    p = coefs[0] * u + coefs[1]
    for c in coefs[2:]:
        p = p * u + c
    return p


def poly(u: Pair, tail: Sequence[float], head: Sequence[tuple[float, float]]) -> Pair:
    """Polynomial whose last terms (`head`, highest first, pairs) are added in double-double, the others in double.

    As |u| < 1 the rounding errors of the tail are damped by u**len(head); three head terms give 60 bits or more.
    """
    uh, ul = u
    h, lo = horner(uh, tail), 0.0
    for ch, cl in head:
        p, e = two_prod(h, uh)
        lo = e + (lo * uh + h * ul)
        h, e = fast_two_sum(ch, p)
        lo = lo + (e + cl)
    return fast_two_sum(h, lo)
