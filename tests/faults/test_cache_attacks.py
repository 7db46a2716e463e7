"""Entries of the cache of compiled code that somebody else wrote, or that are not what they were: none is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapecli.engines.native import cache

KEY = cache.key_of("a formula")
BODY = b"\x7fELF" + bytes(range(200))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("TAPECLI_CACHE", str(place))
    cache.keep(KEY, BODY)
    assert cache.fetch(KEY) == BODY
    return place


def test_the_folder_is_private(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / KEY).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_folder_that_others_can_write_to(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert cache.fetch(KEY) is None
    cache.keep("other" * 10, BODY)
    assert not (folder / ("other" * 10)).exists()


def test_an_entry_that_others_can_write_to(folder: Path) -> None:
    (folder / KEY).chmod(0o666)
    assert cache.fetch(KEY) is None


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only the superuser can give files away")
@pytest.mark.parametrize("what", ["folder", "entry"])
def test_a_foreign_owner(folder: Path, what: str) -> None:
    os.chown(folder if what == "folder" else folder / KEY, 12345, 12345)
    assert cache.fetch(KEY) is None


def test_an_entry_that_is_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / KEY).rename(tmp_path / "elsewhere")
    (folder / KEY).symlink_to(tmp_path / "elsewhere")
    assert cache.fetch(KEY) is None


def test_an_entry_that_is_a_folder_or_a_pipe(folder: Path) -> None:
    (folder / KEY).unlink()
    (folder / KEY).mkdir()
    assert cache.fetch(KEY) is None
    (folder / KEY).rmdir()
    os.mkfifo(folder / KEY)
    assert cache.fetch(KEY) is None


def test_an_entry_that_was_cut(folder: Path) -> None:
    content = (folder / KEY).read_bytes()
    for size in (0, 1, 31, 32, 33, len(content) - 1):
        (folder / KEY).write_bytes(content[:size])
        assert cache.fetch(KEY) is None, size


def test_an_entry_with_one_bit_changed(folder: Path) -> None:
    content = bytearray((folder / KEY).read_bytes())
    for at in (0, 31, 32, 100, len(content) - 1):
        content[at] ^= 1
        (folder / KEY).write_bytes(content)
        assert cache.fetch(KEY) is None, at
        content[at] ^= 1


def test_an_entry_of_another_key(folder: Path) -> None:
    other = cache.key_of("another formula")
    (folder / other).write_bytes((folder / KEY).read_bytes())
    assert cache.fetch(other) is None
