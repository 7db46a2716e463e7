"""Scatters: entries added up at the places of an index, without two threads ever meeting at one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.engines.native.ir import Val
from tapecli.engines.native.layout import Step
from tapecli.engines.native.module import Function, load, loop
from tapecli.graph import Node
from tapecli.ops.lowering import Table

if TYPE_CHECKING:
    from tapecli.engines.native.writer import Writer

#: Results of a scatter that one block covers.
BLOCK = 1024


def write(writer: Writer, node: Node) -> Step:
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
            start = load(function, ends, k, "i64")
            stop = load(function, ends, k + 1, "i64")

            def part(q: Val, width: int) -> None:
                kind_ = module.scalar if width == 1 else f"<{width} x {module.scalar}>"
                site.do(f"store {kind_} zeroinitializer, ptr {total.name}" if width > 1 else _zero(module, total))

                def add(p: Val) -> None:
                    row = load(function, table, p, "i64")
                    at = (o * x.shape[axis] + row) * inner + q
                    value = load(function, source, at, module.scalar, width)
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
