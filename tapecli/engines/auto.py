"""The choice between the NumPy program and compiled code, by the work that is done.

Compiling costs about as much as 0.15 s of work. So the NumPy program runs until it has taken that long altogether (then
the whole is at most twice the best choice), or machine code from the start where more work than that is announced, or
where the cache has it and one run is worth loading it.
"""

from __future__ import annotations

import time
from typing import Any

from tapecli.core import Array
from tapecli.engines import How
from tapecli.engines.traced import Traced

#: What compiling is worth, and what loading from the cache is worth, in seconds of NumPy's work.
COMPILE, LOAD = 0.15, 0.01
#: Graphs of more nodes than this are not compiled unasked: that would take long.
NODES = 5000


class Automatic:
    """Runs a traced function, by NumPy at first."""

    def __init__(self, traced: Traced, runs: int, how: How) -> None:
        self._traced = traced
        self._how = how
        self._spent = 0.0
        self._native: Any = None
        self._open = len(traced.outputs[0].graph.nodes) <= NODES if traced.outputs else False
        ahead = traced.seconds * runs
        if ahead > COMPILE:
            self._compile()
        elif ahead > LOAD and not how.steady:
            self._compile(cached=True)
        self._open = self._open and not how.steady

    traces = 1

    @property
    def program(self) -> Any:
        return self._traced.program if self._native is None else self._native.program

    @property
    def engine(self) -> str:
        return "numpy" if self._native is None else "native"

    @property
    def run(self) -> Any:
        return self._measured if self._native is None else self._native.run

    def _measured(self, *arrays: Any) -> list[Array]:
        begin = time.perf_counter()
        result: list[Array] = self._traced.program.run(*arrays)
        self._spent += time.perf_counter() - begin
        if self._spent > COMPILE:
            self._compile()
        return result

    def _compile(self, cached: bool = False) -> None:
        """Takes machine code where it can be had; `cached`: only where the cache has it."""
        if not self._open:
            return
        from tapecli.engines import native

        if not native.ready(quiet=True):
            self._open = False
            return
        self._native = native.compiled(self._traced, self._how, cached)
