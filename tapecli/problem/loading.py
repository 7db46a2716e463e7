"""Problems from formula texts and formula files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapecli import language
from tapecli.errors import Source, TapeError
from tapecli.problem.facade import Problem
from tapecli.problem.settings import Settings


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
) -> Problem:
    """A problem from a formula text. Data paths are relative to `folder` (the working directory). `free` are names
    that no statement binds and that become variables, with start values where it is a mapping. `missing="drop"` leaves
    out the rows of data that have an empty cell. Compiled code runs on `threads` threads at most (None: on all cores),
    and is kept on disk for the next time unless `cache` is false."""
    values = free if isinstance(free, Mapping) else dict.fromkeys(free)
    starts = {key: np.asarray(np.nan if value is None else value, dtype=np.float64) for key, value in values.items()}
    settings = Settings(dtype, engine, folder or os.curdir, data_root, seed, kink, missing, starts, threads, cache)
    return Problem(language.parse(Source(name, text)), settings)


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
) -> Problem:
    """A problem from a formula file."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            content = file.read()
    except OSError as problem:
        raise TapeError(
            "file", f"`{name}` cannot be read: {problem.strerror}", hint="give the path of a formula file"
        ) from None
    source = language.decode(content, name)
    settings = Settings(
        dtype, engine, os.path.dirname(name) or os.curdir, data_root, seed, kink, missing, {}, threads, cache
    )
    return Problem(language.parse(source), settings)
