"""`Problem.minimize`: from a goal and options to a run of the loop, and to an honest result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.optimize import loop
from tapecli.optimize.first_order import Optimizer, make
from tapecli.problem.results import Minimum, Step

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Steps where neither the caller nor the file says how many.
STEPS = 1000
#: The method of `auto`, and its learning rate.
AUTOMATIC = ("adam", {"learning_rate": 0.05})
#: Up to this many variables a claim of convergence is tested by the Hessian's definiteness.
SECOND_ORDER = 64


def minimize(
    problem: Problem,
    at: Mapping[str, Array],
    method: str | None,
    steps: int | None,
    tol: float | None,
    options: Mapping[str, Any],
    callback: Callable[[Step], None] | None,
    timeout: float | None,
) -> Minimum:
    """Minimises the goal of `problem` from `at` on. What the caller says wins over what the file says."""
    begin = time.perf_counter()
    goal = problem.formula.goal
    if goal is None:
        raise TapeError("usage", f"`{problem.name}` has nothing to minimise", hint="add a line: minimize y")
    optimizer = _optimizer(method, goal.method, {**_from_file(method, goal), **options})
    limits = _limits(goal.settings, steps, tol, timeout)
    task = _task(problem, at, -1.0 if goal.kind == "maximize" else 1.0)
    sign = -1.0 if goal.kind == "maximize" else 1.0

    def see(number: int, value: float, norm: float, point: tuple[Array, ...]) -> None:
        if callback is not None:
            rate = float(optimizer.rate(np.float64(number + 1.0)))
            callback(Step(number, limits.steps, sign * value, norm, rate, dict(zip(task.names, point, strict=True))))

    ending = loop.run(task, optimizer, limits, see)
    problem.runner.traces += ending.traces
    point = dict(zip(task.names, ending.at, strict=True))
    best = dict(zip(task.names, ending.best_at, strict=True))
    wandered = not math.isfinite(ending.value)
    passed = ending.stop_reason != "gradient_tolerance" and ending.best_value < ending.value
    if _automatic(method, goal.method) and passed:
        # who left the choice to us wants the lowest point, not the path of a method
        point, norm = best, _norm(problem, {**at, **best})
        ending = ending._replace(value=ending.best_value, gradient_norm=norm)
    return Minimum(
        of=goal.output.name,
        method=optimizer.name,
        steps=ending.steps,
        evaluations=ending.evaluations,
        stop_reason=ending.stop_reason,
        converged=_converged(problem, at, ending, point, sign),
        value=sign * ending.value,
        at=best if wandered else point,
        gradient_norm=ending.gradient_norm,
        seconds=time.perf_counter() - begin,
        best_value=sign * ending.best_value,
        best_at=best,
        traces=ending.traces,
        dtype=problem.dtype,
        engine=task.engine,
    )


def _automatic(method: str | None, file: str | None) -> bool:
    return (method or file or "auto").lower() == "auto"


def _norm(problem: Problem, at: Mapping[str, Array]) -> float:
    """The norm of the objective's gradient at a point."""
    gradient = problem.derivatives(at=at).gradient or {}
    return float(np.linalg.norm(np.concatenate([g.reshape(-1) for g in gradient.values()])))


def _from_file(method: str | None, goal: Any) -> dict[str, Any]:
    """The file's options, which hold where the caller takes the file's method."""
    return dict(goal.options) if method is None or (goal.method or "").lower() == method.lower() else {}


def _optimizer(method: str | None, file: str | None, options: Mapping[str, Any]) -> Optimizer:
    name = (method or file or "auto").lower()
    if _automatic(method, file):
        name, defaults = AUTOMATIC
        options = {**defaults, **options}
    return make(name, options)


def _limits(settings: Mapping[str, Any], steps: int | None, tol: float | None, timeout: float | None) -> loop.Limits:
    count = settings.get("steps", STEPS) if steps is None else steps
    if not float(count).is_integer() or count < 0:
        raise TapeError("usage", f"steps is a whole number, 0 or more, not {count}")
    tolerance = settings.get("tol") if tol is None else tol
    if tolerance is not None and not tolerance >= 0:
        raise TapeError("usage", f"tol is 0 or more, not {tolerance}")
    for name in ("batch", "epochs"):
        if name in settings:
            raise TapeError("unsupported", f"`{name}` is not part of this version")
    return loop.Limits(int(count), tolerance, timeout)


def _task(problem: Problem, at: Mapping[str, Array], sign: float) -> loop.Task:
    """The goal as a function of the variables alone; constants and data are fixed for the run."""
    formula = problem.formula
    assert formula.goal is not None
    if formula.constraints:
        raise TapeError("unsupported", "`subject to` is not part of this version", place=formula.constraints[0].place)
    leaves = problem.runner.leaves()
    arrays = problem.runner.arrays(leaves, at)
    free = [i for i, (name, _) in enumerate(leaves) if formula.inputs[name].kind == "var"]
    if not free:
        raise TapeError("usage", f"`{problem.name}` has no variables", hint="declare one: var x = 1")
    function = problem.runner.function([formula.goal.output.node], [node for _, node in leaves])
    entries = [formula.inputs[leaves[i][0]] for i in free]
    engine = "tape" if problem.runner.engine == "tape" else "numpy"

    def objective(*xs: Any) -> list[Any]:
        def whole(*inner: Any) -> Any:
            values = [derive.constant_like(inner[0], array) for array in arrays]
            for i, x in zip(free, inner, strict=True):
                values[i] = x
            value = function(*values)[0]
            return -value if sign < 0 else value

        return derive.gradient(whole, range(len(free)))(*xs)

    return loop.Task(
        objective,
        tuple(entry.name for entry in entries),
        tuple(arrays[i] for i in free),
        tuple(entry.lower for entry in entries),
        tuple(entry.upper for entry in entries),
        np.dtype(problem.dtype),
        engine,
    )


def _converged(
    problem: Problem, at: Mapping[str, Array], ending: loop.Ending, point: Mapping[str, Array], sign: float
) -> bool:
    """Whether exact derivatives say that this is a minimum: a gradient within the tolerance, and no direction of
    negative curvature where the variables are few enough to look."""
    if ending.stop_reason != "gradient_tolerance":
        return False
    size = sum(value.size for value in point.values())
    if size > SECOND_ORDER or any(problem.bounds.values()):
        return True
    blocks = problem.derivatives(order=2, at={**at, **point}).hessian or {}
    rows = [[blocks[r][c].reshape(point[r].size, point[c].size) for c in point] for r in point]
    matrix = sign * np.block(rows).astype(np.float64)
    if not np.all(np.isfinite(matrix)):
        return False
    curvatures = np.linalg.eigvalsh(matrix)
    return bool(curvatures[0] >= -1e-7 * max(abs(curvatures[0]), abs(curvatures[-1])))
