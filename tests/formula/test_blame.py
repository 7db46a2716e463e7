"""`blame`: which operation first made a number not finite, and where it stands in the file."""

from __future__ import annotations

from typing import Any

import pytest

import tapecli as tp
from tapecli.errors import TapeError

Q = "var x = 0, v = [1, 0, 2]\nconst c = 0\n"


def blamed(error: TapeError) -> tuple[int, int, str]:
    assert error.code == "nonfinite"
    assert error.place is not None
    return error.place.line, error.place.column, error.place.text


@pytest.mark.parametrize(
    ("text", "where", "parts"),
    [
        ("y = log(x - 1)\ny*2 + 1", (3, 5, "log(x - 1)"), ["not a number", "`log` of -1.0"]),
        ("y = 1 + 1/x\nexp(y)", (3, 10, "/"), ["infinite", "`div` of 1.0, 0.0"]),
        ("a = exp(1000)\nb = a*0\nb + x", (3, 5, "exp(1000)"), ["`exp` of 1000.0"]),
        ("sum(log(v - 1))", (3, 5, "log(v - 1)"), ["(entry 1)", "`log` of 0.0"]),
        ("if x == 0 then log(x - 1) else 1/x", (3, 16, "log(x - 1)"), ["log"]),
        ("if x > 0 then sqrt(x - 1) else log(x - 2)", (3, 32, "log(x - 2)"), ["log"]),
        ("f(t) = sqrt(t)\nf(x - 2)", (3, 8, "sqrt(t)"), ["sqrt", "-2.0"]),
        ("mod(1, x)", (3, 1, "mod(1, x)"), ["mod"]),
    ],
)
def test_values(text: str, where: tuple[int, int, str], parts: list[str]) -> None:
    problem = tp.parse(Q + text)
    for engine in ("tape", "numpy"):
        error = problem.blame(problem.compile(engine).evaluate())
        assert blamed(error) == where
        assert all(part in error.message for part in parts), error.message
        assert error.hint is not None


@pytest.mark.parametrize(
    ("text", "order", "where", "parts"),
    [
        ("sqrt(x) + 1", 1, (3, 1, "sqrt(x)"), ["the derivative to `x` is infinite"]),
        ("y = x*3\n2*sqrt(y)", 1, (4, 3, "sqrt(y)"), ["the derivative to `x`"]),
        ("x^1.5", 2, (3, 2, "^"), ["the second derivative to `x`"]),
        ("sum(sqrt(v))", 1, (3, 5, "sqrt(v)"), ["the derivative to `v` is not finite", "entry 2"]),
        ("(x + 1)*log(c)", 1, (3, 9, "log(c)"), ["`_1` is infinite"]),
    ],
)
def test_derivatives(text: str, order: int, where: tuple[int, int, str], parts: list[str]) -> None:
    problem = tp.parse(Q + text)
    error = problem.blame(problem.derivatives(order=order))
    assert blamed(error) == where
    assert all(part in error.message for part in parts), error.message


def test_jacobians_and_products() -> None:
    problem = tp.parse(Q + "sqrt(v)")
    assert blamed(problem.blame(problem.jacobian())) == (3, 1, "sqrt(v)")
    problem = tp.parse(Q + "x^1.5")
    assert blamed(problem.blame(problem.product({"x": 1.0}))) == (3, 2, "^")


def test_an_input_that_is_itself_not_finite() -> None:
    problem = tp.parse("var x = 1\nconst c = inf\nx*c")
    error = problem.blame(problem.evaluate())
    assert blamed(error)[0] in (2, 3)
    error = problem.blame(problem.evaluate(at={"x": float("nan"), "c": 1.0}))
    assert "`x` itself is not a number" in error.message
    assert blamed(error) == (1, 5, "x")


def test_at_another_point_and_another_size() -> None:
    problem = tp.parse("const n = 2\nvar x[n] = 1\ny = log(x)\nsum(y)")
    result = problem.evaluate(at={"n": 3, "x": [1, 2, 0]})
    error = problem.blame(result)
    assert blamed(error) == (3, 5, "log(x)")
    assert "entry 3" in error.message


def test_the_branch_not_taken_is_not_to_blame() -> None:
    problem = tp.parse("var x = -1\ny = if x > 0 then sqrt(x) else x\nz = y*log(0*x)\nz")
    error = problem.blame(problem.evaluate())
    assert blamed(error)[2] == "log(0*x)"


def test_single_precision_overflows_earlier() -> None:
    problem: Any = tp.parse("var x = 100\nexp(x)*1", dtype="float32")
    assert "`exp` of 100.0" in problem.blame(problem.evaluate()).message
