"""Index notation: `sum(… for i in …)` and its kin, lowered to operations on whole arrays.

The body is built once, on values that stand for all points of the loop. A range that depends on another index, and a
condition on indices, make one axis of all points there are, so the cost is that of the points and not of the product
of the ranges. No Python loop runs over points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli.core import TABLE, Array
from tapecli.graph import Node
from tapecli.language.machine import Machine
from tapecli.language.sweeps import full, joint, lift, spread
from tapecli.language.values import Axis, Frame, Range, Scope, Swept, SweptRange, length
from tapecli.ops import reductions
from tapecli.ops.linear import Index
from tapecli.syntax.code import Clause, Code

#: How deep loops may nest.
MAX_NEST = 100
#: How many points a loop may have: a graph of more would not fit in memory.
MAX_POINTS = 1 << 31


class Loop:
    """The loops of one comprehension: the scope of their indices, and their axes in the order of the clauses."""

    def __init__(self, m: Machine, frame: Frame) -> None:
        self.m = m
        self.scope = Scope(frame.scope)
        self.source = frame.source
        self.axes: list[Axis] = []
        self.ragged = False

    def run(self, code: Code) -> Any:
        return self.m.run(code, self.scope, self.source)

    def clause(self, clause: Clause) -> None:
        """`index in domain`: a new axis, and the index's value at each of its points."""
        m = self.m
        domain = self.run(clause.domain)
        if isinstance(domain, Range):
            values = domain.values
            self._limit(length(values))
            axis = m.axis(len(values))
            numbers = np.arange(values.start, values.stop, values.step, dtype=np.float64)
            index: Any = Swept(m.graph.literal(numbers), (axis,))
            self.add(axis)
        elif isinstance(domain, SweptRange):
            index = self._dependent(domain)
        else:
            node = m.node(domain, f"`{clause.index} in`")
            if isinstance(node, Swept) or node.ndim != 1:
                raise m.error("type", f"`{clause.index}` runs over a range or a vector", hint=f"{clause.index} in 1..n")
            axis = m.axis(node.shape[0])
            index = Swept(node, (axis,))
            self.add(axis)
        axis, known = index.axes[-1], m.number(index)
        if known is not None and known.ndim == 1:
            axis.name, axis.numbers = clause.index, known
        self.scope.values[clause.index] = index

    def _limit(self, count: int) -> None:
        if count > MAX_POINTS:
            raise self.m.error("limit", f"this loop has {count:,} points", hint="a loop is built as a whole array")
        self.m.room((count,), f"a loop of {count:,} points", 3)

    def add(self, axis: Axis) -> None:
        self.axes.append(axis)
        self.m.open.append(axis)

    def replace(self, gone: Sequence[Axis], axis: Axis) -> None:
        """Puts `axis` in the place of the axes that it stands in for."""
        self.ragged = self.ragged or any(old in self.axes for old in gone)
        self.axes = [old for old in self.axes if old not in gone]
        self.m.open[:] = [old for old in self.m.open if old not in gone or old not in self.axes]
        self.add(axis)

    def points(self, axes: Sequence[Axis], positions: Sequence[Array]) -> Axis:
        """An axis whose points are the given positions on `axes`, and through these on their parents."""
        parents: dict[Axis, Array] = {}
        for axis, where in zip(axes, positions, strict=True):
            parents[axis] = where
            for parent, map_ in axis.parents.items():
                parents.setdefault(parent, map_[where])
        count = len(positions[0]) if positions else 0
        self._limit(count)
        return self.m.axis(count, parents)

    def related(self, axes: Sequence[Axis]) -> tuple[Axis, ...]:
        """`axes`, and the loop's own that share a parent with one of them: those points belong together."""
        every = set(axes)
        outer = {parent for axis in every for parent in (axis, *axis.parents)}
        every.update(axis for axis in self.axes if outer & set(axis.parents))
        return joint(every)

    def _dependent(self, domain: SweptRange) -> Swept:
        """A range whose ends depend on other indices: an axis of all points that there are."""
        m = self.m
        ends = [m.node(end, "the end of a range") for end in (domain.first, domain.last)]
        axes = self.related(joint(axis for end in ends if isinstance(end, Swept) for axis in end.axes))
        first, last = (self._whole(end, axes) for end in ends)
        counts = np.maximum((last - first) // domain.step + 1, 0).reshape(-1)
        total = int(counts.sum())
        self._limit(total)
        base = np.repeat(np.arange(counts.size), counts)
        offset = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        values = first.reshape(-1)[base] + domain.step * offset
        axis = self.points(axes, np.unravel_index(base, [a.count for a in axes]))
        self.replace(axes, axis)
        return Swept(m.graph.literal(values.astype(np.float64)), (axis,))

    def _whole(self, end: Any, axes: tuple[Axis, ...]) -> Array:
        """The end of a range at every point of `axes`, as whole numbers."""
        m = self.m
        numbers = m.known_numbers(end, "the end of a range")
        own = end.axes if isinstance(end, Swept) else ()
        if numbers.ndim != len(own) or not np.all(np.isfinite(numbers)) or np.any(numbers != np.rint(numbers)):
            raise m.error("value", "the ends of a range are whole numbers")
        return spread(numbers, own, axes).astype(np.int64)

    def condition(self, code: Code) -> None:
        """`if …` after the clauses: the points where it holds are left."""
        m = self.m
        value = m.node(self.run(code), "a condition")
        hint = "for variables, use `if … then … else 0` in the body"
        numbers = m.known_numbers(value, "a condition on indices", hint)
        if not isinstance(value, Swept):
            if not numbers.all():
                self.replace(self.axes, self.points(self.axes, [np.zeros(0, dtype=np.intp) for _ in self.axes]))
            return
        axes = self.related(value.axes)
        truth = spread(numbers != 0, value.axes, axes)
        axis = self.points(axes, np.nonzero(truth))
        single = len(axes) == 1 and axes[0] in self.axes
        ragged = self.ragged
        self.replace(axes, axis)
        self.ragged = ragged if single else self.ragged
        if not single:  # from here on each index is gathered at the points that are left
            for name, index in self.scope.values.items():
                if isinstance(index, Swept) and index.axes[0] in axis.parents:
                    self.scope.values[name] = lift(m.graph, index, (axis,))


def comprehension(
    m: Machine, frame: Frame, operand: tuple[str | None, Code, tuple[Clause, ...], tuple[Code, ...]]
) -> Any:
    """The value of `kind(body for clauses if conditions)`, or of `[body for …]` where the kind is None."""
    from tapecli.language.functions import call

    kind: str | None
    body: Code
    kind, body, clauses, conditions = operand
    if len(m.open) > MAX_NEST:
        raise m.error("limit", f"loops are nested more than {MAX_NEST} deep")
    here, opened = m.graph.here, list(m.open)
    loop = Loop(m, frame)
    try:
        for clause in clauses:
            loop.clause(clause)
        for condition in conditions:
            loop.condition(condition)
        value = m.node(loop.run(body), "a loop")
    finally:
        m.open[:] = opened
        m.graph.here = here
    if kind in REDUCTIONS:
        return REDUCTIONS[kind](loop, value)
    array = listed(loop, value)
    if kind is None:
        return array
    call(m, frame, kind, [array], {})
    return None


# ---- what becomes of the values at all points -------------------------------------------------------------------


def _plain(value: Node, axes: Sequence[Axis]) -> Any:
    """A node with leading axes: a value in the loops around, or a node where there are none."""
    return Swept(value, tuple(axes)) if axes else value


def outer(loop: Loop, axis: Axis) -> tuple[Axis, ...]:
    """The axes of loops around that an axis of this loop stands in for."""
    return joint(parent for parent in axis.parents if parent in loop.m.open)


def _spread_over(loop: Loop, value: Any, every: bool) -> Any:
    """The value with every axis of the loop that stands in for others; with `every`, all axes of the loop."""
    own = value.axes if isinstance(value, Swept) else ()
    wanted = [axis for axis in loop.axes if axis not in own and (every or axis.parents)]
    if not wanted:
        return value
    axes = joint([*own, *wanted])
    return Swept(full(loop.m.graph, value, axes), axes)


def _sum(loop: Loop, value: Any) -> Any:
    value = _spread_over(loop, value, every=False)
    own = value.axes if isinstance(value, Swept) else ()
    factor = 1.0
    for axis in loop.axes:
        if axis not in own:
            factor *= axis.count
    for axis in loop.axes:
        if axis in own:
            value = _sum_along(loop, value, axis)
    return value if factor == 1.0 else loop.m.apply("mul", value, factor)


def _sum_along(loop: Loop, value: Swept, axis: Axis) -> Any:
    """The sum over one axis; of an axis that stands in for others, onto these."""
    m, position = loop.m, value.axes.index(axis)
    rest = [a for a in value.axes if a is not axis]
    onto = outer(loop, axis)
    if not onto:
        return _plain(m.graph.add(TABLE["sum"], [value.node], {"axes": (position,)}), rest)
    counts = tuple(a.count for a in onto)
    where = np.ravel_multi_index([axis.parents[a] for a in onto], counts)
    node = m.graph.add(
        TABLE["scatter"], [value.node], {"index": Index(where), "axis": position, "n": int(np.prod(counts))}
    )
    shape = node.shape[:position] + counts + node.shape[position + 1 :]
    node = m.graph.add(TABLE["reshape"], [node], {"shape": shape})
    return _sorted(m, node, [*rest[:position], *onto, *rest[position:]])


def _sorted(m: Machine, node: Node, axes: list[Axis]) -> Swept:
    order = sorted(range(len(axes)), key=lambda k: axes[k].serial)
    if order != list(range(len(axes))):
        node = m.graph.add(TABLE["transpose"], [node], {"axes": (*order, *range(len(axes), node.ndim))})
    return Swept(node, tuple(axes[k] for k in order))


def _mean(loop: Loop, value: Any) -> Any:
    total = _sum(loop, value)
    count = _sum(loop, loop.m.graph.literal(1.0))
    numbers = loop.m.number(count)
    if numbers is not None and not np.all(numbers):
        raise loop.m.error("shape", "there is no mean of no entries")
    return loop.m.apply("div", total, count)


def _folded(neutral: float, reduce: Callable[..., Any], empty: str | None) -> Callable[[Loop, Any], Any]:
    """A reduction over one dense dimension after another; ragged points are filled up with its neutral element."""

    def run(loop: Loop, value: Any) -> Any:
        value = _spread_over(loop, value, every=True)
        for axis in loop.axes:
            if empty is not None and axis.count == 0:
                raise loop.m.error("shape", f"there is no {empty} of no entries")
            dense = _dense(loop, value, axis, neutral, empty)
            value = _plain(reduce(dense.node, axes=(len(dense.axes),)), dense.axes)
        return value

    return run


def _dense(loop: Loop, value: Swept, axis: Axis, neutral: float, empty: str | None) -> Swept:
    """The value with `axis` made the first dimension of its shape at one point; where the points of outer axes have
    different numbers of its points, these are filled up."""
    m, position = loop.m, value.axes.index(axis)
    rest = [a for a in value.axes if a is not axis]
    onto = outer(loop, axis)
    node = value.node
    if onto:
        counts = tuple(a.count for a in onto)
        where = np.ravel_multi_index([axis.parents[a] for a in onto], counts)
        index, width = _padded(where, int(np.prod(counts)))
        if empty is not None and np.any(np.bincount(where, minlength=int(np.prod(counts))) == 0):
            raise m.error("shape", f"there is no {empty} of no entries")
        filler = m.graph.literal(np.full((*node.shape[:position], 1, *node.shape[position + 1 :]), neutral))
        node = m.graph.add(TABLE["concat"], [node, filler], {"axis": position})
        node = m.graph.add(TABLE["take"], [node], {"index": Index(index), "axis": position})
        shape = (*node.shape[:position], *counts, width, *node.shape[position + 1 :])
        node = m.graph.add(TABLE["reshape"], [node], {"shape": shape})
        axes = [*rest[:position], *onto, *rest[position:]]
        moved = position + len(onto)
    else:
        axes, moved = rest, position
    order = [k for k in range(len(axes) + 1) if k != moved]
    node = m.graph.add(TABLE["transpose"], [node], {"axes": (*order, moved, *range(len(axes) + 1, node.ndim))})
    return _sorted(m, node, axes) if axes else Swept(node, ())


def _padded(where: Array, groups: int) -> tuple[Array, int]:
    """For points that belong to `groups`: their positions, group by group, each filled up with the position after the
    last point; and the common width."""
    counts = np.bincount(where, minlength=groups)
    width = int(counts.max(initial=0))
    order = np.argsort(where, kind="stable")
    row = where[order]
    column = np.arange(len(where)) - np.repeat(np.cumsum(counts) - counts, counts)
    index = np.full((groups, width), len(where), dtype=np.intp)
    index[row, column] = order
    return index.reshape(-1), width


def listed(loop: Loop, value: Any) -> Any:
    """`[value for …]`: the axes of the loop, in the order of its clauses, are the first dimensions of the array."""
    m = loop.m
    if loop.ragged:
        raise m.error("shape", "an array has as many entries in every row, and these ranges depend on one another")
    value = _spread_over(loop, value, every=True)
    for axis in reversed(loop.axes):
        where = outer(loop, axis)
        if where:
            counts = np.bincount(np.ravel_multi_index([axis.parents[a] for a in where], [a.count for a in where]))
            if counts.size and np.any(counts != counts[0]):
                raise m.error("shape", "an array has the same number of entries at every point of the loop around it")
        dense = _dense(loop, value, axis, 0.0, None)
        value = dense if dense.axes else dense.node
    return value


def _product(node: Node, axes: tuple[int, ...]) -> Any:
    return reductions.prod(node, axes=axes)


REDUCTIONS: dict[str | None, Callable[[Loop, Any], Any]] = {
    "sum": _sum,
    "mean": _mean,
    "prod": _folded(1.0, _product, None),
    "max": _folded(-np.inf, reductions.max_, "max"),
    "min": _folded(np.inf, reductions.min_, "min"),
}
