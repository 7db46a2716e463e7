"""Whole processes up to their first result, beside `import numpy`, the least that a program with NumPy takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from cells import Effort, Say
from processes import HERE, Site
from subjects import OURS, Subject
from workloads import WORKLOADS

BASE = "import numpy"
WORKLOAD, SIZE = "expfit", 100_000
#: Peers that keep compiled code on disk, so that a second process is quicker than the first.
KEEPERS = ("torch.compile", "pytensor")


class Start(NamedTuple):
    """A command line. With `cold` its caches are empty every time."""

    name: str
    command: list[str]
    cold: bool


def starts(site: Site, subjects: list[Subject], place: Path) -> Iterator[Start]:
    formula = str(place / WORKLOADS[WORKLOAD].formula.name)
    yield Start("python -c pass", [sys.executable, "-c", "pass"], False)
    yield Start(BASE, [sys.executable, "-c", "import numpy"], False)
    for subject in subjects:
        if subject.role == "ours":
            if subject.name == OURS:
                command = str(Path(site.python(subject)).parent / "tapecli")
                grad = [command, "grad", formula, "--threads", "1"]
                yield Start("tapecli grad --engine native, warm", [*grad, "--engine", "native"], False)
                yield Start("tapecli grad --engine native, cold", [*grad, "--engine", "native"], True)
                yield Start("tapecli grad", grad, False)
        elif subject.role != "machine":
            command = [site.python(subject), str(HERE / "first.py"), subject.name, WORKLOAD, str(place)]
            if subject.name in KEEPERS:
                yield Start(f"{subject.name}, warm", command, False)
                yield Start(f"{subject.name}, cold", command, True)
            else:
                yield Start(subject.name, command, False)


def measure(site: Site, subjects: list[Subject], effort: Effort, say: Say) -> list[dict[str, Any]]:
    """A record for each command: its times round by round (None where it sat out)."""
    place = WORKLOADS[WORKLOAD].put(SIZE, site.folder / "starts")
    found = list(starts(site, subjects, place))
    records = {s.name: {"what": "start", "start": s.name, "cold": s.cold, "times": []} for s in found}
    used = dict.fromkeys(records, 0.0)
    for k in range(-1, effort.most):  # the first round fills caches and is thrown away, but for what is cold
        for start in found if k % 2 else reversed(found):
            record = records[start.name]
            if "failed" in record or (k < 0 and start.cold):
                continue
            if k >= 0 and used[start.name] > 4 * effort.seconds and k >= min(effort.least, 3):
                record["times"].append(None)
                continue
            took = _seconds(site, start, record)
            used[start.name] += took
            if k >= 0:
                record["times"].append(took)
    for record in records.values():
        if "failed" in record:
            say(f"  {record['start']}: {record['failed']}")
    return list(records.values())


def _seconds(site: Site, start: Start, record: dict[str, Any]) -> float:
    caches = "cold" if start.cold else "first"
    if start.cold:
        shutil.rmtree(site.folder / "caches" / caches, ignore_errors=True)
    environment = site.environment(caches=caches)
    command = site.pinned(start.command)
    begin = perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False, cwd=site.folder)
    took = perf_counter() - begin
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        record["failed"] = f"exit code {done.returncode}" + (f": {words[-1][:200]}" if words else "")
    return took
