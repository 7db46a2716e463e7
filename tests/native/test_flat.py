"""An objective as a function of one vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize

import tapecli as tp

ROSENBROCK = "var x = -1.2, y = 1\nminimize 100*(y - x^2)^2 + (1 - x)^2"


@pytest.mark.parametrize("engine", ["tape", "numpy", "native", "auto"])
def test_scipy_minimises_it(engine: str) -> None:
    fun = tp.parse(ROSENBROCK, engine=engine).flat()
    value, gradient = fun(fun.x0)
    np.testing.assert_allclose([value, *gradient], [24.2, -215.6, -88.0])
    found = scipy.optimize.minimize(fun, fun.x0, jac=True, bounds=fun.bounds, tol=1e-12)
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-5)
    newton = scipy.optimize.minimize(fun, fun.x0, jac=True, hess=fun.hess, method="trust-exact", tol=1e-12)
    np.testing.assert_allclose(newton.x, [1.0, 1.0], atol=1e-9)
    assert fun.unpack(found.x).keys() == {"x", "y"}
    np.testing.assert_allclose(fun.hvp(fun.x0, [1.0, 2.0]), fun.hess(fun.x0) @ [1.0, 2.0], rtol=1e-13)
    assert fun.value(fun.x0) == value


def test_shapes_bounds_and_the_point_it_is_made_at() -> None:
    text = "var a = 3 in [0, ]\nvar m[2, 2] = [[1, 2], [3, 4]] in [-1, [[9, inf], [9, 9]]]\nconst c = 2\nc*a^2*sum(m)"
    p = tp.parse(text)
    fun = p.flat(at={"c": 5, "a": 1})
    assert fun.x0.tolist() == [1, 1, 2, 3, 4]
    assert fun.bounds == [(0, None), (-1, 9), (-1, None), (-1, 9), (-1, 9)]
    value, gradient = fun(fun.x0)
    assert value == 50 and gradient.tolist() == [100, 5, 5, 5, 5]
    assert fun.unpack(fun.x0)["m"].tolist() == [[1, 2], [3, 4]]
    assert tp.parse(ROSENBROCK).flat().bounds is None


def test_answers_are_fresh() -> None:
    fun = tp.parse("var x[400] = 1\nsum(x^2)", engine="native").flat()
    _, one = fun(fun.x0)
    _, two = fun(3 * fun.x0)
    assert one[0] == 2.0 and two[0] == 6.0


def test_many_variables_have_a_hessian_by_products() -> None:
    fun = tp.parse("var x[20] = 1\nsum(x[i]*x[i+1]^2 for i in 1..19)", engine="numpy").flat()
    hessian = fun.hess(fun.x0)
    assert hessian.shape == (20, 20)
    np.testing.assert_array_equal(hessian, hessian.T)
    assert hessian[3, 4] == 2.0


@pytest.mark.parametrize(("text", "code"), [("const a = 1\na + 1", "usage"), ("var x = [1, 2]\nx*2", "shape")])
def test_what_has_no_flat_form(text: str, code: str) -> None:
    with pytest.raises(tp.TapeError) as caught:
        tp.parse(text).flat()
    assert caught.value.code == code


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(tp.TapeError, match="2 entries"):
        tp.parse(ROSENBROCK).flat().unpack([1.0])


@pytest.mark.parametrize("engine", ["tape", "numpy", "native"])
def test_large_data_are_handed_over_not_folded(engine: str, tmp_path: Path) -> None:
    t = np.linspace(0, 1, 5000)
    np.savez(tmp_path / "d.npz", t=t, y=2 * t)
    text = 'data t, y from "d.npz"\nvar a = 1\nminimize sum((y - a*t)^2)'
    fun = tp.parse(text, engine=engine, folder=str(tmp_path)).flat()
    value, gradient = fun(fun.x0)
    np.testing.assert_allclose([value, gradient[0]], [np.sum(t * t), -2 * np.sum(t * t)], rtol=1e-12)
    np.testing.assert_allclose([fun.hess(fun.x0)[0, 0], fun.hvp(fun.x0, [1.0])[0]], 2 * np.sum(t * t), rtol=1e-12)
    assert fun.value([2.0]) == 0.0
