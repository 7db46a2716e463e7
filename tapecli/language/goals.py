"""Statements that say what to do with a formula: minimize, maximize and fit, with their methods and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapecli.errors import Place, TapeError, nearest, written_at
from tapecli.graph import Node, shape_text
from tapecli.language.formula import Goal, Output
from tapecli.language.machine import Machine
from tapecli.syntax import code as syntax

if TYPE_CHECKING:
    from tapecli.language.elaborate import Elaborator

#: What may stand after the objective.
SETTINGS = ("steps", "tol", "seed", "batch", "epochs")


def objective(e: Elaborator, s: syntax.Objective) -> None:
    place = e.place(s.start, s.end)
    one_goal(e, place)
    node = e.node(s.code, "an objective")
    if node.shape:
        raise TapeError(
            "shape",
            f"an objective is a number, and this is {shape_text(node.shape)}",
            place=place,
            hint="sum it: minimize sum(…)",
        )
    output = e.named_output(node, s.code, s.start, s.end)
    e.outputs.append(output)
    set_goal(e, s.kind, output, s.method, s.settings, None, place)


def fit(e: Elaborator, s: syntax.Fit) -> None:
    place = e.place(s.start, s.end)
    one_goal(e, place)
    m = e.machine
    left, right = e.value(s.left), e.value(s.right)
    residuals = difference = _paired(e, "sub", ("what is observed", left), ("the model", right), place)
    settings = {setting.name: setting for setting in s.settings}
    terms = residuals
    weights = sigma = None
    if "sigma" in settings and "weights" in settings:
        raise TapeError("type", "a fit has sigma or weights, not both", place=place)
    if "sigma" in settings:
        setting = settings["sigma"]
        sigma, where = e.value(setting.code), e.place(setting.start, setting.end)
        terms = residuals = _paired(e, "div", ("the residuals", residuals), ("`sigma`", sigma), where)
        weights = m.apply("power", sigma, exponent=-2.0)
    squares = m.apply("power", terms, exponent=2.0)
    if "weights" in settings:
        setting = settings["weights"]
        weights, where = e.value(setting.code), e.place(setting.start, setting.end)
        squares = _paired(e, "mul", ("`weights`", weights), ("the residuals", squares), where)
    total = m.apply("sum", squares, axes=tuple(range(squares.ndim)))
    output = Output(f"_{len(e.outputs) + 1}", total, place)
    e.outputs.append(output)
    rest = tuple(setting for setting in s.settings if setting.name not in ("sigma", "weights"))
    set_goal(e, "fit", output, s.method, rest, residuals, place)
    assert e.goal is not None
    parts = {"observed": m.node(left), "difference": m.node(difference), "fitted": m.node(right)}
    label = place.text.partition("~")[0].removeprefix("fit").strip()
    own = {name: None if x is None else m.node(x) for name, x in (("sigma", sigma), ("weights", weights))}
    e.goal = e.goal._replace(**parts, label=label, sigma=own["sigma"], weights=own["weights"])


def _paired(e: Elaborator, op: str, left: tuple[str, Any], right: tuple[str, Any], place: Place) -> Any:
    """An op between two parts of a fit, each with what it is called."""
    m = e.machine
    m.graph.here = place
    x, y = [m.node(value, name) for name, value in (left, right)]
    try:
        return m.apply(op, x, y)
    except TapeError as error:
        if error.code != "shape":
            raise
        sizes = f"{left[0]}: {shape_text(x.shape)}; {right[0]}: {shape_text(y.shape)}"
        raise TapeError(
            "shape",
            f"the parts of a fit need sizes that match: {sizes}",
            place=place,
            hint="they go together entry by entry",
        ) from None


def one_goal(e: Elaborator, place: Place) -> None:
    if e.goal is not None:
        raise TapeError("duplicate", f"a file has one objective, and line {e.goal.place.line} has it", place=place)


def set_goal(
    e: Elaborator,
    kind: str,
    output: Output,
    method: Any,
    settings: Any,
    residuals: Node | None,
    place: Place,
) -> None:
    values: dict[str, Any] = {}
    for setting in settings:
        where = e.place(setting.start, setting.end)
        if setting.name not in SETTINGS:
            close = nearest(setting.name, SETTINGS)
            hint = f"did you mean `{close}`?" if close else f"there is {', '.join(SETTINGS)}"
            raise TapeError("name", f"`{setting.name}` is no setting of {kind}", place=where, hint=hint)
        values[setting.name] = option(e, setting)
    options = {} if method is None else {given.name: option(e, given) for given in method.options}
    e.goal = Goal(kind, output, None if method is None else method.name, options, values, residuals, place)


def option(e: Elaborator, setting: syntax.Setting) -> Any:
    """The value of an option: a number, an array, or a learning-rate schedule."""

    def schedule(m: Machine, name: str, args: list[Any], keys: dict[str, Any]) -> Any:
        keyed = {key: e.evaluate(m.node(value)).tolist() for key, value in keys.items()}
        with written_at(e.place(setting.start, setting.end)):
            return e.context.schedule(name, [e.evaluate(m.node(arg)).tolist() for arg in args], keyed)

    e.machine.options["schedule"] = schedule
    try:
        value = e.value(setting.code)
    finally:
        e.machine.options["schedule"] = None
    return e.evaluate(value).tolist() if isinstance(value, Node) else value
