"""Tables of points, which the user names directly."""

from __future__ import annotations

import io

from tapecli.core import Array
from tapecli.data import text
from tapecli.data.files import open_plainly
from tapecli.errors import TapeError


class Table:
    """A table that the user named directly: its `headers` (None without), its `rows`, and its columns by position."""

    def __init__(self, path: str, shown: str) -> None:
        self.shown = shown
        self._delimiter = text.delimiter_of(path)
        with open_plainly(path, shown) as file:
            self._content = file.read()
        chunks = text.chunks(io.BytesIO(self._content), shown, self._delimiter)
        first = next(chunks, None)
        if first is None:
            raise TapeError("data", f"`{shown}` is empty")
        self._head = text.header(first, self._delimiter, shown, None)
        self.headers = self._head.headers
        self._columns: dict[int, Array] = {}
        self._count: int | None = None

    @property
    def width(self) -> int:
        return self._head.width

    @property
    def rows(self) -> range:
        """The rows below the headers, counted from 0."""
        if self._count is None:
            self._count = len(self.column(0))
        return range(self._count)

    def __len__(self) -> int:
        return len(self.rows)

    def position(self, selector: int | str) -> int:
        """The column that a header or a number (from 1) names, counted from 0."""
        return text.position(self._head, selector, self.shown)

    def column(self, position: int) -> Array:
        """The numbers of one column. The first call reads all columns, so that faults come in the file's order."""
        if not self._columns:
            used = range(self.width)
            body = text.Body(self.shown, self._delimiter, self._head.names(), used, False)
            for chunk in text.chunks(io.BytesIO(self._content), self.shown, self._delimiter):
                start = self._head.start if chunk.line == 1 else 0
                body.add(text.Chunk(chunk.content[start:], self._head.line if start else chunk.line))
            self._columns, self._content = body.columns(), b""
        return self._columns[position]
