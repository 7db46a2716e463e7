"""JUnit and SARIF: structure by the schemas that readers use, and text that nobody takes for markup."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as Tree
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from tapecli.cli import run

from .schemas import junit, sarif

FORMULA = "var x = 3\ny = x^2\nexpect y == 9\nexpect y == 8\nexpect x < 2\nminimize y\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tape").write_text(FORMULA)
    (tmp_path / "b.tape").write_text("2x\nq\n")
    (tmp_path / "c <&>\"'\x07.tape").write_text("var x = 1 in [2, 3]\nminimize x^2\n")
    return tmp_path


def written(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = run([*argv])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_junit_keeps_to_the_schemas(folder: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    if jobs == "2":
        argv = [sys.executable, "-m", "tapecli", "check", ".", "--format", "junit", "--jobs", "2"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        code, text = done.returncode, done.stdout
    else:
        code, text = written(capsys, "check", ".", "--format", "junit")
    assert code == 1
    suites = junit(text)
    a, b, c = suites
    assert (a.get("tests"), a.get("failures")) == ("5", "2")
    assert [case.get("name") for case in a.findall("testcase")][:2] == ["line 3: y == 9", "line 4: y == 8"]
    failure = a.findall("testcase")[1].find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("`y == 8` does not hold: got 9, wanted 8, difference 1")
    assert (failure.text or "").startswith("a.tape:4:13: expect: ")
    assert b.get("errors") == "1"
    assert c.get("name") == "./c <&>\"'\\x07.tape".removeprefix("./")
    assert "lies outside its bounds" in "".join(c.find("system-err").itertext())  # type: ignore[union-attr]


def test_sarif_has_what_the_schema_asks_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = written(capsys, "check", ".", "-e", "z", "--format", "sarif")
    assert code == 1
    one = sarif(text)
    assert one["tool"]["driver"]["name"] == "tapecli"
    assert one["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    found = [(r["ruleId"], r["level"], len(r.get("locations", ()))) for r in one["results"]]
    assert found[:2] == [("expect", "error", 1), ("expect", "error", 1)]
    assert ("value", "warning", 1) in found
    assert found[-1] == ("name", "error", 0)  # what stands on the command line has no place in a file


def test_a_run_without_problems_is_a_document_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = written(capsys, "eval", "-e", "1 + 1", "--format", "sarif")
    assert (code, json.loads(text)["runs"][0]["results"]) == (0, [])
    code, text = written(capsys, "eval", "-e", "1 + 1", "--format", "junit")
    assert code == 0
    assert Tree.fromstring(text.encode())[0].get("tests") == "1"


def test_a_document_and_json_exclude_each_other(folder: Path) -> None:
    assert run(["check", "a.tape", "--format", "junit", "--json"]) == 2


def test_rows_are_cases_of_their_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "p.csv").write_text("x\n3\n4\n")
    _, text = written(capsys, "check", "a.tape", "--at", "@p.csv", "--format", "junit")
    names = [case.get("name") for case in Tree.fromstring(text.encode()).iter("testcase")]
    assert names[0] == "row 1, line 3: y == 9"
    assert "row 2, gradient x" in names


def test_what_cannot_be_judged_is_skipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "n.tape").write_text("var x = 0.3\nminimize sin(1e17*x)\n")
    code, text = written(capsys, "check", "n.tape", "--json")
    found = json.loads(text)
    assert found["undecided"] == sum(not d["decided"] for d in found["derivatives"])
    assert all(d["ok"] for d in found["derivatives"] if not d["decided"])
    if found["undecided"]:
        code, text = written(capsys, "check", "n.tape", "--format", "junit")
        assert Tree.fromstring(text.encode())[0].get("skipped") == str(found["undecided"])
    assert code in (0, 1)


#: Names of files that stand for something in XML, in URIs, on a terminal or in a log.
NAMES = [
    b"a]]>b--c.tape", b"<!-- &amp; \"'.tape", b"bad\xff\xfe.tape", b"c:colon.tape", b"ctl\x01\x1b[31m\n::error::.tape",
    "\u202eh\u00e9 %41#?.tape".encode(), b"back\\slash.tape", "\ufffe\U0001f600.tape".encode(), b"sub/d:e f.tape",
]  # fmt: skip
#: Formulas whose messages hold what is awkward.
TEXTS = [
    "expect 1 == 2 # ]]> --",
    "y = " + "a" * 5000,
    'y = "\x1b[31m\x00',
    "y = \u202e\ud7ff",
    "expect 1 < 0 # \ufffe",
]


@pytest.fixture
def awkward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in NAMES:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(TEXTS[len(name) % len(TEXTS)].encode())
    for k, text in enumerate(TEXTS):
        (tmp_path / f"t{k}.tape").write_text(text, "utf-8")
    (tmp_path / "bytes.tape").write_bytes(b"y = \xff\xfe\n")
    return tmp_path


@pytest.mark.parametrize("where", [".", "absolute"])
def test_awkward_names_and_texts_keep_to_the_schemas(
    awkward: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = len(NAMES) + len(TEXTS) + 1
    folder = "." if where == "." else str(awkward)
    _, text = written(capsys, "check", folder, "--format", "junit")
    assert len(junit(text)) == files
    assert not any(c < " " and c != "\n" for c in text)
    _, text = written(capsys, "check", folder, "--format", "sarif")
    results = sarif(text)["results"]
    uris = {p["physicalLocation"]["artifactLocation"]["uri"] for r in results for p in r["locations"]}
    assert len(uris) == files
    root = b"" if where == "." else os.fsencode(awkward) + b"/"
    paths = {unquote_to_bytes(uri.removeprefix("file://")).removeprefix(root) for uri in uris}
    assert set(NAMES) <= paths  # the URI leads back to the file


def test_a_text_of_a_file_makes_no_link(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "link.tape").write_text('data a from "[all is well](https://example.org)"\nsum(a)\n')
    _, text = written(capsys, "check", "link.tape", "--format", "sarif")
    (result,) = sarif(text)["results"]
    assert "[all is well] (https" in result["message"]["text"]


def test_a_run_that_is_ended_early_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--fail-fast"], "--fail-fast"), (["--max-failures", "1"], "--max-failures 1")):
        code, text = written(capsys, "check", ".", "--format", "junit", *words)
        assert code == 1
        *_, last = junit(text)
        skipped = last.find("testcase/skipped")
        assert skipped is not None
        assert skipped.get("message") == f"the run ended early ({said}): 2 of 3 files left out"
        code, text = written(capsys, "check", ".", "--format", "sarif", *words)
        (invocation,) = sarif(text)["invocations"]
        (note,) = invocation["toolExecutionNotifications"]
        assert (note["level"], said in note["message"]["text"]) == ("warning", True)


def test_time_that_is_over_is_an_error_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.tape").write_text("var x = 0.5\nminimize fold(s = x for k in 1..3000000: 3.9*s*(1 - s))\n")
    code, text = written(capsys, "check", "a.tape", "--format", "junit", "--timeout", "0.2")
    error = junit(text)[0].find("testcase/error")
    assert code == 5 and error is not None and error.get("type") == "limit"
    code, text = written(capsys, "check", "a.tape", "--format", "sarif", "--timeout", "0.2")
    run_ = sarif(text)
    assert [result["ruleId"] for result in run_["results"]] == ["limit"]
    assert run_["invocations"] == [{"executionSuccessful": False, "exitCode": 5}]
