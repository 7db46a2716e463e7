"""What is imported when: help and completion wait for nothing heavy, and a plain command not for Typer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tapecli

HEAVY = ("numpy", "lark", "llvmlite", "rich", "scipy")
FORMULA = "var x = 0\ny = x^2 - 2*x + 1\nminimize y\n"


def modules(argv: list[str], folder: Path, **extra: str) -> tuple[set[str], str]:
    """The top-level modules after a command, and its output."""
    script = (
        "import sys\nfrom tapecli.cli import run\ncode = run(sys.argv[1:])\n"
        "sys.stderr.write('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))\nsys.exit(code)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1]), **extra}
    env.pop("PYTHONWARNINGS", None)
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rsplit("\n", 1)[-1].split()), done.stdout


@pytest.mark.parametrize("line", ["--help", "", "--version", "grad --help", "check --help", "ops --help"])
def test_help_imports_nothing_heavy(line: str, tmp_path: Path) -> None:
    loaded, said = modules(line.split(), tmp_path)
    assert said
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(
    ("words", "offered"),
    [("tapecli gr", "grad"), ("tapecli grad --en", "--engine"), ("tapecli grad --engine na", "native")],
)
def test_completion_imports_nothing_heavy(words: str, offered: str, tmp_path: Path) -> None:
    extra = {"_TAPECLI_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    loaded, said = modules([], tmp_path, **extra)
    assert offered in said.split()
    assert not loaded & set(HEAVY)


def test_a_gradient_imports_no_typer_and_no_rich(tmp_path: Path) -> None:
    (tmp_path / "f.tape").write_text(FORMULA)
    for line in ("grad f.tape", "eval f.tape --json", "minimize f.tape --steps 3 --lr 0.1 -q", "eval -e 1+1"):
        loaded, _ = modules(line.split(), tmp_path)
        assert not loaded & {"typer", "click", "rich", "lark", "scipy", "json", "pathlib", "dataclasses"}, line


def test_importing_the_package_is_cheap(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, tapecli, tapecli.cli; print(' '.join(sys.modules))"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(done.stdout.split()) & {*HEAVY, "typer", "click"}


def test_the_collector_rests_until_the_package_is_imported(tmp_path: Path) -> None:
    (tmp_path / "f.tape").write_text(FORMULA)
    script = (
        "import gc, os, sys, tapecli.cli as cli\n"
        "import tapecli.problem.loading as loading\n"
        "seen, run, load = [], cli.run, loading.load\n"
        "cli.run = lambda argv: (seen.append(gc.isenabled()), run(argv))[1]\n"
        "import tapecli.problem as problem\n"
        "problem.load = lambda *a, **k: (seen.append(gc.isenabled()), load(*a, **k))[1]\n"
        "os._exit = lambda code: sys.exit(code or seen != [False, True] or not gc.get_freeze_count())\n"
        "assert gc.isenabled()\n"
        "cli.main()"
    )
    subprocess.run([sys.executable, "-c", script, "grad", "f.tape"], cwd=tmp_path, check=True, capture_output=True)


def test_ops_lists_every_function(tmp_path: Path) -> None:
    import json

    from tapecli.catalogue import functions

    _, said = modules(["ops"], tmp_path)
    rows = said.splitlines()
    assert rows[0].split() == ["function", "derivative", "what", "it", "is"]
    assert [row.split("(")[0] for row in rows[1:]] == [entry.name for entry in functions()]
    _, said = modules(["ops", "--json"], tmp_path)
    found = json.loads(said)
    assert (found["command"], found["ok"], list(found["functions"][0])) == (
        "ops",
        True,
        ["name", "signature", "help", "derivative"],
    )
    assert len(found["functions"]) == len(functions())
