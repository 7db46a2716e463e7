"""The operation that first made a number not finite: down a graph, and into the steps of the recurrences on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.graph import INPUT, LITERAL, Node, needed
from tapecli.ops.arithmetic import select
from tapecli.problem.provenance import before
from tapecli.records import NamedTuple
from tapecli.recur import Body, Counter, loop, parts, total


class Origin(NamedTuple):
    """Where a number comes from: the operation and the entry of its result, and the values around it.

    Where it stands in recurrences, `steps` has the numbers of their indices, from the outermost, `top` is the outermost
    one, and `order` that of the derivative which the step of the innermost one belongs to: 0 is the value.
    """

    node: Node
    entry: int
    env: Mapping[int, Array]
    top: Node
    steps: dict[Counter, float]
    order: int | None


def run(outputs: Sequence[Node], given: Mapping[Node, Array], dtype: Any) -> dict[int, Array]:
    """Every value on the way to `outputs`, by the index of its node."""
    env: dict[int, Any] = {node.index: value for node, value in given.items()}
    with np.errstate(all="ignore"):
        for node in needed(outputs):
            if node.op is LITERAL:
                env[node.index] = node.params["value"].astype(dtype)
            elif node.op is not INPUT:
                env[node.index] = np.asarray(node.op.kernel(*[env[arg.index] for arg in node.args], **node.params))
    return env


def origin(node: Node, env: Mapping[int, Array]) -> Origin:
    """Down from a node that is not finite to the first operation that made it so of finite arguments."""
    return _from(node, first_entry(env[node.index]), env)


def _from(node: Node, entry: int, env: Mapping[int, Array]) -> Origin:
    """The same for an entry. Recurrences nest no deeper than the text does."""
    while True:
        node, entry = _first(node, entry, env)
        if node.op is not loop:
            return Origin(node, entry, env, node, {}, None)
        steps = _Steps(node, env)
        found = steps.search(entry)
        if found is not None:
            return found
        number, inner = steps.argument
        if node.args[number].op is LITERAL:
            return Origin(node, entry, env, node, {}, None)
        node, entry = node.args[number], inner


def _first(node: Node, entry: int, env: Mapping[int, Array]) -> tuple[Node, int]:
    """Down within one graph, as far as the next recurrence, which can tell more itself."""
    while node.op is not loop:
        position = _position(node, entry)
        numbers = range(len(node.args))
        if node.op is select:
            place = before(node, 0, position)
            numbers = range(1, 2) if env[node.args[0].index][place] != 0 else range(2, 3)
        places = {k: before(node, k, position) for k in numbers}
        apart = any(place is not None for place in places.values())  # else all entries are put together
        worse = [
            k for k in numbers if node.args[k].op is not LITERAL and _worse(env[node.args[k].index], places[k], apart)
        ]
        if not worse:
            break
        node, at = node.args[worse[0]], places[worse[0]]
        value = env[node.index]
        entry = first_entry(value) if at is None else int(np.ravel_multi_index(at, value.shape)) if at else 0
    return node, entry


def _position(node: Node, entry: int) -> tuple[int, ...]:
    return tuple(int(p) for p in np.unravel_index(entry, node.shape)) if node.shape else ()


def _worse(value: Array, place: tuple[int, ...] | None, apart: bool) -> bool:
    """Whether an argument is not finite where it counts."""
    if place is None:
        return not apart and not finite(value)
    return not np.isfinite(value[place])


def finite(x: Array) -> bool:
    return bool(np.all(np.isfinite(x)))


def first_entry(value: Array) -> int:
    """The first entry that is not finite, counted through the whole array."""
    return int(np.flatnonzero(~np.isfinite(value.reshape(-1)))[0])


class _Steps:
    """One recurrence, its steps run one by one. After a search that led out of it, `argument` is the number of the
    argument and the entry that it led to."""

    def __init__(self, node: Node, env: Mapping[int, Array]) -> None:
        self.node = node
        self.carry, self.rows, *self.constants = [env[arg.index] for arg in node.args]
        self.body: Body = node.params["body"]
        self.argument = (0, 0)

    def search(self, entry: int) -> Origin | None:
        """The operation of a step that an entry of the result comes from, or None where that is an argument."""
        body, n = self.body, len(self.rows)
        begins = [self.carry]
        for k in range(n - 1):
            begins.append(loop.kernel(begins[-1], self.rows[k : k + 1], *self.constants, body=body)[: body.m])
        carries = len(body.carry)
        if entry < body.m:
            step = self._earlier(begins, n, entry)
            number, entry = _which(body.carry, entry)
        else:
            step, entry = divmod(entry - body.m, body.q)
            number, entry = _which(body.out, entry)
            number += carries
        while True:
            given = [*parts(begins[step], body.carry), *parts(self.rows[step], body.row), *self.constants]
            env = run(body.outputs, _known(body, given), self.carry.dtype)
            found = _from(body.outputs[number], entry, env)
            if found.node.op is not INPUT or found.steps:
                break
            number, entry = body.inputs.index(found.node), found.entry
            if number >= carries or step == 0:
                self.argument = self._argument(number, entry, step)
                return None
            step = self._earlier(begins, step, total(body.carry[:number]) + entry)
        counted = {body.counter: float(given[carries + body.counted])} if body.counter is not None else {}
        order = _order(body, found.node, found.env, given, self.carry.dtype) if found.order is None else found.order
        return found._replace(top=self.node, steps=counted | found.steps, order=order)

    @staticmethod
    def _earlier(begins: list[Array], step: int, entry: int) -> int:
        """The step that made an entry of the states not finite, which it is at the beginning of `step`."""
        step -= 1
        while step > 0 and not np.isfinite(begins[step][entry]):
            step -= 1
        return step

    def _argument(self, number: int, entry: int, step: int) -> tuple[int, int]:
        """The argument of the op, and its entry, that an entry of an input of the body is."""
        body, n = self.body, len(self.body.carry)
        if number < n:
            return 0, total(body.carry[:number]) + entry
        if number < n + len(body.row):
            return 1, step * body.p + total(body.row[: number - n]) + entry
        return number - n - len(body.row) + 2, entry


def _known(body: Body, values: Sequence[Array]) -> dict[Node, Array]:
    return {node: value for node, value in zip(body.inputs, values, strict=True) if node is not None}


def _which(shapes: Sequence[tuple[int, ...]], entry: int) -> tuple[int, int]:
    """The array that an entry of several, one after the other, belongs to, and the entry there."""
    ends = np.cumsum([total([shape]) for shape in shapes])
    number = int(np.searchsorted(ends, entry, side="right"))
    return number, entry - total(shapes[:number])


def _order(body: Body, node: Node, env: Mapping[int, Array], given: list[Array], dtype: Any) -> int:
    """The order of the derivative that an operation of a step belongs to. A step backwards runs that forwards again:
    an operation that is done there already, of the same numbers, does not come from the derivative."""
    order, inner = 0, body
    while inner.origin is not None:
        order, inner = order + 1, inner.origin
    while body.origin is not None:
        n, k, forwards = len(body.carry), len(body.row), body.origin
        rows, constants = given[n : n + k], given[n + k :]
        given = [*rows[: len(forwards.carry) + len(forwards.row)], *constants]
        again = run(forwards.outputs, _known(forwards, given), dtype)
        if not any(_same(node, env, other, again) for other in needed(forwards.outputs)):
            return order
        order, body = order - 1, forwards
    return order


def _same(a: Node, of_a: Mapping[int, Array], b: Node, of_b: Mapping[int, Array]) -> bool:
    """Whether nodes of two graphs are the same operation on the same numbers, with the same result."""
    if a.op is not b.op or a.place is None or b.place is None or len(a.args) != len(b.args):
        return False
    if (a.place.start, a.place.end) != (b.place.start, b.place.end):
        return False
    pairs = zip((a, *a.args), (b, *b.args), strict=True)
    return all(np.array_equal(of_a[x.index], of_b[y.index], equal_nan=True) for x, y in pairs)
