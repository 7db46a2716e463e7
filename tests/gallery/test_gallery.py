"""Every code of an error: what `tapecli explain` shows as wrong is told with that code and no other, exactly as written
down in `gallery.txt`, with its exit status; and what it shows as mended is right.

With TAPECLI_UPDATE_GALLERY=1 the texts are written anew, to be read before they are believed.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from pathlib import Path

import pytest

from tapecli.cli import run
from tapecli.errors import CODES
from tapecli.explanations import EXPLANATIONS, text_of

ROOT = Path(__file__).parents[2]
GALLERY = Path(__file__).with_name("gallery.txt")
EXAMPLES = [code for code, e in EXPLANATIONS.items() if e.wrong]


def said(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("NO_COLOR", "1")
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        status = run(shlex.split(words))
    return status, "".join(s.buffer.getvalue().decode() for s in streams)  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    return tmp_path


def whole(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    e = EXPLANATIONS[code]
    for name, content in e.before:
        (folder / name).write_text(content)
    status, text = said(e.wrong, folder, monkeypatch)
    return f"== {code}\n$ tapecli {e.wrong}\n{text}-- exit {status}\n"


@pytest.mark.parametrize("code", EXAMPLES)
def test_what_is_wrong(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = whole(code, folder, monkeypatch)
    assert f"error[{code}]" in found and f"-- exit {CODES[code][0]}\n" in found
    assert found.count("error[") == found.count(f"error[{code}]")
    text = GALLERY.read_text("utf-8") if GALLERY.exists() else ""
    if os.environ.get("TAPECLI_UPDATE_GALLERY"):
        parts = {part.split("\n")[0]: f"== {part}" for part in text.split("== ")[1:]} | {code: found}
        GALLERY.write_text("".join(parts[one] for one in EXAMPLES if one in parts), "utf-8")
        return
    assert found in text


@pytest.mark.parametrize("code", EXAMPLES)
def test_what_is_mended(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in EXPLANATIONS[code].before:
        (folder / name).write_text(content)
    status, text = said(EXPLANATIONS[code].mended, folder, monkeypatch)
    assert status == 0 and "error" not in text, text


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
