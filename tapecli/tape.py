"""`Tape` and `Box`: record forwards, play backwards, nest for second order.

A box wraps a value one level down. An op called on boxes runs on the wrapped values and is appended to the tape of
the highest one; the sweep plays the entries backwards. The wrapped values may be arrays, graph nodes or boxes of an
outer tape, so the same sweep computes, traces and nests. The tape knows no op by name.

A choice (`if c then a else b`) answers with a `Masked` cotangent. The mask travels with the cotangent through the
branch, so what the branch not taken makes of it, nan included, never arrives anywhere: it is absent, not multiplied
by zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, TypeAlias

from tapecli.core import Masked, Op, Shape, Value, shape_of
from tapecli.ops.arithmetic import logical_and, logical_or, select
from tapecli.ops.linear import broadcast, sum_, unbroadcast
from tapecli.records import NamedTuple

_levels = count(1)

#: A cotangent and its mask: where the mask is false the cotangent is absent, whatever stands there. None: no mask.
Cotangent: TypeAlias = tuple[Any, Any]


class Entry(NamedTuple):
    """One recorded call. `inputs` are the boxes' numbers on this tape, None for arguments that it does not watch."""

    op: Op | None
    args: tuple[Any, ...]
    params: dict[str, Any]
    out: Any
    inputs: tuple[int | None, ...]


class Box(Value):
    """A value that a recording watches: `value` is what it stands for, `number` its entry on the recording."""

    __slots__ = ("number", "recording", "value")

    def __init__(self, recording: Recording, value: Any, number: int) -> None:
        self.recording = recording
        self.value = value
        self.number = number

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.recording.level

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        return shape_of(self.value)

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    def interpret(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        recording = self.recording
        values = []
        inputs: list[int | None] = []
        watched = False
        for i, arg in enumerate(args):
            if isinstance(arg, Box) and arg.recording is recording:
                values.append(arg.value)
                live = op.rule(i) is not None
                inputs.append(arg.number if live else None)
                watched = watched or live
            else:
                values.append(arg)
                inputs.append(None)
        out = op(*values, **params)
        if not (watched and recording.active):
            return out
        return recording.append(Entry(op, tuple(values), params, out, tuple(inputs)))

    def mark(self) -> None:
        if isinstance(self.value, Value):
            self.value.mark()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        import numpy as np

        return np.array(number_of(self), dtype=dtype)

    def __float__(self) -> float:
        return float(number_of(self))

    def __repr__(self) -> str:
        return f"Box({self.value!r})"


class Recording:
    """The entries of one recording and the sweep back over them. A recording made later is the inner one."""

    __slots__ = ("active", "entries", "level")

    def __init__(self) -> None:
        self.level = next(_levels)
        self.active = True
        self.entries: list[Entry] = []

    def append(self, entry: Entry) -> Box:
        self.entries.append(entry)
        return Box(self, entry.out, len(self.entries) - 1)

    def watch(self, value: Any) -> Box:
        """A new independent quantity of this recording."""
        return self.append(Entry(None, (), {}, value, ()))

    def owns(self, value: Any) -> bool:
        return isinstance(value, Box) and value.recording is self

    def reached(self, sources: Iterable[Box], stop: int) -> set[int]:
        """The numbers up to `stop` that depend on a source."""
        found = {box.number for box in sources}
        for number in range(min(found, default=stop + 1), stop + 1):
            if any(i in found for i in self.entries[number].inputs if i is not None):
                found.add(number)
        return found

    def sweep(self, target: Box, sources: Sequence[Box], seed: Any) -> list[Any]:
        """The cotangent of each source, given `seed` for the target; None where the target does not depend on it."""
        reached = self.reached(sources, target.number)
        kept = {box.number for box in sources}
        cotangents: dict[int, Cotangent] = {target.number: (seed, None)} if target.number in reached else {}
        for number in range(target.number, min(kept, default=target.number) - 1, -1):
            cotangent = cotangents.get(number)
            entry = self.entries[number]
            if cotangent is None or entry.op is None:
                continue
            if number not in kept:
                del cotangents[number]
            if isinstance(entry.out, Value):
                entry.out.mark()
            for i, source in enumerate(entry.inputs):
                if source is None or source not in reached:
                    continue
                share = pull(entry, i, cotangent)
                if share is not None:
                    known = cotangents.get(source)
                    cotangents[source] = share if known is None else joined(known, share)
        return [None if found is None else settled(found) for found in (cotangents.get(box.number) for box in sources)]


def pull(entry: Entry, i: int, cotangent: Cotangent) -> Cotangent | None:
    """The cotangent of argument `i` of a recorded call, or None where the derivative is absent."""
    op = entry.op
    assert op is not None
    rule = op.rule(i)
    if rule is None:
        return None
    g, mask = cotangent
    if mask is not None and op.kind != "elementwise":
        g = settled(cotangent)
    share = rule(g, entry.out, *entry.args, **entry.params)
    if share is None:
        return None
    if isinstance(share, Masked):
        share, own = share
        mask = own if mask is None else logical_and(mask, own)
    shape = shape_of(entry.args[i])
    if mask is None:
        return unbroadcast(share, shape), None
    if op.kind == "elementwise":
        return _narrowed(share, mask, shape)
    if not shape_of(mask):
        return share, mask
    mask = _truth(mask)
    if op.kind == "linear":  # the rule moves truth to where it moves cotangents
        return share, rule(broadcast(mask, shape=shape_of(entry.out)), entry.out, *entry.args, **entry.params)
    return share, sum_(mask, axes=tuple(range(len(shape_of(mask)))))


def _narrowed(share: Any, mask: Any, shape: Shape) -> Cotangent:
    """A masked cotangent summed over what broadcasting had repeated; an entry counts where any of its copies did."""
    wide = shape_of(share)
    if wide == shape:
        return share, mask
    share = unbroadcast(select(mask, share, 0.0), shape)
    return share, unbroadcast(broadcast(_truth(mask), shape=wide), shape) if shape_of(mask) else mask


def _truth(mask: Any) -> Any:
    """The mask as 1 and 0. A condition may be any number, and numbers of both signs would cancel in a sum."""
    return logical_and(mask, mask)


def settled(cotangent: Cotangent) -> Any:
    """The cotangent as one value, exactly zero where it is masked."""
    g, mask = cotangent
    return g if mask is None else select(mask, g, 0.0)


def joined(one: Cotangent, two: Cotangent) -> Cotangent:
    """The sum of two cotangents."""
    mask = None if one[1] is None or two[1] is None else logical_or(one[1], two[1])
    return settled(one) + settled(two), mask


def number_of(value: Any) -> Any:
    """The array under any number of boxes."""
    while isinstance(value, Box):
        value = value.value
    return value
