"""The benchmark beside peers: that it runs with none of them installed, and that its arithmetic is right.

No time is asserted anywhere: what is held is that figures are taken, compared and written down.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "peers"
NAMES = ("case", "figures", "goals", "report", "workloads", "subjects", "starts", "cells", "processes", "peer_machine")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, Any]]:
    """The benchmark's own modules, which import one another as programs in one folder do."""
    sys.path.insert(0, str(FOLDER))
    before = set(sys.modules)
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in set(NAMES) - before:
            sys.modules.pop(name, None)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    files = ["--out", str(folder / "page.md"), "--jsonl", str(folder / "figures.jsonl")]
    command = [sys.executable, str(FOLDER / "run.py"), *files, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_it_runs_without_peers_and_writes_a_table(tmp_path: Path) -> None:
    words = "--quick --rounds 2 --only expfit --sizes 20 --peers none --ours native,numpy"
    done = run(tmp_path, *words.split())
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    cells = {record["subject"]: record for record in records if record["what"] == "cell"}
    # without llvmlite the native engine says that it is not there, and the rest goes on
    assert set(cells) == {"tapecli", "tapecli, numpy"}
    for record in cells.values():
        assert record["ok"] or "not available" in record["skipped"]
    assert len(cells["tapecli, numpy"]["times_run"]) == 2
    assert cells["tapecli, numpy"]["wrong"] is None
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## expfit" in page
    assert "| tapecli, numpy |" in page
    assert "not measured" in page

    (tmp_path / "page.md").unlink()
    assert run(tmp_path, "--report", str(tmp_path / "figures.jsonl")).returncode == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page


def test_who_does_not_do_a_workload_says_so(tmp_path: Path) -> None:
    words = ["--quick", "--rounds", "1", "--only", "hess", "--sizes", "20", "--peers", "numpy by hand"]
    done = run(tmp_path, *words, "--ours", "native,numpy")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    (other,) = [record for record in records if record.get("subject") == "numpy by hand"]
    assert (other["ok"], other["skipped"]) == (False, "not written by hand")
    assert "| numpy by hand | – |" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "--peers", "fortran")
    assert done.returncode == 1
    assert "there is no peer fortran; there are jax" in done.stderr
    done = run(tmp_path, "--only", "sudoku", "--peers", "none")
    assert done.returncode == 1
    assert "there is no workload sudoku" in done.stderr


def cell(subject: str, role: str, run: list[float | None], **more: Any) -> dict[str, Any]:
    common = {"what": "cell", "workload": "quad", "kind": "gradient", "n": 100_000, "ok": True, "wrong": None}
    return {**common, "subject": subject, "role": role, "times_run": run, "ready": 1.0, "remark": "", **more}


def test_ratios_are_of_the_same_rounds(modules: dict[str, Any]) -> None:
    records = [
        cell("tapecli", "ours", [1.0, 10.0, 1.0], times_value=[0.5, 5.0, 0.5]),
        cell("jax", "peer", [3.0, 30.0, None]),
        cell("casadi", "peer", [1.5, 15.0, 1.5], wrong="off by 1e-3"),
        cell("numpy by hand", "beside", [0.1, 0.1, 0.1]),
    ]
    figures = modules["figures"].Figures(records)
    assert figures.ratio("quad", 100_000, "jax") == 3.0
    assert figures.ratio("quad", 100_000, "casadi") is None  # who is wrong wins nothing
    assert figures.best("quad", 100_000) == ("jax", 3.0)
    assert figures.gradient_to_value("quad", 100_000) == 2.0
    page = modules["report"].page(records)
    assert "| quad, n = 100000: JAX takes at least 4 times as long | 3.00× | **missed** by a factor of 1.33 |" in page
    assert "| quad, n = 100000: the best peer takes at least twice as long | 3.00× (jax) | met |" in page
    assert "WRONG: quad, n = 100000, casadi: off by 1e-3" in page


def test_a_share_of_the_speed_of_a_copy(modules: dict[str, Any]) -> None:
    n = 10_000_000
    copied = modules["peer_machine"].WORK["copy"]
    records = [
        cell("tapecli", "ours", [5 * 8 * n / 1e9], n=n),  # at 1 GB/s
        cell("copy", "machine", [copied / 2e9], n=n),  # at 2 GB/s
    ]
    limit, share = modules["figures"].Figures(records).share("quad", n)
    assert (limit, round(share, 12)) == ("copy", 0.5)


def test_wrong_results_are_marked(modules: dict[str, Any], tmp_path: Path) -> None:
    records = {}
    for name, role, slope in (
        ("tapecli", "ours", [1.0, 2.0]),
        ("jax", "peer", [1.0, 2.0 + 1e-9]),
        ("torch", "peer", [1.0]),
    ):
        np.save(tmp_path / f"{name}.npy", slope)
        results = str(tmp_path / f"{name}.npy")
        records[name] = {"ok": True, "role": role, "value": 1.0, "results": results}
    modules["cells"]._judge(records)
    assert records["tapecli"]["wrong"] is None
    assert records["jax"]["wrong"] == "off by 5.0e-10"
    assert records["torch"]["wrong"] == "the derivative has 1 entries, not 2"


def test_data_are_the_same_in_every_run(modules: dict[str, Any], tmp_path: Path) -> None:
    for workload in modules["workloads"].WORKLOADS.values():
        n = min(workload.quick)
        one, two = (workload.get(workload.put(n, tmp_path / name)) for name in ("one", "two"))
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name]) for name in one)


def test_goals_and_notes_name_what_there_is(modules: dict[str, Any]) -> None:
    import tomllib

    keys = [goal.key for goal in modules["goals"].GOALS]
    assert len(keys) == len(set(keys))
    notes = tomllib.loads((FOLDER / "notes.toml").read_text(encoding="utf-8"))
    assert set(notes["goals"]) <= set(keys)
    assert set(notes["workloads"]) <= set(modules["workloads"].WORKLOADS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5e-9, "1.50 ns"),
        (9.999e-7, "1.00 µs"),
        (0.0123, "12.3 ms"),
        (0.9999, "1.00 s"),
        (125.0, "125 s"),
        (None, "–"),
    ],
)
def test_times_as_text(modules: dict[str, Any], value: float | None, text: str) -> None:
    assert modules["report"].seconds(value) == text
