"""Lambert's W, the branch above -1: next to -1/e a polynomial in sqrt(2 (e x + 1)), which is taken in pairs; beyond,
from log(1 + x), two steps of Halley's method for w = x exp(-w), the last difference taken before it is rounded
(R. M. Corless et al., On the Lambert W function, Adv. Comput. Math. 5, 1996).
"""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables_errors as ts
from tapecli.engines.native.library.exponential import exp_pair, ldexp
from tapecli.engines.native.library.logarithm import log
from tapecli.engines.native.library.pairs import two_prod

INF, NAN = math.inf, math.nan
#: Below this the polynomial is taken: q = 0.95 there.
NEAR = -0.2


def _branch_point(b: Lanes, x: Val) -> Val:
    p = pairs.add1(pairs.mul1(b, pairs.constant(b, ts.EULER), x), b.const(1.0))
    inside = p[0] > 0.0
    q, rest = pairs.sqrt(b, (b.select(inside, 2.0 * p[0], 0.0), b.select(inside, 2.0 * p[1], 0.0)))
    # W = -1 + q - q^2/3 + 11/72 q^3 - ..., and its slope times what q lacks
    slope = b.mad(q, b.mad(q, 11.0 / 24.0, -2.0 / 3.0), 1.0)
    return (q - 1.0) + b.mad(q * q, b.poly(q, ts.LAMBERT), rest * slope)


def _step(b: Lanes, x: Val, w: Val) -> Val:
    """Halley's step for w - x exp(-w), whose derivatives are 1 + v and -v, v = x exp(-w)."""
    h, lo, k = exp_pair(b, -w)
    scaled = ldexp(b, x, k)
    v, e = two_prod(b, scaled, h)
    rest = (w - v) - b.mad(scaled, lo, e)
    slope = 1.0 + v
    return w - rest / b.mad(rest / slope, 0.5 * v, slope)


def lambertw(b: Lanes, x: Val) -> Val:
    near = x < NEAR

    def beyond() -> list[Val]:
        v = b.select((x >= NEAR) & (x < INF), x, 1.0)
        first = log(b, 1.0 + v)
        w = first * (1.0 - log(b, 1.0 + first) / (2.0 + first))
        return [_step(b, v, _step(b, v, w))]

    zero = b.const(0.0)
    y = b.code.branch(b.code.any(~near), beyond, lambda: [zero])[0]
    y = b.code.branch(b.code.any(near), lambda: [b.select(near, _branch_point(b, x), y)], lambda: [y])[0]
    y = b.select(b.abs(x) < 1e-20, x, y)
    y = b.select(x < INF, y, x)
    return b.select(x >= -math.exp(-1.0), y, NAN)
