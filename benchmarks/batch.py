"""How long a command takes over many small files, beside the pure work that two processes would have with them.

    python benchmarks/batch.py [--files 10000] [--rounds 5] [--jobs 2]

The pure work: as many processes as there are jobs, each of which loops over its share of the files in-process, with the
Python API and the same JSON output. Both take turns, so that whatever else the machine does falls on both alike, and
the ratio is the median of the ratios of the rounds: of wall time, and of processor time, which other work on the
machine disturbs less. Both give the same lines, which is checked.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

COMMAND = str(Path(sysconfig.get_path("scripts")) / "tapecli")

#: The loop of one process: what a person would write with the API.
PURE = """
import sys
import tapecli as tp
from tapecli.report.encode import Encoder
from tapecli.report.records import of_derivatives
folder, part, parts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import os
names = sorted(name for name in os.listdir(folder) if name.endswith(".tape"))
share = len(names) // parts
for name in names[part * share : (part + 1) * share if part < parts - 1 else None]:
    path = os.path.join(folder, name)
    r = tp.load(path).derivatives()
    head = {"schema": 1, "command": "grad", "file": path, "ok": True}
    sys.stdout.write(Encoder(r.dtype).object(head | of_derivatives(r)) + "\\n")
"""


def write_files(folder: Path, count: int) -> None:
    """Small models, no two alike."""
    draw = random.Random(1)
    for k in range(count):
        a, b, c = (draw.randint(1, 9) for _ in range(3))
        (folder / f"m{k:05d}.tape").write_text(
            f"# model {k}\nvar x = {a}, y = {b}\nconst k = {c}\nu = {a}*x^2 + k*y\n"
            f"f = exp(-u/100) + sin({b}*x)*y + log(1 + x^2)\nminimize f\n"
        )


def timed(commands: Sequence[Sequence[str]]) -> tuple[float, float, list[bytes]]:
    """Wall time and processor time of commands that run side by side, and what each wrote."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        outs = [Path(scratch, str(k)) for k in range(len(commands))]
        running = []
        for command, out in zip(commands, outs, strict=True):
            with out.open("wb") as stream:
                running.append(
                    subprocess.Popen(command, stdout=stream, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
                )
        for process in running:
            assert process.wait() == 0
        elapsed = perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return elapsed, spent, [out.read_bytes() for out in outs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    jobs = str(given.jobs)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), given.files)
        pure = [[sys.executable, "-c", PURE, folder, str(k), jobs] for k in range(given.jobs)]
        batch = [[COMMAND, "grad", folder, "--json", "--jobs", jobs]]
        walls, works, rates = [], [], []
        for number in range(given.rounds):
            a = timed(pure if number % 2 else batch)
            b = timed(batch if number % 2 else pure)
            (wall, work, lines), (pure_wall, pure_work, pure_lines) = (b, a) if number % 2 else (a, b)
            assert b"".join(pure_lines) == lines[0]
            walls.append(wall / pure_wall)
            works.append(work / pure_work)
            rates.append(given.files / wall)
            sys.stdout.write(
                f"batch {wall:.2f} s ({work:.2f} s of processors), pure work {pure_wall:.2f} s ({pure_work:.2f} s)"
                + "\n"
            )
    sys.stdout.write(
        f"ratio of wall time {median(walls):.2f}, of processor time {median(works):.2f} (medians of {given.rounds})"
        + "\n"
    )
    sys.stdout.write(f"files/s {median(rates):,.0f} with --jobs {jobs}" + "\n")


if __name__ == "__main__":
    main()
