"""Trust-region methods: `lm` for sums of squares and `newton` for any function, on exact derivatives.

The radius and its scaling are those of Moré (The Levenberg-Marquardt algorithm, 1978). For squares the model of a step
is Gauss and Newton's or, where that foretold the last step better, the exact quadratic one: the idea of NL2SOL (Dennis,
Gay and Welsch, ACM TOMS 7, 1981), but the second-order term is exact here. Bounds are kept by moving the free variables
only and by cutting steps off at the bounds.

The last digits are won by Newton's steps that are taken without asking whether the value falls, which rounding hides
near a minimum, for as long as each is less than half of the one before.

A run on squares that gets stuck where there is no minimum (where a model has run off into a region without slope, say)
begins once more from the start, this time solving behind every step for the parameters that the residuals are linear
in (Golub and Pereyra, 1973; as embedded steps: Hong and others, CVPR 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.optimize.method import STOPS, Frozen, Point, State
from tapecli.optimize.models import EXACT, Curved, Local, Products, Squares, look_gradient, look_squares
from tapecli.optimize.quadratic import free_of
from tapecli.optimize.target import Target

#: Tries of one step, each within a smaller radius, before the method says that it is stuck.
TRIES = 50
#: A trial is taken where the fall of the value is this share of what the model foretold.
TAKEN = 1e-4
#: A Newton step of this size, relative to the variables, begins the polish; of this size in the end, it is the end.
NEAR, THERE = 1e-5, 1e-6
#: A Newton step beyond this part of each variable is no rounding.
OWN = 1e-3
#: After so many doubts about an end that brought no lower value, it is the end.
DOUBTS = 2
#: Variables count as at least this part of the way that they have come from the start.
TRAVEL = 1e-3


class TrustRegion(Frozen):
    """Memory: `start`; `radius` and `scale` of the trust region; `exact`, whether the exact model is in use; `linear`,
    the parameters to be solved for behind each step; `again`, whether this is the second run; `newton`, the size of
    the last step of the polish, inf before it; `doubted`, the lowest value at which the end of a polish was in doubt,
    and `doubts`, how often it was since then."""

    __slots__ = ("name", "wanders")
    name: str
    wanders: bool

    def __init__(self, name: str) -> None:
        self._set(name=name, wanders=False)

    def rate(self, step: int) -> float | None:
        return None

    def result(self, state: State) -> Point:
        return state.x

    @property
    def look(self) -> Callable[[Target, Array], Local]:
        return look_squares if self.name == "lm" else look_gradient

    def init(self, target: Target, x0: Sequence[Array]) -> State:
        x = target.flat(x0)
        at = self.look(target, x)
        memory = {"start": x, "again": np.asarray(0.0), "linear": np.zeros(x.size, dtype=bool)}
        return _state(target, 0, x, at, 1, memory | self._fresh(target, x, at))

    def _fresh(self, target: Target, x: Array, at: Local) -> dict[str, Array]:
        scale = self._scale(target, x, at)
        size = float(np.linalg.norm(scale * x))
        return {
            "radius": np.asarray(size or 1.0),
            "scale": scale,
            "exact": np.asarray(
                float(self.name == "newton" or (target.residuals is not None and target.residuals.exact))
            ),
            "newton": np.asarray(math.inf),
            "doubted": np.asarray(math.inf),
            "doubts": np.asarray(0.0),
        }

    def _scale(self, target: Target, x: Array, at: Local) -> Array:
        """The lengths of the Jacobian's columns, or the roots of the Hessian's diagonal; 1 for a column of 0."""
        with np.errstate(all="ignore"):
            if self.name == "lm":
                assert at.jacobian is not None
                return _lengths(np.linalg.norm(at.jacobian, axis=0))
            if x.size > EXACT:
                return np.ones(x.size)
            lengths = np.sqrt(np.abs(np.diag(target.hessian(x))))
            return _lengths(np.maximum(lengths, 1e-8 * np.max(lengths, initial=0.0)))

    def _model(self, target: Target, x: Array, at: Local, scale: Array) -> Any:
        free = free_of(at.gradient, x, target.low, target.high)
        kind = Squares if self.name == "lm" else Curved if x.size <= EXACT else Products
        return kind(target, x, at, free, scale)

    def step(self, target: Target, state: State) -> State:
        x, memory = target.flat(state.x), state.memory
        at = self.look(target, x)
        scale = self._scale(target, x, at)
        model = self._model(target, x, at, np.maximum(memory["scale"], scale))
        newton = model.rescaled(scale).newton()
        near = newton is not None and relative(newton, x, memory["start"]) <= NEAR
        if near or math.isfinite(memory["newton"]):
            end = self._polished(target, state, x, at, newton)
            if not end.stop or newton is None or not self._doubtful(target, x, at, newton):
                return end
            doubts = self._doubts(memory, at)
            if float(doubts["doubts"]) >= DOUBTS:
                return end
            state = state._replace(memory=dict(memory) | doubts | {"newton": np.asarray(math.inf)})
            taken = self._tried(target, state, x, at, model)
            return end if taken is None else taken
        taken = self._tried(target, state, x, at, model)
        return self._polished(target, state, x, at, newton) if taken is None else taken

    def _doubtful(self, target: Target, x: Array, at: Local, newton: Array) -> bool:
        """Whether a polish ended at a Newton step that is short beside the way from the start only, or beside x where
        the gradient is not: the model does not reach as far as the step, which leaves slope along itself."""
        trial = np.clip(x + newton, target.low, target.high)
        before, after = float(at.gradient @ (trial - x)), float(self.look(target, trial).gradient @ (trial - x))
        long = np.max(np.abs(newton) - OWN * np.abs(x), initial=0.0) > 0.0
        rose = not abs(after) <= abs(before)
        return bool((long or rose) and not abs(after) <= 0.5 * abs(before) and _length(at, newton) > 0.0)

    @staticmethod
    def _doubts(memory: Mapping[str, Array], at: Local) -> dict[str, Array]:
        """One more doubt, at the lowest value of any so far or at none lower. At a point that is as good as numbers
        get, slopes along a Newton step are rounding, and their doubts would go round for ever."""
        if at.value < float(memory["doubted"]):
            return {"doubted": np.asarray(at.value), "doubts": np.asarray(0.0)}
        return {"doubts": memory["doubts"] + 1.0}

    def _tried(self, target: Target, state: State, x: Array, at: Local, model: Any) -> State | None:
        """The state after a step that the model foretold well enough, or None where none was found."""
        memory = dict(state.memory)
        radius, exact = float(memory["radius"]), bool(memory["exact"])
        scale = np.maximum(memory["scale"], self._scale(target, x, at))
        for tries in range(1, TRIES + 1):
            trial = np.clip(x + model.within(radius, exact), target.low, target.high)
            moved = trial - x
            if not np.any(moved):
                return None
            found, trial = self._eliminated(target, trial, memory["linear"])
            foretold, fall = model.fall(moved, exact), at.fall_to(found)
            if found.value == -math.inf:
                return _state(target, state.step + 1, trial, found, state.evaluations + tries, memory)
            sound = math.isfinite(fall) and bool(np.all(np.isfinite(found.gradient)))
            ratio = fall / foretold if sound and foretold > 0.0 else -math.inf
            if sound and self.name == "lm" and model.exact:
                other = model.fall(moved, not exact)
                exact = not exact if abs(other - fall) < 0.5 * abs(foretold - fall) else exact
            length = float(np.linalg.norm(scale * moved))
            if ratio < 0.25:
                radius = min(length, radius) * (0.25 if ratio > -1.0 else 0.1)
            elif ratio > 0.75:
                radius = max(radius, 2.0 * length)
            if ratio > TAKEN:
                memory |= {"radius": np.asarray(radius), "exact": np.asarray(exact), "scale": scale}
                return _state(target, state.step + 1, trial, found, state.evaluations + tries, memory)
            if radius <= 1e-16 * float(np.linalg.norm(scale * x)) or radius < 1e-300:
                return None
        return None

    def _polished(self, target: Target, state: State, x: Array, at: Local, newton: Array | None) -> State:
        """One more Newton step where steps still shrink, else the end."""
        if newton is None:
            return self._stuck(target, state)
        trial = np.clip(x + newton, target.low, target.high)
        size = _length(at, newton)
        if size >= 0.5 * float(state.memory["newton"]) or not np.any(trial - x):
            if relative(newton, x, state.memory["start"]) > max(THERE, 50.0 * float(np.finfo(target.dtype).eps)):
                return self._stuck(target, state)
            return state._replace(stop=STOPS.index("step_tolerance"))
        found = self.look(target, trial)
        if not found.value <= at.value + 1e-7 * abs(at.value) + 1e-300:
            return self._stuck(target, state)
        memory = dict(state.memory) | {"newton": np.asarray(size)}
        return _state(target, state.step + 1, trial, found, state.evaluations + 1, memory)

    def _stuck(self, target: Target, state: State) -> State:
        """The second run, where it promises more than the first; else the end."""
        if self.name == "lm" and not state.memory["again"]:
            x = np.asarray(state.memory["start"])
            mask = linear(target, x)
            if np.any(mask):
                at, x = self._eliminated(target, x, mask)
                memory = {"start": state.memory["start"], "again": np.asarray(1.0), "linear": mask}
                memory |= self._fresh(target, x, at)
                return _state(target, state.step + 1, x, at, state.evaluations + 2, memory)
        return state._replace(stop=STOPS.index("stalled"))

    def _eliminated(self, target: Target, x: Array, mask: Array) -> tuple[Local, Array]:
        """The point with the linear parameters solved for, where there are any, and what is known there."""
        at = self.look(target, x)
        if not np.any(mask) or not math.isfinite(at.value) or not np.all(np.isfinite(at.gradient)):
            return at, x
        assert at.jacobian is not None
        assert at.r is not None
        part = at.jacobian[:, mask]
        lengths = _lengths(np.linalg.norm(part, axis=0))
        better = x.copy()
        better[mask] += np.linalg.lstsq(part / lengths, -at.r, rcond=1e-12)[0] / lengths
        after = self.look(target, better)
        return (after, better) if after.value <= at.value else (at, x)


def relative(step: Array, x: Array, start: Array) -> float:
    """The size of a step, relative to the variables, each being at least a part of the way that it came."""
    size = np.maximum(np.abs(x), TRAVEL * np.abs(x - start))
    size = np.maximum(size, np.maximum(1e-8 * np.max(size, initial=0.0), 1e-150))
    return float(np.max(np.abs(step) / size, initial=0.0))


def _length(at: Local, newton: Array) -> float:
    """The size of a Newton step by what it does to the value."""
    if at.jacobian is not None:
        return float(np.linalg.norm(at.jacobian @ newton))
    return math.sqrt(max(-float(at.gradient @ newton), 0.0))


def _lengths(lengths: Array) -> Array:
    return np.where((lengths > 0.0) & np.isfinite(lengths), lengths, 1.0)


def _state(target: Target, step: int, x: Array, at: Local, evaluations: int, memory: dict[str, Array]) -> State:
    norm = float(np.linalg.norm(target.project(at.gradient, x)))
    return State(step, tuple(target.split(x)), at.value, norm, evaluations, memory)


def linear(target: Target, x: Array) -> Array:
    """Parameters that the residuals are linear in together: free of bounds, with second derivatives that are exactly 0
    among them, at this point and at one beside it, for residuals weighted by numbers without a pattern."""
    assert target.residuals is not None
    spec, n = target.residuals, x.size
    chosen = np.zeros(n, dtype=bool)
    if spec.loss != "linear" or n > EXACT:
        return chosen
    draw = np.random.default_rng(0)
    nonzero = np.zeros((n, n), dtype=bool)
    with np.errstate(all="ignore"):
        for point in (x, x * (1.0 + 0.1 * draw.random(n)) + 0.01):
            weights = draw.uniform(0.5, 1.5, spec.entries)
            nonzero |= (
                target.weighted("residuals", spec.function, np.clip(point, target.low, target.high), weights) != 0
            )
    for k in np.argsort(nonzero.sum(axis=0), kind="stable"):
        bounded = math.isfinite(target.low[k]) or math.isfinite(target.high[k])
        if not nonzero[k, k] and not bounded and not np.any(nonzero[k] & chosen):
            chosen[k] = True
    return chosen
