"""The inputs of a campaign: the case of a number is always the same."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from mutate import mutated
from statements import GOALS, formula
from words import words

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "samples"
TABLE = b"t,y,z\n1,2,3\n4,5.5,-6\n7,8e3,9\n"
TABLES = (
    TABLE, b"t\ty\n1\t2\n3\t4\n", b'"t","y, z"\n"1","2"\n', b"1,2\n3,4\n5,6\n", b"t,y\r\n1,\r\n2,3\r\n",
    b"\xef\xbb\xbft,y\n1,2\n", b"t,y\n" + b"1,2\n" * 300, b"x,y\n1,2\n0.5,nan\n",
)  # fmt: skip
READERS = (
    'data t, y from "f.csv"\nvar k = 1\nsum((y - k*t)^2)\n',
    'data t, y from "f.csv"\nvar k = 1, b = 0\nfit y ~ k*t + b\n',
    'data p = 1, q = 2 from "f.csv"\nsum(log(p[i]*q[i]) for i in 1..len(p))\n',
    'data X = [*] from "f.csv"\nsum(X)\n',
    'data g from "g.npy"\nvar x = 1\nx*g\n',
    'data g = 1, h = 2 from "g.npz"\ng*h\n',
    'data one from "g.npz"\none\n',
)


class Case(NamedTuple):
    """A command line, what it reads from standard input, and the files that lie in its folder."""

    kind: str
    words: list[str]
    text: bytes
    files: dict[str, bytes]


def case(seed: int, number: int) -> Case:
    """The case of a number in the campaign of a seed."""
    random = Random(f"{seed} {number}")
    kind = random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    return KINDS[kind][1](random)


@cache
def corpus() -> list[bytes]:
    files = sorted([*SAMPLES.glob("*.tape"), *(HERE / "found").glob("*.tape")])
    return [path.read_bytes() for path in files if path.stat().st_size < 4000]


@cache
def array(archive: bool) -> bytes:
    stream = io.BytesIO()
    if archive:
        np.savez(stream, one=np.arange(3.0), two=np.ones((2, 2)))
    else:
        np.save(stream, np.arange(1.0, 4.0))
    return stream.getvalue()


def _files() -> dict[str, bytes]:
    return {"f.csv": TABLE, "g.npy": array(False)}


def _grammar(random: Random) -> Case:
    goal = random.choice(GOALS)
    return Case("grammar", _line(random, "-", goal), formula(random, goal).encode(), _points(random, _files()))


def _mutated(random: Random) -> Case:
    text = mutated(random, formula(random).encode(), random.choice(corpus()))
    return Case("mutated", _line(random, "-"), text, _points(random, _files()))


def _sample(random: Random) -> Case:
    text = mutated(random, random.choice(corpus()), random.choice(corpus()))
    return Case("sample", _line(random, "-"), text, {})


def _table(random: Random) -> Case:
    files = {
        "f.csv": mutated(random, random.choice(TABLES), random.choice(TABLES)),
        "g.npy": mutated(random, array(False), array(True)),
        "g.npz": mutated(random, array(True), array(False)),
    }
    return Case("table", _line(random, "-"), random.choice(READERS).encode(), _points(random, files))


def _several(random: Random) -> Case:
    """Some files in a folder, mostly sound."""
    files = _files()
    for k in range(random.randint(1, 3)):
        text = formula(random).encode()
        files[f"{'sub/' * (k == 2)}{k}.tape"] = mutated(random, text, text) if random.random() < 0.2 else text
    return Case("several", _line(random, random.choice((".", "*.tape", "0.tape", "sub"))), b"", _points(random, files))


def _inline(random: Random) -> Case:
    goal = random.choice(GOALS)
    text, line = formula(random, goal), words(random, goal)
    return Case("inline", [line[0], "-e", text, *line[1:]], b"", _points(random, _files()))


def _line(random: Random, where: str, goal: str | None = None) -> list[str]:
    line = words(random, goal)
    return [line[0], where, *line[1:]]


def _points(random: Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """A table of points for `--at @points.csv`."""
    files["points.csv"] = b"x,y\n1,2\n0.5,3\n"
    if random.random() < 0.1:
        files["points.csv"] = mutated(random, files["points.csv"], TABLE)
    return files


#: kind -> how often it is taken, and what makes it
KINDS = {
    "grammar": (50, _grammar), "mutated": (18, _mutated), "sample": (10, _sample), "table": (10, _table),
    "several": (6, _several), "inline": (6, _inline),
}  # fmt: skip
