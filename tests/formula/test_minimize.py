"""`minimize`: methods and settings from file and caller, why it stops, bounds, interrupts, numbers that run off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.errors import TapeError
from tapecli.problem.results import STOP_REASONS, Step

PARABOLA = "var x = 0\nminimize x^2 - 2*x + 1"


@pytest.mark.parametrize("engine", ["tape", "numpy", "auto"])
def test_the_parabola_of_the_tutorial(engine: str) -> None:
    problem = tp.parse(f"{PARABOLA} using sgd(learning_rate=0.01), steps=1000", engine=engine)
    found = problem.minimize()
    assert found.at["x"] == pytest.approx(1.0 - 0.98**1000, rel=1e-13)
    assert (found.steps, found.stop_reason, found.method) == (1000, "steps", "sgd")
    assert found.value == pytest.approx((found.at["x"] - 1.0) ** 2, abs=1e-16)
    assert not found.converged
    assert found.traces == (engine != "tape")
    assert found.seconds > 0


def test_the_caller_wins_over_the_file() -> None:
    problem = tp.parse(f"{PARABOLA} using sgd(learning_rate=0.01), steps=1000")
    assert problem.minimize(steps=3).steps == 3
    assert problem.minimize(steps=1, learning_rate=0.5).at["x"] == 1.0
    assert problem.minimize(steps=1, options={"learning_rate": 0.25}).at["x"] == 0.5
    assert problem.minimize(method="adam", steps=1).method == "adam"
    assert problem.minimize(method="SGD", steps=1).at["x"] == 0.02
    assert problem.minimize(steps=1, at={"x": 3.0}).at["x"] == pytest.approx(2.96)
    assert tp.parse(PARABOLA).minimize(learning_rate=0.1, steps=1).method == "adam"
    assert tp.parse(PARABOLA).minimize().method == "newton"


def test_schedules_in_the_file() -> None:
    text = f"{PARABOLA} using sgd(learning_rate=piecewise_constant_decay([1], [0.25, 0.5])), steps=3"
    rates: list[float | None] = []
    found = tp.parse(text).minimize(callback=lambda step: rates.append(step.rate))
    assert rates[:2] == [0.25, 0.25] or rates[:2] == [0.25, 0.5]
    assert found.at["x"] == 1.0


def test_maximize() -> None:
    found = tp.parse("var x = 0\nmaximize 5 - (x - 1)^2 using sgd(learning_rate=0.25), tol=1e-9").minimize()
    assert found.stop_reason == "gradient_tolerance"
    assert found.converged
    assert found.value == pytest.approx(5.0)
    assert found.best_value == pytest.approx(5.0)
    assert found.at["x"] == pytest.approx(1.0)


def test_why_it_stops() -> None:
    problem = tp.parse(f"{PARABOLA} using sgd(learning_rate=0.25)")
    assert problem.minimize(tol=1e-6).stop_reason == "gradient_tolerance"
    assert problem.minimize(tol=1e-6).gradient_norm <= 1e-6
    assert problem.minimize(tol=0, steps=5).stop_reason == "steps"
    assert problem.minimize(steps=0).at["x"] == 0.0
    assert problem.minimize(timeout=0.0, steps=10**9).stop_reason == "timeout"
    runs = problem.minimize(steps=2000, learning_rate=1e6)
    assert runs.stop_reason == "nonfinite"
    assert math.isfinite(runs.best_value)
    assert all(np.isfinite(value).all() for value in runs.at.values())
    assert {"gradient_tolerance", "steps", "timeout", "nonfinite", "interrupted"} <= set(STOP_REASONS)


def test_numbers_that_run_off_leave_the_best_point() -> None:
    found = tp.parse("var x = 1\nminimize log(x) using sgd(learning_rate=0.3), steps=50").minimize()
    assert found.stop_reason == "nonfinite"
    assert found.best_value == min(found.best_value, 0.0)
    assert found.at == found.best_at


def test_a_start_that_is_not_finite() -> None:
    found = tp.parse("var x = -1\nminimize sqrt(x)").minimize()
    assert (found.stop_reason, found.steps) == ("nonfinite", 0)
    assert found.at["x"] == -1.0
    assert math.isnan(found.value)


def test_bounds_are_kept() -> None:
    seen: list[Any] = []
    text = (
        "var x = 5 in [2, ], v = [0.5, 0.5] in [[0, -1], [1, 0.75]]\n"
        "minimize (x - 1)^2 + sum((v - [3, -3])^2) using sgd(learning_rate=0.3), steps=50, tol=1e-12"
    )
    for engine in ("tape", "numpy"):
        found = tp.parse(text, engine=engine).minimize(callback=lambda step: seen.append(step.at))
        assert found.at["x"] == 2.0
        assert found.at["v"].tolist() == [1.0, -1.0]
        assert found.stop_reason == "gradient_tolerance"
        assert found.gradient_norm == 0.0, "what points out of the bounds does not count"
    for at in seen:
        assert at["x"] >= 2
        assert np.all((at["v"] >= [0, -1]) & (at["v"] <= [1, 0.75]))
    assert tp.parse("var x = -3 in [0, 1]\nminimize (x - 2)^2", dtype="float32").minimize(steps=0).at["x"] == 0.0


def test_an_interrupt_answers_with_what_there_is() -> None:
    seen: list[Step] = []

    def stop(step: Step) -> None:
        seen.append(step)
        if step.step == 3:
            raise KeyboardInterrupt

    found = tp.parse(f"{PARABOLA} using sgd(learning_rate=0.1)").minimize(callback=stop)
    assert found.stop_reason == "interrupted"
    assert [step.step for step in seen] == [0, 1, 2, 3]
    assert found.at["x"] == seen[-1].at["x"]
    assert found.best_value == seen[-1].value
    with pytest.raises(ZeroDivisionError):
        tp.parse(PARABOLA).minimize(callback=lambda step: 1 / 0)


def test_steps_tell_value_gradient_rate_and_point() -> None:
    seen: list[Step] = []
    tp.parse(f"{PARABOLA} using sgd(learning_rate=0.25), steps=2").minimize(callback=seen.append)
    assert [(s.step, s.steps, s.value, s.gradient_norm, s.rate, float(s.at["x"])) for s in seen] == [
        (0, 2, 1.0, 2.0, 0.25, 0.0),
        (1, 2, 0.25, 1.0, 0.25, 0.5),
        (2, 2, 0.0625, 0.5, 0.25, 0.75),
    ]


def test_a_saddle_is_no_minimum() -> None:
    found = tp.parse(
        "var x = 0, y = 1\nminimize x^2 - y^2*0 - (y-1)^2 using sgd(learning_rate=0.1), tol=1e-9"
    ).minimize()
    assert found.stop_reason == "gradient_tolerance"
    assert not found.converged


def test_constants_and_shapes_follow_the_point() -> None:
    problem = tp.parse(
        "const n = 2, c = 1\nvar x[n] = 0\nminimize sum((x - c)^2) using sgd(learning_rate=0.5), tol=1e-9"
    )
    assert problem.minimize().at["x"].tolist() == [1.0, 1.0]
    found = problem.minimize(at={"n": 3, "c": 2.0, "x": [0, 1, 5]})
    assert found.at["x"].tolist() == [2.0, 2.0, 2.0]
    assert found.converged


def test_single_precision() -> None:
    problem = tp.parse(f"{PARABOLA} using sgd(learning_rate=0.01), steps=1000", dtype="float32")
    for engine in ("tape", "numpy"):
        found = problem.compile(engine).minimize()
        assert found.at["x"].dtype == np.float32
        assert f"{float(found.at['x']):.9f}" == "0.999998569"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: tp.parse("var x = 1\nx").minimize(), "usage"),
        (lambda: tp.parse("const c = 1\nminimize c").minimize(), "usage"),
        (lambda: tp.parse(PARABOLA).minimize(steps=1.5), "usage"),
        (lambda: tp.parse(PARABOLA).minimize(steps=-1), "usage"),
        (lambda: tp.parse(PARABOLA).minimize(tol=-1.0), "usage"),
        (lambda: tp.parse(PARABOLA).minimize(tol=math.nan), "usage"),
        (lambda: tp.parse("var x\nminimize x^2").minimize(), "start"),
        (lambda: tp.parse(PARABOLA).minimize(at={"y": 1.0}), "name"),
    ],
)
def test_what_is_refused(call: Any, code: str) -> None:
    with pytest.raises(TapeError) as caught:
        call()
    assert caught.value.code == code


@pytest.mark.parametrize("options", [{"method": "sgdd"}, {"method": "sgd", "learning_rat": 0.1}])
def test_methods_and_options_that_there_are_not(options: dict[str, Any]) -> None:
    with pytest.raises(TapeError) as caught:
        tp.parse(PARABOLA).minimize(**options)
    assert caught.value.hint is not None
    assert "did you mean" in caught.value.hint


def test_auto_ends_at_the_lowest_point_seen_and_a_named_method_where_it_stands() -> None:
    problem = tp.parse("var x = 1\nminimize 1e6*(x - 1.01)^4 + (x - 1.01)^2")
    auto = problem.minimize(steps=1, learning_rate=0.05)
    adam = problem.minimize(method="adam", learning_rate=0.05, steps=1)
    assert auto.value == auto.best_value == problem.value(at=auto.at)
    assert auto.at == auto.best_at == {"x": 1.0}
    assert auto.gradient_norm == pytest.approx(abs(problem.grad(at=auto.at)["x"]))
    assert not auto.converged
    assert adam.value > adam.best_value == auto.value
