"""The loop that runs any `Method`: limits, stopping, the best point seen, callbacks, interrupts, checkpoints."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tapecli.optimize.method import STOPS, Method, Point, State
from tapecli.optimize.target import Target
from tapecli.records import NamedTuple

#: By how much constraints may be violated at a point that counts as feasible.
FEASIBLE = 1e-6

#: An objective that has fallen below this many times its size at the start has no bound below (SNOPT and Ipopt end at
#: 1e15 and 1e20; a minimum of a badly scaled problem may lie there).
BOTTOMLESS = -1e30

#: When the loops around the running one have to end. A step may be a loop itself.
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)

Hook = Callable[[State], None]
#: `(target, state, best, count, tol, floor) -> (state, best)`; see `tapecli.optimize.method`.
Stretch = Callable[[Target, State, State | None, int, float | None, float | None], tuple[State, State | None] | None]
#: Is told of a state and of the best one so far.
Keep = Callable[[State, State | None], None]


class Limits(NamedTuple):
    """When to stop: after `steps`, at a gradient norm of `tol` or less, after `timeout` seconds, at a value of `target`
    or less, after `evaluations`; below `floor` the objective counts as unbounded, by default relative to the value that
    the run begins with."""

    steps: int
    tol: float | None = None
    timeout: float | None = None
    target: float | None = None
    evaluations: int | None = None
    floor: float | None = None


def bottom(value: float) -> float:
    """The value below which an objective counts as unbounded that was `value` at the start."""
    return BOTTOMLESS * (1.0 + abs(value)) if math.isfinite(value) else BOTTOMLESS


class OutOfTime(Exception):
    """The time of a loop was over within a step, which is then left out: states are those of whole steps."""


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

    A hook may have a method `ahead(step)`: how many steps it can do without after this one. Where all of them can do
    without, a method that has a `stretch` takes many steps at once, until it is time to look up.

    Raises OutOfTime where this loop is a step of another, whose time is over.
    """
    spell = Spell(method, target)
    around = _deadline.get()
    deadline = math.inf if limits.timeout is None else time.monotonic() + limits.timeout
    entered = _deadline.set(min(around, deadline))
    reason: str | None = None
    with interrupts() as pending, np.errstate(all="ignore"):
        try:
            if state is None:
                state = method.init(target, target.starts)
            if limits.floor is None:
                limits = limits._replace(floor=bottom(state.value))
            while True:
                if time.monotonic() > around:
                    raise OutOfTime
                best = _better(best, state)
                if see is not None:
                    see(state)
                if keep is not None:
                    keep(state, best)
                reason = _stop(limits, state, deadline, pending)
                if reason is not None:
                    break
                state, best = spell.onwards(state, best, limits, _ahead(limits, state, see, keep))
        except KeyboardInterrupt:
            if state is None:
                raise
            reason = "interrupted"
        except OutOfTime:
            if state is None or time.monotonic() > around:
                raise
            reason = "timeout"
        finally:
            _deadline.reset(entered)
    at = method.result(state) if reason == "steps" and state.step == limits.steps else state.x
    return Ending(reason, state, best, at)


class Spell:
    """Steps, one by one or as many at once as the pace of their program allows."""

    def __init__(self, method: Method, target: Target) -> None:
        self._method = method
        self._target = target
        self._stretch: Stretch | None = getattr(method, "stretch", None)
        self._pace = None if self._stretch is None else target.pace(method.key)  # type: ignore[attr-defined]

    def onwards(self, state: State, best: State | None, limits: Limits, count: int) -> tuple[State, State | None]:
        """At most `count` steps on from a state; also the best state after them."""
        if count > 1 and self._stretch is not None and self._pace is not None:
            begin = time.monotonic()
            ends = [end for end in (limits.target, limits.floor) if end is not None]
            floor = max(ends) if ends else None
            taken = self._stretch(self._target, state, best, min(count, self._pace.steps), limits.tol, floor)
            if taken is not None:
                self._pace.took(taken[0].step - state.step, time.monotonic() - begin)
                return taken
            self._stretch = None
        return self._method.step(self._target, state), best


def _ahead(limits: Limits, state: State, *hooks: Any) -> int:
    """How many steps may be taken before anybody has to see one."""
    count = limits.steps - state.step
    if limits.evaluations is not None:
        count = min(count, limits.evaluations - state.evaluations)
    for hook in hooks:
        if hook is not None:
            ahead = getattr(hook, "ahead", None)
            count = min(count, 1 if ahead is None else ahead(state.step))
    return count


def finite(state: State) -> bool:
    """Whether value and gradient are numbers."""
    return math.isfinite(state.value) and math.isfinite(state.gradient_norm)


def unbounded(limits: Limits, state: State) -> bool:
    """Whether the objective has fallen without end, at a point that counts."""
    return limits.floor is not None and state.value < limits.floor and state.violation <= FEASIBLE


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
    if not finite(state) or unbounded(limits, state):
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
