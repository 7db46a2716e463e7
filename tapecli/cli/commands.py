"""What each command does with one formula: options in, one call, report out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tapecli.errors import TapeError

if TYPE_CHECKING:
    from tapecli.core import Array
    from tapecli.problem import Problem
    from tapecli.report import Report

Point = dict[str, "Array"]


def points(problem: Problem, words: Any) -> Iterator[tuple[int | None, Point | None]]:
    """Where to evaluate, and the number of the row where --at names a file of points."""
    files = [k for k, word in enumerate(words) if word.startswith("@")]
    if not files:
        yield None, problem.place(words) if words else None
        return
    k = files[0]
    before, after = problem.place(words[:k]), problem.place(words[k + 1 :])
    for row, at in enumerate(problem.rows(words[k][1:]), 1):
        yield row, {**before, **at, **after}


def evaluate(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    r = problem.evaluate(at=at, of=v["of"])
    report.evaluation(r, row, _blame(problem, r))


def gradient(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    r = problem.derivatives(order=1, at=at, wrt=v["wrt"], of=v["of"])
    report.derivatives(r, row, _blame(problem, r))


def hessian(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    if v["sparse"]:
        if v["hvp"]:
            raise TapeError(
                "usage", "--sparse and --hvp exclude each other", hint="a product is a vector: leave --sparse out"
            )
        base = problem.derivatives(order=1, at=at, wrt=v["wrt"], of=v["of"])
        m = problem.sparse_hessian(at=at, wrt=v["wrt"], of=v["of"])
        report.coordinates("hessian", base, m, row, _blame(problem, base))
        return
    if v["hvp"]:
        r = problem.product(problem.place(v["hvp"]), at=at, wrt=v["wrt"], of=v["of"])
    else:
        r = problem.derivatives(order=2, at=at, wrt=v["wrt"], of=v["of"])
    report.derivatives(r, row, _blame(problem, r))


def jacobian(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    if v["sparse"]:
        m = problem.sparse_jacobian(at=at, wrt=v["wrt"], of=v["of"])
        report.coordinates("jacobian", problem.evaluate(at=at, of=m.of), m, row, None)
        return
    r = problem.jacobian(at=at, wrt=v["wrt"], of=v["of"])
    report.derivatives(r, row, _blame(problem, r))


def check(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    found = problem.check(at=at)
    if not v["update"]:
        report.check(found, row)
        return
    from tapecli.cli.update import update

    report.check(found, row, update(problem, found, v["force"]))


#: the options of `minimize` that say how it is run: see `tapecli.problem.runs`
RUN = (
    "batch", "epochs", "seed", "max_evaluations", "starts", "jobs", "checkpoint", "checkpoint_every", "resume", "force"
)  # fmt: skip


def minimize(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    r = problem.minimize(
        method=v["method"],
        at=at,
        steps=v["steps"],
        tol=v["tol"],
        options=v["options"] or None,
        callback=report.watcher(row),
        timeout=v["timeout"],
        **{name: v[name] for name in RUN},
        sensitivity=v["sensitivity"],
    )
    goal = problem.formula.goal
    report.minimum(r, row, tolerance_asked=v["tol"] is not None or (goal is not None and "tol" in goal.settings))
    report.picture(problem, r)


def fit(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    r = problem.fit(
        method=v["method"],
        at=at,
        steps=v["steps"],
        tol=v["tol"],
        loss=v["loss"],
        loss_scale=v["loss_scale"],
        confidence=v["confidence"],
        profile=v["profile"],
        sigma_known=v["sigma_known"],
        callback=report.watcher(row),
        timeout=v["timeout"],
        **{name: v[name] for name in RUN if name not in ("batch", "epochs")},
    )
    goal = problem.formula.goal
    report.fit(r, row, tolerance_asked=v["tol"] is not None or (goal is not None and "tol" in goal.settings))
    report.picture(problem, r)


def differentiate(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    report.derivation(problem.diff(v["wrt"], v["of"], at=at, order=v["order"], form=v["form"]), row)


def bench(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    r = problem.bench(at=at, of=v["of"])
    report.bench(r, row, _blame(problem, r.result))


def trace(problem: Problem, v: Any, report: Report) -> None:
    """One trace, and one call of it for each point."""
    traced = problem.traced(of=v["of"], order=1)
    results = [traced.run(at) for at in calls(problem, v["at"])]
    blame = next((found for r in results if (found := _blame(problem, r)) is not None), None)
    report.trace(str(v["show"]), traced.show(v["show"]), results, traced.traces, blame)


def calls(problem: Problem, words: Any) -> Iterator[Point | None]:
    """The points of --at, one call each: the next call begins where a name is set again or another point is named.

    What is not set again stays: `--at x=0 --at y=1 --at x=2` calls at (0, 1) and (2, 1).
    """
    before: list[str] = []
    call: dict[str, str] = {}
    for word in words:
        name = word.partition("=")[0].strip() if "=" in word else ""
        is_point, is_file = not name, word.startswith("@")
        if call and (is_point or is_file or name in call):
            before += call.values()
            yield problem.place(before)
            call = {}
        if is_point:
            before = []
        if is_file:
            yield from problem.rows(word[1:])
        else:
            call[name] = word
    if call or not words:
        yield problem.place([*before, *call.values()]) if call else None


#: command -> what it does at one point; `trace` takes its points together, `ops` takes none
BODIES = {
    "eval": evaluate,
    "grad": gradient,
    "hess": hessian,
    "jac": jacobian,
    "minimize": minimize,
    "fit": fit,
    "check": check,
    "diff": differentiate,
    "bench": bench,
}


def run(command: str, problem: Problem, v: Any, report: Report) -> None:
    """A command on one formula, at every point asked for. A row that fails does not keep the others from running."""
    if command == "trace":
        trace(problem, v, report)
        return
    body: Any = BODIES[command]
    for row, at in points(problem, v["at"]):
        if row is None:
            body(problem, v, at, row, report)
            continue
        try:
            body(problem, v, at, row, report)
        except TapeError as error:
            report.error(error, row)
        if v["fail_fast"] and report.failed():
            return


def _blame(problem: Problem, r: Any) -> TapeError | None:
    """Which operation made the result not finite, where it is not."""
    from tapecli.report.records import finite

    return None if finite(r) else problem.blame(r)
