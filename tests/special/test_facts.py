"""Special functions and densities against exact values, gradients and Hessians (facts.json, by make_facts.py).

An error counts relative to the fact; a number that is small beside the others of its fact may lose digits to them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp
from tapecli.language.special import ON_SCIPY

ENGINES = ("tape", "numpy", "native")
RECORDS = json.loads(Path(__file__).with_name("facts.json").read_text(encoding="utf-8"))
#: Relative limits of value, gradient and Hessian; single precision carries seven digits.
LIMITS = {"special": (1e-13, 4e-13, 1e-12), "small": (1e-15, 1e-15, 1e-15), "densities": (4e-14, 1e-14, 1e-13)}
#: Where the limits do not hold: below s = 1 the zeta function is a sum that cancels.
WIDER = {"zeta(s, a)": (2e-12, 2e-12, 1e-12)}
BESIDE = 1e-15


def needs_scipy(formula: str) -> bool:
    name = formula.partition("(")[0]
    return name in ON_SCIPY or name == "zeta" or name.rstrip("01") in ON_SCIPY


def records() -> list[Any]:
    return [pytest.param(record, id=record["formula"].split("(")[0] + f"-{k}") for k, record in enumerate(RECORDS)]


def numbers(texts: list[str]) -> list[float]:
    return [float.fromhex(text) for text in texts]


def problem(record: dict[str, Any], at: list[float], engine: str, dtype: str = "float64") -> tp.Problem:
    names = [*record["consts"], *record["vars"]]
    lines = [
        f"{'const' if name in record['consts'] else 'var'} {name} = {x!r}" for name, x in zip(names, at, strict=True)
    ]
    return tp.parse("\n".join([*lines, record["formula"]]), engine=engine, dtype=dtype)


def derivatives(p: tp.Problem, names: list[str]) -> list[list[float]]:
    """The value, the gradient and the Hessian."""
    gradient, hessian = (p.grad(), p.hess()) if names else ({}, {})
    return [
        [float(p.value())],
        [float(gradient[a]) for a in names],
        [float(hessian[a][b]) for a in names for b in names],
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", records())
def test_values_and_derivatives(record: dict[str, Any], engine: str) -> None:
    if needs_scipy(record["formula"]):
        pytest.importorskip("scipy")
    limits = WIDER.get(record["formula"], LIMITS[record["group"]])
    for fact in record["facts"]:
        at, *want = map(numbers, fact)
        got = derivatives(problem(record, at, engine), record["vars"])
        beside = BESIDE * max(abs(x) for part in want for x in part)
        for order, (g, w) in enumerate(zip(got, want, strict=True)):
            np.testing.assert_allclose(g, w, rtol=limits[order], atol=beside, err_msg=f"order {order} at {at}")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("record", records())
def test_single_precision(record: dict[str, Any], engine: str) -> None:
    """Against double precision at the same, singly precise arguments, where these are ordinary."""
    if needs_scipy(record["formula"]):
        pytest.importorskip("scipy")
    for fact in record["facts"]:
        with np.errstate(all="ignore"):
            at = [float(np.float32(x)) for x in numbers(fact[0])]
        want = derivatives(problem(record, at, engine), record["vars"])
        size = max(abs(x) for part in want for x in part)
        if not 1e-6 < size < 1e6 or max(map(abs, at)) > 100.0 or any(0.0 < abs(x) < 1e-3 for x in at):
            continue
        got = derivatives(problem(record, at, engine, "float32"), record["vars"])
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=2e-4, atol=2e-5 * size, err_msg=str(at))


@pytest.mark.parametrize("record", records())
def test_vectors_agree_with_numbers(record: dict[str, Any]) -> None:
    """The formula of whole columns: one entry for each."""
    if needs_scipy(record["formula"]):
        pytest.importorskip("scipy")
    if record["formula"].startswith(("polygamma", "multi_normal")):
        return  # an order that is a number; one density of a vector
    names = [*record["consts"], *record["vars"]]
    columns = list(zip(*[numbers(fact[0]) for fact in record["facts"]], strict=True))
    lines = [f"var {name} = {list(column)!r}" for name, column in zip(names, columns, strict=True)]
    got = tp.parse("\n".join([*lines, record["formula"]])).value()
    want = [numbers(fact[1])[0] for fact in record["facts"]]
    np.testing.assert_allclose(got, want, rtol=2e-12, atol=1e-14)
