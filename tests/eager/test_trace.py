"""`trace`: once on symbols, then as a program; and optimizers, which change variables in either way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import tapecli as tp
from tapecli import optimizers
from tapecli.errors import TapeError


def test_a_function_is_traced_once() -> None:
    ran = []

    def f(x: Any, y: Any) -> Any:
        ran.append(1)
        return x * tp.ops.sin(y)

    step = tp.trace(f)
    results = [float(step(k, 0.5)) for k in range(5)]
    assert results == [k * np.sin(0.5) for k in range(5)]
    assert step.traces == len(ran) == 1
    assert step(np.float32(2.0), tp.constant(0.5)) == 2.0 * np.sin(0.5)
    assert step.traces == 1, "another type of number is no other trace"


def test_another_shape_is_another_trace() -> None:
    step = tp.trace(lambda x: tp.ops.sum(x * x))
    assert [float(step(np.arange(n))) for n in (1, 2, 3, 2, 3)] == [0, 1, 5, 1, 5]
    assert step.traces == 3
    assert step(2.0) == 4.0
    assert step.traces == 4


def test_variables_are_read_and_written() -> None:
    x, count = tp.Variable([1.0, 2.0]), tp.Variable(0.0)

    def f(a: Any) -> Any:
        x.assign(x * a)
        count.assign_add(1.0)
        x.assign_sub(1.0)
        return tp.ops.sum(x)

    step = tp.trace(f)
    assert step(2.0) == 4.0
    assert x.numpy().tolist() == [1.0, 3.0]
    assert step(3.0) == 10.0
    assert x.numpy().tolist() == [2.0, 8.0]
    x.assign([0.0, 1.0])  # from outside; the next call sees it
    assert step(5.0) == 3.0
    assert count.numpy() == 3.0
    assert step.traces == 1


def test_results_do_not_change_later() -> None:
    x = tp.Variable(np.ones(4))
    step = tp.trace(lambda: x.assign_add(1.0) * 1.0)
    first = step()
    second = step()
    assert first.tolist() == [2.0] * 4
    assert second.tolist() == [3.0] * 4
    value = x.numpy()
    step()
    assert value.tolist() == [3.0] * 4


class Pair(NamedTuple):
    one: Any
    two: Any


def test_results_have_the_structure_of_the_function() -> None:
    assert tp.trace(lambda x: (x, x * 2.0))(3.0) == (3.0, 6.0)
    assert tp.trace(lambda x: [x])(3.0) == [3.0]
    assert tp.trace(lambda x: {"loss": x, "more": {"twice": [x * 2.0, 7.0]}})(3.0) == {
        "loss": 3.0,
        "more": {"twice": [6.0, 7.0]},
    }
    assert tp.trace(lambda x: Pair(x, (x, None)))(3.0) == Pair(3.0, (3.0, None))
    assert tp.trace(lambda x: None)(3.0) is None
    assert tp.trace(lambda: 5.0)() == 5.0
    v = tp.Variable(2.0)
    assert tp.trace(lambda: v)() == 2.0
    assert tp.trace(lambda: tp.constant([1.0, 2.0]))().tolist() == [1.0, 2.0]


def test_a_tape_inside() -> None:
    x = tp.Variable(3.0)

    def f(a: Any) -> Any:
        with tp.Tape() as tape:
            tape.watch(a)
            y = a * x * x
        return tape.gradient(y, [x, a])

    step = tp.trace(f)
    assert step(2.0) == [12.0, 9.0]
    assert step(1.0) == [6.0, 9.0]
    assert step.traces == 1


def test_second_derivatives_inside() -> None:
    def f(a: Any) -> Any:
        with tp.Tape() as outer:
            outer.watch(a)
            with tp.Tape() as inner:
                inner.watch(a)
                y = tp.ops.sin(a) * a
            g = inner.gradient(y, a)
        return g, outer.gradient(g, a)

    g, h = tp.trace(f)(0.7)
    assert g == pytest.approx(np.cos(0.7) * 0.7 + np.sin(0.7), rel=1e-15)
    assert h == pytest.approx(2 * np.cos(0.7) - 0.7 * np.sin(0.7), rel=1e-15)


def test_a_traced_function_inside_a_tape_is_recorded() -> None:
    x = tp.Variable(3.0)
    f = tp.trace(lambda a: a * x * x)
    assert f(2.0) == 18.0
    with tp.Tape() as tape:
        y = f(2.0) * 10.0
    assert tape.gradient(y, x) == 120.0


def test_a_traced_function_inside_another() -> None:
    square = tp.trace(lambda a: a * a)
    outer = tp.trace(lambda a: square(a + 1.0) * 2.0)
    assert outer(2.0) == 18.0
    assert outer(3.0) == 32.0
    assert outer.traces == 1


@pytest.mark.parametrize("use", [float, np.asarray, lambda x: x.numpy(), bool, lambda x: 1.0 if x > 0 else 2.0])
def test_a_symbol_has_no_number(use: Any) -> None:
    with pytest.raises((TapeError, TypeError)) as caught:
        tp.trace(lambda x: x * use(x))(2.0)
    text = str(caught.value)
    assert "where" in text or "not known" in text


def test_a_variable_has_no_number_while_it_is_traced() -> None:
    """Its number then would be that of one call, kept for all others."""
    x = tp.Variable(2.0)
    with pytest.raises(TapeError, match="not known"):
        tp.trace(lambda: x * float(x))()
    with pytest.raises(TapeError, match="not known"):
        tp.trace(lambda: x * np.asarray(x).sum())()
    assert float(x) == 2.0


def test_an_error_inside_leaves_everything_as_it_was() -> None:
    x = tp.Variable(1.0)

    def f() -> Any:
        x.assign(x * 2.0)
        raise ZeroDivisionError

    step = tp.trace(f)
    with pytest.raises(ZeroDivisionError):
        step()
    assert x.numpy() == 1.0
    assert float(x * 2.0) == 2.0
    assert step.traces == 0


def test_constants_from_outside_are_taken_as_they_are() -> None:
    weights = np.array([1.0, 2.0])
    step = tp.trace(lambda x: tp.ops.sum(x * weights))
    assert step(np.ones(2)) == 3.0
    weights[0] = 5.0  # still writable; the trace keeps what it saw
    assert step(np.ones(2)) == 3.0


def test_precision() -> None:
    step = tp.trace(lambda x: x * 0.1, dtype=np.float32)
    assert step(3.0).dtype == np.float32
    assert step(3.0) == np.float32(3.0) * np.float32(0.1)
    x = tp.Variable(np.float32(1.0))
    tp.trace(lambda: x.assign_add(0.1))()
    assert x.dtype == np.float32
    assert tp.trace(lambda x: x * 0.1, dtype=np.float32, engine="native")(3.0) == np.float32(3.0) * np.float32(0.1)
    with pytest.raises(TapeError, match="does not trace"):
        tp.trace(lambda x: x, engine="tape")(1.0)


# ---- optimizers -------------------------------------------------------------------------------------------------

STEPS = 1000


def quadratic(x: Any) -> Any:
    return tp.ops.pow(x, 2) - 2.0 * x + 1.0


def by_hand(x: tp.Variable, rate: Any) -> None:
    for _ in range(STEPS):
        with tp.Tape() as tape:
            y = quadratic(x)
        x.assign_sub(rate * tape.gradient(y, x))


def by_apply(x: tp.Variable, rate: Any) -> None:
    optimizer = optimizers.SGD(learning_rate=0.01)
    for _ in range(STEPS):
        with tp.Tape() as tape:
            y = quadratic(x)
        optimizer.apply([(tape.gradient(y, x), x)])
    assert float(optimizer.iterations) == STEPS


def by_minimize(x: tp.Variable, rate: Any) -> None:
    optimizer = optimizers.SGD(learning_rate=0.01)
    for _ in range(STEPS):
        optimizer.minimize(lambda: quadratic(x), [x])


def by_trace(x: tp.Variable, rate: Any) -> None:
    optimizer = optimizers.SGD(learning_rate=0.01)
    step = tp.trace(lambda: optimizer.minimize(lambda: quadratic(x), [x]), dtype=x.dtype)
    for _ in range(STEPS):
        step()
    assert step.traces == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_four_ways_of_descent_give_the_same_bits(dtype: str) -> None:
    found = []
    for way in (by_hand, by_apply, by_minimize, by_trace):
        x = tp.Variable(0.0, dtype=dtype)
        way(x, np.asarray(0.01, dtype=dtype))
        assert x.dtype == np.dtype(dtype)
        found.append(x.numpy())
    problem = tp.parse("var x = 0\nminimize x^2 - 2*x + 1 using sgd(learning_rate=0.01), steps=1000", dtype=dtype)
    found.append(problem.minimize().at["x"])
    assert len({value.tobytes() for value in found}) == 1, found
    if dtype == "float32":
        assert f"{float(found[0]):.9f}" == "0.999998569"
    else:
        assert float(found[0]) == pytest.approx(1.0 - 0.98**1000, rel=1e-13)


@pytest.mark.parametrize("name", optimizers.CONSTRUCTORS)
def test_eager_and_traced_steps_agree(name: str) -> None:
    def run(traced: bool) -> list[Any]:
        x, y = tp.Variable([1.0, -2.0]), tp.Variable(np.full((2, 2), 0.5))
        optimizer = optimizers.CONSTRUCTORS[name]()
        losses = []

        def step() -> Any:
            return optimizer.minimize(lambda: tp.ops.sum(x * x) * tp.ops.sum(y * y) + tp.ops.sum(tp.ops.sin(y)), [x, y])

        call = tp.trace(step) if traced else step
        for _ in range(7):
            losses.append(float(call()))
        assert float(optimizer.iterations) == 7
        return [*losses, x.numpy(), y.numpy()]

    for one, two in zip(run(False), run(True), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-13, atol=1e-15)


def test_minimize_answers_with_the_value_before_the_step() -> None:
    x = tp.Variable(3.0)
    optimizer = optimizers.SGD(learning_rate=0.5)
    assert optimizer.minimize(lambda: x * x, [x]) == 9.0
    assert x.numpy() == 0.0
    assert optimizer.options["learning_rate"] == 0.5


def test_the_state_belongs_to_the_optimizer() -> None:
    x, y = tp.Variable(1.0), tp.Variable(1.0)
    one, two = optimizers.SGD(learning_rate=0.1, momentum=0.9), optimizers.SGD(learning_rate=0.1, momentum=0.9)
    for _ in range(3):
        one.minimize(lambda: x * x, [x])
        two.minimize(lambda: y * y, [y])
    assert x.numpy() == y.numpy()
    velocity, position = 0.0, 1.0
    for _ in range(3):
        velocity = 0.9 * velocity - 0.1 * 2.0 * position
        position += velocity
    assert x.numpy() == pytest.approx(position, rel=1e-14)


def test_what_an_optimizer_refuses() -> None:
    x = tp.Variable(1.0)
    optimizer = optimizers.SGD(learning_rate=0.1)
    with pytest.raises(TapeError, match="changes variables"):
        optimizer.apply([(1.0, tp.constant(1.0))])
    with pytest.raises(TapeError, match="no gradient"):
        optimizer.apply([(None, x)])
    optimizer.apply([])
    assert x.numpy() == 1.0
    with pytest.raises(TapeError):
        optimizers.SGD(learning_rat=0.1)
