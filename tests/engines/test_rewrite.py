"""Rewrites: each rule by its reading, both sides played back on numbers, ordinary and extreme."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapecli as tp
from tapecli import ops, rewrite
from tapecli.core import TABLE
from tapecli.engines.numpy import Program
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed, replay
from tapecli.ops.arithmetic import power
from tapecli.ops.linear import slice_, sum_
from tapecli.ops.powers import norm

READING = re.compile(r"# (\S.* -> [^\n]*)")
READINGS = READING.findall("".join(p.read_text(encoding="utf-8") for p in Path(rewrite.__file__).parent.glob("*.py")))
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-300, 1e150, -1e200, np.inf, -np.inf, np.nan]


def grid(g: Graph) -> Node:
    """A matrix of some numbers."""
    return g.literal([[1.0, 0.5, -2.0], [0.25, 3.0, 1.0], [-1.0, 2.0, 0.75]])


def cube(g: Graph) -> Node:
    return ops.reshape(grid(g), shape=(1, 3, 3)) * g.literal([[[1.0]], [[2.0]]])


Side = Callable[[Graph, Node, Node, Node], Node]

#: reading -> the left side of (graph, scalar x, scalar y, vector v), and the op that the right side ends in
CASES: dict[str, list[tuple[Side, str]]] = {
    "sqrt(x^2) -> abs(x)": [(lambda g, x, y, v: ops.sqrt(power(x, exponent=2.0)), "abs")],
    "sqrt(x^4) -> x^2": [
        (lambda g, x, y, v: ops.sqrt(power(v, exponent=4.0)), "power"),
        (lambda g, x, y, v: ops.sqrt(power(x, exponent=8.0)), "power"),
    ],
    "sqrt(x*x) -> abs(x)": [(lambda g, x, y, v: ops.sqrt(x * x), "abs")],
    "x^0 -> 1": [(lambda g, x, y, v: power(v, exponent=0.0), "literal")],
    "x^1 -> x": [(lambda g, x, y, v: power(v, exponent=1.0), "input")],
    "abs(x)^2 -> x^2": [
        (lambda g, x, y, v: power(ops.abs(v), exponent=2.0), "power"),
        (lambda g, x, y, v: power(ops.abs(v), exponent=-2.0), "power"),
    ],
    "norm(x)^2 -> sum(x^2)": [(lambda g, x, y, v: power(norm(v, axes=(0,)), exponent=2.0), "sum")],
    "hypot(x, y)^2 -> x^2 + y^2": [
        (lambda g, x, y, v: power(ops.hypot(v, y), exponent=2.0), "add"),
        (lambda g, x, y, v: power(ops.hypot(x, y), exponent=4.0), "power"),
    ],
    "abs(x)*abs(x) -> x^2": [
        (lambda g, x, y, v: ops.abs(x) * ops.abs(x), "power"),
        (lambda g, x, y, v: norm(v, axes=(0,)) * norm(v, axes=(0,)), "sum"),
    ],
    "x*1 -> x": [(lambda g, x, y, v: v * 1.0, "input"), (lambda g, x, y, v: v * g.literal(np.ones(3)), "input")],
    "1*x -> x": [(lambda g, x, y, v: 1.0 * v, "input")],
    "x*-1 -> -x": [(lambda g, x, y, v: v * -1.0, "neg")],
    "-1*x -> -x": [(lambda g, x, y, v: -1.0 * v, "neg")],
    "broadcast(c)*x -> c*x, for a number c": [
        (lambda g, x, y, v: ops.broadcast(x, shape=(3,)) * v, "mul"),
        (lambda g, x, y, v: v * ops.broadcast(g.literal(1.0), shape=(3,)), "input"),
    ],
    "broadcast(c)*y -> broadcast(c*y), for numbers c and y": [
        (lambda g, x, y, v: ops.broadcast(x, shape=(3,)) * y, "broadcast"),
        (lambda g, x, y, v: ops.broadcast(x, shape=(3,)) * y * v, "mul"),
    ],
    "c*(d*x) -> (c*d)*x, for d = 1, 2, 4 … and |c| >= 1: both round once and in the same way": [
        (lambda g, x, y, v: 3.0 * (v * 2.0), "mul"),
        (lambda g, x, y, v: (4.0 * v) * -1.1, "mul"),
    ],
    "-(c*x) -> (-c)*x": [(lambda g, x, y, v: -(3.0 * v), "mul"), (lambda g, x, y, v: -(v * 0.1), "mul")],
    "x+0 -> x": [(lambda g, x, y, v: v + 0.0, "input"), (lambda g, x, y, v: v + g.literal(np.zeros(3)), "input")],
    "0+x -> x": [(lambda g, x, y, v: 0.0 + v, "input")],
    "x+(-y) -> x-y": [(lambda g, x, y, v: v + -y, "sub")],
    "x-0 -> x": [(lambda g, x, y, v: v - 0.0, "input")],
    "0-x -> -x": [(lambda g, x, y, v: 0.0 - v, "neg")],
    "x-(-y) -> x+y": [(lambda g, x, y, v: x - -v, "add")],
    "x/1 -> x": [(lambda g, x, y, v: v / 1.0, "input")],
    "-(-x) -> x": [(lambda g, x, y, v: ops.neg(ops.neg(v)), "input")],
    "-(x-y) -> y-x": [(lambda g, x, y, v: -(v - y), "sub")],
    "if c then x else x -> x": [
        (lambda g, x, y, v: ops.where(ops.less(x, y), v, v), "input"),
        (lambda g, x, y, v: ops.where(ops.less(v, y), v, v), "input"),
    ],
    "if true then x else y -> x": [
        (lambda g, x, y, v: ops.where(g.literal(1.0), v, y), "input"),
        (lambda g, x, y, v: ops.where(g.literal(0.0), x, v), "input"),
        (lambda g, x, y, v: ops.where(g.literal(np.nan), v, y), "input"),
    ],
    "stop(x) -> x and distinct(x) -> x, once all derivatives are taken": [
        (lambda g, x, y, v: ops.stop(v), "input"),
        (lambda g, x, y, v: TABLE["distinct"](v, tag=1), "input"),
    ],
    "norm(x) -> abs(x), over one entry": [
        (lambda g, x, y, v: norm(x, axes=()), "abs"),
        (lambda g, x, y, v: norm(ops.reshape(v, shape=(3, 1)), axes=(1,)), "reshape"),
        (lambda g, x, y, v: norm(ops.stack(norm(x, axes=())), axes=(0,)), "reshape"),
    ],
    "abs(abs(x)) -> abs(x)": [
        (lambda g, x, y, v: ops.abs(ops.abs(v)), "abs"),
        (lambda g, x, y, v: ops.abs(norm(v, axes=(0,))), "norm"),
    ],
    "stack(x) -> reshape(x), for one x": [(lambda g, x, y, v: ops.stack(v), "reshape")],
    "reshape(x, shape of x) -> x": [(lambda g, x, y, v: ops.reshape(v, shape=(3,)), "input")],
    "reshape(reshape(x)) -> reshape(x)": [
        (lambda g, x, y, v: ops.reshape(ops.reshape(v, shape=(3, 1)), shape=(1, 3)), "reshape"),
        (lambda g, x, y, v: ops.reshape(ops.reshape(v, shape=(3, 1)), shape=(3,)), "input"),
    ],
    "broadcast(x, shape of x) -> x": [(lambda g, x, y, v: ops.broadcast(v, shape=(3,)), "input")],
    "sum over no axes -> x": [(lambda g, x, y, v: sum_(v, axes=()), "input")],
    "sum(x, …, x) -> n*x": [(lambda g, x, y, v: sum_(ops.broadcast(x, shape=(2, 3)), axes=(0, 1)), "mul")],
    "transpose(x, its own axes) -> x": [(lambda g, x, y, v: ops.transpose(v, axes=(0,)), "input")],
    "transpose(transpose(x)) -> transpose(x)": [
        (lambda g, x, y, v: ops.transpose(ops.transpose(v * grid(g), axes=(1, 0)), axes=(1, 0)), "mul"),
        (lambda g, x, y, v: ops.transpose(ops.transpose(v * cube(g), axes=(1, 2, 0)), axes=(1, 2, 0)), "transpose"),
    ],
    "x put into zeros of its own length -> x": [
        (lambda g, x, y, v: TABLE["embed"](v, axis=0, n=3, start=0, stop=3, step=1), "input")
    ],
    "sum(-x) -> -sum(x)": [(lambda g, x, y, v: sum_(-v, axes=(0,)), "neg")],
    "sum(c*x) -> c*sum(x)": [
        (lambda g, x, y, v: sum_(2.0 * v, axes=(0,)), "mul"),
        (lambda g, x, y, v: sum_(v * g.literal(-3.0), axes=(0,)), "mul"),
    ],
    "sum over the rows of a @ b -> sum(a) @ b": [
        (lambda g, x, y, v: sum_(ops.matmul(v * grid(g), grid(g)), axes=(0,)), "sum"),
        (lambda g, x, y, v: sum_(ops.matmul(v * cube(g), cube(g)), axes=(1,)), "sum"),
    ],
    "sum over the columns of a @ b -> a @ sum(b)": [
        (lambda g, x, y, v: sum_(ops.matmul(v * grid(g), grid(g)), axes=(1,)), "sum")
    ],
    "x[1..n] -> x": [(lambda g, x, y, v: slice_(v, axis=0, start=0, stop=3, step=1), "input")],
}
#: left sides that look like a rule's and are not: what would be left has another shape, or the sign matters
KEPT: list[Side] = [
    lambda g, x, y, v: x * g.literal(np.ones(3)),
    lambda g, x, y, v: x + g.literal(np.zeros((2, 1))),
    lambda g, x, y, v: g.literal(np.zeros(3)) - x,
    lambda g, x, y, v: x / g.literal(np.ones(3)),
    lambda g, x, y, v: ops.where(ops.less(v, y), x, x),
    lambda g, x, y, v: ops.where(g.literal(1.0), x, v),
    lambda g, x, y, v: ops.sqrt(power(x, exponent=-2.0)),
    lambda g, x, y, v: ops.sqrt(power(x, exponent=6.0)),
    lambda g, x, y, v: ops.sqrt(x * y),
    lambda g, x, y, v: power(ops.abs(x), exponent=3.0),
    lambda g, x, y, v: power(norm(v, axes=(0,)), exponent=4.0),
    lambda g, x, y, v: power(ops.hypot(x, y), exponent=-2.0),
    lambda g, x, y, v: ops.abs(x) * ops.abs(y),
    lambda g, x, y, v: sum_(ops.broadcast(v, shape=(2, 3)), axes=(0, 1)),
    lambda g, x, y, v: slice_(v, axis=0, start=2, stop=-1, step=-1),
    lambda g, x, y, v: slice_(v, axis=0, start=0, stop=2, step=1),
    lambda g, x, y, v: sum_(ops.broadcast(x, shape=(0,)), axes=(0,)),
    lambda g, x, y, v: sum_(0.5 * v, axes=(0,)),
    lambda g, x, y, v: 3.0 * (0.1 * v),
    lambda g, x, y, v: 0.5 * (2.0 * v),
    lambda g, x, y, v: ops.transpose(v * grid(g), axes=(1, 0)),
    lambda g, x, y, v: TABLE["embed"](v, axis=0, n=4, start=0, stop=3, step=1),
]


def leaves() -> tuple[Graph, Node, Node, Node]:
    graph = Graph()
    return graph, graph.input("x", ()), graph.input("y", ()), graph.input("v", (3,))


def played(node: Node, numbers: dict[str, Any], dtype: str) -> Any:
    values = {n: np.asarray(numbers[n.params["name"]], dtype=dtype) for n in needed([node]) if n.op is INPUT}
    with np.errstate(all="ignore"):
        return np.asarray(replay([node], values, lambda value: value.astype(dtype))[0])


def samples(dtype: str) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        pool = np.array(SPECIAL, dtype=dtype)
    found = [{"x": rng.normal(), "y": rng.normal(), "v": rng.normal(size=3)} for _ in range(20)]
    found += [{"x": rng.choice(pool), "y": rng.choice(pool), "v": rng.choice(pool, size=3)} for _ in range(300)]
    return found


def products(node: Node) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(n.args[0].shape, n.args[1].shape) for n in needed([node]) if n.op is TABLE["matmul"]]


def same_where_finite(left: Node, right: Node, ulps: int = 4) -> None:
    for dtype in ("float64", "float32"):
        tiny = float(np.finfo(dtype).tiny)
        for numbers in samples(dtype):
            one, two = played(left, numbers, dtype), played(right, numbers, dtype)
            assert one.shape == two.shape
            finite = np.isfinite(one)
            within = ulps * float(np.finfo(dtype).eps)
            # x^4 may underflow where x^2, its root, does not
            root = float(np.sqrt(tiny))
            # sums of products in another order may cancel: what counts is the size of the terms
            size = float(np.max(np.abs(numbers["v"]), initial=0.0)) * 40.0 if products(left) else 0.0
            near = np.isclose(two, one, rtol=within, atol=root + within * (size if np.isfinite(size) else 0.0))
            assert np.all(near | ~finite), (numbers, one, two)


def test_every_reading_has_a_case() -> None:
    assert len(READINGS) >= 30
    assert sorted(set(READINGS)) == sorted(CASES)


FLAT = [(reading, side, op) for reading, sides in CASES.items() for side, op in sides]


@pytest.mark.parametrize(("reading", "side", "op"), FLAT, ids=[reading for reading, _, _ in FLAT])
def test_both_sides_of_a_rule(reading: str, side: Side, op: str) -> None:
    graph, x, y, v = leaves()
    left = side(graph, x, y, v)
    (right,), _ = rewrite.simplify([left], {}, "float64")
    assert right.op.name == op, "the rule was applied"
    assert right.shape == left.shape
    same_where_finite(left, right)


@pytest.mark.parametrize("side", KEPT, ids=range(len(KEPT)))
def test_what_only_looks_like_a_rule_is_kept(side: Side) -> None:
    graph, x, y, v = leaves()
    left = side(graph, x, y, v)
    (right,), _ = rewrite.simplify([left], {}, "float64")
    assert right.op is left.op
    assert right.shape == left.shape
    same_where_finite(left, right)


@pytest.mark.parametrize(
    ("formula", "gradient", "second"),
    [
        ("sqrt(x^2)", 0.0, 0.0),
        ("sqrt(x*x)", 0.0, 0.0),
        ("abs(x)^2", 0.0, 2.0),
        ("abs(x)*abs(x)", 0.0, 2.0),
        ("norm([x, x])^2", 0.0, 4.0),
        ("hypot(x, x)^2", 0.0, 4.0),
        ("sqrt(x^4)", 0.0, 2.0),
        ("x^0", 0.0, 0.0),
        ("(0/x)^0", 0.0, 0.0),
        ("x^1", 1.0, 0.0),
        ("x^2", 0.0, 2.0),
        ("0^x", 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("engine", ["tape", "numpy"])
def test_canonical_forms_decide_derivatives_at_zero(formula: str, gradient: float, second: float, engine: str) -> None:
    problem = tp.parse(f"var x = 0\n{formula}", engine=engine)
    assert problem.grad()["x"] == gradient
    assert problem.hess()["x"]["x"] == second


@settings(max_examples=100)
@given(st.integers(0, 1 << 32))
def test_simplified_graphs_compute_the_same(seed: int) -> None:
    """Random graphs of ops that have rules, with many ones and zeros among the literals."""
    rng = np.random.default_rng(seed)
    graph, x, y, v = leaves()
    nodes = [x, y, v, graph.literal(0.0), graph.literal(1.0), graph.literal(-1.0), graph.literal([0.0, 0.0, 0.0])]
    for _ in range(25):
        a, b = (nodes[int(i)] for i in rng.integers(0, len(nodes), size=2))
        kind = int(rng.integers(12))
        nodes.append(
            a + b if kind == 0 else a - b if kind == 1 else a * b if kind == 2 else -a if kind == 3
            else ops.where(ops.less(a, b), a, b) if kind == 4 else ops.sqrt(a * a) if kind == 5
            else power(ops.abs(a), exponent=float(rng.integers(0, 4))) if kind == 6
            else sum_(a, axes=tuple(range(a.ndim))) if kind == 7
            else ops.reshape(ops.reshape(a, shape=(a.size,)), shape=a.shape) if kind == 8
            else ops.stop(a) if kind == 9 else ops.tanh(a) if kind == 10 else a / (1.0 + b * b)
        )  # fmt: skip
    outputs = nodes[-3:]
    known = {y: np.asarray(rng.choice([0.0, 1.0, 2.5]))} if seed % 2 else {}
    numbers = {
        "x": rng.choice([0.0, -1.5, 0.25]),
        "y": known.get(y, np.asarray(1.25)),
        "v": rng.choice([0.0, 1.0, -0.5], size=3),
    }
    new, left = rewrite.simplify(outputs, known, "float64")
    assert len(needed(new)) <= len(needed(outputs)) + 3
    inputs = [node for node in (x, y, v) if node not in known]
    program = Program(new, [left.get(node) for node in inputs], "float64")
    results = program.run(*[numbers[node.params["name"]] for node in inputs])
    for node, result in zip(outputs, results, strict=True):
        wanted = played(node, numbers, "float64")
        finite = np.isfinite(wanted)
        np.testing.assert_allclose(result[finite], wanted[finite], rtol=1e-11, atol=1e-11)


def test_known_inputs_become_literals_and_constants_are_folded() -> None:
    _graph, x, y, v = leaves()
    z = ops.exp(y * 2.0) + sum_(v, axes=(0,))
    (new,), left = rewrite.simplify([z * x], {y: np.asarray(0.5), v: np.array([1.0, 2.0, 3.0])}, "float64")
    assert set(left) == {x}
    assert [node.op.name for node in needed([new])].count("literal") == 1
    assert new.op is TABLE["mul"]
    literal = next(node for node in needed([new]) if node.op is LITERAL)
    assert literal.params["value"] == np.exp(1.0) + 6.0


def test_constants_are_folded_in_the_precision_of_the_run() -> None:
    graph = Graph()
    z = ops.exp(graph.literal(0.1)) * 3.0
    (new,), _ = rewrite.simplify([z], {}, "float32")
    assert float(new.params["value"]) == float(np.exp(np.float32(0.1)) * np.float32(3.0))
    assert float(new.params["value"]) != float(np.exp(0.1) * 3.0)


def test_large_constants_are_computed_not_kept() -> None:
    graph = Graph()
    wide = ops.broadcast(graph.literal(2.0), shape=(rewrite.FOLD_LIMIT + 1,))
    (new,), _ = rewrite.simplify([wide + 1.0], {}, "float64")
    assert all(node.size <= 1 for node in needed([new]) if node.op is LITERAL)
    small = ops.broadcast(graph.literal(2.0), shape=(8,))
    (new,), _ = rewrite.simplify([small + 1.0], {}, "float64")
    assert new.op is LITERAL


def test_places_survive() -> None:
    problem = tp.parse("var x = 2\ny = x*1 + 0\nz = exp(y)*exp(y)\nz")
    (new,), _ = rewrite.simplify([problem.formula.names["z"]], {}, "float64")
    assert new.place is not None
    assert (new.place.line, new.place.text) == (3, "*")


def test_products_are_taken_in_the_cheapest_order() -> None:
    graph = Graph()
    a, b, v = graph.input("a", (50, 40)), graph.input("b", (40, 60)), graph.input("v", (60,))
    (right,), _ = rewrite.simplify([(a @ b) @ v], {}, "float64")
    assert products(right) == [((40, 60), (60,)), ((50, 40), (40,))]
    (left,), _ = rewrite.simplify([graph.input("u", (50,)) @ (a @ b)], {}, "float64")
    assert products(left) == [((50,), (50, 40)), ((40,), (40, 60))]
    twice = sum_((a @ b) @ v, axes=(0,)) * sum_(power(a @ b, exponent=2.0), axes=(0, 1))
    (both,), _ = rewrite.simplify([twice], {}, "float64")
    assert ((50, 40), (40, 60)) in products(both), "a product that is wanted for itself stays whole"


@settings(max_examples=60)
@given(st.lists(st.integers(1, 6), min_size=4, max_size=8), st.booleans(), st.booleans(), st.integers(0, 1 << 32))
def test_products_in_any_order_are_the_same(sizes: list[int], row: bool, column: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes: list[tuple[int, ...]] = list(itertools.pairwise(sizes))
    shapes[0] = shapes[0][1:] if row else shapes[0]
    shapes[-1] = shapes[-1][:1] if column else shapes[-1]
    graph = Graph()
    chain = [graph.input(f"m{k}", shape) for k, shape in enumerate(shapes)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    order: list[Node] = list(chain)
    while len(order) > 1:  # any bracketing that shapes allow
        k = int(rng.integers(len(order) - 1))
        order[k : k + 2] = [order[k] @ order[k + 1]]
    (new,), left = rewrite.simplify(order, {}, "float64")
    program = Program([new], [left[node] for node in chain], "float64")
    wanted = arrays[0]
    for array in arrays[1:]:
        wanted = wanted @ array
    np.testing.assert_allclose(program.run(*arrays)[0], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_merged_factors_keep_every_bit(dtype: str) -> None:
    _, _, _, v = leaves()
    left = 3.3 * (v * 2.0)
    (right,), _ = rewrite.simplify([left], {}, "float64")
    assert [node.op.name for node in needed([right])].count("mul") == 1
    for numbers in samples(dtype):
        np.testing.assert_array_equal(played(left, numbers, dtype), played(right, numbers, dtype))
