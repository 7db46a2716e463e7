"""Logarithms and powers.

x = 2^k m with m from 3/4 to 3/2, r = c m - 1 with c next to 1/m by the leading bits of m, and
log x = k log 2 + log(1/c) + log(1 + r) (P.-T. P. Tang, Table-driven implementation of the logarithm function, ACM
Trans. Math. Software 16, 1990). c is chosen so that log(1/c) is short (S. Gal, 1991): the first sum is exact. Next to 1
c is 1, and nothing cancels. In pairs for powers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.exponential import (
    exp,
    exp_pair,
    exp_parts_near,
    ldexp,
    or_far,
    scaled,
)
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product, two_prod, two_sum
from tapecli.records import NamedTuple

INF, NAN = math.inf, math.nan


def _near_one(b: Lanes, m: Val, inverses: Sequence[float], logs: Sequence[float]) -> tuple[Val, Val, Val]:
    """For m as `significand` gives it: c, log(1/c), and r = c m - 1."""
    inverse, log_inverse = b.lookup(b.to_bits(m) >> 48, inverses, logs)
    return inverse, log_inverse, less_product(b, b.const(-1.0), -m, inverse)


def _summed(b: Lanes, k: Val, high: Val, r: Val, rest: Any = None) -> Val:
    """k log 2 + high + log(1 + r) + rest."""
    low = k * t.LN2_LOG[1]
    if rest is not None:
        low = low + rest
    return b.mad(k, t.LN2_LOG[0], high) + (r + b.mad(r * r, b.poly(r, t.LOG_SHORT), low))


def log(b: Lanes, x: Val) -> Val:
    m, k = b.significand(x)
    _, high, r = _near_one(b, m, t.INVERSES, t.LOG_INVERSES)
    return _summed(b, k, high, r)


def log_of(b: Lanes, m: Val, k: Val, more: Val) -> Val:
    """log((m + more) 2^k), m and k as `significand` gives them."""
    inverse, high, r = _near_one(b, m, t.INVERSES, t.LOG_INVERSES)
    r, e = two_sum(r, more * inverse)
    return _summed(b, k, high, r, e)


def log_pair_of(b: Lanes, m: Val, k: Val, more: Any = None) -> Pair:
    """The same as a pair, to about 2^-65."""
    inverse, high = b.lookup(b.to_bits(m) >> 48, t.INVERSES, t.LOG_INVERSES)
    p, e = two_prod(b, m, inverse)
    r, lo = fast_two_sum(p - 1.0, e if more is None else b.mad(more, inverse, e))
    square, square_lo = two_prod(b, r, r)
    cube, cube_lo = two_prod(b, r, square)
    # log(1 + r) = r - r^2/2 + r^3 (1/3 + r W)
    third, e3 = two_prod(b, cube, t.THIRD[0])
    e3 = b.mad(cube, b.mad(r, b.poly(r, t.LOG_PAIR), t.THIRD[1]), b.mad(cube_lo, t.THIRD[0], e3))
    s, e0 = fast_two_sum(b.mad(k, t.LN2_LOG[0], high), r)
    s, e1 = fast_two_sum(s, -0.5 * square)
    s, e2 = fast_two_sum(s, third)
    rest = b.mad(-0.5, square_lo, b.mad(-lo, r, lo))
    return fast_two_sum(s, ((e3 + rest) + b.mad(k, t.LN2_LOG[1], e0)) + (e1 + e2))


def with_rest(b: Lanes, x: Val, low: Val) -> tuple[Val, Val, Val]:
    """x + low = (m + more) 2^k for a normal x > 0: m, k, more."""
    m, k = b.significand(x)
    # 2^-k by the bits of both
    power = b.from_bits(b.to_bits(m) - b.to_bits(x) + (1023 << 52))
    return m, k, low * power


def plus_one(b: Lanes, q: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """1 + q + low = (m + more) 2^k: m, k, more."""
    u, c = two_sum(b.const(1.0), q)
    if low is not None:
        c = c + low
    m, k, more = with_rest(b, u, c)
    return m, k, b.select(u < 2.0**1000, more, 0.0)  # beyond it counts for nothing


def log1p(b: Lanes, x: Val) -> Val:
    m, k, more = plus_one(b, x)
    inverse, high, r = _near_one(b, m, t.INVERSES, t.LOG_INVERSES)
    y = _summed(b, k, high, r + more * inverse)  # next to 1 this sum is x
    return b.select(b.abs(x) < 2.0**-54, x, y)


def log_pair(b: Lanes, x: Val, low: Any = None) -> Pair:
    """log(x + low) for 0 < x < infinity, as a pair."""
    return log_pair_of(b, *(b.significand(x) if low is None else with_rest(b, x, low)))


def log1p_pair(b: Lanes, q: Val, low: Any = None) -> Pair:
    """log(1 + q + low) for -1 < q < infinity, as a pair."""
    return log_pair_of(b, *plus_one(b, q, low))


class Base(NamedTuple):
    """Tables for logarithms to a base: those of c and log(1/c), log 2 in two parts, 1/log(base) as a pair, and the
    polynomial (log(1 + r)/log(base) - r/log(base))/r^2."""

    inverses: tuple[float, ...]
    logs: tuple[float, ...]
    two: tuple[float, ...]
    per: tuple[float, ...]
    short: tuple[float, ...]


BINARY = Base(t.INVERSES_2, t.LOG2_INVERSES, (1.0, 0.0), t.LOG2E, t.LOG2_SHORT)
DECIMAL = Base(t.INVERSES_10, t.LOG10_INVERSES, t.LOG10_2, t.LOG10E, t.LOG10_SHORT)


def _log_base(b: Lanes, x: Val, base: Base) -> Val:
    m, k = b.significand(x)
    _, high, r = _near_one(b, m, base.inverses, base.logs)
    p, e = two_prod(b, r, base.per[0])
    low = b.mad(r, base.per[1], e)
    if base.two[1]:
        low = b.mad(k, base.two[1], low)
    return b.mad(k, base.two[0], high) + (p + b.mad(r * r, b.poly(r, base.short), low))


def log2(b: Lanes, x: Val) -> Val:
    return _log_base(b, x, BINARY)


def log10(b: Lanes, x: Val) -> Val:
    return _log_base(b, x, DECIMAL)


def softplus(b: Lanes, x: Val) -> Val:
    """max(x, 0) + log(1 + exp(-|x|))."""
    y = b.select(x > 0.0, x, 0.0) + log1p(b, exp(b, -b.abs(x)))
    return b.select(b.isnan(x), x, y)


def logit(b: Lanes, p: Val) -> Val:
    """log(p/(1 - p)) of the quotient as a pair."""
    inside = (p > 0.0) & (p < 1.0)
    v = b.select(inside, p, 0.5)
    h, lo = pairs.div(b, (v, b.const(0.0)), fast_two_sum(b.const(1.0), -v))
    y = log_of(b, *with_rest(b, h, b.select(h > 2.0**-900, lo, 0.0)))
    return b.select(inside, y, b.select(p.eq(0.0), -INF, b.select(p.eq(1.0), INF, b.const(NAN))))


def logaddexp(b: Lanes, x: Val, y: Val) -> Val:
    """max + log(1 + exp(-|x - y|)); where that cancels, a Newton step with exponentials of 100 bits."""
    from tapecli.engines.native.library import careful

    above = x > y
    top, less = b.select(above, x, y), b.select(above, y, x)
    finite = (b.abs(x) < INF) & (b.abs(y) < INF)
    d, dl = two_sum(b.select(finite, less, 0.0), -b.select(finite, top, 0.0))
    far = d < -800.0
    h, lo, bits = exp_pair(b, b.select(far, -800.0, d), b.select(far, 0.0, dl))
    parts = plus_one(b, ldexp(b, h, bits), ldexp(b, lo, bits))
    ends = b.select(b.isnan(x) | b.isnan(y), x + y, b.select(x.eq(y), x, top))
    out = b.select(finite, pairs.joined(pairs.add1(log_pair_of(b, *parts), top)), ends)
    hard = (top < 0.0) & (b.abs(out) < -0.0625 * top) & finite & (top > -1.0)

    def once_more(v: Val, w: Val, z: Val) -> list[Val]:
        one = Lanes(v.code, "double", 1)
        low = one.select(w < -700.0, -700.0, w)
        e = pairs.add(careful.exp(one, two_sum(v, -z)), careful.exp(one, two_sum(low, -z)))
        return [z + ((e[0] - 1.0) + e[1])]

    def mended() -> list[Val]:
        best = b.code.each_lane(once_more, [top, less, out], ["double"])[0]
        return [b.select(hard, best, out)]

    return b.code.branch(b.code.any(hard), mended, lambda: [out])[0]


def _power(b: Lanes, log: Pair, y: tuple[Val, Val | None], factor: Any = None) -> tuple[Val, Val]:
    """`factor exp(y log)` where that is far from the ends, and where it is. The logarithm of what has none is nan, so
    one comparison tells."""
    h, lo = two_prod(b, y[0], log[0])
    lo = b.mad(y[0], log[1], lo)
    if y[1] is not None:
        lo = b.mad(y[1], log[0], lo)
    power, s, k = exp_parts_near(b, h, lo)
    value = scaled(b, b.mad(power, s, power), k)
    return value if factor is None else value * factor, b.abs(h) <= 700.0


class Power:
    """|x|^y = (h + lo) 2^k with y as a pair, and what its sign and ends are, for any x and y."""

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
    """exp(y log x) in pairs; signs and ends as IEEE 754, 9.2.1."""
    value, usual = _power(b, log_pair(b, x), (y, None))

    def careful() -> Val:
        power = Power(b, x, (y, None))
        return power.ends(power.value())

    return or_far(b, usual, value, careful)


def _derivative(b: Lanes, x: Val, y: Val, factor: Val, less: float) -> Val:
    """`factor x^(y - less)`."""
    exponent = two_sum(y, b.const(-less))
    value, usual = _power(b, log_pair(b, x), exponent, factor)

    def careful() -> Val:
        power = Power(b, x, exponent)
        edge = power.a.eq(0.0) | power.a.eq(INF) | b.abs(y).eq(INF)
        ends = power.ends(b.const(1.0))
        return b.select(factor.eq(0.0), 0.0, b.select(edge, factor * ends, power.value(factor) * ends))

    return or_far(b, usual, value, careful)


def power_dx(b: Lanes, x: Val, y: Val) -> Val:
    """y x^(y-1), and 0 where y is 0."""
    return _derivative(b, x, y, y, 1.0)


def power_dxx(b: Lanes, x: Val, y: Val) -> Val:
    """y (y-1) x^(y-2), and 0 where y is 0 or 1."""
    return _derivative(b, x, y, y * (y - 1.0), 2.0)


def _limit_of_log(b: Lanes, x: Val) -> Val:
    return b.select(x.eq(0.0), -INF, b.select(x > 0.0, x, b.const(NAN)))


def power_log(b: Lanes, x: Val, y: Val, k: int) -> Val:
    """x^y log(x)^k; 0 at x = 0, y >= 0."""

    def to_k(v: Val) -> Val:
        product = v
        for _ in range(k - 1):
            product = product * v
        return product

    log = log_pair(b, x)
    value, usual = _power(b, log, (y, None), to_k(pairs.joined(log)))

    def careful() -> Val:
        log = log_pair(b, b.abs(x))
        power = Power(b, x, (y, None), log)
        inside = (x > 0.0) & (x < INF)
        of_log = to_k(b.select(inside, pairs.joined(log), _limit_of_log(b, x)))
        finite = inside & (b.abs(y) < INF)
        found = b.select(finite, power.value(of_log), power.ends(power.value()) * of_log)
        return b.select(x.eq(0.0) & (y >= 0.0), 0.0, found)

    return or_far(b, usual, value, careful)


def power_dxy(b: Lanes, x: Val, y: Val) -> Val:
    """x^(y-1) (1 + y log x); at x = 0 its limit, 0 at the origin."""
    exponent = two_sum(y, b.const(-1.0))

    def factor_of(log: Pair) -> Val:
        return pairs.joined(pairs.add(pairs.mul1(b, log, y), (b.const(1.0), b.const(0.0))))

    log = log_pair(b, x)
    value, usual = _power(b, log, exponent, factor_of(log))

    def careful() -> Val:
        log = log_pair(b, b.abs(x))
        power = Power(b, x, exponent, log)
        inside = (x > 0.0) & (x < INF) & (b.abs(y) < INF)
        slope = y * power.ends(power.value())
        found = b.select(inside, power.value(factor_of(log)), slope * (1.0 / y + _limit_of_log(b, x)))
        return b.select(x.eq(0.0) & ((y > 1.0) | y.eq(0.0)), 0.0, found)

    return or_far(b, usual, value, careful)
