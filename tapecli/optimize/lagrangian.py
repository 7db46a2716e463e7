"""Minimisation under constraints by an augmented Lagrangian, ended by Newton's method on the conditions of optimality.

Each step minimises f + λ·c + μ/2 c² for equalities and f + (max(0, λ + μc)² - λ²)/2μ for inequalities by the method
`newton` within the bounds, then moves the multipliers or raises the penalty (Nocedal and Wright, Numerical
Optimization, algorithm 17.4). Near the end full Newton steps on the Karush-Kuhn-Tucker conditions, with the constraints
that hold as equalities, give the last digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapecli import derive, ops
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.optimize import loop
from tapecli.optimize.method import STOPS, Frozen, Point, State
from tapecli.optimize.quadratic import free_of
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import TrustRegion, relative
from tapecli.records import NamedTuple

#: Feasibility and stationarity that end a run.
FEASIBLE, STATIONARY = 1e-9, 1e-8
#: The greatest penalty, at least; and in units of the first one.
STIFF, STIFFER = 1e12, 1e8
#: After so many steps that bring nothing nearer a run is stuck.
STILL = 100
#: Steps of the inner method for one outer step.
INNER = 300


class Kkt(NamedTuple):
    """The conditions of optimality at a point: by how much constraints are violated, the projected gradient of the
    Lagrangian relative to its parts, and which constraints are active."""

    value: float
    c: Array
    jacobian: Array
    gradient: Array
    violation: float
    stationarity: float
    active: Array


class Lagrangian(Frozen):
    """The method `lagrangian`. Memory: `multipliers`, `penalty`, `stiff`, the greatest penalty, `worst`, the violation
    after the last step, `least`, the least that the conditions of optimality were missed by so far, and `still`, for
    how many steps it has not become less."""

    __slots__ = ("name", "wanders")
    name: str
    wanders: bool

    def __init__(self) -> None:
        self._set(name="lagrangian", wanders=True)

    def rate(self, step: int) -> float | None:
        return None

    def result(self, state: State) -> Point:
        return state.x

    def init(self, target: Target, x0: Sequence[Array]) -> State:
        x = target.flat(x0)
        value, _ = target.gradient(x)
        c, _ = _constraints(target, x)
        with np.errstate(over="ignore"):
            size = max(float(np.square(np.max(np.abs(c), initial=0.0))), 1e-12)
        height = max(1.0, abs(value)) if math.isfinite(value) else 1.0
        penalty = max(float(np.clip(10.0 * height / size, 1e-2, 1e4 * height)), 1.0)
        memory = {
            "multipliers": np.zeros(c.size),
            "penalty": np.asarray(penalty),
            "stiff": np.asarray(max(STIFF, STIFFER * penalty)),
            "worst": np.asarray(math.inf),
            "least": np.asarray(math.inf),
            "still": np.asarray(0.0),
        }
        return _state(target, 0, x, np.zeros(c.size), 1, memory)

    def step(self, target: Target, state: State) -> State:
        assert target.constraints is not None
        x, multipliers = target.flat(state.x), np.asarray(state.memory["multipliers"])
        penalty, worst, stiff = (float(state.memory[name]) for name in ("penalty", "worst", "stiff"))
        inner = augmented(target, x, multipliers, penalty)
        ending = loop.run(TrustRegion("newton"), inner, loop.Limits(INNER))
        spent = state.evaluations + ending.state.evaluations
        best = ending.best or ending.state
        begin, x = x, target.flat(best.x)
        c, _ = _constraints(target, x)
        equal = target.constraints.equal
        miss = _violation(c, equal)
        if ending.stop_reason == "nonfinite":
            return self._fallen(target, state, begin, x, spent, miss)
        if miss <= max(0.25 * worst, FEASIBLE):
            multipliers = np.where(equal, multipliers + penalty * c, np.maximum(0.0, multipliers + penalty * c))
        else:
            penalty = min(10.0 * penalty, stiff)
        x, multipliers = _polished(target, x, multipliers, penalty)
        here = kkt(target, x, multipliers)
        missed, least = max(here.violation, here.stationarity), float(state.memory["least"])
        still = 0.0 if missed < 0.9 * least else float(state.memory["still"]) + 1.0
        memory = dict(state.memory) | {
            "multipliers": multipliers,
            "penalty": np.asarray(penalty),
            "worst": np.asarray(miss),
            "least": np.asarray(min(missed, least)),
            "still": np.asarray(still),
        }
        after = _state(target, state.step + 1, x, multipliers, spent, memory)
        if here.violation <= FEASIBLE and here.stationarity <= STATIONARY:
            return after._replace(stop=STOPS.index("gradient_tolerance"))
        if still >= STILL or (penalty >= stiff and miss > 1e-6 and miss >= 0.25 * worst):
            return after._replace(stop=STOPS.index("stalled"))
        return after

    def _fallen(self, target: Target, state: State, begin: Array, x: Array, spent: int, miss: float) -> State:
        """The state after an inner run that ran off to x: where x is allowed the objective itself has no bound; where
        it is not, the penalty is too small to hold, and is raised from where the run began."""
        multipliers, penalty = np.asarray(state.memory["multipliers"]), float(state.memory["penalty"])
        if miss <= loop.FEASIBLE:
            return _state(target, state.step + 1, x, multipliers, spent, dict(state.memory))
        memory = dict(state.memory) | {"penalty": np.asarray(10.0 * penalty)}
        after = _state(target, state.step + 1, begin, multipliers, spent, memory)
        return after._replace(stop=STOPS.index("stalled")) if penalty >= float(memory["stiff"]) else after


def augmented(target: Target, x: Array, multipliers: Array, penalty: float) -> Target:
    """The augmented Lagrangian as a target of its own; its programs are kept by `target`, for all multipliers."""
    spec = target.constraints
    assert spec is not None
    count, equal = len(target.names), spec.equal

    def function(*values: Any) -> Any:
        xs, (held, mu) = values[:count], values[count:]
        c = spec.function(*xs)
        pushed = held + mu * c
        kept = ops.where(
            derive.constant_like(c, equal.astype(float)), pushed, ops.where(ops.less(0.0, pushed), pushed, 0.0 * pushed)
        )
        return target.function(*xs) + ops.sum(kept * kept - held * held) / (2.0 * mu)

    return target.derived(function, x, [multipliers, np.asarray(penalty)])


def _constraints(target: Target, x: Array) -> tuple[Array, Array]:
    assert target.constraints is not None
    with np.errstate(all="ignore"):
        return target.columns("constraints", target.constraints.function, x)


def _violation(c: Array, equal: Array) -> float:
    return float(np.max(np.where(equal, np.abs(c), np.maximum(c, 0.0)), initial=0.0))


def kkt(target: Target, x: Array, multipliers: Array) -> Kkt:
    """The conditions of optimality at a point."""
    assert target.constraints is not None
    value, g = target.gradient(x)
    c, jacobian = _constraints(target, x)
    equal = target.constraints.equal
    gradient = g + jacobian.T @ multipliers
    parts = float(np.linalg.norm(g)) + float(np.linalg.norm(jacobian.T * multipliers)) + 1e-300
    slack = np.where(equal, 0.0, np.abs(np.minimum(-c, multipliers)))
    stationarity = float(np.linalg.norm(target.project(gradient, x))) / max(parts, 1e-8)
    complementary = float(np.max(slack, initial=0.0)) / (1.0 + float(np.max(np.abs(multipliers), initial=0.0)))
    active = equal | (multipliers > 0.0)
    return Kkt(value, c, jacobian, gradient, _violation(c, equal), max(stationarity, complementary), active)


def lagrangian_hessian(target: Target, x: Array, multipliers: Array) -> Array:
    """The second derivatives of f + λ·c."""
    spec, count = target.constraints, len(target.names)
    assert spec is not None

    def function(held: Any, *xs: Any) -> Any:
        return target.function(*xs[:count]) + ops.sum(held * spec.function(*xs[:count]))

    extra = [Argument("multipliers", multipliers.shape, None)]
    held = [np.asarray(multipliers, dtype=target.dtype)]
    with np.errstate(all="ignore"):
        return target.second("lagrangian", function, extra, x, held)


def _polished(target: Target, x: Array, multipliers: Array, penalty: float) -> tuple[Array, Array]:
    """Newton's steps on the conditions with the active constraints as equalities, while they get better."""
    for _ in range(8):
        here = kkt(target, x, multipliers)
        free = free_of(here.gradient, x, target.low, target.high)
        rows = here.active & ((np.abs(here.c) < 1e-2) | (multipliers > 0))
        a = here.jacobian[np.ix_(rows, free)]
        n, m = int(free.sum()), int(rows.sum())
        matrix = np.block(
            [[lagrangian_hessian(target, x, multipliers)[np.ix_(free, free)], a.T], [a, np.zeros((m, m))]]
        )
        right = -np.concatenate([here.gradient[free], here.c[rows]])
        if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(right))):
            break
        try:
            found = np.linalg.solve(matrix, right)
        except np.linalg.LinAlgError:
            break
        trial, held = x.copy(), multipliers.copy()
        trial[free] += found[:n]
        trial = np.clip(trial, target.low, target.high)
        held[rows] += found[n:]
        held = np.where(target.constraints.equal, held, np.maximum(held, 0.0))  # type: ignore[union-attr]
        there = kkt(target, trial, held)
        if not max(there.violation, there.stationarity) < max(here.violation, here.stationarity):
            break
        if relative(trial - x, x, target.flat(target.starts)) > 0.1:
            break
        x, multipliers = trial, held
    return x, multipliers


def _state(
    target: Target, step: int, x: Array, multipliers: Array, evaluations: int, memory: dict[str, Array]
) -> State:
    here = kkt(target, x, multipliers)
    norm = float(np.linalg.norm(target.project(here.gradient, x)))
    return State(step, tuple(target.split(x)), here.value, norm, evaluations, memory, here.violation)
