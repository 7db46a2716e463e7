"""The beta function, its logarithm, and the differences of digamma and trigamma that its derivatives are made of.

The logarithm is the sum of three of gamma's in pairs where both arguments are below 64/9; beyond, Stirling's series
with the large terms joined, so that nothing cancels when one argument is much greater (A. R. DiDonato and A. H. Morris,
ACM Trans. Math. Software 18, 1992). Where it comes near 0, the same once more with about 100 bits.
"""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import careful, pairs
from tapecli.engines.native.library import tables_gammas as ts
from tapecli.engines.native.library.exponential import exp_pair, ldexp
from tapecli.engines.native.library.gamma import HIGH, far_parts, lgamma_near, lgamma_pair, signed_pair
from tapecli.engines.native.library.logarithm import log, log1p, log1p_pair, log_pair
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product, two_sum
from tapecli.ops.kernels import tables as kt

INF, NAN = math.inf, math.nan
#: Between these the arguments need no care.
LEAST, MOST = 1e-300, 1e290


def _rest(b: Lanes, w: Val) -> Val:
    """log gamma(x) minus Stirling's formula, w = 1/x."""
    return w * b.poly(w * w, ts.STIRLING)


def _low(b: Lanes, x: Val, y: Val, g: Pair) -> Pair:
    """For x < 64/9: by gamma(x), gamma(y) and gamma(x + y), the sum with its rounding error."""
    s = two_sum(x, y)
    p = pairs.add(lgamma_near(b, x, b.const(0.0)), g)
    return pairs.add(p, pairs.neg(lgamma_pair(b, *s)))


def _high(b: Lanes, x: Val, y: Val, g: Pair) -> Pair:
    """For x >= 64/9: -(x - 1/2) log(1 + y/x) - y log(x + y) and what only y is in; `g` is log gamma(y)."""
    s, e = two_sum(x, y)
    hs, ls, ws = b.once(far_parts, s)
    hy, ly, wy = b.once(far_parts, y)
    _, _, wx = b.once(far_parts, x)
    large = y >= HIGH
    q = y * wx
    log_q = log1p_pair(b, q)
    log_q = log_q[0], b.mad(less_product(b, y, q, x) * wx, x * ws, log_q[1])
    p = pairs.mul1(b, log_q, x - 0.5)
    # log(x + y), and less log y where that is in Stirling's formula for y
    d, f = two_sum(hs, -b.select(large, hy, 0.0))
    d_low = f + (b.mad(e, ws, ls) - b.select(large, ly, 0.0))
    p = pairs.add(p, pairs.mul1(b, fast_two_sum(d, d_low), y))
    z = pairs.add((-0.5 * hy, -0.5 * ly), pairs.constant(b, kt.HALF_LN_2PI))
    z = z[0], z[1] + _rest(b, wy)
    v = pairs.add1(g, b.select(large, 0.0, y))
    z = pairs.select(b, large, fast_two_sum(*z), v)
    p = pairs.add(z, pairs.neg(p))
    return p[0], p[1] + (_rest(b, wx) - _rest(b, ws))


def lbeta_pair(b: Lanes, x: Val, y: Val) -> Pair:
    """log B(x, y), x >= y, both in the usual range."""
    zero = b.const(0.0)
    for v in (x, y, x + y):
        b.once(far_parts, v)
    small, high = y < HIGH, x >= HIGH

    def near() -> Pair:
        return lgamma_near(b, y, b.const(0.0))

    g = b.code.branch(b.code.any(small), near, lambda: [zero, zero])
    low = b.code.branch(b.code.any(~high), lambda: _low(b, x, y, (g[0], g[1])), lambda: [zero, zero])
    up = b.code.branch(b.code.any(high), lambda: _high(b, x, y, (g[0], g[1])), lambda: [zero, zero])
    return pairs.select(b, high, (up[0], up[1]), (low[0], low[1]))


def _ordered(b: Lanes, x: Val, y: Val) -> tuple[Val, Val, Val]:
    """The greater and the smaller of two arguments where both are usual, else 1 and 1; and where they are."""
    above = x > y
    high, low = b.select(above, x, y), b.select(above, y, x)
    usual = (low >= LEAST) & (high <= MOST)
    return b.select(usual, high, 1.0), b.select(usual, low, 1.0), usual


def lbeta(b: Lanes, x: Val, y: Val) -> Val:
    high, low, usual = _ordered(b, x, y)
    out = pairs.joined(b.once(lbeta_pair, high, low))
    hard = (b.abs(out) < 2.0**-7) & (high < 1e9)
    out = careful.mended(b, hard & usual, careful.lbeta, [high, low], out) + 0.0

    def others() -> list[Val]:
        negative = (x < 0.0) | (y < 0.0)
        _, p = _by_gammas(b, x, y)
        left = b.select(b.abs(p[0]).eq(INF), p[0], p[0] + p[1])
        return [b.select(usual, out, b.select(negative, left, _edge(b, x, y)))]

    return b.code.branch(b.code.any(~usual), others, lambda: [out])[0]


def _edge(b: Lanes, x: Val, y: Val) -> Val:
    """log B of extreme arguments: log(1/small) against a log(1 + b/a) + ..., to the accuracy of the parts."""
    above = x > y
    high, low = b.select(above, x, y), b.select(above, y, x)
    v, w = b.select(high < INF, high, 1e300), b.select(low > 0.0, low, 1.0)
    of_v = log(b, v)
    tiny = log1p(b, w / v) - log(b, w) - w * b.select(of_v > 0.0, of_v, 0.0)
    g = pairs.joined(signed_pair(b, w)[1])
    apart = b.select(w < 1e17, g - w * of_v, -(v * log1p(b, w / v)) - w * log1p(b, v / w))
    out = b.select(w < 1e-17, tiny, apart)
    out = b.select(high.eq(INF), -INF, b.select(low.eq(0.0), INF, out))
    return b.select(low.eq(0.0) & high.eq(INF) | b.isnan(x) | b.isnan(y), NAN, out)


def _beta_edge(b: Lanes, x: Val, y: Val) -> Val:
    """B of extreme arguments: 1/x + 1/y for small ones, gamma(y) x^-y for x much greater than y."""
    above = x > y
    high, low = b.select(above, x, y) + 0.0, b.select(above, y, x) + 0.0
    v, w = b.select((high > 1.0) & (high < INF), high, 1.0), b.select((low >= LEAST) & (low < 170.0), low, 1.0)
    power = pairs.add(signed_pair(b, w)[1], pairs.neg(pairs.mul1(b, log_pair(b, v), w)))
    h, lo, bits = exp_pair(b, *_within_exp(b, power))
    far = b.select((low < 170.0) & (high < INF), ldexp(b, h + lo, bits), 0.0)
    out = b.select(high < 1e-17, 1.0 / low + 1.0 / high, b.select(low < LEAST, 1.0 / low, far))
    return b.select(low.eq(0.0) & high.eq(INF) | b.isnan(x) | b.isnan(y), NAN, out)


def _pole(b: Lanes, x: Val) -> Val:
    return (x <= 0.0) & b.floor(x).eq(x)


def _by_gammas(b: Lanes, x: Val, y: Val) -> tuple[Val, Pair]:
    """Sign and logarithm of gamma(x) gamma(y)/gamma(x + y) where an argument is negative; x + y is rounded."""
    s = x + y
    above, below = _pole(b, x) | _pole(b, y), _pole(b, s)
    bad = above | below
    sign, total = b.const(1.0), (b.const(0.0), b.const(0.0))
    above_y = b.abs(x) > b.abs(y)
    greater, less = b.select(above_y, x, y), b.select(above_y, y, x)
    for k, v in enumerate((s, greater, less)):  # the great ones cancel
        one, p = signed_pair(b, b.select(bad, 1.0, v))
        sign = sign * one
        total = pairs.add(total, p if k else pairs.neg(p))
    total = pairs.select(b, bad, (b.select(above, INF, b.const(-INF)), b.const(0.0)), total)
    undefined = ~(b.abs(s) < INF)
    total = b.select(undefined & ~bad, NAN, total[0]), total[1]
    return b.select(bad, b.select(above, NAN, b.const(0.0)), sign), total


def beta(b: Lanes, x: Val, y: Val) -> Val:
    high, low, usual = _ordered(b, x, y)
    h, lo, bits = exp_pair(b, *_within_exp(b, b.once(lbeta_pair, high, low)))
    out = ldexp(b, h + lo, bits)

    def others() -> list[Val]:
        negative = (x < 0.0) | (y < 0.0)
        sign, p = _by_gammas(b, x, y)
        pole = b.abs(p[0]).eq(INF)
        h, lo, bits = exp_pair(b, *_within_exp(b, pairs.select(b, pole, (b.const(0.0), b.const(0.0)), p)))
        left = sign * ldexp(b, h + lo, bits)
        right = _beta_edge(b, x, y)
        return [b.select(usual, out, b.select(negative, left, right))]

    return b.code.branch(b.code.any(~usual), others, lambda: [out])[0]


def _within_exp(b: Lanes, p: Pair) -> Pair:
    """A pair kept where exp is neither sure to be 0 nor infinite."""
    h, lo = fast_two_sum(*p)
    inside = b.abs(h) < 800.0
    return b.select(inside, h, b.select(h > 0.0, 800.0, b.select(h < 0.0, -800.0, h))), b.select(inside, lo, 0.0)
