"""Every op of the table against exact values and derivatives (facts.json, written by make_facts.py).

The limits are those of the project's conventions: value 2, first derivative 4, second derivative 6 units in the last
place (ULP) of the correctly rounded result. A row that itself stands for a derivative (`asin_d1`) counts as one. Where
a second derivative of two arguments is a difference and may vanish, the error counts in ULP of its greatest term.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli.ops  # noqa: F401  (declares the ops)
from tapecli import engines
from tapecli.core import TABLE, Op
from tapecli.derive import gradient, hessian
from tapecli.derive import record as recorded
from tapecli.engines import Argument
from tapecli.ops import scientific
from tapecli.ops.linear import sum_

RECORDS = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
ENGINES = ("tape", "numpy")
LIMITS = (2, 4, 6)
#: In single precision NumPy's own functions are the measure; derivatives add their roundings.
LIMITS32 = (4, 8, 12)
#: Rows that take part in derivatives of others and are examined with those, in test_conventions.py; `loop` has tests of
#: its own, and so has linear algebra.
ELSEWHERE = {"distinct", "share", "inside", "norm", "max", "min", "loop"} | {
    *("matmul", "inv", "solve", "cholesky", "det", "cofactor", "cofactor_d1", "logdet"),
}
# the ops that rest on SciPy have facts and tests of their own
ELSEWHERE |= {op.name for op in vars(scientific).values() if isinstance(op, Op)} - {r["op"] for r in RECORDS}


def label(record: dict[str, Any]) -> str:
    return record["op"] + "".join(f"-{value:.3g}" for value in record["params"].values())


def records() -> list[Any]:
    return [pytest.param(record, id=label(record)) for record in RECORDS]


def numbers(texts: list[str]) -> list[float]:
    return [float.fromhex(text) for text in texts]


def error(got: float, want: float, size: float, dtype: Any = np.float64) -> float:
    """The distance in ULP of what is wanted, or of `size` where that is greater."""
    if got == want or (np.isnan(got) and np.isnan(want)):
        return 0.0
    if not (np.isfinite(got) and np.isfinite(want)):
        return np.inf
    return float(abs(got - want) / np.spacing(dtype(max(abs(want), size))))


def compiled(record: dict[str, Any], engine: str, dtype: Any = np.float64) -> tuple[Any, int]:
    op, params = TABLE[record["op"]], record["params"]
    arity = len(record["facts"][0][0])
    named = [Argument(f"x{i}", (), None) for i in range(arity)]
    f = hessian(lambda *xs: op(*xs, **params), range(arity))
    return engines.compile(engine, f, named, dtype).run, arity


def order_of(k: int, arity: int) -> int:
    """The order of the k-th of value, first derivatives, second derivatives."""
    return 0 if k == 0 else 1 if k <= arity else 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", records())
def test_values_and_derivatives_are_exact_within_the_limits(record: dict[str, Any], engine: str) -> None:
    run, arity = compiled(record, engine)
    for at, value, first, second, sizes in record["facts"]:
        point = numbers(at)
        want = [float.fromhex(value), *numbers(first), *numbers(second)]
        scale = numbers(sizes) or [0.0] * len(want)
        got = [float(g) for g in run(*point)]
        for k, (g, w, s) in enumerate(zip(got, want, scale, strict=True)):
            order = order_of(k, arity) + record["order"]
            if order < len(LIMITS):
                assert error(g, w, s) <= LIMITS[order], (
                    f"order {order} at {point}: {g!r}, not {w!r} ({error(g, w, s):.3g} ULP)"
                )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", records())
def test_single_precision(record: dict[str, Any], engine: str) -> None:
    """Against double precision at the same, singly precise arguments."""
    if record["op"] == "spacing" or any(float(np.float32(value)) != value for value in record["params"].values()):
        return  # another function in single precision
    run, arity = compiled(record, engine, np.float32)
    double, _ = compiled(record, engine)
    for at, _, _, _, sizes in record["facts"]:
        with np.errstate(all="ignore"):
            point = [np.float32(x) for x in numbers(at)]
        if not all(np.isfinite(point)) or any(p == 0.0 != x for p, x in zip(point, numbers(at), strict=True)):
            continue
        scale = numbers(sizes) or [0.0] * (1 + arity + arity * arity)
        for k, (g, w, s) in enumerate(zip(run(*point), double(*point), scale, strict=True)):
            order = order_of(k, arity) + record["order"]
            with np.errstate(all="ignore"):
                want = np.float32(w)
            if order < len(LIMITS32):
                assert error(float(g), float(want), s, np.float32) <= LIMITS32[order], (
                    f"order {order} at {point}: {g!r}, not {want!r}"
                )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", records())
def test_arrays_agree_with_numbers(record: dict[str, Any], engine: str) -> None:
    """A whole column of arguments at once: kernels may take another way for arrays."""
    op, params, order = TABLE[record["op"]], record["params"], record["order"]
    columns = [np.array(column) for column in zip(*[numbers(fact[0]) for fact in record["facts"]], strict=True)]
    named = [Argument(f"x{i}", column.shape, None) for i, column in enumerate(columns)]

    def f(*xs: Any) -> list[Any]:
        return [op(*xs, **params), *gradient(lambda *ys: sum_(op(*ys, **params), axes=(0,)), range(len(xs)))(*xs)[1:]]

    got = engines.compile(engine, f, named, np.float64).run(*columns)
    for k, fact in enumerate(record["facts"]):
        want = [float.fromhex(fact[1]), *numbers(fact[2])]
        scale = numbers(fact[4]) or [0.0] * len(want)
        for i, w in enumerate(want):
            if order + (i > 0) < len(LIMITS):
                assert error(got[i][k], w, scale[i]) <= LIMITS[order + (i > 0)], f"at {numbers(fact[0])}"


def test_every_op_is_covered() -> None:
    """A new op needs facts (run make_facts.py), a case among the transposes of test_linear.py, or a name above."""
    have = {record["op"] for record in RECORDS}
    missing = {name for name, op in TABLE.items() if op.kind not in ("linear", "leaf")} - have - ELSEWHERE
    assert not missing


def test_every_point_of_the_table_has_its_fact() -> None:
    facts: dict[str, set[tuple[float, ...]]] = {}
    for record in RECORDS:
        facts.setdefault(record["op"], set()).update(tuple(numbers(fact[0])) for fact in record["facts"])
    assert not {name for name, known in facts.items() if not known >= set(TABLE[name].points)}


@pytest.mark.parametrize("record", records())
def test_what_has_no_derivative_has_no_cotangent(record: dict[str, Any]) -> None:
    op, params = TABLE[record["op"]], record["params"]
    point = [np.float64(x) for x in numbers(record["facts"][0][0])]
    for i in range(len(point)):
        if op.rule(i) is None:
            y, recording, _ = recorded(lambda *xs: op(*xs, **params), point, [i])
            assert not recording.owns(y)


@pytest.mark.parametrize("record", records())
def test_complex_forms_continue_the_real_ones(record: dict[str, Any]) -> None:
    """The complex step of the value is the first derivative."""
    op, params = TABLE[record["op"]], record["params"]
    if op.complex is None:
        return
    for at, value, first, *_ in record["facts"][: len(op.points)]:
        point = numbers(at)
        for i, want in enumerate(numbers(first)):
            h = 1e-30 * (abs(point[i]) or 1.0)
            step = [np.complex128(complex(x, h * (j == i))) for j, x in enumerate(point)]
            with np.errstate(all="ignore"):
                got = op.complex(*step, **params)
            assert got.real == pytest.approx(float.fromhex(value), rel=1e-9, abs=1e-12)
            if op.rule(i) is not None:
                assert got.imag / h == pytest.approx(want, rel=1e-6, abs=1e-12)
