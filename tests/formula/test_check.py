"""`check`: expectations, and derivatives beside numerical ones; wrong rules of derivatives must not pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.core import TABLE
from tapecli.problem import numeric
from tapecli.problem.results import Check


def check(text: str, **options: Any) -> Check:
    return tp.parse(text, **options).check()


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ("expect y == 9", True),
        ("expect y == 9.00001", False),
        ("expect y == 9.000001", True),
        ("expect y == 9.1 within 0.02", True),
        ("expect y == 9.1 within 1e-3", False),
        ("expect y == 9 within 0", True),
        ("expect y - 9 == 0", True),
        ("expect y - 9.0000005 == 0", True),
        ("expect y - 9.00001 == 0", False),
        ("expect y != 9", False),
        ("expect y != 10", True),
        ("expect y < 9", False),
        ("expect y <= 9", True),
        ("expect y > 8.9999999", True),
        ("expect 8 < y < 10", True),
        ("expect 8 < y < 9", False),
        ("expect not y > 10", True),
        ("expect y", True),
        ("expect y - 9", False),
        ("expect y == 16 at x = 4", True),
        ("expect y == 4 at two", True),
        ("expect y == 4 at two, x = 5", None),
        ("expect y/c == 4 at c = 9/4", True),
        ("expect grad(y, x) == 6", True),
        ("expect grad(grad(y, x), x) == 2.1", False),
        ("expect v*2 == [2, 4]", True),
        ("expect v == [1, 2.1]", False),
        ("expect v > 0", True),
        ("expect v > 1", False),
        ("expect log(-x) == nan", True),
        ("expect 1/(x-3) == inf", True),
        ("expect 1/(x-3) == -inf", False),
        ("expect log(-x) > 0", False),
        ("expect z == 10 at y = 9", True),
        ("expect z == 3 at y = 2", True),
        ("expect sum(w) == 5 at n = 5", True),
    ],
)
def test_expectations(line: str, ok: bool | None) -> None:
    text = f"var x = 3, v = [1, 2]\nconst c = 1, n = 2\nvar w[n] = 1\npoint two: x = 2\ny = x^2\nz = y + 1\n{line}\nz*c"
    if ok is None:
        with pytest.raises(tp.TapeError):
            check(text)
        return
    (expectation,) = check(text).expectations
    assert expectation.ok is ok
    assert expectation.line == 7
    assert expectation.text == line.removeprefix("expect ")
    assert check(text).ok is ok


def test_what_was_found_and_wanted() -> None:
    (expectation,) = check("var x = 3\nexpect x^2 == 8\nx").expectations
    assert (expectation.got, expectation.wanted) == (9.0, 8.0)
    assert expectation.place.column == 1


# ---- wrong derivatives ------------------------------------------------------------------------------------------


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the rule of one op's argument wrong by a factor."""

    def make(name: str, factor: float, i: int = 0) -> None:
        op = TABLE[name]
        assert isinstance(op.vjps, tuple)
        rule = op.vjps[i]
        assert rule is not None
        wrong = lambda g, out, *args, **params: rule(g, out, *args, **params) * factor
        monkeypatch.setattr(op, "vjps", (*op.vjps[:i], wrong, *op.vjps[i + 1 :]))

    return make


FORMULAS = [
    ("exp", 0, "var x = 0.7\nexp(x)", "complex"),
    ("exp", 0, "var x = 0.7, y = 2\nexp(x*y) + y", "complex"),
    ("mul", 1, "var x = 0.7, y = 2\nx*y^2", "complex"),
    ("div", 1, "var x = 0.7, y = 2\nx/y", "complex"),
    ("sin", 0, "var v = [0.1, 0.7, 2]\nsum(sin(v)*v)", "complex"),
    ("power", 0, "var x = 1.3\nx^3", "complex"),
    ("tanh", 0, "var x = 0.7\nif x > 0 then tanh(x) else 1/x", "central"),
    ("erf", 0, "var x = 0.7\nerf(x)*x", "central"),
    ("abs", 0, "var x = -2\nabs(x)*x", "central"),
    ("sum", 0, "var v = [1, 2]\nsum(v*v)", "complex"),
    ("norm", 0, "var v = [1, 2]\nnorm(v)*v[1]", "central"),
    ("maximum", 1, "var x = 1, y = 2\nmax(x, y)*y", "central"),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("op", "i", "text", "method"), FORMULAS, ids=[f[0] + " " + f[2][-14:] for f in FORMULAS])
def test_a_derivative_that_is_wrong_by_one_percent(
    op: str, i: int, text: str, method: str, dtype: str, spoil: Callable[..., None]
) -> None:
    before = check(text, dtype=dtype)
    assert before.ok
    assert {d.method for d in before.derivatives if d.order == 1} == {method if dtype == "float64" else "central"}
    spoil(op, 1.01, i)
    after = check(text, dtype=dtype)
    assert not after.ok
    assert any(not d.ok for d in after.derivatives if d.order == 1)
    for d in after.derivatives:
        if not d.ok and d.order == 1:
            assert 1e-3 < d.error < 0.5
            assert np.isfinite([float(d.tape), float(d.numerical)]).all()


@pytest.mark.parametrize("factor", [1.0 + 1e-5, 0.0, -1.0, np.nan])
def test_other_wrong_derivatives(factor: float, spoil: Callable[..., None]) -> None:
    spoil("sin", factor)
    found = check("var x = 0.7, y = 1\nsin(x)*y")
    assert [d.wrt for d in found.derivatives if d.order == 1 and not d.ok] == ["x"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_second_derivative_that_is_wrong(dtype: str, spoil: Callable[..., None]) -> None:
    """The derivative of sin is right, that of cos, in which it is written, is wrong."""
    text = "var x = 0.7, y = 1.5\nsin(x*y)"
    assert check(text, dtype=dtype).ok
    spoil("cos", 1.01)
    found = check(text, dtype=dtype)
    assert all(d.ok for d in found.derivatives if d.order == 1)
    assert {d.wrt for d in found.derivatives if not d.ok} >= {"x", "y"}
    assert all(d.order == 2 and d.method == "central" for d in found.derivatives if not d.ok)


def test_an_absent_derivative_that_should_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLE["exp"], "vjps", (None,))
    assert not check("var x = 0.7\nexp(x)").ok


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "text",
    [
        "var x = 0\nabs(x)",
        "var x = 0\nrelu(x)",
        "var x = 1\nclip(x, 0, 1)",
        "var x = 1, y = 1\nmax(x, y)*x",
        "var x = 0\nhypot(x, x)",
        "var x = 0\nnorm([x, x])",
        "var x = 0\nsqrt(x^2) + x",
        "var x = 0\nx^2",
        "var x = 2\nfloor(x) + x",
        "var x = 1\nif x < 1 then 0 else x",
        "var x = 2\nstop(x)*x + stop(x^2)",
        "var x = -1\nlog(x)",
        "var x = -1\nsqrt(x)",
        "var x = 0\nsqrt(x)",
        "var x = 0\nx^0.5",
        "var x = [1, 1, 2]\nlogsumexp(x) + sum(softmax(x)^2)",
        "var x = 1e-8\nx^2",
        "var x = 1e8\nlog(x)",
        "var x = 1\nx*0",
        "var x = 1, w[0] = 0\nx + sum(w)",
    ],
)
def test_derivatives_at_kinks_and_edges_raise_no_alarm(text: str, dtype: str) -> None:
    found = check(text, dtype=dtype)
    assert found.ok, found.derivatives


def test_of_many_entries_some_are_checked() -> None:
    text = "var w[100] = normal(0, 1)\nsum(sin(w))"
    found = check(text)
    assert found.ok
    assert [d.order for d in found.derivatives] == [1]


def test_constants_alone_and_arrays_have_no_derivatives_to_check() -> None:
    assert check("const a = 2\nexpect a == 2\na^2").derivatives == ()
    assert check("var x = [1, 2]\nx^2").derivatives == ()
    assert check("var x = 1\nexpect x == 1").expectations[0].ok


def test_numerical_derivatives() -> None:
    for f, x, wanted in [
        (np.exp, 1.0, np.e),
        (np.sin, 0.0, 1.0),
        (lambda t: t**3, -2.0, 12.0),
        (lambda t: 1.0 / t, 1e-3, -1e6),
    ]:
        for dtype, within in (("float64", 1e-9), ("float32", 1e-3)):
            found = numeric.central(f, x, dtype)
            assert found.value == pytest.approx(wanted, rel=within)
            assert abs(found.value - wanted) <= 5 * found.uncertainty + within * abs(wanted)
        assert numeric.complex_step(f, x).value == pytest.approx(wanted, rel=1e-14)
    jump = numeric.central(lambda t: float(t >= 0.0), 0.0, "float64")
    assert jump.uncertainty > 0.2 * abs(jump.value)


def test_an_expectation_that_rests_on_a_shape_stands_only_for_that_shape() -> None:
    text = "const n = 4\nvar x[n] = 1\nf = sum(x[i]^2 for i in 1..n)\nexpect x[4] == 1\nexpect x[6] == 1 at n = 6\nf"
    problem = tp.parse(text)
    assert problem.check().ok
    assert problem.value(at={"n": 2}) == 2.0
    with pytest.raises(tp.TapeError) as caught:
        problem.check(at={"n": 2})
    assert caught.value.code == "index"
    assert caught.value.place.line == 4


def test_rounding_in_one_of_two_slopes_raises_no_alarm() -> None:
    """Where sin is flat, y - sin(x) has lost digits that nothing shows; the slope the other way has them."""
    found = tp.parse("var x = [4.712389, -1]\nminimize 10^3*(x[2] - sin(x[1]))^2 + x[1]^2/4").check()
    assert found.ok
    assert all(d.decided for d in found.derivatives)
