"""What the parts of a loop nest share: where code stands, the axes and their positions, and memory.

Each loop has a stretch of code at its beginning, a *site*; `depth` counts them from the outside. A value that is known
at a depth can be used at every greater one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tapecli.core import Shape
from tapecli.engines.native.ir import Code, Val
from tapecli.engines.native.plan import Stage
from tapecli.ops.lowering import Coord, Coords, Guard


def strides_of(shape: Shape) -> tuple[int, ...]:
    """The distances in entries between neighbours along each dimension, row by row."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


class Place:
    """Memory of a value: a pointer, a distance per dimension, and whether its rows are those of the block alone."""

    __slots__ = ("local", "offset", "pointer", "strides")

    def __init__(self, pointer: Val, strides: tuple[int, ...], local: bool, offset: int = 0) -> None:
        self.pointer = pointer
        self.strides = strides
        self.local = local
        self.offset = offset


class Frame:
    """The state of a stage that is being written.

    lanes, piece     how many lanes whole vectors have, and pieces of vectors that are not whole
    axes             by axis, the present point and the depth at which it is known
    depths           by the name of a value, the depth at which it is known
    memo             values by what they are, forgotten where their site ends
    masked           which lanes count, in pieces
    chunk            the number of the present vector, where those of the last axis are written out
    unrolled         the present points of inner axes that are written out
    assumed          guards that the body takes for granted; `assumptions` counts how often, and `tainted` has the keys
                     of values that rest on that: they hold in one body only
    """

    def __init__(
        self,
        stage: Stage,
        scalar: str,
        sites: list[Code],
        allocate: Callable[[str], Val],
        table: Callable[[Any], Val],
    ) -> None:
        self.stage = stage
        self.scalar = scalar
        self.sites = sites
        self.allocate = allocate
        self.table = table
        self.memo: dict[Any, Val] = {}
        self.depths: dict[str, int] = {}
        self.axes: dict[int, tuple[Val, int]] = {}
        self.local_row: Val | None = None
        self.vector_axis: int | None = None
        self.masked: Val | None = None
        self.chunked = False
        self.chunk: int | None = None
        self.assumed: dict[Guard, None] = {}
        self.assumptions = 0
        self.tainted: set[Any] = set()
        self.unrolled: dict[int, int] = {}
        self.flat = False
        self.inline = False
        self.loops: list[int] = []
        self.inner: tuple[int, ...] = ()
        self.lanes = self.piece = self.extent = 1

    def chunk_numbers(self) -> range:
        return range(-(-self.extent // self.lanes))

    def at_chunk(self, chunk: int | None) -> None:
        """What follows is at a vector of the last axis, the last one masked; None: at none of them."""
        assert self.vector_axis is not None
        self.chunk, self.masked = chunk, None
        if chunk is None:
            del self.axes[self.vector_axis]
            return
        site = self.sites[-1]
        self.axes[self.vector_axis] = (site.constant(chunk * self.lanes, "i64"), 0)
        left = self.extent - chunk * self.lanes
        if left < self.lanes:
            bits = ", ".join(f"i1 {'true' if k < left else 'false'}" for k in range(self.lanes))
            self.masked = Val(site, f"<{bits}>", "i1", self.lanes)

    def leave(self, depth: int) -> None:
        """Forgets the values of a site that ends."""
        self.memo = {
            key: val
            for key, val in self.memo.items()
            if key not in self.tainted and self.depths.get(val.name, 0) < depth
        }
        self.tainted = set()

    def lane_numbers(self) -> Val:
        numbers = ", ".join(f"i64 {k}" for k in range(self.lanes))
        text = f"<{numbers}>" if self.lanes > 1 else "0"
        return Val(self.sites[-1], text, "i64", self.lanes)

    def position(self, c: Coord) -> Val:
        """The position of an affine coordinate at the first lane, as a scalar, at the site where it is known."""
        if c.axis is None:
            return self.sites[0].constant(c.offset, "i64")
        if c.axis in self.unrolled:
            return self.sites[0].constant(c.offset + c.scale * self.unrolled[c.axis], "i64")
        i, depth = self.axes[c.axis]
        return self.scaled(self.move(i, depth), c.scale) + c.offset

    def move(self, val: Val, depth: int) -> Val:
        """The same value, whose operators write at a site."""
        return Val(self.sites[depth], val.name, val.scalar, val.lanes)

    @staticmethod
    def scaled(val: Val, by: int) -> Val:
        return val if by == 1 else val * by

    def address(self, site: Code, pointer: Val, offset: Val) -> Val:
        return site.emit(f"getelementptr {self.scalar}, ptr {pointer.name}, i64 {offset.name}", "ptr")

    def read(self, pointer: Val, lanes: int) -> Val:
        site = self.sites[-1]
        size = 8 if self.scalar == "double" else 4
        typed = self.scalar if lanes == 1 else f"<{lanes} x {self.scalar}>"
        if lanes == 1 or self.masked is None:
            return site.emit(f"load {typed}, ptr {pointer.name}, align {size}", self.scalar, lanes)
        return self.masked_load(pointer, typed, self.scalar, lanes, self.masked, size)

    def masked_load(self, pointer: Val, typed: str, scalar: str, lanes: int, mask: Val, size: int) -> Val:
        site = self.sites[-1]
        tag = {"double": "f64", "float": "f32"}.get(scalar, scalar)
        name = f"@llvm.masked.load.v{lanes}{tag}.p0"
        site.declare(f"declare {typed} {name}(ptr, i32, <{lanes} x i1>, {typed})")
        return site.emit(
            f"call {typed} {name}(ptr {pointer.name}, i32 {size}, {mask.typed}, {typed} zeroinitializer)", scalar, lanes
        )

    def write(self, pointer: Val, value: Val) -> None:
        site = self.sites[-1]
        size = 8 if self.scalar == "double" else 4
        if value.lanes == 1 or self.masked is None:
            site.do(f"store {value.typed}, ptr {pointer.name}, align {size}")
            return
        tag = {"double": "f64", "float": "f32"}[self.scalar]
        name = f"@llvm.masked.store.v{value.lanes}{tag}.p0"
        site.declare(f"declare void {name}({value.type}, ptr, i32, <{value.lanes} x i1>)")
        site.do(f"call void {name}({value.typed}, ptr {pointer.name}, i32 {size}, {self.masked.typed})")

    def scatter_or_store(self, pointer: Val, step: int, value: Val) -> None:
        if value.lanes == 1 or step == 1:
            self.write(pointer, value)
            return
        site = self.sites[-1]
        steps = f"<{', '.join(f'i64 {k * step}' for k in range(value.lanes))}>"
        pointers = site.emit(
            f"getelementptr {self.scalar}, ptr {pointer.name}, <{value.lanes} x i64> {steps}", "ptr", value.lanes
        )
        mask = self.masked if self.masked is not None else site.constant(True, "i1", value.lanes)
        tag = {"double": "f64", "float": "f32"}[self.scalar]
        size = 8 if self.scalar == "double" else 4
        name = f"@llvm.masked.scatter.v{value.lanes}{tag}.v{value.lanes}p0"
        site.declare(f"declare void {name}({value.type}, <{value.lanes} x ptr>, i32, <{value.lanes} x i1>)")
        site.do(f"call void {name}({value.typed}, {pointers.typed}, i32 {size}, {mask.typed})")

    def offset(self, place: Place, at: Coords) -> tuple[Val, int, int]:
        """The distance of an entry from the beginning (of lane 0), the step from lane to lane, and the depth at which
        it is known. Coordinates are affine here."""
        constant, step, depth = place.offset, 0, 0
        terms: list[tuple[Val, int]] = []
        for c, stride in self._flattened(place, at):
            constant += c.offset * stride
            if c.axis is None:
                continue
            if c.axis in self.unrolled:
                constant += c.scale * self.unrolled[c.axis] * stride
                continue
            i, known = self.axes[c.axis]
            if c.axis == 0 and place.local:
                assert self.local_row is not None
                i = self.local_row
            depth = max(depth, known)
            terms.append((i, c.scale * stride))
            if c.axis == self.vector_axis:
                step += c.scale * stride
        site = self.sites[depth]
        offset = site.constant(constant, "i64")
        for i, factor in terms:
            term = self.scaled(self.move(i, depth), factor)
            offset = term if offset.name == "0" else self.move(offset, depth) + term
        if offset.name.startswith("%"):
            self.depths[offset.name] = depth
        return offset, step, depth

    def _flattened(self, place: Place, at: Coords) -> list[tuple[Coord, int]]:
        pairs = list(zip(at, place.strides, strict=True))
        if not self.flat:
            return pairs
        if all(c.axis is None for c in at):
            return pairs
        return [(Coord(0, math.prod(self.stage.domain), 1, 0, None), 1)]

    def put(self, place: Place, offset: Val, step: int, value: Val) -> None:
        pointer = self.address(self.sites[-1], place.pointer, offset)
        self.scatter_or_store(pointer, step, value)

    def vector(self, value: Val) -> Val:
        """`value` in every lane, written where it is known."""
        if value.lanes == self.lanes:
            return self.here(value)
        key = ("splat", value.name, value.scalar, self.lanes)
        known = self.memo.get(key)
        if known is None:
            if not value.name.startswith("%"):
                return Val(self.sites[-1], f"splat ({value.scalar} {value.name})", value.scalar, self.lanes)
            depth = self.depths.get(value.name, 0)
            known = self.sites[depth].splat(value, self.lanes)
            self.remember(key, known, depth)
        return self.here(known)

    def here(self, value: Val) -> Val:
        return Val(self.sites[-1], value.name, value.scalar, value.lanes)

    def remember(self, key: Any, value: Val, depth: int) -> Val:
        self.memo[key] = value
        if value.name.startswith("%"):
            self.depths[value.name] = depth
        return value
