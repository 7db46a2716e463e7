"""Runs a command on its formulas, one after another or in several processes, and answers with the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapecli import collector
from tapecli.cli.inputs import Input, read_standard, resolve
from tapecli.cli.quick import Values
from tapecli.cli.validate import not_empty, one_run, validate
from tapecli.errors import TapeError
from tapecli.report import BUG, INTERRUPTED, TERMINATED, Report, Style
from tapecli.report.output import Stream, Unwritable, abandon, complete, opened, refuse_inputs

if TYPE_CHECKING:
    from tapecli.problem import Problem


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends work the same way as Ctrl-C does, with another status."""


#: The signals that ended work so far.
_heard: list[int] = []


def catch_termination() -> None:
    """From here on SIGTERM raises `Terminated`; `_heard` remembers which signals came, should something handle them."""
    import signal

    _heard.clear()

    def stop(number: int, _: object) -> None:
        _heard.append(number)
        raise _raised()

    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)


def _raised() -> type[KeyboardInterrupt]:
    """What the signals so far raise: once told to end, a process ends so."""
    import signal

    return Terminated if signal.SIGTERM in _heard else KeyboardInterrupt


def not_a_signal() -> None:
    """Raises what a signal raised, where something has made another exception of it: libraries that are being imported
    do so."""
    if _heard:
        raise _raised()


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
    if command in ("ops", "explain"):
        not_empty(command, v)
    if command == "ops":
        with opened(_text(v["output"]), bool(v["force"])) as out:
            _functions(Report(style_of(command, v), out, Stream("stderr")))
        return 0
    if command == "explain":
        with opened(_text(v["output"]), bool(v["force"])) as out:
            _explain(v, Report(style_of(command, v), out, Stream("stderr")))
        return 0
    validate(command, v)
    catch_termination()
    inputs = resolve(v["files"], v["inline"])  # type: ignore[arg-type]
    one_run(v, len(inputs))
    for option in ("output", "log"):
        points_files = [word[1:] for word in v["at"] if word.startswith("@")]  # type: ignore[attr-defined]
        refuse_inputs(_text(v.get(option)), [*(given.path for given in inputs), *points_files])
    with opened(_text(v["output"]), bool(v["force"])) as out:
        report = Report(style_of(command, v), out, Stream("stderr"), files=len(inputs))
        _watch(command, v, report)  # it may find a file that cannot be written: a document is whole, or not begun
        report.begin_document()
        ended = _until_a_signal(command, v, inputs, report)
        report.finish()
    if ended is not None:
        raise ended
    code = report.status()
    return 0 if v["exit_zero"] and code < BUG else code


def _until_a_signal(command: str, v: Values, inputs: list[Input], report: Report) -> KeyboardInterrupt | None:
    """All formulas. A signal is raised, but for a document, which is brought to its end first: it is given back, and
    no other signal is heard from there on."""
    ended = None
    try:
        _all(command, v, inputs, report)
    except KeyboardInterrupt as signalled:
        if not report.style.is_document:
            raise
        import signal

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        ended = signalled
    if ended is not None or report.status() == INTERRUPTED:  # a minimisation ends in order itself
        report.interrupt(TERMINATED if issubclass(_raised(), Terminated) else INTERRUPTED)
    return ended


def _text(x: object) -> str | None:
    return None if x is None else str(x)


def _functions(report: Report) -> None:
    from tapecli.catalogue import functions

    report.functions(functions())


def _explain(v: Values, report: Report) -> None:
    from tapecli.errors import CODES, nearest

    codes: Any = v["files"] or list(CODES)
    for code in codes:
        if code not in CODES:
            close = nearest(code, CODES)
            hint = f"did you mean `{close}`?" if close else f"there is {', '.join(CODES)}"
            raise TapeError("usage", f"there is no code `{code}`", hint=hint)
    report.explanations(codes, brief=not v["files"])


def _watch(command: str, v: Values, report: Report) -> None:
    """The log of a minimisation and the display of progress, where they are wanted: of many files, or of one run."""
    from tapecli.report import progress

    run = command in ("minimize", "fit")
    seen = not v["quiet"] and (report.many or run) and progress.wanted()
    if seen and report.many and (not run or v["jobs"] != 1):
        from tapecli.report.batch import Batch

        report.batch = Batch(report.tally, report.style.color_err)
    if not run:
        return
    alone = v["jobs"] == 1 or report.files == 1
    if seen and not v["json"] and alone and report.batch is None:
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

            collector.wake()
            run_all(command, {**v, "jobs": 1}, inputs, report, jobs)
            return
        for given in inputs:
            if one(command, v, given, report) >= INTERRUPTED or enough(v, report):
                break
    finally:
        if report.progress is not None:
            report.progress.close()
        if report.batch is not None:
            report.batch.close()
        if report.log is not None:
            report.log.close()


#: Commands that keep the time themselves once the formula is read, so that their best point is told at the end of it.
OWN_TIME = ("minimize", "fit")


def enough(v: Values, report: Report) -> bool:
    """Whether so many files failed that the others are left out."""
    most: Any = 1 if v["fail_fast"] else v["max_failures"]
    if most is None or report.tally.failed < most:
        return False
    if report.tally.done < report.tally.total:
        report.stopped = "--fail-fast" if v["fail_fast"] else f"--max-failures {most}"
    return True


def one(command: str, v: Values, given: Input, report: Report) -> int:
    """One formula, from its text to its report; the exit status it would have alone."""
    start = perf_counter()
    report.begin(given.name)
    if report.progress is not None:
        report.progress.begin(given.name)
    try:
        from tapecli.cli.commands import run as run_command

        own = command in OWN_TIME and v["timeout"] is not None
        with limited(v["timeout"], None if own else report), heard(report):
            problem = load(v, given)
            for warning in problem.warnings:
                report.warning(warning)
            if not own:
                run_command(command, problem, v, report)
        if own:
            left = max(float(str(v["timeout"])) - (perf_counter() - start), 1e-3)
            with heard(report):
                run_command(command, problem, {**v, "timeout": left}, report)
        report.settle()
    except TapeError as error:
        report.error(error)
    except MemoryError:
        report.error(TapeError("limit", "there is not enough memory for this formula"))
    except (BrokenPipeError, Unwritable):
        raise
    except OSError as error:
        report.error(TapeError("file", f"a file cannot be read: {error}"))
    except Exception as error:
        not_a_signal()
        report.error(bug(error))
    spent = perf_counter() - start
    if v["verbose"]:
        from tapecli.report.numbers import seconds

        report.detail(f"{given.name}: {seconds(spent)}")
    return report.end(spent)


def load(v: Values, given: Input) -> Problem:
    from tapecli import problem

    collector.wake()
    shared: Any = {name: v[name] for name in ("dtype", "engine", "data_root", "kink", "missing", "threads")}
    shared["max_memory"] = v["max_memory"]
    shared |= {"cache": not v["no_cache"], "seed": v["seed"] or 0}
    if given.path is not None:
        return problem.load(given.path, within=given.within, **shared)
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
            from tapecli.problem.points import table_of

            for header in table_of(word[1:]).headers or ():
                free.setdefault(header, None)
    return free


#: Seconds after the limit at which a run ends that does not come back to Python, and between two signals until then.
GRACE, AGAIN = 1.5, 0.2


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
def limited(timeout: Any, report: Report | None = None) -> Iterator[None]:
    """Raises TapeError("limit") inside when the time is over.

    The signal comes again until it has been heard: what raises inside a callback may be lost, and is lost without a
    word. Compiled code does not
    listen to signals, so where it goes on for long a thread ends the process, with the same words and the same status.
    """
    if timeout is None:
        yield
        return
    import signal
    import threading

    def fault() -> TapeError:
        return TapeError("limit", f"the time limit of {timeout:g} s was reached first", hint="give it more: --timeout")

    raised: list[TapeError] = []

    def over(*_: object) -> None:
        raised[:] = [fault()]
        raise raised[0]

    ignored = sys.unraisablehook

    def lost(what: Any) -> None:
        if what.exc_value not in raised:
            ignored(what)

    done = threading.Event()

    def end() -> None:
        if not done.wait(timeout + GRACE) and report is not None:
            code = fault().exit_code
            try:
                report.error(fault())
                report.stopped = "--timeout" if report.tally.done + 1 < report.tally.total else None
                report.end(timeout + GRACE)
                report.finish()
                report.out.flush()
                complete()
            finally:
                abandon()
                os._exit(code)

    if report is not None:
        threading.Thread(target=end, daemon=True).start()
    before = signal.signal(signal.SIGALRM, over)
    sys.unraisablehook = lost
    signal.setitimer(signal.ITIMER_REAL, timeout, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = ignored
        done.set()


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
    kind = type(error).__name__ + (f": {error}" if str(error) else "")
    message = f"a fault of tapecli itself: {kind}" + (f" ({where})" if where else "")
    hint = "this is not your doing; please report it with the formula. TAPECLI_DEBUG=1 shows the whole traceback"
    return TapeError("bug", message, hint=hint)
