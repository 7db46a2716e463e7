"""Reductions of a loop nest: in registers where whole loops are summed, in memory where an outer loop comes between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from tapecli.engines.native.frame import Frame, Place
from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.plan import Task


class Sums:
    """Writes the reductions of a stage; `target(task)` says where results go."""

    def __init__(self, frame: Frame, target: Callable[[Task], Place | None]) -> None:
        self.frame = frame
        self.target = target
        self.registers: dict[object, Val] = {}

    def reductions(self) -> Iterator[Task]:
        return (task for task in self.frame.stage.tasks if task.what == "reduces")

    def _suffix(self, task: Task) -> int:
        """The loop from which on all loops are reduced: sums are kept in registers from there."""
        frame = self.frame
        axes = set(task.reduced) if not frame.flat else {0}
        last = len(frame.loops) - self._keeps_chunks(task)
        k = last
        while k and frame.loops[k - 1] in axes:
            k -= 1
        return k if k < last else len(frame.loops)

    def _keeps_chunks(self, task: Task) -> bool:
        """Whether the result has an entry for each point of a last axis whose vectors are written out."""
        frame = self.frame
        return frame.chunked and frame.vector_axis not in task.reduced

    def _first(self, task: Task) -> int:
        """The outermost loop that is reduced."""
        frame = self.frame
        return min(frame.loops.index(axis) for axis in task.reduced if axis in frame.loops)

    def _start(self, task: Task) -> float:
        return float(task.node.op.native.start)

    def begin(self, k: int) -> None:
        """Sums that are kept in registers from loop `k` on are set to their start before it."""
        frame = self.frame
        site = frame.sites[-1]
        for task in self.reductions():
            if self._suffix(task) == k:
                for key, lanes in itertools.product(self.kept_inner(task), self._widths()):
                    start = site.constant(self._start(task), frame.scalar, lanes)
                    site.do(f"store {start.typed}, ptr {self._register(task, key, lanes).name}")

    def _widths(self) -> tuple[int, ...]:
        """How many lanes the sums in registers have: those of whole vectors, and those of pieces."""
        frame = self.frame
        return (frame.lanes,) if frame.piece == frame.lanes else (frame.lanes, frame.piece)

    def _register(self, task: Task, key: tuple[int, ...], lanes: int) -> Val:
        frame = self.frame
        known = self.registers.get((id(task), key, lanes))
        if known is None:
            typed = frame.scalar if lanes == 1 else f"<{lanes} x {frame.scalar}>"
            known = self.registers[id(task), key, lanes] = frame.allocate(typed)
        return known

    def kept_inner(self, task: Task) -> list[tuple[int, ...]]:
        """The points of the written-out axes that a reduction keeps, or its vectors of the last axis."""
        frame = self.frame
        if self._keeps_chunks(task):
            return [(chunk,) for chunk in frame.chunk_numbers()]
        kept = [axis for axis in frame.inner if axis not in task.reduced]
        return list(itertools.product(*[range(frame.stage.domain[axis]) for axis in kept]))

    def finish(self, k: int) -> None:
        """After loop `k`: what registers held goes to memory."""
        frame = self.frame
        site = frame.sites[-1]
        for task in self.reductions():
            if not frame.loops or self._suffix(task) != k:
                continue
            for key in self.kept_inner(task):
                if self._keeps_chunks(task):
                    frame.at_chunk(key[0])
                    register = self._register(task, key, frame.lanes)
                    typed = f"<{frame.lanes} x {frame.scalar}>"
                    held = site.emit(f"load {typed}, ptr {register.name}", frame.scalar, frame.lanes)
                    self._deposit(task, held, (), frame.lanes)
                    frame.at_chunk(None)
                    continue
                total: Val | None = None
                for lanes in self._widths():
                    typed = frame.scalar if lanes == 1 else f"<{lanes} x {frame.scalar}>"
                    register = self._register(task, key, lanes)
                    held = site.emit(f"load {typed}, ptr {register.name}", frame.scalar, lanes)
                    part = self._horizontal(task, held)
                    total = part if total is None else self.combined(task, total, part)
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
            held = self.combined(task, low, high)
        if held.lanes == 2:
            low, high = (site.emit(f"extractelement {held.typed}, i64 {j}", held.scalar) for j in (0, 1))
            held = self.combined(task, low, high)
        return held

    def combined(self, task: Task, x: Val, y: Val) -> Val:
        combine = task.node.op.native.combine
        return x + y if combine is None else combine(Lanes(x.code, x.scalar, x.lanes), x, y)

    def _deposit(self, task: Task, value: Val, key: tuple[int, ...], lanes: int) -> None:
        """Puts a combined value at its place, added to what is there where an outer loop is reduced as well."""
        frame = self.frame
        place = self.target(task)
        assert place is not None
        suffix = self._suffix(task)
        outer = any(axis in task.reduced for axis in frame.loops[:suffix])
        pointer = self._result_address(task, place, key)
        if outer:
            value = self.combined(task, frame.read(pointer, value.lanes), value)
        frame.write(pointer, value)

    def _result_address(self, task: Task, place: Place, key: tuple[int, ...]) -> Val:
        """Where the result of a reduction lies for the present point of the kept axes."""
        frame = self.frame
        kept_inner = [axis for axis in frame.inner if axis not in task.reduced]
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
        site = frame.sites[-1]
        offset = site.constant(place.offset, "i64")
        for axis, stride in steps:
            if axis in spot:
                offset = offset + spot[axis] * stride
                continue
            i, _ = frame.axes[axis]
            if axis == 0 and place.local:
                assert frame.local_row is not None
                i = frame.local_row
            offset = offset + frame.scaled(frame.move(i, len(frame.sites) - 1), stride)
        return frame.address(site, place.pointer, offset)

    def fill(self, k: int) -> None:
        """Before loop `k`: the memory that its sums are added up in is set to their start."""
        frame = self.frame
        site = frame.sites[-1]
        for task in self.reductions():
            if not frame.loops or self._first_in_memory(task) != k:
                continue
            place = self.target(task)
            assert place is not None
            count = 1
            for axis in frame.loops[k:]:
                if axis not in task.reduced:
                    count *= frame.stage.domain[axis]
            start = site.constant(self._start(task), frame.scalar)
            for_zero = [axis for axis in frame.loops[k:] if axis not in task.reduced]
            saved = dict(frame.axes)
            for axis in for_zero:
                frame.axes[axis] = (site.constant(0, "i64"), 0)
            pointer = self._result_address(task, place, ())
            frame.axes = saved
            self._fill_memory(pointer, start, count)

    def _first_in_memory(self, task: Task) -> int | None:
        """The loop before which memory has to be prepared: the outermost reduced one, where it is not in registers."""
        frame = self.frame
        if frame.flat or frame.inner:
            return None
        first = self._first(task)
        return first if first < self._suffix(task) else None

    def _fill_memory(self, pointer: Val, start: Val, count: int) -> None:
        frame = self.frame
        site = frame.sites[-1]
        name, counter = site.fresh("F"), frame.allocate("i64")
        site.do(f"store i64 0, ptr {counter.name}")
        site.do(f"br label %{name}.head")
        site.block(f"{name}.head")
        i = site.emit(f"load i64, ptr {counter.name}", "i64")
        more = i < count
        site.do(f"br i1 {more.name}, label %{name}.body, label %{name}.exit")
        site.block(f"{name}.body")
        frame.write(frame.address(site, pointer, i), start)
        after = i + 1
        site.do(f"store i64 {after.name}, ptr {counter.name}")
        site.do(f"br label %{name}.head")
        site.block(f"{name}.exit")

    def reduce(self, task: Task, value: Val, key: tuple[int, ...]) -> None:
        """Takes a vector of values into a reduction."""
        frame = self.frame
        site = frame.sites[-1]
        if not frame.loops:
            self._deposit(task, value, key, 1)
            return
        if self._suffix(task) < len(frame.loops):
            if frame.masked is not None:
                start = site.constant(self._start(task), frame.scalar, frame.lanes)
                value = Lanes(site, frame.scalar, frame.lanes).select(frame.masked, value, start)
            if self._keeps_chunks(task):
                assert frame.chunk is not None
                key = (frame.chunk,)
            register = self._register(task, key, frame.lanes)
            held = site.emit(f"load {value.type}, ptr {register.name}", frame.scalar, frame.lanes)
            total = self.combined(task, held, value)
            site.do(f"store {total.typed}, ptr {register.name}")
            return
        place = self.target(task)
        assert place is not None
        pointer = self._result_address(task, place, key)
        step = 1
        if frame.inner and not task.crossing:  # vectors of rows, the rows kept
            step = self._row_step(task, place)
            frame.scatter_or_store(pointer, step, value)
            return
        if any(axis in task.reduced for axis in frame.loops):
            value = self.combined(task, frame.read(pointer, value.lanes), value)
        frame.write(pointer, value)

    def _row_step(self, task: Task, place: Place) -> int:
        dims = iter(place.strides)
        for d, n in enumerate(task.expr.shape):
            if d in task.node.params["axes"]:
                continue
            stride = next(dims)
            if n != 1:
                return stride
        return 1
