"""A minimisation from several starts: points spread over the bounds, shared between processes, and the minima found.

The points are a pure function of seed, bounds and start: the first one is the start itself, and more starts only add
points. Up to `SPREAD` entries they follow the additive recurrence of Roberts (The unreasonable effectiveness of
quasirandom sequences, 2018), the plastic number's, shifted at random; beyond that they are drawn independently.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.optimize.loop import interrupts
from tapecli.problem.results import Found, Minimum, Step

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Up to this many entries points are spread evenly.
SPREAD = 32
#: Two ends are one minimum where value and point agree to this, relative to their size or to 1.
SAME_VALUE, SAME_POINT = 1e-6, 1e-3
#: An end counts as a minimum up to this gradient norm, relative to the value or to 1.
FLAT = {"float64": 1e-4, "float32": 1e-2}
#: Seconds that workers get to end after an interrupt.
PATIENCE = 5.0

Point = dict[str, Array]
#: Minimises from a point, within so many seconds.
Once = Callable[[Point, float | None], Minimum]


class Starts(Sequence[Point]):
    """So many points, each made when it is first asked for: a limit of time counts from the first one."""

    def __init__(self, problem: Problem, at: Mapping[str, Array], count: int, seed: int) -> None:
        self._count = count
        self._made: list[Point] = []
        self._more = points(problem, at, count, seed)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, k: Any) -> Any:
        while k >= len(self._made):
            self._made.append(next(self._more))
        return self._made[k]


def points(problem: Problem, at: Mapping[str, Array], count: int, seed: int) -> Iterator[Point]:
    """The starts, as values by name. A variable with two finite bounds is spread evenly between them; one with one
    bound by a log-normal distance from it, which the start's is the median of; one without by a normal distribution
    around the start, of a standard deviation of the start's size, at least 1."""
    entries = [e for e in problem.formula.inputs.values() if e.kind == "var"]
    starts = {e.name: np.asarray(at.get(e.name, e.value), dtype=np.float64) for e in entries}
    yield {**at, **starts}
    size = sum(x.size for x in starts.values())
    rng = np.random.default_rng([seed, 1])
    shift, alpha = rng.random(size), _alpha(size) if size <= SPREAD else None
    for k in range(1, count):
        u = rng.random(size) if alpha is None else np.modf(shift + k * alpha)[0]
        moved, begin = {}, 0
        for e in entries:
            x = starts[e.name]
            part = np.clip(u[begin : begin + x.size].reshape(x.shape), 1e-9, 1 - 1e-9)
            begin += x.size
            moved[e.name] = _placed(part, x, e.lower, e.upper)
        yield {**at, **moved}


def _alpha(size: int) -> Array:
    """The steps of the recurrence: powers of the root of x^(d+1) = x + 1."""
    root = 2.0
    for _ in range(64):
        root = (1.0 + root) ** (1.0 / (size + 1.0))
    return np.asarray(root ** -np.arange(1.0, size + 1.0))


def _placed(u: Array, x: Array, lower: Array | None, upper: Array | None) -> Array:
    """The entries of one variable for numbers `u` between 0 and 1."""
    low = np.full(x.shape, -np.inf) if lower is None else np.broadcast_to(lower, x.shape)
    high = np.full(x.shape, np.inf) if upper is None else np.broadcast_to(upper, x.shape)
    normal = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])(u) if u.size else u
    below, above = np.isfinite(low), np.isfinite(high)
    with np.errstate(all="ignore"):
        between = low + u * (high - low)
        up = low + np.where(x > low, x - low, 1.0) * np.exp(normal)
        down = high - np.where(x < high, high - x, 1.0) * np.exp(normal)
        around = x + np.maximum(1.0, np.abs(x)) * normal
    return np.asarray(np.where(below & above, between, np.where(below, up, np.where(above, down, around))))


def minimize(
    once: Once,
    starts: Sequence[Point],
    jobs: int,
    timeout: float | None,
    sign: float,
    callback: Callable[[Step], None] | None,
) -> Minimum:
    """The best of all ends, with the minima that were found."""
    begin = time.perf_counter()
    ends: dict[int, Minimum] = {}

    def heard(k: int, end: Minimum) -> None:
        ends[k] = end
        if callback is not None:
            best = _best(ends, sign)
            callback(Step(len(ends), len(starts), best.value, best.gradient_norm, None, best.at))

    jobs = min(jobs, len(starts))
    if jobs > 1 and hasattr(os, "fork"):
        stopped = _shared(once, starts, jobs, timeout, heard)
    else:
        stopped = _in_turn(once, starts, timeout, heard)
    if not ends:
        raise KeyboardInterrupt
    best = _best(ends, sign)
    minima = distinct([ends[k] for k in sorted(ends)], sign)
    return best._replace(
        stop_reason="interrupted" if stopped else best.stop_reason,
        seconds=time.perf_counter() - begin,
        evaluations=sum(end.evaluations for end in ends.values()),
        minima=tuple(minima),
        starts=len(ends),
    )


def _best(ends: Mapping[int, Minimum], sign: float) -> Minimum:
    """The lowest end; of equal ones the first."""
    finite = [k for k in sorted(ends) if math.isfinite(ends[k].value) and ends[k].stop_reason != "nonfinite"]
    return ends[min(finite, key=lambda k: sign * ends[k].value)] if finite else ends[min(ends)]


def distinct(ends: Sequence[Minimum], sign: float) -> list[Found]:
    """The minima among the ends, best first, and how often each was found."""
    ordered = sorted(ends, key=lambda end: sign * end.value if math.isfinite(end.value) else math.inf)
    flat = [
        end
        for end in ordered
        if end.stop_reason != "nonfinite" and end.gradient_norm <= FLAT[end.dtype] * max(1.0, abs(end.value))
    ]
    found: list[Found] = []
    # those found so far, a row each: an end is held against all of them at once
    values = np.empty(len(flat))
    points: Array | None = None
    for end in flat:
        point = np.concatenate([np.ravel(x).astype(np.float64) for x in end.at.values()] or [np.empty(0)])
        if points is None:
            points = np.empty((len(flat), point.size))
        n = len(found)
        same = np.abs(values[:n] - end.value) <= SAME_VALUE * np.maximum(1.0, np.abs(values[:n]))
        same[same] = _near(points[:n][same], point)
        if same.any():
            k = int(np.argmax(same))
            found[k] = found[k]._replace(found=found[k].found + 1)
        else:
            values[n], points[n] = end.value, point
            found.append(Found(end.value, end.at, 1))
    return found


def _near(known: Array, point: Array) -> Array:
    """Which rows agree with a point."""
    near = np.abs(known - point) <= SAME_POINT * np.maximum(1.0, np.abs(known))
    return np.asarray(near.all(axis=1))


def _left(deadline: float) -> float | None:
    return None if deadline == math.inf else max(1e-3, deadline - time.monotonic())


def _in_turn(once: Once, starts: Sequence[Point], timeout: float | None, heard: Callable[[int, Minimum], None]) -> bool:
    """One start after another; whether an interrupt ended that."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    with interrupts() as pending:
        for k in range(len(starts)):
            end = once(starts[k], _left(deadline))
            heard(k, end)
            if pending or end.stop_reason == "interrupted":
                return True
            if time.monotonic() > deadline:
                break
    return False


# ---- several processes ----

#: What a worker works on: set before the fork, so that nothing of a problem has to be sent.
_work: dict[str, Any] = {}


def _begin(once: Once, starts: Sequence[Point], deadline: float) -> None:
    import signal

    _work.update(once=once, starts=starts, deadline=deadline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _one(k: int) -> Minimum:
    """One start in a worker. An interrupt ends the run at hand, and is not heard between two of them."""
    import signal

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end: Minimum = _work["once"](_work["starts"][k], _left(_work["deadline"]))
        return end._replace(trouble=None)  # an error with its place is not sent between processes
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _shared(
    once: Once, starts: Sequence[Point], jobs: int, timeout: float | None, heard: Callable[[int, Minimum], None]
) -> bool:
    """All starts, in worker processes; whether an interrupt ended that."""
    import multiprocessing
    import signal

    deadline = math.inf if timeout is None else time.monotonic() + timeout
    context = multiprocessing.get_context("fork")
    with interrupts() as pending:
        pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(once, starts, deadline))
        futures: dict[Future[Minimum], int] = {pool.submit(_one, k): k for k in range(len(starts))}
        workers = list((pool._processes or {}).values())
        waiting = set(futures)
        try:
            end = math.inf
            while waiting and time.monotonic() < end:
                done, waiting = wait(waiting, 0.1, FIRST_COMPLETED)
                for future in sorted(done, key=futures.__getitem__):
                    if not future.cancelled():
                        heard(futures[future], future.result())
                if end == math.inf and (pending or time.monotonic() > deadline):
                    end = time.monotonic() + PATIENCE
                    waiting = {future for future in waiting if not future.cancel()}
                    for worker in workers if pending else ():
                        if worker.is_alive() and worker.pid:
                            os.kill(worker.pid, signal.SIGINT)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                if waiting:
                    worker.terminate()
                worker.join(1.0)
        return bool(pending)
