"""The page of results, from the records of a run and the notes that people wrote to it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from figures import Figures, Records
from goals import GOALS
from subjects import OURS, SUBJECTS
from workloads import WORKLOADS

HERE = Path(__file__).parent
NOTES = HERE / "notes.toml"


def number(value: float) -> str:
    """Three digits, without an exponent; of counts all, and no point."""
    if isinstance(value, int):
        return str(value)
    digits = max(0, 2 - _magnitude(value))
    return f"{value:.{digits}f}"


def _magnitude(value: float) -> int:
    return int(f"{abs(value):.2e}".partition("e")[2]) if value else 0


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if float(f"{value * factor:.2e}") < 1000:
            return f"{number(value * factor)} {unit}"
    return f"{number(value)} s"


def times(value: float | None) -> str:
    return "–" if value is None else f"{number(value)}×"


def size(n: int) -> str:
    power = len(str(n)) - 1
    return (
        f"10{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        if n == 10**power and n >= 1000
        else f"{n}"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def page(records: Records, notes: Path = NOTES) -> str:
    """The whole page in Markdown."""
    f = Figures(records)
    known = tomllib.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
    lines = ["# Results", "", *_head(f), *_goals(f, known.get("goals", {}))]
    for name in WORKLOADS:
        if f.sizes(name):
            lines += _workload(f, name, known.get("workloads", {}).get(name))
    if f.starts:
        lines += _starts(f)
    lines += _missing(f)
    return "\n".join(lines).rstrip() + "\n"


def _head(f: Figures) -> Iterator[str]:
    run = f.run
    yield "Written by `make bench`; [README.md](README.md#peers) says how to read it. Not to be edited: what people say"
    yield "of it stands in `peers/notes.toml`."
    yield ""
    yield f"`{run.get('command', '')}`, {run.get('date', '')}: {run.get('machine', '')}; float64, one core unless a row"
    yield f"says otherwise. {', '.join(f'{name} {version}' for name, version in run.get('versions', {}).items())}."
    limits = f.limits()
    said = [f"copies {limits['copy'] / 1e9:.1f} GB/s"] if "copy" in limits else []
    said += [f"multiplies matrices at {limits['flops'] / 1e9:.0f} GFLOP/s"] if "flops" in limits else []
    if said:
        yield f"At best the core {' and '.join(said)} (reading and writing counted)."
    yield ""


def _goals(f: Figures, notes: dict[str, str]) -> Iterator[str]:
    yield "## Goals"
    yield ""
    rows = []
    for goal in GOALS:
        found = goal.measure(f)
        if found is None:
            rows.append([goal.text, "not measured", "", notes.get(goal.key, "")])
            continue
        unit = goal.unit or ("×" if goal.limit else "")
        measured = f"{number(found.number)}{unit}" + (f" ({found.against})" if found.against else "")
        if goal.met(found):
            verdict = "met"
        elif goal.limit:
            off = goal.limit / found.number if goal.least else found.number / goal.limit
            verdict = (
                f"**missed** by {100 * (off - 1):.1f} %" if off < 1.1 else f"**missed** by a factor of {number(off)}"
            )
        else:
            verdict = "**missed**"
        rows.append([goal.text, measured, verdict, notes.get(goal.key, "")])
    yield from table(["goal", "measured", "", "note"], rows)


def _workload(f: Figures, name: str, note: str | None) -> Iterator[str]:
    workload, sizes = WORKLOADS[name], f.sizes(name)
    subjects = [s for s in f.subjects(name) if SUBJECTS[s].role != "machine"]
    formula = workload.formula.relative_to(HERE.parent).as_posix()
    yield f"## {name}: {workload.title}"
    yield ""
    yield f"[{formula}]({formula}); {_WHAT[workload.kind]}. In brackets: how many times as long as ours."
    yield ""
    if note:
        yield note
        yield ""
    head = [f"n = {size(n)}" for n in sizes]
    yield from table(["", *head], [[_bold(s), *[_cell(f, name, n, s) for n in sizes]] for s in subjects])
    if any(f.time(name, n, s, "value") is not None for n in sizes for s in subjects):
        yield "The value alone; in brackets, how many times as long value and gradient take."
        yield ""
        rows = [[_bold(s), *[_value_cell(f, name, n, s) for n in sizes]] for s in subjects]
        yield from table(["", *head], [row for row in rows if any(cell != "–" for cell in row[1:])])
    yield "Getting ready (data, building, compiling, first result; empty caches) and the most memory of the process."
    yield ""
    rows = [[_bold(s), *[_ready_cell(f, name, n, s) for n in sizes]] for s in subjects]
    yield from table(["", *head], [row for row in rows if any(cell != "–" for cell in row[1:])])
    shares = [
        f"{s} at n = {size(n)}: {100 * share[1]:.0f} % of {_LIMITS[share[0]]}"
        for n in sizes for s in subjects if SUBJECTS[s].role == "ours" and (share := f.share(name, n, s)) is not None
    ]  # fmt: skip
    if shares:
        yield "; ".join(shares) + "."
        yield ""


_WHAT = {
    "gradient": "value and gradient",
    "hessian": "the Hessian",
    "hvp": "the Hessian times a vector",
    "jacobian": "the Jacobian, whose zeros are known",
    "loop": "all steps",
}
_LIMITS = {"copy": "the speed of a copy", "flops": "the speed of a product of matrices"}


def _bold(subject: str) -> str:
    return f"**{subject}**" if subject == OURS else subject


def _cell(f: Figures, workload: str, n: int, subject: str) -> str:
    record = f.cells.get((workload, n, subject))
    if record is None or "skipped" in record:
        return "–"
    if not record["ok"]:
        return "failed"
    took = seconds(f.time(workload, n, subject))
    if record.get("wrong"):
        return f"{took}, WRONG"
    return took if subject == OURS else f"{took} ({times(f.ratio(workload, n, subject))})"


def _value_cell(f: Figures, workload: str, n: int, subject: str) -> str:
    took = f.time(workload, n, subject, "value")
    return "–" if took is None else f"{seconds(took)} ({times(f.gradient_to_value(workload, n, subject))})"


def _ready_cell(f: Figures, workload: str, n: int, subject: str) -> str:
    record = f.cells.get((workload, n, subject))
    if record is None or not record["ok"]:
        return "–"
    memory = "" if record.get("peak") is None else f", {record['peak']:.0f} MB"
    return seconds(record["ready"]) + memory


def _starts(f: Figures) -> Iterator[str]:
    from starts import SIZE, WORKLOAD

    yield "## First result"
    yield ""
    yield f"Whole processes, from their start to the value and gradient of {WORKLOAD}, n = {size(SIZE)}, on standard"
    yield "output. Warm: the caches of compiled code are those of the run before. Cold: they are empty."
    yield ""
    rows = [[name, seconds(f.start_seconds(name)), times(f.start(name))] for name in f.starts]
    yield from table(["process", "median", "ratio to `import numpy`"], rows)


def _missing(f: Figures) -> Iterator[str]:
    """What did not run, and why; nothing is left out in silence."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for (workload, n, subject), record in f.cells.items():
        if not record["ok"] and record["role"] != "beside":
            reason: Any = record.get("skipped") or f"failed: {record.get('failed')}"
            reasons.setdefault((subject, reason), []).append(f"{workload} n = {size(n)}")
    rows = [[subject, ", ".join(where), reason] for (subject, reason), where in reasons.items()]
    rows += [[name, "everything", "not installed"] for name in f.run.get("absent", [])]
    rows += [[name, "the first result", r["failed"]] for name, r in f.starts.items() if "failed" in r]
    if rows or f.wrong():
        yield "## What did not run, and what is wrong"
        yield ""
    for line in f.wrong():
        yield f"- WRONG: {line}"
    if f.wrong():
        yield ""
    if rows:
        yield from table(["", "where", "why"], rows)
