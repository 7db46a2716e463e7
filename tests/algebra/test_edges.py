"""Linear algebra where there is no answer, where matrices are singular, and identities that hold everywhere."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.derive import gradient
from tapecli.ops import dense
from tapecli.ops.linear import sum_

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
REGULAR = np.array([[2.0, 1.0], [1.0, 3.0]])
NAN = np.full((2, 2), np.nan)


def minor(rows: list[list[Fraction]]) -> Fraction:
    """The determinant by elimination, in fractions."""
    rows, result = [list(row) for row in rows], Fraction(1)
    for i in range(len(rows)):
        pivot = next((k for k in range(i, len(rows)) if rows[k][i]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != i:
            rows[i], rows[pivot], result = rows[pivot], rows[i], -result
        result *= rows[i][i]
        for k in range(i + 1, len(rows)):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    return result


def cofactors(x: Any) -> Any:
    """The first derivatives of the determinant, exactly."""
    n = len(x)
    rows = [[Fraction(float(entry)) for entry in row] for row in x]
    out = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            left = [[row[c] for c in range(n) if c != j] for r, row in enumerate(rows) if r != i]
            out[i, j] = float((-1) ** (i + j) * minor(left))
    return out


@pytest.mark.parametrize("f", [dense.inv, lambda x: dense.solve(x, np.ones((2, 1)))])
@pytest.mark.parametrize("bad", [SINGULAR, NAN, np.zeros((2, 2))])
def test_singular_matrices_give_nan_and_others_beside_them_their_answer(f: Any, bad: Any) -> None:
    assert np.isnan(f(bad)).all()
    many = f(np.stack([REGULAR, bad, REGULAR]))
    assert np.isnan(many[1]).all()
    np.testing.assert_array_equal(many[0], f(REGULAR))
    np.testing.assert_array_equal(many[2], f(REGULAR))


@pytest.mark.parametrize("bad", [SINGULAR - 1e-3 * np.eye(2), INDEFINITE, -REGULAR, np.zeros((2, 2))])
def test_only_positive_definite_matrices_have_a_cholesky_factor(bad: Any) -> None:
    assert np.isnan(dense.cholesky(bad)).all()
    many = dense.cholesky(np.stack([bad, REGULAR]).astype(np.float32))
    assert many.dtype == np.float32
    assert np.isnan(many[0]).all()
    np.testing.assert_allclose(many[1], np.linalg.cholesky(REGULAR), rtol=1e-6)
    g = gradient(lambda x: sum_(dense.cholesky(x), axes=(0, 1)), [0])(bad)[1]
    assert np.isnan(g).all()


def test_what_is_not_a_number_stays_so() -> None:
    for op in (dense.cholesky, dense.det, dense.logdet, dense.cofactor):
        assert np.isnan(op(NAN)).any()
    for n in (4, 5):
        assert np.isnan(dense.cofactor(np.full((n, n), np.nan))).all()
        assert np.isnan(dense.cofactor_d1(np.eye(n), np.full((n, n), np.nan))).all()


def test_wrong_shapes_are_errors_and_not_nan() -> None:
    for op, xs in [
        (dense.inv, [np.ones((2, 3))]),
        (dense.det, [np.ones(3)]),
        (dense.solve_, [REGULAR, np.ones((3, 1))]),
        (dense.matmul, [np.ones((2, 3)), np.ones(2)]),
        (dense.matmul, [np.ones((2, 3)), 2.0]),
        (dense.cofactor_d1, [np.ones((2, 2)), np.ones((3, 3))]),
    ]:
        with pytest.raises(ValueError):  # noqa: PT011
            op.shape(*[np.shape(x) for x in xs])
        with pytest.raises(ValueError):  # noqa: PT011
            op(*xs)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_sizes_from_none_to_some(n: int) -> None:
    x = np.eye(n) * 2.0
    assert dense.det(x) == 2.0**n
    assert dense.trace(x) == 2.0 * n
    np.testing.assert_allclose(dense.inv(x), np.eye(n) / 2)
    np.testing.assert_allclose(dense.cofactor(x), np.eye(n) * 2.0 ** (n - 1))
    np.testing.assert_allclose(dense.cofactor_d1(x, x), np.eye(n) * (n - 1) * 2.0 ** (n - 1))
    np.testing.assert_array_equal(dense.diag(dense.diag(x)), x)
    np.testing.assert_allclose(dense.logdet(x), n * np.log(2.0))
    np.testing.assert_allclose(dense.cholesky(x), np.eye(n) * np.sqrt(2.0))


@pytest.mark.parametrize("gap", [1.0, 1e-6, 1e-10, 1e-14, 1e-17, 0.0])
@pytest.mark.parametrize("n", [3, 4, 6])
def test_the_derivative_of_a_determinant_is_exact_as_matrices_become_singular(n: int, gap: float) -> None:
    rng = np.random.default_rng(n)
    for _ in range(10):
        u, s, vh = np.linalg.svd(rng.normal(size=(n, n)))
        x = (u * (s[0] * np.array([1.0] * (n - 1) + [gap]))) @ vh
        want = cofactors(x)
        got = gradient(dense.det, [0])(x)[1]
        assert np.max(np.abs(got - want)) <= 2e-14 * np.max(np.abs(want))


def test_whole_numbers_up_to_three_rows_have_exact_determinants() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 3):
        for x in rng.integers(-9, 10, (50, n, n)).astype(float):
            assert dense.det(x) == float(minor([[Fraction(v) for v in row] for row in x.tolist()]))
            np.testing.assert_array_equal(dense.cofactor(x), cofactors(x))
    assert dense.det(np.arange(1.0, 10.0).reshape(3, 3)) == 0.0


def test_identities() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 5, 5))
    b = rng.normal(size=(5, 2))
    spd = x @ np.swapaxes(x, -1, -2) + np.eye(5)
    for i, one in enumerate(x):
        np.testing.assert_allclose(dense.matmul(dense.inv(one), one), np.eye(5), atol=1e-12)
        np.testing.assert_allclose(dense.matmul(one, dense.solve(one, b)), b, atol=1e-12)
        np.testing.assert_allclose(dense.solve(one, b[:, 0]), dense.solve(one, b)[:, 0], rtol=1e-12)
        np.testing.assert_allclose(gradient(dense.logdet, [0])(one)[1], np.linalg.inv(one).T, atol=1e-12)
        np.testing.assert_allclose(gradient(dense.trace, [0])(one)[1], np.eye(5))
        lower = dense.cholesky(spd[i])
        np.testing.assert_allclose(dense.matmul(lower, lower.T), spd[i], atol=1e-13)
        np.testing.assert_array_equal(np.triu(lower, 1), 0.0)
        by_factor = 2.0 * np.sum(np.log(dense.diag(lower)))
        np.testing.assert_allclose(dense.logdet(spd[i]), by_factor, rtol=1e-13)
    for f in (dense.inv, dense.det, dense.logdet, dense.cofactor, dense.trace, dense.diagonal):
        np.testing.assert_allclose(f(x), np.stack([f(one) for one in x]), rtol=1e-12)


def test_the_cholesky_factor_is_that_of_the_symmetric_part() -> None:
    lopsided = REGULAR + np.array([[0.0, 0.25], [-0.25, 0.0]])
    np.testing.assert_array_equal(dense.cholesky(lopsided), dense.cholesky(REGULAR))
    g = gradient(lambda x: sum_(dense.cholesky(x), axes=(0, 1)), [0])(lopsided)[1]
    np.testing.assert_array_equal(g, g.T)


def test_logdet_neither_overflows_nor_minds_the_sign() -> None:
    assert dense.logdet(np.eye(200) * -1e200) == pytest.approx(200 * 200 * np.log(10.0))
    assert dense.logdet(np.zeros((2, 2))) == -np.inf


@pytest.mark.parametrize("op", [dense.matmul, dense.inv, dense.solve_, dense.det, dense.logdet])
def test_the_complex_step_gives_the_derivative(op: Any) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, 4)) - 2 * np.eye(4)
    more = [rng.normal(size=(4, 2))] if op in (dense.matmul, dense.solve_) else []
    v = rng.normal(size=(4, 4))
    h = 1e-30
    want = np.imag(op.complex(x + 1j * h * v, *more)) / h
    weights = rng.normal(size=np.shape(want))
    g = gradient(lambda a: sum_(op(a, *more) * weights, axes=tuple(range(weights.ndim))), [0])(x)[1]
    np.testing.assert_allclose(np.sum(g * v), np.sum(weights * want), rtol=1e-12)


@pytest.mark.parametrize("engine", ["tape", "numpy"])
@pytest.mark.parametrize(
    ("text", "op"),
    [
        ("sum(cholesky([[x, 2], [2, 1]]))", "cholesky"),
        ("sum(inv([[x, 2], [0.5, 1]]))", "inv"),
        ("sum(solve([[x, 2], [0.5, 1]], [1, 2]))", "solve"),
        ("logdet([[x, 2], [0.5, 1]])", "logdet"),
    ],
)
def test_blame_names_the_operation_and_its_line(text: str, op: str, engine: str) -> None:
    p = tp.parse(f"var x = 1\n\ny = {text}").compile(engine)
    told = p.blame(p.derivatives(order=1))
    assert f"`{op}`" in told.message
    assert told.place is not None
    assert told.place.line == 3
