"""`Node`, `Graph` and `replay`: a formula as data, to be run again on any values.

A graph is an append-only list of nodes, so its order is an order of evaluation and nothing recurses over its depth.
Equal nodes are built once. Numbers are kept as written (in double precision) and rounded to the run's precision where
a graph is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, Value
from tapecli.errors import Place, TapeError
from tapecli.limits import DIMENSIONS, NODE, Budget

#: A graph of so many nodes is no matter of memory.
CALM = 20_000
#: Literals of more entries are told apart by a digest.
FEW = 512


def _digest(array: Array) -> bytes:
    from hashlib import blake2b

    return blake2b(np.ascontiguousarray(array).data if array.size else b"", digest_size=32).digest()


def _no_kernel(*_: Any, **__: Any) -> Any:
    raise AssertionError("a leaf is not computed")


#: The leaves of a graph. They stand outside the op table's rules: nothing calls them.
LITERAL = Op(
    "literal",
    kind="leaf",
    kernel=_no_kernel,
    complex=None,
    shape=lambda value: value.shape,
    vjps=(),
    native=None,
    domain="real",
    points=(),
    doc="a number as written",
)
INPUT = Op(
    "input",
    kind="leaf",
    kernel=_no_kernel,
    complex=None,
    shape=lambda name, shape: shape,
    vjps=(),
    native=None,
    domain="real",
    points=(),
    doc="a value given at each run",
)


class Node(Value):
    """One operation of a graph: `op(*args, **params)`, its shape, and the place in the source it stands at."""

    __slots__ = ("__weakref__", "args", "graph", "index", "op", "params", "place", "shape")
    level = 0

    def __init__(
        self,
        graph: Graph,
        index: int,
        op: Op,
        args: tuple[Node, ...],
        params: dict[str, Any],
        shape: Shape,
        place: Place | None,
    ) -> None:
        self.graph = graph
        self.index = index
        self.op = op
        self.args = args
        self.params = params
        self.shape = shape
        self.place = place

    def interpret(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Node:
        return self.graph.add(op, args, params)

    def mark(self) -> None:
        self.graph.here = self.place

    @property
    def value(self) -> Array | None:
        """The number of a literal, else None."""
        return self.params["value"] if self.op is LITERAL else None

    def __repr__(self) -> str:
        return f"<node {self.index}: {self.op.name}{list(self.shape)}>"


class Graph:
    """Nodes in an order of evaluation. `here` is the place that the next new nodes are said to come from."""

    __slots__ = ("_known", "budget", "here", "most", "nodes", "streams", "sweeps")

    def __init__(self, budget: Budget | None = None) -> None:
        #: what the formula may take, and how many nodes that is (found when there are many)
        self.budget = budget
        self.most = CALM
        self.nodes: list[Node] = []
        #: the axes of loops that are the first dimensions of a node, by its index
        self.sweeps: dict[int, Any] = {}
        #: the array and the counter of a recurrence whose steps are handed its rows as a placeholder, by its index
        self.streams: dict[int, Any] = {}
        self.here: Place | None = None
        self._known: dict[Any, Node] = {}

    def input(self, name: str, shape: Shape) -> Node:
        """The leaf `name`, given at each run."""
        return self._node(INPUT, (), {"name": name, "shape": shape}, (INPUT, name), shape)

    def literal(self, value: Any) -> Node:
        """The leaf that holds a number or an array."""
        array = np.array(value, dtype=np.float64)
        key = (LITERAL, array.shape, array.tobytes() if array.size <= FEW else _digest(array))
        known = self._known.get(key)
        if known is not None:
            return known
        array.setflags(write=False)
        return self._node(LITERAL, (), {"value": array}, key, array.shape)

    def add(self, op: Op, args: Sequence[Any], params: dict[str, Any]) -> Node:
        """The node `op(*args, **params)`; numbers and arrays among the arguments become literals."""
        nodes = tuple([arg if isinstance(arg, Node) else self.literal(arg) for arg in args])
        key = (op, *[node.index for node in nodes], *params.items())
        known = self._known.get(key)
        if known is not None:
            return known
        try:
            shape = op.shape(*[node.shape for node in nodes], **params)
        except ValueError as problem:
            raise shape_error(op, nodes, problem, self.here) from None
        return self._node(op, nodes, params, key, shape)

    def copy(self, node: Node) -> Node:
        """The same operation once more, as a node that no other expression shares."""
        twin = Node(self, len(self.nodes), node.op, node.args, node.params, node.shape, self.here)
        self.nodes.append(twin)
        return twin

    def _node(self, op: Op, args: tuple[Node, ...], params: dict[str, Any], key: Any, shape: Shape) -> Node:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Node(self, len(self.nodes), op, args, params, shape, self.here)
            self.nodes.append(known)
            if len(self.nodes) > self.most or len(shape) > DIMENSIONS:
                self._too_much(shape)
        return known

    def _too_much(self, shape: Shape) -> None:
        """Refuses more dimensions than arrays can have, and more nodes than memory holds."""
        if len(shape) > DIMENSIONS:
            what = f"an array has at most {DIMENSIONS} dimensions, and this has {len(shape)}"
            raise TapeError("limit", what, place=self.here)
        if self.budget is not None:
            self.budget.ask(NODE * len(self.nodes), f"a graph of {len(self.nodes):,} operations", self.here)
        self.most = 2 * len(self.nodes)


def shape_text(shape: Shape) -> str:
    """A shape as people say it: `a number`, `5 entries`, `3×4`."""
    if not shape:
        return "a number"
    if len(shape) == 1:
        return f"{shape[0]} entr{'y' if shape[0] == 1 else 'ies'}"
    return "×".join(map(str, shape))


def shape_error(op: Op, args: Sequence[Any], problem: Exception, place: Place | None) -> TapeError:
    """What to say of arguments whose shapes `op` cannot take."""
    shapes = " and ".join(shape_text(arg.shape) for arg in args)
    reason = f": {problem}" if str(problem) and "fit" not in str(problem) else ""
    return TapeError("shape", f"`{op.name}` cannot take {shapes}{reason}", place=place, label=shapes)


def needed(outputs: Iterable[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """The nodes that `outputs` rest on, in an order of evaluation; the search does not go below `stop`."""
    closed = {node.index for node in stop}
    found: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.index not in found:
            found[node.index] = node
            if node.index not in closed:
                stack.extend(node.args)
    return [found[index] for index in sorted(found)]


def dependents(nodes: Sequence[Node], sources: Iterable[Node]) -> set[int]:
    """The indices of those of `nodes` (in order) that rest on a source, the sources among them."""
    reached = {node.index for node in sources}
    for node in nodes:
        if node.index not in reached and any(arg.index in reached for arg in node.args):
            reached.add(node.index)
    return reached


def replay(
    outputs: Sequence[Node],
    values: Mapping[Node, Any],
    literal: Callable[[Array], Any],
    onto: Graph | None = None,
    taps: Mapping[int, Any] = {},
) -> list[Any]:
    """`outputs` with the nodes of `values` replaced by other values, of any kind: the ops are called again on them.

    `literal` turns a literal's double precision array into a value of the run. Where the run builds another graph,
    `onto`, its nodes get the places of the nodes they come from. `taps` are added to the results of nodes, by index:
    the derivative to a tap of zero is that to the node.
    """
    env: dict[int, Any] = {node.index: value for node, value in values.items()}
    for node in needed(outputs, values):
        if node.index in env:
            continue
        if onto is not None:
            onto.here = node.place
        if node.op is LITERAL:
            env[node.index] = literal(node.params["value"])
        elif node.op is INPUT:
            raise TapeError("start", f"`{node.params['name']}` has no value", place=node.place)
        else:
            env[node.index] = node.op(*[env[arg.index] for arg in node.args], **node.params)
        if node.index in taps:
            env[node.index] = env[node.index] + taps[node.index]
    return [env[node.index] for node in outputs]


def rebuild(outputs: Sequence[Node], values: Mapping[Node, Any]) -> list[Any]:
    """`outputs` with some nodes replaced by other values; what does not rest on those stays the same nodes."""
    order = needed(outputs, values)
    reached = dependents(order, values)
    env: dict[int, Any] = {node.index: value for node, value in values.items()}
    for node in order:
        if node.index in env:
            continue
        if node.index not in reached:
            env[node.index] = node
            continue
        node.mark()
        env[node.index] = node.op(*[env[arg.index] for arg in node.args], **node.params)
    return [env[node.index] for node in outputs]


def is_literal(node: Node, value: float) -> bool:
    """Whether `node` is the scalar number `value` as written."""
    return node.op is LITERAL and node.shape == () and float(node.params["value"]) == value


__all__ = [
    "INPUT",
    "LITERAL",
    "Graph",
    "Node",
    "dependents",
    "is_literal",
    "needed",
    "rebuild",
    "replay",
    "shape_error",
    "shape_text",
]
