"""Inverse functions: angles, and areas (the inverse hyperbolic ones).

All angles come from one core, atan(y/x) for y, x >= 0: for the quotient u of the lesser over the greater, c near it
from a table, and atan u = atan c + atan((u - c)/(1 + c u)), where nothing is lost in u - c, and a short minimax
polynomial for the rest. Areas are log(1 + q) with q as a pair.
"""

from __future__ import annotations

import math
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.exponential import MAGIC
from tapecli.engines.native.library.logarithm import log1p, log_of, plus_one
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product, two_prod, two_sum

INF, NAN = math.inf, math.nan
#: From here on x^2 + 1 is x^2.
BIG = 2.0**28


def angle(b: Lanes, y: Val, x: Val, y_low: Any = None, x_low: Any = None) -> Pair:
    """atan((y + y_low)/(x + x_low)) in [0, pi/2] for y, x >= 0 that are not both 0: the angle of a table, and what is
    to be added to that, at most 1/16."""
    swap = y > x
    num, den = b.select(swap, x, y), b.select(swap, y, x)
    bits = b.to_bits(b.mad(num / den, 16.0 * (1.0 - 2.0**-12), -0.5) + MAGIC)
    (c,) = b.lookup(bits, t.TANGENTS)
    n = less_product(b, num, c, den)
    if y_low is not None:
        n = n + b.select(swap, -c * y_low, y_low)
    if x_low is not None:
        n = n + b.select(swap, x_low, -c * x_low)
    z = n / b.mad(c, num, den)
    z = b.select(swap, -z, z)
    base, rest = b.lookup(b.select(swap, bits | 16, bits & 15), t.ANGLES, t.ANGLES_REST)
    w = z * z
    return base, z + b.mad(z * w, b.poly(w, t.ATAN), rest)


def _beyond(b: Lanes, negative: Val, p: Pair) -> Pair:
    """pi - p where the abscissa is negative."""
    h, e = fast_two_sum(b.const(t.PI[0]), -p[0])
    return b.select(negative, h, p[0]), b.select(negative, e + (t.PI[1] - p[1]), p[1])


def _degrees(b: Lanes, p: Pair) -> Val:
    return pairs.joined(pairs.mul(b, fast_two_sum(*p), pairs.constant(b, t.PER_RADIAN)))


def _atan(b: Lanes, x: Val) -> Pair:
    a = b.abs(x)
    return angle(b, b.select(a > 2.0**60, 2.0**60, a), b.const(1.0))


def atan(b: Lanes, x: Val) -> Val:
    y = b.copysign(pairs.joined(_atan(b, x)), x)
    return b.select(b.abs(x) < 2.0**-28, x, y)


def atand(b: Lanes, x: Val) -> Val:
    small = b.abs(x) < 2.0**-28
    y = _small_degrees(b, b.select(small, x, 0.0))
    return b.select(small, y, b.copysign(_degrees(b, _atan(b, x)), x))


def _small_degrees(b: Lanes, x: Val) -> Val:
    """180/pi x, to one rounding for numbers of any size."""
    h, lo = pairs.mul1(b, pairs.constant(b, t.PER_RADIAN), x * 2.0**200)
    return b.copysign((h + lo) * 2.0**-200, x)


def acot(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    y = pairs.joined(angle(b, b.const(1.0), b.select(a > BIG, BIG, a)))
    return b.select(a > BIG, 1.0 / x, b.copysign(y, x))


def atan2(b: Lanes, y: Val, x: Val) -> Val:
    v, w = b.abs(y), b.abs(x)
    top = b.select(v > w, v, w)
    # scaled by the power of two that brings the greater one near 1
    field = b.to_bits(top) & (0x7FF << 52)
    field = b.select(field.eq(0), 1 << 52, b.select(field > 2045 << 52, 2045 << 52, field))
    power = b.from_bits((2046 << 52) - field)
    endless = top.eq(INF)
    ys = b.select(endless, b.truth(v.eq(INF)), v * power)
    xs = b.select(endless, b.truth(w.eq(INF)), b.select(top.eq(0.0), 1.0, w * power))
    p = angle(b, ys, xs)
    p = _beyond(b, b.copysign(1.0, x) < 0.0, p)
    result = b.copysign(pairs.joined(p), y)
    return b.select(b.isnan(x) | b.isnan(y), x + y, result)


def _arc(b: Lanes, a: Val) -> tuple[Val, Pair]:
    """Whether 0 <= a <= 1 is beyond 1/2, and asin(a) as a pair, or there asin(sqrt((1 - a)/2)), half of acos(a)."""
    beyond = a > 0.5
    z = b.select(beyond, 0.5 * (1.0 - a), a * a)
    root = b.sqrt(b.select(beyond, z, 0.25))
    rest = less_product(b, z, root, root) * (0.5 / b.select(root > 0.0, root, 1.0))
    v = b.select(beyond, root, a)
    return beyond, (v, b.mad(v * z, b.poly(z, t.ASIN), b.select(beyond, rest, 0.0)))


def _right_angle_less(b: Lanes, p: Pair) -> Pair:
    h, e = fast_two_sum(b.const(t.HALF_PI[0]), -p[0])
    return h, e + (t.HALF_PI[1] - p[1])


def _asin(b: Lanes, x: Val) -> Pair:
    beyond, p = _arc(b, b.abs(x))
    return pairs.select(b, beyond, _right_angle_less(b, pairs.scaled(p, 2.0)), p)


def _acos(b: Lanes, x: Val) -> Pair:
    beyond, p = _arc(b, b.abs(x))
    negative = x < 0.0
    signed = pairs.select(b, negative, pairs.neg(p), p)
    return pairs.select(b, beyond, _beyond(b, negative, pairs.scaled(p, 2.0)), _right_angle_less(b, signed))


def asin(b: Lanes, x: Val) -> Val:
    y = b.copysign(pairs.joined(_asin(b, x)), x)
    return b.select(b.abs(x) < 2.0**-28, x, y)


def asind(b: Lanes, x: Val) -> Val:
    small = b.abs(x) < 2.0**-28
    y = _small_degrees(b, b.select(small, x, 0.0))
    return b.select(small, y, b.copysign(_degrees(b, _asin(b, x)), x))


def acos(b: Lanes, x: Val) -> Val:
    return pairs.joined(_acos(b, x))


def acosd(b: Lanes, x: Val) -> Val:
    return _degrees(b, _acos(b, x))


def _hyperbola(b: Lanes, a: Val) -> Pair:
    """sqrt(a^2 - 1)."""
    return pairs.sqrt(b, pairs.mul(b, two_sum(a, b.const(-1.0)), two_sum(a, b.const(1.0))))


def asec(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    a = b.select(a > 2.0**100, 2.0**100, a)
    h, lo = _hyperbola(b, a)
    return pairs.joined(_beyond(b, x < 0.0, angle(b, h, b.const(1.0), y_low=lo)))


def acsc(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    h, lo = _hyperbola(b, b.select(a > BIG, BIG, a))
    y = pairs.joined(angle(b, b.const(1.0), h, x_low=lo))
    return b.select(a > BIG, 1.0 / x, b.copysign(y, x))


# ---- areas


def _log_of_double(b: Lanes, a: Val, parts: tuple[Val, Val, Val], big: Val) -> Val:
    """log(2 a) where `big`, else the logarithm of the parts m, k, more."""
    m, k, more = parts
    ma, ka = b.significand(a)
    return log_of(b, b.select(big, ma, m), b.select(big, ka + 1.0, k), b.select(big, 0.0, more))


def asinh(b: Lanes, x: Val) -> Val:
    """log(1 + a + a^2/(1 + sqrt(1 + a^2)))."""
    a = b.abs(x)
    big = a > BIG
    v = b.select(big, 1.0, a)
    square = v * v
    q = fast_two_sum(v, square / (1.0 + b.sqrt(1.0 + square)))
    y = _log_of_double(b, a, plus_one(b, *q), big)
    y = b.select(a < INF, y, a)
    return b.select(a < 2.0**-28, x, b.copysign(y, x))


def acosh(b: Lanes, x: Val) -> Val:
    """log(1 + d + sqrt(d (d + 2))), d = x - 1."""
    big = x > BIG
    v = b.select(big, 2.0, x)
    d = v - 1.0
    s, e = fast_two_sum(b.const(2.0), d)
    p, pe = two_prod(b, d, s)
    root = b.sqrt(p)
    low = (less_product(b, p, root, root) + b.mad(d, e, pe)) * (0.5 / b.select(root > 0.0, root, 1.0))
    q = two_sum(root, d)
    y = _log_of_double(b, x, plus_one(b, q[0], q[1] + low), big)
    y = b.select(x < INF, y, x)
    return b.select(x >= 1.0, y, NAN)


def atanh(b: Lanes, x: Val) -> Val:
    """(log(1 + a) - log(1 - a))/2: terms of different signs, so nothing cancels."""
    a = b.abs(x)
    y = 0.5 * (log1p(b, a) - log1p(b, -a))
    return b.copysign(y, x)


def acoth(b: Lanes, x: Val) -> Val:
    """log(1 + 2/(a - 1))/2."""
    a = b.abs(x)
    inside = (a > 1.0) & (a < BIG)
    q = pairs.div(b, (b.const(2.0), b.const(0.0)), two_sum(b.select(inside, a, 2.0), b.const(-1.0)))
    y = 0.5 * log_of(b, *plus_one(b, *q))
    y = b.select(a > 1.0, y, b.select(a.eq(1.0), INF, NAN))
    return b.select(a >= BIG, 1.0 / x, b.copysign(y, x))


def acsch(b: Lanes, x: Val) -> Val:
    """log(1 + (1 + 1/(a + sqrt(a^2 + 1)))/a); -log(a/2) where a is tiny."""
    a = b.abs(x)
    tiny = a < 2.0**-29
    v = b.select(tiny, 1.0, b.select(a > BIG, BIG, a))
    u = 1.0 / (v + b.sqrt(1.0 + v * v))
    q = pairs.div(b, fast_two_sum(b.const(1.0), u), (v, b.const(0.0)))
    y = _or_log_of_half(b, a, plus_one(b, *q), tiny)
    y = b.select(a > 0.0, y, b.select(a.eq(0.0), INF, NAN))
    return b.select(a > BIG, 1.0 / x, b.copysign(y, x))


def _or_log_of_half(b: Lanes, a: Val, parts: tuple[Val, Val, Val], tiny: Val) -> Val:
    """-log(a/2) where `tiny`, else the logarithm of the parts m, k, more."""
    m, k, more = parts
    ma, ka = b.significand(a)
    y = log_of(b, b.select(tiny, ma, m), b.select(tiny, ka - 1.0, k), b.select(tiny, 0.0, more))
    return b.select(tiny, -y, y)


def asech_d2(b: Lanes, x: Val) -> Val:
    """(1 - 2 x^2)/(x^2 ((1-x)(1+x))^1.5), the square taken exactly."""
    s, e = pairs.square(b, x)
    c = (1.0 - x) * (1.0 + x)
    return b.select(x < 0.0, NAN, ((1.0 - 2.0 * s) - 2.0 * e) / x / x / (c * b.sqrt(c)))


def asech(b: Lanes, x: Val) -> Val:
    """log(1 + ((1-x) + sqrt((1-x)(1+x)))/x); -log(x/2) where x is tiny."""
    tiny = x < 2.0**-29
    v = b.select(tiny | (x > 1.0), 1.0, x)
    d = fast_two_sum(b.const(1.0), -v)
    s = pairs.sqrt(b, pairs.mul(b, d, fast_two_sum(b.const(1.0), v)))
    q = pairs.div(b, pairs.add(s, d), (v, b.const(0.0)))
    y = _or_log_of_half(b, x, plus_one(b, *q), tiny)
    y = b.select(x > 0.0, y, b.select(x.eq(0.0), INF, NAN))
    return b.select(x > 1.0, NAN, y)
