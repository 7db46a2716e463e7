"""What slopes around a point say of it: a verdict takes as many of them as it needs, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.optimize.nearby import COUNT, Nearby
from tapecli.problem.targets import target_of


@pytest.mark.parametrize(
    ("answers", "refuted", "asked"),
    [
        ([True] * COUNT, True, COUNT),
        ([False] + [True] * (COUNT - 1), False, 1),
        ([True] * (COUNT - 1) + [False], False, COUNT),
        ([None] * (COUNT - 1) + [True], True, COUNT),
        ([None, False] + [True] * (COUNT - 2), False, 2),
        ([None] * COUNT, False, COUNT),
    ],
)
def test_a_way_is_refuted_by_all_slopes_along_it(
    answers: list[bool | None], refuted: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = tp.parse("var x = 1\nminimize x^2")
    target = target_of(problem, {}, 1.0)
    left: list[Any] = list(answers)
    monkeypatch.setattr(Nearby, "_opposed", lambda *_: left.pop(0))
    near = Nearby(target, np.zeros(1), target.gradient)
    assert near._refuted(np.ones(1), 1e-9, 2.0) is refuted
    assert COUNT - len(left) == asked
