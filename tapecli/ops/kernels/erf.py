"""Error functions.

erfc(x) = exp(-x*x) R(x) as in Cody (Math. Comp. 23 (1969) 631), here with polynomials for R whose leading terms are in
double-double, and x*x taken exactly, so that the tails keep their accuracy; erf is 1 minus it beyond 1/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.ops.kernels import dd, ddmath
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels import tables_special as ts
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import cases, cases_pair, kernel1, pick


def _erf_small(x: Real) -> Pair:
    """The odd series, |x| < 1/2."""
    return dd.mul1(dd.poly(dd.square(x), ts.ERF_T, ts.ERF_H), x)


def _ratio_a(x: Real) -> Pair:
    return dd.poly((x - 1.0, 0.0), ts.ERFC_A_T, ts.ERFC_A_H)


def _ratio_b(x: Real) -> Pair:
    return dd.poly((x - 2.25, 0.0), ts.ERFC_B_T, ts.ERFC_B_H)


def _ratio_c(x: Real) -> Pair:
    w = 1.0 / x
    return dd.div(dd.poly((w * w, 0.0), ts.ERFC_C_T, ts.ERFC_C_H), (x, 0.0))


def _erfc_positive(x: Real) -> tuple[Real, Real, Any]:
    """erfc(x) = (h + l) 2**m for x >= 1/2."""
    x = pick(x < 30.0, x, 30.0)
    r = cases_pair((x >= 1.5) + 1 * (x >= 3.0), (_ratio_a, _ratio_b, _ratio_c), x)
    s, e = dd.square(x)
    h, lo, m = ddmath.exp((-s, -e))
    p = dd.mul((h, lo), r)
    return p[0], p[1], m


def _erfc_tail(x: Real) -> Real:
    h, lo, m = _erfc_positive(x)
    return np.ldexp(h + lo, m)


def _one_minus_erf(x: Real) -> Real:
    h, lo = _erf_small(x)
    s, e = dd.two_sum(1.0, -h)
    return s + (e - lo)


def _one_minus_tail(a: Real, top: float) -> Real:
    h, lo, m = _erfc_positive(a)
    s, e = dd.two_sum(top, -np.ldexp(h, m))
    return s + (e - np.ldexp(lo, m))


def _erf_series(x: Real) -> Real:
    h, lo = _erf_small(x)
    return h + lo


def _erf_tiny(x: Real) -> Real:
    """2/sqrt(pi) x, scaled so that no part underflows."""
    h, lo = dd.mul1(t.TWO_OVER_SQRT_PI, x * 2.0**200)
    return pick(x == 0, x, (h + lo) * 2.0**-200)


def _erf_large(x: Real) -> Real:
    return np.copysign(_one_minus_tail(pick(abs(x) < 7.0, abs(x), 7.0), 1.0), x)


@kernel1
def erf(x: Real) -> Real:
    """Error function."""
    a = abs(x)
    edge = (a >= 1e-100) + 1 * (a >= 0.5)
    out = cases(edge, (_erf_tiny, _erf_series, _erf_large), x)
    return pick(x == x, out, x)


@kernel1
def erfc(x: Real) -> Real:
    """1 - erf(x), with relative accuracy in the tail."""
    edge = (x >= -0.5) + 1 * (x >= 0.5)
    out = cases(edge, (lambda v: _one_minus_tail(-pick(v > -7.0, v, -7.0), 2.0), _one_minus_erf, _erfc_tail), x)
    return pick(x == x, out, x)
