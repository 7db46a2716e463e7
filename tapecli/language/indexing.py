"""Indices and slices: positions count from 1, and ranges include both ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.graph import Node, shape_text
from tapecli.language.machine import Machine
from tapecli.language.values import Everything, Range
from tapecli.ops.linear import Index


def index(m: Machine, base: Any, items: list[Any]) -> Node:
    """`base[items]`: a number drops its axis, a range and an array of whole numbers keep it."""
    node = m.node(base, "an index")
    if len(items) > node.ndim:
        raise m.error("shape", f"{len(items)} ind{'ex' if len(items) == 1 else 'ices'} into {shape_text(node.shape)}")
    axis = 0
    for item in items:
        if isinstance(item, Everything):
            axis += 1
        elif isinstance(item, Range):
            node = _slice(m, node, axis, item)
            axis += 1
        else:
            node, kept = _at(m, node, axis, item)
            axis += kept
    return node


def _slice(m: Machine, node: Node, axis: int, span: Range) -> Node:
    n = node.shape[axis]
    values = span.values
    if len(values) == 0:
        return m.apply("slice", node, axis=axis, start=0, stop=0, step=1)
    for position in (values[0], values[-1]):
        _check(m, position, n)
    stop = values[-1] - 1 + (1 if span.step > 0 else -1)
    return m.apply("slice", node, axis=axis, start=values[0] - 1, stop=stop, step=span.step)


def _at(m: Machine, node: Node, axis: int, item: Any) -> tuple[Node, int]:
    where = m.node(item, "an index")
    numbers = m.number(where)
    if numbers is None:
        raise m.error(
            "value",
            "an index has to be known before anything runs",
            hint="make it of numbers, constants and data, not of variables",
        )
    if not np.all(np.isfinite(numbers)) or np.any(numbers != np.rint(numbers)):
        raise m.error("index", f"an index is a whole number, and this is {numbers if not numbers.ndim else 'not'}")
    n = node.shape[axis]
    if numbers.ndim == 0:
        position = int(numbers)
        _check(m, position, n)
        entry = m.apply("slice", node, axis=axis, start=position - 1, stop=position, step=1)
        return m.apply("reshape", entry, shape=node.shape[:axis] + node.shape[axis + 1 :]), 0
    if numbers.ndim > 1:
        raise m.error("shape", f"an index is a number or a vector, and this is {shape_text(numbers.shape)}")
    for position in (numbers.min(), numbers.max()) if numbers.size else ():
        _check(m, int(position), n)
    return m.apply("take", node, index=Index(numbers - 1), axis=axis), 1


def _check(m: Machine, position: int, n: int) -> None:
    if not 1 <= position <= n:
        raise m.error(
            "index",
            f"there is no entry {position} of {n}",
            label=f"index {position}",
            hint="the first entry is 1" if position < 1 else f"the last entry is {n}",
        )
