"""Tables of text: a file is read block by block, each cut where a row ends and given to the fastest sure reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

import numpy as np

from tapecli.core import Array
from tapecli.data import cells, fast, mapped
from tapecli.data.cells import Faults
from tapecli.errors import TapeError, nearest
from tapecli.records import NamedTuple

Selector = int | str | tuple[int | str, ...] | None
#: How many bytes are read at once.
BLOCK = 1 << 22


class Chunk(NamedTuple):
    """Whole rows of a file, with newlines as the only line ends; the line that they begin on; the places of their
    quotes, where these are known and all stand at the borders of cells."""

    content: bytes
    line: int
    quotes: Array | None = None


class Header(NamedTuple):
    """What the first rows say: the headers, or None; how many columns; where the rows of numbers begin."""

    headers: list[str] | None
    width: int
    start: int
    line: int

    def names(self) -> list[str]:
        """What messages call the columns."""
        return self.headers if self.headers is not None else [str(i + 1) for i in range(self.width)]


def delimiter_of(path: str) -> str:
    return "\t" if path.lower().endswith((".tsv", ".tab")) else ","


# ---- from bytes to whole rows ----


def chunks(file: BinaryIO, shown: str, delimiter: str) -> Iterator[Chunk]:
    """The file in stretches of whole rows. Blank lines at its end are left out."""
    pad = b"\n" + cells.padding(delimiter).encode()
    line, rest, held, size, first, more = 1, b"", b"", BLOCK, True, True
    while more:
        block = _read(file, size, shown)
        more = len(block) == size
        if first:
            block, first = _without_mark(block, shown), False
        if held or b"\r" in block:
            block = held + block
            held = b"\r" if more and block.endswith(b"\r") else b""  # a newline may follow
            block = block.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        rest += block
        if not more and not rest.endswith(b"\n"):
            rest += b"\n"
        end, places = _row_end(rest, delimiter) if more else (len(rest), None)
        used = len(rest[:end].rstrip(pad))
        end = rest.find(b"\n", used) + 1
        if not used:
            size *= 2  # nothing to give yet: a row, or a quoted cell, that is longer than the block
            continue
        content, rest, size = rest[:end], rest[end:], BLOCK
        _check_text(content, line, shown)
        yield Chunk(content, line, places)
        if more:
            line += _newlines(content)


def _read(file: BinaryIO, size: int, shown: str) -> bytes:
    """That many bytes, fewer only at the end of the file."""
    try:
        block = file.read(size)
        while len(block) < size and (further := file.read(size - len(block))):
            block += further
    except OSError as problem:
        raise TapeError("file", f"`{shown}` cannot be read: {problem.strerror}") from None
    return block


def _without_mark(block: bytes, shown: str) -> bytes:
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TapeError("data", f"`{shown}` is UTF-16 text", hint="save it as UTF-8")
    return block.removeprefix(b"\xef\xbb\xbf")


def _newlines(content: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(content, np.uint8) == 10))


def _row_end(content: bytes, delimiter: str) -> tuple[int, Array | None]:
    """The end of the last row that is complete, or 0; and the quotes before it, as `fast.quotes` has them."""
    end = content.rfind(b"\n") + 1
    places = fast.quotes(content[:end], delimiter)
    if places is not None:
        return end, places
    complete = 0
    text = content.decode("latin1")  # a character per byte
    for row in cells.rows(text, 1, delimiter):
        if row.open or row.end > end:
            break
        complete = row.end
    return complete, None


def _check_text(content: bytes, line: int, shown: str) -> None:
    """UTF-8 without NUL."""
    nul = content.find(b"\0")
    bad = -1
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError as problem:
            bad = problem.start
    if nul >= 0 and (bad < 0 or nul < bad):
        row = line + content.count(b"\n", 0, nul)
        raise TapeError("data", f"`{shown}`, row {row}: a NUL character; this is no text", hint="is it a .npy file?")
    if bad >= 0:
        row = line + content.count(b"\n", 0, bad)
        raise TapeError(
            "data", f"`{shown}`, row {row}: byte 0x{content[bad]:02X} is not UTF-8", hint="save the file as UTF-8"
        )


# ---- headers ----


def header(chunk: Chunk, delimiter: str, shown: str, wanted: Sequence[Selector] | None) -> Header:
    """Whether the first row is one of headers: see `_is_header`."""
    text = chunk.content.decode()
    top = list(islice((row for row in cells.rows(text, chunk.line, delimiter) if not row.blank), 2))
    first = top[0]
    if first.open:
        raise TapeError("data", f"`{shown}`, row {first.line}: a quote is opened and never closed")
    if not _is_header(first.cells, top[1].cells if len(top) > 1 else [], wanted):
        return Header(None, len(first.cells), 0, chunk.line)
    before = text[: first.end]
    return Header(first.cells, len(first.cells), len(before.encode()), chunk.line + before.count("\n"))


def _is_header(first: list[str], second: list[str], wanted: Sequence[Selector] | None) -> bool:
    """A row of words is one of headers, a row of numbers is not. A row of both is, where columns are asked for by
    name; or where the columns asked for have numbers in it and another shows, by a number below a word, that it is."""
    number = [bool(cells.NUMBER.match(cell)) for cell in first]
    flat = [one for each in wanted or () for one in (each if isinstance(each, tuple) else [each])]
    texts = [one for one in flat if isinstance(one, str)]
    if all(number):
        return any(one in first for one in texts)
    if not any(number) or texts or wanted is None:
        return True
    every = any(each == () for each in wanted)
    used = [known for i, known in enumerate(number) if every or i + 1 in flat]
    if all(used):
        below = zip(first, number, second, strict=False)
        return any(cell and not known and cells.NUMBER.match(under) for cell, known, under in below)
    return not any(used)


def position(head: Header, selector: int | str, shown: str) -> int:
    """The column that a header or a number (from 1) names, counted from 0."""
    if isinstance(selector, int):
        if not 1 <= selector <= head.width:
            have = f"{head.width} {'column' if head.width == 1 else 'columns'}"
            raise TapeError("data", f"`{shown}` has {have}, so there is no column {selector}")
        return selector - 1
    if head.headers is None:
        raise TapeError(
            "data",
            f"`{shown}` has no header row, so there is no column `{selector}`",
            hint="name it by number, as in `t = 1`",
        )
    found = [i for i, one in enumerate(head.headers) if one == selector.strip()] or _composed(head.headers, selector)
    if len(found) == 1:
        return found[0]
    if found:
        raise TapeError("data", f"`{shown}` has {len(found)} columns called `{selector}`", hint="name it by number")
    raise TapeError("data", f"`{shown}` has no column `{selector}`", hint=_other(head.headers, selector))


def _composed(headers: list[str], selector: str) -> list[int]:
    """The columns of that header where accents are written in another way."""
    if selector.isascii():
        return []
    from unicodedata import normalize

    asked = normalize("NFC", selector.strip())
    return [i for i, one in enumerate(headers) if normalize("NFC", one) == asked]


def _other(headers: list[str], selector: str) -> str:
    if len(headers) == 1 and any(sign in headers[0] for sign in ";\t|"):
        return "cells are divided by commas, or by tabs in a file named .tsv"
    close = nearest(selector, headers)
    if close:
        return f"did you mean `{cells.printable(close)}`?"
    return f"there is {', '.join(cells.printable(one) for one in headers[:10])}"


# ---- columns ----


class Body:
    """Reads the used columns of chunk after chunk."""

    def __init__(self, shown: str, delimiter: str, names: list[str], used: Sequence[int], drop: bool) -> None:
        self.faults = Faults(shown)
        self.delimiter = delimiter
        self.names = names
        self.used = sorted(used)
        self.drop = drop
        self.dropped = 0
        self.large = False
        self.pieces: list[list[Array]] = [[] for _ in used]
        self.spools: list[mapped.Spool] | None = None

    def spool(self) -> None:
        """From here on numbers are kept in temporary files."""
        self.spools = [mapped.Spool(self.faults.shown) for _ in self.used]

    def add(self, chunk: Chunk) -> None:
        """Reads a chunk, adding to the columns or to the faults."""
        content, width = chunk.content, len(self.names)
        if not content:
            return
        self.large = self.large or len(content) >= fast.LARGE
        read = None
        places = chunk.quotes if chunk.quotes is not None else fast.quotes(content, self.delimiter)
        if places is not None and self.used:
            if self.large:
                read = fast.by_arrow(content, places, self.delimiter, width, self.used, self.drop)
            read = read or fast.by_numpy(content, places, self.delimiter, width, self.used)
        if read is None:
            columns, dropped = cells.convert(
                content.decode(), chunk.line, self.delimiter, self.names, self.used, self.drop, self.faults
            )
            read = [[column] for column in columns], dropped
        if self.faults.count:
            self.pieces = [[] for _ in self.used]
            return
        for i, further in enumerate(read[0]):
            if self.spools is None:
                self.pieces[i].extend(further)
                continue
            for piece in further:
                self.spools[i].add(piece)
        self.dropped += read[1]

    def columns(self) -> dict[int, Array]:
        """The used columns by their positions."""
        self.faults.settle()
        result = {}
        for i, one in enumerate(self.used):
            if self.spools is not None:
                result[one] = self.spools[i].array((self.spools[i].count,))
                continue
            pieces, self.pieces[i] = self.pieces[i], []
            result[one] = np.concatenate([np.empty(0), *pieces])
        return result


def load(
    file: BinaryIO,
    path: str,
    shown: str,
    selectors: Sequence[tuple[str, Selector]],
    drop: bool,
    large: bool = False,
) -> tuple[list[Array], int]:
    """The arrays that `(name, selector)` pairs take from a table, and how many rows were dropped. Those of a `large`
    one are kept in temporary files."""
    delimiter = delimiter_of(path)
    parts = chunks(file, shown, delimiter)
    first = next(parts, None)
    if first is None:
        raise TapeError("data", f"`{shown}` is empty")
    wanted: list[Selector] = [name if selector is None else selector for name, selector in selectors]
    head = header(first, delimiter, shown, wanted)
    taken = [
        [position(head, one, shown) for one in each] or list(range(head.width))
        if isinstance(each, tuple)
        else position(head, name if each is None else each, shown)
        for (name, _), each in zip(selectors, wanted, strict=True)
    ]
    used = {i for each in taken for i in (each if isinstance(each, list) else [each])}
    body = Body(shown, delimiter, head.names(), list(used), drop)
    if large:
        body.spool()
    body.add(Chunk(first.content[head.start :], head.line))
    for part in parts:
        body.add(part)
    columns = body.columns()
    if not len(next(iter(columns.values()))):
        what = "every row has an empty cell" if body.dropped else "there are no rows below the headers"
        raise TapeError("data", f"`{shown}` holds no numbers: {what}")
    return [_assemble(columns, each, shown if large else None) for each in taken], body.dropped


def line_of(
    file: BinaryIO, path: str, shown: str, selectors: Sequence[tuple[str, Selector]], drop: bool, index: int
) -> int | None:
    """The line that row `index` of the numbers begins on."""
    delimiter = delimiter_of(path)
    parts = chunks(file, shown, delimiter)
    first = next(parts, None)
    if first is None:
        return None
    wanted: list[Selector] = [name if selector is None else selector for name, selector in selectors]
    head = header(first, delimiter, shown, wanted)
    flat = [one for each in wanted for one in (each if isinstance(each, tuple) else [each])]
    used = [position(head, one, shown) for one in flat if one is not None] or list(range(head.width))
    body = Chunk(first.content[head.start :], head.line)
    for chunk in (body, *parts):
        for row in cells.rows(chunk.content.decode(), chunk.line, delimiter):
            if (row.blank and head.width > 1) or (drop and any(not row.cells[k] for k in used if k < len(row.cells))):
                continue
            if index == 0:
                return row.line
            index -= 1
    return None


def _assemble(columns: dict[int, Array], taken: int | list[int], large: str | None) -> Array:
    if isinstance(taken, int):
        return columns[taken]
    if large is not None:
        return mapped.side_by_side([columns[i] for i in taken], large)
    return np.stack([columns[i] for i in taken], axis=1)
