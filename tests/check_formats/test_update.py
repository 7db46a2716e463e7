"""`check --update`: numbers are rewritten, all else stays byte for byte."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

import tapecli as tp
from tapecli.cli import run
from tapecli.problem import checking

HEAD = "var x = 2, v = [1, 2]\r\ny = x^2\t# a remark: expect y == 5\r\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("expect y == 5", "expect y == 4"),
        ("expect   y ==   -5e0 # five", "expect   y ==   4 # five"),
        ("expect -y == 5", "expect -y == -4"),
        ("expect -y == - 5", "expect -y == -4"),
        ("expect 5 == y", "expect 4 == y"),
        ("expect y == 5 within 1e-9 at x = 3", "expect y == 9 within 1e-9 at x = 3"),
        ("expect y == 5 ; expect x == 7", "expect y == 4 ; expect x == 2"),
        ("expect v/3 == [ 1,\r\n  2 ]", "expect v/3 == [ 0.3333333333333333,\r\n  0.6666666666666666 ]"),
        ("expect [[x, y], [1, 2]] == [[1, 2], [3, 4]]", "expect [[x, y], [1, 2]] == [[2, 4], [1, 2]]"),
        ("expect (y) == (5)", "expect (y) == (4)"),
        ("expect exp(y) == 1_000", "expect exp(y) == 54.598150033144236"),
        ("expect y == 4.0000", "expect y == 4.0000"),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_numbers_are_rewritten(folder: Path, before: str, after: str, mark: bytes) -> None:
    path = folder / "f.tape"
    path.write_bytes(mark + (HEAD + before + "\r\nminimize y").encode())
    os.chmod(path, 0o640)
    assert run(["check", "f.tape", "--update"]) == 0
    assert path.read_bytes() == mark + (HEAD + after + "\r\nminimize y").encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert run(["check", "f.tape"]) == 0
    assert os.listdir(folder) == ["f.tape"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("expect y < 1", "an inequality"),
        ("expect y != 4", "an inequality"),
        ("expect y > 5 or y < 2", "a condition"),
        ("expect y == 2 + 3", "an expression"),
        ("expect x < 1 == true", ""),
        ("expect v == 7", "another shape"),
        ("expect log(-y) == 1", "not finite"),
        ("expect y == pi", "an expression"),
    ],
)
def test_what_cannot_be_rewritten_stays(
    folder: Path, line: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "f.tape"
    path.write_bytes((HEAD + line + "\nminimize y").encode())
    before = path.read_bytes()
    code = run(["check", "f.tape", "--update", "--json"])
    assert path.read_bytes() == before
    if reason:
        (skipped,) = json.loads(capsys.readouterr().out)["skipped"]
        assert reason in skipped["reason"]
        assert code == 1


def test_a_failing_derivative_keeps_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "f.tape"
    path.write_bytes((HEAD + "expect y == 5\nminimize y").encode())
    before = path.read_bytes()
    inner = checking._judged
    monkeypatch.setattr(checking, "_judged", lambda *args: inner(*args)._replace(ok=False))
    monkeypatch.setattr(checking, "_at_kink", lambda *_: False)
    assert run(["check", "f.tape", "--update", "--json"]) == 1
    assert "a derivative check failed" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert run(["check", "f.tape", "--update", "--force"]) == 1
    assert b"expect y == 4" in path.read_bytes()


def test_what_is_no_file_and_other_points(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "-e", "var x = 1; expect x == 2", "--update", "--json"]) == 1
    assert "no file" in json.loads(capsys.readouterr().out)["skipped"][0]["reason"]
    (folder / "f.tape").write_text("var x = 1; expect x == 2")
    assert run(["check", "f.tape", "--update", "--at", "x=2"]) == 2


def test_from_python() -> None:
    p = tp.parse("var x = 2\nexpect x^2 == 5  # five\n")
    update = p.updated(p.check())
    assert update.text == "var x = 2\nexpect x^2 == 4  # five\n"
    assert [(c.line, c.column, c.old, c.new) for c in update.changes] == [(2, 15, "5", "4")]
