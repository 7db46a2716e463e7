"""The first-order optimizers as a `Method`: value, gradient and update of a step are one traced program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli import engines, ops
from tapecli.core import Array
from tapecli.engines import Argument, Stepping
from tapecli.optimize.first_order import Optimizer
from tapecli.optimize.method import Frozen, Point, State
from tapecli.optimize.target import Target
from tapecli.records import NamedTuple


class Descent(Frozen):
    """A first-order optimizer, stepping.

    The program of a step tells value and gradient norm at its point, and the point and slots after it. So the memory
    of a state holds those: `next/i` for each variable, `slot/name/i` for each slot, and `average/i`, the average that
    belongs to the state's own point, where one is kept.
    """

    __slots__ = ("name", "optimizer", "wanders")
    name: str
    optimizer: Optimizer
    wanders: bool

    def __init__(self, optimizer: Optimizer) -> None:
        self._set(optimizer=optimizer, name=optimizer.name, wanders=True)

    @property
    def key(self) -> Optimizer:
        """What the program of its steps is kept by."""
        return self.optimizer

    def rate(self, step: int) -> float | None:
        return float(self.optimizer.rate(np.float64(step + 1.0)))

    def init(self, target: Target, x0: Sequence[Array]) -> State:
        point = tuple(x0)
        return self._at(target, 0, point, self.slots(target, point))

    def slots(self, target: Target, point: Point) -> dict[str, Array]:
        """The optimizer's slots before the first step."""
        return {
            f"slot/{name}/{i}": np.asarray(value, dtype=target.dtype)
            for name, values in self.optimizer.init(point).items()
            for i, value in enumerate(values)
        }

    def step(self, target: Target, state: State) -> State:
        memory = state.memory
        point = tuple(memory[f"next/{i}"] for i in range(len(state.x)))
        slots = {name: array for name, array in memory.items() if name.startswith("slot/")}
        return self._at(target, state.step + 1, point, slots)

    def stretch(
        self, target: Target, state: State, best: State | None, count: int, tol: float | None, floor: float | None
    ) -> tuple[State, State | None] | None:
        """Many steps in one call of compiled code; see `tapecli.optimize.method`."""
        if not target.loops(self.optimizer):
            return None
        found = Stretch(target, state, self._whole(target)).taken(best, count, tol, floor)
        return None if found is None else (found.state, found.best)

    def _whole(self, target: Target) -> Steps:
        """The steps of this optimizer on the objective of a target."""
        return Steps(self.optimizer, lambda layout: self.function(target, layout))

    def result(self, state: State) -> Point:
        averages = tuple(state.memory[f"average/{i}"] for i in range(len(state.x)) if f"average/{i}" in state.memory)
        return tuple(self.optimizer.finalize({"average": averages}, state.x))

    def _at(self, target: Target, number: int, point: Point, slots: dict[str, Array]) -> State:
        """The state of step `number`, at `point` with `slots`."""
        count = len(point)
        if target.loops(self.optimizer):
            memory = self.memory(slots, [*point, *slots.values()], count)
            before = State(number - 1, point, math.inf, math.inf, number, memory)
            taken = Stretch(target, before, self._whole(target)).taken(None, 1, None, None)
            if taken is not None:
                return taken.state
        program = self._program(target, slots)
        value, norm, *after = program.run(*point, *slots.values(), number + 1.0)
        return State(number, point, float(value), float(norm), number + 1, self.memory(slots, after, count))

    def memory(self, slots: dict[str, Array], after: list[Array], count: int) -> dict[str, Array]:
        """What a state keeps: the point and the slots `after` the step, and averages from the slots before it."""
        memory = {f"next/{i}": x for i, x in enumerate(after[:count])}
        memory.update(zip(slots, after[count:], strict=True))
        for i in range(count):
            if f"slot/average/{i}" in slots:
                memory[f"average/{i}"] = slots[f"slot/average/{i}"]
        return memory

    def _program(self, target: Target, slots: dict[str, Array]) -> engines.Compiled:
        def arguments() -> list[Argument]:
            own = [Argument(name, x.shape, None) for name, x in slots.items()]
            return [*target.arguments(), *own, Argument("step", (), None)]

        return target.compiled(self.optimizer, lambda: self.function(target, list(slots)), arguments)

    def function(self, target: Target, layout: list[str]) -> Callable[..., list[Any]]:
        """`(*params, *slots, step) -> [value, gradient norm, *new params, *new slots]`: a whole step on values."""
        count = len(target.names)
        objective = target.gradient_function()

        def step(*values: Any) -> list[Any]:
            params, rest, number = list(values[:count]), values[count:-1], values[-1]
            state: dict[str, list[Any]] = {}
            for name, value in zip(layout, rest, strict=True):
                state.setdefault(name.split("/")[1], []).append(value)
            value, *gradients = objective(*params)
            norm = ops.norm(ops.stack(*[ops.norm(g) for g in _projected(target, params, gradients)]))
            after, state = self.optimizer.update(gradients, state, params, number)
            after = [_kept(x, low, high) for x, low, high in zip(after, target.lower, target.upper, strict=True)]
            known = {f"slot/{name}/{i}": x for name, entries in state.items() for i, x in enumerate(entries)}
            return [value, norm, *after, *[known[name] for name in layout]]

        return step


class Steps(NamedTuple):
    """What is repeated: `function(layout)` is the step on values, `(*rows, *params, *slots, step) -> [value, gradient
    norm, *new params, *new slots]`, its slots being those that `layout` names; `key` is what its program is kept by.
    `rows` are what each step is handed of its own, (steps × shape)."""

    key: Any
    function: Callable[[list[str]], Callable[..., list[Any]]]
    rows: Sequence[Array] = ()


class Taken(NamedTuple):
    """The state after steps, the best state so far, and the values of those steps that are handed rows."""

    state: State
    best: State | None
    values: Array | None


class Stretch:
    """Steps of a descent that are repeated without coming back: what is carried from step to step, and the step.

    Beside the method's own state that is the best point so far. All of it is in the run's precision.
    """

    def __init__(self, target: Target, state: State, steps: Steps) -> None:
        self._target = target
        self._state = state
        self._steps = steps
        self._layout = [name for name in state.memory if name.startswith("slot/")]
        self._averages = [name for name in state.memory if name.startswith("average/")]
        self._n = len(state.x)

    def taken(self, best: State | None, count: int, tol: float | None, floor: float | None) -> Taken | None:
        """Up to `count` steps on; None where that is not worth compiling."""
        state, n = self._state, self._n
        known = state if best is None else best
        own = [state.memory[f"next/{i}"] for i in range(n)] + [state.memory[name] for name in self._layout]
        averages = [state.memory[name] for name in self._averages]
        value = math.inf if best is None else best.value
        record = [value, known.gradient_norm, float(known.step), *known.x]
        ends = [math.nan if tol is None else tol, math.nan if floor is None else floor]
        now = [*own, *averages, *ends, float(state.step), state.value, state.gradient_norm, *state.x, *record]
        program = self._target.repeated(self._steps.key, lambda: self._stepping(now))
        if program.engine != "native":
            return None
        after, outs, done = program.run(now, count, self._steps.rows)
        return self._read(after, outs, done, best)

    def _stepping(self, now: Sequence[Any]) -> Stepping:
        carried = [Argument(f"carried {k}", np.shape(x), None) for k, x in enumerate(now)]
        rows = [Argument(f"rows {k}", x.shape[1:], None) for k, x in enumerate(self._steps.rows)]
        return Stepping(self._step, carried, rows)

    def _read(self, after: list[Array], outs: list[Array], done: int, best: State | None) -> Taken:
        n, m, a = self._n, len(self._layout), len(self._averages)
        own, rest = after[: n + m + a], after[n + m + a + 2 :]
        memory = {f"next/{i}": x for i, x in enumerate(own[:n])}
        memory.update(zip((*self._layout, *self._averages), own[n:], strict=True))
        number = self._state.step + done
        state = State(number, tuple(rest[3 : 3 + n]), float(rest[1]), float(rest[2]), number + 1, memory)
        value, norm, when, *point = rest[3 + n :]
        values = outs[0] if outs else None
        if math.isinf(float(value)):
            return Taken(state, best, values)
        return Taken(state, State(int(when), tuple(point), float(value), float(norm), int(when) + 1, {}), values)

    def _step(self, *values: Any) -> list[Any]:
        """`(*carried, *rows) -> (*carried, the value where there are rows, stop)` on values of any kind."""
        n, m, a = self._n, len(self._layout), len(self._averages)
        carried = len(values) - len(self._steps.rows)
        values, rows = values[:carried], values[carried:]
        params, slots, (tol, floor, *rest) = values[:n], values[n : n + m], values[n + m + a :]
        number, (best_value, best_norm, best_number, *best) = rest[0], rest[3 + n :]
        now = number + 1.0
        value, norm, *after = self._steps.function(self._layout)(*rows, *params, *slots, now + 1.0)
        averages = [slots[self._layout.index(f"slot/{name}")] for name in self._averages]
        finite = ops.equal(value - value, 0.0)
        better = ops.logical_and(ops.less_equal(value, best_value), finite)
        stop = ops.logical_not(ops.logical_and(finite, ops.equal(norm - norm, 0.0)))
        stop = ops.logical_or(stop, ops.logical_or(ops.less_equal(norm, tol), ops.less_equal(value, floor)))
        record = [
            ops.where(better, new, old)
            for new, old in zip((value, norm, now, *params), (best_value, best_norm, best_number, *best), strict=True)
        ]
        told = [value] if rows else []
        return [*after, *averages, tol, floor, now, value, norm, *params, *record, *told, stop]


def _kept(x: Any, low: Array | None, high: Array | None) -> Any:
    """`x` within its bounds."""
    if low is None and high is None:
        return x
    return ops.clip(x, -math.inf if low is None else low, math.inf if high is None else high)


def _projected(target: Target, params: Sequence[Any], gradients: Sequence[Any]) -> list[Any]:
    """The gradients, without what points out of the bounds where a variable lies on them."""
    result = []
    for x, g, low, high in zip(params, gradients, target.lower, target.upper, strict=True):
        if low is not None:
            g = ops.where(ops.logical_and(ops.less_equal(x, low), ops.less(0.0, g)), 0.0, g)
        if high is not None:
            g = ops.where(ops.logical_and(ops.less_equal(high, x), ops.less(g, 0.0)), 0.0, g)
        result.append(g)
    return result
