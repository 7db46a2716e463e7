"""Several formulas at once, in worker processes. What they say comes out in the order of the command line."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from typing import Any

from tapecli.cli import perform
from tapecli.cli.inputs import Input, read_standard
from tapecli.cli.quick import Values
from tapecli.errors import TapeError
from tapecli.report import INTERRUPTED, Report, Style

#: Seconds that work at hand gets after an interrupt.
PATIENCE = 3.0
#: the exit status of one formula, and its texts with whether they are for standard error
Outcome = tuple[int, list[tuple[bool, str]]]


class Kept:
    """A sink that keeps texts, in order with those of its sibling."""

    def __init__(self, parts: list[tuple[bool, str]], problem: bool) -> None:
        self.parts = parts
        self.problem = problem

    def write(self, text: str) -> None:
        self.parts.append((self.problem, text))

    def flush(self) -> None:
        """Nothing waits here."""


def _ignore_interrupts() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _work(command: str, v: Values, given: Input, style: Style, files: int) -> Outcome:
    """One formula in a worker. An interrupt ends the work at hand, and is not heard between two pieces of work."""
    import signal

    parts: list[tuple[bool, str]] = []
    report = Report(style, Kept(parts, False), Kept(parts, True), files)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return perform.one(command, v, given, report), parts
    except KeyboardInterrupt:
        return INTERRUPTED, parts
    finally:
        _ignore_interrupts()


def run_all(command: str, v: Values, inputs: list[Input], report: Report, jobs: int) -> None:
    """All formulas; reports each as soon as those before it are done."""
    for given in inputs:
        if given.path is None and given.text is None:
            given.text = read_standard()
    # fork: the parent has loaded nothing heavy and started no thread, so that this is safe, and fastest
    kind = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context(kind), initializer=_ignore_interrupts)
    futures = [pool.submit(_work, command, v, given, report.style, report.files) for given in inputs]
    k, workers = 0, _processes(pool)
    try:
        for k, future in enumerate(futures):
            code = _report(report, inputs[k], future)
            if code >= INTERRUPTED or (code and v["fail_fast"]):
                _abandon(pool, workers)
                return
    except KeyboardInterrupt:
        _finish_at_hand(pool, workers, report, inputs[k:], futures[k:])
        _abandon(pool, workers)
        raise
    except BaseException:
        _abandon(pool, workers)
        raise
    pool.shutdown()


def _abandon(pool: ProcessPoolExecutor, workers: list[Any]) -> None:
    """Ends the workers with whatever they have in hand: nobody waits for it any more."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in workers:
        process.terminate()
    for process in workers:
        process.join(1.0)


def _report(report: Report, given: Input, future: Future[Outcome], timeout: float | None = None) -> int:
    from concurrent.futures.process import BrokenProcessPool

    try:
        code, parts = future.result(timeout)
    except BrokenProcessPool:
        report.begin(given.name)
        report.error(TapeError("limit", "the worker process died, perhaps for lack of memory", hint="try fewer --jobs"))
        return report.end()
    report.absorb(code, parts)
    return code


def _finish_at_hand(
    pool: ProcessPoolExecutor,
    workers: list[Any],
    report: Report,
    inputs: list[Input],
    futures: list[Future[Outcome]],
) -> None:
    """After an interrupt: what the workers have in hand ends early, and its best points are still told."""
    import signal
    from time import monotonic

    pool.shutdown(wait=False, cancel_futures=True)
    for process in workers:
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGINT)
    end = monotonic() + PATIENCE
    for given, future in zip(inputs, futures, strict=True):
        try:
            if future.running() or future.done():
                _report(report, given, future, max(0.0, end - monotonic()))
        except (TimeoutError, CancelledError):
            continue


def _processes(pool: Any) -> list[Any]:
    """The workers, all of which exist once work was submitted: the pool itself forgets them when it shuts down."""
    return list((pool._processes or {}).values())
