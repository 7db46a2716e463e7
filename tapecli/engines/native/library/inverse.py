"""Inverse circular and hyperbolic functions, roots and lengths.

atan: an argument reduced by 0, pi/4 or pi/2 to |t| <= tan(pi/8), the quotient t taken as a pair. asin and acos:
a polynomial up to 1/2, beyond by asin(x) = pi/2 - 2 asin(sqrt((1 - x)/2)) (W. J. Cody and W. Waite, Software Manual for
the Elementary Functions, 1980). Inverse hyperbolic functions are log(1 + q) of a pair q in which nothing cancels.
"""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Lanes, Val
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.logarithm import log1p_pair, log_pair
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, two_sum

INF, NAN = math.inf, math.nan
#: tan(pi/8) and tan(3 pi/8)
NARROW, WIDE = math.sqrt(2.0) - 1.0, math.sqrt(2.0) + 1.0
#: Where x^2 is all there is of x^2 + 1.
LARGE = 2.0**60


def _atan_pair(b: Lanes, num: Pair, den: Pair, base: Pair) -> Val:
    """base + atan(num/den), |num| <= tan(pi/8) |den|."""
    h, low = pairs.div(b, num, den)
    w = h * h
    rest = low + h * (w * b.poly(w, t.ATAN))
    s, e = two_sum(base[0], h)
    return s + (e + (base[1] + rest))


def atan(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    high, middle = a > WIDE, a > NARROW
    zero = b.const(0.0)
    less, more = two_sum(a, b.const(-1.0)), two_sum(a, b.const(1.0))
    num = pairs.select(b, high, (b.const(-1.0), zero), pairs.select(b, middle, less, (a, zero)))
    den = pairs.select(b, high, (a, zero), pairs.select(b, middle, more, (b.const(1.0), zero)))
    quarter, half = pairs.constant(b, t.QUARTER_PI), pairs.constant(b, t.HALF_PI[:2])
    base = pairs.select(b, high, half, pairs.select(b, middle, quarter, (zero, zero)))
    y = _atan_pair(b, num, den, base)
    y = b.select(a > 2.0**60, t.HALF_PI[0], y)
    return b.select(a > 2.0**-27, b.copysign(y, x), x)


def atan2(b: Lanes, y: Val, x: Val) -> Val:
    """The angle of (x, y): atan of the lesser over the greater, turned to its octant and quadrant."""
    a, c = b.abs(y), b.abs(x)
    infinite = a.eq(INF) & c.eq(INF)
    a, c = b.select(infinite, 1.0, a), b.select(infinite, 1.0, c)
    big, small = (a > 2.0**500) | (c > 2.0**500), (a < 2.0**-500) & (c < 2.0**-500)
    scale = b.select(big, 2.0**-600, b.select(small, 2.0**400, b.const(1.0)))
    a, c = a * scale, c * scale
    high, middle = a > WIDE * c, a > NARROW * c
    zero = b.const(0.0)
    num = pairs.select(b, high, (-c, zero), pairs.select(b, middle, two_sum(a, -c), (a, zero)))
    den = pairs.select(b, high, (a, zero), pairs.select(b, middle, two_sum(a, c), (c, zero)))
    den = (b.select(den[0].eq(0.0) | den[0].eq(INF), 1.0, den[0]), den[1])
    num = (b.select(b.abs(num[0]).eq(INF) | c.eq(INF) | a.eq(INF), 0.0, num[0]), b.select(b.isnan(num[1]), 0.0, num[1]))
    quarter, half = pairs.constant(b, t.QUARTER_PI), pairs.constant(b, t.HALF_PI[:2])
    base = pairs.select(b, high, half, pairs.select(b, middle, quarter, (zero, zero)))
    left = b.copysign(1.0, x) < 0.0
    whole = pairs.constant(b, t.PI)
    base = pairs.select(b, left, pairs.add(whole, pairs.neg(base)), base)
    num = pairs.select(b, left, pairs.neg(num), num)
    h, low = pairs.div(b, num, den)
    w = h * h
    rest = low + h * (w * b.poly(w, t.ATAN))
    s, e = two_sum(base[0], h)
    angle = s + (e + (base[1] + rest))
    # y so small beside x > 0 that the quotient may leave the normal numbers
    tiny = ~left & (a < c * 2.0**-500)
    angle = b.select(tiny, b.abs(y) / b.abs(x), angle)
    angle = b.select(b.isnan(x) | b.isnan(y), x + y, b.copysign(angle, y))
    return angle


def _asin_near(b: Lanes, h: Val, w: Val) -> Val:
    """asin(h) - h, w = h^2 <= 1/4."""
    return h * (w * b.poly(w, t.ASIN))


def _asin_parts(b: Lanes, x: Val) -> tuple[Val, Pair, Val]:
    """|x| > 1/2, and the argument of the polynomial as a pair (x itself, or sqrt((1 - |x|)/2)), and its square."""
    a = b.abs(x)
    far = a > 0.5
    z = 0.5 * (1.0 - a)
    root = pairs.sqrt(b, (b.select(z > 0.0, z, b.const(0.0)), b.const(0.0)))
    h, low = pairs.select(b, far, root, (a, b.const(0.0)))
    return far, (h, low), b.select(far, z, a * a)


def asin(b: Lanes, x: Val) -> Val:
    far, (h, low), w = _asin_parts(b, x)
    rest = low + _asin_near(b, h, w)
    turned = t.HALF_PI[0] - 2.0 * h, t.HALF_PI[1] - 2.0 * rest
    s, e = two_sum(b.const(t.HALF_PI[0]), -2.0 * h)
    y = b.select(far, s + (e + turned[1]), h + rest)
    y = b.copysign(y, x)
    y = b.select(b.abs(x) < 2.0**-27, x, y)
    return b.select(b.abs(x) <= 1.0, y, NAN)


def acos(b: Lanes, x: Val) -> Val:
    far, (h, low), w = _asin_parts(b, x)
    rest = low + _asin_near(b, h, w)
    left = x < 0.0
    # 2 asin(s), pi - 2 asin(s), or pi/2 - asin(x)
    s, e = two_sum(b.const(t.PI[0]), -2.0 * h)
    around = b.select(left, s + (e + (t.PI[1] - 2.0 * rest)), 2.0 * (h + rest))
    h, rest = b.select(left, -h, h), b.select(left, -rest, rest)
    s, e = two_sum(b.const(t.HALF_PI[0]), -h)
    y = b.select(far, around, s + (e + (t.HALF_PI[1] - rest)))
    return b.select(b.abs(x) <= 1.0, y, NAN)


# ---- inverse hyperbolic functions ----


def _log_twice(b: Lanes, a: Val) -> Val:
    """log(2a)."""
    h, low = log_pair(b, a)
    s, e = two_sum(h, b.const(t.LN2[0]))
    return s + (e + (low + t.LN2[1]))


def _inside(b: Lanes, mask: Val, x: Val) -> Val:
    return b.select(mask, x, 1.0)


def asinh(b: Lanes, x: Val) -> Val:
    """log(1 + a + a^2/(1 + sqrt(1 + a^2)))."""
    a = b.abs(x)
    large = a > LARGE
    v = b.select(large | b.isnan(a), 1.0, a)
    square = pairs.square(b, v)
    root = pairs.sqrt(b, pairs.add1(square, b.const(1.0)))
    q = pairs.add1(pairs.div(b, square, pairs.add1(root, b.const(1.0))), v)
    h, low = log1p_pair(b, q[0], q[1])
    y = b.select(large, _log_twice(b, _inside(b, large & (a < INF), a)), h + low)
    y = b.select(a.eq(INF) | b.isnan(a), a, y)
    return b.select(a < 2.0**-27, x, b.copysign(y, x))


def acosh(b: Lanes, x: Val) -> Val:
    """log(1 + d + sqrt(d (d + 2))), d = x - 1."""
    large = x > LARGE
    usual = (x > 1.0) & ~large
    v = b.select(usual, x, 2.0)
    d = two_sum(v, b.const(-1.0))
    root = pairs.sqrt(b, pairs.mul(b, d, two_sum(v, b.const(1.0))))
    q = pairs.add(root, d)
    h, low = log1p_pair(b, q[0], q[1])
    y = b.select(large, _log_twice(b, _inside(b, large & (x < INF), x)), h + low)
    y = b.select(usual | (large & (x < INF)), y, b.select(x.eq(1.0), 0.0, b.const(NAN)))
    return b.select(x.eq(INF), INF, y)


def _half_log(b: Lanes, num: Val, d: Pair) -> Val:
    """log(1 + num/d)/2."""
    q = pairs.div(b, (num, b.const(0.0)), d)
    h, low = log1p_pair(b, q[0], q[1])
    return 0.5 * (h + low)


def atanh(b: Lanes, x: Val) -> Val:
    """log(1 + 2a/(1 - a))/2."""
    a = b.abs(x)
    inside = a < 1.0
    v = b.select(inside, a, 0.5)
    y = _half_log(b, 2.0 * v, two_sum(b.const(1.0), -v))
    y = b.select(inside, y, b.select(a.eq(1.0), INF, b.const(NAN)))
    return b.select(a < 2.0**-27, x, b.copysign(y, x))


def acoth(b: Lanes, x: Val) -> Val:
    """log(1 + 2/(a - 1))/2."""
    a = b.abs(x)
    outside = a > 1.0
    v = b.select(outside & (a < LARGE), a, 2.0)
    y = _half_log(b, b.const(2.0), two_sum(v, b.const(-1.0)))
    y = b.select(a >= LARGE, 1.0 / a, b.select(outside, y, b.select(a.eq(1.0), INF, b.const(NAN))))
    return b.copysign(y, x)


# ---- roots and lengths ----


def cbrt(b: Lanes, x: Val) -> Val:
    """A third of the exponent, two steps of Halley, and one of Newton with the cube in pairs."""
    a = b.abs(x)
    tiny, large = a < 2.0**-1000, a > 2.0**1000
    v = b.select(tiny, a * 2.0**300, b.select(large, a * 2.0**-300, a))
    usual = (v > 0.0) & (v < INF)
    v = b.select(usual, v, 1.0)
    # a third of the bits, by the high word's 32 bits: i*(2^32/3) without leaving 64 bits
    i = b.to_bits(v)
    third = ((i >> 32) * 1431655766) >> 32
    y = b.from_bits((third + 0x2A9F7893) << 32)
    for _ in range(2):
        cube = (y * y) * y
        y = y * ((cube + 2.0 * v) / (2.0 * cube + v))
    s, e = pairs.square(b, y)
    p, f = pairs.two_prod(b, s, y)
    y = y - ((p - v) + (f + e * y)) / (3.0 * s)
    y = b.select(tiny, y * 2.0**-100, b.select(large, y * 2.0**100, y))
    return b.select(usual, b.copysign(y, x), x)


def hypot(b: Lanes, x: Val, y: Val) -> Val:
    """The squares in pairs, of numbers scaled by a power of two where they are very large or small."""
    a, c = b.abs(x), b.abs(y)
    big, small = b.select(a > c, a, c), b.select(a > c, c, a)
    large, tiny = big > 2.0**500, big < 2.0**-450
    down = b.select(large, 2.0**-600, b.select(tiny, 2.0**550, b.const(1.0)))
    up = b.select(large, 2.0**600, b.select(tiny, 2.0**-550, b.const(1.0)))
    big, small = big * down, small * down
    usual = (big > 0.0) & (big < INF)
    big, small = b.select(usual, big, 1.0), b.select(usual, small, 0.0)
    h, low = pairs.square(b, big)
    k, rest = pairs.square(b, small)
    s, e = fast_two_sum(h, k)
    root = pairs.sqrt(b, (s, e + (low + rest)))
    found = b.select(usual, (root[0] + root[1]) * up, a + c)
    return b.select(a.eq(INF) | c.eq(INF), INF, found)
