"""Hostile formulas: `table.txt` says for each what it ends with, and where the fault is.

A line of the table is `exit | code | line:column | formula`, the formula with Python's escapes, or `= expression` for a
text that is made, such as one with a hundred thousand brackets. `-` stands where there is no fault or no place. With
TAPECLI_UPDATE_HOSTILE=1 what came out is written down, to be read before it is believed.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tapecli.cli import run

TABLE = Path(__file__).with_name("table.txt")
UPDATE = bool(os.environ.get("TAPECLI_UPDATE_HOSTILE"))
#: What made texts are written with.
MADE: dict[str, Any] = {
    "nest": lambda a, n, b="", mid="x": "var x = 1\ny = " + a * n + mid + b * n + "\n",
    "squares": lambda n, d: (
        "var x0 = 1\n" + "".join(f"x{i + 1} = x{i}*x{i}\n" for i in range(n)) + "grad(" * d + f"x{n}" + ", x0)" * d
    ),
    "laughs": lambda n: (
        "f0(x) = x + 1\n" + "".join(f"f{i + 1}(x) = f{i}(x) + f{i}(2*x)\n" for i in range(n)) + f"f{n}(1)"
    ),
    "grads": lambda n: (
        "var x = 1\ny0 = sin(x)*exp(x)/x\n" + "".join(f"y{i + 1} = grad(y{i}, x)\n" for i in range(n)) + f"y{n}"
    ),
    "long": lambda text, n: "var x = 1\ny = " + text * n,
}


def rows() -> list[list[str]]:
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [line.split(" | ", 3) for line in lines]


def content(text: str) -> bytes:
    if text.startswith("= "):
        name, _, args = text[2:].partition(" ")
        made: str = MADE[name](*json.loads(args))
        return made.encode()
    return text.encode().decode("unicode_escape").encode("latin-1")


def outcome(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Exit status, code and place of a formula, run by `grad --json` with a bound on memory."""
    (folder / "hostile.tape").write_bytes(content(text))
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        status = run(["eval", "hostile.tape", "--json", "--max-memory", "1G"])
    out, err = (s.buffer.getvalue().decode("utf-8") for s in streams)  # type: ignore[attr-defined]
    assert "Traceback" not in out + err
    assert not any(c < " " and c != "\n" for c in out + err)
    assert not any(line.startswith("::") for line in (out + err).split("\n"))
    found = json.loads(out.splitlines()[0]).get("error", {}) if out else {}
    place = f"{found['line']}:{found['column']}" if "line" in found else "-"
    return [str(status), found.get("code", "-"), place]


@pytest.mark.parametrize("row", rows(), ids=range(1, len(rows()) + 1))
def test_a_hostile_formula(row: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.csv").write_text("t,y\n1,2\n3,4\n")
    (tmp_path / "bad.csv").write_text("t,y\n1,2\n3,\x1b[31mred\n::error::x,4\n")
    (tmp_path / "out.csv").symlink_to("/etc/passwd")
    (tmp_path / "up").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe.csv")
    found = outcome(row[3], tmp_path, monkeypatch)
    if UPDATE:
        text = TABLE.read_text("utf-8")
        TABLE.write_text(text.replace(" | ".join(row) + "\n", " | ".join([*found, row[3]]) + "\n"), "utf-8")
        return
    assert found == row[:3]


def test_there_are_many_and_none_is_a_fault_of_tapecli() -> None:
    table = rows()
    assert len(table) >= 150
    assert len({row[3] for row in table}) == len(table)
    assert {row[0] for row in table} <= {"0", "3", "4", "5", "6"}
