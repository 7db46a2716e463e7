"""Tasks that are passes of their own: scatters, recurrences, and the ops that NumPy runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lower import kind, written_out
from tapecli.engines.native.module import Function, Step, Writer, loop
from tapecli.engines.native.plan import Plan, Task
from tapecli.graph import LITERAL, Node, needed
from tapecli.ops.lowering import Repeats, Table

if TYPE_CHECKING:
    from tapecli.recur import Body

#: Results of a scatter that one block covers.
BLOCK = 1024


def write(writer: Writer, task: Task) -> Step:
    """The step of a task that stands alone."""
    if task.what == "scatters":
        return _scatter(writer, task.node)
    if task.what == "repeats" and _whole(task.node.params["body"], writer.module.scalar):
        return _repeats(writer, task.node)
    return Step("outside", "", 1, None, task.node, 0.0)


# ---- scatters -----------------------------------------------------------------------------------------------------


def _scatter(writer: Writer, node: Node) -> Step:
    """Each entry of the result gathers what is added up in it, in the order of the index: no two meet."""
    module = writer.module
    (x,), axis, n = node.args, node.params["axis"], node.params["n"]
    index = node.params["index"].array
    order = np.argsort(index, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=n))])
    outer, inner = math.prod(node.shape[:axis]), math.prod(node.shape[axis + 1 :])
    name = module.name("scatter")
    function = Function(module, name, "ptr %ctx, ptr %scratch, i64 %b0, i64 %b1")
    site = function.entry
    source, out = function.pointer(writer.slot(x)), function.pointer(writer.slot(node))
    table, ends = function.pointer(module.table(Table(order))), function.pointer(module.table(Table(bounds)))
    lanes = min(module.width, 1 << (inner - 1).bit_length())
    typed = module.scalar if lanes == 1 else f"<{lanes} x {module.scalar}>"
    total = function.allocate(typed)
    first, last = (Val(site, b, "i64", 1) * BLOCK for b in ("%b0", "%b1"))
    over = last > n
    last = site.emit(f"select {over.typed}, i64 {n}, {last.typed}", "i64")

    def whole(o: Val) -> None:
        def entry(k: Val) -> None:
            start = _load(function, ends, k, "i64")
            stop = _load(function, ends, k + 1, "i64")

            def part(q: Val, width: int) -> None:
                kind_ = module.scalar if width == 1 else f"<{width} x {module.scalar}>"
                site.do(f"store {kind_} zeroinitializer, ptr {total.name}" if width > 1 else _zero(module, total))

                def add(p: Val) -> None:
                    row = _load(function, table, p, "i64")
                    at = (o * x.shape[axis] + row) * inner + q
                    value = _load(function, source, at, module.scalar, width)
                    held = site.emit(f"load {kind_}, ptr {total.name}", module.scalar, width)
                    site.do(f"store {(held + value).typed}, ptr {total.name}")

                loop(function, stop, add, start)
                held = site.emit(f"load {kind_}, ptr {total.name}", module.scalar, width)
                at = (o * n + k) * inner + q
                pointer = site.emit(f"getelementptr {module.scalar}, ptr {out.name}, {at.typed}", "ptr")
                site.do(f"store {held.typed}, ptr {pointer.name}, align {module.size}")

            whole_lanes = inner // lanes * lanes
            if whole_lanes:
                loop(function, whole_lanes, lambda q: part(q, lanes), 0, lanes)
            if whole_lanes < inner:
                loop(function, inner, lambda q: part(q, 1), whole_lanes)

        loop(function, last, entry, first)

    loop(function, outer, whole)
    function.close()
    return Step("pass", name, -(-n // BLOCK), None, node, 4.0 * x.size)


def _zero(module: Any, pointer: Val) -> str:
    return f"store {module.scalar} 0.0, ptr {pointer.name}"


def _load(function: Function, base: Val, at: Val, scalar: str, lanes: int = 1) -> Val:
    site = function.entry
    pointer = site.emit(f"getelementptr {scalar}, ptr {base.name}, {at.typed}", "ptr")
    typed = scalar if lanes == 1 else f"<{lanes} x {scalar}>"
    return site.emit(f"load {typed}, ptr {pointer.name}, align {4 if scalar == 'float' else 8}", scalar, lanes)


# ---- recurrences --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _whole(body: Body, scalar: str) -> bool:
    """Whether nothing in a body is left to NumPy."""
    outputs, _ = _lowered(body, scalar)
    for node in needed(outputs):
        what = kind(node)
        if what == "outside" or (what == "repeats" and not _whole(node.params["body"], scalar)):
            return False
    return True


@lru_cache(maxsize=512)
def _lowered(body: Body, scalar: str) -> tuple[list[Node], list[Node | None]]:
    dtype = np.float64 if scalar == "double" else np.float32
    return written_out(body.outputs, body.inputs, dtype)


def _repeats(writer: Writer, node: Node) -> Step:
    """The loop itself: before each step the pointers of the body's inputs and results are set, then its passes run.

    The carries lie in two buffers that change places after each step.
    """
    module = writer.module
    body: Body = node.params["body"]
    carry, rows, *constants = node.args
    outputs, inputs = _lowered(body, module.scalar)
    entries = {x.index: module.slot("pointer", x.size) for x in inputs if x is not None}
    inner = Writer(module, Plan(outputs), entries)
    inner.write()
    driver = module.name("body")
    inner.driver(driver)
    name = module.name("loop")
    function = Function(module, name, "ptr %ctx, ptr %scratch, i64 %b0, i64 %b1")
    run = _Loop(writer, function, body, inner, driver)
    into, given, fixed = body.grouped(inputs)
    for x, value in zip(fixed, constants, strict=True):
        if x is not None:
            run.point(entries[x.index], function.pointer(writer.slot(value)))
    result = function.pointer(writer.slot(node))
    states = [function.pointer(module.slot("value", max(body.m, 1))) for _ in range(2)]
    now, then = function.allocate("ptr"), function.allocate("ptr")
    site = function.entry
    site.do(f"store ptr {states[0].name}, ptr {now.name}")
    site.do(f"store ptr {states[1].name}, ptr {then.name}")
    run.copy(function.pointer(writer.slot(carry)), states[0], body.m)
    stream = function.pointer(writer.slot(rows)) if rows.size else None

    def step(k: Val) -> None:
        here = site.emit(f"load ptr, ptr {now.name}", "ptr")
        there = site.emit(f"load ptr, ptr {then.name}", "ptr")
        run.spread([None if x is None else entries[x.index] for x in into], body.carry, here)
        if stream is not None:
            row = run.shifted(stream, k * body.p)
            run.spread([None if x is None else entries[x.index] for x in given], body.row, row)
        out = run.shifted(result, k * body.q + body.m)
        run.call(outputs, body, there, out)
        site.do(f"store ptr {there.name}, ptr {now.name}")
        site.do(f"store ptr {here.name}, ptr {then.name}")

    loop(function, rows.shape[0], step)
    run.copy(site.emit(f"load ptr, ptr {now.name}", "ptr"), result, body.m)
    function.close()
    work = sum(s.work for s in inner.steps) * rows.shape[0]
    return Step("pass", name, 1, None, node, work)


class _Loop:
    """What the code of a recurrence is written with."""

    def __init__(self, writer: Writer, function: Function, body: Body, inner: Writer, driver: str) -> None:
        self.module = writer.module
        self.function = function
        self.site = function.entry
        self.inner = inner
        self.driver = driver
        self.own = {slot: function.pointer(slot) for slot in self._movable()}

    def _movable(self) -> list[int]:
        """The slots of results that are computed straight into their places."""
        plan = self.inner.plan
        found = []
        for node in dict.fromkeys(plan.outputs):
            if node.index in plan.stored and kind(node) != "view":
                found.append(self.inner.slot(node))
        return found

    def point(self, slot: int, pointer: Val) -> None:
        """Lets a slot stand for other memory."""
        at = self.site.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
        self.site.do(f"store ptr {pointer.name}, ptr {at.name}")

    def shifted(self, pointer: Val, by: Val | int) -> Val:
        offset = by.typed if isinstance(by, Val) else f"i64 {by}"
        return self.site.emit(f"getelementptr {self.module.scalar}, ptr {pointer.name}, {offset}", "ptr")

    def spread(self, slots: Sequence[int | None], shapes: Sequence[tuple[int, ...]], base: Val) -> None:
        """Lets slots stand for the parts of a flat stretch."""
        at = 0
        for slot, shape in zip(slots, shapes, strict=True):
            if slot is not None:
                self.point(slot, self.shifted(base, at))
            at += math.prod(shape)

    def call(self, outputs: Sequence[Node], body: Body, there: Val, out: Val) -> None:
        """One step: results go straight to their places where they can, and are copied where they cannot."""
        places, at = [], 0
        for k, shape in enumerate((*body.carry, *body.out)):
            if k == len(body.carry):
                at = 0
            places.append(self.shifted(there if k < len(body.carry) else out, at))
            at += math.prod(shape)
        direct: dict[int, Val] = {}
        copies = []
        for node, place in zip(outputs, places, strict=True):
            slot = self.inner.slot(node)
            if slot in self.own and slot not in direct:
                direct[slot] = place
                self.point(slot, place)
            elif node.size:
                copies.append((slot, node, place))
        self.site.do(f"call void @{self.driver}(ptr %ctx, ptr %scratch)")
        for slot, node, place in copies:
            at_slot = self.site.emit(f"getelementptr ptr, ptr %ctx, i64 {slot}", "ptr")
            self.copy(self.site.emit(f"load ptr, ptr {at_slot.name}", "ptr"), place, node.size)

    def copy(self, source: Val, target: Val, count: int) -> None:
        width = self.module.width
        whole = count // width * width

        def move(i: Val, lanes: int) -> None:
            value = _load(self.function, source, i, self.module.scalar, lanes)
            pointer = self.shifted(target, i)
            self.site.do(f"store {value.typed}, ptr {pointer.name}, align {self.module.size}")

        if whole:
            loop(self.function, whole, lambda i: move(i, width), 0, width)
        if whole < count:
            loop(self.function, count, lambda i: move(i, 1), whole)


__all__ = ["LITERAL", "Repeats", "write"]
