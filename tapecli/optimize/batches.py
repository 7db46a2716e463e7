"""Mini-batches: which rows a step takes, and the method that steps on them.

The order of the rows is a pure function of seed and epoch, so a run needs no state of a random generator: the number of
a step says which rows it took. Rows are shuffled as data too large for memory can be: stretches of neighbouring rows
are drawn in random order, a few of them are put together, and the rows of these are shuffled. Up to
`POOL * STRETCH` rows that is a shuffle of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tapecli import engines
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.optimize.descent import Descent
from tapecli.optimize.method import STOPS, Frozen, Point, State
from tapecli.optimize.target import Target

#: Neighbouring rows that are drawn together, and how many such stretches are shuffled with one another.
STRETCH, POOL = 8192, 8


class Shuffle:
    """The rows 0..count-1 in another random order for each epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self._pools: dict[tuple[int, int], Array] = {}
        self._order: tuple[int, Array, Array] | None = None

    def rows(self, epoch: int, begin: int, end: int) -> Array:
        """The rows at the places `begin..end` (end excluded) of an epoch's order, in ascending order."""
        stretches, ends = self._stretches(epoch)
        first, last = np.searchsorted(ends, [begin, end - 1], side="right")
        start = int(ends[first - 1]) if first else 0
        pools = [self._pool(epoch, int(k), stretches) for k in range(first, last + 1)]
        return np.sort(np.concatenate(pools)[begin - start : end - start])

    def _stretches(self, epoch: int) -> tuple[Array, Array]:
        """The stretches of an epoch in their order, and where each pool ends."""
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(-(-self.count // STRETCH))
            sizes = np.minimum((order + 1) * STRETCH, self.count) - order * STRETCH
            self._order = epoch, order, np.cumsum(np.add.reduceat(sizes, np.arange(0, len(sizes), POOL)))
        return self._order[1:]

    def _pool(self, epoch: int, k: int, stretches: Array) -> Array:
        key = (epoch, k)
        if key not in self._pools:
            parts = [
                np.arange(one * STRETCH, min((one + 1) * STRETCH, self.count))
                for one in stretches[k * POOL : (k + 1) * POOL]
            ]
            while len(self._pools) > 1:
                self._pools.pop(next(iter(self._pools)))
            self._pools[key] = np.random.default_rng([self.seed, epoch, k + 1]).permutation(np.concatenate(parts))
        return self._pools[key]


class Source(Protocol):
    """Where batches come from: the objective of `size` rows as a function on values, and arrays of rows.

    objective   `size -> function(rows…, variables…)`, `rows` being one value for each array of `take`
    shapes      the shapes of those values for a size
    take        the rows with these numbers, in the run's precision
    total       objective and gradient of all rows
    """

    @property
    def count(self) -> int: ...

    def objective(self, size: int) -> Callable[..., Any]: ...

    def shapes(self, size: int) -> list[tuple[int, ...]]: ...

    def take(self, rows: Array) -> list[Array]: ...

    def total(self, target: Target, point: Sequence[Array]) -> tuple[float, float]: ...


class MiniBatches(Frozen):
    """A first-order optimizer that sees `size` rows at each step.

    Value and gradient norm of a state are those of its batch. At the end of an epoch the mean of its batches' values
    decides whether its last point is the best so far: memory has it as `best/i`, with the mean in `best_mean`, and the
    sum so far in `sum`. A tolerance is tested there too, by the gradient of all rows.
    """

    __slots__ = ("descent", "name", "shuffle", "size", "source", "tol", "wanders")
    descent: Descent
    name: str
    shuffle: Shuffle
    size: int
    source: Source
    tol: float | None
    wanders: bool

    def __init__(self, descent: Descent, source: Source, size: int, seed: int, tol: float | None) -> None:
        shuffle = Shuffle(source.count, seed)
        self._set(
            descent=descent, source=source, size=min(size, source.count), shuffle=shuffle, tol=tol,
            name=descent.name, wanders=True,
        )  # fmt: skip

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the last batch of one may be smaller than the others."""
        return -(-self.source.count // self.size)

    def rate(self, step: int) -> float | None:
        return self.descent.rate(step)

    def init(self, target: Target, x0: Sequence[Array]) -> State:
        point = tuple(x0)
        memory = {f"best/{i}": x for i, x in enumerate(point)}
        memory |= {"best_mean": np.asarray(np.inf), "sum": np.asarray(0.0)}
        return self._at(target, 0, point, self.descent.slots(target, point), memory)

    def step(self, target: Target, state: State) -> State:
        memory = dict(state.memory)
        point = tuple(memory[f"next/{i}"] for i in range(len(state.x)))
        slots = {name: array for name, array in memory.items() if name.startswith("slot/")}
        kept = {name: array for name, array in memory.items() if name.startswith("best") or name == "sum"}
        return self._at(target, state.step + 1, point, slots, kept)

    def result(self, state: State) -> Point:
        return self.descent.result(state)

    def rows(self, number: int) -> Array:
        """The rows of step `number`, counted from 0."""
        epoch, k = divmod(number, self.per_epoch)
        return self.shuffle.rows(epoch, k * self.size, min((k + 1) * self.size, self.source.count))

    def _at(self, target: Target, number: int, point: Point, slots: dict[str, Array], kept: dict[str, Any]) -> State:
        stop = 0
        if number and number % self.per_epoch == 0:
            mean = kept["sum"] / self.source.count
            if mean <= kept["best_mean"]:
                kept |= {f"best/{i}": x for i, x in enumerate(point)} | {"best_mean": mean}
            kept["sum"] = np.float64(0.0)
            if self.tol is not None and self.source.total(target, point)[1] <= self.tol:
                stop = STOPS.index("gradient_tolerance")
        rows = self.rows(number)
        program = self._program(target, slots, len(rows))
        value, norm, *after = program.run(*self.source.take(rows), *point, *slots.values(), number + 1.0)
        kept["sum"] = np.float64(kept["sum"] + float(value) * len(rows))
        memory = self.descent.memory(slots, after, len(point)) | kept
        return State(number, point, float(value), float(norm), number + 1, memory, stop=stop)

    def _program(self, target: Target, slots: dict[str, Array], size: int) -> engines.Compiled:
        shapes = self.source.shapes(size)

        def arguments() -> list[Argument]:
            rows = [Argument(f"rows {i}", shape, None) for i, shape in enumerate(shapes)]
            own = [Argument(name, x.shape, None) for name, x in slots.items()]
            return [*rows, *target.arguments(), *own, Argument("step", (), None)]

        def make() -> Callable[..., list[Any]]:
            objective, layout, n = self.source.objective(size), list(slots), len(shapes)

            def step(*values: Any) -> list[Any]:
                whole = target.with_function(lambda *xs: objective(*values[:n], *xs))
                return self.descent.function(whole, layout)(*values[n:])

            return step

        return target.compiled((self, size), make, arguments)
