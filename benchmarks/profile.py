"""A performance profile of minimisers by evaluations (Dolan and Moré, Math. Program. 91, 2002).

    python benchmarks/profile.py [FOLDER] [--accuracy 1e-6] [--json]

For every formula file of the folder (default: benchmarks/problems) it counts at how many points each method evaluates
the objective until the value has come down to f* + accuracy · (f(start) - f*), f* being the least value that any method
finds, unless a file `expected.json` beside them names it (`f_best`). An evaluation gives the value and whatever exact
derivatives the method asks for at that point; all methods get them from the same compiled functions. SciPy's methods
run with tolerances so tight that they stop where they can do no more.

It prints, for each method, on how many problems it was the one with the fewest evaluations, within twice and within ten
times as many, and how many it solved at all; and how often it claimed success where the value was none of a minimum
that any method found. SciPy is needed: pip install scipy.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tapecli as tp
from tapecli.optimize import loop
from tapecli.problem.minimizing import run_of
from tapecli.problem.targets import target_of

#: Methods that know no bounds.
UNBOUNDED = ("SciPy trust-exact", "SciPy Newton-CG", "SciPy BFGS", "SciPy least_squares lm")
#: Evaluations after which a method has failed.
MOST = 5000
INFINITE = math.inf


class Counted:
    """The objective of a target for SciPy: counts points, and remembers when the value first was below each level."""

    def __init__(self, target: Any, squares: bool = False) -> None:
        self.target, self.squares = target, squares
        self.history: list[float] = []

    def note(self, value: float) -> None:
        self.history.append(value if math.isfinite(value) else math.inf)
        if len(self.history) >= MOST:
            raise StopIteration

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.target.gradient(x)
        self.note(value)
        return value, gradient

    def residuals(self, x: np.ndarray) -> np.ndarray:
        spec = self.target.residuals
        r, _ = self.target.columns("residuals", spec.function, x)
        self.note(float(r @ r) + spec.offset)
        return r

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return self.target.columns("residuals", self.target.residuals.function, x)[1]


def scipy_minimize(method: str, **options: Any) -> Callable[[Any], tuple[list[float], bool]]:
    def run(target: Any) -> tuple[list[float], bool]:
        from scipy import optimize

        counted = Counted(target)
        bounds = optimize.Bounds(target.low, target.high) if target.bounded else None
        extra: dict[str, Any] = {"bounds": bounds} if method in ("L-BFGS-B", "trust-constr", "SLSQP", "TNC") else {}
        if method in ("trust-exact", "Newton-CG"):
            extra["hess"] = target.hessian
        try:
            found = optimize.minimize(
                counted.value_and_gradient,
                target.flat(target.starts),
                jac=True,
                method=method,
                options=options,
                **extra,
            )
        except StopIteration:
            return counted.history, False
        return counted.history, bool(found.success)

    return run


def scipy_least_squares(method: str) -> Callable[[Any], tuple[list[float], bool]]:
    def run(target: Any) -> tuple[list[float], bool]:
        from scipy import optimize

        if target.residuals is None or (method == "lm" and target.residuals.entries < target.size):
            return [], False
        counted = Counted(target, squares=True)
        extra: dict[str, Any] = {"bounds": (target.low, target.high)} if method == "trf" and target.bounded else {}
        try:
            found = optimize.least_squares(
                counted.residuals, target.flat(target.starts), counted.jacobian, method=method, x_scale="jac",
                ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=MOST, **extra,
            )  # fmt: skip
        except (StopIteration, ValueError):
            return counted.history, False
        return counted.history, bool(found.success)

    return run


def ours(problem: Any, method: str | None) -> tuple[list[float], bool]:
    """A run of tapecli's: the value after every evaluation, as far as steps tell."""
    sign = -1.0 if problem.formula.goal.kind == "maximize" else 1.0
    target = target_of(problem, {}, sign)
    history: list[float] = []
    seen = loop.run

    def watched(chosen: Any, goal: Any, limits: Any, see: Any = None, *rest: Any, **more: Any) -> Any:
        def look(state: Any) -> None:
            history.extend([math.inf] * (state.evaluations - len(history) - 1) + [state.value])

        return seen(chosen, goal, limits, look, *rest, **more)

    loop.run = watched  # type: ignore[assignment]
    try:
        run = run_of(problem, {}, target, sign, method, None, None, {}, None, None)
    finally:
        loop.run = seen
    return history, run.converged


METHODS: dict[str, Callable[[Any, Any], tuple[list[float], bool]]] = {
    "tapecli auto": lambda problem, target: ours(problem, "auto"),
    "tapecli newton": lambda problem, target: ours(problem, "newton"),
    "tapecli lbfgs": lambda problem, target: ours(problem, "lbfgs"),
    "SciPy least_squares trf": lambda problem, target: scipy_least_squares("trf")(target),
    "SciPy least_squares lm": lambda problem, target: scipy_least_squares("lm")(target),
    "SciPy trust-exact": lambda problem, target: scipy_minimize("trust-exact", gtol=1e-12, maxiter=MOST)(target),
    "SciPy Newton-CG": lambda problem, target: scipy_minimize("Newton-CG", xtol=1e-12, maxiter=MOST)(target),
    "SciPy BFGS": lambda problem, target: scipy_minimize("BFGS", gtol=1e-12, maxiter=MOST)(target),
    "SciPy L-BFGS-B": lambda problem, target: scipy_minimize(
        "L-BFGS-B", ftol=1e-16, gtol=1e-12, maxiter=MOST, maxfun=MOST
    )(target),
}


def measure(folder: Path, accuracy: float) -> tuple[dict[str, dict[str, float]], dict[str, list[str]], int]:
    """Evaluations by method and problem, and the problems where a method claimed too much."""
    known_file = folder / "expected.json"
    known = json.loads(known_file.read_text()) if known_file.exists() else {}
    costs: dict[str, dict[str, float]] = {name: {} for name in METHODS}
    wrong: dict[str, list[str]] = {name: [] for name in METHODS}
    files = sorted(folder.glob("*.tape"))
    for path in files:
        problem = tp.load(path)
        sign = -1.0 if problem.formula.goal.kind == "maximize" else 1.0
        target = target_of(problem, {}, sign)
        start = target.value(target.flat(target.starts))
        runs = {}
        for name, run in METHODS.items():
            if target.bounded and name in UNBOUNDED:
                continue
            runs[name] = run(problem, target_of(problem, {}, sign))
        least = min((min(history) for history, _ in runs.values() if history), default=math.inf)
        if known.get(path.name, {}).get("f_best") is not None:
            least = min(least, sign * known[path.name]["f_best"])
        level = least + accuracy * (start - least)
        ends = [history[-1] for history, _ in runs.values() if history]
        for name in METHODS:
            history, success = runs.get(name, ([], False))
            costs[name][path.stem] = next((k + 1.0 for k, value in enumerate(history) if value <= level), INFINITE)
            minima = [v for v in ends if sum(_same(v, other) for other in ends) > 1]
            if success and min(history) > level and not any(_same(min(history), v) for v in minima):
                wrong[name].append(path.stem)
    return costs, wrong, len(files)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-4 * max(abs(one), abs(other), 1e-9)


def table(costs: dict[str, dict[str, float]], wrong: dict[str, list[str]], count: int) -> list[dict[str, Any]]:
    """The profile at 1, 2 and 10, and in the limit."""
    problems = next(iter(costs.values())).keys()
    best = {p: min(row[p] for row in costs.values()) for p in problems}
    rows = []
    for name, row in costs.items():
        ratios = [row[p] / best[p] for p in problems if math.isfinite(best[p]) and math.isfinite(row[p])]
        share = {str(t): round(sum(r <= t for r in ratios) / count, 3) for t in (1, 2, 10)}
        rows.append({"method": name, "within": share, "solved": len(ratios), "of": count, "wrong": wrong[name]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="a performance profile by evaluations")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent / "problems")
    parser.add_argument("--accuracy", type=float, default=1e-6)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        rows = table(*measure(given.folder, given.accuracy))
    if given.json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    lines = ["| method | fewest | within 2 times | within 10 times | solved | claimed too much |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        shares = " | ".join(f"{100 * share:.0f} %" for share in row["within"].values())
        lines.append(f"| {row['method']} | {shares} | {row['solved']}/{row['of']} | {len(row['wrong'])} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
