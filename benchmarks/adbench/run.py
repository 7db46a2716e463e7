"""ADBench's problems: errors against expected numbers, times and memory.

    python benchmarks/adbench/run.py INPUTS [--expected INPUTS/expected.json] [--engine tape] [--repeat 5] [NAME…]

INPUTS holds the inputs, such as `gmm/test.txt`; each runs in a process of its own. The file of expected numbers has an
object for each input:

    gmm, lstm  "objective_here", and "gradient_here" (all entries, in ADBench's order), or "gradient_here_at_index"
    ba         "residual_one_observation_here" (3), "jacobian_one_observation_here_3x15"; every observation must have it

and the same with `_ADBench` in place of `_here` for what ADBench's own tests assert. An error is the greatest
difference, divided by the greatest entry. The end is exit code 1 where one is over 1e-12.

Times: `load` reads formula and arrays; `value` and `derivative` are medians of several calls, after a first one that
may trace, or find which entries of a Jacobian are not 0. The derivative is the value and the gradient; of ba, the
sparse Jacobian.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from convert import convert

TOLERANCE = 1e-12


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def memory() -> float:
    """The greatest size of this process so far, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(call: Callable[[], Any], repeat: int) -> tuple[float, float, Any]:
    """The first call's time, the median of more, and the result."""
    times = []
    for _ in range(repeat + 1):
        start = perf_counter()
        result = call()
        times.append(perf_counter() - start)
    return times[0], median(times[1:]), result


def error(got: Any, wanted: Any) -> float:
    got, wanted = np.asarray(got, dtype=float), np.asarray(wanted, dtype=float)
    if got.shape != wanted.shape:
        raise SystemExit(f"the shapes differ: {got.shape} and {wanted.shape}")
    return float(np.max(np.abs(got - wanted)) / np.max(np.abs(wanted)))


# ---- comparing --------------------------------------------------------------------------------------------------


def flat(problem: str, gradient: dict[str, Any]) -> Any:
    """The gradient in ADBench's order."""
    if problem == "lstm":
        return np.concatenate([gradient["main"].ravel(), gradient["extra"].ravel()])
    roots = np.concatenate([gradient["q"], gradient["l"]], axis=1)
    return np.concatenate([gradient["alpha"], gradient["mean"].ravel(), roots.ravel()])


def of_gradient(known: dict[str, Any], value: float, gradient: Any) -> Iterator[tuple[str, float]]:
    for who in ("here", "ADBench"):
        digits = known.get(f"objective_{who}")
        # what a test asserts in eight digits is no measure of more
        if digits is not None and len(repr(digits)) > 12:
            yield f"objective ({who})", error(value, digits)
        if f"gradient_{who}" in known:
            yield f"gradient ({who})", error(gradient, known[f"gradient_{who}"])
        if f"gradient_{who}_at_index" in known:
            some = known[f"gradient_{who}_at_index"]
            got = gradient[[int(place) for place in some]]
            yield f"{len(some)} entries of the gradient ({who})", error(got, list(some.values()))


def of_jacobian(known: dict[str, Any], p: Any, residuals: Any, found: Any) -> Iterator[tuple[str, float]]:
    """Every observation has the same numbers: 3 rows (two errors, then the weight's) by 11 + 3 + 1 columns."""
    view, spot, count = p.data["view"].astype(int) - 1, p.data["spot"].astype(int) - 1, p.start["w"].size
    first, second = found.offsets[1:]
    rows, columns = found.rows, found.columns
    errors = rows < 2 * count
    seen, row = np.where(errors, rows // 2, rows - 2 * count), np.where(errors, rows % 2, 2)
    ranges = [columns < first, columns < second]
    owner = np.select(ranges, [columns // 11, (columns - first) // 3], columns - second)
    if np.any(owner != np.select(ranges, [view[seen], spot[seen]], seen)):
        raise SystemExit("an observation depends on what it does not see")
    blocks = np.zeros((count, 3, 15))
    blocks[seen, row, np.select(ranges, [columns % 11, 11 + (columns - first) % 3], 14)] = found.values
    ordered = np.column_stack([residuals[: 2 * count].reshape(count, 2), residuals[2 * count :]])
    for who in ("here", "ADBench"):
        for name in (f"residual_one_observation_{who}", f"residual_{who}"):
            if name in known:
                yield f"residuals ({who})", error(ordered, np.broadcast_to(known[name], ordered.shape))
        if f"jacobian_one_observation_{who}_3x15" in known:
            one = np.array(known[f"jacobian_one_observation_{who}_3x15"])
            yield f"Jacobian ({who})", error(blocks, np.broadcast_to(one, blocks.shape))
        if f"jacobian_rows_{who}_2x15" in known:
            one = np.array(known[f"jacobian_rows_{who}_2x15"])
            yield f"Jacobian ({who})", error(blocks[:, :2], np.broadcast_to(one, (count, 2, 15)))


# ---- running ----------------------------------------------------------------------------------------------------


def one(source: Path, known: dict[str, Any], engine: str, repeat: int) -> dict[str, Any]:
    import tapecli

    problem = source.resolve().parent.name
    with tempfile.TemporaryDirectory() as folder:
        path = convert(source, Path(folder))
        before = memory()
        start = perf_counter()
        p = tapecli.load(str(path), engine=engine)
        load = perf_counter() - start
    count = sum(value.size for value in p.start.values())
    if problem == "ba":
        value = timed(lambda: p.evaluate(of="residuals"), repeat)
        derivative = timed(p.sparse_jacobian, repeat)
        errors = dict(of_jacobian(known, p, value[2].values["residuals"], derivative[2]))
    else:
        value = timed(lambda: p.evaluate(of=None), repeat)
        derivative = timed(p.derivatives, repeat)
        found = derivative[2]
        errors = dict(of_gradient(known, float(found.value), flat(problem, found.gradient)))
    return {
        "unknowns": count,
        "load": load,
        "value": value[1],
        "first": derivative[0],
        "derivative": derivative[1],
        "memory": memory(),
        "before": before,
        "errors": errors,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("names", nargs="*", help="inputs such as gmm/test.txt; all that numbers are known of if none")
    parser.add_argument("--expected", type=Path)
    parser.add_argument("--engine", default="tape", choices=("tape", "numpy"))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--one", action="store_true", help="in this process, as JSON")
    given = parser.parse_args()
    expected = json.loads((given.expected or given.inputs / "expected.json").read_text())
    names = given.names or list(expected)
    if given.one:
        say(json.dumps(one(given.inputs / names[0], expected[names[0]], given.engine, given.repeat)))
        return 0
    times = " ".join(f"{what:>8}" for what in ("load", "value", "first", "deriv."))
    say(f"{'input':32} {'unknowns':>8} {times} {'memory':>9}  greatest error")
    good = True
    for name in names:
        command = [sys.executable, __file__, str(given.inputs), name, "--one", "--engine", given.engine]
        if given.expected:
            command += ["--expected", str(given.expected)]
        command += ["--repeat", str(given.repeat)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        times = " ".join(f"{found[key]:7.3f}s" for key in ("load", "value", "first", "derivative"))
        say(f"{name:32} {found['unknowns']:8} {times} {found['memory']:6.0f} MB  {max(found['errors'].values()):.1e}")
        for what, size in found["errors"].items():
            say(f"    {what:45} {size:.1e}{'' if size <= TOLERANCE else '  over the tolerance'}")
            good = good and size <= TOLERANCE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
