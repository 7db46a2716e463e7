"""What the calls of a problem answer with: frozen records whose fields are those of the command line's JSON.

What a formula is at a point is in `evaluations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.optimize.evidence import Evidence


class Step(NamedTuple):
    """One step of a minimisation, the start being step 0, as callbacks and logs see it."""

    step: int
    steps: int
    value: float
    gradient_norm: float
    rate: float | None
    at: dict[str, Array]


class Found(NamedTuple):
    """A minimum that several starts were to find, and how many of them ended there."""

    value: float
    at: dict[str, Array]
    found: int


class Strayed(NamedTuple):
    """An entry of a variable that has gone far from where it began."""

    name: str
    start: float
    end: float


class Minimum(NamedTuple):
    """How a minimisation ended. `stop_reason` is one of `STOP_REASONS`; `best` is the best finite point that was seen.

    `value` is that of the objective as written: of `maximize` the maximum.

    chosen       why the method was taken, where the choice was left open
    evidence     what exact derivatives say of the point, where the run came to an end of its own
    violation    by how much constraints are violated at most, None where there are none
    sensitivity  by constant, then variable: d(optimum)/d(constant), (variable's shape) + (constant's shape)
    trouble      where the numbers ran off, and what may help
    minima       of several starts: the distinct minima, best first
    starts       how many starts came to an end
    notes        what there is to say about how it was run
    usual        whether the limit of steps is the usual one, which nobody asked for
    strayed      by entry, start and end of what has gone far from where it began, the farthest first
    """

    of: str
    method: str
    steps: int
    evaluations: int
    stop_reason: str
    converged: bool
    value: float
    at: dict[str, Array]
    gradient_norm: float
    seconds: float
    best_value: float
    best_at: dict[str, Array]
    traces: int
    dtype: str
    engine: str
    chosen: str | None = None
    evidence: Evidence | None = None
    violation: float | None = None
    sensitivity: dict[str, dict[str, Array]] | None = None
    trouble: TapeError | None = None
    minima: tuple[Found, ...] = ()
    starts: int = 1
    notes: tuple[str, ...] = ()
    usual: bool = False
    strayed: tuple[Strayed, ...] = ()

    @property
    def ending(self) -> str:
        """Why it stopped, as a sentence."""
        if self.stop_reason == "steps" and self.usual:
            return f"the usual limit of {self.steps:,} steps was reached"
        return STOP_REASONS.get(self.stop_reason, self.stop_reason)


class Parameter(NamedTuple):
    """A parameter of a fit, all of its shape: NaN stands for a number that there is not. `at_bound` is true where the
    value lies on a bound that it would go beyond; such a parameter counts as fixed."""

    value: Array
    standard_error: Array
    lower: Array
    upper: Array
    at_bound: Array


class Fit(NamedTuple):
    """A fit: how the minimisation ended, and what it says of the parameters.

    names         of the entries of all parameters, in the order of the rows of `covariance` and `correlation`
    runs          the test of runs: runs, expected, p_value; None where there are too few signs
    undetermined  what these data determine where they do not determine every parameter, else None
    interval      of what kind `lower` and `upper` are: t, normal or profile
    """

    minimum: Minimum
    parameters: dict[str, Parameter]
    residual_sum_of_squares: float
    residual_standard_deviation: float
    degrees_of_freedom: int
    observations: int
    names: tuple[str, ...]
    covariance: Array
    correlation: Array
    r_squared: float
    aic: float
    bic: float
    runs: dict[str, float] | None
    undetermined: str | None
    confidence: float
    interval: str
    loss: str

    @property
    def at(self) -> dict[str, Array]:
        return self.minimum.at

    @property
    def stop_reason(self) -> str:
        return self.minimum.stop_reason

    @property
    def converged(self) -> bool:
        return self.minimum.converged

    @property
    def dtype(self) -> str:
        return self.minimum.dtype

    @property
    def engine(self) -> str:
        return self.minimum.engine


#: why a minimisation stopped -> the sentence that people read
STOP_REASONS: dict[str, str] = {
    "steps": "all steps that were asked for are done",
    "gradient_tolerance": "the gradient is within the tolerance",
    "value_tolerance": "the value no longer changes beyond the tolerance",
    "step_tolerance": "the steps are smaller than the tolerance",
    "target": "the value asked for is reached",
    "max_evaluations": "the limit of evaluations was reached first",
    "timeout": "the time limit was reached first",
    "interrupted": "interrupted",
    "nonfinite": "the numbers ran off",
    "stalled": "no further progress was possible",
}


class Worst(NamedTuple):
    """Where two sides that should be equal differ most, measured by what they may differ: the entry (from 1, empty for
    a number), the difference, that over the wanted value where it is not 0, and the tolerance there; `beyond` of `size`
    entries differ by more than theirs."""

    entry: tuple[int, ...]
    difference: float
    relative: float | None
    tolerance: float
    beyond: int
    size: int


class Expectation(NamedTuple):
    """One `expect` line and what became of it. `worst` is there where `==` or `!=` compares; `value_place` is where
    the value that it wants stands, where that is an expression of its own."""

    line: int
    text: str
    ok: bool
    got: Any
    wanted: Any
    place: Any
    relation: str | None = None
    worst: Worst | None = None
    value_place: Any = None


class DerivativeCheck(NamedTuple):
    """One derivative beside its independent numerical estimate; `error` is relative to the derivative's scale. Where
    the estimate is too uncertain to judge by, `decided` is false, and `ok` is true for want of evidence against it."""

    wrt: str
    order: int
    ok: bool
    tape: Any
    numerical: Any
    error: float
    method: str
    decided: bool = True


class Check(NamedTuple):
    """What `check` found: `ok` where every expectation held and no derivative failed."""

    of: str | None
    at: dict[str, Array]
    expectations: tuple[Expectation, ...]
    derivatives: tuple[DerivativeCheck, ...]
    dtype: str
    engine: str

    @property
    def ok(self) -> bool:
        return all(e.ok for e in self.expectations) and all(d.ok for d in self.derivatives)

    @property
    def undecided(self) -> int:
        """How many derivatives nothing can be said of."""
        return sum(not d.decided for d in self.derivatives)
