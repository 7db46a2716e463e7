"""The cache of compiled objects: what is damaged or could be somebody else's is not taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import tapecli as tp
from tapecli import engines
from tapecli.engines import How
from tapecli.engines.native import build, cache

FORMULA = "var x = 2\nx*x + 0.5*x"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("TAPECLI_CACHE", str(place))
    return place


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that LLVM was asked to compile."""
    texts: list[str] = []
    before = build.compiled

    def compiled(text: str) -> bytes:
        texts.append(text)
        return before(text)

    monkeypatch.setattr(build, "compiled", compiled)
    return texts


def run(**how: object) -> None:
    """The formula and its slope, as machine code."""
    value, gradient = tp.parse(FORMULA, engine="native", **how).value_and_grad()  # type: ignore[arg-type]
    assert (value, gradient["x"]) == (5.0, 4.5)


def entries(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.exists() else []


def test_what_was_compiled_once_is_taken_again(folder: Path, compilations: list[str]) -> None:
    run()
    run()
    assert len(compilations) == 1
    (entry,) = entries(folder)
    assert entry.stat().st_mode & 0o077 == 0, "no one else can read it"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_check_keeps_to_what_was_asked_of_cache_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The many runs of its numerical derivatives may be worth machine code, which then lies in no cache either."""
    hows = []
    before = engines.compile

    def compile(*args: object) -> object:
        hows.append(args[5] if len(args) > 5 else None)
        return before(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(engines, "compile", compile)
    assert tp.parse("var x = [1, 2]; sum(exp(x))", cache=False, threads=1).check().ok
    assert How(1, False) in hows and engines.DEFAULT not in hows


def test_without_a_cache(folder: Path, compilations: list[str]) -> None:
    run(cache=False)
    run(cache=False)
    assert len(compilations) == 2
    assert entries(folder) == []
    run()
    run(cache=False)
    assert len(compilations) == 4, "what is kept is not taken either"


def shortened(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-1])


def turned(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)


def emptied(entry: Path) -> None:
    entry.write_bytes(b"")


def writable(entry: Path) -> None:
    entry.chmod(0o666)


def linked(entry: Path) -> None:
    other = entry.with_name("elsewhere")
    entry.rename(other)
    entry.symlink_to(other)


def renamed(entry: Path) -> None:
    """The object of another program under this one's name, sound in itself."""
    cache.keep("f" * 64, b"code of somebody else")
    os.replace(entry.with_name("f" * 64), entry)


@pytest.mark.parametrize("harm", [shortened, turned, emptied, writable, linked, renamed])
def test_a_damaged_or_foreign_entry_is_made_anew(
    harm: Callable[[Path], None], folder: Path, compilations: list[str]
) -> None:
    run()
    (entry,) = entries(folder)
    harm(entry)
    run()
    assert len(compilations) == 2
    run()
    assert len(compilations) == 2, "and is then sound again"
    assert not entry.is_symlink()
    assert entry.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_may_write_to_is_not_used(folder: Path, compilations: list[str]) -> None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    run()
    run()
    assert len(compilations) == 2
    assert entries(folder) == []


def test_a_folder_that_cannot_be_made_costs_only_time(folder: Path, compilations: list[str]) -> None:
    folder.write_text("a file in its place")
    run()
    run()
    assert len(compilations) == 2
    assert folder.read_text() == "a file in its place"


def test_entries_used_longest_ago_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 250)
    for k, name in enumerate(("old", "middle", "new", "0new")):
        cache.keep(name, b"x" * 70)
        os.utime(folder / name, (k, k))
    assert cache.fetch("old") is cache.fetch("middle") is None
    assert cache.fetch("new") == cache.fetch("0new") == b"x" * 70


def test_keys_tell_everything_apart() -> None:
    keys = [cache.key_of(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ("ab", "d"))]
    assert len(set(keys)) == len(keys)
