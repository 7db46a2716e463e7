"""How long a command takes from the shell's point of view, beside `import numpy`, and where the time goes.

    python benchmarks/startup.py [--rounds 21]

Whole processes are started one after another, the subjects taking turns, so that whatever else the machine does falls
on all of them alike. The ratio of a subject is the median of its ratios to the `import numpy` of the same round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).parents[1]
SAMPLE = "samples/quadratic.tape"
COMMAND = str(Path(sysconfig.get_path("scripts")) / "tapecli")
BASE = "import numpy"
#: what is measured -> the command line
SUBJECTS: dict[str, list[str]] = {
    "python -c pass": [sys.executable, "-c", "pass"],
    BASE: [sys.executable, "-c", "import numpy"],
    "tapecli --version": [COMMAND, "--version"],
    "tapecli --help": [COMMAND, "--help"],
    "tapecli grad": [COMMAND, "grad", SAMPLE],
    "tapecli grad --json": [COMMAND, "grad", SAMPLE, "--json"],
    "tapecli check": [COMMAND, "check", SAMPLE],
    "tapecli minimize": [COMMAND, "minimize", SAMPLE],
}
#: What may be slower than `import numpy` by how much.
GOALS = {"tapecli grad": 1.5}

#: A gradient in this process, in the phases that a user waits for.
PHASES = """
from time import perf_counter as now
marks = [("", now())]
def mark(name): marks.append((name, now()))
import numpy
mark("import numpy")
from tapecli import cli
from tapecli import engines, problem
from tapecli.problem import loading
from tapecli.engines import tape
from tapecli.report import shown
mark("import tapecli")
inner = loading.language.parse
def parse(*args):
    marks.append(("read", now()))
    found = inner(*args)
    marks.append(("parse", now()))
    return found
loading.language.parse = parse
p = problem.load(PATH)
mark("elaborate")
d = p.derivatives()
mark("run")
lines = shown.of_derivatives(d)
mark("report")
for (_, before), (name, after) in zip(marks, marks[1:]):
    print(f"{name}\\t{(after - before) * 1e3:.3f}")
"""


def environment() -> dict[str, str]:
    """As a user has it: byte code may be kept."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: Sequence[str]) -> float:
    begin = perf_counter()
    subprocess.run(
        command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return perf_counter() - begin


def measure(rounds: int) -> dict[str, list[float]]:
    """The times of every subject, round by round, each round in another order; a first round is thrown away."""
    names = list(SUBJECTS)
    for name in names:
        seconds(SUBJECTS[name])
    times: dict[str, list[float]] = {name: [] for name in names}
    for k in range(rounds):
        turn = names[k % len(names) :] + names[: k % len(names)]
        for name in turn if k % 2 else reversed(turn):
            times[name].append(seconds(SUBJECTS[name]))
    return times


def imports(arguments: Sequence[str]) -> tuple[dict[str, float], list[tuple[float, str]]]:
    """Own import times in ms by part, and the slowest modules outside NumPy, of one command."""
    command = [sys.executable, "-X", "importtime", "-m", "tapecli", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
    parts = {"numpy": 0.0, "tapecli": 0.0, "everything else": 0.0}
    rest = []
    for line in done.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) != 3 or not fields[0].strip().isdigit():
            continue
        own, name = float(fields[0]) / 1e3, fields[2].strip()
        top = name.partition(".")[0]
        part = top if top in parts else "everything else"
        parts[part] += own
        if part != "numpy":
            rest.append((own, name))
    return parts, sorted(rest, reverse=True)


def phases() -> list[tuple[str, float]]:
    """The phases of a gradient in ms: medians over a few processes."""
    script = f"PATH = {SAMPLE!r}\n{PHASES}"
    runs = []
    for _ in range(7):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment(), check=True, capture_output=True, text=True
        )
        runs.append([line.split("\t") for line in done.stdout.splitlines()])
    return [(cells[0][0], median(float(cell[1]) for cell in cells)) for cells in zip(*runs, strict=True)]


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Start-up times, whole processes side by side.")
    parser.add_argument("--rounds", type=int, default=21, help="how often each subject runs (default 21)")
    rounds = parser.parse_args().rounds
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "typer", "click", "rich"))
    say(f"Python {sys.version.split()[0]}, {packages}, tapecli {version('tapecli')}; {rounds} rounds")
    times = measure(rounds)
    say(f"\n{'whole process':22}{'median ms':>10}{'least ms':>10}   ratio to {BASE}")
    missed = []
    for name, own in times.items():
        ratio = median(x / base for x, base in zip(own, times[BASE], strict=True))
        goal = GOALS.get(name)
        remark = "" if goal is None else f"   goal {goal:g}: {'met' if ratio <= goal else 'MISSED'}"
        if goal is not None and ratio > goal:
            missed.append(name)
        say(f"{name:22}{median(own) * 1e3:10.1f}{min(own) * 1e3:10.1f}   {ratio:.2f}{remark}")

    for title, arguments in (("grad", ["grad", SAMPLE]), ("minimize", ["minimize", SAMPLE]), ("--help", ["--help"])):
        parts, rest = imports(arguments)
        shares = ", ".join(f"{part} {ms:.1f} ms" for part, ms in parts.items())
        say(f"\nimports of `tapecli {title}` (own times, -X importtime): {shares}")
        say("  slowest outside numpy: " + ", ".join(f"{name} {ms:.1f}" for ms, name in rest[:8]))

    say("\nphases of a gradient, in one process:")
    for name, ms in phases():
        say(f"  {name:16}{ms:9.2f} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
