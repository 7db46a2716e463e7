"""Loops inside compiled code: recurrences of a formula, and steps that are repeated until one says stop.

A step is a plan of its own, written as functions that find everything through `ctx`. Before each step the pointers of
its inputs and results are set. What is carried from step to step lies in two buffers that change places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tapecli.core import Shape
from tapecli.engines.native.ir import Val
from tapecli.engines.native.lower import kind, written_out
from tapecli.engines.native.module import Function, Step, copy, loop
from tapecli.engines.native.plan import Plan
from tapecli.graph import Node, needed

if TYPE_CHECKING:
    from tapecli.engines.native.writer import Writer
    from tapecli.recur import Body


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
    entries = {x.index: module.slot("pointer", x.size) for x in inputs if x is not None}
    inner = writer.inside(Plan(outputs), entries)
    inner.write()
    driver = module.name("body")
    inner.driver(driver)
    function = Function(module, module.name("loop"), "ptr %ctx, ptr %scratch, i64 %b0, i64 %b1")
    run = _Loop(function, inner, driver, body.carry, body.out)
    into, given, fixed = body.grouped([None if x is None else entries[x.index] for x in inputs])
    for slot, value in zip(fixed, constants, strict=True):
        if slot is not None:
            run.point(slot, function.pointer(writer.slot(value)))
    result = function.pointer(writer.slot(node))
    copy(function, function.pointer(writer.slot(carry)), run.begin(), body.m)
    stream = function.pointer(writer.slot(rows)) if rows.size else None

    def step(k: Val) -> None:
        if stream is not None:
            run.spread(given, body.row, run.shifted(stream, k * body.p))
        run.step(outputs, into, run.shifted(result, k * body.q + body.m))

    loop(function, rows.shape[0], step)
    copy(function, run.now(), result, body.m)
    function.close()
    return Step("pass", function.name, 1, None, node, sum(s.work for s in inner.steps) * rows.shape[0])


class Repeat(NamedTuple):
    """Steps that are repeated: the function's name, and the slots of its state, of the steps asked for and done."""

    name: str
    state: int
    sizes: tuple[int, ...]


def repeat(writer: Writer, outputs: Sequence[Node], inputs: Sequence[Node | None], shapes: Sequence[Shape]) -> Repeat:
    """A function `(ctx, scratch, count) -> steps done` that repeats a step on a state, `count` times at most.

    `outputs` are the next state and, last, a number that ends the loop after the step where it is not 0.
    """
    module = writer.module
    entries = {x.index: module.slot("pointer", x.size) for x in inputs if x is not None}
    inner = writer.inside(Plan(outputs), entries)
    inner.write()
    driver = module.name("step")
    inner.driver(driver)
    function = Function(module, module.name("repeat"), "ptr %ctx, ptr %scratch, i64 %count", "i64")
    site = function.entry
    run = _Loop(function, inner, driver, shapes, ((),))
    into = [None if x is None else entries[x.index] for x in inputs]
    state, stop = module.slot("value", run.m), module.slot("value", 1)
    copy(function, function.pointer(state), run.begin(), run.m)
    done, flag = function.allocate("i64"), function.pointer(stop)
    site.do(f"store i64 0, ptr {done.name}")
    site.do("br label %R.head")
    site.block("R.head")
    k = site.emit(f"load i64, ptr {done.name}", "i64")
    more = site.emit(f"icmp slt i64 {k.name}, %count", "i1")
    site.do(f"br i1 {more.name}, label %R.body, label %R.exit")
    site.block("R.body")
    run.step(outputs, into, flag)
    site.do(f"store {(k + 1).typed}, ptr {done.name}")
    said = site.emit(f"load {module.scalar}, ptr {flag.name}", module.scalar)
    site.do(f"br i1 {said.ne(0.0).name}, label %R.exit, label %R.head")
    site.block("R.exit")
    copy(function, run.now(), function.pointer(state), run.m)
    function.close(site.emit(f"load i64, ptr {done.name}", "i64"))
    return Repeat(function.name, state, tuple(math.prod(shape) for shape in shapes))


class _Loop:
    """What the code of a loop is written with: a step's functions, and the two buffers of what it carries."""

    def __init__(
        self, function: Function, inner: Writer, driver: str, carry: Sequence[Shape], out: Sequence[Shape]
    ) -> None:
        self.module = function.module
        self.function = function
        self.site = function.entry
        self.inner = inner
        self.driver = driver
        self.carry = tuple(carry)
        self.out = tuple(out)
        self.m = sum(math.prod(shape) for shape in self.carry)
        plan = inner.plan
        #: the memory of results that can be computed straight into their places
        self.own = {
            inner.slot(node): function.pointer(inner.slot(node))
            for node in dict.fromkeys(plan.outputs)
            if node.index in plan.stored and kind(node) != "view"
        }
        self._buffers = [function.pointer(self.module.slot("value", max(self.m, 1))) for _ in range(2)]
        self._now, self._then = function.allocate("ptr"), function.allocate("ptr")

    def begin(self) -> Val:
        """Where what is carried has to lie before the first step."""
        for buffer, held in zip(self._buffers, (self._now, self._then), strict=True):
            self.site.do(f"store ptr {buffer.name}, ptr {held.name}")
        return self._buffers[0]

    def now(self) -> Val:
        """Where what is carried lies."""
        return self.site.emit(f"load ptr, ptr {self._now.name}", "ptr")

    def point(self, slot: int, pointer: Val) -> None:
        """Lets a slot stand for other memory."""
        at = self.site.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
        self.site.do(f"store ptr {pointer.name}, ptr {at.name}")

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

    def step(self, outputs: Sequence[Node], into: Sequence[int | None], out: Val) -> None:
        """One step: results go straight to their places where they can, and are copied where they cannot."""
        here, there = self.now(), self.site.emit(f"load ptr, ptr {self._then.name}", "ptr")
        self.spread(into, self.carry, here)
        direct: set[int] = set()
        copies = []
        places = [*self._parts(self.carry, there), *self._parts(self.out, out)]
        for node, place in zip(outputs, places, strict=True):
            slot = self.inner.slot(node)
            if slot in self.own and slot not in direct:
                direct.add(slot)
                self.point(slot, place)
            elif node.size:
                copies.append((slot, node, place))
        self.site.do(f"call void @{self.driver}(ptr %ctx, ptr %scratch)")
        for slot, node, place in copies:
            at = self.site.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
            copy(self.function, self.site.emit(f"load ptr, ptr {at.name}", "ptr"), place, node.size)
        self.site.do(f"store ptr {there.name}, ptr {self._now.name}")
        self.site.do(f"store ptr {here.name}, ptr {self._then.name}")
