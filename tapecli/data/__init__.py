"""Columns and arrays of numbers from files, strictly: what is no number is an error that names file, row and column.

`read` finds, opens and reads a data file of a formula in one go. Text is read by pyarrow where that is installed and
the file is large, else by NumPy, and cell by cell where these are not sure; numbers and errors are the same. `files`
opens, `text` cuts and assembles, `cells` says what is right, `fast` is quick about it, `arrays` reads `.npy` and
`.npz` (members of these by `archives`), `table` holds one that the user named himself; what may be larger than memory
stays in files, by `mapped`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from tapecli.core import Array
from tapecli.data.files import locate, open_below, resolve
from tapecli.errors import TapeError
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.data.text import Selector

__all__ = ["Columns", "load", "read", "resolve"]


class Columns(NamedTuple):
    """What was read: an array per selector (float64, C-contiguous), and how many rows an empty cell made drop out."""

    arrays: list[Array]
    dropped: int


def read(
    path: str, folder: str, root: str, selectors: Sequence[tuple[str, Selector]], missing: str = "error"
) -> Columns:
    """The arrays that `(name, selector)` pairs take from the file that `path` names, seen from `folder`, below `root`.

    A selector is a header, a number from 1, a tuple of these for columns side by side as a matrix (an empty one for
    all), or None for the column, or array, of that name. `missing="drop"` leaves out rows that have an empty cell in
    one of these columns; otherwise an empty cell is an error.
    """
    full = locate(path, folder, root)
    with open_below(full, os.path.realpath(root), path) as file:
        return _read(file, full, path, selectors, missing)


def line_of(
    path: str, folder: str, root: str, selectors: Sequence[tuple[str, Selector]], missing: str, index: int
) -> int | None:
    """The line of the file that row `index` (from 0) of what `read` gave begins on; None where there are no lines, or
    the file is not what it was."""
    if path.lower().endswith((".npy", ".npz")):
        return None
    try:
        from tapecli.data import text

        full = locate(path, folder, root)
        with open_below(full, os.path.realpath(root), path) as file:
            return text.line_of(file, full, path, selectors, missing == "drop", index)
    except TapeError:
        return None


def load(path: str, shown: str, selectors: Sequence[tuple[str, Selector]], missing: str = "error") -> list[Array]:
    """As `read`, for a path that `resolve` gave: without links, and called `shown` in messages."""
    with open_below(path, os.path.abspath(os.sep), shown) as file:
        return _read(file, path, shown, selectors, missing).arrays


def _read(file: BinaryIO, path: str, shown: str, selectors: Sequence[tuple[str, Selector]], missing: str) -> Columns:
    if missing not in ("error", "drop"):
        raise TapeError("usage", f"there is no way {missing!r} with empty cells", hint="error or drop")
    try:
        if path.lower().endswith((".npy", ".npz")):
            from tapecli.data import arrays

            return Columns(arrays.load(file, path, shown, selectors), 0)
        from tapecli.data import mapped, text

        large = os.fstat(file.fileno()).st_size >= mapped.LARGE
        return Columns(*text.load(file, path, shown, selectors, missing == "drop", large))
    except MemoryError:
        raise TapeError("limit", f"`{shown}` does not fit into memory") from None
