"""Exponential, logarithm, sine and cosine in double-double, after table-driven reductions.

The method is Tang's (ACM TOMS 15 (1989) and 16 (1990)): exp(x) = 2**(k/32) exp(r), log(x) = log(1/c) + log(1 + r)
with c a short reciprocal from a table, so that r is exact and small and its power series short. `exp` and `log` give
58 and 66 bits or more, enough to round a final result to 0.52 ULP; `exp_full` and `log_full` give about 100, for
results that cancel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.ops.kernels import dd
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels import tables_special as ts
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import cases_pair, pick

_EXP_H, _EXP_L = np.array(t.EXP_H), np.array(t.EXP_L)
_LOG_C, _LOG_H, _LOG_L = np.array(t.LOG_C), np.array(t.LOG_H), np.array(t.LOG_L)


def _exp_reduce(x: Pair) -> tuple[Pair, Any, Any]:
    """x = (32 m + j) log(2)/32 + r: r, j, m. Beyond +-1500 the result would over- or underflow anyhow."""
    xh = np.minimum(np.maximum(x[0], -1500.0), 1500.0)
    k = np.rint(xh * t.INV_LN2_32)
    a, b = dd.two_sum(xh - k * t.LN2_32[0], -k * t.LN2_32[1])
    i = k.astype(np.int32)
    return (a, b + (x[1] - k * t.LN2_32[2])), i & 31, i >> 5


def exp(x: Pair) -> tuple[Real, Real, Any]:
    """exp(x) = (h + l) * 2**m as h, l, m; relative error 2**-59."""
    (r, e), j, m = _exp_reduce(x)
    p = r + (e + r * (e + r * (0.5 + r * dd.horner(r, t.EXP_P))))
    h = _EXP_H[j]
    h, lo = dd.fast_two_sum(h, _EXP_L[j] + h * p)
    return h, lo, m


def exp_full(x: Pair) -> Pair:
    """exp(x), relative error about 2**-100, |x| < 600."""
    r, j, m = _exp_reduce(x)
    p = dd.poly(r, t.EXPF_T, t.EXPF_H)
    h, lo = dd.mul((_EXP_H[j], _EXP_L[j]), p)
    return np.ldexp(h, m), np.ldexp(lo, m)


def _log_tail(r: Pair) -> Pair:
    """log(1 + r) for |r| < 1/64, to 66 bits and more of its own."""
    rh, rl = r
    s, e = dd.square(rh)
    h, lo = dd.fast_two_sum(rh, -0.5 * s)
    return h, lo + ((rl - rh * rl - 0.5 * e) + s * rh * dd.horner(rh, t.LOG_P))


def _log_reduce(x: Pair) -> tuple[Pair, Any, Real]:
    """x = 2**k (1 + r) / c[j] for x > 0: r, j, k."""
    m, e = np.frexp(x[0])
    low = m < 0.7109375
    m, e = pick(low, 2.0 * m, m), e - low
    j = np.fmin(np.fmax(np.rint(64.0 * m), 45.0), 91.0).astype(np.int32) - 45  # in range for nan and inf too
    c = _LOG_C[j]
    mh, ml = dd.split(m)
    r = dd.two_sum(mh * c - 1.0, ml * c)
    return dd.fast_two_sum(r[0], r[1] + np.ldexp(x[1], -e) * c), j, e.astype(np.float64)


def _log_join(r: Pair, j: Any, k: Real) -> Pair:
    h, lo = _log_tail(r)
    a, b = dd.two_sum(k * t.LN2_PARTS[0], _LOG_H[j])
    a, e = dd.two_sum(a, h)
    return dd.fast_two_sum(a, e + (b + (lo + (_LOG_L[j] + k * t.LN2_PARTS[1]))))


def log(x: Pair) -> Pair:
    """log(x) for finite x > 0; absolute error 2**-72 + |log x| 2**-66 or less (near 1 only the second part)."""
    return _log_join(*_log_reduce(x))


def log1p(q: Pair) -> Pair:
    """log(1 + q) for finite q > -1 with the same relative accuracy near 0."""
    s = dd.two_sum(1.0, q[0])
    r, j, k = _log_reduce((s[0], s[1] + q[1]))
    near = abs(q[0]) < 0.0078125
    r = pick(near, q[0], r[0]), pick(near, q[1], r[1])
    return _log_join(r, pick(near, 19, j), pick(near, 0.0, k))


def log_full(x: Pair) -> Pair:
    """log(x), absolute error about 2**-100 (1 + |log x|), 1e-250 < x < 1e250: one Newton step."""
    y = log(x)
    z = dd.mul(x, exp_full((-y[0], -y[1])))
    return dd.add(y, ((z[0] - 1.0) + z[1], 0.0))


def _log1p_full_small(h: Real, lo: Real) -> Pair:
    """Newton on expm1, which keeps relative accuracy: |q| < 1/128."""
    q = h, lo
    y = log1p(q)
    r = -y[0], -y[1]
    w = dd.mul(r, dd.poly(r, t.EXPF_T, t.EXPF_H[:-1]))
    z = dd.add(dd.add(q, w), dd.mul(q, w))
    return dd.add(y, z)


def _log1p_full_other(h: Real, lo: Real) -> Pair:
    return log_full(dd.add((1.0, 0.0), (h, lo)))


def log1p_full(q: Pair) -> Pair:
    """log(1 + q), relative error about 2**-95, q > -1/2."""
    return cases_pair(1 * (abs(q[0]) >= 0.0078125), (_log1p_full_small, _log1p_full_other), *q)


def sinpi(r: Real) -> Pair:
    """sin(pi r) for |r| <= 1/4, relative error 2**-60."""
    return dd.mul1(dd.poly(dd.square(r), t.SINPI_T, t.SINPI_H), r)


def cospi(r: Real) -> Pair:
    """cos(pi r) for |r| <= 1/4."""
    return dd.poly(dd.square(r), t.COSPI_T, t.COSPI_H)


def sinpi_full(r: Real) -> Pair:
    """sin(pi r) for |r| <= 1/4, about 100 bits."""
    return dd.mul1(dd.poly(dd.square(r), ts.SINPIF_T, ts.SINPIF_H), r)


def cospi_full(r: Real) -> Pair:
    """cos(pi r) for |r| <= 1/4, about 100 bits."""
    return dd.poly(dd.square(r), ts.COSPIF_T, ts.COSPIF_H)
