"""Faster ways to read a stretch of rows. Each gives what `cells.convert` gives, or None where it is not sure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapecli.core import Array

Read = tuple[list[list[Array]], int]
#: Files below this size are not worth the import of pyarrow.
LARGE = 3 << 20
#: What one thread of pyarrow reads at once.
PIECE = 1 << 19
#: What NumPy's reader takes for a space.
_SPACES = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x1f")
#: Names of non-finite numbers that other readers take, and ours do not.
_WORDS = (b"infinity", b"nan(")

_arrow: Any = None


def arrow() -> Any:
    """pyarrow with its CSV reader, or False where it is not installed."""
    global _arrow
    if _arrow is None:
        from importlib import import_module

        try:
            _arrow = import_module("pyarrow")
            import_module("pyarrow.csv")
        except ImportError:
            _arrow = False
    return _arrow


def quotes(chunk: bytes, delimiter: str) -> Array | None:
    """Where the quotes are, if each opens or closes a whole cell, or is one of a doubled pair in a quoted cell."""
    if b'"' not in chunk:
        return np.empty(0, dtype=np.intp)
    characters = np.frombuffer(chunk, np.uint8)
    places = np.flatnonzero(characters == 34)
    if len(places) % 2:
        return None
    border = np.zeros(256, dtype=bool)
    border[[10, 34, ord(delimiter)]] = True
    before, after = places[0::2] - 1, places[1::2] + 1
    before, after = before[before >= 0], after[after < len(chunk)]
    return places if border[characters[before]].all() and border[characters[after]].all() else None


def _inside(places: Array, marks: Array) -> Array:
    """Which marks stand between an opening and a closing quote."""
    return (np.searchsorted(places, marks) & 1).astype(bool)


def by_arrow(chunk: bytes, places: Array, delimiter: str, width: int, used: Sequence[int], drop: bool) -> Read | None:
    """The used columns by pyarrow's reader, and how many rows were dropped; `places` are those of the quotes."""
    pa = arrow()
    if not pa:
        return None
    lines = len(places) and _inside(places, np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10)).any()
    names = [str(i) for i in used]
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(pa.py_buffer(chunk)),
            read_options=pa.csv.ReadOptions(column_names=[str(i) for i in range(width)], block_size=PIECE),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if len(places) else False,
                newlines_in_values=bool(lines),
                ignore_empty_lines=width > 1,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.float64()), null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        return None
    empty = sum(column.null_count for column in table.columns)
    if empty and not drop:
        return None
    if empty:
        kept = np.ones(len(table), dtype=bool)
        for column in table.columns:
            kept &= np.asarray(column.is_valid())
        columns = [[column.to_numpy()[kept]] for column in table.columns]
        dropped = len(kept) - int(np.count_nonzero(kept))
    else:
        columns = [[piece.to_numpy() for piece in column.chunks] for column in table.columns]
        dropped = 0
    return (columns, dropped) if _named(chunk, columns) else None


def by_numpy(chunk: bytes, places: Array, delimiter: str, width: int, used: Sequence[int]) -> Read | None:
    """The used columns by NumPy's reader; `places` are those of the quotes."""
    if any(space in chunk for space in _SPACES):
        return None
    characters = np.frombuffer(chunk, np.uint8)
    marks = (characters == ord(delimiter)) | (characters == 10)
    if len(places):
        found = np.flatnonzero(marks)
        inside = _inside(places, found)
        if (characters[found[inside]] == 10).any():
            return None
        ends = characters[found[~inside]] == 10
    else:
        ends = characters[marks] == 10
    if len(ends) % width or not ends[width - 1 :: width].all() or np.count_nonzero(ends) * width != len(ends):
        return None
    try:
        table = np.loadtxt(
            io.BytesIO(chunk),
            delimiter=delimiter,
            comments=None,
            quotechar='"' if len(places) else None,
            usecols=used,
            ndmin=2,
            encoding="latin1",
        )
    except ValueError:
        return None
    columns = [[table[:, i]] for i in range(len(used))]
    return (columns, 0) if len(table) * width == len(ends) and _named(chunk, columns) else None


def _named(chunk: bytes, columns: list[list[Array]]) -> bool:
    """Whether what is not finite has its proper name."""
    if all(bool(np.isfinite(piece).all()) for pieces in columns for piece in pieces):
        return True
    lower = chunk.lower()
    return not any(word in lower for word in _WORDS)
