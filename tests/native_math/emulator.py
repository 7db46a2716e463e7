"""Runs machine code for AArch64 in an emulator (Unicorn), so that it can be tried on other processors."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from harness import Kind, Rule, object_of, text_of

#: Any processor of the kind, with vectors of 16 bytes.
ARM = Kind("generic", "+neon", 16, True, "nounwind")
TRIPLE = "aarch64-unknown-linux-gnu"
#: Where code and constants are put, the stack ends, and arrays begin; a return to STOP ends a call.
CODE, STACK, DATA, STOP = 0x100000, 0x8000000, 0x10000000, 0xF000
PAGE = 1 << 12


class Section(NamedTuple):
    """A section of an object file: the fields of its header that matter, and where it is put."""

    kind: int
    flags: int
    content: bytes
    size: int
    link: int
    info: int
    address: int


def _sections(content: bytes) -> list[Section]:
    start, size, count = *struct.unpack_from("<Q", content, 40), *struct.unpack_from("<HH", content, 58)
    sections, at = [], CODE
    for k in range(count):
        header = struct.unpack_from("<IIQQQQIIQQ", content, start + k * size)
        _, kind, flags, _, offset, length, link, info, align, _ = header
        at = -(-at // max(align, 1)) * max(align, 1)
        data = b"" if kind == 8 else content[offset : offset + length]
        sections.append(Section(kind, flags, data, length, link, info, at))
        at += length if flags & 2 else 0
    return sections


def _text(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()


def _symbols(sections: Sequence[Section]) -> list[tuple[str, int]]:
    """Name and address of each symbol."""
    (table,) = [s for s in sections if s.kind == 2]
    names, found = sections[table.link].content, []
    for name, _, _, where, value, _ in struct.iter_unpack("<IBBHQQ", table.content):
        known = 0 < where < len(sections)
        found.append((_text(names, name), sections[where].address + value if known else -1))
    return found


def _relocations(sections: Sequence[Section]) -> Iterator[tuple[Section, int, int, int, int]]:
    for s in sections:
        if s.kind == 4 and sections[s.info].flags & 2:
            for offset, info, addend in struct.iter_unpack("<QQq", s.content):
                yield sections[s.info], offset, info & 0xFFFFFFFF, info >> 32, addend


def _patched(word: int, kind: int, target: int, place: int) -> int:
    """An instruction with the address that it is to have (ELF for the Arm 64-bit Architecture, 5.7)."""
    if kind == 275:  # ADR_PREL_PG_HI21
        pages = (target // PAGE - place // PAGE) & 0x1FFFFF
        return word | (pages & 3) << 29 | (pages >> 2) << 5
    if kind in (282, 283):  # JUMP26, CALL26
        return word | ((target - place) >> 2) & 0x3FFFFFF
    shift = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}.get(kind)  # ADD and LDSTn_ABS_LO12_NC
    if shift is None:
        raise ValueError(f"a relocation of kind {kind}")
    return word | ((target % PAGE) >> shift) << 10


class Image:
    """An object file in an emulated machine."""

    def __init__(self, content: bytes) -> None:
        import unicorn

        sections = _sections(content)
        symbols = _symbols(sections)
        self.addresses = dict(symbols)
        self.machine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        for first, size in ((CODE, 16 << 20), (STACK - (1 << 20), 1 << 20), (DATA, 16 << 20), (STOP, PAGE)):
            self.machine.mem_map(first, size)
        for s in sections:
            if s.flags & 2 and s.content:
                self.machine.mem_write(s.address, s.content)
        for section, offset, kind, symbol, addend in _relocations(sections):
            name, address = symbols[symbol]
            if address < 0:
                raise ValueError(f"{name} is not in the module")
            place = section.address + offset
            (word,) = struct.unpack("<I", self.machine.mem_read(place, 4))
            self.machine.mem_write(place, struct.pack("<I", _patched(word, kind, address + addend, place)))

    def call(self, name: str, *arguments: int) -> None:
        from unicorn import arm64_const as registers

        for k, value in enumerate(arguments):
            self.machine.reg_write(getattr(registers, f"UC_ARM64_REG_X{k}"), value)
        self.machine.reg_write(registers.UC_ARM64_REG_SP, STACK - 256)
        self.machine.reg_write(registers.UC_ARM64_REG_LR, STOP)
        self.machine.emu_start(self.addresses[name], STOP)

    def write(self, address: int, array: Any) -> None:
        self.machine.mem_write(address, np.ascontiguousarray(array).tobytes())

    def read(self, address: int, count: int, dtype: Any) -> Any:
        content = bytes(self.machine.mem_read(address, count * np.dtype(dtype).itemsize))
        return np.frombuffer(content, dtype).copy()


class Emulated:
    """Functions of arrays by name, as `harness.Compiled`, on an emulated processor."""

    def __init__(self, rules: dict[str, Rule], arity: dict[str, int], scalar: str, lanes: int) -> None:
        self._image = Image(object_of(text_of(rules, arity, scalar, lanes, ARM), ARM, TRIPLE))
        self._dtype, self._lanes = np.dtype(np.float64 if scalar == "double" else np.float32), lanes

    def __call__(self, name: str, *args: Any) -> Any:
        arrays = [np.asarray(a, dtype=self._dtype) for a in args]
        n = arrays[0].size
        whole = -(-n // self._lanes) * self._lanes
        room = -(-whole * self._dtype.itemsize // PAGE) * PAGE
        pointers = [DATA + k * room for k in range(len(arrays) + 1)]
        for pointer, a in zip(pointers[1:], arrays, strict=True):
            self._image.write(pointer, np.concatenate([a, np.full(whole - n, a[-1], self._dtype)]))
        self._image.call(name, *pointers, *[0] * (4 - len(pointers)), whole)
        return self._image.read(DATA, whole, self._dtype)[:n]


def run(made: Any, dtype: Any, arguments: Sequence[Any]) -> list[Any]:
    """The results of a program's text (`tapecli.engines.native.text.Text`), written for AArch64."""
    layout = made.layout
    image = Image(object_of(made.text, ARM, TRIPLE))
    at, places = DATA, []
    for slot in layout.slots:
        places.append(at)
        if slot.content is not None:
            image.write(at, np.asarray(slot.content, np.int64 if slot.what == "table" else dtype))
        at += -(-max(slot.size, 1) * 8 // 64) * 64 + 64
    for given, argument in zip(layout.inputs, arguments, strict=True):
        if given is not None:
            image.write(places[given[0]], np.asarray(argument, dtype))
    image.write(at, np.array(places, np.uint64))
    scratch = at + 64 * (len(places) // 8 + 2)
    for step in layout.steps:
        if step.what == "outside":
            raise ValueError("a step is left to NumPy")
        image.call(step.name, at, scratch, 0, step.blocks)
        if step.finish is not None:
            image.call(step.finish, at, scratch)
    return [image.read(places[slot], math.prod(shape), dtype).reshape(shape) for slot, shape in layout.outputs]
