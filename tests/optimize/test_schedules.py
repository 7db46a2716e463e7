"""Learning-rate schedules against their published formulae, written out in plain arithmetic here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tapecli.core import TABLE
from tapecli.errors import TapeError
from tapecli.graph import Graph, replay
from tapecli.optimize.schedules import SCHEDULES, make

Curve = Callable[[float], float]


def pieces(step: float) -> float:
    return 1.0 if step <= 5 else 0.5 if step <= 10 else 0.1


def cycle(step: float) -> float:
    whole = 10 * max(math.ceil(step / 10), 1)
    return (0.1 - 0.01) * math.sqrt(1 - step / whole) + 0.01


def half(start: float, alpha: float, part: float) -> float:
    return start * ((1 - alpha) * 0.5 * (1 + math.cos(math.pi * part)) + alpha)


def warm(step: float) -> float:
    return 0.01 + (0.3 - 0.01) * step / 7 if step < 7 else half(0.3, 0.1, min(step - 7, 20) / 20)


def restarts(first: float, longer: float, higher: float, alpha: float) -> Curve:
    """By counting the periods off one by one."""

    def curve(step: float) -> float:
        length, height = first, 1.0
        while step >= length:
            step, length, height = step - length, length * longer, height * higher
        return 0.1 * ((1 - alpha) * 0.5 * height * (1 + math.cos(math.pi * step / length)) + alpha)

    return curve


CURVES: list[tuple[str, list[Any], dict[str, Any], Curve]] = [
    ("exponential_decay", [0.1, 7, 0.5], {}, lambda k: 0.1 * 0.5 ** (k / 7)),
    ("exponential_decay", [0.1, 7, 0.5], {"staircase": True}, lambda k: 0.1 * 0.5 ** (k // 7)),
    ("inverse_time_decay", [0.1, 3, 0.5], {}, lambda k: 0.1 / (1 + 0.5 * k / 3)),
    (
        "inverse_time_decay",
        [0.1],
        {"decay_steps": 3, "decay_rate": 0.5, "staircase": 1},
        lambda k: 0.1 / (1 + 0.5 * (k // 3)),
    ),
    ("polynomial_decay", [0.1, 10], {}, lambda k: (0.1 - 1e-4) * (1 - min(k, 10) / 10) + 1e-4),
    ("polynomial_decay", [0.1, 10, 0.01, 2.5], {}, lambda k: (0.1 - 0.01) * (1 - min(k, 10) / 10) ** 2.5 + 0.01),
    ("polynomial_decay", [0.1, 10, 0.01], {"power": 0.5, "cycle": True}, cycle),
    ("piecewise_constant_decay", [[5, 10], [1.0, 0.5, 0.1]], {}, pieces),
    ("piecewise_constant_decay", [[5], [1.0, 0.5]], {}, lambda k: 1.0 if k <= 5 else 0.5),
    ("piecewise_constant_decay", [[], [0.3]], {}, lambda k: 0.3),
    ("cosine_decay", [0.1, 20], {}, lambda k: half(0.1, 0.0, min(k, 20) / 20)),
    ("cosine_decay", [0.1, 20, 0.2], {}, lambda k: half(0.1, 0.2, min(k, 20) / 20)),
    ("cosine_decay", [0.01, 20, 0.1], {"warmup_target": 0.3, "warmup_steps": 7}, warm),
    ("cosine_decay", [0.01, 20], {"warmup_target": 0.3}, lambda k: half(0.3, 0.0, min(k, 20) / 20)),
    ("cosine_decay_restarts", [0.1, 4], {}, restarts(4, 2, 1, 0)),
    ("cosine_decay_restarts", [0.1, 4], {"t_mul": 1.0, "m_mul": 0.7, "alpha": 0.1}, restarts(4, 1, 0.7, 0.1)),
    ("cosine_decay_restarts", [0.1, 6], {"t_mul": 1.5, "m_mul": 0.8, "alpha": 0.05}, restarts(6, 1.5, 0.8, 0.05)),
    ("cosine_decay_restarts", [0.1, 10], {"t_mul": 3}, restarts(10, 3, 1, 0)),
]


@pytest.mark.parametrize(("name", "positional", "keyword", "curve"), CURVES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_curve(name: str, positional: list[Any], keyword: dict[str, Any], curve: Curve, dtype: str) -> None:
    if name.startswith("cosine") and "cos" not in TABLE:
        pytest.skip("there is no cosine yet")
    schedule = make(name, positional, keyword)
    graph = Graph()
    node = graph.input("step", ())
    (out,) = [schedule(node)]
    for k in range(200):
        step = np.asarray(k, dtype=dtype)
        got = schedule(step)
        assert got.dtype == dtype and got.shape == ()
        assert abs(float(got) - curve(k)) <= (1e-14 if dtype == "float64" else 2e-6 * 0.1), k
        (again,) = replay([out], {node: step}, lambda a: np.asarray(a, dtype=dtype))
        assert np.asarray(got).tobytes() == np.asarray(again).tobytes()


def test_every_schedule_has_a_curve() -> None:
    assert {name for name, *_ in CURVES} == set(SCHEDULES)
    for kind in SCHEDULES.values():
        assert kind.rate.__doc__ and kind.help


def test_frozen_and_shown_as_written() -> None:
    schedule = make("Exponential_Decay", [0.1, 1000], {"decay_rate": 0.5})
    assert (
        repr(schedule)
        == "exponential_decay(initial_learning_rate=0.1, decay_steps=1000, decay_rate=0.5, staircase=false)"
    )
    assert schedule == make("exponential_decay", [0.1, 1000, 0.5], {}) and len({schedule, schedule}) == 1
    with pytest.raises(AttributeError):
        schedule.name = "other"
    assert repr(make("piecewise_constant_decay", [[5], [1, 0.5]], {})).endswith("(boundaries=[5], values=[1, 0.5])")


@pytest.mark.parametrize(
    ("name", "positional", "keyword", "words"),
    [
        ("exponential", [0.1, 1, 0.5], {}, ["did you mean `exponential_decay`?", "cosine_decay_restarts"]),
        ("exponential_decay", [0.1, 1], {}, ["needs `decay_rate`"]),
        ("exponential_decay", [0.1, 0, 0.5], {}, ["`decay_steps`", "above 0"]),
        ("exponential_decay", [0.1, 1, 0.5, False, 3], {}, ["takes 4 settings, not 5"]),
        ("exponential_decay", [0.1, 1, 0.5], {"decay_rate": 0.5}, ["given twice"]),
        ("exponential_decay", [0.1, 1, 0.5], {"stairs": True}, ["did you mean `staircase`?"]),
        ("cosine_decay_restarts", [0.1, 5, 0.5], {}, ["`t_mul`", "1 or more"]),
        ("piecewise_constant_decay", [[5, 10], [1.0, 0.5]], {}, ["2 boundaries need 3 values, not 2"]),
        ("piecewise_constant_decay", [[10, 5], [1.0, 0.5, 0.1]], {}, ["must rise"]),
        ("piecewise_constant_decay", [5, [1.0, 0.5]], {}, ["a list of numbers"]),
        ("piecewise_constant_decay", [[5], [1.0, -0.5]], {}, ["0 or more"]),
    ],
)
def test_wrong_settings(name: str, positional: list[Any], keyword: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TapeError) as caught:
        make(name, positional, keyword)
    assert caught.value.code == "usage"
    for word in words:
        assert word in str(caught.value)
