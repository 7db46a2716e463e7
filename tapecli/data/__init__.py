"""Columns of numbers from text files, strictly: what is no number is an error that names file, row and column."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError, nearest

#: A cell is a decimal number, or inf or nan by name; digits are not grouped.
NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|nan)\Z", re.IGNORECASE)


def resolve(path: str, folder: str, root: str) -> str:
    """The data file that `path` names, seen from `folder`; it must lie below `root` and be a regular file."""
    full = os.path.realpath(os.path.join(folder, path))
    top = os.path.realpath(root)
    if os.path.commonpath([full, top]) != top:
        raise TapeError(
            "data",
            f"`{path}` lies outside the data folder",
            hint="data files lie below the formula file's folder, or below --data-root",
        )
    if not os.path.exists(full):
        raise TapeError("file", f"there is no data file `{path}`", hint="paths are relative to the formula file")
    if not os.path.isfile(full):
        raise TapeError("data", f"`{path}` is no regular file")
    return full


class Table:
    """The rows of a text file, and the headers of its columns where the first row is no row of numbers."""

    def __init__(self, path: str, shown: str) -> None:
        self.shown = shown
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                text = file.read()
        except UnicodeDecodeError as problem:
            raise TapeError("data", f"`{shown}` is not UTF-8 text (byte {problem.start})") from None
        except OSError as problem:
            raise TapeError("file", f"`{shown}` cannot be read: {problem.strerror}") from None
        if "\0" in text:
            raise TapeError("data", f"`{shown}` holds a NUL character and is no text")
        delimiter = "\t" if path.lower().endswith((".tsv", ".tab")) else ","
        rows = list(csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True))
        self.lines = [i for i, row in enumerate(rows, 1) if row]
        self.rows = [row for row in rows if row]
        if not self.rows:
            raise TapeError("data", f"`{shown}` is empty")
        first = self.rows[0]
        self.headers: list[str] | None = None
        if not all(NUMBER.match(cell.strip()) for cell in first):
            self.headers = [cell.strip() for cell in first]
            del self.rows[0], self.lines[0]
        self._check_widths(len(first))

    def _check_widths(self, width: int) -> None:
        for line, row in zip(self.lines, self.rows, strict=True):
            if len(row) != width:
                raise TapeError("data", f"`{self.shown}`, row {line}: {len(row)} cells where the first row has {width}")

    @property
    def width(self) -> int:
        return len(self.headers if self.headers is not None else self.rows[0])

    def position(self, selector: int | str) -> int:
        """The column that a header or a number (from 1) names, counted from 0."""
        if isinstance(selector, int):
            if not 1 <= selector <= self.width:
                raise TapeError("data", f"`{self.shown}` has {self.width} columns, not {selector}")
            return selector - 1
        if self.headers is None:
            raise TapeError(
                "data",
                f"`{self.shown}` has no header row, so there is no column `{selector}`",
                hint=f"name it by number: {selector} = 1",
            )
        found = [i for i, header in enumerate(self.headers) if header == selector]
        if len(found) == 1:
            return found[0]
        if found:
            raise TapeError(
                "data", f"`{self.shown}` has {len(found)} columns called `{selector}`", hint="name it by number"
            )
        close = nearest(selector, self.headers)
        hint = f"did you mean `{close}`?" if close else f"there is {', '.join(self.headers[:10])}"
        raise TapeError("data", f"`{self.shown}` has no column `{selector}`", hint=hint)

    def column(self, position: int) -> Array:
        """The numbers of one column."""
        header = self.headers[position] if self.headers is not None else str(position + 1)
        values = np.empty(len(self.rows))
        for i, row in enumerate(self.rows):
            cell = row[position].strip()
            if not NUMBER.match(cell):
                what = f"`{cell}` is no number" if cell else "the cell is empty"
                raise TapeError("data", f"`{self.shown}`, row {self.lines[i]}, column `{header}`: {what}")
            values[i] = float(cell)
        return values


def load(
    path: str, shown: str, selectors: Sequence[tuple[str, int | str | tuple[str | int, ...] | None]]
) -> list[Array]:
    """The arrays that `(name, selector)` pairs take from a file: a column each, or columns side by side as a matrix."""
    table = Table(path, shown)
    arrays = []
    for name, selector in selectors:
        if isinstance(selector, tuple):
            positions = [table.position(one) for one in selector] or list(range(table.width))
            arrays.append(np.stack([table.column(position) for position in positions], axis=1))
        else:
            arrays.append(table.column(table.position(name if selector is None else selector)))
    return arrays
