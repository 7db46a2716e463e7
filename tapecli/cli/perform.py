"""Runs a command on its formulas, one after another or in several processes, and answers with the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapecli.cli.inputs import Input, read_standard, resolve
from tapecli.cli.quick import Values
from tapecli.errors import TapeError
from tapecli.report import BUG, INTERRUPTED, TERMINATED, Report, Style
from tapecli.report.output import Stream, Unwritable, opened

if TYPE_CHECKING:
    from tapecli.problem import Problem


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends work the same way as Ctrl-C does, with another status."""


def catch_termination() -> list[int]:
    """From here on SIGTERM raises `Terminated`; the list remembers that it did, should something handle that."""
    import signal

    seen: list[int] = []

    def stop(number: int, _: object) -> None:
        seen.append(number)
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    return seen


def style_of(command: str, v: Values) -> Style:
    """How to speak, from the options and the terminal."""
    return Style(
        command,
        json=bool(v.get("json")),
        format=str(v.get("format", "full")),
        quiet=bool(v.get("quiet")),
        verbose=bool(v.get("verbose")),
        color_out=v.get("output") is None and _colored(v, sys.stdout),
        color_err=_colored(v, sys.stderr),
    )


def _colored(v: Values, stream: Any) -> bool:
    when = v.get("color", "auto")
    if when != "auto" or stream is None:
        return when == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and bool(stream.isatty())


def run(command: str, v: Values) -> int:
    """The exit status of a command. Faults of the command line itself are raised."""
    if command == "ops":
        with opened(_text(v["output"]), bool(v["force"])) as out:
            _functions(Report(style_of(command, v), out, Stream("stderr")))
        return 0
    _validate(command, v)
    terminated = catch_termination()
    inputs = resolve(v["files"], v["inline"])  # type: ignore[arg-type]
    _one_run(v, len(inputs))
    with opened(_text(v["output"]), bool(v["force"])) as out:
        report = Report(style_of(command, v), out, Stream("stderr"), files=len(inputs))
        _watch(command, v, report)
        _all(command, v, inputs, report)
        report.finish()
    code = report.status()
    if code == INTERRUPTED and terminated:
        return TERMINATED
    return 0 if v["exit_zero"] and code < BUG else code


def _text(x: object) -> str | None:
    return None if x is None else str(x)


def _functions(report: Report) -> None:
    from tapecli.catalogue import functions

    report.functions(functions())


def _validate(command: str, v: Values) -> None:
    """What neither reader checks."""
    v["wrt"] = names(v.get("wrt") or ())
    v["sensitivity"] = names(v.get("sensitivity") or (), "sensitivity") or []
    ones = ("jobs", "threads", "log_every", "batch", "epochs", "starts", "max_evaluations")
    for name, least in (*((name, 1) for name in ones), ("steps", 0), ("seed", 0)):
        value: Any = v.get(name)
        if value is not None and value < least:
            raise TapeError("usage", f"--{name.replace('_', '-')} is {least} or more, not {value}")
    if v.get("resume") and v.get("checkpoint") is None:
        raise TapeError(
            "usage", "--resume needs a checkpoint to go on from", hint="name it: --checkpoint FILE --resume"
        )
    if sum(word.startswith("@") for word in v["at"]) > 1 and command != "trace":  # type: ignore[attr-defined]
        raise TapeError("usage", "--at names two files of points", hint="put the rows into one file")
    for name in ("timeout", "tol"):
        value = v.get(name)
        if value is not None and not 0 < value < float("inf") and not (name == "tol" and value == 0):
            raise TapeError("usage", f"--{name} is a positive number, not {value}")


def _one_run(v: Values, files: int) -> None:
    """Some options follow one run, and there is one where there is one file, one point and one start."""
    starts: Any = v.get("starts") or 1
    rows = any(word.startswith("@") for word in v["at"])  # type: ignore[attr-defined]
    for name in ("log", "checkpoint", "plot"):
        if v.get(name) is None:
            continue
        if files > 1:
            hint = f"minimise the files one by one, each with its own {name}"
            raise TapeError("usage", f"--{name} is for one file", hint=hint)
        if starts > 1:
            raise TapeError("usage", f"--{name} follows one run, and --starts {starts} are several")
        if rows and name != "log":
            raise TapeError("usage", f"--{name} follows one run, and --at @… are several")


def _watch(command: str, v: Values, report: Report) -> None:
    """The log and the progress of a minimisation, where they are wanted."""
    if command not in ("minimize", "fit"):
        return
    from tapecli.report import progress

    alone = v["jobs"] == 1 or report.files == 1
    if not (v["json"] or v["quiet"]) and alone and progress.wanted():
        report.progress = progress.Progress()
    if v["log"] is not None:
        from tapecli.report.log import Log

        report.log = Log(str(v["log"]), int(str(v["log_every"])), str(v["dtype"]), bool(v["force"]), bool(v["resume"]))
    if v["plot"] is not None:
        from tapecli.report.plots import Plot

        report.plot = Plot(str(v["plot"]), bool(v["force"]))


def _all(command: str, v: Values, inputs: list[Input], report: Report) -> None:
    jobs = min(int(str(v["jobs"])), len(inputs))
    try:
        if jobs > 1:
            v["threads"] = v["threads"] or 1  # the cores have enough to do
            from tapecli.cli.pool import run_all

            run_all(command, {**v, "jobs": 1}, inputs, report, jobs)
            return
        for given in inputs:
            code = one(command, v, given, report)
            if code >= INTERRUPTED or (code and v["fail_fast"]):
                break
    finally:
        if report.progress is not None:
            report.progress.close()
        if report.log is not None:
            report.log.close()


def one(command: str, v: Values, given: Input, report: Report) -> int:
    """One formula, from its text to its report; the exit status it would have alone."""
    start = perf_counter()
    report.begin(given.name)
    if report.progress is not None:
        report.progress.begin(given.name)
    try:
        with limited(None if command in ("minimize", "fit") else v["timeout"]), heard(report):
            from tapecli.cli.commands import run as run_command

            problem = load(v, given)
            for warning in problem.warnings:
                report.warning(warning)
            run_command(command, problem, v, report)
    except TapeError as error:
        report.error(error)
    except MemoryError:
        report.error(TapeError("limit", "there is not enough memory for this formula"))
    except (BrokenPipeError, Unwritable):
        raise
    except OSError as error:
        report.error(TapeError("file", f"a file cannot be read: {error}"))
    except Exception as error:
        report.error(bug(error))
    if v["verbose"]:
        from tapecli.report.numbers import seconds

        report.detail(f"{given.name}: {seconds(perf_counter() - start)}")
    return report.end()


def load(v: Values, given: Input) -> Problem:
    from tapecli import problem

    shared: Any = {name: v[name] for name in ("dtype", "engine", "data_root", "kink", "missing", "threads")}
    shared |= {"cache": not v["no_cache"], "seed": v["seed"] or 0}
    if given.path is not None:
        return problem.load(given.path, **shared)
    text = given.text
    if text is None:
        text = read_standard()
    if isinstance(text, bytes):
        from tapecli.language import decode

        text = decode(text, given.name).text
    return problem.parse(text, name=given.name, free=_free(v["at"]), **shared)


def _free(words: Any) -> dict[str, Any]:
    """The names that --at binds, with their values where these are plain: they are variables of an inline formula."""
    from tapecli import problem

    free: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if equals and not word.startswith("@"):
            try:
                free[name.strip()] = problem.parse(text).value()
            except TapeError:  # it may be one that names other names; --at itself says what is wrong
                free.setdefault(name.strip(), None)
        elif word.startswith("@"):
            from tapecli.data import Table

            for header in Table(word[1:], word[1:]).headers or ():
                free.setdefault(header, None)
    return free


def names(words: Any, option: str = "wrt") -> list[str] | None:
    """`--wrt x,y --wrt z` as one list, or None where nothing was said."""
    found = [name.strip() for word in words for name in word.split(",")]
    if not all(found):
        raise TapeError("usage", f"--{option} holds an empty name", hint=f"names stand between commas: --{option} x,y")
    return found or None


@contextmanager
def heard(report: Report) -> Iterator[None]:
    """Warnings of the package are reported like those of the formula."""
    import warnings

    from tapecli.errors import TapeWarning

    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, TapeWarning):
            report.warning(TapeError("unsupported", str(message)))
        else:
            before(message, category, *rest, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def limited(timeout: Any) -> Iterator[None]:
    """Raises TapeError("limit") inside when the time is over."""
    if timeout is None:
        yield
        return
    import signal

    def over(*_: object) -> None:
        raise TapeError("limit", f"the time limit of {timeout:g} s was reached first", hint="give it more: --timeout")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def bug(error: BaseException) -> TapeError:
    """An exception that should not have been, as a short report."""
    if os.environ.get("TAPECLI_DEBUG"):
        import traceback

        traceback.print_exception(error)
    frames = error.__traceback__
    where = ""
    while frames is not None:
        code = frames.tb_frame.f_code
        where = f"{os.path.basename(code.co_filename)}:{frames.tb_lineno}, in {code.co_name}"
        frames = frames.tb_next
    message = f"a fault of tapecli itself: {type(error).__name__}: {error}" + (f" ({where})" if where else "")
    hint = "this is not your doing; please report it with the formula. TAPECLI_DEBUG=1 shows the whole traceback"
    return TapeError("bug", message, hint=hint)
