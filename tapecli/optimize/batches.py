"""Mini-batches: which rows a step takes, and the method that steps on them.

The order of the rows is a pure function of seed and epoch, so a run needs no state of a random generator: the number of
a step says which rows it took. Rows are shuffled as data too large for memory can be: stretches of neighbouring rows
are drawn in random order, a few of them are put together, and the rows of these are shuffled. Up to
`POOL * STRETCH` rows that is a shuffle of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.optimize.descent import Descent, Steps, Stretch, Taken
from tapecli.optimize.method import STOPS, Frozen, Point, State
from tapecli.optimize.target import Target

#: Neighbouring rows that are drawn together, and how many such stretches are shuffled with one another.
STRETCH, POOL = 8192, 8
#: Entries of data that are handed to compiled code at once.
BLOCK = 1 << 18


class Shuffle:
    """The rows 0..count-1 in another random order for each epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self._pools: dict[tuple[int, int], Array] = {}
        self._order: tuple[int, Array, Array] | None = None

    def batches(self, epoch: int, begin: int, size: int, count: int) -> Array:
        """The rows of `count` batches of `size` rows from the place `begin` of an epoch's order on (count × size),
        those of a batch in ascending order."""
        stretches, ends = self._stretches(epoch)
        end = begin + size * count
        first, last = np.searchsorted(ends, [begin, end - 1], side="right")
        start = int(ends[first - 1]) if first else 0
        pools = [self._pool(epoch, int(k), stretches) for k in range(first, last + 1)]
        return np.sort(np.concatenate(pools)[begin - start : end - start].reshape(count, size), axis=1)

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
    def key(self) -> tuple[MiniBatches, int]:
        """What the program of a step on as many rows as most have is kept by."""
        return (self, self.size)

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch; the last batch of one may be smaller than the others."""
        return -(-self.source.count // self.size)

    def rate(self, step: int) -> float | None:
        return self.descent.rate(step)

    def init(self, target: Target, x0: Sequence[Array]) -> State:
        point = tuple(x0)
        slots = self.descent.slots(target, point)
        memory = self.descent.memory(slots, [*point, *slots.values()], len(point))
        memory |= {f"best/{i}": x for i, x in enumerate(point)}
        memory |= {"best_mean": np.asarray(np.inf), "sum": np.asarray(0.0)}
        return self._onwards(target, State(-1, point, math.inf, math.inf, 0, memory), None, 1, None)[0]

    def step(self, target: Target, state: State) -> State:
        return self._onwards(target, state, None, 1, None)[0]

    def stretch(
        self, target: Target, state: State, best: State | None, count: int, tol: float | None, floor: float | None
    ) -> tuple[State, State | None] | None:
        """Many steps in one call of compiled code, up to the end of an epoch; see `tapecli.optimize.method`."""
        if not target.loops(self.key):
            return None
        return self._onwards(target, state, best, count, floor)

    def result(self, state: State) -> Point:
        return self.descent.result(state)

    def rows(self, number: int, count: int = 1) -> Array:
        """The rows of steps from `number` on, counted from 0, that see as many rows each (count × rows)."""
        epoch, k = divmod(number, self.per_epoch)
        begin = k * self.size
        return self.shuffle.batches(epoch, begin, min(self.size, self.source.count - begin), count)

    def _alike(self, number: int) -> int:
        """How many steps from `number` on may be taken at once: they lie in one epoch, see as many rows each, and take
        no more memory than a block."""
        left = self.source.count // self.size - number % self.per_epoch
        entries = sum(math.prod(shape) for shape in self.source.shapes(self.size))
        return max(1, min(left, BLOCK // max(entries, 1)))

    def _onwards(
        self, target: Target, before: State, best: State | None, count: int, floor: float | None
    ) -> tuple[State, State | None]:
        """One step on from a state, or up to `count` where they can be taken at once."""
        number = before.step + 1
        kept, stop = self._turned(target, before)
        count = 1 if stop else min(count, self._alike(number))
        rows = self.rows(number, count)
        size = rows.shape[1]
        batch = [array.reshape(*rows.shape, *array.shape[1:]) for array in self.source.take(rows.reshape(-1))]
        steps = Steps((self, size), lambda layout: self._function(target, size, layout), batch)
        taken = None
        if size == self.size and target.loops(steps.key):
            taken = Stretch(target, before, steps).taken(best, count, None, floor)
        if taken is None:
            taken = self._alone(target, before, best, steps)
        assert taken.values is not None
        total = kept["sum"]
        for value in taken.values:
            total = np.float64(total + float(value) * size)
        memory = {**taken.state.memory, **kept, "sum": total}
        return taken.state._replace(memory=memory, stop=stop), taken.best

    def _turned(self, target: Target, before: State) -> tuple[dict[str, Any], int]:
        """What is kept of epochs before the next step, and whether the method is done, as `State.stop`."""
        number, memory = before.step + 1, before.memory
        kept: dict[str, Any] = {x: array for x, array in memory.items() if x.startswith("best") or x == "sum"}
        if number == 0 or number % self.per_epoch:
            return kept, 0
        point = [memory[f"next/{i}"] for i in range(len(before.x))]
        mean = kept["sum"] / self.source.count
        if mean <= kept["best_mean"]:
            kept |= {f"best/{i}": x for i, x in enumerate(point)} | {"best_mean": mean}
        kept["sum"] = np.float64(0.0)
        done = self.tol is not None and self.source.total(target, point)[1] <= self.tol
        return kept, STOPS.index("gradient_tolerance") if done else 0

    def _alone(self, target: Target, before: State, best: State | None, steps: Steps) -> Taken:
        """One step by a program of its own."""
        number, memory = before.step + 1, before.memory
        point = tuple(memory[f"next/{i}"] for i in range(len(before.x)))
        slots = {name: array for name, array in memory.items() if name.startswith("slot/")}

        def arguments() -> list[Argument]:
            rows = [Argument(f"rows {i}", array.shape[1:], None) for i, array in enumerate(steps.rows)]
            own = [Argument(name, x.shape, None) for name, x in slots.items()]
            return [*rows, *target.arguments(), *own, Argument("step", (), None)]

        program = target.compiled(steps.key, lambda: steps.function(list(slots)), arguments)
        value, norm, *after = program.run(*[a[0] for a in steps.rows], *point, *slots.values(), number + 1.0)
        state = State(
            number, point, float(value), float(norm), number + 1, self.descent.memory(slots, after, len(point))
        )
        return Taken(state, best, np.asarray([value]))

    def _function(self, target: Target, size: int, layout: list[str]) -> Callable[..., list[Any]]:
        """`(*rows, *params, *slots, step) -> [value, gradient norm, *new params, *new slots]` for `size` rows."""
        objective, n = self.source.objective(size), len(self.source.shapes(size))

        def step(*values: Any) -> list[Any]:
            whole = target.with_function(lambda *xs: objective(*values[:n], *xs))
            return self.descent.function(whole, layout)(*values[n:])

        return step
