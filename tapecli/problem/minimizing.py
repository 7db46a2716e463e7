"""`Problem.minimize`: from a goal and options to a run of the loop, and to an honest result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.optimize import loop
from tapecli.optimize.descent import Descent
from tapecli.optimize.first_order import Optimizer, make
from tapecli.optimize.method import State
from tapecli.optimize.target import Residuals, Target
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
    method_ = Descent(_optimizer(method, goal.method, {**_from_file(method, goal), **options}))
    limits = _limits(goal.settings, steps, tol, timeout)
    sign = -1.0 if goal.kind == "maximize" else 1.0
    target = target_of(problem, at, sign)

    def see(state: State) -> None:
        if callback is not None:
            point = dict(zip(target.names, state.x, strict=True))
            rate = method_.rate(state.step)
            callback(Step(state.step, limits.steps, sign * state.value, state.gradient_norm, rate, point))

    ending = loop.run(method_, target, limits, see)
    problem.runner.traces += target.traces
    last, best = ending.state, ending.best or ending.state
    point, value, norm = ending.at, last.value, last.gradient_norm
    passed = ending.stop_reason != "gradient_tolerance" and best.value < last.value
    # numbers that ran off are no answer; and who left the choice to us wants the lowest point, not a method's path
    if not loop.finite(last) or (_automatic(method, goal.method) and passed):
        point, value, norm = best.x, best.value, best.gradient_norm
    at_end = dict(zip(target.names, point, strict=True))
    return Minimum(
        of=goal.output.name,
        method=method_.name,
        steps=last.step,
        evaluations=last.evaluations,
        stop_reason=ending.stop_reason,
        converged=_converged(problem, at, ending.stop_reason, at_end, sign),
        value=sign * value,
        at=at_end,
        gradient_norm=norm,
        seconds=time.perf_counter() - begin,
        best_value=sign * best.value,
        best_at=dict(zip(target.names, best.x, strict=True)),
        traces=target.traces,
        dtype=problem.dtype,
        engine=target.engine,
    )


def _automatic(method: str | None, file: str | None) -> bool:
    return (method or file or "auto").lower() == "auto"


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


def target_of(problem: Problem, at: Mapping[str, Array], sign: float) -> Target:
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

    def objective(*xs: Any) -> Any:
        values = [derive.constant_like(xs[0], array) for array in arrays]
        for i, x in zip(free, xs, strict=True):
            values[i] = x
        value = function(*values)[0]
        return -value if sign < 0 else value

    return Target(
        objective,
        [entry.name for entry in entries],
        [arrays[i] for i in free],
        [entry.lower for entry in entries],
        [entry.upper for entry in entries],
        problem.dtype,
        engine,
        residuals=_residuals(problem, arrays, free, leaves),
    )


def _residuals(problem: Problem, arrays: Any, free: Any, leaves: Any) -> Residuals | None:
    goal = problem.formula.goal
    assert goal is not None
    if goal.residuals is None:
        return None
    function = problem.runner.function([goal.residuals], [node for _, node in leaves])

    def residuals(*xs: Any) -> Any:
        values = [derive.constant_like(xs[0], array) for array in arrays]
        for i, x in zip(free, xs, strict=True):
            values[i] = x
        return function(*values)[0]

    return Residuals(residuals, goal.residuals.size)


def _converged(
    problem: Problem, at: Mapping[str, Array], stop_reason: str, point: Mapping[str, Array], sign: float
) -> bool:
    """Whether exact derivatives say that this is a minimum: a gradient within the tolerance, and no direction of
    negative curvature where the variables are few enough to look."""
    if stop_reason != "gradient_tolerance":
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
