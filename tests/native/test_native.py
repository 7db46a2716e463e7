"""What is special about machine code: threads, memory that is handed out, NumPy's ops in between, other machines."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli import derive, engines, ops
from tapecli.engines import Argument, How, Stepping, native
from tapecli.engines.native import program, threads
from tapecli.engines.native.host import Host, host

NO_CACHE = How(1, cache=False)


def compiled(f: Any, *shapes: tuple[int, ...], dtype: Any = np.float64, how: How = NO_CACHE) -> Any:
    arguments = [Argument(f"a{k}", shape, None) for k, shape in enumerate(shapes)]
    made = engines.compile("native", f, arguments, np.dtype(dtype), how=how)
    assert made.engine == "native"
    return made


# ---- threads ----


@pytest.mark.parametrize("n", [1, 31, 4096, 4097, 50_000])
def test_the_number_of_threads_does_not_show(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LEAST", 0.0)

    def f(x: Any, w: Any) -> list[Any]:
        y = ops.exp(x * 0.1) * x
        rows = ops.sum(ops.reshape(x, shape=(n, 1)) * w, axis=0)
        return [ops.sum(y), y + ops.sum(x), ops.max(y), rows]

    x, w = np.random.default_rng(5).normal(size=n), np.arange(3.0)
    found = [compiled(f, (n,), (3,), how=How(k, cache=False)).run(x, w) for k in (1, 2, 3, 8)]
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(found[0][0], np.sum(np.exp(x * 0.1) * x), rtol=1e-13)


def test_blocks_are_shared_out_whole() -> None:
    for blocks in range(1, 20):
        for count in range(1, 9):
            ranges = threads.shares(blocks, count)
            assert ranges[0][0] == 0 and ranges[-1][1] == blocks
            assert all(a[1] == b[0] and a[0] < a[1] for a, b in itertools.pairwise(ranges))


def test_what_a_helping_thread_raises_is_raised() -> None:
    def fail() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        threads.together([lambda: None, fail])


# ---- sums ----


def test_sums_keep_more_digits_than_plain_ones() -> None:
    from fractions import Fraction

    x = np.random.default_rng(2).normal(size=200_001) * 10.0 ** np.random.default_rng(3).uniform(-8, 8, 200_001)
    exact = float(sum((Fraction(v) for v in x.tolist()), Fraction(0)))
    (found,) = compiled(lambda x: [ops.sum(x)], x.shape).run(x)
    assert abs(found - exact) <= abs(np.sum(x) - exact) + 4 * np.spacing(abs(exact))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (1,), (5, 1), (1, 7), (33, 50), (7, 9, 11), (2, 3, 4, 5)])
def test_sums_along_every_axis(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).normal(size=shape)
    for axes in [(k,) for k in range(len(shape))] + [tuple(range(len(shape)))]:
        (found,) = compiled(lambda x, axes=axes: [ops.sum(x * 2.0, axis=axes)], shape).run(x)
        np.testing.assert_allclose(found, (2.0 * x).sum(axis=axes), rtol=0, atol=1e-13)


# ---- vectors that are not whole ----


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_masked_tails_have_the_same_entries_and_write_no_others(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every number of entries that is left after whole vectors, one by one and with rows."""
    whole: list[Any] = []

    def with_a_border(size: int, dtype: Any) -> Any:
        whole.append((np.full(size + 256, 7.0, dtype), size))
        return whole[-1][0][:size]

    monkeypatch.setattr(program, "aligned", with_a_border)

    def f(x: Any, m: Any) -> list[Any]:
        y = ops.sin(x) * ops.exp(-x * x) + ops.log(1.0 + x * x) + ops.tanh(x)
        return [y, ops.sum(y), ops.exp(m), ops.sum(m, axis=1), ops.max(m, axis=0)]

    rng = np.random.default_rng(4)
    x, m = rng.normal(size=700).astype(dtype), rng.normal(size=(3, 700)).astype(dtype)
    y, _, e, _, top = compiled(f, (700,), (3, 700), dtype=dtype).run(x, m)
    for n in (*range(1, 10), 15, 16, 17, 24, 31, 32, 33, 40, 47, 63, 64, 65, 129, 257, 321):
        found = compiled(f, (n,), (3, n), dtype=dtype).run(x[:n], m[:, :n])
        assert found[0].tobytes() == y[:n].tobytes()
        assert found[2].tobytes() == np.ascontiguousarray(e[:, :n]).tobytes()
        assert found[4].tobytes() == top[:n].tobytes()
        near = 4e-16 if dtype == np.float64 else 3e-7
        np.testing.assert_allclose(found[1], np.sum(y[:n], dtype=np.float64), rtol=0, atol=near * np.abs(y[:n]).sum())
        np.testing.assert_allclose(
            found[3], np.sum(m[:, :n], axis=1, dtype=np.float64), rtol=0, atol=near * np.abs(m[:, :n]).sum()
        )
    assert any(size > 256 for _, size in whole)
    assert all((array[size:] == 7.0).all() for array, size in whole)


# ---- memory ----


def test_large_results_are_not_written_over_while_they_are_held() -> None:
    made = compiled(lambda x: [x + 1.0, ops.sum(x)], (1000,))
    x = np.arange(1000.0)
    first, _ = made.run(x)
    second, _ = made.run(x + 1.0)
    view = second[10:20]
    del second
    third, _ = made.run(x + 2.0)
    assert first[0] == 1.0 and view[0] == 12.0 and third[0] == 3.0


def test_arguments_of_any_kind_are_taken() -> None:
    made = compiled(lambda x: [x * 2.0], (4,))
    assert made.run([1, 2, 3, 4])[0].tolist() == [2, 4, 6, 8]
    assert made.run(np.arange(8.0)[::2])[0].tolist() == [0, 4, 8, 12]
    assert made.run(np.arange(4, dtype=np.float32))[0].dtype == np.float64
    large = compiled(lambda x: [ops.sum(x)], (1000,))
    assert large.run(np.arange(2000.0)[::2])[0] == 999_000.0
    assert large.run(np.arange(1000)[::-1])[0] == 499_500.0


def test_ops_that_numpy_runs_stand_between_passes() -> None:
    def f(a: Any) -> list[Any]:
        inverse = ops.inv(a + ops.transpose(a, axes=(1, 0)))
        return [ops.sum(ops.exp(inverse * 0.1)), ops.transpose(inverse, axes=(1, 0)), inverse]

    a = np.random.default_rng(4).normal(size=(5, 5))
    made = compiled(f, (5, 5))
    wanted = np.linalg.inv(a + a.T)
    for _ in range(3):
        total, turned, inverse = made.run(a)
        np.testing.assert_allclose(inverse, wanted, rtol=1e-10)
        np.testing.assert_allclose(turned, wanted.T, rtol=1e-10)
        np.testing.assert_allclose(total, np.exp(wanted * 0.1).sum(), rtol=1e-12)


# ---- where nothing can be compiled ----


@pytest.mark.parametrize("lack", ["library", "processor"])
def test_without_a_compiler_numpy_runs_and_says_so_once(lack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise ImportError("no llvmlite")

    if lack == "library":
        monkeypatch.setattr(native.build, "llvm_version", missing)
    else:
        monkeypatch.setattr(native, "host", lambda: None)
    monkeypatch.setattr(native, "_told", [])
    p = tp.parse("var x = 3\nx^2", engine="native")
    with pytest.warns(tp.TapeWarning, match="NumPy program runs instead") as told:
        result = p.derivatives()
    assert len(told) == 1
    assert (result.value, result.engine) == (9.0, "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tp.parse("var x = 3\nx^3", engine="native").value() == 27.0


def test_this_machine_is_known() -> None:
    found = host()
    assert isinstance(found, Host)
    assert found.bytes in (16, 32, 64)


# ---- loops ----


def descent(x: Any, y: Any, k: Any) -> list[Any]:
    """Down the parabola, until y is small."""
    return [x - 0.01 * (2.0 * x - 2.0), x * x - 2.0 * x + 1.0, k + 1.0, ops.less(x * x - 2.0 * x + 1.0, 1e-6)]


@pytest.mark.parametrize("engine", ["tape", "numpy", "native", "auto"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_repeated_step_gives_the_same_bits_everywhere(engine: str, dtype: str) -> None:
    state = [Argument(name, (), None) for name in "xyk"]
    made = engines.repeat(engine, Stepping(descent, state), np.dtype(dtype), 1000, NO_CACHE)
    now = [np.zeros((), dtype=dtype)] * 3
    x = y = np.dtype(dtype).type(0.0)
    one, two, rate = (np.dtype(dtype).type(v) for v in (1.0, 2.0, 0.01))
    done = 0
    while True:
        now, _, more = made.run(now, 7)
        done += more
        for _ in range(more):
            y = x * x - two * x + one
            x = x - rate * (two * x - two)
        assert (now[0], now[1], now[2]) == (x, y, done)
        if more < 7 or y < 1e-6:
            break
    assert done == 343 if dtype == "float64" else done > 300
    assert (made.run(now, 0).state, made.run(now, 0).done) == (now, 0)


@pytest.mark.parametrize("engine", ["numpy", "native"])
def test_a_step_on_arrays_and_one_with_numpy_inside(engine: str) -> None:
    def walk(x: Any, a: Any) -> list[Any]:
        return [ops.tanh(x) + 0.1 * x, a + ops.sum(x), ops.less(a, -1e9)]

    def turn(m: Any) -> list[Any]:
        return [ops.inv(m) * 2.0, ops.less(ops.sum(m), -1e9)]

    x = np.linspace(-1, 1, 37)
    wanted, total = x, 0.0
    for _ in range(5):
        wanted, total = np.tanh(wanted) + 0.1 * wanted, total + wanted.sum()
    step = Stepping(walk, [Argument("x", (37,), None), Argument("a", (), None)])
    made = engines.repeat(engine, step, np.dtype("f8"), 5, NO_CACHE)
    (now, sums), _, done = made.run([x, np.zeros(())], 5)
    assert done == 5
    np.testing.assert_allclose(now, wanted, rtol=1e-14)
    np.testing.assert_allclose(sums, total, atol=1e-13)
    m = np.array([[2.0, 1.0], [0.5, 3.0]])
    made = engines.repeat(engine, Stepping(turn, [Argument("m", (2, 2), None)]), np.dtype("f8"), 4, NO_CACHE)
    (after,), _, done = made.run([m], 4)
    assert done == 4
    np.testing.assert_allclose(after, m, rtol=1e-12)


@pytest.mark.parametrize("engine", ["tape", "numpy", "native", "auto"])
@pytest.mark.parametrize("size", [3, 100])
def test_steps_are_handed_rows_and_what_is_shared(engine: str, size: int) -> None:
    """A step with a state, rows, a row that it does not use, a shared array, and results of several shapes."""

    def f(a: Any, x: Any, unused: Any, p: Any, w: Any) -> list[Any]:
        return [a + p, x * w + a, ops.sum(x * x), x, ops.less(10.0, a)]

    rng = np.random.default_rng(3)
    xs, ps, w = rng.standard_normal((40, size)), rng.uniform(0.0, 1.0, 40), rng.standard_normal(size)
    rows = [Argument("x", (size,), None), Argument("unused", (2,), None), Argument("p", (), None)]
    step = Stepping(f, [Argument("a", (), None)], rows, [Argument("w", (size,), None)])
    made = engines.repeat(engine, step, np.dtype("f8"), 40, NO_CACHE)
    state, outs, done = made.run([np.zeros(())], 40, [xs, np.zeros((40, 2)), ps], [w])
    sums = np.concatenate([[0.0], np.cumsum(ps)])
    assert done == int(np.argmax(sums > 10.0)) + 1 < 40
    np.testing.assert_allclose(state[0], sums[done], rtol=1e-15)
    assert [out.shape for out in outs] == [(done, size), (done,), (done, size)]
    np.testing.assert_allclose(outs[0], xs[:done] * w + sums[:done, None], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(outs[1], np.sum(xs[:done] ** 2, axis=1), rtol=1e-14)
    assert np.array_equal(outs[2], xs[:done])
    again = made.run([np.zeros(())], 5, [xs[7:12], np.zeros((5, 2)), ps[7:12]], [w])
    assert again.done == 5
    assert np.array_equal(again.outs[2], xs[7:12])


@pytest.mark.parametrize("engine", ["tape", "numpy", "native", "auto"])
def test_rows_without_a_state(engine: str) -> None:
    step = Stepping(lambda x, w: [ops.sin(x) * w, 0.0], (), [Argument("x", (), None)], [Argument("w", (), None)])
    made = engines.repeat(engine, step, np.dtype("f8"), 100, NO_CACHE)
    x = np.linspace(-3.0, 3.0, 100)
    (out,) = made.run([], 100, [x], [np.asarray(2.0)]).outs
    np.testing.assert_allclose(out, 2.0 * np.sin(x), rtol=1e-15)


# ---- trace ----


@pytest.mark.parametrize(("stage", "words"), [("ir", "define void @run"), ("asm", "ret")])
def test_the_stages_of_machine_code_are_shown(stage: str, words: str) -> None:
    p = tp.parse("var x = [1, 2, 3]\ny = sum(exp(x)*x)\ny", engine="native")
    shown = p.traced().show(stage)
    assert words in shown


def test_a_recurrence_that_numpy_runs_reads_an_entry_of_what_was_computed() -> None:
    text = "var x = 0.5; var A[3, 3] = eye(3); fold(s = x for j in 1..6: s*0.5 + sin(A)[3, 2] + A[2, 2])"
    got, wanted = (tp.parse(text, engine=engine, cache=False).value() for engine in ("native", "tape"))
    assert float(got) == pytest.approx(float(wanted), rel=1e-14)


def test_native_code_differentiates_recurrences() -> None:
    text = "var r = 3.7, x0 = 0.3\nfold(x = x0 for k in 1..200: r*x*(1 - x) + k*1e-6)"
    one, two = (tp.parse(text, engine=e).derivatives() for e in ("tape", "native"))
    assert one.value == two.value
    for name in ("r", "x0"):
        np.testing.assert_allclose(one.gradient[name], two.gradient[name], rtol=1e-9)


@pytest.mark.parametrize(
    "text", ["fold(x = 0.3 for i in 1..1000: {})", "fold(x = 0.3, n = 0 for i in 1..1000: ({}, n + 1))"]
)
def test_recurrences_without_outputs_are_left_to_numpy_in_no_part(text: str) -> None:
    """Their loops put out arrays without entries, which are not computed."""
    from tapecli.engines import traced
    from tapecli.engines.native.text import written

    body = text.format("x + r*x*(1 - x)/10")
    line = f"var r = 2.9\n{body}" if ", n" not in text else f"var r = 2.9\n(x, n) = {body}\nx + n"
    fun = tp.parse(line, engine="native").flat()
    for derivative in (derive.gradient(fun._function, [0]), lambda v: [fun._function(v)]):
        graph = traced.trace(derivative, [Argument("v", fun.x0.shape, None)], np.dtype(np.float64))
        assert {step.what for step in written(graph).layout.steps} == {"pass"}
    value, gradient = tp.parse(line, engine="tape").flat()(fun.x0)
    np.testing.assert_allclose(fun(fun.x0)[0], value, rtol=1e-14)
    np.testing.assert_allclose(fun(fun.x0)[1], gradient, rtol=1e-12)


@pytest.mark.parametrize(("steps", "engine"), [(100, "tape"), (100_000, "native")])
def test_a_long_recurrence_is_traced_at_its_first_run(steps: int, engine: str) -> None:
    """On the tape each of its steps would be some calls of Python."""
    p = tp.parse(f"var r = 2.9\nfold(x = 0.3 for i in 1..{steps}: x + r*x*(1 - x)/10)")
    assert p.derivatives().engine == engine
