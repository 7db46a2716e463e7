"""How long a table takes to load, beside other readers of CSV files.

    python benchmarks/data_loading.py [--rows 1000000] [--columns 10] [--repeat 5]

The same file of each kind is read by tapecli (with pyarrow where it is installed, and without), by pyarrow itself and,
where they are installed, by pandas and polars. Readers take turns; the table shows each one's median, and its ratio to
pyarrow's. `small` shows what a fresh process pays for a file of a few kilobytes.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli import data
from tapecli.data import fast

KINDS = {
    "17 digits": lambda table: (map(repr, row) for row in table.tolist()),
    "6 digits": lambda table: (map("{:.6g}".format, row) for row in table.tolist()),
    "integers": lambda table: (map(str, row) for row in (table * 100).astype(np.int64).tolist()),
    "6 digits, quoted labels, 5 columns used": None,
}


def write(path: str, kind: str, rows: int, columns: int) -> None:
    table = np.random.default_rng(1).normal(size=(rows, columns)) * 1e3
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join(f"c{i + 1}" for i in range(columns)) + "\n")
        form = KINDS[kind]
        if form is not None:
            file.writelines(",".join(cells) + "\n" for cells in form(table))
        else:
            for k, row in enumerate(table.tolist()):
                cells = [f"{x:.6g}" for x in row]
                cells[-1] = f'"row ""{k}"", of many"'
                file.write(",".join(cells) + "\n")


def ours(path: str, used: list[int]) -> list[Any]:
    full = os.path.realpath(path)
    return data.load(full, path, [(f"c{i + 1}", i + 1) for i in used])


def without_arrow(path: str, used: list[int]) -> list[Any]:
    before, fast._arrow = fast._arrow, False
    try:
        return ours(path, used)
    finally:
        fast._arrow = before


def by_pyarrow(path: str, used: list[int]) -> list[Any]:
    csv = importlib.import_module("pyarrow.csv")
    table = csv.read_csv(path, convert_options=csv.ConvertOptions(include_columns=[f"c{i + 1}" for i in used]))
    return [np.ascontiguousarray(column.to_numpy(), dtype=np.float64) for column in table.columns]


def by_pandas(path: str, used: list[int]) -> list[Any]:
    frame = importlib.import_module("pandas").read_csv(path, usecols=used)
    return [np.ascontiguousarray(frame[f"c{i + 1}"].to_numpy(), dtype=np.float64) for i in used]


def by_polars(path: str, used: list[int]) -> list[Any]:
    frame = importlib.import_module("polars").read_csv(path, columns=used)
    return [np.ascontiguousarray(frame[f"c{i + 1}"].to_numpy(), dtype=np.float64) for i in used]


def readers() -> dict[str, Callable[[str, list[int]], list[Any]]]:
    found: dict[str, Callable[[str, list[int]], list[Any]]] = {}
    for name, reader in (("pyarrow", by_pyarrow), ("pandas", by_pandas), ("polars", by_polars)):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        found[name] = reader
    if "pyarrow" in found:
        found["tapecli"] = ours
    return {**found, "tapecli without pyarrow": without_arrow}


def compare(path: str, used: list[int], repeat: int) -> None:
    times: dict[str, list[float]] = {}
    for _ in range(repeat + 1):
        for name, reader in readers().items():
            start = time.perf_counter()
            reader(path, used)
            times.setdefault(name, []).append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds[1:]) for name, seconds in times.items()}
    base = medians.get("pyarrow", min(medians.values()))
    for name, seconds in medians.items():
        print(f"  {name:<24} {seconds:8.3f} s   {seconds / base:5.2f}")  # noqa: T201


def small(path: str, repeat: int) -> None:
    """The time of a load in a fresh process, without the start of Python and NumPy."""
    code = (
        "import time, numpy\nfrom tapecli.core import Array\nstart = time.perf_counter()\nfrom tapecli import data\n"
        f"data.load({os.path.realpath(path)!r}, 'small.csv', [('c1', None), ('c2', None)])\n"
        "print(time.perf_counter() - start)"
    )
    runs = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
            for _ in range(repeat)]  # fmt: skip
    print(f"  {os.path.getsize(path)} bytes, import and load: {statistics.median(runs) * 1e3:.1f} ms")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind, form in KINDS.items():
            path = os.path.join(folder, "table.csv")
            write(path, kind, given.rows, given.columns)
            size = os.path.getsize(path) / 1e6
            print(f"{kind}: {given.rows} rows, {given.columns} columns, {size:.0f} MB")  # noqa: T201
            compare(path, list(range(given.columns if form else given.columns // 2)), given.repeat)
        write(path, "6 digits", 100, 4)
        print("small")  # noqa: T201
        small(path, given.repeat)


if __name__ == "__main__":
    main()
