"""What the published schemas say of the parts of JUnit and SARIF that are written, as checks.

SARIF is version 2.1.0 of OASIS: an object has no property that its table does not name, has those that are required
(marked by `!`), and each is of the kind that stands there. JUnit is what the schema of Ant's JUnit task and that of
Jenkins' xUnit plug-in both take: elements in order, with attributes that both know and all that one of them asks for.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as Tree
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

#: An RFC 3986 reference: no space, no control, no letter beyond ASCII, `%` only before two hexadecimal digits.
REFERENCE = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
VERSION = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")

Check = Callable[[Any], bool]


def text(x: Any) -> bool:
    return isinstance(x, str) and bool(x) and not any(0xD800 <= ord(c) < 0xE000 for c in x)


def whole(least: int) -> Check:
    return lambda x: isinstance(x, int) and not isinstance(x, bool) and x >= least


def one_of(*words: str) -> Check:
    return lambda x: x in words


def reference(x: Any) -> bool:
    """A `uri-reference`. One that is relative has no colon in its first part, which would be a scheme."""
    if not text(x) or not REFERENCE.fullmatch(x):
        return False
    return (
        urlsplit(x).scheme == "file" and x.startswith("file:///") if x.startswith("file:") else not urlsplit(x).scheme
    )


#: object -> property -> what it is: a check, the name of an object, or a list of such
SARIF: dict[str, dict[str, Any]] = {
    "log": {"$schema": lambda x: x.startswith("https://"), "version!": one_of("2.1.0"), "runs!": ["run"]},
    "run": {
        "tool!": "tool",
        "columnKind": one_of("utf16CodeUnits", "unicodeCodePoints"),
        "results": ["result"],
        "invocations": ["invocation"],
    },
    "tool": {"driver!": "component"},
    "component": {"name!": text, "version": text, "semanticVersion": VERSION.fullmatch, "rules": ["rule"]},
    "rule": {"id!": text, "shortDescription": "message"},
    "message": {"text!": text},
    "result": {
        "ruleId": text,
        "ruleIndex": whole(0),
        "level": one_of("none", "note", "warning", "error"),
        "message!": "message",
        "locations": ["location"],
    },
    "location": {"physicalLocation": "physical"},
    "physical": {"artifactLocation!": "artifact", "region": "region"},
    "artifact": {"uri": reference},
    "region": {"startLine": whole(1), "startColumn": whole(1), "endColumn": whole(1)},
    "invocation": {
        "executionSuccessful!": lambda x: isinstance(x, bool),
        "exitCode": lambda x: isinstance(x, int),
        "toolExecutionNotifications": ["notification"],
    },
    "notification": {"level": one_of("none", "note", "warning", "error"), "message!": "message"},
}  # fmt: skip


def sarif(written: str) -> dict[str, Any]:
    """The one run of a document that keeps to the schema."""
    log = json.loads(written)
    _object(log, "log", "log")
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        for location in result.get("locations", ()):
            region = location["physicalLocation"].get("region")
            assert region is None or region["endColumn"] > region["startColumn"]
    found: dict[str, Any] = run
    return found


def _object(x: Any, kind: str, where: str) -> None:
    assert isinstance(x, dict), where
    table = {name.rstrip("!"): check for name, check in SARIF[kind].items()}
    assert set(x) <= set(table), f"{where}: {set(x) - set(table)}"
    assert {name[:-1] for name in SARIF[kind] if name.endswith("!")} <= set(x), where
    for name, value in x.items():
        check = table[name]
        inside = f"{where}.{name}"
        if isinstance(check, list):
            assert isinstance(value, list), inside
            for k, item in enumerate(value):
                _object(item, check[0], f"{inside}[{k}]")
        elif isinstance(check, str):
            _object(value, check, inside)
        else:
            assert check(value), f"{inside}: {value!r}"


#: element -> (attributes that are asked for, attributes that are known besides, children in order; `*` any number)
JUNIT: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "testsuites": ("", "", ("testsuite*",)),
    "testsuite": (
        "name package id timestamp hostname tests failures errors time",
        "skipped",
        ("properties", "testcase*", "system-out", "system-err"),
    ),
    "properties": ("", "", ()),
    "testcase": ("name classname time", "", ("skipped|error|failure?",)),
    "failure": ("type", "message", ()),
    "error": ("type", "message", ()),
    "skipped": ("", "message", ()),
    "system-out": ("", "", ()),
    "system-err": ("", "", ()),
}


def junit(written: str) -> list[Tree.Element]:
    """The test suites of a document that keeps to the schemas, whose counts are those of its cases."""
    assert written.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = Tree.fromstring(written.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        asked, known, children = JUNIT[element.tag]
        have = set(element.attrib)
        assert set(asked.split()) <= have <= {*asked.split(), *known.split()}, (element.tag, have)
        pattern = "".join(
            f"(?:(?:{child.strip('*?')}) )" + {"*": "*", "?": "?"}.get(child[-1], "") for child in children
        )
        assert re.fullmatch(pattern, "".join(f"{child.tag} " for child in element)), element.tag
        assert children or not list(element)
    suites = list(root)
    assert [suite.get("id") for suite in suites] == [str(k) for k in range(len(suites))]
    for suite in suites:
        cases = suite.findall("testcase")
        assert int(suite.get("tests", "")) == len(cases) >= 1
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == sum(case.find(kind) is not None for case in cases)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        assert all(re.fullmatch(r"\d+\.\d+", x.get("time", "")) for x in (suite, *cases))
        assert suite.get("name") and all(case.get("name") for case in cases)
    return suites
