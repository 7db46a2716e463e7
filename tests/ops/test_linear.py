"""Linear ops: each rule is the transpose of its op, and each shape rule says the shape that the kernel makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli import engines
from tapecli.core import TABLE
from tapecli.derive import gradient, record
from tapecli.engines import Argument
from tapecli.ops.linear import Index, sum_

ENGINES = ("tape", "numpy")
#: Per op: the shapes of the arguments, and the parameters.
CASES: dict[str, list[tuple[list[tuple[int, ...]], dict[str, Any]]]] = {
    "tril": [([(3, 3)], {"k": 0}), ([(2, 3, 4)], {"k": -1}), ([(4, 2)], {"k": 1})],
    "sum": [
        ([(3, 4)], {"axes": (0,)}),
        ([(3, 4)], {"axes": (1,)}),
        ([(3, 4)], {"axes": (0, 1)}),
        ([(2, 3, 4)], {"axes": (0, 2)}),
        ([()], {"axes": ()}),
        ([(0, 4)], {"axes": (0,)}),
        ([(0,)], {"axes": (0,)}),
    ],
    "broadcast": [
        ([()], {"shape": (3, 4)}),
        ([(4,)], {"shape": (3, 4)}),
        ([(3, 1)], {"shape": (3, 4)}),
        ([(1, 1)], {"shape": (2, 3, 4)}),
        ([(1,)], {"shape": (0,)}),
        ([(3,)], {"shape": (3,)}),
    ],
    "reshape": [
        ([(3, 4)], {"shape": (12,)}),
        ([(6,)], {"shape": (2, 1, 3)}),
        ([(1,)], {"shape": ()}),
        ([(0, 3)], {"shape": (3, 0)}),
    ],
    "transpose": [([(3, 4)], {"axes": (1, 0)}), ([(2, 3, 4)], {"axes": (2, 0, 1)}), ([(0, 2)], {"axes": (1, 0)})],
    "slice": [
        ([(7,)], {"axis": 0, "start": 1, "stop": 6, "step": 2}),
        ([(7,)], {"axis": 0, "start": 6, "stop": -1, "step": -1}),
        ([(3, 5)], {"axis": 1, "start": 2, "stop": 5, "step": 1}),
        ([(3, 5)], {"axis": 0, "start": 0, "stop": 0, "step": 1}),
        ([(5,)], {"axis": 0, "start": 4, "stop": 0, "step": -2}),
    ],
    "embed": [
        ([(3,)], {"axis": 0, "n": 7, "start": 1, "stop": 6, "step": 2}),
        ([(7,)], {"axis": 0, "n": 7, "start": 6, "stop": -1, "step": -1}),
        ([(3, 3)], {"axis": 1, "n": 5, "start": 2, "stop": 5, "step": 1}),
        ([(0, 5)], {"axis": 0, "n": 3, "start": 0, "stop": 0, "step": 1}),
    ],
    "take": [
        ([(5,)], {"index": Index([4, 0, 0, 2]), "axis": 0}),
        ([(3, 5)], {"index": Index([1, 1, 4]), "axis": 1}),
        ([(3, 5)], {"index": Index([]), "axis": 0}),
    ],
    "scatter": [
        ([(4,)], {"index": Index([4, 0, 0, 2]), "axis": 0, "n": 5}),
        ([(3, 3)], {"index": Index([1, 1, 4]), "axis": 1, "n": 5}),
        ([(0, 5)], {"index": Index([]), "axis": 0, "n": 3}),
        ([(0,)], {"index": Index([]), "axis": 0, "n": 3}),
    ],
    "concat": [
        ([(2,), (3,)], {"axis": 0}),
        ([(2, 3), (2, 1), (2, 2)], {"axis": 1}),
        ([(0, 3), (2, 3)], {"axis": 0}),
        ([(4,)], {"axis": 0}),
    ],
    "stack": [([(), (), ()], {}), ([(2, 3), (2, 3)], {}), ([(0,), (0,)], {})],
    "cumsum": [
        ([(5,)], {"axis": 0}),
        ([(3, 4)], {"axis": 1}),
        ([(3, 4)], {"axis": 0}),
        ([(0,)], {"axis": 0}),
        ([(1,)], {"axis": 0}),
    ],
}


def cases() -> list[Any]:
    return [
        pytest.param(name, shapes, params, id=f"{name}-{number}")
        for name, many in CASES.items()
        for number, (shapes, params) in enumerate(many)
    ]


def arrays(shapes: Any, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-9, 10, shape).astype(float) for shape in shapes]


def test_every_linear_op_has_a_case() -> None:
    assert {name for name, op in TABLE.items() if op.kind == "linear"} <= set(CASES)


@pytest.mark.parametrize(("name", "shapes", "params"), cases())
def test_the_shape_rule_is_the_shape_of_the_result(name: str, shapes: Any, params: dict[str, Any]) -> None:
    op = TABLE[name]
    assert op.shape(*shapes, **params) == op.kernel(*arrays(shapes, 1), **params).shape


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "shapes", "params"), cases())
def test_the_rule_is_the_transpose(name: str, shapes: Any, params: dict[str, Any], engine: str) -> None:
    """<A x, y> = <x, A' y>, exactly for whole numbers, through the sweep of both engines; and A' is linear again."""
    op = TABLE[name]
    xs = arrays(shapes, 2)
    (y,) = arrays([op.shape(*shapes, **params)], 3)

    def inner(*values: Any) -> Any:
        product = op(*values[:-1], **params) * values[-1]
        return sum_(product, axes=tuple(range(y.ndim)))

    every = range(len(xs) + 1)
    named = [Argument(f"x{i}", x.shape, None) for i, x in enumerate([*xs, y])]
    value, *back, forth = engines.compile(engine, gradient(inner, every), named, np.float64).run(*xs, y)
    assert value == sum((x * b).sum() for x, b in zip(xs, back, strict=True))
    assert [b.shape for b in back] == [x.shape for x in xs]
    assert np.array_equal(forth, op.kernel(*xs, **params))


@pytest.mark.parametrize(("name", "shapes", "params"), cases())
def test_the_transpose_of_the_transpose_is_the_op(name: str, shapes: Any, params: dict[str, Any]) -> None:
    op = TABLE[name]
    xs = arrays(shapes, 4)
    (y,) = arrays([op.shape(*shapes, **params)], 5)
    for i, x in enumerate(xs):
        rule = op.rule(i)
        assert rule is not None
        out, recording, (box,) = record(lambda g, i=i, rule=rule: rule(g, y, *xs, **params), [y], [0])
        if recording.owns(out):
            (again,) = recording.sweep(out, [box], x)
        else:
            again = np.zeros_like(y)
        rest = [np.zeros_like(other) for other in xs]
        rest[i] = x
        assert np.array_equal(again, op.kernel(*rest, **params))


@pytest.mark.parametrize(("name", "shapes", "params"), cases())
def test_single_precision_is_kept(name: str, shapes: Any, params: dict[str, Any]) -> None:
    op = TABLE[name]
    assert op.kernel(*[x.astype(np.float32) for x in arrays(shapes, 6)], **params).dtype == np.float32


@pytest.mark.parametrize(("name", "shapes", "params"), cases())
def test_the_complex_form_is_the_same_map(name: str, shapes: Any, params: dict[str, Any]) -> None:
    op = TABLE[name]
    if op.complex is None:
        return
    xs, ys = arrays(shapes, 7), arrays(shapes, 8)
    got = op.complex(*[x + 1j * y for x, y in zip(xs, ys, strict=True)], **params)
    assert np.array_equal(got.real, op.kernel(*xs, **params))
    assert np.array_equal(got.imag, op.kernel(*ys, **params))
