"""Logarithms and powers.

x = 2^k m with m in [sqrt(1/2), sqrt 2), f = m - 1, and log m = 2 atanh(f/(2 + f)) by a minimax polynomial (as in
fdlibm, Sun Microsystems, 1993). In pairs where more digits are needed: log2, log10, powers.
"""

from __future__ import annotations

import math
from typing import Any

from tapecli.engines.native.ir import Lanes, Val
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.exponential import exp_pair, ldexp
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product, two_prod, two_sum

INF, NAN = math.inf, math.nan
#: The bits of sqrt(1/2), and 1024 in the place of the exponent.
ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
LIFT = 1024 << 52
WHOLE_BITS = 0x4330000000000000


def split(b: Lanes, x: Val) -> tuple[Val, Val]:
    """x = 2^k m for x > 0, m in [sqrt(1/2), sqrt 2): m and k as floats."""
    tiny = x < 2.0**-1022
    i = b.to_bits(b.select(tiny, x * 2.0**54, x))
    e = (i - (ROOT_HALF_BITS - LIFT)) >> 52
    m = b.from_bits(i - (e << 52) + LIFT)
    k = b.from_bits(e | WHOLE_BITS) - b.select(tiny, 2.0**52 + 1078.0, b.const(2.0**52 + 1024.0))
    return m, k


def _log_near(b: Lanes, f: Val, tail: Any, k: Val) -> Val:
    """k log 2 + log(1 + f) + tail."""
    half = 0.5 * (f * f)
    s = f / (2.0 + f)
    w = s * s
    r = w * b.poly(w, t.LOG)
    low = b.mad(k, t.LN2_CUT[1], s * (half + r))
    if tail is not None:
        low = low + tail
    return b.mad(k, t.LN2_CUT[0], f - (half - low))


def _ends(b: Lanes, x: Val, y: Val) -> Val:
    """The logarithm `y` of x, with those of numbers that are not positive and finite."""
    y = b.select(x < INF, y, x)
    return b.select(x > 0.0, y, b.select(x.eq(0.0), -INF, NAN))


def log(b: Lanes, x: Val) -> Val:
    m, k = split(b, x)
    return _ends(b, x, _log_near(b, m - 1.0, None, k))


def _plus_one(b: Lanes, q: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """1 + q + low = 2^k (1 + f + rest): f, rest, k; f is q where k is 0."""
    u, c = two_sum(b.const(1.0), q)
    if low is not None:
        c = c + low
    m, k = split(b, u)
    # 2^-k is as exact as m/u is: by the bits of both
    power = b.from_bits(b.to_bits(m) - b.to_bits(u) + (1023 << 52))
    power = b.select(u < INF, power, 0.0)
    f, rest = two_sum(m - 1.0, c * power)
    return f, rest, k


def log1p(b: Lanes, x: Val) -> Val:
    f, rest, k = _plus_one(b, x)
    y = _log_near(b, f, rest - rest * f, k)
    y = b.select(b.abs(x) < 2.0**-54, x, y)
    y = b.select(x < INF, y, x)
    return b.select(x > -1.0, y, b.select(x.eq(-1.0), -INF, NAN))


def _pair_near(b: Lanes, f: Val, tail: Any, k: Any) -> Pair:
    """k log 2 + log(1 + f + tail) as a pair, to about 2^-64."""
    d, dl = fast_two_sum(b.const(2.0), f)
    if tail is not None:
        dl = dl + tail
    r = 1.0 / d
    s = f * r
    rest = less_product(b, f, s, d)
    rest = rest - s * dl if tail is None else rest + (tail - s * dl)
    sl = rest * r
    w, wl = two_prod(b, s, s)
    wl = b.mad(s + s, sl, wl)
    p, pl = fast_two_sum(b.const(t.TWO_THIRDS[0]), w * b.poly(w, t.LOG_TAIL))
    pl = pl + t.TWO_THIRDS[1]
    u, ul = two_prod(b, w, p)
    ul = ul + b.mad(w, pl, wl * p)
    v, vl = two_prod(b, s, u)
    vl = vl + b.mad(s, ul, sl * u)
    h, l = fast_two_sum(s + s, v)
    l = l + (vl + (sl + sl))
    if k is None:
        return fast_two_sum(h, l)
    h, e = fast_two_sum(k * t.LN2_PARTS[0], h)
    return fast_two_sum(h, b.mad(k, t.LN2_PARTS[1], e + l))


def log_pair(b: Lanes, x: Val, low: Any = None) -> Pair:
    """log(x + low) for 0 < x < infinity, as a pair."""
    m, k = split(b, x)
    if low is None:
        return _pair_near(b, m - 1.0, None, k)
    power = b.from_bits(b.to_bits(m) - b.to_bits(x) + (1023 << 52))
    f, rest = two_sum(m - 1.0, low * power)
    return _pair_near(b, f, rest, k)


def log1p_pair(b: Lanes, q: Val, low: Any = None) -> Pair:
    """log(1 + q + low) for -1 < q < infinity, as a pair."""
    f, rest, k = _plus_one(b, q, low)
    return _pair_near(b, f, rest, k)


def log2(b: Lanes, x: Val) -> Val:
    m, k = split(b, x)
    p = pairs.mul(b, _pair_near(b, m - 1.0, None, None), pairs.constant(b, t.LOG2E))
    h, e = fast_two_sum(k, p[0])
    return _ends(b, x, h + (e + p[1]))


def log10(b: Lanes, x: Val) -> Val:
    m, k = split(b, x)
    p = pairs.mul(b, _pair_near(b, m - 1.0, None, None), pairs.constant(b, t.LOG10E))
    h, e = fast_two_sum(k * t.LOG10_2[0], p[0])
    return _ends(b, x, h + b.mad(k, t.LOG10_2[1], e + p[1]))


def softplus(b: Lanes, x: Val) -> Val:
    """max(x, 0) + log(1 + e), e = exp(-|x|)."""
    a = b.abs(x)
    h, l, bits = exp_pair(b, -b.select(a > 800.0, 800.0, a))
    e = ldexp(b, h + l, bits)
    low = ldexp(b, l + (h - (h + l)), bits)
    f, rest, k = _plus_one(b, e, low)
    y = _log_near(b, f, rest - rest * f, k)
    y = b.select(e < 2.0**-54, e, y)
    top = b.select(x > 0.0, x, 0.0)
    s, lost = two_sum(top, y)
    return b.select(x.eq(INF), INF, b.select(b.isnan(x), x, s))


def pow(b: Lanes, x: Val, y: Val) -> Val:
    """exp(y log|x|) in pairs; signs and ends as IEEE 754, 9.2.1."""
    a = b.abs(x)
    h, l = log_pair(b, a)
    clamped = b.select(y > 2.0**65, 2.0**65, b.select(y < -(2.0**65), -(2.0**65), y))
    eh, el = two_prod(b, clamped, h)
    el = b.mad(clamped, l, el)
    inside = b.abs(eh) < 800.0
    eh = b.select(inside, eh, b.select(eh > 0.0, 800.0, b.const(-800.0)))
    el = b.select(inside, el, 0.0)
    ph, pl, bits = exp_pair(b, eh, el)
    value = ldexp(b, ph + pl, bits)
    usual = (x > 0.0) & (x < INF) & (b.abs(y) < INF)

    def ends() -> list[Val]:
        return [_power_ends(b, x, y, a, value)]

    return b.code.branch(b.code.any(~usual), ends, lambda: [value])[0]


def _power_ends(b: Lanes, x: Val, y: Val, a: Val, value: Val) -> Val:
    edge = a.eq(0.0) | a.eq(INF)
    value = b.select(edge, b.select((a > 1.0) ^ (y < 0.0), INF, b.const(0.0)), value)
    whole = b.rint(y).eq(y)
    half = 0.5 * y
    odd = whole & b.rint(half).ne(half)
    signed = b.copysign(1.0, x) < 0.0
    value = b.select(odd & signed, -value, value)
    value = b.select((x < 0.0) & (a < INF) & ~whole, NAN, value)
    value = b.select(b.isnan(x) | b.isnan(y), x + y, value)
    return b.select(y.eq(0.0) | x.eq(1.0), 1.0, value)
