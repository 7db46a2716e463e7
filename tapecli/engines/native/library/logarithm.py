"""Logarithms and powers.

x = 2^k m with m in [sqrt(1/2), sqrt 2), f = m - 1, and log m = 2 atanh(f/(2 + f)) by a minimax polynomial (as in
fdlibm, Sun Microsystems, 1993). In pairs where more digits are needed: log2, log10, powers.
"""

from __future__ import annotations

import math
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.exponential import exp, exp_pair, ldexp, nearest, power_of_two
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


def log_near(b: Lanes, f: Val, tail: Any, k: Val) -> Val:
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
    return _ends(b, x, log_near(b, m - 1.0, None, k))


def plus_one(b: Lanes, q: Val, low: Any = None) -> tuple[Val, Val, Val]:
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
    f, rest, k = plus_one(b, x)
    y = log_near(b, f, rest - rest * f, k)
    y = b.select(b.abs(x) < 2.0**-54, x, y)
    y = b.select(x < INF, y, x)
    return b.select(x > -1.0, y, b.select(x.eq(-1.0), -INF, NAN))


def pair_near(b: Lanes, f: Val, tail: Any, k: Any) -> Pair:
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
    h, lo = fast_two_sum(s + s, v)
    lo = lo + (vl + (sl + sl))
    if k is None:
        return fast_two_sum(h, lo)
    h, e = fast_two_sum(k * t.LN2_PARTS[0], h)
    return fast_two_sum(h, b.mad(k, t.LN2_PARTS[1], e + lo))


def log_pair(b: Lanes, x: Val, low: Any = None) -> Pair:
    """log(x + low) for 0 < x < infinity, as a pair."""
    m, k = split(b, x)
    if low is None:
        return pair_near(b, m - 1.0, None, k)
    power = b.from_bits(b.to_bits(m) - b.to_bits(x) + (1023 << 52))
    f, rest = two_sum(m - 1.0, low * power)
    return pair_near(b, f, rest, k)


def log1p_pair(b: Lanes, q: Val, low: Any = None) -> Pair:
    """log(1 + q + low) for -1 < q < infinity, as a pair."""
    f, rest, k = plus_one(b, q, low)
    return pair_near(b, f, rest, k)


def _log_base(b: Lanes, x: Val, per: tuple[float, ...], two: tuple[float, ...] | None) -> Val:
    """k two + log(m) per, each a constant in two parts: log m in a head of 21 bits and a tail, so that its product with
    the head of `per` is exact (as in FreeBSD's e_log2.c)."""
    m, k = split(b, x)
    f = m - 1.0
    half = 0.5 * (f * f)
    s = f / (2.0 + f)
    w = s * s
    r = w * b.poly(w, t.LOG)
    head = b.from_bits(b.to_bits(f - half) & -(1 << 32))
    tail = ((f - head) - half) + s * (half + r)
    high = head * per[0]
    low = b.mad(tail + head, per[1], tail * per[0])
    if two is not None:
        low = b.mad(k, two[1], low)
        k = k * two[0]
    y, e = fast_two_sum(k, high)
    return _ends(b, x, y + (low + e))


def log2(b: Lanes, x: Val) -> Val:
    return _log_base(b, x, t.LOG2E_CUT, None)


def log10(b: Lanes, x: Val) -> Val:
    return _log_base(b, x, t.LOG10E_CUT, t.LOG10_2)


def softplus(b: Lanes, x: Val) -> Val:
    """max(x, 0) + log(1 + exp(-|x|))."""
    y = b.select(x > 0.0, x, 0.0) + log1p(b, exp(b, -b.abs(x)))
    return b.select(b.isnan(x), x, y)


def logit(b: Lanes, p: Val) -> Val:
    """log(p/(1 - p)) of the quotient as a pair."""
    inside = (p > 0.0) & (p < 1.0)
    v = b.select(inside, p, 0.5)
    h, lo = pairs.div(b, (v, b.const(0.0)), fast_two_sum(b.const(1.0), -v))
    m, k = split(b, h)
    power = b.from_bits(b.to_bits(m) - b.to_bits(h) + (1023 << 52))
    f, rest = two_sum(m - 1.0, b.select(h > 2.0**-900, lo * power, 0.0))
    y = log_near(b, f, rest - rest * f, k)
    return b.select(inside, y, b.select(p.eq(0.0), -INF, b.select(p.eq(1.0), INF, b.const(NAN))))


def _exp_full(b: Lanes, x: Pair) -> Pair:
    """exp(x) to about 2^-100, |x| < 700: a Taylor series in pairs."""
    k, bits = nearest(b, x[0], t.PER_LN2)
    top = b.mad(k, -t.LN2_THREE[0], x[0])
    r = pairs.add(two_sum(top, k * -t.LN2_THREE[1]), two_prod(b, k, -t.LN2_THREE[2]))
    r = pairs.add(r, (x[1], b.const(0.0)))
    y = pairs.constant(b, t.INVERSE_FACTORIALS[-1])
    for c in reversed(t.INVERSE_FACTORIALS[:-1]):
        y = pairs.add(pairs.mul(b, y, r), pairs.constant(b, c))
    power = power_of_two(b, bits)
    return y[0] * power, y[1] * power


def logaddexp(b: Lanes, x: Val, y: Val) -> Val:
    """max + log(1 + exp(-|x - y|)); where that cancels, a Newton step with exponentials of 100 bits."""
    above = x > y
    top, less = b.select(above, x, y), b.select(above, y, x)
    finite = (b.abs(x) < INF) & (b.abs(y) < INF)
    d, dl = two_sum(b.select(finite, less, 0.0), -b.select(finite, top, 0.0))
    far = d < -800.0
    h, lo, bits = exp_pair(b, b.select(far, -800.0, d), b.select(far, 0.0, dl))
    f, rest, k = plus_one(b, ldexp(b, h, bits), ldexp(b, lo, bits))
    ends = b.select(b.isnan(x) | b.isnan(y), x + y, b.select(x.eq(y), x, top))
    out = b.select(finite, pairs.joined(pairs.add1(pair_near(b, f, rest, k), top)), ends)
    hard = (top < 0.0) & (b.abs(out) < -0.0625 * top) & finite & (top > -1.0)

    def careful(v: Val, w: Val, z: Val) -> list[Val]:
        one = Lanes(v.code, "double", 1)
        low = one.select(w < -700.0, -700.0, w)
        e = pairs.add(_exp_full(one, two_sum(v, -z)), _exp_full(one, two_sum(low, -z)))
        return [z + ((e[0] - 1.0) + e[1])]

    def mended() -> list[Val]:
        best = b.code.each_lane(careful, [top, less, out], ["double"])[0]
        return [b.select(hard, best, out)]

    return b.code.branch(b.code.any(hard), mended, lambda: [out])[0]


class Power:
    """|x|^y = (h + lo) 2^k with y as a pair, and what its sign and ends are."""

    def __init__(self, b: Lanes, x: Val, y: tuple[Val, Any], log: Pair | None = None) -> None:
        self.b, self.x, self.y = b, x, y[0]
        self.a = b.abs(x)
        h, lo = log_pair(b, self.a) if log is None else log
        most = 2.0**65
        clamped = b.select(y[0] > most, most, b.select(y[0] < -most, -most, y[0]))
        eh, el = two_prod(b, clamped, h)
        el = b.mad(clamped, lo, el)
        if y[1] is not None:
            el = b.mad(y[1], h, el)
        inside = b.abs(eh) < 1000.0
        eh = b.select(inside, eh, b.select(eh > 0.0, 1000.0, b.const(-1000.0)))
        self.h, self.lo, self.bits = exp_pair(b, eh, b.select(inside, el, 0.0))

    def value(self, factor: Any = None) -> Val:
        """`factor |x|^y` for x > 0."""
        h = self.h + self.lo
        return ldexp(self.b, h if factor is None else h * factor, self.bits)

    def ends(self, value: Val) -> Val:
        """`value`, the power of |x|, with the sign of that of x, and the powers of 0, infinity and nan."""
        b, x, y, a = self.b, self.x, self.y, self.a
        edge = a.eq(0.0) | a.eq(INF)
        value = b.select(edge, b.select((a > 1.0) ^ (y < 0.0), INF, b.const(0.0)), value)
        whole = b.rint(y).eq(y)
        half = 0.5 * y
        odd = whole & b.rint(half).ne(half)
        value = b.select(odd & (b.copysign(1.0, x) < 0.0), -value, value)
        value = b.select((x < 0.0) & (a < INF) & ~whole, NAN, value)
        value = b.select(b.isnan(x) | b.isnan(y), x + y, value)
        return b.select(y.eq(0.0) | x.eq(1.0), 1.0, value)


def pow(b: Lanes, x: Val, y: Val) -> Val:
    """exp(y log|x|) in pairs; signs and ends as IEEE 754, 9.2.1."""
    power = Power(b, x, (y, None))
    value = power.value()
    usual = (x > 0.0) & (x < INF) & (b.abs(y) < INF)
    return b.code.branch(b.code.any(~usual), lambda: [power.ends(value)], lambda: [value])[0]


def _derivative(b: Lanes, x: Val, y: Val, factor: Val, less: float) -> Val:
    """`factor x^(y - less)`."""
    power = Power(b, x, two_sum(y, b.const(-less)))
    value = power.value(factor)
    ends = power.ends(b.const(1.0))
    edge = power.a.eq(0.0) | power.a.eq(INF) | b.abs(y).eq(INF)
    return b.select(edge, factor * ends, value * ends)


def power_dx(b: Lanes, x: Val, y: Val) -> Val:
    """y x^(y-1), and 0 where y is 0."""
    return b.select(y.eq(0.0), 0.0, _derivative(b, x, y, y, 1.0))


def power_dxx(b: Lanes, x: Val, y: Val) -> Val:
    """y (y-1) x^(y-2), and 0 where y is 0 or 1."""
    return b.select(y.eq(0.0) | y.eq(1.0), 0.0, _derivative(b, x, y, y * (y - 1.0), 2.0))


def power_log(b: Lanes, x: Val, y: Val, k: int) -> Val:
    """x^y log(x)^k; 0 at x = 0, y >= 0."""
    log = log_pair(b, b.abs(x))
    power = Power(b, x, (y, None), log)
    one = pairs.joined(log)
    factor = one
    for _ in range(k - 1):
        factor = factor * one
    value = power.value(factor)
    inside = (x > 0.0) & (x < INF) & (b.abs(y) < INF)

    def ends() -> list[Val]:
        limit = b.select(x.eq(0.0), -INF, b.select(x > 0.0, x, b.const(NAN)))
        of_log = b.select(inside, one, limit)
        product = of_log
        for _ in range(k - 1):
            product = product * of_log
        found = b.select(inside, value, power.ends(power.value()) * product)
        return [b.select(x.eq(0.0) & (y >= 0.0), 0.0, found)]

    return b.code.branch(b.code.any(~inside), ends, lambda: [value])[0]


def power_log_1(b: Lanes, x: Val, y: Val) -> Val:
    """x^y log(x)."""
    return power_log(b, x, y, 1)


def power_log_2(b: Lanes, x: Val, y: Val) -> Val:
    """x^y log(x)^2."""
    return power_log(b, x, y, 2)


def power_dxy(b: Lanes, x: Val, y: Val) -> Val:
    """x^(y-1) (1 + y log x); at x = 0 its limit, 0 at the origin."""
    log = log_pair(b, b.abs(x))
    power = Power(b, x, two_sum(y, b.const(-1.0)), log)
    factor = pairs.joined(pairs.add(pairs.mul1(b, log, y), (b.const(1.0), b.const(0.0))))
    inside = (x > 0.0) & (x < INF) & (b.abs(y) < INF)
    value = power.value(factor)

    def ends() -> list[Val]:
        limit = b.select(x.eq(0.0), -INF, b.select(x > 0.0, x, b.const(NAN)))
        slope = y * power.ends(power.value())
        found = b.select(inside, value, slope * (1.0 / y + limit))
        return [b.select(x.eq(0.0) & ((y > 1.0) | y.eq(0.0)), 0.0, found)]

    return b.code.branch(b.code.any(~inside), ends, lambda: [value])[0]
