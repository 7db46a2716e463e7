"""Each result as plain text for people. Every function returns lines."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from tapecli.report.numbers import array, block, rough, seconds, table, text_of
from tapecli.report.text import clean, count, width

if TYPE_CHECKING:
    from tapecli.problem.evaluations import Derivatives, Evaluation
    from tapecli.problem.results import Check, Expectation, Minimum
    from tapecli.problem.timing import Bench
    from tapecli.problem.updating import Update

#: Minima that are listed, and entries of a variable that are shown there.
LISTED, SHORT = 20, 4
#: An optimum that is nearer than this, relative to the variables, is reached.
REACHED = 1e-11
#: The Hessian is one labelled table up to this many variables' entries.
TABLE = 10


def point(at: dict[str, Any], single: bool) -> str:
    """A point on one line: `x = 1, y = 2`."""
    parts = []
    for name, x in at.items():
        first, *more = array(x, single)
        parts.append(f"{name} = {first}{' …' if more else ''}")
    return ", ".join(parts)


def _unnamed(name: str) -> bool:
    return name[:1] == "_" and name[1:].isdigit()


def of_evaluation(r: Evaluation) -> list[str]:
    single = r.dtype == "float32"
    if len(r.values) == 1:
        ((name, value),) = r.values.items()
        if _unnamed(name):
            return array(value, single)
    return block(r.values, single, indent="")


def of_derivatives(r: Derivatives) -> list[str]:
    single = r.dtype == "float32"
    lines = [] if r.product is not None else block({r.of: r.value}, single, indent="")
    remarks = {name: f"{r.of} does not depend on {name}" for name, yes in r.connected.items() if not yes}
    if r.gradient is not None and r.product is None:
        lines += ["gradient", *block(r.gradient, single, remarks=remarks)]
    if r.hessian is not None:
        lines += ["Hessian", *_hessian(r.hessian, r.at, single)]
    if r.jacobian is not None:
        lines += ["Jacobian", *block(r.jacobian, single, remarks=remarks)]
    if r.product is not None:
        lines += [f"Hessian of {r.of} times the direction", *block(r.product, single, remarks=remarks)]
    return lines


def _labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """`x`, or `x[1]`, `x[2]` …: the entries of a variable by name."""
    labels = [name + "["] if shape else [name]
    for axis, n in enumerate(shape):
        last = axis == len(shape) - 1
        labels = [f"{label}{i}{']' if last else ', '}" for label in labels for i in range(1, n + 1)]
    return labels


def _hessian(blocks: dict[str, dict[str, Any]], at: dict[str, Any], single: bool) -> list[str]:
    """One table with the names of rows and columns where it is small, else the blocks one by one."""
    shapes = _shapes(blocks)
    if sum(_size(shape) for shape in shapes.values()) <= TABLE:
        labels = [label for name, shape in shapes.items() for label in _labels(name, shape)]
        rows = [["", *labels]]
        for row, columns in blocks.items():
            parts = [columns[name].reshape(_size(shapes[row]), -1) for name in shapes]
            for i in range(_size(shapes[row])):
                cells = [text_of(float(entry), single) for part in parts for entry in part[i]]
                rows.append([labels[len(rows) - 1], *cells])
        lines = table(rows, right=frozenset(range(1, len(labels) + 1)))
        if max(map(width, lines)) <= 120:
            return lines
    result = []
    for row, columns in blocks.items():
        for column, part in columns.items():
            flat = part if part.ndim <= 1 else part.reshape(_size(shapes[row]), -1)
            result += block({f"{row}, {column}": flat}, single)
    return result


def _shapes(blocks: dict[str, dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    """The shape of each variable: the diagonal block has it twice."""
    return {name: columns[name].shape[: columns[name].ndim // 2] for name, columns in blocks.items()}


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def of_minimum(r: Minimum, sentence: str) -> list[str]:
    single = r.dtype == "float32"
    lines = []
    if isfinite(r.value):
        lines += [f"{r.of} = {text_of(r.value, single)} at", *block(r.at, single)]
    if _better(r):
        lines += [f"best seen: {r.of} = {text_of(r.best_value, single)} at", *block(r.best_at, single)]
    lines += [*minima(r), ""]
    work = [count(r.steps, "step"), count(r.evaluations, "evaluation"), seconds(r.seconds)]
    lines.append(f"{r.method}{f' ({r.chosen})' if r.chosen else ''}: {', '.join(work)}")
    lines.append(f"{sentence}; the gradient norm is {rough(r.gradient_norm)}")
    return lines + evidence(r) + _sensitivity(r, single)


def evidence(r: Minimum) -> list[str]:
    """What derivatives say of the point, in a line."""
    if r.evidence is None:
        return []
    said = {"minimum": "a minimum", "saddle": "a saddle", "slope": "not stationary"}
    what = "a minimum, but not at one point alone" if r.evidence.flat and r.evidence.holds else "not decided"
    line = f"by its exact derivatives the point is {said.get(r.evidence.kind, what)}"
    if r.evidence.kind == "minimum" and r.evidence.flat and r.evidence.holds:
        line = f"by its exact derivatives the point is {what}"
    if r.evidence.kind == "saddle" and r.evidence.beside is not None:
        line = "by its exact derivatives and the values beside it the point is no minimum"
    if r.evidence.distance is not None and r.evidence.distance < REACHED and r.evidence.holds:
        line += ", reached up to rounding"
    elif r.evidence.distance is not None:
        what = "the stationary point" if r.evidence.kind == "saddle" else "the optimum"
        line += f", and {what} about {rough(r.evidence.distance)} away (relative)"
    if r.violation is not None:
        line += f"; constraints are violated by {rough(r.violation)} at most"
    return [line]


def _sensitivity(r: Minimum, single: bool) -> list[str]:
    lines = []
    for name, moved in (r.sensitivity or {}).items():
        lines += [f"derivative of the optimum to {name}", *block(moved, single)]
    return lines


def minima(r: Minimum) -> list[str]:
    """What several starts found, best first, where there were several."""
    if r.starts == 1 and not r.minima:
        return []
    unfinished = r.starts - sum(m.found for m in r.minima)
    said = f"{len(r.minima)} {'minimum' if len(r.minima) == 1 else 'minima'} from {count(r.starts, 'start')}"
    if unfinished:
        said += f"; {unfinished} of them ended at none"
    rows = [["found", r.of if not _unnamed(r.of) else "value", "at"]]
    rows += [[str(m.found), rough(m.value), _roughly(m.at)] for m in r.minima[:LISTED]]
    if len(r.minima) > LISTED:
        rows.append(["…", "", f"and {len(r.minima) - LISTED} more; --json has all"])
    return ["", said, *table(rows, right=frozenset((0,)))] if r.minima else ["", said]


def _roughly(at: dict[str, Any]) -> str:
    """A point on one line, to a few digits."""
    parts = []
    for name, x in at.items():
        flat = x.reshape(-1)
        some = ", ".join(rough(float(entry)) for entry in flat[:SHORT]) + (", …" if flat.size > SHORT else "")
        parts.append(f"{name} = [{some}]" if x.ndim else f"{name} = {some}")
    return ", ".join(parts)


def _better(r: Minimum) -> bool:
    """Whether the best point that was seen is worth showing beside the one that is handed out."""
    if not isfinite(r.value):
        return isfinite(r.best_value)
    return abs(r.best_value - r.value) > 1e-9 * max(1.0, abs(r.value))


def of_check(r: Check, color: bool, update: Update | None = None) -> list[str]:
    single = r.dtype == "float32"
    changes = {} if update is None else {change.number: change for change in update.changes}
    skipped = {} if update is None else {skip.number: skip for skip in update.skipped}
    rows, others = [], []
    for k, e in enumerate(r.expectations):
        if k in changes:
            rows.append(["updated", f"line {e.line}", clean(e.text), f"{changes[k].old} → {changes[k].new}"])
            continue
        said = "" if e.ok else ", ".join(" ".join(note) for note in difference(e, single)[:2])
        if k in skipped:
            said += f"; not rewritten: {clean(skipped[k].reason)}"
        rows.append(["ok" if e.ok else "FAILED", f"line {e.line}", clean(e.text), said])
    for d in r.derivatives:
        order = {1: "gradient", 2: "Hessian"}.get(d.order, f"order {d.order}")
        said = f"differs by {rough(d.error)} ({clean(d.method)})"
        if not d.decided:
            said = f"the numerical estimate is too uncertain to judge by: {brief(d.numerical, single)}"
        elif not d.ok:
            said += f": {brief(d.tape, single)}, numerically {brief(d.numerical, single)}"
        mark = "ok" if d.ok else "FAILED"
        others.append([mark if d.decided else "undecided", order, clean(d.wrt), said])
    lines = [line for part in (rows, others) if part for line in table(part)]
    if color:
        lines = [_painted(line) for line in lines]
    return [*lines, _totals(r, len(changes))]


def _totals(r: Check, changed: int) -> str:
    held = sum(e.ok for e in r.expectations)
    agreed = sum(d.ok and d.decided for d in r.derivatives)
    parts = [f"{held} of {count(len(r.expectations), 'expectation')}"] if r.expectations else []
    parts += [f"{agreed} of {count(len(r.derivatives), 'derivative')}"] if r.derivatives else []
    said = f"{' and '.join(parts)} held" if parts else "nothing to check"
    said += f", {r.undecided} undecided" if r.undecided else ""
    return said + (f", {changed} rewritten" if changed else "")


def difference(e: Expectation, single: bool) -> list[tuple[str, str]]:
    """What an expectation got and what it wanted, and by how much they differ where it asks for equality."""
    notes = [("got", brief(e.got, single))]
    if e.wanted is None:
        return notes
    sign = "" if e.relation in (None, "==") else f"{e.relation} "
    notes.append(("wanted", sign + brief(e.wanted, single)))
    if e.worst is None:
        return notes
    w = e.worst
    where = f" at entry [{', '.join(map(str, w.entry))}]" if w.entry else ""
    more = f" (relative {rough(w.relative)})" if w.relative is not None else ""
    notes.append(("difference", f"{rough(w.difference)}{more}{where}"))
    if e.relation == "==":
        notes.append(("tolerance", rough(w.tolerance)))
    if w.beyond > 1:
        notes.append(("entries", f"{w.beyond:,} of {w.size:,} differ by more"))
    return notes


_MARKS = {"ok": "32", "undecided": "33", "updated": "36"}


def _painted(line: str) -> str:
    """The line of a check, its mark coloured."""
    mark = line.split(None, 1)[0]
    return line.replace(mark, f"\x1b[{_MARKS.get(mark, '1;31')}m{mark}\x1b[0m", 1)


def brief(x: Any, single: bool) -> str:
    """A value on one line."""
    if isinstance(x, (bool, str)) or x is None:
        return str(x).lower() if isinstance(x, bool) else clean(str(x))
    first, *more = array(x, single)
    return first + (" …" if more else "")


def of_calls(results: list[Derivatives], traces: int, single: bool) -> list[str]:
    """The calls of a traced function: the point, the value and the gradient of each, and how often it was traced."""
    rows = [["call", "at", results[0].of, "gradient"]] if results else []
    for k, r in enumerate(results, 1):
        rows.append([str(k), point(r.at, single), brief(r.value, single), point(r.gradient or {}, single)])
    return [*(table(rows, indent="") if rows else []), f"traces: {traces}"]


def of_bench(r: Bench) -> list[str]:
    rows = [["engine", "first result", "value", "value and gradient", "ratio", "differs by"]]
    for e in r.engines:
        times = [seconds(e.first), seconds(e.value), seconds(e.gradient)]
        rows.append([e.engine, *times, f"{e.ratio:.3g}", rough(e.difference)])
    lines = [f"{clean(r.of)}: a gradient of {count(r.entries, 'entry', 'entries')}, {r.dtype}"]
    lines += table(rows, right=frozenset((1, 2, 3, 4)))
    lines += [f"  {name}: {clean(why)}" for name, why in r.missing.items()]
    if len(r.engines) < 2:
        return lines
    slowest = max(r.engines, key=lambda e: e.gradient)
    best = min(r.engines, key=lambda e: e.gradient)
    return [*lines, f"fastest: {best.engine}, {slowest.gradient / best.gradient:.3g} times as fast as {slowest.engine}"]


def of_functions(functions: Sequence[tuple[str, str, str, str]]) -> list[str]:
    """The functions of the language: how each is written, what it is, its derivative."""
    rows = [["function", "derivative", "what it is"]]
    for _, signature, help, derivative in functions:
        rows.append([clean(signature), _short(clean(derivative)), _short(clean(help))])
    return table(rows, indent="")


def _short(text: str, most: int = 72) -> str:
    """A text that fits into a column; --json has the whole."""
    return text if len(text) <= most else text[: most - 1] + "…"
