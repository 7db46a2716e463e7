"""Indices and slices: positions count from 1, and ranges include both ends.

Inside a loop an index has a value at every point. Where it steps evenly along one axis the entries are a slice, else
they are gathered; either way it is one operation on the whole array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.core import TABLE, Array
from tapecli.graph import Node, shape_text
from tapecli.language.machine import Machine
from tapecli.language.recurrences import over_steps, picked
from tapecli.language.sweeps import joint, spread
from tapecli.language.values import Axis, Everything, Range, Swept, SweptRange
from tapecli.ops.linear import Index


def index(m: Machine, base: Any, items: list[Any]) -> Any:
    """`base[items]`: a number drops its dimension; a range and an array of whole numbers keep it."""
    value = m.node(base, "an index")
    if len(items) > value.ndim:
        plural = "index" if len(items) == 1 else "indices"
        raise m.error("shape", f"{len(items)} {plural} into {shape_text(value.shape)}")
    items = [_fixed(m, item) for item in items]
    if any(isinstance(item, Swept) for item in items):
        return _swept(m, value, items)
    dimension = 0
    for item in items:
        if isinstance(item, Everything):
            dimension += 1
        elif isinstance(item, Range):
            value = _slice(m, value, dimension, item)
            dimension += 1
        else:
            value, kept = _at(m, value, dimension, item)
            dimension += kept
    return value


def _moving(m: Machine, value: Any, dimension: int, item: Any) -> Any:
    """The entry at an index that moves with the steps of a recurrence, or None where the index is something else."""
    found = None if isinstance(value, Swept) else over_steps(m, item)
    if found is None or m.number(item) is not None:
        return None
    numbers, axes = found
    n = value.shape[dimension]
    wrong = (~np.isfinite(numbers) | (numbers != np.rint(numbers)) | (numbers < 1) | (numbers > n)) & _held(m, axes)
    if np.any(wrong):
        position = float(np.extract(wrong, numbers)[0])
        if position != int(position):
            raise m.error("index", f"an index is a whole number, and this is {position:g}")
        _check(m, int(position), n)
    positions = np.clip(np.nan_to_num(numbers), 1, max(n, 1)).astype(np.intp) - 1
    return picked(m, value, dimension, positions, axes, item)


def _fixed(m: Machine, item: Any) -> Any:
    """A range whose ends move with a loop, but not its length, as the positions that it covers at every point."""
    if not isinstance(item, SweptRange):
        return item
    length = m.apply("sub", item.last, item.first)
    numbers = m.number(length)
    if numbers is None or numbers.size == 0 or np.any(numbers != numbers.flat[0]):
        raise m.error(
            "shape",
            "a slice has one length at all points of a loop",
            hint="sum over the range: sum(x[j] for j in i..n)",
        )
    steps = np.arange(0, int(numbers.flat[0]) + (1 if item.step > 0 else -1), item.step)
    return m.apply("add", _opened(m, item.first), m.graph.literal(steps))


def _opened(m: Machine, value: Any) -> Any:
    return m.apply("reshape", value, shape=(1,))


def _slice(m: Machine, value: Any, dimension: int, span: Range) -> Any:
    n = value.shape[dimension]
    positions = span.values
    if len(positions) == 0:
        return m.apply("slice", value, axis=dimension, start=0, stop=0, step=1)
    for position in (positions[0], positions[-1]):
        _check(m, position, n)
    stop = positions[-1] - 1 + (1 if span.step > 0 else -1)
    return m.apply("slice", value, axis=dimension, start=positions[0] - 1, stop=stop, step=span.step)


def _numbers(m: Machine, item: Any) -> Array:
    """The whole numbers that an index has, known before anything runs."""
    where = m.node(item, "an index")
    numbers = m.known_numbers(where, "an index")
    with np.errstate(all="ignore"):
        wrong = ~np.isfinite(numbers) | (numbers != np.rint(numbers))
    if np.any(wrong & _active(m, where)):
        raise m.error("index", f"an index is a whole number, and this is {float(np.extract(wrong, numbers)[0]):g}")
    return np.where(wrong, 1.0, numbers)


def _at(m: Machine, value: Any, dimension: int, item: Any) -> tuple[Any, int]:
    moving = _moving(m, value, dimension, item) if m.recurrences and isinstance(item, Node) else None
    if moving is not None:
        return moving, 0
    numbers = _numbers(m, item)
    n = value.shape[dimension]
    if numbers.ndim > 1:
        raise m.error("shape", f"an index is a number or a vector, and this is {shape_text(numbers.shape)}")
    active = _active(m, item)
    if not np.all(active):
        numbers = np.clip(numbers, 1, max(n, 1))
    for position in (numbers.min(), numbers.max()) if numbers.size else ():
        _check(m, int(position), n)
    if numbers.ndim == 0:
        position = int(numbers)
        entry = m.apply("slice", value, axis=dimension, start=position - 1, stop=position, step=1)
        return m.apply("reshape", entry, shape=value.shape[:dimension] + value.shape[dimension + 1 :]), 0
    return m.apply("take", value, index=Index(numbers - 1), axis=dimension), 1


def _check(m: Machine, position: int, n: int) -> None:
    if not 1 <= position <= n:
        raise m.error(
            "index",
            f"there is no entry {position} of {n}",
            label=f"index {position}",
            hint="the first entry is 1" if position < 1 else f"the last entry is {n}",
        )


# ---- inside loops -----------------------------------------------------------------------------------------------


def _active(m: Machine, item: Any) -> Any:
    """At which points of an index the branches of the `if`s around are taken, as far as that is known now."""
    axes: tuple[Axis, ...] = item.axes if isinstance(item, Swept) else ()
    held = _held(m, axes)
    return held.reshape(held.shape + (1,) * item.ndim)


def _held(m: Machine, axes: tuple[Axis, ...]) -> Array:
    """At which points of `axes` all conditions around hold, as far as they are known."""
    active = np.ones([axis.count for axis in axes], dtype=bool)
    for mask in m.masks:
        if mask is not None:
            active = active & spread(mask[0], mask[1], axes)
    return active


def _swept(m: Machine, value: Any, items: list[Any]) -> Any:
    """An index that moves with a loop."""
    positions = [_positions(m, value, k, item) for k, item in enumerate(items)]
    found = None if isinstance(value, Swept) else _strides(m, value, items, positions)
    if found is not None:
        return found
    return _gather(m, value, items, positions)


def _positions(m: Machine, value: Any, dimension: int, item: Any) -> Any:
    """Positions from 0 along a dimension: with the item's axes leading, then the item's shape at one point."""
    n = value.shape[dimension]
    if isinstance(item, Everything):
        return np.arange(n)
    if isinstance(item, Range):
        values = np.array(item.values)
        for position in (values[0], values[-1]) if len(values) else ():
            _check(m, int(position), n)
        return values - 1
    numbers = _numbers(m, item)
    outside = ((numbers < 1) | (numbers > n)) & _active(m, item)
    if np.any(outside):
        _check(m, int(np.extract(outside, np.broadcast_to(numbers, outside.shape))[0]), n)
    if n == 0 and numbers.size:
        raise m.error("index", "there are no entries to index")
    return np.clip(numbers, 1, n).astype(np.intp) - 1


def _strides(m: Machine, node: Node, items: list[Any], positions: list[Any]) -> Swept | None:
    """The entries as slices, where each index steps evenly along an axis of its own."""
    moving = [(k, item) for k, item in enumerate(items) if not isinstance(item, Everything)]
    axes = [item.axes[0] for _, item in moving if isinstance(item, Swept) and item.ndim == 0 and len(item.axes) == 1]
    if len(axes) != len(moving) or joint(axes) != tuple(sorted(axes, key=lambda axis: axis.serial)):
        return None
    spans = [_stride(positions[k]) for k, _ in moving]
    if len(set(axes)) != len(axes) or any(span is None for span in spans):
        return None
    for (k, _), span in zip(moving, spans, strict=True):
        assert span is not None
        node = m.apply("slice", node, axis=k, start=span.start, stop=span.stop, step=span.step)
    order = [k for _, k in sorted((axis.serial, k) for axis, (k, _) in zip(axes, moving, strict=True))]
    rest = [k for k in range(node.ndim) if k not in order]
    if order + rest != list(range(node.ndim)):
        node = m.apply("transpose", node, axes=(*order, *rest))
    return Swept(node, joint(axes))


def _stride(positions: Array) -> range | None:
    """Positions as a range, where they step evenly."""
    if positions.size == 0:
        return None
    step = int(positions[1] - positions[0]) if positions.size > 1 else 1
    if step == 0 or (positions.size > 2 and np.any(np.diff(positions) != step)):
        return None
    return range(int(positions[0]), int(positions[-1]) + (1 if step > 0 else -1), step)


def _gather(m: Machine, value: Any, items: list[Any], positions: list[Any]) -> Swept:
    """The entries gathered by one index into the array laid flat.

    The result has the axes of the value and of all indices, then one dimension for each index that keeps its own, then
    the dimensions that are not indexed.
    """
    own = value.axes if isinstance(value, Swept) else ()
    axes = joint([*own, *(axis for item in items if isinstance(item, Swept) for axis in item.axes)])
    kept = [positions[k].ndim if not isinstance(item, Swept) else item.ndim for k, item in enumerate(items)]
    node, strides = _flattened(m, value, len(items))
    counts = [axis.count for axis in axes]
    total: Any = np.zeros(counts + [1] * sum(kept), dtype=np.intp)
    for axis, stride in zip(own, strides, strict=False):
        along = np.arange(axis.count) * stride
        total = total + spread(along, [axis], axes).reshape(counts + [1] * sum(kept))
    before = 0
    for k, item in enumerate(items):
        at = positions[k] * strides[len(own) + k]
        inner = at.shape[len(item.axes) :] if isinstance(item, Swept) else at.shape
        shape = [1] * before + list(inner) + [1] * (sum(kept) - before - kept[k])
        if isinstance(item, Swept):
            total = total + _laid(at, item.axes, axes, inner, counts, shape)
        else:
            total = total + at.reshape([1] * len(counts) + shape)
        before += kept[k]
    rest = value.shape[len(items) :]
    taken = m.graph.add(TABLE["take"], [node], {"index": Index(total.reshape(-1)), "axis": 0})
    return Swept(m.apply("reshape", taken, shape=(*total.shape, *rest)), axes)


def _laid(at: Array, own: Any, axes: Any, inner: Any, counts: list[int], shape: list[int]) -> Array:
    """Positions of one index, with its own axes, on the axes of all."""
    if not inner:
        return spread(at, own, axes).reshape(counts + shape)
    flat = at.reshape(*at.shape[: len(own)], -1)
    parts = [spread(flat[..., j], own, axes) for j in range(flat.shape[-1])]
    return np.stack(parts, axis=-1).reshape(counts + shape)


def _flattened(m: Machine, value: Any, indexed: int) -> tuple[Node, list[int]]:
    """The array with its axes and indexed dimensions laid flat, and what one step along each of these amounts to."""
    node = value.node if isinstance(value, Swept) else value
    lead = (len(value.axes) if isinstance(value, Swept) else 0) + indexed
    head, rest = node.shape[:lead], node.shape[lead:]
    strides, size = [], 1
    for n in reversed(head):
        strides.append(size)
        size *= n
    return m.graph.add(TABLE["reshape"], [node], {"shape": (size, *rest)}), strides[::-1]
