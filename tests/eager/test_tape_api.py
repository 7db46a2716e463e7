"""The Python API's tape, variables and constants, as people know them from GradientTape."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest

import tapecli as tp
from tapecli.errors import TapeError


def test_the_example_of_the_api() -> None:
    x, a = tp.Variable(0.0), tp.constant(1.0)
    with tp.Tape(persistent=True) as tape:
        y = a * tp.ops.pow(x, 2) - 2.0 * x + 1.0
    dy_dx, dy_da = tape.gradient(y, [x, a])
    assert dy_dx == -2.0
    assert dy_da == 0.0  # a was not watched
    assert tape.gradient(y, a, unconnected="none") is None


def test_constants_are_watched_when_asked() -> None:
    x, a = tp.Variable(3.0), tp.constant(2.0)
    with tp.Tape() as tape:
        tape.watch(a)
        y = a * x
    assert tape.gradient(y, [x, a]) == [2.0, 3.0]


def test_variables_are_watched_only_where_the_tape_does_so() -> None:
    x, z = tp.Variable(3.0), tp.Variable(5.0)
    with tp.Tape(watch_variables=False) as tape:
        tape.watch(x)
        y = x * z
    assert tape.gradient(y, [x, z], unconnected="none") == [5.0, None]


def test_watching_counts_from_there_on() -> None:
    a = tp.constant(3.0)
    with tp.Tape() as tape:
        before = a * a
        tape.watch(a)
        after = a * before
    assert tape.gradient(after, a) == 9.0


def test_a_tape_gives_one_answer() -> None:
    x = tp.Variable(3.0)
    with tp.Tape() as tape:
        y = x * x
    assert tape.gradient(y, x) == 6.0
    with pytest.raises(TapeError, match="one answer") as caught:
        tape.gradient(y, x)
    assert caught.value.code == "usage"
    assert caught.value.hint is not None
    assert "persistent=True" in caught.value.hint
    with pytest.raises(TapeError, match="entered once"), tape:
        pass


def test_a_persistent_tape_gives_many() -> None:
    x = tp.Variable(3.0)
    with tp.Tape(persistent=True) as tape:
        y = x * x
        z = y * y
    assert [float(tape.gradient(t, x)) for t in (z, y, z)] == [108.0, 6.0, 108.0]
    assert tape.gradient(z, y) == 18.0  # to an intermediate
    assert tape.gradient(z, [y, x]) == [18.0, 108.0]


def test_reset_forgets() -> None:
    x = tp.Variable(3.0)
    with tp.Tape(persistent=True) as tape:
        y = x * x
        tape.reset()
        z = x * 2.0
        w = y * x  # y is a number by now
    assert tape.gradient(z, x) == 2.0
    assert tape.gradient(w, x) == 9.0
    assert tape.gradient(y, x) == 0.0


def test_reset_keeps_the_order_of_nesting() -> None:
    x, c = tp.Variable(3.0), tp.constant(2.0)
    with tp.Tape(persistent=True) as outer, tp.Tape(persistent=True) as inner:
        outer.reset()
        outer.watch(c)  # a value of the outer tape alone meets one of both
        z = c * (x * x)
        g = inner.gradient(z, x)
    assert float(g) == 12.0
    assert outer.gradient(g, [x, c]) == [4.0, 6.0]


def test_stop_recording() -> None:
    x = tp.Variable(3.0)
    with tp.Tape() as tape:
        y = x * x
        with tape.stop_recording():
            factor = x * y  # a number to this tape
        z = y * factor
    assert tape.gradient(z, x) == 6.0 * 27.0


def test_stop_recording_ends_with_its_block_after_an_error() -> None:
    x = tp.Variable(3.0)
    with tp.Tape() as tape:
        with pytest.raises(ZeroDivisionError), tape.stop_recording():
            raise ZeroDivisionError
        y = x * x
    assert tape.gradient(y, x) == 6.0


def test_tapes_nest() -> None:
    x = tp.Variable(0.5)
    with tp.Tape() as third, tp.Tape() as second:
        with tp.Tape() as first:
            y = tp.ops.exp(2.0 * x)
        g = first.gradient(y, x)
        h = second.gradient(g, x)
    assert third.gradient(h, x) == pytest.approx(8.0 * math.e, rel=1e-14)


def test_tapes_nest_in_the_order_they_are_entered() -> None:
    """The inner tape was made first; what was computed before it still counts for the outer one."""
    x = tp.Variable(3.0)
    inner, outer = tp.Tape(), tp.Tape()
    with outer:
        y = x * x
        with inner:
            z = y * x
        g = inner.gradient(z, x)  # y, whatever it is made of
    assert float(g) == 9.0
    assert outer.gradient(g, x) == 6.0


def test_after_an_error_nothing_is_left_open() -> None:
    x = tp.Variable(3.0)
    with pytest.raises(ZeroDivisionError), tp.Tape():
        raise ZeroDivisionError
    y = x * x
    assert isinstance(y, (float, np.floating, np.ndarray))


def test_what_happens_after_the_block_is_not_recorded() -> None:
    x = tp.Variable(3.0)
    with tp.Tape(persistent=True) as tape:
        y = x * x
    z = y * x
    assert tape.gradient(z, x) == 0.0
    assert float(z) == 27.0


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize("kind", [list, tuple, lambda s: Pair(*s)])
def test_answers_have_the_structure_of_the_sources(kind: Any) -> None:
    x, y = tp.Variable(3.0), tp.Variable([1.0, 2.0])
    with tp.Tape() as tape:
        z = x * tp.ops.sum(y)
    sources = kind([x, y])
    found = tape.gradient(z, sources)
    assert type(found) is type(sources)
    assert found[0] == 3.0
    assert found[1].tolist() == [3.0, 3.0]


def test_the_same_source_twice_and_none_at_all() -> None:
    x = tp.Variable(3.0)
    with tp.Tape(persistent=True) as tape:
        y = x * x
    assert tape.gradient(y, [x, x]) == [6.0, 6.0]
    assert tape.gradient(y, []) == []


def test_unconnected_sources() -> None:
    x, z = tp.Variable(3.0), tp.Variable(np.ones((2, 3), dtype=np.float32))
    with tp.Tape(persistent=True) as tape:
        y = x * x
        _ = z * 2.0
    zero = tape.gradient(y, z)
    assert zero.shape == (2, 3)
    assert zero.dtype == np.float32
    assert not zero.any()
    assert tape.gradient(y, [x, z], unconnected="none") == [6.0, None]
    with pytest.raises(TapeError, match="does not depend on") as caught:
        tape.gradient(y, z, unconnected="error")
    assert caught.value.code == "value"
    assert tape.jacobian(y, z).shape == (2, 3)
    with pytest.raises(TapeError, match="'zero', 'none' or 'error'"):
        tape.gradient(y, z, unconnected="zeros")
    assert tape.gradient(y, x) == 6.0, "an error uses nothing up"


def test_an_array_has_no_gradient_without_a_seed() -> None:
    x = tp.Variable([1.0, 2.0])
    with tp.Tape(persistent=True) as tape:
        y = x * x
    with pytest.raises(TapeError, match="derivative of a number") as caught:
        tape.gradient(y, x)
    assert caught.value.code == "shape"
    assert tape.gradient(y, x, seed=[1.0, 10.0]).tolist() == [2.0, 40.0]
    with pytest.raises(TapeError, match="seed has shape"):
        tape.gradient(y, x, seed=np.ones(3))


def test_a_seed_of_a_number() -> None:
    x = tp.Variable(3.0)
    with tp.Tape() as tape:
        y = x * x
    assert tape.gradient(y, x, seed=np.float64(0.5)) == 3.0


def test_jacobian() -> None:
    x, s = tp.Variable([1.0, 2.0, 3.0]), tp.Variable(2.0)
    with tp.Tape(persistent=True) as tape:
        y = tp.ops.concat(x * s, tp.ops.reshape(tp.ops.sum(x), shape=(1,)), axis=0)
    jx, js = tape.jacobian(y, [x, s])
    assert jx.tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2], [1, 1, 1]]
    assert js.tolist() == [1, 2, 3, 0]
    assert tape.jacobian(s * 1.0, x).shape == (3,)


@pytest.mark.parametrize("make", [tp.Variable, tp.constant])
def test_integers_have_no_derivative(make: Any) -> None:

    def use() -> None:
        tp.Tape().watch(make(1))

    with pytest.raises(TapeError, match="integer") as caught:
        use()
    assert caught.value.code == "type"
    assert caught.value.hint is not None
    assert "1.0" in caught.value.hint


def test_what_cannot_be_a_source_or_watched() -> None:
    x = tp.Variable(3.0)
    with tp.Tape(persistent=True) as tape:
        y = x * x
        with pytest.raises(TapeError, match="watches constants and variables"):
            tape.watch(3.0)
    for source in (3.0, np.ones(2), "x"):
        with pytest.raises(TapeError, match="a source is"):
            tape.gradient(y, source)


def test_a_target_that_is_a_source() -> None:
    x, a = tp.Variable(3.0), tp.constant(2.0)
    with tp.Tape(persistent=True) as tape:
        y = x
        z = x * a
    assert tape.gradient(z, z) == 1.0
    assert tape.gradient(y, x) == 1.0
    assert tape.gradient(a, a) == 0.0
    with tp.Tape() as untouched:
        y = x
    assert untouched.gradient(y, x) == 1.0
    assert tape.gradient(np.float64(3.0), x) == 0.0


def test_variables_assigned_between_uses() -> None:
    x = tp.Variable(2.0)
    with tp.Tape(persistent=True) as tape:
        y = x * x  # 2x at 2
        x.assign(5.0)
        z = y + x * x  # and 2x at 5
        x.assign_add(1.0)
    assert float(x) == 6.0
    assert tape.gradient(z, x) == 4.0 + 10.0
    x.assign_sub(np.float64(0.5))
    assert x.numpy() == 5.5
    with pytest.raises(TapeError, match="cannot be set to shape"):
        x.assign([1.0, 2.0])
    assert x.assign(tp.constant(1.0)) is x


def test_the_type_of_a_variable_stays() -> None:
    x = tp.Variable(np.float32(2.0))
    x.assign(np.float64(1.0) / 3.0)
    assert x.dtype == np.float32
    assert x.numpy() == np.float32(1.0 / 3.0)
    assert tp.Variable(1, dtype=np.float32).dtype == np.float32
    assert tp.Variable([1.0, 2.0]).dtype == np.float64


def test_numbers_of_a_variable_are_copies() -> None:
    start = np.array([1.0, 2.0])
    x = tp.Variable(start)
    start[0] = 9.0
    x.numpy()[1] = 9.0
    assert x.numpy().tolist() == [1.0, 2.0]
    assert np.asarray(x).tolist() == [1.0, 2.0]


def test_operators_and_numpy_on_either_side() -> None:
    x = tp.Variable([1.0, 4.0])
    two = np.array([2.0, 2.0])
    with tp.Tape(persistent=True) as tape:
        results = [
            two * x,
            x * two,
            np.float64(2.0) * x,
            2 - x,
            x / two,
            two / x,
            -x,
            +x * 1.0,
            abs(x),
            x**2,
            two**x,
            x**0.5,
        ]
        inside = x[1] * x[0]
        part = tp.ops.sum(x[::-1][:1] * 3.0)
        less = x < 2.0
    wanted = [[2, 2], [2, 2], [2, 2], [-1, -1], [0.5, 0.5], [-2, -0.125], [-1, -1], [1, 1], [1, 1], [2, 8]]
    wanted += [[2 * math.log(2), 16 * math.log(2)], [0.5, 0.25]]
    for result, slope in zip(results, wanted, strict=True):
        assert tape.gradient(result, x, seed=np.ones(2)).tolist() == slope
    assert tape.gradient(inside, x).tolist() == [4.0, 1.0]
    assert tape.gradient(part, x).tolist() == [0.0, 3.0]
    assert np.asarray(less).tolist() == [1.0, 0.0]
    assert [float(v) for v in x] == [1.0, 4.0]


def test_no_derivative_warns() -> None:
    x = tp.Variable([0.0, 4.0])
    with tp.Tape(persistent=True) as tape:
        y = tp.ops.sum(tp.ops.sqrt(x))
    assert tape.gradient(y, x).tolist() == [math.inf, 0.25]
    with tp.Tape() as outer:
        with tp.Tape() as tape:
            y = tp.ops.sum(tp.ops.sqrt(x))
        g = tape.gradient(y, x)
        total = tp.ops.sum(g)
    assert outer.gradient(total, x).tolist() == [-math.inf, -1 / 32]


def test_variables_do_not_begin_with_symbols() -> None:
    with pytest.raises(TapeError, match="begins with a number"):
        tp.trace(lambda x: tp.Variable(x) * 2.0)(1.0)
    x = tp.Variable(2.0)
    with tp.Tape():
        assert tp.Variable(x * 3.0).numpy() == 6.0


def test_handles_read_well() -> None:
    assert repr(tp.Variable(2.0)) == "variable(array(2.))"
    assert repr(tp.constant(2.0)) == "constant(array(2.))"
    with pytest.raises(TypeError, match="truth"):
        bool(tp.Variable(1.0))
