"""The command line: options in, one call, report out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from tapecli import collector

if TYPE_CHECKING:
    from tapecli.cli.quick import Values
    from tapecli.errors import TapeError


def main() -> NoReturn:
    """The console script. The process ends without taking the interpreter apart, which takes 10 ms with NumPy. The
    collector of cycles is at rest until the package is imported."""
    collector.rest()
    code = run(sys.argv[1:])
    if os.environ.get("TAPECLI_DEBUG"):
        sys.exit(code)
    os._exit(code)


def run(argv: Sequence[str]) -> int:
    """The exit status of a command line. Nothing is raised, and everything is flushed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _flushed(_run(argv))
    except KeyboardInterrupt as signal:
        from tapecli.report.output import abandon

        abandon()  # where the signal came between the opening of a file and the care for it
        return _flushed(_interrupted(signal))


def _flushed(code: int) -> int:
    """The status after everything is out. Where nobody reads any more, the rest is dropped quietly."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        _silence()
    except OSError as error:
        _silence()
        return _refused(error)
    return code


def _run(argv: Sequence[str]) -> int:
    from tapecli.cli.quick import read
    from tapecli.errors import TapeError

    asked = None if "_TAPECLI_COMPLETE" in os.environ else read(argv)
    try:
        if asked is None:
            from tapecli.cli import app

            found = app.read(argv)
            if isinstance(found, int):
                return found
            asked = found
        from tapecli.cli import perform

        return perform.run(*asked)
    except TapeError as error:
        return _say(error, asked)
    except BrokenPipeError:
        _silence()
        return 0
    except OSError as error:
        return _refused(error)
    except Exception as error:
        from tapecli.cli.perform import bug, not_a_signal

        not_a_signal()
        return _say(bug(error), asked)


def _say(error: TapeError, asked: tuple[str, Values] | None) -> int:
    """An error that concerns no formula; the exit status."""
    from tapecli.cli import perform
    from tapecli.report import BUG, Report
    from tapecli.report.output import Stream

    command, values = asked or ("", {})
    report = Report(perform.style_of(command, values), Stream("stdout"), Stream("stderr"))
    report.error(error)
    return 0 if values.get("exit_zero") and error.exit_code < BUG else error.exit_code


def _refused(error: OSError) -> int:
    from tapecli.report.output import trouble

    return _say(trouble(getattr(error, "path", None) or "the results", "written", error), None)


def _interrupted(signal: KeyboardInterrupt) -> int:
    from tapecli.cli.perform import Terminated
    from tapecli.report import INTERRUPTED, TERMINATED

    if sys.stderr is not None:
        sys.stderr.write("interrupted\n")
    return TERMINATED if isinstance(signal, Terminated) else INTERRUPTED


def _silence() -> None:
    """What is left in the buffers must not fail again when the interpreter flushes it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
