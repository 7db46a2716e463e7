"""The members of an archive as streams, by name and size.

What an archive may be, `zipfile` defines; but its import takes as long as reading many a file. What NumPy's `savez`
writes is plain: nothing stands before or behind it, and its members lie there as they are. Such an archive is read
here. Whatever else one may hold is left to `zipfile`.
"""

from __future__ import annotations

import os
from io import RawIOBase
from struct import calcsize, error, unpack
from typing import Any, BinaryIO

#: The records of an archive (PKWARE's APPNOTE, 4.3): how they begin, and their fields behind that.
END = (b"PK\5\6", "<4H2LH")
ENTRY = (b"PK\1\2", "<6H3L5H2L")
LOCAL = (b"PK\3\4", "<5H3L2H")
#: Flags of a member that change nothing here: its sizes stand behind it, too; its name is UTF-8.
HARMLESS = 0x0808
#: What says of a number that it stands in another record, for it is larger.
ELSEWHERE = 0xFFFFFFFF
#: The version of the format, times ten, that `savez` asks for.
VERSION = 45


class Damaged(Exception):
    """A member is not what the archive says of it."""


class Member:
    """One member: its name, its size in bytes, the checksum of its content, and where it begins."""

    __slots__ = ("checksum", "file_size", "filename", "offset")

    def __init__(self, filename: str, file_size: int, checksum: int, offset: int) -> None:
        self.filename = filename
        self.file_size = file_size
        self.checksum = checksum
        self.offset = offset


class Plain:
    """An archive as `savez` writes it, with the methods of `zipfile.ZipFile` that are needed."""

    def __init__(self, file: BinaryIO, members: list[Member]) -> None:
        self._file = file
        self._members = members

    def infolist(self) -> list[Member]:
        return self._members

    def open(self, member: Member) -> Stream:
        """A member's content. Raises Damaged."""
        self._file.seek(member.offset)
        try:
            *_, name, extra = _record(self._file.read(_size(LOCAL)), LOCAL)
        except Doubt:
            raise Damaged from None
        if self._file.read(name) != member.filename.encode():
            raise Damaged
        self._file.seek(extra, os.SEEK_CUR)
        return Stream(self._file, member)


class Stream(RawIOBase):
    """The bytes of a member, from where the file stands. Raises Damaged where they end early, or are others than their
    checksum says."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        from zlib import crc32

        self._sum = crc32
        self._file: Any = file
        self._member = member
        self._at = self._found = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        left = self._member.file_size - self._at
        view = memoryview(buffer).cast("B")[:left]
        got: int = self._file.readinto(view)
        self._at += got
        self._found = self._sum(view[:got], self._found)
        if (len(view) and not got) or (got == left and self._found != self._member.checksum):
            raise Damaged
        return got


class Doubt(Exception):
    """An archive is no plain one."""


def plain(file: BinaryIO) -> Plain | None:
    """The archive that a file holds, or None where it is not surely a plain one. It is left at its beginning."""
    try:
        return Plain(file, _members(file))
    except (Doubt, OSError):
        return None
    finally:
        file.seek(0)


def _members(file: BinaryIO) -> list[Member]:
    end = file.seek(0, os.SEEK_END) - _size(END)
    if end < 0:
        raise Doubt
    file.seek(end)
    disk, first, here, count, size, start, comment = _record(file.read(_size(END)), END)
    if disk or first or comment or here != count or start + size != end:
        raise Doubt
    file.seek(start)
    directory = file.read(size)
    members, at = [], 0
    for _ in range(count):
        fields = _record(directory[at : at + _size(ENTRY)], ENTRY)
        _, version, flags, method, _, _, checksum, packed, full, name, *others, offset = fields
        at += _size(ENTRY) + name
        title = directory[at - name : at]
        extra, comment, disk, _, _ = others
        strange = version > VERSION or flags & ~HARMLESS or method or extra or comment or disk
        if strange or packed != full or ELSEWHERE in (full, offset) or not _simple(title):
            raise Doubt
        members.append(Member(title.decode(), full, checksum, offset))
    if at != len(directory):
        raise Doubt
    return members


def _simple(title: bytes) -> bool:
    """Whether a name is the same in all encodings, and on all systems."""
    return title.isascii() and b"\0" not in title and b"\\" not in title


def _size(kind: tuple[bytes, str]) -> int:
    return len(kind[0]) + calcsize(kind[1])


def _record(content: bytes, kind: tuple[bytes, str]) -> tuple[int, ...]:
    """The fields of a record. Raises Doubt where it is none."""
    sign, form = kind
    if content[: len(sign)] != sign:
        raise Doubt
    try:
        return unpack(form, content[len(sign) :])
    except error:
        raise Doubt from None
