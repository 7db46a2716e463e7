"""The memory that compiled code works on."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.engines.native.layout import Slot


def pointer_of(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def aligned(size: int, dtype: Any) -> Array:
    """Fresh memory that begins at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    raw = np.empty(size * dtype.itemsize + 64, dtype=np.uint8)
    shift = -pointer_of(raw) % 64
    return raw[shift : shift + size * dtype.itemsize].view(dtype)


class Memory:
    """Arrays by slot, and `ctx`, the array of their addresses that compiled code is handed. Slots whose number is in
    `without` get none yet."""

    __slots__ = ("_ctx", "arrays", "ctx", "dtype", "slots")

    def __init__(self, slots: Sequence[Slot], dtype: Any, without: frozenset[int] = frozenset()) -> None:
        self.slots = slots
        self.dtype = dtype
        self.arrays: dict[int, Array] = {}
        self._ctx = np.zeros(max(len(slots), 1), dtype=np.uintp)
        self.ctx = ctypes.c_void_p(pointer_of(self._ctx))
        for k, slot in enumerate(slots):
            if slot.what == "pointer" or k in without:
                continue
            if slot.content is None:
                self.hold(k, aligned(slot.size, dtype))
            else:
                self.hold(k, np.ascontiguousarray(slot.content, dtype=np.int64 if slot.what == "table" else dtype))

    def hold(self, slot: int, array: Array, address: int | None = None) -> None:
        """Lets a slot stand for an array, whose address may be known."""
        self.arrays[slot] = array
        self._ctx[slot] = pointer_of(array) if address is None else address

    def show(self, slot: int, array: Any) -> None:
        """Lets a slot stand for what an argument is: the same array again costs nothing."""
        if self.arrays.get(slot) is not array:
            self.hold(slot, np.ascontiguousarray(array, dtype=self.dtype))
