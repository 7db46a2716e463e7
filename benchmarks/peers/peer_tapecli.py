"""tapecli itself: the formula file on one of its engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from case import Case, Data, Skip, only_flat
from workloads import Workload

import tapecli


def make(workload: Workload, d: Data, flavour: str, place: Path) -> Case:
    """`flavour` is ENGINE, ENGINE-plain (values by name) or ENGINE-2 (two threads)."""
    engine, _, way = flavour.partition("-")
    if engine == "native":
        from tapecli.engines import native

        if not native.ready(quiet=True):
            raise Skip("not available: llvmlite is not installed, or this processor is not known")
    p = tapecli.load(str(place / workload.formula.name), engine=engine, threads=2 if way == "2" else 1)
    if workload.kind in ("gradient", "hessian", "hvp"):
        return _by_names(p, workload, d) if way == "plain" else _by_vector(p.flat(), workload, d)
    if workload.kind == "loop":
        return Case(p.minimize, lambda found: only_flat([found.at[name] for name in workload.wrt]))
    return Case(lambda: p.sparse_jacobian(of="residuals"), lambda found: (None, _blocks(p, found)))


def _by_vector(fun: Any, workload: Workload, d: Data) -> Case:
    """The function of one vector, as SciPy's minimisers take it."""
    x = np.array(fun.x0)
    if workload.kind == "hessian":
        return Case(lambda: fun.hess(x), lambda found: only_flat([found]), None, "flat()")
    if workload.kind == "hvp":
        direction = d["direction"]
        return Case(lambda: fun.hvp(x, direction), lambda found: only_flat([found]), None, "flat()")
    return Case(lambda: fun(x), lambda found: (float(found[0]), np.array(found[1])), lambda: fun.value(x), "flat()")


def _by_names(p: Any, workload: Workload, d: Data) -> Case:
    """The calls that take and give values by name."""
    names = workload.wrt
    if workload.kind == "hessian":
        return Case(p.hess, lambda found: only_flat([found[r][c] for r in names for c in names]), None, "hess()")
    if workload.kind == "hvp":
        direction = {"x": d["direction"]}
        return Case(lambda: p.hvp(direction), lambda found: only_flat([found[name] for name in names]), None, "hvp()")

    def numbers(found: Any) -> Any:
        return float(found[0]), only_flat([found[1][name] for name in names])[1]

    return Case(p.value_and_grad, numbers, p.value, "value_and_grad()")


def _blocks(p: Any, found: Any) -> Any:
    """The Jacobian of ba as the others give it: the 2×15 block of each observation, then the weights' derivatives."""
    view, spot = (p.data[name].astype(int) - 1 for name in ("view", "spot"))
    count = len(view)
    first, second = found.offsets[1:]
    rows, columns, values = found.rows, found.columns, found.values
    own = rows >= 2 * count
    weights = np.zeros(count)
    weights[rows[own] - 2 * count] = values[own]
    rows, columns, values = rows[~own], columns[~own], values[~own]
    seen = rows // 2
    blocks = np.zeros((count, 2, 15))
    ranges = [columns < first, columns < second]
    at = np.select(ranges, [columns % 11, 11 + (columns - first) % 3], 14)
    owner = np.select(ranges, [view[seen], spot[seen]], seen)
    if np.any(owner != np.select(ranges, [columns // 11, (columns - first) // 3], columns - second)):
        raise ValueError("an observation depends on what it does not see")
    blocks[seen, rows % 2, at] = values
    return np.concatenate([blocks.reshape(-1), weights])
