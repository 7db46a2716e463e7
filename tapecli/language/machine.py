"""The stack machine: runs postfix code on graph nodes and so builds the graph of a formula.

What lies on its stack is a node, or one of the things that only the language knows: a tuple, a range, a text. Calls of
user functions are frames of one explicit stack, so no nesting of a formula nests Python. What each opcode does stands
in `instructions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tapecli import ops  # noqa: F401  (fills the op table)
from tapecli.core import TABLE, Array, Shape
from tapecli.errors import Place, Source, TapeError
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed, replay, shape_text
from tapecli.language.recovery import recover, skipped
from tapecli.language.sweeps import align, shifted
from tapecli.language.values import (
    Axis,
    Broken,
    Everything,
    FollowUp,
    Frame,
    Function,
    Range,
    Scope,
    Swept,
    SweptRange,
    Tuple,
)
from tapecli.rewrite import build
from tapecli.syntax.code import Code

#: How deep calls of user functions may go: each is a frame, so this guards memory, not Python's stack.
MAX_CALLS = 100_000

#: How many instructions one call may run, those of the functions that it calls among them.
MAX_COST = 10_000_000

#: what to do where something has to be known before anything runs
MAKE = "make it of numbers, constants and data, not of variables"
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "matmul": "@", "pow": "^"}
#: `handler(machine, frame, operand)` does what one opcode means.
Handler: TypeAlias = Callable[["Machine", Frame, Any], None]


class Machine:
    """Runs code. `known` holds the numbers of constants and data, which shapes and ranges may be computed from;
    `used` collects the inputs whose numbers were used so."""

    def __init__(self, graph: Graph, source: Source, handlers: Mapping[str, Handler]) -> None:
        self.graph = graph
        self.handlers = handlers
        self.source = source
        self.stack: list[Any] = []
        self.frames: list[Frame] = []
        #: the axes of the loops that are being built, and what the `if`s around hold of the indices (None: not known)
        self.open: list[Axis] = []
        self.masks: list[Any] = []
        #: the recurrences whose bodies are being built
        self.recurrences: list[Any] = []
        self.known: dict[Node, Array] = {}
        self.used: set[str] = set()
        #: functions whose definition was wrong
        self.broken: set[str] = set()
        #: what was wrong so far, keys of what was told, and whether something broken may lie on the stack
        self.errors: list[TapeError] = []
        self.told: set[Any] = set()
        #: words in statements that could not be read, which may have bound them
        self.lost: frozenset[str] = frozenset()
        self.wounded = False
        #: how many instructions the text has, and how many operations derivatives have added
        self.length = 0
        self.derived = 0
        self._serial = 0
        self.options: dict[str, Any] = {"tie": 0.5, "draw": None, "schedule": None}
        self._numbers: dict[int, Array | None] = {}
        self._constant = bytearray()
        self._values: dict[int, Array] = {}

    # ---- running ----

    def run(self, code: Code, scope: Scope, source: Source | None = None) -> Any:
        """The value that `code` leaves.

        What is wrong is noted in `errors`, and the rest of the code is run all the same; raises FollowUp where no value
        is left then.
        """
        base, depth = len(self.stack), len(self.frames)
        masks, opened = len(self.masks), len(self.open)
        self.frames.append(Frame(code, scope, source or self.source))
        self.length += len(code)
        try:
            while len(self.frames) > depth:
                frame = self.frames[-1]
                if frame.at == len(frame.code):
                    self.frames.pop()
                    continue
                opcode, operand, start, end = instruction = frame.code[frame.at]
                frame.at += 1
                if frame.source is self.source:
                    self.graph.here = Place(frame.source, start, end)
                if self.wounded and skipped(self, frame, instruction):
                    continue
                height = len(self.stack)
                try:
                    self.handlers[opcode](self, frame, operand)
                except (TapeError, FollowUp) as fault:
                    recover(self, fault, frame, instruction, height)
            value = self.stack.pop()
            if isinstance(value, Broken):
                raise FollowUp
            return value
        except BaseException:
            del self.stack[base:], self.frames[depth:]
            raise
        finally:
            del self.masks[masks:], self.open[opened:]

    def error(self, code: str, message: str, **more: Any) -> TapeError:
        """An error at the instruction that is being run."""
        return TapeError(code, message, place=self.graph.here, **more)

    def take(self, count: int) -> list[Any]:
        """The topmost `count` values, taken off the stack in the order they were pushed."""
        if count == 0:
            return []
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def enter(self, function: Function, args: list[Any]) -> None:
        """Begins a call of a user's function: what it leaves on the stack is the call's value."""
        count = len(function.params)
        if len(args) != count:
            raise self.error(
                "type",
                f"`{function.name}` takes {count} argument{'s' * (count != 1)}, and has {len(args)}",
                hint=f"it is defined as {function.name}({', '.join(function.params)})",
            )
        if function.cost > MAX_COST:
            raise self.error(
                "limit",
                f"a call of `{function.name}` runs {function.cost:,} operations, as each call is written out",
                hint="bind what is used twice to a name, and call once; fold and scan repeat",
            )
        if len(self.frames) > MAX_CALLS:
            raise self.error("limit", f"calls are nested more than {MAX_CALLS} deep")
        if function.differentiates:  # a parameter may then be a number, and still be something to derive to
            args = [self._parameter(arg) for arg in args]
        scope = Scope(function.scope)
        scope.values.update(zip(function.params, args, strict=True))
        self.frames.append(Frame(function.code, scope, function.source))

    def distinct(self, value: Any) -> Any:
        """`value` as a node that no other expression shares."""
        self._serial += 1
        return self.apply("distinct", value, tag=self._serial)

    def _parameter(self, value: Any) -> Any:
        node = value.node if isinstance(value, Swept) else value
        return self.distinct(value) if isinstance(node, Node) and node.op is LITERAL else value

    # ---- nodes ----

    def node(self, value: Any, what: str = "this") -> Any:
        """`value` where it is a node, or one for every point of a loop; else the error that tells what it is."""
        if isinstance(value, (Node, Swept)):
            return value
        kinds = {Tuple: "a tuple", Range: "a range", SweptRange: "a range", Everything: "`:`", str: "a text"}
        raise self.error(
            "type", f"{what} needs a number or an array, and has {kinds.get(type(value), 'something else')}"
        )

    def placeholder(self, shape: Shape) -> Node:
        """A leaf that stands for a value of one step of a recurrence."""
        self._serial += 1
        return self.graph.input(f"placeholder {self._serial}", shape)

    def axis(self, count: int, parents: dict[Axis, Array] | None = None) -> Axis:
        """A new axis of a loop."""
        self._serial += 1
        return Axis(self._serial, count, parents)

    def apply(self, name: str, *args: Any, **params: Any) -> Any:
        """One op, in canonical form; of values in a loop, at all its points together."""
        if not any(isinstance(arg, Swept) for arg in args):
            return build(self.graph, TABLE[name], args, params)
        op = TABLE[name]
        nodes, axes = align(self.graph, args)
        if op.kind != "elementwise":
            params = shifted(params, axes)
        return Swept(build(self.graph, op, nodes, params), axes)

    def over(self, function: Callable[..., Any], x: Any, axes: tuple[int, ...]) -> Any:
        """`function(x, axes=…)` for a function written in ops, the axes being those of a value at one point."""
        if not isinstance(x, Swept):
            return function(x, axes=axes)
        return Swept(function(x.node, axes=tuple(a + len(x.axes) for a in axes)), x.axes)

    def together(self, name: str, nodes: list[Any], **params: Any) -> Any:
        """An op entry by entry; sizes that do not fit are told with the function's name."""
        try:
            return self.apply(name, *nodes, **params)
        except TapeError as error:
            if error.code != "shape":
                raise
            shapes = " and ".join(shape_text(node.shape) for node in nodes)
            raise self.error("shape", f"`{name}` needs sizes that match, and has {shapes}", label=shapes) from None

    def binary(self, name: str, x: Any, y: Any) -> Any:
        """An operator between two values; sizes that do not fit are told with the operands' names."""
        symbol = SYMBOLS[name]
        left, right = self.node(x, f"`{symbol}`"), self.node(y, f"`{symbol}`")
        if name == "pow":
            exponent = self.literal(right)
            if exponent is not None:
                return self.apply("power", left, exponent=exponent)
        try:
            return self.apply(name, left, right)
        except TapeError as error:
            if error.code != "shape":
                raise
            first, second = self._operands()
            raise self.error(
                "shape",
                f"`{symbol}` needs sizes that match: {first} is {_size(left)}, {second} is {_size(right)}",
                label=f"{shape_text(left.shape)} and {shape_text(right.shape)}",
                hint="arrays are combined entry by entry; a number goes with any array",
            ) from None

    def _operands(self) -> tuple[str, str]:
        """What the operands of the running binary instruction are called, where they are plain names."""
        frame = self.frames[-1]
        code, at = frame.code, frame.at - 1
        names = ["the left side", "the right side"]
        if code[at - 1][0] == "name":
            names[1] = f"`{code[at - 1][1]}`"
            if at >= 2 and code[at - 2][0] == "name":
                names[0] = f"`{code[at - 2][1]}`"
        return names[0], names[1]

    # ---- numbers known before anything runs ----

    def literal(self, node: Any) -> float | None:
        """The number of a scalar that is made of literals alone, else None."""
        if isinstance(node, Swept) or node.shape:
            return None
        found = self.constant(node)
        return None if found is None else float(found)

    def is_constant(self, node: Node) -> bool:
        """Whether a node rests on literals alone. Asked of every node once, so that no chain is gone down twice."""
        if node.graph is not self.graph:
            return not any(leaf.op is INPUT for leaf in needed([node]))
        constant, nodes = self._constant, self.graph.nodes
        for one in nodes[len(constant) :]:
            constant.append(one.op is not INPUT and all(constant[arg.index] for arg in one.args))
        return bool(constant[node.index])

    def constant(self, node: Node) -> Array | None:
        """The numbers of a node that rests on literals alone, else None; those on the way to it are kept."""
        if not self.is_constant(node):
            return None
        values = self._values
        stack = [node]
        with np.errstate(all="ignore"):
            while stack:
                top = stack[-1]
                if top.index in values:
                    stack.pop()
                    continue
                if top.op is LITERAL:
                    values[top.index] = top.params["value"]
                    continue
                missing = [arg for arg in top.args if arg.index not in values]
                if missing:
                    stack.extend(missing)
                    continue
                self.room(top.shape, "this")
                values[top.index] = np.asarray(top.op(*[values[arg.index] for arg in top.args], **top.params))
        return values[node.index]

    def room(self, shape: Iterable[int], what: str, copies: int = 2) -> None:
        """Raises TapeError("limit") where an array that is made now does not fit into memory."""
        if self.graph.budget is not None:
            self.graph.budget.entries(shape, what, self.graph.here, copies)

    def afford(self, node: Node) -> None:
        """The same for all values on the way to a node."""
        if self.graph.budget is not None:
            self.room((sum(one.size for one in needed([node])),), "what has to be known before anything runs", 1)

    def number(self, value: Any) -> Array | None:
        """The numbers of a node, or of a value at all points of a loop, that rests on constants, data and literals
        alone, else None."""
        node: Node = value.node if isinstance(value, Swept) else value
        if node.op is LITERAL:
            return node.params["value"]  # type: ignore[no-any-return]
        if node.index not in self._numbers:
            leaves = [leaf for leaf in needed([node]) if leaf.op is INPUT]
            if any(leaf not in self.known for leaf in leaves):
                self._numbers[node.index] = None
            else:
                self.used.update(leaf.params["name"] for leaf in leaves)
                self._numbers[node.index] = self._compute(node)
        return self._numbers[node.index]

    def _compute(self, node: Node) -> Array:
        self.afford(node)
        with np.errstate(all="ignore"):
            return np.asarray(replay([node], self.known, lambda value: value)[0])

    def known_numbers(self, value: Any, what: str, hint: str = MAKE) -> Array:
        """The numbers of what has to be known before anything runs."""
        numbers = self.number(self.node(value, what))
        if numbers is None:
            raise self.error("value", f"{what} has to be known before anything runs", hint=hint)
        return numbers

    def whole(self, value: Any, what: str) -> int:
        """A whole number known before anything runs: a size, an index, the end of a range."""
        if isinstance(value, Swept):
            raise self.error("value", f"{what} may not depend on the index of a loop here")
        number = self.known_numbers(value, what)
        if number.ndim or not np.isfinite(number) or float(number) != int(number):
            raise self.error("value", f"{what} has to be a whole number, and is {number}")
        return int(number)


def _size(node: Any) -> str:
    return (
        "a number"
        if not node.shape
        else "×".join(map(str, node.shape))
        if len(node.shape) > 1
        else f"{node.shape[0]} long"
    )
