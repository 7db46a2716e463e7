"""Numbers, vectors and matrices as people read them: aligned plain text, whole where small, summarised where large."""

from __future__ import annotations

from math import isfinite
from typing import Any

from tapecli.report.encode import number
from tapecli.report.text import count, width

#: More entries than this are summarised, and a matrix with more rows or columns.
ENTRIES = 100
ROWS = 20
#: The columns that lines are wrapped at.
LINE = 100
ALL = "--json gives all"


def text_of(x: float, single: bool = False) -> str:
    """The shortest text that reads back as the same number, without `.0`."""
    if not isfinite(x):
        return "nan" if x != x else "inf" if x > 0 else "-inf"
    text = number(x, single)
    return text[:-2] if text.endswith(".0") else text


def rough(x: float) -> str:
    """A number to four digits: for norms, errors and times, whose exact value is nobody's concern."""
    return f"{x:.4g}"


def seconds(x: float) -> str:
    """A duration."""
    if x < 1e-3:
        return f"{x * 1e6:.0f} µs"
    if x < 1.0:
        return f"{x * 1e3:.3g} ms"
    if x < 100.0:
        return f"{x:.3g} s"
    minutes, rest = divmod(round(x), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def block(names: dict[str, Any], single: bool, indent: str = "  ", remarks: dict[str, str] | None = None) -> list[str]:
    """A line, or a few, per name: `x = 1`."""
    if not names:
        return []
    wide = min(24, max(map(width, names)))
    lines = []
    for name, x in names.items():
        head = f"{indent}{name}{' ' * (wide - width(name))} = "
        first, *rest = array(x, single, width(head))
        remark = (remarks or {}).get(name)
        lines.append(head + first + (f"   ({remark})" if remark else ""))
        lines += rest
    return lines


def array(x: Any, single: bool, margin: int = 0) -> list[str]:
    """The lines of a number or an array; all but the first begin with `margin` spaces."""
    shape = getattr(x, "shape", ())
    if not shape:
        return [text_of(float(x), single)]
    size = x.size
    if len(shape) == 2 and size:
        return _matrix(x, single, margin)
    if size > ENTRIES:
        return _summary(x, single, margin)
    if len(shape) != 1:
        return [_nested(x.tolist(), single)]
    cells = [text_of(item, single) for item in x.tolist()]
    line = f"[{', '.join(cells)}]"
    if width(line) + margin <= LINE:
        return [line]
    wide = max(map(len, cells))
    across = max(1, (LINE - margin - 2) // (wide + 2))
    pieces = [cells[i : i + across] for i in range(0, len(cells), across)]
    return _bracketed([[cell.rjust(wide) for cell in piece] for piece in pieces], margin)


def _nested(items: Any, single: bool) -> str:
    if not isinstance(items, list):
        return text_of(float(items), single)
    return f"[{', '.join(_nested(item, single) for item in items)}]"


def _bracketed(rows: list[list[str]], margin: int) -> list[str]:
    gap = " " * (margin + 1)
    lines = ["  ".join(row) for row in rows]
    return [("[" if i == 0 else gap) + line + ("]" if i == len(lines) - 1 else "") for i, line in enumerate(lines)]


def _range(x: Any, single: bool) -> str:
    """The least and the greatest of the entries, and how many are not finite."""
    import numpy as np

    finite = x[np.isfinite(x)]
    parts = []
    if finite.size:
        parts.append(f"from {text_of(float(finite.min()), single)} to {text_of(float(finite.max()), single)}")
    if finite.size < x.size:
        parts.append(f"{x.size - finite.size:,} not finite")
    return ", ".join(parts)


def _summary(x: Any, single: bool, margin: int) -> list[str]:
    flat = x.reshape(-1)
    shape = f"{'×'.join(map(str, x.shape))}: " if x.ndim > 1 else ""
    for n in (3, 2, 1):
        ends = [text_of(float(v), single) for v in (*flat[:n], *flat[-n:])]
        line = f"[{', '.join(ends[:n])}, …, {', '.join(ends[n:])}]"
        if len(line) + margin <= LINE:
            break
    return [line, f"{' ' * margin}{shape}{count(x.size, 'entry', 'entries')} {_range(x, single)}; {ALL}"]


def _matrix(x: Any, single: bool, margin: int) -> list[str]:
    """Rows and columns, aligned; the middle of what is too large or too wide is left out, with a note."""
    n, m = x.shape
    rows = list(range(n)) if n <= ROWS else [0, 1, 2, 3, 4, -5, -4, -3, -2, -1]
    columns = list(range(m)) if m <= ROWS else [0, 1, 2, 3, 4, -5, -4, -3, -2, -1]
    while True:
        cells = [[text_of(float(x[i, j]), single) for j in columns] for i in rows]
        wide = [max(len(row[j]) for row in cells) for j in range(len(columns))]
        if sum(wide) + 2 * len(wide) + margin <= LINE or len(columns) <= 2:
            break
        half = (len(columns) - 1) // 2
        columns = [*range(max(1, half)), *range(-max(1, half), 0)]
    lines = [[cell.rjust(w) for cell, w in zip(row, wide, strict=True)] for row in cells]
    cut = False
    if len(columns) < m:
        cut = True
        lines = [[*line[: len(columns) // 2], "…", *line[len(columns) // 2 :]] for line in lines]
    if len(rows) < n:
        cut = True
        lines.insert(len(rows) // 2, ["…"])
    result = _bracketed(lines, margin)
    if cut:
        result.append(f"{' ' * margin}{n:,}×{m:,}, {_range(x, single)}; {ALL}")
    return result


def table(rows: list[list[str]], right: frozenset[int] = frozenset(), indent: str = "  ") -> list[str]:
    """Aligned columns, those of `right` to the right."""
    wide = [max(width(row[j]) for row in rows if j < len(row)) for j in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = []
        for j, cell in enumerate(row):
            gap = " " * (wide[j] - width(cell))
            cells.append(gap + cell if j in right else cell + gap)
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines
