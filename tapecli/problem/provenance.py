"""Where an entry of an array comes from: the indices of the loop that it stands in, and the row of a data file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tapecli.graph import INPUT, Node
from tapecli.language.values import labels
from tapecli.recur import Counter

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: So many operations are followed on the way down to a column of data.
FAR = 10_000


def whereabouts(problem: Problem, node: Node, entry: int, steps: Mapping[Counter, float]) -> list[str]:
    """`at i = 3, k = 7` and `row 17 of runs.csv (line 19)`, as far as they apply to an entry of a node. `steps` are the
    numbers of the indices of recurrences."""
    twin = _twin(problem, node)
    found: dict[str, float] = {}
    rows: dict[str, None] = {}
    if twin is not None:
        position = tuple(int(p) for p in np.unravel_index(entry, twin.shape)) if twin.shape else ()
        for axis, point in zip(twin.graph.sweeps.get(twin.index, ()), position, strict=False):
            found |= labels(axis, point)
        rows = dict.fromkeys(_rows(problem, twin, position, steps))
    found |= {counter.name: number for counter, number in steps.items()}
    said = [f"at {', '.join(f'{name} = {number:g}' for name, number in found.items())}"] if found else []
    return [*said, *rows]


def _twin(problem: Problem, node: Node) -> Node | None:
    """The node of the formula itself that a node, perhaps of a derivative, belongs to: it has its place and shape."""
    graph = problem.formula.graph
    if node.graph is graph or node.place is None:
        return node if node.graph is graph else None
    start, end = node.place.start, node.place.end
    for other in graph.nodes:
        place = other.place
        if place is not None and (place.start, place.end) == (start, end) and other.shape == node.shape:
            return other
    return None


def _rows(problem: Problem, node: Node, position: tuple[int, ...], steps: Mapping[Counter, float]) -> Iterator[str]:
    """The rows of data that an entry is made of, through operations that keep entries apart."""
    columns = {e.node.index: e.name for e in problem.formula.inputs.values() if e.kind == "data"}
    waiting, seen = [(node, position)], 0
    while waiting and seen < FAR:
        seen += 1
        node, position = waiting.pop()
        if node.index in node.graph.streams:  # a row of an array, handed to the step of a recurrence
            every, counter = node.graph.streams[node.index]
            if counter in steps:
                waiting.append((every, (int(np.flatnonzero(counter.numbers == steps[counter])[0]), *position)))
            continue
        if node.op is INPUT:
            if node.index in columns and position:
                told = problem.row_of(columns[node.index], position[0])
                if told:
                    yield told
            continue
        for k, arg in enumerate(node.args):
            inner = before(node, k, position)
            if inner is not None:
                waiting.append((arg, inner))


def before(node: Node, number: int, position: tuple[int, ...]) -> tuple[int, ...] | None:
    """The position in an argument that an entry of the result comes from, or None where entries are put together, and
    where the entry comes from another argument."""
    name, params, shape = node.op.name, node.params, node.args[number].shape
    if node.op.kind == "elementwise" or name == "broadcast":
        tail = position[len(position) - len(shape) :] if shape else ()
        return tuple(0 if n == 1 else p for n, p in zip(shape, tail, strict=True))
    if name == "reshape" and node.shape:
        return tuple(int(p) for p in np.unravel_index(np.ravel_multi_index(position, node.shape), shape))
    if name == "slice":
        k = params["axis"]
        return (*position[:k], params["start"] + params["step"] * position[k], *position[k + 1 :])
    if name == "take":
        k = params["axis"]
        return (*position[:k], int(np.asarray(params["index"].array)[position[k]]), *position[k + 1 :])
    if name == "concat":
        k = params["axis"]
        at = position[k] - sum(arg.shape[k] for arg in node.args[:number])
        return (*position[:k], at, *position[k + 1 :]) if 0 <= at < shape[k] else None
    if name == "transpose":
        found = [0] * len(shape)
        for place, axis in zip(position, params["axes"], strict=True):
            found[axis] = place
        return tuple(found)
    return None
