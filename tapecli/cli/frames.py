"""What workers answer with, as bytes, and the place where answers wait for their turn."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from tapecli.records import NamedTuple

#: Bytes of answers that wait in memory; what is beyond waits in a file.
ROOM = 16_000_000

_HEAD = struct.Struct("<QHdH")
_PART = struct.Struct("<BQ")


class Result(NamedTuple):
    """The answer for one file: its number, its exit status alone, how long it took, the codes of what was wrong, and
    its texts, each with whether it is for standard error."""

    number: int
    code: int
    seconds: float
    reasons: Sequence[str]
    parts: Sequence[tuple[bool, str]]

    @classmethod
    def read(cls, message: bytes) -> Result:
        """The result that `packed` made bytes of."""
        number, code, seconds, length = _HEAD.unpack_from(message)
        at = _HEAD.size
        reasons = message[at : at + length].decode()
        at += length
        parts = []
        while at < len(message):
            problem, length = _PART.unpack_from(message, at)
            at += _PART.size
            parts.append((bool(problem), message[at : at + length].decode("utf-8", "surrogatepass")))
            at += length
        return cls(number, code, seconds, reasons.split() if reasons else (), parts)


def packed(result: Result) -> bytes:
    """A result as bytes."""
    reasons = " ".join(result.reasons).encode()
    pieces = [_HEAD.pack(result.number, result.code, result.seconds, len(reasons)), reasons]
    for problem, text in result.parts:
        data = text.encode("utf-8", "surrogatepass")
        pieces += [_PART.pack(problem, len(data)), data]
    return b"".join(pieces)


def numbers(message: bytes) -> Iterable[int]:
    """The numbers of files that a worker is sent."""
    return [number for (number,) in struct.iter_unpack("<Q", message)]


class Waiting:
    """Results that came before their turn. Those that memory has no room for wait in a file without a name."""

    __slots__ = ("_file", "_filed", "_held", "_size")

    def __init__(self) -> None:
        self._held: dict[int, Result | tuple[int, int]] = {}
        self._size = 0
        self._filed = 0
        self._file: Any = None

    def put(self, result: Result) -> None:
        size = sum(len(text) for _, text in result.parts)
        if self._size + size <= ROOM:
            self._size += size
            self._held[result.number] = result
            return
        if self._file is None:
            from tempfile import TemporaryFile

            self._file = TemporaryFile()  # noqa: SIM115
        data = packed(result)
        at = self._file.seek(0, 2)
        self._file.write(data)
        self._held[result.number] = (at, len(data))
        self._filed += 1

    def take(self, number: int) -> Result | None:
        """The result of a file, where it has come; it does not wait any longer."""
        found = self._held.pop(number, None)
        if found is None or isinstance(found, Result):
            self._size -= 0 if found is None else sum(len(text) for _, text in found.parts)
            return found
        at, length = found
        self._file.seek(at)
        result = Result.read(self._file.read(length))
        self._filed -= 1
        if not self._filed:
            self._file.truncate(0)
        return result

    def close(self) -> None:
        self._held.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
