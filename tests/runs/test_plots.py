"""Pictures and terminal plots: what is drawn, and what is said where it cannot be."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.cli import run
from tapecli.problem.curves import fitted
from tapecli.problem.results import Step
from tapecli.report.sketch import Series, logarithmic, sketch
from tapecli.report.watch import POINTS, Curve

GROWTH = (
    'data day, height from "d.csv"\nvar top = 2, rate = 1, middle = 3\nfit height ~ top/(1 + exp(-rate*(day - middle)))'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    t = np.linspace(0, 8, 17)
    y = 2.5 / (1 + np.exp(-0.9 * (t - 3.2))) + 0.05 * np.sin(7 * t)
    np.savetxt(tmp_path / "d.csv", np.column_stack([t, y]), delimiter=",", header="day,height", comments="")
    (tmp_path / "f.tape").write_text(GROWTH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- the terminal ----


def test_a_line_goes_from_corner_to_corner() -> None:
    lines = sketch("up", [Series([0, 1, 2], [0, 1, 2])], "x", 40, 8, unicode=False)
    assert lines[0] == "up"
    assert lines[1].rstrip().endswith(".") and lines[8].split("|")[-1].split("+")[-1].startswith(".")
    assert lines[-1].split()[0] == "0" and lines[-1].split()[-1] == "2"
    assert all(len(line) <= 40 for line in lines)


def test_braille_has_eight_dots_to_a_cell() -> None:
    lines = sketch("up", [Series([0, 1], [0, 1])], "x", 40, 8, unicode=True)
    dots = sum(bin(ord(sign) - 0x2800).count("1") for line in lines for sign in line if 0x2800 < ord(sign) <= 0x28FF)
    assert dots >= 60
    assert max(map(len, lines)) <= 40


def test_ticks_are_round_numbers_on_both_scales() -> None:
    linear = sketch("v", [Series([0, 1], [0.0, 10.0])], "x", 60, 12, unicode=True)
    assert [float(line.split("┤")[0]) for line in linear if "┤" in line] == [10, 5, 0]
    log = sketch("v", [Series([0, 1], [1e-6, 1e2])], "x", 60, 12, unicode=True, log=True)
    ticks = [float(line.split("┤")[0]) for line in log if "┤" in line]
    assert ticks and all(abs(math.log10(t) - round(math.log10(t))) < 1e-9 for t in ticks)


@pytest.mark.parametrize(
    "ys", [[], [math.nan], [math.inf, 1.0], [3.0], [3.0, 3.0], [0.0, 0.0], [-1e300, 1e300], [1e-300, 2e-300]]
)
@pytest.mark.parametrize("unicode", [True, False])
def test_anything_can_be_drawn(ys: list[float], unicode: bool) -> None:
    lines = sketch("v", [Series(list(range(len(ys))), ys)], "x", 50, 6, unicode=unicode)
    assert lines[0] == "v" and all(len(line) <= 60 for line in lines)
    if unicode is False:
        assert "".join(lines).isascii()


def test_a_scale_is_logarithmic_over_more_than_a_decade_and_a_half() -> None:
    assert logarithmic([1.0, 31.0]) and not logarithmic([1.0, 29.0])
    assert not logarithmic([-1.0, 100.0]) and not logarithmic([0.0, 1.0]) and not logarithmic([])


# ---- the curve of a run ----


def test_a_long_run_is_thinned_evenly_and_keeps_its_end() -> None:
    curve = Curve()
    for k in range(50_001):
        if curve.due(k) or k == 50_000:
            curve(Step(k, 0, float(k), 1.0, None, {}))
    steps = [step for step, _, _ in curve.rows]
    assert steps[0] == 0 and steps[-1] == 50_000 and POINTS <= len(steps) <= 2 * POINTS + 1
    assert len(set(np.diff(steps[:-1]))) == 1


# ---- the curve of a fit ----


def test_a_fit_has_its_curve_and_residuals(folder: Path) -> None:
    problem = tp.parse(GROWTH)
    at = {"top": np.float64(2.5), "rate": np.float64(0.9), "middle": np.float64(3.2)}
    found = fitted(problem, at)
    assert found is not None and found.grid is not None and found.curve is not None
    assert (found.name, found.label, found.error) == ("day", "height", None)
    assert found.curve == pytest.approx(2.5 / (1 + np.exp(-0.9 * (found.grid - 3.2))), rel=1e-12)
    assert found.observed - found.fitted == pytest.approx(0.05 * np.sin(7 * problem.data["day"]), abs=1e-9)


def test_the_band_is_that_of_the_delta_method(folder: Path) -> None:
    problem = tp.parse(
        'data day, height from "d.csv"\nvar a = 1, v[2] = [2, 3]\nfit height ~ a + v[1]*day + v[2]*day^2'
    )
    c = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]])
    found = fitted(problem, {}, c)
    assert found is not None and found.grid is not None
    j = np.stack([np.ones_like(found.grid), found.grid, found.grid**2], axis=1)
    assert found.error == pytest.approx(np.sqrt(np.einsum("ij,jk,ik->i", j, c, j)), rel=1e-10)


def test_of_two_columns_there_are_residuals_only(folder: Path) -> None:
    problem = tp.parse('data day, height from "d.csv"\nvar a = 1\nfit height ~ a*day + 0.1*height')
    found = fitted(problem, {})
    assert found is not None and found.x is None and found.curve is None
    assert fitted(tp.parse("var x = 1\nminimize x^2"), {}) is None


def test_a_model_of_all_rows_together_is_drawn_at_the_data(folder: Path) -> None:
    found = fitted(tp.parse('data day, height from "d.csv"\nvar a = 1\nfit height ~ a*cumsum(day)'), {})
    assert found is not None and found.x is not None and found.grid is None


# ---- the command ----


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_command_writes_pictures(folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["minimize", "f.tape", "--method", "adam", "--steps", "30", "-q", "--plot", f"p.{kind}"]) == 0
    content = Path(f"p.{kind}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    assert sorted(path.name for path in folder.iterdir()) == ["d.csv", "f.tape", f"p.{kind}"]
    assert run(["minimize", "f.tape", "--steps", "3", "--plot", f"p.{kind}"]) == 6
    assert "exists already" in capsys.readouterr().err
    assert Path(f"p.{kind}").read_bytes() == content
    assert run(["minimize", "f.tape", "--method", "adam", "--steps", "30", "-q", "--plot", f"p.{kind}", "--force"]) == 0
    assert kind == "pdf" or Path(f"p.{kind}").read_bytes() == content  # equal runs, equal pictures


def test_a_pipe_stays_a_pipe(folder: Path) -> None:
    os.mkfifo("p.png")
    with ThreadPoolExecutor(1) as pool:
        content = pool.submit(Path("p.png").read_bytes)
        assert run(["minimize", "f.tape", "--steps", "3", "-q", "--plot", "p.png", "--force"]) == 0
        assert content.result(30).startswith(b"\x89PNG")
    assert stat.S_ISFIFO(os.stat("p.png").st_mode)


def test_names_that_look_like_formulas_are_text(folder: Path) -> None:
    Path("a$b$^{.tape").write_text(GROWTH)
    assert run(["minimize", "a$b$^{.tape", "--steps", "3", "-q", "--plot", "p.png"]) == 0


def test_the_terminal_plot_follows_the_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["minimize", "f.tape", "--method", "adam", "--steps", "30", "-q", "--plot", "-"]) == 0
    out = capsys.readouterr().out
    assert out.index("gradient norm is") < out.index("\nheight\n") < out.index("\ngradient norm\n")
    assert run(["minimize", "f.tape", "--method", "adam", "--steps", "30", "--json", "--plot", "terminal"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ok"] and "gradient norm" in said.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--plot", "p.gif"], "a picture's name ends in .png, .svg, .pdf"),
        (["--plot", "none/p.png"], "no such folder"),
        (["--plot", "p.png", "f.tape"], "--plot is for one file"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_the_run(
    folder: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["minimize", "f.tape", *words]) in (2, 6)
    said = capsys.readouterr()
    assert why in said.err and not said.out


def test_without_matplotlib_the_extra_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Any = importlib.util.find_spec
    monkeypatch.setattr("tapecli.report.plots.find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert run(["minimize", "f.tape", "--plot", "p.png"]) == 2
    assert "pip install 'tapecli[plot]'" in capsys.readouterr().err
