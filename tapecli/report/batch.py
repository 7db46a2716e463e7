"""How far a run over many files has come, drawn on a terminal: one line that is replaced, and gone at the end."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

from tapecli.report.numbers import seconds
from tapecli.report.progress import columns, unicode_works
from tapecli.report.text import clean, width

if TYPE_CHECKING:
    from tapecli.report.tally import Tally

#: Seconds between two drawings, and after which the file that everything waits for is named.
INTERVAL, SLOW = 0.1, 2.0
BAR = 30

_GREEN, _RED, _DIM, _END = "\x1b[32m", "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


class Batch:
    """The display. `clear` makes room for text; the next `update` draws again."""

    def __init__(self, tally: Tally, color: bool) -> None:
        self._tally = tally
        self._color = color
        self._unicode = unicode_works()
        self._shares = sys.stdout is not None and sys.stdout.isatty()
        self._shown = False
        self._due = 0.0
        self._file = ""
        self._since = perf_counter()
        self.draw()

    def update(self, tally: Tally) -> None:
        """One more file is done."""
        now = perf_counter()
        self._since = now
        if now >= self._due or not self._shown:
            self.draw()

    def tick(self, file: str) -> None:
        """Nothing has come yet: `file` is what everything waits for."""
        self._file = file
        if perf_counter() >= self._due:
            self.draw()

    def clear(self, problem: bool = True) -> None:
        """Makes room for text on standard error, or on standard output where that is the same terminal."""
        if self._shown and (problem or self._shares):
            self._shown = False
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def draw(self) -> None:
        self._due = perf_counter() + INTERVAL
        self._shown = True
        sys.stderr.write(f"\r{self.line(columns() - 1)}\x1b[K")
        sys.stderr.flush()

    def close(self) -> None:
        self.clear()

    def line(self, room: int) -> str:
        """The line, in at most `room` columns: what does not fit is left out, from the right, then the bar."""
        tally = self._tally
        done, total = tally.done, tally.total
        elapsed = tally.elapsed()
        parts = [(f"{done:,}/{total:,} files", "")]
        if tally.failed:
            parts.append((f"{tally.failed:,} failed", _RED))
        if done and elapsed > 0.5:
            rate = done / elapsed
            parts.append((f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s", _DIM))
            parts.append((f"{seconds(float(round(elapsed * (total - done) / done)))} left", _DIM))
        waited = perf_counter() - self._since
        if self._file and waited > SLOW:
            mark = "…" if self._unicode else "..."
            parts.append((f"{clean(self._file)} {seconds(float(round(waited)))}{mark}", ""))
        kept: list[tuple[str, str]] = []
        used = -2
        for text, style in parts:
            if used + 2 + width(text) <= room:
                kept.append((text, style))
                used += 2 + width(text)
        said = "  ".join(self._painted(text, style) for text, style in kept)
        size = min(BAR, room - used - 2)
        return f"{self._bar(done / total, size)}  {said}" if size >= 10 else said

    def _bar(self, part: float, size: int) -> str:
        full = round(min(1.0, part) * size)
        on, off = ("━", "━" if self._color else "─") if self._unicode else ("#", "-")
        style = _RED if self._tally.failed else _GREEN
        return self._painted(on * full, style) + self._painted(off * (size - full), _DIM)

    def _painted(self, text: str, style: str) -> str:
        return f"{style}{text}{_END}" if self._color and style and text else text
