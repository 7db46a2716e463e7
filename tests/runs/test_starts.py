"""Several starts: where they are, that they find the minima, and the same ones however the work is shared."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.problem import starts

HIMMELBLAU = "var x = 0, y = 0\nminimize (x^2 + y - 11)^2 + (x + y^2 - 7)^2"
MINIMA = [(3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)]


def points(text: str, count: int, seed: int = 0, **at: Any) -> list[dict[str, Any]]:
    return list(starts.points(tp.parse(text), {k: np.asarray(v) for k, v in at.items()}, count, seed))


def test_the_first_start_is_the_start() -> None:
    assert [float(points("var x = 2 in [0, 10]\nx^2", 3)[0]["x"]), float(points("var x = 2\nx", 1, x=5.0)[0]["x"])] == [
        2,
        5,
    ]


def test_starts_lie_within_bounds_and_cover_them_evenly() -> None:
    found = points("var x = 1 in [-2, 8], v[2] = 1 in [0, 1]\nx + sum(v)", 65)[1:]
    table = np.array([[float(p["x"]) / 10 + 0.2, *p["v"]] for p in found])
    assert np.all((table > 0) & (table < 1))
    for column in table.T:  # every eighth of the range has its share
        assert np.histogram(column, 8, (0, 1))[0].min() >= 5


def test_starts_respect_one_sided_bounds_and_surround_the_start_else() -> None:
    found = points("var a = 3 in [1, ], b = -5 in [, -1], c = 100\na + b + c", 60)[1:]
    a, b, c = (np.array([float(p[name]) for p in found]) for name in "abc")
    assert a.min() > 1 and b.max() < -1
    assert np.median(a) == pytest.approx(3, abs=0.5) and np.median(b) == pytest.approx(-5, abs=1)
    assert np.median(c) == pytest.approx(100, abs=20) and 60 < c.std() < 140


def test_starts_rest_on_the_seed_and_more_only_add() -> None:
    text = "var x[40] = 1, y = 2 in [0, 5]\nsum(x) + y"
    first, again, more, other = points(text, 5, 1), points(text, 5, 1), points(text, 9, 1), points(text, 5, 2)
    for k in range(5):
        assert all(np.array_equal(first[k][n], again[k][n]) and np.array_equal(first[k][n], more[k][n]) for n in "xy")
    assert not np.array_equal(first[1]["x"], other[1]["x"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_minima_are_found_and_counted(jobs: int) -> None:
    end = tp.parse(HIMMELBLAU).minimize(starts=16, jobs=jobs, method="newton", seed=1)
    assert end.starts == 16
    got = sorted((round(float(m.at["x"]), 4), round(float(m.at["y"]), 4)) for m in end.minima)
    assert got == sorted((round(x, 4), round(y, 4)) for x, y in MINIMA)
    assert sum(m.found for m in end.minima) <= 16
    assert [m.value for m in end.minima] == sorted(m.value for m in end.minima)
    assert end.value == min(m.value for m in end.minima)


def test_shared_work_gives_the_same_bits() -> None:
    alone, shared = (tp.parse(HIMMELBLAU).minimize(starts=8, jobs=j, method="adam", steps=300, seed=3) for j in (1, 3))
    assert alone.value == shared.value and alone.evaluations == shared.evaluations == 8 * 301
    assert [(m.value, m.found, m.at["x"].tobytes()) for m in alone.minima] == [
        (m.value, m.found, m.at["x"].tobytes()) for m in shared.minima
    ]


def test_of_a_maximum_the_greatest_comes_first() -> None:
    end = tp.parse("var x = 1 in [-4, 4]\nmaximize -(x^2 - 4)^2 + x").minimize(starts=10, method="newton")
    assert [round(float(m.at["x"])) for m in end.minima] == [2, -2]
    assert end.value == end.minima[0].value > end.minima[1].value


@pytest.mark.parametrize("jobs", [1, 2])
def test_ends_that_ran_off_are_no_minima(jobs: int) -> None:
    problem = tp.parse("var x = 0.5\nminimize x^4 - x^2 + 0*sqrt(x + 1)")
    end = problem.minimize(starts=24, method="newton", seed=2, jobs=jobs)
    assert np.isfinite(end.value)
    assert 1 <= sum(m.found for m in end.minima) < 24
    assert all(float(m.at["x"]) >= -1 for m in end.minima)


def test_unfinished_runs_are_no_minima() -> None:
    end = tp.parse(HIMMELBLAU).minimize(starts=4, method="sgd", learning_rate=1e-5, steps=3)
    assert (end.minima, end.starts) == ((), 4)


def test_a_time_limit_is_for_all_starts() -> None:
    end = tp.parse(HIMMELBLAU).minimize(starts=500, method="adam", steps=10**7, timeout=0.3)
    assert end.stop_reason == "timeout"
    assert end.starts < 500


def test_starts_are_made_when_their_turn_comes() -> None:
    """A limit of time cannot end the making of ten thousand points before the first run."""
    problem = tp.parse("var x = 1 in [0, 4]")
    made = starts.Starts(problem, {}, 10_000, 0)
    assert len(made) == 10_000 and not made._made
    assert float(made[2]["x"]) == float(points("var x = 1 in [0, 4]", 3)[2]["x"]) and len(made._made) == 3


def test_callbacks_hear_of_each_start() -> None:
    seen: list[Any] = []
    tp.parse(HIMMELBLAU).minimize(starts=5, method="newton", callback=seen.append)
    assert [(s.step, s.steps) for s in seen] == [(k, 5) for k in range(1, 6)]
    assert [s.value for s in seen] == sorted((s.value for s in seen), reverse=True)


def test_the_command_lists_them(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from tapecli.cli import run

    path = tmp_path / "f.tape"
    path.write_text(HIMMELBLAU)
    assert run(["minimize", str(path), "--starts", "16", "--jobs", "2", "--seed", "1"]) == 0
    text = capsys.readouterr().out
    assert "4 minima from 16 starts" in text
    assert run(["minimize", str(path), "--starts", "16", "--seed", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["starts"] == 16 and len(result["minima"]) == 4
    assert set(result["minima"][0]) == {"value", "at", "found"}


@pytest.mark.parametrize(
    "words", [["--starts", "0"], ["--starts", "2", "--log", "l"], ["--starts", "2", "--plot", "p.png"]]
)
def test_wrong_uses_are_refused(tmp_path: Any, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from tapecli.cli import run

    path = tmp_path / "f.tape"
    path.write_text(HIMMELBLAU)
    assert run(["minimize", str(path), *words]) == 2
    assert "error[usage]" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", [1, 2])
def test_where_all_runs_go_off_that_is_the_answer(jobs: int) -> None:
    end = tp.parse("var x = 2\nminimize x^4").minimize(starts=4, method="sgd", learning_rate=10.0, jobs=jobs)
    assert (end.stop_reason, end.minima, end.starts) == ("nonfinite", (), 4)
