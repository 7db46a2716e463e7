"""How the optimum moves with constants: the implicit function theorem on exact second derivatives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError, nearest

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


def sensitivities(
    problem: Problem, at: Mapping[str, Array], run: Any, asked: Sequence[str]
) -> dict[str, dict[str, Array]]:
    """d(optimum)/d(constant) by constant, then variable, each of shape (variable's) + (constant's).

    From ∇f(x(c), c) = 0 follows dx/dc = -H⁻¹ ∂∇f/∂c, in the variables that can move; those on a bound that the gradient
    holds them to stay where they are. NaN where the point is no minimum with a definite Hessian."""
    _check(problem, asked)
    target = run.target
    if target.constraints is not None:
        raise TapeError("unsupported", "--sensitivity is for problems without `subject to`", hint="bounds are served")
    point = dict(zip(target.names, run.at, strict=True))
    derived = problem.derivatives(order=2, at={**at, **point}, wrt=[*target.names, *asked])
    blocks, gradients = derived.hessian or {}, derived.gradient or {}
    sign = 1.0 if problem.formula.goal is None or problem.formula.goal.kind != "maximize" else -1.0
    x, g = target.flat(run.at), sign * target.flat([gradients[name] for name in target.names])
    free = ~(((x <= target.low) & (g > 0.0)) | ((x >= target.high) & (g < 0.0)))
    sizes = dict(zip(target.names, target.sizes, strict=True))
    hessian = np.block([[blocks[r][c].reshape(sizes[r], sizes[c]) for c in target.names] for r in target.names])
    definite = run.evidence is not None and run.evidence.kind == "minimum"
    result: dict[str, dict[str, Array]] = {}
    for name in asked:
        shape = problem.formula.names[name].shape
        count = math.prod(shape)
        mixed = np.vstack([blocks[row][name].reshape(sizes[row], count) for row in target.names]).astype(np.float64)
        moved = np.zeros((x.size, count))
        if not definite:
            moved[:] = math.nan
        elif np.any(free):
            moved[free] = -_solved(hessian.astype(np.float64)[np.ix_(free, free)], mixed[free])
        parts, begin = {}, 0
        for row, size, own in zip(target.names, target.sizes, target.shapes, strict=True):
            parts[row] = moved[begin : begin + size].reshape(own + shape)
            begin += size
        result[name] = parts
    return result


def _solved(matrix: Array, right: Array) -> Array:
    """The solution of a symmetric system, scaled so that its diagonal is 1; NaN where it is singular."""
    root = np.sqrt(np.abs(np.diag(matrix)))
    root = np.where(root > 0.0, root, 1.0)
    try:
        found = np.linalg.solve(matrix / np.outer(root, root), right / root[:, None])
    except np.linalg.LinAlgError:
        return np.full_like(right, math.nan)
    return np.asarray(found / root[:, None])


def _check(problem: Problem, asked: Sequence[str]) -> None:
    inputs = problem.formula.inputs
    constants = [name for name, entry in inputs.items() if entry.kind != "var"]
    for name in asked:
        if name in problem.formula.fixed:
            raise TapeError("usage", f"shapes rest on `{name}`, so nothing can be differentiated with respect to it")
        if name not in constants:
            close = nearest(name, constants)
            what = "is a variable" if name in inputs else "is no constant of the formula"
            hint = f"did you mean `{close}`?" if close else f"there is {', '.join(constants) or 'none'}"
            raise TapeError("name", f"`{name}` {what}: --sensitivity takes constants", hint=hint)
