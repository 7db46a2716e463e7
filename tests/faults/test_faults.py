"""What goes wrong around tapecli: full disks, files that vanish, closed pipes, too little memory, signals."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import tapecli

ENV = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1])}
LONG = "var x[200000] = 1\n[sin(x[i]) for i in 1..200000]\n"


def tapecli_(
    words: list[str], folder: Path, limit: Callable[[], None] | None = None, **more: object
) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tapecli", *words],
        cwd=folder,
        env=ENV,
        preexec_fn=limit,
        check=False,
        timeout=60,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},  # type: ignore[call-overload]
    )
    out, err = ((stream or b"").decode() for stream in (done.stdout, done.stderr))
    assert "Traceback" not in out + err
    return done.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f.tape").write_text(LONG)
    (tmp_path / "q.tape").write_text("var x = 3\nx^2\n")
    (tmp_path / "m.tape").write_text("var x = 3\nminimize x^4 using sgd(learning_rate=1e-9), steps=100000000\n")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_a_file_that_cannot_grow_is_not_torn(folder: Path) -> None:
    (folder / "old.json").write_text("kept")
    before = names(folder)
    status, _, err = tapecli_(["eval", "f.tape", "--json", "--output", "old.json", "--force"], folder, small_files)
    assert status == 6 and "old.json cannot be written" in err
    assert (folder / "old.json").read_text() == "kept" and names(folder) == before
    status, _, _ = tapecli_(["eval", "f.tape", "--json", "--output", "new.json"], folder, small_files)
    assert status == 6 and names(folder) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_device(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        assert tapecli_(["eval", "f.tape", "--json"], folder, stdout=full)[0] == 6
    assert tapecli_(["eval", "f.tape", "--json", "--output", "/dev/full", "--force"], folder)[0] == 6


def test_an_output_below_a_file_and_in_no_folder(folder: Path) -> None:
    for path in ("q.tape/out.json", "nowhere/out.json", "."):
        status, _, err = tapecli_(["eval", "q.tape", "--output", path], folder)
        assert status == 6 and "cannot be written" in err, path


def test_inputs_are_never_written_over(folder: Path) -> None:
    (folder / "d.csv").write_text("t\n1\n2\n")
    (folder / "d.tape").write_text('data t from "d.csv"\nsum(t)\n')
    (folder / "p.csv").write_text("x\n1\n")
    os.link(folder / "q.tape", folder / "other.txt")
    for words in (
        ["eval", "q.tape", "--output", "q.tape"],
        ["eval", "q.tape", "--output", "other.txt"],
        ["eval", ".", "--output", "./m.tape"],
        ["eval", "d.tape", "--output", "d.csv"],
        ["eval", "q.tape", "--at", "@p.csv", "--output", "p.csv"],
        ["minimize", "m.tape", "--log", "m.tape", "--steps", "1"],
    ):
        kept = {path.name: path.read_bytes() for path in folder.iterdir()}
        status, _, err = tapecli_([*words, "--force"], folder)
        assert status in (1, 6) and "not written over" in err, words
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept, words


def test_a_log_is_not_emptied_by_a_wrong_command(folder: Path) -> None:
    (folder / "log.jsonl").write_text("kept\n")
    assert tapecli_(["minimize", "q.tape", "--log", "log.jsonl", "--force"], folder)[0] == 2
    assert (folder / "log.jsonl").read_text() == "kept\n"


def test_a_closed_pipe_ends_quietly(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tapecli", "eval", "f.tape", "--json"],
        cwd=folder, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(30) == 0


def test_too_little_memory(folder: Path) -> None:
    (folder / "big.tape").write_text("var x[10000000] = 1\nsum(sin(x)*cos(x) + exp(x))\n")
    status, _, err = tapecli_(["eval", "big.tape", "--max-memory", "50M"], folder)
    assert status == 5 and "error[limit]" in err

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1_200_000_000, 1_200_000_000))

    (folder / "big.tape").write_text("var x[60000000] = 1\nsum(sin(x)*cos(x) + exp(x))\n")
    status, _, err = tapecli_(["eval", "big.tape"], folder, little)
    assert status == 5 and "error[limit]" in err


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3, 0.6])
def test_termination_at_any_moment(folder: Path, delay: float) -> None:
    (folder / "old.json").write_text("kept")
    before = names(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "tapecli", "minimize", "m.tape", "--json", "--output", "old.json", "--force"],
        cwd=folder, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (143, -signal.SIGTERM)  # before Python has started, the system itself ends it
    assert b"Traceback" not in err
    assert names(folder) == before
    text = (folder / "old.json").read_text()
    assert text == "kept" or text.endswith("}\n")


def test_time_is_over_in_compiled_code(folder: Path) -> None:
    (folder / "slow.tape").write_text("var x[300000] = 1\nsum(sin(x[i]*x[j]) for i in 1..300000, j in 1..300000)\n")
    status, out, _ = tapecli_(["eval", "slow.tape", "--timeout", "1", "--json"], folder)
    assert status == 5 and '"limit"' in out


def test_links_found_in_a_folder_do_not_lead_out(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "evil.tape").symlink_to("/etc/passwd")
    (inner / "up.tape").symlink_to("../q.tape")
    os.mkfifo(inner / "pipe.tape")
    (inner / "ok.tape").write_text("1 + 1\n")
    for what in ("inner", "inner/*.tape"):
        status, out, err = tapecli_(["eval", what], folder)
        assert status == 1 and "root:" not in out + err
        assert err.count("leads out of the folder") == 2 and err.count("no regular file") == 1


def test_a_data_file_that_vanishes_or_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tapecli.data import text

    path = folder / "d.csv"
    original = text._read

    def shrinking(file: object, size: int, shown: str) -> bytes:
        path.write_text("t\n")  # the file is cut while it is read
        return original(file, size, shown)  # type: ignore[arg-type]

    path.write_text("t\n1\n2\n")
    monkeypatch.setattr(text, "_read", shrinking)
    with pytest.raises(tapecli.TapeError) as error:
        tapecli.parse('data t from "d.csv"\nsum(t)', folder=str(folder))
    assert error.value.code == "data"
    monkeypatch.setattr(text, "_read", original)
    path.unlink()
    with pytest.raises(tapecli.TapeError) as error:
        tapecli.parse('data t from "d.csv"\nsum(t)', folder=str(folder))
    assert error.value.code == "file"
