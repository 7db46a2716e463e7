"""How much memory a formula may take: what there is, what was asked for, and the error where it is not enough.

Sizes are estimated before memory is taken. Small amounts are not compared with anything, so that ordinary formulas do
not wait for the system to be asked how much memory it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tapecli.errors import Place, TapeError

#: Amounts up to this are there.
SMALL = 1 << 26
#: The part of the memory there is that a formula may take, unless it is told otherwise.
PART = 0.8
#: What one node of a graph, and one character of a formula's text, take in bytes, roughly; measured on long sums.
NODE, CHARACTER = 1000, 250
#: The most dimensions an array may have: those that every version of NumPy can.
DIMENSIONS = 32

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str) -> int:
    """`2G`, `500M`, `1e9` as a number of bytes. Raises TapeError("usage")."""
    word = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    try:
        size = float(word[: len(word) - len(unit)]) * _UNITS[unit]
        if not 0 < size < math.inf:
            raise ValueError
    except ValueError:
        hint = "a number of bytes, or one with a unit: 500M, 2G"
        raise TapeError("usage", f"{text!r} is no amount of memory", hint=hint) from None
    return int(size)


def size_text(size: float) -> str:
    """A number of bytes as people say it."""
    units = ("bytes", "kB", "MB", "GB", "TB", "PB")
    k = min(max(0, (len(str(int(size))) - 1) // 3), len(units) - 1)
    return f"{size / 1000**k:.3g} {units[k]}"


def available() -> int:
    """How many bytes of memory there are to be had now: by the system, by a limit of the process, by its group."""
    found = [_system(), _process(), *_group()]
    return int(PART * min(size for size in found if size is not None and size > 0))


def _system() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    import os

    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def _process() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _group() -> Iterable[int]:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                yield int(file.read())
        except (OSError, ValueError):
            continue


def budget(memory: int | str | None) -> Budget:
    """The budget that `--max-memory` or `max_memory=` asks for."""
    if isinstance(memory, str):
        memory = parse_size(memory)
    if memory is not None and memory <= 0:
        raise TapeError("usage", f"{memory} is no amount of memory", hint="a number of bytes, or 500M, 2G")
    return Budget(memory)


class Budget:
    """The memory that one formula may take. `memory` is a number of bytes; None is most of what there is."""

    __slots__ = ("_found", "memory")

    def __init__(self, memory: int | None = None) -> None:
        self.memory = memory
        self._found = memory

    @property
    def bytes(self) -> int:
        if self._found is None:
            self._found = available()
        return self._found

    def allows(self, size: float) -> bool:
        return (size <= SMALL and self.memory is None) or size <= self.bytes

    def ask(self, size: float, what: str, place: Place | None = None) -> None:
        """Raises TapeError("limit") where `size` bytes for `what` are more than may be taken."""
        if not self.allows(size):
            own = "--max-memory allows" if self.memory is not None else "there may be taken"
            raise TapeError(
                "limit",
                f"{what} needs about {size_text(size)} of memory, and {own} {size_text(self.bytes)}",
                place=place,
                hint="make it smaller, or allow more: --max-memory 8G",
            )

    def entries(self, shape: Iterable[int], what: str, place: Place | None = None, copies: int = 1) -> None:
        """The same for an array of a shape, in double precision."""
        size = 8 * copies * math.prod(shape)
        if size > SMALL or self.memory is not None:
            self.ask(size, what, place)

    @property
    def nodes(self) -> int:
        """How many nodes a graph may have."""
        return max(1000, self.bytes // NODE)
