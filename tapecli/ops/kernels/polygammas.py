"""Digamma, trigamma and polygamma.

From 3 on (polygamma: from n + 10 on) the asymptotic series (DLMF 5.11.2, 5.15.8), below it the recurrence (5.5.2,
5.15.5), left of 0 the reflection formulas (5.5.4, 5.15.6); digamma next to its positive zero is (x - zero) times a
polynomial. Sums are double-double; where digamma(x), x < 0, comes near a zero it is repeated with about 100 bits.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tapecli.ops.kernels import dd, ddmath, trig
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels import tables_special as ts
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import Kernel1, cases, cases_pair, kernel1, mend, pick, place
from tapecli.ops.kernels.gammas import SHIFT

_FAR = 2.0**500


def _psi_root(x: Pair) -> Pair:
    """digamma on [1, 2], relatively accurate at its zero."""
    r = ts.PSI_ROOT
    d = dd.add((x[0] - r[0], -r[1]), (x[1], -r[2]))
    u = dd.add((x[0] - 1.5, 0.0), (x[1], 0.0))
    return dd.mul(dd.poly(u, ts.PSI_A_T, ts.PSI_A_H), d)


def _psi_2_3(x: Real) -> Pair:
    return dd.poly((x - 2.5, 0.0), ts.PSI_B_T, ts.PSI_B_H)


def _psi_asymptotic(x: Real) -> Pair:
    """log(x) - 1/(2x) - P/x**2, x >= 3."""
    w = 1.0 / x
    p = dd.poly((w * w, 0.0), ts.PSI_T, ts.PSI_H)
    log = ddmath.log((x, 0.0))
    half = -0.5 * w
    s, e = dd.two_sum(log[0], half)
    # the rounding error of 1/x, from the remainder of the division
    xs = pick(x < _FAR, x, 1.0)
    q, f = dd.two_prod(w, xs)
    fix = pick(x < _FAR, half * ((1.0 - q) - f), 0.0)
    return dd.fast_two_sum(s, e + (log[1] + (fix - p[0] * (w * w))))


def digamma_positive(x: Real) -> Pair:
    """digamma(x), x >= 1, finite."""
    return cases_pair(place((2.0, 3.0), x), (lambda v: _psi_root((v, 0.0)), _psi_2_3, _psi_asymptotic), x)


def digamma_1p(a: Real) -> Pair:
    """digamma(1 + a) for a >= 0, not beyond 2**52."""

    def beyond(v: Real) -> Pair:
        return dd.add(digamma_positive(v), dd.inv((v, 0.0)))

    return cases_pair(1 * (a >= 1.0), (lambda v: _psi_root(dd.two_sum(1.0, v)), beyond), a)


def _psi_below_1(x: Real) -> Real:
    q = dd.inv((x, 0.0))
    h, lo = dd.add(digamma_1p(x), (-q[0], -q[1]))
    return h + lo


def _psi_right(x: Real) -> Real:
    v = pick(np.isfinite(x), x, 3.0)
    h, lo = digamma_positive(v)
    return pick(np.isfinite(x), h + lo, x)


def _psi_left_full(x: Real) -> Real:
    """digamma(1 + a) + pi cot(pi a), a = -x, to about 2**-98."""
    a: Pair = (-x, 0.0)
    top = dd.two_sum(-x, float(SHIFT))
    w = dd.inv(top)
    w2 = dd.mul(w, w)
    p = dd.mul(dd.poly(w2, ts.PSIF_T, ts.PSIF_H), w2)
    y = dd.add(ddmath.log_full(top), (-0.5 * w[0], -0.5 * w[1]))
    y = dd.add(y, (-p[0], -p[1]))
    for k in range(1, SHIFT):
        q = dd.inv(dd.add(a, (float(k), 0.0)))
        y = dd.add(y, (-q[0], -q[1]))
    s, c = trig.sin_cos_pi(-x, ddmath.sinpi_full, ddmath.cospi_full)
    h, lo = dd.add(dd.mul(t.PI, dd.div(c, s)), y)
    return h + lo


def _psi_left(x: Real) -> Real:
    pole = np.floor(x) == x
    v = pick(pole, -0.5, x)
    s, c = trig.sin_cos_pi(-v)
    h, lo = dd.add(digamma_1p(-v), dd.mul(t.PI, dd.div(c, s)))
    out = mend(h + lo, (abs(h) < 0.0078125) & (v > -1e15), _psi_left_full, v)
    return pick(pole, np.nan, out)


@kernel1
def digamma(x: Real) -> Real:
    """Logarithmic derivative of gamma; nan at the negative integers, -inf or inf at 0 and -0."""
    edge = 1 * (x > -1e-17) + (x > 1e-17) + ~(x < 1.0)
    return cases(edge, (_psi_left, lambda v: -1.0 / v, _psi_below_1, _psi_right), pick(x == x, x, np.nan))


def trigamma_from_3(x: Pair) -> Pair:
    """1/x + 1/(2x**2) + P/x**3, 3 <= x < 2**500."""
    q = dd.inv(x)
    q2 = dd.mul(q, q)
    w = q2[0]
    p = dd.poly((w, 0.0), ts.PSI1_T, ts.PSI1_H)
    y = dd.add(q, (0.5 * q2[0], 0.5 * q2[1]))
    return dd.add(y, (p[0] * w * q[0], 0.0))


def _trigamma_below_3(h: Real, lo: Real) -> Pair:
    x: Pair = (h, lo)
    y = trigamma_from_3(dd.add((3.0, 0.0), x))
    for k in (2.0, 1.0, 0.0):
        q = dd.inv(dd.add((k, 0.0), x))
        y = dd.add(y, dd.mul(q, q))
    return y


def trigamma_pair(x: Pair) -> Pair:
    """trigamma(x), 1e-100 < x < 2**500."""
    cores = (_trigamma_below_3, lambda h, lo: trigamma_from_3((h, lo)))
    return cases_pair(1 * (x[0] >= 3.0), cores, *x)


def _trigamma_tiny(x: Real) -> Real:
    h, lo = dd.inv((x * 2.0**400, 0.0))
    s = h * h * 2.0**800
    return pick(np.isfinite(s), (h * h + 2.0 * h * lo) * 2.0**800, np.inf)


def _trigamma_right(x: Real) -> Real:
    v = pick(x < _FAR, x, 3.0)
    h, lo = trigamma_pair((v, 0.0 * v))
    return pick(x < _FAR, h + lo, 1.0 / x)


def _trigamma_left(x: Real) -> Real:
    """pi**2/sin(pi a)**2 - trigamma(1 + a), a = -x."""
    pole = np.floor(x) == x
    v = pick(pole, -0.5, x)
    q = dd.div(t.PI, trig.sin_pi(-v))
    y = trigamma_pair(dd.two_sum(1.0, -v))
    h, lo = dd.add(dd.mul(q, q), (-y[0], -y[1]))
    return pick(pole, pick(np.isinf(x), np.nan, np.inf), h + lo)


@kernel1
def trigamma(x: Real) -> Real:
    """Derivative of digamma; inf at the poles."""
    edge = ~(x < -1e-17) + 1 * ~(x <= 1e-17)
    return cases(edge, (_trigamma_left, _trigamma_tiny, _trigamma_right), x)


def _power(p: Pair, n: int) -> Pair:
    """p**n by repeated squaring, n >= 1."""
    out = None
    while True:
        if n & 1:
            out = p if out is None else dd.mul(out, p)
        n >>= 1
        if not n:
            return out if out is not None else p
        p = dd.mul(p, p)


def _split(v: int, shift: int = 0) -> Pair:
    """v/2**shift for an integer that may be beyond the range of floats."""
    cut = max(v.bit_length() - 120, 0)
    v >>= cut
    h = float(v)
    return math.ldexp(h, cut - shift), math.ldexp(float(v - int(h)), cut - shift)


@lru_cache(maxsize=64)
def _scale(n: int) -> tuple[int, Pair]:
    """q and n!/2**(q (n+1)), at least 1, so that neither factorial nor powers leave the range."""
    f = math.factorial(n)
    q = (f.bit_length() - 1) // (n + 1)
    return q, _split(f, q * (n + 1))


def _sum_positive(n: int, x: Pair, steps: int) -> Pair:
    """(-1)**(n+1) polygamma(n, x)/(factor of _scale) by the Euler-Maclaurin formula after `steps` terms."""
    q, _ = _scale(n)
    unit = 2.0**q
    top = dd.add(x, (float(steps), 0.0))
    w = dd.inv(top)
    term, rest = (n + 1) * w[0], 0.0 * w[0]
    for k in range(1, 21):
        rest = rest + ts.BERNOULLI[k - 1] * term
        term = term * (((n + 2 * k) * w[0]) * ((n + 2 * k + 1) * w[0]))
    bracket = dd.add(dd.div(top, (float(n), 0.0)), (0.5, 0.0))
    bracket = dd.add(bracket, (rest, 0.0))
    y = dd.mul(_power((w[0] * unit, w[1] * unit), n + 1), bracket)
    for k in range(steps - 1, -1, -1):
        w = dd.inv(dd.add(x, (float(k), 0.0)))
        y = dd.add(y, _power((w[0] * unit, w[1] * unit), n + 1))
    return y


def _polygamma_pair(n: int, x: Pair) -> Pair:
    """polygamma(n, x), x > 0, where nothing overflows."""
    near, far = partial(_sum_parts, n, n + 10), partial(_sum_parts, n, 0)
    y = cases_pair(1 * (x[0] >= n + 10.0), (near, far), *x)
    f = _scale(n)[1]
    sign = 1.0 if n % 2 else -1.0
    return dd.mul(y, (sign * f[0], sign * f[1]))


def _sum_parts(n: int, steps: int, h: Real, lo: Real) -> Pair:
    return _sum_positive(n, (h, lo), steps)


def _scaled_power(q: int, x: Real, n: int) -> tuple[Pair, Any]:
    """(2**q/x)**n = (h + l) 2**m for any x, n < 1000."""
    v, e = np.frexp(pick(np.isfinite(x) & (x != 0), x, 1.0))
    return _power(dd.inv((v, 0.0 * v)), n), (q - e) * n


def _plain(n: int, x: Real) -> Real:
    """The leading term n!/x**(n+1) at 0 and (n-1)!/x**n at infinity."""
    q, f = _scale(n)
    if n % 2 == 0:
        f = -f[0], -f[1]
    p, m = _scaled_power(q, x, n + 1)
    p = dd.mul(p, f)
    near = np.ldexp(p[0] + p[1], m)
    p, m = _scaled_power(q, x, n)
    p = dd.div(dd.mul(p, f), (float(n), 0.0))
    far = np.ldexp(p[0] + p[1], m + q)
    out = pick(abs(x) < 1e9, near, far)
    return pick(np.isfinite(x) & (x != 0), out, f[0] / (abs(x) if n % 2 else x))


def _polygamma_right(n: int, x: Real) -> Real:
    edge = 1e120 ** (1.0 / (n + 1))
    plain = (abs(x) < min(1.0 / edge, 1e-19 ** (1.0 / n))) | (x > max(edge, 1e17)) | (x != x)
    v = pick(plain, 1.0, x)
    h, lo = _polygamma_pair(n, (v, 0.0 * v))
    return pick(plain | ~np.isfinite(h + lo), _plain(n, x), h + lo)


@lru_cache(maxsize=64)
def _cot_derivative(n: int) -> tuple[Pair, ...]:
    """d**n cot/dt**n = (-1)**n c**(1 - n % 2) Q(c**2), c = cot t: pi**(n+1)-free coefficients of Q, highest first."""
    p = {1: 1}
    for _ in range(n):
        p_next: dict[int, int] = {}
        for k, v in p.items():  # d c**k/dt = -k (c**(k-1) + c**(k+1)); the sign is taken out
            p_next[k + 1] = p_next.get(k + 1, 0) + k * v
            if k:
                p_next[k - 1] = p_next.get(k - 1, 0) + k * v
        p = p_next
    return tuple(_split(p[k]) for k in sorted(p, reverse=True))


def _polygamma_left(n: int, x: Real) -> Real:
    """(-1)**n (pi**(n+1) cot^(n)(pi a) + polygamma(n, 1 + a)), a = -x."""
    pole = np.floor(x) == x
    v = pick(pole, -0.5, x)
    s, c = trig.sin_cos_pi(-v)
    c = dd.div(c, s)
    u = dd.mul(c, c)
    coefs = _cot_derivative(n)
    y = coefs[0]
    for k in coefs[1:]:
        y = dd.add(dd.mul(y, u), k)
    y = dd.mul(y, _power(t.PI, n + 1))
    if n % 2 == 0:
        y = dd.mul(y, c)
    r = _polygamma_pair(n, dd.two_sum(1.0, -v))
    sign = 1.0 if n % 2 == 0 else -1.0
    h, lo = dd.add(y, (sign * r[0], sign * r[1]))
    out = pick(np.isfinite(h + lo), h + lo, _plain(n, v - np.rint(v)))
    return pick(pole, pick(np.isinf(x), np.nan, np.inf if n % 2 else np.nan), out)


def _polygamma_left_high(n: int, x: Real) -> Real:
    """For n >= 50 only the poles next to x count."""
    q, f = _scale(n)
    m = np.rint(x)
    r = x - m
    total = 0.0 * r
    for k in (-2, -1, 0, 1, 2):
        total = total + pick(m + k <= 0, np.power(2.0**q / (r - k), float(n + 1)), 0.0)
    out = (1.0 if n % 2 else -1.0) * f[0] * total
    return pick(r == 0, np.inf if n % 2 else np.nan, out)


@lru_cache(maxsize=64)
def _make(n: int) -> Kernel1:
    left = partial(_polygamma_left if n < 50 else _polygamma_left_high, n)
    tiny = min(1e-17, 1e-10 ** (30.0 / (n + 1)))

    def core(x: Real) -> Real:
        cores = (left, partial(_plain, n), partial(_polygamma_right, n))
        return cases((x >= -tiny) + 1 * ~(x <= 0), cores, x)

    return kernel1(core)


def polygamma(n: int, x: ArrayLike) -> Any:
    """The n-th derivative of digamma, n >= 0."""
    if n < 0:
        raise ValueError("polygamma needs n >= 0")
    return digamma(x) if n == 0 else trigamma(x) if n == 1 else _make(n)(x)
