"""Programs of the NumPy engine: buffers that are shared, views that must survive, results that must not change."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapecli import ops
from tapecli.core import TABLE, Array
from tapecli.engines import Argument, How, compile, of_graph
from tapecli.engines.numpy import Program
from tapecli.engines.traced import Traced
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed, replay
from tapecli.ops.linear import Index, embed, scatter, slice_, sum_, take

#: values for the parameters of elementwise ops
PARAMS = {"exponent": 2.0, "tie": 0.5, "n": 2, "k": 1, "base": 2.0}
SHAPES = [(), (1,), (4,), (2, 4), (4, 2), (1, 4), (3, 1), (2, 2, 2), (0,)]


def random_graph(rng: np.random.Generator, size: int) -> tuple[Graph, list[Node]]:
    """A graph of elementwise ops, views of views, and ops that copy, in any order."""
    graph = Graph()
    nodes: list[Node] = [graph.input(f"a{i}", SHAPES[int(rng.integers(len(SHAPES)))]) for i in range(3)]
    nodes.append(graph.literal(rng.normal(size=(2, 4))))
    for _ in range(size):
        x = nodes[int(rng.integers(max(0, len(nodes) - 6), len(nodes)))]
        same = [node for node in nodes if node.shape == x.shape]
        y = same[int(rng.integers(len(same)))]
        nodes.append(grown(rng, x, y))
    return graph, nodes


def grown(rng: np.random.Generator, x: Node, y: Node) -> Node:
    """One more node above x, and y of the same shape."""
    axis = int(rng.integers(x.ndim)) if x.ndim else 0
    n = x.shape[axis] if x.ndim else 0
    kind = int(rng.integers(16))
    if kind == 0:
        return ops.reshape(x, shape=(x.size,))
    if kind == 1 and x.ndim > 1:
        return ops.transpose(x, axes=tuple(int(a) for a in rng.permutation(x.ndim)))
    if kind == 2 and n > 1:
        return slice_(x, axis=axis, start=1, stop=n, step=1)
    if kind == 3 and n:
        return slice_(x, axis=axis, start=n - 1, stop=-1, step=-1)
    if kind == 4 and n:
        return slice_(x, axis=axis, start=0, stop=n, step=2)
    if kind == 5 and x.size < 40:
        return ops.broadcast(x, shape=(2, *x.shape))
    if kind == 6 and x.ndim:
        return sum_(x, axes=(axis,))
    if kind == 7 and n:
        return take(x, index=Index(rng.integers(0, n, size=3)), axis=axis)
    if kind == 8 and x.ndim and x.size < 40:
        return ops.concat(x, y, axis=axis)
    if kind == 9 and x.size < 40:
        return embed(ops.reshape(x, shape=(x.size,)), axis=0, n=x.size + 2, start=1, stop=x.size + 1, step=1)
    if kind == 10 and n:
        return scatter(x, index=Index(rng.integers(0, 4, size=n)), axis=axis, n=4)
    if kind == 11:
        return ops.where(ops.less(x, y), x, -y)
    if kind == 12:
        return ops.tanh(x)
    if kind == 13:
        return x - y
    return x * 0.5 + y if kind == 14 else ops.abs(x) * ops.cos(y)


def plain(outputs: list[Node], inputs: list[Node], arrays: list[Array], dtype: str) -> list[Array]:
    """The same graph without any reuse: every result of its own, from copies of the inputs."""
    values = dict(zip(inputs, [np.array(a, dtype=dtype) for a in arrays], strict=True))
    with np.errstate(all="ignore"):
        results = replay(outputs, values, lambda value: value.astype(dtype))
    return [np.array(result, dtype=dtype) for result in results]


def native(outputs: list[Node], inputs: list[Node], dtype: str, threads: int = 1) -> Any:
    """The same graph as machine code, which is not kept on disk."""
    made = of_graph("native", Traced(outputs, inputs, np.dtype(dtype)), how=How(threads, cache=False))
    assert made.engine == "native"
    return made


def the_same(engine: str, one: Array, two: Array) -> None:
    """To the last bit, but for the functions that machine code computes by itself, and its sums."""
    if engine == "numpy":
        np.testing.assert_array_equal(one, two)
    else:
        finite = np.abs(two[np.isfinite(two)])
        within = 16 * float(np.finfo(two.dtype).eps) * float(np.max(finite, initial=1.0))
        np.testing.assert_allclose(one, two, rtol=0, atol=within)


def reuse(seed: int, size: int, engine: str = "numpy") -> None:
    rng = np.random.default_rng(seed)
    _graph, nodes = random_graph(rng, size)
    inputs = nodes[:3]
    outputs = [nodes[int(i)] for i in rng.integers(0, len(nodes), size=int(rng.integers(1, 6)))]
    dtype = ["float64", "float32"][seed % 2]
    program: Any = Program(outputs, inputs, dtype) if engine == "numpy" else native(outputs, inputs, dtype)
    runs = []
    for _ in range(3):
        arrays = [rng.normal(size=node.shape).astype(dtype) for node in inputs]
        before = [array.copy() for array in arrays]
        results = program.run(*arrays)
        for array, known in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, known, err_msg="an input was written to")
        for result, node, other in zip(results, outputs, plain(outputs, inputs, arrays, dtype), strict=True):
            assert result.shape == node.shape
            assert result.dtype == np.dtype(dtype)
            the_same(engine, result, other)
        runs.append((arrays, results, [result.copy() for result in results]))
    for arrays, results, copies in runs:
        for result, copy in zip(results, copies, strict=True):
            np.testing.assert_array_equal(result, copy, err_msg="a later run wrote over a result")
        for result, copy in zip(program.run(*arrays), copies, strict=True):
            assert result.tobytes() == copy.tobytes(), "the same arguments give the same bits"


@settings(max_examples=150)
@given(st.integers(0, 1 << 32), st.integers(1, 60))
def test_buffers_are_reused_unseen(seed: int, size: int) -> None:
    reuse(seed, size)


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.integers(1, 40))
def test_machine_code_computes_the_same(seed: int, size: int) -> None:
    reuse(seed, size, "native")


@pytest.mark.slow
@settings(max_examples=5000, derandomize=False)
@given(st.integers(0, 1 << 32), st.integers(1, 200))
def test_buffers_are_reused_unseen_in_many_graphs(seed: int, size: int) -> None:
    reuse(seed, size)


@pytest.mark.slow
@settings(max_examples=2000, derandomize=False)
@given(st.integers(0, 1 << 32), st.integers(1, 120))
def test_machine_code_computes_the_same_in_many_graphs(seed: int, size: int) -> None:
    reuse(seed, size, "native")


def test_random_graphs_reach_every_kind_of_op() -> None:
    kinds = {node.op.name for seed in range(40) for node in random_graph(np.random.default_rng(seed), 60)[1]}
    wanted = {"reshape", "transpose", "slice", "broadcast", "sum", "take", "concat", "embed", "scatter", "select"}
    assert wanted <= kinds


def test_buffers_are_indeed_shared() -> None:
    graph = Graph()
    x = graph.input("x", (8,))
    y = x
    for k in range(100):
        y = y * (1.0 + k / 100) + x
    program = Program([y], [x], "float64")
    assert program.steps == 200
    assert program.buffers <= 3
    array = np.linspace(-1, 1, 8)
    np.testing.assert_array_equal(program.run(array)[0], plain([y], [x], [array], "float64")[0])


def test_a_view_keeps_its_buffer_alive() -> None:
    graph = Graph()
    x = graph.input("x", (2, 3))
    product = x * x
    view = ops.reshape(ops.transpose(product, axes=(1, 0)), shape=(6,))
    row = slice_(product, axis=0, start=0, stop=1, step=1)
    other = x + 1.0  # may not take the buffer of `product`, which two views still show
    another = other * other
    outputs = [sum_(view, axes=(0,)), row, another, ops.broadcast(row, shape=(2, 3))]
    array = np.arange(6.0).reshape(2, 3)
    program = Program(outputs, [x], "float64")
    for result, wanted in zip(program.run(array), plain(outputs, [x], [array], "float64"), strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_an_output_that_is_an_input_or_a_literal_is_a_copy() -> None:
    graph = Graph()
    x = graph.input("x", (2,))
    program = Program([x, graph.literal([1.0, 2.0]), ops.reshape(x, shape=(2, 1))], [x], "float64")
    array = np.array([5.0, 6.0])
    first = program.run(array)
    for result in first:
        result[...] = -1.0
    assert array.tolist() == [5.0, 6.0]
    second = program.run(array)
    assert [result.tolist() for result in second] == [[5.0, 6.0], [1.0, 2.0], [[5.0], [6.0]]]


def test_the_same_output_twice_and_none_at_all() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    y = ops.exp(x)
    one, two = Program([y, y], [x], "float64").run(np.zeros(3))
    one[...] = 7.0
    assert two.tolist() == [1.0, 1.0, 1.0]
    assert Program([], [x], "float64").run(np.zeros(3)) == []


def test_arguments_that_nothing_rests_on() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    program = Program([x * 2.0], [y, x, None], "float64")
    assert program.run(1.0, 3.0, 9.0) == [6.0]
    with pytest.raises(ValueError, match="zip"):
        program.run(1.0, 3.0)


@pytest.mark.parametrize("engine", ["tape", "numpy", "native"])
def test_fixed_arguments_are_filled_in(engine: str) -> None:
    def f(x: Any, y: Any) -> list[Any]:
        return [x * y, y + 1.0]

    compiled = compile(engine, f, [Argument("x", (), None), Argument("y", (2,), np.array([1.0, 2.0]))], "float32")
    product, more = compiled.run(3.0)
    assert product.tolist() == [3.0, 6.0]
    assert more.tolist() == [2.0, 3.0]
    assert product.dtype == more.dtype == np.float32
    assert compiled.traces == (engine != "tape")


@pytest.mark.parametrize("engine", ["tape", "numpy", "native"])
def test_what_is_not_finite_warns_nobody(engine: str) -> None:
    compiled = compile(
        engine,
        lambda x: [ops.log(x), 1.0 / x, ops.sqrt(x - 1.0), ops.exp(x + 1e9), x * np.inf],
        [Argument("x", (3,), None)],
        "float64",
    )
    log, inverse, root, large, product = compiled.run(np.array([0.0, -0.0, 1.0]))
    assert log.tolist() == [-np.inf, -np.inf, 0.0]
    assert inverse.tolist() == [np.inf, -np.inf, 1.0]
    assert np.isnan(root[:2]).all()
    assert np.isinf(large).all()
    assert np.isnan(product[:2]).all()


def test_no_kernel_writes_to_its_arguments_or_answers_with_them() -> None:
    """A program hands buffers to kernels: one that kept or changed an argument would spoil a later run."""
    seen = 0
    for op in TABLE.values():
        if op.kind != "elementwise" or not op.points or op in (INPUT, LITERAL):
            continue
        for point in op.points:
            rule = next((rule for rule in map(op.rule, range(len(point))) if rule is not None), None)
            asked = list(inspect.signature(rule).parameters)[2 + len(point) :] if rule is not None else []
            if not set(asked) <= set(PARAMS):
                continue
            params = {name: PARAMS[name] for name in asked}
            seen += 1
            for dtype in ("float64", "float32"):
                args = [np.full((3, 2), min(value, 1e30), dtype=dtype) for value in point]
                before = [arg.copy() for arg in args]
                with np.errstate(all="ignore"):
                    out = op.kernel(*args, **params)
                for arg, known in zip(args, before, strict=True):
                    np.testing.assert_array_equal(arg, known, err_msg=op.name)
                    assert not np.shares_memory(out, arg), op.name
                assert out.dtype == np.dtype(dtype), op.name
                assert out.shape == (3, 2), op.name
    assert seen > 150


def test_programs_list_what_they_need_only() -> None:
    graph = Graph()
    x = graph.input("x", ())
    unused = ops.exp(x)
    y = x * x
    program = Program([y], [x], "float64")
    assert program.steps == 1
    assert unused not in needed([y])
