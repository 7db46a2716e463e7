"""What went wrong where a minimisation ran off: the step, the operation, and a rate that would have held."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.optimize import methods
from tapecli.optimize.target import Target

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Products with the Hessian for an estimate of its greatest eigenvalue.
POWER = 30


def trouble_of(problem: Problem, at: Mapping[str, Array], run: Any, sign: float) -> TapeError:
    """The error of a run that left the finite numbers."""
    last, target = run.ending.state, run.target
    point = {**at, **dict(zip(target.names, last.x, strict=True))}
    what = f"the numbers ran off at step {last.step}"
    place = label = None
    best = run.ending.best
    if best is not None and best.value < -1e30 * (1.0 + abs(target.value(target.flat(target.starts)))):
        message = f"{what}: {'the objective rises' if sign < 0 else 'the objective falls'} without end along the way"
        return TapeError("nonfinite", message, hint="bound the variables: var x = 1 in [0, 10]")
    result = problem.derivatives(at=point)
    parts = [result.value, *(result.gradient or {}).values()]
    if all(np.all(np.isfinite(part)) for part in parts):
        message = f"{what}: the gradient's norm is beyond the range of {problem.dtype}"
    else:
        cause = problem.blame(result)
        message, place, label = f"{what}: {cause.message}", cause.place, cause.label
    return TapeError("nonfinite", message, place=place, label=label, hint=_hint(run, target))


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
