"""What sparse Hessians cost, and how that grows with the number of variables.

    python benchmarks/sparse_hessian.py [--sizes 1000 10000 100000] [--repeat 3] [--engine numpy]

Two problems: Rosenbrock's chain, whose Hessian is tridiagonal, and Broyden's banded function, whose Hessian has 6
diagonals on each side. Each size runs in a process of its own, so that its memory is its own. The table shows the
products that the colouring takes, the seconds for reading the formula, for the pattern, for the colouring, and for the
values (the first time, when programs are compiled, and the median after that), and the most memory that the process
took. Below are the slopes of the logarithms over the last two sizes: 1 is linear.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import tapecli as tp

PROBLEMS = {
    "chain": ("const n={n}; var x=[i/n for i in 1..n]; minimize sum(100*(x[i+1]-x[i]^2)^2+(1-x[i])^2 for i in 1..n-1)"),
    "band": (
        "const n={n}; var x=[i/n for i in 1..n]; "
        "minimize sum((x[i]*(2+5*x[i]^2)+1-sum(x[j]*(1+x[j]) for j in max(1,i-5)..min(n,i+1)))^2 for i in 1..n)"
    ),
}
TIMES = ("read", "pattern", "colouring", "first", "values")


def timed(f: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = f()
    return time.perf_counter() - start, result


def megabytes() -> float:
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size / 1e3


def measure(name: str, n: int, repeat: int, engine: str) -> dict[str, float]:
    """One problem of one size, in this process."""
    from tapecli.sparsity import colouring

    sparse: Any = importlib.import_module("tapecli.problem.sparse")
    tp.parse(PROBLEMS[name].format(n=20), engine=engine).grad()  # what is imported late is imported now
    before = megabytes()
    read, problem = timed(lambda: tp.parse(PROBLEMS[name].format(n=n), engine=engine))
    inner: dict[str, float] = {}

    def watched(f: Callable[..., Any], key: str) -> Callable[..., Any]:
        def run(*args: Any, **keys: Any) -> Any:
            inner[key], result = timed(lambda: f(*args, **keys))
            return result

        return run

    sparse.jacobian_pattern = watched(sparse.jacobian_pattern, "pattern")
    colouring.star = watched(colouring.star, "colouring")
    first, found = timed(lambda: sparse.sparse_hessian(problem))
    again = statistics.median(timed(lambda: sparse.sparse_hessian(problem))[0] for _ in range(repeat))
    return {
        "products": found.colours,
        "nonzeros": int(found.rows.size),
        "read": read,
        **inner,
        "first": first - inner["pattern"] - inner["colouring"],
        "values": again,
        "megabytes": megabytes() - before,
    }


def slopes(rows: list[dict[str, float]], sizes: list[int]) -> str:
    """The slope of each column over the last two sizes."""
    span = math.log(sizes[-1] / sizes[-2])
    columns = [*TIMES, "megabytes"]
    found = [math.log(max(rows[-1][key], 1e-9) / max(rows[-2][key], 1e-9)) / span for key in columns]
    return "  ".join(f"{key} {slope:.2f}" for key, slope in zip(columns, found, strict=True))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--engine", default="numpy")
    options.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(measure(given.one[0], int(given.one[1]), given.repeat, given.engine)))  # noqa: T201
        return
    for name in PROBLEMS:
        rows = []
        head = f"{name:>6} {'n':>9} {'products':>8} {'nonzeros':>10}"
        print(head, *[f"{key:>10}" for key in TIMES], f"{'MB':>8}")  # noqa: T201
        for n in given.sizes:
            call = [sys.executable, __file__, "--one", name, str(n)]
            call += ["--repeat", str(given.repeat), "--engine", given.engine]
            row = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
            rows.append(row)
            line = f"{'':6} {n:9,} {row['products']:8} {row['nonzeros']:10,}"
            print(line, *[f"{row[key]:10.4f}" for key in TIMES], f"{row['megabytes']:8.1f}", flush=True)  # noqa: T201
        if len(rows) > 1:
            print(f"{'':6} slopes: {slopes(rows, given.sizes)}\n")  # noqa: T201


if __name__ == "__main__":
    main()
