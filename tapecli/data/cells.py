"""What a cell is and what a number is: the definition that every faster way of reading has to agree with.

Cells stand between delimiters, rows end at a newline. A cell that begins with a quote (after spaces) runs to the next
quote that is not doubled. Spaces around a cell do not count. Blank lines do not count either, except between the rows
of a single column, where they are empty cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError

#: A cell is a decimal number, or inf or nan by name; digits are not grouped.
NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|nan)\Z", re.IGNORECASE | re.ASCII)
#: How much of a cell a message shows.
SHOWN = 40

#: what to do about an empty cell
EMPTY = "fill it in (`nan` is a number), delete the row, or leave such rows out by --missing drop"


class Row:
    """A row: the line of the file that it begins on, its cells, where it ends, whether nothing but spaces is in it,
    and whether a quote stays open."""

    __slots__ = ("blank", "cells", "end", "line", "open")

    def __init__(self, line: int, cells: list[str], end: int, quoted: bool = False, open: bool = False) -> None:
        self.line = line
        self.cells = cells
        self.end = end
        self.blank = not quoted and cells == [""]
        self.open = open


class Faults:
    """What is wrong with the rows of a file: the first fault in full, and how many there are."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.count = 0
        self.message = ""
        self.hint: str | None = None

    def add(self, line: int, header: str | None, what: str, hint: str | None = None) -> None:
        if not self.count:
            column = "" if header is None else f", column `{printable(header)}`"
            self.message, self.hint = f"`{self.shown}`, row {line}{column}: {what}", hint
        self.count += 1

    def add_cell(self, line: int, header: str, cell: str) -> None:
        if self.count:
            self.count += 1
        elif cell:
            self.add(line, header, f"`{printable(cell)}` is no number", advice(cell))
        else:
            self.add(line, header, "the cell is empty", EMPTY)

    def settle(self) -> None:
        """Raises the first fault, if there is any."""
        if self.count:
            further = self.count - 1
            more = f" (and {further} more {'fault' if further == 1 else 'faults'} in this file)" if further else ""
            raise TapeError("data", self.message + more, hint=self.hint)


def printable(text: str) -> str:
    """A text of the file as messages show it: short, with escapes for what cannot be seen."""
    short = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    if short.isprintable():
        return short
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


def advice(cell: str) -> str | None:
    """What to do about a cell that is no number."""
    for old, new, hint in (
        ("_", "", "digits are not grouped"),
        (" ", "", "digits are not grouped"),
        ("'", "", "digits are not grouped"),
        (",", ".", "the decimal sign is a point, and digits are not grouped"),
        ("\N{MINUS SIGN}", "-", "the sign is a plain -"),
        ("\N{NO-BREAK SPACE}", "", "there is a no-break space in it"),
        ("%", "", "write it without the percent sign"),
    ):
        if old in cell and NUMBER.match(cell.replace(old, new)):
            return hint
    if cell.lower() in ("infinity", "+infinity", "-infinity"):
        return "write inf"
    if cell.lower() in ("na", "n/a", "null", "none", "#n/a", "-", "?"):
        return "write nan, or delete the row"
    return None


def padding(delimiter: str) -> str:
    """The characters around a cell that do not count."""
    return " " if delimiter == "\t" else " \t"


def rows(text: str, line: int, delimiter: str) -> Iterator[Row]:
    """The rows of a text whose lines end in a newline; blank lines are rows of one empty cell."""
    pad = padding(delimiter)
    if '"' in text:
        yield from _quoted_rows(text, line, delimiter, pad)
        return
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield Row(line, [cell.strip(pad) for cell in text[start:end].split(delimiter)], end + 1)
        start = end + 1
        line += 1


def _quoted_rows(text: str, line: int, delimiter: str, pad: str) -> Iterator[Row]:
    cell = re.compile(rf'[{pad}]*+"([^"]*+(?:""[^"]*+)*+)("?)([^{delimiter}\n]*)|([^{delimiter}\n]*)')
    at, size = 0, len(text)
    while at < size:
        first, cells, any_quoted, open, border = line, [], False, False, ""
        while border != "\n":
            found = cell.match(text, at)
            assert found is not None
            quoted, closing, rest, plain = found.groups()
            at = found.end()
            border = text[at] if at < size else "\n"
            at += 1
            if quoted is None:
                cells.append(plain.strip(pad))
                continue
            any_quoted = True
            line += found.group().count("\n")
            open = not closing
            cells.append(quoted.replace('""', '"').strip(pad) if not rest.strip(pad) else found.group().strip(pad))
        yield Row(first, cells, min(at, size), any_quoted, open)
        line += 1


def convert(
    text: str, line: int, delimiter: str, headers: Sequence[str], used: Sequence[int], drop: bool, faults: Faults
) -> tuple[list[Array], int]:
    """The used columns of a text, cell by cell, and how many rows were dropped for an empty cell; adds to `faults`."""
    width = len(headers)
    columns: list[list[float]] = [[] for _ in used]
    dropped = 0
    for row in rows(text, line, delimiter):
        cells = row.cells
        if row.open:
            faults.add(row.line, None, "a quote is opened and never closed", 'a quote inside a quoted cell is ""')
        elif len(cells) != width:
            if not row.blank:
                has = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
                faults.add(row.line, None, f"{has} where the first row has {width}")
        elif drop and any(not cells[i] for i in used):
            dropped += 1
        else:
            for column, i in zip(columns, used, strict=True):
                if NUMBER.match(cells[i]):
                    column.append(float(cells[i]))
                else:
                    faults.add_cell(row.line, headers[i], cells[i])
    return [np.array(column, dtype=np.float64) for column in columns], dropped
