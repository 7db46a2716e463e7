"""Trigonometric kernels that NumPy lacks: reciprocal functions, degrees, half turns, sinc and its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli.ops.kernels import dd, ddmath
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels.dd import Pair, Real
from tapecli.ops.kernels.frame import Kernel1, cases, cases_pair, kernel1, pick

Series = Callable[[Real], Pair]


@kernel1
def sec(x: Real) -> Real:
    """1/cos(x)."""
    return 1.0 / np.cos(x)


@kernel1
def csc(x: Real) -> Real:
    """1/sin(x)."""
    return 1.0 / np.sin(x)


@kernel1
def cot(x: Real) -> Real:
    """1/tan(x)."""
    return 1.0 / np.tan(x)


def _asec_root(x: Real) -> Pair:
    """sqrt((x-1)(x+1)) as a pair."""
    a = abs(x)
    h, lo = dd.sqrt(dd.mul(dd.two_sum(a, -1.0), dd.two_sum(a, 1.0)))
    return pick(a == 1, 0.0, h), pick(a == 1, 0.0, lo)


def _asec_near(x: Real) -> Real:
    """atan(sqrt(x*x - 1)), 1 < |x| < 2, corrected for the rounding of the root; its derivative there is 1/(x*x)."""
    h, lo = _asec_root(x)
    y = np.arctan(h) + lo / (x * x)
    return pick(x < 0, t.PI[0] - (y - t.PI[1]), y)


def _acos_inverse(x: Real) -> Real:
    return np.arccos(1.0 / x)


@kernel1
def asec(x: Real) -> Real:
    """acos(1/x); nan inside (-1, 1)."""
    return cases(1 * ((abs(x) < 2) & (abs(x) >= 1)), (_acos_inverse, _asec_near), x)


def _acsc_near(x: Real) -> Real:
    h, lo = _asec_root(x)
    y = t.HALF_PI[0] - (np.arctan(h) + (lo / (x * x) - t.HALF_PI[1]))
    return np.copysign(y, x)


def _asin_inverse(x: Real) -> Real:
    q = 1.0 / x
    y = np.arcsin(q)
    p, e = dd.two_prod(q, pick(abs(x) < 1e290, x, 1.0))
    y = y + pick(abs(x) < 1e290, ((1.0 - p) - e) * q, 0.0) * (1.0 + 0.5 * q * q)
    return np.copysign(y, x)


@kernel1
def acsc(x: Real) -> Real:
    """asin(1/x); nan inside (-1, 1)."""
    return cases(1 * ((abs(x) < 2) & (abs(x) >= 1)), (_asin_inverse, _acsc_near), x)


@kernel1
def acot(x: Real) -> Real:
    """atan(1/x), in [-pi/2, pi/2]."""
    return np.arctan(1.0 / x)


def _half_turns(x: Real) -> tuple[Any, Real]:
    """x = q/2 + r + an even number, exactly: q modulo 4 and r, |r| <= 1/4."""
    y = x - 2.0 * np.rint(0.5 * x)
    q = np.rint(2.0 * y)
    return q.astype(np.int32) & 3, y - 0.5 * q


def sin_cos_pi(x: Real, sine: Series = ddmath.sinpi, cosine: Series = ddmath.cospi) -> tuple[Pair, Pair]:
    """sin(pi x) and cos(pi x) as pairs, by the given series for |x| <= 1/4."""
    q, r = _half_turns(x)
    return _turned(q, sine(r), cosine(r))


def _turned(q: Any, s: Pair, c: Pair) -> tuple[Pair, Pair]:
    """Sine and cosine after adding q quarter turns."""
    odd = (q & 1) == 1
    a = pick(q >= 2, -1.0, 1.0)
    b = pick((q == 1) | (q == 2), -1.0, 1.0)
    return (
        (a * pick(odd, c[0], s[0]), a * pick(odd, c[1], s[1])),
        (b * pick(odd, s[0], c[0]), b * pick(odd, s[1], c[1])),
    )


def sin_pi(x: Real) -> Pair:
    """sin(pi x) as a pair."""
    q, r = _half_turns(x)
    p = cases_pair(q & 1, (ddmath.sinpi, ddmath.cospi), r)
    a = pick(q >= 2, -1.0, 1.0)
    return a * p[0], a * p[1]


def cos_pi(x: Real) -> Pair:
    """cos(pi x) as a pair."""
    q, r = _half_turns(x)
    p = cases_pair(q & 1, (ddmath.cospi, ddmath.sinpi), r)
    b = pick((q == 1) | (q == 2), -1.0, 1.0)
    return b * p[0], b * p[1]


def _signed_zero(y: Real, x: Real) -> Real:
    """Zeros of an odd function take the sign of the argument (IEEE 754, 9.2.1)."""
    return pick(y == 0, np.copysign(0.0, x), y)


@kernel1
def sinpi(x: Real) -> Real:
    """sin(pi x)."""
    h, lo = sin_pi(x)
    return _signed_zero(h + lo, x)


@kernel1
def cospi(x: Real) -> Real:
    """cos(pi x)."""
    h, lo = cos_pi(x)
    return (h + lo) + 0.0


def _ratio(s: Pair, c: Pair) -> Real:
    """s/c, infinite where c is 0."""
    h, lo = dd.div(s, c)
    return pick(c[0] == 0, s[0] / abs(c[0]), h + lo)


@kernel1
def tanpi(x: Real) -> Real:
    """tan(pi x)."""
    return _signed_zero(_ratio(*sin_cos_pi(x)), x)


def _degrees(x: Real) -> tuple[Any, Pair, Pair]:
    """x = 90 q + r + full turns, exactly: q modulo 4, sin and cos of r."""
    y = np.fmod(x, 360.0)
    q = np.rint(y / 90.0)
    uh, ul = dd.mul1(t.INV_180, y - 90.0 * q)
    s, c = ddmath.sinpi(uh), ddmath.cospi(uh)
    turn = t.PI[0] * ul
    s = dd.fast_two_sum(s[0], s[1] + turn * c[0])
    c = dd.fast_two_sum(c[0], c[1] - turn * s[0])
    return q.astype(np.int32) & 3, s, c


def _sin_cos_degrees(x: Real) -> tuple[Pair, Pair]:
    return _turned(*_degrees(x))


@kernel1
def sind(x: Real) -> Real:
    """Sine of x degrees; exact at multiples of 30."""
    (h, lo), _ = _sin_cos_degrees(x)
    return _signed_zero(h + lo, x)


@kernel1
def cosd(x: Real) -> Real:
    """Cosine of x degrees; exact at multiples of 30 where the result is rational."""
    _, (h, lo) = _sin_cos_degrees(x)
    return (h + lo) + 0.0


@kernel1
def tand(x: Real) -> Real:
    """Tangent of x degrees; exact at multiples of 45."""
    return _signed_zero(_ratio(*_sin_cos_degrees(x)), x)


def _to_degrees(y: Real, direction: tuple[Pair, Pair]) -> Real:
    """The angle of a direction (cosine, sine) in degrees from its approximation y in radians.

    One rotation by the rounded degrees leaves the sine of a tiny angle: the correction.
    """
    d = y * t.PER_RADIAN[0]
    s, c = _sin_cos_degrees(d)
    a, b = dd.mul(direction[1], c), dd.mul(direction[0], s)
    rest = (a[0] - b[0]) + (a[1] - b[1])
    return d + rest * t.PER_RADIAN[0]


def _circle(x: Real) -> Pair:
    """sqrt(1 - x*x)."""
    root = dd.sqrt(dd.mul(dd.two_sum(1.0, -x), dd.two_sum(1.0, x)))
    one = abs(x) == 1
    return pick(one, 0.0, root[0]), pick(one, 0.0, root[1])


@kernel1
def asind(x: Real) -> Real:
    """Inverse sine in degrees."""
    return _signed_zero(_to_degrees(np.arcsin(x), (_circle(x), (x, 0.0))), x)


@kernel1
def acosd(x: Real) -> Real:
    """Inverse cosine in degrees."""
    return _to_degrees(np.arccos(x), ((x, 0.0), _circle(x)))


@kernel1
def atand(x: Real) -> Real:
    """Inverse tangent in degrees."""
    v = np.minimum(np.maximum(x, -1e20), 1e20)
    size = dd.sqrt(dd.add((1.0, 0.0), dd.square(v)))
    return _signed_zero(_to_degrees(np.arctan(x), (dd.inv(size), dd.div((v, 0.0), size))), x)


def _sinc_pair(x: Real) -> Pair:
    return dd.div(sin_pi(x), dd.mul1(t.PI, x))


def _sinc_other(x: Real) -> Real:
    h, lo = _sinc_pair(x)
    return h + lo


@kernel1
def sinc(x: Real) -> Real:
    """sin(pi x)/(pi x), 1 at 0."""
    a = abs(x)
    return cases((a >= 1e-9) + 1 * (a >= 2.0**53), (lambda v: 1.0 + 0.0 * v, _sinc_other, lambda v: 0.0 / abs(v)), x)


_SERIES = {
    1: (t.SINC1_T, t.SINC1_H),
    2: (t.SINC2_T, t.SINC2_H),
    3: (t.SINC3_T, t.SINC3_H),
    4: (t.SINC4_T, t.SINC4_H),
}


def _sinc_series(n: int, x: Real) -> Real:
    p = dd.poly(dd.square(x), *_SERIES[n])
    return p[0] + p[1] if n % 2 == 0 else p[0] * x + p[1] * x


def _sinc_recurrence(n: int, x: Real) -> Real:
    """x f(n) + n f(n-1) = pi**(n-1) sin(pi x + n pi/2), from differentiating x sinc(x) = sin(pi x)/pi n times."""
    s, c = sin_cos_pi(x)
    f = dd.div(s, dd.mul1(t.PI, x))
    power: Pair = (1.0, 0.0)
    for k in range(1, n + 1):
        w = (c, s)[(k + 1) % 2]
        sign = (1.0, -1.0, -1.0, 1.0)[(k - 1) % 4]
        w = dd.mul(w, (sign * power[0], sign * power[1]))
        f = dd.div(dd.add(w, dd.mul1(f, -float(k))), (x, 0.0))
        power = dd.mul(power, t.PI)
    return f[0] + f[1]


def _sinc_far(n: int, x: Real) -> Real:
    """For |x| >= 2**53, an even number: sine 0, cosine 1; n f(n-1)/x is below rounding."""
    if n % 2:
        return (1.0 if n == 1 else -t.PI[0] * t.PI[0]) / x
    return -n * _sinc_far(n - 1, x) / x


def sinc_d(x: Any, n: int) -> Any:
    """The n-th derivative of sinc, n = 1..4: its Taylor series up to 1, then the recurrence."""
    return _SINC_D[n](x)


def _make_sinc_d(n: int) -> Kernel1:
    def core(x: Real) -> Real:
        a = abs(x)
        cores = (
            lambda v: _sinc_series(n, v),
            lambda v: _sinc_recurrence(n, v),
            lambda v: _sinc_far(n, v),
        )
        return cases((a >= 1.0) + 1 * (a >= 2.0**53), cores, x)

    return kernel1(core)


_SINC_D = {n: _make_sinc_d(n) for n in (1, 2, 3, 4)}
