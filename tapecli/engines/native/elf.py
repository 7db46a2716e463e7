"""Loads an object file of x86-64 Linux without LLVM: the way that starts at once where code was compiled before.

Only what our own modules contain is known: code and constants that refer to each other by distance. Whatever else
stands in a file is refused, and the caller takes LLVM's loader.
"""

from __future__ import annotations

import ctypes
import mmap
import struct

from tapecli.errors import TapeError
from tapecli.records import NamedTuple

#: Sections that are part of the running program.
ALLOC = 2
#: Kinds of sections: symbols, relocations with addends, memory that is all zeros.
SYMTAB, RELA, NOBITS = 2, 4, 8
#: Relocations: a 64-bit address, and 32-bit distances.
R_64, R_PC32, R_PLT32 = 1, 2, 4


class Section(NamedTuple):
    """One section header (System V ABI, AMD64 supplement)."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


class Refused(Exception):
    """The file has something in it that this loader does not know."""


def sections_of(content: bytes) -> list[Section]:
    """The section headers of an object file."""
    if content[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", content, 16) != (1, 62):
        raise Refused("no object file of x86-64")
    (at,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    return [Section(*struct.unpack_from("<IIQQQQIIQQ", content, at + k * size)) for k in range(count)]


class Image:
    """An object file in executable memory."""

    def __init__(self, content: bytes) -> None:
        try:
            self._load(content)
        except (struct.error, IndexError, ValueError) as problem:
            raise Refused(str(problem)) from None

    def _load(self, content: bytes) -> None:
        sections = sections_of(content)
        where: dict[int, int] = {}
        end = 0
        for k, s in enumerate(sections):
            if s.flags & ALLOC:
                end = -(-end // max(s.align, 1)) * max(s.align, 1)
                where[k] = end
                end += s.size
        self._memory = mmap.mmap(-1, max(end, 1))
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for k, start in where.items():
            s = sections[k]
            if s.kind != NOBITS:
                self._memory[start : start + s.size] = content[s.offset : s.offset + s.size]
        symbols, self._names = self._symbols(content, sections, where, base)
        for s in sections:
            if s.kind == RELA and s.info in where:
                self._relocate(content, s, where[s.info], symbols, base)
        self._base = base
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(base), ctypes.c_size_t(max(end, 1)), 5):
            raise Refused("the system does not let memory be run")

    @staticmethod
    def _symbols(
        content: bytes, sections: list[Section], where: dict[int, int], base: int
    ) -> tuple[list[int | None], dict[str, int]]:
        """The address of every symbol by number, and those of functions by name."""
        table = next(s for s in sections if s.kind == SYMTAB)
        text = sections[table.link]
        addresses: list[int | None] = []
        names: dict[str, int] = {}
        for at in range(table.offset, table.offset + table.size, 24):
            name, _info, _other, index, value, _size = struct.unpack_from("<IBBHQQ", content, at)
            address = base + where[index] + value if index in where else None
            addresses.append(address)
            stop = content.index(b"\0", text.offset + name)
            if address is not None:
                names[content[text.offset + name : stop].decode()] = address
        return addresses, names

    def _relocate(self, content: bytes, table: Section, start: int, symbols: list[int | None], base: int) -> None:
        for at in range(table.offset, table.offset + table.size, 24):
            offset, info, addend = struct.unpack_from("<QQq", content, at)
            kind, target = info & 0xFFFFFFFF, symbols[info >> 32]
            if target is None:
                raise Refused("a symbol from elsewhere")
            place = start + offset
            if kind == R_64:
                struct.pack_into("<Q", self._memory, place, target + addend)
            elif kind in (R_PC32, R_PLT32):
                struct.pack_into("<i", self._memory, place, target + addend - (base + place))
            else:
                raise Refused(f"a relocation of kind {kind}")

    def address(self, name: str) -> int:
        """Where a function begins."""
        if name not in self._names:
            raise TapeError("bug", f"compiled code has no function {name}")
        return self._names[name]
