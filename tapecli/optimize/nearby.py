"""What exact gradients near a point say of the quadratic model there: an independent look at a claim of evidence.

A model can be perfect at a point and wrong beside it. Close to the inflection of x³ the Hessian is definite and
Newton's step as short as one likes; on the way down exp(-x) each Newton step is a small part of x. So whoever claims a
stationary point goes a little further, to both sides, and asks whether slopes have the signs that the model foretells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from tapecli.core import Array
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import TRAVEL
from tapecli.records import NamedTuple

#: The nearest and the farthest distance that is looked at, relative to the variables, and how many there are.
NEAREST, FARTHEST, COUNT = 1e-11, 1e-4, 5
#: A Newton step that leaves more than this part of the slope along it is none that the model holds for.
CONTRACTS = 0.5
#: A slope below this part of what the model foretells is as good as none.
LEAST = 0.1
#: Distances at which values beside a singular Hessian are compared: where x⁴ is beyond rounding beside 1.
BESIDE = (2e-3, 1e-2)

#: A point to the value and the gradient there.
Look: TypeAlias = Callable[[Array], tuple[float, Array]]


class Way(NamedTuple):
    """A direction, and the curvature that the model has along it: d² f(x + t·direction)/dt²."""

    direction: Array
    curvature: float


class Nearby:
    """What there is to be seen around a point of a target. `look` gives value and gradient: those of the objective, or
    of the Lagrangian; `allowed` says which points count, beside the bounds."""

    def __init__(self, target: Target, x: Array, look: Look, allowed: Callable[[Array], bool] | None = None) -> None:
        self._target, self._x, self._look, self._allowed = target, x, look, allowed
        #: how large each variable counts: as it is, or part of the way it came, or all of it
        way = np.abs(x - target.flat(target.starts))
        self._size, self._wide = _sizes(np.maximum(np.abs(x), TRAVEL * way)), _sizes(np.maximum(np.abs(x), way))
        self._value = look(x)[0]

    def _slack(self, units: float) -> float:
        return units * float(np.finfo(self._target.dtype).eps) * abs(self._value)

    def against(self, ways: Sequence[Way], distance: float) -> bool:
        """Whether slopes contradict the claim of a stationary point at about `distance`, relative to the variables.

        Beyond that point the outward slope has the sign of the curvature, to either side. The claim is refuted by a way
        along which it has the other one, or next to nothing of it, or is undefined, at every distance that is looked
        at; single disagreements may be rounding, or the walls of a narrow valley."""
        for direction, curvature in ways:
            length = float(np.max(np.abs(direction) / self._size, initial=0.0))
            bend = curvature / length / length if 0.0 < length < math.inf else 0.0
            if bend == 0.0 or not math.isfinite(bend):
                continue
            sides = (direction / length, -direction / length)
            if any(self._refuted(side, distance, bend) for side in sides):
                return True
        return False

    def _refuted(self, side: Array, distance: float, bend: float) -> bool:
        """Whether the slopes at all distances that there is room for oppose the model's: one that agrees is enough."""
        seen = False
        for radius in self._radii(distance):
            opposed = self._opposed(side, radius, bend)
            if opposed is not None and not opposed:
                return False
            seen = seen or opposed is not None
        return seen

    def _radii(self, distance: float) -> Iterator[float]:
        """Distances from well beyond a claimed one on: at an inflection, x³, slopes have changed by then."""
        near = max(8.0 * distance, self._target.rounding(NEAREST))
        far = max(self._target.rounding(FARTHEST), 100.0 * near)
        for k in range(COUNT):
            yield near * (far / near) ** (k / (COUNT - 1))

    def _opposed(self, side: Array, radius: float, bend: float) -> bool | None:
        """Whether the outward slope opposes the model's; None where a bound leaves no room."""
        target = self._target
        point = target.flat(target.split(np.clip(self._x + radius * side, target.low, target.high)))
        moved = point - self._x
        if float(np.max(np.abs(moved) / self._size, initial=0.0)) < 0.5 * radius or not (
            self._allowed is None or self._allowed(point)
        ):
            return None
        value, gradient = self._look(point)
        slope, least = float(gradient @ moved) / radius, LEAST * radius * abs(bend)
        if not (math.isfinite(value) and math.isfinite(slope)):
            return True
        if bend < 0.0:
            return slope >= -least
        return slope <= least and value <= self._value + self._slack(8.0)

    def contracts(self, gradient: Array, step: Array) -> bool:
        """Whether a Newton step takes away the slope along itself, as it does where the model holds (the natural
        monotonicity test: Deuflhard, Newton Methods for Nonlinear Problems, 2011, section 3.3; along the step alone).
        """
        moved = np.clip(self._x + step, self._target.low, self._target.high) - self._x
        before, after = float(gradient @ moved), float(self._look(self._x + moved)[1] @ moved)
        return abs(after) <= CONTRACTS * abs(before)

    def beside(self, null: Array, range_: Array, curvatures: Array) -> str:
        """What values say where the Hessian is singular: `higher` or `lower` than at the point, `level`, or `mixed`.

        `null` (columns) are directions without curvature. To both sides of each, and of some sums of them, the value is
        compared after Newton's steps in the `range_` of the Hessian, whose `curvatures` are given: a value that rises
        along a straight line may still fall along a curved one, as that of (y - x²)(y - 3x²) does."""
        mixed = null @ np.random.default_rng(0).standard_normal((null.shape[1], 4 if null.shape[1] > 1 else 0))
        sides = [side for way in np.hstack([null, mixed]).T for side in (way, -way)]
        found = {told for side in sides if (told := self._side(side, range_, curvatures)) is not None}
        if "lower" in found:
            return "lower"
        return found.pop() if len(found) == 1 else "mixed"

    def _side(self, way: Array, range_: Array, curvatures: Array) -> str | None:
        """The same of one side of one direction; None where a bound leaves no room."""
        way = way / float(np.max(np.abs(way) / self._wide))
        rises = [self._settled(radius * way, range_, curvatures) for radius in BESIDE]
        known, slack = [rise for rise in rises if rise is not None], self._slack(64.0)
        if not known:
            return None
        return "lower" if min(known) < -slack else "higher" if max(known) > slack else "level"

    def _settled(self, moved: Array, range_: Array, curvatures: Array) -> float | None:
        """By how much the value is higher beside the point, after a few Newton steps in the range; None where a bound
        leaves no room."""
        low, high = self._target.low, self._target.high
        point = np.clip(self._x + moved, low, high)
        if float((point - self._x) @ moved) < 0.5 * float(moved @ moved):
            return None
        value, gradient = self._look(point)
        for _ in range(4 if curvatures.size else 0):
            trial = np.clip(point - range_ @ ((range_.T @ gradient) / curvatures), low, high)
            after, slope = self._look(trial)
            if not after < value:
                break
            point, value, gradient = trial, after, slope
        return value - self._value if math.isfinite(value) else None


def _sizes(size: Array) -> Array:
    """Sizes of variables, each at least a part of the greatest; 1 if all are 0."""
    greatest = float(np.max(size, initial=0.0))
    return np.maximum(size, TRAVEL * greatest) if greatest > 0.0 else np.ones_like(size)
