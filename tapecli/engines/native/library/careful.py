"""The gamma family left of 0 next to its zeros, to about 100 bits: one entry after another, by loops, for
short code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library import tables_gammas as ts
from tapecli.engines.native.library.exponential import nearest, power_of_two
from tapecli.engines.native.library.logarithm import log
from tapecli.engines.native.library.pairs import Pair, two_prod, two_sum
from tapecli.engines.native.library.turns import quarter, turned
from tapecli.ops.kernels import tables as kt
from tapecli.ops.kernels import tables_special as kts

#: How far arguments are moved up to where the series begin.
SHIFT = 30


def mended(b: Lanes, hard: Val, f: Callable[..., Val], args: Sequence[Val], out: Val) -> Val:
    """`out`, and `f(*args)` where the mask holds."""

    def one(found: Val, needed: Val, *single: Val) -> list[Val]:
        scalars = Lanes(found.code, "double", 1)
        return found.code.branch(needed.ne(0.0), lambda: [f(scalars, *single)], lambda: [found])

    def all_hard() -> list[Val]:
        return b.code.each_lane(one, [out, b.truth(hard), *args], ["double"])

    return b.code.branch(b.code.any(hard), all_hard, lambda: [out])[0]


def _series(b: Lanes, u: Pair, coefficients: Sequence[Sequence[float]]) -> Pair:
    """The polynomial of pairs, highest power first, as a loop."""
    count = len(coefficients)
    table = b.code.doubles([part for c in coefficients for part in c])

    def step(i: Val, h: Val, lo: Val) -> list[Val]:
        c = b.entry(table, i << 1), b.entry(table, (i << 1) | 1)
        return [i + 1, *pairs.add(pairs.mul(b, (h, lo), u), c)]

    zero = b.const(0.0)
    _, h, lo = b.code.repeat([b.int_const(0), zero, zero], lambda i, h, lo: i < count, step)
    return h, lo


def _terms(tail: Sequence[float], head: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    return [*[(c, 0.0) for c in tail], *head]


def exp(b: Lanes, x: Pair) -> Pair:
    """For |x| < 700."""
    k, bits = nearest(b, x[0], t.PER_LN2)
    top = b.mad(k, -t.LN2_THREE[0], x[0])
    r = pairs.add(two_sum(top, k * -t.LN2_THREE[1]), two_prod(b, k, -t.LN2_THREE[2]))
    r = pairs.add(r, (x[1], b.const(0.0)))
    y = _series(b, r, t.INVERSE_FACTORIALS[::-1])
    power = power_of_two(b, bits)
    return y[0] * power, y[1] * power


def log_of(b: Lanes, x: Pair) -> Pair:
    """By a step of Newton's method for exp."""
    y = log(b, x[0])
    zero = b.const(0.0)
    e = pairs.add1(pairs.mul(b, exp(b, (-y, zero)), x), b.const(-1.0))
    e = pairs.add1(e, -0.5 * e[0] * e[0])
    return pairs.add1(e, y)


def _sin_cos_pi(b: Lanes, x: Val) -> tuple[Pair, Pair]:
    r, bits = quarter(b, x)
    u = pairs.square(b, r)
    s = pairs.mul1(b, _series(b, u, _terms(kts.SINPIF_T, kts.SINPIF_H)), r)
    return turned(b, bits, s, _series(b, u, _terms(kts.COSPIF_T, kts.COSPIF_H)))


def _each_step(b: Lanes, a: Pair, first: int, start: Pair, f: Callable[[Pair, Pair], Pair]) -> Pair:
    """`f(total, a + k)` over k = first … SHIFT - 1, beginning with `start`."""

    def step(k: Val, h: Val, lo: Val) -> list[Val]:
        return [k + 1.0, *f((h, lo), pairs.add1(a, k))]

    _, h, lo = b.code.repeat([b.const(float(first)), *start], lambda k, h, lo: k < float(SHIFT), step)
    return h, lo


def _stirling(b: Lanes, x: Pair) -> Pair:
    """log gamma(x) for x >= SHIFT."""
    p = pairs.mul(b, pairs.add1(x, b.const(-0.5)), log_of(b, x))
    p = pairs.add(pairs.add(p, pairs.neg(x)), pairs.constant(b, kt.HALF_LN_2PI))
    w = pairs.inv(b, x)
    rest = _series(b, pairs.mul(b, w, w), _terms(kts.STIRF_T, kts.STIRF_H))
    return pairs.add(p, pairs.mul(b, rest, w))


def lbeta(b: Lanes, x: Val, y: Val) -> Val:
    """log B(x, y) for 0 < x, y < 1e9, where that is near 0."""
    s = two_sum(x, y)
    zero = b.const(0.0)

    def one(k: Val, h: Val, lo: Val) -> list[Val]:
        first, second = k.eq(0), k.eq(1)
        v = b.select(first, x, b.select(second, y, s[0])), b.select(first | second, 0.0, s[1])
        rising = _each_step(b, v, 1, v, lambda p, q: pairs.mul(b, p, q))
        g = pairs.add(_stirling(b, pairs.add1(v, b.const(float(SHIFT)))), pairs.neg(log_of(b, rising)))
        return [k + 1, *pairs.add((h, lo), pairs.select(b, k.eq(2), pairs.neg(g), g))]

    _, h, lo = b.code.repeat([b.int_const(0), zero, zero], lambda k, h, lo: k < 3, one)
    close = (b.abs(x - 1.0) < 2.0**-26) & (b.abs(y - 1.0) < 2.0**-26)
    return b.code.branch(close, lambda: [_lbeta_at_ones(b, x - 1.0, y - 1.0)], lambda: [h + lo])[0]


def _lbeta_at_ones(b: Lanes, u: Val, v: Val) -> Val:
    """log B(1 + u, 1 + v) = -log(1 + u + v) - zeta(2) u v + zeta(3) u v (u + v) + ..."""
    w = two_sum(u, v)
    bend = pairs.mul(b, two_prod(b, u, v), two_sum(b.const(1.6449340668482264), w[0] * -1.2020569031595942))
    square = pairs.mul(b, w, w)
    log = pairs.add(w, pairs.add(pairs.scaled(square, -0.5), (square[0] * w[0] * (1.0 / 3.0), b.const(0.0))))
    return -pairs.joined(pairs.add(log, bend))


def lgamma_left(b: Lanes, a: Val) -> Val:
    """log |gamma(-a)|, 0 < a < 20."""
    zero = b.const(0.0)
    s, _ = _sin_cos_pi(b, a)
    s = pairs.select(b, s[0] < 0.0, pairs.neg(s), s)
    rising = _each_step(b, (a, zero), 1, (a, zero), lambda p, q: pairs.mul(b, p, q))
    inverse = pairs.mul(b, pairs.mul1(b, s, a), pairs.inv(b, rising))
    f = log_of(b, pairs.div(b, pairs.constant(b, kt.PI), inverse))
    out = pairs.joined(pairs.add(f, pairs.neg(_stirling(b, two_sum(a, b.const(float(SHIFT)))))))
    at_zero = (b.abs(out) < 2.0**-30) & (a < 8.5)
    return b.code.branch(at_zero, lambda: [_near_zero(b, -a)], lambda: [out])[0]


def _near_zero(b: Lanes, x: Val) -> Val:
    """log |gamma(x)| at the nearest of its zeros right of -8.5."""
    edges = b.code.doubles(kts.LG_ZERO_EDGES)
    last = len(kts.LG_ZERO_EDGES)

    def more(i: Val) -> Val:
        inside = b.select(i < last, i, last - 1)
        return (i < last) & (b.entry(edges, inside) <= x)

    (k,) = b.code.repeat([b.int_const(0)], more, lambda i: [i + 1])
    return _taylor(b, x, kts.LG_ZEROS, k)


def _taylor(b: Lanes, x: Val, rows: Sequence[Sequence[float]], k: Val) -> Val:
    """Two Taylor terms at the zero of a row: it in two parts, the slope in two, and half the curvature."""
    zeros = b.code.doubles([part for row in rows for part in row])
    high, low, slope, slope_low, bend = (b.entry(zeros, k * 5 + j) for j in range(5))
    d = two_sum(x - high, -low)
    p = pairs.mul(b, d, (slope, slope_low))
    return p[0] + (p[1] + d[0] * d[0] * bend)


def digamma_left(b: Lanes, a: Val) -> Val:
    """digamma(1 + a) + pi cot(pi a)."""
    top = two_sum(a, b.const(float(SHIFT)))
    w = pairs.inv(b, top)
    z = pairs.mul(b, w, w)
    y = pairs.add(log_of(b, top), pairs.scaled(w, -0.5))
    y = pairs.add(y, pairs.neg(pairs.mul(b, _series(b, z, _terms(kts.PSIF_T, kts.PSIF_H)), z)))
    y = _each_step(b, (a, b.const(0.0)), 1, y, lambda p, q: pairs.add(p, pairs.neg(pairs.inv(b, q))))
    s, c = _sin_cos_pi(b, a)
    out = pairs.joined(pairs.add(y, pairs.mul(b, pairs.constant(b, kt.PI), pairs.div(b, c, s))))
    at_zero = (b.abs(out) < 2.0**-30) & (a < float(len(ts.DIGAMMA_ZEROS)))

    def near() -> list[Val]:
        return [_taylor(b, -a, ts.DIGAMMA_ZEROS, b.to_int(b.floor(a)))]

    return b.code.branch(at_zero, near, lambda: [out])[0]
