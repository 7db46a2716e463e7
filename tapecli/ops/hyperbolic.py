"""Hyperbolic functions and their inverses, and what is built of exp and log: sigmoid, softplus, logaddexp, ..."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import Array, Op, elementwise
from tapecli.ops.arithmetic import abs
from tapecli.ops.late import late
from tapecli.ops.powers import hypot, log, log1p, positive, sqrt

R = "real"
OUTSIDE = "|x| > 1"
_NEAR = ((0.5,), (-2.0,), (1e-9,), (20.0,))


def _over(f: np.ufunc) -> Any:
    """`1 / f(x)`."""
    return lambda x: np.true_divide(1.0, f(x))


def _of_inverse(f: np.ufunc) -> Any:
    """`f(1 / x)`."""
    return lambda x: f(np.true_divide(1.0, x))


def _sech2(x: Array) -> Any:
    """`4 e / (1 + e)^2` with e = exp(-2|x|), in few roundings."""
    e = np.exp(-2.0 * np.abs(x))
    return e / (0.25 + e * (0.5 + 0.25 * e))


def _sigmoid(x: Array) -> Any:
    """`1 / (1 + e)` or `e / (1 + e)` with e = exp(-|x|), corrected for the rounding of `1 + e`."""
    e = np.exp(-np.abs(x))
    s = 1.0 + e
    q = np.exp(np.minimum(x, 0.0)) / s
    return q + q * (((s - 1.0) - e) / s)


def _sigmoid_d1(x: Array) -> Any:
    e = np.exp(-np.abs(x))
    return e / (1.0 + e * (2.0 + e))


def _softplus(x: Array) -> Any:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


sinh: Op = elementwise(
    "sinh",
    kernel=np.sinh,
    complex=np.sinh,
    vjps=(lambda g, out, x: g * cosh(x),),
    native=lambda b, x: b.sinh(x),
    domain=R,
    points=_NEAR,
    doc="the hyperbolic sine",
)
cosh: Op = elementwise(
    "cosh",
    kernel=np.cosh,
    complex=np.cosh,
    vjps=(lambda g, out, x: g * sinh(x),),
    native=lambda b, x: b.cosh(x),
    domain=R,
    points=_NEAR,
    doc="the hyperbolic cosine",
)
tanh: Op = elementwise(
    "tanh",
    kernel=np.tanh,
    complex=np.tanh,
    vjps=(lambda g, out, x: g * sech2(x),),  # 1 - out^2 loses everything in the tails
    native=lambda b, x: b.tanh(x),
    domain=R,
    points=(*_NEAR, (-300.0,)),
    doc="the hyperbolic tangent",
)
sech2: Op = elementwise(
    "sech2",
    kernel=_sech2,
    complex=lambda x: 1.0 / np.cosh(x) ** 2,
    vjps=(lambda g, out, x: -2.0 * g * (out * tanh(x)),),
    native=lambda b, x: b.sech2(x),
    domain=R,
    points=(*_NEAR, (-300.0,)),
    doc="1 / cosh(x)^2, the derivative of tanh",
)
csch: Op = elementwise(
    "csch",
    kernel=late("hyperbolic", "csch"),
    complex=_over(np.sinh),
    vjps=(lambda g, out, x: -g * (out * coth(x)),),
    native=lambda b, x: b.csch(x),
    domain="real, x ≠ 0",
    points=((0.5,), (-2.0,), (1e-5,), (20.0,)),
    doc="1 / sinh(x)",
)
coth: Op = elementwise(
    "coth",
    kernel=late("hyperbolic", "coth"),
    complex=_over(np.tanh),
    vjps=(lambda g, out, x: -g * (csch(x) * csch(x)),),
    native=lambda b, x: b.coth(x),
    domain="real, x ≠ 0",
    points=((0.5,), (-2.0,), (1e-5,), (20.0,)),
    doc="1 / tanh(x)",
)

_sech = late("hyperbolic", "sech")
sech: Op = elementwise(
    "sech",
    kernel=_sech,
    complex=_over(np.cosh),
    vjps=(lambda g, out, x: g * sech_d1(x),),
    native=lambda b, x: b.sech(x),
    domain=R,
    points=_NEAR,
    doc="1 / cosh(x)",
)
sech_d1: Op = elementwise(
    "sech_d1",
    kernel=lambda x: -(_sech(x) * np.tanh(x)),
    complex=lambda x: -np.tanh(x) / np.cosh(x),
    vjps=(lambda g, out, x: g * sech_d2(x),),
    native=lambda b, x: b.sech_d1(x),
    domain=R,
    points=_NEAR,
    doc="-sech(x) tanh(x), the derivative of sech",
)
sech_d2: Op = elementwise(
    "sech_d2",
    kernel=late("elementary", "sech_d2"),
    complex=lambda x: (1.0 - 2.0 / np.cosh(x) ** 2) / np.cosh(x),
    vjps=(lambda g, out, x: g * (sech_d1(x) * (1.0 - 6.0 * sech2(x))),),
    native=lambda b, x: b.sech_d2(x),
    domain=R,
    points=(*_NEAR, (0.8813,)),
    doc="the second derivative of sech",
)
asinh: Op = elementwise(
    "asinh",
    kernel=np.arcsinh,
    complex=np.arcsinh,
    vjps=(lambda g, out, x: g / hypot(1.0, x),),
    native=lambda b, x: b.asinh(x),
    domain=R,
    points=((0.5,), (-2.0,), (1e-9,), (1e8,)),
    doc="the inverse hyperbolic sine",
)
acosh: Op = elementwise(
    "acosh",
    kernel=late("hyperbolic", "arccosh"),
    complex=np.arccosh,
    vjps=(lambda g, out, x: g / sqrt(x - 1.0) / sqrt(x + 1.0),),
    native=lambda b, x: b.acosh(x),
    domain="x >= 1",
    points=((1.5,), (3.0,), (1.0001,), (1e8,)),
    doc="the inverse hyperbolic cosine",
)


def _atanh_d1(x: Array) -> Any:
    return 1.0 / np.where(np.abs(x) <= 1.0, (1.0 - x) * (1.0 + x), np.nan)


def _acoth_d1(x: Array) -> Any:
    """`1 / (1 - x^2)`, in steps that do not overflow."""
    return np.where(np.abs(x) >= 1.0, np.true_divide(-1.0, x - 1.0), np.nan) / (x + 1.0)


atanh_d1: Op = elementwise(
    "atanh_d1",
    kernel=_atanh_d1,
    complex=lambda x: 1.0 / ((1.0 - x) * (1.0 + x)),
    vjps=(lambda g, out, x: 2.0 * g * (x * out * out),),  # the product rule on (1 - x)(1 + x) would cancel
    native=lambda b, x: 1.0 / b.select(b.abs(x) <= 1.0, (1.0 - x) * (1.0 + x), math.nan),
    domain="-1 < x < 1",
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="1 / (1 - x^2) inside (-1, 1), the derivative of atanh",
)
acoth_d1: Op = elementwise(
    "acoth_d1",
    kernel=_acoth_d1,
    complex=lambda x: 1.0 / ((1.0 - x) * (1.0 + x)),
    vjps=(lambda g, out, x: 2.0 * g * (x * out * out),),
    native=lambda b, x: b.select(b.abs(x) >= 1.0, -1.0 / (x - 1.0), math.nan) / (x + 1.0),
    domain=OUTSIDE,
    points=((1.5,), (-3.0,), (1.0001,), (1e8,)),
    doc="1 / (1 - x^2) outside of [-1, 1], the derivative of acoth",
)
atanh: Op = elementwise(
    "atanh",
    kernel=np.arctanh,
    complex=np.arctanh,
    vjps=(lambda g, out, x: g * atanh_d1(x),),
    native=lambda b, x: b.atanh(x),
    domain="-1 < x < 1",
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="the inverse hyperbolic tangent",
)
acoth: Op = elementwise(
    "acoth",
    kernel=late("hyperbolic", "acoth"),
    complex=_of_inverse(np.arctanh),
    vjps=(lambda g, out, x: g * acoth_d1(x),),
    native=lambda b, x: b.acoth(x),
    domain=OUTSIDE,
    points=((1.5,), (-3.0,), (1.0001,), (1e8,)),
    doc="atanh(1 / x)",
)
acsch: Op = elementwise(
    "acsch",
    kernel=late("hyperbolic", "acsch"),
    complex=_of_inverse(np.arcsinh),
    vjps=(lambda g, out, x: -g * (1.0 / abs(x) / hypot(1.0, x)),),
    native=lambda b, x: b.acsch(x),
    domain="real, x ≠ 0",
    points=((0.5,), (-2.0,), (1e-5,), (1e8,)),
    doc="asinh(1 / x)",
)


def _asech_d1(x: Array) -> Any:
    return np.where(np.less(x, 0.0), np.nan, np.true_divide(-1.0, x)) / np.sqrt((1.0 - x) * (1.0 + x))


asech: Op = elementwise(
    "asech",
    kernel=late("hyperbolic", "asech"),
    complex=_of_inverse(np.arccosh),
    vjps=(lambda g, out, x: g * asech_d1(x),),
    native=lambda b, x: b.asech(x),
    domain="0 < x <= 1",
    points=((0.5,), (0.9,), (1e-5,), (0.9999,)),
    doc="acosh(1 / x)",
)
asech_d1: Op = elementwise(
    "asech_d1",
    kernel=_asech_d1,
    complex=lambda x: -1.0 / x / np.sqrt((1.0 - x) * (1.0 + x)),
    vjps=(lambda g, out, x: g * asech_d2(x),),
    native=lambda b, x: b.select(x < 0.0, math.nan, -1.0 / x) / b.sqrt((1.0 - x) * (1.0 + x)),
    domain="0 < x < 1",
    points=((0.5,), (0.9,), (1e-5,), (0.9999,)),
    doc="-1 / (x sqrt(1 - x^2)), the derivative of asech",
)
asech_d2: Op = elementwise(
    "asech_d2",
    kernel=late("elementary", "asech_d2"),
    complex=None,
    vjps=(lambda g, out, x: g * _asech_d3(x),),
    native=lambda b, x: b.asech_d2(x),
    domain="0 < x < 1",
    points=((0.5,), (0.9,), (1e-5,), (0.9999,), (0.7071,)),
    doc="the second derivative of asech",
)


def _asech_d3(x: Any) -> Any:
    """`-(6 x^4 - 5 x^2 + 2) / (x^3 (1 - x^2)^2.5)`."""
    s = (1.0 - x) * (1.0 + x)
    v = x * x
    return -((6.0 * v - 5.0) * v + 2.0) / (x * v * (s * s * sqrt(s)))


sigmoid: Op = elementwise(
    "sigmoid",
    kernel=_sigmoid,
    complex=lambda x: 1.0 / (1.0 + np.exp(-x)),
    vjps=(lambda g, out, x: g * sigmoid_d1(x),),
    native=lambda b, x: b.sigmoid(x),
    domain=R,
    points=(*_NEAR, (-30.0,), (-700.0,)),
    doc="1 / (1 + exp(-x))",
)
sigmoid_d1: Op = elementwise(
    "sigmoid_d1",
    kernel=_sigmoid_d1,
    complex=lambda x: 0.25 / np.cosh(0.5 * x) ** 2,
    vjps=(lambda g, out, x: -g * (out * tanh(0.5 * x)),),
    native=lambda b, x: b.sigmoid_d1(x),
    domain=R,
    points=(*_NEAR, (-30.0,), (-700.0,)),
    doc="the derivative of sigmoid",
)
softplus: Op = elementwise(
    "softplus",
    kernel=_softplus,
    complex=None,
    vjps=(lambda g, out, x: g * sigmoid(x),),
    native=lambda b, x: b.softplus(x),
    domain=R,
    points=(*_NEAR, (-30.0,), (-700.0,)),
    doc="log(1 + exp(x)) without overflow",
)


def _logit_d1(x: Array) -> Any:
    s = x * (1.0 - x)
    return 1.0 / np.where(s < 0.0, np.nan, s)


def _native_logit_d1(b: Any, x: Any) -> Any:
    s = x * (1.0 - x)
    return 1.0 / b.select(s < 0.0, math.nan, s)


logit_d1: Op = elementwise(
    "logit_d1",
    kernel=_logit_d1,
    complex=lambda x: 1.0 / (x * (1.0 - x)),
    vjps=(lambda g, out, x: g * ((2.0 * x - 1.0) * out * out),),  # the product rule on x (1 - x) would cancel
    native=_native_logit_d1,
    domain="0 < x < 1",
    points=((0.3,), (0.5001,), (1e-9,), (0.9999,)),
    doc="1 / (x (1 - x)), the derivative of logit",
)
logit: Op = elementwise(
    "logit",
    kernel=late("hyperbolic", "logit"),
    complex=lambda x: np.log(x) - np.log(1.0 - x),
    vjps=(lambda g, out, x: g * logit_d1(x),),
    native=lambda b, x: b.logit(x),
    domain="0 < x < 1",
    points=((0.3,), (0.5001,), (1e-9,), (0.9999,)),
    doc="log(x / (1 - x)), the inverse of sigmoid",
)
_PAIRS = ((1.0, 2.0), (-0.3, 0.2), (5.0, -40.0), (1000.0, 999.0), (-1000.0, -1001.5))
logaddexp: Op = elementwise(
    "logaddexp",
    kernel=late("hyperbolic", "logaddexp"),
    complex=None,
    vjps=(lambda g, out, x, y: g * logaddexp_share(x, y), lambda g, out, x, y: g * logaddexp_share(y, x)),
    native=lambda b, x, y: b.logaddexp(x, y),
    domain=R,
    points=_PAIRS,
    doc="log(exp(x) + exp(y)) without overflow",
)
logaddexp_share: Op = elementwise(
    "logaddexp_share",
    kernel=late("hyperbolic", "logaddexp_share"),
    complex=None,
    vjps=(lambda g, out, x, y: g * logaddexp_d2(x, y), lambda g, out, x, y: -g * logaddexp_d2(x, y)),
    native=lambda b, x, y: b.logaddexp_share(x, y),
    domain=R,
    points=_PAIRS,
    doc="exp(x) / (exp(x) + exp(y)), the derivative of logaddexp",
)
logaddexp_d2: Op = elementwise(
    "logaddexp_d2",
    kernel=late("hyperbolic", "logaddexp_d2"),
    complex=None,
    vjps=(
        lambda g, out, x, y: -g * (out * tanh(0.5 * (x - y))),
        lambda g, out, x, y: g * (out * tanh(0.5 * (x - y))),
    ),
    native=lambda b, x, y: b.logaddexp_d2(x, y),
    domain=R,
    points=_PAIRS,
    doc="the second derivative of logaddexp",
)


def _xdivy(x: Array, y: Array) -> Any:
    zero = np.equal(x, 0.0) & np.equal(y, 0.0)
    return np.where(zero, 0.0, np.true_divide(x, y)).astype(np.result_type(x, y), copy=False)


def _xlogy(x: Array, y: Array) -> Any:
    zero = np.equal(x, 0.0) & np.greater_equal(y, 0.0)
    return np.where(zero, 0.0, x * np.log(y)).astype(np.result_type(x, y), copy=False)


def _xlog1py(x: Array, y: Array) -> Any:
    zero = np.equal(x, 0.0) & np.greater_equal(y, -1.0)
    return np.where(zero, 0.0, x * np.log1p(y)).astype(np.result_type(x, y), copy=False)


xdivy: Op = elementwise(
    "xdivy",
    kernel=_xdivy,
    complex=np.true_divide,
    vjps=(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * xdivy(out, y)),
    native=lambda b, x, y: b.select(x.eq(0.0) & y.eq(0.0), 0.0, x / y),
    domain="real, y ≠ 0",
    points=((1.5, -0.25), (0.0, 3.0), (7.0, 1e3)),
    doc="x / y, and 0 where both are 0",
)
xlogy: Op = elementwise(
    "xlogy",
    kernel=_xlogy,
    complex=None,
    vjps=(lambda g, out, x, y: g * log(y), lambda g, out, x, y: g * xdivy(x, positive(y))),
    native=lambda b, x, y: b.select(x.eq(0.0) & (y >= 0.0), 0.0, x * b.log(y)),
    domain="real; y > 0",
    points=((1.5, 0.25), (0.0, 3.0), (-2.0, 1e-3), (2.0, 1.0001)),
    doc="x log(y), and 0 where x is 0",
)
xlog1py: Op = elementwise(
    "xlog1py",
    kernel=_xlog1py,
    complex=None,
    vjps=(lambda g, out, x, y: g * log1p(y), lambda g, out, x, y: g * xdivy(x, positive(1.0 + y))),
    native=lambda b, x, y: b.select(x.eq(0.0) & (y >= -1.0), 0.0, x * b.log1p(y)),
    domain="real; y > -1",
    points=((1.5, 0.25), (0.0, 3.0), (-2.0, -0.999), (2.0, 1e-9)),
    doc="x log(1 + y), and 0 where x is 0",
)
