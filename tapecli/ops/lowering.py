"""What compiled code makes of the ops that are not elementwise: the values of their field `native`.

Compiled code runs over axes. An entry of an array is named by a `Coord` for each of its dimensions, and an op that only
moves entries (`Moves`) says, given where an entry of its result stands, where that entry of its argument stands. So a
slice, a gather or a transpose that feeds arithmetic costs nothing of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli.core import Shape
from tapecli.records import NamedTuple


class Numbered:
    """The rule of an elementwise op that is a family of functions of the vector library: its parameter `n` says which.
    With other numbers than these the op is left to NumPy."""

    __slots__ = ("_family", "_numbers")

    def __init__(self, family: str, numbers: Sequence[int]) -> None:
        self._family = family
        self._numbers = numbers

    def __call__(self, b: Any, *args: Any, n: int) -> Any:
        return b.call(f"{self._family}_{n}", *args)

    def has(self, n: int) -> bool:
        return n in self._numbers


def compiled(native: Any, params: dict[str, Any]) -> bool:
    """Whether the rule `native` of an elementwise op is one for these parameters."""
    return native.has(**params) if isinstance(native, Numbered) else callable(native)


class Table:
    """Whole numbers by position along an axis, compared by content."""

    __slots__ = ("_hash", "_key", "array")

    def __init__(self, array: Any) -> None:
        self.array = np.ascontiguousarray(array, dtype=np.int64)
        self._key = self.array.tobytes()
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Table) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash


class Coord(NamedTuple):
    """A position along one dimension: `offset + scale*i` for the point i of an axis of `extent` points, or
    `table[i]`; a constant (`offset`) where there is no axis."""

    axis: int | None
    extent: int
    scale: int
    offset: int
    table: Table | None

    def along(self, scale: int, offset: int) -> Coord:
        """The position `scale*self + offset`."""
        if self.table is not None:
            return self._replace(table=Table(scale * self.table.array + offset))
        if self.axis is None:
            return fixed(scale * self.offset + offset)
        return self._replace(scale=scale * self.scale, offset=scale * self.offset + offset)

    def looked_up(self, positions: Any) -> Coord:
        """The position `positions[self]`; what lies outside is brought to the nearest end."""
        array = np.asarray(positions)
        if self.axis is None:
            return fixed(int(array[min(max(self.offset, 0), array.size - 1)]))
        return self._replace(scale=1, offset=0, table=Table(array[np.clip(self.values, 0, array.size - 1)]))

    @property
    def values(self) -> Any:
        """The positions of all points of the axis."""
        if self.table is not None:
            return self.table.array
        return self.offset + self.scale * np.arange(self.extent)

    @property
    def whole(self) -> bool:
        """Whether the position is the point itself."""
        return self.table is None and self.axis is not None and (self.scale, self.offset) == (1, 0)


Coords = tuple[Coord, ...]


def fixed(position: int) -> Coord:
    """The same position everywhere."""
    return Coord(None, 1, 0, position, None)


def points(shape: Shape) -> Coords:
    """The entry itself, where the axes are those of `shape`."""
    return tuple(Coord(axis, n, 1, 0, None) if n != 1 else fixed(0) for axis, n in enumerate(shape))


class Guard(NamedTuple):
    """The condition `low <= position < high`; where it fails the entry is 0."""

    position: Coord
    low: int
    high: int


class Moves(NamedTuple):
    """The entry of the argument at `where(at, shape, **params)`, `shape` being the argument's. The function returns
    coordinates, and a guard or None. `view` says whether NumPy answers with a view of the argument's memory."""

    where: Callable[..., tuple[Coords, Guard | None]]
    view: bool


class View(NamedTuple):
    """The entries of the argument in the same order: the same memory in another shape."""


class Reduces(NamedTuple):
    """The entries along `params["axes"]` combined, beginning with `start`; `combine(b, x, y)` is written with `Lanes`.
    A sum (`combine` None) is compensated."""

    start: float
    combine: Callable[..., Any] | None


class Pieces(NamedTuple):
    """The arguments one after another along an axis; `axis(params)` says which."""

    axis: Callable[[dict[str, Any]], int]


class Scatters(NamedTuple):
    """The entries of the argument added up at the places of an index along an axis."""


class Written(NamedTuple):
    """`formula(dtype, *args, **params)` in other ops, or None where the op is left to NumPy."""

    formula: Callable[..., Any]


class Repeats(NamedTuple):
    """A body run once for each row."""


def swapped(at: Coords, axis: int, coord: Coord) -> Coords:
    """`at` with another coordinate along `axis`."""
    return (*at[:axis], coord, *at[axis + 1 :])


def broadcast_from(at: Coords, shape: Shape) -> Coords:
    """Where the entry of an array of `shape` stands that broadcasting repeats at `at`."""
    kept = at[len(at) - len(shape) :]
    return tuple(fixed(0) if n == 1 else c for c, n in zip(kept, shape, strict=True))


def spread(at: Coord, n: int, start: int, step: int) -> tuple[Coord, Guard]:
    """Where the entry stands that `start + step*k` places at `at`, for k in 0..n-1; elsewhere the guard fails."""
    if step == 1:
        source = at.along(1, -start)
    elif step == -1:
        source = at.along(-1, start)
    else:
        k, rest = np.divmod(at.values - start, step)
        spots = np.where((rest == 0) & (k >= 0) & (k < n), k, -1)
        source = fixed(int(spots[0])) if at.axis is None else at._replace(scale=1, offset=0, table=Table(spots))
    return source, Guard(source, 0, n)
