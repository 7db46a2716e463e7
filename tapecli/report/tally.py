"""How a run over several files went: counts, the slowest, and what failed for which reason, in memory that stays small
however many files there are."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappushpop
from time import perf_counter

from tapecli.report.numbers import seconds, table
from tapecli.report.text import clean, count

#: As many of the slowest files are named, and of the files that failed for one reason.
SLOWEST, NAMED = 3, 3
#: Runs of fewer files than this do not say which were slowest.
MANY = 10

_STYLES = {"passed": "\x1b[32m", "failed": "\x1b[1;31m", "bold": "\x1b[1m", "dim": "\x1b[2m"}


class Outcome:
    """How one file went: its exit status alone, how long it took, and the codes of what was wrong with it."""

    __slots__ = ("code", "file", "reasons", "seconds")

    def __init__(self, file: str, code: int, seconds: float, reasons: Iterable[str]) -> None:
        self.file = file
        self.code = code
        self.seconds = seconds
        self.reasons = tuple(reasons)


class Tally:
    """Counts outcomes. `total` is how many files were asked for."""

    __slots__ = ("_reasons", "_slowest", "_start", "done", "failed", "total", "worst")

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self.worst = 0
        self._start = perf_counter()
        self._slowest: list[tuple[float, int, str]] = []
        self._reasons: dict[str, tuple[int, list[str]]] = {}

    def add(self, outcome: Outcome) -> None:
        self.done += 1
        self.worst = max(self.worst, outcome.code)
        entry = (outcome.seconds, -self.done, outcome.file)
        if len(self._slowest) < SLOWEST:
            self._slowest.append(entry)
            self._slowest.sort()
        elif entry > self._slowest[0]:
            heappushpop(self._slowest, entry)
        if not outcome.code:
            return
        self.failed += 1
        for reason in dict.fromkeys(outcome.reasons or ("other",)):
            number, files = self._reasons.setdefault(reason, (0, []))
            if len(files) < NAMED:
                files.append(outcome.file)
            self._reasons[reason] = number + 1, files

    def elapsed(self) -> float:
        return perf_counter() - self._start

    def lines(self, color: bool, stopped: str | None = None) -> list[str]:
        """The closing table for people: how many passed and failed, why, and what took longest."""

        def paint(text: str, style: str) -> str:
            return f"{_STYLES[style]}{text}\x1b[0m" if color else text

        lines = []
        if self._reasons:
            rows = []
            for reason, (number, files) in sorted(self._reasons.items(), key=lambda entry: -entry[1][0]):
                more = f" and {number - len(files):,} more" if number > len(files) else ""
                rows.append([reason, f"{number:,}", ", ".join(map(clean, files)) + more])
            lines += [paint("failed", "bold"), *table(rows, right=frozenset((1,)))]
        if self.total >= MANY and self.done:
            rows = [[seconds(time), clean(file)] for time, _, file in sorted(self._slowest, reverse=True)]
            lines += [paint("slowest", "bold"), *table(rows, right=frozenset((0,)))]
        passed = self.done - self.failed
        parts = [paint(f"{passed:,} passed", "passed")] if passed else []
        parts += [paint(f"{self.failed:,} failed", "failed")] if self.failed else []
        left = self.total - self.done
        parts += [paint(f"{left:,} left out", "dim") + (f" ({stopped})" if stopped else "")] if left else []
        said = f"{count(self.total, 'file')}: {', '.join(parts)}"
        if self.total >= MANY and self.done:
            elapsed = self.elapsed()
            said += f" in {seconds(elapsed)}"
            said += paint(f", {self.done / elapsed:,.0f} files/s", "dim") if elapsed > 0 else ""
        return [*lines, said]
