"""`Problem.fit`: least squares with a statistician's report.

Standard errors come from the singular values of the scaled Jacobian (never of JᵀJ). Where the data cannot tell
parameters apart, their standard errors are None and `undetermined` says which combinations are determined. Where the
run did not come to a minimum, there are no standard errors at all: they would be those of another point.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.optimize import loop
from tapecli.optimize.evidence import DEFICIENT
from tapecli.optimize.losses import LOSSES
from tapecli.optimize.models import look_squares
from tapecli.optimize.schedules import unknown
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import TrustRegion
from tapecli.problem import runs
from tapecli.problem.minimizing import run_of, told
from tapecli.problem.results import Fit, Minimum, Parameter, Step
from tapecli.problem.runs import PLAIN, RunOptions
from tapecli.problem.student import quantile
from tapecli.problem.targets import target_of
from tapecli.problem.trouble import labels
from tapecli.problem.undetermined import combinations
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


class Asked(NamedTuple):
    """How a fit is to be done and told. `sigma_known`: the sigmas are those of the data, not only their ratios."""

    loss: str = "linear"
    loss_scale: float = 1.0
    confidence: float = 0.95
    profile: bool = False
    sigma_known: bool = False

    def checked(self) -> Asked:
        if self.loss not in LOSSES:
            raise unknown("loss", self.loss, LOSSES)
        if not 0.0 < self.loss_scale < math.inf:
            raise TapeError("usage", f"the scale of a loss is a number above 0, not {self.loss_scale}")
        if not 0.0 < self.confidence < 1.0:
            raise TapeError("usage", f"a confidence is a number between 0 and 1, not {self.confidence}")
        return self


class Spread(NamedTuple):
    """What the Jacobian says of the parameters' spread, entries in the order of vectors: covariance for a variance of
    1 (NaN where undetermined), which entries were free, and the null directions (columns)."""

    covariance: Array
    free: Array
    null: Array


def fit(
    problem: Problem,
    at: Mapping[str, Array],
    asked: Asked,
    method: str | None,
    steps: int | None,
    tol: float | None,
    callback: Callable[[Step], None] | None,
    timeout: float | None,
    how: RunOptions = PLAIN,
) -> Fit:
    """Fits the `fit` statement of a problem, from `at` on."""
    begin = time.perf_counter()
    asked = asked.checked()
    goal = problem.formula.goal
    if goal is None or goal.kind != "fit":
        raise TapeError(
            "usage", f"`{problem.name}` has no `fit` statement", hint="write fit y ~ f(t), with data t, y from …"
        )
    if runs.batched(goal, how) is not None:
        hint = "minimize takes batches; leave them out for a fit"
        raise TapeError("usage", "a fit with its report takes all rows", place=goal.place, hint=hint)
    several: Minimum | None = None
    if how.starts > 1:
        several = _from_several(problem, at, asked, method, steps, tol, callback, timeout, how)
        at, callback, how = {**at, **several.at}, None, how._replace(starts=1)
    target = target_of(problem, at, 1.0, asked.loss, asked.loss_scale)
    if target.residuals is None:
        raise TapeError(
            "type",
            "weights are numbers, 0 or more, that do not depend on the variables",
            place=goal.place,
            hint="minimize takes any objective",
        )
    run = run_of(problem, at, target, 1.0, method, steps, tol, {}, callback, timeout, how)
    x = target.flat(run.at)
    least = told(problem, at, run, 1.0)
    if several is not None:
        least = least._replace(
            minima=several.minima,
            starts=several.starts,
            steps=several.steps + least.steps,
            evaluations=several.evaluations + least.evaluations,
        )
    spread = spread_of(target, x) if run.converged else None
    with np.errstate(all="ignore"):
        result = _told(problem, at, target, x, least, spread, asked)
    return result._replace(minimum=least._replace(seconds=time.perf_counter() - begin))


def _from_several(
    problem: Problem,
    at: Mapping[str, Array],
    asked: Asked,
    method: str | None,
    steps: int | None,
    tol: float | None,
    callback: Callable[[Step], None] | None,
    timeout: float | None,
    how: RunOptions,
) -> Minimum:
    """The best of the minima from several starts; the fit then begins there."""
    goal = problem.formula.goal
    assert goal is not None

    def once(start: dict[str, Array], left: float | None) -> Minimum:
        begin = time.perf_counter()
        target = target_of(problem, start, 1.0, asked.loss, asked.loss_scale)
        run = run_of(problem, start, target, 1.0, method, steps, tol, {}, None, left, how._replace(starts=1))
        return told(problem, start, run, 1.0)._replace(seconds=time.perf_counter() - begin)

    return runs.from_several(problem, at, goal, how, timeout, once, callback)


def spread_of(target: Target, x: Array) -> Spread:
    """Covariance of the parameters for a residual variance of 1, by a singular value decomposition of the scaled
    Jacobian of the weighted residuals."""
    with np.errstate(all="ignore"):
        at = look_squares(target, x)
    assert at.jacobian is not None
    fixed = ((x <= target.low) & (at.gradient > 0.0)) | ((x >= target.high) & (at.gradient < 0.0))
    free = ~fixed
    n, k = x.size, int(free.sum())
    covariance = np.full((n, n), math.nan)
    if k == 0:
        return Spread(covariance, free, np.zeros((n, 0)))
    jacobian = at.jacobian[:, free]
    lengths = np.linalg.norm(jacobian, axis=0)
    lengths = np.where(lengths > 0.0, lengths, 1.0)
    r = np.linalg.qr(jacobian / lengths, mode="r")
    _, sigma, vt = np.linalg.svd(r, full_matrices=True)
    sigma = np.pad(sigma, (0, k - sigma.size))
    kept = sigma > target.rounding(DEFICIENT) * np.max(sigma, initial=0.0)
    half = (vt[kept].T / sigma[kept]) / lengths[:, None]
    null = np.zeros((n, k - int(kept.sum())))
    null[free] = vt[~kept].T / lengths[:, None]
    told = np.all(np.abs(vt[~kept].T) <= 1e-7, axis=1)
    part = half @ half.T
    part[~told, :] = math.nan
    part[:, ~told] = math.nan
    covariance[np.ix_(free, free)] = part
    return Spread(covariance, free, null)


def _told(
    problem: Problem,
    at: Mapping[str, Array],
    target: Target,
    x: Array,
    least: Minimum,
    spread: Spread | None,
    asked: Asked,
) -> Fit:
    assert target.residuals is not None
    residuals, observed, weights = observations(problem, {**at, **least.at})
    counted = weights > 0.0
    count = int(counted.sum())
    used = spread.free.sum() if spread is not None else x.size
    rank = int(used) - (spread.null.shape[1] if spread is not None else 0)
    freedom = count - rank
    squares = float(np.sum((weights * residuals * residuals).astype(np.longdouble)))
    robust = 2.0 * look_half(target, x) if asked.loss != "linear" else squares
    deviation = math.sqrt(robust / freedom) if freedom > 0 else math.nan
    unit = 1.0 if asked.sigma_known else deviation
    covariance = np.full((x.size, x.size), math.nan) if spread is None else spread.covariance * unit**2
    errors = np.sqrt(np.diag(covariance))
    reach = (
        quantile(0.5 + asked.confidence / 2.0, math.inf if asked.sigma_known else freedom) if freedom > 0 else math.nan
    )
    lower, upper = x - reach * errors, x + reach * errors
    if asked.profile and spread is not None and freedom > 0:
        lower, upper = _profiled(target, x, errors, reach * unit, lower, upper)
    with np.errstate(all="ignore"):
        correlation = covariance / np.outer(errors, errors)
    centre = float(np.sum(weights * observed) / np.sum(weights)) if count else math.nan
    total = float(np.sum(weights * (observed - centre) ** 2))
    deviance = _deviance(weights[counted], squares)
    return Fit(
        minimum=least,
        parameters=_parameters(target, x, errors, lower, upper, spread),
        residual_sum_of_squares=squares,
        residual_standard_deviation=deviation,
        degrees_of_freedom=freedom,
        observations=count,
        names=tuple(labels(target)),
        covariance=covariance,
        correlation=correlation,
        r_squared=1.0 - squares / total if total > 0.0 else math.nan,
        aic=deviance + 2.0 * (rank + 1),
        bic=deviance + math.log(max(count, 1)) * (rank + 1),
        runs=runs_test(residuals[counted]),
        undetermined=combinations(labels(target), spread.null) if spread is not None else None,
        confidence=asked.confidence,
        interval="profile" if asked.profile else "t" if not asked.sigma_known else "normal",
        loss=asked.loss,
    )


def look_half(target: Target, x: Array) -> float:
    """Half the sum of what the loss makes of the residuals."""
    assert target.residuals is not None
    return 0.5 * (look_squares(target, x).value - target.residuals.offset)


def _deviance(weights: Array, squares: float) -> float:
    """-2 times the greatest log-likelihood of normal residuals whose variances are as 1/weights."""
    n = weights.size
    if n == 0 or squares <= 0.0:
        return math.nan if n == 0 else -math.inf
    return n * (math.log(2.0 * math.pi * squares / n) + 1.0) - float(np.sum(np.log(weights)))


def observations(problem: Problem, at: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Residuals as written (left minus right), the left side, and the weights, as vectors."""
    goal = problem.formula.goal
    assert goal is not None
    assert goal.observed is not None
    assert goal.difference is not None
    nodes = [goal.difference, goal.observed, *([] if goal.weights is None else [goal.weights])]
    leaves = problem.runner.leaves()
    arrays = problem.runner.arrays(leaves, at)
    with np.errstate(all="ignore"):
        values = problem.runner.function(nodes, [node for _, node in leaves])(*arrays)
    shape = np.shape(values[0])
    residuals = np.asarray(values[0], dtype=np.float64).reshape(-1)
    observed = np.broadcast_to(np.asarray(values[1], dtype=np.float64), shape).reshape(-1)
    if goal.weights is None:
        return residuals, observed, np.ones_like(residuals)
    return residuals, observed, np.broadcast_to(np.asarray(values[2], dtype=np.float64), shape).reshape(-1)


def runs_test(residuals: Array) -> dict[str, float] | None:
    """Whether the signs of the residuals, in the order of the data, change as often as by chance (Wald and Wolfowitz,
    1940): the number of runs, what is expected, and the two-sided probability by the normal law."""
    signs = np.sign(residuals)[np.sign(residuals) != 0]
    up, down = int(np.sum(signs > 0)), int(np.sum(signs < 0))
    n = up + down
    if up == 0 or down == 0 or n < 3:
        return None
    runs = 1 + int(np.sum(signs[1:] != signs[:-1]))
    expected = 2.0 * up * down / n + 1.0
    variance = 2.0 * up * down * (2.0 * up * down - n) / (n * n * (n - 1.0))
    if variance <= 0.0:
        return None
    z = (runs - expected) / math.sqrt(variance)
    return {"runs": runs, "expected": expected, "p_value": math.erfc(abs(z) / math.sqrt(2.0))}


def _parameters(
    target: Target, x: Array, errors: Array, lower: Array, upper: Array, spread: Spread | None
) -> dict[str, Parameter]:
    free = np.ones(x.size, dtype=bool) if spread is None else spread.free
    rows = []
    for vector in (x, errors, lower, upper, free):
        begin, parts = 0, []
        for shape, size in zip(target.shapes, target.sizes, strict=True):
            parts.append(np.asarray(vector[begin : begin + size]).reshape(shape))
            begin += size
        rows.append(parts)
    return {
        name: Parameter(rows[0][i], rows[1][i], rows[2][i], rows[3][i], ~rows[4][i])
        for i, name in enumerate(target.names)
    }


def _profiled(target: Target, x: Array, errors: Array, reach: float, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The ends of the intervals in which the sum of squares, least over all other parameters, is no more than reach²
    above its least (Bates and Watts, Nonlinear Regression Analysis, 6.1); inf where there is no such end."""
    low, high = lower.copy(), upper.copy()
    base = look_squares(target, x).value
    for k in range(x.size):
        if math.isfinite(errors[k]) and errors[k] > 0.0:
            guess = (upper[k] - lower[k]) / 2.0
            low[k] = _end(target, x, k, -guess, base, reach)
            high[k] = _end(target, x, k, guess, base, reach)
    return low, high


def _end(target: Target, x: Array, k: int, guess: float, base: float, reach: float) -> float:
    """Where the signed root of the rise of the profile is `reach`, by secants within a bracket."""
    warm = x.copy()

    def rise(distance: float) -> float:
        """√(S - S least) at x[k] + distance, less what is wanted."""
        nonlocal warm
        held = copy.copy(target)
        held.low, held.high = target.low.copy(), target.high.copy()
        held.low[k] = held.high[k] = x[k] + distance
        begin = warm.copy()
        begin[k] = x[k] + distance
        held.starts = tuple(held.split(np.clip(begin, held.low, held.high)))
        state = loop.run(TrustRegion("lm"), held, loop.Limits(200)).state
        if not math.isfinite(state.value):
            return math.inf
        warm = held.flat(state.x)
        return math.sqrt(max(state.value - base, 0.0)) - reach

    near, far, at_near, at_far = 0.0, guess, -reach, rise(guess)
    for _ in range(40):
        if at_far >= 0.0:
            break
        near, at_near, far = far, at_far, 1.6 * far
        if abs(far) > 1e4 * abs(guess):
            return math.copysign(math.inf, guess)
        at_far = rise(far)
    for _ in range(60):
        if not math.isfinite(at_far):
            middle = (near + far) / 2.0
        else:
            share = at_near / (at_near - at_far)
            middle = near + min(max(share, 0.02), 0.98) * (far - near)
        value = rise(middle)
        near, at_near, far, at_far = (middle, value, far, at_far) if value < 0.0 else (near, at_near, middle, value)
        if abs(value) <= 1e-9 * reach or abs(far - near) <= 1e-9 * abs(far):
            return float(x[k] + middle)
    return float(x[k] + (near + far) / 2.0)
