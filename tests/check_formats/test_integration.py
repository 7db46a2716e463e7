"""What others' continuous integration runs: the hook, the action, and the examples of docs/ci.md do what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as Tree
from pathlib import Path
from typing import Any

import pytest
import yaml

import tapecli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text("utf-8")
GOOD, BAD = "var x = 3\nexpect x^2 == 9\nminimize x^2\n", "var x = 3\nexpect x^2 == 8\n"
ENV = {**os.environ, "PYTHONPATH": str(Path(tapecli.__file__).parents[1])}


def yaml_blocks() -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]


def steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a workflow, or of a piece of one."""
    return part if isinstance(part, list) else [s for job in part.get("jobs", {}).values() for s in job["steps"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project, and `bin` with the command in it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "good.tape").write_text(GOOD)
    (tmp_path / "models" / "bad.tape").write_text(BAD)
    command = tmp_path / "run" / "tapecli" / "bin" / "tapecli"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tapecli "$@"\n')
    command.chmod(0o755)
    return tmp_path


def ran(folder: Path, argv: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'run' / 'tapecli' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    more = {"RUNNER_TEMP": str(folder / "run"), "PATH": path, **env}
    done = subprocess.run(
        argv, cwd=folder, env={**ENV, **more}, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done


# ---- the hook ---------------------------------------------------------------------------------------------------


def hook() -> dict[str, Any]:
    (found,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    return found  # type: ignore[no-any-return]


def test_the_hook_checks_the_files_it_is_given(folder: Path) -> None:
    assert hook()["language"] == "python"  # made from this package, whose script is the command
    assert re.search(hook()["files"], "models/good.tape")
    assert not re.search(hook()["files"], "models/good.tape.txt")
    argv = [*shlex.split(hook()["entry"]), *hook()["args"]]
    assert ran(folder, [*argv, "models/good.tape"]).returncode == 0
    done = ran(folder, [*argv, "models/good.tape", "models/bad.tape"])
    assert done.returncode == 1
    assert "models/bad.tape:2:15: expect: " in done.stderr


def test_names_of_files_are_no_options_to_the_hook(folder: Path) -> None:
    for name in ("--exit-zero", "--output=taken.tape"):
        (folder / name).with_suffix(".tape").write_text(BAD)
    given = sorted(path.name for path in folder.glob("*.tape"))
    done = ran(folder, [*shlex.split(hook()["entry"]), *hook()["args"], *given])
    assert done.returncode == 1
    assert done.stderr.count(": expect: ") == len(given) == 2
    assert sorted(path.name for path in folder.glob("*.tape")) == given


# ---- the action -------------------------------------------------------------------------------------------------


def action() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))  # type: ignore[no-any-return]


def checked(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The action's last step, as a runner runs it: bash with its usual options, the inputs in the environment."""
    (step,) = [step for step in action()["runs"]["steps"] if step.get("name") == "check"]
    values = {name: str(entry["default"]) for name, entry in action()["inputs"].items()} | inputs
    env = {}
    for name, value in step["env"].items():
        found = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)
        assert found is not None
        env[name] = values[found[1]]
    return ran(folder, ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], **env)


def test_inputs_never_stand_in_the_text_of_a_script() -> None:
    assert action()["runs"]["using"] == "composite"
    for step in action()["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert "run" not in step or step["shell"] == "bash"


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action is written for bash")
def test_the_action_annotates_lines(folder: Path) -> None:
    done = checked(folder)
    assert done.returncode == 1
    assert "::error title=tapecli expect,file=models/bad.tape,line=2,col=15" in done.stderr
    assert "file=models/bad.tape," in checked(folder, files="./models").stderr
    assert checked(folder, files="models/good.tape\n\n", options="--timeout=60\n--quiet").returncode == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action is written for bash")
def test_the_action_writes_sarif(folder: Path) -> None:
    for _ in range(2):  # a second run takes the place of what the first left
        assert checked(folder, files="models", sarif="out.sarif").returncode == 1
    (run,) = json.loads((folder / "out.sarif").read_text("utf-8"))["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["expect"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action is written for bash")
def test_an_input_is_not_run_by_the_shell(folder: Path) -> None:
    for hostile in ("$(touch taken)", "`touch taken`", '"; touch taken; "', "models/*; touch taken"):
        done = checked(folder, files=hostile)
        assert done.returncode in (1, 2, 6), hostile
        assert not (folder / "taken").exists(), hostile


# ---- the page ---------------------------------------------------------------------------------------------------


def test_the_page_names_what_there_is() -> None:
    blocks = yaml_blocks()
    hooks = [h["id"] for block in blocks if "repos" in block for repo in block["repos"] for h in repo["hooks"]]
    assert hooks == [hook()["id"]]
    uses = [s for block in blocks for s in steps(block) if "tapecli@" in s.get("uses", "")]
    assert len(uses) == 2
    for step in uses:
        assert set(step["with"]) <= set(action()["inputs"])


def test_the_page_shows_jobs_that_run(folder: Path) -> None:
    (job,) = [block["formulas"] for block in yaml_blocks() if "formulas" in block]
    (command,) = [line for line in job["script"] if line.startswith("tapecli ")]
    assert ran(folder, shlex.split(command)).returncode == 1
    report = folder / job["artifacts"]["reports"]["junit"]
    assert {suite.get("failures") for suite in Tree.parse(report).getroot()} == {"0", "1"}
