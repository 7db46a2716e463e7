"""Data files as formulas see them: columns by header and number, and everything that is refused, with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.errors import TapeError


def columns(folder: Path, statement: str, **more: Any) -> dict[str, list[float]]:
    problem = tp.parse(f"data {statement}\n1", folder=str(folder), **more)
    return {name: value.tolist() for name, value in problem.data.items()}


def refused(folder: Path, statement: str, **more: Any) -> TapeError:
    with pytest.raises(TapeError) as caught:
        columns(folder, statement, **more)
    error = caught.value
    assert error.place is not None
    assert (error.place.line, error.place.text) == (1, statement[statement.index('"', statement.rindex("from")) :])
    return error


def write(folder: Path, content: str | bytes, name: str = "d.csv") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_columns_by_header_number_and_rename(tmp_path: Path) -> None:
    write(tmp_path, "t,Time (s),y\n1,2,3\n4,5,6\n")
    assert columns(tmp_path, 't, y from "d.csv"') == {"t": [1, 4], "y": [3, 6]}
    assert columns(tmp_path, 'a = 2, b = 1 from "d.csv"') == {"a": [2, 5], "b": [1, 4]}
    assert columns(tmp_path, 't = "Time (s)", z = "t" from "d.csv"') == {"t": [2, 5], "z": [1, 4]}
    assert columns(tmp_path, 'X = ["y", "t"], n = 3 from "d.csv"') == {"X": [[3, 1], [6, 4]], "n": [3, 6]}
    assert columns(tmp_path, 'X = [2, "t"] from "d.csv"') == {"X": [[2, 1], [5, 4]]}
    assert columns(tmp_path, 'X = [*] from "d.csv"') == {"X": [[1, 2, 3], [4, 5, 6]]}


@pytest.mark.parametrize(
    "content",
    [
        "t,y\n1,2\n3,4\n",
        "t,y\r\n1,2\r\n3,4\r\n",
        "t,y\r1,2\r3,4",
        "\ufefft,y\n1,2\n3,4",
        "\ufefft,y\r\n1,2\r\n3,4",
        '"t","y"\n"1",2\n3,"4"\n',
        "t, y\n1 , 2\n 3,4\n",
        "t,y\n\n1,2\n\n3,4\n\n",
        "t,y\n+1,2.\n3e0,.4E+1\n",
    ],
)
def test_spellings_of_the_same_table(tmp_path: Path, content: str) -> None:
    write(tmp_path, content)
    assert columns(tmp_path, 't, y from "d.csv"') == {"t": [1, 3], "y": [2, 4]}


def test_tabs_headers_and_no_headers(tmp_path: Path) -> None:
    write(tmp_path, "t\ty\n1\t2\n3\t4\n", "d.tsv")
    assert columns(tmp_path, 't, y from "d.tsv"') == {"t": [1, 3], "y": [2, 4]}
    write(tmp_path, "1,2\n3,4\n")
    assert columns(tmp_path, 't = 1, y = 2 from "d.csv"') == {"t": [1, 3], "y": [2, 4]}
    assert refused(tmp_path, 't, y from "d.csv"').code == "data"
    write(tmp_path, '"a, b","he said ""no"""\n1,2\n')
    assert columns(tmp_path, 'x = "a, b", y = 2 from "d.csv"') == {"x": [1], "y": [2]}


def test_numbers_by_name(tmp_path: Path) -> None:
    write(tmp_path, "t\ninf\n-INF\nnan\n-0\n1e-400\n")
    (values,) = columns(tmp_path, 't from "d.csv"').values()
    assert values[:2] == [np.inf, -np.inf]
    assert np.isnan(values[2])
    assert np.signbit(values[3])
    assert values[4] == 0.0


@pytest.mark.parametrize(
    "cell",
    ["1_000", "x", "1,0" + "0", "0x10", "1e", "--1", "1 2", "١", "ınf", "infinity", "1;2", "$1", "1e5 m", "True", "−1"],
)
def test_a_cell_that_is_no_number(tmp_path: Path, cell: str) -> None:
    quoted = f'"{cell}"' if "," in cell else cell
    write(tmp_path, f"t,y\n1,2\n3,{quoted}\n5,6\n")
    error = refused(tmp_path, 't, y from "d.csv"')
    assert error.code == "data"
    for part in ("d.csv", "row 3", "column `y`", cell):
        assert part in error.message
    assert columns(tmp_path, 't from "d.csv"') == {"t": [1, 3, 5]}, "columns not asked for are not judged"


def test_an_empty_cell(tmp_path: Path) -> None:
    for content in ("t,y\n1,2\n3,\n", 't,y\n1,2\n3,""\n', "t,y\n1,2\n3, \n"):
        write(tmp_path, content)
        error = refused(tmp_path, 't, y from "d.csv"')
        assert "row 3, column `y`: the cell is empty" in error.message


@pytest.mark.parametrize("row", ["3", "3,4,5", "3,4,", '"3,4"'])
def test_rows_of_another_width(tmp_path: Path, row: str) -> None:
    write(tmp_path, f"t,y\n1,2\n\n{row}\n")
    error = refused(tmp_path, 't from "d.csv"')
    assert error.code == "data"
    assert "row 4" in error.message, "the line in the file, blank lines counted"


def test_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    for content in ('t,"y\n1,2\n3,4\n', 't,y\n1,"2\n3,4\n'):
        write(tmp_path, content)
        assert refused(tmp_path, 't from "d.csv"').code == "data"


def test_headers_that_are_missing_or_doubled(tmp_path: Path) -> None:
    write(tmp_path, "time,y,y\n1,2,3\n")
    error = refused(tmp_path, 'tme from "d.csv"')
    assert "no column `tme`" in error.message
    assert error.hint == "did you mean `time`?"
    error = refused(tmp_path, 'y from "d.csv"')
    assert "2 columns called `y`" in error.message
    assert error.hint == "name it by number"
    assert columns(tmp_path, 'y = 3 from "d.csv"') == {"y": [3]}
    assert refused(tmp_path, 'y = 4 from "d.csv"').code == "data"
    with pytest.raises(TapeError):
        columns(tmp_path, 'y = 0 from "d.csv"')


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"\xef\xbb\xbf", b"t\n\xff\xfe\n", b"t\n1\x00\n", bytes(range(256)), b"\xff\xfet\x00\n\x00"],
)
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, content)
    assert refused(tmp_path, 't from "d.csv"').code == "data"


def test_paths_that_lead_out(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    write(tmp_path, "t\n1\n", "out.csv")
    write(inner, "t\n2\n", "sub/in.csv")
    os.symlink(tmp_path / "out.csv", inner / "link.csv")
    os.symlink(tmp_path, inner / "up")
    os.symlink(inner / "sub" / "in.csv", inner / "within.csv")
    for path in ("../out.csv", str(tmp_path / "out.csv"), "link.csv", "up/out.csv", "sub/../../out.csv"):
        error = refused(inner, f't from "{path}"')
        assert error.code == "data"
        assert "outside" in error.message
        assert error.hint is not None
        assert columns(inner, f't from "{path}"', data_root=str(tmp_path)) == {"t": [1]}
    for path in ("sub/in.csv", "./sub/../sub/in.csv", "within.csv", str(inner / "sub" / "in.csv")):
        assert columns(inner, f't from "{path}"') == {"t": [2]}


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    error = refused(tmp_path, 't from "nothing.csv"')
    assert error.code == "file"
    assert error.hint == "paths are relative to the formula file"
    for name in ("folder.csv", "pipe.csv", ".", ""):
        assert refused(tmp_path, f't from "{name}"').code in ("data", "file")


def test_data_of_a_problem(tmp_path: Path) -> None:
    write(tmp_path, "t,y\n1,2\n3,4\n")
    text = 'var k = 2\ndata t, y from "d.csv"\nn = len(t)\nsum((y - k*t)^2)/n'
    problem = tp.parse(text, folder=str(tmp_path))
    assert problem.value() == 2.0
    assert problem.grad(wrt="k,y")["y"].tolist() == [0.0, -2.0]
    assert problem.value(at={"y": [3.0, 4.0]}) == 2.5
    path = tmp_path / "f.tape"
    path.write_text(text)
    assert tp.load(path).value() == 2.0
    (tmp_path / "d.csv").write_text("t,y\n1,2\n")
    assert problem.value() == 2.0, "a problem has read its data once"
    assert tp.load(path).value() == 0.0
