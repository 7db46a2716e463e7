"""A fit as something to draw: observed and fitted values, and where there is one independent column, the curve over it
with a band for its uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.graph import INPUT, Node, needed, replay
from tapecli.language.rows import Rows
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Points of a drawn curve.
GRID = 400


class Fitted(NamedTuple):
    """What a fit looks like at a point.

    observed, fitted   the two sides of `fit observed ~ fitted`, one entry for each observation
    name, x            the independent column; None where there is none, or more than one
    grid, curve        the fitted side between the observations; None where it needs all rows together
    error              standard errors of `curve`, by the delta method; None without a covariance of the parameters
    label              the left side as it is written
    band, sure         half the width of the band that the curve lies in so surely; None where nobody knows it
    """

    observed: Array
    fitted: Array
    name: str | None
    x: Array | None
    grid: Array | None
    curve: Array | None
    error: Array | None
    label: str
    band: Array | None = None
    sure: float = 0.95


def fitted(problem: Problem, at: Mapping[str, Array], covariance: Array | None = None) -> Fitted | None:
    """The fit of `problem` at a point, or None where it has no `fit`. `covariance` is that of the variables' entries in
    the order of the file, parameters on a bound having rows of 0."""
    goal = problem.formula.goal
    if goal is None or goal.observed is None or goal.fitted is None:
        return None
    left, right = goal.observed, goal.fitted
    leaves = problem.runner.leaves()
    arrays = problem.runner.arrays(leaves, at)
    run = problem.runner.function([left, right], [node for _, node in leaves])
    with np.errstate(all="ignore"):
        observed, values = np.broadcast_arrays(*[np.asarray(a, dtype=np.float64) for a in run(*arrays)])
    label = goal.label
    plain = Fitted(observed.reshape(-1), values.reshape(-1), None, None, None, None, None, label)
    found = _independent(problem, right, values)
    if found is None:
        return plain
    named = dict(zip([name for name, _ in leaves], arrays, strict=True))
    x = np.asarray(named[found], dtype=np.float64)
    plain = plain._replace(name=found, x=x)
    try:
        rows = Rows(problem.formula, right)
    except TapeError:  # a model of all rows together has no value between them
        return plain
    if rows.names != (found,):
        return plain
    grid = np.linspace(float(x.min()), float(x.max()), GRID)
    f, point = _model(rows, {**named, found: grid}, np.dtype(problem.dtype))
    with np.errstate(all="ignore"):
        curve = np.asarray(f(*point.values()), dtype=np.float64)
        error = None if covariance is None or curve.shape != grid.shape else _error(f, point, covariance)
    return plain._replace(grid=grid, curve=curve, error=error) if curve.shape == grid.shape else plain


def _independent(problem: Problem, model: Node, values: Array) -> str | None:
    """The one column of data that the model depends on."""
    used = {node.params["name"] for node in needed([model]) if node.op is INPUT}
    columns = [e for e in problem.formula.inputs.values() if e.kind == "data" and e.name in used]
    if len(columns) != 1 or columns[0].node.shape != values.shape or values.ndim != 1 or values.size < 2:
        return None
    return columns[0].name


def _model(rows: Rows, named: Mapping[str, Array], dtype: Any) -> tuple[Callable[..., Any], dict[str, Array]]:
    """The model on a grid as a function of the variables, and these."""
    output, inputs = rows.build(GRID)
    free = {name: np.asarray(named[name], dtype=dtype) for name in rows.variables}

    def f(*values: Any) -> Any:
        held = {name: derive.constant_like(values[0], np.asarray(a, dtype=dtype)) for name, a in named.items()}
        held |= dict(zip(free, values, strict=True))
        return replay([output], {node: held[name] for name, node in inputs.items()}, dtype.type)[0]

    return f, free


def _error(f: Callable[..., Any], point: Mapping[str, Array], covariance: Array) -> Array | None:
    """The standard error of each entry of f: the root of the diagonal of J C J'."""
    xs, columns = list(point.values()), []
    run = derive.jvp(f, range(len(xs)))
    for i, x in enumerate(xs):
        for k in range(x.size):
            along = [np.zeros_like(other) for other in xs]
            along[i].reshape(-1)[k] = 1.0
            columns.append(np.asarray(run(*xs, *along)[1], dtype=np.float64))
    jacobian = np.array(columns).T
    if jacobian.shape[1] != len(covariance):
        return None
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian), 0.0)))
