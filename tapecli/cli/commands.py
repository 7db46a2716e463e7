"""What each command does with one formula: options in, one call, report out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from tapecli.errors import TapeError

if TYPE_CHECKING:
    from tapecli.core import Array
    from tapecli.problem import Problem
    from tapecli.problem.points import Rows
    from tapecli.report import Report

Point = dict[str, "Array"]


def rows_of(problem: Problem, words: Any) -> Rows | None:
    """The points of the file that --at names, with the values that the words before and after it give; None where it
    names none."""
    files = [k for k, word in enumerate(words) if word.startswith("@")]
    if not files:
        return None
    k = files[0]
    return problem.rows(words[k][1:]).within(problem.place(words[:k]), problem.place(words[k + 1 :]))


def told(problem: Problem, r: Any, row: int | None, report: Report) -> None:
    """A result, with what made it not finite where it is not."""
    from tapecli.problem.evaluations import Evaluation

    tell: Any = report.evaluation if isinstance(r, Evaluation) else report.derivatives
    tell(r, row, _blame(problem, r))


def evaluate(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    told(problem, problem.evaluate(at=at, of=v["of"]), row, report)


def gradient(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    told(problem, problem.derivatives(order=1, at=at, wrt=v["wrt"], of=v["of"]), row, report)


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
    told(problem, r, row, report)


def jacobian(problem: Problem, v: Any, at: Point | None, row: int | None, report: Report) -> None:
    if v["sparse"]:
        m = problem.sparse_jacobian(at=at, wrt=v["wrt"], of=v["of"])
        report.coordinates("jacobian", problem.evaluate(at=at, of=m.of), m, row, None)
        return
    told(problem, problem.jacobian(at=at, wrt=v["wrt"], of=v["of"]), row, report)


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
#: command -> what it asks at each row of a file of points, where it does that for all rows together
SWEPT = {"eval": "value", "grad": "gradient", "hess": "hessian", "jac": "jacobian"}


def run(command: str, problem: Problem, v: Any, report: Report) -> None:
    """A command on one formula, at every point asked for. A row that fails does not keep the others from running."""
    if command == "trace":
        trace(problem, v, report)
        return
    rows = rows_of(problem, v["at"])
    if rows is None:
        BODIES[command](problem, v, problem.place(v["at"]) if v["at"] else None, None, report)
        return
    for row, tell in enumerate(_tellers(command, problem, v, rows, report), 1):
        try:
            tell(row)
        except TapeError as error:
            report.error(error, row)
        if v["fail_fast"] and report.failed():
            return


def _tellers(command: str, problem: Problem, v: Any, rows: Rows, report: Report) -> Iterator[Callable[[int], None]]:
    """For each row a function that is handed its number and reports its result, or raises what stands in its way."""
    from tapecli.problem.asking import answers

    def tell(r: Any, row: int) -> None:
        if isinstance(r, TapeError):
            raise r
        told(problem, r, row, report)

    def run_at(at: Point, row: int) -> None:
        BODIES[command](problem, v, at, row, report)

    if command in SWEPT and not v.get("sparse") and not v.get("hvp"):
        for r in answers(problem, SWEPT[command], rows, v.get("wrt"), v["of"]):
            yield partial(tell, r)
        return
    for at in rows:
        yield partial(run_at, at)


def _blame(problem: Problem, r: Any) -> TapeError | None:
    """Which operation made the result not finite, where it is not."""
    from tapecli.report.records import finite

    return None if finite(r) else problem.blame(r)
