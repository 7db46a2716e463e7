"""Before a graph is planned: ops written out in others, and what each node then is to the planner."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape
from tapecli.engines.native.ir import Code
from tapecli.engines.native.lanes import Lanes
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed
from tapecli.ops.lowering import (
    Coords,
    Guard,
    Moves,
    Pieces,
    Reduces,
    Repeats,
    Scatters,
    View,
    Written,
    broadcast_from,
    compiled,
    fixed,
    points,
)

#: What a call of the vector library counts for, in arithmetic instructions.
CALL = 20
#: Expressions of at most this many instructions are computed again rather than stored and read at other places.
CHEAP = 32


def written_out(
    outputs: Sequence[Node], inputs: Sequence[Node | None], dtype: Any
) -> tuple[list[Node], list[Node | None]]:
    """`outputs` with every op that is `Written` replaced by its formula, in a new graph; and the new inputs."""
    while True:
        graph = Graph()
        env: dict[int, Node] = {}
        changed = False
        for node in needed([*outputs, *[node for node in inputs if node is not None]]):
            graph.here = node.place
            if node.op is LITERAL:
                env[node.index] = graph.literal(node.params["value"])
                continue
            if node.op is INPUT:
                env[node.index] = graph.input(node.params["name"], node.shape)
                continue
            if not node.size or (node.op.kind == "linear" and not any(arg.size for arg in node.args)):
                env[node.index] = graph.literal(_of_nothing(node, dtype))
                continue
            args = [env[arg.index] for arg in node.args]
            lowered: Any = (
                node.op.native.formula(dtype, *args, **node.params) if isinstance(node.op.native, Written) else None
            )
            changed = changed or lowered is not None
            env[node.index] = graph.add(node.op, args, node.params) if lowered is None else lowered
        outputs = [env[node.index] for node in outputs]
        inputs = [None if node is None else env[node.index] for node in inputs]
        if not changed:
            return outputs, inputs


def _of_nothing(node: Node, dtype: Any) -> Array:
    """What has no entries, or is moved and summed from what has none."""
    if not node.size:
        return np.empty(node.shape, dtype)
    return np.asarray(node.op.kernel(*[np.empty(arg.shape, dtype) for arg in node.args], **node.params), dtype)


def effective(shape: Shape) -> Shape:
    """A shape without its dimensions of one entry: what loops run over."""
    return tuple(n for n in shape if n != 1)


def domain_points(shape: Shape) -> Coords:
    """The entry itself, on the axes of the effective shape."""
    at, axis = [], 0
    for n in shape:
        at.append(fixed(0) if n == 1 else points((2,))[0]._replace(axis=axis, extent=n))
        axis += n != 1
    return tuple(at)


def thin(node: Node) -> bool:
    """Whether a node only adds or takes away dimensions of one entry."""
    return isinstance(node.op.native, (View, Reduces)) and effective(node.shape) == effective(node.args[0].shape)


def moves(node: Node) -> bool:
    """Whether the node's entries are entries of its argument (or zeros): it costs nothing of its own."""
    return (isinstance(node.op.native, Moves) or thin(node)) and bool(node.size and node.args[0].size)


def source(node: Node, at: Coords) -> tuple[Node, Coords, tuple[Guard, ...]]:
    """The node that an entry comes from, past all that only move entries; where it stands there, and under which
    conditions it is not 0."""
    guards: list[Guard] = []
    while moves(node):
        arg = node.args[0]
        if thin(node):
            kept = iter([c for c, n in zip(at, node.shape, strict=True) if n != 1])
            at = tuple(fixed(0) if n == 1 else next(kept) for n in arg.shape)
        else:
            at, guard = node.op.native.where(at, arg.shape, **node.params)
            if guard is not None:
                guards.append(guard)
        node = arg
    return node, at, tuple(guards)


def kind(node: Node) -> str:
    """leaf, elementwise, moves, view, reduces, pieces, scatters, repeats or outside."""
    if node.op is INPUT or node.op is LITERAL:
        return "leaf"
    if moves(node):
        return "moves"
    native = node.op.native
    if native is None or not node.size or not (isinstance(native, Pieces) or all(arg.size for arg in node.args)):
        return "outside"
    if node.op.kind == "elementwise":
        return "elementwise" if compiled(native, node.params) else "outside"
    names = {View: "view", Reduces: "reduces", Pieces: "pieces", Scatters: "scatters", Repeats: "repeats"}
    return names.get(type(native), "outside")


def seen_through(node: Node) -> Node:
    """The node of whose memory NumPy sees `node` as a view."""
    while (isinstance(node.op.native, Moves) and node.op.native.view) or isinstance(node.op.native, View):
        node = node.args[0]
    return node


@cache
def _weight(op: Op, params: tuple[Any, ...], arity: int) -> tuple[int, int]:
    code = Code(_Counter())
    lanes = Lanes(code, "double", 4, inline=False)
    code.module.calls = 0
    args = [lanes.code.emit(f"x{k}", "double", 4) for k in range(arity)]
    op.native(lanes, *args, **dict(params))
    return len(code.lines) - arity + CALL * code.module.calls, code.module.calls


class _Counter:
    """Stands for a module where only the calls of library functions are counted."""

    calls = 0

    def function_call(self, lanes: Lanes, name: str, values: Sequence[Any]) -> Any:
        self.calls += 1
        return values[0]


def weight(node: Node) -> int:
    """About how many instructions an elementwise node takes."""
    return _weight(node.op, tuple(node.params.items()), len(node.args))[0]


def calls(node: Node) -> int:
    """How many functions of the vector library an elementwise node takes."""
    return _weight(node.op, tuple(node.params.items()), len(node.args))[1]


def cheap(node: Node) -> bool:
    """Whether an elementwise expression, down to what is stored, is worth computing again."""
    seen: set[int] = set()
    stack, cost = [node], 0
    while stack:
        found = stack.pop()
        while moves(found):
            found = found.args[0]
        if found.index in seen or kind(found) != "elementwise":
            continue
        seen.add(found.index)
        cost += weight(found)
        if cost > CHEAP:
            return False
        stack.extend(found.args)
    return True


__all__ = [
    "broadcast_from",
    "cheap",
    "domain_points",
    "effective",
    "kind",
    "moves",
    "source",
    "weight",
    "written_out",
]
