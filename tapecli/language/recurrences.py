"""`fold` and `scan`: the body is built once, on placeholders for the states and the index, and becomes one loop op.

What an index of the loop picks out of an array from outside is gathered for all steps at once and handed to the loop
row by row, so neither the graph nor the adjoint of a step grows with the array.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import TABLE, Array, Shape
from tapecli.graph import LITERAL, Node, dependents, needed, replay, shape_text
from tapecli.language.machine import Machine
from tapecli.language.sweeps import full, joint
from tapecli.language.values import Axis, Frame, Range, Scope, Swept, Tuple, length
from tapecli.ops.linear import Index, reshape
from tapecli.recur import Body, Counter, piece, steps

#: How often a body is built again because a state turns out to be larger than its start.
TRIES = 4


class Recurrence:
    """A recurrence whose body is being built: the placeholder of its index, and what the steps are handed."""

    def __init__(self, m: Machine, index: str, values: range) -> None:
        self.values = np.arange(values.start, values.stop, values.step, dtype=np.float64)
        self.counter = Counter(index, self.values)
        self.axis: Axis = m.axis(len(self.values))
        self.step = m.placeholder(())
        self.states: list[Node] = []
        self.streams: dict[Node, Node] = {}

    def stream(self, m: Machine, every: Node) -> Node:
        """The placeholder for a row of `every`, an array with a row for each step."""
        for placeholder, known in self.streams.items():
            if known is every:
                return placeholder
        placeholder = m.placeholder(every.shape[1:])
        self.streams[placeholder] = every
        m.graph.streams[placeholder.index] = (every, self.counter)
        return placeholder


def recurrence(m: Machine, frame: Frame, operand: Any) -> Any:
    """The value of `fold(…)` or `scan(…)`."""
    which, names, starts, index, domain, body = operand
    here = m.graph.here
    states = [m.node(m.run(code, frame.scope, frame.source), "a start") for code in starts]
    span = m.run(domain, frame.scope, frame.source)
    if not isinstance(span, Range):
        raise m.error(
            "type", f"`{index}` runs over a range that is known before anything runs", hint=f"for {index} in 1..n"
        )
    count = length(span.values)
    m.room((count,), f"a recurrence of {count:,} steps", 4)
    if len(span.values) == 0 and which == "scan":
        return _grouped([m.apply("reshape", m.graph.literal(np.zeros(0)), shape=(0, *s.shape)) for s in states])
    if len(span.values) == 0:
        return _grouped(states)
    for _ in range(TRIES):
        loop = Recurrence(m, index, span.values)
        results = _body(m, frame, loop, names, states, index, body)
        larger = [_joined(m, name, s, r) for name, s, r in zip(names, states, results, strict=True)]
        if all(new is old for new, old in zip(larger, states, strict=True)):
            break
        states = larger
    m.graph.here = here
    return _grouped(_run(m, loop, states, results, which == "scan"))


def _grouped(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else Tuple(values)


def _body(
    m: Machine, frame: Frame, loop: Recurrence, names: tuple[str, ...], states: list[Any], index: str, body: Any
) -> list[Any]:
    """The next states, built on placeholders for the states and the index."""
    scope = Scope(frame.scope)
    scope.values[index] = loop.step
    for name, state in zip(names, states, strict=True):
        node = m.placeholder(state.node.shape if isinstance(state, Swept) else state.shape)
        loop.states.append(node)
        scope.values[name] = Swept(node, state.axes) if isinstance(state, Swept) else node
    m.recurrences.append(loop)
    try:
        value = m.run(body, scope, frame.source)
    finally:
        m.recurrences.pop()
    items = value.items if isinstance(value, Tuple) else [value]
    if len(items) != len(names):
        raise m.error(
            "type", f"a step makes {len(items)} values for {len(names)} states", hint="write them as a tuple: (a, b)"
        )
    return [m.node(item, "a state") for item in items]


def _joined(m: Machine, name: str, state: Any, result: Any) -> Any:
    """The start of a state with the shape and the axes that a step gives it; the start itself where it has them."""
    axes = joint([*_axes(state), *_axes(result)])
    if result.shape != state.shape and state.ndim:
        raise m.error(
            "shape", f"the state `{name}` is {shape_text(state.shape)}, and a step makes it {shape_text(result.shape)}"
        )
    if axes == _axes(state) and result.shape == state.shape:
        return state
    node = full(m.graph, state, axes)
    shape = (*(axis.count for axis in axes), *result.shape)
    node = (
        m.graph.add(TABLE["reshape"], [node], {"shape": node.shape + (1,) * result.ndim})
        if result.shape != state.shape
        else node
    )
    node = node if node.shape == shape else m.graph.add(TABLE["broadcast"], [node], {"shape": shape})
    return Swept(node, axes) if axes else node


def _axes(value: Any) -> tuple[Axis, ...]:
    return value.axes if isinstance(value, Swept) else ()


def _run(m: Machine, loop: Recurrence, states: list[Any], results: list[Any], every: bool) -> list[Any]:
    """The loop over the steps: the last states, or with `every` those after each step."""
    outputs = [full(m.graph, r, _axes(s)) if _axes(s) else r for s, r in zip(states, results, strict=True)]
    starts = [s.node if isinstance(s, Swept) else s for s in states]
    shapes = [node.shape for node in starts]
    outputs = [_shaped(m, node, shape) for node, shape in zip(outputs, shapes, strict=True)]
    given = [*loop.states, loop.step, *loop.streams]
    constants = _constants(outputs, given)
    sizes = [math.prod(shape) for shape in shapes]
    rows = [(), *(placeholder.shape for placeholder in loop.streams)]

    def step(carry: list[Any], row: list[Any], outside: list[Any]) -> tuple[list[Any], list[Any]]:
        env = dict(zip([*given, *constants], [*carry, *row, *outside], strict=True))
        after = replay(outputs, env, carry[0].graph.literal, carry[0].graph)
        return after, after if every else []

    body = Body(step, shapes, rows, [node.shape for node in constants], loop.counter)
    n = len(loop.values)
    table = [m.graph.literal(loop.values[:, None]), *(_flat(m, node, n) for node in loop.streams.values())]
    start = m.graph.add(TABLE["concat"], [_vector(m, node) for node in starts], {"axis": 0})
    last, trail = steps(start, m.graph.add(TABLE["concat"], table, {"axis": 1}), constants, body)
    if not every:
        return [_value(m, x, s, ()) for x, s in zip(_unpacked(last, shapes), states, strict=True)]
    parts, at = [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        part = m.graph.add(TABLE["slice"], [trail], {"axis": 1, "start": at, "stop": at + size, "step": 1})
        parts.append(m.graph.add(TABLE["reshape"], [part], {"shape": (n, *shape)}))
        at += size
    return [_value(m, x, s, (n,)) for x, s in zip(parts, states, strict=True)]


def _constants(outputs: list[Node], given: list[Node]) -> list[Node]:
    """The nodes from outside that the body rests on: the largest parts that no placeholder reaches."""
    order = needed(outputs, given)
    moving = dependents(order, given)
    found = {
        arg
        for node in order
        if node.index in moving and node not in given
        for arg in node.args
        if arg.index not in moving
    }
    found |= {node for node in outputs if node.index not in moving}
    return sorted((node for node in found if node.op is not LITERAL), key=lambda node: node.index)


def _shaped(m: Machine, node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else m.graph.add(TABLE["broadcast"], [node], {"shape": shape})


def _vector(m: Machine, node: Node) -> Node:
    return m.graph.add(TABLE["reshape"], [node], {"shape": (node.size,)})


def _flat(m: Machine, node: Node, n: int) -> Node:
    return m.graph.add(TABLE["reshape"], [node], {"shape": (n, node.size // n)})


def _unpacked(flat: Any, shapes: list[Shape]) -> list[Any]:
    parts, at = [], 0
    for shape in shapes:
        size = math.prod(shape)
        parts.append(reshape(piece(flat, at, at + size), shape=shape))
        at += size
    return parts


def _value(m: Machine, node: Node, state: Any, lead: Shape) -> Any:
    """A node with the dimensions `lead`, then those of the state, as a value with the state's axes."""
    axes = _axes(state)
    if not axes:
        return node
    if lead:
        n = len(axes)
        order = (*range(1, n + 1), 0, *range(n + 1, node.ndim))
        node = m.graph.add(TABLE["transpose"], [node], {"axes": order})
    return Swept(node, axes)


# ---- what depends on the index of a recurrence --------------------------------------------------------------------


def over_steps(m: Machine, value: Any) -> tuple[Array, tuple[Axis, ...]] | None:
    """The numbers of a scalar at every step of the recurrences around, where these and what is known make them."""
    if not m.recurrences or isinstance(value, Swept) or value.ndim:
        return None
    order = needed([value])
    loops = [loop for loop in m.recurrences if loop.step in order]
    known = {**m.known, **{loop.step: loop.values for loop in loops}}
    leaves = [node for node in order if node.op.kind == "leaf" and node.op is not LITERAL]
    moving = dependents(order, [loop.step for loop in loops])
    if not loops or any(leaf not in known for leaf in leaves):
        return None
    if any(node.op.kind not in ("elementwise", "leaf") for node in order if node.index in moving):
        return None
    m.used.update(leaf.params["name"] for leaf in leaves if leaf in m.known)
    for k, loop in enumerate(loops):
        known[loop.step] = loop.values.reshape([-1 if j == k else 1 for j in range(len(loops))])
    with np.errstate(all="ignore"):
        (numbers,) = replay([value], known, lambda number: number)
    axes = tuple(loop.axis for loop in loops)
    return np.broadcast_to(numbers, [axis.count for axis in axes]), axes


def picked(m: Machine, base: Node, dimension: int, positions: Array, axes: tuple[Axis, ...], item: Node) -> Node:
    """`base` at a position that moves with recurrences (from 0, for every step of `axes`), along one dimension."""
    loops = [loop for loop in m.recurrences if loop.axis in axes]
    inside = {node.index for node in needed([base])}
    states = [node for loop in m.recurrences for node in (*loop.states, loop.step, *loop.streams)]
    if any(node.index in inside for node in states):
        return _chosen(m, base, dimension, item)
    every = m.graph.add(TABLE["take"], [base], {"index": Index(positions.reshape(-1)), "axis": dimension})
    rest = base.shape[:dimension] + base.shape[dimension + 1 :]
    order = (dimension, *(k for k in range(base.ndim) if k != dimension))
    every = m.graph.add(TABLE["transpose"], [every], {"axes": order})
    every = m.graph.add(TABLE["reshape"], [every], {"shape": positions.shape + rest})
    for loop in loops:
        every = loop.stream(m, every)
    return every


def _chosen(m: Machine, base: Node, dimension: int, item: Node) -> Node:
    """An entry of something that changes from step to step: every other one is left out of a sum."""
    n = base.shape[dimension]
    places = np.arange(1.0, n + 1).reshape([-1 if k == dimension else 1 for k in range(base.ndim)])
    hit = m.apply("equal", m.graph.literal(places), item)
    return m.apply("sum", m.apply("select", hit, base, 0.0), axes=(dimension,))  # type: ignore[no-any-return]
