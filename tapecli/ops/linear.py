"""Linear ops: sums, reshapings and selections of entries. Their derivative rules are their transposes.

Axes count from 0 here; the formula language counts them from 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, broadcast_shapes, shape_of
from tapecli.ops.lowering import (
    Coords,
    Guard,
    Moves,
    Pieces,
    Reduces,
    Scatters,
    View,
    Written,
    broadcast_from,
    spread,
    swapped,
)


class Index:
    """A frozen array of positions that can stand as an op's parameter: hashable, compared by content."""

    __slots__ = ("_key", "array")

    def __init__(self, array: Any) -> None:
        self.array = np.ascontiguousarray(array, dtype=np.intp)
        self.array.setflags(write=False)
        self._key = (self.array.shape, self.array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Index({self.array.size})"


def _sum_shape(x: Shape, *, axes: tuple[int, ...]) -> Shape:
    return tuple(n for axis, n in enumerate(x) if axis not in axes)


def _expand(g: Any, shape: Shape, axes: tuple[int, ...]) -> Any:
    """`g`, whose `axes` were summed away, spread over `shape` again."""
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return broadcast(reshape(g, shape=kept), shape=shape)


def _slice(x: Array, axis: int, start: int, stop: int, step: int) -> Array:
    return x[(slice(None),) * axis + (slice(start, stop if stop >= 0 else None, step),)]


def _length(start: int, stop: int, step: int) -> int:
    return len(range(start, stop, step))


def _replaced(x: Shape, axis: int, n: int) -> Shape:
    return (*x[:axis], n, *x[axis + 1 :])


def _embed(x: Array, axis: int, n: int, start: int, stop: int, step: int) -> Array:
    out = np.zeros(_replaced(x.shape, axis, n), dtype=x.dtype)
    _slice(out, axis, start, stop, step)[...] = x
    return out


def _embed_from(at: Coords, x: Shape, axis: int, n: int, start: int, stop: int, step: int) -> tuple[Coords, Guard]:
    """Where an entry of `embed` comes from, and where it is not 0."""
    position, guard = spread(at[axis], x[axis], start, step)
    return swapped(at, axis, position), guard


def _scatter(x: Array, index: Index, axis: int, n: int) -> Array:
    """The entries of `x` along `axis` added up at the places that `index` gives; the transpose of `take`."""
    out = np.zeros(_replaced(x.shape, axis, n), dtype=x.dtype)
    if x.ndim == 1 and x.dtype == np.float64:
        return np.bincount(index.array, weights=x, minlength=n)
    where: Any = (slice(None),) * axis + (index.array,)
    np.add.at(out, where, x)
    return out


def _concat_shape(*shapes: Shape, axis: int) -> Shape:
    first = shapes[0]
    for shape in shapes:
        if _replaced(shape, axis, 0) != _replaced(first, axis, 0):
            raise ValueError("shapes do not fit")
    return _replaced(first, axis, sum(shape[axis] for shape in shapes))


def _concat_rule(i: int) -> Any:
    def rule(g: Any, out: Any, *xs: Any, axis: int) -> Any:
        before = sum(shape_of(x)[axis] for x in xs[:i])
        return slice_(g, axis=axis, start=before, stop=before + shape_of(xs[i])[axis], step=1)

    return rule


def _stack_rule(i: int) -> Any:
    def rule(g: Any, out: Any, *xs: Any) -> Any:
        return reshape(slice_(g, axis=0, start=i, stop=i + 1, step=1), shape=shape_of(xs[i]))

    return rule


def _stack_shape(*shapes: Shape) -> Shape:
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("shapes do not fit")
    return (len(shapes), *shapes[0])


def _stack(*xs: Array) -> Array:
    dtype = np.result_type(*xs)
    if not any(shape_of(x) for x in xs):
        return np.array(xs, dtype=dtype)
    return np.stack([np.asarray(x, dtype=dtype) for x in xs])


def _broadcast_shape(x: Shape, *, shape: Shape) -> Shape:
    if broadcast_shapes(x, shape) != shape:
        raise ValueError("shapes do not fit")
    return shape


def _reshape_shape(x: Shape, *, shape: Shape) -> Shape:
    if int(np.prod(x)) != int(np.prod(shape)):
        raise ValueError("shapes do not fit")
    return shape


def unbroadcast(g: Any, shape: Shape) -> Any:
    """`g` summed over what broadcasting `shape` had repeated; the transpose of `broadcast`."""
    have = shape_of(g)
    if have == shape:
        return g
    extra = len(have) - len(shape)
    axes = tuple(range(extra)) + tuple(a + extra for a, n in enumerate(shape) if n == 1 and have[a + extra] != 1)
    if axes:
        g = sum_(g, axes=axes)
    return g if shape_of(g) == shape else reshape(g, shape=shape)


sum_: Op = Op(
    "sum",
    kind="linear",
    kernel=lambda x, axes: np.add.reduce(x, axis=axes),
    complex=lambda x, axes: np.add.reduce(x, axis=axes),
    shape=_sum_shape,
    vjps=(lambda g, out, x, axes: _expand(g, shape_of(x), axes),),
    native=Reduces(0.0, None),
    domain="real",
    points=(),
    doc="the sum of the entries along axes",
)
broadcast: Op = Op(
    "broadcast",
    kind="linear",
    kernel=lambda x, shape: np.broadcast_to(x, shape),
    complex=lambda x, shape: np.broadcast_to(x, shape),
    shape=_broadcast_shape,
    vjps=(lambda g, out, x, shape: unbroadcast(g, shape_of(x)),),
    native=Moves(lambda at, x, shape: (broadcast_from(at, x), None), view=True),
    domain="real",
    points=(),
    doc="x repeated to a shape",
)
reshape: Op = Op(
    "reshape",
    kind="linear",
    kernel=lambda x, shape: np.reshape(x, shape),
    complex=lambda x, shape: np.reshape(x, shape),
    shape=_reshape_shape,
    vjps=(lambda g, out, x, shape: reshape(g, shape=shape_of(x)),),
    native=View(),
    domain="real",
    points=(),
    doc="the entries of x, in order, in another shape",
)
transpose: Op = Op(
    "transpose",
    kind="linear",
    kernel=lambda x, axes: np.transpose(x, axes),
    complex=lambda x, axes: np.transpose(x, axes),
    shape=lambda x, axes: tuple(x[a] for a in axes),
    vjps=(lambda g, out, x, axes: transpose(g, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__))),),
    native=Moves(lambda at, x, axes: (tuple(at[axes.index(a)] for a in range(len(axes))), None), view=True),
    domain="real",
    points=(),
    doc="x with its axes in another order",
)
slice_: Op = Op(
    "slice",
    kind="linear",
    kernel=_slice,
    complex=_slice,
    shape=lambda x, axis, start, stop, step: _replaced(x, axis, _length(start, stop, step)),
    vjps=(
        lambda g, out, x, axis, start, stop, step: embed(
            g, axis=axis, n=shape_of(x)[axis], start=start, stop=stop, step=step
        ),
    ),
    native=Moves(
        lambda at, x, axis, start, stop, step: (swapped(at, axis, at[axis].along(step, start)), None), view=True
    ),
    domain="real",
    points=(),
    doc="the entries start, start + step, … below stop along an axis",
)
embed: Op = Op(
    "embed",
    kind="linear",
    kernel=_embed,
    complex=_embed,
    shape=lambda x, axis, n, start, stop, step: _replaced(x, axis, n),
    vjps=(lambda g, out, x, axis, n, start, stop, step: slice_(g, axis=axis, start=start, stop=stop, step=step),),
    native=Moves(_embed_from, view=False),
    domain="real",
    points=(),
    doc="x at the places of a slice, zeros elsewhere",
)
take: Op = Op(
    "take",
    kind="linear",
    kernel=lambda x, index, axis: np.take(x, index.array, axis=axis),
    complex=lambda x, index, axis: np.take(x, index.array, axis=axis),
    shape=lambda x, index, axis: _replaced(x, axis, index.array.size),
    vjps=(lambda g, out, x, index, axis: scatter(g, index=index, axis=axis, n=shape_of(x)[axis]),),
    native=Moves(lambda at, x, index, axis: (swapped(at, axis, at[axis].looked_up(index.array)), None), view=False),
    domain="real",
    points=(),
    doc="the entries of x at an index along an axis",
)
scatter: Op = Op(
    "scatter",
    kind="linear",
    kernel=_scatter,
    complex=None,
    shape=lambda x, index, axis, n: _replaced(x, axis, n),
    vjps=(lambda g, out, x, index, axis, n: take(g, index=index, axis=axis),),
    native=Scatters(),
    domain="real",
    points=(),
    doc="the entries of x added up at the places of an index",
)
concat: Op = Op(
    "concat",
    kind="linear",
    kernel=lambda *xs, axis: np.concatenate(xs, axis=axis),
    complex=lambda *xs, axis: np.concatenate(xs, axis=axis),
    shape=_concat_shape,
    vjps=_concat_rule,
    native=Pieces(lambda params: params["axis"]),
    domain="real",
    points=(),
    doc="arrays one after another along an axis",
)
stack: Op = Op(
    "stack",
    kind="linear",
    kernel=_stack,
    complex=_stack,
    shape=_stack_shape,
    vjps=_stack_rule,
    native=Written(lambda dtype, *xs: concat(*[reshape(x, shape=(1, *shape_of(x))) for x in xs], axis=0)),
    domain="real",
    points=(),
    doc="arrays of one shape as the rows of a new axis",
)
