"""Plots in the terminal: dots of Braille characters, eight to a cell, or plain ASCII where these cannot be shown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, isfinite, log10

from tapecli.records import NamedTuple

#: The dots of a Braille cell, by column and row; the character is 0x2800 plus the sum of its dots.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


class Series(NamedTuple):
    """Points to draw, joined by lines or each as a mark. With `mark` in Braille a small cross is drawn."""

    xs: Sequence[float]
    ys: Sequence[float]
    joined: bool = True


def logarithmic(values: Sequence[float]) -> bool:
    """Whether values are read better by their logarithms: all positive, over more than a decade and a half."""
    finite = [value for value in values if isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > 30 * min(finite)


def sketch(
    title: str, series: Sequence[Series], across: str, columns: int, rows: int, unicode: bool, log: bool = False
) -> list[str]:
    """A plot as lines of text: `title` above, ticks at the left and below, `across` under the axis."""
    picked = [_finite(one, log) for one in series]
    xs = [x for one in picked for x in one.xs]
    ys = [y for one in picked for y in one.ys]
    if not xs:
        return [title, "  nothing to draw: no value is finite"]
    low, high = _range(min(ys), max(ys))
    left, right = _range(min(xs), max(xs))
    ticks = _ticks(low, high, 4)
    labels = {round((high - t) / (high - low) * (rows - 1)): _label(t, ticks, log) for t in ticks}
    margin = max(map(len, labels.values()), default=0) + 1
    width = max(10, columns - margin - 2)
    canvas = Canvas(width, rows, unicode)
    for one in picked:
        places = [
            ((x - left) / (right - left) * (canvas.across - 1), (high - y) / (high - low) * (canvas.down - 1))
            for x, y in zip(one.xs, one.ys, strict=True)
        ]
        canvas.draw(places, one.joined)
    tick, wall, corner, floor_ = "┤│└─" if unicode else "+|+-"
    lines = [title]
    for row, text in enumerate(canvas.lines()):
        lines.append(f"{labels.get(row, ''):>{margin}} {tick if row in labels else wall}{text}".rstrip())
    lines.append(" " * (margin + 1) + corner + floor_ * width)
    lines.append(" " * (margin + 2) + _below(left, right, across, width))
    return lines


class Canvas:
    """Dots on cells: 2 by 4 of them in a cell of Braille, one in a cell of ASCII."""

    def __init__(self, columns: int, rows: int, unicode: bool) -> None:
        self.columns, self.rows, self.unicode = columns, rows, unicode
        self.across = columns * (2 if unicode else 1)
        self.down = rows * (4 if unicode else 1)
        self._cells = [[0] * columns for _ in range(rows)]

    def draw(self, places: Sequence[tuple[float, float]], joined: bool) -> None:
        """Dots at places, counted from the upper left corner; joined by lines, or each as a mark of its own."""
        if not joined:
            for x, y in places:
                self._mark(round(x), round(y))
            return
        for (x, y), (u, v) in zip(places, places[1:] or places, strict=False):
            n = max(1, ceil(max(abs(u - x), abs(v - y))))
            for k in range(n + 1):
                self._dot(round(x + (u - x) * k / n), round(y + (v - y) * k / n), 1)

    def _mark(self, x: int, y: int) -> None:
        if not self.unicode:
            self._dot(x, y, 2)
            return
        for u, v in ((x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
            self._dot(u, v, 1)

    def _dot(self, x: int, y: int, kind: int) -> None:
        if not (0 <= x < self.across and 0 <= y < self.down):
            return
        if self.unicode:
            self._cells[y // 4][x // 2] |= DOTS[x % 2][y % 4]
        else:
            self._cells[y][x] = max(kind, self._cells[y][x])

    def lines(self) -> list[str]:
        if self.unicode:
            return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in self._cells]
        return ["".join(" .o"[cell] for cell in row) for row in self._cells]


def _finite(one: Series, log: bool) -> Series:
    """The points that can be drawn, on the scale they are drawn on."""
    pairs = [
        (float(x), log10(y) if log else float(y))
        for x, y in zip(one.xs, one.ys, strict=True)
        if isfinite(x) and isfinite(y) and (y > 0 or not log)
    ]
    return Series([x for x, _ in pairs], [y for _, y in pairs], one.joined)


def _range(low: float, high: float) -> tuple[float, float]:
    """Two ends that differ."""
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    pad = abs(low) * 0.5 or 1.0
    return low - pad, high + pad


def _ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers between two ends: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / count
    power = 10.0 ** floor(log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * 0.999)
    first = ceil(low / step - 1e-9)
    ticks = []
    while first * step <= high + 1e-9 * step:
        ticks.append(first * step)
        first += 1
    return ticks


def _label(tick: float, ticks: Sequence[float], log: bool) -> str:
    """A tick as text, of a logarithm the number itself."""
    if log:
        return f"{10.0**tick:.3g}"
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    if max(map(abs, ticks)) >= 1e6 or step < 1e-5:
        return f"{tick:.6g}"
    return f"{tick:.{max(0, -floor(log10(step) + 1e-9))}f}"


def _below(left: float, right: float, across: str, width: int) -> str:
    """The two ends of the axis across, and its name between them."""
    first, last = f"{left:.6g}", f"{right:.6g}"
    room = width - len(first) - len(last)
    return f"{first}{across:^{max(room, len(across) + 2)}}{last}"
