"""Values at all points of a loop together: how those of different loops are brought onto common axes.

Each index of a loop is an axis of its own, so that what depends on one index is computed once for each of its points
and broadcast. An axis whose points depend on others stands in for these, its parents: a value on a parent is repeated
by a gather.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tapecli.core import TABLE, Array
from tapecli.graph import Graph, Node
from tapecli.language.values import Axis, Swept
from tapecli.ops.linear import Index


def joint(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The axes that values on `axes` have together: without those that another one stands in for."""
    every = set(axes)
    covered = {parent for axis in every for parent in axis.parents}
    return tuple(sorted(every - covered, key=lambda axis: axis.serial))


def lift(graph: Graph, value: Swept, axes: Sequence[Axis]) -> Swept:
    """`value` with each of its axes that is not among `axes` replaced by the one of `axes` that stands in for it."""
    node, own = value.node, list(value.axes)
    for axis in axes:
        gone = [old for old in own if old in axis.parents and old not in axes]
        if gone:
            node, own = _gathered(graph, node, own, gone + [old for old in own if old is axis], axis)
    order = sorted(range(len(own)), key=lambda k: own[k].serial)
    if order != list(range(len(own))):
        rest = range(len(own), node.ndim)
        node = graph.add(TABLE["transpose"], [node], {"axes": (*order, *rest)})
        own = [own[k] for k in order]
    return Swept(node, tuple(own))


def _gathered(graph: Graph, node: Node, own: list[Axis], gone: list[Axis], axis: Axis) -> tuple[Node, list[Axis]]:
    """The dimensions `gone` gathered at the points of `axis`, which becomes one dimension in their place."""
    where = [axis.parents.get(old, np.arange(axis.count)) for old in gone]
    if len(gone) == 1:
        position = own.index(gone[0])
        node = graph.add(TABLE["take"], [node], {"index": Index(where[0]), "axis": position})
        return node, [axis if old is gone[0] else old for old in own]
    front = [own.index(old) for old in gone]
    rest = [k for k in range(node.ndim) if k not in front]
    node = graph.add(TABLE["transpose"], [node], {"axes": (*front, *rest)})
    counts = node.shape[: len(gone)]
    node = graph.add(TABLE["reshape"], [node], {"shape": (int(np.prod(counts)), *node.shape[len(gone) :])})
    node = graph.add(TABLE["take"], [node], {"index": Index(np.ravel_multi_index(where, counts)), "axis": 0})
    return node, [axis, *(old for old in own if old not in gone)]


def align(graph: Graph, values: Sequence[Any]) -> tuple[list[Node], tuple[Axis, ...]]:
    """Values as nodes whose leading dimensions are common axes, of length 1 where a value does not depend on one, and
    whose shapes at a point have one number of dimensions."""
    axes = joint(axis for value in values if isinstance(value, Swept) for axis in value.axes)
    values = [value if isinstance(value, (Swept, Node)) else graph.literal(value) for value in values]
    ndim = max(value.ndim for value in values)
    nodes = []
    for value in values:
        if not isinstance(value, Swept):
            nodes.append(value)
            continue
        lifted = lift(graph, value, axes)
        counts = tuple(axis.count if axis in lifted.axes else 1 for axis in axes)
        shape = (*counts, *(1,) * (ndim - value.ndim), *value.shape)
        same = shape == lifted.node.shape
        nodes.append(lifted.node if same else graph.add(TABLE["reshape"], [lifted.node], {"shape": shape}))
    return nodes, axes


def full(graph: Graph, value: Any, axes: tuple[Axis, ...]) -> Node:
    """`value` as a node with all of `axes` (in order) leading, repeated where it does not depend on one."""
    shape = value.shape
    node = value if isinstance(value, Node) else lift(graph, value, axes).node
    own = () if isinstance(value, Node) else lift(graph, value, axes).axes
    counts = tuple(axis.count if axis in own else 1 for axis in axes)
    node = graph.add(TABLE["reshape"], [node], {"shape": (*counts, *shape)})
    target = (*(axis.count for axis in axes), *shape)
    return node if node.shape == target else graph.add(TABLE["broadcast"], [node], {"shape": target})


def shifted(params: dict[str, Any], axes: tuple[Axis, ...]) -> dict[str, Any]:
    """The parameters of an op on values at one point, for the op on all points together."""
    n, counts = len(axes), tuple(axis.count for axis in axes)
    moved: dict[str, Any] = {}
    for name, given in params.items():
        if name == "shape":
            moved[name] = counts + given
        elif name == "axis":
            moved[name] = given + n
        elif name == "axes":
            moved[name] = tuple(a + n for a in given)
        else:
            moved[name] = given
    return moved


def spread(array: Any, own: Sequence[Axis], axes: Sequence[Axis]) -> Array:
    """The same for an array of numbers known now: its dimensions `own` onto `axes`, repeated where it has none.

    An axis of its own that is neither among `axes` nor a parent of one is reduced to whether anything along it is true.
    """
    positions: list[Axis | None] = list(own)
    for k, axis in enumerate(own):
        if axis in axes:
            continue
        stand_in = next((other for other in axes if axis in other.parents), None)
        if stand_in is None:
            array = array.any(axis=k, keepdims=True)
            positions[k] = None
        else:
            array = np.take(array, stand_in.parents[axis], axis=k)
            positions[k] = stand_in
    kept = [axis for axis in positions if axis is not None]
    array = array.reshape([n for n, axis in zip(array.shape, positions, strict=True) if axis is not None])
    order = sorted(range(len(kept)), key=lambda k: axes.index(kept[k]))
    array = array.transpose(order)
    shape = [axis.count if axis in kept else 1 for axis in axes]
    return np.broadcast_to(array.reshape(shape), [axis.count for axis in axes])
