"""Statements of a formula file as a `Problem` sees them, and what is said of files that are wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.errors import TapeError


def value(text: str, **at: Any) -> Any:
    return tp.parse(text).value(at=at or None).tolist()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2*3^2", 19.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("2^3^2", 512.0),
        ("2**-2", 0.25),
        ("7/2/2", 1.75),
        ("1 - 2 - 3", -4.0),
        ("mod(-7, 3)", 2.0),
        ("round(2.5) + round(3.5)", 6.0),
        ("1 < 2 < 3", 1.0),
        ("1 < 3 < 2", 0.0),
        ("not 1 < 2 or 3 != 4 and 2 >= 2", 1.0),
        ("true + true", 2.0),
        ("if 2 > 1 then 5 else 1/0", 5.0),
        ("where(1 > 2, 5, 6)", 6.0),
        ("log(8, 2)", 3.0),
        ("ln(e)", 1.0),
        ("cos(π)", -1.0),
        ("max(1, 3, 2) - min(1, 3, 2)", 2.0),
        ("[1, 2, 3][2]", 2.0),
        ("sum([1, 2, 3][2..3])", 5.0),
        ("[1, 2, 3, 4][4..1 by -2]", [4.0, 2.0]),
        ("[[1, 2], [3, 4]]'", [[1.0, 3.0], [2.0, 4.0]]),
        ("[[1, 2], [3, 4]][2, :]", [3.0, 4.0]),
        ("[[1, 2], [3, 4]][:, 1]", [1.0, 3.0]),
        ("[5, 6, 7][[3, 1]]", [7.0, 5.0]),
        ("sum([[1, 2], [3, 4]], axis=1)", [4.0, 6.0]),
        ("sum([1, 2][2..1]) + prod([1, 2][2..1])", 1.0),
        ("len([1, 2, 3]) + shape([[1, 2]])[2]", 5.0),
        ("linspace(0, 1, 3)", [0.0, 0.5, 1.0]),
        ("{ a = 3; b = a*2; a + b }", 9.0),
        ("f(t, k) = t^k\nf(2, 3)", 8.0),
        ("f(t) = { s = t + 1\n s*s }\nf(2)", 9.0),
        ("(a, b) = (1, 2)\na - b", -1.0),
        ("(a, b) = [5, 3]\na - b", 2.0),
        ("swap(a, b) = (b, a)\n(p, q) = swap(1, 2)\np", 2.0),
        ("a = 1\n; b = a +\n 1; b # note", 2.0),
        ("gamma = 2\ngamma(5)*gamma", 48.0),
        ("e = 1.5\n2*e", 3.0),
        ("std([1, 3]) + variance([1, 3])", 2.0),
        ("cumsum([1, 2, 3]) + cumprod([1, 2, 3])", [2.0, 5.0, 12.0]),
        ("atan2(1, 1)*4 - pi", 0.0),
        ("eps", 2.0**-52),
        ("1e-3 + .5 + 1. + 1_000", 1001.501),
    ],
)
def test_values(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("grad(x^3*y, x)", 6.0),
        ("grad(grad(x^3, x), x)", 6.0),
        ("hess(x^2*y, y)", 0.0),
        ("grad(sum(v^2), v)", [2.0, 4.0]),
        ("hess(sum(v^3), v)", [[6.0, 0.0], [0.0, 12.0]]),
        ("jac(v^2*x, v)", [[2.0, 0.0], [0.0, 4.0]]),
        ("jvp(v^2, v, [1, 10])", [2.0, 40.0]),
        ("hvp(prod(v)*x, v, [1, 0])", [0.0, 1.0]),
        ("grad(stop(x)*x, x)", 1.0),
        ("grad(c*x, c)", 1.0),
        ("grad(v[2]*x, v)", [0.0, 1.0]),
        ("grad(y, x)", 0.0),
        ("grad(w, u)", 5.0),
        ("grad(w, k)", 2.0),
    ],
)
def test_derivatives_inside(expression: str, wanted: Any) -> None:
    text = f"var x = 1, y = 2, v = [1, 2]\nconst c = 5\nu = x + 1\nk = u + 1\nw = u*k\n{expression}"
    assert value(text) == wanted


def test_names_that_stand_for_equal_things_stay_apart() -> None:
    text = "var x = 3\na = x + 1\nb = x + 1\nz = a*b\n"
    assert value(text + "grad(z, a)") == 4.0
    assert value(text + "grad(z, b)") == 4.0
    assert value(text + "grad(z, x)") == 8.0
    problem = tp.parse(text + "z")
    assert problem.grad(wrt="a,b,x") == {"a": 4.0, "b": 4.0, "x": 8.0}
    assert problem.value(at={"a": 10.0}) == 40.0


# ---- problems ---------------------------------------------------------------------------------------------------


def test_starts_constants_bounds_points_and_outputs() -> None:
    problem = tp.parse(
        "var x = 1 in [0, 10], y = 2 in [, 5]; var w[2] = 3 in [[1, 2], inf], z = -1.5\n"
        "const a = 1, b = 2*a\npoint far: x = 9, w = [7, 8]\npoint near: x = 2\nx + y; q = x*a; q; sum(w)"
    )
    assert {n: v.tolist() for n, v in problem.start.items()} == {"x": 1, "y": 2, "w": [3, 3], "z": -1.5}
    assert {n: v.tolist() for n, v in problem.constants.items()} == {"a": 1}
    low, high = problem.bounds["w"]
    assert low is not None
    assert high is not None
    assert (low.tolist(), high.tolist()) == ([1, 2], [math.inf, math.inf])
    assert problem.bounds["y"][0] is None
    assert set(problem.bounds) == {"x", "y", "w"}
    assert problem.points["far"]["w"].tolist() == [7, 8]
    assert problem.outputs == ["_1", "q", "_3"]
    assert [v.tolist() for v in problem.evaluate(at=problem.points["far"]).values.values()] == [11, 9, 15]
    assert {n: v.tolist() for n, v in problem.place(["far", "x=3", "y = x^2"]).items()} == {"x": 3, "w": [7, 8], "y": 1}
    assert problem.value(of="b") == 2.0
    assert problem.value(of="b", at={"a": 5.0}) == 10.0, "a constant made of others follows them"
    assert problem.value(of="q", at={"q": 7.0}) == 7.0, "a bound name can be set"


def test_a_start_outside_its_bounds_is_a_warning() -> None:
    problem = tp.parse("var x = 5 in [0, 1]\nminimize x^2")
    (warning,) = problem.warnings
    assert "outside its bounds" in warning.message
    assert warning.place is not None
    assert warning.place.column == 5
    assert problem.value() == 25.0
    assert problem.minimize(steps=0).at["x"] == 1.0


def test_random_starts_follow_the_seed() -> None:
    text = "var w[3] = normal(1, 0.1), u[2, 2] = uniform(-1, 1), s = normal(0, 1)\nsum(w)"
    one, two, other = tp.parse(text, seed=1).start, tp.parse(text, seed=1).start, tp.parse(text, seed=2).start
    for name in one:
        assert one[name].tobytes() == two[name].tobytes()
        assert one[name].tobytes() != other[name].tobytes()
    assert one["u"].shape == (2, 2)
    assert np.all(np.abs(one["u"]) <= 1)
    assert np.all(np.abs(one["w"] - 1) < 1)
    assert len(set(one["w"].tolist())) == 3


@pytest.mark.parametrize("engine", ["tape", "numpy"])
def test_constants_that_shapes_rest_on(engine: str) -> None:
    problem = tp.parse("const n = 3, m = n - 1\nvar x[n] = 1, y[m] = 2\nsum(x^2) + sum(y) + x[n]", engine=engine)
    assert problem.value() == 8.0
    assert problem.value(at={"n": 5}) == 14.0
    assert problem.grad(at={"n": 5})["x"].tolist() == [2, 2, 2, 2, 3]
    assert problem.grad(at={"n": 2, "x": [3, 4]})["x"].tolist() == [6, 9]
    assert problem.grad(at={"x": [3, 4], "n": 2, "y": 5})["y"].tolist() == [1]
    assert {n: v.tolist() for n, v in problem.place(["x=[3,4]", "n=2"]).items()} == {"n": 2, "x": [3, 4]}
    assert problem.product({"x": [1, 0]}, at={"n": 2}).product is not None
    assert problem.value() == 8.0
    with pytest.raises(TapeError, match="`x` is 2 entries, and the value given for it is 3 entries"):
        problem.value(at={"n": 2, "x": [1, 2, 3]})
    assert problem.compile(engine).value(at={"n": 4}) == 11.0


def test_derivatives_to_constants_data_and_bound_names() -> None:
    problem = tp.parse("var x = 2\nconst c = 3, n = 2\ny = c*x\nv = [1, 2][1..n]\nz = y^2 + x + sum(v)")
    found = problem.derivatives(wrt=["y", "c", "x", "n", "v"])
    assert found.gradient is not None
    assert {n: g.tolist() for n, g in found.gradient.items()} == {"y": 12, "c": 24, "x": 37, "n": 0, "v": [1, 1]}
    assert found.connected == {"y": True, "c": True, "x": True, "n": False, "v": True}
    assert problem.hess(wrt="y,x")["y"]["y"] == 2.0
    assert problem.jac(of="y")["x"] == 3.0


def test_fit_is_a_sum_of_squares() -> None:
    text = "var k = 1\nt = [1, 2, 3]\ny = [2, 4, 7]\nfit y ~ k*t"
    assert tp.parse(text).value() == 1 + 4 + 16
    assert tp.parse(text + ", sigma=2").value() == 21 / 4
    assert tp.parse(text + ", sigma=[1, 2, 4]").value() == 1 + 1 + 1
    assert tp.parse(text + ", weights=[1, 0, 2]").value() == 1 + 32
    assert tp.parse(text).grad()["k"] == -2 * (1 + 4 + 12)
    assert tp.parse(text.replace("fit y ~", "fit log(y) ~")).value() == pytest.approx(
        (math.log(2) - 1) ** 2 + (math.log(4) - 2) ** 2 + (math.log(7) - 3) ** 2
    )


def test_a_file_that_only_binds_has_its_last_binding_for_output() -> None:
    assert tp.parse("var x = 3\ny = x^2\nz = y + 1").outputs == ["z"]
    assert tp.parse("x^2", free={"x": 3.0}).value() == 9.0
    with pytest.raises(TapeError, match="has no output"):
        tp.parse("var x = 1").value()


def test_the_convention_at_ties() -> None:
    text = "var x = 1, y = 1\nmax(x, y)"
    assert tp.parse(text).grad() == {"x": 0.5, "y": 0.5}
    assert tp.parse(text, kink="tf").grad() == {"x": 1.0, "y": 0.0}


def test_results_are_in_the_precision_of_the_run() -> None:
    problem = tp.parse("var x = 0.1\nx*3 + 1e300", dtype="float32")
    assert problem.value() == np.float32(np.inf)
    assert problem.grad()["x"].dtype == np.float32
    assert tp.parse("var x = 1e300\nx", dtype="float32").value() == np.inf
    assert tp.parse("eps", dtype="float32").value() == np.float32(2.0**-23)


# ---- errors -----------------------------------------------------------------------------------------------------

#: text, code, line, column, what stands there, a part of the hint
WRONG = [
    ("var x = 1\nvr + x", "name", 2, 1, "vr", "bind it above"),
    ("var rate = 1\nrte + 1", "name", 2, 1, "rte", "did you mean `rate`?"),
    ("var x = 1\nsn(x)", "name", 2, 1, "sn(x)", "did you mean `sin`?"),
    ("x = 1\nx(2)", "name", 2, 1, "x(2)", "write x*(…)"),
    ("var x = 1\nsin + x", "name", 2, 1, "sin", "`sin` is a function"),
    ("var x = 1\ny = 2\nvar x = 2", "duplicate", 3, 5, "x", "bound once"),
    ("f(t) = t\nf(t) = 2", "duplicate", 2, 1, "f", "another name"),
    ("minimize 1\nminimize 2", "duplicate", 2, 1, "minimize 2", ""),
    ("var a = [1, 2]\n1 + a*[1, 2, 3]", "shape", 2, 6, "*", "entry by entry"),
    ("var x = [1, 2]\nminimize x", "shape", 2, 1, "minimize x", "sum it"),
    ("var x[2] = [1, 2, 3]\nx", "shape", 1, 5, "x", ""),
    ("var x = [1, 2]\ngrad(x, x)", "shape", 2, 1, "grad(x, x)", "jac"),
    ("[1, [2, 3]]", "shape", 1, 1, "[1, [2, 3]]", ""),
    ("(a, b) = [1, 2, 3]", "shape", 1, 10, "[1, 2, 3]", ""),
    ("if [1, 2] then 1 else [1, 2, 3]", "shape", 1, 1, "if [1, 2] then 1 else [1, 2, 3]", ""),
    ("var x = 1 in [[1, 2], 3]\nx", "shape", 1, 5, "x", ""),
    ("var x = [1, 2]\nx[3]", "index", 2, 1, "x[3]", "the last entry is 2"),
    ("var x = [1, 2]\nx[0]", "index", 2, 1, "x[0]", "the first entry is 1"),
    ("sum([1, 2], axis=2)", "index", 1, 1, "sum([1, 2], axis=2)", "counted from 1"),
    ("var n = 2\nvar x[n] = 0", "value", 2, 7, "n", "constants"),
    ("var x[-1] = 0", "value", 1, 5, "x", ""),
    ("var x = 1 in [2, 1]\nx", "value", 1, 5, "x", ""),
    ("exp(1, 2)", "type", 1, 1, "exp(1, 2)", "it is exp(x)"),
    ("f(t) = t\nf(1, 2)", "type", 2, 1, "f(1, 2)", "f(t)"),
    ("sum([1, 2], axs=1)", "type", 1, 1, "sum([1, 2], axs=1)", "it is sum(x)"),
    ("var x = 1\ngrad(x, 2)", "type", 2, 1, "grad(x, 2)", "bind it"),
    ("(1, 2) + 1", "type", 1, 8, "+", ""),
    ("var x = 1\nfit x ~ 2, sigma=1, weights=2", "type", 2, 1, "fit x ~ 2, sigma=1, weights=2", ""),
    ("var x = 1\nminimize x, stps=5", "name", 2, 13, "stps=5", "did you mean `steps`?"),
    ("normal(0, 1)", "name", 1, 1, "normal(0, 1)", "var w[10] = normal"),
    ("var x = 1\npoint p: y = 1", "name", 2, 10, "y = 1", ""),
    ("var x = 1\nexpect x == 1 at q", "name", 2, 1, "expect x == 1 at q", "point q"),
    ("var x = 1\n2x", "syntax", 2, 1, "2x", "write `2*x`"),
    ("var x = 1e999", "syntax", 1, 9, "1e999", "`inf`"),
    ("f(t) = f(t - 1)", "name", 1, 8, "f(t - 1)", "do not recurse"),
    ("f(t) = q*t", "name", 1, 8, "q", "bind it above"),
    ("var x\nx + 1", "start", 1, 5, "x", "--at x=1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "column", "marked", "hint"), WRONG, ids=[case[0] for case in WRONG])
def test_errors_have_a_code_a_place_and_a_hint(
    text: str, code: str, line: int, column: int, marked: str, hint: str
) -> None:
    with pytest.raises(TapeError) as caught:
        tp.parse(text).value()
    error = caught.value
    assert error.code == code, error.message
    assert error.place is not None
    assert (error.place.line, error.place.column, error.place.text) == (line, column, marked)
    assert hint in (error.hint or "")
    assert not error.more


def test_all_errors_of_a_file_are_told_and_none_twice() -> None:
    text = "var x = 1\na = x + q\nb = a + 1\nc = sn(x)\nd = [1, 2] + [1, 2, 3]\nexpect c == 1\ne1 = b*2\nx[1]"
    with pytest.raises(TapeError) as caught:
        tp.parse(text)
    errors = [caught.value, *caught.value.more]
    assert [(e.code, e.place.line) for e in errors if e.place] == [("name", 2), ("name", 4), ("shape", 5), ("shape", 8)]


@pytest.mark.parametrize(
    ("call", "code", "hint"),
    [
        (lambda p: p.value(at={"z": 1}), "name", None),
        (lambda p: p.value(at={"speeed": 1}), "name", "did you mean `speed`?"),
        (lambda p: p.value(of="z"), "name", "there is"),
        (lambda p: p.value(at={"v": [1, 2, 3]}), "shape", None),
        (lambda p: p.grad(of="v"), "shape", "Jacobian"),
        (lambda p: p.grad(wrt="spead"), "name", "did you mean `speed`?"),
        (lambda p: p.place(["fur"]), "name", "did you mean `far`?"),
        (lambda p: p.place(["speed=1+"]), "syntax", None),
        (lambda p: p.place(["sped=1"]), "name", "did you mean `speed`?"),
        (lambda p: p.minimize(), "usage", "minimize y"),
        (lambda p: p.hvp({"w": 1}), "name", None),
    ],
)
def test_errors_of_calls(call: Any, code: str, hint: str | None) -> None:
    problem = tp.parse("var speed = 1, v = [1, 2]\npoint far: speed = 9\nspeed*sum(v)")
    with pytest.raises(TapeError) as caught:
        call(problem)
    assert caught.value.code == code, caught.value
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"engine": "jax"}, {"kink": "left"}])
def test_settings_that_there_are_not(options: dict[str, Any]) -> None:
    with pytest.raises(TapeError) as caught:
        tp.parse("1", **options)
    assert caught.value.code == "usage"


def test_files_that_cannot_be_read(tmp_path: Any) -> None:
    with pytest.raises(TapeError) as caught:
        tp.load(tmp_path / "none.tape")
    assert caught.value.code == "file"
    with pytest.raises(TapeError) as caught:
        tp.load(tmp_path)
    assert caught.value.code == "file"
    (tmp_path / "bad.tape").write_bytes(b"x = 1\n\xff")
    with pytest.raises(TapeError) as caught:
        tp.load(tmp_path / "bad.tape")
    assert caught.value.code == "syntax"
    assert caught.value.place is not None
    assert caught.value.place.line == 2
