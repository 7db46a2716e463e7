"""Mini-batches: what a formula means of some rows, which rows a step takes, and that the run is Keras' own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tapecli as tp
from tapecli.data import mapped
from tapecli.engines import native
from tapecli.optimize import batches
from tapecli.optimize.batches import POOL, STRETCH, Shuffle
from tapecli.problem.batching import Batches

N = 41
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.1 * RNG.normal(size=N)

HEAD = 'data X from "x.npy"\ndata a, b, y from "t.csv"\nvar w[3] = [0.3, -0.1, 0.2], s = 1.5, W[3, 2] = 0.4\n'
#: objective -> what it is for some of the rows, written for those rows alone (`f` is all rows over rows of the batch)
BATCHED = {
    "sum((y - X @ w)^2)": "f*sum((y - X @ w)^2)",
    "mean((y - X @ w)^2)": "mean((y - X @ w)^2)",
    "sum((y - X @ w)^2)/len(y)": "mean((y - X @ w)^2)",
    "sum((y - X @ w)^2)/41": "mean((y - X @ w)^2)",
    "sum((y - X @ w)^2) + 0.1*sum(w^2)": "f*sum((y - X @ w)^2) + 0.1*sum(w^2)",
    "sum((y[i] - sum(X[i, j]*w[j] for j in 1..3))^2 for i in 1..len(y))": "f*sum((y - X @ w)^2)",
    "(y - X @ w)' @ (y - X @ w)": "f*sum((y - X @ w)^2)",
    "norm(y - X @ w)": "sqrt(f)*norm(y - X @ w)",
    "sqrt(mean((y - s*a)^2))": "sqrt(mean((y - s*a)^2))",
    "variance(y - s*a)": "variance(y - s*a)",
    "sum([[1, a[i], b[i]] for i in 1..len(a)] @ w)": "f*sum(w[1] + a*w[2] + b*w[3])",
    "mean(logsumexp(X @ W, axis=2)) - mean((X @ W)[:, 1])": "mean(logsumexp(X @ W, axis=2)) - mean((X @ W)[:, 1])",
    "-sum(normal_lpdf(y, s*a, s))": "-f*sum(normal_lpdf(y, s*a, s))",
    "sum(if y > 0 then (y - s)^2 else abs(y))": "f*sum(if y > 0 then (y - s)^2 else abs(y))",
    "sum((y - s*ones(len(y)))^2)": "f*sum((y - s)^2)",
    "sum((grad(sin(s*a[i]), s) - y[i])^2 for i in 1..len(a))": "f*sum((a*cos(s*a) - y)^2)",
    "sum(tanh(X @ W)' @ y)": "f*sum(tanh(X @ W)' @ y)",
    "sum((X[i, :] @ W)[1]*y[i] for i in 1..len(y))": "f*sum((X @ W)[:, 1]*y)",
}
REFUSED = {
    "sum((y[i+1] - s*y[i])^2 for i in 1..len(y)-1)": "picked by their numbers",
    "sum((y[i] - s)^2 for i in 1..len(y) if i != 3)": "picked by their numbers",
    "sum(y[i]*a[len(y) + 1 - i]*s for i in 1..len(y))": "picked by their numbers",
    "sum((y[i] - s*i)^2 for i in 1..len(y))": "numbers of the rows",
    "sum(y[i]*w[if y[i] > 0 then 1 else 2] for i in 1..len(y))": "data say which entries",
    "max(abs(y - s*a))": "the greatest or least",
    "logdet([exp(-s*(a[i] - a[j])^2) for i in 1..len(a), j in 1..len(a)] + eye(len(a)))": "every row meets",
    "(y[1] - s)^2": "picked by their numbers",
    "sum((y - cumsum(a)*s)^2)": "from row to row",
    "prod(y - s)": "picked by their numbers",
    "s^2": "uses no data",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, np.arange(N))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, rows: np.ndarray) -> None:
    """The data of some rows."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "x.npy", X[rows])
    table = np.column_stack([X[rows, 0], X[rows, 1], Y[rows]])
    np.savetxt(folder / "t.csv", table, delimiter=",", header="a,b,y", comments="", fmt="%.17g")


@pytest.mark.parametrize("text", BATCHED)
def test_a_batch_is_what_the_formula_says_of_its_rows(folder: Path, text: str) -> None:
    problem = tp.parse(HEAD + f"minimize {text}")
    source = Batches(problem, {}, 1.0)
    rows = np.array([0, 3, 5, 6, 20, 39, 40])
    write(folder / "some", rows)
    f = f"const f = {N}/{len(rows)}\n"
    alone = tp.parse(HEAD + f + f"minimize {BATCHED[text]}", folder=str(folder / "some"))
    values = [problem.start[name] for name in ("w", "s", "W")]
    got = source.objective(len(rows))(*source.take(rows), *values)
    assert float(got) == pytest.approx(float(alone.value()), rel=1e-12)


@pytest.mark.parametrize("text", BATCHED)
def test_batches_that_part_the_rows_have_the_mean_of_all_where_that_is_said(folder: Path, text: str) -> None:
    problem = tp.parse(HEAD + f"minimize {text}")
    source = Batches(problem, {}, 1.0)
    values = [problem.start[name] for name in ("w", "s", "W")]
    mean = 0.0
    for part in np.array_split(np.random.default_rng(0).permutation(N), 4):
        mean += len(part) / N * float(source.objective(len(part))(*source.take(part), *values))
    bent = text.startswith(("norm", "sqrt", "variance"))
    assert source.rows.affine == (not bent)
    assert (mean == pytest.approx(float(problem.value()), rel=1e-10)) == (not bent)


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_batches_is_refused_with_its_place(folder: Path, text: str) -> None:
    with pytest.raises(tp.TapeError, match=REFUSED[text]) as caught:
        tp.parse(HEAD + f"minimize {text}, batch=4").minimize(method="sgd", steps=1)
    assert caught.value.place is not None
    assert caught.value.hint


def test_a_variable_for_each_row_is_refused(folder: Path) -> None:
    with pytest.raises(tp.TapeError, match="an entry for each row"):
        tp.parse('data y from "t.csv"\nvar z[len(y)] = 0\nminimize sum((y - z)^2), batch=4').minimize(method="sgd")


def test_every_row_comes_once_in_an_epoch() -> None:
    for count in (1, 2, 41, STRETCH, STRETCH + 1, 3 * POOL * STRETCH + 7):
        shuffle = Shuffle(count, 5)
        for size in (count, max(1, count // 3), max(1, count // 7)):
            parts = [shuffle.batches(2, k, min(size, count - k), 1)[0] for k in range(0, count, size)]
            assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(count))


def test_the_order_rests_on_seed_and_epoch_alone() -> None:
    rows = Shuffle(1000, 1).batches(3, 100, 20, 2)
    assert np.array_equal(rows[1], Shuffle(1000, 1).batches(3, 120, 20, 1)[0])
    busy = Shuffle(1000, 1)
    for epoch in (0, 7, 3, 2):
        busy.batches(epoch, 0, 10, 1)
    assert np.array_equal(busy.batches(3, 100, 20, 2), rows)
    assert not np.array_equal(Shuffle(1000, 2).batches(3, 100, 20, 2), rows)
    assert not np.array_equal(Shuffle(1000, 1).batches(4, 100, 20, 2), rows)


def test_the_run_is_that_of_gradient_descent_on_the_same_rows(folder: Path) -> None:
    text = HEAD + "minimize mean((y - X @ w)^2) using sgd(learning_rate=0.1), batch=8, epochs=3, seed=9"
    seen = []
    end = tp.parse(text).minimize(callback=seen.append)
    w, shuffle = np.array([0.3, -0.1, 0.2]), Shuffle(N, 9)
    for k in range(18):  # 6 batches, the last one of a single row
        rows = shuffle.batches(k // 6, 8 * (k % 6), min(8, N - 8 * (k % 6)), 1)[0]
        r = Y[rows] - X[rows] @ w
        assert seen[k].value == pytest.approx(np.mean(r**2), rel=1e-9)
        w = w + 0.1 * 2 / len(rows) * X[rows].T @ r
    assert end.at["w"] == pytest.approx(w, rel=1e-12)
    assert (end.steps, end.stop_reason) == (18, "steps")
    assert end.value == pytest.approx(np.mean((Y - X @ w) ** 2), rel=1e-12)  # of all rows


def test_settings_of_caller_and_file(folder: Path) -> None:
    problem = tp.parse(HEAD + "minimize mean((y - X @ w)^2) using sgd(learning_rate=0.1), batch=8, epochs=3, seed=9")
    assert problem.minimize(steps=5).steps == 5
    assert problem.minimize(steps=500).steps == 18
    assert problem.minimize(batch=N).steps == 3
    assert problem.minimize(batch=1000).steps == 3
    assert problem.minimize(epochs=2).steps == 12
    first, again, other = (problem.minimize(seed=seed).at["w"] for seed in (9, 9, 10))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plain = tp.parse(HEAD + "minimize mean((y - X @ w)^2)")
    assert plain.minimize(epochs=2).steps == 4  # batches of 32, as in Keras
    assert plain.minimize(epochs=2).method == "adam"
    for wrong in ({"batch": 0}, {"batch": 2.5}, {"epochs": -1}):
        with pytest.raises(tp.TapeError, match="whole number, 1 or more"):
            problem.minimize(**wrong)
    with pytest.raises(tp.TapeError, match="takes all data at every step"):
        plain.minimize(method="lbfgs", batch=4)


def test_a_tolerance_is_tested_by_all_rows(folder: Path) -> None:
    problem = tp.parse('data y from "t.csv"\nvar m = 0\nminimize mean((y - m)^2)')
    end = problem.minimize(method="sgd", learning_rate=0.5, batch=N, epochs=50, tol=1e-9)
    assert (end.stop_reason, end.converged) == ("gradient_tolerance", True)
    noisy = problem.minimize(method="sgd", learning_rate=0.5, batch=1, epochs=5, tol=1e-9)
    assert (noisy.stop_reason, noisy.converged) == ("steps", False)


def test_numbers_that_run_off_end_the_run(folder: Path) -> None:
    problem = tp.parse(HEAD + "minimize sum((y - X @ w)^2), batch=4")
    end = problem.minimize(method="sgd", learning_rate=1e3, epochs=500)
    assert (end.stop_reason, end.converged) == ("nonfinite", False)
    assert np.isfinite(end.best_value)


def test_maximize_and_single_precision(folder: Path) -> None:
    text = (
        'data y from "t.csv"\nvar m = 0.5\nmaximize -sum((y - m)^2) using sgd(learning_rate=1e-4), batch=5, epochs=100'
    )
    for dtype in ("float64", "float32"):
        end = tp.parse(text, dtype=dtype).minimize()
        assert float(end.at["m"]) == pytest.approx(np.mean(Y), abs=0.3)
        assert end.value == pytest.approx(-np.sum((Y - float(end.at["m"])) ** 2), rel=1e-4)


def test_engines_agree(folder: Path) -> None:
    text = HEAD + "minimize sum((y - X @ w)^2) using adam(learning_rate=0.1), batch=8, epochs=3"
    ends = [tp.parse(text, engine=engine).minimize().at["w"] for engine in ("tape", "numpy", "native")]
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)
    assert ends[0] == pytest.approx(ends[2], rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", ["sgd(learning_rate=0.01, momentum=0.9)", "adam(use_ema=1, ema_momentum=0.9)"])
def test_many_steps_at_once_give_the_bits_of_single_ones(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, dtype: str
) -> None:
    """An epoch has five batches of 8 and one of a single row; one run looks at every step, the others do not."""
    text = HEAD + f"minimize mean((y - X @ w)^2) using {method}, batch=8, epochs=30, seed=4"
    problem = tp.parse(text, dtype=dtype, engine="native")
    seen: list[tp.Step] = []
    single = problem.minimize(callback=seen.append)
    assert len(seen) == 181
    calls = []
    run = native.Steps.run
    monkeypatch.setattr(
        native.Steps, "run", lambda self, state, count, *rest: calls.append(count) or run(self, state, count, *rest)
    )
    for block in (batches.BLOCK, 64):  # which is two batches
        monkeypatch.setattr(batches, "BLOCK", block)
        calls.clear()
        end = problem.minimize()
        assert max(calls) == (5 if block > 64 else 2)
        assert (end.steps, end.value, end.best_value) == (single.steps, single.value, single.best_value)
        for name in end.at:
            assert end.at[name].tobytes() == single.at[name].tobytes()
            assert end.best_at[name].tobytes() == single.best_at[name].tobytes()


def test_data_in_files_give_the_same_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + 'data M = ["y", "b"] from "t.csv"\ndata c = 2 from "x.npy"\n'
    text += "minimize mean((y - X @ w + 0*M[:, 2] - 0*c)^2), batch=8, epochs=3"
    inside = tp.parse(text)
    np.save(folder / "x.npy", X.astype(np.float64))
    monkeypatch.setattr(mapped, "LARGE", 1)
    outside = tp.parse(text)
    for name, array in inside.data.items():
        assert np.array_equal(array, outside.data[name])
        assert not outside.data[name].flags.writeable or not outside.data[name].flags.owndata
    assert inside.minimize().at["w"].tobytes() == outside.minimize().at["w"].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "int64", ">f8"])
def test_arrays_of_other_kinds_are_converted_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    array = (100 * RNG.normal(size=(70, 3))).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    monkeypatch.setattr(mapped, "LARGE", 1)
    monkeypatch.setattr(mapped, "BLOCK", 32)
    problem = tp.parse('data A from "a.npy"\nsum(A)', folder=str(tmp_path))
    assert problem.data["A"].dtype == np.float64
    assert np.array_equal(problem.data["A"], array.astype(np.float64))


@pytest.mark.slow
def test_data_larger_than_what_the_process_may_take(tmp_path: Path) -> None:
    """Numbers that take 384 MB and more, in `.npy` and as text, in a process that may not take 250 MiB of its own."""
    n, w = 4_000_000, np.arange(1.0, 12.0)
    array = np.lib.format.open_memmap(tmp_path / "d.npy", mode="w+", dtype=np.float64, shape=(n, 12))
    for begin in range(0, n, 500_000):
        block = RNG.normal(size=(500_000, 12))
        block[:, 11] = block[:, :11] @ w + 0.1 * block[:, 11]
        array[begin : begin + 500_000] = block
    array.flush()
    block = np.round(RNG.normal(size=(20_000, 12)), 2)
    block[:, 11] = block[:, :11] @ w
    np.savetxt(tmp_path / "block.csv", block, delimiter=",", fmt="%.2f")
    text = (tmp_path / "block.csv").read_bytes()
    with open(tmp_path / "d.csv", "wb") as file:
        file.writelines(text for _ in range(mapped.LARGE // len(text) + 1))
    using = "using adam(learning_rate=0.05), batch=256, steps=2000"
    for name, data in (("npy", 'data D from "d.npy"'), ("csv", 'data D = [*] from "d.csv"')):
        formula = f"{data}\nvar w[11] = 0\nminimize mean((D[:, 12] - D[:, 1..11] @ w)^2) {using}\n"
        (tmp_path / f"{name}.tape").write_text(formula)
        code = "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (250 << 20,)*2); "
        code += "from tapecli.cli import run; sys.exit(run(sys.argv[1:]))"
        words = [sys.executable, "-c", code, "minimize", f"{name}.tape", "--json"]
        # pyarrow's other pools reserve memory far beyond what they use
        env = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["at"]["w"] == pytest.approx(w, abs=0.02)
