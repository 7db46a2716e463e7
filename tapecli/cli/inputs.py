"""From the words of a command line to the formulas they stand for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tapecli.errors import TapeError

ENDING = ".tape"
INLINE = "<text>"
STANDARD = "<stdin>"


class Input:
    """One formula: a file by its path, or a text by the name it goes by. `within` is the folder that a file was found
    below, where it was not named itself."""

    __slots__ = ("name", "path", "text", "within")

    def __init__(self, name: str, path: str | None, text: str | bytes | None, within: str | None = None) -> None:
        self.within = within
        self.name = name
        self.path = path
        self.text = text

    def __reduce__(self) -> tuple[type[Input], tuple[str, str | None, str | bytes | None, str | None]]:
        return Input, (self.name, self.path, self.text, self.within)


def resolve(words: Sequence[str], inline: Sequence[str]) -> list[Input]:
    """The formulas in order: files, folders and globs, then what was given inline."""
    found: list[Input] = []
    seen: set[str] = set()
    for word in words:
        if word == "-":
            found.append(_standard(seen))
        elif os.path.isdir(word):
            found += _new(_below(word), seen, word)
        elif not os.path.lexists(word) and any(mark in word for mark in "*?["):
            found += _new(_matches(word), seen, _fixed(word))
        else:
            _no_number(word)
            found.append(Input(word, word, None))
    numbered = len(inline) > 1
    for i, text in enumerate(inline, 1):
        found.append(Input(f"<text {i}>" if numbered else INLINE, None, text))
    if not found:
        raise TapeError("usage", "no formula was given", hint="name a file, a folder, - or a formula: -e 'x^2 - 2*x'")
    return found


def _no_number(word: str) -> None:
    """A number among the files was meant for --at."""
    try:
        float(word)
    except ValueError:
        return
    if not os.path.lexists(word):
        raise TapeError("usage", f"there is no file {word}", hint=f"numbers are given by name, as in --at x={word}")


def _fixed(pattern: str) -> str:
    """The folder that a glob begins at."""
    from re import split

    return os.path.dirname(split(r"[*?\[]", pattern)[0]) or os.curdir


def _new(paths: list[str], seen: set[str], within: str) -> list[Input]:
    """The paths that an earlier folder or glob has not named yet."""
    fresh = [path for path in paths if path not in seen]
    seen.update(fresh)
    return [Input(path, path, None, within) for path in fresh]


def _standard(seen: set[str]) -> Input:
    if "-" in seen:
        raise TapeError("usage", "- stands twice, but standard input can be read once")
    seen.add("-")
    return Input(STANDARD, None, None)


def _below(folder: str) -> list[str]:
    """All formula files below a folder, sorted."""
    refused: list[OSError] = []
    paths = []
    for base, folders, files in os.walk(folder, onerror=refused.append):
        folders.sort()
        where = os.path.relpath(base) if folder == os.curdir else base
        paths += [os.path.join("" if where == os.curdir else where, name) for name in files if name.endswith(ENDING)]
    if refused:
        raise TapeError("file", f"{refused[0].filename} cannot be read: {(refused[0].strerror or '').lower()}")
    if not paths:
        raise TapeError("usage", f"there is no {ENDING} file below {folder}")
    return sorted(paths)


def _matches(pattern: str) -> list[str]:
    from glob import glob  # a shell has mostly done this already

    paths: list[str] = []
    for path in sorted(glob(pattern, recursive=True)):
        if os.path.isdir(path):
            if "**" not in pattern:
                paths += _below(path)
        else:
            paths.append(path)
    if not paths:
        raise TapeError("usage", f"nothing matches {pattern}")
    return paths


def read_standard() -> bytes:
    """All of standard input."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read()
