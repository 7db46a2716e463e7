"""The documentation is run: every example in it must come out exactly as it stands there.

A page is run from top to bottom in a folder of its own that holds a copy of `samples/`, and written anew with what came
out. That must be the page itself, times and last digits aside. Of its fenced blocks

- `console` holds commands behind `$ ` and what they write, both streams together;
- `python` holds statements and, behind `# -> `, what they print; the blocks of a page share their names;
- `tape` is a formula file that `tapecli check` accepts; a first line `# NAME.tape` gives it that name.

With TAPECLI_UPDATE_DOCS=1 the pages are written anew, to be read before they are believed.
"""

from __future__ import annotations

import ast
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tapecli
from tapecli.catalogue import functions
from tapecli.cli import run
from tapecli.errors import CODES

# Typer's own import of Click
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md"]
SAMPLES = sorted((ROOT / "samples").glob("*.tape"))
UPDATE = bool(os.environ.get("TAPECLI_UPDATE_DOCS"))

BLOCK = re.compile(r"^```(console|python|tape)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TIME = re.compile(r"(?<![\w.])[\d.]+(e-\d+)? (µs|ms|s|min)\b")
JSON_TIME = re.compile(r'"seconds": [\d.e-]+')
NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?:e[+-]?\d+)?(?![\w.])")
#: constructs that the language page lists as not computed yet -> a formula that has them
NOT_YET: dict[str, str] = {}
NAME = re.compile(r"# ([\w-]+\.tape)\b")


def plainly(text: str) -> str:
    """The text without what differs between two machines: times, and the last digits of what is not a short number."""
    return NUMBER.sub(_rounded, JSON_TIME.sub('"seconds": <time>', TIME.sub("<time>", text)))


def _rounded(number: re.Match[str]) -> str:
    digits, value = re.sub(r"e.*|\D", "", number[0]).strip("0"), float(number[0])
    if abs(value) < 1e-9 and "e" in number[0]:
        return "<tiny>"
    return number[0] if len(digits) < 12 else f"{value:.9g}"


@contextmanager
def streams(folder: Path) -> Iterator[io.TextIOWrapper]:
    """Both streams as one, in `folder`, with nothing left behind."""
    both = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    before = sys.stdout, sys.stderr, sys.stdin, Path.cwd(), signal.getsignal(signal.SIGTERM)
    sys.stdout = sys.stderr = both
    sys.stdin = io.TextIOWrapper(io.BytesIO())
    os.chdir(folder)
    try:
        yield both
    finally:
        sys.stdout, sys.stderr, sys.stdin = before[:3]
        os.chdir(before[3])
        signal.signal(signal.SIGTERM, before[4])


def written(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


class Page:
    """One page while it is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = 0
        self.names: dict[str, Any] = {"__name__": "page"}
        shutil.copytree(ROOT / "samples", folder / "samples")

    def anew(self, text: str) -> str:
        """The page with what its examples give now."""
        return BLOCK.sub(lambda found: f"```{found[1]}\n{getattr(self, found[1])(found[2])}```", text)

    def console(self, block: str) -> str:
        commands = re.findall(r"^\$ ((?:.*\\\n)*.*)\n", block, re.MULTILINE)
        parts = []
        for command in commands:
            out = self.command(command.replace("\\\n", ""))
            parts.append(f"$ {command}\n{out}{'' if not out or out.endswith(chr(10)) else chr(10)}")
        return "".join(parts)

    def command(self, command: str) -> str:
        """What a command writes. Plain ones run in this process; what needs a shell or a fork gets a process."""
        if command == "echo $?":
            return f"{self.status}\n"
        words = shlex.split(command)
        if words[0] == "tapecli" and not {"|", "<", ">", "--jobs"} & set(words):
            with streams(self.folder) as out:
                self.status = run(words[1:])
            return written(out)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        env = {**os.environ, "PATH": path}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.status = done.returncode
        return done.stdout.decode()

    def python(self, block: str) -> str:
        lines = [line for line in block.split("\n") if not line.startswith("# -> ")]
        said: dict[int, str] = {}
        for statement in ast.parse("\n".join(lines)).body:
            with streams(self.folder) as out:
                exec(compile(ast.Module([statement], []), "<page>", "exec"), self.names)
            said[statement.end_lineno or 0] = "".join(f"# -> {line}\n" for line in written(out).splitlines())
        return "".join(f"{line}\n{said.get(number, '')}" for number, line in enumerate(lines[:-1], 1))

    def tape(self, block: str) -> str:
        named = NAME.match(block)
        path = self.folder / (named[1] if named else "block.tape")
        path.write_text(block, "utf-8")
        with streams(self.folder) as out:
            status = run(["check", path.name])
        assert status == 0, f"{block}\n{written(out)}"
        return block


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "TAPECLI_DEBUG", "FORCE_COLOR", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    now = Page(tmp_path).anew(text)
    if UPDATE and plainly(now) != plainly(text):
        page.write_text(now, "utf-8")
        return
    assert plainly(now) == plainly(text)


def test_formulas_that_are_samples_stand_in_the_pages_as_they_are() -> None:
    found = set()
    for page in PAGES:
        for kind, block in BLOCK.findall(page.read_text("utf-8")):
            named = NAME.match(block) if kind == "tape" else None
            if named and (ROOT / "samples" / named[1]).exists():
                assert block == (ROOT / "samples" / named[1]).read_text("utf-8"), f"{page.name}: {named[1]}"
                found.add(named[1])
    assert "quadratic.tape" in found


# ---- samples ----------------------------------------------------------------------------------------------------


def test_check_accepts_all_samples(tmp_path: Path) -> None:
    with streams(ROOT) as out:
        status = run(["check", "samples"])
    assert status == 0, written(out)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample(path: Path) -> None:
    """Every sample says what it is, expects something, and reaches the minimum that it looks for."""
    problem = tapecli.load(path)
    assert problem.source.text.startswith(f"# {path.name}: ")
    assert problem.formula.expected
    assert problem.check().ok
    if problem.objective is not None:
        least = problem.minimize()
        assert least.gradient_norm <= 1e-6 * max(1.0, abs(least.value))


# ---- pages as pages ---------------------------------------------------------------------------------------------


def headings(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(((?!https://)[^)]+)\)", text):
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in headings(path.read_text("utf-8")), target


def test_what_the_language_is_said_not_to_have_it_does_not_have() -> None:
    """Where this fails, something new has come: it wants its place in docs/language.md."""
    _, _, missing = (ROOT / "docs" / "language.md").read_text("utf-8").partition("\n## Not in this version\n")
    listed = re.findall(r"^\| `(.*?)` \|", missing, re.MULTILINE)
    assert set(listed) == set(NOT_YET)
    for text in listed:
        with pytest.raises(tapecli.TapeError) as caught:
            tapecli.parse(NOT_YET[text]).minimize(steps=1)
        assert caught.value.code == "unsupported", text


def test_every_function_stands_in_the_language_page() -> None:
    text = (ROOT / "docs" / "language.md").read_text("utf-8")
    _, _, listed = text.partition("\n### Functions\n")
    words = set(re.findall(r"\w+", listed.partition("\n## Not in this version\n")[0]))
    assert not {entry.name for entry in functions()} - words


def test_every_error_code_has_its_section() -> None:
    found = re.findall(r"^## `(\w+)`$", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.MULTILINE)
    assert found == list(CODES)


def test_every_command_has_its_section() -> None:
    from tapecli.cli.options import COMMANDS

    found = re.findall(r"^## `tapecli (\w+)`$", (ROOT / "docs" / "commands.md").read_text("utf-8"), re.MULTILINE)
    assert found == list(COMMANDS)


def test_the_paths_that_the_architecture_names_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for path in re.findall(r"`((?:tapecli|grammar|tests|docs|benchmarks|samples|\.ci)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_architecture_names_every_room_on_its_floor() -> None:
    import runpy

    floors = runpy.run_path(str(ROOT / "tests" / "test_layers.py"))["FLOORS"]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", (ROOT / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE)
    named = {room: int(floor) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)}
    assert {room: named.get(room) for room in floors} == floors


def test_the_set_up_of_the_readme_is_what_ci_runs() -> None:
    """.ci/run takes the command for the tests from the README; there must be exactly one such line."""
    lines = (ROOT / "README.md").read_text("utf-8").split("\n")
    assert sum("pip install -e '.[test]'" in line for line in lines) == 1


# ---- generated pages --------------------------------------------------------------------------------------------


def test_the_generated_pages_are_fresh() -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.pages().items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run `python docs/make_reference.py`"
