"""`Problem.minimize`: from a goal and options to a run of the loop, and to an honest result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import Place, TapeError, written_at
from tapecli.optimize import loop, methods
from tapecli.optimize.batches import MiniBatches
from tapecli.optimize.constrained import judge_constrained
from tapecli.optimize.evidence import Evidence, judge
from tapecli.optimize.method import STOPS, Method, State
from tapecli.optimize.target import Target
from tapecli.problem import runs
from tapecli.problem.results import Minimum, Step
from tapecli.problem.runs import PLAIN, RunOptions
from tapecli.problem.targets import Setting, target_of
from tapecli.problem.trouble import falls_on, strayed, trouble_of
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.language.formula import Goal
    from tapecli.problem.facade import Problem

__all__ = ["Run", "minimize", "run_of", "target_of"]

#: Steps where neither the caller nor the file says how many: of first-order methods, and of the others.
STEPS, OTHERS = 1000, 5000
#: Reasons to stop that may be those of convergence.
DONE = ("gradient_tolerance", "value_tolerance", "step_tolerance", "stalled")
#: Where the caller chose a tolerance, a Newton step of this relative size still belongs to a stationary point.
ASKED = 1e-2


class Run(NamedTuple):
    """A finished run: the method and why it was taken, the target, how the loop ended, the point that is handed out,
    and what derivatives say of it (None where nobody asks)."""

    method: Method
    why: str | None
    target: Target
    ending: loop.Ending
    stop_reason: str
    end: State
    at: tuple[Array, ...]
    evidence: Evidence | None
    converged: bool
    limits: loop.Limits
    notes: tuple[str, ...] = ()
    usual: bool = False


def minimize(
    problem: Problem,
    at: Mapping[str, Array],
    method: str | None,
    steps: int | None,
    tol: float | None,
    options: Mapping[str, Any],
    callback: Callable[[Step], None] | None,
    timeout: float | None,
    sensitivity: Sequence[str] = (),
    how: RunOptions = PLAIN,
) -> Minimum:
    """Minimises the goal of `problem` from `at` on. What the caller says wins over what the file says."""
    begin = time.perf_counter()
    goal = problem.formula.goal
    if goal is None:
        raise TapeError("usage", f"`{problem.name}` has nothing to minimise", hint="add a line: minimize y")
    if how.starts > 1:

        def once(start: dict[str, Array], left: float | None) -> Minimum:
            alone = how._replace(starts=1)
            return minimize(problem, start, method, steps, tol, options, None, left, sensitivity, alone)

        return runs.from_several(problem, at, goal, how, timeout, once, callback)
    sign = -1.0 if goal.kind == "maximize" else 1.0
    # rows by rows nothing is asked of all data at once
    target = target_of(problem, at, sign, squares=runs.batched(goal, how) is None)
    run = run_of(problem, at, target, sign, method, steps, tol, options, callback, timeout, how)
    moved = None
    if sensitivity:
        from tapecli.problem.sensitivity import sensitivities

        moved, remarks = sensitivities(problem, at, run, sensitivity)
        run = run._replace(notes=(*run.notes, *remarks))
    result = told(problem, at, run, sign)
    return result._replace(sensitivity=moved, seconds=time.perf_counter() - begin)


def told(problem: Problem, at: Mapping[str, Array], run: Run, sign: float) -> Minimum:
    """A run as a result, its time left open."""
    trouble = None
    if run.stop_reason == "nonfinite":
        trouble = trouble_of(problem, at, run, sign)
    goal = problem.formula.goal
    assert goal is not None
    names, best, last = run.target.names, run.ending.best or run.ending.state, run.ending.state
    return Minimum(
        of=goal.output.name,
        method=run.method.name,
        steps=last.step,
        evaluations=last.evaluations,
        stop_reason=run.stop_reason,
        converged=run.converged,
        value=sign * run.end.value,
        at=dict(zip(names, run.at, strict=True)),
        gradient_norm=run.end.gradient_norm,
        seconds=0.0,
        best_value=sign * best.value,
        best_at=dict(zip(names, best.x, strict=True)),
        traces=run.target.traces,
        dtype=problem.dtype,
        engine=run.target.used,
        chosen=run.why,
        evidence=run.evidence,
        violation=run.end.violation if run.target.constraints is not None else None,
        trouble=trouble,
        notes=run.notes,
        usual=run.usual,
        strayed=strayed(run.target, run.target.flat(run.at)),
    )


def run_of(
    problem: Problem,
    at: Mapping[str, Array],
    target: Target,
    sign: float,
    method: str | None,
    steps: int | None,
    tol: float | None,
    options: Mapping[str, Any],
    callback: Callable[[Step], None] | None,
    timeout: float | None,
    how: RunOptions = PLAIN,
) -> Run:
    """A run of the method that was asked for, or of the one that suits the problem."""
    goal = problem.formula.goal
    assert goal is not None
    given = {**_from_file(method, goal), **options}
    chosen: Method
    why: str | None
    with written_at(_using(goal), method is None and not options and goal.method is not None):
        if runs.batched(goal, how) is not None and (method or goal.method or "auto").lower() == "auto":
            chosen, why = runs.for_batches(given)
        else:
            chosen, why = _method(problem, at, target, method, given)
    methods.check(chosen, target)
    with written_at(goal.place, steps is None and tol is None):
        limits = _limits(goal.settings, steps, tol, timeout, STEPS if methods.is_first_order(chosen.name) else OTHERS)
    usual = steps is None and "steps" not in goal.settings and runs.batched(goal, how) is None
    chosen, limits = runs.prepared(problem, at, goal, chosen, limits, how, steps is not None)
    target.planned = limits.steps

    def told(state: State) -> Step:
        point = dict(zip(target.names, state.x, strict=True))
        return Step(state.step, limits.steps, sign * state.value, state.gradient_norm, chosen.rate(state.step), point)

    ending, notes = runs.execute(problem, at, chosen, target, limits, how, runs.watched(callback, told))
    problem.runner.traces += target.traces
    last, best = ending.state, ending.best or ending.state
    point, end, reason = ending.at, last, ending.stop_reason
    # numbers that ran off are no answer; and who left the choice to us, or took a method whose path is no end in
    # itself, wants the lowest point
    if not loop.finite(last) or (_passed(last, best) and (why is not None or not methods.is_first_order(chosen.name))):
        point, end = best.x, best
    if isinstance(chosen, MiniBatches):  # its tolerance is tested by the gradient of all rows, and that is all there is
        return Run(chosen, why, target, ending, reason, end, point, None, reason == DONE[0], limits, notes, usual)
    evidence = _evidence(target, end, point, limits.tol) if reason in DONE and loop.finite(end) else None
    converged = evidence is not None and evidence.holds and end.violation <= loop.FEASIBLE
    if reason == "stalled" and converged:
        reason = "step_tolerance"
    if evidence is not None and not converged and falls_on(target, point):
        reason = "nonfinite"
    return Run(chosen, why, target, ending, reason, end, point, evidence, converged, limits, notes, usual)


def _passed(last: State, best: State) -> bool:
    """Whether the best point is better than the last one. At the end of a polish the last digits of the value are
    rounding, and those of the point are not: there the last point is the better one."""
    if last.stop == STOPS.index("gradient_tolerance") and last.violation < best.violation:
        return False  # a value that is lower for breaking a constraint by little is none
    slack = 1e-9 * abs(last.value) if last.stop else 0.0
    return best is not last and (best.value < last.value - slack or best.violation < 0.1 * last.violation)


def _evidence(target: Target, end: State, point: Sequence[Array], tol: float | None) -> Evidence:
    x = target.flat(point)
    if target.constraints is not None:
        return judge_constrained(target, x, np.asarray(end.memory["multipliers"]))
    return judge(target, x, ASKED) if tol is not None else judge(target, x)


def _using(goal: Goal) -> Place:
    """Where the file names its method."""
    source, start, end = goal.place.source, goal.place.start, goal.place.end
    return Place(source, max(start, source.text.rfind("using", start, end)), end)


def _from_file(method: str | None, goal: Any) -> dict[str, Any]:
    """The file's options, which hold where the caller takes the file's method."""
    return dict(goal.options) if method is None or (goal.method or "").lower() == method.lower() else {}


def _method(
    problem: Problem, at: Mapping[str, Array], target: Target, method: str | None, options: Mapping[str, Any]
) -> tuple[Method, str | None]:
    """The method, and why it was taken where nobody named one."""
    goal = problem.formula.goal
    assert goal is not None
    name = method or goal.method or "auto"
    if name.lower() != "auto":
        return methods.make(name, options), None
    kinks = Setting(problem, at).kinks(goal.output.node)
    name, options, why = methods.choose(target, kinks, options)
    return methods.make(name, options), why


def _limits(
    settings: Mapping[str, Any], steps: int | None, tol: float | None, timeout: float | None, usual: int
) -> loop.Limits:
    count = settings.get("steps", usual) if steps is None else steps
    if not math.isfinite(count) or not float(count).is_integer() or count < 0:
        raise TapeError("usage", f"steps is a whole number, 0 or more, not {count}")
    tolerance = settings.get("tol") if tol is None else tol
    if tolerance is not None and not tolerance >= 0:
        raise TapeError("usage", f"tol is 0 or more, not {tolerance}")
    return loop.Limits(int(count), tolerance, timeout)
