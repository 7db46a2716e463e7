"""Every op and function of linear algebra: derivatives against differences, engines against one another, precisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tapecli import engines
from tapecli.core import TABLE
from tapecli.derive import gradient, hessian, jacobian
from tapecli.engines import Argument
from tapecli.graph import Graph
from tapecli.ops import dense
from tapecli.ops.linear import sum_

#: In parts of the greatest entry. The differences themselves are good to about 1e-12.
TOLERANCE = 1e-10
ENGINES = ("tape", "numpy")
LEVELS = 4


def along(f: Callable[[Any], Any], x: Any, direction: Any, step: float) -> Any:
    """The derivative of an array of results along a direction: differences, extrapolated to step 0 (Richardson)."""
    rows = []
    for k in range(LEVELS):
        h = step / 2**k
        row = [(f(x + h * direction) - f(x - h * direction)) / (2 * h)]
        for j in range(k):
            row.append(row[j] + (row[j] - rows[-1][j]) / (4 ** (j + 1) - 1))
        rows.append(row)
    return rows[-1][-1]


def slope(f: Callable[..., Any], xs: Sequence[Any], i: int, step: float = 2e-2) -> Any:
    """The derivative of every entry of f by every entry of argument i: (shape of f) + (shape of the argument)."""
    x = xs[i]

    def moved(value: Any) -> Any:
        return np.asarray(f(*[*xs[:i], value, *xs[i + 1 :]]))

    columns = []
    for entry in range(x.size):
        direction = np.zeros(x.size)
        direction[entry] = 1.0
        columns.append(along(moved, x, direction.reshape(x.shape), step))
    return np.stack(columns, axis=-1).reshape(*np.shape(moved(x)), *x.shape)


def distance(got: Any, want: Any) -> float:
    """The greatest error, in parts of the greatest entry (or of 1, where that is greater)."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    size = float(max(1.0, np.max(np.abs(want), initial=0.0)))
    return float(np.max(np.abs(got - want), initial=0.0)) / size


def general(n: int, *many: int) -> Callable[[Any], Any]:
    """Matrices far from singular."""
    return lambda rng: rng.normal(size=(*many, n, n)) * 0.3 + np.eye(n) * 1.5


def positive(n: int, *many: int) -> Callable[[Any], Any]:
    """Positive definite matrices."""

    def make(rng: Any) -> Any:
        x = rng.normal(size=(*many, n, n)) * 0.4
        return x @ np.swapaxes(x, -1, -2) + np.eye(n)

    return make


def array(*shape: int) -> Callable[[Any], Any]:
    return lambda rng: rng.normal(size=shape)


def of(rank: int, n: int) -> Callable[[Any], Any]:
    """Matrices of whole numbers, of a given rank."""
    return lambda rng: (rng.integers(-3, 4, (n, rank)) @ rng.integers(-3, 4, (rank, n))).astype(float)


#: name -> the function, and makers of its arguments
CASES: dict[str, tuple[Callable[..., Any], tuple[Callable[[Any], Any], ...]]] = {
    "matmul-vv": (dense.matmul, (array(4), array(4))),
    "matmul-mv": (dense.matmul, (array(3, 4), array(4))),
    "matmul-vm": (dense.matmul, (array(3), array(3, 2))),
    "matmul-mm": (dense.matmul, (array(2, 3), array(3, 4))),
    "matmul-many-m": (dense.matmul, (array(2, 3, 4), array(4, 2))),
    "matmul-m-many": (dense.matmul, (array(2, 3), array(2, 3, 2))),
    "matmul-many-many": (dense.matmul, (array(2, 1, 2, 3), array(3, 3, 2))),
    "matmul-many-v": (dense.matmul, (array(2, 3, 4), array(4))),
    "matmul-v-many": (dense.matmul, (array(3), array(2, 3, 2))),
    "matmul-one-by-one": (dense.matmul, (array(1, 1), array(1, 1))),
    "inv": (dense.inv, (general(3),)),
    "inv-many": (dense.inv, (general(2, 2, 2),)),
    "solve-vector": (dense.solve, (general(3), array(3))),
    "solve-matrix": (dense.solve, (general(3), array(3, 2))),
    "solve-one-for-many": (dense.solve, (general(2), array(2, 3, 2, 1))),
    "solve-many-for-one": (dense.solve, (general(2, 3), array(2, 2))),
    "solve-many": (dense.solve_, (general(2, 1, 2), array(3, 1, 2, 2))),
    "cholesky": (dense.cholesky, (positive(4),)),
    "cholesky-many": (dense.cholesky, (positive(2, 3),)),
    "det-1": (dense.det, (general(1),)),
    "det-2": (dense.det, (general(2),)),
    "det-3": (dense.det, (general(3),)),
    "det-5": (dense.det, (general(5),)),
    "det-many": (dense.det, (general(3, 2),)),
    "det-of-rank-2": (dense.det, (of(2, 3),)),
    "det-of-rank-1": (dense.det, (of(1, 3),)),
    "det-of-rank-3-of-4": (dense.det, (of(3, 4),)),
    "det-of-rank-2-of-4": (dense.det, (of(2, 4),)),
    "det-of-rank-1-of-4": (dense.det, (of(1, 4),)),
    "det-of-zeros": (dense.det, (lambda rng: np.zeros((4, 4)),)),
    "det-2-of-zeros": (dense.det, (lambda rng: np.zeros((2, 2)),)),
    "cofactor": (dense.cofactor, (general(4),)),
    "cofactor_d1": (dense.cofactor_d1, (array(4, 4), general(4))),
    "cofactor_d1-3": (dense.cofactor_d1, (array(3, 3), of(1, 3))),
    "cofactor_d1-2": (dense.cofactor_d1, (array(2, 2), array(2, 2))),
    "cofactor_d1-many": (dense.cofactor_d1, (array(2, 4, 4), general(4, 2))),
    "logdet": (dense.logdet, (general(4),)),
    "logdet-of-negative": (dense.logdet, (lambda rng: -general(3)(rng),)),
    "logdet-many": (dense.logdet, (general(2, 3),)),
    "tril": (lambda x: dense.tril(x, k=-1) * x, (array(2, 3, 4),)),
    "tril-above": (lambda x: dense.tril(x, k=1) * x, (array(4, 3),)),
    "trace": (lambda x: dense.trace(x) * dense.trace(x), (array(3, 3),)),
    "trace-many": (lambda x: dense.trace(x) * dense.trace(x), (array(2, 3, 3),)),
    "diag-vector": (lambda x: dense.matmul(dense.diag(x), dense.diag(x)), (array(3),)),
    "diag-matrix": (lambda x: dense.diag(x) * dense.diag(x), (array(3, 4),)),
    "diag-tall": (lambda x: dense.diag(x) * dense.diag(x), (array(4, 2),)),
    "outer": (dense.outer, (array(3), array(2))),
    "quadratic-form": (lambda a, x: dense.matmul(x, dense.solve(a, x)), (general(3), array(3))),
    "gaussian": (
        lambda a, x: dense.logdet(a) + dense.matmul(x, dense.matmul(dense.inv(a), x)),
        (positive(3), array(3)),
    ),
}


def arguments(name: str) -> list[Any]:
    rng = np.random.default_rng(len(name))
    return [np.asarray(make(rng), dtype=float) for make in CASES[name][1]]


def weighted(name: str) -> Callable[..., Any]:
    """A number made of all results, so that every entry counts with a weight of its own."""
    f, xs = CASES[name][0], arguments(name)
    weights = np.cos(1.0 + np.arange(np.size(f(*xs)))).reshape(np.shape(f(*xs)))

    def number(*args: Any) -> Any:
        y = f(*args)
        return sum_(y * weights.astype(np.float32).astype(float), axes=tuple(range(len(weights.shape))))

    return number


def run(name: str, kind: Any, engine: str, dtype: Any = np.float64) -> list[Any]:
    xs = arguments(name)
    named = [Argument(f"x{i}", x.shape, None) for i, x in enumerate(xs)]
    f = kind(weighted(name), range(len(xs)))
    return engines.compile(engine, f, named, dtype).run(*[x.astype(dtype) for x in xs])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_first_derivatives(name: str, engine: str) -> None:
    xs, f = arguments(name), weighted(name)
    value, *found = run(name, gradient, engine)
    assert distance(value, f(*xs)) <= 1e-14
    for i, g in enumerate(found):
        assert distance(g, slope(f, xs, i)) <= TOLERANCE


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_second_derivatives(name: str, engine: str) -> None:
    xs, n = arguments(name), len(arguments(name))
    first = gradient(weighted(name), range(n))
    blocks = run(name, hessian, engine)[1 + n :]
    for i in range(n):
        for j in range(n):
            want = slope(lambda *at, i=i: first(*at)[1 + i], xs, j)
            assert distance(blocks[n * i + j], want) <= TOLERANCE, (i, j)


@pytest.mark.parametrize(
    "name", ["inv", "solve-vector", "cholesky", "det-2", "det-3", "det-5", "det-of-rank-1", "logdet", "matmul-mm"]
)
def test_third_derivatives(name: str) -> None:
    xs, n = arguments(name), len(arguments(name))

    def second(*at: Any) -> Any:
        return hessian(weighted(name), range(n))(*at)[1 + n]

    for j in range(n):
        (found,) = jacobian(second, [j])(*xs)[1:]
        assert distance(found, slope(second, xs, j)) <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_engines_agree(name: str) -> None:
    for tape, program in zip(run(name, hessian, "tape"), run(name, hessian, "numpy"), strict=True):
        assert distance(program, tape) <= 1e-13


@pytest.mark.parametrize("name", CASES)
def test_the_shape_rule_is_the_shape_of_the_result(name: str) -> None:
    xs, graph = arguments(name), Graph()
    node = CASES[name][0](*[graph.input(f"x{i}", x.shape) for i, x in enumerate(xs)])
    assert node.shape == np.shape(CASES[name][0](*xs))


@pytest.mark.parametrize("name", CASES)
def test_single_precision_stays_single(name: str) -> None:
    f, xs = CASES[name][0], [x.astype(np.float32) for x in arguments(name)]
    assert f(*xs).dtype == np.float32
    blocks = hessian(lambda *at: sum_(f(*at), axes=tuple(range(len(np.shape(f(*xs)))))), range(len(xs)))(*xs)
    assert all(np.asarray(block).dtype == np.float32 for block in blocks)
    double = run(name, gradient, "tape")
    for got, want in zip(run(name, gradient, "tape", np.float32), double, strict=True):
        assert distance(got, want) <= 3e-5


def test_every_op_has_a_case() -> None:
    mine = {name for name, op in TABLE.items() if op in vars(dense).values() and op.vjps and op.kind != "elementwise"}
    mine -= {"sum", "reshape", "slice", "embed", "transpose"}  # those of other modules
    assert mine <= {name.split("-")[0] for name in CASES}
