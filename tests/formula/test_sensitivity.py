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


def test_under_constraints_it_is_not_offered() -> None:
    with pytest.raises(TapeError) as caught:
        tp.parse("const a = 1\nvar x = 0\nminimize (x - a)^2\nsubject to x <= 0").minimize(sensitivity="a")
    assert caught.value.code == "unsupported"
