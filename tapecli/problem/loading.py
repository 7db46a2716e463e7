"""Problems from formula texts and formula files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from tapecli import collector, language
from tapecli.errors import Source, TapeError
from tapecli.limits import CHARACTER
from tapecli.problem.facade import Problem
from tapecli.problem.settings import Settings

#: Texts of more characters than this are read with Python's collector at rest.
LARGE = 100_000
#: No formula file has more bytes: where a device is named by mistake, reading it comes to an end.
LARGEST = 1 << 27


def parse(
    text: str,
    *,
    name: str = "<text>",
    folder: str | None = None,
    free: Sequence[str] | Mapping[str, Any] = (),
    dtype: str = "float64",
    engine: str = "auto",
    data_root: str | None = None,
    seed: int = 0,
    kink: str = "half",
    missing: str = "error",
    threads: int | None = None,
    cache: bool = True,
    max_memory: int | str | None = None,
) -> Problem:
    """A problem from a formula text. Data paths are relative to `folder` (the working directory). `free` are names
    that no statement binds and that become variables, with start values where it is a mapping. `missing="drop"` leaves
    out the rows of data that have an empty cell. Compiled code runs on `threads` threads at most (None: on all cores),
    and is kept on disk for the next time unless `cache` is false. `max_memory` is a number of bytes, or a text like
    `2G`; None allows most of what there is."""
    values = free if isinstance(free, Mapping) else dict.fromkeys(free)
    starts = {key: np.asarray(np.nan if value is None else value, dtype=np.float64) for key, value in values.items()}
    settings = Settings(
        dtype, engine, folder or os.curdir, data_root, seed, kink, missing, starts, threads, cache, max_memory
    )
    return _problem(Source(name, text), settings)


def load(
    path: str | os.PathLike[str],
    *,
    dtype: str = "float64",
    engine: str = "auto",
    data_root: str | None = None,
    seed: int = 0,
    kink: str = "half",
    missing: str = "error",
    threads: int | None = None,
    cache: bool = True,
    max_memory: int | str | None = None,
    within: str | None = None,
) -> Problem:
    """A problem from a formula file; with `within`, a file that has to lie below that folder."""
    name = os.fspath(path)
    content = content_of(name, within)
    source = language.decode(content, name)
    settings = Settings(
        dtype,
        engine,
        os.path.dirname(name) or os.curdir,
        data_root,
        seed,
        kink,
        missing,
        {},
        threads,
        cache,
        max_memory,
    )
    return _problem(source, settings)


def _problem(source: Source, settings: Settings) -> Problem:
    needs = CHARACTER * len(source.text)
    settings.budget.ask(needs, f"a text of {len(source.text):,} characters")
    with collector.resting() if len(source.text) >= LARGE else nullcontext():
        return Problem(language.parse(source), settings)


def content_of(name: str, within: str | None = None) -> bytes:
    """The bytes of a formula file. A file that was found below the folder `within`, and not named by the user himself,
    has to be a regular one that lies there: no link leads out, and nothing waits for a pipe."""
    try:
        if within is not None:
            full = os.path.realpath(name)
            top = os.path.realpath(within)
            if os.path.commonpath([full, top]) != top:
                raise TapeError(
                    "file",
                    f"`{name}` is a link that leads out of the folder",
                    hint="name the file itself, should it be meant",
                )
            if not os.path.isfile(full):
                raise TapeError("file", f"`{name}` is no regular file")
        with open(name, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as problem:
        raise TapeError(
            "file", f"`{name}` cannot be read: {problem.strerror}", hint="give the path of a formula file"
        ) from None
    except ValueError:
        raise TapeError("file", f"`{name}` cannot be read: no file has such a name") from None
    if len(content) > LARGEST:
        raise TapeError("limit", f"`{name}` has more than {LARGEST:,} bytes, which is no formula")
    return content
