"""Exponential-like functions: hyperbolic ones and their inverses, sigmoid, softplus, logaddexp, exp_neg_sq.

The rules are the textbook identities, written so that nothing cancels and evaluated in double-double (`ddmath`) with
one rounding at the end; this makes the results independent of the processor's library, whose acosh, tanh and cbrt
exceed 2 ULP here and there (Innocente and Zimmermann, "Accuracy of Mathematical Functions", list 2.25, 2.22 and 3.67
for glibc 2.36). Silencing of warnings is done by the wrappers.
"""

from __future__ import annotations

import numpy as np

from tapecli.ops.kernels import dd, ddmath
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import cases, kernel1, kernel2, mend, pick

_BIG = 2.0**28  # from here on x*x + 1 is x*x, to 2**-56


def _exp_pair(x: Pair) -> Pair:
    """exp(x) as a pair, for x <= 0."""
    h, lo, m = ddmath.exp(x)
    return np.ldexp(h, m), np.ldexp(lo, m)


def _neg_abs(d: Pair) -> Pair:
    negative = d[0] < 0
    return -abs(d[0]), pick(negative, d[1], -d[1])


def _sigmoid(d: Pair) -> Real:
    """1 or e, over 1 + e, with e = exp(-|d|): nothing cancels or overflows."""
    h, lo, m = ddmath.exp(_neg_abs(d))
    below = dd.two_sum(1.0, np.ldexp(h, m))
    below = below[0], below[1] + np.ldexp(lo, m)
    negative = d[0] < 0
    q = dd.div((pick(negative, h, 1.0), pick(negative, lo, 0.0)), below)
    return np.ldexp(q[0] + q[1], pick(negative, m, m - m))


def _sigmoid_d1(d: Pair, scale: int = 0) -> Real:
    """2**scale e/(1 + e)**2 with e = exp(-|d|)."""
    h, lo, m = ddmath.exp(_neg_abs(d))
    below = dd.two_sum(1.0, np.ldexp(h, m))
    below = below[0], below[1] + np.ldexp(lo, m)
    q = dd.div((h, lo), dd.mul(below, below))
    return np.ldexp(q[0] + q[1], m + scale)


@kernel1
def sigmoid(x: Real) -> Real:
    """1/(1 + exp(-x))."""
    return _sigmoid((x, 0.0))


@kernel1
def sigmoid_d1(x: Real) -> Real:
    """First derivative of sigmoid: e/(1 + e)**2, e = exp(-|x|)."""
    return _sigmoid_d1((x, 0.0))


@kernel1
def sigmoid_d2(x: Real) -> Real:
    """Second derivative of sigmoid: -sigmoid'(x) tanh(x/2)."""
    return -_sigmoid_d1((x, 0.0)) * _tanh(0.5 * x)


@kernel1
def sech2(x: Real) -> Real:
    """1/cosh(x)**2 = 4e/(1 + e)**2 with e = exp(-2|x|): the derivative of tanh."""
    return _sigmoid_d1((2.0 * x, 0.0), 2)


def _sinh_small(x: Real) -> Pair:
    """sinh for |x| < 0.36: its series."""
    return dd.mul1(dd.poly(dd.square(x), t.SINH_T, t.SINH_H), x)


def _tanh_small(x: Real) -> Pair:
    s = _sinh_small(x)
    c = dd.mul(s, s)
    return dd.div(s, dd.sqrt(dd.add((1.0, 0.0), c)))


def _tanh_pair(x: Real) -> Pair:
    """(1 - e)/(1 + e), e = exp(-2|x|), with the sign of x."""
    e = _exp_pair((np.maximum(-2.0 * abs(x), -100.0), 0.0))
    above, below = dd.two_sum(1.0, -e[0]), dd.two_sum(1.0, e[0])
    q = dd.div((above[0], above[1] - e[1]), (below[0], below[1] + e[1]))
    s = np.copysign(1.0, x)
    return s * q[0], s * q[1]


def _tanh_tiny(x: Real) -> Real:
    return x


def _join(p: Pair) -> Real:
    return p[0] + p[1]


def _size(x: Real) -> Real:
    """0 for tiny, 1 for small, 2 for other x (nan among them)."""
    a = abs(x)
    return 2 - (a < 0.34375) - (a < 1e-9)


def _tanh(x: Real) -> Real:
    return cases(_size(x), (_tanh_tiny, lambda v: _join(_tanh_small(v)), lambda v: _join(_tanh_pair(v))), x)


tanh = kernel1(_tanh)
tanh.__doc__ = "Hyperbolic tangent."


@kernel1
def coth(x: Real) -> Real:
    """1/tanh(x)."""
    small, other = (lambda v: _join(dd.inv(_tanh_small(v)))), (lambda v: _join(dd.inv(_tanh_pair(v))))
    return cases(_size(x), (lambda v: 1.0 / v, small, other), x)


def _csch_other(x: Real) -> Real:
    """2e/(1 - e**2), e = exp(-|x|)."""
    h, lo, m = ddmath.exp((-abs(x), 0.0))
    eh, el = np.ldexp(h, m), np.ldexp(lo, m)
    e2 = dd.mul((eh, el), (eh, el))
    below = dd.two_sum(1.0, -e2[0])
    q = dd.div((h, lo), (below[0], below[1] - e2[1]))
    return np.copysign(np.ldexp(q[0] + q[1], m + 1), x)


@kernel1
def csch(x: Real) -> Real:
    """1/sinh(x)."""
    return cases(_size(x), (lambda v: 1.0 / v, lambda v: _join(dd.inv(_sinh_small(v))), _csch_other), x)


@kernel1
def sech(x: Real) -> Real:
    """1/cosh(x) = 2e/(1 + e**2), e = exp(-|x|)."""
    h, lo, m = ddmath.exp((-abs(x), 0.0))
    eh, el = np.ldexp(h, m), np.ldexp(lo, m)
    e2 = dd.mul((eh, el), (eh, el))
    below = dd.two_sum(1.0, e2[0])
    q = dd.div((h, lo), (below[0], below[1] + e2[1]))
    return np.ldexp(q[0] + q[1], m + 1)


def _acosh_big(x: Real) -> Real:
    inside = pick(np.isfinite(x), x, 1.0)
    h, lo = ddmath.log((inside, 0.0))
    s, e = dd.two_sum(h, t.LN2[0])
    return pick(np.isfinite(x), s + (e + (lo + t.LN2[1])), x)


def _acosh_near(x: Real) -> Real:
    """log(1 + (x-1) + sqrt((x-1)(x+1)))."""
    d = x - 1.0
    s = dd.sqrt(dd.add((1e-300, 0.0), dd.mul1(dd.two_sum(x, 1.0), d)))
    q = dd.add(s, dd.two_sum(x, -1.0))
    return pick(d > 0, _join(ddmath.log1p(q)), pick(d == 0, 0.0, np.nan))


@kernel1
def arccosh(x: Real) -> Real:
    """Inverse hyperbolic cosine."""
    return cases(1 * (x >= _BIG), (_acosh_near, _acosh_big), x)


def _asinh_of_inverse(x: Real) -> Real:
    """asinh(1/x) = log(1 + q), q = (1 + 1/(a + sqrt(a*a + 1)))/a, a = |x|."""
    a = abs(x)
    s = dd.sqrt(dd.add(dd.square(a), (1.0, 0.0)))
    q = dd.div(dd.add((1.0, 0.0), dd.inv(dd.add((a, 0.0), s))), (a, 0.0))
    return np.copysign(_join(ddmath.log1p(q)), x)


def _log_of_2_over(x: Real) -> Real:
    a = abs(x)
    h, lo = ddmath.log((pick(a > 0, a, 1.0), 0.0))
    s, e = dd.two_sum(t.LN2[0], -h)
    return np.copysign(pick(a > 0, s + (e + (t.LN2[1] - lo)), pick(a == 0, np.inf, np.nan)), x)


@kernel1
def acsch(x: Real) -> Real:
    """Inverse hyperbolic cosecant, asinh(1/x)."""
    a = abs(x)
    return cases((a >= 2.0**-29) + 1 * (a >= _BIG), (_log_of_2_over, _asinh_of_inverse, lambda v: 1.0 / v), x)


def _asech_near(x: Real) -> Real:
    """log(1 + ((1-x) + sqrt((1-x)(1+x)))/x)."""
    d = dd.two_sum(1.0, -x)
    s = dd.sqrt(dd.add((1e-300, 0.0), dd.mul(d, dd.two_sum(1.0, x))))
    q = dd.div(dd.add(s, d), (x, 0.0))
    return pick(x < 1, _join(ddmath.log1p(q)), pick(x == 1, 0.0, np.nan))


@kernel1
def asech(x: Real) -> Real:
    """Inverse hyperbolic secant, acosh(1/x); nan outside [0, 1]."""
    out = cases(1 * (x >= 2.0**-29), (_log_of_2_over, _asech_near), abs(x))
    return pick(x < 0, np.nan, out)


def _acoth_near(x: Real) -> Real:
    """log(1 + 2/(a-1))/2, a = |x|."""
    a = abs(x)
    d = dd.two_sum(pick(a > 1, a, 2.0), -1.0)
    h, lo = ddmath.log1p(dd.div((2.0, 0.0), d))
    y = pick(a > 1, 0.5 * (h + lo), pick(a == 1, np.inf, np.nan))
    return np.copysign(y, x)


@kernel1
def acoth(x: Real) -> Real:
    """Inverse hyperbolic cotangent, atanh(1/x); nan inside (-1, 1)."""
    return cases(1 * (abs(x) >= _BIG), (_acoth_near, lambda v: 1.0 / v), x)


@kernel1
def softplus(x: Real) -> Real:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    h, lo = ddmath.log1p(_exp_pair((-abs(x), 0.0)))
    s, e = dd.two_sum(np.maximum(x, 0.0), h)
    return pick(np.isinf(x), np.maximum(x, 0.0), s + (e + lo))


def _logit_near(p: Real) -> Real:
    """log(1 + (2p-1)/(1-p)) around 1/2."""
    d = dd.two_sum(1.0, -p)
    return _join(ddmath.log1p(dd.div(((p - d[0]) - d[1], 0.0), d)))


def _logit_far(p: Real) -> Real:
    inside = (p > 0) & (p < 1)
    v = pick(inside, p, 0.5)
    a, b = ddmath.log((v, 0.0)), ddmath.log(dd.two_sum(1.0, -v))
    return pick(inside, _join(dd.add(a, (-b[0], -b[1]))), np.log(p) - np.log(1.0 - p))


@kernel1
def logit(p: Real) -> Real:
    """log(p/(1-p))."""
    return cases(1 * ((p >= 0.25) & (p <= 0.75)), (_logit_far, _logit_near), p)


@kernel1
def log1mexp(x: Real) -> Real:
    """log(1 - exp(x)) for x < 0 (Maechler 2012: expm1 above -log 2, log1p below)."""
    return pick(x > -0.6931471805599453, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def _lae_parts(a: Real, b: Real) -> tuple[Real, Pair]:
    """max(a, b) and -|a - b|."""
    return np.maximum(a, b), dd.two_sum(np.minimum(a, b), -np.maximum(a, b))


def _lae_full(a: Real, b: Real) -> Real:
    top, d = _lae_parts(a, b)
    s = ddmath.log1p_full(ddmath.exp_full(d))
    return _join(dd.add((top, 0.0), s))


def _lae_ordinary(a: Real, b: Real) -> Real:
    top, d = _lae_parts(a, b)
    h, lo = ddmath.log1p(_exp_pair(d))
    s, e = dd.two_sum(top, h)
    out = s + (e + lo)
    # exp(a) + exp(b) near 1: max(a, b) and the logarithm cancel
    return mend(out, (top < 0) & (abs(out) < -0.0625 * top), _lae_full, a, b)


@kernel2
def logaddexp(a: Real, b: Real) -> Real:
    """log(exp(a) + exp(b)) = max + log1p(exp(-|a - b|)).

    Near 0 the absolute error is about 2**-101 max(|a|, |b|): the result is good down to 2**-48 of the arguments.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    out = _lae_ordinary(pick(finite, a, 1.0), pick(finite, b, 1.0))
    return pick(finite, out, pick(np.isnan(a + b) & ((a != a) | (b != b)), np.nan, np.maximum(a, b)))


@kernel2
def logaddexp_share(a: Real, b: Real) -> Real:
    """d logaddexp(a, b)/da = sigmoid(a - b), the difference taken exactly; equal infinities share."""
    d = dd.two_sum(a, -b)
    finite = np.isfinite(d[0])
    even = pick(a == b, 0.0, d[0])
    return _sigmoid((pick(finite, d[0], even), pick(finite, d[1], 0.0)))


@kernel2
def logaddexp_d2(a: Real, b: Real) -> Real:
    """Second derivative of logaddexp by a: share(a, b) share(b, a)."""
    d = dd.two_sum(a, -b)
    finite = np.isfinite(d[0])
    even = pick(a == b, 0.0, d[0])
    return _sigmoid_d1((pick(finite, d[0], even), pick(finite, d[1], 0.0)))


@kernel1
def exp_neg_sq(x: Real) -> Real:
    """exp(-x*x), the square taken exactly: the density under erf."""
    s, e = dd.square(np.minimum(np.maximum(x, -30.0), 30.0))
    h, lo, m = ddmath.exp((-s, -e))
    return np.ldexp(h + lo, m)
