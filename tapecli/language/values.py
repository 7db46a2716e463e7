"""What the language knows besides nodes: tuples, ranges, functions, and the scopes that names stand in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tapecli.core import Array, Shape
from tapecli.errors import Place, Source
from tapecli.graph import Node
from tapecli.syntax.code import Code

#: The calls that take derivatives.
DERIVATIVES = frozenset(("grad", "hess", "jac", "jvp", "hvp"))


class Tuple:
    """Several values together: `(a, b)`."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items


class Range:
    """`first..last by step`: whole numbers, both ends included."""

    __slots__ = ("first", "last", "step")

    def __init__(self, first: int, last: int, step: int) -> None:
        self.first = first
        self.last = last
        self.step = step

    @property
    def values(self) -> range:
        return range(self.first, self.last + (1 if self.step > 0 else -1), self.step)


def length(values: range) -> int:
    """The length of a range that may be longer than Python's `len` can say."""
    return max(0, (values.stop - values.start + values.step - (1 if values.step > 0 else -1)) // values.step)


class Axis:
    """What the index of a loop runs over: `count` points. Where its points depend on those of outer axes, `parents` has
    for each of these the position on it of every point; an axis then stands in for its parents."""

    __slots__ = ("count", "name", "numbers", "parents", "serial")

    def __init__(self, serial: int, count: int, parents: dict[Axis, Array] | None = None) -> None:
        self.serial = serial
        #: what the index is called in the text, and its number at each point, once these are known
        self.name = ""
        self.numbers: Array | None = None
        self.count = count
        self.parents = parents or {}


def labels(axis: Axis, point: int) -> dict[str, float]:
    """What the indices are at a point of an axis: its own, and those of the axes that it stands in for."""
    found: dict[str, float] = {}
    for parent, where in axis.parents.items():
        found |= labels(parent, int(where[point]))
    if axis.name and axis.numbers is not None:
        found[axis.name] = float(axis.numbers[point])
    return found


class Swept:
    """A value inside a loop: one for every point of `axes`, all in one node, whose shape is that of the axes, in the
    order of their serial numbers, and then `shape`, that of the value at one point."""

    __slots__ = ("axes", "node")

    def __init__(self, node: Node, axes: tuple[Axis, ...]) -> None:
        self.node = node
        self.axes = axes
        if node.index not in node.graph.sweeps:
            node.graph.sweeps[node.index] = axes

    @property
    def shape(self) -> Shape:
        return self.node.shape[len(self.axes) :]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class SweptRange:
    """A range whose ends depend on the index of a loop; its step does not."""

    __slots__ = ("first", "last", "step")

    def __init__(self, first: Any, last: Any, step: int) -> None:
        self.first = first
        self.last = last
        self.step = step


class Everything:
    """The `:` of an index."""

    __slots__ = ()


class Broken:
    """What a name stands for whose statement was wrong: its uses are not reported again."""

    __slots__ = ()


class FollowUp(Exception):
    """A fault that follows from one already reported."""


class Function:
    """A user's function: its code, and the names it may use."""

    __slots__ = ("code", "cost", "name", "params", "place", "scope", "source")

    def __init__(
        self,
        name: str,
        params: tuple[str, ...],
        code: Code,
        scope: Scope,
        source: Source,
        place: Place,
        cost: int | None = None,
    ) -> None:
        #: how many instructions a call runs, those of the functions that it calls among them
        self.cost = cost_of(code, scope) if cost is None else cost
        self.name = name
        self.params = params
        self.code = code
        self.scope = scope
        self.source = source
        self.place = place

    @property
    def differentiates(self) -> bool:
        """Whether its own code takes derivatives, perhaps to a parameter."""
        return any(opcode == "call" and operand[0] in DERIVATIVES for opcode, operand, _, _ in self.code)


def cost_of(code: Code, scope: Scope) -> int:
    """How many instructions code runs. Functions do not recurse, so this is known before anything runs."""
    total, waiting, local = 0, [code], dict[str, int]()
    while waiting:
        piece = waiting.pop()
        total += len(piece)
        for opcode, operand, _, _ in piece:
            if opcode == "call":
                function = scope.function(operand[0])
                total += local.get(operand[0], 0) if function is None else function.cost
            elif opcode == "define":
                local[operand[0]] = cost_of(operand[2], scope)
            elif opcode == "comprehension":
                _, body, clauses, conditions = operand
                waiting += [body, *conditions, *(clause.domain for clause in clauses)]
            elif opcode == "recur":
                waiting += [*operand[2], operand[4], operand[5]]
    return total


class Scope:
    """The values and the functions that names stand for; names not found are looked up in `parent`."""

    __slots__ = ("functions", "parent", "values")

    def __init__(self, parent: Scope | None = None) -> None:
        self.values: dict[str, Any] = {}
        self.functions: dict[str, Function] = {}
        self.parent = parent

    def value(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        return None

    def function(self, name: str) -> Function | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.functions:
                return scope.functions[name]
            scope = scope.parent
        return None

    def names(self) -> Iterable[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.values
            scope = scope.parent


class Frame:
    """Code that is being run: the next instruction, the names it sees and the source it stands in."""

    __slots__ = ("at", "code", "scope", "source")

    def __init__(self, code: Code, scope: Scope, source: Source) -> None:
        self.code = code
        self.at = 0
        self.scope = scope
        self.source = source
