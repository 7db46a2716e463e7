"""How far a minimisation has come, drawn on a terminal while it runs.

A plain first line is written at once; Rich is loaded only when a run takes long enough to be watched. Between two
refreshes a step costs at most one look at the clock, and refreshes keep to a small share of the time.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapecli.report.numbers import rough, seconds
from tapecli.report.text import clean

if TYPE_CHECKING:
    from rich.text import Text

    from tapecli.problem.results import Step

#: Runs shorter than this are not drawn; then no more refreshes than one per INTERVAL, and no more time than SHARE.
PATIENCE = 0.2
INTERVAL = 0.1
SHARE = 0.01
#: Steps that are shorter than this share one look at the clock.
LOOK = 2e-3
#: Values kept for the curve. When it is full, every second one goes.
KEPT = 256
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=^"


def wanted() -> bool:
    """Whether somebody looks at standard error, and no machine does."""
    if sys.stderr is None or os.environ.get("CI") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stderr.isatty()


def columns() -> int:
    """The width of the terminal."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def unicode_works(stream: Any = None) -> bool:
    """Whether a stream, standard error if none is named, can show more than ASCII."""
    stream = sys.stderr if stream is None else stream
    return (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "") in ("utf8", "utf16")


class History:
    """The values so far, thinned evenly so that memory stays small however long the run is."""

    __slots__ = ("_wait", "stride", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self.stride = 1
        self._wait = 0

    def add(self, value: float) -> None:
        if self._wait:
            self._wait -= 1
            return
        self._wait = self.stride - 1
        self.values.append(value)
        if len(self.values) >= KEPT:
            self.values = self.values[::2]
            self.stride *= 2

    def curve(self, columns: int, bars: str = BARS) -> str:
        """The values as a line of bars; by their logarithm where they span decades."""
        from math import isfinite, log10

        values = [value for value in self.values if isfinite(value)]
        if len(values) < 2 or columns < 2:
            return ""
        if min(values) > 0 and max(values) > 100 * min(values):
            values = [log10(value) for value in values]
        n = len(values)
        picked = values if n <= columns else [values[i * (n - 1) // (columns - 1)] for i in range(columns)]
        low, high = min(picked), max(picked)
        scale = (len(bars) - 1) / (high - low) if high > low else 0.0
        return "".join(bars[round((value - low) * scale)] for value in picked)


class Progress:
    """The display of one run after another. Call it with each step; `close` leaves a clean line, or none."""

    def __init__(self) -> None:
        self._live: Any = None
        self._shown = False
        self._bars = BARS if unicode_works() else PLAIN_BARS
        self._reset("")

    def _reset(self, file: str) -> None:
        self.file = file
        self._start = perf_counter()
        self._due = self._start + PATIENCE
        self._history = History()
        self._last: Step | None = None
        self._looked = 0.0
        self._stride = 1
        self._next = 0

    def begin(self, file: str) -> None:
        """The first sign, before anything is loaded. A line that is longer than the terminal could not be removed."""
        self._reset(clean(file))
        sign = f"minimising {self.file} …" if self._bars is BARS else f"minimising {self.file} ..."
        sys.stderr.write(sign[: columns() - 1])
        sys.stderr.flush()
        self._shown = True

    def due(self, number: int) -> bool:
        """Whether it is time to look: steps that are shorter than `LOOK` share one look at the clock."""
        if 0 < number < self._next:
            return False
        now = perf_counter()
        self._stride = min(2 * self._stride, 4096) if now - self._looked < LOOK else max(1, self._stride // 2)
        self._next = number + self._stride
        self._looked = now
        return True

    def ahead(self, number: int) -> int:
        """How many steps may pass unseen: it goes by the time."""
        return 1 << 62

    def __call__(self, step: Step) -> None:
        self._last = step
        self._history.add(step.value)
        if perf_counter() >= self._due:
            self._draw()

    def _draw(self) -> None:
        if self._live is None:
            self._open()
        start = perf_counter()
        self._live.update(self, refresh=True)
        end = perf_counter()
        self._due = end + max(INTERVAL, (end - start) / SHARE)

    def _open(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._clear_sign()
        console = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self._live = Live(self, console=console, auto_refresh=False, transient=True)
        self._live.start()

    def __rich_console__(self, console: Any, options: Any) -> Any:
        if self._last is not None:
            yield self.lines(self._last, options.max_width)

    def lines(self, step: Step, columns: int) -> Text:
        """Two lines: how far, and how well. What does not fit is left out, the least important first."""
        from rich.text import Text

        elapsed = perf_counter() - self._start
        first = [Text(f"step {step.step:,}/{step.steps:,}" if step.steps else f"step {step.step:,}", "bold")]
        if step.steps:
            part = min(1.0, step.step / step.steps)
            left = elapsed * (1.0 / part - 1.0) if part > 0 else None
            first += [Text(f"{part:4.0%}"), Text(f"{seconds(left)} left" if left is not None else "", "cyan")]
        else:
            first.append(Text(seconds(elapsed), "cyan"))
        second = [Text(f"value {rough(step.value)}", "green"), Text(f"gradient {rough(step.gradient_norm)}")]
        if step.rate is not None:
            second.append(Text(f"rate {rough(step.rate)}", "dim"))
        head, tail = _fit(first, columns), _fit(second, columns)
        room = columns - head.cell_len - 2
        if step.steps and room >= 10:
            head = Text("  ").join([head, _bar(step.step / step.steps, min(40, room), self._bars is BARS)])
        room = columns - tail.cell_len - 2
        if room >= 8:
            tail = Text("  ").join([tail, Text(self._history.curve(min(40, room), self._bars), "blue")])
        return Text("\n", no_wrap=True, overflow="crop").join([head, tail])

    def close(self) -> None:
        """Nothing of the display stays but one line, and that only where something was drawn."""
        if self._live is None:
            self._clear_sign()
            return
        self._live.stop()
        self._live = None
        step = self._last
        if step is not None:
            curve = self._history.curve(24, self._bars)
            said = (
                f"{self.file}  step {step.step:,}  value {rough(step.value)}  {seconds(perf_counter() - self._start)}"
            )
            line = f"{said}  {curve}" if len(said) + len(curve) + 2 < columns() else said
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _clear_sign(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def _fit(parts: list[Text], columns: int) -> Text:
    """The parts from the left that fit into the columns; the first always stays."""
    from rich.text import Text

    line = parts[0]
    for part in parts[1:]:
        if part.plain and line.cell_len + 2 + part.cell_len <= columns:
            line = Text("  ").join([line, part])
    return line


def _bar(part: float, columns: int, unicode: bool) -> Text:
    from rich.text import Text

    full = round(min(1.0, max(0.0, part)) * columns)
    done, open_ = ("━", "─") if unicode else ("#", "-")
    return Text(done * full, "green") + Text(open_ * (columns - full), "dim")
