"""The tape and the derivatives made of it: nesting, masks, identities between derivatives, absent ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapecli import derive, ops
from tapecli.core import Masked
from tapecli.graph import Graph, replay
from tapecli.tape import Box, Recording, number_of


def slope(f: Any, order: int = 1) -> Any:
    """The derivative of a function of one number, of any order, by nesting tapes."""
    for _ in range(order):
        f = (lambda inner: lambda x: derive.gradient(inner, [0])(x)[1])(f)
    return f


def a(*values: Any) -> Any:
    return np.asarray(values[0] if len(values) == 1 else values, dtype=np.float64)


@pytest.mark.parametrize(
    ("f", "third"),
    [
        (lambda x: x * x * x * x, lambda x: 24 * x),
        (lambda x: ops.exp(2.0 * x), lambda x: 8 * math.exp(2 * x)),
        (lambda x: ops.sin(x) * x, lambda x: -3 * math.sin(x) - x * math.cos(x)),
        (lambda x: 1.0 / x, lambda x: -6 / x**4),
        (lambda x: ops.log(x), lambda x: 2 / x**3),
        (lambda x: ops.pow(x, 5), lambda x: 60 * x**2),
        (lambda x: ops.where(ops.less(0.0, x), x * x * x, ops.sqrt(x)), lambda x: 6.0),
        (lambda x: ops.sum(ops.stack(x, x * x, x * x * x)), lambda x: 6.0),
        (lambda x: ops.prod(ops.stack(x, x, x)), lambda x: 6.0),
    ],
)
def test_tapes_nest_to_third_order(f: Any, third: Any) -> None:
    assert slope(f, 3)(a(0.7)) == pytest.approx(third(0.7), rel=1e-13)


def test_nested_tapes_do_not_confuse_their_variables() -> None:
    """d/dx (x · d/dy (x + y)) = 1: the classic of perturbation confusion."""
    found = slope(lambda x: x * slope(lambda y: x + y)(a(1.0)))(a(1.0))
    assert found == 1.0
    found = slope(lambda x: x * slope(lambda y: x * y * y)(x))(a(3.0))
    assert found == pytest.approx(3 * 2 * 9.0)  # d/dx (x · 2x·x)


def test_a_variable_of_an_outer_tape_inside_an_inner_one() -> None:
    outer, x = Recording(), None
    x = outer.watch(a(2.0))
    inner = Recording()
    y = inner.watch(x)
    z = y * y * x
    (g,) = inner.sweep(z, [y], a(1.0))
    assert isinstance(g, Box)
    assert outer.owns(g)
    (second,) = outer.sweep(g, [x], a(1.0))
    assert number_of(g) == 8.0
    assert second == 8.0  # d/dx of 2·x·x, y standing for x


def test_what_nothing_rests_on_is_zero() -> None:
    value, gx, gy = derive.gradient(lambda x, y: ops.sum(x) * 1.0, [0, 1])(a(1, 2), a([1, 2, 3]))
    assert value == 3.0
    assert gx.tolist() == [1.0, 1.0]
    assert gy.tolist() == [0.0, 0.0, 0.0]
    assert derive.gradient(lambda x: a(5.0), [0])(a(1.0)) == [5.0, 0.0]
    (_, hessian) = derive.hessian(lambda x: ops.sum(x), [0])(a(1, 2))[1:]
    assert hessian.tolist() == [[0, 0], [0, 0]]
    assert derive.jvp(lambda x: a(5.0), [0])(a(1.0), a(2.0))[1] == 0.0
    assert derive.jacobian(lambda x: a(1.0, 2.0), [0])(a([1.0]))[1].tolist() == [[0.0], [0.0]]
    assert derive.jacobian(lambda x: np.zeros(0), [0])(a([1.0]))[1].shape == (0, 1)


def test_a_sweep_answers_none_for_what_it_does_not_reach() -> None:
    tape = Recording()
    x, y, z = (tape.watch(a(v)) for v in (1.0, 2.0, 3.0))
    target = x * y
    _ = target * z
    assert tape.sweep(target, [x, y, z], a(1.0)) == [2.0, 1.0, None]
    assert tape.sweep(x, [x, y], a(1.0)) == [1.0, None]
    assert tape.sweep(target, [], a(1.0)) == []
    assert tape.sweep(target, [target, x], a(5.0)) == [5.0, 10.0]


def test_stop_floor_and_comparisons_are_not_recorded() -> None:
    tape = Recording()
    x = tape.watch(a(1.5))
    before = len(tape.entries)
    for result in (ops.stop(x), ops.floor(x), ops.less(x, 2.0), ops.sign(x), ops.logical_not(x)):
        assert not isinstance(result, Box)
    assert len(tape.entries) == before
    tape.active = False
    assert not isinstance(x * 2.0, Box)


# ---- choices ----------------------------------------------------------------------------------------------------


def test_the_branch_not_taken_is_absent() -> None:
    """sqrt at a negative number, its derivative nan, contributes nothing at any order."""

    def f(x: Any) -> Any:
        return ops.where(ops.less(0.0, x), ops.sqrt(x), x * x)

    for order, wanted in ((1, -4.0), (2, 2.0), (3, 0.0)):
        with np.errstate(all="ignore"):
            assert slope(f, order)(a(-2.0)) == wanted


def test_masks_are_joined_where_branches_share_a_value() -> None:
    def f(x: Any) -> Any:
        root = ops.sqrt(x)
        other = ops.where(ops.less(1.0, x), root, 0.0)
        return ops.sum(ops.where(ops.less(0.0, x), root, 0.0) + other * 2.0)

    with np.errstate(all="ignore"):
        _, g = derive.gradient(f, [0])(a(-1.0, 0.25, 4.0))
    assert g.tolist() == [0.0, 1.0, 0.75]


def test_masks_are_narrowed_where_a_number_was_repeated() -> None:
    def f(s: Any, x: Any) -> Any:
        return ops.sum(ops.where(ops.less(0.0, x), s * ops.log(x), s * 3.0))

    with np.errstate(all="ignore"):
        _, gs, gx = derive.gradient(f, [0, 1])(a(2.0), a(-1.0, 1.0, math.e))
    assert gs == pytest.approx(3.0 + 0.0 + 1.0)
    assert gx.tolist() == [0.0, 2.0, pytest.approx(2.0 / math.e)]


@pytest.mark.parametrize("condition", [[1.0, -1.0], [2.0, -2.0], [-1.0, 0.5], [np.nan, 1.0]])
def test_conditions_of_any_sign_do_not_cancel(condition: list[float]) -> None:
    """A condition that is a number is true where it is not 0; the masks made of it are counted, not added."""
    c = a(*condition)
    with np.errstate(all="ignore"):
        _, g = derive.gradient(lambda x: ops.sum(ops.where(c, x * x, 0.0)), [0])(a(2.0))
        _, g_sum = derive.gradient(
            lambda x: ops.sum(ops.where(c, ops.broadcast(ops.sum(x * x), shape=(2,)), 0.0)), [0]
        )(a(1.0, 2.0))
    assert g == 8.0
    assert g_sum.tolist() == [4.0, 8.0]


MOVES = {
    "reshape": lambda x: ops.reshape(x, shape=(2, 2)),
    "transpose": lambda x: ops.transpose(ops.reshape(x, shape=(2, 2)), axes=(1, 0)),
    "reverse": lambda x: x[::-1],
    "slice": lambda x: x[1:4],
    "broadcast": lambda x: ops.broadcast(x, shape=(3, 4)),
    "sum": lambda x: ops.sum(ops.reshape(x, shape=(2, 2)), axis=0),
    "concat": lambda x: ops.concat(x, x * 2.0, axis=0),
    "stack": lambda x: ops.stack(x, x),
    "norm": lambda x: ops.norm(ops.reshape(x, shape=(2, 2)), axis=1),
    "max": lambda x: ops.max(x) * x,
    "prod": lambda x: ops.prod(x) * x,
}


@pytest.mark.parametrize("name", MOVES)
def test_masks_travel_through_linear_and_dense_ops(name: str) -> None:
    """`if c then move(log(x)) else 0` has the derivative of the entries taken, wherever c is false."""
    x0 = a(-1.0, 2.0, 3.0, 0.5)
    shape = MOVES[name](x0).shape
    rng = np.random.default_rng(1)
    condition = rng.integers(0, 2, size=shape).astype(float)
    safe = ops.less(0.0, x0)

    def f(x: Any) -> Any:
        inner = ops.where(safe, ops.log(x), 0.0)
        return ops.sum(ops.where(condition, MOVES[name](inner), 7.0))

    def g(x: Any) -> Any:  # the same with the condition as a factor, at safe numbers
        inner = ops.log(ops.where(safe, x, 1.0))
        return ops.sum(MOVES[name](inner) * condition)

    with np.errstate(all="ignore"):
        _, masked, block = derive.hessian(f, [0])(x0)
    _, plain, wanted = derive.hessian(g, [0])(x0)
    np.testing.assert_allclose(masked, plain, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(block, wanted, rtol=1e-12, atol=1e-12)


def test_a_bad_branch_behind_any_linear_op_stays_absent() -> None:
    """The whole branch is bad, and none of it is taken."""
    for name, move in MOVES.items():
        with np.errstate(all="ignore"):
            _, g = derive.gradient(
                lambda x, move=move: ops.sum(ops.where(a(0.0), ops.sum(move(ops.sqrt(x))), ops.sum(x))), [0]
            )(a(-1.0, -2.0, -3.0, 0.0))
        assert g.tolist() == [1.0] * 4, name


def test_rules_answer_with_masks_only_for_choices() -> None:
    rule = ops.where.rule(1)
    assert rule is not None
    assert isinstance(rule(1.0, None, 1.0, 2.0, 3.0), Masked)
    assert ops.where.rule(0) is None


# ---- identities -------------------------------------------------------------------------------------------------


def mixed(x: Any, y: Any) -> Any:
    return (
        ops.sum(ops.sin(x) * y)
        + ops.prod(x) * ops.exp(y)
        + ops.norm(x) * ops.sum(ops.cumsum(x, 0) if hasattr(ops, "cumsum") else x)
    )


def vector(x: Any, y: Any) -> Any:
    return ops.concat(ops.exp(x) * y, x[::-1] * x, axis=0)


numbers = st.lists(st.floats(-2, 2), min_size=9, max_size=9)


@given(numbers)
def test_derivatives_are_consistent(values: list[float]) -> None:
    """H v from hvp, from the Hessian, and as the Jacobian of the gradient; J v from jvp and from the Jacobian."""
    x, y, dx, dy = a(*values[:3]) + 0.01, a(values[3]), a(*values[4:7]), a(values[7])
    _, gx, gy, hxx, hxy, hyx, hyy = derive.hessian(mixed, [0, 1])(x, y)
    value, px, py, vx, vy = derive.hvp(mixed, [0, 1])(x, y, dx, dy)
    assert value == mixed(x, y)
    np.testing.assert_array_equal(px, gx)
    np.testing.assert_array_equal(py, gy)
    near = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(hxx @ dx + hxy * dy, vx, **near)
    np.testing.assert_allclose(hyx @ dx + hyy * dy, vy, **near)
    np.testing.assert_allclose(hxx, hxx.T, **near)
    np.testing.assert_allclose(hxy, hyx, **near)
    _, jacobian = derive.jacobian(lambda x, y: derive.gradient(mixed, [0])(x, y)[1], [0])(x, y)
    np.testing.assert_allclose(jacobian, hxx, **near)
    v, jx, jy = derive.jacobian(vector, [0, 1])(x, y)
    same, along = derive.jvp(vector, [0, 1])(x, y, dx, dy)
    np.testing.assert_array_equal(v, same)
    np.testing.assert_allclose(jx @ dx + jy * dy, along, **near)
    seed = np.arange(6.0)
    tape = Recording()
    (box,) = [tape.watch(x)]
    (pulled,) = tape.sweep(vector(box, y), [box], seed)
    np.testing.assert_allclose(pulled, seed @ jx, **near)


def test_shapes_of_derivatives() -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    _, j = derive.jacobian(lambda m: ops.sum(m, axis=0) * 2.0, [0])(matrix)
    assert j.shape == (3, 2, 3)
    _, g, h = derive.hessian(lambda m: ops.sum(m * m * m), [0])(matrix)
    assert g.shape == (2, 3)
    assert h.shape == (2, 3, 2, 3)
    np.testing.assert_allclose(np.einsum("ijij->ij", h), 6 * matrix)
    _, jx = derive.jacobian(lambda x: x * x, [0])(a(3.0))
    assert jx.shape == ()
    assert jx == 6.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["gradient", "hessian", "jacobian"])
def test_precision_is_kept(kind: str, dtype: str) -> None:
    x, y = np.asarray([0.5, 1.5, -0.25], dtype=dtype), np.asarray(0.3, dtype=dtype)
    for result in getattr(derive, kind)(mixed, [0, 1])(x, y):
        assert np.asarray(result).dtype == np.dtype(dtype)


def test_the_same_text_builds_a_graph() -> None:
    graph = Graph()
    nodes = [graph.input("x", (3,)), graph.input("y", ())]
    outputs = derive.hessian(mixed, [0, 1])(*nodes)
    x, y = a(0.5, -1.5, 2.0), a(0.3)
    wanted = derive.hessian(mixed, [0, 1])(x, y)
    found = replay(outputs, dict(zip(nodes, (x, y), strict=True)), lambda value: value)
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-14, atol=1e-15)


def test_derivatives_to_nodes_of_a_formula() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    inside = x * x
    z = ops.exp(inside) * y
    found = [derive.nodes_gradient(z, n) for n in (x, inside, y)]
    assert derive.nodes_gradient(y, x) is None
    assert derive.nodes_jacobian(y, x) is None
    assert derive.nodes_jvp(y, x, graph.literal(1.0)) is None
    numbers = replay([n for n in found if n is not None], {x: a(0.5), y: a(2.0)}, lambda value: value)
    e = math.exp(0.25)
    assert numbers == [pytest.approx(2 * e), pytest.approx(2 * e), pytest.approx(e)]


def test_broadcasting_is_undone() -> None:
    x, y, z = np.ones((2, 3)), np.ones((3,)) * 2.0, np.ones((2, 1)) * 3.0
    _, gx, gy, gz = derive.gradient(lambda x, y, z: ops.sum(x * y * z), [0, 1, 2])(x, y, z)
    assert gx.tolist() == [[6.0] * 3] * 2
    assert gy.tolist() == [6.0] * 3
    assert gz.tolist() == [[6.0], [6.0]]
