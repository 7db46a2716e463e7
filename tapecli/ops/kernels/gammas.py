"""The gamma function and its logarithm.

Stirling's series (DLMF 5.11.1) from 3 on, its remainder as a polynomial in 1/x**2; below, the recurrence (5.5.1);
left of 0 the reflection formula (5.5.3). The logarithm near its zeros 1 and 2 is (x-1)(x-2) times a polynomial. All
sums are double-double; where lgamma(x), x < 0, comes near one of its zeros the whole is repeated with about 100 bits,
and next to the zeros from -8 to -2 two Taylor terms are taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.ops.kernels import dd, ddmath, trig
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels import tables_special as ts
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import cases, cases_pair, kernel1, mend, pick, place

_LG_ZEROS = np.array(ts.LG_ZEROS)

SHIFT = 30  # the slow paths move the argument so far up


def stirling_rest(x: Real) -> Real:
    """log gamma(x) minus Stirling's formula, x >= 3."""
    w = 1.0 / x
    p = dd.poly((w * w, 0.0), ts.STIRLING_T, ts.STIRLING_H)
    return p[0] * w


def stirling(x: Pair) -> Pair:
    """log gamma(x) for 3 <= x < 2**500."""
    log = ddmath.log(x)
    a = dd.two_sum(x[0], -0.5)
    p = dd.mul((a[0], a[1] + x[1]), log)
    p = dd.add(p, (-x[0], -x[1]))
    return dd.add(dd.add(p, t.HALF_LN_2PI), (stirling_rest(x[0]), 0.0))


def product3(x: Real) -> Pair:
    """x (x+1) (x+2)."""
    return dd.mul(dd.mul1(dd.two_sum(x, 1.0), x), dd.two_sum(x, 2.0))


def _lg_shifted(x: Real) -> Pair:
    log = ddmath.log(product3(x))
    return dd.add(stirling(dd.two_sum(x, 3.0)), (-log[0], -log[1]))


def _lg_near_1(x: Real) -> Pair:
    p = dd.poly((x - 1.0, 0.0), ts.LG_A_T, ts.LG_A_H)
    return dd.mul1(dd.mul(p, dd.two_sum(x, -2.0)), x - 1.0)


def _lg_near_2(x: Real) -> Pair:
    p = dd.poly((x - 2.0, 0.0), ts.LG_B_T, ts.LG_B_H)
    return dd.mul1(dd.mul1(p, x - 1.0), x - 2.0)


def _lg_tiny(x: Real) -> Pair:
    log = ddmath.log((x, 0.0))
    return -log[0], -log[1]


def _lg_huge(x: Real) -> Pair:
    """x (log(x) - 1)."""
    x = pick(x <= 1.7976931348623157e308, x, 1.7976931348623157e308)
    log = ddmath.log((x, 0.0))
    s, e = dd.two_sum(log[0], -1.0)
    return x * s, x * (e + log[1])


_LG_EDGES = (1e-17, 0.59375, 1.5, 2.625, 3.0, 1e17)
_LG_CORES = (
    _lg_tiny, _lg_shifted, _lg_near_1, _lg_near_2, _lg_shifted, lambda x: stirling((x, 0.0)), _lg_huge,
)  # fmt: skip


def lgamma_positive(x: Real) -> Pair:
    """log gamma(x) as a pair, x > 0."""
    return cases_pair(place(_LG_EDGES, x), _LG_CORES, x)


def stirling_full(x: Pair) -> Pair:
    """log gamma(x) for x >= 30 to about 100 bits."""
    a = dd.two_sum(x[0], -0.5)
    p = dd.add(dd.mul((a[0], a[1] + x[1]), ddmath.log_full(x)), (-x[0], -x[1]))
    w = dd.inv(x)
    rest = dd.mul(dd.poly(dd.mul(w, w), ts.STIRF_T, ts.STIRF_H), w)
    return dd.add(dd.add(p, t.HALF_LN_2PI), rest)


def rising(x: Pair) -> Pair:
    """x (x+1) ... (x+29)."""
    p = x
    for k in range(1, SHIFT):
        p = dd.mul(p, dd.add(x, (float(k), 0.0)))
    return p


def _lg_negative_full(x: Real) -> Real:
    """log(pi/(a |sin(pi a)|)) - log gamma(a), a = -x, to about 2**-97."""
    s, _ = trig.sin_cos_pi(-x, ddmath.sinpi_full, ddmath.cospi_full)
    sign = np.copysign(1.0, s[0])
    below = dd.mul1((sign * s[0], sign * s[1]), -x)
    log = ddmath.log_full(dd.mul(dd.div(t.PI, below), rising((-x, 0.0))))
    y = stirling_full(dd.two_sum(-x, float(SHIFT)))
    f = dd.add(log, (-y[0], -y[1]))
    out = f[0] + f[1]
    return mend(out, (abs(out) < 2.0**-30) & (x > -8.5), _lg_at_zero, x)


def _lg_at_zero(x: Real) -> Real:
    """Two Taylor terms at the nearest of the zeros right of -8.5 (the function there is below 2**-30)."""
    k = place(ts.LG_ZERO_EDGES, x)
    z = _LG_ZEROS[k]
    d = dd.two_sum(x - z[..., 0], -z[..., 1])
    p = dd.mul(d, (z[..., 2], z[..., 3]))
    return p[0] + (p[1] + d[0] * d[0] * z[..., 4])


def lgamma_negative(x: Real) -> Pair:
    """log |gamma(x)| as a pair, x < -1e-17 and not an integer, absolute error about 2**-62."""
    s = trig.sin_pi(-x)
    sign = np.copysign(1.0, s[0])
    log = ddmath.log(dd.mul1((sign * s[0], sign * s[1]), -x))
    y = lgamma_positive(-x)
    y = dd.add(y, log)
    return dd.add(t.LN_PI, (-y[0], -y[1]))


def _lgamma_left(x: Real) -> Real:
    pole = (np.floor(x) == x) | (x > -1e-17)
    v = pick(pole, -0.5, x)
    h, lo = lgamma_negative(v)
    out = mend(h + lo, (abs(h) < 0.0625) & (v > -20.0), _lg_negative_full, v)
    return pick(pole, pick(x > -1e-17, -np.log(abs(x)), np.inf), out)


def _lgamma_right(x: Real) -> Real:
    v = pick(x > 0, x, 1.0)
    h, lo = lgamma_positive(v)
    out = pick(np.isfinite(h), h + lo, h)
    return pick(x > 0, pick(np.isinf(x), x, out), pick(x == 0, np.inf, x))


@kernel1
def lgamma(x: Real) -> Real:
    """log |gamma(x)|; inf at the poles."""
    return cases(1 * ~(x < 0), (_lgamma_left, _lgamma_right), x)


def _parts(a: Real) -> tuple[Pair, Any, Pair]:
    """gamma(a) = p 2**m / q for 1e-17 <= a: p, m, q."""
    low = a < 3.0
    s = dd.two_sum(a, pick(low, 3.0, 0.0))
    y = stirling(s)
    h, lo, m = ddmath.exp(y)
    q = product3(a)
    return (h, lo), m, (pick(low, q[0], 1.0), pick(low, q[1], 0.0))


def _gamma_right(x: Real) -> Real:
    p, m, q = _parts(pick(x < 180.0, x, 180.0))
    h, lo = dd.div(p, q)
    return pick(x == x, np.ldexp(h + lo, m), x)


def _gamma_left(x: Real) -> Real:
    """-pi/(a sin(pi a) gamma(a)), a = -x."""
    a = pick(x > -190.0, -x, 190.0)
    p, m, q = _parts(a)
    s = trig.sin_pi(-x)
    h, lo = dd.div(dd.mul(t.PI, q), dd.mul(dd.mul1(s, a), p))
    out = np.copysign(np.ldexp(abs(h + lo), -m), -s[0])
    return pick(np.floor(x) == x, np.nan, out)


@kernel1
def gamma(x: Real) -> Real:
    """Gamma function; nan at the negative integers, inf with the sign of zero at 0."""
    edge = (x > -1e-17) + 1 * ~(x <= 1e-17)
    return cases(edge, (_gamma_left, lambda v: 1.0 / v, _gamma_right), x)
