"""How the optimum moves with constants: the implicit function theorem on the conditions of optimality.

At a minimum x with multipliers λ of the constraints that hold as equalities, ∇f + Aᵀλ = 0 and c = 0. Both hold for
neighbouring constants p as well, so with the Hessian W of the Lagrangian

    | W  Aᵀ | | dx/dp |     | ∂(∇f + Aᵀλ)/∂p |
    | A  0  | | dλ/dp |  = -| ∂c/∂p          |

(Fiacco, Introduction to Sensitivity and Stability Analysis, 1983, theorem 3.2.2). That needs a definite Hessian along
the constraints, gradients of the active constraints that are independent, and no active inequality or bound whose
multiplier is 0. Where one of these fails there is no derivative, and it is said which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive, ops
from tapecli.core import Array
from tapecli.errors import TapeError, nearest
from tapecli.optimize.constrained import DEPENDENT, FEASIBLE, WEAK, strongly_active
from tapecli.optimize.lagrangian import kkt
from tapecli.optimize.target import Target
from tapecli.problem.targets import extended
from tapecli.problem.trouble import labels

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Sensitivities by constant, then variable; and what is to be said about them.
Moved = tuple[dict[str, dict[str, Array]], tuple[str, ...]]


def sensitivities(problem: Problem, at: Mapping[str, Array], run: Any, asked: Sequence[str]) -> Moved:
    """d(optimum)/d(constant) by constant, then variable, each of shape (variable's) + (constant's), NaN where there is
    no derivative; and the reasons for that."""
    _check(problem, asked)
    target, sign = (
        run.target,
        -1.0 if problem.formula.goal is not None and problem.formula.goal.kind == "maximize" else 1,
    )
    x = target.flat(run.at)
    multipliers = np.asarray(run.end.memory["multipliers"]) if target.constraints is not None else np.zeros(0)
    wide = extended(problem, {**at, **dict(zip(target.names, run.at, strict=True))}, sign, asked)
    where = _places(wide)
    with np.errstate(all="ignore"):
        free, strong, reason = _active(problem, target, x, multipliers)
        if run.evidence is None or run.evidence.kind != "minimum" or run.evidence.flat:
            reason = "the point is not shown to be a minimum with a definite Hessian"
        hessian, rows = _second(wide, multipliers, strong)
        inner = np.concatenate([where[name] for name in target.names])
        if reason is None and _rank(rows[:, inner[free]]) < rows.shape[0]:
            reason = "the gradients of the constraints that hold as equalities depend on one another"
        result: dict[str, dict[str, Array]] = {}
        for name in asked:
            moved = np.zeros((x.size, where[name].size))
            if reason is not None:
                moved[:] = math.nan
            elif np.any(free):
                moved[free] = _solved(hessian, rows, inner[free], where[name])
            result[name] = _parts(target, moved, problem.formula.names[name].shape)
    return result, () if reason is None else (f"there is no derivative of the optimum to constants: {reason}",)


def _places(wide: Target) -> dict[str, Array]:
    """Where the entries of each name are in a vector."""
    ends = np.cumsum([0, *wide.sizes])
    return {name: np.arange(ends[k], ends[k + 1]) for k, name in enumerate(wide.names)}


def _active(problem: Problem, target: Target, x: Array, multipliers: Array) -> tuple[Array, Array, str | None]:
    """Which variables can move, which constraints hold as equalities, and a name of what holds without being held to
    it, if there is such."""
    gradient, size = target.gradient(x)[1], 0.0
    strong, reason = np.zeros(0, dtype=bool), None
    if target.constraints is not None:
        here = kkt(target, x, multipliers)
        size, gradient = float(np.linalg.norm(here.gradient - gradient)), here.gradient
        strong = strongly_active(target, x, here, multipliers)
        touching = here.c >= -FEASIBLE * np.maximum(1.0, np.abs(here.jacobian) @ np.abs(x))
        if np.any(touching & ~strong):
            line = _line(problem, int(np.argmax(touching & ~strong)))
            reason = f"the constraint of line {line} just holds, with a multiplier of 0"
    low, high = x <= target.low, x >= target.high
    pinned = target.low == target.high
    weak = (low | high) & ~pinned & (np.abs(gradient) <= WEAK * (size + float(np.linalg.norm(gradient))))
    if np.any(weak):
        reason = f"{labels(target)[int(np.argmax(weak))]} lies on its bound without being held there"
    return ~((low & (gradient > 0.0)) | (high & (gradient < 0.0)) | pinned), strong, reason


def _line(problem: Problem, entry: int) -> int:
    """The line of the constraint that an entry of all constraints belongs to."""
    rows = problem.formula.constraints
    sizes = [math.prod(np.broadcast_shapes(row.left.shape, row.right.shape)) for row in rows]
    return rows[int(np.searchsorted(np.cumsum(sizes), entry, side="right"))].place.line


def _second(wide: Target, multipliers: Array, strong: Array) -> tuple[Array, Array]:
    """The Hessian of the Lagrangian to variables and constants, and the derivatives of the active constraints."""
    spec, x = wide.constraints, wide.flat(wide.starts)
    if spec is None:
        return wide.hessian(x), np.zeros((0, x.size))

    def lagrangian(*values: Any) -> Any:
        return wide.function(*values) + ops.sum(derive.constant_like(values[0], multipliers) * spec.function(*values))

    return wide.second("lagrangian", lagrangian, [], x, []), wide.columns("constraints", spec.function, x)[1][strong]


def _rank(rows: Array) -> int:
    """How many rows are independent, whatever their lengths."""
    if not rows.size:
        return 0
    lengths = np.linalg.norm(rows, axis=1)
    sigma = np.linalg.svd(rows / np.where(lengths > 0.0, lengths, 1.0)[:, None], compute_uv=False)
    return int(np.sum(sigma > DEPENDENT * max(float(np.max(sigma)), 1e-300)))


def _solved(hessian: Array, rows: Array, free: Array, wrt: Array) -> Array:
    """The upper part of the solution of the system above, scaled so that diagonal and rows are about 1; NaN where it is
    singular."""
    root = np.sqrt(np.abs(np.diag(hessian)[free]))
    root = np.where(root > 0.0, root, 1.0)
    a = rows[:, free] / root
    lengths = np.linalg.norm(a, axis=1)
    a = a / lengths[:, None]
    matrix = np.block([[hessian[np.ix_(free, free)] / np.outer(root, root), a.T], [a, np.zeros((len(a), len(a)))]])
    right = np.vstack([hessian[np.ix_(free, wrt)] / root[:, None], rows[:, wrt] / lengths[:, None]])
    try:
        found = -np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        return np.full((free.size, wrt.size), math.nan)
    return np.asarray(found[: free.size] / root[:, None])


def _parts(target: Target, moved: Array, shape: tuple[int, ...]) -> dict[str, Array]:
    parts, begin = {}, 0
    for name, size, own in zip(target.names, target.sizes, target.shapes, strict=True):
        parts[name] = moved[begin : begin + size].reshape(own + shape)
        begin += size
    return parts


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
