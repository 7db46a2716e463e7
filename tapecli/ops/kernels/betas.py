"""The beta function, its logarithm, and differences of digamma and trigamma, which its derivatives need.

The logarithm by Stirling's series with the large terms joined, as in DiDonato and Morris (ACM TOMS 18 (1992) 360),
so that nothing cancels when one argument is much greater: log B(a, b) = -(a - 1/2) log(1 + b/a) - b log(1 + a/b)
- log(b)/2 + log(2 pi)/2 + rests. Arguments below 3 are first moved up by 3. Where log B comes near 0, the
gamma functions are used once more with about 100 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapecli.ops.kernels import dd, ddmath
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels import tables_special as ts
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import cases, kernel2, mend, pick
from tapecli.ops.kernels.gammas import (
    SHIFT,
    gamma,
    lgamma_negative,
    lgamma_positive,
    rising,
    stirling_full,
    stirling_rest,
)
from tapecli.ops.kernels.polygammas import digamma, trigamma


def _neg(p: Pair) -> Pair:
    return -p[0], -p[1]


def _stirling_beta(a: Pair, b: Pair) -> Pair:
    """log B(a, b) for a, b >= 3."""
    s = dd.add(a, b)
    x = dd.mul(dd.add(a, (-0.5, 0.0)), ddmath.log1p(dd.div(b, a)))
    y = dd.mul(b, ddmath.log1p(dd.div(a, b)))
    log = ddmath.log(b)
    z = dd.add(t.HALF_LN_2PI, (-0.5 * log[0], -0.5 * log[1]))
    rest = (stirling_rest(b[0]) - stirling_rest(s[0])) + stirling_rest(a[0])
    return dd.add(dd.add(dd.add(z, _neg(x)), _neg(y)), (rest, 0.0))


def _rising3(x: Pair) -> Pair:
    return dd.mul(dd.mul(x, dd.add(x, (1.0, 0.0))), dd.add(x, (2.0, 0.0)))


def _where(c: Any, p: Pair, q: Pair) -> Pair:
    return pick(c, p[0], q[0]), pick(c, p[1], q[1])


def _parts(a: Real, b: Real) -> tuple[Pair, Pair]:
    """B(a, b) = exp(p) q for 1e-290 < b <= a < 1e290: p, q."""
    zero = 0.0 * a
    one: Pair = (zero + 1.0, zero)
    low_a, low_b = a < 3.0, b < 3.0
    up_a, up_b = dd.two_sum(a, pick(low_a, 3.0, 0.0)), dd.two_sum(b, pick(low_b, 3.0, 0.0))
    s = dd.two_sum(a, b)
    s = pick(low_b, s[0], 1.0), pick(low_b, s[1], 0.0)
    # (s)_3/(b)_3 factor by factor: s may be huge
    q = one
    for k in (0.0, 1.0, 2.0):
        q = dd.mul(q, dd.div(dd.add(s, (k, 0.0)), dd.add((b, zero), (k, 0.0))))
    more = dd.div(_rising3(dd.add(s, (3.0, 0.0))), _rising3((a, zero)))
    q = _where(low_b, _where(low_a, dd.mul(q, more), q), one)
    return _stirling_beta(up_a, up_b), q


def _lbeta_full(a: Real, b: Real) -> Real:
    """By gamma functions, all moved up by SHIFT, to about 2**-97."""
    s = dd.two_sum(a, b)
    n = (float(SHIFT), 0.0)
    q = dd.div(dd.div(rising(s), rising((a, 0.0))), rising((b, 0.0)))
    y = dd.add(stirling_full(dd.two_sum(a, n[0])), stirling_full(dd.two_sum(b, n[0])))
    y = dd.add(y, _neg(stirling_full(dd.add(s, n))))
    y = dd.add(y, ddmath.log_full(q))
    close = (abs(a - 1.0) < 2.0**-26) & (abs(b - 1.0) < 2.0**-26)
    return mend(y[0] + y[1], close, _lbeta_at_ones, a, b)


def _lbeta_at_ones(a: Real, b: Real) -> Real:
    """log B(1 + u, 1 + v) = -log(1 + u + v) - zeta(2) u v + zeta(3) u v (u + v) + ..."""
    u, v = a - 1.0, b - 1.0
    w = dd.two_sum(u, v)
    y = dd.mul(dd.two_prod(u, v), dd.two_sum(1.6449340668482264, -1.2020569031595942 * w[0]))
    y = dd.add(ddmath.log1p(w), y)
    return -(y[0] + y[1])


def _ordered(a: Real, b: Real) -> tuple[Real, Real, Any]:
    """The larger, the smaller, and whether both lie inside the safe range; else 1, 1."""
    x, y = np.maximum(a, b), np.minimum(a, b)
    safe = (y > 1e-100) & (x < 1e100)
    return pick(safe, x, 1.0), pick(safe, y, 1.0), safe


def _lbeta_positive(a: Real, b: Real) -> Real:
    x, y, safe = _ordered(a, b)
    p, q = _parts(x, y)
    h, lo = dd.add(p, ddmath.log(q))
    out = mend(h + lo, (abs(h) < 0.125) & (x < 1e6), _lbeta_full, x, y)
    return pick(safe, out, _lbeta_edge(a, b)) + 0.0


def _lbeta_edge(a: Real, b: Real) -> Real:
    """Extreme arguments: log(1/small) against a log(1 + b/a) + ..., to the accuracy of the parts."""
    x, y = np.maximum(a, b), np.minimum(a, b)
    v, w = pick(x < np.inf, x, 1e300), pick(y > 0, y, 1.0)
    tiny = -np.log(w) + np.log1p(w / v)  # B(a, b) = (1/b)(1 + O(b log a))
    h = lgamma_positive(w)[0]
    large = pick(w < 1e17, h - w * np.log(v), -v * np.log1p(w / v) - w * np.log1p(v / w))
    out = pick(w < 1e-17, tiny - w * np.log(np.maximum(v, 1.0)), large)
    out = pick(np.isinf(x), -np.inf, pick(y == 0, np.inf, out))
    return pick((y == 0) & np.isinf(x) | (a != a) | (b != b), np.nan, out)


def _beta_positive(a: Real, b: Real) -> Real:
    x, y, safe = _ordered(a, b)
    p, q = _parts(x, y)
    h, lo, m = ddmath.exp(p)
    # q may be as great as 1e300 and the exponential as small: join them before scaling
    qm, e = np.frexp(q[0])
    r = dd.mul((h, lo), (qm, np.ldexp(q[1], -e)))
    out = np.ldexp(r[0] + r[1], m + e)
    return pick(safe, out, _beta_edge(np.maximum(a, b) + 0.0, np.minimum(a, b) + 0.0))


def _beta_edge(x: Real, y: Real) -> Real:
    """Extreme arguments: 1/x + 1/y for small ones, gamma(y) x**-y for x much greater than y."""
    far = pick(y < 170.0, gamma(y) * np.power(x, -y), 0.0)
    out = pick(x < 1e-17, 1.0 / y + 1.0 / x, pick(y < 1e-100, 1.0 / y, far))
    return pick((x != x) | (y == 0) & np.isinf(x), np.nan, out)


def _signed(x: Real) -> tuple[Real, Pair]:
    """Sign of gamma(x) and log|gamma(x)| for x not a pole."""
    negative = x < 0
    sign = pick(negative & (np.floor(x) % 2 != 0), -1.0, 1.0)
    left = lgamma_negative(pick(x < -1e-17, x, -0.5))
    right = lgamma_positive(pick((x < -1e-17) | (x == 0), 1.0, abs(x)))
    return sign, _where(x < -1e-17, left, right)


def _pole(x: Real) -> Any:
    return (x <= 0) & (np.floor(x) == x)


def _by_gammas(a: Real, b: Real) -> tuple[Real, Pair]:
    """Sign and logarithm of gamma(a) gamma(b)/gamma(a + b) where an argument is negative; a + b is rounded."""
    s = a + b
    bad = _pole(a) | _pole(b) | _pole(s)
    sa, la = _signed(pick(bad, 1.0, a))
    sb, lb = _signed(pick(bad, 1.0, b))
    ss, ls = _signed(pick(bad, 1.0, s))
    # the great ones cancel
    first = abs(a) > abs(b)
    y = dd.add(dd.add(_where(first, la, lb), _neg(ls)), _where(first, lb, la))
    pole = pick(_pole(a) | _pole(b), np.inf, -np.inf)
    return pick(bad, pick(pole > 0, np.nan, 0.0), sa * sb * ss), _where(bad, (pole, pole * 0.0), y)


def _lbeta_negative(a: Real, b: Real) -> Real:
    _, y = _by_gammas(a, b)
    return pick(np.isinf(y[0]), y[0], y[0] + y[1])


def _beta_negative(a: Real, b: Real) -> Real:
    sign, y = _by_gammas(a, b)
    h, lo, m = ddmath.exp(_where(np.isinf(y[0]), (0.0, 0.0), y))
    return sign * np.ldexp(h + lo, m)


@kernel2
def lbeta(a: Real, b: Real) -> Real:
    """log |B(a, b)|."""
    return cases(1 * ~((a < 0) | (b < 0)), (_lbeta_negative, _lbeta_positive), a, b)


@kernel2
def beta(a: Real, b: Real) -> Real:
    """Beta function; for negative arguments through gamma functions of the rounded sum."""
    return cases(1 * ~((a < 0) | (b < 0)), (_beta_negative, _beta_positive), a, b)


def _divided(coefs: Sequence[float], x: Real, y: Real) -> tuple[Real, Real]:
    """A polynomial at x, and its difference quotient between x and y without a cancelling difference."""
    p, d = coefs[0], 0.0
    for c in coefs[1:]:
        d = d * y + p
        p = p * x + c
    return p, d


_PSI = (*ts.PSI_T, ts.PSI_H[0][0], 0.0)  # w P(w)
_PSI1 = (*ts.PSI1_T, ts.PSI1_H[0][0])


def _raised(a: Real, b: Real) -> tuple[Real, Real, Real]:
    """a moved up to 3 or more, its sum with b, and 1/a - 1/(a + b) for these."""
    up = pick(a < 3.0, a + 3.0, a)
    s = up + b
    return up, s, b / s / up


def _psi_diff(a: Real, b: Real) -> Real:
    up, s, d = _raised(a, b)
    u, v = 1.0 / up, 1.0 / s
    _, f = _divided(_PSI, u * u, v * v)
    out = np.log1p(b / up) + d * (0.5 + f * (u + v))
    low = sum(b / (a + b + k) / (a + k) for k in (2.0, 1.0, 0.0))
    return -pick(a < 3.0, out + low, out)


def _psi1_diff(a: Real, b: Real) -> Real:
    up, s, d = _raised(a, b)
    u, v = 1.0 / up, 1.0 / s
    p, f = _divided(_PSI1, u * u, v * v)
    out = d * (1.0 + (0.5 * (u + v) + ((u * u + u * v + v * v) * p + v * v * v * f * (u + v))))
    low: Real = 0.0
    for k in (2.0, 1.0, 0.0):
        x, y = a + k, a + b + k
        low = low + b / y / x * (1.0 / x + 1.0 / y)
    return pick(a < 3.0, out + low, out)


def _usual(a: Real, b: Real) -> Any:
    return 1 * ((a > 0) & (b > 0) & (b < np.inf))


@kernel2
def digamma_diff(a: Real, b: Real) -> Real:
    """digamma(a) - digamma(a + b), without cancellation for a, b > 0: the derivative of lbeta by a."""
    return cases(_usual(a, b), (lambda x, y: digamma(x) - digamma(x + y), _psi_diff), a, b)


@kernel2
def trigamma_diff(a: Real, b: Real) -> Real:
    """trigamma(a) - trigamma(a + b), likewise: the second derivative of lbeta by a."""
    return cases(_usual(a, b), (lambda x, y: trigamma(x) - trigamma(x + y), _psi1_diff), a, b)


#: From here on the tail of the sum in `_psi_rest` is its asymptotic series, whose terms are those of digamma.
_FAR = 16.0
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


def _atanh_rest(r: Real) -> Real:
    """atanh(r)/r - 1 for 0 <= r < 1."""
    near = r < 0.25
    z = pick(near, r * r, 0.0)
    p: Real = 0.0
    for k in range(15, 0, -1):
        p = z * (1.0 / (2 * k + 1) + p)
    w = pick(near, 0.5, r)
    return pick(near, p, np.arctanh(np.minimum(w, 1.0 - 2.0**-53)) / w - 1.0)


def _psi_rest(p: Real, h: Real) -> Real:
    """(digamma(p + h) - digamma(p))/h - trigamma(p + h) for p >= 1, h > 0: by how much trigamma's mean over an interval
    is greater than at its end. That is the sum of h/((p + k)(p + k + h)^2) over k, of positive terms alone."""
    below = p < _FAR
    low: Real = 0.0
    for k in range(int(_FAR)):
        q = p + k
        low = low + h / q / (q + h) / (q + h)
    a = pick(below, p + _FAR, p)
    c = a + h
    # log1p(t)/t - 1/(1 + t) at t = h/a, by r = t/(2 + t) as a sum of positive parts
    r = h / (a + c)
    left = 2.0 * a / (a + c)
    main = left * (_atanh_rest(r) + h / (2.0 * c))
    u, v = 1.0 / a, 1.0 / c
    rest = 0.5 * (h / c) * v
    # B_2k/2k ((u^2k - v^2k)/h - 2k v^(2k + 1)), where u - v = h u v
    ratio = v / u
    for k, b in enumerate(_BERNOULLI, 1):
        inner: Real = 0.0
        for j in range(1, 2 * k + 1):  # v^(2k - j) (u^j - v^j)/(u - v), over u^(2k - 1)
            inner = inner + ratio ** (2 * k - j) * sum(ratio**i for i in range(j))
        rest = rest + b / (2 * k) * (h / c) * v * inner * u ** (2 * k - 1)
    return pick(below, low, 0.0) + (main * u + rest * u)


def _mixed(a: Real, b: Real) -> Real:
    """The second derivative of B by both arguments, over B.

    It is (digamma(a) - digamma(s)) (digamma(b) - digamma(s)) - trigamma(s) at s = a + b, where all digits cancel for
    small a or b. From B(a, b) = (1/a + 1/b) gamma(1 + a) gamma(1 + b)/gamma(1 + s) it comes as a sum of parts that are
    never negative.
    """
    share_a, share_b = 1.0 / (1.0 + b / a), 1.0 / (1.0 + a / b)
    product = _psi_diff(1.0 + a, b) * _psi_diff(1.0 + b, a)
    return product + (share_a * _psi_rest(1.0 + a, b) + share_b * _psi_rest(1.0 + b, a))


@kernel2
def beta_dx(a: Real, b: Real) -> Real:
    """The derivative of the beta function by its first argument."""
    return np.asarray(beta(a, b)) * np.asarray(digamma_diff(a, b))


@kernel2
def beta_dxy(a: Real, b: Real) -> Real:
    """The second derivative of the beta function by both arguments, without cancellation for a, b > 0."""

    def plain(x: Real, y: Real) -> Real:
        s = x + y
        return (digamma(x) - digamma(s)) * (digamma(y) - digamma(s)) - trigamma(s)

    return np.asarray(beta(a, b)) * cases(_usual(a, b) * (a < np.inf), (plain, _mixed), a, b)
