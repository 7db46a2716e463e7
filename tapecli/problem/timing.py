"""`Problem.bench`: how long the engines take on this formula, side by side."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.problem.points import Values
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.problem.evaluations import Derivatives
    from tapecli.problem.facade import Problem

ENGINES = ("tape", "numpy", "native")
#: Seconds that one measurement takes at least, and how many it is the median of at least.
ENOUGH, LEAST = 0.1, 5


class Timed(NamedTuple):
    """One engine on one formula, in seconds. `first` is from the formula as it was read to the first value and
    gradient: tracing and compiling is in it, for compiled code is not taken from the cache on disk. `value` and
    `gradient` (value and gradient together) are medians of further calls, `runs` of them. `ratio` is how often the
    engine's gradient goes into the tape's. `difference` is the greatest one from the tape's, relative to the largest
    entry."""

    engine: str
    first: float
    value: float
    gradient: float
    runs: int
    ratio: float
    difference: float


class Bench(NamedTuple):
    """The engines side by side; `missing` says why an engine is not among them, by its name. `result` is what the tape
    gives, the value and the gradient."""

    result: Derivatives
    of: str
    dtype: str
    at: dict[str, Any]
    entries: int
    engines: tuple[Timed, ...]
    missing: dict[str, str]

    @property
    def engine(self) -> str:
        """The one whose value and gradient come fastest."""
        return min(self.engines, key=lambda timed: timed.gradient).engine


def bench(problem: Problem, at: Values | None, of: str | None) -> Bench:
    """Times the engines there are on the value and the gradient of an output: all of them, or the tape and the one that
    the problem asks for."""
    from tapecli.engines import native

    name, _ = problem._scalar(of, "say --of NAME for one that is a number, or sum it")
    base = problem.compile("tape").derivatives(at=at, of=name)
    asked = problem.runner.engine
    found: list[Timed] = []
    missing: dict[str, str] = {}
    for engine in ENGINES:
        if asked not in ("auto", engine) and engine != "tape":
            continue
        if engine == "native" and (reason := native.lack()) is not None:
            missing[engine] = reason
            continue
        timed = _timed(problem, engine, at, name, base)
        found.append(timed._replace(ratio=(found or [timed])[0].gradient / timed.gradient))
    entries = sum(part.size for part in (base.gradient or {}).values())
    return Bench(base, name, problem.dtype, base.at, entries, tuple(found), missing)


def _timed(problem: Problem, engine: str, at: Values | None, of: str, base: Derivatives) -> Timed:
    compiled = problem.compile(engine)
    # what an earlier run left in the cache would pass for compiling
    compiled.runner.how = problem.runner.how._replace(cache=False)
    start = perf_counter()
    result = compiled.derivatives(at=at, of=of)
    first = perf_counter() - start
    values, _ = _median(lambda: compiled.evaluate(at=at, of=of))
    gradients, runs = _median(lambda: compiled.derivatives(at=at, of=of))
    return Timed(engine, first, values, gradients, runs, 1.0, _difference(result, base))


def _median(call: Callable[[], Any]) -> tuple[float, int]:
    call()
    times: list[float] = []
    end = perf_counter() + ENOUGH
    while len(times) < LEAST or perf_counter() < end:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times), len(times)


def _difference(one: Any, two: Any) -> float:
    """Both not finite at the same entries is no difference."""
    worst = 0.0
    for a, b in [(one.value, two.value), *[(one.gradient[name], two.gradient[name]) for name in one.gradient]]:
        if not a.size:
            continue
        with np.errstate(all="ignore"):
            gap = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
            worst = max(worst, float(np.max(gap) / max(float(np.max(np.abs(b))), 1e-300)))
    return worst
