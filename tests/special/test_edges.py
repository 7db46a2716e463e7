"""Special functions and densities at their edges: supports, tails, infinities, loops, and what is refused."""

from __future__ import annotations

from math import exp, inf, log, nan, pi
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli import ops
from tapecli.errors import TapeError
from tapecli.language.special import ON_SCIPY
from tapecli.ops import scientific

ENGINES = ("tape", "numpy", "native")
CALLS = [*ON_SCIPY, "zeta"]


def found(text: str, engine: str) -> tuple[Any, list[float], list[float]]:
    """The value, and the gradient and Hessian of all vars in order."""
    p = tp.parse(text, engine=engine)
    gradient, hessian = p.grad(), p.hess()
    entries = [np.ravel(hessian[a][b]) for a in p.start for b in p.start]
    return p.value(), list(np.concatenate([np.ravel(gradient[a]) for a in p.start])), list(np.concatenate(entries))


OUTSIDE = [
    ("lognormal_lpdf(y, 0.1, 0.5)", (0.0, -1.0)),
    ("exponential_lpdf(y, 2)", (-1e-9, -inf)),
    ("gamma_lpdf(y, 2, 3)", (-1.0,)),
    ("beta_lpdf(y, 2, 3)", (-0.1, 1.1)),
    ("uniform_lpdf(y, 2, 3)", (1.9, 3.1)),
    ("bernoulli_lpmf(y, 0.3)", (-1.0, 2.0, 0.5)),
    ("binomial_lpmf(y, 5, 0.3)", (-1.0, 6.0, 2.5)),
    ("poisson_lpmf(y, 0.3)", (-1.0, 2.5)),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("density", "points"), OUTSIDE)
def test_outside_of_the_support_a_density_is_minus_infinity_with_clean_derivatives(
    density: str, points: tuple[float, ...], engine: str
) -> None:
    for y in points:
        assert found(f"var y = {y!r}\n{density}", engine) == (-inf, [0.0], [0.0])


@pytest.mark.parametrize("engine", ENGINES)
def test_one_entry_outside_does_not_spoil_the_others(engine: str) -> None:
    p = tp.parse("const y = [-1, 2]\nvar a = 2\nvar b = 3\nsum(gamma_lpdf(y, a, b))", engine=engine)
    inside = tp.parse("var a = 2\nvar b = 3\ngamma_lpdf(2, a, b)", engine=engine)
    assert p.value() == -inf
    assert p.grad() == inside.grad()


@pytest.mark.parametrize("density", [density for density, _ in OUTSIDE])
def test_what_is_not_a_number_has_no_density(density: str) -> None:
    assert np.isnan(tp.parse(f"var z = 1\ny = z*nan\n{density}").value())


@pytest.mark.parametrize(
    "text",
    [
        "normal_lpdf(0.5, 0, -1)",
        "lognormal_lpdf(0.5, 0, -1)",
        "exponential_lpdf(0.5, -1)",
        "gamma_lpdf(0.5, -1.5, 1)",
        "gamma_lpdf(0.5, 1.5, -1)",
        "beta_lpdf(0.5, -1.5, 1)",
        "student_t_lpdf(0.5, -1, 0, 1)",
        "cauchy_lpdf(0.5, 0, -1)",
        "laplace_lpdf(0.5, 0, -1)",
        "bernoulli_lpmf(0, 1.5)",
        "bernoulli_lpmf(1, -0.5)",
        "binomial_lpmf(0, 3, 1.5)",
        "poisson_lpmf(0, -1)",
        "multi_normal_lpdf([1, 2], [0, 0], [[-1, 0], [0, -1]])",
    ],
)
def test_parameters_outside_of_their_range_are_undefined(text: str) -> None:
    assert np.isnan(tp.parse(text).value())


def test_densities_at_the_ends_of_their_support() -> None:
    ends = {
        "exponential_lpdf(0, 2)": log(2),
        "gamma_lpdf(0, 1, 2)": log(2),
        "gamma_lpdf(0, 2, 2)": -inf,
        "beta_lpdf(0, 1, 1)": 0.0,
        "beta_lpdf(1, 2, 1)": log(2),
        "uniform_lpdf(3, 2, 3)": 0.0,
        "bernoulli_lpmf(0, 0)": 0.0,
        "bernoulli_lpmf(1, 1)": 0.0,
        "binomial_lpmf(5, 5, 1)": 0.0,
        "poisson_lpmf(0, 0)": 0.0,
    }
    for text, value in ends.items():
        assert tp.parse(text).value() == pytest.approx(value, abs=2e-15), text


@pytest.mark.parametrize("engine", ENGINES)
def test_far_tails_do_not_overflow(engine: str) -> None:
    value, gradient, hessian = found("var y = 1e170\ncauchy_lpdf(y, 0, 1)", engine)
    assert value == pytest.approx(-log(pi) - 340 * log(10))
    assert gradient == pytest.approx([-2e-170], rel=1e-14)
    assert hessian == pytest.approx([0.0], abs=1e-300)
    value, gradient, _ = found("var y = -1e170\nstudent_t_lpdf(y, 3, 0, 1)", engine)
    assert gradient == pytest.approx([4e-170], rel=1e-14)
    assert np.isfinite(value)


# ---- sums of exponentials -----------------------------------------------------------------------------------------

SUMS: list[tuple[str, float, list[float]]] = [
    ("[0, 0]", log(2), [0.5, 0.5]),
    ("[1000, 1000]", 1000 + log(2), [0.5, 0.5]),
    ("[-1000, -1000]", -1000 + log(2), [0.5, 0.5]),
    ("[-inf, -inf]", -inf, [0.5, 0.5]),
    ("[-inf, 1]", 1.0, [0.0, 1.0]),
    ("[inf, 1]", inf, [1.0, 0.0]),
    ("[inf, inf, 1]", inf, [0.5, 0.5, 0.0]),
    ("[inf, -inf]", inf, [1.0, 0.0]),
    ("[nan, 1]", nan, [nan, nan]),
    ("[0, -40]", exp(-40), [1 / (1 + exp(-40)), exp(-40)]),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("x", "value", "shares"), SUMS)
def test_logsumexp_and_its_shares(x: str, value: float, shares: list[float], engine: str) -> None:
    p = tp.parse(f"var x = {x}\nlogsumexp(x)", engine=engine)
    np.testing.assert_allclose(p.value(), value, rtol=1e-15)
    np.testing.assert_allclose(p.grad()["x"], shares, rtol=1e-15)
    np.testing.assert_allclose(tp.parse(f"softmax({x})", engine=engine).value(), shares, rtol=1e-15)


@pytest.mark.parametrize("engine", ENGINES)
def test_second_derivatives_of_logsumexp_are_those_of_its_definition(engine: str) -> None:
    start = "var x = [0.3, -1.2, 2]\n"
    mine = tp.parse(start + "logsumexp(x)^2", engine=engine).hess()["x"]["x"]
    plain = tp.parse(start + "log(sum(exp(x)))^2", engine=engine).hess()["x"]["x"]
    np.testing.assert_allclose(mine, plain, rtol=1e-13)
    mine = tp.parse(start + "softmax(x)[2]^2", engine=engine).hess()["x"]["x"]
    plain = tp.parse(start + "(exp(x[2])/sum(exp(x)))^2", engine=engine).hess()["x"]["x"]
    np.testing.assert_allclose(mine, plain, rtol=1e-13)


def test_logsumexp_and_softmax_along_an_axis_and_in_loops() -> None:
    a = np.array([[0.3, -1.0, 2.0], [5.0, 0.1, -0.7]])
    text = "const A = [[0.3, -1, 2], [5, 0.1, -0.7]]\n"
    sums = np.log(np.exp(a).sum(axis=0))
    np.testing.assert_allclose(tp.parse(text + "logsumexp(A, axis=1)").value(), sums, rtol=1e-15)
    np.testing.assert_allclose(tp.parse(text + "softmax(A, axis=1)").value(), np.exp(a - sums), rtol=1e-14)
    np.testing.assert_allclose(tp.parse(text + "logsumexp(A)").value(), np.log(np.exp(a).sum()), rtol=1e-15)
    rows = np.log(np.exp(a).sum(axis=1))
    np.testing.assert_allclose(tp.parse(text + "[logsumexp(A[i, :]) for i in 1..2]").value(), rows, rtol=1e-15)
    p = tp.parse("var A = [[0.3, -1, 2], [5, 0.1, -0.7]]\nsum(logsumexp(A, axis=2))")
    np.testing.assert_allclose(p.grad()["A"], np.exp(a - rows[:, None]), rtol=1e-14)
    assert tp.parse("logsumexp(3)").value() == 3.0
    assert tp.parse("var x = [1, 2]\nlogsumexp(x)", dtype="float32").grad()["x"].dtype == np.float32


# ---- orders, domains ----------------------------------------------------------------------------------------------


def test_orders_may_be_indices_of_loops() -> None:
    pytest.importorskip("scipy")
    whole = tp.parse("var x = 0.7\nbesselj(0, x)^2 + 2*sum(besselj(k, x)^2 for k in 1..20)")
    assert whole.value() == pytest.approx(1.0, rel=1e-14)
    assert whole.grad()["x"] == pytest.approx(0.0, abs=1e-15)
    series = tp.parse("const c = [1, 2, 3]\nvar x = 0.7\nsum(c[k]*chebyshevt(k - 1, x) for k in 1..3)")
    assert series.value() == pytest.approx(1 + 1.4 + 3 * (2 * 0.49 - 1))
    assert series.grad()["x"] == pytest.approx(2 + 12 * 0.7)


@pytest.mark.parametrize("engine", ENGINES)
def test_third_derivatives(engine: str) -> None:
    pytest.importorskip("scipy")
    third = {
        "besselj(0, x)": 0.1810604107575086,
        "sinint(x)": -0.30870295466413973,
        "dawson(x)": -0.87781808248988852,
        "erfcx(x)": -1.3320634261270817,
        "ellipk(x)": 7.6249177631458118,
    }
    for call, value in third.items():
        text = f"var x = 0.5\ngrad(grad({call}, x), x)"
        assert tp.parse(text, engine=engine).grad()["x"] == pytest.approx(value, rel=1e-11), call
    at_zero = tp.parse("var x = 0\ngrad(grad(sinint(x), x), x)", engine=engine)
    assert at_zero.grad()["x"] == pytest.approx(-1 / 3, rel=1e-15)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("expint(-1)", nan),
        ("expint(0)", inf),
        ("cosint(-1)", nan),
        ("lambertw(-0.4)", nan),
        ("lambertw(-exp(-1))", -1.0),
        ("lambertw(0)", 0.0),
        ("erfinv(1)", inf),
        ("erfinv(1.5)", nan),
        ("ellipk(1)", inf),
        ("ellipk(1.5)", nan),
        ("ellipe(1)", 1.0),
        ("airyai(200)", 0.0),
        ("airybi(200)", inf),
        ("besselj(0.5, -1)", nan),
        ("besselk(1, 0)", inf),
        ("zeta(1)", inf),
        ("zeta(0, 3)", -2.5),
    ],
)
def test_values_at_the_ends_of_domains(call: str, value: float) -> None:
    pytest.importorskip("scipy")
    np.testing.assert_allclose(tp.parse(call).value(), value, rtol=1e-14)


def test_undefined_values_have_undefined_derivatives() -> None:
    pytest.importorskip("scipy")
    for call in ("expint(x)", "cosint(x)", "lambertw(x)", "besselj(0.5, x)", "erfinv(x)"):
        assert np.isnan(tp.parse(f"var x = -2\n{call}").grad()["x"]), call


def test_a_degree_that_is_not_whole() -> None:
    assert np.isnan(tp.parse("chebyshevt(1.5, 0.3)").value())
    assert np.isnan(tp.parse("chebyshevt(1e9, 0.3)").value())
    assert tp.parse("chebyshevt(-3, 0.5)").value() == -1.0


# ---- what is refused ----------------------------------------------------------------------------------------------

REFUSED = {
    "besselj(n, 0.5)": "order",
    "bessely(n, 0.5)": "order",
    "besseli(n, 0.5)": "order",
    "besselk(n, 0.5)": "order",
    "zeta(n)": "exponent",
    "zeta(n, 0.5)": "exponent",
    "lowergamma(n, 0.5)": "shape",
    "chebyshevt(n, 0.5)": "degree",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("call", REFUSED)
def test_a_derivative_that_is_not_offered_is_an_error(call: str, engine: str) -> None:
    pytest.importorskip("scipy")
    p = tp.parse(f"var n = 2\n{call}", engine=engine)
    assert np.isfinite(p.value())
    with pytest.raises(TapeError, match=f"has no derivative to its {REFUSED[call]}") as caught:
        p.grad()
    assert caught.value.code == "unsupported"
    assert tp.parse(f"var m = 2\nn = stop(m)\n{call}", engine=engine).grad() == {"m": 0.0}
    slope = call.replace("0.5", "x").replace("(n)", "(n, x)")
    mixed = tp.parse(f"var n = 2\nvar x = 0.5\ngrad({slope}, x)", engine=engine)
    assert np.isfinite(mixed.grad(wrt=["x"])["x"])
    if not call.startswith("lowergamma"):  # whose slope x^(s-1) exp(-x) has one
        with pytest.raises(TapeError, match="has no derivative"):
            mixed.grad()


def test_a_refused_derivative_inside_a_formula_has_its_place() -> None:
    with pytest.raises(TapeError) as caught:
        tp.parse("var n = 2\ny = besselj(n, 0.5)\ngrad(y, n)")
    assert caught.value.place is not None
    assert caught.value.place.line == 2


@pytest.mark.parametrize("name", CALLS)
def test_without_scipy_the_call_is_refused_where_it_stands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scientific, "available", lambda: False)
    args = ", ".join(["0.5"] * (1 if name == "zeta" else len(getattr(scientific, name).vjps)))
    with pytest.raises(TapeError, match=f"`{name}` needs SciPy") as caught:
        tp.parse(f"var x = 1\nx + {name}({args})")
    assert caught.value.code == "unsupported"
    assert caught.value.hint == "pip install 'tapecli[special]'"
    assert caught.value.place is not None
    assert (caught.value.place.line, caught.value.place.column) == (2, 5)


def test_a_function_of_the_library_that_needs_scipy_is_refused_at_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scientific, "available", lambda: False)
    with pytest.raises(TapeError) as caught:
        tp.parse("var x = 1\n2*besselj1(x)")
    assert caught.value.place is not None
    assert caught.value.place.line == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("var n = 2\npolygamma(n, 1.5)", "value"),
        ("polygamma(1.5, 1.5)", "value"),
        ("polygamma(-1, 1.5)", "value"),
        ("polygamma(2)", "type"),
        ("logsumexp([1, 2], axis=2)", "index"),
        ("logsumexp([1, 2], 1)", "type"),
        ("erfinv([1, 2], 1)", "type"),
        ("normal_lpdf(1, 2)", "type"),
        ("normal_lpdf([1, 2], [1, 2, 3], 1)", "shape"),
        ("softmax(zeros(0))", "shape"),
    ],
)
def test_wrong_calls_are_told(text: str, code: str) -> None:
    with pytest.raises(TapeError) as caught:
        tp.parse(text)
    assert caught.value.code == code
    assert caught.value.place is not None


# ---- the Python API ------------------------------------------------------------------------------------------------


def test_ops_take_arrays_too() -> None:
    pytest.importorskip("scipy")
    x = np.array([0.5, 1.5], dtype=np.float32)
    assert scientific.besselj(1.0, x).dtype == np.float32
    np.testing.assert_allclose(scientific.erfinv(np.array([0.0])), [0.0])
    np.testing.assert_allclose(ops.exp(scientific.lambertw(x)) * scientific.lambertw(x), x, rtol=1e-6)
