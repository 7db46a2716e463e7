"""What follows from the records of a run: medians, and ratios of the same rounds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from peer_machine import WORK
from starts import BASE
from subjects import OURS
from workloads import WORKLOADS

Records = Sequence[dict[str, Any]]


def paired(over: Sequence[float | None], under: Sequence[float | None]) -> float | None:
    """The median of the ratios of those rounds in which both took part."""
    ratios = [a / b for a, b in zip(over, under, strict=False) if a is not None and b is not None]
    return median(ratios) if ratios else None


class Figures:
    def __init__(self, records: Records) -> None:
        self.run = next((r for r in records if r["what"] == "run"), {})
        self.cells = {(r["workload"], r["n"], r["subject"]): r for r in records if r["what"] == "cell"}
        self.starts = {r["start"]: r for r in records if r["what"] == "start"}

    def sizes(self, workload: str) -> list[int]:
        return sorted({n for name, n, _ in self.cells if name == workload})

    def subjects(self, workload: str) -> list[str]:
        """Who took part in any size, in the order of the table of subjects."""
        from subjects import SUBJECTS

        there = {subject for name, _, subject in self.cells if name == workload}
        return [name for name in SUBJECTS if name in there]

    def _times(self, workload: str, n: int, subject: str, what: str) -> list[float | None]:
        record = self.cells.get((workload, n, subject))
        if record is None or not record["ok"]:
            return []
        return record.get(f"times_{what}", [])  # type: ignore[no-any-return]

    def time(self, workload: str, n: int, subject: str, what: str = "run") -> float | None:
        """The median time of a call in seconds."""
        known = [time for time in self._times(workload, n, subject, what) if time is not None]
        return median(known) if known else None

    def ratio(self, workload: str, n: int, subject: str) -> float | None:
        """How many times as long as ours a subject takes. None where either is missing, or the subject is wrong."""
        record = self.cells.get((workload, n, subject))
        if record is None or record.get("wrong"):
            return None
        return paired(self._times(workload, n, subject, "run"), self._times(workload, n, OURS, "run"))

    def best(self, workload: str, n: int) -> tuple[str, float] | None:
        """The quickest peer, and how many times as long as ours it takes."""
        found = [
            (ratio, subject)
            for (name, size, subject), record in self.cells.items()
            if (name, size, record["role"]) == (workload, n, "peer")
            and (ratio := self.ratio(workload, n, subject)) is not None
        ]
        return (min(found)[1], min(found)[0]) if found else None

    def gradient_to_value(self, workload: str, n: int, subject: str = OURS) -> float | None:
        return paired(self._times(workload, n, subject, "run"), self._times(workload, n, subject, "value"))

    def share(self, workload: str, n: int, subject: str = OURS) -> tuple[str, float] | None:
        """Which limit of the machine says something about a cell (copy or flops), and the share of it in use."""
        declared = WORKLOADS[workload]
        for limit, work in (("copy", declared.traffic), ("flops", declared.flops)):
            if work is not None:
                there = self._times(workload, n, limit, "run")
                ratio = paired(there, self._times(workload, n, subject, "run"))
                if ratio is not None:
                    return limit, ratio * work(n) / WORK[limit]
        return None

    def start(self, name: str) -> float | None:
        """How many times as long as `import numpy` a process takes."""
        if name not in self.starts or BASE not in self.starts or "failed" in self.starts[name]:
            return None
        return paired(self.starts[name]["times"], self.starts[BASE]["times"])

    def start_seconds(self, name: str) -> float | None:
        known = [time for time in self.starts[name]["times"] if time is not None]
        return median(known) if known and "failed" not in self.starts[name] else None

    def limits(self) -> dict[str, float]:
        """What the machine did at best in this run: bytes copied, and operations, in a second."""
        found: dict[str, float] = {}
        for (_, _, subject), record in self.cells.items():
            if subject in WORK and record["ok"]:
                for time in record.get("times_run", []):
                    if time is not None:
                        found[subject] = max(found.get(subject, 0.0), WORK[subject] / time)
        return found

    def wrong(self) -> list[str]:
        return [f"{w}, n = {n}, {s}: {r['wrong']}" for (w, n, s), r in self.cells.items() if r.get("wrong")]
