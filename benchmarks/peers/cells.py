"""One cell of the benchmark: a workload of one size, all subjects taking turns.

Machines are noisy, so nothing is measured alone. In every round each subject runs one batch, in another order each
round, and a ratio is the median of the ratios of the same round.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from processes import Gone, Process, Site
from subjects import OURS, Subject
from workloads import Workload

#: The greatest relative difference to our value and derivative that passes.
TOLERANCE = 1e-10
#: Bytes below which the copy bandwidth of memory says nothing: arrays stay in caches.
FAR = 1 << 26


class Effort(NamedTuple):
    """Rounds at most and at least; seconds that one subject may take in one cell; seconds to get ready."""

    most: int
    least: int
    seconds: float
    patience: float


Say = Callable[[str], None]


def wanted(subject: Subject, workload: Workload, n: int) -> bool:
    """Whether a subject says anything about a cell."""
    if subject.name == "copy":
        return workload.traffic is not None and workload.traffic(n) >= FAR
    if subject.name == "flops":
        return workload.flops is not None and workload.flops(n) > 0
    if subject.name == "tapecli, by names":
        return workload.name == "scalar"
    return not (subject.threads > 1 and n < 1000)


def measure(
    site: Site, workload: Workload, sizes: tuple[int, ...], subjects: list[Subject], effort: Effort, say: Say
) -> list[dict[str, Any]]:
    """The records of all sizes of one workload, one for each subject and size."""
    records: list[dict[str, Any]] = []
    processes = {s.name: Process(site, s, workload.name) for s in subjects}
    try:
        _load(processes, effort)
        for n in sizes:
            place = workload.put(n, site.folder / "data")
            records += _cell(workload, n, place, processes, subjects, effort, say)
            for path in place.iterdir():
                path.unlink()
    finally:
        for process in processes.values():
            process.close()
    return records


def _load(processes: dict[str, Process], effort: Effort) -> None:
    """Everyone imports at the same time, before anything is measured. Who cannot, says so when it is asked to run."""
    for process in processes.values():
        process.tell(do="load")
    for name, process in list(processes.items()):
        try:
            process.hear(effort.patience)
        except Gone:
            processes.pop(name).close()


def _cell(
    workload: Workload, n: int, place: Path, processes: dict[str, Process], subjects: list[Subject],
    effort: Effort, say: Say,
) -> list[dict[str, Any]]:  # fmt: skip
    records: dict[str, dict[str, Any]] = {}
    begin = monotonic()
    for subject in subjects:
        if wanted(subject, workload, n):
            record = {
                "what": "cell", "workload": workload.name, "kind": workload.kind, "n": n, "subject": subject.name,
                "role": subject.role,
            }  # fmt: skip
            records[subject.name] = record | _prepared(subject, place, processes, effort)
    _judge(records)
    running = [name for name, record in records.items() if record["ok"]]
    turns = _rounds(running, processes, records, effort)
    for name in running:
        record = records[name]
        for what in ("run", "value"):
            series = [turn.get(name, {}).get(what) for turn in turns]
            if any(time is not None for time in series):
                record[f"times_{what}"] = series
    rounds = max((len(r.get("times_run", [])) for r in records.values()), default=0)
    say(f"  n = {n}: {len(running)} of {len(records)} ran, {rounds} rounds, {monotonic() - begin:.0f} s")
    for name, record in records.items():
        if "failed" in record:
            say(f"    {name}: {record['failed']}")
        elif record.get("wrong"):
            say(f"    {name}: WRONG, {record['wrong']}")
    return list(records.values())


def _prepared(subject: Subject, place: Path, processes: dict[str, Process], effort: Effort) -> dict[str, Any]:
    if subject.name not in processes:
        return {"ok": False, "failed": "its process ended, or took too long, before"}
    results = place / f"{subject.module}-{subject.flavour}.npy"
    try:
        answer = processes[subject.name].ask(effort.patience, do="prepare", place=str(place), results=str(results))
    except Gone as reason:
        processes.pop(subject.name).close()
        return {"ok": False, "failed": str(reason)}
    if "failed" in answer:  # where data lay for a while is of no interest
        answer["failed"] = answer["failed"].replace(f"{place}{os.sep}", "")
    return answer | {"results": str(results)} if answer["ok"] else answer


def _judge(records: dict[str, dict[str, Any]]) -> None:
    """Holds every value and derivative against ours."""
    judge = records.get(OURS)
    if judge is None or not judge["ok"]:  # then against the first that there is
        judge = next((r for r in records.values() if r["ok"] and r["role"] == "ours"), None)
    for record in records.values():
        if record["ok"]:
            record["wrong"] = None
            if judge is not None and record is not judge and record["role"] != "machine":
                record["difference"], record["wrong"] = _difference(record, judge)
    for record in records.values():
        record.pop("results", None)


def _difference(record: dict[str, Any], judge: dict[str, Any]) -> tuple[float | None, str | None]:
    got, wanted = np.load(record["results"]), np.load(judge["results"])
    if got.shape != wanted.shape:
        return None, f"the derivative has {got.size} entries, not {wanted.size}"
    worst = 0.0
    if record["value"] is not None:
        worst = abs(record["value"] - judge["value"]) / max(abs(judge["value"]), 1e-300)
    scale = float(np.max(np.abs(wanted), initial=0.0)) or 1.0
    worst = max(worst, float(np.max(np.abs(got - wanted), initial=0.0)) / scale)
    return worst, None if worst <= TOLERANCE else f"off by {worst:.1e}"


def _rounds(
    running: list[str], processes: dict[str, Process], records: dict[str, dict[str, Any]], effort: Effort
) -> list[dict[str, dict[str, float]]]:
    """Seconds per call of everyone, round by round. Who is slow sits out once the time is used up."""
    used = dict.fromkeys(running, 0.0)
    turns: list[dict[str, dict[str, float]]] = []
    for k in range(effort.most):
        order = running[k % len(running) :] + running[: k % len(running)] if running else []
        turn: dict[str, dict[str, float]] = {}
        for name in order if k % 2 else reversed(order):
            if not records[name]["ok"] or (k >= effort.least and used[name] > effort.seconds):
                continue
            begin = monotonic()
            try:
                answer = processes[name].ask(effort.patience, do="batch")
            except Gone as reason:
                processes.pop(name).close()
                answer = {"ok": False, "failed": str(reason)}
            used[name] += monotonic() - begin
            if answer.pop("ok"):
                turn[name] = answer
            else:
                records[name] |= {"ok": False, **answer}
        turns.append(turn)
        if all(seconds > effort.seconds for seconds in used.values()) and k + 1 >= effort.least:
            break
    return turns
