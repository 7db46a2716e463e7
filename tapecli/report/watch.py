"""Who looks on while a minimisation runs: the log, the progress display, the curve of a plot.

A step that nobody wants to see costs a few comparisons: each says beforehand, by `due`, whether it wants a step at all,
and only then is the step made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapecli.problem.results import Step
    from tapecli.report.log import Log
    from tapecli.report.progress import Progress

#: Points kept of a run for its plot. When there are twice as many, every second one goes.
POINTS = 2000


class Curve:
    """Value and gradient norm by step, thinned evenly; the last step that was told is always there."""

    def __init__(self) -> None:
        self.stride = 1
        self._rows: list[tuple[int, float, float]] = []
        self._last: tuple[int, float, float] | None = None

    def due(self, number: int) -> bool:
        return not number % self.stride

    def ahead(self, number: int) -> int:
        return self.stride - number % self.stride

    def __call__(self, step: Step) -> None:
        self._last = (step.step, step.value, step.gradient_norm)
        if step.step % self.stride:
            return
        self._rows.append(self._last)
        if len(self._rows) >= 2 * POINTS:
            self.stride *= 2
            self._rows = [row for row in self._rows if not row[0] % self.stride]

    @property
    def rows(self) -> list[tuple[int, float, float]]:
        """`(step, value, gradient norm)` in order."""
        if self._last is None or (self._rows and self._rows[-1][0] >= self._last[0]):
            return list(self._rows)
        return [*self._rows, self._last]


class Watch:
    """All who look on at one run, as the callback of `Problem.minimize`."""

    def __init__(self, log: Log | None, progress: Progress | None, curve: Curve | None, row: int | None) -> None:
        self._log = log
        self._progress = progress
        self._curve = curve
        self._row = row
        self._dues = [one.due for one in (log, progress, curve) if one is not None]
        self._aheads = [one.ahead for one in (log, progress, curve) if one is not None]

    def due(self, number: int) -> bool:
        """Whether anybody wants this step."""
        return any(due(number) for due in self._dues)

    def ahead(self, number: int) -> int:
        """How many steps after this one nobody wants to see, the last of them excepted."""
        return min(ahead(number) for ahead in self._aheads)

    def flush(self) -> None:
        """A checkpoint is about to be written."""
        if self._log is not None:
            self._log.flush()

    def __call__(self, step: Step) -> None:
        if self._log is not None:
            self._log.step(step, self._row)
        if self._progress is not None:
            self._progress(step)
        if self._curve is not None:
            self._curve(step)
