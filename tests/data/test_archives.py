"""Archives that are read without `zipfile` are read as `zipfile` reads them."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapecli import data
from tapecli.data import archives
from tapecli.errors import TapeError

ARRAYS = {"t": np.arange(40.0), "y": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.empty(0)}


def savez(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(method: int = zipfile.ZIP_STORED, comment: bytes = b"", extra: bytes = b"", name: str = "t.npy") -> bytes:
    file, array = io.BytesIO(), io.BytesIO()
    np.save(array, ARRAYS["t"])
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        info = zipfile.ZipInfo(name)
        info.compress_type, info.extra = method, extra
        archive.writestr(info, array.getvalue())
    return file.getvalue()


def outcome(path: Path, name: str) -> Any:
    """What is read, or the code of what is said instead."""
    try:
        (array,) = data.read(path.name, str(path.parent), str(path.parent), [(name, None)]).arrays
        return array.tolist()
    except TapeError as error:
        return error.code


def both(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The outcome, and that with `zipfile` alone."""
    found = outcome(path, name)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "plain", lambda file: None)
        return found, outcome(path, name)


def test_what_savez_writes_is_plain(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(savez(**ARRAYS))
    with (tmp_path / "x.npz").open("rb", buffering=0) as file:
        archive = archives.plain(file)
        assert archive is not None
        assert [m.filename for m in archive.infolist()] == ["t.npy", "y.npy", "none.npy"]
    for name, array in ARRAYS.items():
        assert outcome(tmp_path / "x.npz", name) == array.tolist()


def test_reading_it_takes_no_zipfile(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(savez(**ARRAYS))
    code = f"from tapecli import data; data.read('x.npz', {str(tmp_path)!r}, {str(tmp_path)!r}, [('t', None)])"
    loud = f"import sys; {code}; assert 'zipfile' not in sys.modules"
    subprocess.run([sys.executable, "-c", loud], check=True)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(zipped(zipfile.ZIP_DEFLATED), id="deflated"),
        pytest.param(zipped(zipfile.ZIP_LZMA), id="lzma"),
        pytest.param(zipped(comment=b"a comment"), id="comment"),
        pytest.param(zipped(extra=b"\x99\x99\1\0x"), id="extra"),
        pytest.param(b"before" + zipped(), id="something before"),
        pytest.param(zipped() + b"behind", id="something behind"),
        pytest.param(zipped(name="tä.npy"), id="letters"),
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\5\6" + bytes(17), id="short"),
        pytest.param(zipped().replace(b"t.npy", b"u\0npy"), id="a name that ends early"),
    ],
)
def test_what_is_not_plain_is_left_to_zipfile(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert archives.plain(io.BytesIO(content)) is None
    (tmp_path / "x.npz").write_bytes(content)
    for name in ("t", "tä", "u"):
        found, wanted = both(tmp_path / "x.npz", name, monkeypatch)
        assert found == wanted


def test_damage_is_seen_as_zipfile_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = savez(**ARRAYS)
    rng = random.Random(1)
    seen = set()
    for place in range(len(whole)):
        bad = bytearray(whole)
        bad[place] ^= 1 << rng.randrange(8)
        (tmp_path / "x.npz").write_bytes(bad)
        for name in ("t", "y"):
            found, wanted = both(tmp_path / "x.npz", name, monkeypatch)
            assert found == wanted, place
            seen.add(str(found)[:4])
    assert {"data", "[0.0"} <= seen
    for length in range(0, len(whole), 7):
        (tmp_path / "x.npz").write_bytes(whole[:length])
        assert outcome(tmp_path / "x.npz", "t") == "data"
