"""Every method of minimisation by name, and the choice among them that `auto` makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tapecli.errors import TapeError
from tapecli.optimize import first_order
from tapecli.optimize.descent import Descent
from tapecli.optimize.lagrangian import Lagrangian
from tapecli.optimize.lbfgs import LBFGS
from tapecli.optimize.method import Method
from tapecli.optimize.models import EXACT
from tapecli.optimize.schedules import COUNT, Option, Options, read_options, unknown
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import TrustRegion
from tapecli.records import NamedTuple


class Listed(NamedTuple):
    """A method of the table: what it is, its options, and how it is made of them."""

    help: str
    about: str
    options: tuple[Option, ...]
    make: Callable[[Options], Method]


_HISTORY = Option("history", 10.0, COUNT, "how many of the latest steps tell of the curvature")

#: The methods beyond first order. With `first_order.OPTIMIZERS` these are all that there are.
SECOND_ORDER: dict[str, Listed] = {
    "lbfgs": Listed(
        "L-BFGS: curvature from the latest gradients, bounds, many variables",
        "The recursion is that of Nocedal and Wright (Numerical Optimization, algorithm 7.4), the line search that of "
        "Lewis and Overton (2013), which serves functions with kinks as well.",
        (_HISTORY,),
        lambda o: LBFGS(int(o["history"])),
    ),
    "newton": Listed(
        "Newton's method in a trust region, on exact second derivatives",
        "Up to 256 variables it takes the Hessian and solves for the step exactly, also where it is indefinite "
        "(Moré and Sorensen, 1983); beyond, it takes products with the Hessian alone (Steihaug, 1983).",
        (),
        lambda o: TrustRegion("newton"),
    ),
    "lm": Listed(
        "Levenberg and Marquardt's method for sums of squares, on the exact Jacobian",
        "Trust region and scaling are those of Moré (1978). The model of a step is Gauss and Newton's or the exact "
        "quadratic one, whichever foretold the last step better (Dennis, Gay and Welsch, 1981). A run that gets stuck "
        "begins once more, solving for the parameters that the residuals are linear in (Golub and Pereyra, 1973).",
        (),
        lambda o: TrustRegion("lm"),
    ),
    "lagrangian": Listed(
        "augmented Lagrangian, for `subject to`",
        "Each step minimises the augmented Lagrangian by `newton` within the bounds (Nocedal and Wright, algorithm "
        "17.4); Newton's method on the conditions of Karush, Kuhn and Tucker ends it. `converged` means that these "
        "hold and that the Hessian of the Lagrangian is definite along the constraints.",
        (),
        lambda o: Lagrangian(),
    ),
}


def names() -> list[str]:
    """What --method takes, `auto` excepted."""
    return [*first_order.OPTIMIZERS, *SECOND_ORDER]


def helps() -> dict[str, str]:
    """Every method with its line of help."""
    return {name: e.help for name, e in first_order.OPTIMIZERS.items()} | {k: e.help for k, e in SECOND_ORDER.items()}


def options_of(name: str) -> tuple[Option, ...]:
    """The options of a method."""
    return SECOND_ORDER[name].options if name in SECOND_ORDER else first_order.OPTIMIZERS[name].options


def is_first_order(name: str) -> bool:
    return name.lower() in first_order.OPTIMIZERS


def make(name: str, options: Mapping[str, Any]) -> Method:
    """The method `name`; raises TapeError("usage") with what there is."""
    key = name.lower()
    if key in SECOND_ORDER:
        entry = SECOND_ORDER[key]
        return entry.make(read_options(key, entry.options, options))
    if key not in first_order.OPTIMIZERS:
        raise unknown("method", name, ["auto", *names()])
    return Descent(first_order.make(key, options))


def check(method: Method, target: Target) -> None:
    """Raises TapeError where a method cannot do what the problem asks."""
    if target.constraints is not None and method.name != "lagrangian":
        raise TapeError(
            "usage", f"`{method.name}` knows no constraints", hint="take --method lagrangian, or auto, for `subject to`"
        )
    if method.name == "lagrangian" and target.constraints is None:
        raise TapeError("usage", "`lagrangian` is for constraints, and there are none", hint="take --method auto")
    if method.name == "lm" and target.residuals is None:
        raise TapeError(
            "usage",
            "`lm` is for sums of squares, and the objective is none",
            hint="write fit y ~ …, or minimize sum((…)^2), or take --method newton",
        )


def choose(target: Target, kinks: Iterable[str], options: Mapping[str, Any]) -> tuple[str, dict[str, Any], str]:
    """The method that `auto` takes for a problem, its options, and why."""
    if target.constraints is not None:
        return "lagrangian", dict(options), "there are constraints"
    if options:
        return "adam", {"learning_rate": 0.05, **options}, "options of a first-order method were given"
    squares = target.residuals
    bounds = " within bounds" if target.bounded else ""
    if squares is not None and target.size <= EXACT and squares.entries * target.size <= 50_000_000:
        return (
            "lm",
            {},
            f"a sum of {squares.entries} square{'s' * (squares.entries != 1)} of {_count(target.size)}{bounds}",
        )
    kinks = sorted(set(kinks))
    if kinks:
        return "lbfgs", {}, f"the objective has kinks ({', '.join(kinks)}){bounds}"
    if target.size <= EXACT:
        return "newton", {}, f"a smooth function of {_count(target.size)}{bounds}"
    return "lbfgs", {}, f"a function of {_count(target.size)}{bounds}"


def _count(n: int, what: str = "variable") -> str:
    return f"{n} {what}{'s' * (n != 1)}"
