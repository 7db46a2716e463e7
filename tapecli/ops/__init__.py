"""The op table, by kind, and the functions of the Python API that call it.

`tp.ops.sin(x)` takes arrays, numbers, variables and recorded values alike. Axes count from 0, as in NumPy; without an
axis a reduction takes all entries.
"""

from __future__ import annotations

from typing import Any

from tapecli.core import shape_of
from tapecli.ops import arithmetic, linear, powers, reductions, special
from tapecli.ops.arithmetic import (
    abs,
    add,
    ceil,
    clip,
    div,
    equal,
    floor,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    mod,
    mul,
    neg,
    not_equal,
    relu,
    round,
    sign,
    stop,
    sub,
)
from tapecli.ops.arithmetic import select as where
from tapecli.ops.dense import cholesky, det, diag, inv, logdet, matmul, outer, solve, trace
from tapecli.ops.hyperbolic import (
    acosh,
    acoth,
    acsch,
    asech,
    asinh,
    atanh,
    cosh,
    coth,
    csch,
    logaddexp,
    logit,
    sech,
    sigmoid,
    sinh,
    softplus,
    tanh,
    xlog1py,
    xlogy,
)
from tapecli.ops.linear import broadcast, concat, reshape, stack, transpose
from tapecli.ops.powers import cbrt, exp, exp2, exp10, expm1, hypot, log1p, log2, log10, sqrt
from tapecli.ops.scientific import (
    airyai,
    airybi,
    besseli,
    besselj,
    besselk,
    bessely,
    dawson,
    ellipe,
    ellipk,
    erfcinv,
    erfcx,
    erfinv,
    expint,
    lambertw,
    zeta,
)
from tapecli.ops.special import beta, digamma, erf, erfc, gamma, lbeta, lgamma, trigamma
from tapecli.ops.trigonometry import (
    acos,
    acosd,
    acot,
    acsc,
    asec,
    asin,
    asind,
    atan,
    atan2,
    atand,
    cos,
    cosd,
    cospi,
    cot,
    csc,
    sec,
    sin,
    sinc,
    sind,
    sinpi,
    tan,
    tand,
    tanpi,
)


def axes_of(x: Any, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """The axes a reduction runs over, counted from 0."""
    ndim = len(shape_of(x))
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,))))


def sum(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The sum of the entries."""
    return linear.sum_(x, axes=axes_of(x, axis))


def mean(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The mean of the entries."""
    axes = axes_of(x, axis)
    n = 1
    for a in axes:
        n *= shape_of(x)[a]
    return linear.sum_(x, axes=axes) / float(n)


def prod(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The product of the entries, with exact derivatives at zeros."""
    return reductions.prod(x, axes=axes_of(x, axis))


def max(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The greatest entry; entries that tie share its derivative."""
    return reductions.max_(x, axes=axes_of(x, axis))


def min(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The least entry; entries that tie share its derivative."""
    return reductions.min_(x, axes=axes_of(x, axis))


def norm(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The Euclidean length; its derivative at the origin is 0."""
    return powers.norm(x, axes=axes_of(x, axis))


def maximum(x: Any, y: Any) -> Any:
    """The greater of two, entry by entry; a tie shares the derivative."""
    return arithmetic.maximum(x, y, tie=0.5)


def minimum(x: Any, y: Any) -> Any:
    """The lesser of two, entry by entry; a tie shares the derivative."""
    return arithmetic.minimum(x, y, tie=0.5)


def pow(x: Any, y: Any) -> Any:
    """`x^y`. An exponent that is a plain number is taken as written: `pow(x, 2)` is defined for negative x."""
    if type(y) in (int, float):  # a NumPy scalar is a value of a run, not a number as written
        return arithmetic.power(x, exponent=float(y))
    return powers.pow(x, y)


def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of digamma."""
    return special.polygamma(x, n=n)


def log(x: Any, base: Any = None) -> Any:
    """The natural logarithm, or the logarithm to a base."""
    return powers.log(x) if base is None else powers.logarithm(x, base)


__all__ = [
    "abs",
    "acos",
    "acosd",
    "acosh",
    "acot",
    "acoth",
    "acsc",
    "acsch",
    "add",
    "airyai",
    "airybi",
    "asec",
    "asech",
    "asin",
    "asind",
    "asinh",
    "atan",
    "atan2",
    "atand",
    "atanh",
    "besseli",
    "besselj",
    "besselk",
    "bessely",
    "beta",
    "broadcast",
    "cbrt",
    "ceil",
    "cholesky",
    "clip",
    "concat",
    "cos",
    "cosd",
    "cosh",
    "cospi",
    "cot",
    "coth",
    "csc",
    "csch",
    "dawson",
    "det",
    "diag",
    "digamma",
    "div",
    "ellipe",
    "ellipk",
    "equal",
    "erf",
    "erfc",
    "erfcinv",
    "erfcx",
    "erfinv",
    "exp",
    "exp2",
    "exp10",
    "expint",
    "expm1",
    "floor",
    "gamma",
    "hypot",
    "inv",
    "lambertw",
    "lbeta",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logdet",
    "logical_and",
    "logical_not",
    "logical_or",
    "logit",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "mul",
    "neg",
    "norm",
    "not_equal",
    "outer",
    "polygamma",
    "pow",
    "prod",
    "relu",
    "reshape",
    "round",
    "sec",
    "sech",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sind",
    "sinh",
    "sinpi",
    "softplus",
    "solve",
    "sqrt",
    "stack",
    "stop",
    "sub",
    "sum",
    "tan",
    "tand",
    "tanh",
    "tanpi",
    "trace",
    "transpose",
    "trigamma",
    "where",
    "xlog1py",
    "xlogy",
    "zeta",
]  # fmt: skip
