"""Engines: ways to run a function on values. Each turns a function into a callable on arrays.

`tape` runs the function itself, eagerly. `numpy` runs it once on graph nodes, simplifies the graph and plays that back
with its buffers reused. Both call the same ops in the same order, so they agree bit for bit where no rewrite applies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from tapecli.core import Array, Shape
from tapecli.errors import TapeError

Function: TypeAlias = Callable[..., Any]


class Argument(NamedTuple):
    """An argument of a function to be compiled; `value` is given where it is the same in every call."""

    name: str
    shape: Shape
    value: Array | None


class Compiled(NamedTuple):
    """What an engine made of a function. `run(*arrays)` takes the arguments without a fixed value, in order.

    `traces` counts how often the function itself was run on symbols (0 for the eager tape); `program` shows the result
    of tracing, where there is one.
    """

    run: Callable[..., list[Array]]
    traces: int
    program: Any


def compile(name: str, f: Function, arguments: Sequence[Argument], dtype: Any) -> Compiled:
    """`f` (a function on values that returns a list of values) made to run on arrays by the engine `name`."""
    if name == "tape":
        from tapecli.engines import tape

        return tape.compile(f, arguments, dtype)
    if name == "numpy":
        from tapecli.engines import numpy as engine

        return engine.compile(f, arguments, dtype)
    if name == "native":
        raise TapeError("unsupported", "the native engine is not part of this version", hint="use --engine numpy")
    raise TapeError("usage", f"there is no engine {name!r}", hint="engines are auto, tape and numpy")
