"""Error functions: erfc(x) = exp(-x^2) R(x) (W. J. Cody, Math. Comp. 23, 1969), with the polynomials of the NumPy
kernels; erf by its series up to 1/2 and 1 minus the tail beyond."""

from __future__ import annotations

from tapecli.engines.native.ir import Lanes, Val
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library.exponential import exp_pair, ldexp
from tapecli.engines.native.library.pairs import Pair, two_sum
from tapecli.ops.kernels import tables_special as t

TWO_OVER_ROOT_PI = 1.1283791670955126


def _near(b: Lanes, x: Val) -> Pair:
    """erf(x), |x| <= 1/2."""
    return pairs.mul1(b, pairs.poly(b, pairs.square(b, x), t.ERF_T, t.ERF_H), x)


def _tail(b: Lanes, x: Val) -> tuple[Pair, Val]:
    """erfc(x) = (h + l) 2^k for 1/2 <= x <= 28: the pair, and k as bits."""
    zero = b.const(0.0)
    w = 1.0 / x
    first = pairs.poly(b, (b.select(x < 1.5, x - 1.0, zero), zero), t.ERFC_A_T, t.ERFC_A_H)
    second = pairs.poly(b, (b.select((x >= 1.5) & (x < 3.0), x - 2.25, zero), zero), t.ERFC_B_T, t.ERFC_B_H)
    third = pairs.div(b, pairs.poly(b, (b.select(x >= 3.0, w * w, zero), zero), t.ERFC_C_T, t.ERFC_C_H), (x, zero))
    ratio = pairs.select(b, x < 1.5, first, pairs.select(b, x < 3.0, second, third))
    s, e = pairs.square(b, x)
    h, low, bits = exp_pair(b, -s, -e)
    return pairs.mul(b, (h, low), ratio), bits


def erf(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    near = a < 0.5
    h, low = _near(b, b.select(near, x, 0.25))
    far = b.select(near | b.isnan(a), 1.0, b.select(a > 7.0, 7.0, a))
    (th, tl), bits = _tail(b, far)
    s, e = two_sum(b.const(1.0), -ldexp(b, th, bits))
    y = b.select(near, h + low, b.copysign(s + (e - ldexp(b, tl, bits)), x))
    tiny = b.select(x.eq(0.0), x, (x * 2.0**200 * TWO_OVER_ROOT_PI) * 2.0**-200)
    return b.select(a < 2.0**-100, tiny, b.select(b.isnan(x), x, y))


def erfc(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    near = a < 0.5
    h, low = _near(b, b.select(near, x, 0.25))
    s, e = two_sum(b.const(1.0), -h)
    middle = s + (e - low)
    far = b.select(near | b.isnan(a), 1.0, b.select(a > 28.0, 28.0, a))
    (th, tl), bits = _tail(b, far)
    right = ldexp(b, th + tl, bits)
    s, e = two_sum(b.const(2.0), -ldexp(b, th, bits))
    left = s + (e - ldexp(b, tl, bits))
    y = b.select(near, middle, b.select(x > 0.0, right, left))
    return b.select(b.isnan(x), x, y)
