"""What a result means for whoever asked: the error or the warning that goes with it, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tapecli.errors import CODES, TapeError
from tapecli.report import INTERRUPTED
from tapecli.report.faults import Fault
from tapecli.report.numbers import rough
from tapecli.report.text import clean, count

if TYPE_CHECKING:
    from tapecli.problem.results import Check, DerivativeCheck, Expectation, Minimum
    from tapecli.problem.updating import Update

#: computed, but the answer is no
NO = 1

#: A gradient below this, relative to the value, is no reason to warn: what is left is rounding.
FLAT = {"float64": 1e-6, "float32": 1e-3}

_ADVICE = {
    "nonfinite": "try a smaller --learning-rate, another start (--at) or another --method",
    "timeout": "give it more time (--timeout), or start nearer (--at)",
    "max_evaluations": "start nearer (--at), or try another --method",
    "stalled": "start elsewhere (--at), or try another --method",
    "steps": "more --steps, another --learning-rate or another --method may get there",
}


def of_minimum(r: Minimum, tolerance_asked: bool) -> tuple[int, TapeError | None, Fault | None]:
    """The exit status of a minimisation, its error where it failed, and a warning where it is not to be trusted."""
    reason = r.stop_reason
    norm = f"the gradient norm is still {rough(r.gradient_norm)}"
    if reason == "interrupted":
        message = f"interrupted after {r.steps} steps; {norm}"
        return INTERRUPTED, None, Fault("warning", "minimize", message, None, None, None)
    if reason == "nonfinite":
        message = f"the numbers ran off: after {r.steps} steps the value or its gradient is not finite"
        return CODES["nonfinite"][0], r.trouble or TapeError("nonfinite", message, hint=_ADVICE[reason]), None
    if r.converged:
        return 0, None, None
    told = _told(r)
    if told is not None and reason != "stalled":
        return 0, None, Fault("warning", "minimize", f"not converged: {told}{_far(r)}", None, None, None)
    small = r.gradient_norm <= FLAT[r.dtype] * max(1.0, abs(r.value)) and not r.strayed
    if reason == "steps" and not tolerance_asked and small and (r.violation or 0.0) <= 1e-6:
        return 0, None, None  # nobody asked for more, and it looks like a minimum
    if r.violation is not None and r.violation > 1e-6:
        norm = f"constraints are still violated by {rough(r.violation)}"
    message = f"not converged: {r.ending}, and {norm}{_far(r)}"
    if reason in ("timeout", "max_evaluations", "stalled") or (reason == "steps" and tolerance_asked):
        return CODES["limit"][0], TapeError("limit", message, hint=_advice(r)), None
    return 0, None, Fault("warning", "minimize", message, None, None, _advice(r))


def _advice(r: Minimum) -> str | None:
    from tapecli.optimize.methods import is_first_order

    if r.strayed:
        name = clean(r.strayed[0].name.split("[")[0])
        return f"bound what runs off: var {name} = … in [0, 10]; or start elsewhere (--at)"
    if r.stop_reason == "steps" and not is_first_order(r.method):
        return "more --steps, or start nearer (--at)"
    return _ADVICE.get(r.stop_reason)


def remark(note: str) -> Fault:
    """Something to be told beside a result."""
    return Fault("warning", "minimize", note, None, None, None)


def _far(r: Minimum) -> str:
    """Which variable has run off, to be added to a message."""
    if not r.strayed:
        return ""
    one, *more = r.strayed
    others = f", and {count(len(more), 'other entry', 'other entries')} about as far" if more else ""
    return (
        f"; {clean(one.name)} has run off from {rough(one.start)} to {rough(one.end)}{others}: "
        "there may be no minimum at a finite point"
    )


def _told(r: Minimum) -> str | None:
    """What speaks against a minimum, in words."""
    e = r.evidence
    if e is None or e.holds:
        return None
    if e.kind == "saddle" and e.beside == "lower":
        return (
            "the point is no minimum: the gradient is 0 and the Hessian singular there, and values beside it are lower"
        )
    if e.kind == "saddle":
        return "the point is a saddle: the gradient is 0 there, but the value falls in some direction"
    if e.kind == "slope" and e.beside == "lower":
        return "the point is no minimum: values very near it are lower"
    if e.kind == "slope" and r.violation is not None and e.distance is None:
        return "the conditions of optimality do not hold there, or only within the tolerance: nothing shows a minimum"
    if e.kind == "slope" and e.distance is None:
        return "the slopes around the point tell of no minimum near it: the value still falls, if slowly"
    if e.kind == "slope":
        return "the value still falls: a Newton step would go on"
    if e.beside == "level":
        return "the objective is flat there: in some direction neither derivatives nor values nearby change"
    if e.beside == "mixed":
        return "the objective is flat there: to one side neither derivatives nor values nearby change"
    if e.beside == "higher":
        return "the Hessian is singular there and proves nothing; as far as values nearby show, the point is a minimum"
    return "the Hessian is singular there, so it cannot be told whether this is a minimum"


class Case:
    """One thing that was tried: `status` is passed, failed, error or skipped; `faults` are what was wrong with it."""

    __slots__ = ("faults", "name", "said", "status")

    def __init__(self, name: str, status: str, faults: Sequence[Fault] = (), said: str = "") -> None:
        self.name = name
        self.status = status
        self.faults = tuple(faults)
        self.said = said

    def named(self, name: str) -> Case:
        return Case(name, self.status, self.faults, self.said)


def of_check(r: Check, update: Update | None = None) -> list[Case]:
    """What became of every expectation and every derivative, with the faults of those that failed."""
    written = {change.number for change in update.changes} if update is not None else set()
    cases = [_expectation(e, r.dtype == "float32", k in written) for k, e in enumerate(r.expectations)]
    return cases + [_derivative(d, r.of) for d in r.derivatives]


def _expectation(e: Expectation, single: bool, written: bool) -> Case:
    name = f"line {e.line}: {e.text}"
    if e.ok or written:
        return Case(name, "passed")
    from tapecli.report.shown import brief, difference

    message = f"`{e.text}` does not hold"
    place = e.place if e.value_place is None else e.value_place
    fault = Fault("error", "expect", message, place, f"got {brief(e.got, single)}", None, difference(e, single))
    return Case(name, "failed", (fault,))


def _derivative(d: DerivativeCheck, of: str | None) -> Case:
    what = {1: "the gradient", 2: "the Hessian"}.get(d.order, f"the derivative of order {d.order}")
    name = f"{what.removeprefix('the ')} {d.wrt}"
    if not d.decided:
        return Case(name, "skipped", said="undecided: the numerical estimate is too uncertain to judge by")
    if d.ok:
        return Case(name, "passed")
    said = f" of {of}" if of else ""
    message = f"{what}{said} with respect to {d.wrt} differs from the numerical one by {rough(d.error)}"
    hint = "a kink or a jump near the point can do this; anything else is a fault of tapecli: please report it"
    return Case(name, "failed", (Fault("error", "derivative", message, None, None, hint),))
