"""Exponentials, logarithms, roots, powers and lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import Array, Op, elementwise, shape_of
from tapecli.ops.arithmetic import abs, equal, less_equal, logical_and, not_equal, select
from tapecli.ops.linear import _expand, _sum_shape

R = "real"
POSITIVE = "x > 0"
LN2 = math.log(2.0)
LN10 = math.log(10.0)

exp: Op = elementwise(
    "exp",
    kernel=np.exp,
    complex=np.exp,
    vjps=(lambda g, out, x: g * out,),
    domain=R,
    points=((0.5,), (-3.0,), (20.0,)),
    doc="e to the power x",
)
expm1: Op = elementwise(
    "expm1",
    kernel=np.expm1,
    complex=np.expm1,
    vjps=(lambda g, out, x: g * exp(x),),  # out + 1 has lost the digits of a small exp(x)
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (-40.0,)),
    doc="e^x - 1, exact near 0",
)
exp2: Op = elementwise(
    "exp2",
    kernel=np.exp2,
    complex=None,
    vjps=(lambda g, out, x: g * (LN2 * out),),
    domain=R,
    points=((0.5,), (-3.0,)),
    doc="2 to the power x",
)
exp10: Op = elementwise(
    "exp10",
    kernel=lambda x: np.power(10.0, x),
    complex=lambda x: np.power(10.0, x),
    vjps=(lambda g, out, x: g * (LN10 * out),),
    domain=R,
    points=((0.5,), (-3.0,), (1e-9,), (200.0,)),
    doc="10 to the power x",
)
log: Op = elementwise(
    "log",
    kernel=np.log,
    complex=np.log,
    vjps=(lambda g, out, x: g / positive(x),),
    domain=POSITIVE,
    points=((0.5,), (3.0,), (1e-8,)),
    doc="the natural logarithm",
)
log1p: Op = elementwise(
    "log1p",
    kernel=np.log1p,
    complex=np.log1p,
    vjps=(lambda g, out, x: g / positive(1.0 + x),),
    domain="x > -1",
    points=((0.5,), (3.0,), (1e-9,), (-0.99,)),
    doc="log(1 + x), exact near 0",
)
log2: Op = elementwise(
    "log2",
    kernel=np.log2,
    complex=np.log2,
    vjps=(lambda g, out, x: g / LN2 / positive(x),),
    domain=POSITIVE,
    points=((0.5,), (3.0,)),
    doc="the logarithm to base 2",
)
log10: Op = elementwise(
    "log10",
    kernel=np.log10,
    complex=np.log10,
    vjps=(lambda g, out, x: g / LN10 / positive(x),),
    domain=POSITIVE,
    points=((0.5,), (3.0,)),
    doc="the logarithm to base 10",
)


def _positive(x: Array) -> Array:
    return np.where(np.less(x, 0.0), np.nan, np.absolute(x)).astype(np.result_type(x), copy=False)


positive: Op = elementwise(
    "positive",
    kernel=_positive,
    complex=np.positive,
    vjps=(lambda g, out, x: g,),
    domain="x >= 0",
    points=((1.5,),),
    doc="x, undefined where it is negative: the derivative of an undefined value is undefined",
)
sqrt: Op = elementwise(
    "sqrt",
    kernel=np.sqrt,
    complex=np.sqrt,
    vjps=(lambda g, out, x: g * (0.5 / positive(out)),),
    domain="x >= 0",
    points=((0.5,), (3.0,), (1e-8,)),
    doc="the square root",
)
cbrt: Op = elementwise(
    "cbrt",
    kernel=np.cbrt,
    complex=None,
    vjps=(lambda g, out, x: g / (3.0 * out * out),),
    domain=R,
    points=((0.5,), (-3.0,), (27.0,)),
    doc="the cube root",
)
pow: Op = elementwise(
    "pow",
    kernel=np.power,
    complex=np.power,
    vjps=(
        lambda g, out, x, y: _base_part(g, x, y),
        lambda g, out, x, y: _exponent_part(g, out, x, y),
    ),
    domain="x > 0, or y whole",
    points=((1.5, 0.7), (0.3, -2.2), (2.0, 3.0), (10.0, 0.25)),
    doc="x to the power y",
)


def _base_part(g: Any, x: Any, y: Any) -> Any:
    """y x^(y-1); 0 where y is 0, since x^0 is the constant 1, at 0 too."""
    return select(equal(y, 0.0), 0.0, g * (y * pow(x, y - 1.0)))


def _exponent_part(g: Any, out: Any, x: Any, y: Any) -> Any:
    """x^y log(x), which tends to 0 at x = 0 for y > 0; 0^0 counts as 1 along y."""
    return select(logical_and(equal(x, 0.0), less_equal(0.0, y)), 0.0, g * (out * log(x)))


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
        lambda g, out, x, y: g * (ratio(y, x) * ratio(y, x) / _nonzero(hypot(x, y))),
        lambda g, out, x, y: -g * (out * ratio(y, x) / _nonzero(hypot(x, y))),
    ),
    domain=R,
    points=((1.5, 2.0), (-0.3, 0.2), (1e-3, 1e3)),
    doc="x / hypot(x, y): the cosine of the angle of (x, y); 0 at the origin",
)
hypot: Op = elementwise(
    "hypot",
    kernel=np.hypot,
    complex=None,
    vjps=(lambda g, out, x, y: g * ratio(x, y), lambda g, out, x, y: g * ratio(y, x)),
    domain=R,
    points=((1.5, 2.0), (-0.3, 0.2), (1e-3, 1e3)),
    doc="sqrt(x^2 + y^2) without overflow; its derivative at the origin is 0",
)


def _norm(x: Array, axes: tuple[int, ...]) -> Array:
    with np.errstate(all="ignore"):
        scale = np.max(np.abs(x), axis=axes, keepdims=True, initial=0.0)
        safe = np.where((scale > 0.0) & np.isfinite(scale), scale, 1.0)
        scaled = np.sqrt(np.add.reduce(np.square(x / safe), axis=axes))
    return (scaled * safe.reshape(scaled.shape)).astype(x.dtype, copy=False)


norm: Op = Op(
    "norm",
    kind="dense",
    kernel=_norm,
    complex=None,
    shape=lambda x, axes: _sum_shape(x, axes=axes),
    vjps=(lambda g, out, x, axes: _expand(g / _nonzero(out), shape_of(x), axes) * x,),
    domain=R,
    points=(),
    doc="sqrt(sum(x^2)) along axes without overflow; its derivative at the origin is 0",
)


def logarithm(x: Any, base: Any) -> Any:
    """log(x) to any base."""
    return log(x) / log(base)
