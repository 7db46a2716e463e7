"""The family of errors: what went wrong, where in the formula file, and what to do next.

Every error a user can meet is a `TapeError`. Its `code` is one of `CODES`, which is where a code is declared,
once, with the exit status a command line ends with. Errors are raised where the fault is known and shown in one
place, `tapecli.report`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

#: code -> (exit status of the command line, what the code stands for)
CODES: dict[str, tuple[int, str]] = {
    "syntax": (3, "the text is not a formula"),
    "name": (3, "a name that nothing above binds"),
    "duplicate": (3, "a name that is bound twice"),
    "shape": (3, "sizes that do not fit together"),
    "type": (3, "a value of the wrong kind for this place"),
    "index": (3, "an index outside its array"),
    "value": (3, "a number that this place cannot take"),
    "start": (3, "a variable without a start value"),
    "data": (3, "a data file that does not hold what was asked for"),
    "unsupported": (3, "a construct that this version does not have"),
    "usage": (2, "a wrong call of a command or a function"),
    "nonfinite": (4, "a value or a derivative that is not finite"),
    "limit": (5, "a limit that was reached first"),
    "file": (6, "a file that cannot be read or written"),
    "expect": (1, "an expectation that does not hold"),
    "derivative": (1, "a derivative that differs from the numerical one"),
    "minimize": (0, "a warning: a minimum that may not be one"),
    "sparse": (0, "a warning: entries that may always be 0"),
    "bug": (70, "a fault of tapecli itself"),
}

#: At most so many errors of one file are told.
MOST_ERRORS = 20


class Source:
    """A formula text and the name it goes by; turns offsets into lines and columns (both from 1)."""

    __slots__ = ("_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts: list[int] | None = None

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of the character at `offset`."""
        if self._starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._starts = starts
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number`, without its end."""
        self.position(0)
        assert self._starts is not None
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")


class Place:
    """The stretch `start..end` (end excluded) of a source that something stands at."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def end_column(self) -> int:
        """The column after the last character, on the first line of the stretch."""
        line = self.line
        end_line, end_column = self.source.position(max(self.start, self.end))
        return end_column if end_line == line else len(self.source.line(line)) + 1

    def __repr__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


def abridged(text: str) -> str:
    """A text that holds something long of the user's, such as a number of a million digits, cut in its middle."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-LONGEST // 4 :]}"


class TapeError(Exception):
    """What a user did or met that cannot be computed: `code`, `message`, `place`, `hint`.

    `label` is the short remark under the marked place; `more` holds further, independent errors of the same file.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        place: Place | None = None,
        hint: str | None = None,
        label: str | None = None,
        more: Iterable[TapeError] = (),
    ) -> None:
        assert code in CODES, code
        message = abridged(message)
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.hint = None if hint is None else abridged(hint)
        self.label = None if label is None else abridged(label)
        self.more = tuple(more)
        #: the code of a wrong call where it is a file that makes it
        self.written = "value"

    @property
    def exit_code(self) -> int:
        return CODES[self.code][0]

    def __str__(self) -> str:
        where = f"{self.place!r}: " if self.place is not None else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.message}{hint}"


@contextmanager
def written_at(place: Place, in_file: bool = True) -> Iterator[None]:
    """A wrong call inside is a fault of the formula at `place`, where it is the file that asks for it."""
    try:
        yield
    except TapeError as error:
        if in_file and error.code == "usage":
            error.code = error.written
            error.place = error.place or place
        raise


#: No message is longer than this.
LONGEST = 800
#: Longer words are no misspelling of anything.
LONG_WORD = 80
#: A word is compared with at most so many others, so that a large file with many faults is told of at once.
MOST_COMPARED = 2000


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    from difflib import get_close_matches  # only an error needs it

    size = len(word)
    if size > LONG_WORD:
        return None
    names: dict[str, str] = {}
    for name in known:
        if abs(len(name) - size) <= 1 + size // 2 and len(names) < MOST_COMPARED:
            names[name.lower()] = name
    close = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[close[0]] if close else None


class TapeWarning(UserWarning):
    """Something that a user should know of, and that keeps nothing from being computed."""
