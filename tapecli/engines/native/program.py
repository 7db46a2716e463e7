"""A compiled program and its memory: what happens in a run."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.engines.native.build import callable_at
from tapecli.engines.native.module import Slot, Step
from tapecli.engines.native.plan import Plan
from tapecli.engines.native.threads import LEAST, available, shares, together
from tapecli.graph import Node

if TYPE_CHECKING:
    from tapecli.engines.native import Text

#: Arguments and results of at most this many entries are copied into and out of memory of the program's own.
SMALL = 256


def pointer_of(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def aligned(size: int, dtype: Any) -> Array:
    """Fresh memory that begins at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    raw = np.empty(size * dtype.itemsize + 64, dtype=np.uint8)
    shift = -pointer_of(raw) % 64
    return raw[shift : shift + size * dtype.itemsize].view(dtype)


class Program:
    """Runs the steps of a plan. One program is run by one thread at a time: it owns its memory.

    `outputs` are the graph's results, `inputs` its leaves in calling order. Results of a few entries are fresh arrays.
    Larger ones are fresh as long as somebody holds the earlier ones, and reuse their memory where nobody does.
    """

    def __init__(self, made: Text, dtype: Any, loaded: Any, threads: int | None) -> None:
        slots, steps = made.module.slots, made.steps
        self.outputs = tuple(made.outputs)
        self.inputs = tuple(made.inputs)
        self.dtype = np.dtype(dtype)
        self.text = made.text
        self._where = made.where
        self._ctx = np.zeros(max(len(slots), 1), dtype=np.uintp)
        self._ctx_at = pointer_of(self._ctx)
        self._threads = available() if threads is None else threads
        shared = any(self._split(step) > 1 for step in steps)
        room = max(made.module.scratch, 8) // self.dtype.itemsize + 8
        self._scratch = [aligned(room, self.dtype) for _ in range(self._threads if shared else 1)]
        self._loaded = loaded  # holds the memory of the code
        self._arrays: dict[int, Array] = {}
        self._steps = steps
        self._entry = [None if node is None else made.where.get(node.index) for node in self.inputs]
        self._sizes = [slot.size for slot in slots]
        self._whole = not shared and all(step.what == "pass" for step in steps)
        self._lay_out(slots)
        self._calls = self._bind(steps, loaded)
        self._in = self._ways_in()
        self._settled = {k for k, slot in enumerate(slots) if slot.what in ("value", "literal")} & self._arrays.keys()
        self._settled -= {
            self._where[step.node.index] for step in steps if step.what == "outside" and step.node is not None
        }
        self._out = self._ways_out()

    def _lay_out(self, slots: Sequence[Slot]) -> None:
        entries = {slot: node for slot, node in zip(self._entry, self.inputs, strict=True) if slot is not None}
        results = {self._where[Plan.root(node).index] for node in self.outputs if Plan.root(node).index in self._where}
        self._fresh: dict[int, list[Array]] = {}
        for k, slot in enumerate(slots):
            if slot.what == "pointer" or (k in entries and slot.size > SMALL):
                continue
            if k in results and slot.what == "value" and slot.size > SMALL:
                self._fresh[k] = []
                continue
            if slot.content is not None:
                dtype = np.int64 if slot.what == "table" else self.dtype
                array = np.ascontiguousarray(slot.content, dtype=dtype)
            else:
                array = aligned(slot.size, self.dtype)
            self._arrays[k] = array
            self._ctx[k] = pointer_of(array)

    def _bind(self, steps: Sequence[Step], loaded: Any) -> list[tuple[Any, tuple[Any, ...]]]:
        """The calls of a run: passes with their arguments filled in, NumPy's ops between them."""
        ctx = ctypes.c_void_p(self._ctx_at)
        memory, *others = (ctypes.c_void_p(pointer_of(scratch)) for scratch in self._scratch)
        if self._whole:
            return [(callable_at(loaded.address("run")), (ctx, memory))]
        calls: list[tuple[Any, tuple[Any, ...]]] = []
        for step in steps:
            if step.what == "outside":
                assert step.node is not None
                calls.append((self._outside, (step.node,)))
                continue
            code = callable_at(loaded.address(step.name))
            parts = [
                partial(code, ctx, room, ctypes.c_int64(first), ctypes.c_int64(last))
                for room, (first, last) in zip((memory, *others), shares(step.blocks, self._split(step)), strict=False)
            ]
            calls.append((parts[0], ()) if len(parts) == 1 else (together, (parts,)))
            if step.finish is not None:
                calls.append((callable_at(loaded.address(step.finish)), (ctx, memory)))
        return calls

    def _split(self, step: Step) -> int:
        """How many threads share a step."""
        return min(self._threads, step.blocks) if step.work >= LEAST else 1

    def _ways_in(self) -> list[tuple[int, int, Array | None]]:
        """For each argument that is used: its number, its slot, and the program's own memory where it is copied."""
        found = []
        for k, (slot, node) in enumerate(zip(self._entry, self.inputs, strict=True)):
            if slot is not None:
                assert node is not None
                own = self._arrays.get(slot)
                found.append((k, slot, None if own is None else own.reshape(node.shape)))
        return found

    def _ways_out(self) -> list[tuple[int, Any, bool]]:
        """For each result: its slot, its shape, and whether its memory is handed out itself (else a copy)."""
        given: set[int] = set()
        found: list[tuple[int, Any, bool]] = []
        for node in self.outputs:
            slot = self._where[Plan.root(node).index]
            own = self._arrays.get(slot) if slot in self._settled else None
            found.append((slot, node.shape if own is None else own.reshape(node.shape), slot not in given))
            given.add(slot)
        return found

    def array(self, node: Node) -> Array:
        """What lies in memory for a node, in its shape."""
        return self._arrays[self._where[Plan.root(node).index]].reshape(node.shape)

    def _outside(self, node: Node) -> None:
        """An op that NumPy runs."""
        result = node.op.kernel(*[self.array(arg) for arg in node.args], **node.params)
        self._hold(self._where[node.index], np.ascontiguousarray(result, dtype=self.dtype))

    def _hold(self, slot: int, array: Array) -> None:
        self._arrays[slot] = array
        self._ctx[slot] = pointer_of(array)

    def run(self, *arrays: Any) -> list[Array]:
        """One run."""
        for k, slot, own in self._in:
            if own is not None:
                own[...] = arrays[k]
            else:
                self._hold(slot, np.ascontiguousarray(arrays[k], dtype=self.dtype))
        if self._fresh:
            for slot, pool in self._fresh.items():
                self._hold(slot, self._free(slot, pool))
        if self._whole:
            call, args = self._calls[0]
            call(*args)
        else:
            with np.errstate(all="ignore"):
                for call, args in self._calls:
                    call(*args)
        return [
            shape.copy() if isinstance(shape, np.ndarray) else self._result(slot, shape, first)
            for slot, shape, first in self._out
        ]

    def _result(self, slot: int, shape: Any, first: bool) -> Array:
        array = self._arrays[slot].reshape(shape)
        return array if first and slot in self._fresh else array.copy()

    def _free(self, slot: int, pool: list[Array]) -> Array:
        """Memory for a result: some that nobody holds any more, or fresh memory."""
        self._arrays.pop(slot, None)
        for array in pool:
            # held by the pool and by this loop alone; every view of it counts as well
            if sys.getrefcount(array) <= 3:
                return array
        array = aligned(self._sizes[slot], self.dtype)
        pool.append(array)
        return array
