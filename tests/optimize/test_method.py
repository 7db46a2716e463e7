"""The protocol of methods: states as flat arrays, runs that go on from them, what the loop owns."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.optimize import loop
from tapecli.optimize.descent import Descent
from tapecli.optimize.first_order import make
from tapecli.optimize.method import State
from tapecli.problem.minimizing import target_of

ROSENBROCK = "var x = -1.2, y = [1, 2]\nminimize 100*(y[1] - x^2)^2 + (1 - x)^2 + (y[2] - x)^2"


def target(text: str = ROSENBROCK, **settings: Any) -> Any:
    return target_of(tp.parse(text, **settings), {}, 1.0)


@pytest.mark.parametrize(
    ("name", "options"), [("adam", {}), ("sgd", {"momentum": 0.9, "learning_rate": 1e-4}), ("adam", {"use_ema": True})]
)
def test_a_run_goes_on_from_a_file_with_the_same_bits(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    method = Descent(make(name, options))
    whole = loop.run(method, target(), loop.Limits(20))
    half = loop.run(method, target(), loop.Limits(7))
    np.savez(tmp_path / "run.npz", **half.state.flat())
    with np.load(tmp_path / "run.npz") as file:
        state = State.restored(dict(file))
    again = loop.run(Descent(make(name, options)), target(), loop.Limits(20), state=state)
    assert again.state.step == whole.state.step == 20
    for one, other in zip(again.at, whole.at, strict=True):
        assert one.tobytes() == other.tobytes()
    assert again.state.flat().keys() == whole.state.flat().keys()
    assert all(again.state.flat()[key].tobytes() == value.tobytes() for key, value in whole.state.flat().items())


def test_the_loop_owns_limits_and_hooks() -> None:
    seen: list[int] = []
    kept: list[int] = []
    method = Descent(make("sgd", {"learning_rate": 1e-4}))
    ending = loop.run(method, target(), loop.Limits(3), lambda s: seen.append(s.step), lambda s, _: kept.append(s.step))
    assert ending.stop_reason == "steps"
    assert seen == kept == [0, 1, 2, 3]
    assert loop.run(method, target(), loop.Limits(30, target=1e9)).stop_reason == "target"
    assert loop.run(method, target(), loop.Limits(30, evaluations=4)).state.evaluations == 4
    assert loop.run(method, target(), loop.Limits(30, tol=1e9)).stop_reason == "gradient_tolerance"


def test_the_first_interrupt_ends_the_step_and_the_run() -> None:
    def see(state: State) -> None:
        if state.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    ending = loop.run(Descent(make("sgd", {"learning_rate": 1e-4})), target(), loop.Limits(10**6), see)
    assert (ending.stop_reason, ending.state.step) == ("interrupted", 2)
    assert signal.getsignal(signal.SIGINT) is before


def test_numbers_that_run_off_leave_the_best_state() -> None:
    ending = loop.run(Descent(make("sgd", {"learning_rate": 1.0})), target(), loop.Limits(100))
    assert ending.stop_reason == "nonfinite"
    assert ending.best is not None
    assert math.isfinite(ending.best.value)
    assert ending.best.step == 0
