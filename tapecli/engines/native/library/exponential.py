"""exp and what is made of it.

exp: x = k log 2 + r with log 2 in parts (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980),
exp(r) = 1 + r + r^2 P(r) with a minimax P. expm1, sinh and the like from 2^k (1 + r + ...) - 1 as a pair, where nothing
cancels; quotients of pairs for tanh, sigmoid and their derivatives, so that the result is rounded about once.
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


def ldexp(b: Lanes, y: Val, k: Val, plus: int = 0) -> Val:
    """`y * 2^(k + plus)` with one rounding, for -2000 < k < 2000 in the low bits of an integer from `nearest`."""
    up = k - (MAGIC_BITS - 4096 - plus)
    half = up >> 1
    first = b.from_bits((half + (1023 - 2048)) << 52)
    second = b.from_bits((up - half + (1023 - 2048)) << 52)
    return (y * first) * second


def reduced(b: Lanes, x: Val, low: Any = None) -> tuple[Val, Val, Val, Val]:
    """x + low = k log 2 + r: the head and tail of r, k as a float and as bits."""
    k, bits = nearest(b, x, t.LOG2E[0])
    top = b.mad(k, -t.LN2_CUT[0], x)  # exact
    p = k * t.LN2_CUT[1]
    r = top - p
    tail = (top - r) - p
    if low is not None:
        r, tail = fast_two_sum(r, tail + low)
    return r, tail, k, bits


def exp_pair(b: Lanes, x: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """exp(x + low) = (h + lo) 2^k, to about 2^-57: h, lo, and k as bits."""
    r, tail, _, bits = reduced(b, x, low)
    h, e = fast_two_sum(b.const(1.0), r)
    rest = b.mad(r * r, b.poly(r, t.EXP), tail * h)
    return *fast_two_sum(h, e + rest), bits


def _exp_parts(b: Lanes, x: Val) -> tuple[Val, Val]:
    """exp(x) = y 2^k: y, and k as bits."""
    k, bits = nearest(b, x, t.LOG2E[0])
    r = b.mad(k, -t.LN2_CUT[1], b.mad(k, -t.LN2_CUT[0], x))
    return b.mad(r * r, b.poly(r, t.EXP), r) + 1.0, bits


def exp(b: Lanes, x: Val) -> Val:
    y, bits = _exp_parts(b, x)
    return _scaled_or_ends(b, x, y, bits, 708.0, 710.0, -746.0)


def _scaled_or_ends(b: Lanes, x: Val, y: Val, bits: Val, inside: float, top: float, bottom: float) -> Val:
    """`y * 2^k`, where |x| <= inside by the exponent's bits; where some x is not, the long way and with the ends."""
    usual = b.abs(x) <= inside

    def ends() -> list[Val]:
        value = ldexp(b, y, bits)
        return [b.select(x > top, INF, b.select(x < bottom, 0.0, value))]

    return b.code.branch(b.code.any(~usual), ends, lambda: [_scaled(b, y, bits)])[0]


def _scaled(b: Lanes, y: Val, k: Val) -> Val:
    """`y * 2^k` where that is a normal number."""
    return b.from_bits(b.to_bits(y) + (k << 52))


def _base(b: Lanes, x: Val, per: float, cut: tuple[float, ...], log: tuple[float, ...], ends: Ends) -> Val:
    """base^x: x = k log_base 2 + r, exp(r log base)."""
    k, bits = nearest(b, x, per)
    d = b.mad(k, -cut[0], x)
    if len(cut) > 1:
        p = k * cut[1]
        e = d - p
        tail = (d - e) - p
        d = e
    h, lo = pairs.two_prod(b, d, log[0])
    lo = b.mad(d, log[1], lo)
    if len(cut) > 1:
        lo = b.mad(tail, log[0], lo)
    one, e = fast_two_sum(b.const(1.0), h)
    y = one + (e + b.mad(h * h, b.poly(h, t.EXP), lo * one))
    return _scaled_or_ends(b, x, y, bits, *ends)


def exp2(b: Lanes, x: Val) -> Val:
    return _base(b, x, 1.0, (1.0,), t.LN2, (1021.0, 1025.0, -1080.0))


def exp10(b: Lanes, x: Val) -> Val:
    return _base(b, x, t.LOG10_2_INVERSE, t.LOG10_2_CUT, t.LN10, (307.0, 309.0, -325.0))


def expm1_pair(b: Lanes, x: Val, low: Any = None, shift: int = 0) -> Pair:
    """(exp(x + low) - 1) / 2^shift as a pair, -60 < x < 711."""
    r, tail, _, bits = reduced(b, x, low)
    q = b.mad(r * r, b.poly(r, t.EXP), tail)
    power = power_of_two(b, bits, -shift)
    unit = 2.0**-shift
    a, lost = pairs.two_sum(power, b.const(-unit))
    s, e = fast_two_sum(a, power * r)
    return fast_two_sum(s, (e + lost) + power * q)


def _within(b: Lanes, x: Val, low: float, high: float) -> Val:
    """`x` kept between two bounds; nan stays."""
    x = b.select(x > high, high, x)
    return b.select(x < low, low, x)


def expm1(b: Lanes, x: Val) -> Val:
    h, lo = expm1_pair(b, _within(b, x, -40.0, 710.0), shift=1)
    return b.select(b.abs(x) < 2.0**-54, x, (h + lo) * 2.0)


def _exp_neg(b: Lanes, a: Val, low: Any = None) -> tuple[Val, Val, Val]:
    """exp(-(a + low)) for a >= 0 as by `exp_pair`, in range for any a."""
    far = a > 800.0
    return exp_pair(b, -b.select(far, 800.0, a), None if low is None else -b.select(far, 0.0, low))


def _mended_inverse(b: Lanes, r: Val, p: Pair) -> Val:
    """1 over a pair to one rounding, by Newton's method from `r`, 1 over its head."""
    return b.mad(r, b.mad(-r, p[1], less_product(b, b.const(1.0), r, p[0])), r)


def _or_far(b: Lanes, usual: Val, y: Val, f: Callable[[], Val]) -> Val:
    """`y`, and `f()` in the lanes that are not usual."""
    return b.code.branch(b.code.any(~usual), lambda: [b.select(usual, y, f())], lambda: [y])[0]


def _half_expm1(b: Lanes, a: Val) -> tuple[Pair, Pair, Val]:
    """For a >= 0: (exp(2a) - 1)/2 and (exp(2a) + 1)/2 as pairs, and 1 over the head of the latter; from 300 on those of
    300."""
    a = b.select(a > 300.0, 300.0, a)
    k, bits = nearest(b, a, 2.0 * t.LOG2E[0])
    top = b.mad(k, -0.5 * t.LN2_CUT[0], a)  # exact
    r = b.mad(k, -0.5 * t.LN2_CUT[1], top)
    tail = b.mad(k, -0.5 * t.LN2_CUT[1], top - r)
    tail = b.mad(tail, r + r, tail)
    # exp(2r) = 1 + 2 (s + e)
    s, e = fast_two_sum(r, b.mad(r * r, b.poly(r, [2.0 ** (i + 1) * c for i, c in enumerate(t.EXP)]), tail))
    power = power_of_two(b, bits)

    def with_half(sign: float) -> Pair:
        half = b.mad(power, 0.5, 0.5 * sign)
        h = b.mad(power, s, half)
        return h, b.mad(power, e, b.mad(power, s, half - h))

    less, more = with_half(-1.0), with_half(1.0)
    return less, more, 1.0 / more[0]


def tanh(b: Lanes, x: Val) -> Val:
    """(E - 1)/(E + 1), E = exp(2|x|)."""
    less, more, r = b.once(_half_expm1, b.abs(x))
    q = less[0] * r
    rest = less_product(b, less[0], q, more[0]) + b.mad(-q, more[1], less[1])
    return b.copysign(b.mad(rest, r, q), x)


def sech2(b: Lanes, x: Val) -> Val:
    """w (2 - w), w = 2/(exp(2|x|) + 1); beyond 300 it is 4 exp(-2|x|)."""
    a = b.abs(x)
    _, more, r = b.once(_half_expm1, a)
    w = _mended_inverse(b, r, more)
    return _or_far(b, a <= 300.0, b.mad(-w, w, w + w), lambda: 4.0 * exp(b, -2.0 * a))


def _sinh_parts(b: Lanes, a: Val) -> tuple[Pair, Pair]:
    """expm1(a) = H 2^30 and exp(a) = D 2^30: scaled, so that D can be split where there are no fused instructions."""
    h = expm1_pair(b, b.select(a > 711.0, 711.0, a), shift=30)
    d = pairs.two_sum(h[0], b.const(2.0**-30))
    return h, fast_two_sum(d[0], d[1] + h[1])


def sinh(b: Lanes, x: Val) -> Val:
    """(E + E/(E + 1))/2, E = expm1(|x|)."""
    a = b.abs(x)
    h, d = _sinh_parts(b, a)
    q = pairs.scaled(pairs.div(b, h, d), 2.0**-30)
    s = fast_two_sum(h[0], q[0])
    y = (s[0] + (s[1] + (q[1] + h[1]))) * 2.0**29
    return b.select(a < 2.0**-28, x, b.copysign(b.select(a > 711.0, INF, y), x))


def cosh(b: Lanes, x: Val) -> Val:
    """(D + 1/D)/2, D = exp(|x|), scaled as for sinh."""
    a = b.abs(x)
    h, lo, bits = exp_pair(b, b.select(a > 711.0, 711.0, a))
    d = (h + lo) * power_of_two(b, bits, -30)
    return b.select(a > 711.0, INF, (d + 2.0**-60 / d) * 2.0**29)


def _one_more(b: Lanes, h: Val, lo: Val, bits: Val) -> tuple[Pair, Val]:
    """1 + (h + lo) 2^k for k <= 0, and 2^k, which is 0 where it is too small to count."""
    k = bits - MAGIC_BITS
    power = b.select(k < -900, 0.0, power_of_two(b, k))
    s = fast_two_sum(b.const(1.0), h * power)
    return (s[0], s[1] + lo * power), power


def logistic(b: Lanes, x: Val, low: Any = None) -> Val:
    """1 or e, over 1 + e, e = exp(-|x + low|)."""
    negative = x < 0.0
    h, lo, bits = _exp_neg(b, b.abs(x), None if low is None else b.select(negative, -low, low))
    below, _ = _one_more(b, h, lo, bits)
    q = pairs.div(b, (b.select(negative, h, 1.0), b.select(negative, lo, 0.0)), below)
    y = q[0] + q[1]
    return b.select(negative, ldexp(b, y, bits), y)


def bell(b: Lanes, a: Val, plus: int, low: Any = None) -> Val:
    """2^plus e/(1 + e)^2, e = exp(-(a + low))."""
    h, lo, bits = _exp_neg(b, a, low)
    below, _ = _one_more(b, h, lo, bits)
    q = pairs.div(b, (h, lo), pairs.mul(b, below, below))
    return ldexp(b, q[0] + q[1], bits, plus)


def _lesser_share(b: Lanes, x: Val) -> Val:
    """1/(1 + exp(|x|)); beyond 680 it is exp(-|x|)."""
    a = b.abs(x)
    e = _scaled(b, *_exp_parts(b, a))
    below = fast_two_sum(e, b.const(1.0))
    return _or_far(b, a <= 680.0, _mended_inverse(b, 1.0 / below[0], below), lambda: exp(b, -a))


def sigmoid(b: Lanes, x: Val) -> Val:
    """w or 1 - w, w = 1/(1 + exp(|x|)); half the work of `logistic`, at 1.5 instead of 0.6 units in the last place."""
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
    h, lo, bits = _exp_neg(b, b.abs(x))
    _, power = _one_more(b, h, lo, bits)
    e = h * power, lo * power
    square = pairs.mul(b, e, e)
    s = fast_two_sum(b.const(1.0), square[0])
    q = pairs.div(b, (h, lo), (s[0], s[1] + square[1]))
    return ldexp(b, q[0] + q[1], bits, 1)


def csch(b: Lanes, x: Val) -> Val:
    """1/sinh; 2 exp(-|x|) where that is all."""
    a = b.abs(x)
    h, lo, bits = _exp_neg(b, a)
    near = 1.0 / sinh(b, b.select(a > 40.0, 40.0, a))
    y = b.select(a > 40.0, ldexp(b, h + lo, bits, 1), near)
    return b.copysign(y, x)


def coth(b: Lanes, x: Val) -> Val:
    return 1.0 / tanh(b, x)


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
    h, lo, bits = _gauss(b, x)
    return ldexp(b, h + lo, bits)


def exp_neg_sq_d1(b: Lanes, x: Val) -> Val:
    """-2 x exp(-x^2)."""
    h, lo, bits = _gauss(b, x)
    v = _within(b, x, -40.0, 40.0)
    return ldexp(b, (-2.0 * v) * (h + lo), bits)


def _gauss(b: Lanes, x: Val) -> tuple[Val, Val, Val]:
    s, e = pairs.square(b, _within(b, x, -30.0, 30.0))
    return exp_pair(b, -s, -e)
