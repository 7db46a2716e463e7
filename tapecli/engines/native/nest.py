"""Loop nests: the code of one stage of a pass.

A stage runs over its domain row by row, vectors along the last axis; over a flat range where all that it reads and
writes lies entry by entry in memory; or with vectors of rows and the short inner axes written out. Values are computed
in the outermost loop in which they are the same: each loop has a stretch of code (a *site*) at its beginning.

The last vector of a range, and vectors that reach beyond what a guard allows, take a second body with masks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from tapecli.engines.native.frame import Frame, Place, strides_of
from tapecli.engines.native.ir import Code, Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.lower import calls, domain_points, effective, weight
from tapecli.engines.native.plan import Stage, Task, Use
from tapecli.engines.native.reading import Reader
from tapecli.engines.native.sums import Sums
from tapecli.graph import Node

#: Inner axes of at most this many entries together are written out, with vectors along the rows.
UNROLL = 48
#: At most so many vectors of the last axis, and instructions for all of them, are written out one after another.
CHUNKS, WRITTEN_OUT = 16, 1500
#: Functions of the vector library are written out in place in stages that have at most this many of them.
INLINE = 80
#: How many of the host's vectors a stage works on at once, by the greatest number of its functions: several chains of
#: dependent instructions fill the processor, and beyond its registers they spill.
VECTORS = ((4, 4), (math.inf, 2))


class Nest:
    """Writes one stage. `place(node)` and `target(task)` say where values lie and where results go; `rows` are the
    first row of the block and the one after its last."""

    def __init__(
        self,
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
        self.frame = Frame(stage, scalar, sites, allocate, table)
        self.sums = Sums(self.frame, target)
        self.reader = Reader(self.frame, place)
        self.rows = rows
        self.frame.flat = self._flat()
        self._shape_of_loops(width)

    def _flat(self) -> bool:
        """Whether all that the stage touches lies entry by entry in memory, so that one loop does for all axes."""
        frame = self.frame
        domain = frame.stage.domain
        if len(domain) < 2:
            return False
        for task in frame.stage.tasks:
            if task.what == "reduces" and len(task.reduced) != len(domain):
                return False
            target = self.sums.target(task)
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
        frame = self.frame
        domain = frame.stage.domain
        count = sum(calls(task.node) for task in frame.stage.tasks if task.what == "value")
        frame.inline = count <= INLINE
        lanes = width * next(vectors for most, vectors in VECTORS if count <= most)
        frame.loops = []
        if frame.flat:
            frame.loops = [0]
            extent = math.prod(domain)
        elif not domain:
            extent = 1
        elif len(domain) == 1:
            frame.loops, extent = [0], domain[0]
        elif domain[-1] < width and math.prod(domain[1:]) <= UNROLL:
            frame.loops, extent = [0], domain[0]
            lanes = width
        else:
            frame.loops, extent = list(range(len(domain))), domain[-1]
            frame.chunked = self._chunkable(extent, width)
            if frame.chunked:
                lanes = width
        while lanes > width and 4 * lanes > extent:
            lanes //= 2
        while lanes > 1 and lanes // 2 >= extent:
            lanes //= 2
        frame.lanes = lanes
        frame.piece = min(lanes, width)
        frame.extent = extent
        frame.vector_axis = frame.loops[-1] if frame.loops else None
        frame.inner = () if frame.flat or frame.vector_axis != 0 else tuple(range(1, len(domain)))

    def _chunkable(self, extent: int, width: int) -> bool:
        """Whether the vectors of the last axis are few enough to be written out one after another: then the sums over
        rows stay in registers."""
        frame = self.frame
        count = -(-extent // width)
        work = sum(weight(task.node) if task.what == "value" else 2 for task in frame.stage.tasks)
        return (
            count <= CHUNKS
            and count * work <= WRITTEN_OUT
            and any(task.what == "reduces" for task in frame.stage.tasks)
        )

    def _bounds(self, axis: int) -> tuple[Val, Val]:
        frame = self.frame
        base = frame.sites[1]
        if axis == 0:
            assert self.rows is not None
            if frame.flat:
                inner = math.prod(frame.stage.domain[1:])
                low, high = self.rows[0] * inner, self.rows[1] * inner
                frame.depths[low.name] = frame.depths[high.name] = 1
                return low, high
            return self.rows
        return base.constant(0, "i64"), base.constant(frame.stage.domain[axis], "i64")

    def write(self) -> None:
        """Writes the stage at the end of the block's site."""
        self.sums.fill(0)
        if not self.frame.loops:
            self._body()
            return
        self._loop(0)
        self.sums.finish(0)

    def _loop(self, k: int) -> None:
        frame = self.frame
        axis = frame.loops[k]
        if frame.chunked and k == len(frame.loops) - 1:
            self.sums.begin(k)
            self._chunks(axis)
            return
        outer = frame.sites[-1]
        low, high = self._bounds(axis)
        last = k == len(frame.loops) - 1
        step = frame.lanes if last else 1
        name = outer.fresh("L")
        counter = frame.allocate("i64")
        self.sums.begin(k)
        site = outer.part(f"{name}.body")
        i = site.emit(f"load i64, ptr {counter.name}", "i64")
        frame.sites.append(site)
        depth = len(frame.sites) - 1
        frame.axes[axis] = (i, depth)
        frame.depths[i.name] = depth
        if axis == 0:
            frame.local_row = i - low
            frame.depths[frame.local_row.name] = depth
        body = self._vectors(name, axis, low, high) if last else self._scalars(k, name, axis)
        frame.leave(depth)
        frame.sites.pop()
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
        del frame.axes[axis]

    def _scalars(self, k: int, name: str, axis: int) -> Code:
        """The body of a loop that has a loop inside."""
        site = self.frame.sites[-1]
        self.sums.fill(k + 1)
        self._loop(k + 1)
        self.sums.finish(k + 1)
        site.do(f"br label %{name}.next")
        return site

    def _vectors(self, name: str, axis: int, low: Val, high: Val) -> Code:
        """The body of the loop over vectors: whole ones, and those that are not, piece by piece with masks."""
        frame = self.frame
        site = frame.sites[-1]
        i, _ = frame.axes[axis]
        frame.assumed = {}
        full = site.part(f"{name}.full")
        frame.sites.append(full)
        self._body()
        frame.leave(len(frame.sites) - 1)
        frame.sites.pop()
        full.do(f"br label %{name}.next")
        if not self._ragged() and not frame.assumed:
            site.do(f"br label %{name}.full")
            site.block(f"{name}.full")
            site.append(full)
            return site
        part = self._pieces(name, axis, low, high)
        whole = i + frame.lanes <= high
        for guard in frame.assumed:
            first = frame.position(guard.position)
            last = first + guard.position.scale * (frame.lanes - 1)
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
        frame = self.frame
        for chunk in frame.chunk_numbers():
            frame.at_chunk(chunk)
            before = dict(frame.memo)
            self._body()
            frame.memo = before
        frame.at_chunk(None)

    def _pieces(self, name: str, axis: int, low: Val, high: Val) -> Code:
        """A vector that is not whole, in pieces of the host's width, with masks."""
        frame = self.frame
        site, saved = frame.sites[-1], (frame.lanes, frame.axes[axis], frame.local_row)
        i, lanes = saved[1][0], saved[0]
        frame.lanes = frame.piece
        counter = frame.allocate("i64")
        body = site.part(f"{name}.piece")
        frame.sites.append(body)
        depth = len(frame.sites) - 1
        at = body.emit(f"load i64, ptr {counter.name}", "i64")
        frame.axes[axis] = (at, depth)
        frame.depths[at.name] = depth
        if axis == 0:
            frame.local_row = at - low
            frame.depths[frame.local_row.name] = depth
        frame.masked = body.splat(at, frame.lanes) + frame.lane_numbers() < body.splat(high, frame.lanes)
        self._body()
        frame.leave(depth)
        frame.sites.pop()
        frame.masked = None
        after = Val(body, at.name, "i64", 1) + frame.lanes
        body.do(f"store {after.typed}, ptr {counter.name}")
        body.do(f"br label %{name}.some")
        frame.lanes, frame.axes[axis], frame.local_row = saved
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
        frame = self.frame
        if frame.flat:
            return math.prod(frame.stage.domain) % frame.lanes != 0
        return frame.extent % frame.lanes != 0

    def _body(self) -> None:
        """All tasks at the present point (or vector of points)."""
        frame = self.frame
        if not frame.inner:
            for task in frame.stage.tasks:
                self._task(task, ())
            return
        extents = [range(frame.stage.domain[axis]) for axis in frame.inner]
        sums: dict[Any, Val] = {}
        for spot in itertools.product(*extents):
            frame.unrolled = dict(zip(frame.inner, spot, strict=True))
            for task in frame.stage.tasks:
                if task.what != "reduces":
                    self._task(task, spot)
                    continue
                value = frame.vector(self.reader.value(task.expr, domain_points(task.expr.shape), ()))
                key = tuple(k for axis, k in frame.unrolled.items() if axis not in task.reduced)
                known = sums.get((id(task), key))
                sums[id(task), key] = value if known is None else self.sums.combined(task, frame.here(known), value)
        frame.unrolled = {}
        for task in self.sums.reductions():
            for key in self.sums.kept_inner(task):
                self.sums.reduce(task, sums[id(task), key], key)

    def _task(self, task: Task, spot: tuple[int, ...]) -> None:
        frame = self.frame
        value = self.reader.value(task.expr, domain_points(task.expr.shape), ())
        if task.what == "reduces":
            self.sums.reduce(task, frame.vector(value), ())
            return
        place = self.sums.target(task)
        if place is not None:
            offset, step, _ = frame.offset(place, domain_points(task.expr.shape))
            frame.put(place, offset, step, frame.vector(value))
