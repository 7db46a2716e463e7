"""The derivative of an optimum to constants, against optima of shifted constants and against what is known."""

from __future__ import annotations

import math

import pytest

import tapecli as tp
from tapecli.errors import TapeError


def test_a_parabola_moves_with_its_vertex() -> None:
    found = tp.parse("const a = 3\nvar x = 0\nminimize (x - a)^2 + 1").minimize(sensitivity="a")
    assert found.sensitivity is not None
    assert float(found.sensitivity["a"]["x"]) == pytest.approx(1.0)


def test_against_optima_of_shifted_constants() -> None:
    text = (
        "const a = 3, b = [2, 1]\nvar x = 1, y[2] = 0\nminimize exp(b[1]*x/4) + (x - a)^2 + sum((y - x*b)^2) + y[1]^4"
    )
    problem = tp.parse(text)
    found = problem.minimize(sensitivity=["a", "b"])
    assert found.sensitivity is not None
    h = 1e-5
    up, down = problem.minimize(at={"a": 3 + h}).at, problem.minimize(at={"a": 3 - h}).at
    for name in ("x", "y"):
        assert found.sensitivity["a"][name] == pytest.approx((up[name] - down[name]) / (2 * h), rel=1e-7)
    assert found.sensitivity["b"]["y"].shape == (2, 2)
    up, down = problem.minimize(at={"b": [2, 1 + h]}).at, problem.minimize(at={"b": [2, 1 - h]}).at
    assert found.sensitivity["b"]["y"][:, 1] == pytest.approx((up["y"] - down["y"]) / (2 * h), rel=1e-6)


def test_what_lies_on_a_bound_stays_there() -> None:
    found = tp.parse("const a = 3\nvar x = 0 in [0, 1], y = 0\nminimize (x - a)^2 + (y - a*x)^2").minimize(
        sensitivity="a"
    )
    assert found.sensitivity is not None
    assert float(found.sensitivity["a"]["x"]) == 0.0
    assert float(found.sensitivity["a"]["y"]) == pytest.approx(1.0)


def test_of_a_maximum() -> None:
    found = tp.parse("const a = 3\nvar x = 0 in [-1, 10]\nmaximize -(x - 2*a)^2").minimize(sensitivity="a")
    assert found.sensitivity is not None
    assert float(found.sensitivity["a"]["x"]) == pytest.approx(2.0)


def test_where_there_is_no_single_optimum_there_is_no_number() -> None:
    found = tp.parse("const a = 3\nvar x = 0, y = 0\nminimize (x + y - a)^2 + (x + y)^2").minimize(sensitivity="a")
    assert found.sensitivity is not None
    assert math.isnan(found.sensitivity["a"]["x"])


@pytest.mark.parametrize(("name", "code"), [("x", "name"), ("q", "name"), ("n", "usage")])
def test_what_is_refused(name: str, code: str) -> None:
    problem = tp.parse("const n = 2, a = 1\nvar x[n] = 0\nminimize sum((x - a)^2)")
    with pytest.raises(TapeError) as caught:
        problem.minimize(sensitivity=name)
    assert caught.value.code == code


#: Constants a and b, and what holds at the optimum: equalities, inequalities that are active, some that are not, bounds
CONSTRAINED = [
    "var x = 1, y = 2\nminimize (x - a)^2 + b*(y - 1)^2\nsubject to x + y == a*b",
    "var x = 1, y = 2\nminimize exp(x - a) + y^2 + x^2\nsubject to x^2 + y^2 >= b\nsubject to x + y <= 100",
    "var x = 0.5, y = 0.5\nminimize (x - 2*a)^2 + (y - 1)^2\nsubject to x - 2*y + 1 == 0\nsubject to x^2/4 + y^2 <= b",
    "var x = 1 in [0, 1.5], y = 1, z = 1\nminimize (x - 4)^2 + (y - a)^2 + a*z^2 + y*z\nsubject to x + y + z <= b",
    "var v[3] = 1\nminimize sum((v - a)^4) + sum(v^2)\nsubject to v[1..2] >= [b, b/4]\nsubject to sum(v) == 2*b",
    "var x = 1, y = 1\nmaximize -(x - a)^2 - (y - b)^2\nsubject to x*y <= 1",
]


@pytest.mark.parametrize("text", CONSTRAINED)
def test_under_constraints_it_is_that_of_problems_that_are_solved_again(text: str) -> None:
    problem = tp.parse(f"const a = 1.3, b = 1.7\n{text}")
    found = problem.minimize(sensitivity=["a", "b"])
    assert found.converged
    assert found.sensitivity is not None
    step, moved = 1e-5, 0.0
    for name, value in (("a", 1.3), ("b", 1.7)):
        up, down = (problem.minimize(at={name: value + h}) for h in (step, -step))
        for row in found.at:
            slope = (up.at[row] - down.at[row]) / (2 * step)
            assert found.sensitivity[name][row] == pytest.approx(slope, rel=1e-5, abs=1e-6)
            moved = max(moved, float(abs(slope).max()))
    assert moved > 0.1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("var x = 3\nminimize (x - a)^2\nsubject to x >= 1", "the constraint of line 4 just holds"),
        ("var x = 3, y = 1\nminimize x^2 + y^2\nsubject to x + y == a\nsubject to 2*x + 2*y == 2*a", "depend on one"),
        ("var x = 3 in [1, 5]\nminimize (x - a)^2 + exp(0)", "x lies on its bound without being held there"),
        ("var x = 0, y = 0\nminimize x^2 + 0*y\nsubject to x >= a - 5", "not shown to be a minimum"),
    ],
)
def test_where_there_is_no_derivative_it_is_said_why(text: str, why: str) -> None:
    found = tp.parse(f"const a = 1\n{text}").minimize(sensitivity="a")
    assert found.sensitivity is not None
    assert math.isnan(found.sensitivity["a"]["x"])
    assert why in " ".join(found.notes)
