"""Data that may be larger than memory: arrays that lie in a file and come into memory page by page.

An array of `.npy` in double precision is used where it lies. Everything else is read block by block and written as
double precision to a temporary file without a name, which is gone when the process ends. To whoever computes with them
such arrays are like any others, and read-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Any

import numpy as np

from tapecli.core import Array, Shape
from tapecli.errors import TapeError

#: Files of at least this many bytes are not read into memory.
LARGE = 1 << 28
#: Numbers that are moved at once.
BLOCK = 1 << 20


def over(file: Any, dtype: Any, shape: Shape, offset: int) -> Array:
    """The array that lies in an open file, from `offset` on."""
    return np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape).view(np.ndarray)


class Spool:
    """A temporary file that numbers are appended to."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        from tempfile import TemporaryFile  # late: it starts slowly, and few data are so large

        self._file: IO[bytes] = TemporaryFile()  # noqa: SIM115
        self.count = 0

    def add(self, numbers: Array) -> None:
        """Appends the entries of an array, in order."""
        block = np.ascontiguousarray(numbers, dtype=np.float64)
        try:
            self._file.write(block.data.cast("B") if block.size else b"")
        except OSError as error:
            from tempfile import gettempdir

            where = f"`{self._shown}` is too large for memory, and the folder for temporary files, {gettempdir()}"
            why = (error.strerror or str(error)).lower()
            raise TapeError("limit", f"{where}, takes no more: {why}", hint="name another by TMPDIR") from None
        self.count += block.size

    def array(self, shape: Shape) -> Array:
        """All numbers as an array; nothing can be added afterwards."""
        self._file.flush()
        if not self.count:
            return np.empty(shape)
        mapped = over(self._file, np.float64, shape, 0)
        self._file.close()
        return mapped


def spooled(blocks: Iterable[Array], shape: Shape, shown: str) -> Array:
    """An array in a temporary file, from its entries in order."""
    spool = Spool(shown)
    for block in blocks:
        spool.add(block)
    return spool.array(shape)


def side_by_side(columns: Sequence[Array], shown: str) -> Array:
    """Columns as a matrix."""
    n = len(columns[0])
    step = max(1, BLOCK // len(columns))
    parts = (np.stack([column[k : k + step] for column in columns], axis=1) for k in range(0, n, step))
    return spooled(parts, (n, len(columns)), shown)
