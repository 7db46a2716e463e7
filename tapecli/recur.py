"""Recurrences as one op: `loop(carry, rows, *constants)` runs a body of its own graph once for each row.

The body maps a carry and a row to the next carry and an output row. The op's result is the last carry and all output
rows, one after the other in a flat array, so that it is a value like any other. Its derivative is a loop over the rows
backwards, made by the one tape there is from the body's own graph, and so is itself differentiable, to any order.

Reverse mode needs the carries of all steps. A loop of n steps is therefore built as about sqrt(n) loops of sqrt(n)
steps (Griewank, Optimization Methods and Software 1, 1992): the sweep keeps the carries between the inner loops and
runs each inner loop again when it comes to it, so memory grows as the square root of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, shape_of
from tapecli.derive import pullback, record
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed, replay
from tapecli.ops.linear import concat, reshape, slice_
from tapecli.rewrite import simplify
from tapecli.tape import number_of

#: Loops of more steps than this are built of shorter ones.
SEGMENT = 32


class Body:
    """What a loop does in one step: a graph from `(carry, row, *constants)` to `(next carry, output row)`.

    `carry`, `row` and `out` are the lengths of these flat arrays, `constants` the shapes of what stays the same.
    """

    __slots__ = (
        "_adjoint",
        "_code",
        "_tracked",
        "carry",
        "constants",
        "graph",
        "inputs",
        "memo",
        "out",
        "outputs",
        "row",
    )

    def __init__(self, f: Callable[..., tuple[Any, Any]], carry: int, row: int, constants: Sequence[Shape]) -> None:
        self.carry = carry
        self.row = row
        self.constants = tuple(constants)
        graph = Graph()
        shapes = [(carry,), (row,), *self.constants]
        inputs = [graph.input(f"loop {i}", shape) for i, shape in enumerate(shapes)]
        outputs = [out if isinstance(out, Node) else graph.literal(out) for out in f(*inputs)]
        self.outputs, left = simplify(outputs, {}, np.float64)
        self.inputs = [left.get(node) for node in inputs]
        self.graph = self.outputs[0].graph
        self.out = self.outputs[1].size
        self._code: dict[Any, Any] = {}
        self._tracked: Body | None = None
        self._adjoint: Body | None = None
        self.memo: tuple[Any, tuple[Any, ...], Any] | None = None

    def function(self, *values: Any) -> list[Any]:
        """One step on values of any kind."""
        base = next(number_of(value) for value in values)
        onto = base.graph if isinstance(base, Node) else None
        literal = base.dtype.type if onto is None else onto.literal
        given = {node: value for node, value in zip(self.inputs, values, strict=True) if node is not None}
        return replay(self.outputs, given, literal, onto)

    @property
    def tracked(self) -> Body:
        """The body that also puts out the carry it began with."""
        if self._tracked is None:

            def f(carry: Any, row: Any, *constants: Any) -> tuple[Any, Any]:
                return self.function(carry, row, *constants)[0], carry

            self._tracked = Body(f, self.carry, self.row, self.constants)
        return self._tracked

    @property
    def adjoint(self) -> Body:
        """The body of the loop backwards: the carry is the cotangent of the carry and, added up, those of the
        constants; a row is a step's first carry, its row, and the cotangent of its output; the output is the
        cotangent of the row."""
        if self._adjoint is None:
            m, p, q = self.carry, self.row, self.out
            sizes = [math.prod(shape) for shape in self.constants]

            def f(carry: Any, row: Any, *constants: Any) -> tuple[Any, Any]:
                g, sums = piece(carry, 0, m), piece(carry, m, m + sum(sizes))
                begin, given, g_out = piece(row, 0, m), piece(row, m, m + p), piece(row, m + p, m + p + q)
                result, recording, sources = record(
                    lambda *xs: concat(*self.function(*xs), axis=0), [begin, given, *constants], range(2 + len(sizes))
                )
                found = pullback(result, recording, sources, concat(g, g_out, axis=0))
                flat = [reshape(c, shape=(n,)) for c, n in zip(found[2:], sizes, strict=True)]
                total = sums + (concat(*flat, axis=0) if flat else sums)
                return concat(found[0], total, axis=0), found[1]

            self._adjoint = Body(f, m + sum(sizes), m + p + q, self.constants)
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
                    calls.append((node.op.kernel, node.params, slot[node.index], [slot[a.index] for a in node.args]))
            entries = [None if node is None else slot.get(node.index) for node in self.inputs]
            self._code[dtype] = (values, calls, [slot[node.index] for node in self.outputs], entries)
        return self._code[dtype]  # type: ignore[no-any-return]


def piece(x: Any, start: int, stop: int) -> Any:
    """The entries `start..stop` of a flat value."""
    return slice_(x, axis=0, start=start, stop=stop, step=1)


def _kernel(carry: Array, rows: Array, *constants: Array, body: Body) -> Array:
    dtype = np.result_type(carry)
    template, calls, (next_carry, out_row), entries = body.code(dtype)
    slots = list(template)
    for entry, value in zip(entries[2:], constants, strict=True):
        if entry is not None:
            slots[entry] = value
    m, n, q = body.carry, rows.shape[0], body.out
    result = np.empty(m + n * q, dtype=dtype)
    with np.errstate(all="ignore"):
        for k in range(n):
            if entries[0] is not None:
                slots[entries[0]] = carry
            if entries[1] is not None:
                slots[entries[1]] = rows[k]
            for kernel, params, out, args in calls:
                slots[out] = kernel(*[slots[i] for i in args], **params)
            carry = slots[next_carry]
            if q:
                result[m + k * q : m + (k + 1) * q] = slots[out_row]
    result[:m] = carry
    return result


def _backwards(g: Any, args: tuple[Any, ...], body: Body) -> Any:
    """The loop over the rows backwards: its flat result holds the cotangents of everything."""
    if body.memo is not None and body.memo[0] is g and all(x is y for x, y in zip(body.memo[1], args, strict=True)):
        return body.memo[2]
    carry, rows, *constants = args
    n, m, q = shape_of(rows)[0], body.carry, body.out
    kept = loop(carry, rows, *constants, body=body.tracked)
    begins = reshape(piece(kept, m, m + n * m), shape=(n, m))
    g_out = reshape(piece(g, m, m + n * q), shape=(n, q))
    every = concat(begins, rows, g_out, axis=1)
    back = slice_(every, axis=0, start=n - 1, stop=-1, step=-1)
    sums = [reshape(c, shape=(math.prod(shape_of(c)),)) for c in constants]
    start = concat(piece(g, 0, m), *[s - s for s in sums], axis=0)
    result = loop(start, back, *constants, body=body.adjoint)
    body.memo = (g, args, result)  # the rules of all arguments ask for it, one after the other
    return result


def _rule(i: int) -> Callable[..., Any]:
    def rule(g: Any, out: Any, *args: Any, body: Body) -> Any:
        result = _backwards(g, args, body)
        sizes = [math.prod(shape_of(c)) for c in args[2:]]
        m, n, p = body.carry, shape_of(args[1])[0], body.row
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
    shape=lambda carry, rows, *constants, body: (body.carry + rows[0] * body.out,),
    vjps=_rule,
    domain="real",
    points=(),
    doc="a recurrence: the last carry, and what each step puts out",
)


def steps(carry: Any, rows: Any, constants: Sequence[Any], body: Body) -> tuple[Any, Any]:
    """The last carry and the output rows of a loop, built of loops of about sqrt(n) steps where n is large."""
    n, m, q = shape_of(rows)[0], body.carry, body.out
    if n <= SEGMENT:
        result = loop(carry, rows, *constants, body=body)
        return piece(result, 0, m), reshape(piece(result, m, m + n * q), shape=(n, q))
    length = math.isqrt(n)
    count = n // length
    whole = reshape(slice_(rows, axis=0, start=0, stop=count * length, step=1), shape=(count, length * body.row))

    def segment(inner: Any, row: Any, *given: Any) -> tuple[Any, Any]:
        result = loop(inner, reshape(row, shape=(length, body.row)), *given, body=body)
        return piece(result, 0, m), piece(result, m, m + length * q)

    outer = Body(segment, m, length * body.row, body.constants)
    result = loop(carry, whole, *constants, body=outer)
    last, first = piece(result, 0, m), reshape(piece(result, m, m + count * length * q), shape=(count * length, q))
    if count * length == n:
        return last, first
    rest = slice_(rows, axis=0, start=count * length, stop=n, step=1)
    last, second = steps(last, rest, constants, body)
    return last, concat(first, second, axis=0)
