"""The loops of benchmarks/loops.py at small lengths, beside independent programs in NumPy, in both engines."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp

PATH = Path(__file__).parents[2] / "benchmarks" / "loops.py"
ENGINES = ("tape", "numpy")


@pytest.fixture(scope="module")
def subjects() -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("loops", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SUBJECTS  # type: ignore[no-any-return]


def run(subjects: dict[str, Any], name: str, n: int, engine: str, at: Any = None) -> Any:
    p = tp.parse(subjects[name].formula.replace("N", str(n)), engine=engine)
    return p.derivatives(at=None if at is None else {"x": at})


@pytest.mark.parametrize("engine", ENGINES)
def test_chain(subjects: dict[str, Any], engine: str) -> None:
    x = np.linspace(-1, 1, 50)
    found = run(subjects, "chain", 50, engine, x)
    bend, rest = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros(50)
    gradient[:-1] = -400 * bend * x[:-1] - 2 * rest
    gradient[1:] += 200 * bend
    np.testing.assert_allclose(found.value, (100 * bend**2 + rest**2).sum(), rtol=1e-14)
    np.testing.assert_allclose(found.gradient["x"], gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 3, 40])
def test_band(subjects: dict[str, Any], engine: str, n: int) -> None:
    x = np.linspace(-1, 2, n)
    i, j = np.indices((n, n))
    band = np.where((j >= i - 5) & (j <= i + 1), 1 / (1.0 + (i - j) ** 2), 0)
    found = run(subjects, "band", n, engine, x)
    np.testing.assert_allclose(found.value, x @ band @ x, rtol=1e-13)
    np.testing.assert_allclose(found.gradient["x"], (band + band.T) @ x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 31, 32, 33, 200, 1500])
def test_fold_and_scan(subjects: dict[str, Any], engine: str, n: int) -> None:
    """Beside the derivative that is carried along with the steps."""
    x, dx, total, slope = 1.0, 0.0, 0.0, 0.0
    for _ in range(n):
        x, dx = x + 0.01 * (0.5 - x**3), dx + 0.01 * (1 - 3 * x**2 * dx)
        total, slope = total + x, slope + dx
    found = run(subjects, "scan", n, engine)
    np.testing.assert_allclose(found.value, total, rtol=1e-12)
    np.testing.assert_allclose(found.gradient["a"], slope, rtol=1e-11)

    y, dy = 0.5, 1.0
    for _ in range(n):
        y, dy = y + 0.01 * (np.sin(0.5) - y**3), dy + 0.01 * (np.cos(0.5) - 3 * y**2 * dy)
    found = run(subjects, "fold", n, engine)
    np.testing.assert_allclose(found.value, 1000 * y, rtol=1e-12)
    np.testing.assert_allclose(found.gradient["a"], np.full(1000, dy), rtol=1e-11)
