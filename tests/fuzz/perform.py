"""One case in this process, and what does not hold of it."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from cases import Case
from guard import Guard
from words import MEMORY

import tapecli as tp
from tapecli.cli import run as command_line

#: What a run may end with; 2 where a command line is wrong.
STATUSES = {0, 1, 2, 3, 4, 5, 6}
#: Seconds of this process's time that a run may take. A busy machine does not count against it.
LONG = 1.0
#: By how many MB one run may raise what the process takes at most: several times what `--max-memory` lets it estimate.
GROWTH = 400
#: Options that let files be written.
WRITING = {"--output", "--log", "--checkpoint", "--update"}
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f]|(?m:^::)")
#: What tells the terminal of a colour.
COLOUR = re.compile("\x1b\\[[0-9;]*m")


class Outcome(NamedTuple):
    status: int
    out: str
    err: str
    seconds: float
    #: by how many MB the run raised the greatest size of the process
    grown: int


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def perform(case: Case, folder: str, guard: Guard | None) -> Outcome:
    """Runs a command line in `folder`, which is empty before and after."""
    for name, data in case.files.items():
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    kept = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = Stdin(case.text), *streams  # type: ignore[assignment]
    memory, start = _most(), time.process_time()
    try:
        if guard is None:
            status = command_line(case.words)
        else:
            with guard.watching(folder, writes=not WRITING.isdisjoint(case.words)):
                status = command_line(case.words)
    finally:
        seconds = time.process_time() - start
        sys.stdin, sys.stdout, sys.stderr = kept
        signal.setitimer(signal.ITIMER_REAL, 0)
        _empty(folder)
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in streams]  # type: ignore[attr-defined]
    return Outcome(status, *texts, seconds, _most() - memory)


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _empty(folder: str) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)


def complaint(case: Case, o: Outcome) -> str | None:
    """What does not hold of an outcome, its time excepted."""
    if o.status not in STATUSES:
        return f"exit {o.status}: {o.err.strip()[-300:]}"
    if "Traceback" in o.out + o.err or "Warning:" in o.err:
        return f"says {o.err.strip()[-300:]}"
    if o.grown > GROWTH:
        return f"takes {o.grown} MB"
    out, err = (COLOUR.sub("", text) for text in (o.out, o.err)) if "always" in case.words else (o.out, o.err)
    raw = RAW.search(out) or (None if "github" in case.words else RAW.search(err))
    if raw:
        return f"prints {raw[0]!r}"
    return _unreadable(case, o)


def _unreadable(case: Case, o: Outcome) -> str | None:
    """Output that was asked for in a format, and is not in it."""
    if o.status == 2 or not o.out:
        return None
    try:
        if "--json" in case.words:
            for line in o.out.splitlines():
                json.loads(line, parse_constant=_refuse)
        elif "sarif" in case.words:
            json.loads(o.out, parse_constant=_refuse)
        elif "junit" in case.words:
            ElementTree.fromstring(o.out)
    except (ValueError, ElementTree.ParseError) as error:
        return f"prints what cannot be read: {error}: {o.out[:200]!r}"
    return None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def disagreement(case: Case, folder: str, native: bool) -> str | None:
    """Where engines differ on the values of a formula that can be computed."""
    for name in ("f.csv", "g.npy"):
        if name in case.files:
            Path(folder, name).write_bytes(case.files[name])
    try:
        p = tp.parse(case.text.decode(), max_memory=MEMORY)
        got = {e: p.compile(engine=e).evaluate() for e in ("tape", "numpy", *(["native"] if native else []))}
    except (tp.TapeError, UnicodeDecodeError):
        return None
    finally:
        _empty(folder)
    for engine, other in got.items():
        for name, value in got["tape"].values.items():
            with np.errstate(all="ignore"):
                close = np.isclose(value, other.values[name], rtol=1e-7, atol=1e-290, equal_nan=True)
                huge = ~np.isfinite(value) | (np.abs(value) > 1e290)  # where order of sums decides on overflow
            if not np.all(close | huge):
                return f"engine {engine} has {name} = {other.values[name]}, the tape {value}"
    return None
