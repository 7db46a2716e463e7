"""`blame`: which operation first made a number not finite, and where it stands in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
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


# ---- recurrences ------------------------------------------------------------------------------------------------

R = "var x = 0, u = 3\n"


@pytest.mark.parametrize("n", [5, 40, 1000])  # one loop, and loops in a loop
@pytest.mark.parametrize(
    ("body", "order", "where", "parts"),
    [
        ("log(s - 1)", 0, "log(s - 1)", ["`log` of -0.3068", "at k = 2"]),
        ("s + log(k - 4)", 0, "log(k - 4)", ["`log` of -3.0", "at k = 1"]),
        ("s + sqrt(x*k)", 1, "sqrt(x*k)", ["`div` of 0.5, 0.0", "at k = ", "in the gradient"]),
        ("s + (if k == 4 then sqrt(x*k) else x)", 1, "sqrt(x*k)", ["to `x` is infinite", "at k = 4, in the gradient"]),
        ("s + (x*k)^1.5", 2, "^", ["`power` of 0.0, exponent -0.5", "at k = ", "in the second derivative"]),
        ("s + (if k == 3 then (x*k)^1.5 else x)", 2, "^", ["at k = 3, in the second derivative"]),
        ("s + exp(-u/(k - 3)^2)", 1, "/", ["`div` of 0.0, 0.0", "at k = 3, in the gradient"]),
        ("s + u*(if k == 2 then (0*s)/x else 1)", 1, "/", ["`_1` is not a number", "`div` of 0.0, 0.0", "at k = 2"]),
    ],
)
def test_a_step_of_a_recurrence(n: int, body: str, order: int, where: str, parts: list[str]) -> None:
    problem = tp.parse(f"{R}fold(s = u for k in 1..{n}: {body})")
    result = problem.evaluate() if order == 0 else problem.derivatives(order=order, wrt=None)
    error = problem.blame(result)
    assert blamed(error)[0] == 2 and blamed(error)[2] == where
    assert all(part in error.message for part in parts), error.message


@pytest.mark.parametrize("n", [9, 50])
def test_a_value_that_a_step_hides_is_told_as_one_of_the_value(n: int) -> None:
    """The step backwards meets exp(1000) again, but it does not arise there."""
    problem = tp.parse(f"var a = 1\nfold(s = a for k in 1..{n}: s + (if k == 7 then exp(-exp(1000*a*(k - 6))) else a))")
    result = problem.derivatives(order=1)
    assert np.isfinite(result.value)
    error = problem.blame(result)
    assert "the derivative to `a` is not a number: `exp` of 1000.0 made it so first, at k = 7, in the value" in str(
        error
    )


def test_steps_of_loops_in_loops_and_in_sums() -> None:
    problem = tp.parse("fold(s = 0 for k in 1..4: s + fold(t = 1 for j in 1..3: t/(k*j - 6)))")
    error = problem.blame(problem.evaluate())
    assert blamed(error)[2] == "/"
    assert "`div` of " in error.message and ", 0.0 made it so first, at k = 2, j = 3" in error.message
    problem = tp.parse("sum(fold(s = i for k in 1..4: sqrt(s) - 1) for i in 1..3)")
    assert "(entry 1) made it so first, at i = 1, k = 3" in problem.blame(problem.evaluate()).message


def test_the_row_of_data_that_a_step_was_handed(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("t,y\n1,2\n2,-3\n3,-4\n")
    (tmp_path / "f.tape").write_text(
        'var a = 1\ndata t, y from "d.csv"\nfold(s = a for k in 1..2: s + log(a*y[k + 1] + 3.5))\n'
    )
    problem = tp.load(tmp_path / "f.tape")
    error = problem.blame(problem.derivatives())
    assert "`log` of -0.5 made it so first, at k = 2, row 3 of d.csv (line 4)" in error.message


@pytest.mark.parametrize(("which", "where"), [("a", "log(p - 1)"), ("b", "sqrt(q - k)"), ("c[1]", "/"), ("c[2]", "")])
def test_only_the_entry_that_counts_is_followed(which: str, where: str) -> None:
    step = "(log(p - 1), sqrt(q - k), [r[1] + 1/(k - 3), r[2] + k])"
    problem = tp.parse(f"(a, b, c) = fold(p = 1, q = 5, r = [1, 2] for k in 1..9: {step})\n{which}")
    result = problem.evaluate()
    assert np.isfinite(result.values["_1" if "[" in which else which]) == (not where)
    if where:
        assert blamed(problem.blame(result))[2] == where


def test_only_the_branch_that_an_entry_takes_is_to_blame() -> None:
    problem = tp.parse("var v = [1, -1, 0]\nif v > 0 then sqrt(v - 3) else 1/v")
    error = problem.blame(problem.evaluate())
    assert "`sqrt` of -2.0 (entry 1)" in error.message
    problem = tp.parse("var v = [1, -1, 0]\nif v > 0 then sqrt(v) else 1/v")
    error = problem.blame(problem.evaluate())
    assert "`div` of 1.0, 0.0 (entry 3)" in error.message or "`div` of an array of 1, 0.0" in error.message


def test_a_recurrence_that_begins_with_infinity() -> None:
    problem = tp.parse("var x = 1\nconst c = inf\nfold(s = [x, c] for k in 1..3: s + 1)[2]")
    error = problem.blame(problem.evaluate())
    assert "`c` itself is infinite" in error.message
