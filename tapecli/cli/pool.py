"""Several formulas at once, in worker processes. What they say comes out in the order of the command line.

A worker is started once and takes many files. It is sent the numbers of the files it shall do, a few at a time, and
answers each with one message (`Result`). So its death costs exactly the file it had in hand, the first number that it
has not answered: a fresh worker goes on with the others. Results that come before their turn wait in memory, and in a
file beyond a few megabytes (`Waiting`), so that memory does not grow with the number of files.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from time import monotonic, sleep
from typing import Any

from tapecli.cli import perform
from tapecli.cli.frames import Result, Waiting, numbers, packed
from tapecli.cli.inputs import Input, read_standard
from tapecli.cli.quick import Values
from tapecli.errors import CODES, TapeError
from tapecli.report import INTERRUPTED, Report, Style
from tapecli.report.output import Held
from tapecli.report.tally import Outcome

#: Seconds that work at hand gets after an interrupt, and that a time limit may be overrun before a worker is ended.
PATIENCE = 3.0
#: A worker has about this many seconds of work waiting, and no more than so many files.
AHEAD, MOST = 0.02, 64
#: Results are taken in rounds that are this many seconds apart, where they come fast.
ROUND = 0.003


class Kept:
    """A sink that keeps texts, in order with those of its sibling."""

    def __init__(self, parts: list[tuple[bool, str]], problem: bool) -> None:
        self.parts = parts
        self.problem = problem

    def write(self, text: str) -> None:
        if text:
            self.parts.append((self.problem, text))

    def flush(self) -> None:
        """Nothing waits here."""


# ---- in a worker ------------------------------------------------------------------------------------------------


class _Hands:
    """Whether a worker has work in hand: an interrupt ends that, once, and is not heard between two files."""

    def __init__(self) -> None:
        self.busy = False
        self.interrupted = False
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _stop(self, *_: object) -> None:
        first, self.interrupted = not self.interrupted, True
        if first and self.busy:
            raise KeyboardInterrupt


def _serve(
    command: str,
    v: Values,
    inputs: list[Input],
    style: Style,
    jobs: int,
    tasks: Connection,
    results: Connection,
    others: list[Connection],
) -> None:
    """The life of a worker: takes numbers of files until nobody sends any more."""
    hands = _Hands()
    for connection in others:
        connection.close()  # what belongs to the parent must not be held open by its children
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, threads)
    try:
        while not hands.interrupted:
            for number in numbers(tasks.recv_bytes()):
                if not hands.interrupted:
                    results.send_bytes(packed(_one(command, v, inputs[number], style, len(inputs), number, hands)))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # the parent has what it wanted, or is gone


def _one(command: str, v: Values, given: Input, style: Style, files: int, number: int, hands: _Hands) -> Result:
    parts: list[tuple[bool, str]] = []
    report = Report(style, Kept(parts, False), Kept(parts, True), files)
    report.first = number
    try:
        hands.busy = True
        perform.one(command, v, given, report)
        outcome = report.outcome
    except KeyboardInterrupt:
        outcome = report.cut() if report.file else report.outcome
    finally:
        hands.busy = False
    return Result(number, outcome.code, outcome.seconds, outcome.reasons, parts)


# ---- in the parent ----------------------------------------------------------------------------------------------


class Worker:
    """A process, the pipes to and from it, and the numbers of the files that it has not answered yet, in order."""

    __slots__ = ("began", "open", "process", "results", "tasks")

    def __init__(self, process: Any, tasks: Connection, results: Connection) -> None:
        self.process = process
        self.tasks = tasks
        self.results = results
        self.open: deque[int] = deque()
        self.began = monotonic()

    def close(self) -> None:
        self.tasks.close()
        self.results.close()


class Pool:
    """Hands out files and takes results."""

    def __init__(
        self, command: str, v: Values, inputs: list[Input], style: Style, jobs: int, tick: Callable[[str], None] | None
    ) -> None:
        self._tick = tick
        self._given = (command, v, inputs, style, jobs)
        self._inputs = inputs
        self._limit = v.get("timeout")
        self._jobs = jobs
        # fork: the parent has loaded nothing heavy and started no thread, so that this is safe, and fastest
        kind = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        self._context: Any = multiprocessing.get_context(kind)
        self._workers: list[Worker] = []
        self._again: deque[int] = deque()
        self._next = 0
        self._mean = AHEAD
        self._waiting = Waiting()

    def results(self) -> Iterator[Result]:
        """All results, in the order of the files."""
        turn, count = 0, len(self._inputs)
        self._hire()
        while turn < count:
            self._hand_out()
            for result in self._round(turn):
                self._waiting.put(result)
            while (found := self._waiting.take(turn)) is not None:
                turn += 1
                yield found
        self.end()

    def _hire(self) -> None:
        """As many workers as there is work for."""
        left = len(self._inputs) - self._next + len(self._again)
        while len(self._workers) < self._jobs and left > 0:
            task_end, tasks = self._context.Pipe(duplex=False)
            results, result_end = self._context.Pipe(duplex=False)
            inherited = [c for w in self._workers for c in (w.tasks, w.results)] + [tasks, results]
            others = inherited if self._context.get_start_method() == "fork" else []
            process = self._context.Process(
                target=_serve, args=(*self._given, task_end, result_end, others), daemon=True
            )
            with Held():
                process.start()
                task_end.close()
                result_end.close()
                self._workers.append(Worker(process, tasks, results))
            left -= 1

    def _hand_out(self) -> None:
        """Gives every worker enough to do until the next round; little at the end, so that all end together."""
        wanted = max(1, min(MOST, int(AHEAD / max(self._mean, 1e-6))))
        for worker in sorted(self._workers, key=lambda worker: len(worker.open)):
            left = len(self._inputs) - self._next + len(self._again)
            room = min(wanted, -(-left // (2 * self._jobs))) - len(worker.open)
            if worker.open and (room <= 0 or wanted == 1):
                continue
            some = [number for _ in range(max(room, 1)) if (number := self._take()) is not None]
            if not some:
                continue
            if not worker.open:
                worker.began = monotonic()
            worker.open.extend(some)
            try:
                with Held():
                    worker.tasks.send_bytes(b"".join(number.to_bytes(8, "little") for number in some))
            except OSError:
                continue  # it is dead, as the end of its results will tell

    def _take(self) -> int | None:
        if self._again:
            return self._again.popleft()
        if self._next < len(self._inputs):
            self._next += 1
            return self._next - 1
        return None

    def _round(self, turn: int) -> Iterator[Result]:
        """Takes what has come since the last round, and waits until something does; gives what dead workers cost."""
        by_pipe: dict[Any, Worker] = {worker.results: worker for worker in self._workers}
        patience = None if self._limit is None and self._tick is None else 0.2
        ready: list[Any] = wait(list(by_pipe), timeout=patience)
        if not ready and self._tick is not None:
            self._tick(self._inputs[turn].name)
        for connection in ready:
            yield from self._received(by_pipe[connection])
        if self._limit is not None:
            for worker in self._workers[:]:
                if worker.open and monotonic() - worker.began > float(str(self._limit)) + PATIENCE:
                    worker.process.kill()
                    yield from self._bury(worker, late=True)
        if self._mean < ROUND:
            sleep(ROUND)

    def _received(self, worker: Worker) -> Iterator[Result]:
        """Takes what a worker has answered; where it is dead, gives what there is to say of the file it had in hand."""
        try:
            with Held():
                while _has_message(worker.results):
                    result = Result.read(worker.results.recv_bytes())
                    worker.open.popleft()
                    worker.began = monotonic()
                    self._mean += 0.2 * (result.seconds - self._mean)
                    self._waiting.put(result)
        except (EOFError, OSError):
            yield from self._bury(worker)

    def _bury(self, worker: Worker, late: bool = False) -> Iterator[Result]:
        """A worker that is dead costs the file it had in hand; the others it had go to a fresh one."""
        self._workers.remove(worker)
        worker.close()
        worker.process.join(PATIENCE)
        if worker.open:
            number = worker.open.popleft()
            self._again.extendleft(reversed(worker.open))
            status = worker.process.exitcode
            late = late or (self._limit is not None and status == CODES["limit"][0])  # it ended itself
            error = _too_late(self._limit) if late else _death(status)
            yield self._lost(number, error, monotonic() - worker.began)
        self._hire()

    def _lost(self, number: int, error: TapeError, seconds: float) -> Result:
        """What is said of a file whose worker died."""
        parts: list[tuple[bool, str]] = []
        _, _, inputs, style, _ = self._given
        report = Report(style, Kept(parts, False), Kept(parts, True), len(inputs))
        report.first = number
        report.begin(inputs[number].name)
        report.error(error)
        code = report.end(seconds)
        return Result(number, code, seconds, report.outcome.reasons, parts)

    def interrupt(self, turn: int) -> list[Result]:
        """After an interrupt: what the workers have in hand ends early; what they still say, in order from `turn`."""
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid:
                os.kill(worker.process.pid, signal.SIGINT)
        end = monotonic() + PATIENCE
        busy = [worker for worker in self._workers if worker.open]
        while busy and monotonic() < end:
            ready = wait([worker.results for worker in busy], timeout=max(0.0, end - monotonic()))
            for worker in [worker for worker in busy if worker.results in ready]:
                try:
                    self._waiting.put(Result.read(worker.results.recv_bytes()))
                except (EOFError, OSError):
                    busy.remove(worker)
        found = (self._waiting.take(number) for number in range(turn, self._next))
        return [result for result in found if result is not None]

    def end(self) -> None:
        """Ends the workers with whatever they have in hand: nobody waits for it any more."""
        for worker in self._workers:
            worker.close()
            if worker.open:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(1.0)
        self._workers = []
        self._waiting.close()


def _has_message(connection: Connection) -> bool:
    """Whether something has come, or the end: `poll` of the connection itself makes a selector each time."""
    if os.name == "posix":
        return bool(select.select([connection], [], [], 0)[0])
    return connection.poll()


def _death(status: int | None) -> TapeError:
    """What is known of the end of a worker, from its exit status."""
    if status is None or status >= 0:
        return TapeError("limit", f"the worker process ended with status {status}", hint="run this file alone")
    name = signal.Signals(-status).name if -status in {s.value for s in signal.Signals} else f"signal {-status}"
    if -status == getattr(signal, "SIGKILL", 9):
        said = "the worker process was killed, perhaps for lack of memory"
        return TapeError("limit", said, hint="try fewer --jobs, or run this file alone")
    hint = "run this file alone; if it happens again, please report it with the formula"
    return TapeError("limit", f"the worker process died of {name}", hint=hint)


def _too_late(limit: object) -> TapeError:
    said = f"the time limit of {float(str(limit)):g} s was reached first, in one long operation"
    return TapeError("limit", said, hint="give it more: --timeout")


def run_all(command: str, v: Values, inputs: list[Input], report: Report, jobs: int) -> None:
    """All formulas; reports each as soon as those before it are done."""
    for given in inputs:
        if given.path is None and given.text is None:
            given.text = read_standard()
    tick = report.batch.tick if report.batch is not None else None
    pool = Pool(command, v, inputs, report.style, jobs, tick)
    turn = 0
    try:
        for result in pool.results():
            turn = result.number + 1
            _absorb(report, inputs, result)
            if result.code >= INTERRUPTED or perform.enough(v, report):
                return
    except KeyboardInterrupt:
        for result in pool.interrupt(turn):
            _absorb(report, inputs, result)
        raise
    finally:
        pool.end()


def _absorb(report: Report, inputs: list[Input], result: Result) -> None:
    name = inputs[result.number].name
    report.absorb(Outcome(name, result.code, result.seconds, result.reasons), result.parts)
