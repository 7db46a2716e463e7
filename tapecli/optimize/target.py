"""`Target`: what is minimised, as compiled functions on arrays with exact derivatives, and its bounds.

Nothing of a run lives here: what is kept are compiled programs. Vectors (`flat`, `split`, and whatever takes or gives
one) hold the entries of all variables in their order, in double precision; the functions themselves compute in the
run's precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli import derive, engines, ops
from tapecli.core import Array, shape_of
from tapecli.engines import DEFAULT, Argument, Compiled, How, Repeated, Stepping
from tapecli.records import NamedTuple
from tapecli.tape import Recording

#: Up to this many entries a Hessian is one program that writes it out; beyond, it is made of products.
UNROLLED = 16
#: How often each function of a target is run, or oftener.
RUNS = 50
#: How long steps that nobody looks at may take together, in seconds; and how many they are at first, and how much more
#: each time at most.
SPELL, FIRST, GROWTH = 0.05, 16, 8


class Residuals(NamedTuple):
    """The objective as a sum over residuals: offset + Σ c²·ρ((r/c)²), plain squares where the loss is `linear`.
    `function` maps values to r, of any shape; `entries` is how many r has; `scale` is c. `exact`
    is whether steps are to begin with the exact quadratic model and not with Gauss and Newton's, which is for residuals
    that get small."""

    function: Callable[..., Any]
    entries: int
    offset: float = 0.0
    loss: str = "linear"
    scale: float = 1.0
    exact: bool = False


class Constraints(NamedTuple):
    """`function` maps values to a vector c; where `equal` is true c is to be 0, elsewhere 0 or less."""

    function: Callable[..., Any]
    equal: Array


class Pace:
    """How many `steps` of a program go together that nobody looks at: as many as take about `SPELL` seconds, by the
    latest ones, of this run or another."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps = FIRST

    def took(self, done: int, seconds: float) -> None:
        """So many steps took so long."""
        more = SPELL / max(seconds, 1e-9)
        if more < 1.0 or done == self.steps:  # fewer steps, for a run had no more, say little
            self.steps = max(1, int(done * min(GROWTH, more)))


class Target:
    """`function` maps values, one for each name, to the number that is minimised. `kinked` is whether its derivatives
    may jump."""

    def __init__(
        self,
        function: Callable[..., Any],
        names: Sequence[str],
        starts: Sequence[Array],
        lower: Sequence[Array | None],
        upper: Sequence[Array | None],
        dtype: Any = np.float64,
        engine: str = "numpy",
        residuals: Residuals | None = None,
        constraints: Constraints | None = None,
        held: Sequence[Array] = (),
        how: How = DEFAULT,
        kinked: bool = False,
    ) -> None:
        self.function = function
        self.names = tuple(names)
        self.dtype = np.dtype(dtype)
        self.engine = engine
        self.how = how
        #: how many steps a run will have, as far as is known: whether compiling pays rests on it
        self.planned = RUNS
        self.lower, self.upper = tuple(lower), tuple(upper)
        self.shapes = tuple(np.shape(x) for x in starts)
        self.sizes = tuple(math.prod(shape) for shape in self.shapes)
        self.size = sum(self.sizes)
        self.residuals = residuals
        self.constraints = constraints
        self.kinked = kinked
        self.held = tuple(np.asarray(a, dtype=self.dtype) for a in held)
        self.low, self.high = self._ends(self.lower, -math.inf), self._ends(self.upper, math.inf)
        #: whether any variable has a bound
        self.bounded = bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())
        self.starts = self._within(starts)
        self._programs: dict[Any, Compiled] = {}
        self._derived: dict[Any, Compiled] = {}
        self._repeats: dict[Any, Repeated] = {}
        self._paces: dict[Any, Pace] = {}
        self._results: dict[str, tuple[int, ...]] = {}
        self._latest: dict[str, tuple[bytes, tuple[Array, Array]]] = {}

    def _ends(self, ends: Sequence[Array | None], none: float) -> Array:
        rows = [
            np.full(shape, none) if end is None else np.broadcast_to(end, shape)
            for end, shape in zip(ends, self.shapes, strict=True)
        ]
        return self.flat(rows)

    def rounding(self, least: float) -> float:
        """A tolerance that is `least` in double precision, and what rounding allows in others."""
        return max(least, 50.0 * float(np.finfo(self.dtype).eps)) if self.dtype != np.float64 else least

    @property
    def traces(self) -> int:
        """How often a function was traced."""
        loops = [program for program in self._repeats.values() if program.engine == "native"]
        every: list[Compiled | Repeated] = [*self._programs.values(), *self._derived.values(), *loops]
        return sum(program.traces for program in every)

    def derived(self, function: Callable[..., Any], x: Array, held: Sequence[Array]) -> Target:
        """Another function of the same variables, and of arrays that are held: `function(*variables, *held)`. Its
        programs are kept here, so that other numbers for what is held cost no compilation."""
        lower, upper = self.lower, self.upper
        other = Target(
            function, self.names, self.split(x), lower, upper, self.dtype, self.engine, held=held, how=self.how
        )
        other._programs = self._derived
        return other

    def begun_at(self, starts: Sequence[Array]) -> Target:
        """The same at other starts; what is compiled is shared."""
        other = Target.__new__(Target)
        other.__dict__.update(self.__dict__)
        other.starts = self._within(starts)
        other._latest = {}
        return other

    def _within(self, starts: Sequence[Array]) -> tuple[Array, ...]:
        """Starts within the bounds, in the run's precision, as arrays of their own."""
        if self.bounded:
            return tuple(self.split(np.clip(self.flat(starts), self.low, self.high)))
        with np.errstate(over="ignore"):
            return tuple([np.array(x, dtype=self.dtype) for x in starts])

    def _inputs(self, x: Array) -> list[Array]:
        return [*self.split(x), *self.held]

    def with_function(self, function: Callable[..., Any]) -> Target:
        """Another objective of the same variables, with programs of its own."""
        starts = self.starts
        return Target(function, self.names, starts, self.lower, self.upper, self.dtype, self.engine, how=self.how)

    # ---- points and vectors ----

    def flat(self, arrays: Sequence[Any]) -> Array:
        """The entries of all variables, one after another."""
        return np.concatenate([np.asarray(a, dtype=np.float64).reshape(-1) for a in arrays])

    def split(self, vector: Array) -> list[Array]:
        """An array for each variable, in the run's precision."""
        if vector.dtype != self.dtype:
            with np.errstate(over="ignore"):
                vector = vector.astype(self.dtype)
        result, begin = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            result.append(vector[begin : begin + size].reshape(shape))
            begin += size
        return result

    def project(self, gradient: Array, x: Array) -> Array:
        """The gradient without what points out of a bound that x lies on."""
        out = ((x <= self.low) & (gradient > 0)) | ((x >= self.high) & (gradient < 0))
        return np.where(out, 0.0, gradient)

    # ---- functions ----

    def compiled(
        self, key: Any, make: Callable[[], Callable[..., list[Any]]], arguments: Callable[[], Sequence[Argument]]
    ) -> Compiled:
        """The program of a function of this target, made when it is first asked for."""
        if key not in self._programs:
            self._programs[key] = engines.compile(self.engine, make(), arguments(), self.dtype, RUNS, self.how)
        return self._programs[key]

    def repeated(self, key: Any, make: Callable[[], Stepping]) -> Repeated:
        """The same of a step that is repeated, about as often as is planned."""
        if key not in self._repeats:
            self._repeats[key] = engines.repeat(self.engine, make(), self.dtype, self.planned, self.how)
        return self._repeats[key]

    def loops(self, key: Any) -> bool:
        """Whether a step may be repeated in compiled code, as far as is known by now."""
        if self.engine not in ("native", "auto"):
            return False
        known = self._repeats.get(key)
        return known is None or known.engine == "native"

    def pace(self, key: Any) -> Pace:
        """The pace of the program of a step that is repeated, as runs before have found it."""
        return self._paces.setdefault(key, Pace())

    @property
    def used(self) -> str:
        """The engine that ran last, as far as it is one."""
        every: list[Compiled | Repeated] = [*self._programs.values(), *self._repeats.values()]
        ran = [program.engine for program in every]
        return "native" if "native" in ran else next(iter(ran), "numpy" if self.engine == "auto" else self.engine)

    def arguments(self, prefix: str = "") -> list[Argument]:
        """One argument for each variable, and for what is held."""
        own = [Argument(prefix + name, shape, None) for name, shape in zip(self.names, self.shapes, strict=True)]
        return own if prefix else own + [Argument(f"held {i}", a.shape, None) for i, a in enumerate(self.held)]

    def gradient_function(self) -> Callable[..., list[Any]]:
        """`values -> [value, gradients…]`, on values of any kind."""
        return derive.gradient(self.function, range(len(self.names)))

    def value(self, x: Array) -> float:
        """The objective at a vector."""
        program = self.compiled("value", lambda: lambda *xs: [self.function(*xs)], self.arguments)
        return float(program.run(*self._inputs(x))[0])

    def gradient(self, x: Array) -> tuple[float, Array]:
        """The objective and its gradient."""
        program = self.compiled("gradient", self.gradient_function, self.arguments)
        value, *parts = program.run(*self._inputs(x))
        return float(value), self.flat(parts)

    def product(self, x: Array, direction: Array) -> Array:
        """The Hessian of the objective times a direction."""
        return self.curvature(("hvp",), self.function, [], x, [], direction)

    def curvature(
        self, key: Any, f: Callable[..., Any], extra: list[Argument], x: Array, arrays: Sequence[Array], along: Array
    ) -> Array:
        """The second derivative of `f(*extra, *variables)` to the variables, times a direction."""
        shift, n = len(extra), len(self.names)
        wrt = range(shift, shift + n)

        def make() -> Callable[..., list[Any]]:
            return lambda *values: _product(f, wrt, values)

        program = self.compiled(key, make, lambda: [*extra, *self.arguments(), *self.arguments("along ")])
        return self.flat(program.run(*arrays, *self._inputs(x), *self.split(along)))

    def hessian(self, x: Array) -> Array:
        """The Hessian of the objective as a symmetric matrix."""
        return self.second("hessian", self.function, [], x, [])

    def second(
        self, key: str, f: Callable[..., Any], extra: list[Argument], x: Array, arrays: Sequence[Array]
    ) -> Array:
        """The second derivatives of `f(*extra, *variables)` to the variables, as a symmetric matrix."""
        n = self.size
        if n > UNROLLED:
            unit = np.eye(n)
            matrix = np.array([self.curvature((key, "hvp"), f, extra, x, arrays, unit[k]) for k in range(n)])
            return np.asarray((matrix + matrix.T) / 2.0)
        shift, count = len(extra), len(self.names)

        def make() -> Callable[..., list[Any]]:
            run = derive.hessian(f, range(shift, shift + count))
            return lambda *values: run(*values)[1 + count :]

        blocks = self.compiled(key, make, lambda: [*extra, *self.arguments()]).run(*arrays, *self._inputs(x))
        rows = []
        for i, size in enumerate(self.sizes):
            row = blocks[i * count : (i + 1) * count]
            rows.append(np.hstack([np.asarray(b, dtype=np.float64).reshape(size, -1) for b in row]))
        matrix = np.vstack(rows) if rows else np.zeros((0, 0))
        return np.asarray((matrix + matrix.T) / 2.0)

    # ---- vector functions ----

    def vector(self, key: str, f: Callable[..., Any], x: Array) -> Array:
        """A function of the variables with any shape, as a vector."""
        program = self.compiled((key, "value"), lambda: lambda *xs: [f(*xs)], self.arguments)
        return np.asarray(program.run(*self._inputs(x))[0], dtype=np.float64).reshape(-1)

    def columns(self, key: str, f: Callable[..., Any], x: Array) -> tuple[Array, Array]:
        """A function and its Jacobian, (entries of f) × (entries of the variables), made column by column. The latest
        answer is kept, since a step begins where the one before it ended."""
        at = x.tobytes()
        if key in self._latest and self._latest[key][0] == at:
            return self._latest[key][1]
        program = self.compiled((key, "columns"), lambda: _columns(f), self.arguments)
        value, *columns = program.run(*self.split(x))
        flat = np.asarray(value, dtype=np.float64).reshape(-1)
        matrix = np.array([np.asarray(c, dtype=np.float64).reshape(-1) for c in columns]).T
        self._latest[key] = (at, (flat, matrix))
        return flat, matrix

    def weighted(self, key: str, f: Callable[..., Any], x: Array, weights: Array) -> Array:
        """The matrix of second derivatives of Σ weights · f, the weights being held."""
        shape = self._shape(key, f, x)

        def total(w: Any, *xs: Any) -> Any:
            return ops.sum(w * f(*xs))

        held = np.asarray(weights, dtype=self.dtype).reshape(shape)
        return self.second(f"{key} weighted", total, [Argument("weights", shape, None)], x, [held])

    def _shape(self, key: str, f: Callable[..., Any], x: Array) -> tuple[int, ...]:
        """The shape of what a function of the variables gives, which is the same everywhere."""
        if key not in self._results:
            program = self.compiled((key, "value"), lambda: lambda *xs: [f(*xs)], self.arguments)
            self._results[key] = np.shape(program.run(*self.split(x))[0])
        return self._results[key]


def _product(f: Callable[..., Any], wrt: range, values: Sequence[Any]) -> list[Any]:
    """The Hessian of f to the arguments `wrt` times a direction, which is the last of the values."""
    xs, directions = values[: -len(wrt)], values[-len(wrt) :]
    result, recording, sources = derive.record(lambda *inner: derive.gradient(f, wrt)(*inner), xs, wrt)
    slope: Any = 0.0
    for g, v in zip(result[1:], directions, strict=True):
        slope = slope + ops.sum(g * v)
    return derive.pullback(slope, recording, sources, derive.ones_like(slope))


def _columns(f: Callable[..., Any]) -> Callable[..., list[Any]]:
    """`values -> [f, its derivative to each entry of each value …]`: the transposes of one sweep back, which is linear
    in its seed. For entrywise formulas a column costs about as much as a run of f, however many entries f has."""

    def run(*xs: Any) -> list[Any]:
        y, inner, sources = derive.record(f, xs, range(len(xs)))
        outer = Recording()
        plain = y.value if inner.owns(y) else y
        seed = derive.zeros_like(plain)
        probe = outer.watch(seed)
        columns = []
        for g in derive.pullback(y, inner, sources, probe):
            for k in range(math.prod(shape_of(g))):
                if outer.owns(g):
                    columns += derive.pullback(g, outer, [probe], derive.basis(g, k))
                else:
                    columns.append(derive.zeros_like(seed))
        return [plain, *columns]

    return run
