"""Writes the CSV files of samples whose data are made up: a model, a seed, and noise.

python samples/make_data.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def write(name: str, headers: Sequence[str], columns: Sequence[Any], digits: int) -> None:
    texts = [[f"{value:.{digits}f}".rstrip("0").rstrip(".") for value in row] for row in np.column_stack(columns)]
    lines = [",".join(row) for row in (headers, *texts)]
    (HERE / name).write_text("\n".join(lines) + "\n")


def logistic() -> None:
    """80 cases with two measurements; the odds are exp(-0.5 + 1.5 a - b)."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 80)).round(3)
    case = rng.uniform(size=80) < 1 / (1 + np.exp(0.5 - 1.5 * a + b))
    write("logistic.csv", ["a", "b", "case"], [a, b, case], 3)


def mixture() -> None:
    """120 draws: one of three from a normal around -2, the others around 1.5."""
    rng = np.random.default_rng(2)
    first = rng.uniform(size=120) < 1 / 3
    write("mixture.csv", ["value"], [np.where(first, rng.normal(-2, 0.7, 120), rng.normal(1.5, 1, 120))], 4)


def gaussian_process() -> None:
    """30 noisy values of a smooth curve."""
    rng = np.random.default_rng(3)
    t = np.sort(rng.uniform(0, 10, 30)).round(3)
    write("gaussian_process.csv", ["t", "y"], [t, np.sin(t) + 0.3 * t - 1.5 + rng.normal(0, 0.1, 30)], 4)


def kinetics() -> None:
    """A decays to B at a rate of 0.7, B to C at 0.3; A begins at 1."""
    rng = np.random.default_rng(4)
    t, k1, k2 = np.arange(1, 11.0), 0.7, 0.3
    a = np.exp(-k1 * t)
    b = k1 / (k2 - k1) * (np.exp(-k1 * t) - np.exp(-k2 * t))
    write("kinetics.csv", ["t", "a", "b"], [t, a + rng.normal(0, 0.01, 10), b + rng.normal(0, 0.01, 10)], 4)


def portfolio() -> None:
    """60 months of returns, in percent, of five holdings that share one source of risk."""
    rng = np.random.default_rng(5)
    mean, share, own = [0.3, 0.6, 0.8, 0.5, 0.2], [0.3, 1.0, 1.6, 0.8, 0.9], [0.5, 1.5, 2.5, 2.0, 2.0]
    common = rng.normal(0, 2, (60, 1))
    returns = np.array(mean) + common * share + rng.normal(size=(60, 5)) * own
    write("portfolio.csv", ["bonds", "index", "growth", "gold", "land"], returns.T, 3)


if __name__ == "__main__":
    for make in (logistic, mixture, gaussian_process, kinetics, portfolio):
        make()
