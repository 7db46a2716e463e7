"""tapecli's engines side by side with other programs that differentiate.

    python benchmarks/peers/run.py                               # everything that is installed; about 12 minutes
    python benchmarks/peers/run.py --quick --only quad,rosen --peers jax,torch
    python benchmarks/peers/run.py --report results.jsonl        # only the page, anew

Writes the page benchmarks/RESULTS.md and the figures behind it, a JSON object a line. Ends with exit code 1 where a
result differs from ours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cells
import starts
from cells import Effort
from figures import Figures
from processes import Site
from report import page
from subjects import OURS, SUBJECTS, Subject
from workloads import WORKLOADS

HERE = Path(__file__).parent
FULL = Effort(most=15, least=4, seconds=0.4, patience=150.0)
OURS_SHOWN = "native,names,2,numpy"
QUICK = Effort(most=7, least=3, seconds=0.3, patience=60.0)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: a minute or two, not exact")
    parser.add_argument(
        "--only", metavar="NAMES", help=f"workloads, of {', '.join(WORKLOADS)}; `start` for first results"
    )
    parser.add_argument(
        "--peers", metavar="NAMES", help="peers (default: all that are installed); `none` for ours alone"
    )
    parser.add_argument("--ours", metavar="NAMES", default=OURS_SHOWN, help="of native, names, 2, numpy, tape")
    parser.add_argument("--sizes", metavar="N,…", help="sizes, in place of those of each workload")
    parser.add_argument("--rounds", type=int, help="the greatest number of rounds")
    parser.add_argument(
        "--python", metavar="[NAME=]PATH", action="append", default=[],
        help="the interpreter of a peer, or of all peers, where it is not this one",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=HERE.parent / "RESULTS.md", help="the page (default %(default)s)")
    parser.add_argument("--jsonl", type=Path, help="the figures (default: results.jsonl beside this program)")
    parser.add_argument("--report", type=Path, metavar="JSONL", help="measure nothing; write the page of these figures")
    return parser.parse_args(words)


_WAYS = {
    "native": "tapecli", "names": "tapecli, by names", "2": "tapecli, 2 threads", "numpy": "tapecli, numpy",
    "tape": "tapecli, tape",
}  # fmt: skip


def chosen(given: argparse.Namespace) -> list[Subject]:
    """The subjects that were asked for, installed or not."""
    ours = [_WAYS[name] for name in given.ours.split(",")]
    others = [s.name for s in SUBJECTS.values() if s.role in ("peer", "beside")]
    if given.peers is not None:
        asked = [] if given.peers == "none" else given.peers.split(",")
        unknown = [name for name in asked if name not in others]
        if unknown:
            raise SystemExit(f"run.py: there is no peer {', '.join(unknown)}; there are {', '.join(others)}")
        others = asked
    return [s for s in SUBJECTS.values() if s.name in ours or s.name in others or s.role == "machine"]


def command(given: argparse.Namespace) -> str:
    """What was asked for, without where things lie on this machine."""
    words = ["run.py", *(["--quick"] if given.quick else [])]
    for name in ("only", "peers", "ours", "sizes", "rounds"):
        value = getattr(given, name)
        if value is not None and (name, value) != ("ours", OURS_SHOWN):
            words.append(f"--{name} {value}")
    return " ".join(words)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {platform.machine()} ({names[0]})" if names else platform.machine()


def measure(given: argparse.Namespace, folder: Path, keep: Any) -> None:
    """Runs what was asked for; `keep` takes each record as it comes."""
    pythons = {}
    for word in given.python:
        name, _, path = word.rpartition("=")
        pythons[name or "peers"] = path
    site = Site(folder, pythons)
    subjects, absent, versions = [], [], {"Python": platform.python_version()}
    for subject in chosen(given):
        found = site.installed(subject)
        if found is None:
            absent.append(subject.name)
        else:
            versions |= found
            subjects.append(subject)
    say(f"running: {', '.join(s.name for s in subjects)}" + (f"; not installed: {', '.join(absent)}" if absent else ""))
    if OURS not in {s.name for s in subjects}:
        raise SystemExit("run.py: tapecli is not installed here, or left out: there is nothing to compare with")
    keep({
        "what": "run", "command": command(given),
        "date": time.strftime("%Y-%m-%d"), "machine": processor(), "versions": versions, "absent": absent,
    })  # fmt: skip
    effort = QUICK if given.quick else FULL
    effort = (
        effort if given.rounds is None else effort._replace(most=given.rounds, least=min(effort.least, given.rounds))
    )
    only = given.only.split(",") if given.only else [*WORKLOADS, "start"]
    unknown = [name for name in only if name not in WORKLOADS and name != "start"]
    if unknown:
        raise SystemExit(f"run.py: there is no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}, start")
    for name in only:
        say(name)
        if name == "start":
            found = starts.measure(site, subjects, effort, say)
        else:
            workload = WORKLOADS[name]
            sizes = workload.quick if given.quick else workload.sizes
            if given.sizes:
                sizes = tuple(int(n) for n in given.sizes.split(","))
            found = cells.measure(site, workload, sizes, subjects, effort, say)
        for record in found:
            keep(record)


def main(words: list[str] | None = None) -> int:
    given = parse(words)
    jsonl = given.report or given.jsonl or HERE / "results.jsonl"
    if given.report is None:
        begin = time.monotonic()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running, nor lying about
        with tempfile.TemporaryDirectory(prefix="tapecli-peers-") as folder, jsonl.open("w") as file:

            def keep(record: dict[str, Any]) -> None:
                file.write(json.dumps(record) + "\n")
                file.flush()

            measure(given, Path(folder), keep)
        say(f"{time.monotonic() - begin:.0f} s")
    records = [json.loads(line) for line in jsonl.read_text().splitlines()]
    given.out.write_text(page(records), encoding="utf-8")
    say(f"wrote {given.out}")
    return 1 if Figures(records).wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
