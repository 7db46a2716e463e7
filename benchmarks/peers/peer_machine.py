"""No peer: how fast this core copies memory, and how fast it multiplies matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import Case, Data
from workloads import Workload

#: Entries that are copied: two arrays far larger than any cache.
COPIED = 10_000_000
#: Rows of the matrices that are multiplied.
ROWS = 1024
#: What one call of each flavour does: bytes read and written, or operations.
WORK = {"copy": 2 * 8 * COPIED, "flops": 2 * ROWS**3}


def make(workload: Workload, d: Data, flavour: str) -> Case:
    def numbers(_: Any) -> Any:
        return None, np.zeros(0)

    if flavour == "copy":
        a, b = np.ones(COPIED), np.zeros(COPIED)
        return Case(lambda: np.copyto(b, a), numbers)
    a = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    b, out = a.copy(), np.zeros((ROWS, ROWS))
    return Case(lambda: np.matmul(a, b, out=out), numbers)
