"""The methods beyond first order: that they find minima, keep bounds, go on from files, and do not claim too much."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.errors import TapeError
from tapecli.optimize import loop, methods
from tapecli.optimize.evidence import judge
from tapecli.optimize.method import State
from tapecli.optimize.quadratic import shortest, truncated
from tapecli.problem.minimizing import target_of

ROSENBROCK = "var x = -1.2, y = 1\nminimize 100*(y - x^2)^2 + (1 - x)^2"
SMOOTH = "var x = 2, y = -1\nminimize exp(x - 1) - x + y^4/4 + x*y/5 + y^2"
BOUNDED = "var x[3] = 0.5 in [0, 1]\nminimize sum((x - [2, 0.25, -1])^2) + x[1]*x[2]"
CONSTRAINED = (
    "var x = 0.5, y = 0.5\nminimize (x-2)^2 + (y-1)^2\nsubject to x - 2*y + 1 == 0\nsubject to x^2/4 + y^2 <= 1"
)


def target(text: str) -> Any:
    return target_of(tp.parse(text), {}, 1.0)


@pytest.mark.parametrize("name", ["lm", "newton", "lbfgs"])
def test_a_curved_valley(name: str) -> None:
    found = tp.parse(ROSENBROCK).minimize(method=name)
    assert found.converged
    assert found.evidence is not None
    assert found.evidence.kind == "minimum"
    assert float(found.at["x"]) == pytest.approx(1.0, abs=1e-9)
    assert found.method == name
    assert found.chosen is None


@pytest.mark.parametrize(
    ("name", "text"),
    [("lm", ROSENBROCK), ("newton", SMOOTH), ("lbfgs", SMOOTH), ("newton", BOUNDED), ("lagrangian", CONSTRAINED)],
)
def test_a_run_goes_on_from_a_file_with_the_same_bits(name: str, text: str, tmp_path: Path) -> None:
    method = methods.make(name, {})
    whole = loop.run(method, target(text), loop.Limits(100))
    half = loop.run(method, target(text), loop.Limits(max(whole.state.step // 2, 0)))
    np.savez(tmp_path / "run.npz", **half.state.flat())
    with np.load(tmp_path / "run.npz") as file:
        state = State.restored(dict(file))
    again = loop.run(methods.make(name, {}), target(text), loop.Limits(100), state=state)
    assert again.stop_reason == whole.stop_reason
    one, other = again.state.flat(), whole.state.flat()
    assert one.keys() == other.keys()
    assert all(one[key].tobytes() == other[key].tobytes() for key in one)


@pytest.mark.parametrize("name", ["lm", "newton", "lbfgs"])
def test_bounds(name: str) -> None:
    text = "var x[3] = 0.5 in [0, 1]\nminimize sum((x - [2, 0.25, -1])^2)"
    seen: list[Any] = []
    found = tp.parse(text).minimize(method=name, callback=lambda step: seen.append(step.at["x"]))
    assert found.at["x"] == pytest.approx([1.0, 0.25, 0.0], abs=1e-12)
    assert found.converged
    assert all(np.all((x >= 0) & (x <= 1)) for x in seen)


def test_a_bound_along_which_the_value_is_linear() -> None:
    found = tp.parse("var x[3] = [1, 1, 1] in [0, [1, 2, 3]]\nminimize 2 - prod(x)").minimize(method="newton")
    assert found.at["x"].tolist() == [1.0, 2.0, 3.0]
    assert found.converged


def test_newton_leaves_a_saddle_and_first_order_methods_are_told() -> None:
    text = "var x = 0, y = 1\nminimize (x^2 - 1)^2 + (y - 1)^2*x^2 + y^2 - 2*y"
    assert abs(float(tp.parse(text).minimize(method="newton").at["x"])) == pytest.approx(1.0)
    stuck = tp.parse(text).minimize(method="sgd", learning_rate=0.1, tol=1e-9)
    assert stuck.stop_reason == "gradient_tolerance"
    assert not stuck.converged
    assert stuck.evidence is not None
    assert stuck.evidence.kind == "saddle"


def test_what_auto_chooses_and_says() -> None:
    def chosen(text: str, **options: Any) -> tuple[str, str]:
        found = tp.parse(text).minimize(**options)
        assert found.chosen is not None
        return found.method, found.chosen

    assert chosen(ROSENBROCK) == ("lm", "a sum of 2 squares of 2 variables")
    assert chosen(SMOOTH) == ("newton", "a smooth function of 2 variables")
    assert chosen("var x = 1 in [0, ]\nminimize exp(x)") == ("newton", "a smooth function of 1 variable within bounds")
    assert chosen("var x = 1\nminimize abs(x - 2) + x^2/9") == ("lbfgs", "the objective has kinks (abs)")
    assert chosen("var x[300] = 1\nminimize sum(cosh(x - 1))") == ("lbfgs", "a function of 300 variables")
    assert chosen(CONSTRAINED) == ("lagrangian", "there are constraints")
    assert chosen(SMOOTH, learning_rate=0.1, steps=3)[0] == "adam"


@pytest.mark.parametrize(
    ("text", "squares"),
    [
        ("var x = 1, y = 2\nminimize (x - 1)^2 + 3*(y - x)^2 + 7", 2),
        ("var x = 1\nminimize (x - 1)*(x - 1)/2", 1),
        ("var x = 1\nminimize (x^2 - 2)^4", 1),
        ("var x[5] = 1\nminimize mean((x - 2)^2)", 5),
        ("var x[5] = 1\nconst w = [1, 2, 0, 1, 1]\nminimize sum(w[i]*(x[i] - i)^2 for i in 1..5)", 5),
        ("var x = 1\nmaximize 3 - (x - 1)^2", 1),
        ("var x = 1\nminimize (x - 1)^2 + x", None),
        ("var x = 1\nminimize x^3", None),
        ("var x = 1, y = 1\nminimize x^2 - y^2", None),
        ("var x = 1\nminimize x*exp(x)", None),
        ("var x = 1, w = 2\nminimize w*(x - 1)^2", None),
    ],
)
def test_sums_of_squares_are_read_off_the_graph(text: str, squares: int | None) -> None:
    problem = tp.parse(text)
    assert problem.formula.goal is not None
    sign = -1.0 if problem.formula.goal.kind == "maximize" else 1.0
    made = target_of(problem, {}, sign)
    if squares is None:
        assert made.residuals is None
        return
    assert made.residuals is not None
    assert made.residuals.entries == squares
    x = made.flat(made.starts) + 0.3
    r, jacobian = made.columns("residuals", made.residuals.function, x)
    value, gradient = made.gradient(x)
    assert float(r @ r) + made.residuals.offset == pytest.approx(value, rel=1e-13)
    assert 2.0 * jacobian.T @ r == pytest.approx(gradient, rel=1e-12)


def test_second_derivatives_of_a_target_agree() -> None:
    text = "var x[3] = [0.3, 0.2, 0.5]\nminimize sum((exp(x*[1, 2, 3]) - [2, 1, 3])^2) + (x[1]*x[2])^2"
    made = target(text)
    x = made.flat(made.starts)
    assert made.residuals is not None
    r, jacobian = made.columns("residuals", made.residuals.function, x)
    whole = 2.0 * (jacobian.T @ jacobian + made.weighted("residuals", made.residuals.function, x, r))
    assert whole == pytest.approx(made.hessian(x), rel=1e-12)
    unit = np.eye(3)
    assert np.array([made.product(x, row) for row in unit]) == pytest.approx(made.hessian(x), rel=1e-12)


def test_many_variables_by_products_alone() -> None:
    text = (
        "var x[300] = 1.5\nminimize sum(100*(x[2*i] - x[2*i-1]^2)^2 + (1 - x[2*i-1])^2 for i in 1..150) + exp(0*x[1])"
    )
    found = tp.parse(text).minimize(method="newton")
    assert found.at["x"] == pytest.approx(np.ones(300), abs=1e-8)
    assert found.converged


@pytest.mark.parametrize(
    ("text", "value", "point"),
    [
        (CONSTRAINED, 9 - 2.875 * math.sqrt(7), [(math.sqrt(7) - 1) / 2, (math.sqrt(7) + 1) / 4]),
        (
            "var x = [1, 5, 5, 1] in [1, 5]\nminimize x[1]*x[4]*(x[1]+x[2]+x[3]) + x[3]\n"
            "subject to prod(x) >= 25\nsubject to sum(x^2) == 40",
            17.0140172891563,
            [1.0, 4.742999637264, 3.821149984185, 1.379408293172],
        ),
        ("var x = 3\nminimize x^2\nsubject to x >= 1", 1.0, [1.0]),
        ("var x = 3\nminimize (x - 1)^2\nsubject to x <= 2", 0.0, [1.0]),
        ("var x[2] = 1\nminimize sum(x)\nsubject to x^2 <= 4", -4.0, [-2.0, -2.0]),
        ("var x = 1, y = 1\nmaximize x*y\nsubject to x + y == 4", 4.0, [2.0, 2.0]),
    ],
)
def test_constraints(text: str, value: float, point: list[float]) -> None:
    found = tp.parse(text).minimize()
    assert found.converged
    assert found.evidence is not None
    assert found.evidence.kind == "minimum"
    assert float(found.value) == pytest.approx(value, abs=1e-9)
    assert np.concatenate([np.ravel(x) for x in found.at.values()]) == pytest.approx(point, abs=1e-8)
    assert found.violation is not None
    assert found.violation <= 1e-9


def test_a_limit_of_time_ends_a_step_that_is_a_loop_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes by a second at each look. The step that was at work is left out."""
    clock = iter(range(10**6))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(clock)))

    class Within:
        name, wanders, steps = "within", False, 0

        def init(self, target: Any, x0: Any) -> Any:
            return methods.make("newton", {}).init(target, x0)

        def step(self, target: Any, state: Any) -> Any:
            Within.steps += 1
            return state._replace(step=state.step + 1)

        def result(self, state: Any) -> Any:
            return state.x

    class Around(Within):
        def step(self, target: Any, state: Any) -> Any:
            return loop.run(Within(), target, loop.Limits(10_000)).state

    ending = loop.run(Around(), target("var x = 3; minimize x^2"), loop.Limits(5, timeout=20.0))
    assert ending.stop_reason == "timeout" and ending.state.step == 0
    assert 0 < Within.steps < 20


def test_a_constraint_whose_square_is_no_number() -> None:
    least = tp.parse("var x = 1e300; minimize x^2/1e300; subject to x <= 0").minimize(steps=2)
    assert least.method == "lagrangian"


def test_a_point_that_is_not_finite_is_judged_flat_nowhere() -> None:
    """The start is what there is where nothing was finite."""
    found = tp.parse("var v = [1, nan], x = 1; minimize x^4").minimize(steps=3)
    assert not found.converged or float(found.at["x"]) == pytest.approx(0.0, abs=1e-2)


def test_constraints_that_cannot_be_met() -> None:
    found = tp.parse("var x = 1, y = 1\nminimize x + y\nsubject to x^2 + y^2 <= -1").minimize()
    assert not found.converged
    assert found.violation is not None
    assert found.violation > 0.5
    with pytest.raises(TapeError, match="knows no constraints"):
        tp.parse(CONSTRAINED).minimize(method="newton")
    with pytest.raises(TapeError, match="none"):
        tp.parse(SMOOTH).minimize(method="lagrangian")
    with pytest.raises(TapeError, match="sums of squares"):
        tp.parse(SMOOTH).minimize(method="lm")


@pytest.mark.parametrize(
    ("text", "x", "kind"),
    [
        ("var x = 1\nminimize (x - 3)^2 + exp(0*x)", [3.0], "minimum"),
        ("var x = 1\nminimize (x - 3)^2 + exp(0*x)", [3.1], "slope"),
        ("var x = 1, y = 1\nminimize x^2 - y^2", [0.0, 0.0], "saddle"),
        ("var x = 1, y = 1\nminimize x^2 + y^4 + exp(0*x)", [0.0, 0.0], "undetermined"),
        ("var x = 1\nminimize exp(-x)", [30.0], "slope"),
        ("var x = 1\nminimize -abs(x) + x^2/2", [0.0], "slope"),
        ("var x = 1\nminimize log(x)", [-1.0], "undetermined"),
        ("var x = 1 in [0, 2]\nminimize -x", [2.0], "minimum"),
        ("var x = 1, y = 1\nminimize (x + y - 2)^2", [0.5, 1.5], "minimum"),
    ],
)
def test_evidence(text: str, x: list[float], kind: str) -> None:
    assert judge(target(text), np.array(x)).kind == kind


def test_a_flat_direction_is_harmless_where_it_is_everywhere() -> None:
    together = judge(target("var x = 1, y = 1\nminimize (x + y - 2)^2 + (x + y)^2"), np.array([0.25, 0.75]))
    assert together.kind == "undetermined"
    assert together.holds
    quartic = judge(target("var x = 1, y = 1\nminimize x^2 + y^4 + exp(0*x)"), np.array([0.0, 0.0]))
    assert not quartic.holds


def test_the_step_within_a_radius() -> None:
    curvatures, slopes = np.array([1.0, 4.0]), np.array([1.0, -8.0])
    assert shortest(curvatures, slopes, 10.0) == pytest.approx([-1.0, 2.0])
    assert np.linalg.norm(shortest(curvatures, slopes, 0.5)) == pytest.approx(0.5, rel=2e-3)
    hard = shortest(np.array([-2.0, 1.0]), np.array([0.0, 1.0]), 2.0)
    assert np.linalg.norm(hard) == pytest.approx(2.0)
    assert hard[1] == pytest.approx(-1.0 / 3.0)
    p, whole = truncated(lambda v: curvatures * v, slopes, 10.0, 1e-12, 10)
    assert p == pytest.approx([-1.0, 2.0])
    assert whole
    p, whole = truncated(lambda v: -v, slopes, 3.0, 1e-12, 10)
    assert np.linalg.norm(p) == pytest.approx(3.0)
    assert not whole


def test_a_step_out_of_the_domain_is_taken_shorter() -> None:
    found = tp.parse("var x = 5\nminimize x - log(x)").minimize(method="newton")
    assert float(found.at["x"]) == pytest.approx(1.0, rel=1e-12)
    assert found.converged
    found = tp.parse("var x = 5\nminimize x - log(x)").minimize(method="lbfgs")
    assert float(found.at["x"]) == pytest.approx(1.0, rel=1e-6)


def test_an_objective_without_a_lowest_value() -> None:
    found = tp.parse("var x = 1\nminimize x - x^3").minimize()
    assert not found.converged
    assert found.stop_reason == "nonfinite"
    assert found.trouble is not None
    assert "unbounded below" in found.trouble.message
    assert "x goes to infinity" in found.trouble.message
