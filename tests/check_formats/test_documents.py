"""JUnit and SARIF: structure by the schemas that readers use, and text that nobody takes for markup."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as Tree
from pathlib import Path

import pytest

from tapecli.cli import run

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


#: element -> attributes that both schemas know and one asks for; and those that both know
ASKED = {
    "testsuites": set(),
    "testsuite": {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "time"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type"},
    "error": {"type"},
    "skipped": set(),
    "properties": set(),
    "system-out": set(),
    "system-err": set(),
}
KNOWN = {"testsuite": {"skipped"}, "failure": {"message"}, "error": {"message"}, "skipped": {"message"}}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_junit_keeps_to_the_schemas(folder: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    if jobs == "2":
        import subprocess
        import sys

        argv = [sys.executable, "-m", "tapecli", "check", ".", "--format", "junit", "--jobs", "2"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        code, text = done.returncode, done.stdout
    else:
        code, text = written(capsys, "check", ".", "--format", "junit")
    assert code == 1
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = Tree.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        have = set(element.attrib)
        assert ASKED[element.tag] <= have <= ASKED[element.tag] | KNOWN.get(element.tag, set()), element.tag
    suites = list(root)
    assert [suite.get("id") for suite in suites] == ["0", "1", "2"]
    for suite in suites:
        tags = [child.tag for child in suite]
        assert tags[0] == "properties"
        assert tags[-2:] == ["system-out", "system-err"]
        assert set(tags[1:-2]) == {"testcase"}
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases)
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == sum(case.find(kind) is not None for case in cases)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        float(suite.get("time", ""))
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
    log = json.loads(text)
    assert log["version"] == "2.1.0"
    (one,) = log["runs"]
    driver = one["tool"]["driver"]
    assert driver["name"] == "tapecli"
    rules = {rule["id"] for rule in driver["rules"]}
    assert len(rules) == len(driver["rules"])
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert one["columnKind"] == "unicodeCodePoints"
    assert one["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    for result in one["results"]:
        assert result["message"]["text"]
        assert result["level"] in ("error", "warning", "note", "none")
        assert result["ruleId"] in rules
        for location in result.get("locations", ()):
            physical = location["physicalLocation"]
            assert re.fullmatch(r"[A-Za-z0-9%/._-]+", physical["artifactLocation"]["uri"])
            region = physical["region"]
            assert region["startLine"] >= 1
            assert region["endColumn"] > region["startColumn"] >= 1
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
