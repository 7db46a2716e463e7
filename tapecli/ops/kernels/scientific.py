"""Kernels that rest on scipy.special, and the one door to SciPy of the op table. Imported at the first call."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from scipy import special as sc  # type: ignore[import-untyped, import-not-found, unused-ignore]

from tapecli.core import Array


def _double(core: Callable[..., Any]) -> Callable[..., Any]:
    """`core` run in double precision, without warnings, whatever the precision of its arguments."""

    @wraps(core)
    def kernel(*args: Any, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            result = np.asarray(core(*[np.asarray(arg, dtype=np.float64) for arg in args], **params))
        return result.astype(np.result_type(*args), copy=False)[()]

    return kernel


erfinv = _double(sc.erfinv)
erfcinv = _double(sc.erfcinv)
erfcx = _double(sc.erfcx)
dawson = _double(sc.dawsn)
fresnels = _double(lambda x: sc.fresnel(x)[0])
fresnelc = _double(lambda x: sc.fresnel(x)[1])
sinint = _double(lambda x: sc.sici(x)[0])
cosint = _double(lambda x: np.where(x < 0.0, np.nan, sc.sici(x)[1]))
expint = _double(lambda x: np.where(x < 0.0, np.nan, sc.exp1(x)))
airyai = _double(lambda x: sc.airy(x)[0])
airyaiprime = _double(lambda x: sc.airy(x)[1])
airybi = _double(lambda x: np.where(x > 104.0, np.inf, sc.airy(x)[2]))
airybiprime = _double(lambda x: np.where(x > 104.0, np.inf, sc.airy(x)[3]))
besselj = _double(sc.jv)
besseli = _double(sc.iv)
bessely = _double(sc.yv)
besselk = _double(sc.kv)
lowergamma = _double(lambda s, x: sc.gammainc(s, x) * sc.gamma(s))


@_double
def lambertw(x: Array) -> Any:
    """The real branch above -1; undefined below -1/e, which the nearest number stands for."""
    end = -math.exp(-1.0)
    found = sc.lambertw(np.where(x > end, x, 0.0)).real
    return np.where(x > end, found, np.where(x == end, -1.0, np.nan))


# ---- derivatives of any order, by recurrences in the direction in which they are stable --------------------------

#: Where the continued fraction takes over the derivatives of erfcx, and the series at infinity those of dawson.
FRACTION, SERIES = 1.0, 6.5


@_double
def erfcx_d(x: Array, n: int) -> Any:
    """`(-2)^n n! exp(x^2) i^n erfc(x)`: forwards where x < 1, and by the continued fraction of the ratios beyond."""
    before, y = np.full_like(x, 2.0 / math.sqrt(math.pi)), sc.erfcx(x)
    before, y = y, 2.0 * x * y - before
    for k in range(1, n):
        before, y = y, 2.0 * (x * y + k * before)
    v = np.maximum(x, FRACTION)
    ratio, far = np.zeros_like(v), sc.erfcx(v)
    for k in range(n + 200, 0, -1):
        ratio = 1.0 / (2.0 * (v + (k + 1.0) * ratio))
        if k <= n:
            far = -2.0 * k * far * ratio
    return np.where(x < FRACTION, y, far)


@_double
def dawson_d(x: Array, n: int) -> Any:
    """Forwards where |x| < 6.5, by the asymptotic series beyond."""
    y = sc.dawsn(x)
    before, y = y, 1.0 - 2.0 * x * y
    for k in range(1, n):
        before, y = y, -2.0 * (x * y + k * before)
    v = np.where(np.abs(x) < SERIES, SERIES, x)
    u = 1.0 / v / v
    weights, odd = [], 0.5
    for k in range(41):
        weights.append(odd * math.prod(range(2 * k + 1, 2 * k + 1 + n)))
        odd *= (2 * k + 1) / 2.0
    far: Any = 0.0
    for weight in reversed(weights):
        far = far * u + weight
    far = far / v
    for _ in range(n):
        far = -far / v
    return np.where(np.abs(x) < SERIES, y, far)


def _elliptic(m: Array, n: int, a: float, y: Array, slope: Array) -> Any:
    """The n-th derivative of `pi/2 F(a, 1/2; 1; m)`: by its series near 0, from its differential equation elsewhere."""
    weight, weights = 0.5 * math.pi, []
    for k in range(n + 45):
        weights.append(weight * math.perm(k, n))
        weight *= (a + k) * (0.5 + k) / (k + 1.0) ** 2
    near: Any = 0.0
    v = np.where(np.abs(m) < 0.3, m, 0.0)
    for weight in reversed(weights[n:]):
        near = near * v + weight
    w = np.where(np.abs(m) < 0.3, 0.5, m)
    for k in range(n - 1):
        curve = (a + k) * (0.5 + k) * y - (1.0 + k - (a + 1.5 + 2.0 * k) * w) * slope
        y, slope = slope, curve / (w * (1.0 - w))
    return np.where(np.abs(m) < 0.3, near, slope)


@_double
def ellipk_d(m: Array, n: int) -> Any:
    """The n-th derivative of K; the first is a Carlson integral, where the textbook's difference would cancel."""
    return _elliptic(m, n, 0.5, sc.ellipk(m), sc.elliprd(0.0, 1.0, 1.0 - m) / 6.0)


@_double
def ellipe_d(m: Array, n: int) -> Any:
    """The n-th derivative of E; the first is a Carlson integral."""
    return _elliptic(m, n, -0.5, sc.ellipe(m), -sc.elliprd(0.0, 1.0 - m, 1.0) / 6.0)


ellipk = _double(sc.ellipk)
ellipe = _double(sc.ellipe)

#: B(2k) / (2k)!, k = 1, 2, …
_BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600)
_BERNOULLI += tuple((-1) ** (k + 1) * 2.0 * float(sc.zeta(2 * k)) / (2.0 * math.pi) ** (2 * k) for k in range(8, 14))


@_double
def zeta(s: Array, a: Array) -> Any:
    """SciPy's for s > 1 and for a = 1; else, where SciPy has none, by Euler's and Maclaurin's sum (a > 0)."""
    s, a = np.broadcast_arrays(s, a)
    result = np.where(a == 1.0, sc.zeta(s), sc.zeta(s, a))
    rest = (s < 1.0) & (a != 1.0)
    return np.where(rest, _zeta_below_1(np.where(rest, s, 0.5), a), result) if np.any(rest) else result


def _zeta_below_1(s: Array, a: Array) -> Any:
    a = np.where(a > 0.0, a, np.nan)
    w = a + 9.0
    last = w**-s
    total = sum((a + k) ** -s for k in range(9)) + 0.5 * last + w * last / (s - 1.0)
    rising = s * last / w
    for k, weight in enumerate(_BERNOULLI, start=1):
        total = total + weight * rising
        rising = rising * (s + 2.0 * k - 1.0) * (s + 2.0 * k) / (w * w)
    return total
