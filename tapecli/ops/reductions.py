"""Reductions that are not linear: greatest and least entries, products, running sums and products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, shape_of
from tapecli.ops.arithmetic import equal
from tapecli.ops.linear import _expand, _sum_shape, concat, reshape, slice_, sum_, transpose
from tapecli.ops.lowering import Reduces


def _shares(g: Any, out: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    """The cotangent of a greatest or least entry, in equal parts to the entries that tie for it."""
    hit = equal(x, _expand(out, shape_of(x), axes))
    return _expand(g / sum_(hit, axes=axes), shape_of(x), axes) * hit


def _extreme_shape(x: Shape, *, axes: tuple[int, ...]) -> Shape:
    if any(x[axis] == 0 for axis in axes):
        raise ValueError("there is no greatest or least of no entries")
    return _sum_shape(x, axes=axes)


max_: Op = Op(
    "max",
    kind="dense",
    kernel=lambda x, axes: np.maximum.reduce(x, axis=axes),
    complex=None,
    shape=_extreme_shape,
    vjps=(_shares,),
    native=Reduces(-math.inf, lambda b, x, y: b.select((x >= y) | b.isnan(x), x, y)),
    domain="real",
    points=(),
    doc="the greatest entry along axes",
)
min_: Op = Op(
    "min",
    kind="dense",
    kernel=lambda x, axes: np.minimum.reduce(x, axis=axes),
    complex=None,
    shape=_extreme_shape,
    vjps=(_shares,),
    native=Reduces(math.inf, lambda b, x, y: b.select((x <= y) | b.isnan(x), x, y)),
    domain="real",
    points=(),
    doc="the least entry along axes",
)


def _reversed_cumsum(g: Any, axis: int) -> Any:
    n = shape_of(g)[axis]
    back = {"axis": axis, "start": n - 1, "stop": -1, "step": -1}
    return slice_(cumsum(slice_(g, **back), axis=axis), **back)


def _cumsum(x: Array, axis: int) -> Array:
    return np.cumsum(x, axis=axis, dtype=x.dtype)


cumsum: Op = Op(
    "cumsum",
    kind="linear",
    kernel=_cumsum,
    complex=_cumsum,
    shape=lambda x, axis: x,
    vjps=(lambda g, out, x, axis: _reversed_cumsum(g, axis),),
    native=None,
    domain="real",
    points=(),
    doc="the running sum along an axis",
)


def prod(x: Any, *, axes: tuple[int, ...]) -> Any:
    """The product along `axes`: halves multiplied entry by entry until one is left.

    The derivative is then products of the other entries, exact at zeros to any order, in memory linear in x; the
    textbook rule out/x is neither.
    """
    shape = shape_of(x)
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    x = transpose(x, axes=kept + axes) if kept + axes != tuple(range(len(shape))) else x
    outer = tuple(shape[axis] for axis in kept)
    n = 1
    for axis in axes:
        n *= shape[axis]
    x = reshape(x, shape=(*outer, n))
    axis = len(outer)
    if n == 0:
        return sum_(x, axes=(axis,)) + 1.0
    while n > 1:
        half = n // 2
        paired = slice_(x, axis=axis, start=0, stop=half, step=1) * slice_(
            x, axis=axis, start=half, stop=2 * half, step=1
        )
        rest = [slice_(x, axis=axis, start=n - 1, stop=n, step=1)] if n % 2 else []
        x = concat(paired, *rest, axis=axis) if rest else paired
        n = half + n % 2
    return reshape(x, shape=outer)


def cumprod(x: Any, *, axis: int) -> Any:
    """The running product along `axis`, by doubling strides (Hillis and Steele, CACM 29, 1986): exact at zeros."""
    n = shape_of(x)[axis]
    stride = 1
    while stride < n:
        head = slice_(x, axis=axis, start=0, stop=stride, step=1)
        late = slice_(x, axis=axis, start=stride, stop=n, step=1)
        early = slice_(x, axis=axis, start=0, stop=n - stride, step=1)
        x = concat(head, late * early, axis=axis)
        stride *= 2
    return x
