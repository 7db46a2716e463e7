"""Patterns: exact where ops move and add entries, never short of a nonzero, and linear in the size of a chain."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapecli import ops
from tapecli.core import TABLE, Array
from tapecli.errors import TapeError
from tapecli.graph import Graph, Node, replay
from tapecli.ops.linear import Index, embed, scatter, slice_, sum_, take
from tapecli.ops.reductions import cumprod, cumsum
from tapecli.sparsity import jacobian_pattern


def matrix(pattern: Any) -> Array:
    found = np.zeros(pattern.shape)
    found[pattern.rows, pattern.columns] = 1.0
    assert found.sum() == pattern.rows.size  # nothing twice
    keys = pattern.rows * max(pattern.shape[1], 1) + pattern.columns
    assert (np.diff(keys) > 0).all()
    return found


def linear_map(outputs: list[Node], inputs: list[Node]) -> Array:
    """The matrix of a linear graph, by its values at unit vectors."""
    size = sum(node.size for node in inputs)
    columns = []
    for k in range(size):
        flat = np.zeros(size)
        flat[k] = 1.0
        parts = np.split(flat, np.cumsum([node.size for node in inputs])[:-1])
        values = {node: part.reshape(node.shape) for node, part in zip(inputs, parts, strict=True)}
        columns.append(np.concatenate([np.reshape(out, -1) for out in replay(outputs, values, np.asarray)]))
    return np.stack(columns, axis=1)


@st.composite
def moved(draw: Any, x: Node) -> Node:
    """A linear op on a node."""
    shape, n = x.shape, len(x.shape)
    kinds = ["reshape", "broadcast", "add", "stack"]
    if n:
        kinds += ["sum", "transpose", "slice", "embed", "take", "scatter", "concat", "cumsum"]
    kind = draw(st.sampled_from([*kinds, *(["tril"] if n == 2 else [])]))
    axis = draw(st.integers(0, n - 1)) if n else 0
    length = shape[axis] if n else 1
    step = {"axis": axis, "start": length - 1, "stop": -1, "step": -1}
    made: dict[str, Any] = {
        "reshape": lambda: ops.reshape(x, shape=(x.size,)),
        "broadcast": lambda: ops.broadcast(x, shape=(2, *shape)),
        "add": lambda: x + 2.0 * ops.reshape(x, shape=shape),
        "stack": lambda: ops.stack(x, 3.0 * x),
        "sum": lambda: sum_(x, axes=draw(st.sampled_from([(axis,), tuple(range(n))]))),
        "transpose": lambda: ops.transpose(x, axes=tuple(reversed(range(n)))),
        "slice": lambda: slice_(x, **step),
        "embed": lambda: embed(x, axis=axis, n=2 * length, start=0, stop=2 * length, step=2),
        "take": lambda: take(x, index=Index(draw(st.lists(st.integers(0, length - 1), min_size=1))), axis=axis),
        "scatter": lambda: scatter(x, index=Index([k // 2 for k in range(length)]), axis=axis, n=length),
        "concat": lambda: ops.concat(x, slice_(x, **step), axis=axis),
        "cumsum": lambda: cumsum(x, axis=axis),
        "tril": lambda: TABLE["tril"](x, k=0),
    }
    node: Node = made[kind]()
    return node if node.size <= 300 else x


@given(st.data())
def test_what_linear_ops_move_is_known_exactly(data: Any) -> None:
    graph = Graph()
    inputs = [graph.input("x", (3, 2)), graph.input("y", (4,))]
    outputs = []
    for node in inputs:
        for _ in range(data.draw(st.integers(1, 4))):
            node = data.draw(moved(node))
        outputs.append(node)
    outputs.append(sum_(outputs[0], axes=tuple(range(outputs[0].ndim))) * 0.5 + outputs[1])
    wanted = linear_map(outputs, inputs)
    found = matrix(jacobian_pattern(outputs, inputs))
    np.testing.assert_array_equal(wanted != 0, found != 0)


def both(f: Any, *shapes: tuple[int, ...]) -> Array:
    graph = Graph()
    inputs = [graph.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
    return matrix(jacobian_pattern([f(*inputs)], inputs))


def test_a_scatter_and_a_running_sum() -> None:
    index = Index([2, 0, 2])
    np.testing.assert_array_equal(
        both(lambda x: scatter(x, index=index, axis=0, n=4), (3,)), [[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 0, 0]]
    )
    np.testing.assert_array_equal(both(lambda x: cumsum(x, axis=0), (4,)), np.tri(4))
    np.testing.assert_array_equal(both(lambda x: cumsum(x, axis=0), (3, 2)), np.kron(np.tri(3), np.eye(2)))
    np.testing.assert_array_equal(both(lambda x: cumprod(x, axis=0), (4,)), np.tri(4))


def test_dense_ops_along_axes_join_what_their_rules_join() -> None:
    rows = np.kron(np.eye(3), np.ones((1, 4)))
    for reduction in (ops.max, ops.min, ops.norm, ops.prod, ops.sum):
        np.testing.assert_array_equal(both(lambda x, f=reduction: f(x, axis=1), (3, 4)), rows)


def test_matrix_products_join_rows_and_columns() -> None:
    product = TABLE["matmul"]
    left, right = np.kron(np.eye(2), np.ones((4, 3))), np.kron(np.ones((2, 3)), np.eye(4))
    np.testing.assert_array_equal(both(product, (2, 3), (3, 4)), np.hstack([left, right]))
    for one, two in [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4))]:
        rng = np.random.default_rng(1)
        x, y = rng.random(one), rng.random(two)
        columns = []
        for unit in np.eye(x.size + y.size):  # the derivative along each unit vector
            dx, dy = unit[: x.size].reshape(one), unit[x.size :].reshape(two)
            columns.append(np.reshape(np.matmul(dx, y) + np.matmul(x, dy), -1))
        np.testing.assert_array_equal(both(product, one, two), np.stack(columns, axis=1) != 0)


def test_ops_without_derivative_and_literals_contribute_nothing() -> None:
    assert not both(lambda x: ops.floor(x) + ops.stop(x) + (x > 1.0), (3,)).any()
    np.testing.assert_array_equal(both(lambda x, y: ops.where(x, y, 2.0), (3,), (3,)), np.eye(6)[3:])


def test_a_choice_counts_with_both_branches_unless_its_condition_is_a_number() -> None:
    either = both(lambda c, x, y: ops.where(c > 0.0, x, y), (), (2,), (2,))
    np.testing.assert_array_equal(either, [[0, 1, 0, 1, 0], [0, 0, 1, 0, 1]])
    fixed = np.array([1.0, 0.0])
    np.testing.assert_array_equal(both(lambda x, y: ops.where(fixed, x, y), (2,), (2,)), [[1, 0, 0, 0], [0, 0, 0, 1]])
    graph = Graph()
    c, x, y = graph.input("c", (2,)), graph.input("x", (2,)), graph.input("y", ())
    pattern = jacobian_pattern([ops.where(ops.less(c, 1.0), x, y)], [x, y], {c: np.array([0.0, 2.0])})
    np.testing.assert_array_equal(matrix(pattern), [[1, 0, 0], [0, 0, 1]])


def test_too_large_sets_become_everything_and_it_is_told() -> None:
    graph = Graph()
    x = graph.input("x", (40,))
    running = jacobian_pattern([slice_(cumsum(x, axis=0), axis=0, start=0, stop=2, step=1)], [x], limit=500)
    assert not running.exact
    assert (matrix(running) >= np.tri(2, 40)).all()
    assert running.rows.size > 3
    y = graph.input("y", (40,))
    near = slice_(x, axis=0, start=0, stop=30, step=1) + slice_(y, axis=0, start=5, stop=35, step=1)
    found = jacobian_pattern([near], [x, y])
    assert found.exact
    assert found.rows.size == 60
    with pytest.raises(TapeError, match=r"2,400 entries of a 30×80 matrix"):
        jacobian_pattern([near], [x, y], limit=90)


def test_too_many_nonzeros_are_refused() -> None:
    graph = Graph()
    x = graph.input("x", (20_000,))
    with pytest.raises(TapeError, match="400,000,000 entries") as refused:
        jacobian_pattern([sum_(x, axes=(0,)) * x], [x])
    assert refused.value.code == "limit"


def chain(n: int) -> tuple[list[Node], list[Node]]:
    graph = Graph()
    x = graph.input("x", (n,))
    low = {"axis": 0, "start": 0, "stop": n - 1, "step": 1}
    high = {"axis": 0, "start": 1, "stop": n, "step": 1}
    residual = slice_(x, **high) - slice_(x, **low) * slice_(x, **low)
    back = embed(residual * slice_(x, **low), n=n, **low) + embed(residual, n=n, **high)
    return [back], [x]


def test_a_chain_takes_memory_linear_in_its_length() -> None:
    peaks = []
    for n in (2_000, 20_000):
        outputs, inputs = chain(n)
        tracemalloc.start()
        pattern = jacobian_pattern(outputs, inputs)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pattern.rows.size == 3 * n - 2
    assert peaks[1] < 15 * peaks[0]
