"""A function run once on graph nodes and simplified: what the compiled engines begin with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tapecli.engines import Argument, Function
from tapecli.engines.numpy import Program
from tapecli.graph import Graph, Node, needed
from tapecli.recur import Body
from tapecli.rewrite import simplify

#: What NumPy takes for a call, and for an entry of a result, in seconds: a rough guess, of the right order.
CALL, ENTRY = 1.0e-6, 1.5e-9


class Traced:
    """The results of a function as nodes; `inputs` are the leaves of its open arguments (None for those not used)."""

    def __init__(self, outputs: Sequence[Node], inputs: Sequence[Node | None], dtype: Any) -> None:
        self.outputs = tuple(outputs)
        self.inputs = tuple(inputs)
        self.dtype = dtype

    @cached_property
    def program(self) -> Program:
        """The NumPy program."""
        return Program(self.outputs, self.inputs, self.dtype)

    @cached_property
    def seconds(self) -> float:
        """About how long NumPy takes for one run."""
        return _seconds(self.outputs)


def _seconds(outputs: Sequence[Node]) -> float:
    total = 0.0
    for node in needed(outputs):
        total += CALL + ENTRY * node.size
    return total + recurring(outputs)


def recurring(outputs: Sequence[Node]) -> float:
    """About how long NumPy takes for the recurrences of a graph."""
    loops = [node for node in needed(outputs) if isinstance(node.params.get("body"), Body)]
    return sum(node.args[1].shape[0] * _seconds(node.params["body"].outputs) for node in loops)


def nodes(f: Function, arguments: Sequence[Argument]) -> tuple[list[Node], list[Node]]:
    """The results of `f` on graph nodes, and the input node of each argument."""
    graph = Graph()
    inputs = [graph.input(a.name, a.shape) for a in arguments]
    outputs = [out if isinstance(out, Node) else graph.literal(out) for out in f(*inputs)]
    return outputs, inputs


def trace(f: Function, arguments: Sequence[Argument], dtype: Any) -> Traced:
    """`f` traced once and simplified, with its fixed arguments as constants."""
    outputs, inputs = nodes(f, arguments)
    known = {node: a.value for node, a in zip(inputs, arguments, strict=True) if a.value is not None}
    simple, left = simplify(outputs, known, dtype)
    return Traced(simple, [left.get(n) for n, a in zip(inputs, arguments, strict=True) if a.value is None], dtype)
