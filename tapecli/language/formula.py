"""`Formula`: what a formula file says, as a graph and the names that stand for its nodes."""

from __future__ import annotations

from typing import Any

from tapecli.core import Array
from tapecli.errors import Place, Source, TapeError
from tapecli.graph import Graph, Node
from tapecli.records import NamedTuple


class Input(NamedTuple):
    """A var, a const or a column of data: a leaf of the graph. `value` is its start value in double precision, None
    where it has none; bounds are None where there are none."""

    name: str
    kind: str
    node: Node
    value: Array | None
    lower: Array | None
    upper: Array | None
    place: Place


class Output(NamedTuple):
    """Something that `eval` prints: a bare expression or the objective."""

    name: str
    node: Node
    place: Place


class Goal(NamedTuple):
    """The objective: `kind` is minimize, maximize or fit. `method` and `options` come from `using`, `settings` are
    steps, tol and the like. Of a fit, `residuals` are divided by sigma; `observed` is its left side, `difference` left
    minus right, `weights` what each square of a difference counts (None: 1), `sigma` what these come from if that is
    given, `fitted` its right side, `label` its left side as it is written."""

    kind: str
    output: Output
    method: str | None
    options: dict[str, Any]
    settings: dict[str, Any]
    residuals: Node | None
    place: Place
    observed: Node | None = None
    difference: Node | None = None
    weights: Node | None = None
    sigma: Node | None = None
    fitted: Node | None = None
    label: str = ""


class Expected(NamedTuple):
    """An `expect` line: two sides and their relation, or one condition. `at` overrides values. `fault` is what is wrong
    with it for the shapes that this formula was built with, where it may be right for those of its own point."""

    text: str
    relation: str | None
    left: Node | None
    right: Node | None
    within: float | None
    at: dict[str, Array]
    fault: TapeError | None
    place: Place


class Constraint(NamedTuple):
    """`left relation right` after `subject to`."""

    left: Node
    relation: str
    right: Node
    place: Place


class Formula(NamedTuple):
    """A formula file, built. `names` are all values that a name stands for; `fixed` are the inputs whose numbers the
    shape of the graph rests on, so that another number for one of them means building anew."""

    source: Source
    graph: Graph
    inputs: dict[str, Input]
    names: dict[str, Node]
    outputs: tuple[Output, ...]
    goal: Goal | None
    expected: tuple[Expected, ...]
    constraints: tuple[Constraint, ...]
    points: dict[str, dict[str, Array]]
    fixed: frozenset[str]
    warnings: tuple[TapeError, ...]
