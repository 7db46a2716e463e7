"""Every way of reading gives the same numbers and the same faults as the slow reading of `oracle`."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tapecli.data import cells, fast, text
from tapecli.errors import TapeError

_spec = importlib.util.spec_from_file_location("oracle", Path(__file__).with_name("oracle.py"))
assert _spec is not None
assert _spec.loader is not None
oracle: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

WAYS = ["cells", "numpy", "arrow"]

decimals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.6g}"),
    st.integers(-(10**30), 10**30).map(str),
    st.from_regex(r"[+-]?(?:[0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,25})(?:[eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["inf", "-INF", "NaN", "+nan", "1e999", "5e-324", "2.4703282292062328e-324", "-0", "1.", ".5"]),
)
odd = st.one_of(
    st.sampled_from(
        "1_000|abc|1,5|0x10|0x1p3|infinity|nan(1)|NA|null|1e|.|-|+-1|1 2|1d5|\x0c1|\x1c1|\xa01"
        "|\N{ARABIC-INDIC DIGIT THREE}"
        '|#|1#|5"|"1"2|"1""2"|""|"\n"|"1\n"| "7" |"8" | "|Zo\xeb|1\x85'.split("|")
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    st.text('1.e-+",\n\r\t a', max_size=6),
)
cell = st.one_of(
    decimals, decimals, decimals, decimals.map(lambda c: f" {c}  "), decimals.map(lambda c: f'"{c}"'), st.just("")
)
labels = st.sampled_from(['"a, b"', '"say ""x"""', "plain", '"two\nlines"', "Zo\xeb", "", '17" wide', '"tab\there"'])


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str, list[str]]:
    """(text, delimiter, used headers): a table, mostly in order, and often with a few corruptions."""
    delimiter = draw(st.sampled_from(",\t"))
    width = draw(st.integers(1, 4))
    kinds = [draw(st.sampled_from(["number"] * 4 + ["label"])) for _ in range(width)]
    kinds[draw(st.integers(0, width - 1))] = "number"
    clean = draw(st.booleans())
    source = {"number": decimals if clean else cell, "label": labels}
    table = [[draw(source[kind]) for kind in kinds] for _ in range(draw(st.integers(1, 8)))]
    for _ in range(0 if clean else draw(st.integers(0, 3))):
        row = draw(st.sampled_from(table))
        if draw(st.integers(0, 4)):
            row[draw(st.integers(0, len(row) - 1))] = draw(odd)
        elif draw(st.booleans()) or len(row) == 1:
            row.append("1")
        else:
            row.pop()
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [delimiter.join(f"h{i}" for i in range(width)), *(delimiter.join(row) for row in table)]
    for _ in range(0 if clean else draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(1, len(lines))), draw(st.sampled_from(["", "  "])))
    content = draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end, end + end]))
    used = [f"h{i}" for i, kind in enumerate(kinds) if kind == "number"]
    return content, delimiter, used if draw(st.booleans()) else used[::-1]


def force(way: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fast, "LARGE", 0)
    if way != "arrow":
        patch.setattr(fast, "by_arrow", lambda *_: None)
    if way != "numpy":
        patch.setattr(fast, "by_numpy", lambda *_: None)


def outcome(content: str, delimiter: str, used: list[str], drop: bool) -> tuple[list[np.ndarray], int] | str:
    path = "t.tsv" if delimiter == "\t" else "t.csv"
    try:
        return text.load(io.BytesIO(content.encode()), path, path, [(one, None) for one in used], drop)
    except TapeError as error:
        return error.message


def wanted_message(path: str, fault: tuple[object, ...], width: int) -> str:
    """The beginning of the message that a fault of the oracle leads to."""
    _, line, header, what, _ = fault
    if header is None:
        return f"`{path}`, row {line}: "
    if what == "":
        return f"`{path}`, row {line}, column `{header}`: the cell is empty"
    return f"`{path}`, row {line}, column `{header}`: `{cells.printable(str(what))}` is no number"


@pytest.mark.parametrize("way", WAYS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(("h0\n1\n\n2\n\n", ",", ["h0"]), False, 1 << 24)
@example(('h0,h1\n"1",a"b\n"2"3,4\n', ",", ["h0"]), False, 1 << 24)
@example(('h0\n""', ",", ["h0"]), False, 1 << 24)
@example(('h0,h1\n""\n1,2\n', ",", ["h0"]), False, 1 << 24)
@example(('h0,h1\n1,"a\n2,3\n', ",", ["h0"]), True, 4)
@given(tables(), st.booleans(), st.sampled_from([4, 7, 16, 64, 1 << 24]))
def test_every_way_agrees_with_the_slow_reading(
    way: str, table: tuple[str, str, list[str]], drop: bool, block: int
) -> None:
    content, delimiter, used = table
    path = "t.tsv" if delimiter == "\t" else "t.csv"
    wanted = oracle.columns(content, delimiter, used, drop)
    if way == "arrow" and not fast.arrow():
        pytest.skip("pyarrow is not installed")
    with pytest.MonkeyPatch.context() as patch:
        force(way, patch)
        patch.setattr(text, "BLOCK", block)
        got = outcome(content, delimiter, used, drop)
    if wanted[0] == "fault":
        assert isinstance(got, str), got
        more = wanted[-1] - 1
        assert got.startswith(wanted_message(path, wanted, len(used)))
        assert got.endswith(f" (and {more} more fault{'s' * (more > 1)} in this file)") if more else "more" not in got
    elif not wanted[1][0]:
        assert isinstance(got, str)
        assert "holds no numbers" in got
    else:
        assert not isinstance(got, str), got
        arrays, dropped = got
        assert dropped == wanted[2]
        for array, values in zip(arrays, wanted[1], strict=True):
            assert array.dtype == np.float64
            assert array.flags.c_contiguous
            np.testing.assert_array_equal(array, values)
            assert (np.signbit(array) == np.signbit(values))[~np.isnan(array)].all()


@pytest.mark.parametrize("way", WAYS[1:])
def test_the_fast_ways_are_taken_for_tables_in_order(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "arrow" and not fast.arrow():
        pytest.skip("pyarrow is not installed")
    force(way, monkeypatch)
    monkeypatch.setattr(cells, "convert", None)
    content = "a,b,c\r\n" + '1.5, 2 ,"x ""y"", z"\r\n-3e4,nan,ö\r\n' * 1000
    got = outcome(content, ",", ["a", "b"], False)
    assert not isinstance(got, str)
    np.testing.assert_array_equal(got[0][0], [1.5, -3e4] * 1000)


@pytest.mark.parametrize(
    "cell", ["1_000", "0x10", "Infinity", "nan(7)", "\x0c1", "\x1c1", "1 2", "+-1", "1e", "é", "NA"]
)
@pytest.mark.parametrize("way", WAYS)
def test_a_cell_that_only_some_readers_take(way: str, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "arrow" and not fast.arrow():
        pytest.skip("pyarrow is not installed")
    force(way, monkeypatch)
    got = outcome(f"h0,h1\n1,2\n3,{cell}\n", ",", ["h0", "h1"], False)
    assert got == f"`t.csv`, row 3, column `h1`: `{cells.printable(cell)}` is no number"
