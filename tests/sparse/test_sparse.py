"""Sparse Hessians and Jacobians against the dense ones, entry by entry, and the texts they are written as."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapecli as tp
from tapecli.core import Array
from tapecli.problem import sparse
from tapecli.problem.sparse import Coordinates, sparse_hessian, sparse_jacobian
from tapecli.report.encode import Encoder

CHAIN = "const n={n}; var x=[i/n for i in 1..n]; minimize sum(100*(x[i+1]-x[i]^2)^2+(1-x[i])^2 for i in 1..n-1)"
BAND = (  # Broyden's, with half-width 6
    "const n={n}; var x=[sin(i) for i in 1..n]; "
    "minimize sum((x[i]*(2+5*x[i]^2)+1-sum(x[j]*(1+x[j]) for j in max(1,i-5)..min(n,i+1)))^2 for i in 1..n)"
)
#: text, colours, structural nonzeros
HESSIANS = {
    "chain": (CHAIN.format(n=30), 3, 88),
    "band": (BAND.format(n=40), 13, 478),
    "arrow": ("const n=25; var x=[i/n for i in 1..n]; minimize sum(sin(x[n]*x[i])+x[i]^3 for i in 1..n-1)", 2, 73),
    "separable": ("var x=[i/9 for i in 1..25]; minimize sum(exp(x))", 1, 25),
    "dense": ("var x=[i/9 for i in 1..12]; minimize exp(sum(x)^2/200)+prod(x)", 12, 144),
    "linear": ("var x=[1,2,3]; minimize sum(x)", 0, 0),
    "scalar": ("var x=2; minimize x^4", 1, 1),
    "several": (
        "var x=[i/3 for i in 1..6]; var y=2; var W[3,4]=0.3; var u=1; "
        "minimize sum(W[i,j]^2*x[i]*y for i in 1..3, j in 1..4)+x[6]^3",
        3,
        67,
    ),
    "if": (
        "const n=10; var x=[i/n-0.45 for i in 1..n]; "
        "minimize sum(if x[i]>0 then x[i]^2*x[i+1] else x[i]^3 for i in 1..n-1)",
        3,
        27,
    ),
    "if on indices": (
        "const n=12; var x=[i/n for i in 1..n]; "
        "minimize sum((if abs(i-j)<=1 then x[i]*x[j]*sin(x[i]) else 0) for i in 1..n, j in 1..n)",
        3,
        34,
    ),
    "springs": ("var p[6,2]=normal(0,1); minimize sum((norm(p[i+1,:]-p[i,:])-1)^2 for i in 1..5)", 6, 64),
    "pairs": ("var p[5,3]=normal(0,1); minimize sum(1/norm(p[i,:]-p[j,:]) for i in 1..5, j in i+1..5)", 15, 225),
    "rows": ("var p[6,3]=normal(0,1); minimize sum(max(p^2, axis=2)*sum(p^3, axis=2))", 3, 54),
    "products": ("var p[5,4]=normal(0,1); minimize sum(prod(p[i,k] for k in 1..4) for i in 1..5)", 4, 60),
    "grid": (
        "const n=5; var u[n,n]=normal(0,1); "
        "minimize sum((u[i+1,j]-u[i,j])^4+(u[i,j+1]-u[i,j])^4 for i in 1..n-1, j in 1..n-1)",
        5,
        88,
    ),
    "fold": ("var a=0.3, b=0.2; var x=[1,2,3]; minimize fold(s=a for k in 1..20: s+0.1*sin(b*s))+sum(x^3)", 2, 7),
    "scan": ("var a=0.3; var x=[1,2,3,4]; tr=scan(s=a for k in 1..4: s*0.5+x[k]^2); minimize sum(tr^2)+a*x[1]", 5, 25),
    "running sums": ("var p[4,3]=normal(0,1); minimize sum(sin(cumsum(p, axis=1)))", 4, 48),
    "gather": ("const idx=[3,1,1,2]; var x=[1,2,3,4]; minimize sum(x[idx[i]]^2*x[i] for i in 1..4)", 3, 9),
    "mirror": ("const n=9; var x=[i/n for i in 1..n]; minimize sum(x[i]^2*x[n+1-i] for i in 1..n)", 2, 17),
    "stop": ("var x=[1,2,3], y=[3,4,5]; minimize sum(stop(x)*x*y^2)", 2, 9),
    "gradient inside": (
        "var x=[1,2,3]; e=sum(x^3*2); f=grad(e,x); minimize sum(f[i]*x[i+1] for i in 1..2)+f[3]",
        2,
        7,
    ),
    "kinks": ("var x=[1,2,3], y=0.5; minimize sum(clip(x*y,0,1.2)^2)+sum(max(x[i],y)^3 for i in 1..3)", 2, 10),
    "factors": ("var U[4,2]=normal(0,1), V[2,3]=normal(0,1); minimize sum((U@V)^2)", None, None),
    "algebra": ("var A=[[4,1,0],[1,5,1],[0,1,6]], b=[1,2,3]; minimize logdet(A)+sum(solve(A,b)^2)", 12, 144),
    "unused": ("var x=[1,2,3], z=[1,2]; minimize sum(x^3)", 1, 3),
}


def whole(p: tp.Problem) -> Array:
    """The dense Hessian over all variables."""
    blocks = p.hess()
    size = {name: int(np.prod(array.shape)) for name, array in p.variables.items()}
    return np.block([[np.reshape(blocks[a][b], (size[a], size[b])) for b in size] for a in size])


def checked(found: Coordinates, wanted: Array, tolerance: float) -> None:
    assert found.exact
    assert found.rows.dtype == found.columns.dtype == np.int64
    keys = found.rows * max(found.shape[1], 1) + found.columns
    assert (np.diff(keys) > 0).all()
    dense = found.dense()
    assert dense.shape == wanted.shape
    missed = wanted.copy()
    missed[found.rows, found.columns] = 0.0
    assert not missed.any()
    assert np.abs(dense - wanted).max(initial=0.0) <= tolerance * np.abs(wanted).max(initial=0.0)
    if found.symmetric:
        np.testing.assert_array_equal(dense, dense.T)


@pytest.mark.parametrize("engine", ["tape", "numpy"])
@pytest.mark.parametrize("name", HESSIANS)
def test_hessians_are_those_of_the_dense_way(name: str, engine: str) -> None:
    text, colours, nonzeros = HESSIANS[name]
    p = tp.parse(text, engine=engine)
    found = sparse_hessian(p)
    checked(found, whole(tp.parse(text, engine="tape")), 1e-15)
    assert found.engine == engine or not found.colours
    if colours is not None:
        assert (found.colours, found.rows.size) == (colours, nonzeros)


def test_a_product_of_factors_is_sparse_in_each_factor() -> None:
    found = sparse_hessian(tp.parse("var U[40,2]=normal(0,1), v=[1,2]; minimize sum((U@v)^2)"))
    assert found.colours <= 8
    assert found.rows.size < 82 * 8


TERMS = st.deferred(lambda: st.sampled_from(LEAVES) | st.builds(str.format, st.sampled_from(SHAPES), TERMS, TERMS))
LEAVES = [
    *["x[i]", "x[i+1]", "x[i+2]", "x[9-i]", "y[i]", "y[7-i]", "W[i,1]", "W[i,2]", "a", "d[i]", "i/3", "q[idx[i]]"],
    *["norm(W[i,:])", "sum(x[j]^2 for j in i..i+2)", "prod(x[j] for j in i..i+1)", "max(x[i], y[i])", "z"],
]
SHAPES = [
    *["({0}+{1})", "({0}-{1})", "({0}*{1})", "({0}*{1})", "({0}/(2+{1}^2))", "sin({0})", "exp(-{0}^2)", "tanh({0})"],
    *["(if {0}>{1} then {0} else {1}^2)", "(if i==2 then {0} else {1})", "(if d[i]>0 then {0} else {1})", "{0}^2"],
    *["sqrt(1+{0}^2+{1}^2)", "stop({0})*{1}", "abs({0})", "logaddexp({0},{1})"],
]
WHOLES = [
    *["sum({} for i in 1..6)", "mean({} for i in 1..6)", "sum({} for i in 1..6)^2/10", "sum(({})^2 for i in 2..5)"],
    *["norm([{} for i in 1..6])", "max({} for i in 1..6)", "sum(cumsum([{} for i in 1..3])^2)"],
    "fold(s=a for k in 1..3: sin(s)+sum({} for i in 1..2))",
    "sum(scan(s=z for k in 1..3: 0.5*s+x[k]*y[k])) + sum({} for i in 1..6)",
    "sum((if i < j then W[i,j]*x[i] else 0)*{} for i in 1..6, j in 1..2)",
]
HEAD = """
var x=[0.9,-0.3,0.4,1.2,0.7,-0.8,0.2,1.1]
var y=[0.2,0.6,-0.4,0.9,1.3,0.1], W=[i/7-j*0.61+i*j*0.11 for i in 1..6, j in 1..2]
var a=0.37, z=-0.6, q=[0.3,1.7,0.6]
const d=[0.5,-1.2,0.8,-0.3,1.1,0.4], idx=[3,1,2,2,1,3]
"""


@st.composite
def objectives(draw: Any) -> str:
    pairs = [(draw(st.sampled_from(WHOLES)), draw(TERMS)) for _ in range(draw(st.integers(1, 3)))]
    return " + ".join(outer.format(term) for outer, term in pairs)


@given(objectives(), st.sampled_from(["tape", "numpy", "auto"]))
def test_hessians_of_random_formulas(text: str, engine: str) -> None:
    p = tp.parse(HEAD + f"minimize {text}", engine=engine)
    wanted = whole(tp.parse(HEAD + f"minimize {text}", engine="tape"))
    if np.isfinite(wanted).all():
        checked(sparse_hessian(p), wanted, 1e-13)


#: text, mode, products, structural nonzeros
JACOBIANS = {
    "band": ("const n=20; var x=[i/n for i in 1..n]; [x[i]*x[i+1] for i in 1..n-1]", "vjp", 2, 38),
    "few rows": ("const n=20; var x=[i/n for i in 1..n]; [sum(x), prod(x)]", "vjp", 2, 40),
    "few columns": ("var a=1, b=2; const n=20; [a*exp(-b*i/n) for i in 1..n]", "jvp", 2, 40),
    "matrix": ("var W[3,4]=normal(0,1), x=[1,2,3]; W'@x", "vjp", 4, 24),
    "product": ("var W[3,4]=normal(0,1); const X=[[1,2,3],[4,5,6]]; X@W", "vjp", 2, 24),
    "scan": ("var a=0.3, b=0.2; scan(s=a for k in 1..20: s*b+1)", "jvp", 2, 40),
    "nothing": ("var x=[1,2]; [1,2,3]", "vjp", 0, 0),
    "number": ("var x=[1,2,3]; sum(x^2)", "vjp", 1, 3),
    "moved": ("var x[3,4]=normal(0,1); x'", "vjp", 1, 12),
    "running": ("var x=[1.5,2.5,3]; cumsum(x)", "vjp", 3, 6),
    "two": ("var x=[1,2,3], y=2; [x[i]^2*y for i in 1..3]", "jvp", 2, 6),
}


@pytest.mark.parametrize("engine", ["tape", "numpy"])
@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobians_are_those_of_the_dense_way(name: str, engine: str) -> None:
    text, mode, products, nonzeros = JACOBIANS[name]
    found = sparse_jacobian(tp.parse(text, engine=engine))
    blocks = tp.parse(text, engine="tape").jac()
    wanted = np.hstack([block.reshape(found.shape[0], -1) for block in blocks.values()])
    checked(found, wanted, 1e-15)
    assert (found.mode, found.colours, found.rows.size) == (mode, products, nonzeros)


def test_points_constants_and_bound_names() -> None:
    p = tp.parse("const n=4; var x=[i for i in 1..n]; const c=[1,2,3,4]; s=x^2; minimize sum(s*c*c*x)")
    at = {"x": [2.0, 3.0, 4.0, 5.0]}
    np.testing.assert_allclose(sparse_hessian(p, at=at).dense(), p.hess(at=at)["x"]["x"], rtol=1e-15)
    np.testing.assert_allclose(sparse_hessian(p, wrt="c").dense(), p.hess(wrt="c")["c"]["c"], rtol=1e-15)
    both = sparse_hessian(p, wrt=["c", "x"])
    assert (both.names, both.offsets, both.shapes) == (("c", "x"), (0, 4), ((4,), (4,)))
    np.testing.assert_allclose(sparse_jacobian(p, wrt="s").dense()[0], p.grad(wrt="s")["s"], rtol=1e-15)
    assert sparse_jacobian(p, of="s").shape == (4, 4)
    with pytest.raises(tp.TapeError, match="4 entries"):
        sparse_hessian(p, of="s")


def test_a_size_can_be_given_with_the_point() -> None:
    p = tp.parse(CHAIN.format(n=5))
    assert sparse_hessian(p).shape == (5, 5)
    assert sparse_hessian(p, at={"n": 7.0}).shape == (7, 7)


def test_the_plan_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    p = tp.parse(CHAIN.format(n=9), engine="numpy")
    one = sparse_hessian(p)
    monkeypatch.setattr(sparse, "jacobian_pattern", None)
    two = sparse_hessian(p, at={"x": np.ones(9)})
    assert p.traces == 1
    assert one.rows is two.rows
    assert not np.array_equal(one.values, two.values)


def test_large_hessians_build_no_matrix() -> None:
    n = 20_000
    p = tp.parse(CHAIN.format(n=n), engine="numpy")
    tracemalloc.start()
    found = sparse_hessian(p)
    product = p.hvp({"x": np.ones(n)})["x"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n * 8 / 50
    assert found.colours == 3
    np.testing.assert_allclose(np.bincount(found.rows, found.values), product, atol=1e-11)


def test_single_precision() -> None:
    p = tp.parse(CHAIN.format(n=12), dtype="float32")
    found = sparse_hessian(p)
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.dense(), p.hess()["x"]["x"])
    read = matrix_of(sparse.matrix_market(found), np.float32)
    np.testing.assert_array_equal(read, found.dense())


def test_conditions_are_decided_in_the_precision_of_the_run() -> None:
    text = "var x=[1,2,3,4]; minimize sum(if i*0.1 <= 0.3 then x[i]^2 else x[i] for i in 1..4)"
    for dtype in ("float64", "float32"):
        p = tp.parse(text, dtype=dtype)
        np.testing.assert_array_equal(sparse_hessian(p).dense(), p.hess()["x"]["x"])


def test_conditions_on_a_size_follow_the_point() -> None:
    p = tp.parse("const n=4; var x=[i for i in 1..n]; minimize sum(if i==n then x[i]^2 else x[i] for i in 1..n)")
    for at in ({}, {"n": 6.0}, {"n": 3.0}):
        found = sparse_hessian(p, at=at)
        assert found.rows.size == 1
        np.testing.assert_array_equal(found.dense(), p.hess(at=at)["x"]["x"])


def matrix_of(text: str, dtype: Any = np.float64) -> Array:
    """A reader of Matrix Market files, by the format's definition."""
    head, *lines = text.splitlines()
    assert head.startswith("%%MatrixMarket matrix coordinate real ")
    lines = [line for line in lines if not line.startswith("%")]
    m, n, count = map(int, lines[0].split())
    matrix = np.zeros((m, n), dtype=dtype)
    for line in lines[1:]:
        i, j, value = line.split()
        matrix[int(i) - 1, int(j) - 1] = dtype(value)
        if head.endswith("symmetric"):
            assert int(i) >= int(j)
            matrix[int(j) - 1, int(i) - 1] = dtype(value)
    assert len(lines) == count + 1
    return matrix


@pytest.mark.parametrize("name", ["chain", "several", "linear", "unused", "scalar"])
def test_matrix_market_reads_back(name: str) -> None:
    found = sparse_hessian(tp.parse(HESSIANS[name][0]))
    np.testing.assert_array_equal(matrix_of(sparse.matrix_market(found)), found.dense())


def test_matrix_market_text() -> None:
    found = sparse_jacobian(tp.parse("var x=[1,2,3], W[1,2]=0.1; y=[x[i]*x[i+1]*W[1,1] for i in 1..2]; y"))
    assert sparse.matrix_market(found).splitlines() == [
        "%%MatrixMarket matrix coordinate real general",
        "% rows 1..2: the entries of y, the last index running fastest",
        "% columns 1..3: x[3]",
        "% columns 4..5: W[1, 2]",
        "2 5 6",
        "1 1 0.2",
        "1 2 0.1",
        "1 4 2.0",
        "2 2 0.30000000000000004",
        "2 3 0.2",
        "2 4 6.0",
    ]


def test_fields_of_json() -> None:
    found = sparse_hessian(tp.parse("var x=[1,2], y=3; minimize x[1]^2*y"))
    fields = json.loads(Encoder("float64").object(sparse.as_dict(found)))
    assert fields == {
        "shape": [3, 3],
        "symmetric": True,
        "rows": [1, 1, 3],
        "columns": [1, 3, 1],
        "values": [6.0, 2.0, 2.0],
        "variables": {"x": {"first": 1, "shape": [2]}, "y": {"first": 3, "shape": []}},
        "colours": 2,
        "mode": "hvp",
        "exact": True,
    }


def test_a_dense_hessian_that_is_too_large_is_refused() -> None:
    p = tp.parse("const n=20000; var x=[i/n for i in 1..n]; minimize sum(x)^2")
    with pytest.raises(tp.TapeError, match="400,000,000 entries") as refused:
        sparse_hessian(p)
    assert refused.value.exit_code == 5
