"""exp and what is made of it.

x = k log(2)/16 + r with log 2 in parts (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980),
exp(x) = 2^k' T (1 + s): T next to 2^(j/16) from a table, s = exp(r) - 1 (P.-T. P. Tang, Table-driven implementation of
the exponential function, ACM Trans. Math. Software 15, 1989); r is a little shifted, so that T is as good as exact (S.
Gal and B. Bachelis, An accurate elementary mathematical library, ACM Trans. Math. Software 17, 1991). exp(x) - 1 is s
where x is small, and the difference of 2^k' T and 1 is exact next to 1. Pairs where more digits are needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product

#: Adding this brings a whole number into the low bits of a double (|x| < 2^51).
MAGIC = 1.5 * 2.0**52
MAGIC_BITS = 0x4338000000000000
#: What stands for k = 0 where k comes from a number of sixteenths.
ZERO = MAGIC_BITS >> 4
INF = math.inf
#: Up to which |x| a result is surely normal, and where it is infinite and 0.
Ends = tuple[float, float, float]


def nearest(b: Lanes, x: Val, factor: float) -> tuple[Val, Val]:
    """The whole number nearest to `x * factor`, as a float, and with its bits in the low ones of an integer."""
    shifted = b.mad(x, factor, MAGIC)
    return shifted - MAGIC, b.to_bits(shifted)


def power_of_two(b: Lanes, k: Val, plus: int = 0) -> Val:
    """2^(k + plus) for the integer k in the low bits, where that is a normal number."""
    return b.from_bits((k + (1023 + plus)) << 52)


def scaled(b: Lanes, y: Val, k: Val, plus: int = 0) -> Val:
    """`y * 2^(k + plus)` where y and that are normal numbers."""
    return b.from_bits(b.to_bits(y) + ((k + plus if plus else k) << 52))


def ldexp(b: Lanes, y: Val, k: Val, plus: int = 0) -> Val:
    """`y * 2^(k + plus)` with one rounding, for -2000 < k < 2000, k as `sixteenths` gives it."""
    up = k - (ZERO - 4096 - plus)
    half = up >> 1
    first = b.from_bits((half + (1023 - 2048)) << 52)
    second = b.from_bits((up - half + (1023 - 2048)) << 52)
    return (y * first) * second


def sixteenths(b: Lanes, r: Val, bits: Val, rest: Any = None) -> tuple[Val, Val, Val]:
    """2^(n/16) exp(r + rest), n in the low bits of an integer from `nearest`, |r| <= log(2)/32: T, s and k, it being
    T (1 + s) 2^k."""
    power, shift = b.lookup(bits, t.POWERS, t.POWER_SHIFTS)
    r = r - shift
    p = b.poly(r, t.EXP_SHORT)
    return power, b.mad(r * r, p, r) if rest is None else r + b.mad(r * r, p, rest), bits >> 4


def _less_multiple(b: Lanes, x: Val) -> tuple[Val, Val, Val]:
    """The n nearest to x/(log(2)/16), its bits, and x less n times the first part of log(2)/16, which is exact."""
    n, bits = nearest(b, x, 16.0 * t.LOG2E[0])
    return n, bits, b.mad(n, -t.LN2_CUT[0] / 16.0, x)


def reduced(b: Lanes, x: Val) -> tuple[Val, Val, Val]:
    """x = n log(2)/16 + r: r, what the rounding of r has lost, and the bits of n."""
    n, bits, top = _less_multiple(b, x)
    less = n * (t.LN2_CUT[1] / 16.0)
    r = top - less
    return r, (top - r) - less, bits


def exp_parts(b: Lanes, x: Val) -> tuple[Val, Val, Val]:
    """exp(x) = T (1 + s) 2^k."""
    n, bits, top = _less_multiple(b, x)
    return sixteenths(b, b.mad(n, -t.LN2_CUT[1] / 16.0, top), bits)


def exp_parts_near(b: Lanes, x: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """exp(x + low) likewise, s to one rounding, for the difference from 1; |low| is at most a rounding of x."""
    r, rest, bits = reduced(b, x)
    if low is not None:
        rest = rest + low
        rest = b.mad(rest, r, rest)
    return sixteenths(b, r, bits, rest)


def exp_pair(b: Lanes, x: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """exp(x + low) = (h + lo) 2^k, to about 2^-58: h, lo, and k for `ldexp`."""
    power, s, k = exp_parts_near(b, x, low)
    return *fast_two_sum(power, power * s), k


def exp(b: Lanes, x: Val) -> Val:
    return _whole(b, x, exp_parts(b, x), (708.0, 710.0, -746.0))


def _whole(b: Lanes, x: Val, parts: tuple[Val, Val, Val], ends: Ends) -> Val:
    """T (1 + s) 2^k; where some |x| is not inside of where that is normal, the long way and with the ends."""
    inside, top, bottom = ends
    y, k = b.mad(parts[0], parts[1], parts[0]), parts[2]
    usual = b.abs(x) <= inside

    def long() -> list[Val]:
        return [b.select(x > top, INF, b.select(x < bottom, 0.0, ldexp(b, y, k)))]

    return b.code.branch(b.code.any(~usual), long, lambda: [scaled(b, y, k)])[0]


def exp2(b: Lanes, x: Val) -> Val:
    n, bits = nearest(b, x, 16.0)
    parts = sixteenths(b, (x - n * 0.0625) * t.LN2[0], bits)
    return _whole(b, x, parts, (1021.0, 1025.0, -1080.0))


def exp10(b: Lanes, x: Val) -> Val:
    n, bits = nearest(b, x, 16.0 * t.LOG10_2_INVERSE)
    r = b.mad(n, -t.LOG10_2_CUT[1] / 16.0, b.mad(n, -t.LOG10_2_CUT[0] / 16.0, x))
    return _whole(b, x, sixteenths(b, r * t.LN10[0], bits), (307.0, 309.0, -325.0))


def _within(b: Lanes, x: Val, low: float, high: float) -> Val:
    """`x` kept between two bounds; nan stays."""
    x = b.select(x > high, high, x)
    return b.select(x < low, low, x)


def expm1(b: Lanes, x: Val) -> Val:
    power, s, k = exp_parts_near(b, _within(b, x, -40.0, 710.0))
    half = scaled(b, power, k, -1)
    return b.select(b.abs(x) < 2.0**-54, x, 2.0 * b.mad(half, s, half - 0.5))


def _exp_neg(b: Lanes, a: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """exp(-(a + low)) for a >= 0 as by `exp_pair`, in range for any a."""
    far = a > 800.0
    return exp_pair(b, -b.select(far, 800.0, a), None if low is None else -b.select(far, 0.0, low))


def _less_half(b: Lanes, e: Val, s: Val) -> Pair:
    """e (1 + s) - 1/2, and what its rounding has lost."""
    less = e - 0.5
    h = b.mad(e, s, less)
    return h, b.mad(e, s, less - h)


def _beside_one(b: Lanes, a: Val) -> tuple[Pair, Pair]:
    """(exp(2a) - 1)/2 and (exp(2a) + 1)/2 for a >= 0 as pairs; from 300 on those of 300."""
    a = b.select(a > 300.0, 300.0, a)
    power, s, k = exp_parts_near(b, a + a)
    less = _less_half(b, scaled(b, power, k, -1), s)
    more = less[0] + 1.0
    return less, (more, (1.0 - more) + less[0])


def tanh(b: Lanes, x: Val) -> Val:
    """(E - 1)/(E + 1), E = exp(2|x|), corrected for what the rounding of E + 1 has lost."""
    less, more = b.once(_beside_one, b.abs(x))
    q = less[0] / more[0]
    return b.copysign(b.mad(-q * more[1], 1.0 / more[0], q), x)


def or_far(b: Lanes, usual: Val, y: Val, f: Callable[[], Val]) -> Val:
    """`y`, and `f()` in the lanes that are not usual."""
    return b.code.branch(b.code.any(~usual), lambda: [b.select(usual, y, f())], lambda: [y])[0]


def sech2(b: Lanes, x: Val) -> Val:
    """w (2 - w), w = 2/(exp(2|x|) + 1); beyond 300 it is 4 exp(-2|x|)."""
    a = b.abs(x)
    _, more = b.once(_beside_one, a)
    w = 1.0 / more[0]
    return or_far(b, a <= 300.0, b.mad(-w, w, w + w), lambda: 4.0 * exp(b, -2.0 * a))


def _halves(b: Lanes, a: Val) -> tuple[Val, Val]:
    """exp(a)/2 in two factors, E and 1 + s, for a >= 0; from 711 on that of 711."""
    power, s, k = exp_parts_near(b, b.select(a > 711.0, 711.0, a))
    return scaled(b, power, k, -1), s


def _sinh_parts(b: Lanes, a: Val) -> Pair:
    """(D + D/(D + 1))/2, D = exp(a) - 1, halved throughout, as two numbers to be added; a >= 0."""
    e, s = _halves(b, a)
    d, lost = _less_half(b, e, s)
    return d, b.mad(0.5, d / b.mad(e, s, e), lost + lost * 0.5)


def sinh(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    y = pairs.joined(_sinh_parts(b, a))
    return b.copysign(b.select(a > 711.0, INF, y), x)


def cosh(b: Lanes, x: Val) -> Val:
    """(D + 1/D)/2, D = exp(|x|)."""
    a = b.abs(x)
    e, s = _halves(b, a)
    d = b.mad(e, s, e)
    return b.select(a > 711.0, INF, d + 0.25 / d)


def _one_more(b: Lanes, h: Val, lo: Val, k: Val) -> tuple[Pair, Val]:
    """1 + (h + lo) 2^k for k <= 0, and 2^k, which is 0 where it is too small to count."""
    power = b.select(k < ZERO - 900, 0.0, power_of_two(b, k))
    s = fast_two_sum(b.const(1.0), h * power)
    return (s[0], s[1] + lo * power), power


def logistic(b: Lanes, x: Val, low: Any = None) -> Val:
    """1 or e, over 1 + e, e = exp(-|x + low|)."""
    negative = x < 0.0
    h, lo, k = _exp_neg(b, b.abs(x), None if low is None else b.select(negative, -low, low))
    below, _ = _one_more(b, h, lo, k)
    y = pairs.ratio(b, (b.select(negative, h, 1.0), b.select(negative, lo, 0.0)), below)
    return b.select(negative, ldexp(b, y, k), y)


def bell(b: Lanes, a: Val, plus: int, low: Any = None) -> Val:
    """2^plus e/(1 + e)^2, e = exp(-(a + low))."""
    h, lo, k = _exp_neg(b, a, low)
    below, _ = _one_more(b, h, lo, k)
    return ldexp(b, pairs.ratio(b, (h, lo), pairs.mul(b, below, below)), k, plus)


def _lesser_share(b: Lanes, x: Val) -> Val:
    """1/(1 + exp(|x|)); beyond 700 it is exp(-|x|)."""
    a = b.abs(x)
    power, s, k = exp_parts(b, a)
    e = scaled(b, power, k)
    return or_far(b, a <= 700.0, 1.0 / (e + b.mad(e, s, 1.0)), lambda: exp(b, -a))


def sigmoid(b: Lanes, x: Val) -> Val:
    """w or 1 - w, w = 1/(1 + exp(|x|)); a third of the work of `logistic`, at 1.8 instead of 0.6 units in the last
    place."""
    w = b.once(_lesser_share, x)
    return b.select(x < 0.0, w, 1.0 - w)


def sigmoid_d1(b: Lanes, x: Val) -> Val:
    """w (1 - w), w = 1/(1 + exp(|x|))."""
    w = b.once(_lesser_share, x)
    return b.mad(-w, w, w)


def _difference(b: Lanes, x: Val, y: Val) -> Pair:
    """x - y as a pair; equal infinities differ by 0."""
    d, e = pairs.two_sum(x, -y)
    finite = b.abs(d) < INF
    return b.select(x.eq(y), 0.0, d), b.select(finite, e, 0.0)


def logaddexp_share(b: Lanes, x: Val, y: Val) -> Val:
    """sigmoid(x - y), the difference taken exactly."""
    return logistic(b, *_difference(b, x, y))


def logaddexp_d2(b: Lanes, x: Val, y: Val) -> Val:
    """The derivative of sigmoid at x - y."""
    d, e = _difference(b, x, y)
    negative = d < 0.0
    return bell(b, b.abs(d), 0, b.select(negative, -e, e))


def sech(b: Lanes, x: Val) -> Val:
    """2 e/(1 + e^2), e = exp(-|x|)."""
    h, lo, k = _exp_neg(b, b.abs(x))
    _, power = _one_more(b, h, lo, k)
    e = h * power, lo * power
    square = pairs.mul(b, e, e)
    s = fast_two_sum(b.const(1.0), square[0])
    return ldexp(b, pairs.ratio(b, (h, lo), (s[0], s[1] + square[1])), k, 1)


def _mended_inverse(b: Lanes, p: Pair) -> Val:
    """1 over a pair to one rounding."""
    r = 1.0 / p[0]
    return b.mad(r, b.mad(-r, p[1], less_product(b, b.const(1.0), r, p[0])), r)


def csch(b: Lanes, x: Val) -> Val:
    """1/sinh; 2 exp(-|x|) where that is all."""
    a = b.abs(x)
    h, lo, k = _exp_neg(b, a)
    whole = fast_two_sum(*_sinh_parts(b, b.select(a > 40.0, 40.0, a)))
    near = b.select(whole[0] > 2.0**-1000, _mended_inverse(b, whole), 1.0 / whole[0])
    y = b.select(a > 40.0, ldexp(b, h + lo, k, 1), near)
    return b.copysign(y, x)


def coth(b: Lanes, x: Val) -> Val:
    """(E + 1)/(E - 1), E = exp(2|x|)."""
    less, more = b.once(_beside_one, b.abs(x))
    q = more[0] / less[0]
    rest = less_product(b, more[0], q, less[0]) + b.mad(-q, less[1], more[1] + less[1])
    return b.copysign(q + b.select(q < INF, rest / less[0], 0.0), x)


def sech_d1(b: Lanes, x: Val) -> Val:
    """-sech tanh."""
    return -(sech(b, x) * tanh(b, x))


def sech_d2(b: Lanes, x: Val) -> Val:
    """sech (1 - 2 sech^2); near its zero t by sinh(a) - sinh(t) as a product."""
    a = b.abs(x)
    s = sech(b, x)
    d = 0.5 * ((a - t.SECH_TURN[0]) - t.SECH_TURN[1])
    close = b.abs(d) < 0.125
    v = b.select(close, a, 1.0)
    w = b.select(close, d, 0.0)
    near = s * s * s * ((sinh(b, v) + 1.0) * (2.0 * cosh(b, w + t.SECH_TURN[0])) * sinh(b, w))
    return b.select(close, near, s * (1.0 - 2.0 * sech2(b, x)))


def exp_neg_sq(b: Lanes, x: Val) -> Val:
    """exp(-x^2), the square taken exactly."""
    h, lo, k = _gauss(b, x)
    return ldexp(b, h + lo, k)


def exp_neg_sq_d1(b: Lanes, x: Val) -> Val:
    """-2 x exp(-x^2)."""
    h, lo, k = _gauss(b, x)
    v = _within(b, x, -40.0, 40.0)
    return ldexp(b, (-2.0 * v) * (h + lo), k)


def _gauss(b: Lanes, x: Val) -> tuple[Val, Val, Val]:
    s, e = pairs.square(b, _within(b, x, -30.0, 30.0))
    return exp_pair(b, -s, -e)
