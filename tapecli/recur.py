"""Recurrences as one op: `loop(carry, rows, *constants)` runs a body of its own graph once for each row.

The body maps carries and rows to the next carries and outputs. The op's result is the last carries and all outputs,
one after the other in a flat array, so that it is a value like any other. Its derivative is a loop over the rows
backwards, made by the one tape there is from the body's own graph, and so is itself differentiable, to any order.

Reverse mode needs the carries of all steps. A loop of n steps is therefore built as about sqrt(n) loops of sqrt(n)
steps (Griewank, Optimization Methods and Software 1, 1992): the sweep keeps the carries between the inner loops and
runs each inner loop again when it comes to it, so memory grows as the square root of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, shape_of
from tapecli.derive import ones_like, pullback, record, zeros_like
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed, replay
from tapecli.ops.linear import concat, reshape, slice_, sum_
from tapecli.ops.lowering import Repeats
from tapecli.rewrite import simplify
from tapecli.tape import number_of

#: Loops of more steps than this are built of shorter ones.
SEGMENT = 32


class Counter:
    """The index of a recurrence: what it is called in the text, and its number at each step, in the order of steps."""

    __slots__ = ("name", "numbers")

    def __init__(self, name: str, numbers: Array) -> None:
        self.name = name
        self.numbers = numbers


class Body:
    """What a loop does in one step: a graph from carries, rows and constants to the next carries and the outputs.

    `carry`, `row`, `out` and `constants` are lists of shapes. Between steps the carries are values of their own; only
    the op's arguments and result are flat: `m` entries of carries, `p` of a step's rows, `q` of its outputs.

    So that people can be told of a step: `counter` is the index that the row number `counted` holds, where one does,
    and `origin` the body that this one is the adjoint of.
    """

    __slots__ = (
        *("_adjoint", "_code", "_tracked", "memo"),
        *(
            "carry",
            "constants",
            "counted",
            "counter",
            "graph",
            "inputs",
            "m",
            "origin",
            "out",
            "outputs",
            "p",
            "q",
            "row",
        ),
    )

    def __init__(
        self,
        f: Callable[[list[Any], list[Any], list[Any]], tuple[list[Any], list[Any]]],
        carry: Sequence[Shape],
        row: Sequence[Shape],
        constants: Sequence[Shape],
        counter: Counter | None = None,
        counted: int = 0,
        origin: Body | None = None,
    ) -> None:
        self.counter = counter
        self.counted = counted
        self.origin = origin
        self.carry = tuple(carry)
        self.row = tuple(row)
        self.constants = tuple(constants)
        graph = Graph()
        inputs = [graph.input(f"loop {i}", s) for i, s in enumerate((*self.carry, *self.row, *self.constants))]
        after, outs = f(*self.grouped(inputs))
        found = [out if isinstance(out, Node) else graph.literal(out) for out in (*after, *outs)]
        self.outputs, left = simplify(found, {}, np.float64)
        self.inputs = [left.get(node) for node in inputs]
        self.out = tuple(node.shape for node in self.outputs[len(self.carry) :])
        self.m, self.p, self.q = total(self.carry), total(self.row), total(self.out)
        self._code: dict[Any, Any] = {}
        self._tracked: Body | None = None
        self._adjoint: Body | None = None
        self.memo: tuple[Any, tuple[Any, ...], Any] | None = None

    def grouped(self, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Values in order as carries, rows and constants."""
        a, b = len(self.carry), len(self.carry) + len(self.row)
        return list(values[:a]), list(values[a:b]), list(values[b:])

    def function(self, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """One step on values of any kind."""
        base = next(number_of(value) for value in values)
        onto = base.graph if isinstance(base, Node) else None
        literal = base.dtype.type if onto is None else onto.literal
        given = {node: value for node, value in zip(self.inputs, values, strict=True) if node is not None}
        found = replay(self.outputs, given, literal, onto)
        return found[: len(self.carry)], found[len(self.carry) :]

    @property
    def tracked(self) -> Body:
        """The body that puts out the carries it began with."""
        if self._tracked is None:

            def f(carry: list[Any], row: list[Any], constants: list[Any]) -> tuple[list[Any], list[Any]]:
                return self.function([*carry, *row, *constants])[0], carry

            self._tracked = Body(f, self.carry, self.row, self.constants, self.counter, self.counted)
        return self._tracked

    @property
    def adjoint(self) -> Body:
        """The body of the loop backwards. Its carries are the cotangents of the carries and, added up, those of the
        constants; its rows are a step's first carries, its rows, and the cotangents of its outputs; its outputs are
        the cotangents of the rows."""
        if self._adjoint is None:
            n, k = len(self.carry), len(self.row)

            def f(carry: list[Any], row: list[Any], constants: list[Any]) -> tuple[list[Any], list[Any]]:
                values = [*row[: n + k], *constants]

                def dotted(*xs: Any) -> Any:
                    """The step's results times their cotangents: its gradient is what is wanted."""
                    after, outs = self.function(xs)
                    terms = zip((*after, *outs), (*carry[:n], *row[n + k :]), strict=True)
                    whole: Any = 0.0
                    for result, g in terms:
                        whole = whole + sum_(result * g, axes=tuple(range(len(shape_of(g)))))
                    return whole

                result, recording, sources = record(dotted, values, range(len(values)))
                found = pullback(result, recording, sources, ones_like(result))
                sums = [known + more for known, more in zip(carry[n:], found[n + k :], strict=True)]
                return [*found[:n], *sums], found[n : n + k]

            rows = (*self.carry, *self.row, *self.out)
            told = (self.counter, n + self.counted, self)
            self._adjoint = Body(f, (*self.carry, *self.constants), rows, self.constants, *told)
        return self._adjoint

    def code(self, dtype: Any) -> tuple[list[Any], list[Any], list[int], list[int | None]]:
        """The step as calls on numbered slots, for arrays of one precision."""
        dtype = np.dtype(dtype)
        if dtype not in self._code:
            order = needed(self.outputs)
            slot = {node.index: i for i, node in enumerate(order)}
            values: list[Any] = [None] * len(order)
            calls = []
            for node in order:
                if node.op is LITERAL:
                    values[slot[node.index]] = node.params["value"].astype(dtype)
                elif node.op is not INPUT:
                    kernel = partial(node.op.kernel, **node.params) if node.params else node.op.kernel
                    calls.append((kernel, slot[node.index], [slot[a.index] for a in node.args]))
            entries = [None if node is None else slot.get(node.index) for node in self.inputs]
            self._code[dtype] = (values, calls, [slot[node.index] for node in self.outputs], entries)
        return self._code[dtype]  # type: ignore[no-any-return]


def total(shapes: Sequence[Shape]) -> int:
    """The number of entries of arrays of these shapes together."""
    return sum(math.prod(shape) for shape in shapes)


def piece(x: Any, start: int, stop: int) -> Any:
    """The entries `start..stop` of a flat value."""
    return slice_(x, axis=0, start=start, stop=stop, step=1)


def parts(flat: Array, shapes: Sequence[Shape]) -> list[Array]:
    """Views of the last dimension of `flat`, one for each shape."""
    views, at = [], 0
    for shape in shapes:
        size = math.prod(shape)
        views.append(flat[..., at : at + size].reshape(flat.shape[:-1] + shape))
        at += size
    return views


def _kernel(carry: Array, rows: Array, *constants: Array, body: Body) -> Array:
    dtype = np.result_type(carry)
    template, calls, results, entries = body.code(dtype)
    slots = list(template)
    into, given, fixed = body.grouped(entries)
    for entry, value in zip(fixed, constants, strict=True):
        if entry is not None:
            slots[entry] = value
    m, n, c = body.m, rows.shape[0], len(body.carry)
    result = np.empty(m + n * body.q, dtype=dtype)
    outs = list(zip(results[c:], parts(result[m:].reshape(n, body.q), body.out), strict=True))
    streams = [(entry, part) for entry, part in zip(given, parts(rows, body.row), strict=True) if entry is not None]
    state: list[Any] = [part[()] for part in parts(carry, body.carry)]
    with np.errstate(all="ignore"):
        for k in range(n):
            for entry, value in zip(into, state, strict=True):
                if entry is not None:
                    slots[entry] = value
            for entry, part in streams:
                slots[entry] = part[k]
            for kernel, out, args in calls:
                slots[out] = kernel(*[slots[i] for i in args])
            for slot, part in outs:
                part[k] = slots[slot]
            state = [slots[slot] for slot in results[:c]]
    for part, value in zip(parts(result[:m], body.carry), state, strict=True):
        part[...] = value
    return result


def _backwards(g: Any, args: tuple[Any, ...], body: Body) -> Any:
    """The loop over the rows backwards: its flat result holds the cotangents of everything."""
    if body.memo is not None and body.memo[0] is g and all(x is y for x, y in zip(body.memo[1], args, strict=True)):
        return body.memo[2]
    carry, rows, *constants = args
    n, m, q = shape_of(rows)[0], body.m, body.q
    kept = loop(carry, rows, *constants, body=body.tracked)
    begins = reshape(piece(kept, m, m + n * m), shape=(n, m))
    g_out = reshape(piece(g, m, m + n * q), shape=(n, q))
    every = concat(begins, rows, g_out, axis=1)
    back = slice_(every, axis=0, start=n - 1, stop=-1, step=-1)
    sums = [zeros_like(reshape(c, shape=(math.prod(shape_of(c)),))) for c in constants]
    start = concat(piece(g, 0, m), *sums, axis=0)
    result = loop(start, back, *constants, body=body.adjoint)
    body.memo = (g, args, result)  # the rules of all arguments ask for it, one after the other
    return result


def _rule(i: int) -> Callable[..., Any]:
    def rule(g: Any, out: Any, *args: Any, body: Body) -> Any:
        result = _backwards(g, args, body)
        sizes = [math.prod(shape_of(c)) for c in args[2:]]
        m, n, p = body.m, shape_of(args[1])[0], body.p
        if i == 0:
            return piece(result, 0, m)
        if i == 1:
            first = m + sum(sizes)
            back = reshape(piece(result, first, first + n * p), shape=(n, p))
            return slice_(back, axis=0, start=n - 1, stop=-1, step=-1)
        before = m + sum(sizes[: i - 2])
        return reshape(piece(result, before, before + sizes[i - 2]), shape=shape_of(args[i]))

    return rule


loop: Op = Op(
    "loop",
    kind="dense",
    kernel=_kernel,
    complex=None,
    shape=lambda carry, rows, *constants, body: (body.m + rows[0] * body.q,),
    vjps=_rule,
    native=Repeats(),
    domain="real",
    points=(),
    doc="a recurrence: the last carry, and what each step puts out",
)


def steps(carry: Any, rows: Any, constants: Sequence[Any], body: Body) -> tuple[Any, Any]:
    """The last carry and the output rows of a loop, built of loops of about sqrt(n) steps where n is large."""
    n, m, q = shape_of(rows)[0], body.m, body.q
    if n <= SEGMENT:
        result = loop(carry, rows, *constants, body=body)
        return piece(result, 0, m), reshape(piece(result, m, m + n * q), shape=(n, q))
    length = math.isqrt(n)
    count = n // length
    whole = reshape(slice_(rows, axis=0, start=0, stop=count * length, step=1), shape=(count, length * body.p))

    def segment(inner: list[Any], row: list[Any], given: list[Any]) -> tuple[list[Any], list[Any]]:
        result = loop(inner[0], row[0], *given, body=body)
        return [piece(result, 0, m)], [piece(result, m, m + length * q)]

    outer = Body(segment, [(m,)], [(length, body.p)], body.constants)
    result = loop(carry, whole, *constants, body=outer)
    last, first = piece(result, 0, m), reshape(piece(result, m, m + count * length * q), shape=(count * length, q))
    if count * length == n:
        return last, first
    rest = slice_(rows, axis=0, start=count * length, stop=n, step=1)
    last, second = steps(last, rest, constants, body)
    return last, concat(first, second, axis=0)
