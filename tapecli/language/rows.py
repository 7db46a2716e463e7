"""What a formula means of some of the rows of its data: the objective of a mini-batch.

The arrays of data that share their first dimension are its rows. The formula's graph is walked once, and for each node
is found which of its axes, if any, runs along the rows. Then it can be built anew for any number of rows: sums over the
rows are multiplied by (all rows)/(rows of the batch), so that each is an unbiased estimate of the sum over all of them,
and a mean is a mean over the batch. Numbers that were made of the number of rows (`len(y)`, a mean's divisor) stay what
they are.

What treats rows otherwise than each alone, or sums over them, has no meaning for a batch and is refused with its place:
a row beside its neighbour, the greatest of all rows, a variable with an entry for each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli.core import Shape
from tapecli.errors import TapeError
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed
from tapecli.language.formula import Formula
from tapecli.records import NamedTuple

#: How an objective that has no batches is mended.
HINT = "batches need a sum or a mean over the rows, whose terms use one row each"


class Move(NamedTuple):
    """What becomes of the rows in one node: the axis of its result that runs along them (None where they were summed),
    the parameter that holds a shape, and the power of (all rows)/(rows of the batch) that the result is multiplied
    by."""

    axis: int | None
    power: float = 0.0
    shaped: bool = False


class Rows:
    """The rows of one objective. `count` is how many there are, `names` are the inputs that have them, `variables` are
    the variables that it depends on. `affine` says
    that the objective is a sum of sums over rows and of what does not depend on data: then the mean of the objectives
    of batches that part the rows, weighted by their sizes, is the objective of all."""

    def __init__(self, formula: Formula, objective: Node) -> None:
        self._order = needed([objective])
        self._objective = objective
        self.count, self.names = _rows_of(formula, self._order)
        used = {node.params["name"] for node in self._order if node.op is INPUT}
        self.variables = tuple(e.name for e in formula.inputs.values() if e.kind == "var" and e.name in used)
        self._moves: dict[int, Move] = {}
        self._cuts: dict[tuple[int, int], int] = {}
        for node in self._order:
            self._moves[node.index] = self._move(node)
        self.affine = _affine(self._order, self._moves, objective)

    def build(self, size: int) -> tuple[Node, dict[str, Node]]:
        """The objective for `size` rows, in a graph of its own, and its inputs by name."""
        graph, built, inputs = Graph(), {}, {}
        scale = self.count / size
        for node in self._order:
            move = self._moves[node.index]
            graph.here = node.place
            if node.op is LITERAL:
                value = node.params["value"]
                built[node.index] = graph.literal(value if move.axis is None else value.take(range(size), move.axis))
            elif node.op is INPUT:
                name = node.params["name"]
                inputs[name] = built[node.index] = graph.input(name, _with(node.shape, move.axis, size))
            else:
                args = [
                    _cut(built[arg.index], self._cuts.get((node.index, i)), size) for i, arg in enumerate(node.args)
                ]
                params = _resized(node, move, size)
                result = graph.add(node.op, args, params)
                built[node.index] = result * scale**move.power if move.power else result
        return built[self._objective.index], inputs

    # ---- the rows of one node ----

    def _move(self, node: Node) -> Move:
        if node.op is INPUT:
            return Move(0 if node.params["name"] in self.names else None)
        if node.op is LITERAL:
            return Move(_constant_along(node, self.count))
        axes = [self._moves[arg.index].axis for arg in node.args]
        n = self.count
        if node.op.name == "broadcast" and axes[0] is None:
            return Move(_spread(node, n), shaped=True)
        if all(axis is None for axis in axes):
            return Move(None)
        rule = RULES.get(node.op.name)
        if node.op.kind == "elementwise":
            return self._aligned(node, axes, [len(node.shape) - len(arg.shape) for arg in node.args])
        if node.op.name in ("concat", "stack"):
            return self._side_by_side(node, axes)
        if rule is None:
            raise _refused(node, f"`{node.op.name}` takes all rows together")
        return rule(node, axes, n)

    def _aligned(self, node: Node, axes: Sequence[int | None], shifts: Sequence[int]) -> Move:
        """Rows beside rows, entry by entry."""
        found = {axis + shift for axis, shift in zip(axes, shifts, strict=True) if axis is not None}
        if len(found) > 1:
            raise _refused(node, "every row meets every other one")
        (out,) = found
        for i, (arg, axis, shift) in enumerate(zip(node.args, axes, shifts, strict=True)):
            if axis is None and out - shift >= 0 and arg.shape[out - shift] != 1:
                self._uniform(node, i, out - shift)
        return Move(out)

    def _side_by_side(self, node: Node, axes: Sequence[int | None]) -> Move:
        if node.op.name == "concat" and node.params["axis"] in axes:
            raise _refused(node, "further entries are put behind the rows")
        found = {axis for axis in axes if axis is not None}
        if len(found) > 1:
            raise _refused(node, "every row meets every other one")
        (axis,) = found
        for i, own in enumerate(axes):
            if own is None:
                self._uniform(node, i, axis)
        return Move(axis + (node.op.name == "stack"))

    def _uniform(self, node: Node, position: int, axis: int) -> None:
        """An argument that is no data, and has an entry for each row: only what is the same for all rows can be cut."""
        arg = node.args[position]
        value = arg.value
        if value is None or bool((value != value.take([0], axis=axis)).any()):
            raise _refused(node, _what(arg, self.count))
        self._cuts[node.index, position] = axis


def _constant_along(node: Node, n: int) -> int | None:
    """The axis of a literal that is as long as there are rows, and along which it is the same."""
    value = node.params["value"]
    same = [k for k, length in enumerate(value.shape) if length == n and bool((value == value.take([0], axis=k)).all())]
    return same[0] if len(same) == 1 else None


def _rows_of(formula: Formula, order: Sequence[Node]) -> tuple[int, tuple[str, ...]]:
    """How many rows there are, and the inputs that have them: data, and constants as long as data."""
    used = {node.params["name"] for node in order if node.op is INPUT}
    arrays = [e for e in formula.inputs.values() if e.name in used and e.kind != "var" and e.node.shape]
    lengths = [e.node.shape[0] for e in arrays if e.kind == "data"] or [e.node.shape[0] for e in arrays]
    goal = formula.goal
    place = None if goal is None else goal.place
    if not lengths:
        message = "the objective uses no data, so there are no rows to take batches of"
        raise TapeError("usage", message, place=place, hint="leave batch and epochs out")
    n = max(lengths)
    if n < 2:
        raise TapeError("usage", "the data have one row only, and no batches", place=place)
    return n, tuple(e.name for e in arrays if e.node.shape[0] == n)


def _refused(node: Node, why: str) -> TapeError:
    return TapeError("unsupported", f"batches have no meaning here: {why}", place=node.place, hint=HINT)


def _what(arg: Node, n: int) -> str:
    """What an argument is that has an entry for each row."""
    picked = any(node.op.name == "take" and node.params["index"].array.size == n for node in needed([arg]))
    if picked:
        return "data say which entries are taken"
    if any(node.op is INPUT and n in node.shape for node in needed([arg])):
        return "a variable has an entry for each row"
    return "it uses the numbers of the rows"


def _with(shape: Shape, axis: int | None, size: int) -> Shape:
    return shape if axis is None else (*shape[:axis], size, *shape[axis + 1 :])


def _cut(arg: Node, axis: int | None, size: int) -> Node:
    """The first `size` entries, where all are the same."""
    if axis is None:
        return arg
    value: Any = arg.value
    return arg.graph.literal(np.take(value, range(size), axis=axis))


def _resized(node: Node, move: Move, size: int) -> dict[str, Any]:
    """The parameters for another number of rows."""
    if move.axis is None:
        return node.params
    if move.shaped:
        return {**node.params, "shape": _with(node.params["shape"], move.axis, size)}
    if node.op.name == "slice" and node.params["axis"] == move.axis:
        return {**node.params, "stop": size}
    if node.op.name == "take" and node.params["axis"] == move.axis:
        return {**node.params, "index": type(node.params["index"])(np.arange(size))}
    return node.params


# ---- op by op: the axis of the rows before and after ----


def _spread(node: Node, n: int) -> int | None:
    """A value that is repeated as often as there are rows is one value for each row."""
    before = (1,) * (len(node.shape) - len(node.args[0].shape)) + node.args[0].shape
    new = [axis for axis, (was, now) in enumerate(zip(before, node.shape, strict=True)) if now == n and was != n]
    return new[0] if len(new) == 1 else None


def _reduce(node: Node, axes: Any, n: int) -> Move:
    k, over = axes[0], node.params["axes"]
    if k not in over:
        return Move(k - sum(axis < k for axis in over))
    if node.op.name == "sum":
        return Move(None, 1.0)
    if node.op.name == "norm":  # the root of a sum of squares
        return Move(None, 0.5)
    if node.op.name in ("max", "min"):
        raise _refused(node, "the greatest or least of all rows is no sum over them")
    raise _refused(node, f"`{node.op.name}` takes all rows together")


def _softmax(node: Node, axes: Any, n: int) -> Move:
    if axes[0] in node.params["axes"]:
        raise _refused(node, "`softmax` takes all rows together")
    return Move(axes[0])


def _broadcast(node: Node, axes: Any, n: int) -> Move:
    return Move(axes[0] + len(node.shape) - len(node.args[0].shape), shaped=True)


def _reshape(node: Node, axes: Any, n: int) -> Move:
    """The rows stay one axis where as many entries stand before them as before."""
    before = math.prod(node.args[0].shape[: axes[0]])
    for axis, length in enumerate(node.shape):
        if length == n and math.prod(node.shape[:axis]) == before:
            return Move(axis, shaped=True)
    raise _refused(node, "an array is reshaped across its rows")


def _transpose(node: Node, axes: Any, n: int) -> Move:
    return Move(node.params["axes"].index(axes[0]))


def _slice(node: Node, axes: Any, n: int) -> Move:
    p = node.params
    if p["axis"] == axes[0] and (p["start"], p["stop"], p["step"]) != (0, n, 1):
        raise _refused(node, "rows are picked by their numbers")
    return Move(axes[0])


def _take(node: Node, axes: Any, n: int) -> Move:
    if node.params["axis"] == axes[0] and not np.array_equal(node.params["index"].array, np.arange(n)):
        raise _refused(node, "rows are picked by their numbers")
    return Move(axes[0])


def _along(node: Node, axes: Any, n: int) -> Move:
    """Ops that act along one axis, which must be another one."""
    if node.params["axis"] == axes[0]:
        raise _refused(node, f"`{node.op.name}` goes from row to row")
    return Move(axes[0])


def _matrices(node: Node, axes: Any, n: int) -> Move:
    """One matrix for each row: rows stand before the last two axes."""
    if axes[0] >= len(node.args[0].shape) - 2:
        raise _refused(node, f"`{node.op.name}` takes all rows together")
    return Move(axes[0])


def _matmul(node: Node, axes: Any, n: int) -> Move:
    (x, y), (i, j) = (arg.shape for arg in node.args), axes
    inner_x, inner_y = len(x) - 1, max(len(y) - 2, 0)
    if i == inner_x and j == inner_y:
        return Move(None, 1.0)  # a sum of products over the rows
    if i == inner_x or j == inner_y:
        raise _refused(node, "a matrix product sums over the rows, and its other side is no data")
    outer = len(node.shape) - (len(x) > 1) - (len(y) > 1)  # axes of matrices side by side
    places = set()
    if i is not None:
        places.add(outer if i == len(x) - 2 else i + outer - (len(x) - 2))
    if j is not None:
        places.add(len(node.shape) - 1 if j == len(y) - 1 else j + outer - (len(y) - 2))
    alone = None in (i, j)
    if len(places) > 1 or not (alone or all(p < outer for p in places)):
        raise _refused(node, "every row meets every other one")
    (place,) = places
    if place < outer:
        for shape, axis in ((x, i), (y, j)):
            own = place - outer + len(shape) - 2
            if axis is None and len(shape) > 2 and own >= 0 and shape[own] != 1:
                raise _refused(node, "a constant has a matrix for each row")
    return Move(place)


#: op -> how the axis of the rows moves; elementwise ops, and those that put arrays side by side, stand in `Rows`
RULES: dict[str, Callable[[Node, Any, int], Move]] = {
    "sum": _reduce,
    "norm": _reduce,
    "max": _reduce,
    "min": _reduce,
    "logsumexp": _reduce,
    "softmax": _softmax,
    "broadcast": _broadcast,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "take": _take,
    "embed": _along,
    "scatter": _along,
    "cumsum": _along,
    "matmul": _matmul,
    "tril": _matrices,
    "inv": _matrices,
    "cholesky": _matrices,
    "det": _matrices,
    "logdet": _matrices,
}


def _affine(order: Sequence[Node], moves: dict[int, Move], objective: Node) -> bool:
    """Whether the objective is a sum of sums over rows and of what is no data, each perhaps times what is no data."""
    sums: set[int] = set()  # numbers that are affine in sums over rows
    bent: set[int] = set()  # whatever rests on these in another way
    for node in order:
        args = {arg.index for arg in node.args}
        rowed = {index for index in args if moves[index].axis is not None}
        move, name = moves[node.index], node.op.name
        if args & bent or (args & sums and (rowed or move.axis is not None)) or move.power == 0.5:
            bent.add(node.index)
        elif rowed and move.axis is None:
            sums.add(node.index)
        elif args & sums:
            straight = (
                name in ("add", "sub", "neg")
                or (name == "mul" and len(args & sums) == 1 and node.args[0] is not node.args[1])
                or (name == "div" and node.args[1].index not in sums)
                or node.op.kind == "linear"
            )
            (sums if straight else bent).add(node.index)
    return objective.index in sums
