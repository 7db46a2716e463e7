"""The project's table of conventions, row by row: values and derivatives at kinks, singularities and far out.

Each case is a formula, its value, its gradient (the entries of all vars, in order) and its Hessian, in both engines.
"""

from __future__ import annotations

from math import inf, log, nan, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
import pytest

import tapecli as tp

ENGINES = ("tape", "numpy")
O = 0.0  # noqa: E741  (a zero that keeps matrices legible)


class Case(NamedTuple):
    text: str
    value: float
    gradient: list[float]
    hessian: list[list[float]] | None


def at(x: float, text: str, value: float, first: float, second: float) -> Case:
    """A formula in x."""
    return Case(f"var x = {x!r}\n{text}", value, [first], [[second]])


def both(x: float, y: float, text: str, value: float, first: list[float], second: list[list[float]] | None) -> Case:
    """A formula in x and y."""
    return Case(f"var x = {x!r}\nvar y = {y!r}\n{text}", value, first, second)


def of(x: list[float], text: str, value: float, first: list[float], second: list[list[float]] | None) -> Case:
    """A formula in a vector x."""
    return Case(f"var x = {x!r}\n{text}", value, first, second)


def zeros(n: int) -> list[list[float]]:
    return [[0.0] * n for _ in range(n)]


SHARES = [1 / (1 + np.exp(-1.5)), 1 / (1 + np.exp(1.5))]
WEIGHT = SHARES[0] * SHARES[1]
FAR = sqrt(0.125) * 1e-200

KINKS = [
    at(0, "abs(x)", 0, 0, 0),
    at(1, "abs(x + nan)", nan, nan, 0),
    *[at(x, f"{f}(x)", v, 0, 0) for f, x, v in [("sign", 2, 1), ("sign", 0, 0), ("floor", 2, 2), ("floor", 2.5, 2)]],
    *[
        at(x, f"{f}(x)", v, 0, 0)
        for f, x, v in [("ceil", 2, 2), ("ceil", 2.5, 3), ("round", 2.5, 2), ("round", 2.6, 3)]
    ],
    at(0, "relu(x)", 0, 0, 0),
    at(1e-300, "relu(x)", 1e-300, 1, 0),
    both(1, 1, "max(x, y)", 1, [0.5, 0.5], zeros(2)),
    both(1, 1, "min(x, y)", 1, [0.5, 0.5], zeros(2)),
    both(1, 2, "max(x, y)", 2, [0, 1], zeros(2)),
    both(1, 2, "min(x, y)", 1, [1, 0], zeros(2)),
    of([2, 5, 5, 1], "max(x)", 5, [0, 0.5, 0.5, 0], zeros(4)),
    of([2, 1, 5, 1], "min(x)", 1, [0, 0.5, 0, 0.5], zeros(4)),
    of([3, 3, 3], "max(x)", 3, [1 / 3] * 3, zeros(3)),
    both(1, 1, "max(x + nan, y)", nan, [nan, nan], None),
    both(1, 1, "min(x, y * nan)", nan, [nan, nan], None),
    *[at(x, "clip(x, 0, 2)", v, d, 0) for x, v, d in [(0, 0, 1), (2, 2, 1), (1, 1, 1), (-1, 0, 0), (3, 2, 0)]],
]
ROOTS = [
    at(0, "sqrt(x)", 0, inf, -inf),
    at(-1, "sqrt(x)", nan, nan, nan),
    at(-1, "log(x)", nan, nan, nan),
    at(-1, "log2(x)", nan, nan, nan),
    at(-1, "log10(x)", nan, nan, nan),
    at(-2, "log1p(x)", nan, nan, nan),
    at(0, "log(x)", -inf, inf, -inf),
    at(2, "asin(x)", nan, nan, nan),
    at(2, "acos(x)", nan, nan, nan),
    at(0.5, "acosh(x)", nan, nan, nan),
    at(-2, "acosh(x)", nan, nan, nan),
    at(2, "atanh(x)", nan, nan, nan),
    at(0.5, "acoth(x)", nan, nan, nan),
    at(-0.5, "asech(x)", nan, nan, nan),
    at(0.5, "asec(x)", nan, nan, nan),
    at(0.5, "acsc(x)", nan, nan, nan),
    at(1.5, "logit(x)", nan, nan, nan),
    at(-0.5, "logit(x)", nan, nan, nan),
    at(0, "cbrt(x)", 0, inf, -inf),
    at(1, "asin(x)", pi / 2, inf, inf),
    at(1, "acosh(x)", 0, inf, -inf),
]
POWERS = [
    *[at(x, "x^0", 1, 0, 0) for x in (0, 2, -3, inf)],
    Case("var x = -1\nlog(x)^0", 1, [0], [[0]]),
    Case("var x = -1\nsqrt(x)^0", 1, [0], [[0]]),
    at(0, "x^1", 0, 1, 0),
    at(0, "x^2", 0, 0, 2),
    at(0, "x^3", 0, 0, 0),
    at(0, "x^4", 0, 0, 0),
    at(-2, "x^3", -8, 12, -12),
    at(-2, "x^-1", -0.5, -0.25, -0.25),
    both(0, 0, "x^y", 1, [0, 0], zeros(2)),
    both(0, 2, "x^y", 0, [0, 0], [[2, O], [O, O]]),
    both(0, 3, "x^y", 0, [0, 0], zeros(2)),
    both(0, 1, "x^y", 0, [1, 0], [[0, -inf], [-inf, 0]]),
    both(0, 0.5, "x^y", 0, [inf, 0], None),
    both(-2, 3, "x^y", -8, [12, nan], [[-12, nan], [nan, nan]]),
    both(-2, 0.5, "x^y", nan, [nan, nan], None),
    both(2, 0, "x^y", 1, [0, log(2)], [[0, 0.5], [0.5, log(2) ** 2]]),
    both(2, 1, "x^y", 2, [1, 2 * log(2)], [[0, 1 + log(2)], [1 + log(2), 2 * log(2) ** 2]]),
    Case("var x = -2\nconst n = 3\nx^n", -8, [12], [[-12]]),
    at(0, "abs(x)^2", 0, 0, 2),
    at(0, "sqrt(x^2)", 0, 0, 0),
    at(0, "sqrt(x^4)", 0, 0, 2),
    of([0, 0], "norm(x)^2", 0, [0, 0], [[2, 0], [0, 2]]),
    both(0, 0, "hypot(x, y)^2", 0, [0, 0], [[2, 0], [0, 2]]),
]
PRODUCTS = [
    of([0, 2, 3], "prod(x)", 0, [6, 0, 0], [[0, 3, 2], [3, 0, 0], [2, 0, 0]]),
    of([0, 0, 3], "prod(x)", 0, [0, 0, 0], [[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
    of([0, 0, 0], "prod(x)", 0, [0, 0, 0], zeros(3)),
    of([5], "prod(x)", 5, [1], [[0]]),
    of([2, 0, 3], "sum(cumprod(x))", 2, [1, 8, 0], [[0, 4, 0], [4, 0, 2], [0, 2, 0]]),
    of([0, 0, 3], "sum(cumprod(x))", 0, [1, 0, 0], [[0, 4, 0], [4, 0, 0], [0, 0, 0]]),
]
LENGTHS = [
    of([0, 0], "norm(x)", 0, [0, 0], zeros(2)),
    of([3, 4], "norm(x)", 5, [0.6, 0.8], [[0.128, -0.096], [-0.096, 0.072]]),
    of([1e200, 1e200], "norm(x)", 1e200 * sqrt(2), [sqrt(0.5)] * 2, None),
    of([1e-200, 0], "norm(x)", 1e-200, [1, 0], None),
    of([5e-324, 0], "norm(x)", 5e-324, [1, 0], None),
    both(0, 0, "hypot(x, y)", 0, [0, 0], zeros(2)),
    both(0, 3, "hypot(x, y)", 3, [0, 1], [[1 / 3, 0], [0, 0]]),
    both(1e200, 1e200, "hypot(x, y)", 1e200 * sqrt(2), [sqrt(0.5)] * 2, [[FAR, -FAR], [-FAR, FAR]]),
    of([2, 2, 2], "std(x)", 0, [0, 0, 0], zeros(3)),
    both(0, 0, "atan2(y, x)", 0, [0, 0], zeros(2)),
    both(1e200, 1e200, "atan2(y, x)", pi / 4, [-0.5e-200, 0.5e-200], zeros(2)),
]
EXPONENTIALS = [
    at(0, "sinc(x)", 1, 0, -pi * pi / 3),
    both(0, 0, "logaddexp(x, y)", log(2), [0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]]),
    both(inf, inf, "logaddexp(x, y)", inf, [0.5, 0.5], None),
    both(-inf, -inf, "logaddexp(x, y)", -inf, [0.5, 0.5], None),
    both(inf, 0, "logaddexp(x, y)", inf, [1, 0], None),
    both(-inf, 0, "logaddexp(x, y)", 0, [0, 1], None),
    both(1000, 1000, "logaddexp(x, y)", 1000 + log(2), [0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]]),
    both(
        -1000,
        -1001.5,
        "logaddexp(x, y)",
        -1000 + np.log1p(np.exp(-1.5)),
        SHARES,
        [[WEIGHT, -WEIGHT], [-WEIGHT, WEIGHT]],
    ),
    *[
        of([s, s], "top = max(x)\ntop + log(sum(exp(x - top)))", s + log(2), [0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]])
        for s in (1000, -1000, 0)
    ],
    at(1000, "softplus(x)", 1000, 1, 0),
    at(-1000, "softplus(x)", 0, 0, 0),
    at(1000, "sigmoid(x)", 1, 0, 0),
    at(-1000, "sigmoid(x)", 0, 0, 0),
    at(1000, "tanh(x)", 1, 0, 0),
    at(-300, "tanh(x)", -1, 4 * np.exp(-600.0), 8 * np.exp(-600.0)),
    both(0, 2, "xlogy(x, y)", 0, [log(2), 0], [[0, 0.5], [0.5, 0]]),
    both(0, 0, "xlogy(x, y)", 0, [-inf, 0], None),
    both(0, -1, "xlogy(x, y)", nan, [nan, nan], None),
    both(0, 2, "xlog1py(x, y)", 0, [log(3), 0], [[0, 1 / 3], [1 / 3, 0]]),
    both(0, -1, "xlog1py(x, y)", 0, [-inf, 0], None),
]
CHOICES = [
    at(0, "if x > 0 then sqrt(x) else 0 * x", 0, 0, 0),
    at(0, "if x > 0 then log(x) else x^2", 0, 0, 2),
    at(-1, "if x > 0 then sqrt(x) else x^2", 1, -2, 2),
    at(0, "if x == 0 then 1 + x else sin(x)/x", 1, 1, 0),
    at(0, "s = sqrt(x)\nif x > 0 then s else x^2", 0, 0, 2),
    at(0, "s = x/x\nif x > 0 then s else 3*x", 0, 3, 0),
    at(-1, "s = log(x)\nif x > 0 then s else 3*x", -3, 3, 0),
    at(-1, "s = log(x)\nt = s*s + sqrt(s)\nif x > 0 then t else x^3", -1, 3, -6),
    at(0, "if x > 1 then sqrt(x) else if x > 0 then log(x) else x^2", 0, 0, 2),
    at(0, "if x <= 0 then (if x < 0 then sqrt(-x) else 5*x) else log(x)", 0, 5, 0),
    at(2, "if x > 2 then x^2 else 3*x", 6, 3, 0),
    at(2, "if x >= 2 then x^2 else 3*x", 4, 4, 2),
    both(0, 3, "if x > 0 then y/x else y*y", 9, [0, 6], [[0, 0], [0, 2]]),
    of([0, 4, -1], "sum(if x > 0 then sqrt(x) else x^2)", 3, [0, 0.25, -2], [[2, 0, 0], [0, -1 / 32, 0], [0, 0, 2]]),
    of([0, 4], "s = sqrt(x)\nsum(if x > 0 then s else 2*x)", 2, [2, 0.25], [[0, 0], [0, -1 / 32]]),
    of([0, 4], "r = x/x\nsum(if x > 0 then r*x else 2*x)", 4, [2, 1], zeros(2)),
    of(
        [0, 4],
        "s = log(x)\nsum(if x > 0 then (if x > 1 then s else 1) else 2*x)",
        log(4),
        [2, 0.25],
        [[0, 0], [0, -1 / 16]],
    ),
    of([0, 4], "n = sqrt(sum(x))\ns = n/x\nsum(if x > 0 then s else x)", 0.5, [1.0625, -0.0625], None),
    of([0, 0], "if sum(x) > 0 then log(sum(x)) else sum(x^2)", 0, [0, 0], [[2, 0], [0, 2]]),
]
GROUPS = {
    "kinks": KINKS,
    "roots": ROOTS,
    "powers": POWERS,
    "products": PRODUCTS,
    "lengths": LENGTHS,
    "exponentials": EXPONENTIALS,
    "choices": CHOICES,
}


def cases() -> list[Any]:
    return [pytest.param(case, id=f"{group}-{n}") for group, many in GROUPS.items() for n, case in enumerate(many)]


def same(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=4e-15, atol=5e-324)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", cases())
def test_value_and_gradient(case: Case, engine: str) -> None:
    p = tp.parse(case.text, engine=engine)
    same(p.value(), case.value)
    same(np.concatenate([np.ravel(p.grad()[name]) for name in p.start]), case.gradient)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", cases())
def test_hessian(case: Case, engine: str) -> None:
    if case.hessian is None:
        return
    p = tp.parse(case.text, engine=engine)
    found = p.hess()
    sizes = {name: np.size(value) for name, value in p.start.items()}
    blocks = [[np.reshape(found[a][b], (sizes[a], sizes[b])) for b in sizes] for a in sizes]
    same(np.block(blocks), case.hessian)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_of_a_tie_takes_all_as_in_tensorflow(engine: str) -> None:
    for f in ("max", "min"):
        p = tp.parse(f"var x = 1\nvar y = 1\n{f}(x, y)", engine=engine, kink="tf")
        assert p.grad() == {"x": 1.0, "y": 0.0}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", ["sqrt(x)", "log(x)", "1 / x", "asin(x + 2)", "x^0.5"])
def test_the_place_of_what_is_not_finite_is_reported(text: str, engine: str) -> None:
    p = tp.parse(f"var x = 0\n{text}", engine=engine)
    assert p.blame(p.derivatives()).place is not None
