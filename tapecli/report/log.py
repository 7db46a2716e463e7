"""The log of a minimisation: one JSON object per step."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from tapecli.report.encode import Encoder
from tapecli.report.output import exists, open_beside, open_log, put_in_place, special, trouble
from tapecli.report.records import of_step

if TYPE_CHECKING:
    from tapecli.errors import TapeError
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
        #: the name of the new file until its first line is on the disk: till then the old one stays
        self._temporary: str | None = None
        self._fault: TapeError | None = None
        if not force and not self._old and os.path.isfile(path):
            raise exists(path)
        self._due = monotonic() + FLUSH

    @property
    def _stream(self) -> TextIO:
        if self._opened is None:
            if self._force and not self._old and not special(self._path):
                self._opened, self._temporary = open_beside(self._path)
            else:
                self._opened = open_log(self._path, self._force, append=self._old)
        return self._opened

    def due(self, number: int) -> bool:
        """Whether this step will be in the log."""
        return self._old or not number % self.every

    def ahead(self, number: int) -> int:
        """How many steps there are to the next one in the log."""
        return 1 if self._old else self.every - number % self.every

    def step(self, step: Step, row: int | None) -> None:
        """Writes a step. That a disk is full, say, must not end a run: nothing more is written then, and `settle`
        tells of it."""
        if self._fault is not None:
            return
        stream = self._stream
        try:
            if self._old:
                stream.truncate(_end_of(self._path, step.step))
                self._old = False
            if step.step % self.every:
                return
            head = {"row": row} if row is not None else {}
            stream.write(Encoder(self.dtype).object(head | of_step(step)) + "\n")
            now = monotonic()
            if now >= self._due or self._temporary is not None:
                self._flush(stream)
                self._due = now + FLUSH
        except OSError as error:
            self._fail(error)

    def _flush(self, stream: TextIO) -> None:
        stream.flush()
        if self._temporary is not None:
            put_in_place(self._temporary, self._path)
            self._temporary = None

    def _fail(self, error: OSError) -> None:
        self._fault = trouble(self._path, "written", error)

    def flush(self) -> None:
        """What was written so far is on the disk."""
        if self._fault is None:
            stream = self._stream
            try:
                self._flush(stream)
            except OSError as error:
                self._fail(error)
            with suppress(OSError):  # a pipe, a terminal
                os.fsync(stream.fileno())

    def settle(self) -> None:
        """Raises TapeError where not all could be written."""
        if self._opened is not None and self._fault is None:
            try:
                self._opened.flush()
            except OSError as error:
                self._fail(error)
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        if self._opened is not None:
            with suppress(OSError):  # it has been told, or a signal ends the run
                self._opened.close()
            if self._temporary is not None:
                with suppress(OSError):
                    os.unlink(self._temporary)


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
