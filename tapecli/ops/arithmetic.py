"""Arithmetic, comparison, choice and rounding: the ops that every rule of derivatives is written in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import TABLE, Array, Masked, Op, elementwise

R = "real"


def _truth(ufunc: np.ufunc) -> Any:
    """A comparison that answers 1 and 0 in the precision of its arguments: truth counts in arithmetic."""

    def kernel(x: Array, y: Array) -> Array:
        return np.asarray(ufunc(x, y)).astype(np.result_type(x, y))

    return kernel


def _exponent(x: Array, exponent: float) -> Array:
    """`x^exponent` for a literal exponent; small whole ones are products, so that they are exact where x is."""
    if exponent == 2.0:
        return x * x
    if exponent == 1.0:
        return +x
    if exponent == -1.0:
        return 1.0 / x
    if exponent == 3.0:
        return x * x * x
    if exponent == 0.5:
        return np.sqrt(x)
    if exponent == 0.0:
        return np.ones_like(x)
    return np.power(x, exponent)


def _native_power(b: Any, x: Any, exponent: float) -> Any:
    """The same products as `_exponent`, so that the bits agree."""
    if exponent == 2.0:
        return x * x
    if exponent == 1.0:
        return x
    if exponent == -1.0:
        return 1.0 / x
    if exponent == 3.0:
        return x * x * x
    if exponent == 0.5:
        return b.sqrt(x)
    if exponent == 0.0:
        return b.const(1.0)
    return b.pow(x, exponent)


def _greater(b: Any, x: Any, y: Any) -> Any:
    """NumPy's maximum: a nan wins."""
    return b.select((x >= y) | b.isnan(x), x, y)


def _lesser(b: Any, x: Any, y: Any) -> Any:
    return b.select((x <= y) | b.isnan(x), x, y)


add: Op = elementwise(
    "add",
    kernel=np.add,
    complex=np.add,
    vjps=(lambda g, out, x, y: g, lambda g, out, x, y: g),
    native=lambda b, x, y: x + y,
    domain=R,
    points=((1.5, -0.25), (1e-3, 1e3)),
    doc="x + y",
)
sub: Op = elementwise(
    "sub",
    kernel=np.subtract,
    complex=np.subtract,
    vjps=(lambda g, out, x, y: g, lambda g, out, x, y: -g),
    native=lambda b, x, y: x - y,
    domain=R,
    points=((1.5, -0.25), (1e-3, 1e3)),
    doc="x - y",
)
mul: Op = elementwise(
    "mul",
    kernel=np.multiply,
    complex=np.multiply,
    vjps=(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x),
    native=lambda b, x, y: x * y,
    domain=R,
    points=((1.5, -0.25), (0.0, 3.0)),
    doc="x * y",
)
div: Op = elementwise(
    "div",
    kernel=np.true_divide,
    complex=np.true_divide,
    vjps=(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * (out / y)),
    native=lambda b, x, y: x / y,
    domain="real, y ≠ 0",
    points=((1.5, -0.25), (0.0, 3.0), (7.0, 1e3)),
    doc="x / y",
)
neg: Op = elementwise(
    "neg",
    kernel=np.negative,
    complex=np.negative,
    vjps=(lambda g, out, x: -g,),
    native=lambda b, x: -x,
    domain=R,
    points=((1.5,), (-2.0,)),
    doc="-x",
)


def _slope(g: Any, x: Any, exponent: float) -> Any:
    """n x^(n-1) of a literal exponent n; by a kernel of its own where n - 1 would round."""
    if not exponent:
        return None
    less_one = exponent - 1.0
    if less_one + 1.0 == exponent and exponent - less_one == 1.0:
        return g * (exponent * power(x, exponent=less_one))
    return g * TABLE["power_dx"](x, exponent)


power: Op = elementwise(
    "power",
    kernel=_exponent,
    complex=_exponent,
    vjps=(lambda g, out, x, exponent: _slope(g, x, exponent),),
    native=_native_power,
    domain="real; x > 0 unless the exponent is whole",
    points=((1.5,), (0.3,)),
    doc="x to a literal power; defined for negative x where the exponent is whole",
)
less: Op = elementwise(
    "less",
    kernel=_truth(np.less),
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y: b.truth(x < y),
    domain=R,
    points=((1.0, 2.0), (2.0, 1.0)),
    doc="x < y",
)
less_equal: Op = elementwise(
    "less_equal",
    kernel=_truth(np.less_equal),
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y: b.truth(x <= y),
    domain=R,
    points=((1.0, 1.0), (2.0, 1.0)),
    doc="x <= y",
)
equal: Op = elementwise(
    "equal",
    kernel=_truth(np.equal),
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y: b.truth(x.eq(y)),
    domain=R,
    points=((1.0, 1.0), (2.0, 1.0)),
    doc="x == y",
)
not_equal: Op = elementwise(
    "not_equal",
    kernel=_truth(np.not_equal),
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y: b.truth(x.ne(y)),
    domain=R,
    points=((1.0, 1.0), (2.0, 1.0)),
    doc="x != y",
)


def _share(x: Array, y: Array, tie: float) -> Array:
    """1 where x > y, `tie` where they are equal, 0 where x < y, and nan where they do not compare."""
    return np.where(x > y, 1.0, np.where(x == y, tie, np.where(x < y, 0.0, np.nan))).astype(np.result_type(x, y))


def _select(condition: Array, x: Array, y: Array) -> Array:
    return np.where(np.not_equal(condition, 0.0), x, y).astype(np.result_type(x, y), copy=False)


def _both(x: Array, y: Array) -> Array:
    return np.logical_and(x, y).astype(np.result_type(x, y))


def _either(x: Array, y: Array) -> Array:
    return np.logical_or(x, y).astype(np.result_type(x, y))


def _negation(x: Array) -> Array:
    return np.logical_not(x).astype(np.result_type(x))


def _inside(x: Array, low: Array, high: Array) -> Array:
    result = np.where((low <= x) & (x <= high), 1.0, np.where(np.isnan(x), np.nan, 0.0))
    return result.astype(np.result_type(x, low, high))


def _clip(x: Array, low: Array, high: Array) -> Array:
    return np.minimum(np.maximum(x, low), high)


logical_and: Op = elementwise(
    "logical_and",
    kernel=_both,
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y: b.truth(x.ne(0.0) & y.ne(0.0)),
    domain=R,
    points=((1.0, 0.0), (1.0, 2.0)),
    doc="x and y",
)
logical_or: Op = elementwise(
    "logical_or",
    kernel=_either,
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y: b.truth(x.ne(0.0) | y.ne(0.0)),
    domain=R,
    points=((1.0, 0.0), (0.0, 0.0)),
    doc="x or y",
)
logical_not: Op = elementwise(
    "logical_not",
    kernel=_negation,
    complex=None,
    vjps=(None,),
    native=lambda b, x: b.truth(x.eq(0.0)),
    domain=R,
    points=((1.0,), (0.0,)),
    doc="not x",
)
select: Op = elementwise(
    "select",
    kernel=_select,
    complex=None,
    vjps=(
        None,
        lambda g, out, condition, x, y: Masked(g, condition),
        lambda g, out, condition, x, y: Masked(g, logical_not(condition)),
    ),
    native=lambda b, condition, x, y: b.select(condition.ne(0.0), x, y),
    domain=R,
    points=((1.0, 2.0, 3.0), (0.0, 2.0, 3.0)),
    doc="if condition then x else y",
)
spacing: Op = elementwise(
    "spacing",
    kernel=np.spacing,
    complex=None,
    vjps=(None,),
    native=lambda b, x: b.spacing(x),
    domain=R,
    points=((1.5,),),
    doc="the distance to the next number of the run's precision",
)
stop: Op = elementwise(
    "stop",
    kernel=np.positive,
    complex=None,
    vjps=(None,),
    native=lambda b, x: x,
    domain=R,
    points=((1.5,),),
    doc="x, taken as a constant by derivatives",
)
distinct: Op = elementwise(
    "distinct",
    kernel=lambda x, tag: np.positive(x),
    complex=lambda x, tag: np.positive(x),
    vjps=(lambda g, out, x, tag: g,),
    native=lambda b, x, tag: x,
    domain=R,
    points=(),
    doc="x, as a quantity of its own that derivatives can be taken to",
)
sign: Op = elementwise(
    "sign",
    kernel=np.sign,
    complex=None,
    vjps=(None,),
    native=lambda b, x: b.select(x > 0.0, 1.0, b.select(x < 0.0, -1.0, b.select(x.eq(0.0), 0.0, x))),
    domain=R,
    points=((1.5,), (-2.0,)),
    doc="-1, 0 or 1",
)
floor: Op = elementwise(
    "floor",
    kernel=np.floor,
    complex=None,
    vjps=(None,),
    native=lambda b, x: b.floor(x),
    domain=R,
    points=((1.5,), (-2.5,)),
    doc="the next whole number below",
)
ceil: Op = elementwise(
    "ceil",
    kernel=np.ceil,
    complex=None,
    vjps=(None,),
    native=lambda b, x: b.ceil(x),
    domain=R,
    points=((1.5,), (-2.5,)),
    doc="the next whole number above",
)
round: Op = elementwise(
    "round",
    kernel=np.rint,
    complex=None,
    vjps=(None,),
    native=lambda b, x: b.rint(x),
    domain=R,
    points=((1.2,), (-2.7,)),
    doc="the nearest whole number, halves to even",
)
share: Op = elementwise(
    "share",
    kernel=_share,
    complex=None,
    vjps=(None, None),
    native=lambda b, x, y, tie: b.select(x > y, 1.0, b.select(x.eq(y), tie, b.select(x < y, 0.0, b.const(math.nan)))),
    domain=R,
    points=(),
    doc="the part of a derivative that x takes from the greater of x and y",
)
inside: Op = elementwise(
    "inside",
    kernel=_inside,
    complex=None,
    vjps=(None, None, None),
    native=lambda b, x, low, high: b.select((low <= x) & (x <= high), 1.0, b.select(b.isnan(x), x, b.const(0.0))),
    domain=R,
    points=(),
    doc="1 where low <= x <= high",
)
abs: Op = elementwise(
    "abs",
    kernel=np.absolute,
    complex=None,
    vjps=(lambda g, out, x: g * sign(x),),
    native=lambda b, x: b.abs(x),
    domain=R,
    points=((1.5,), (-2.0,)),
    doc="the absolute value",
)
maximum: Op = elementwise(
    "maximum",
    kernel=lambda x, y, tie: np.maximum(x, y),
    complex=None,
    vjps=(lambda g, out, x, y, tie: g * share(x, y, tie=tie), lambda g, out, x, y, tie: g * share(y, x, tie=1.0 - tie)),
    native=lambda b, x, y, tie: _greater(b, x, y),
    domain=R,
    points=((1.0, 2.0), (3.0, 2.0)),
    doc="the greater of x and y",
)
minimum: Op = elementwise(
    "minimum",
    kernel=lambda x, y, tie: np.minimum(x, y),
    complex=None,
    vjps=(lambda g, out, x, y, tie: g * share(y, x, tie=tie), lambda g, out, x, y, tie: g * share(x, y, tie=1.0 - tie)),
    native=lambda b, x, y, tie: _lesser(b, x, y),
    domain=R,
    points=((1.0, 2.0), (3.0, 2.0)),
    doc="the lesser of x and y",
)
clip: Op = elementwise(
    "clip",
    kernel=_clip,
    complex=None,
    vjps=(
        lambda g, out, x, low, high: g * inside(x, low, high),
        lambda g, out, x, low, high: g * less(x, low),
        lambda g, out, x, low, high: g * less(high, x),
    ),
    native=lambda b, x, low, high: _lesser(b, _greater(b, x, low), high),
    domain="low <= high",
    points=((1.0, 0.0, 2.0), (3.0, 0.0, 2.0), (-1.0, 0.0, 2.0)),
    doc="x, kept between low and high",
)
relu: Op = elementwise(
    "relu",
    kernel=lambda x: np.maximum(x, 0.0),
    complex=None,
    vjps=(lambda g, out, x: g * share(x, 0.0, tie=0.0),),
    native=lambda b, x: _greater(b, x, b.const(0.0)),
    domain=R,
    points=((1.5,), (-2.0,)),
    doc="max(x, 0)",
)
mod: Op = elementwise(
    "mod",
    kernel=np.mod,
    complex=None,
    vjps=(lambda g, out, x, y: g, lambda g, out, x, y: -g * floor(x / y)),
    native=lambda b, x, y: b.mod(x, y),
    domain="y ≠ 0",
    points=((7.3, 2.0), (-7.3, 2.0), (7.3, -2.0)),
    doc="the remainder of x / y, with the sign of y",
)
