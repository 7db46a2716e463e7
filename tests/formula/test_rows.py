"""Many points at once: the results are those of the points one by one, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.engines import repeated
from tapecli.problem.points import Rows

TEXT = """
const w = [1, -2, 0.5]
const s = 2
var x = 1, y = 2, v[3] = [0.1, 0.2, 0.3]
u = sum(v * w) + x * y
minimize (1 - x)^2 + 100*(y - x^2)^2 + s * u^2 + (if x > 0 then sqrt(x) else 0)
"""
RNG = np.random.default_rng(5)
COUNT = 300
POINTS = [
    {"y": float(a), "v": b, "x": float(c)}
    for a, b, c in zip(*(RNG.normal(size=s) for s in ((COUNT,), (COUNT, 3), (COUNT,))), strict=True)
]


def same(one: Any, two: Any) -> None:
    """Every field alike but the engine, which `auto` changes on its way."""
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            same(one[key], two[key])
    elif isinstance(one, np.ndarray):
        assert (one.shape, one.dtype, one.tobytes()) == (two.shape, two.dtype, two.tobytes())
    else:
        assert one == two


ALONE = {
    "value": lambda p, at: p.evaluate(at=at),
    "gradient": lambda p, at: p.derivatives(at=at),
    "hessian": lambda p, at: p.derivatives(order=2, at=at),
    "jacobian": lambda p, at: p.jacobian(at=at),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ALONE)
@pytest.mark.parametrize("engine", ["tape", "numpy", "native"])
def test_each_point_gives_what_it_gives_alone(engine: str, kind: str, dtype: str) -> None:
    problem = tp.parse(TEXT, engine=engine, dtype=dtype)
    found = list(problem.each(POINTS, kind))
    assert len(found) == COUNT
    for point, many in zip(POINTS[::23], found[::23], strict=True):
        one = ALONE[kind](problem, point)
        for field in one._fields:
            same(getattr(many, field), getattr(one, field))


def test_compiled_code_is_entered_once_for_many_points(monkeypatch: pytest.MonkeyPatch) -> None:
    from tapecli.engines import native

    calls = []
    run = native.Steps.run
    monkeypatch.setattr(
        native.Steps, "run", lambda self, state, count, *rest: calls.append(count) or run(self, state, count, *rest)
    )
    problem = tp.parse(TEXT, engine="native")
    assert len(list(problem.each(POINTS))) == COUNT
    assert calls == [COUNT]
    assert problem.traces == 1
    many = [{"x": k / 5000} for k in range(5000)]
    assert [float(r.at["x"]) for r in problem.each(many)] == [p["x"] for p in many]
    assert sum(calls) == COUNT + 5000
    assert len(calls) < 10


def test_auto_takes_compiled_code_for_many_points() -> None:
    problem = tp.parse(TEXT, cache=False)
    assert {r.engine for r in problem.each(POINTS[:3])} == {"tape"}
    assert [r.engine for r in problem.each(POINTS * 400)][-1] == "native"


def test_points_of_several_kinds_are_taken_one_by_one() -> None:
    problem = tp.parse(TEXT, engine="numpy")
    bound = list(problem.each([{"u": 1.0}, {"u": 2.0}]))  # a name that is no input: the graph is another
    assert [float(r.value) for r in bound] == [103.0, 109.0]
    mixed = list(problem.each([{"x": 1.0}, {"x": 1.0, "y": 1.0}]))
    assert mixed[1].at["y"] == 1.0
    sized = tp.parse("const n = 2\nvar x[n] = 1\nsum(x)", engine="numpy")
    assert [r.gradient["x"].size for r in sized.each([{"n": 2}, {"n": 4}])] == [2, 4]
    assert list(problem.each([])) == []
    spread = list(problem.each([{"v": 1.0}, {"v": [1.0, 2.0, 3.0]}]))
    assert [r.at["v"].tolist() for r in spread] == [[1, 1, 1], [1, 2, 3]]


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        ([{"z": 1.0}], {}, "nothing in the formula is called `z`"),
        ([{"v": [1.0, 2.0]}], {}, "`v` is"),
        ([{"x": 1.0}, {"v": [1.0, 2.0]}], {}, "`v` is"),
        ([{"x": 1.0}] * 9, {"of": "q"}, "there is no output `q`"),
        ([{"x": 1.0}] * 9, {"wrt": "q"}, "nothing in the formula is called `q`"),
        ([{"x": 1.0}] * 9, {"kind": "product"}, "there is no kind 'product'"),
    ],
)
def test_what_cannot_be_asked_is_said(points: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(tp.TapeError, match=words):
        list(tp.parse(TEXT, engine="numpy").each(points, **options))


def test_a_table_with_values_before_and_after_it() -> None:
    rows = Rows({"x": np.arange(3.0)}, 3, {}, {}).within(
        {"x": np.asarray(9.0), "y": np.asarray(4.0)}, {"s": np.asarray(0.0)}
    )
    assert [dict(row) for row in rows] == [{"x": k, "y": 4.0, "s": 0.0} for k in range(3)]
    assert [list(row) for row in rows[1:]] == [["x", "y", "s"]] * 2
    with pytest.raises(IndexError):
        rows[3]
    problem = tp.parse(TEXT, engine="numpy")
    assert [float(r.value) for r in problem.each(rows)] == [float(problem.value(dict(row))) for row in rows]
    last = rows.within({}, {"x": np.asarray(7.0)})
    assert [float(r.at["x"]) for r in problem.each(last)] == [7.0] * 3


def test_rows_of_a_file_that_fail_do_not_keep_others_from_running(tmp_path: Path) -> None:
    """By the command line on each engine, with what is not finite blamed; where NumPy computes, with the same bytes."""
    (tmp_path / "f.tape").write_text('var x = 1\ndata d from "d.csv"\nsum(d) * log(x)\n')
    (tmp_path / "d.csv").write_text("d\n1\n2\n")
    (tmp_path / "p.csv").write_text("x\n" + "".join(f"{k % 7}\n" for k in range(50)))
    outs = set()
    for engine in ("tape", "numpy", "native"):
        command = [sys.executable, "-m", "tapecli", "grad", "f.tape", "--at", "@p.csv", "--json", "--engine", engine]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 4
        assert done.stdout.count('"ok": true') == 42
        assert done.stdout.count('"ok": false') == 8
        if engine != "native":  # whose logarithm may differ in the last bit
            outs.add(done.stdout.replace(f'"engine": "{engine}"', ""))
    assert len(outs) == 1


def test_a_file_of_points_that_is_missing_or_has_none(tmp_path: Path) -> None:
    problem = tp.parse(TEXT)
    with pytest.raises(tp.TapeError, match="no file of points") as missing:
        problem.rows(str(tmp_path / "none.csv"))
    assert missing.value.code == "file"
    (tmp_path / "p.csv").write_text("x,y\n")
    with pytest.raises(tp.TapeError, match="names of columns and no rows"):
        problem.rows(str(tmp_path / "p.csv"))


def test_a_stretch_of_rows_is_split_where_the_choice_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` looks up after 1, 1, 2, 4 … rows and goes on with compiled code where it is told to."""
    monkeypatch.setattr(repeated, "COMPILE", 0.0)
    problem = tp.parse(TEXT, cache=False)
    expected = [float(problem.value(point)) for point in POINTS]
    found = list(problem.each(POINTS, "value"))
    assert {r.engine for r in found} == {"native"}
    np.testing.assert_allclose([float(r.values[problem.outputs[-1]]) for r in found], expected, rtol=1e-14)
