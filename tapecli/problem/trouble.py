"""What went wrong where a minimisation ran off: the step, the operation, and a rate that would have held."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.optimize import loop, methods
from tapecli.optimize.method import State
from tapecli.optimize.target import Target
from tapecli.problem.cells import Fault, fault_of
from tapecli.problem.results import Strayed

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Products with the Hessian for an estimate of its greatest eigenvalue.
POWER = 30
#: So many powers of ten beyond a point that has run off it is looked whether the objective falls on.
POWERS = 40
#: So many times as far out as it began, a variable has run off; and how many of those a message names.
FAR, SHOWN = 1e6, 3


def trouble_of(problem: Problem, at: Mapping[str, Array], run: Any, sign: float) -> TapeError:
    """The error of a run that left the finite numbers."""
    last, target = run.ending.state, run.target
    point = {**at, **dict(zip(target.names, last.x, strict=True))}
    what = f"the numbers ran off at step {last.step}"
    place = label = None
    best = run.ending.best
    if best is not None and (
        best.value < loop.bottom(target.value(target.flat(target.starts))) or falls_on(target, best.x)
    ):
        return _unbounded(target, best, sign, what)
    result = problem.derivatives(at=point)
    parts = [result.value, *(result.gradient or {}).values()]
    if all(np.all(np.isfinite(part)) for part in parts):
        message = f"{what}: the gradient's norm is beyond the range of {problem.dtype}"
    else:
        cause = problem.blame(result)
        message, place, label = f"{what}: {cause.message}", cause.place, cause.label
        fault = fault_of(problem, at, target) if last.step == 0 else None
        if fault is not None:
            return _without_start(fault, what, cause)
    return TapeError("nonfinite", message, place=place, label=label, hint=_hint(run, target))


def _without_start(fault: Fault, what: str, cause: TapeError) -> TapeError:
    """The error where no start would help."""
    if fault.cell is None:
        hint = "mend the formula or the data: no start that was tried makes it finite"
        return TapeError("nonfinite", f"{what}: {cause.message}", place=cause.place, label=cause.label, hint=hint)
    message = f"the data make the objective not finite, wherever it begins: {fault.cell}; {cause.message}"
    hint = "mend that cell or leave its row out; another start cannot help"
    return TapeError("nonfinite", message, place=cause.place, label=cause.label, hint=hint)


def _unbounded(target: Target, best: State, sign: float, what: str) -> TapeError:
    """The error of an objective that falls without end."""
    side, falls = ("above", "rises") if sign < 0 else ("below", "falls")
    x = target.flat(best.x)
    gone = strayed(target, x)
    way = ", ".join(f"{s.name} goes to {'-' * (s.end < 0)}infinity" for s in gone[:SHOWN]) or "the variables come near"
    if not gone:
        way = "the variables come near " + ", ".join(
            f"{name} = {value:.6g}" for name, value in list(zip(labels(target), x, strict=True))[:SHOWN]
        )
    message = (
        f"{what}: the objective appears to be unbounded {side}: it {falls} to {sign * best.value:.3g} and on as {way}"
    )
    name = (gone[0].name if gone else target.names[0]).split("[")[0]
    hint = f"it has no optimum as it stands: bound {name}, as in `var {name} = … in [0, 10]`, or mend the objective"
    return TapeError("nonfinite", message, hint=hint)


def falls_on(target: Target, point: Sequence[Array]) -> bool:
    """Whether the objective falls without end along the line from the start through a point that has run off, and
    constraints are kept on the way: methods can get stuck far out, where rounding hides the slope."""
    x, start = target.flat(point), target.flat(target.starts)
    if not strayed(target, x):
        return False
    with np.errstate(all="ignore"):
        end, before = loop.bottom(target.value(start)), target.value(x)
        for power in range(1, POWERS):
            beyond = np.clip(start + 10.0**power * (x - start), target.low, target.high)
            value = target.value(beyond)
            if not value < before or not _kept(target, beyond):
                return False
            if value < end:
                return True
            before = value
    return False


def _kept(target: Target, x: Array) -> bool:
    """Whether constraints hold at a point."""
    if target.constraints is None:
        return True
    c = target.vector("constraints", target.constraints.function, x)
    return bool(np.all(np.where(target.constraints.equal, np.abs(c), c) <= loop.FEASIBLE))


def strayed(target: Target, x: Array) -> tuple[Strayed, ...]:
    """The entries that are a million times as far out as any began, and have not come far less than the farthest."""
    size = np.abs(x)
    if not (size >= FAR).any():
        return ()
    start = target.flat(target.starts)
    far = size / max(1.0, float(np.max(np.abs(start), initial=0.0)))
    least = max(FAR, 1e-3 * float(np.max(far, initial=0.0)))
    order = [int(k) for k in np.argsort(-far, kind="stable") if far[k] >= least]
    names = labels(target) if order else []
    return tuple(Strayed(names[k], float(start[k]), float(x[k])) for k in order)


def labels(target: Target) -> list[str]:
    """`x`, or `x[1]`, `x[2]`, …: the entries of all variables by name."""
    found = []
    for name, shape in zip(target.names, target.shapes, strict=True):
        places = [",".join(str(i + 1) for i in index) for index in np.ndindex(*shape)]
        found += [f"{name}[{place}]" for place in places] if shape else [name]
    return found


def _hint(run: Any, target: Target) -> str:
    advice = "try another start (--at) or another --method"
    if run.ending.state.step == 0:
        return "start where the objective and its gradient are finite (--at)"
    if not methods.is_first_order(run.method.name):
        return advice
    sharpest = _sharpest(target, target.flat(target.starts))
    if sharpest is None or run.method.name != "sgd":
        return f"try a smaller --learning-rate, or leave the choice to --method auto; or {advice}"
    rate = float(f"{1.0 / sharpest:.1g}")
    return (
        f"the curvature at the start allows learning rates below {2.0 / sharpest:.2g}: "
        f"try --learning-rate {rate:g}, or --method auto"
    )


def _sharpest(target: Target, x: Array) -> float | None:
    """The greatest curvature at a point, by power iteration; None where it cannot be told."""
    v = np.random.default_rng(0).standard_normal(x.size)
    size = 0.0
    with np.errstate(all="ignore"):
        for _ in range(POWER):
            v = v / float(np.linalg.norm(v))
            product = target.product(x, v)
            size = float(np.linalg.norm(product))
            if not math.isfinite(size) or size == 0.0:
                return None
            v = product
    return size
