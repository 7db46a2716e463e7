"""Loops inside compiled code: recurrences of a formula, and steps that are repeated until one says stop.

A step is a plan of its own, written as functions that find everything through `ctx`. Before each step the pointers of
its inputs and results are set. What is carried from step to step lies in two buffers that change places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tapecli.core import Shape
from tapecli.engines.native.ir import Val
from tapecli.engines.native.layout import Repeat, Step
from tapecli.engines.native.lower import kind, written_out
from tapecli.engines.native.module import Function, copy, loop
from tapecli.engines.native.plan import Plan
from tapecli.graph import Node, needed

if TYPE_CHECKING:
    from tapecli.engines.native.writer import Writer
    from tapecli.engines.repeated import Sizes
    from tapecli.recur import Body


#: A step whose state and outputs are at most this many numbers is kept in registers.
REGISTERS = 64


@lru_cache(maxsize=512)
def whole(body: Body, scalar: str) -> bool:
    """Whether nothing in a body is left to NumPy."""
    return all_compiled(_lowered(body, scalar)[0], scalar)


def all_compiled(outputs: Sequence[Node], scalar: str) -> bool:
    """Whether nothing in a graph is left to NumPy."""
    for node in needed(outputs):
        what = kind(node)
        if what == "outside" or (what == "repeats" and not whole(node.params["body"], scalar)):
            return False
    return True


@lru_cache(maxsize=512)
def _lowered(body: Body, scalar: str) -> tuple[list[Node], list[Node | None]]:
    dtype = np.float64 if scalar == "double" else np.float32
    return written_out(body.outputs, body.inputs, dtype)


def write(writer: Writer, node: Node) -> Step:
    """A recurrence of the formula."""
    module = writer.module
    body: Body = node.params["body"]
    carry, rows, *constants = node.args
    outputs, inputs = _lowered(body, module.scalar)
    function = Function(module, module.name("loop"), "ptr %ctx, ptr %scratch, i64 %b0, i64 %b1")
    run = _loop(function, writer, outputs, inputs, body.carry, body.out)
    into, given, fixed = body.grouped(run.entries)
    for slot, value in zip(fixed, constants, strict=True):
        if slot is not None:
            run.point(slot, function.pointer(writer.slot(value)))
    result = function.pointer(writer.slot(node))
    run.begin(function.pointer(writer.slot(carry)))
    stream = function.pointer(writer.slot(rows)) if rows.size else None

    def step(k: Val) -> None:
        if stream is not None:
            run.spread(given, body.row, run.shifted(stream, k * body.p))
        run.step(into, run.shifted(result, k * body.q + body.m))

    loop(function, rows.shape[0], step)
    run.end(result)
    function.close()
    return Step("pass", function.name, 1, None, node, run.work * rows.shape[0])


def repeat(writer: Writer, outputs: Sequence[Node], inputs: Sequence[Node | None], sizes: Sizes) -> Repeat:
    """A function `(ctx, scratch, count) -> steps done` that repeats a step on a state, `count` times at most.

    `inputs` are the state, rows and what is shared, as many of them as `sizes` says; `outputs` are the next state, what
    a step puts out and, last, a number that ends the loop after the step where it is not 0. Memory of what is put out
    has room for that number too, at the end of each step's entries.
    """
    module = writer.module
    function = Function(module, module.name("repeat"), "ptr %ctx, ptr %scratch, i64 %count", "i64")
    site = function.entry
    shapes = [node.shape for node in outputs]
    carried, out = shapes[: sizes.state], shapes[sizes.state :]
    run = _loop(function, writer, outputs, inputs, carried, out)
    entries, shared = run.entries[sizes.state :][: sizes.rows], run.entries[sizes.state + sizes.rows :]
    rows = [None if slot is None else module.slot("pointer", 0) for slot in entries]
    streams = [
        (slot, function.pointer(row), node.size)
        for slot, row, node in zip(entries, rows, inputs[sizes.state :], strict=False)
        if slot is not None and row is not None and node is not None
    ]
    memory = module.slot("value", max(run.m, 1))
    state, done = function.pointer(memory), function.allocate("i64")
    outs, q = module.slot("pointer", 0), sum(math.prod(shape) for shape in out)
    kept = function.pointer(outs) if q > 1 else function.allocate(module.scalar)
    run.begin(state)
    site.do(f"store i64 0, ptr {done.name}")
    site.do("br label %R.head")
    site.block("R.head")
    k = site.emit(f"load i64, ptr {done.name}", "i64")
    more = site.emit(f"icmp slt i64 {k.name}, %count", "i1")
    site.do(f"br i1 {more.name}, label %R.body, label %R.exit")
    site.block("R.body")
    for slot, stream, size in streams:
        run.point(slot, run.shifted(stream, k * size))
    place = run.shifted(kept, k * q) if q > 1 else kept
    run.step(run.entries, place)
    site.do(f"store {(k + 1).typed}, ptr {done.name}")
    flag = run.shifted(place, q - 1)
    said = site.emit(f"load {module.scalar}, ptr {flag.name}", module.scalar)
    site.do(f"br i1 {said.ne(0.0).name}, label %R.exit, label %R.head")
    site.block("R.exit")
    run.end(state)
    function.close(site.emit(f"load i64, ptr {done.name}", "i64"))
    return Repeat(function.name, memory, tuple(carried), tuple(rows), tuple(shared), outs, tuple(out[:-1]))


def _loop(
    function: Function,
    writer: Writer,
    outputs: Sequence[Node],
    inputs: Sequence[Node | None],
    carry: Sequence[Shape],
    out: Sequence[Shape],
) -> _Loop:
    """What a loop over a step is written with."""
    module = function.module
    entries = {x.index: module.slot("pointer", x.size) for x in inputs if x is not None}
    inner = writer.inside(Plan(outputs), entries)
    slots = [None if x is None else entries[x.index] for x in inputs]
    small = sum(math.prod(shape) for shape in (*carry, *out)) <= REGISTERS
    kind_ = _InRegisters if small and inner.straight else _InMemory
    return kind_(function, inner, outputs, slots, carry, out)


class _Loop:
    """Code that runs a step again and again.

    `entries` are the slots of the step's inputs; `m` counts the entries that are carried from step to step.
    """

    def __init__(
        self,
        function: Function,
        inner: Writer,
        outputs: Sequence[Node],
        entries: Sequence[int | None],
        carry: Sequence[Shape],
        out: Sequence[Shape],
    ) -> None:
        self.module = function.module
        self.function = function
        self.site = function.entry
        self.inner = inner
        self.outputs = tuple(outputs)
        self.entries = list(entries)
        self.carry = tuple(carry)
        self.out = tuple(out)
        self.m = sum(math.prod(shape) for shape in self.carry)
        self.work = 0.0
        self._prepare()

    def _prepare(self) -> None:
        """What has to stand before the loop."""
        raise NotImplementedError

    def begin(self, source: Val) -> None:
        """Takes what is carried at first from memory."""
        raise NotImplementedError

    def end(self, target: Val) -> None:
        """Puts what is carried at last into memory."""
        raise NotImplementedError

    def point(self, slot: int, pointer: Val) -> None:
        """Lets a slot of the step stand for other memory."""
        raise NotImplementedError

    def step(self, into: Sequence[int | None], out: Val) -> None:
        """One step; `into` are the slots of what is carried, `out` is where its outputs go."""
        raise NotImplementedError

    def shifted(self, pointer: Val, by: Val | int) -> Val:
        offset = by.typed if isinstance(by, Val) else f"i64 {by}"
        return self.site.emit(f"getelementptr {self.module.scalar}, ptr {pointer.name}, {offset}", "ptr")

    def spread(self, slots: Sequence[int | None], shapes: Sequence[Shape], base: Val) -> None:
        """Lets slots stand for the parts of a flat stretch."""
        for slot, place in zip(slots, self._parts(shapes, base), strict=True):
            if slot is not None:
                self.point(slot, place)

    def _parts(self, shapes: Sequence[Shape], base: Val) -> list[Val]:
        places, at = [], 0
        for shape in shapes:
            places.append(self.shifted(base, at))
            at += math.prod(shape)
        return places

    def _direct(self, places: Sequence[Val]) -> list[tuple[int, Node, Val]]:
        """Lets results be computed straight into their places where they can; answers with those that have to be
        copied there: their slots, nodes and places."""
        plan, direct, copies = self.inner.plan, set(), []
        for node, place in zip(self.outputs, places, strict=True):
            slot = self.inner.slot(node)
            if slot not in direct and node.index in plan.stored and kind(node) != "view":
                direct.add(slot)
                self.point(slot, place)
            elif node.size:
                copies.append((slot, node, place))
        return copies


class _InMemory(_Loop):
    """The step is a function that finds everything through `ctx`; what is carried lies in two buffers that change
    places."""

    def _prepare(self) -> None:
        self.work = sum(step.work for step in self.inner.write())
        self._driver = self.module.name("body")
        self.inner.driver(self._driver)
        for node in self.inner.plan.outputs:
            self.inner.slot(node)
        self._buffers = [self.function.pointer(self.module.slot("value", max(self.m, 1))) for _ in range(2)]
        self._now, self._then = self.function.allocate("ptr"), self.function.allocate("ptr")

    def begin(self, source: Val) -> None:
        for buffer, held in zip(self._buffers, (self._now, self._then), strict=True):
            self.site.do(f"store ptr {buffer.name}, ptr {held.name}")
        copy(self.function, source, self._buffers[0], self.m)

    def end(self, target: Val) -> None:
        copy(self.function, self._held(self._now), target, self.m)

    def _held(self, pointer: Val) -> Val:
        return self.site.emit(f"load ptr, ptr {pointer.name}", "ptr")

    def point(self, slot: int, pointer: Val) -> None:
        at = self.site.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
        self.site.do(f"store ptr {pointer.name}, ptr {at.name}")

    def step(self, into: Sequence[int | None], out: Val) -> None:
        here, there = self._held(self._now), self._held(self._then)
        self.spread(into[: len(self.carry)], self.carry, here)
        copies = self._direct([*self._parts(self.carry, there), *self._parts(self.out, out)])
        self.site.do(f"call void @{self._driver}(ptr %ctx, ptr %scratch)")
        for slot, node, place in copies:
            at = self.site.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
            copy(self.function, self._held(at), place, node.size)
        self.site.do(f"store ptr {there.name}, ptr {self._now.name}")
        self.site.do(f"store ptr {here.name}, ptr {self._then.name}")


class _InRegisters(_Loop):
    """A step of a few numbers without loops of its own: it is written in place, and what is carried lies in
    allocations that LLVM makes registers."""

    def _prepare(self) -> None:
        for slot in list(self.inner.slots.values()):
            self.function.pointer(slot)
        for node in self.inner.plan.outputs:
            self.function.pointer(self.inner.slot(node))
        self._now, self._then = (self._allocations() for _ in range(2))
        self.work = 1.0

    def _allocations(self) -> list[Val]:
        scalar = self.module.scalar
        return [self.function.allocate(f"[{max(math.prod(shape), 1)} x {scalar}]") for shape in self.carry]

    def begin(self, source: Val) -> None:
        for part, own, shape in zip(self._parts(self.carry, source), self._now, self.carry, strict=True):
            self._copy(part, own, math.prod(shape))

    def end(self, target: Val) -> None:
        for part, own, shape in zip(self._parts(self.carry, target), self._now, self.carry, strict=True):
            self._copy(own, part, math.prod(shape))

    def _copy(self, source: Val, target: Val, count: int) -> None:
        scalar = self.module.scalar
        for k in range(count):
            value = self.site.emit(f"load {scalar}, ptr {self.shifted(source, k).name}", scalar)
            self.site.do(f"store {value.typed}, ptr {self.shifted(target, k).name}")

    def point(self, slot: int, pointer: Val) -> None:
        self.function.place(slot, pointer)

    def step(self, into: Sequence[int | None], out: Val) -> None:
        for slot, own in zip(into[: len(self.carry)], self._now, strict=True):
            if slot is not None:
                self.point(slot, own)
        copies = self._direct([*self._then, *self._parts(self.out, out)])
        self.inner.write_straight(self.function)
        for slot, node, place in copies:
            self._copy(self.function.pointer(slot), place, node.size)
        for own, after, shape in zip(self._now, self._then, self.carry, strict=True):
            self._copy(after, own, math.prod(shape))
