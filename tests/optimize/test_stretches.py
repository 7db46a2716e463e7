"""Many steps in one call of compiled code give what single steps give, to the last bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.engines.native.program import Steps
from tapecli.optimize import target
from tapecli.optimize.first_order import OPTIMIZERS, make

VALLEY = "var x = -1.2, v = [1, 2] in [0, 3]\nminimize (1 - x)^2 + 10*(v[1] - x^2)^2 + (v[2] - 0.5)^4"


def same(one: Any, two: Any) -> None:
    for name, value in one.at.items():
        assert value.tobytes() == two.at[name].tobytes(), name
    for name, value in one.best_at.items():
        assert value.tobytes() == two.best_at[name].tobytes(), name
    assert (one.steps, one.stop_reason, one.evaluations) == (two.steps, two.stop_reason, two.evaluations)
    for field in ("value", "best_value", "gradient_norm"):
        a, b = getattr(one, field), getattr(two, field)
        assert a == b or (math.isnan(a) and math.isnan(b)), field


def both(text: str, **how: Any) -> tuple[Any, Any]:
    """A run with stretches, and one whose callback wants to see every step."""
    p = tp.parse(text, engine="native", dtype=how.pop("dtype", "float64"))
    seen: list[int] = []
    singly = p.minimize(callback=lambda step: seen.append(step.step), **how)
    assert seen == list(range(singly.steps + 1))
    at_once = p.minimize(**how)
    assert singly.engine == at_once.engine == "native"
    return at_once, singly


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_every_method_takes_stretches(method: str, dtype: str) -> None:
    same(*both(VALLEY, method=method, steps=300, learning_rate=0.01, dtype=dtype))


@pytest.mark.parametrize("option", [{"use_ema": True}, {"clipnorm": 0.5}, {"momentum": 0.9, "nesterov": True}])
def test_options_are_kept(option: dict[str, Any]) -> None:
    same(*both(VALLEY, method="sgd", steps=200, learning_rate=0.005, options=option))


def test_a_tolerance_ends_a_stretch_at_its_step() -> None:
    at_once, singly = both("var x = 3\nminimize (x - 1)^2", method="sgd", learning_rate=0.1, steps=5000, tol=1e-6)
    same(at_once, singly)
    assert at_once.stop_reason == "gradient_tolerance"
    assert at_once.steps < 100


def test_numbers_that_run_off_end_a_stretch() -> None:
    at_once, singly = both("var x = 3\nminimize x^4", method="sgd", learning_rate=1.0, steps=5000)
    same(at_once, singly)
    assert at_once.stop_reason == "nonfinite"


def test_the_tutorial_has_the_same_bits_in_every_engine() -> None:
    text = "var x = 0\nconst a = 1, b = -2, c = 1\nminimize a*x^2 + b*x + c using sgd(learning_rate=0.01), steps=1000"
    for dtype in ("float64", "float32"):
        found = [tp.parse(text, engine=e, dtype=dtype).minimize() for e in ("tape", "numpy", "native", "auto")]
        for other in found[1:]:
            same(found[0], other)
    assert np.float32(found[0].at["x"]) == np.float32(0.99999857)


def test_what_was_compiled_is_taken_again_from_other_starts() -> None:
    p = tp.parse(VALLEY, engine="native")
    first = p.minimize(method="sgd", steps=50, learning_rate=0.001)
    traces = p.traces
    other = p.minimize(method="sgd", steps=50, learning_rate=0.001, at={"x": 0.3})
    again = p.minimize(method="sgd", steps=50, learning_rate=0.001)
    assert p.traces <= 3 * traces
    same(first, again)
    assert other.at["x"] != first.at["x"]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each call of compiled code was asked for."""
    asked: list[int] = []
    before = Steps.run

    def run(self: Steps, state: Any, count: int, *others: Any) -> Any:
        asked.append(count)
        return before(self, state, count, *others)

    monkeypatch.setattr(Steps, "run", run)
    return asked


def test_the_pace_is_that_of_the_run_before(counts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "SPELL", 100.0)  # seconds, whatever else the machine does
    p = tp.parse(VALLEY, engine="native")
    first = p.minimize(method="sgd", steps=1000, learning_rate=0.001)
    assert counts == [1, 16, 128, 856]
    counts.clear()
    again = p.minimize(method="sgd", steps=1000, learning_rate=0.001)
    assert counts == [1, 1000]
    same(first, again)
    counts.clear()
    p.minimize(method="sgd", steps=1000, learning_rate=0.002)
    assert counts == [1, 16, 128, 856], "another program"


def test_a_pace_follows_what_steps_take() -> None:
    pace = target.Pace()
    assert pace.steps == target.FIRST
    pace.took(16, target.SPELL / 1000)
    assert pace.steps == 8 * 16
    pace.took(20, target.SPELL / 1000)
    assert pace.steps == 8 * 16, "fewer than asked for say nothing of more"
    pace.took(20, target.SPELL * 4)
    assert pace.steps == 5
    pace.took(5, target.SPELL / 2)
    assert pace.steps == 10
    pace.took(1, target.SPELL * 100)
    assert pace.steps == 1
    pace.took(1, 0.0)
    assert pace.steps == 8


def test_equal_optimizers_are_one() -> None:
    one, two = (make("sgd", {"learning_rate": 0.1, "momentum": 0.5}) for _ in range(2))
    assert one is two and hash(one) == hash(two)
    assert make("sgd", {"learning_rate": 0.2, "momentum": 0.5}) != one
