"""L-BFGS within bounds: curvature from the latest steps and changes of gradient, for many variables.

The direction is that of the two-loop recursion (Nocedal and Wright, algorithm 7.4) in the variables that can move. The
search along it, cut off at the bounds, ends where the value falls and the slope rises enough: the weak Wolfe
conditions, by bisection (Lewis and Overton, Math. Program. 141, 2013, who show that it serves functions with kinks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tapecli.core import Array
from tapecli.optimize.method import STOPS, Frozen, Point, State
from tapecli.optimize.models import Local, look_gradient
from tapecli.optimize.quadratic import free_of
from tapecli.optimize.target import Target

#: How much the value must fall, and how much the slope must rise, in parts of the slope at the beginning.
FALL, RISE = 1e-4, 0.9
#: Tries along one line.
TRIES = 60
#: A gradient below this part of the value's size ends the run.
FLAT = 1e-11


class LBFGS(Frozen):
    """The method `lbfgs`. Memory: `gradient`; `s` and `y`, the latest steps and changes of gradient, a row each, the
    newest last; `still`, how many steps in a row changed the value by rounding only."""

    __slots__ = ("history", "name", "wanders")
    name: str
    wanders: bool
    history: int

    def __init__(self, history: int = 10) -> None:
        self._set(name="lbfgs", wanders=False, history=history)

    def rate(self, step: int) -> float | None:
        return None

    def result(self, state: State) -> Point:
        return state.x

    def init(self, target: Target, x0: Sequence[Array]) -> State:
        x = target.flat(x0)
        at = look_gradient(target, x)
        empty = np.zeros((0, x.size))
        return _state(target, 0, x, at, 1, {"s": empty, "y": empty, "still": np.asarray(0)})

    def step(self, target: Target, state: State) -> State:
        x, g = target.flat(state.x), np.asarray(state.memory["gradient"])
        free = free_of(g, x, target.low, target.high)
        s, y = np.asarray(state.memory["s"]), np.asarray(state.memory["y"])
        size = float(np.linalg.norm(g[free]))
        if size <= FLAT * min(1.0, max(abs(state.value), 1e-10)) or size == 0.0:
            return state._replace(stop=STOPS.index("gradient_tolerance"))
        d = _direction(np.where(free, g, 0.0), s * free, y * free)
        if float(d @ g) >= -1e-12 * size * float(np.linalg.norm(d)):
            d, s, y = -np.where(free, g, 0.0), s[:0], y[:0]
        begin = 1.0 if len(s) else min(1.0, 1.0 / size)
        found = _along(target, x, Local(state.value, g), d, begin)
        if found is None:
            if len(s):  # once more, down the gradient itself
                return state._replace(memory=dict(state.memory) | {"s": s[:0], "y": y[:0]})
            return state._replace(stop=STOPS.index("stalled"))
        after, at, tries = found
        moved, change = after - x, at.gradient - g
        if float(moved @ change) > 1e-12 * float(np.linalg.norm(moved)) * float(np.linalg.norm(change)):
            s, y = np.vstack([s, moved])[-self.history :], np.vstack([y, change])[-self.history :]
        quiet = state.value - at.value <= 4.0 * float(np.finfo(target.dtype).eps) * abs(state.value)
        still = float(state.memory["still"]) + 1.0 if quiet else 0.0
        memory = {"s": s, "y": y, "still": np.asarray(still)}
        next_ = _state(target, state.step + 1, after, at, state.evaluations + tries, memory)
        return next_._replace(stop=STOPS.index("value_tolerance")) if still >= 5.0 else next_


def _direction(g: Array, s: Array, y: Array) -> Array:
    """The two-loop recursion; pairs without curvature in the variables that can move are left out."""
    q, known = g.copy(), []
    for one, change in zip(s[::-1], y[::-1], strict=True):
        curvature = float(one @ change)
        if curvature <= 1e-14 * float(np.linalg.norm(one)) * float(np.linalg.norm(change)):
            continue
        a = float(one @ q) / curvature
        known.append((one, change, curvature, a))
        q = q - a * change
    if known:
        _, change, curvature, _ = known[0]
        q = q * (curvature / float(change @ change))
    for one, change, curvature, a in reversed(known):
        q = q + one * (a - float(change @ q) / curvature)
    return -q


def _along(target: Target, x: Array, at: Local, d: Array, begin: float) -> tuple[Array, Local, int] | None:
    """A point along d, cut off at the bounds, that meets both conditions; with what is known there."""
    low, high, t = 0.0, math.inf, begin
    slope = float(at.gradient @ d)
    best: tuple[Array, Local, int] | None = None
    for tries in range(1, TRIES + 1):
        point = np.clip(x + t * d, target.low, target.high)
        if not np.any(point - x):
            break
        there = look_gradient(target, point)
        cut = point != x + t * d
        foretold = float(at.gradient @ (point - x))
        sound = math.isfinite(there.value) and bool(np.all(np.isfinite(there.gradient)))
        if not sound or there.value > at.value + FALL * foretold or foretold >= 0.0:
            high = t
        else:
            best = (point, there, tries)
            if np.any(cut) or float(there.gradient @ d) >= RISE * slope:
                return best
            low = t
        t = 2.0 * t if math.isinf(high) else (low + high) / 2.0
        if math.isfinite(high) and high - low <= 1e-16 * high:
            break
    return best


def _state(target: Target, step: int, x: Array, at: Local, evaluations: int, memory: dict[str, Array]) -> State:
    norm = float(np.linalg.norm(target.project(at.gradient, x)))
    return State(step, tuple(target.split(x)), at.value, norm, evaluations, memory | {"gradient": at.gradient})
