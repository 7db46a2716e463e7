"""Exponentials, logarithms, roots, powers and lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import TABLE, Array, Op, elementwise, shape_of
from tapecli.ops.arithmetic import equal, less, logical_or, not_equal, select
from tapecli.ops.late import late, wide
from tapecli.ops.linear import _expand, _sum_shape, sum_
from tapecli.ops.lowering import Written

R = "real"
POSITIVE = "x > 0"
LN2 = math.log(2.0)
LN10 = math.log(10.0)

exp: Op = elementwise(
    "exp",
    kernel=np.exp,
    complex=np.exp,
    vjps=(lambda g, out, x: g * out,),
    native=lambda b, x: b.exp(x),
    domain=R,
    points=((0.5,), (-3.0,), (20.0,), (-700.0,)),
    doc="e to the power x",
)
expm1: Op = elementwise(
    "expm1",
    kernel=np.expm1,
    complex=np.expm1,
    vjps=(lambda g, out, x: g * exp(x),),  # out + 1 has lost the digits of a small exp(x)
    native=lambda b, x: b.expm1(x),
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (-40.0,)),
    doc="e^x - 1, exact near 0",
)
exp2: Op = elementwise(
    "exp2",
    kernel=np.exp2,
    complex=None,
    vjps=(lambda g, out, x: g * (LN2 * out),),
    native=lambda b, x: b.exp2(x),
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (600.0,)),
    doc="2 to the power x",
)
exp10: Op = elementwise(
    "exp10",
    kernel=lambda x: np.power(10.0, x),
    complex=lambda x: np.power(10.0, x),
    vjps=(lambda g, out, x: g * (LN10 * out),),
    native=lambda b, x: b.exp10(x),
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (200.0,)),
    doc="10 to the power x",
)
log: Op = elementwise(
    "log",
    kernel=np.log,
    complex=np.log,
    vjps=(lambda g, out, x: g / positive(x),),
    native=lambda b, x: b.log(x),
    domain=POSITIVE,
    points=((0.5,), (3.0,), (1e-8,), (1.0001,), (1e200,)),
    doc="the natural logarithm",
)
log1p: Op = elementwise(
    "log1p",
    kernel=np.log1p,
    complex=np.log1p,
    vjps=(lambda g, out, x: g / positive(1.0 + x),),
    native=lambda b, x: b.log1p(x),
    domain="x > -1",
    points=((0.5,), (3.0,), (1e-9,), (-0.99,)),
    doc="log(1 + x), exact near 0",
)
log2: Op = elementwise(
    "log2",
    kernel=np.log2,
    complex=np.log2,
    vjps=(lambda g, out, x: g / LN2 / positive(x),),
    native=lambda b, x: b.log2(x),
    domain=POSITIVE,
    points=((0.5,), (3.0,), (1e-8,), (1.0001,), (1e200,)),
    doc="the logarithm to base 2",
)
log10: Op = elementwise(
    "log10",
    kernel=np.log10,
    complex=np.log10,
    vjps=(lambda g, out, x: g / LN10 / positive(x),),
    native=lambda b, x: b.log10(x),
    domain=POSITIVE,
    points=((0.5,), (3.0,), (1e-8,), (1.0001,), (1e200,)),
    doc="the logarithm to base 10",
)


def _positive(x: Array) -> Array:
    return np.where(np.less(x, 0.0), np.nan, np.absolute(x)).astype(np.result_type(x), copy=False)


positive: Op = elementwise(
    "positive",
    kernel=_positive,
    complex=np.positive,
    vjps=(lambda g, out, x: g,),
    native=lambda b, x: b.select(x < 0.0, math.nan, b.abs(x)),
    domain="x >= 0",
    points=((1.5,),),
    doc="x, undefined where it is negative: the derivative of an undefined value is undefined",
)
sqrt: Op = elementwise(
    "sqrt",
    kernel=np.sqrt,
    complex=np.sqrt,
    vjps=(lambda g, out, x: g * (0.5 / positive(out)),),
    native=lambda b, x: b.sqrt(x),
    domain="x >= 0",
    points=((0.5,), (3.0,), (1e-8,), (1e200,)),
    doc="the square root",
)
_cbrt = late("elementary", "cbrt")
cbrt: Op = elementwise(
    "cbrt",
    kernel=_cbrt,
    complex=None,
    vjps=(lambda g, out, x: g * cbrt_d1(x),),
    native=lambda b, x: b.cbrt(x),
    domain=R,
    points=((0.5,), (-3.0,), (27.0,), (1e-9,), (1e30,)),
    doc="the cube root",
)


def _cbrt_d1(x: Array) -> Any:
    root = _cbrt(x)
    return np.true_divide(1.0, 3.0 * (root * root))


def _native_cbrt_d1(b: Any, x: Any) -> Any:
    root = b.cbrt(x)
    return 1.0 / (3.0 * (root * root))


cbrt_d1: Op = elementwise(
    "cbrt_d1",
    kernel=_cbrt_d1,
    complex=None,
    vjps=(lambda g, out, x: g * (out / x / -1.5),),
    native=_native_cbrt_d1,
    domain="x ≠ 0",
    points=((0.5,), (-3.0,), (27.0,), (1e-9,), (1e30,)),
    doc="1 / (3 cbrt(x)^2), the derivative of cbrt",
)


@wide
def _power_log(x: Array, y: Array, k: int) -> Any:
    """`x^y log(x)^k`, 0 at x = 0, y >= 0; where the power alone would leave the numbers, by way of its square root."""
    log = np.log(x) ** k
    p = np.power(x, y)
    root = np.power(x, 0.5 * y)
    inside = (p > 1e-290) & (p < math.inf)
    result = np.where(inside, p * log, (root * log) * root)
    return np.where((x == 0.0) & (y >= 0.0), 0.0, result)


def _native_power_log(b: Any, x: Any, y: Any, k: int) -> Any:
    if k == 1:
        return b.power_log_1(x, y)
    result = b.power_log_2(x, y)
    log = b.log(x)
    for _ in range(k - 2):
        result = result * log
    return b.select(x.eq(0.0) & (y >= 0.0), 0.0, result)


@wide
def _power_dxy(x: Array, y: Array) -> Any:
    """`x^(y-1) (1 + y log(x))`; at x = 0 its limit, 0 at the origin."""
    log = np.log(x)
    slope = _dx(x, y)
    root = np.power(x, 0.5 * y) / np.sqrt(x)  # where the power alone would underflow
    low = (np.absolute(slope) < 1e-290) & (x > 0.0)
    result = np.where(low, (root * (1.0 + y * log)) * root, slope * (np.true_divide(1.0, y) + log))
    return np.where((x == 0.0) & ((y > 1.0) | (y == 0.0)), 0.0, result)


_BASES = ((1.5, 0.7), (0.3, -2.2), (2.0, 3.0), (10.0, 0.25), (1e-3, 1.75), (250.0, 12.5))
_WHERE = "x > 0, or y whole"
_dx = late("elementary", "power_dx")
pow: Op = elementwise(
    "pow",
    kernel=np.power,
    complex=np.power,
    vjps=(lambda g, out, x, y: g * power_dx(x, y), lambda g, out, x, y: g * power_log(x, y, k=1)),
    native=lambda b, x, y: b.pow(x, y),
    domain=_WHERE,
    points=_BASES,
    doc="x to the power y",
)
power_dx: Op = elementwise(
    "power_dx",
    kernel=_dx,
    complex=lambda x, y: y * x ** (y - 1.0),
    vjps=(lambda g, out, x, y: g * power_dxx(x, y), lambda g, out, x, y: g * power_dxy(x, y)),
    native=lambda b, x, y: b.power_dx(x, y),
    domain=_WHERE,
    points=_BASES,
    doc="y x^(y-1), the derivative of x^y by x; 0 where y is 0",
)
power_log: Op = elementwise(
    "power_log",
    kernel=_power_log,
    complex=lambda x, y, k: x**y * np.log(x) ** k,
    vjps=(
        lambda g, out, x, y, k: g * (power_dxy(x, y) if k == 1 else _power_log_dx(x, y, k)),
        lambda g, out, x, y, k: g * power_log(x, y, k=k + 1),
    ),
    native=_native_power_log,
    domain="x > 0",
    points=_BASES,
    doc="x^y log(x)^k, the k-th derivative of x^y by y; 0 at x = 0, y >= 0",
)
power_dxx: Op = elementwise(
    "power_dxx",
    kernel=late("elementary", "power_dxx"),
    complex=lambda x, y: y * (y - 1.0) * x ** (y - 2.0),
    vjps=(lambda g, out, x, y: g * _power_dxxx(x, y), lambda g, out, x, y: g * _power_dxxy(x, y)),
    native=lambda b, x, y: b.power_dxx(x, y),
    domain=_WHERE,
    points=_BASES,
    doc="y (y-1) x^(y-2), the second derivative of x^y by x",
)
power_dxy: Op = elementwise(
    "power_dxy",
    kernel=_power_dxy,
    complex=lambda x, y: x ** (y - 1.0) * (1.0 + y * np.log(x)),
    vjps=(lambda g, out, x, y: g * _power_dxxy(x, y), lambda g, out, x, y: g * _power_log_dx(x, y, 2)),
    native=lambda b, x, y: b.power_dxy(x, y),
    domain="x > 0",
    points=_BASES,
    doc="x^(y-1) (1 + y log(x)), the mixed derivative of x^y",
)


def _power_log_dx(x: Any, y: Any, k: int) -> Any:
    """`x^(y-1) log(x)^(k-1) (y log(x) + k)`."""
    return y * power_log(x, y - 1.0, k=k) + k * power_log(x, y - 1.0, k=k - 1)


def _power_dxxx(x: Any, y: Any) -> Any:
    weight = y * (y - 1.0) * (y - 2.0)
    return select(equal(weight, 0.0), 0.0, weight * pow(x, y - 3.0))


def _power_dxxy(x: Any, y: Any) -> Any:
    return (2.0 * y - 1.0) * pow(x, y - 2.0) + y * (y - 1.0) * power_log(x, y - 2.0, k=1)


def _ratio(x: Array, y: Array) -> Array:
    """`x / hypot(x, y)`, 0 where both are 0."""
    r = np.hypot(x, y)
    return np.where(r == 0.0, 0.0, x / r).astype(np.result_type(x, y), copy=False)


def _nonzero(x: Any) -> Any:
    """`x`, and infinity where it is 0: what is divided by it vanishes there."""
    return select(not_equal(x, 0.0), x, math.inf)


ratio: Op = elementwise(
    "ratio",
    kernel=_ratio,
    complex=None,
    vjps=(
        lambda g, out, x, y: g * (ratio(y, x) * (ratio(y, x) / _nonzero(hypot(x, y)))),
        lambda g, out, x, y: -g * (out * (ratio(y, x) / _nonzero(hypot(x, y)))),
    ),
    native=lambda b, x, y: b.ratio(x, y),
    domain=R,
    points=((1.5, 2.0), (-0.3, 0.2), (1e-3, 1e3), (-3.0, -3.5)),
    doc="x / hypot(x, y): the cosine of the angle of (x, y); 0 at the origin",
)
hypot: Op = elementwise(
    "hypot",
    kernel=np.hypot,
    complex=None,
    vjps=(lambda g, out, x, y: g * ratio(x, y), lambda g, out, x, y: g * ratio(y, x)),
    native=lambda b, x, y: b.hypot(x, y),
    domain=R,
    points=((1.5, 2.0), (-0.3, 0.2), (1e-3, 1e3), (-3.0, -3.5)),
    doc="sqrt(x^2 + y^2) without overflow; its derivative at the origin is 0",
)


def _norm(x: Array, axes: tuple[int, ...]) -> Any:
    with np.errstate(all="ignore"):
        scale = np.max(np.abs(x), axis=axes, keepdims=True, initial=0.0)
        safe = np.where((scale > 0.0) & np.isfinite(scale), scale, 1.0)
        scaled = np.sqrt(np.add.reduce(np.square(x / safe), axis=axes))
    return (scaled * safe.reshape(scaled.shape)).astype(x.dtype, copy=False)


#: By precision: above and below which numbers squares are taken of scaled numbers, and the scales (Anderson, Algorithm
#: 978, ACM Trans. Math. Software 44, 2017).
_SCALES = {
    "float64": (2.0**486, 2.0**-511, 2.0**-538, 2.0**537),
    "float32": (2.0**52, 2.0**-63, 2.0**-76, 2.0**75),
}


def _norm_formula(dtype: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """The same in one pass: sums of squares of entries scaled down, as they are, and scaled up (J. L. Blue, A portable
    Fortran program to find the Euclidean norm of a vector, ACM Trans. Math. Software 4, 1978)."""
    upper, lower, down, up = _SCALES[np.dtype(dtype).name]
    size = TABLE["abs"](x)
    large, small = less(upper, size), less(size, lower)
    plain = select(logical_or(large, small), 0.0, x)
    parts = (select(large, x * down, 0.0), plain, select(small, x * up, 0.0))
    high, middle, low = (sum_(part * part, axes=axes) for part in parts)
    above = sqrt(high + (middle * down) * down) / down
    below = sqrt(low) / up
    amid = sqrt(middle)
    both = amid * sqrt(1.0 + (below / amid) * (below / amid))
    return select(not_equal(high, 0.0), above, select(equal(middle, 0.0), below, both))


norm: Op = Op(
    "norm",
    kind="dense",
    kernel=_norm,
    complex=None,
    shape=lambda x, axes: _sum_shape(x, axes=axes),
    vjps=(lambda g, out, x, axes: _expand(g, shape_of(x), axes) * (x / _expand(_nonzero(out), shape_of(x), axes)),),
    native=Written(_norm_formula),
    domain=R,
    points=(),
    doc="sqrt(sum(x^2)) along axes without overflow; its derivative at the origin is 0",
)


def logarithm(x: Any, base: Any) -> Any:
    """log(x) to any base."""
    return log(x) / log(base)
