"""Engines: ways to run a function on values. Each turns a function into a callable on arrays.

`tape` runs the function itself, eagerly. `numpy` runs it once on graph nodes, simplifies the graph and plays that back
with its buffers reused. `native` makes machine code of the same graph. All call the same ops in the same order, so they
agree bit for bit where no rewrite applies and no sum is taken. `auto` begins with `numpy` and takes `native` where the
work pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tapecli.core import Array, Shape
from tapecli.errors import TapeError
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.engines.traced import Traced

Function: TypeAlias = Callable[..., Any]
#: What --engine takes.
NAMES = ("auto", "tape", "numpy", "native")


class How(NamedTuple):
    """How machine code is made and run: on how many threads at most (None: all cores), whether the cache on disk is
    used, and whether `auto` goes by the work alone and not by time and cache (`steady`), so that runs repeat to the
    last bit."""

    threads: int | None = None
    cache: bool = True
    steady: bool = False


DEFAULT = How()


class Argument(NamedTuple):
    """An argument of a function to be compiled; `value` is given where it is the same in every call."""

    name: str
    shape: Shape
    value: Array | None


class Compiled(Protocol):
    """What an engine made of a function. `run(*arrays)` takes the arguments without a fixed value, in order.

    `traces` counts how often the function itself was run on symbols (0 for the eager tape); `program` shows the result
    of tracing, where there is one; `engine` is what runs it at present.
    """

    @property
    def traces(self) -> int: ...

    @property
    def program(self) -> Any: ...

    @property
    def engine(self) -> str: ...

    @property
    def run(self) -> Callable[..., list[Array]]: ...


class Run(NamedTuple):
    """How repeated steps ended: the state then, what each of them put out (steps × shape), and how many they were."""

    state: list[Array]
    outs: list[Array]
    done: int


class Repeated(Protocol):
    """A step that runs again and again. `run(state, count, rows, shared)` takes `count` steps at most and ends after
    the one that says stop. Each step is handed its own entry of the arrays `rows` (count × shape), and the arrays
    `shared` as they are."""

    @property
    def traces(self) -> int: ...

    @property
    def engine(self) -> str: ...

    def run(self, state: Sequence[Any], count: int, rows: Sequence[Array] = (), shared: Sequence[Any] = ()) -> Run: ...


class Fixed(NamedTuple):
    """A function that one engine runs, once and for all."""

    run: Callable[..., list[Array]]
    traces: int
    program: Any
    engine: str


def compile(
    name: str, f: Function, arguments: Sequence[Argument], dtype: Any, runs: int = 1, how: How = DEFAULT
) -> Compiled:
    """`f` (a function on values that returns a list of values) made to run on arrays by the engine `name`.

    `runs` is how often it will be run at least, as far as is known: `auto` goes by it.
    """
    check(name)
    if name == "tape":
        from tapecli.engines import tape

        return tape.compile(f, arguments, dtype)
    from tapecli.engines.traced import trace

    return of_graph(name, trace(f, arguments, dtype), runs, how)


def of_graph(name: str, traced: Traced, runs: int = 1, how: How = DEFAULT) -> Compiled:
    """A traced function made to run by one of the engines that trace."""
    if name == "auto":
        from tapecli.engines.auto import Automatic

        return Automatic(traced, runs, how)
    if name == "native":
        from tapecli.engines import native

        if native.ready():
            made = native.compiled(traced, how)
            assert made is not None
            return Fixed(*made, "native")
    return Fixed(traced.program.run, 1, traced.program, "numpy")


class Stepping(NamedTuple):
    """A step that is to be repeated: `function(*state, *rows, *shared) -> [*state, *outs, stop]`, and its arguments.

    The state is carried from step to step, each step gets one of many `rows`, and all get what is `shared`. A `stop`
    that is not 0 ends the loop after its step.
    """

    function: Function
    state: Sequence[Argument] = ()
    rows: Sequence[Argument] = ()
    shared: Sequence[Argument] = ()

    @property
    def arguments(self) -> list[Argument]:
        return [*self.state, *self.rows, *self.shared]


def repeat(name: str, step: Stepping, dtype: Any, steps: int, how: How = DEFAULT) -> Repeated:
    """A step made to run again and again; `steps` is how often it will be run at most.

    In compiled code the loop itself is compiled, where nothing of the step is left to NumPy.
    """
    check(name)
    from tapecli.engines import repeated

    sizes = repeated.Sizes(len(step.state), len(step.rows))
    if name == "tape":
        from tapecli.engines import tape

        return repeated.Stepwise(tape.compile(step.function, step.arguments, dtype), sizes)
    from tapecli.engines.traced import trace

    return repeated.of_graph(name, trace(step.function, step.arguments, dtype), sizes, steps, how)


def check(name: str) -> None:
    """Raises TapeError where there is no engine `name`."""
    if name not in NAMES:
        raise TapeError("usage", f"there is no engine {name!r}", hint=f"engines are {', '.join(NAMES)}")
