"""Logs and callbacks: every step or every N-th, and how a log goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tapecli as tp
from tapecli.cli import run
from tapecli.report.progress import Progress

TEXT = "var x = 4\nminimize x^2 using sgd(learning_rate=0.1), steps=20"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "f.tape").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def steps(path: str = "log") -> list[int]:
    return [json.loads(line)["step"] for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize("every", [1, 3, 7, 100])
def test_every_nth_step_is_logged(every: int) -> None:
    assert run(["minimize", "f.tape", "-q", "--log", "log", "--log-every", str(every)]) == 0
    assert steps() == list(range(0, 21, every))
    assert set(json.loads(Path("log").read_text().splitlines()[0])) == {"step", "value", "at", "gradient_norm"}


@pytest.mark.parametrize("stop", [0, 1, 7, 19])
@pytest.mark.parametrize("torn", ["", '{"step": 8, "val', '{"step": 9}\n{"step": 10}\n', "no JSON\n", "\0\n"])
def test_a_log_goes_on_where_the_checkpoint_is(stop: int, torn: str) -> None:
    run(["minimize", "f.tape", "-q", "--log", "whole"])
    run(["minimize", "f.tape", "-q", "--log", "log", "--checkpoint", "c", "--steps", str(stop)])
    with open("log", "a") as log:
        log.write(torn)
    run(["minimize", "f.tape", "-q", "--log", "log", "--checkpoint", "c", "--resume"])
    assert Path("log").read_bytes() == Path("whole").read_bytes()


def test_a_log_is_not_replaced_unasked() -> None:
    Path("log").write_text("mine")
    assert run(["minimize", "f.tape", "--log", "log"]) == 6
    assert Path("log").read_text() == "mine"


def test_a_callback_without_wishes_sees_every_step() -> None:
    seen: list[Any] = []
    tp.parse(TEXT).minimize(callback=seen.append)
    assert [step.step for step in seen] == list(range(21))


def test_a_callback_with_wishes_sees_those_and_the_last() -> None:
    class Wishes:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def due(self, number: int) -> bool:
            return number % 8 == 0

        def __call__(self, step: Any) -> None:
            self.seen.append(step.step)

    wishes = Wishes()
    tp.parse(TEXT).minimize(callback=wishes)
    assert wishes.seen == [0, 8, 16, 20]


def test_the_display_looks_at_the_clock_and_not_at_every_step() -> None:
    progress = Progress()
    asked = sum(progress.due(number) for number in range(100_000))
    assert 1 <= asked < 10_000
    assert progress.due(0)  # another run begins


@pytest.mark.parametrize("limit", [1, 5, 12])
def test_evaluations_are_limited(limit: int, capsys: pytest.CaptureFixture[str]) -> None:
    end = tp.parse(TEXT).minimize(max_evaluations=limit)
    assert (end.evaluations, end.stop_reason) == (limit, "max_evaluations")
    assert run(["minimize", "f.tape", "--max-evaluations", str(limit)]) == 5
    assert "the limit of evaluations was reached first" in capsys.readouterr().err
    assert run(["minimize", "f.tape", "--max-evaluations", "0"]) == 2
