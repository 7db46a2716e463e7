"""The second and the third derivative of digamma, as the others in `gamma`: polynomials on 16 intervals, the asymptotic
series (DLMF 5.15.8), the recurrence (5.15.5) and the reflection formula (5.15.6).
"""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables_gammas as ts
from tapecli.engines.native.library.gamma import (
    HIGH,
    INF,
    LOW,
    NAN,
    TINY,
    either,
    far_parts,
    inverse_rest,
    left,
    pieces_at,
)
from tapecli.engines.native.library.pairs import Pair, two_sum
from tapecli.engines.native.library.turns import sin_cos_pi
from tapecli.ops.kernels import tables as kt

TABLES = {2: ts.POLYGAMMA2, 3: ts.POLYGAMMA3}
SERIES = {2: ts.PSI2, 3: ts.PSI3}
#: The n-th derivative of cot in powers of cot^2, highest first, times cot where n is even; its sign is (-1)^n.
COT = {2: (2.0, 2.0), 3: (6.0, 8.0, 2.0)}


def _power(b: Lanes, p: Pair, n: int) -> Pair:
    y = p
    for _ in range(n - 1):
        y = pairs.mul(b, y, p)
    return y


def _inverse(b: Lanes, x: Val, w: Val) -> Pair:
    return w, inverse_rest(b, x, w)


def _next(b: Lanes, x: Val, n: int) -> Pair:
    """|polygamma(n, x)| for x >= 4/9, |polygamma(n, x + 1)| below."""
    _, _, w = b.once(far_parts, x)

    def far() -> Pair:
        h, lo = _power(b, _inverse(b, x, w), n)
        whole = float(math.factorial(n - 1))
        rest = b.mad(w, b.poly(w * w, SERIES[n]), 0.5 * math.factorial(n))
        return h * whole, b.mad(h * w, rest, lo * whole)

    return either(b, x < HIGH, lambda: pieces_at(b, TABLES[n], x, x < LOW), far)


def polygamma(b: Lanes, x: Val, n: int) -> Val:
    """For n = 2 and 3."""
    sign = 1.0 if n % 2 else -1.0
    h, lo = _next(b, x, n)
    small = x < LOW

    def below() -> list[Val]:
        usual = small & (x > 1e-70)
        v = b.select(usual, x, 1.0)
        p = _power(b, _inverse(b, v, 1.0 / v), n + 1)
        p = pairs.scaled(p, b.select(usual, float(math.factorial(n)), b.const(0.0)))
        s, e = two_sum(p[0], h)
        return [s + (e + (p[1] + lo))]

    y = b.code.branch(b.code.any(small), below, lambda: [h + lo])[0] * sign
    usual = (x >= 1e-70) & (x < INF)

    def others() -> list[Val]:
        right = b.select(b.abs(x) < 1e-70, _at_pole(b, x, n), b.select(x < INF, y, sign / x))
        right = b.select(b.isnan(x), x, right)
        beyond = x < -1e-70
        found = b.code.branch(b.code.any(beyond), lambda: [_left(b, x, n)], lambda: [right])[0]
        return [b.select(beyond, found, right)]

    return b.code.branch(b.code.any(~usual), others, lambda: [y])[0]


def _at_pole(b: Lanes, x: Val, n: int) -> Val:
    """n!/x^(n+1), scaled, with the sign of the function."""
    unit = 2.0**230
    v = b.abs(x) * unit
    inside = v > 0.0
    v = b.select(inside, v, 1.0)
    h, lo = _power(b, _inverse(b, v, 1.0 / v), n + 1)
    size = (h + lo) * float(math.factorial(n)) * unit ** (n + 1)
    size = b.select(inside & (size < INF), size, INF)
    return size if n % 2 else -b.copysign(size, x)


def _left(b: Lanes, x: Val, n: int) -> Val:
    """(-1)^n (pi^(n+1) cot^(n)(pi a) + polygamma(n, 1 + a)), a = -x."""
    a, pole = left(b, x)
    near = (x > -TINY) & (x < -1e-70)
    s, c = sin_cos_pi(b, a)
    c = pairs.div(b, c, s)
    u = pairs.mul(b, c, c)
    first, *more = COT[n]
    y = pairs.scaled(u, first)
    y = pairs.add1(y, b.const(more[0]))
    for k in more[1:]:
        y = pairs.add1(pairs.mul(b, y, u), b.const(k))
    if n % 2 == 0:
        y = pairs.mul(b, y, c)
    y = pairs.mul(b, y, _power(b, pairs.constant(b, kt.PI), n + 1))
    within = a < HIGH - 1.0

    def beyond() -> Pair:
        p = _power(b, _inverse(b, a, 1.0 / a), n + 1)
        return pairs.add(_next(b, a, n), pairs.scaled(p, -float(math.factorial(n))))

    r = either(b, within, lambda: pieces_at(b, TABLES[n], a, within), beyond)
    # the sign of polygamma(n, 1 + a) is that of -(-1)^n
    out = pairs.joined(pairs.add(y, pairs.neg(r)))
    out = b.select(near, _at_pole(b, x, n), out)
    return b.select(pole, b.select(x > -INF, INF if n % 2 else NAN, b.const(NAN)), out)
