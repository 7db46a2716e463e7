"""What was found as a document for continuous integration: JUnit's XML, and SARIF.

A document is written as the files come, one fragment each, so it takes no memory however many files there are.

JUnit has no standard. What is written keeps to the schema of Ant's JUnit task and to that of Jenkins' xUnit plug-in,
which GitLab, Azure and others read as well: no attribute that one of the two does not know, and every element that one
of them asks for. SARIF is version 2.1.0 of OASIS; columns count code points, as everywhere in this program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from tapecli import __version__
from tapecli.errors import CODES
from tapecli.report import INTERRUPTED
from tapecli.report.encode import Encoder
from tapecli.report.faults import Fault, concise
from tapecli.report.text import clean_lines
from tapecli.report.verdicts import Case

#: What XML 1.0 cannot hold, beyond the controls that `clean` writes out.
_NEVER = re.compile("[\ufffe\uffff]")

#: what `check` finds, beside the codes of errors
FOUND = {
    "expect": "an expectation that does not hold",
    "derivative": "a derivative that differs from the numerical one",
}


#: the rules of SARIF: everything that can be found
RULES = {code: said for code, (_, said) in CODES.items()} | FOUND
#: the place of each among them
INDEX = {code: k for k, code in enumerate(RULES)}


class Document(Protocol):
    """A format. `joint` stands between two fragments."""

    joint: str

    def head(self, command: str) -> str: ...

    def fragment(
        self, command: str, file: str, number: int, cases: Sequence[Case], faults: Sequence[Fault], seconds: float
    ) -> str: ...

    def last(self, command: str, number: int, status: int, early: str) -> str:
        """The fragment that says why a run ended before its last file."""

    def tail(self, status: int, early: str | None) -> str: ...


class Junit:
    """A test suite for each file; a test case for each expectation and derivative, or one for the file."""

    joint = "\n"

    def head(self, command: str) -> str:
        return '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'

    def fragment(
        self, command: str, file: str, number: int, cases: Sequence[Case], faults: Sequence[Fault], seconds: float
    ) -> str:
        told = [fault for fault in faults if fault.severity != "error"]
        said = "".join(concise(fault, file) + "\n" for fault in told)
        return self._suite(command, file, number, cases, said, seconds)

    def last(self, command: str, number: int, status: int, early: str) -> str:
        case = Case("the run", "error" if status >= INTERRUPTED else "skipped", said=early)
        return self._suite(command, f"tapecli {command}", number, [case], "", 0.0)

    def _suite(self, command: str, name: str, number: int, cases: Sequence[Case], said: str, seconds: float) -> str:
        def count(status: str) -> int:
            return sum(case.status == status for case in cases)

        head = {
            "name": name,
            "package": f"tapecli.{command}",
            "id": number,
            "timestamp": datetime.now().replace(microsecond=0).isoformat(),
            "hostname": "localhost",
            "tests": len(cases),
            "failures": count("failed"),
            "errors": count("error"),
            "skipped": count("skipped"),
            "time": f"{seconds:.6f}",
        }
        lines = [f"  <testsuite{_attributes(head)}>", "    <properties/>"]
        for case in cases:
            lines += self._case(case, name, seconds / len(cases))
        err = f"<system-err>{_escaped(said, attribute=False)}</system-err>" if said else "<system-err/>"
        return "\n".join([*lines, "    <system-out/>", f"    {err}", "  </testsuite>"])

    def _case(self, case: Case, file: str, seconds: float) -> list[str]:
        head = _attributes({"name": case.name, "classname": file, "time": f"{seconds:.6f}"})
        if case.status == "passed":
            return [f"    <testcase{head}/>"]
        lines = [f"    <testcase{head}>"]
        if case.status == "skipped":
            lines.append(f"      <skipped{_attributes({'message': case.said})}/>")
        elif not case.faults:
            lines.append(f"      <error{_attributes({'message': case.said, 'type': 'interrupted'})}/>")
        else:
            tag = "failure" if case.status == "failed" else "error"
            first = case.faults[0]
            text = "\n".join(_told(fault, file) for fault in case.faults)
            what = _attributes({"message": first.said, "type": first.code})
            lines.append(f"      <{tag}{what}>{_escaped(text, attribute=False)}</{tag}>")
        return [*lines, "    </testcase>"]

    def tail(self, status: int, early: str | None) -> str:
        return "\n</testsuites>\n"


def _told(fault: Fault, file: str) -> str:
    """A fault as plain text, with its place and its hint."""
    return concise(fault, file) + (f"\nhelp: {clean_lines(fault.hint)}" if fault.hint else "")


def _attributes(values: dict[str, object]) -> str:
    return "".join(f' {name}="{_escaped(str(value), attribute=True)}"' for name, value in values.items())


def _escaped(text: str, attribute: bool) -> str:
    """Text that XML can hold, and that nobody takes for markup."""
    text = _NEVER.sub("\N{REPLACEMENT CHARACTER}", clean_lines(text))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\n", "&#10;") if attribute else text


class Sarif:
    """One run, whose results are the problems of all files."""

    joint = ",\n"

    def head(self, command: str) -> str:
        rules = [{"id": code, "shortDescription": {"text": said}} for code, said in RULES.items()]
        driver = _json({"name": "tapecli", "version": __version__, "semanticVersion": __version__, "rules": rules})
        return (
            '{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{'
            f'"tool": {{"driver": {driver}}}, "columnKind": "unicodeCodePoints", "results": [\n'
        )

    def fragment(
        self, command: str, file: str, number: int, cases: Sequence[Case], faults: Sequence[Fault], seconds: float
    ) -> str:
        return self.joint.join(_json(self._result(fault, file)) for fault in faults)

    def _result(self, fault: Fault, file: str) -> dict[str, Any]:
        text = clean_lines(fault.said) + (f"\n{clean_lines(fault.hint)}" if fault.hint else "")
        level = "error" if fault.severity == "error" else "warning"
        result: dict[str, Any] = {
            "ruleId": fault.code,
            "ruleIndex": INDEX[fault.code],
            "level": level,
            "message": {"text": text.replace("](", "] (")},  # else viewers make a link of it (SARIF 2.1.0, 3.11.6)
        }
        place = fault.place
        name = place.source.name if place is not None else file
        if name and not (name.startswith("<") and name.endswith(">")):
            physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(name)}}
            if place is not None:
                end = max(place.end_column, place.column + 1)
                physical["region"] = {"startLine": place.line, "startColumn": place.column, "endColumn": end}
            result["locations"] = [{"physicalLocation": physical}]
        return result

    def last(self, command: str, number: int, status: int, early: str) -> str:
        return ""  # the invocation says it

    def tail(self, status: int, early: str | None) -> str:
        invocation: dict[str, Any] = {"executionSuccessful": status < 2, "exitCode": status}
        if early is not None:
            level = "error" if status >= INTERRUPTED else "warning"
            invocation["toolExecutionNotifications"] = [{"level": level, "message": {"text": early}}]
        done = _json(invocation)
        return f'\n], "invocations": [{done}]}}]}}\n'


def _json(x: dict[str, Any]) -> str:
    return Encoder(None).object(x)


def _uri(path: str) -> str:
    """A path as the reference that SARIF wants: relative to the folder of the run, or absolute."""
    path = path.replace("\\", "/") if os.sep == "\\" else path  # elsewhere it is a letter of a name like others
    found = quote(path.encode("utf-8", "surrogateescape"), safe="/")
    return "file://" + found if path.startswith("/") else found.removeprefix("./")


DOCUMENTS: dict[str, Document] = {"junit": Junit(), "sarif": Sarif()}

__all__ = ["DOCUMENTS", "Document", "Junit", "Sarif"]
