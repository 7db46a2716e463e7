"""Reads an input of ADBench and writes what the formula of the same problem reads.

    python benchmarks/adbench/convert.py gmm/1k_gmm_d2_K5.txt FOLDER

The problem is told by the name of the folder that the input lies in: gmm, ba or lstm. FOLDER then holds the formula
and its arrays, as `gmm.tape` and `gmm.npz`; `tapecli grad FOLDER/gmm.tape` runs it.

ADBench and its inputs: https://github.com/microsoft/ADBench (MIT).
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
Arrays = dict[str, Any]


class Numbers:
    """The numbers of a text file, taken from the front."""

    def __init__(self, text: str) -> None:
        self.words = text.split()
        self.at = 0

    def whole(self, count: int) -> list[int]:
        self.at += count
        return [int(word) for word in self.words[self.at - count : self.at]]

    def array(self, *shape: int) -> Any:
        count = math.prod(shape)
        self.at += count
        return np.array([float(word) for word in self.words[self.at - count : self.at]]).reshape(shape)


def gmm(numbers: Numbers) -> Arrays:
    d, k, n = numbers.whole(3)
    alpha, mean = numbers.array(k), numbers.array(k, d)
    root = numbers.array(k, d + d * (d - 1) // 2)
    arrays = {"alpha0": alpha, "mean0": mean, "q0": root[:, :d], "l0": root[:, d:]}
    return {**arrays, "x": numbers.array(n, d), "prior": numbers.array(2)}


def ba(numbers: Numbers) -> Arrays:
    """One camera, point, weight and feature stand for all; observation i joins camera i mod n and point i mod m."""
    n, m, p = numbers.whole(3)
    camera, point, weight, feature = (numbers.array(size) for size in (11, 3, 1, 2))
    observation = np.arange(p)
    return {
        "view": 1.0 + observation % n,
        "spot": 1.0 + observation % m,
        "cameras0": np.tile(camera, (n, 1)),
        "points0": np.tile(point, (m, 1)),
        "weights0": np.repeat(weight, p),
        "feature": np.tile(feature, (p, 1)),
    }


def lstm(numbers: Numbers) -> Arrays:
    layers, length, width = numbers.whole(3)
    main, extra = numbers.array(2 * layers, 4 * width), numbers.array(3, width)
    states = numbers.array(layers, 2, width)
    arrays = {"main0": main, "extra0": extra, "hidden0": states[:, 0], "cell0": states[:, 1]}
    return {**arrays, "x": numbers.array(length, width)}


READERS: dict[str, Callable[[Numbers], Arrays]] = {"gmm": gmm, "ba": ba, "lstm": lstm}


def convert(source: Path, folder: Path) -> Path:
    """The formula that runs this input, in `folder`."""
    problem = source.resolve().parent.name
    if problem not in READERS:
        raise SystemExit(f"{source}: the input lies in a folder called {', '.join(READERS)}")
    numbers = Numbers(source.read_text())
    arrays = READERS[problem](numbers)
    if numbers.at != len(numbers.words):
        raise SystemExit(f"{source}: {len(numbers.words)} numbers, and {numbers.at} are wanted")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{problem}.npz", **{name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return Path(shutil.copy(HERE / f"{problem}.tape", folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    convert(given.input, given.folder)


if __name__ == "__main__":
    main()
