"""Steps that are repeated: by one call a step, or in one call of compiled code for many."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.engines import Compiled, Fixed, How, Repeated, Run
from tapecli.engines.auto import COMPILE, LOAD, NODES
from tapecli.engines.traced import Traced
from tapecli.records import NamedTuple


class Sizes(NamedTuple):
    """How many arguments of a step are its state, and how many are rows; the others are shared."""

    state: int
    rows: int


class Stepwise:
    """Calls a compiled step once for each step."""

    def __init__(self, compiled: Compiled, sizes: Sizes) -> None:
        self._compiled = compiled
        self._state = sizes.state
        self.traces = compiled.traces

    @property
    def engine(self) -> str:
        return self._compiled.engine

    def run(self, state: Sequence[Any], count: int, rows: Sequence[Array] = (), shared: Sequence[Any] = ()) -> Run:
        now: list[Array] = list(state)
        outs: list[list[Array]] = []
        for done in range(count):
            *results, stop = self._compiled.run(*now, *[row[done] for row in rows], *shared)
            now = results[: self._state]
            outs.append(results[self._state :])
            if stop:
                break
        return Run(now, [np.array(column) for column in zip(*outs, strict=True)], len(outs))


class Native:
    """A loop in compiled code."""

    traces = 1
    engine = "native"

    def __init__(self, steps: Any) -> None:
        self.run = steps.run


class Automatic:
    """Calls the NumPy program until the work pays for compiled code; see `tapecli.engines.auto`."""

    traces = 1

    def __init__(self, traced: Traced, sizes: Sizes, steps: int, how: How) -> None:
        self._traced = traced
        self._sizes = sizes
        self._how = how
        self._spent = 0.0
        self._now: Repeated = Stepwise(Fixed(traced.program.run, 1, traced.program, "numpy"), sizes)
        self._open = len(traced.outputs[0].graph.nodes) <= NODES
        ahead = traced.seconds * steps
        if ahead > (COMPILE if how.steady else LOAD):
            self._compile(cached=ahead <= COMPILE)
        self._open = self._open and not how.steady

    @property
    def engine(self) -> str:
        return self._now.engine

    def run(self, state: Sequence[Any], count: int, rows: Sequence[Array] = (), shared: Sequence[Any] = ()) -> Run:
        if not self._open:
            return self._now.run(state, count, rows, shared)
        parts = [Run(list(state), [], 0)]
        done = 0
        while done < count:  # a stretch at a time, to see what the steps cost
            begin = time.perf_counter()
            stretch = min(count - done, max(1, done)) if self._open else count - done
            parts.append(self._now.run(parts[-1].state, stretch, [row[done:] for row in rows], shared))
            done += parts[-1].done
            if parts[-1].done < stretch:
                break
            self._spent += time.perf_counter() - begin
            if self._open and self._spent > COMPILE:
                self._compile(cached=False)
        outs = [np.concatenate(column) for column in zip(*[part.outs for part in parts[1:]], strict=True)]
        return Run(parts[-1].state, outs, done)

    def _compile(self, cached: bool) -> None:
        from tapecli.engines import native

        if not self._open:
            return
        if not native.ready(quiet=True):
            self._open = False
            return
        found = _compiled(self._traced, self._sizes, self._how, cached)
        if found is not None:
            self._now, self._open = found, False


def _compiled(traced: Traced, sizes: Sizes, how: How, cached: bool = False) -> Repeated | None:
    """The step in compiled code; None where `cached` asks for what the cache has, and it has nothing."""
    from tapecli.engines import native

    steps = native.repeated(traced, sizes, how, cached)
    if steps is not None:
        return Native(steps)
    made = native.compiled(traced, how, cached)
    return None if made is None else Stepwise(Fixed(*made, "native"), sizes)


def of_graph(name: str, traced: Traced, sizes: Sizes, steps: int, how: How) -> Repeated:
    """A traced step made to run again and again by one of the engines that trace."""
    if name == "auto":
        return Automatic(traced, sizes, steps, how)
    if name == "native":
        from tapecli.engines import native

        if native.ready():
            found = _compiled(traced, sizes, how)
            assert found is not None
            return found
    return Stepwise(Fixed(traced.program.run, 1, traced.program, "numpy"), sizes)
