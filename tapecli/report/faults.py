"""Errors and warnings as people, concise logs, GitHub and JSON read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tapecli.errors import CODES, Place, TapeError
from tapecli.report.text import clean, clean_lines, width

#: How much of a long source line is shown.
WINDOW = 100

_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "frame": "\x1b[1;34m", "bold": "\x1b[1m"}


class Fault:
    """One thing to tell: an error, a warning, or an expectation that failed."""

    __slots__ = ("code", "hint", "label", "message", "notes", "place", "severity")

    def __init__(
        self,
        severity: str,
        code: str,
        message: str,
        place: Place | None,
        label: str | None,
        hint: str | None,
        notes: Sequence[tuple[str, str]] = (),
    ) -> None:
        assert code in CODES, code
        self.severity = severity
        self.code = code
        self.message = message
        self.place = place
        self.label = label
        self.hint = hint
        self.notes = tuple(notes)

    @property
    def head(self) -> str:
        """What it is, with the code that `tapecli explain` takes: `error[shape]`."""
        return f"{self.severity}[{self.code}]"

    @property
    def said(self) -> str:
        """The message with its notes, in one sentence."""
        return self.message + (": " if self.notes else "") + ", ".join(f"{name} {text}" for name, text in self.notes)


def of_error(error: TapeError, severity: str = "error") -> list[Fault]:
    """The error and the further ones of the same file, in the order of the file."""
    faults = [Fault(severity, e.code, e.message, e.place, e.label, e.hint) for e in unfold(error)]
    if len(faults) > 1 and all(f.place is not None and f.place.source is faults[0].place.source for f in faults):  # type: ignore[union-attr]
        faults.sort(key=lambda fault: fault.place.start)  # type: ignore[union-attr]
    return faults


def unfold(error: TapeError) -> Iterator[TapeError]:
    waiting = [error]
    while waiting:
        error = waiting.pop(0)
        yield error
        waiting += error.more


def render(fault: Fault, file: str, style: str, color: bool) -> str:
    """The text of a fault, in the format `style`, without the newline at its end."""
    if style == "github":
        return _github(fault, file)
    if style == "concise":
        return concise(fault, file)
    return _full(fault, file, color)


def concise(fault: Fault, file: str) -> str:
    """One line: place, code and message."""
    place = fault.place
    where = f"{clean(place.source.name)}:{place.line}:{place.column}: " if place else f"{clean(file)}: " if file else ""
    code = fault.code if fault.severity == "error" else fault.head
    return f"{where}{code}: {clean(fault.said)}"


def _github(fault: Fault, file: str) -> str:
    """A workflow command, which GitHub shows at the line of the file."""

    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def value(text: str) -> str:
        return data(text).replace(":", "%3A").replace(",", "%2C")

    fields = [f"title=tapecli {fault.code}"]
    place = fault.place
    name = (file if place is None else place.source.name).removeprefix("./")  # paths are those of the repository
    if name:
        fields.append(f"file={value(clean(name))}")
    if place is not None:
        fields.append(f"line={place.line},col={place.column},endColumn={max(place.end_column, place.column + 1)}")
    hint = f"\n{clean_lines(fault.hint)}" if fault.hint else ""
    return f"::{fault.severity} {','.join(fields)}::{data(clean_lines(fault.said) + hint)}"


def _full(fault: Fault, file: str, color: bool) -> str:
    def paint(text: str, style: str) -> str:
        return f"{_STYLES[style]}{text}\x1b[0m" if color else text

    lines = [paint(fault.head, fault.severity) + paint(f": {clean_lines(fault.message)}", "bold")]
    place = fault.place
    indent = "   "
    if place is not None:
        number = str(place.line)
        indent = " " * (len(number) + 2)
        where = f"{clean(place.source.name)}:{place.line}:{place.column}"
        lines.append(f"{indent[1:]}{paint('-->', 'frame')} {where}")
        bar = paint("|", "frame")
        before, marked, after = _excerpt(place)
        carets = "^" * max(1, width(marked))
        label = f" {clean(fault.label)}" if fault.label else ""
        lines.append(f"{indent}{bar}")
        lines.append(f" {paint(number, 'frame')} {bar} {before}{marked}{after}".rstrip())
        lines.append(f"{indent}{bar} {' ' * width(before)}{paint(carets + label, fault.severity)}")
    elif file:
        lines.append(f"{indent[1:]}{paint('-->', 'frame')} {clean(file)}")
    wide = max((len(name) for name, _ in fault.notes), default=0)
    lines += [f"{indent}{paint('=', 'frame')} {name.ljust(wide)}  {clean(text)}" for name, text in fault.notes]
    if fault.hint:
        first, *rest = clean_lines(fault.hint).split("\n")
        lines.append(f"{indent}{paint('=', 'frame')} {paint('help', 'bold')}: {first}")
        lines += [f"{indent}        {line}" for line in rest]
    return "\n".join(lines)


def _excerpt(place: Place) -> tuple[str, str, str]:
    """The line of the place, safe to print and cut where it is long: before, inside and after the marked stretch."""
    line = place.source.line(place.line)
    start, end = place.column - 1, max(place.end_column - 1, place.column)
    left, right = 0, len(line)
    if right > WINDOW:
        left = max(0, min(start - WINDOW // 3, right - WINDOW))
        right = min(right, left + WINDOW)
        end = min(end, right)

    def safe(text: str) -> str:
        return clean(text.replace("\t", " "))

    before, marked, after = safe(line[left:start]), safe(line[start:end]), safe(line[end:right])
    return ("…" if left else "") + before, marked, after + ("…" if right < len(line) else "")


def as_json(fault: Fault) -> dict[str, Any]:
    """The `error` object of the JSON output."""
    result: dict[str, Any] = {"code": fault.code, "message": fault.said}
    if fault.place is not None:
        place = fault.place
        result |= {"line": place.line, "column": place.column, "end_column": place.end_column}
    if fault.hint is not None:
        result["hint"] = fault.hint
    return result
