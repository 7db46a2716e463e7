"""The gallery: for each code of an error a file, `CODE.txt`, with commands that meet it, exactly what they write, and
their exit status; `mistakes.txt` has what beginners write.

A case of a file is

    == what it is about
    % file run.csv t,y\\n1,2\\n
    % environment TAPECLI_DEBUG=1
    $ tapecli eval -e 'y = 3 + * 4'
    ...
    -- exit 3

where lines behind `%` are conditions, as many as it takes:

- `file NAME CONTENT`: a file, its content with Python's escapes;
- `environment NAME=VALUE`: a variable of the environment;
- `fault NAME ERROR: WORDS`: the function or method of this dotted name raises this exception;
- `memory SIZE`: a process of its own, which gets no more address space.

The first case of a code is the one that `tapecli explain CODE` shows as wrong, if it shows one. What it shows as mended
must be right. With TAPECLI_UPDATE_GALLERY=1 the texts are written anew, to be read before they are believed.
"""

from __future__ import annotations

import builtins
import io
import os
import pkgutil
import re
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tapecli.cli import run
from tapecli.errors import CODES
from tapecli.explanations import EXPLANATIONS, text_of
from tapecli.limits import parse_size

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
UPDATE = bool(os.environ.get("TAPECLI_UPDATE_GALLERY"))
EXAMPLES = [code for code, e in EXPLANATIONS.items() if e.wrong]
TIME = re.compile(r"(?<![\w.])[\d.]+(e-\d+)? (µs|ms|s|min)\b(?= *$)", re.MULTILINE)
SIZE = re.compile(r"(?<=there may be taken )[\d.]+ .B")
LINE = re.compile(r"\b\w+\.py:\d+, in \w+")


class Case(NamedTuple):
    """One case. `conditions` are pairs of a word of CONDITIONS and what stands behind it."""

    name: str
    conditions: tuple[tuple[str, str], ...]
    command: str
    text: str
    status: int

    def whole(self) -> str:
        told = "".join(f"% {word} {rest}\n" for word, rest in self.conditions)
        return f"== {self.name}\n{told}$ tapecli {self.command}\n{self.text}-- exit {self.status}\n"


CASE = re.compile(r"== (.*)\n((?:% .*\n)*)\$ tapecli (.*)\n((?:.*\n)*?)-- exit (\d+)\n")


def read(path: Path) -> list[Case]:
    """The cases of a file, which holds nothing else."""
    text = path.read_text("utf-8") if path.exists() else ""
    found, at = [], 0
    for match in CASE.finditer(text):
        assert match.start() == at, f"{path.name}: {text[at : match.start()]}"
        at = match.end()
        conditions = [line[2:].partition(" ") for line in match[2].splitlines()]
        pairs = tuple((word, rest) for word, _, rest in conditions)
        found.append(Case(match[1], pairs, match[3], match[4], int(match[5])))
    assert at == len(text), f"{path.name}: {text[at:]}"
    return found


ALL = [(path, case) for path in sorted(HERE.glob("*.txt")) for case in read(path)]

# ---- conditions -------------------------------------------------------------------------------------------------

Preparation = Callable[[str, Path, pytest.MonkeyPatch], None]


def file(rest: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    name, _, content = rest.partition(" ")
    (folder / name).write_bytes(content.encode().decode("unicode_escape").encode("latin-1"))


def environment(rest: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    name, _, value = rest.partition("=")
    patch.setenv(name, value)


def fault(rest: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    where, _, raised = rest.partition(" ")
    kind, _, words = raised.partition(":")
    owner, _, name = where.rpartition(".")

    def broken(*args: object, **options: object) -> None:
        raise getattr(builtins, kind)(*filter(None, [words.strip()]))

    patch.setattr(pkgutil.resolve_name(owner), name, broken)


CONDITIONS: dict[str, Preparation] = {"file": file, "environment": environment, "fault": fault}


def perform(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit status, and what is written on both streams, without what differs from run to run."""
    sizes = [parse_size(rest) for word, rest in case.conditions if word == "memory"]
    with monkeypatch.context() as patch:
        for name in ("CI", "TAPECLI_DEBUG", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "80")
        for word, rest in case.conditions:
            if word != "memory":
                CONDITIONS[word](rest, folder, patch)
        if sizes:
            status, text = in_a_process(case.command, folder, sizes[0])
        else:
            status, text = in_this_process(case.command, folder, patch)
    return status, LINE.sub("<where>", SIZE.sub("<size>", TIME.sub("<time>", text)))


def in_a_process(command: str, folder: Path, memory: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tapecli", *shlex.split(command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.decode()


def in_this_process(command: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[int, str]:
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    patch.chdir(folder)
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    patch.setattr(sys, "stdout", streams[0])
    patch.setattr(sys, "stderr", streams[1])
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        status = run(shlex.split(command))
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    return status, "".join(s.buffer.getvalue().decode() for s in streams)  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    return tmp_path


# ---- the tests --------------------------------------------------------------------------------------------------


def codes_in(text: str) -> set[str]:
    return set(re.findall(r"(?m)^(?:error|warning)\[(\w+)\]: ", text))


@pytest.mark.parametrize(("path", "case"), ALL, ids=[f"{path.stem}: {case.name}" for path, case in ALL])
def test_a_case(path: Path, case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = case._replace(**dict(zip(("status", "text"), perform(case, folder, monkeypatch), strict=True)))
    if UPDATE:
        path.write_text(path.read_text("utf-8").replace(case.whole(), found.whole()), "utf-8")
        return
    assert found.whole() == case.whole()
    assert "Traceback" not in found.text or ("environment", "TAPECLI_DEBUG=1") in case.conditions
    if path.stem in CODES:
        assert codes_in(found.text) == {path.stem}
        assert found.status == CODES[path.stem][0]


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_its_file_which_begins_with_what_is_explained(code: str) -> None:
    """A new code is met by `_explained`, written into its file by TAPECLI_UPDATE_GALLERY=1, or by hand."""
    path, explained = HERE / f"{code}.txt", _explained(code)
    if UPDATE and explained is not None and not path.exists():
        path.write_text(explained.whole(), "utf-8")
    cases = read(path)
    assert cases, f"there is no case of `{code}`: tests/gallery/{path.name}"
    if explained is not None:
        assert cases[0][:3] == explained[:3]


def _explained(code: str) -> Case | None:
    e = EXPLANATIONS[code]
    files = tuple(("file", f"{name} {content}".replace("\n", "\\n")) for name, content in e.before)
    return Case("what `tapecli explain` shows", files, e.wrong, "", 0) if e.wrong else None


def test_every_file_is_of_a_code_or_of_mistakes() -> None:
    assert {path.stem for path, _ in ALL} - set(CODES) <= {"mistakes"}
    names = [(path, case.name) for path, case in ALL]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("code", EXAMPLES)
def test_what_is_mended(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tuple(("file", f"{name} {content}") for name, content in EXPLANATIONS[code].before)
    case = Case(code, before, EXPLANATIONS[code].mended, "", 0)
    status, text = perform(case, folder, monkeypatch)
    assert status == 0 and not re.search(r"(?m)^(error|warning)", text), text


def test_every_code_is_explained() -> None:
    assert set(EXPLANATIONS) == set(CODES)
    for code in CODES:
        assert text_of(code).startswith(f"{code}: {CODES[code][1]}")


MANY = [
    ("var y = 1; q = sqr(y) + yy", ["sqr", "yy"]),
    ("u = [1, 2]; v = [1, 2, 3]; w = (u + v)*nope + sum(v @ u)", ["`+`", "nope", "`@`"]),
    ("var x = 1\nr = nope + 1\ns = r*2 + nope2\nt = s + nope", ["nope`", "nope2"]),
    ("f(t) = t + aa + bb(t)\nf(1)", ["aa", "bb"]),
    ("y = {\n c = aa + 1\n d = [1, 2] + [1, 2, 3]\n c + d\n}", ["aa", "`+`"]),
    ("z = if nn > 0 then [1, 2] + [1, 2, 3] else mm", ["nn", "`+`", "mm"]),
    ("var x = 1\ny = 3 + * 4\nz = x + nope + y\n", ["expected", "nope"]),
    ("s = sum(aa[i]*bb for i in 1..nn)", ["nn", "aa", "bb"]),
    ("s = fold(x = aa for k in 1..3: x*bb) + cc", ["aa", "cc", "bb"]),
    ("var x[nn] = mm\nsum(x)", ["nn", "mm"]),
    (
        "var x = 1\nexpect x == aa within bb\nminimize x using adam(learning_rate=cc), steps=dd",
        ["aa", "bb", "cc", "dd"],
    ),
]


@pytest.mark.parametrize(("text", "parts"), MANY)
def test_independent_faults_are_told_together_and_none_twice(text: str, parts: list[str]) -> None:
    import tapecli as tp

    with pytest.raises(tp.TapeError) as error:
        tp.parse(text)
    messages = [one.message for one in (error.value, *error.value.more)]
    assert len(messages) == len(parts), messages
    assert all(any(part in message for message in messages) for part in parts), messages
