"""Whole programs for AArch64, run in an emulator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("unicorn")

import tapecli as tp
from tapecli import derive
from tapecli.engines import Argument, traced
from tapecli.engines.native import ir, text
from tapecli.engines.native.host import Host

sys.path.insert(0, str(Path(__file__).parents[1] / "native_math"))
import emulator

ARM = Host(16, "Linux aarch64", "nounwind", True, False)
FORMULAS = {
    "a curve": "var b1 = 2, b2 = 0.6\nt = linspace(0.1, 5, 203)\ny = sqrt(t)\nsum((y - b1*(1 - exp(-b2*t)))^2)",
    "a chain": "var x = linspace(-1, 2, 1001)\nsum(100*(x[i+1] - x[i]^2)^2 + (1 - x[i])^2 for i in 1..1000)",
    "functions": "var x = linspace(-3, 3, 77)\nsum(tanh(sin(x)*exp(-x^2)) + log(1 + x^2)*cos(x)*sigmoid(x))",
    "a branch": "var x = linspace(-2, 2, 65)\nsum(if x > 0 then x^1.5 else -x)",
    "products": "var w = linspace(-1, 1, 5)\nm = [sin(i*j) for i in 1..40, j in 1..5]\nsum(softplus(m @ w)) + sum(w^2)",
}


def emulated(f: Any, start: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The results of a function of one vector on the emulated machine."""
    graph = traced.trace(f, [Argument("vector", start.shape, None)], np.dtype(dtype))
    monkeypatch.setattr(text, "host", lambda: ARM)
    monkeypatch.setattr(ir, "_here", lambda trait: getattr(ARM, trait))
    return emulator.run(text.written(graph), np.dtype(dtype), [start])


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_program_gives_what_the_tape_gives(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fun = tp.parse(FORMULAS[name], engine="tape", dtype=dtype).flat()
    value, gradient = fun(fun.x0)
    found = emulated(derive.gradient(fun._function, [0]), fun.x0, dtype, monkeypatch)
    near = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(found[0], value, **near)
    np.testing.assert_allclose(found[1], gradient, **near)


def test_a_recurrence_has_the_bits_of_the_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    fun = tp.parse("var r = 2.9\nfold(x = 0.3 for i in 1..50: x + r*x*(1 - x)/10)", engine="tape").flat()
    (found,) = emulated(lambda v: [fun._function(v)], fun.x0, "float64", monkeypatch)
    assert found == fun.value(fun.x0)
