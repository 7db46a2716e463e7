"""Loop nests: the code of one stage of a pass.

A stage runs over its domain row by row, vectors along the last axis; over a flat range where all that it reads and
writes lies entry by entry in memory; or with vectors of rows and the short inner axes written out. Values are computed
in the outermost loop in which they are the same: each loop has a stretch of code (a *site*) at its beginning.

The last vector of a range, and vectors that reach beyond what a guard allows, take a second body with masks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from tapecli.core import Shape
from tapecli.engines.native.ir import Code, Lanes, Val
from tapecli.engines.native.lower import calls, domain_points, effective, kind, source, weight
from tapecli.engines.native.plan import Plan, Stage, Task, Use, inlined
from tapecli.graph import LITERAL, Node
from tapecli.ops.lowering import Coord, Coords, Guard, broadcast_from, fixed

#: Inner axes of at most this many entries together are written out, with vectors along the rows.
UNROLL = 48
#: At most so many vectors of the last axis, and instructions for all of them, are written out one after another.
CHUNKS, WRITTEN_OUT = 16, 1500
#: Functions of the vector library are written out in place in stages that have at most this many of them.
INLINE = 80
#: How many of the host's vectors a stage works on at once, by the greatest number of its functions: several chains of
#: dependent instructions fill the processor, and beyond its registers they spill.
VECTORS = ((0, 4), (2, 8), (4, 4), (math.inf, 2))


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


class Nest:
    """Writes one stage. `place(node)` and `target(task)` say where values lie and where results go; `rows` are the
    first row of the block and the one after its last."""

    def __init__(
        self,
        plan: Plan,
        stage: Stage,
        scalar: str,
        width: int,
        sites: list[Code],
        allocate: Callable[[str], Val],
        place: Callable[[Node], Place],
        target: Callable[[Task], Place | None],
        table: Callable[[Any], Val],
        rows: tuple[Val, Val] | None,
    ) -> None:
        self.plan = plan
        self.stage = stage
        self.scalar = scalar
        self.sites = sites
        self.allocate = allocate
        self.place = place
        self.target = target
        self.table = table
        self.rows = rows
        self.inside = {task.node.index for task in stage.tasks if task.what == "value"}
        self.memo: dict[Any, Val] = {}
        self.registers: dict[Any, Val] = {}
        self.depths: dict[str, int] = {}
        self.axes: dict[int, tuple[Val, int]] = {}
        self.local_row: Val | None = None
        self.vector_axis: int | None = None
        self.masked: Val | None = None
        self.chunked = False
        self.chunk: int | None = None
        self.assumed: dict[Guard, None] = {}
        #: how often a guard was taken for granted, and the values that rest on that: they hold in one body only
        self.assumptions = 0
        self.tainted: set[Any] = set()
        self.unrolled: dict[int, int] = {}
        self.flat = self._flat()
        self._shape_of_loops(width)

    # ---- the shape of the loops

    def _flat(self) -> bool:
        """Whether all that the stage touches lies entry by entry in memory, so that one loop does for all axes."""
        domain = self.stage.domain
        if len(domain) < 2:
            return False
        for task in self.stage.tasks:
            if task.what == "reduces" and len(task.reduced) != len(domain):
                return False
            target = self.target(task)
            if task.what != "reduces" and target is not None:
                steps = [s for s, n in zip(target.strides, task.expr.shape, strict=True) if n != 1]
                if tuple(steps) != strides_of(domain):
                    return False
            for use in task.uses:
                if use.guards or not ((use.identity and effective(use.node.shape) == domain) or self._uniform(use)):
                    return False
        return True

    @staticmethod
    def _uniform(use: Use) -> bool:
        return all(c.axis is None for c in use.at)

    def _shape_of_loops(self, width: int) -> None:
        domain = self.stage.domain
        count = sum(calls(task.node) for task in self.stage.tasks if task.what == "value")
        self.inline = count <= INLINE
        lanes = width * next(vectors for most, vectors in VECTORS if count <= most)
        self.loops: list[int] = []
        if self.flat:
            self.loops = [0]
            extent = math.prod(domain)
        elif not domain:
            extent = 1
        elif len(domain) == 1:
            self.loops, extent = [0], domain[0]
        elif domain[-1] < width and math.prod(domain[1:]) <= UNROLL:
            self.loops, extent = [0], domain[0]
            lanes = width
        else:
            self.loops, extent = list(range(len(domain))), domain[-1]
            self.chunked = self._chunkable(extent, width)
            if self.chunked:
                lanes = width
        while lanes > width and 4 * lanes > extent:
            lanes //= 2
        while lanes > 1 and lanes // 2 >= extent:
            lanes //= 2
        self.lanes = lanes
        self.piece = min(lanes, width)
        self.extent = extent
        self.vector_axis = self.loops[-1] if self.loops else None
        self.inner = () if self.flat or self.vector_axis != 0 else tuple(range(1, len(domain)))

    def _chunkable(self, extent: int, width: int) -> bool:
        """Whether the vectors of the last axis are few enough to be written out one after another: then the sums over
        rows stay in registers."""
        count = -(-extent // width)
        work = sum(weight(task.node) if task.what == "value" else 2 for task in self.stage.tasks)
        return (
            count <= CHUNKS and count * work <= WRITTEN_OUT and any(task.what == "reduces" for task in self.stage.tasks)
        )

    def _bounds(self, axis: int) -> tuple[Val, Val]:
        base = self.sites[1]
        if axis == 0:
            assert self.rows is not None
            if self.flat:
                inner = math.prod(self.stage.domain[1:])
                low, high = self.rows[0] * inner, self.rows[1] * inner
                self.depths[low.name] = self.depths[high.name] = 1
                return low, high
            return self.rows
        return base.constant(0, "i64"), base.constant(self.stage.domain[axis], "i64")

    # ---- the loops

    def write(self) -> None:
        """Writes the stage at the end of the block's site."""
        self._fill(0)
        if not self.loops:
            self._body()
            return
        self._loop(0)
        self._finish(0)

    def _loop(self, k: int) -> None:
        axis = self.loops[k]
        if self.chunked and k == len(self.loops) - 1:
            self._begin(k)
            self._chunks(axis)
            return
        outer = self.sites[-1]
        low, high = self._bounds(axis)
        last = k == len(self.loops) - 1
        step = self.lanes if last else 1
        name = outer.fresh("L")
        counter = self.allocate("i64")
        self._begin(k)
        site = outer.part(f"{name}.body")
        i = site.emit(f"load i64, ptr {counter.name}", "i64")
        self.sites.append(site)
        depth = len(self.sites) - 1
        self.axes[axis] = (i, depth)
        self.depths[i.name] = depth
        if axis == 0:
            self.local_row = i - low
            self.depths[self.local_row.name] = depth
        body = self._vectors(name, axis, low, high) if last else self._scalars(k, name, axis)
        self._leave(depth)
        self.sites.pop()
        outer.do(f"store i64 {low.name}, ptr {counter.name}")
        outer.do(f"br label %{name}.head")
        outer.block(f"{name}.head")
        now = outer.emit(f"load i64, ptr {counter.name}", "i64")
        more = now < high
        outer.do(f"br i1 {more.name}, label %{name}.body, label %{name}.exit")
        outer.block(f"{name}.body")
        outer.append(body)
        outer.block(f"{name}.next")
        after = outer.emit(f"load i64, ptr {counter.name}", "i64") + step
        outer.do(f"store i64 {after.name}, ptr {counter.name}")
        outer.do(f"br label %{name}.head")
        outer.block(f"{name}.exit")
        del self.axes[axis]

    def _scalars(self, k: int, name: str, axis: int) -> Code:
        """The body of a loop that has a loop inside."""
        site = self.sites[-1]
        self._fill(k + 1)
        self._loop(k + 1)
        self._finish(k + 1)
        site.do(f"br label %{name}.next")
        return site

    def _vectors(self, name: str, axis: int, low: Val, high: Val) -> Code:
        """The body of the loop over vectors: whole ones, and those that are not, piece by piece with masks."""
        site = self.sites[-1]
        i, _ = self.axes[axis]
        self.assumed = {}
        full = site.part(f"{name}.full")
        self.sites.append(full)
        self._body()
        self._leave(len(self.sites) - 1)
        self.sites.pop()
        full.do(f"br label %{name}.next")
        if not self._ragged() and not self.assumed:
            site.do(f"br label %{name}.full")
            site.block(f"{name}.full")
            site.append(full)
            return site
        part = self._pieces(name, axis, low, high)
        whole = i + self.lanes <= high
        for guard in self.assumed:
            first = self._position(guard.position)
            last = first + guard.position.scale * (self.lanes - 1)
            low, top = (first, last) if guard.position.scale > 0 else (last, first)
            whole = whole & (low >= guard.low) & (top < guard.high)
        site.do(f"br i1 {whole.name}, label %{name}.full, label %{name}.part")
        site.block(f"{name}.full")
        site.append(full)
        site.block(f"{name}.part")
        site.append(part)
        return site

    def _chunks(self, axis: int) -> None:
        """The vectors of the last axis, one after another."""
        for chunk in self._chunk_numbers():
            self._at_chunk(chunk)
            before = dict(self.memo)
            self._body()
            self.memo = before
        self._at_chunk(None)

    def _chunk_numbers(self) -> range:
        return range(-(-self.extent // self.lanes))

    def _at_chunk(self, chunk: int | None) -> None:
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

    def _pieces(self, name: str, axis: int, low: Val, high: Val) -> Code:
        """A vector that is not whole, in pieces of the host's width, with masks."""
        site, saved = self.sites[-1], (self.lanes, self.axes[axis], self.local_row)
        i, lanes = saved[1][0], saved[0]
        self.lanes = self.piece
        counter = self.allocate("i64")
        body = site.part(f"{name}.piece")
        self.sites.append(body)
        depth = len(self.sites) - 1
        at = body.emit(f"load i64, ptr {counter.name}", "i64")
        self.axes[axis] = (at, depth)
        self.depths[at.name] = depth
        if axis == 0:
            self.local_row = at - low
            self.depths[self.local_row.name] = depth
        self.masked = body.splat(at, self.lanes) + self._lane_numbers() < body.splat(high, self.lanes)
        self._body()
        self._leave(depth)
        self.sites.pop()
        self.masked = None
        after = Val(body, at.name, "i64", 1) + self.lanes
        body.do(f"store {after.typed}, ptr {counter.name}")
        body.do(f"br label %{name}.some")
        self.lanes, self.axes[axis], self.local_row = saved
        part = site.part(f"{name}.part")
        end = Val(part, i.name, "i64", 1) + lanes
        over = end > high
        top = Lanes(part, "double", 1).select(over, high, end)
        part.do(f"store {i.typed}, ptr {counter.name}")
        part.do(f"br label %{name}.some")
        part.block(f"{name}.some")
        now = part.emit(f"load i64, ptr {counter.name}", "i64")
        more = now < top
        part.do(f"br i1 {more.name}, label %{name}.piece, label %{name}.next")
        part.block(f"{name}.piece")
        part.append(body)
        return part

    def _ragged(self) -> bool:
        """Whether a range may end within a vector."""
        if self.flat:
            return math.prod(self.stage.domain) % self.lanes != 0
        return self.extent % self.lanes != 0

    def _leave(self, depth: int) -> None:
        """Forgets the values of a site that ends."""
        self.memo = {
            key: val
            for key, val in self.memo.items()
            if key not in self.tainted and self.depths.get(val.name, 0) < depth
        }
        self.tainted = set()

    def _lane_numbers(self) -> Val:
        numbers = ", ".join(f"i64 {k}" for k in range(self.lanes))
        text = f"<{numbers}>" if self.lanes > 1 else "0"
        return Val(self.sites[-1], text, "i64", self.lanes)

    def _position(self, c: Coord) -> Val:
        """The position of an affine coordinate at the first lane, as a scalar, at the site where it is known."""
        if c.axis is None:
            return self.sites[0].constant(c.offset, "i64")
        if c.axis in self.unrolled:
            return self.sites[0].constant(c.offset + c.scale * self.unrolled[c.axis], "i64")
        i, depth = self.axes[c.axis]
        return self._scaled(self._move(i, depth), c.scale) + c.offset

    def _move(self, val: Val, depth: int) -> Val:
        """The same value, whose operators write at a site."""
        return Val(self.sites[depth], val.name, val.scalar, val.lanes)

    @staticmethod
    def _scaled(val: Val, by: int) -> Val:
        return val if by == 1 else val * by

    # ---- reductions

    def _reductions(self) -> Iterator[Task]:
        return (task for task in self.stage.tasks if task.what == "reduces")

    def _suffix(self, task: Task) -> int:
        """The loop from which on all loops are reduced: sums are kept in registers from there."""
        axes = set(task.reduced) if not self.flat else {0}
        last = len(self.loops) - self._keeps_chunks(task)
        k = last
        while k and self.loops[k - 1] in axes:
            k -= 1
        return k if k < last else len(self.loops)

    def _keeps_chunks(self, task: Task) -> bool:
        """Whether the result has an entry for each point of a last axis whose vectors are written out."""
        return self.chunked and self.vector_axis not in task.reduced

    def _first(self, task: Task) -> int:
        """The outermost loop that is reduced."""
        return min(self.loops.index(axis) for axis in task.reduced if axis in self.loops)

    def _start(self, task: Task) -> float:
        return float(task.node.op.native.start)

    def _begin(self, k: int) -> None:
        """Sums that are kept in registers from loop `k` on are set to their start before it."""
        site = self.sites[-1]
        for task in self._reductions():
            if self._suffix(task) == k:
                for key, lanes in itertools.product(self._kept_inner(task), self._widths()):
                    start = site.constant(self._start(task), self.scalar, lanes)
                    site.do(f"store {start.typed}, ptr {self._register(task, key, lanes).name}")

    def _widths(self) -> tuple[int, ...]:
        """How many lanes the sums in registers have: those of whole vectors, and those of pieces."""
        return (self.lanes,) if self.piece == self.lanes else (self.lanes, self.piece)

    def _register(self, task: Task, key: tuple[int, ...], lanes: int) -> Val:
        known = self.registers.get((id(task), key, lanes))
        if known is None:
            typed = self.scalar if lanes == 1 else f"<{lanes} x {self.scalar}>"
            known = self.registers[id(task), key, lanes] = self.allocate(typed)
        return known

    def _kept_inner(self, task: Task) -> list[tuple[int, ...]]:
        """The points of the written-out axes that a reduction keeps, or its vectors of the last axis."""
        if self._keeps_chunks(task):
            return [(chunk,) for chunk in self._chunk_numbers()]
        kept = [axis for axis in self.inner if axis not in task.reduced]
        return list(itertools.product(*[range(self.stage.domain[axis]) for axis in kept]))

    def _finish(self, k: int) -> None:
        """After loop `k`: what registers held goes to memory."""
        site = self.sites[-1]
        for task in self._reductions():
            if not self.loops or self._suffix(task) != k:
                continue
            for key in self._kept_inner(task):
                if self._keeps_chunks(task):
                    self._at_chunk(key[0])
                    register = self._register(task, key, self.lanes)
                    typed = f"<{self.lanes} x {self.scalar}>"
                    held = site.emit(f"load {typed}, ptr {register.name}", self.scalar, self.lanes)
                    self._deposit(task, held, (), self.lanes)
                    self._at_chunk(None)
                    continue
                total: Val | None = None
                for lanes in self._widths():
                    typed = self.scalar if lanes == 1 else f"<{lanes} x {self.scalar}>"
                    register = self._register(task, key, lanes)
                    held = site.emit(f"load {typed}, ptr {register.name}", self.scalar, lanes)
                    part = self._horizontal(task, held)
                    total = part if total is None else self._combined(task, total, part)
                assert total is not None
                self._deposit(task, total, key, 1)

    def _horizontal(self, task: Task, held: Val) -> Val:
        """The lanes of a vector combined, halves first."""
        site = held.code
        while held.lanes > 2:
            half = held.lanes // 2
            low, high = (
                site.emit(
                    f"shufflevector {held.typed}, {held.type} poison, <{half} x i32> <"
                    + ", ".join(f"i32 {j}" for j in range(first, first + half))
                    + ">",
                    held.scalar,
                    half,
                )
                for first in (0, half)
            )
            held = self._combined(task, low, high)
        if held.lanes == 2:
            low, high = (site.emit(f"extractelement {held.typed}, i64 {j}", held.scalar) for j in (0, 1))
            held = self._combined(task, low, high)
        return held

    def _combined(self, task: Task, x: Val, y: Val) -> Val:
        combine = task.node.op.native.combine
        return x + y if combine is None else combine(Lanes(x.code, x.scalar, x.lanes), x, y)

    def _deposit(self, task: Task, value: Val, key: tuple[int, ...], lanes: int) -> None:
        """Puts a combined value at its place, added to what is there where an outer loop is reduced as well."""
        place = self.target(task)
        assert place is not None
        suffix = self._suffix(task)
        outer = any(axis in task.reduced for axis in self.loops[:suffix])
        pointer = self._result_address(task, place, key)
        if outer:
            value = self._combined(task, self._read(pointer, value.lanes), value)
        self._write(pointer, value)

    def _result_address(self, task: Task, place: Place, key: tuple[int, ...]) -> Val:
        """Where the result of a reduction lies for the present point of the kept axes."""
        kept_inner = [axis for axis in self.inner if axis not in task.reduced]
        spot = dict(zip(kept_inner, key, strict=True))
        axis, steps = 0, []
        result_dims = iter(place.strides)
        for d, n in enumerate(task.expr.shape):
            gone = d in task.node.params["axes"]
            stride = 0 if gone else next(result_dims)
            if n != 1:
                if not gone:
                    steps.append((axis, stride))
                axis += 1
        site = self.sites[-1]
        offset = site.constant(place.offset, "i64")
        for axis, stride in steps:
            if axis in spot:
                offset = offset + spot[axis] * stride
                continue
            i, _ = self.axes[axis]
            if axis == 0 and place.local:
                assert self.local_row is not None
                i = self.local_row
            offset = offset + self._scaled(self._move(i, len(self.sites) - 1), stride)
        return self._address(site, place.pointer, offset)

    def _fill(self, k: int) -> None:
        """Before loop `k`: the memory that its sums are added up in is set to their start."""
        site = self.sites[-1]
        for task in self._reductions():
            if not self.loops or self._first_in_memory(task) != k:
                continue
            place = self.target(task)
            assert place is not None
            count = 1
            for axis in self.loops[k:]:
                if axis not in task.reduced:
                    count *= self.stage.domain[axis]
            start = site.constant(self._start(task), self.scalar)
            for_zero = [axis for axis in self.loops[k:] if axis not in task.reduced]
            saved = dict(self.axes)
            for axis in for_zero:
                self.axes[axis] = (site.constant(0, "i64"), 0)
            pointer = self._result_address(task, place, ())
            self.axes = saved
            self._fill_memory(pointer, start, count)

    def _first_in_memory(self, task: Task) -> int | None:
        """The loop before which memory has to be prepared: the outermost reduced one, where it is not in registers."""
        if self.flat or self.inner:
            return None
        first = self._first(task)
        return first if first < self._suffix(task) else None

    def _fill_memory(self, pointer: Val, start: Val, count: int) -> None:
        site = self.sites[-1]
        name, counter = site.fresh("F"), self.allocate("i64")
        site.do(f"store i64 0, ptr {counter.name}")
        site.do(f"br label %{name}.head")
        site.block(f"{name}.head")
        i = site.emit(f"load i64, ptr {counter.name}", "i64")
        more = i < count
        site.do(f"br i1 {more.name}, label %{name}.body, label %{name}.exit")
        site.block(f"{name}.body")
        self._write(self._address(site, pointer, i), start)
        after = i + 1
        site.do(f"store i64 {after.name}, ptr {counter.name}")
        site.do(f"br label %{name}.head")
        site.block(f"{name}.exit")

    # ---- the body

    def _body(self) -> None:
        """All tasks at the present point (or vector of points)."""
        if not self.inner:
            for task in self.stage.tasks:
                self._task(task, ())
            return
        extents = [range(self.stage.domain[axis]) for axis in self.inner]
        sums: dict[Any, Val] = {}
        for spot in itertools.product(*extents):
            self.unrolled = dict(zip(self.inner, spot, strict=True))
            for task in self.stage.tasks:
                if task.what != "reduces":
                    self._task(task, spot)
                    continue
                value = self._vector(self.value(task.expr, domain_points(task.expr.shape), ()))
                key = tuple(k for axis, k in self.unrolled.items() if axis not in task.reduced)
                known = sums.get((id(task), key))
                sums[id(task), key] = value if known is None else self._combined(task, self._here(known), value)
        self.unrolled = {}
        for task in self._reductions():
            for key in self._kept_inner(task):
                self._reduce(task, sums[id(task), key], key)

    def _task(self, task: Task, spot: tuple[int, ...]) -> None:
        value = self.value(task.expr, domain_points(task.expr.shape), ())
        if task.what == "reduces":
            self._reduce(task, self._vector(value), ())
            return
        place = self.target(task)
        if place is not None:
            offset, step, _ = self._offset(place, domain_points(task.expr.shape))
            self._put(place, offset, step, self._vector(value))

    def _reduce(self, task: Task, value: Val, key: tuple[int, ...]) -> None:
        """Takes a vector of values into a reduction."""
        site = self.sites[-1]
        if not self.loops:
            self._deposit(task, value, key, 1)
            return
        if self._suffix(task) < len(self.loops):
            if self.masked is not None:
                start = site.constant(self._start(task), self.scalar, self.lanes)
                value = Lanes(site, self.scalar, self.lanes).select(self.masked, value, start)
            if self._keeps_chunks(task):
                assert self.chunk is not None
                key = (self.chunk,)
            register = self._register(task, key, self.lanes)
            held = site.emit(f"load {value.type}, ptr {register.name}", self.scalar, self.lanes)
            total = self._combined(task, held, value)
            site.do(f"store {total.typed}, ptr {register.name}")
            return
        place = self.target(task)
        assert place is not None
        pointer = self._result_address(task, place, key)
        step = 1
        if self.inner and not task.crossing:  # vectors of rows, the rows kept
            step = self._row_step(task, place)
            self._scatter_or_store(pointer, step, value)
            return
        if any(axis in task.reduced for axis in self.loops):
            value = self._combined(task, self._read(pointer, value.lanes), value)
        self._write(pointer, value)

    def _row_step(self, task: Task, place: Place) -> int:
        dims = iter(place.strides)
        for d, n in enumerate(task.expr.shape):
            if d in task.node.params["axes"]:
                continue
            stride = next(dims)
            if n != 1:
                return stride
        return 1

    # ---- memory

    def _address(self, site: Code, pointer: Val, offset: Val) -> Val:
        return site.emit(f"getelementptr {self.scalar}, ptr {pointer.name}, i64 {offset.name}", "ptr")

    def _read(self, pointer: Val, lanes: int) -> Val:
        site = self.sites[-1]
        size = 8 if self.scalar == "double" else 4
        typed = self.scalar if lanes == 1 else f"<{lanes} x {self.scalar}>"
        if lanes == 1 or self.masked is None:
            return site.emit(f"load {typed}, ptr {pointer.name}, align {size}", self.scalar, lanes)
        return self._masked_load(pointer, typed, self.scalar, lanes, self.masked, size)

    def _masked_load(self, pointer: Val, typed: str, scalar: str, lanes: int, mask: Val, size: int) -> Val:
        site = self.sites[-1]
        tag = {"double": "f64", "float": "f32"}.get(scalar, scalar)
        name = f"@llvm.masked.load.v{lanes}{tag}.p0"
        site.declare(f"declare {typed} {name}(ptr, i32, <{lanes} x i1>, {typed})")
        return site.emit(
            f"call {typed} {name}(ptr {pointer.name}, i32 {size}, {mask.typed}, {typed} zeroinitializer)", scalar, lanes
        )

    def _write(self, pointer: Val, value: Val) -> None:
        site = self.sites[-1]
        size = 8 if self.scalar == "double" else 4
        if value.lanes == 1 or self.masked is None:
            site.do(f"store {value.typed}, ptr {pointer.name}, align {size}")
            return
        tag = {"double": "f64", "float": "f32"}[self.scalar]
        name = f"@llvm.masked.store.v{value.lanes}{tag}.p0"
        site.declare(f"declare void {name}({value.type}, ptr, i32, <{value.lanes} x i1>)")
        site.do(f"call void {name}({value.typed}, ptr {pointer.name}, i32 {size}, {self.masked.typed})")

    def _scatter_or_store(self, pointer: Val, step: int, value: Val) -> None:
        if value.lanes == 1 or step == 1:
            self._write(pointer, value)
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

    def _offset(self, place: Place, at: Coords) -> tuple[Val, int, int]:
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
            term = self._scaled(self._move(i, depth), factor)
            offset = term if offset.name == "0" else self._move(offset, depth) + term
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

    def _put(self, place: Place, offset: Val, step: int, value: Val) -> None:
        pointer = self._address(self.sites[-1], place.pointer, offset)
        self._scatter_or_store(pointer, step, value)

    # ---- values

    def _vector(self, value: Val) -> Val:
        """`value` in every lane, written where it is known."""
        if value.lanes == self.lanes:
            return self._here(value)
        key = ("splat", value.name, value.scalar, self.lanes)
        known = self.memo.get(key)
        if known is None:
            if not value.name.startswith("%"):
                return Val(self.sites[-1], f"splat ({value.scalar} {value.name})", value.scalar, self.lanes)
            depth = self.depths.get(value.name, 0)
            known = self.sites[depth].splat(value, self.lanes)
            self._remember(key, known, depth)
        return self._here(known)

    def _here(self, value: Val) -> Val:
        return Val(self.sites[-1], value.name, value.scalar, value.lanes)

    def _remember(self, key: Any, value: Val, depth: int) -> Val:
        self.memo[key] = value
        if value.name.startswith("%"):
            self.depths[value.name] = depth
        return value

    def value(self, node: Node, at: Coords, guards: tuple[Guard, ...]) -> Val:
        """The value of a node at a place, in lanes or as a scalar where it is the same in all of them."""
        node, at, more = source(node, at)
        if node.op is LITERAL and not node.shape:
            return self.sites[0].constant(float(node.params["value"]), self.scalar)
        use = Use(node, at, guards + more)
        spot = tuple(self.unrolled.get(c.axis, -1) if c.axis is not None else -1 for c in at) if self.unrolled else ()
        varying = bool(use.guards) and tuple(self.unrolled.items())
        key = (node.index, at, guards, more, spot, varying)
        known = self.memo.get(key)
        if known is not None:
            self.assumptions += key in self.tainted
        else:
            before = self.assumptions
            own = kind(node) == "elementwise" and ((use.identity and node.index in self.inside) or inlined(use))
            known = self._computed(node, at, use.guards, more) if own else self._loaded(use)
            self._remember(key, known, self.depths.get(known.name, 0))
            if self.assumptions != before:
                self.tainted.add(key)
        return known

    def _computed(self, node: Node, at: Coords, guards: tuple[Guard, ...], more: tuple[Guard, ...]) -> Val:
        args = [self.value(arg, broadcast_from(at, arg.shape), guards) for arg in node.args]
        wide = any(arg.lanes > 1 for arg in args)
        depth = max((self.depths.get(arg.name, 0) for arg in args), default=0)
        if wide:
            depth = len(self.sites) - 1
            args = [self._vector(arg) for arg in args]
        site = self.sites[depth]
        lanes = Lanes(site, self.scalar, self.lanes if wide else 1, inline=self.inline and self.masked is None)
        result: Val = node.op.native(lanes, *[self._move(arg, depth) for arg in args], **node.params)
        if result.name.startswith("%"):
            self.depths[result.name] = (
                max(depth, self.depths.get(result.name, 0))
                if result.name not in {a.name for a in args}
                else self.depths[result.name]
            )
        for guard in more:
            result = self._guarded(result, guard)
        return result

    def _guarded(self, value: Val, guard: Guard) -> Val:
        """`value` where a guard holds, else 0."""
        mask = self._mask(guard)
        if mask is None:
            return value
        if mask.lanes > 1 and value.lanes == 1:
            value = self._vector(value)
        depth = max(self.depths.get(mask.name, 0), self.depths.get(value.name, 0))
        if value.lanes > 1:
            depth = len(self.sites) - 1
            mask = self.sites[depth].splat(self._move(mask, depth), self.lanes)
        lanes = Lanes(self.sites[depth], self.scalar, value.lanes)
        result = lanes.select(self._move(mask, depth), value, 0.0)
        self.depths[result.name] = depth
        return result

    def _mask(self, guard: Guard) -> Val | None:
        """Where a guard holds; None where that is taken for granted (or holds everywhere)."""
        c = guard.position
        if c.axis is None or c.axis in self.unrolled:
            spot = c.offset if c.axis is None else int(c.values[self.unrolled[c.axis]])
            return None if guard.low <= spot < guard.high else self.sites[0].constant(False, "i1")
        key = ("guard", guard)
        if c.axis == self.vector_axis and c.table is None and self.masked is None and not self.chunked:
            self.assumed[guard] = None
            self.assumptions += 1
            return None
        known = self.memo.get(key)
        if known is not None:
            return known
        position, depth = self._positions(c)
        mask = (position >= guard.low) & (position < guard.high)
        return self._remember(key, mask, depth)

    def _positions(self, c: Coord) -> tuple[Val, int]:
        """The position of a coordinate in every lane (a scalar where it is the same in all), and its depth."""
        assert c.axis is not None
        i, depth = self.axes[c.axis]
        vector = c.axis == self.vector_axis
        if vector:
            depth = len(self.sites) - 1
        site = self.sites[depth]
        if c.table is not None:
            pointer = site.emit(f"getelementptr i64, ptr {self.table(c.table).name}, i64 {i.name}", "ptr")
            if not vector or self.lanes == 1:
                found = site.emit(f"load i64, ptr {pointer.name}", "i64")
            elif self.masked is None:
                found = site.emit(f"load <{self.lanes} x i64>, ptr {pointer.name}, align 8", "i64", self.lanes)
            else:
                found = self._masked_load(pointer, f"<{self.lanes} x i64>", "i64", self.lanes, self.masked, 8)
            return found, depth
        base = self._scaled(self._move(i, depth), c.scale) + c.offset
        if not vector or self.lanes == 1:
            return base, depth
        steps = f"<{', '.join(f'i64 {k * c.scale}' for k in range(self.lanes))}>"
        return site.splat(base, self.lanes) + Val(site, steps, "i64", self.lanes), depth

    # ---- loads

    def _loaded(self, use: Use) -> Val:
        place = self.place(use.node)
        masks = []
        for guard in use.guards:
            mask = self._mask(guard)
            if mask is not None and mask.name == "false":
                return self.sites[0].constant(0.0, self.scalar)
            if mask is not None:
                masks.append(mask)
        tables = [(c, s) for c, s in zip(use.at, place.strides, strict=True) if c.table is not None]
        tables = [(c, s) for c, s in tables if c.axis not in self.unrolled]
        plain = tuple(self._settled(c) if c.table is None or c.axis in self.unrolled else fixed(0) for c in use.at)
        offset, step, depth = self._offset(place, plain)
        spread: Val | None = None
        for c, stride in tables:
            position, known = self._positions(c)
            depth = max(depth, known)
            term = self._scaled(self._move(position, depth), stride)
            if position.lanes > 1:
                spread = term if spread is None else spread + term
            else:
                offset = self._move(offset, depth) + term
        if spread is None and step == 0:
            return self._load_scalar(place, offset, depth, masks)
        return self._load_vector(place, offset, step, spread, masks)

    def _settled(self, c: Coord) -> Coord:
        """A coordinate on a written-out axis as the number that it is there."""
        if c.axis in self.unrolled and c.table is not None:
            return fixed(int(c.values[self.unrolled[c.axis]]))
        return c

    def _load_scalar(self, place: Place, offset: Val, depth: int, masks: list[Val]) -> Val:
        """An entry that is the same in all lanes; with masks of its own, from a place that is safe where they fail."""
        wide = [m for m in masks if m.lanes > 1]
        scalar = [m for m in masks if m.lanes == 1]
        depth = max([depth, *[self.depths.get(m.name, 0) for m in scalar]])
        site = self.sites[depth]
        offset = self._move(offset, depth)
        lanes = Lanes(site, self.scalar, 1)
        condition: Val | None = None
        for m in scalar:
            condition = self._move(m, depth) if condition is None else self._move(condition, depth) & m
        if condition is not None:
            offset = lanes.select(condition, offset, site.constant(0, "i64"))
        size = 8 if self.scalar == "double" else 4
        address = self._address(site, place.pointer, offset)
        value = site.emit(f"load {self.scalar}, ptr {address.name}, align {size}", self.scalar)
        if condition is not None:
            value = lanes.select(condition, value, 0.0)
        self.depths[value.name] = depth
        if wide:
            depth = len(self.sites) - 1
            value = self._vector(value)
            for m in wide:
                value = Lanes(self.sites[depth], self.scalar, self.lanes).select(self._move(m, depth), value, 0.0)
            self.depths[value.name] = depth
        return value

    def _load_vector(self, place: Place, offset: Val, step: int, spread: Val | None, masks: list[Val]) -> Val:
        depth = len(self.sites) - 1
        site = self.sites[depth]
        mask = None if self.masked is None else self._move(self.masked, depth)
        for m in masks:
            wide = site.splat(self._move(m, depth), self.lanes)
            mask = wide if mask is None else mask & wide
        size = 8 if self.scalar == "double" else 4
        typed = self.scalar if self.lanes == 1 else f"<{self.lanes} x {self.scalar}>"
        address = self._address(site, place.pointer, offset)
        if self.lanes == 1:
            if mask is not None:
                offset = Lanes(site, self.scalar, 1).select(mask, self._here(offset), site.constant(0, "i64"))
            if spread is not None:
                whole = self._here(offset) + spread
                if mask is not None:
                    whole = Lanes(site, self.scalar, 1).select(mask, whole, site.constant(0, "i64"))
                offset = whole
            address = self._address(site, place.pointer, offset)
            value = site.emit(f"load {self.scalar}, ptr {address.name}", self.scalar)
            value = value if mask is None else Lanes(site, self.scalar, 1).select(mask, value, 0.0)
        elif spread is None and step == 1:
            if mask is None:
                value = site.emit(f"load {typed}, ptr {address.name}, align {size}", self.scalar, self.lanes)
            else:
                value = self._masked_load(address, typed, self.scalar, self.lanes, mask, size)
        elif spread is None and step == -1 and mask is None:
            first = self._address(site, address, site.constant(1 - self.lanes, "i64"))
            turned = site.emit(f"load {typed}, ptr {first.name}, align {size}", self.scalar, self.lanes)
            order = ", ".join(f"i32 {k}" for k in reversed(range(self.lanes)))
            value = site.emit(
                f"shufflevector {turned.typed}, {typed} poison, <{self.lanes} x i32> <{order}>", self.scalar, self.lanes
            )
        else:
            value = self._gather(address, step, spread, mask, typed, size)
        self.depths[value.name] = depth
        return value

    def _gather(self, address: Val, step: int, spread: Val | None, mask: Val | None, typed: str, size: int) -> Val:
        site = self.sites[-1]
        lanes = self.lanes
        index = Val(site, f"<{', '.join(f'i64 {k * step}' for k in range(lanes))}>", "i64", lanes)
        if spread is not None:
            index = self._here(spread) + index if step else self._here(spread)
        pointers = site.emit(f"getelementptr {self.scalar}, ptr {address.name}, {index.typed}", "ptr", lanes)
        if mask is None:
            mask = site.constant(True, "i1", lanes)
        tag = {"double": "f64", "float": "f32"}[self.scalar]
        name = f"@llvm.masked.gather.v{lanes}{tag}.v{lanes}p0"
        site.declare(f"declare {typed} {name}(<{lanes} x ptr>, i32, <{lanes} x i1>, {typed})")
        return site.emit(
            f"call {typed} {name}({pointers.typed}, i32 {size}, {mask.typed}, {typed} zeroinitializer)",
            self.scalar,
            lanes,
        )


__all__ = ["Nest", "Place", "strides_of"]
