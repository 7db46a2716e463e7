"""Circular functions and their inverses, in radians, degrees and half turns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import Array, Op, elementwise
from tapecli.ops.arithmetic import abs
from tapecli.ops.late import late
from tapecli.ops.lowering import Numbered
from tapecli.ops.powers import _nonzero, hypot, ratio, sqrt

R = "real"
UNIT = "-1 <= x <= 1"
OUTSIDE = "|x| >= 1"
#: Radians per degree, and degrees per radian.
DEGREE = math.pi / 180.0
RADIAN = 180.0 / math.pi

_SMALL = ((0.5,), (-1.2,), (1e-9,))


def _over(f: np.ufunc) -> Any:
    """`1 / f(x)`."""
    return lambda x: np.true_divide(1.0, f(x))


def _of_inverse(f: np.ufunc) -> Any:
    """`f(1 / x)`."""
    return lambda x: f(np.true_divide(1.0, x))


sin: Op = elementwise(
    "sin",
    kernel=np.sin,
    complex=np.sin,
    vjps=(lambda g, out, x: g * cos(x),),
    native=lambda b, x: b.sin(x),
    domain=R,
    points=(*_SMALL, (3.0,), (1e3,), (-2e5,)),
    doc="the sine",
)
cos: Op = elementwise(
    "cos",
    kernel=np.cos,
    complex=np.cos,
    vjps=(lambda g, out, x: -g * sin(x),),
    native=lambda b, x: b.cos(x),
    domain=R,
    points=(*_SMALL, (1.5707,), (1e3,), (-2e5,)),
    doc="the cosine",
)
tan: Op = elementwise(
    "tan",
    kernel=np.tan,
    complex=np.tan,
    vjps=(lambda g, out, x: g * (1.0 + out * out),),
    native=lambda b, x: b.tan(x),
    domain="real, x ≠ π/2 + kπ",
    points=(*_SMALL, (1.5707,), (4.0,), (1e3,)),
    doc="the tangent",
)
sec: Op = elementwise(
    "sec",
    kernel=_over(np.cos),
    complex=_over(np.cos),
    vjps=(lambda g, out, x: g * (out * tan(x)),),
    native=lambda b, x: 1.0 / b.cos(x),
    domain="real, x ≠ π/2 + kπ",
    points=(*_SMALL, (1.5707,), (4.0,), (1e3,)),
    doc="1 / cos(x)",
)
csc: Op = elementwise(
    "csc",
    kernel=_over(np.sin),
    complex=_over(np.sin),
    vjps=(lambda g, out, x: -g * (out * cot(x)),),
    native=lambda b, x: 1.0 / b.sin(x),
    domain="real, x ≠ kπ",
    points=((0.5,), (-1.2,), (1e-5,), (3.1,), (1e3,)),
    doc="1 / sin(x)",
)
cot: Op = elementwise(
    "cot",
    kernel=_over(np.tan),
    complex=_over(np.tan),
    vjps=(lambda g, out, x: -g * (1.0 + out * out),),
    native=lambda b, x: 1.0 / b.tan(x),
    domain="real, x ≠ kπ",
    points=((0.5,), (-1.2,), (1e-5,), (3.1,), (1e3,)),
    doc="1 / tan(x)",
)


def _asin_d1(x: Array) -> Any:
    return np.true_divide(1.0, np.sqrt((1.0 - x) * (1.0 + x)))


def _atan_d1(x: Array, unit: float) -> Any:
    s = 1.0 + x * x
    return np.where(np.isfinite(s), unit / s, np.true_divide(unit, x) / x)


def _native_atan_d1(b: Any, x: Any, unit: float) -> Any:
    s = 1.0 + x * x
    return b.select(b.abs(s) < math.inf, unit / s, unit / x / x)


asin_d1: Op = elementwise(
    "asin_d1",
    kernel=_asin_d1,
    complex=_asin_d1,
    # the product rule on (1 - x)(1 + x) would cancel
    vjps=(lambda g, out, x: g * (out * (x / (1.0 + x) / (1.0 - x))),),
    native=lambda b, x: 1.0 / b.sqrt((1.0 - x) * (1.0 + x)),
    domain="-1 < x < 1",
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="1 / sqrt(1 - x^2), the derivative of asin",
)
atan_d1: Op = elementwise(
    "atan_d1",
    kernel=_atan_d1,
    complex=lambda x, unit: unit / (1.0 + x * x),
    vjps=(lambda g, out, x, unit: -2.0 * g * (x * (out / unit) * out),),
    native=_native_atan_d1,
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (1e8,)),
    doc="unit / (1 + x^2), the derivative of atan in units of an angle",
)
asin: Op = elementwise(
    "asin",
    kernel=np.arcsin,
    complex=np.arcsin,
    vjps=(lambda g, out, x: g * asin_d1(x),),
    native=lambda b, x: b.asin(x),
    domain=UNIT,
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="the inverse sine",
)
acos: Op = elementwise(
    "acos",
    kernel=np.arccos,
    complex=np.arccos,
    vjps=(lambda g, out, x: -g * asin_d1(x),),
    native=lambda b, x: b.acos(x),
    domain=UNIT,
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="the inverse cosine",
)
atan: Op = elementwise(
    "atan",
    kernel=np.arctan,
    complex=np.arctan,
    vjps=(lambda g, out, x: g * atan_d1(x, unit=1.0),),
    native=lambda b, x: b.atan(x),
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (1e8,)),
    doc="the inverse tangent",
)


def _asec_d1(x: Any) -> Any:
    """`1 / (|x| sqrt(x^2 - 1))`, whose product rule adds terms of one sign."""
    a = abs(x)
    return 1.0 / a / sqrt(a - 1.0) / sqrt(a + 1.0)


asec: Op = elementwise(
    "asec",
    kernel=late("trig", "asec"),
    complex=_of_inverse(np.arccos),
    vjps=(lambda g, out, x: g * _asec_d1(x),),
    native=lambda b, x: b.asec(x),
    domain=OUTSIDE,
    points=((1.5,), (-3.0,), (1.0001,), (1e8,)),
    doc="acos(1 / x)",
)
acsc: Op = elementwise(
    "acsc",
    kernel=late("trig", "acsc"),
    complex=_of_inverse(np.arcsin),
    vjps=(lambda g, out, x: -g * _asec_d1(x),),
    native=lambda b, x: b.acsc(x),
    domain=OUTSIDE,
    points=((1.5,), (-3.0,), (1.0001,), (1e8,)),
    doc="asin(1 / x)",
)
acot: Op = elementwise(
    "acot",
    kernel=_of_inverse(np.arctan),
    complex=_of_inverse(np.arctan),
    vjps=(lambda g, out, x: -g * atan_d1(x, unit=1.0),),
    native=lambda b, x: b.acot(x),
    domain="real, x ≠ 0",
    points=((0.5,), (-3.0,), (1e-5,), (1e8,)),
    doc="atan(1 / x)",
)
atan2: Op = elementwise(
    "atan2",
    kernel=np.arctan2,
    complex=None,
    vjps=(
        lambda g, out, y, x: g * (ratio(x, y) / _nonzero(hypot(x, y))),
        lambda g, out, y, x: -g * (ratio(y, x) / _nonzero(hypot(x, y))),
    ),
    native=lambda b, y, x: b.atan2(y, x),
    domain="real; not both 0",
    points=((1.0, 2.0), (-0.3, 0.2), (0.5, -2.0), (1e-3, 1e3), (-3.0, -3.5)),
    doc="the angle of the point (x, y); its derivative at the origin is 0",
)
sind: Op = elementwise(
    "sind",
    kernel=late("trig", "sind"),
    complex=None,
    vjps=(lambda g, out, x: g * (DEGREE * cosd(x)),),
    native=lambda b, x: b.sind(x),
    domain=R,
    points=((30.0,), (-77.0,), (1e-7,), (100.5,), (1e4,)),
    doc="the sine of x degrees",
)
cosd: Op = elementwise(
    "cosd",
    kernel=late("trig", "cosd"),
    complex=None,
    vjps=(lambda g, out, x: -g * (DEGREE * sind(x)),),
    native=lambda b, x: b.cosd(x),
    domain=R,
    points=((30.0,), (-77.0,), (1e-7,), (100.5,), (1e4,)),
    doc="the cosine of x degrees",
)
tand: Op = elementwise(
    "tand",
    kernel=late("trig", "tand"),
    complex=None,
    vjps=(lambda g, out, x: g * (DEGREE * (1.0 + out * out)),),
    native=lambda b, x: b.tand(x),
    domain="real, x ≠ 90 + 180 k",
    points=((30.0,), (-77.0,), (1e-7,), (89.99,), (1e4,)),
    doc="the tangent of x degrees",
)
asind: Op = elementwise(
    "asind",
    kernel=late("trig", "asind"),
    complex=None,
    vjps=(lambda g, out, x: g * (RADIAN * asin_d1(x)),),
    native=lambda b, x: b.asind(x),
    domain=UNIT,
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="the inverse sine in degrees",
)
acosd: Op = elementwise(
    "acosd",
    kernel=late("trig", "acosd"),
    complex=None,
    vjps=(lambda g, out, x: -g * (RADIAN * asin_d1(x)),),
    native=lambda b, x: b.acosd(x),
    domain=UNIT,
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="the inverse cosine in degrees",
)
atand: Op = elementwise(
    "atand",
    kernel=late("trig", "atand"),
    complex=None,
    vjps=(lambda g, out, x: g * atan_d1(x, unit=RADIAN),),
    native=lambda b, x: b.atand(x),
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (1e8,)),
    doc="the inverse tangent in degrees",
)
sinpi: Op = elementwise(
    "sinpi",
    kernel=late("trig", "sinpi"),
    complex=None,
    vjps=(lambda g, out, x: g * (math.pi * cospi(x)),),
    native=lambda b, x: b.sinpi(x),
    domain=R,
    points=((0.3,), (-0.77,), (1e-9,), (12.25,), (1e4 + 0.125,)),
    doc="sin(π x)",
)
cospi: Op = elementwise(
    "cospi",
    kernel=late("trig", "cospi"),
    complex=None,
    vjps=(lambda g, out, x: -g * (math.pi * sinpi(x)),),
    native=lambda b, x: b.cospi(x),
    domain=R,
    points=((0.3,), (-0.77,), (1e-9,), (12.25,), (1e4 + 0.125,)),
    doc="cos(π x)",
)
tanpi: Op = elementwise(
    "tanpi",
    kernel=late("trig", "tanpi"),
    complex=None,
    vjps=(lambda g, out, x: g * (math.pi * (1.0 + out * out)),),
    native=lambda b, x: b.tanpi(x),
    domain="real, x ≠ k + 1/2",
    points=((0.3,), (-0.77,), (1e-9,), (0.4999,), (12.25,)),
    doc="tan(π x)",
)

_sinc_d4 = late("trig", "sinc_d")


def _sinc_d(x: Array, n: int) -> Any:
    """The n-th derivative of sinc; from the fifth on less accurate: series, then recurrence."""
    if n <= 4:
        return _sinc_d4(x, n)
    x = np.asarray(x)
    near = np.abs(x) < 1.0
    v = np.where(near, x, 0.0)
    first = (n + 1) // 2
    series: Any = 0.0
    for k in range(first + 20, first - 1, -1):
        weight = (-1.0) ** k * math.pi ** (2 * k) / (math.factorial(2 * k - n) * (2 * k + 1))
        series = series * v * v + weight
    w = np.where(near, 1.0, x)
    turn = (_sinpi(w), _cospi(w))
    far = turn[n % 2] * ((-1.0) ** (n // 2) * math.pi ** (n - 1))
    far = (far - n * _sinc_d(w, n - 1)) / w
    return np.where(near, series * v if n % 2 else series, far).astype(np.result_type(x), copy=False)


_sinpi = sinpi.kernel
_cospi = cospi.kernel
sinc_d: Op = elementwise(
    "sinc_d",
    kernel=_sinc_d,
    complex=None,
    vjps=(lambda g, out, x, n: g * sinc_d(x, n=n + 1),),
    native=Numbered("sinc_d", (1, 2, 3, 4)),
    domain=R,
    points=((0.3,), (-0.77,), (1e-9,), (1.5,), (12.25,)),
    doc="the n-th derivative of sinc",
)
sinc: Op = elementwise(
    "sinc",
    kernel=late("trig", "sinc"),
    complex=None,
    vjps=(lambda g, out, x: g * sinc_d(x, n=1),),
    native=lambda b, x: b.sinc(x),
    domain=R,
    points=((0.3,), (-0.77,), (1e-9,), (1.5,), (12.25,)),
    doc="sin(π x) / (π x), and 1 at 0",
)
