"""The log of a minimisation: one JSON object per step."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from tapecli.report.encode import Encoder
from tapecli.report.output import exists, open_log
from tapecli.report.records import of_step

if TYPE_CHECKING:
    from tapecli.problem.results import Step

#: A step is in the file no later than this many seconds after it was done, if another follows.
FLUSH = 0.5


class Log:
    """Writes every `every`-th step to a file, whose reader may follow it. With `resume` a log that is there goes on:
    what it has from the first step to come on is written anew."""

    def __init__(self, path: str, every: int, dtype: str, force: bool, resume: bool = False) -> None:
        self.every = every
        self.dtype = dtype
        self._path = path
        self._force = force
        self._old = resume and os.path.isfile(path)
        #: opened at the first step: a file that is there stays as it is where the run does not get so far
        self._opened: TextIO | None = None
        if not force and not self._old and os.path.isfile(path):
            raise exists(path)
        self._due = monotonic() + FLUSH

    @property
    def _stream(self) -> TextIO:
        if self._opened is None:
            self._opened = open_log(self._path, self._force, append=self._old)
        return self._opened

    def due(self, number: int) -> bool:
        """Whether this step will be in the log."""
        return self._old or not number % self.every

    def ahead(self, number: int) -> int:
        """How many steps there are to the next one in the log."""
        return 1 if self._old else self.every - number % self.every

    def step(self, step: Step, row: int | None) -> None:
        if self._old:
            self._stream.truncate(_end_of(self._path, step.step))
            self._old = False
        if step.step % self.every:
            return
        head = {"row": row} if row is not None else {}
        self._stream.write(Encoder(self.dtype).object(head | of_step(step)) + "\n")
        now = monotonic()
        if now >= self._due:
            self._stream.flush()
            self._due = now + FLUSH

    def flush(self) -> None:
        """What was written so far is on the disk."""
        self._stream.flush()
        with suppress(OSError):  # a pipe, a terminal
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _end_of(path: str, step: int) -> int:
    """Where the lines of the steps before `step` end."""
    end = 0
    with open(path, "rb") as file:
        for line in file:
            try:
                if not line.endswith(b"\n") or json.loads(line)["step"] >= step:
                    break
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
    return end
