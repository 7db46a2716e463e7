"""`diff`: the text reads back as a formula with the same numbers, and looks as a person would write it."""

from __future__ import annotations

import inspect
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapecli as tp
from tapecli.write.branches import settled
from tapecli.write.printers import Printer
from tapecli.write.terms import Term, Terms

#: samples whose derivative no formula says: recurrences, Cholesky's factors
UNSAID = ("gaussian_process.tape", "kinetics.tape", "lstm.tape", "pendulum.tape")
SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.tape"))


def same(text: str, folder: str = ".", **options: Any) -> str:
    """The derivatives of a formula as text, after the text gave the same numbers as the gradient."""
    p = tp.parse(text, folder=folder)
    d = p.diff(**options)
    values = tp.parse(d.text, folder=folder).evaluate().values
    exact = p.grad(wrt=options.get("wrt"))
    for name, key in zip(d.formulas, d.names, strict=True):
        assert values[name].shape == exact[key].shape, d.text
        np.testing.assert_allclose(values[name], exact[key], rtol=1e-9, atol=1e-9, err_msg=d.text)
    return d.text


@pytest.mark.parametrize(
    ("formula", "derivative"),
    [
        ("x^2", "2*x"),
        ("x^3/3", "x^2"),
        ("3", "0"),
        ("x", "1"),
        ("1/x", "-1/x^2"),
        ("sqrt(x)", "0.5/sqrt(x)"),
        ("log(x)", "1/x"),
        ("sin(x)", "cos(x)"),
        ("cos(2*x)", "-2*sin(2*x)"),
        ("tanh(x)", "sech(x)^2"),
        ("exp(-x^2/2)", "-x*exp(-x^2/2)"),
        ("2^x", None),
        ("x^x", None),
        ("x*exp(x)", "x*exp(x) + exp(x)"),
        ("(x + 1)^2*(x - 1)", None),
        ("if x > 1 then x^2 else 3*x", "if 1 < x then 2*x else 3"),
        ("abs(x)", "sign(x)"),
        ("max(x, 1)", None),
        ("atan(x)", "1/(x^2 + 1)"),
        ("gamma(x)", "gamma(x)*digamma(x)"),
        ("logit(x/4)", None),
        ("x - x", "0"),
    ],
)
def test_derivatives_as_people_write_them(formula: str, derivative: str | None) -> None:
    text = same(f"var x = 2\nf = {formula}\n")
    if derivative is not None:
        assert f"df_dx = {derivative}\n" in text


@pytest.mark.parametrize(
    "formula",
    [
        "var v = [1, 2, 3]; sum(v^2*[1, 2, 3])",
        "var v = [1, 2, 3]; prod(v) + norm(v) + max(v)",
        "var v = [1, 2, 3]; v[1]*v[3] + v[2]^2",
        "var v = [1, 2, 3, 4, 5]; sum((v[i+1] - v[i])^2 for i in 1..4)",
        "var v = [1, 2, 3, 4, 5]; sum(v[1..5 by 2]^3)",
        "var v = [1, 2, 3, 4, 5]; sum(v[5..1 by -2]*[1, 2, 3])",
        "var v = [1, 2, 3]; const k = [3, 1, 3]; sum(v[k[i]]^2 for i in 1..3)",
        "var A = [[1, 2], [3, 5]], b = [1, 2]; b @ solve(A, b)",
        "var A = [[1, 2], [3, 5]]; logdet(A)",
        "var A = [[1, 2], [3, 5]]; sum(A @ A')",
        "var A = [[1, 2], [3, 5]]; sum(sum(A, axis=1)^2) + A[1, 2]",
        "var v = [1, 2, 3], s = 2; sum(v/s) + s^2*sum(v)",
        "var v = [1, 2, 3]; logsumexp(v) + sum(softmax(v)^2)",
        "var i = 2, k = [1, 2, 3, 4]; i*sum(k[1..4 by 3]^2)",
        "var x = 2; u = exp(x); u^2 + u + 1/u",
        "var t1 = 2, dy_dt1 = 3; y = t1^2*dy_dt1*exp(t1*dy_dt1) + exp(t1*dy_dt1); y",
        "var x = 0.5; stop(x)*x + grad(x^4, x)",
    ],
)
def test_arrays_and_names(formula: str) -> None:
    same(formula)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_read_back(path: Path) -> None:
    text = path.read_text("utf-8")
    if path.name in UNSAID:
        with pytest.raises(tp.TapeError) as caught:
            tp.parse(text, folder=str(path.parent)).diff()
        assert caught.value.code == "unsupported"
        assert caught.value.place is not None
    else:
        same(text, str(path.parent))


@pytest.mark.parametrize(
    ("formula", "at", "derivative"),
    [
        ("var x = 0, c = [1, 2, 3]; sum(c[k+1]*x^k for k in 0..2)", {"x": 0.0}, "sum(c*[0, 1, 2]*x^[0, 0, 1])"),
        ("var x = 0; const p = [0, 1, 2]; sum(x^p)", {"x": 0.0}, "sum(if p == 0 then 0 else p*x^(p - 1))"),
        ("const n = 0; var x = 0; x^n", {"x": 0.0}, "if n == 0 then 0 else n*x^(n - 1)"),
        ("const n = 2; var x = 0; (x^2 + 1)^n", {"x": 0.0}, "2*n*x*(x^2 + 1)^(n - 1)"),
        ("var x = 1.5; const t = [0, 1, 2]; sum(t^x)", {"x": 1.5}, "sum(xlogy(t^x, t))"),
        ("var x = 1.5; 0^(x + 1)", {"x": 1.5}, None),
        ("var x = 1.5; 2^x", {"x": 1.5}, "log(2)*2^x"),
        ("var x = 2, y = 0; x^y", {"x": 0.0, "y": 2.5}, "y*x^(y - 1)"),
    ],
)
def test_powers_at_zero(formula: str, at: dict[str, float], derivative: str | None) -> None:
    p = tp.parse(formula)
    d = p.diff()
    if derivative is not None:
        assert d.formulas[next(iter(d.formulas))] == derivative
    values, exact = tp.parse(d.text).evaluate(at=at).values, p.grad(at=at)
    for name, key in zip(d.formulas, d.names, strict=True):
        assert np.isfinite(exact[key]).all()
        np.testing.assert_allclose(values[name], exact[key], rtol=1e-12, err_msg=d.text)


def test_second_derivatives_of_powers_at_zero() -> None:
    p = tp.parse("var x = 0; const p = [0, 1, 2, 3], n = 1; sum(x^p) + x^n + sum(x^k for k in 0..3)")
    for x in (0.0, 0.5):
        values = tp.parse(p.diff(order=2).text).evaluate(at={"x": x}).values
        np.testing.assert_allclose(values["d2_dx2"], p.hess(at={"x": x})["x"]["x"], rtol=1e-12)


def test_a_condition_is_said_once() -> None:
    text = same("var v = [0.3, -0.4], s = 2; r = norm(v); sum(v*(if r == 0 then 1 else s*sin(r)/r))")
    formula = re.search(r"^d_dv = (.*)$", text, re.MULTILINE)
    assert formula is not None
    assert not re.search(r"if norm\(v\) == 0 then [^()]*else \(?if norm\(v\) == 0", text), text
    p = tp.parse("var v = [0, 0], s = 2; r = norm(v); sum(v*(if r == 0 then 1 else s*sin(r)/r))")
    values = tp.parse(p.diff().text).evaluate().values
    np.testing.assert_array_equal(values["d_dv"], p.grad()["v"])


def test_what_is_known_settles_conditions() -> None:
    t = Terms()
    x, y = t.name("x", ()), t.name("y", ())
    c = t.make("compare", "<", (x, t.num(1.0)), ())
    inner = t.total([(t.choose(c, x, y, ()), 1.0), (t.call("exp", [t.choose(c, t.num(2.0), x, ())], ()), 1.0)])
    said = Printer([]).text(settled(t, t.choose(c, inner, t.product([(inner, 1.0), (y, 1.0)]), ())))
    assert said == "if x < 1 then x + exp(2) else y*(y + exp(x))"
    assert t.logical("or", t.num(1.0), c, ()) is t.num(1.0)
    assert t.logical("and", t.num(1.0), c, ()) is c
    assert t.logical("and", c, t.num(0.0), ()) is t.num(0.0)
    assert t.logical("or", c, t.num(0.0), ()) is c


def test_second_derivatives() -> None:
    p = tp.parse("var x = 2, y = 3\nf = x^3*y + sin(x*y)")
    d = p.diff(order=2)
    assert list(d.formulas) == ["d2f_dx2", "d2f_dx_dy", "d2f_dy2"]
    values = tp.parse(d.text).evaluate().values
    h = p.hess()
    for name, (r, c) in zip(d.formulas, [("x", "x"), ("x", "y"), ("y", "y")], strict=True):
        np.testing.assert_allclose(values[name], h[r][c], rtol=1e-12)


def test_bound_names_and_points() -> None:
    d = tp.parse("var x = 2\nu = x^2\ny = u^3").diff("u", at={"x": 3.0})
    assert "var x = 3\n" in d.text
    assert float(tp.parse(d.text).evaluate().values["dy_du"]) == 3 * 81


def test_python_and_latex() -> None:
    p = tp.parse("var x = 2, lambda = 3\ny = exp(-lambda*x)/sqrt(x) + sigmoid(x)")
    names: dict[str, Any] = {}
    exec(compile(p.diff("x", form="python").text, "<derivative>", "exec"), names)
    np.testing.assert_allclose(names["dy_dx"](2.0, 3.0), p.grad(wrt="x")["x"], rtol=1e-12)
    latex = p.diff("x", form="latex").text
    assert r"\frac{\partial y}{\partial x} &= " in latex
    assert r"\lambda" in latex
    assert latex.count("{") == latex.count("}")


@pytest.mark.parametrize(
    "formula",
    [
        "softmax([x, max(x, 1), log(1 + x^2)])[2]",
        "sum([[x, sin(x)], [1, exp(-x)]] @ [x, 2])",
        "sin(pi*x) + max(x, pi)*[x, pi][2]",
        "(1 + x^2)^x + 2^x + x^k",
        "if x > 1 and x < 3 then sqrt(x) else x^2",
        "sum(v[3..1 by -1]*[x, 2, 3]) + norm(v)*x",
    ],
)
def test_python_gives_the_same_numbers(formula: str) -> None:
    p = tp.parse(f"var x = 1.7, v = [0.3, -0.4, 1]; const k = 3; f = {formula}")
    names: dict[str, Any] = {}
    exec(compile(p.diff("x", form="python").text, "<derivative>", "exec"), names)
    function = names["df_dx"]
    given = {"x": 1.7, "v": np.array([0.3, -0.4, 1]), "k": 3.0}
    said = function(*[given[name] for name in inspect.signature(function).parameters])
    np.testing.assert_allclose(said, p.grad(wrt="x")["x"], rtol=1e-12)


def test_a_variable_may_be_called_as_a_number_is() -> None:
    for formula in ("var pi = 2, x = 1; x*3.141592653589793*pi", "var pi = 2, x = 1; sinpi(x)*pi"):
        same(formula)


def test_a_hostile_file_name_stays_in_its_comment(tmp_path: Path) -> None:
    path = tmp_path / "a\nimport os\n.tape"
    path.write_text("var x = 1\nx^2")
    for form in ("tape", "python"):
        assert "\nimport os" not in tp.load(path).diff(form=form).text


def test_a_divisor_that_is_always_0() -> None:
    for formula in ("(y - 3)/(y - y)", "-(y - 1e-3)/((y^2 - y^2)*y)"):
        text = tp.parse(f"var y = 1; {formula}").diff().text
        assert not np.isfinite(tp.parse(text).value())


def test_what_no_formula_says_is_refused() -> None:
    with pytest.raises(tp.TapeError) as caught:
        tp.parse("var x = 1; fold(s = x for k in 1..9: s*cos(s))").diff()
    assert caught.value.code == "unsupported"
    for bad in ({"order": 3}, {"form": "html"}):
        with pytest.raises(tp.TapeError) as caught:
            tp.parse("var x = 1; x^2").diff(**bad)  # type: ignore[arg-type]
        assert caught.value.code == "usage"


# ---- any formula ------------------------------------------------------------------------------------------------

LEAVES = st.sampled_from(["x", "y", "2", "0.5", "3", "a"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        pair.map(lambda p: f"({p[0]} + {p[1]})"),
        pair.map(lambda p: f"({p[0]} - {p[1]})"),
        pair.map(lambda p: f"{p[0]}*{p[1]}"),
        pair.map(lambda p: f"({p[0]})/(3 + ({p[1]})^2)"),
        inner.map(lambda s: f"-({s})"),
        inner.map(lambda s: f"({s})^2"),
        inner.map(lambda s: f"sin({s})"),
        inner.map(lambda s: f"exp(-({s})^2)"),
        inner.map(lambda s: f"tanh({s})"),
        pair.map(lambda p: f"(if {p[0]} < {p[1]} then {p[0]} else 2*{p[1]})"),
        inner.map(lambda s: f"sqrt(1 + ({s})^2)"),
    )


@settings(max_examples=120, deadline=None)
@given(st.recursive(LEAVES, grown, max_leaves=12))
def test_any_derivative_reads_back_with_the_same_numbers(formula: str) -> None:
    same(f"var x = 0.7, y = -1.3\nconst a = 1.9\nf = {formula}\n", wrt=["x", "y"])


#: everyday numbers, zero and both signs of them among these
NUMBERS = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 2.0]), st.floats(-3.0, 3.0).map(lambda x: round(x, 3)))


@settings(max_examples=120, deadline=None)
@given(st.recursive(LEAVES, grown, max_leaves=12), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=3))
def test_one_text_serves_every_point(formula: str, points: list[tuple[float, float]]) -> None:
    """The text is made once, at a point of its own; its numbers are those of the gradient at others, and those of the
    Hessian for second derivatives."""
    p = tp.parse(f"var x = 0.7, y = -1.3\nconst a = 1.9\nf = {formula}\n")
    first, second = p.diff(), p.diff(order=2)
    read = {d.order: tp.parse(d.text) for d in (first, second)}
    for x, y in points:
        at = {"x": x, "y": y}
        known = {order: {name: at[name] for name in q.formula.inputs if name in at} for order, q in read.items()}
        exact = p.derivatives(order=2, at=at)
        if not exact.hessian or not all(
            np.isfinite(part).all() for row in exact.hessian.values() for part in row.values()
        ):
            continue
        scale = 1.0 + max(abs(float(part)) for row in exact.hessian.values() for part in row.values())
        values = read[1].evaluate(at=known[1]).values
        for name, key in zip(first.formulas, first.names, strict=True):
            gradient = float((exact.gradient or {})[key])
            assert abs(float(values[name]) - gradient) <= 1e-9 * (scale + abs(gradient)), (first.text, at)
        values = read[2].evaluate(at=known[2]).values
        pairs = [(r, c) for k, r in enumerate(second.names) for c in second.names[k:]]
        for name, (r, c) in zip(second.formulas, pairs, strict=True):
            assert abs(float(values[name]) - float(exact.hessian[r][c])) <= 1e-9 * scale, (second.text, at)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3), st.integers(-9, 9)), min_size=1, max_size=6))
def test_sums_of_products_are_what_they_say(parts: list[tuple[str, int, int]]) -> None:
    t = Terms()
    values = {"a": 1.7, "b": -0.6, "c": 2.9}
    terms: list[tuple[Term, float]] = [(t.product([(t.name(n, ()), float(k))], c), 1.0) for n, k, c in parts]
    text = Printer([]).text(t.total(terms))
    expected = sum(c * values[n] ** k for n, k, c in parts)
    said = float(tp.parse("const " + ", ".join(f"{n} = {v}" for n, v in values.items()) + f"\n{text}\n").value())
    assert math.isclose(said, expected, rel_tol=1e-12, abs_tol=1e-12), text


def test_bench_compares_the_engines() -> None:
    b = tp.parse("var x = [1, 2]; sum(sin(x)^2)").bench()
    assert [e.engine for e in b.engines][:2] == ["tape", "numpy"]
    assert len(b.engines) + len(b.missing) == 3
    for e in b.engines:
        assert min(e.first, e.value, e.gradient) > 0
        assert e.difference < 1e-12
        assert e.runs >= 5
    assert b.engine in [e.engine for e in b.engines]
    assert b.engines[0].ratio == 1.0
    for e in b.engines[1:]:
        assert e.ratio == b.engines[0].gradient / e.gradient


def test_bench_keeps_to_the_engine_asked_for() -> None:
    p = tp.parse("var x = [1, 2]; sum(sin(x)^2)")
    assert [e.engine for e in p.compile("numpy").bench().engines] == ["tape", "numpy"]
    assert [e.engine for e in p.compile("tape").bench().engines] == ["tape"]


def test_bench_compiles_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run left in the cache would pass for compiling."""
    from tapecli.engines.native import build, cache

    made: list[str] = []
    inner = build.compiled

    def compiled(text: str) -> bytes:
        made.append(text)
        return inner(text)

    def never(*_: Any) -> None:
        raise AssertionError("the cache was asked")

    monkeypatch.setattr(build, "compiled", compiled)
    monkeypatch.setattr(cache, "fetch", never)
    monkeypatch.setattr(cache, "keep", never)
    tp.parse("var x = [1, 2]; sum(sin(x)^2)").compile("native").bench()
    assert made


def test_bench_without_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from tapecli.engines import native

    def absent() -> str:
        raise ImportError("llvmlite")

    monkeypatch.setattr(native.build, "llvm_version", absent)
    b = tp.parse("var x = [1, 2]; sum(sin(x)^2)").bench()
    assert [e.engine for e in b.engines] == ["tape", "numpy"]
    assert "not installed" in b.missing["native"]


def test_bench_tells_what_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    from tapecli.cli import run

    assert run(["bench", "-e", "var x = 0; log(x)", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["error"]["code"]) == (False, "nonfinite")
    assert [e["engine"] for e in found["engines"]][:2] == ["tape", "numpy"]
    assert all(e["ratio"] > 0 for e in found["engines"])
