"""The cases in `cases/`: a command, the files it reads, and exactly what it writes.

Each file holds several cases in a small text format:

    == what the case is about
    $ tapecli grad f.tape
    -- f.tape
    x^2
    -- stdout
    ...
    -- stderr
    ...
    -- exit 3

A file `NAME bytes` is given with Python's escapes, `stdin` is standard input, and `NAME after` is a file that the
command must have written. Times are written as <time>, and rounding as <rounding>. With TAPECLI_UPDATE_CASES=1 the
expectations are written anew, to be read before they are believed.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import tapecli
from tapecli.cli import run

CASES = Path(__file__).parent / "cases"
UPDATE = bool(os.environ.get("TAPECLI_UPDATE_CASES"))
TIME = re.compile(r"(?<![\w.])[\d.]+(e-\d+)? (µs|ms|s|min)\b")
NUMERICAL = re.compile(r'(differs by |"numerical": |"error": (?=\d))[^ ,}]+')
JSON_TIME = re.compile(r'"seconds": [\d.e-]+')


class Case(NamedTuple):
    name: str
    command: str
    sections: dict[str, str]

    @property
    def inputs(self) -> dict[str, str]:
        no = re.compile(r"stdout|stderr|stdin|exit \d+|.* after")
        return {name: text for name, text in self.sections.items() if not no.fullmatch(name)}

    @property
    def expected(self) -> dict[str, str]:
        """What the case says must come out: the streams, the files, the exit status."""
        out = re.compile(r"stdout|stderr|.* after")
        found = {name: text for name, text in self.sections.items() if out.fullmatch(name)}
        status = next((name for name in self.sections if name.startswith("exit ")), "exit 0")
        return {"stdout": "", "stderr": "", **found, "status": status}


def read(path: Path) -> list[Case]:
    cases = []
    for chunk in re.split(r"(?m)^== ", path.read_text("utf-8"))[1:]:
        head, *parts = re.split(r"(?m)^-- ", chunk)
        name, command = head.strip().split("\n", 1)
        assert command.startswith("$ tapecli"), command
        sections = {}
        for part in parts:
            title, _, body = part.partition("\n")
            sections[title.strip()] = body
        cases.append(Case(name.strip(), command.strip()[len("$ tapecli") :], sections))
    return cases


FILES = sorted(CASES.glob("*.txt"))
ALL = [(path, case) for path in FILES for case in read(path)]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "TAPECLI_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def timeless(text: str) -> str:
    """`text` without what differs from run to run or from machine to machine."""
    text = JSON_TIME.sub('"seconds": <time>', TIME.sub("<time>", text))
    text = text.replace("[OPTIONS] COMMAND [ARGS]", "[OPTIONS] [COMMAND] [ARGS]")  # as versions of Click put it
    return NUMERICAL.sub(r"\1<rounding>", text)


def in_a_process(case: Case, folder: Path) -> dict[str, str]:
    """The same in a process of its own, which may fork: this one has loaded NumPy and its threads."""
    command = [sys.executable, "-m", "tapecli", *shlex.split(case.command)]
    env = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1])}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
    texts = [timeless(stream.decode()) for stream in (done.stdout, done.stderr)]
    return {"stdout": texts[0], "stderr": texts[1], "status": f"exit {done.returncode}"}


def unescaped(text: str) -> bytes:
    return text.strip("\n").encode().decode("unicode_escape").encode("latin-1")


def perform(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the command writes, run in this process."""
    for title, text in case.inputs.items():
        name, _, how = title.partition(" ")
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(unescaped(text) if how == "bytes" else text.encode())
    if "--jobs" in case.command:
        return in_a_process(case, folder)
    monkeypatch.chdir(folder)
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(case.sections.get("stdin", "").encode())))
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = run(shlex.split(case.command))
    finally:
        signal.signal(signal.SIGTERM, before)
        monkeypatch.undo()
    texts = [timeless(stream.buffer.getvalue().decode()) for stream in streams]  # type: ignore[attr-defined]
    assert not any("Traceback" in text for text in texts), texts
    written = {}
    for name in case.expected:
        if name.endswith(" after"):
            path = folder / name[: -len(" after")]
            written[name] = timeless(path.read_text()) if path.exists() else "(missing)\n"
    return {"stdout": texts[0], "stderr": texts[1], **written, "status": f"exit {code}"}


@pytest.mark.parametrize(("path", "case"), ALL, ids=[f"{path.stem}: {case.name}" for path, case in ALL])
def test_case(path: Path, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = perform(case, tmp_path, monkeypatch)
    if UPDATE:
        update(path, case, found)
    else:
        assert found == case.expected


def update(path: Path, case: Case, found: dict[str, str]) -> None:
    """Writes what came out into the file of the case."""
    status = found.pop("status")
    kept = {name: text for name, text in case.sections.items() if name in case.inputs or name == "stdin"}
    kept |= {name: text for name, text in found.items() if text}
    lines = [f"{case.name}\n$ tapecli{case.command}\n"]
    lines += [f"-- {name}\n{text if text[-1:] in ('', chr(10)) else text + chr(10)}" for name, text in kept.items()]
    lines.append(f"-- {status}\n")
    chunks = re.split(r"(?m)^== ", path.read_text("utf-8"))
    new = [chunk if chunk.partition("\n")[0].strip() != case.name else "".join(lines) + "\n" for chunk in chunks]
    path.write_text("== ".join(new), "utf-8")


def test_there_are_many_cases_and_no_two_of_one_name() -> None:
    names = [(path, case.name) for path, case in ALL]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_every_case_says_how_it_ends() -> None:
    for _, case in ALL:
        assert any(name.startswith("exit ") for name in case.sections), case.name
