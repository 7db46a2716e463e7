"""A compiled program and its memory: what happens in a run."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.engines import Run
from tapecli.engines.native.build import callable_at
from tapecli.engines.native.layout import Layout, Step
from tapecli.engines.native.memory import Memory, aligned, pointer_of
from tapecli.engines.native.threads import available, shares, together, worth_sharing
from tapecli.graph import Node

#: Arguments and results of at most this many entries are copied into and out of memory of the program's own.
SMALL = 256


class Program:
    """Runs the steps of a plan. One program is run by one thread at a time: it owns its memory.

    Results of a few entries are fresh arrays. Larger ones are fresh as long as somebody holds the earlier ones, and
    reuse their memory where nobody does.
    """

    def __init__(self, layout: Layout, dtype: Any, code: Any, threads: int | None) -> None:
        self.dtype = np.dtype(dtype)
        self.steps = layout.steps
        self._layout = layout
        self._code = code  # holds the memory of the code
        self._memory, self._fresh = self._lay_out(layout)
        self._threads = available() if threads is None else threads
        shared = any(self._split(step) > 1 for step in self.steps)
        room = max(layout.scratch, 8) // self.dtype.itemsize + 8
        self._scratch = [aligned(room, self.dtype) for _ in range(self._threads if shared else 1)]
        self._calls = self._whole(code) if "run" in layout.names and not shared else self._bind(code)
        self._compiled = all(step.what == "pass" for step in self.steps)
        self._in = self._ways_in()
        self._out = self._ways_out()

    def _lay_out(self, layout: Layout) -> tuple[Memory, dict[int, list[tuple[Array, int]]]]:
        """The program's own memory; and the slots of large results, which get memory at each run."""
        slots = layout.slots
        given = {found[0] for found in layout.inputs if found is not None and slots[found[0]].size > SMALL}
        results = {slot for slot, _ in layout.outputs}
        fresh = {slot for slot in results if slots[slot].what == "value" and slots[slot].size > SMALL}
        return Memory(slots, self.dtype, frozenset(given | fresh)), {slot: [] for slot in fresh}

    def _whole(self, code: Any) -> list[partial[Any]]:
        """All passes by one call."""
        return [partial(callable_at(code.address("run")), self._memory.ctx, self._rooms()[0])]

    def _rooms(self) -> list[ctypes.c_void_p]:
        return [ctypes.c_void_p(pointer_of(scratch)) for scratch in self._scratch]

    def _bind(self, code: Any) -> list[partial[Any]]:
        """The calls of a run: passes with their arguments filled in, NumPy's ops between them."""
        ctx, rooms = self._memory.ctx, self._rooms()
        calls: list[partial[Any]] = []
        for step in self.steps:
            if step.what == "outside":
                assert step.node is not None
                calls.append(partial(self._outside, step.node))
                continue
            call = callable_at(code.address(step.name))
            parts = [
                partial(call, ctx, room, ctypes.c_int64(first), ctypes.c_int64(last))
                for room, (first, last) in zip(rooms, shares(step.blocks, self._split(step)), strict=False)
            ]
            calls.append(parts[0] if len(parts) == 1 else partial(together, parts))
            if step.finish is not None:
                calls.append(partial(callable_at(code.address(step.finish)), ctx, rooms[0]))
        return calls

    def _split(self, step: Step) -> int:
        """How many threads share a step."""
        return min(self._threads, step.blocks) if worth_sharing(step.work) else 1

    def _ways_in(self) -> list[tuple[int, int, Array | None]]:
        """For each argument that is used: its number, its slot, and the program's own memory where it is copied."""
        found = []
        for k, given in enumerate(self._layout.inputs):
            if given is not None:
                slot, shape = given
                own = self._memory.arrays.get(slot)
                found.append((k, slot, None if own is None else own.reshape(shape)))
        return found

    def _ways_out(self) -> list[tuple[int, Any, bool]]:
        """For each result: its slot, the program's own memory that it is copied from or else its shape, and whether
        the memory that lies at the slot may be handed out."""
        where = self._layout.where
        moving = {where[step.node.index] for step in self.steps if step.what == "outside" and step.node is not None}
        moving |= {found[0] for found in self._layout.inputs if found is not None}
        given: set[int] = set()
        found: list[tuple[int, Any, bool]] = []
        for slot, shape in self._layout.outputs:
            own = None if slot in moving else self._memory.arrays.get(slot)
            hand_out = slot in self._fresh and slot not in given
            found.append((slot, shape if own is None else own.reshape(shape), hand_out))
            given.add(slot)
        return found

    def _array(self, node: Node) -> Array:
        """What lies in memory for a node, in its shape, or a view of what it is seen in."""
        from tapecli.engines.native.plan import Plan

        moved = []
        while (slot := self._layout.where.get(Plan.root(node).index)) is None:
            moved.append(node)
            node = node.args[0]
        array = self._memory.arrays[slot].reshape(node.shape)
        for node in reversed(moved):
            array = node.op.kernel(array, **node.params)
        return array

    def _outside(self, node: Node) -> None:
        """An op that NumPy runs."""
        result = node.op.kernel(*[self._array(arg) for arg in node.args], **node.params)
        self._memory.hold(self._layout.where[node.index], np.ascontiguousarray(result, dtype=self.dtype))

    @property
    def memory(self) -> int:
        """How many bytes a run takes."""
        return int(self.dtype.itemsize) * sum(slot.size for slot in self._memory.slots if slot.what != "pointer")

    def run(self, *arrays: Any) -> list[Array]:
        """One run."""
        memory = self._memory
        for k, slot, own in self._in:
            if own is not None:
                own[...] = arrays[k]
            else:
                memory.show(slot, arrays[k])
        for slot, pool in self._fresh.items():
            memory.hold(slot, *self._free(slot, pool))
        if self._compiled:
            for call in self._calls:
                call()
        else:
            with np.errstate(all="ignore"):
                for call in self._calls:
                    call()
        return [
            own.copy() if isinstance(own, np.ndarray) else self._result(slot, own, hand_out)
            for slot, own, hand_out in self._out
        ]

    def _result(self, slot: int, shape: Any, hand_out: bool) -> Array:
        array = self._memory.arrays[slot].reshape(shape)
        return array if hand_out else array.copy()

    def _free(self, slot: int, pool: list[tuple[Array, int]]) -> tuple[Array, int]:
        """Memory for a result and its address: some that nobody holds any more, or fresh memory."""
        self._memory.arrays.pop(slot, None)
        for found in pool:
            # held by the pair alone; a view of it holds it, or (NumPy's way) what it is a view of
            if sys.getrefcount(found[0]) <= 2 and sys.getrefcount(found[0].base) <= 2:
                return found
        array = aligned(self._memory.slots[slot].size, self.dtype)
        pool.append((array, pointer_of(array)))
        return pool[-1]


class Steps:
    """Repeats a compiled step on a state of the program's own, until it says stop or all steps asked for are done."""

    def __init__(self, layout: Layout, dtype: Any, code: Any) -> None:
        repeat = layout.repeat
        assert repeat is not None
        self._repeat = repeat
        self.dtype = np.dtype(dtype)
        self._code = code
        memory = Memory(layout.slots, self.dtype)
        self._scratch = aligned(max(layout.scratch, 8) // self.dtype.itemsize + 8, self.dtype)
        call = callable_at(code.address(repeat.name), ctypes.c_int64)
        self._call = partial(call, memory.ctx, ctypes.c_void_p(pointer_of(self._scratch)))
        self._memory = memory
        flat = memory.arrays[repeat.state]
        ends = np.cumsum([math.prod(shape) for shape in repeat.shapes])
        self._state = [
            flat[end - math.prod(shape) : end].reshape(shape) for end, shape in zip(ends, repeat.shapes, strict=True)
        ]

    def run(self, state: Sequence[Any], count: int, rows: Sequence[Array] = (), shared: Sequence[Any] = ()) -> Run:
        """At most `count` steps from a state on; see `tapecli.engines.Repeated`."""
        for own, value in zip(self._state, state, strict=True):
            own[...] = value
        for slot, value in zip(self._repeat.shared, shared, strict=True):
            if slot is not None:
                self._memory.show(slot, value)
        for slot, value in zip(self._repeat.rows, rows, strict=True):
            if slot is not None:
                self._memory.show(slot, value[:count])
        sizes = [math.prod(shape) for shape in self._repeat.out]
        outs = None
        if sizes:
            outs = aligned(count * (sum(sizes) + 1), self.dtype)
            self._memory.hold(self._repeat.outs, outs)
        done: int = self._call(ctypes.c_int64(count))
        put_out = [] if outs is None else self._split(outs, sizes, done)
        return Run([own.copy() for own in self._state], put_out, done)

    def _split(self, outs: Array, sizes: Sequence[int], done: int) -> list[Array]:
        """What the steps put out, an array (steps × shape) for each result."""
        table = outs.reshape(-1, sum(sizes) + 1)[:done]
        ends = np.cumsum(sizes)
        return [
            table[:, end - size : end].reshape(done, *shape)
            for end, size, shape in zip(ends, sizes, self._repeat.out, strict=True)
        ]
