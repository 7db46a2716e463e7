"""The loop of a first-order method: one traced step, run until something says stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapecli import engines, ops
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.optimize.first_order import Optimizer

#: Without a tolerance of the user's: the gradient that counts as evidence of a stationary point, relative to the value.
EVIDENCE = 1e-6


class Task(NamedTuple):
    """What is to be minimised. `objective` maps values to `[value, gradients…]`; `names` and `starts` are the
    variables, `lower` and `upper` their bounds (None where there are none)."""

    objective: Callable[..., list[Any]]
    names: tuple[str, ...]
    starts: tuple[Array, ...]
    lower: tuple[Array | None, ...]
    upper: tuple[Array | None, ...]
    dtype: Any
    engine: str


class Limits(NamedTuple):
    """When to stop: after `steps`, at a gradient norm of `tol` or less, after `timeout` seconds."""

    steps: int
    tol: float | None
    timeout: float | None


class Ending(NamedTuple):
    """How a loop ended: the last point and the best finite one."""

    stop_reason: str
    steps: int
    evaluations: int
    value: float
    gradient_norm: float
    at: tuple[Array, ...]
    best_value: float
    best_at: tuple[Array, ...]
    traces: int


def step_function(task: Task, optimizer: Optimizer, slots: dict[str, list[Any]]) -> Callable[..., list[Any]]:
    """`(*params, *slots, step) -> [value, gradient norm, *new params, *new slots]`: a whole step on values."""
    count, layout = len(task.names), [(name, len(values)) for name, values in slots.items()]

    def step(*values: Any) -> list[Any]:
        params, rest, number = list(values[:count]), list(values[count:-1]), values[-1]
        state: dict[str, list[Any]] = {}
        for name, length in layout:
            state[name], rest = rest[:length], rest[length:]
        value, *gradients = task.objective(*params)
        norm = ops.norm(ops.stack(*[ops.norm(g) for g in _projected(task, params, gradients)]))
        after, state = optimizer.update(gradients, state, params, number)
        after = [_kept(x, low, high) for x, low, high in zip(after, task.lower, task.upper, strict=True)]
        return [value, norm, *after, *[x for name, _ in layout for x in state[name]]]

    return step


def _kept(x: Any, low: Array | None, high: Array | None) -> Any:
    """`x` within its bounds."""
    if low is None and high is None:
        return x
    return ops.clip(x, -math.inf if low is None else low, math.inf if high is None else high)


def _projected(task: Task, params: Sequence[Any], gradients: Sequence[Any]) -> list[Any]:
    """The gradients, without what points out of the bounds where a variable lies on them."""
    result = []
    for x, g, low, high in zip(params, gradients, task.lower, task.upper, strict=True):
        if low is not None:
            g = ops.where(ops.logical_and(ops.less_equal(x, low), ops.less(0.0, g)), 0.0, g)
        if high is not None:
            g = ops.where(ops.logical_and(ops.less_equal(high, x), ops.less(g, 0.0)), 0.0, g)
        result.append(g)
    return result


def run(
    task: Task, optimizer: Optimizer, limits: Limits, see: Callable[[int, float, float, tuple[Array, ...]], None] | None
) -> Ending:
    """Steps until a limit, a tolerance, an interrupt or a number that is not finite. `see` is told of every step."""
    params = [
        _start(x, low, high, task.dtype) for x, low, high in zip(task.starts, task.lower, task.upper, strict=True)
    ]
    slots = {name: [np.asarray(x, dtype=task.dtype) for x in values] for name, values in optimizer.init(params).items()}
    state = [*params, *[x for values in slots.values() for x in values]]
    arguments = [Argument(f"state {i}", x.shape, None) for i, x in enumerate(state)] + [Argument("step", (), None)]
    compiled = engines.compile(task.engine, step_function(task, optimizer, slots), arguments, task.dtype)
    count, deadline = len(params), math.inf if limits.timeout is None else time.monotonic() + limits.timeout
    number, reason = 0, "steps"
    best: tuple[float, tuple[Array, ...]] = (math.inf, tuple(params))
    value = norm = math.nan
    point = tuple(params)
    try:
        while True:
            value_array, norm_array, *after = compiled.run(*state, number + 1.0)
            value, norm, point = float(value_array), float(norm_array), tuple(state[:count])
            if value <= best[0]:  # of equal values the later point is the one that descent ended at
                best = (value, point)
            if see is not None:
                see(number, value, norm, point)
            stop = _stop(limits, number, value, norm, deadline)
            if stop is not None:
                reason = stop
                break
            state = after
            number += 1
    except KeyboardInterrupt:
        reason = "interrupted"
    if reason == "steps" and limits.steps == number:
        point = tuple(optimizer.finalize(_named(slots, state[count:]), list(point)))
    return Ending(reason, number, number + 1, value, norm, point, best[0], best[1], compiled.traces)


def _stop(limits: Limits, number: int, value: float, norm: float, deadline: float) -> str | None:
    if not (math.isfinite(value) and math.isfinite(norm)):
        return "nonfinite"
    if limits.tol is not None and norm <= limits.tol:
        return "gradient_tolerance"
    if number >= limits.steps:
        return "steps"
    return "timeout" if time.monotonic() > deadline else None


def _start(x: Array, low: Array | None, high: Array | None, dtype: Any) -> Array:
    return np.asarray(_kept(np.asarray(x, dtype=dtype), low, high), dtype=dtype)


def _named(slots: dict[str, list[Any]], values: Sequence[Array]) -> dict[str, list[Array]]:
    rest, named = list(values), {}
    for name, known in slots.items():
        named[name], rest = rest[: len(known)], rest[len(known) :]
    return named
