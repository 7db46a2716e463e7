"""The gamma function, its logarithm and the derivatives of that.

From 64/9 on Stirling's series (DLMF 5.11.1, 5.11.2, 5.15.8), its remainder a polynomial in 1/x^2; from 4/9 on
polynomials on 16 intervals; below, the recurrence (5.5.1); left of 0 the reflection formulas (5.5.3, 5.5.4, 5.15.6)
with sums in pairs, and with about 100 bits where a result comes near 0. Results are pairs until the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import careful, pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library import tables_gammas as ts
from tapecli.engines.native.library.exponential import exp_pair, ldexp
from tapecli.engines.native.library.logarithm import log, log_pair
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product, two_prod, two_sum
from tapecli.engines.native.library.pieces import Pieces, octaves, piecewise, piecewise_pair
from tapecli.engines.native.library.turns import sin_cos_pi
from tapecli.ops.kernels import tables as kt

INF, NAN = math.inf, math.nan
#: Where the polynomials begin and end, and below which |x| a pole is all that counts.
LOW, HIGH, TINY = 4.0 / 9.0, 64.0 / 9.0, 1e-17


def log_parts(b: Lanes, x: Val) -> Pair:
    """log(x), x a normal number that is not near 1, as a pair with an absolute error of about 2^-63: as `log_pair`,
    with less work for what is next to 1."""
    m, k = b.significand(x)
    inverse, high = b.lookup(b.to_bits(m) >> 48, t.INVERSES, t.LOG_INVERSES)
    p, e = two_prod(b, m, inverse)
    r = p - 1.0
    low = b.mad(-r, b.mad(r, 0.5, e), e)
    low = b.mad(r * (r * r), b.mad(r, b.poly(r, t.LOG_PAIR), t.THIRD[0]), low)
    h, e = fast_two_sum(b.mad(k, t.LN2_LOG[0], high), r)
    return h, e + b.mad(k, t.LN2_LOG[1], low)


def far_parts(b: Lanes, x: Val) -> tuple[Val, ...]:
    """The logarithm as a pair, and 1/x, where one of the lanes is outside of the polynomials."""

    def parts() -> list[Val]:
        return [*log_parts(b, x), 1.0 / x]

    zero = b.const(0.0)
    inside = (x >= LOW) & (x < HIGH)
    return tuple(b.code.branch(b.code.any(~inside), parts, lambda: [zero, zero, zero]))


def either(b: Lanes, near: Val, inner: Callable[[], Sequence[Val]], outer: Callable[[], Sequence[Val]]) -> Pair:
    """`inner()` where the mask is true, else `outer()`; what no lane needs is not computed."""
    zero = b.const(0.0)
    p = b.code.branch(b.code.any(near), inner, lambda: [zero, zero])
    q = b.code.branch(b.code.any(~near), outer, lambda: [zero, zero])
    return pairs.select(b, near, (p[0], p[1]), (q[0], q[1]))


def pieces_at(b: Lanes, table: Pieces, x: Val, small: Val, tail: Any = None) -> Pair:
    """The function of a table at x, or at x + 1 where x is small; with more digits at x + tail."""
    up = b.select(small, 1.0, b.const(0.0))
    at = octaves(b, (x + up) * 1.125, 0.5)
    return piecewise(b, table, x, at, up) if tail is None else piecewise_pair(b, table, (x, tail), at, up)


def stirling(b: Lanes, x: Val, log: Pair, w: Val) -> Pair:
    """log gamma(x) for x >= 64/9, w = 1/x."""
    a = x - 0.5
    p, e = two_prod(b, a, log[0])
    s, f = fast_two_sum(p, -x)
    s, g = fast_two_sum(s, b.const(kt.HALF_LN_2PI[0]))
    rest = b.mad(w, b.poly(w * w, ts.STIRLING), kt.HALF_LN_2PI[1])
    return fast_two_sum(s, (f + g) + (e + b.mad(a, log[1], rest)))


def lgamma_near(b: Lanes, x: Val, tail: Any = None) -> Pair:
    """log gamma(x + tail) for normal numbers below 64/9, the tail one of x's rounding."""
    h, lo, w = b.once(far_parts, x)
    small = x < LOW
    if tail is not None:
        lo = b.mad(tail, w, lo)
    p, q = pieces_at(b, ts.LGAMMA, x, small, tail)
    s, e = two_sum(p, -b.select(small, h, 0.0))
    return s, (e - b.select(small, lo, 0.0)) + q


def lgamma_pair(b: Lanes, x: Val, tail: Any = None) -> Pair:
    """log gamma(x + tail) for normal numbers x up to 1e300, the tail one of x's rounding."""
    h, lo, w = b.once(far_parts, x)

    def far() -> Pair:
        p, q = stirling(b, x, (h, lo), w)
        return p, q if tail is None else b.mad(tail, b.mad(w, -0.5, h), q)

    return either(b, x < HIGH, lambda: lgamma_near(b, x, tail), far)


def lgamma(b: Lanes, x: Val) -> Val:
    y = pairs.joined(b.once(lgamma_pair, x))
    usual = (x >= TINY) & (x <= 1e300)

    def others() -> list[Val]:
        a = b.abs(x)
        right = b.select(a < TINY, -log(b, a), b.select(x > 1e300, pairs.joined(_lgamma_huge(b, x)), y))
        left = b.code.branch(b.code.any(x <= -TINY), lambda: [_lgamma_left(b, x)], lambda: [right])[0]
        found = b.select(x <= -TINY, left, right)
        return [b.select(b.isnan(x), x, found)]

    return b.code.branch(b.code.any(~usual), others, lambda: [y])[0]


def _lgamma_huge(b: Lanes, x: Val) -> Pair:
    """x (log x - 1) for 1e300 < x; infinite where that is."""
    v = b.select((x > 1e300) & (x < INF), x, 1e300)
    h, lo = log_parts(b, v)
    s, e = fast_two_sum(h, b.const(-1.0))
    y = v * s
    return b.select(x < INF, y, x), b.select((x < INF) & (y < INF), v * (e + lo), 0.0)


def left(b: Lanes, x: Val) -> tuple[Val, Val]:
    """-x where that is between poles, else 1/4, where no zero is near; and where x is on a pole."""
    pole = b.floor(x).eq(x)
    inside = (x <= -TINY) & ~pole
    return b.select(inside, -x, 0.25), pole


def _lgamma_left_pair(b: Lanes, a: Val) -> Pair:
    """log |gamma(-a)| = log(pi/(a |sin(pi a)|)) - log gamma(a) between poles."""
    s, _ = sin_cos_pi(b, a)
    s = pairs.select(b, s[0] < 0.0, pairs.neg(s), s)
    y = pairs.add(lgamma_pair(b, a), log_pair(b, *pairs.mul1(b, s, a)))
    return pairs.add(pairs.constant(b, kt.LN_PI), pairs.neg(y))


def _lgamma_left(b: Lanes, x: Val) -> Val:
    a, pole = left(b, x)
    out = pairs.joined(_lgamma_left_pair(b, a))
    hard = (b.abs(out) < 0.125) & (a < 20.0)
    return b.select(pole, INF, careful.mended(b, hard, careful.lgamma_left, [a], out))


def signed_pair(b: Lanes, x: Val) -> tuple[Val, Pair]:
    """The sign of gamma(x), and log |gamma(x)| as a pair, where x is not a pole; for what is rare."""
    a, _ = left(b, x)
    middle = (x >= TINY) & (x <= 1e300)
    y = pairs.select(b, middle, lgamma_pair(b, b.select(middle, x, 1.0)), _lgamma_huge(b, x))
    size = b.abs(x)
    close = size < TINY
    y = pairs.select(b, close, pairs.neg(log_pair(b, b.select(close, size, 1.0))), y)
    y = pairs.select(b, x <= -TINY, _lgamma_left_pair(b, a), y)
    half = 0.5 * b.floor(x)
    return b.select((x < 0.0) & b.floor(half).ne(half), -1.0, b.const(1.0)), y


def digamma_1p(b: Lanes, x: Val) -> Pair:
    """digamma(x) for x >= 4/9, digamma(x + 1) below."""
    h, lo, w = b.once(far_parts, x)

    def far() -> Pair:
        z = w * w
        return h, b.mad(-z, b.poly(z, ts.PSI), b.mad(w, -0.5, lo))

    return either(b, x < HIGH, lambda: pieces_at(b, ts.DIGAMMA, x, x < LOW), far)


def inverse_rest(b: Lanes, x: Val, w: Val) -> Val:
    """What w = 1/x lacks."""
    return less_product(b, b.const(1.0), w, x) * w


def digamma(b: Lanes, x: Val) -> Val:
    h, lo = b.once(digamma_1p, x)
    _, _, w = b.once(far_parts, x)
    small = x < LOW

    def below() -> list[Val]:
        s, e = two_sum(h, -b.select(small, w, 0.0))
        return [s + (e + (lo - b.select(small, inverse_rest(b, x, w), 0.0)))]

    y = b.code.branch(b.code.any(small), below, lambda: [h + lo])[0]
    usual = (x >= TINY) & (x < INF)

    def others() -> list[Val]:
        right = b.select(b.abs(x) < TINY, -1.0 / x, b.select(x < INF, y, x))
        left = b.code.branch(b.code.any(x <= -TINY), lambda: [_digamma_left(b, x)], lambda: [right])[0]
        return [b.select(x <= -TINY, left, right)]

    return b.code.branch(b.code.any(~usual), others, lambda: [y])[0]


def _digamma_left(b: Lanes, x: Val) -> Val:
    """digamma(1 + a) + pi cot(pi a), a = -x."""
    a, pole = left(b, x)
    s, c = sin_cos_pi(b, a)
    y = digamma_1p(b, a)
    w = 1.0 / a
    beyond = a >= LOW
    y = pairs.add(y, (b.select(beyond, w, 0.0), b.select(beyond, inverse_rest(b, a, w), 0.0)))
    out = pairs.joined(pairs.add(y, pairs.mul(b, pairs.constant(b, kt.PI), pairs.div(b, c, s))))
    out = careful.mended(b, (b.abs(out) < 0.125) & (a < 1e15), careful.digamma_left, [a], out)
    return b.select(pole, NAN, out)


def trigamma_1p(b: Lanes, x: Val) -> Pair:
    """trigamma(x) for x >= 4/9, trigamma(x + 1) below."""
    _, _, w = b.once(far_parts, x)

    def far() -> Pair:
        z = w * w
        return w, b.mad(z, b.mad(w, b.poly(z, ts.PSI1), 0.5), inverse_rest(b, x, w))

    return either(b, x < HIGH, lambda: pieces_at(b, ts.TRIGAMMA, x, x < LOW), far)


def _square_ofinverse_rest(b: Lanes, x: Val, w: Val) -> Pair:
    p, e = two_prod(b, w, w)
    return p, b.mad(w + w, inverse_rest(b, x, w), e)


def trigamma(b: Lanes, x: Val) -> Val:
    h, lo = b.once(trigamma_1p, x)
    _, _, w = b.once(far_parts, x)
    small = x < LOW

    def below() -> list[Val]:
        p, e = _square_ofinverse_rest(b, x, b.select(small, w, 0.0))
        s, f = two_sum(h, p)
        return [s + (f + (e + lo))]

    y = b.code.branch(b.code.any(small), below, lambda: [h + lo])[0]
    usual = (x >= 1e-100) & (x < 1e17)

    def others() -> list[Val]:
        a = b.abs(x)
        tiny = a < TINY
        v = b.select(tiny, a, 1.0) * 2.0**400
        p, e = _square_ofinverse_rest(b, v, 1.0 / v)
        near = p * 2.0**800
        near = b.select(near < INF, (p + e) * 2.0**800, INF)
        right = b.select(tiny, near, b.select(x >= 1e17, 1.0 / x, y))
        left = b.code.branch(b.code.any(x <= -TINY), lambda: [_trigamma_left(b, x)], lambda: [right])[0]
        return [b.select(x <= -TINY, left, right)]

    return b.code.branch(b.code.any(~usual), others, lambda: [y])[0]


def _trigamma_left(b: Lanes, x: Val) -> Val:
    """pi^2/sin(pi a)^2 - trigamma(1 + a), a = -x."""
    a, pole = left(b, x)
    s, _ = sin_cos_pi(b, a)
    q = pairs.div(b, pairs.constant(b, kt.PI), s)
    y = trigamma_1p(b, a)
    beyond = a >= LOW
    p, e = _square_ofinverse_rest(b, a, 1.0 / a)
    y = pairs.add(y, (b.select(beyond, -p, 0.0), b.select(beyond, -e, 0.0)))
    out = pairs.joined(pairs.add(pairs.mul(b, q, q), pairs.neg(y)))
    return b.select(pole, b.select(x > -INF, INF, b.const(NAN)), out)


def _scaled_gamma(b: Lanes, x: Val) -> tuple[Val, Val]:
    """gamma(x) = y 2^k: y, and k as bits."""
    v = b.select(x > 180.0, 180.0, b.select(x >= TINY, x, 1.0))
    h, lo, bits = exp_pair(b, *fast_two_sum(*b.once(lgamma_pair, v)))
    y = h + lo
    usual = x >= TINY

    def others() -> list[Val]:
        right = b.select(b.abs(x) < TINY, 1.0 / x, y)  # k is 0 there, that of gamma(1)
        left = b.code.branch(b.code.any(x <= -TINY), lambda: _gamma_left(b, x), lambda: [right, bits])
        below = x <= -TINY
        found = b.select(below, left[0], right)
        return [b.select(b.isnan(x), x, found), b.select(below, left[1], bits)]

    found, scale = b.code.branch(b.code.any(~usual), others, lambda: [y, bits])
    return found, scale


def _gamma_left(b: Lanes, x: Val) -> list[Val]:
    """-pi/(a sin(pi a) gamma(a)), a = -x."""
    a, pole = left(b, x)
    s, _ = sin_cos_pi(b, a)
    a = b.select(a > 190.0, 190.0, a)
    q = pairs.div(b, pairs.constant(b, kt.PI), pairs.mul1(b, s, a))
    h, lo, bits = exp_pair(b, *fast_two_sum(*pairs.neg(lgamma_pair(b, a))))
    return [b.select(pole, NAN, -pairs.joined(pairs.mul(b, q, (h, lo)))), bits]


def gamma(b: Lanes, x: Val) -> Val:
    y, bits = b.once(_scaled_gamma, x)
    return ldexp(b, y, bits)


def gamma_d(b: Lanes, x: Val, n: int) -> Val:
    """`gamma psi` or `gamma (psi^2 + psi')`."""
    psi = digamma(b, x)
    factor: Any = psi if n == 1 else psi * psi + trigamma(b, x)
    y, bits = b.once(_scaled_gamma, x)
    return ldexp(b, y * factor, bits)
