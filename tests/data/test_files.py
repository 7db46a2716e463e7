"""Which files are opened, and arrays in NumPy's formats."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapecli import data
from tapecli.data import files, text
from tapecli.data.table import Table
from tapecli.errors import TapeError


def read(folder: Path, path: str, *selectors: Any, **more: Any) -> data.Columns:
    pairs = [one if isinstance(one, tuple) else (one, None) for one in selectors]
    return data.read(path, str(folder), str(more.pop("root", folder)), pairs, **more)


def refused(folder: Path, path: str, *selectors: Any, **more: Any) -> TapeError:
    with pytest.raises(TapeError) as caught:
        read(folder, path, *selectors, **more)
    return caught.value


def npy(array: Any, **more: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **more)
    return file.getvalue()


# ---- opening ----


def test_only_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "null.csv").symlink_to("/dev/null")
    assert "is a pipe" in refused(tmp_path, "pipe.csv", "x").message
    assert "is a folder" in refused(tmp_path, "folder.csv", "x").message
    assert "is a device" in refused(tmp_path, "null.csv", "x", root="/").message
    assert refused(tmp_path, "none.csv", "x").code == "file"
    assert refused(tmp_path, "folder.csv/none.csv", "x").code == "file"
    with pytest.raises(TapeError, match="is a pipe"):
        Table(str(tmp_path / "pipe.csv"), "pipe.csv")


def test_links_may_lead_anywhere_below_the_root(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "out.csv").write_text("x\n1\n")
    (inner / "in.csv").write_text("x\n2\n")
    (inner / "link.csv").symlink_to("in.csv")
    (inner / "leads_out.csv").symlink_to("../out.csv")
    (inner / "up").symlink_to("..")
    assert read(inner, "link.csv", "x").arrays[0].tolist() == [2]
    assert read(inner, "leads_out.csv", "x", root=tmp_path).arrays[0].tolist() == [1]
    for path in ("leads_out.csv", "up/out.csv", "../out.csv", "../none.csv", "/etc/passwd", "a\0b"):
        error = refused(inner, path, "x")
        assert (error.code, "lies outside" in error.message) == ("data", True)


@pytest.mark.parametrize("part", ["sub", "sub/d.csv"])
def test_a_link_put_in_place_after_the_look_is_not_followed(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    for folder in (root / "sub", secret):
        folder.mkdir(parents=True)
        (folder / "d.csv").write_text("x\n1\n")
    look = files.locate

    def look_then_exchange(path: str, folder: str, top: str) -> str:
        full = look(path, folder, top)
        (root / part).rename(tmp_path / "aside")
        (root / part).symlink_to(secret if part == "sub" else secret / "d.csv")
        return full

    monkeypatch.setattr(data, "locate", look_then_exchange)
    assert refused(root, "sub/d.csv", "x").code == "file"


# ---- tables ----


def test_rows_with_an_empty_cell_can_be_dropped(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,c\n1,2,\n,3,4\n5, ,6\n7,8,9\n")
    result = read(tmp_path, "d.csv", "a", "b", missing="drop")
    assert [one.tolist() for one in result.arrays] == [[1, 7], [2, 8]]
    assert result.dropped == 2
    assert read(tmp_path, "d.csv", "b", missing="drop").dropped == 1
    assert "row 3, column `a`: the cell is empty (and 1 more fault" in refused(tmp_path, "d.csv", "a", "b").message
    (tmp_path / "e.csv").write_text("a\n\n \n")
    assert "holds no numbers" in refused(tmp_path, "e.csv", "a", missing="drop").message


def test_matrices_are_contiguous(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('"a, 1","b\r\n""2""",c\r\n1,2,3\r\n4,5,6', newline="")
    x, y, z = read(tmp_path, "d.csv", ("x", ("c", "a, 1")), ("y", ()), ("z", 'b\n"2"')).arrays
    assert (x.tolist(), y.tolist(), z.tolist()) == ([[3, 1], [6, 4]], [[1, 2, 3], [4, 5, 6]], [2, 5])
    assert all(one.flags.c_contiguous and one.dtype == np.float64 for one in (x, y, z))


@pytest.mark.parametrize(
    ("content", "selectors", "wanted"),
    [
        ("1,2\n3,4\n", [1, 2], [[1, 3], [2, 4]]),
        ("Ann,1\nBob,2\n", [2], [[1, 2]]),  # no header, or Ann would be lost
        ("nm,400\n0.5,2\n", [2], [[2]]),  # words above numbers: a header
        ("nm,400\n0.5,2\n", ["400"], [[2]]),
        ("2019,2020\n1,2\n", ["2020"], [[2]]),
        ("a,b\n1,2\n", [2], [[2]]),
    ],
)
def test_whether_the_first_row_is_a_header(
    tmp_path: Path, content: str, selectors: list[int | str], wanted: list[list[float]]
) -> None:
    (tmp_path / "d.csv").write_text(content)
    arrays = read(tmp_path, "d.csv", *[(f"x{i}", one) for i, one in enumerate(selectors)]).arrays
    assert [one.tolist() for one in arrays] == wanted


def test_a_bad_first_row_is_not_taken_for_a_header(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("0.1,1_000\n0.2,5\n")
    assert "row 1, column `2`: `1_000` is no number" in refused(tmp_path, "d.csv", ("t", 1), ("y", 2)).message


def test_headers_with_accents_written_in_two_ways(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("e\u0301t\u00e9\n1\n", encoding="utf-8")
    assert read(tmp_path, "d.csv", "\u00e9t\u00e9").arrays[0].tolist() == [1]


def test_text_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 8)
    for content, message in (
        (b"x\n1\n2\n3\n4\n\xe9\n5\n", "row 6: byte 0xE9 is not UTF-8"),
        (b"x\r\n1\r\n2\r\n\0\r\n5\r\n", "row 4: a NUL character"),
        ("x\n1\n".encode("utf-16"), "is UTF-16 text"),
        (b"\n \n", "is empty"),
    ):
        (tmp_path / "d.csv").write_bytes(content)
        assert message in refused(tmp_path, "d.csv", "x").message


def test_a_table_by_itself(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("\n\nx,y\n1,2\n\n3,4\n")
    table = Table(str(tmp_path / "p.csv"), "p.csv")
    assert (table.headers, len(table), len(table.rows), table.width) == (["x", "y"], 2, 2, 2)
    assert table.column(table.position("y")).tolist() == [2, 4]
    (tmp_path / "p.csv").write_text("\n\nx,y\n1,2\n\n3,?\n")
    with pytest.raises(TapeError, match="row 6, column `y`"):
        Table(str(tmp_path / "p.csv"), "p.csv").column(0)


# ---- arrays ----


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24, dtype=">i4").reshape(2, 3, 4),
        np.float32(1.5),
        np.array([True, False]),
        np.array([1 << 53], dtype=np.uint64),
        np.empty((0, 3)),
        np.array([np.nan, np.inf], dtype=np.float16),
    ],
)
def test_arrays(tmp_path: Path, array: Any) -> None:
    (tmp_path / "x.npy").write_bytes(npy(array))
    np.savez(tmp_path / "x.npz", x=array, other=1)
    np.savez_compressed(tmp_path / "y.npz", x=array)
    for path in ("x.npy", "x.npz", "y.npz"):
        (found,) = read(tmp_path, path, "x").arrays
        assert found.dtype == np.float64
        assert found.flags.c_contiguous
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def test_columns_of_an_array_file(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(npy([[1, 2], [3, 4]]))
    assert read(tmp_path, "x.npy", ("a", 2)).arrays[0].tolist() == [2, 4]
    assert "holds one array" in refused(tmp_path, "x.npy", "a", "b").message
    assert "no column 3" in refused(tmp_path, "x.npy", ("a", 3)).message
    np.savez(tmp_path / "x.npz", a=[1, 2], b=[3, 4])
    assert read(tmp_path, "x.npz", ("x", ("b", "a")), ("y", "a")).arrays[0].tolist() == [[3, 1], [4, 2]]
    assert refused(tmp_path, "x.npz", "aa").hint == "did you mean `a`?"
    assert "have names" in refused(tmp_path, "x.npz", ("x", 1)).message


class Loud:
    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = npy(np.array([Loud()], dtype=object), allow_pickle=True)
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for path in ("x.npy", "x.npz"):
        assert "never read" in refused(tmp_path, path, "x").message
    assert not (tmp_path / "unpickled").exists()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy([1j]), "not real numbers"),
        (npy(["a"]), "not real numbers"),
        (npy(np.zeros(2, dtype=[("a", "f8")])), "not real numbers"),
        (npy(np.zeros(2, dtype="M8[s]")), "not real numbers"),
        (npy(np.array([2**53 + 1])), "beyond 2\\^53"),
        (npy([1.0, 2.0])[:-1], "is damaged"),
        (npy([1.0, 2.0]) + b"x", "is damaged"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 1000000000), }\n"), "is damaged"),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }\n") + bytes(8), "is damaged"),
        (header("{'descr': '<f8', 'shape': (1,), }\n") + bytes(8), "NumPy's format"),
        (header("__import__('os').mkdir('x')\n"), "NumPy's format"),
        (b"\x93NUMPY\x03\x00", "NumPy's format"),
        (b"1,2\n", "NumPy's format"),
        (b"", "NumPy's format"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(TapeError, match=message):
        read(tmp_path, "x.npy", "x")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(TapeError, match=message):
        read(tmp_path, "x.npz", "x")


def test_damaged_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(100.0))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[300] ^= 255
    for bad in (bytes(content), bytes(content[:200]), b"", b"PK\x03\x04"):
        (tmp_path / "x.npz").write_bytes(bad)
        assert "damaged archive" in refused(tmp_path, "x.npz", "x").message


def test_a_way_with_empty_cells_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x\n1\n")
    assert refused(tmp_path, "d.csv", "x", missing="mean").code == "usage"


def test_a_header_that_ends_within_a_bracket(tmp_path: Path) -> None:
    """NumPy then reads it as Python 2 wrote it, token by token."""
    damaged = npy(np.arange(3.0)).replace(b"(3,), }", b"(3L, ( ")
    (tmp_path / "x.npy").write_bytes(damaged)
    assert refused(tmp_path, "x.npy", "x").code == "data"
