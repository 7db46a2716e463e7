"""The log of a minimisation: one JSON object per step."""

from __future__ import annotations

import os
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
    """Writes every `every`-th step to a file, whose reader may follow it."""

    def __init__(self, path: str, every: int, dtype: str, force: bool) -> None:
        self.every = every
        self.dtype = dtype
        self._path = path
        self._force = force
        #: opened at the first step: a file that is there stays as it is where the run does not get so far
        self._stream: TextIO | None = None
        if not force and os.path.lexists(path) and os.path.isfile(path):
            raise exists(path)
        self._due = monotonic() + FLUSH

    def step(self, step: Step, row: int | None) -> None:
        if step.step % self.every:
            return
        head = {"row": row} if row is not None else {}
        if self._stream is None:
            self._stream = open_log(self._path, self._force)
        self._stream.write(Encoder(self.dtype).object(head | of_step(step)) + "\n")
        now = monotonic()
        if now >= self._due:
            self._stream.flush()
            self._due = now + FLUSH

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
