"""The loop that runs any `Method`: limits, stopping, the best point seen, callbacks, interrupts, checkpoints."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tapecli.optimize.method import STOPS, Method, Point, State
from tapecli.optimize.target import Target

#: By how much constraints may be violated at a point that counts as feasible.
FEASIBLE = 1e-6

Hook = Callable[[State], None]
#: Is told of a state and of the best one so far.
Keep = Callable[[State, State | None], None]


class Limits(NamedTuple):
    """When to stop: after `steps`, at a gradient norm of `tol` or less, after `timeout` seconds, at a value of `target`
    or less, after `evaluations`."""

    steps: int
    tol: float | None = None
    timeout: float | None = None
    target: float | None = None
    evaluations: int | None = None


class Ending(NamedTuple):
    """How a loop ended: why, the last state, the state of the best point seen (None where no point was finite), and the
    point to hand out."""

    stop_reason: str
    state: State
    best: State | None
    at: Point


def run(
    method: Method,
    target: Target,
    limits: Limits,
    see: Hook | None = None,
    keep: Keep | None = None,
    state: State | None = None,
    best: State | None = None,
) -> Ending:
    """Steps until a limit, a tolerance, an interrupt, a number that is not finite, or until the method is done.

    `see` is told of every state, the start included, once its step is complete; `keep`, the hook of checkpoints, of the
    same. `state` (and `best`, the best one so far) go on with a run where one was stopped.
    """
    deadline = math.inf if limits.timeout is None else time.monotonic() + limits.timeout
    reason: str | None = None
    with interrupts() as pending, np.errstate(all="ignore"):
        try:
            if state is None:
                state = method.init(target, target.starts)
            while True:
                best = _better(best, state)
                if see is not None:
                    see(state)
                if keep is not None:
                    keep(state, best)
                reason = _stop(limits, state, deadline, pending)
                if reason is not None:
                    break
                state = method.step(target, state)
        except KeyboardInterrupt:
            if state is None:
                raise
            reason = "interrupted"
    at = method.result(state) if reason == "steps" and state.step == limits.steps else state.x
    return Ending(reason, state, best, at)


def finite(state: State) -> bool:
    """Whether value and gradient are numbers."""
    return math.isfinite(state.value) and math.isfinite(state.gradient_norm)


def _better(best: State | None, state: State) -> State | None:
    """The better of two; of equal values the later point is the one that descent ended at."""
    if not math.isfinite(state.value):
        return best
    if best is None:
        return state
    if max(state.violation, best.violation) > FEASIBLE:
        return state if state.violation <= best.violation else best
    return state if state.value <= best.value else best


def _stop(limits: Limits, state: State, deadline: float, pending: list[int]) -> str | None:
    if not finite(state):
        return "nonfinite"
    if limits.tol is not None and state.gradient_norm <= limits.tol and state.violation <= FEASIBLE:
        return "gradient_tolerance"
    if limits.target is not None and state.value <= limits.target and state.violation <= FEASIBLE:
        return "target"
    if state.stop:
        return STOPS[state.stop]
    if pending:
        return "interrupted"
    if state.step >= limits.steps:
        return "steps"
    if limits.evaluations is not None and state.evaluations >= limits.evaluations:
        return "max_evaluations"
    return "timeout" if time.monotonic() > deadline else None


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """While this lasts, the first Ctrl-C is noted in the list, so that the step at work is finished; the second one
    is raised at once. The same holds for SIGTERM where something makes a KeyboardInterrupt of it. Handlers that were
    there are still called: what they raise is held back once. Only the main thread gets signals."""
    pending: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread():
        before = {}

    def note(number: int, frame: Any) -> None:
        handler: Any = before[signal.Signals(number)]
        try:
            handler(number, frame)
        except KeyboardInterrupt:
            if pending:
                raise
            pending.append(number)

    before = {number: handler for number, handler in before.items() if callable(handler)}
    for number in before:
        signal.signal(number, note)
    try:
        yield pending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
