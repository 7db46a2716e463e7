"""Checkpoints: who goes on from one ends with the bits of a run that was never stopped; no other run may."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.optimize import checkpoint
from tapecli.optimize.checkpoint import Damaged, older, read

ROSENBROCK = "var x = [-1.2, 1, 0.5]\nminimize sum(100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for i in 1..2)"
DATA = 'data t, y from "d.csv"\nvar a = 1, b = 0.1\nminimize mean((y - a*exp(-b*t))^2), batch=4, epochs=6, seed=3'
#: name -> a formula, and how it is minimised
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": (ROSENBROCK, {"method": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "steps": 40}),
    "adam": (ROSENBROCK, {"method": "adam", "learning_rate": 0.05, "steps": 40, "amsgrad": True}),
    "averages": (ROSENBROCK, {"method": "adamw", "steps": 40, "use_ema": True}),
    "nadam": (ROSENBROCK, {"method": "nadam", "steps": 40}),
    "lbfgs": (ROSENBROCK, {"method": "lbfgs", "steps": 25}),
    "newton": (ROSENBROCK, {"method": "newton", "steps": 15}),
    "lm": (ROSENBROCK, {"method": "lm", "steps": 15}),
    "batches": (DATA, {"method": "adam", "learning_rate": 0.02}),
    "float32": (ROSENBROCK, {"method": "adam", "steps": 40}),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    t = np.linspace(0, 5, 23)
    np.savetxt(tmp_path / "d.csv", np.column_stack([t, 2 * np.exp(-0.7 * t)]), delimiter=",", header="t,y", comments="")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bits(r: Any) -> tuple[Any, ...]:
    """Everything of a result but the time it took."""
    arrays = [(name, array.tobytes()) for point in (r.at, r.best_at) for name, array in point.items()]
    numbers = [np.float64(x).tobytes() for x in (r.value, r.gradient_norm, r.best_value)]
    return (r.steps, r.evaluations, r.stop_reason, r.converged, *numbers, *arrays)


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_ends_with_the_same_bits(folder: Path, name: str) -> None:
    text, options = RUNS[name]
    dtype = "float32" if name == "float32" else "float64"
    whole = bits(tp.parse(text, dtype=dtype).minimize(**options))
    last = whole[0]
    for stop in (0, 1, last // 2, last - 1, last):
        for path in (Path("c"), Path("c.1")):
            path.unlink(missing_ok=True)
        part = tp.parse(text, dtype=dtype).minimize(**{**options, "steps": stop}, checkpoint="c", checkpoint_every=0)
        assert part.steps == stop
        # a fresh problem knows nothing but the file
        assert bits(tp.parse(text, dtype=dtype).minimize(**options, checkpoint="c", resume=True)) == whole
        assert bits(tp.parse(text, dtype=dtype).minimize(**options, checkpoint="c", resume=True)) == whole


def test_checkpoints_change_nothing(folder: Path) -> None:
    text, options = RUNS["adam"]
    problem = tp.parse(text)
    assert bits(problem.minimize(**options)) == bits(problem.minimize(**options, checkpoint="c", checkpoint_every=0))


def test_a_state_comes_back_to_the_last_bit(folder: Path) -> None:
    tp.parse(DATA).minimize(method="adam", checkpoint="c")
    saved = read("c")
    checkpoint.write("again", saved)
    assert Path("c").read_bytes() == Path("again").read_bytes()


def resumed(text: str, **more: Any) -> Any:
    return tp.parse(text, **more.pop("parse", {})).minimize(
        **{**RUNS["batches"][1], **more}, checkpoint="c", resume=True
    )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"text": DATA.replace("0.1", "0.2")}, "of another formula"),
        ({"at": {"a": 1.5}}, "from another start"),
        ({"learning_rate": 0.03}, "learning_rate=0.02 there, learning_rate=0.03 here"),
        ({"method": "sgd"}, "other options"),
        ({"batch": 5}, "batch=4 there, batch=5 here"),
        ({"seed": 4}, "seed=3 there, seed=4 here"),
        ({"parse": {"dtype": "float32"}}, "--dtype"),
        ({"parse": {"engine": "tape"}}, "--engine auto there, --engine tape here"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_the_reason(folder: Path, more: dict[str, Any], why: str) -> None:
    tp.parse(DATA).minimize(**RUNS["batches"][1], checkpoint="c")
    before = Path("c").read_bytes()
    if "dtype" in str(more):
        why = "start|--dtype"
    with pytest.raises(tp.TapeError, match=why) as caught:
        resumed(more.pop("text", DATA), **more)
    assert caught.value.code == "usage"
    assert Path("c").read_bytes() == before


def test_a_checkpoint_of_other_data_is_refused(folder: Path) -> None:
    tp.parse(DATA).minimize(**RUNS["batches"][1], checkpoint="c")
    content = Path("d.csv").read_text()
    Path("d.csv").write_text(content.replace(content.split("\n")[3], "0.5,1.5"))
    with pytest.raises(tp.TapeError, match="of other data"):
        resumed(DATA)


def test_longer_is_the_same_run(folder: Path) -> None:
    whole = bits(tp.parse(DATA).minimize(method="adam", learning_rate=0.02, epochs=9))
    tp.parse(DATA).minimize(method="adam", learning_rate=0.02, checkpoint="c")
    assert bits(resumed(DATA, epochs=9)) == whole


def test_a_damaged_checkpoint_gives_way_to_the_older_one(folder: Path) -> None:
    whole = bits(tp.parse(DATA).minimize(**RUNS["batches"][1]))
    tp.parse(DATA).minimize(**RUNS["batches"][1], epochs=2, checkpoint="c", checkpoint_every=0)
    content = Path("c").read_bytes()
    for damaged in (content[:-1], content[:100], b"", content[:500] + b"\0" + content[501:], content + b"x"):
        Path("c").write_bytes(damaged)
        shutil.copy("c.1", "kept")
        end = resumed(DATA)
        assert bits(end) == whole
        (note,) = end.notes
        assert "c is damaged" in note
        assert "going on from the older c.1" in note
        shutil.copy("kept", "c.1")
        Path("c").write_bytes(damaged)
        Path("c.1").write_bytes(b"not one")
        with pytest.raises(tp.TapeError, match=r"c is damaged: .*; the checkpoint c\.1 is damaged") as caught:
            resumed(DATA)
        assert caught.value.code == "file"
        shutil.copy("kept", "c.1")


def test_between_the_two_renames_the_older_one_serves(folder: Path) -> None:
    whole = bits(tp.parse(DATA).minimize(**RUNS["batches"][1]))
    tp.parse(DATA).minimize(**RUNS["batches"][1], epochs=2, checkpoint="c")
    Path("c").rename(older("c"))
    assert bits(resumed(DATA)) == whole


@pytest.mark.parametrize("byte", range(0, 900, 37))
def test_every_changed_byte_is_noticed(folder: Path, byte: int) -> None:
    tp.parse(DATA).minimize(**RUNS["batches"][1], epochs=1, checkpoint="c")
    content = bytearray(Path("c").read_bytes())
    content[byte] ^= 0x10
    Path("c").write_bytes(content)
    with pytest.raises(Damaged):
        read("c")


def test_what_is_there_is_not_replaced_unasked(folder: Path) -> None:
    Path("c").write_text("mine")
    with pytest.raises(tp.TapeError, match="c exists already"):
        tp.parse(DATA).minimize(checkpoint="c")
    assert Path("c").read_text() == "mine"
    tp.parse(DATA).minimize(checkpoint="c", force=True)
    assert read("c").state.step == 36


def test_without_one_the_run_begins_at_the_start(folder: Path) -> None:
    end = resumed(DATA)
    assert bits(end) == bits(tp.parse(DATA).minimize(**RUNS["batches"][1]))
    assert "there is no checkpoint c yet" in end.notes[0]


def test_wrong_uses_are_refused(folder: Path) -> None:
    with pytest.raises(tp.TapeError, match="no checkpoint to resume"):
        tp.parse(DATA).minimize(resume=True)
    with pytest.raises(tp.TapeError, match="one run, not one of several"):
        tp.parse(DATA).minimize(checkpoint="c", starts=3)
    Path("folder").mkdir()
    for path in ("nowhere/c", "folder"):
        for more in ({"force": True}, {"resume": True}):
            seen: list[Any] = []
            with pytest.raises(tp.TapeError, match=r"cannot be written: (there is no such|it is a) folder") as caught:
                tp.parse(DATA).minimize(checkpoint=path, callback=seen.append, **more)
            assert caught.value.code == "file"
            assert not seen  # before the run, not after it
    assert Path("folder").is_dir()
    os.mkfifo("pipe")
    for path, why in (("pipe", "it is no regular file"), ("", "it has no name")):
        for more in ({"force": True}, {"resume": True}):
            with pytest.raises(tp.TapeError, match=f"cannot be written: {why}"):
                tp.parse(DATA).minimize(checkpoint=path, **more)
    Path("mine.1").write_text("mine")
    with pytest.raises(tp.TapeError, match=r"mine\.1 exists already"):
        tp.parse(DATA).minimize(checkpoint="mine")


def test_a_disk_that_is_full_does_not_end_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bits(tp.parse(DATA).minimize(**RUNS["batches"][1]))
    sync, calls = os.fsync, iter(range(10**6))

    def full(handle: int) -> None:
        if 20 <= next(calls) < 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    end = tp.parse(DATA).minimize(**RUNS["batches"][1], checkpoint="c", checkpoint_every=0)
    assert bits(end) == whole and end.notes == ()  # there was room again
    assert read("c").state.step == 36

    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "replace", broken)
    end = tp.parse(DATA).minimize(**RUNS["batches"][1], checkpoint="d")
    assert bits(end) == whole
    assert "the checkpoint d cannot be written: input/output error" in end.notes


def test_a_link_stays_a_link(folder: Path) -> None:
    Path("scratch").mkdir()
    Path("scratch/real").write_bytes(b"")
    Path("c").symlink_to("scratch/real")
    tp.parse(DATA).minimize(checkpoint="c", force=True)
    assert Path("c").is_symlink()
    assert read("scratch/real").state.step == 36


def test_a_fit_goes_on_and_its_loss_is_part_of_it(folder: Path) -> None:
    text = 'data t, y from "d.csv"\nvar a = 1, b = 0.1\nfit y ~ a*exp(-b*t)'
    whole = tp.parse(text).fit()
    with_some = tp.parse(text).fit(steps=2, checkpoint="c")
    assert with_some.minimum.steps == 2
    end = tp.parse(text).fit(checkpoint="c", resume=True)
    assert bits(end.minimum) == bits(whole.minimum)
    assert end.covariance.tobytes() == whole.covariance.tobytes()
    with pytest.raises(tp.TapeError, match="--loss linear there, --loss huber here"):
        tp.parse(text).fit(loss="huber", checkpoint="c", resume=True)
    with pytest.raises(tp.TapeError, match="takes all rows"):
        tp.parse(text).fit(batch=4)


def test_a_run_that_was_cut_short_says_how_it_goes_on(folder: Path) -> None:
    end = tp.parse(DATA).minimize(max_evaluations=5, checkpoint="c")
    assert end.notes == ("the run so far is in c; with --resume it goes on from step 4",)
