"""Endings that are easily told wrong: what has no minimum and looks like one, and what is one and does not look so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.optimize.loop import BOTTOMLESS
from tapecli.problem.results import Minimum
from tapecli.report import verdicts


def found(text: str, **options: Any) -> Minimum:
    return tp.parse(text).minimize(**options)


#: No point of these is a minimum that a run could come to, though each looks like one somewhere.
NONE = [
    ("var x = 2\nminimize x^3", {}),
    ("var x = 2\nminimize x^3", {"method": "lbfgs"}),
    ("var x = 1\nminimize x^3", {"method": "sgd", "learning_rate": 0.1, "tol": 1e-6, "steps": 100_000}),
    ("var x = 0\nminimize x^3", {}),
    ("var x = 2\nminimize x^5 + 1", {}),
    ("var x = 2, y = 1\nminimize x^3 + y^2", {}),
    ("var x = 2, y = 1\nminimize x^3 + y^2", {"method": "lbfgs"}),
    ("var x = zeros(300) + 1\nminimize sum(x^3)", {}),
    ("var x = 0, y = 0\nminimize (y - x^2)*(y - 3*x^2)", {}),
    ("var x = 0, y = 0\nminimize x^3 - 3*x*y^2", {}),
    ("var x = 0 in [0, 5]\nminimize -x^4", {}),
    ("var x = 1\nminimize exp(-x)", {}),
    ("var x = 1\nminimize exp(-x)", {"tol": 1e-50}),
    ("var x = 1\nminimize exp(-x)", {"method": "adam", "learning_rate": 1.0, "tol": 1e-4}),
    ("var x = 1\nminimize exp(-x)", {"method": "lbfgs"}),
    ("var x = 1\nminimize 1/x", {}),
    ("var x = 1\nminimize -atan(x)", {}),
    ("var x = 1\nminimize exp(-x)^2", {}),
    ("var x = 1\nminimize exp(-x)^2 + 1", {}),
    ("var x = 1, y = 2\nminimize exp(-x)^2 + (y - 1)^2", {}),
    ("var x = 1\nminimize (1/x)^2", {}),
    ("var x = 1\nminimize (tanh(x) - 1)^2", {}),
    ("var x = 100\nminimize -exp(-x^2)", {}),
    ("var x = 0\nminimize -abs(x)", {}),
    ("var x = 1\nminimize log(x)", {"method": "lbfgs"}),
    ("var x = 1\nminimize exp(-x)\nsubject to x >= 0", {}),
    ("var x = 1, y = 1\nminimize x^3 + y\nsubject to y >= 1", {}),
    ("var x = 1, y = 1\nminimize exp(-x)\nsubject to y == x", {}),
    ("var x = 1, y = 1\nminimize x + y^2\nsubject to x^2 <= 0", {}),
    ("var x = 1\nminimize x^2\nsubject to x >= 2\nsubject to x <= 1", {}),
]


@pytest.mark.parametrize(("text", "options"), NONE)
def test_what_only_looks_like_a_minimum(text: str, options: dict[str, Any]) -> None:
    r = found(text, **options)
    assert not r.converged
    assert r.evidence is None or not r.evidence.holds
    assert r.evidence is None or r.evidence.distance is None
    status, error, warning = verdicts.of_minimum(r, "tol" in options)
    assert status or error or warning


def test_squares_that_run_off_in_single_precision() -> None:
    assert not tp.parse("var x = 1\nminimize exp(-x)^2", dtype="float32").minimize().converged
    assert not tp.parse("var x = 2\nminimize x^3", dtype="float32").minimize().converged


#: What is a minimum, with its value, and is not easily seen to be one.
SOME = [
    ("var x = 1\nminimize x^4", 0.0),
    ("var x = 1\nminimize x^4 + 1", 1.0),
    ("var x = 1, y = 1\nminimize exp(x^2 + y^4)", 1.0),
    ("var x = 1 in [-1, 5]\nminimize exp(x)", math.exp(-1)),
    ("var x = 1 in [0, 5]\nminimize x^3", 0.0),
    ("var x = 0\nminimize cos(x)", -1.0),
    ("var x = 1\nminimize sin(1e6*x)", -1.0),
    ("var x = 0.1\nminimize xlogy(x, x) + 2*x", -math.exp(-3)),
    ("var x = 1 in [0, 10]\nminimize xlogy(x, x) + 2*x", -math.exp(-3)),
    ("var x = 1, y = 1\nminimize 1e-20*(x - 3)^2 + 1e20*(y - 2)^2", 0.0),
    ("var x = 5\nminimize x^2 - 1e25*x", -2.5e49),
    ("var a = 1, b = 2\nminimize (a*b - 3)^2", 0.0),
    ("var x = 1\nminimize -x^4\nsubject to x^2 <= 4", -16.0),
    ("var x = 1, y = 1\nminimize -x^3\nsubject to x + y <= 3\nsubject to y >= 0", -27.0),
    ("var x = 1, y = 2\nminimize 1e12*((x - 3)^2 + (y - 1)^2)\nsubject to x + y == 2", 2e12),
    ("var x = 1, y = 1\nminimize x^2 + y^2\nsubject to x + y == 1\nsubject to 2*x + 2*y == 2", 0.5),
    ("var x = 1\nminimize x^2\nsubject to x >= 0", 0.0),
]


@pytest.mark.parametrize(("text", "value"), SOME)
def test_what_is_a_minimum_is_told_as_one(text: str, value: float) -> None:
    r = found(text)
    assert r.converged
    assert r.value == pytest.approx(value, rel=1e-9, abs=1e-20)
    assert verdicts.of_minimum(r, False) == (0, None, None)


#: What falls without end, the variables that go, and where to.
BOTTOMLESS_ONES = [
    ("var x = 1\nminimize x", "x goes to -infinity"),
    ("var x = 1 in [0, inf], y = 1 in [-inf, 3]\nminimize -x - y", "x goes to infinity"),
    ("var x = 1\nminimize x\nsubject to x^3 <= 8", "x goes to -infinity"),
    ("var x = 0, y = 0\nminimize x^2 - y^2\nsubject to x == 0", "y goes to infinity"),
    ("var v = zeros(5) + 1\nminimize sum(v^2) - 10*v[3]^4", "v[3] goes to infinity"),
    ("var x = 1, y = 1\nminimize exp(x) - y", "y goes to infinity"),
    ("var x = -0.5\nminimize 1/x", "come near x = -"),
]

#: The same where the run gets stuck on the way down, or rounding hides the slope.
STUCK = [
    "var x = 1, y = 2\nminimize x + y^2",
    "var x = 1, y = 2\nminimize x + y^2\nsubject to x^3 <= 8",
    "var x = 1, y = 1\nminimize abs(x - y) + 0.1*(x + y)",
    "var x = 0, y = 0\nminimize max(x, y) - 2*min(x, y)",
]


@pytest.mark.parametrize("text", STUCK)
def test_where_a_run_gets_stuck_on_the_way_it_is_looked_further(text: str) -> None:
    r = found(text)
    assert r.stop_reason == "nonfinite"
    assert r.trouble is not None
    assert "unbounded below" in r.trouble.message


@pytest.mark.parametrize(("text", "way"), BOTTOMLESS_ONES)
def test_an_objective_without_a_bound_is_recognised_early(text: str, way: str) -> None:
    r = found(text)
    assert r.stop_reason == "nonfinite"
    assert r.steps < 150
    assert math.isfinite(r.value)
    assert r.value < BOTTOMLESS
    assert r.trouble is not None
    assert "unbounded below" in r.trouble.message
    assert way in r.trouble.message
    assert verdicts.of_minimum(r, False)[0] == 4


@pytest.mark.parametrize("method", ["newton", "lbfgs", "sgd"])
def test_every_method_tells_it(method: str) -> None:
    options = {"learning_rate": 0.1} if method == "sgd" else {}
    r = found("var x = 1, y = 2\nmaximize x^2 + y", method=method, **options)
    assert r.stop_reason == "nonfinite"
    assert r.trouble is not None
    assert "unbounded above" in r.trouble.message


def test_the_line_search_of_lbfgs_looks_beyond_its_first_trial() -> None:
    r = found("var x = 5\nminimize x^2 - 1e25*x", method="lbfgs")
    assert r.converged
    assert r.steps < 10


def test_what_ran_off_without_falling_far_is_named() -> None:
    r = found("var x = 1, y = 3\nminimize 1/x + (y - 1)^2")
    message = str(verdicts.of_minimum(r, False)[1])
    assert [s.name for s in r.strayed] == ["x"]
    assert "x has run off from 1 to" in message


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("var x = 0\nminimize exp(x^4)", "higher"),
        ("var x = 0, y = 0\nminimize exp(x^2 + y^4)", "higher"),
        ("var x = 0, y = 0\nminimize exp(x^3 + y^2)", "lower"),
        ("var x = 0, y = 0\nminimize (y - x^2)*(y - 3*x^2)", "lower"),
        ("var x = 1\nminimize 3 + 0*x", "level"),
        ("var x = 100\nminimize -exp(-x^2)", "level"),
    ],
)
def test_values_beside_a_singular_hessian(text: str, beside: str) -> None:
    r = found(text)
    assert not r.converged
    assert r.evidence is not None
    assert r.evidence.beside == beside
    assert r.evidence.kind == ("saddle" if beside == "lower" else "undetermined")


def test_the_usual_limit_of_steps_is_told_as_such() -> None:
    text = "var x = 5\nminimize x^2 using sgd(learning_rate=1e-4)"
    assert found(text).ending == "the usual limit of 1,000 steps was reached"
    assert found(text, steps=7).ending == "all steps that were asked for are done"
    assert found(f"{text}, steps=7").ending == "all steps that were asked for are done"


def test_a_run_under_constraints_that_gets_nowhere_ends() -> None:
    r = found("var x = 1, y = 1\nminimize x\nsubject to y^2 <= x^3")
    assert r.stop_reason == "stalled"
    assert r.steps < 500


def fit_of(rows: str, text: str, tmp_path: Any, **options: Any) -> Any:
    (tmp_path / "d.csv").write_text("t,y,s\n" + rows)
    (tmp_path / "f.tape").write_text(f'data t, y, s from "d.csv"\nvar a = 1, b = 1\n{text}\n')
    return tp.load(tmp_path / "f.tape").minimize(**options)


@pytest.mark.parametrize(
    ("rows", "text", "cell"),
    [
        ("1,2,1\n2,4,0\n3,6,1\n4,8,0\n", "fit y ~ a + b*t, sigma=s", "`s` is 0 in row 2 of d.csv (line 3)"),
        ("1,2,1\n2,4,1\n3,nan,1\n", "fit y ~ a + b*t, sigma=s", "`y` is nan in row 3 of d.csv (line 4)"),
        ("1,1e300,1\n2,4,1\n3,6,1\n", "fit y ~ a + b*t, sigma=s", "`y` is 1e+300 in row 1 of d.csv (line 2)"),
        ("1,2,1\n0,4,1\n3,6,1\n", "fit y ~ a + b*log(t)", "`t` is 0 in row 2 of d.csv (line 3)"),
        ("1,2,1\n2,1e300,1\n3,6,1\n", "minimize sum((y - a - b*t)^2)", "`y` is 1e+300 in row 2 of d.csv (line 3)"),
        ("1,2,1\n2,4,1\n3,6,nan\n", "minimize sum(exp(a*s)) + b^2", "`s` is nan in row 3 of d.csv (line 4)"),
    ],
)
def test_data_that_no_start_can_mend_are_blamed(rows: str, text: str, cell: str, tmp_path: Any) -> None:
    trouble = fit_of(rows, text, tmp_path).trouble
    assert trouble is not None
    assert cell in trouble.message
    assert "mend that cell" in trouble.hint
    assert "--at" not in trouble.hint


def test_a_start_out_of_the_domain_is_not_blamed_on_the_data(tmp_path: Any) -> None:
    trouble = fit_of("1,2,1\n2,4,1\n3,6,1\n", "fit y ~ a*log(b*t)", tmp_path, at={"b": -1.0}).trouble
    assert trouble is not None
    assert "--at" in trouble.hint
    trouble = fit_of("1,2,1\n2,4,1\n3,6,1\n", "fit y ~ a + b*t, sigma=0", tmp_path).trouble
    assert trouble is not None
    assert "no start that was tried" in trouble.hint


def test_a_minimum_of_wild_scales_is_still_one() -> None:
    draw = np.random.default_rng(1)
    for _ in range(10):
        s, c, n = 10.0 ** draw.uniform(-8, 8), draw.uniform(-3, 3), int(draw.integers(2, 5))
        text = f"var x[{n}] = 1\nminimize {s!r}*sum(exp(x) - {math.exp(c)!r}*x) + {s!r}*sum(x[1..{n - 1}]*x[2..{n}])^2"
        assert found(text).converged


@pytest.mark.parametrize(
    ("model", "start", "t", "y"),
    [
        (
            "sum((y - b1*(1 - exp(-b2*t)))^2)",
            (2, 0.705),
            [0.1, 0.5, 1, 2, 3, 4, 5, 6],
            [0.1722, 0.8581, 1.3648, 1.9950, 2.3466, 2.4383, 2.4926, 2.5533],
        ),
        (
            "sum(log(1 + (y - b1*t/(b2 + t))^2))",
            (2.909, 0.845),
            [0.152, 2.219, 0.8, 1.726, 4.993],
            [0.318, 2.0764, 1.1233, 1.8777, 2.447],
        ),
        (
            "sum(log(1+(y - b1*(1-exp(-b2*t)))^2))",
            (1.728, 0.62),
            [2.826, 3.909, 3.737, 2.347, 4.789, 4.777, 2.865, 3.699],
            [2.2123, 2.2461, 2.4068, 1.1866, 2.5004, 2.5465, 2.2506, 2.3703],
        ),
    ],
)
def test_doubts_at_a_minimum_come_to_an_end(model: str, start: Any, t: list[float], y: list[float]) -> None:
    """The slopes along a Newton step are rounding here, and say at every end that it is none."""
    result = found(f"var b1 = {start[0]}, b2 = {start[1]}\nconst t = {t}, y = {y}\nminimize {model}")
    assert result.converged and result.steps < 40


@pytest.mark.parametrize(
    ("sigma", "words"),
    [
        ("s", "sigma is -2 in row 2 of d.csv (line 3)"),
        ("2*s", "sigma is -4 in entry 2"),
        ("-1", "sigma is -1 "),
    ],
)
def test_a_standard_deviation_below_0_is_refused(sigma: str, words: str, tmp_path: Any) -> None:
    rows = "1,2,1\n2,4,-2\n3,6,1\n"
    with pytest.raises(tp.TapeError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        fit_of(rows, f"fit y ~ a + b*t, sigma={sigma}", tmp_path)
    assert caught.value.code == "value"
    assert caught.value.place is not None
    assert fit_of(rows, "fit y ~ a + b*t, sigma=abs(s)", tmp_path).converged
    assert fit_of(rows, "fit y ~ a + b*t, sigma=a", tmp_path).trouble is None  # it moves: the run decides


def test_terms_of_a_fit_that_broadcast_are_blamed_as_they_are() -> None:
    problem = tp.parse("var a = -1, M[3, 3] = 1\nfit M ~ log(a), sigma=[1, 2, 0.5]")
    trouble = problem.minimize().trouble
    assert trouble is not None
    assert "`log` of -1" in trouble.message


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        (" using sgdd", "name"),
        (" using sgd(lr=0.1)", "name"),
        (" using sgd(learning_rate=-1)", "value"),
        (" using sgd(learning_rate=exponential_decay(0.1))", "value"),
        (", steps=2.5", "value"),
        (", batch=0.5", "value"),
    ],
)
def test_what_a_file_says_wrongly_of_its_method_is_a_fault_of_the_file(tail: str, code: str) -> None:
    with pytest.raises(tp.TapeError) as caught:
        tp.parse(f"var x = 1\nminimize x^2{tail}").minimize()
    assert (caught.value.code, caught.value.exit_code) == (code, 3)
    assert caught.value.place is not None
    assert caught.value.place.line == 2


def test_the_same_of_a_caller_is_a_wrong_call() -> None:
    for options in ({"method": "sgdd"}, {"method": "sgd", "learning_rate": -1.0}, {"steps": 2.5}, {"batch": 0}):
        with pytest.raises(tp.TapeError) as caught:
            tp.parse("var x = 1\nminimize x^2").minimize(**options)
        assert caught.value.code == "usage"
