"""Whether it is the data that make an objective not finite, wherever it begins; and which cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.graph import INPUT, Node, needed
from tapecli.optimize.target import Target
from tapecli.records import NamedTuple
from tapecli.tape import number_of

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Other starts that are tried before the start is held to be without blame.
STARTS = 6
#: Cells that are tried one by one at most.
CELLS = 200


class Fault(NamedTuple):
    """No start that was tried gives finite numbers. `cell` says which cell, changed alone, does, if there is one."""

    cell: str | None


def fault_of(problem: Problem, at: Mapping[str, Array], target: Target) -> Fault | None:
    """Why an objective is not finite at its start, or None where other starts are finite.

    A cell is to blame whose entry, replaced by the median of its column, makes the terms finite that were not: its
    square of a fit, or else the objective."""
    points = list(_starts(target))
    bad = np.ones(_terms(problem, at).shape, dtype=bool)
    for point in points:
        bad &= ~np.isfinite(_terms(problem, {**at, **dict(zip(target.names, target.split(point), strict=True))}))
    if not np.any(bad):
        return None
    entry = int(np.argmax(bad))
    for name, row in _suspects(problem, at, entry if bad.size > 1 else None):
        column = np.array(_column(problem, at, name))
        value = column[row]
        column[row] = np.median(column[np.isfinite(column)]) if np.any(np.isfinite(column)) else 1.0
        for point in points:
            here = {**at, **dict(zip(target.names, target.split(point), strict=True)), name: column}
            if np.isfinite(_terms(problem, here).reshape(-1)[entry]):
                place = problem.row_of(name, row) or f"row {row + 1}"
                return Fault(f"`{name}` is {float(value):.6g} in {place}")
    return Fault(None)


def check_sigma(problem: Problem, at: Mapping[str, Array]) -> None:
    """Raises TapeError("value") where a standard deviation of a fit is below 0. One that moves with the variables is
    left to the run."""
    goal = problem.formula.goal
    if goal is None or goal.sigma is None:
        return
    if any(node.op is INPUT and _moves(problem, node) for node in needed([goal.sigma])):
        return
    leaves = problem.runner.leaves()
    with np.errstate(all="ignore"):
        (value,) = problem.runner.function([goal.sigma], [node for _, node in leaves])(
            *problem.runner.arrays(leaves, at)
        )
    sigma = np.asarray(number_of(value)).reshape(-1)
    below = np.flatnonzero(sigma < 0.0)
    if not below.size:
        return
    k = int(below[0])
    row = next((name for name, entry in problem.formula.inputs.items() if entry.node is goal.sigma), None)
    where = None if row is None else problem.row_of(row, k)
    which = where or (f"entry {k + 1}" if sigma.size > 1 else None)
    message = f"a standard deviation is above 0, and sigma is {float(sigma[k]):.6g}" + (f" in {which}" if which else "")
    raise TapeError("value", message, place=goal.place, hint="mend the number, or leave the observation out")


def _moves(problem: Problem, node: Node) -> bool:
    """Whether an input is a variable."""
    return any(entry.node is node and entry.kind == "var" for entry in problem.formula.inputs.values())


def _starts(target: Target) -> Iterator[Array]:
    """The start, points around it, and points of other sizes."""
    draw, start = np.random.default_rng(0), target.flat(target.starts)
    yield start
    for k in range(STARTS):
        size = np.abs(start) if k % 2 else np.ones_like(start)
        yield np.clip(draw.uniform(-1.0, 1.0, start.size) * (size + 1e-3), target.low, target.high)


def _terms(problem: Problem, at: Mapping[str, Array]) -> Array:
    """The squares of a fit, one by one, or the objective as an array of one entry."""
    goal = problem.formula.goal
    assert goal is not None
    nodes = [goal.output.node] if goal.difference is None else [goal.difference]
    nodes += [] if goal.difference is None or goal.weights is None else [goal.weights]
    leaves = problem.runner.leaves()
    with np.errstate(all="ignore"):
        values = problem.runner.function(nodes, [node for _, node in leaves])(*problem.runner.arrays(leaves, at))
        first = np.asarray(values[0], dtype=problem.dtype)
        if goal.difference is None:
            return first.reshape(-1)
        weights = np.ones_like(first) if len(values) == 1 else np.asarray(values[1], dtype=problem.dtype)
        return np.asarray(first * first * weights).reshape(-1)


def _column(problem: Problem, at: Mapping[str, Array], name: str) -> Array:
    array = at.get(name, problem.formula.inputs[name].value)
    assert array is not None
    return np.asarray(array, dtype=np.float64)


def _suspects(problem: Problem, at: Mapping[str, Array], entry: int | None) -> Iterator[tuple[str, int]]:
    """Columns and rows that may be to blame for an entry of the terms: those of its row, or else the cells that are
    not finite, that are 0, and the greatest of each column."""
    goal = problem.formula.goal
    assert goal is not None
    roots = [goal.output.node] if goal.weights is None else [goal.output.node, goal.weights]
    used = {node.index for node in needed(roots)}
    for item in problem.formula.inputs.values():
        if item.kind != "data" or item.node.index not in used:
            continue
        column = _column(problem, at, item.name)
        if column.ndim != 1 or not column.size:
            continue
        if entry is not None:
            if entry < column.size:
                yield item.name, entry
            continue
        odd = np.flatnonzero(~np.isfinite(column) | (column == 0.0))[:CELLS]
        yield from ((item.name, int(row)) for row in odd)
        if np.any(np.isfinite(column)):
            yield item.name, int(np.nanargmax(np.where(np.isfinite(column), np.abs(column), -1.0)))
