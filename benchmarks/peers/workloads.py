"""The workloads, each declared once: its formula, its sizes, its data, and what is computed of it.

Data are made from a seed that is the workload's own, so every peer and every run sees the same numbers.
"""

from __future__ import annotations

import math
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
ADBENCH = HERE.parent / "adbench"
Data = dict[str, Any]

#: Steps of the loops, and their learning rates: those of the formula files.
STEPS = 1000
RATES = {"parabola": 0.01, "descent": 0.1}
#: Features of logis.
FEATURES = 50


class Workload(NamedTuple):
    """`kind` is what is timed: gradient (value and gradient), hessian, hvp, jacobian or loop (STEPS steps of descent).

    `model` names the function in the peers' modules; several workloads may share one. `wrt` are the variables in the
    order of the flat derivative. `traffic` is the least number of bytes that has to be moved, `flops` the least number
    of operations of matrix products; None, or 0 of them, where they say nothing.
    """

    name: str
    title: str
    formula: Path
    model: str
    kind: str
    wrt: tuple[str, ...]
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    data: Callable[[int, np.random.Generator], Data]
    traffic: Callable[[int], int] | None = None
    flops: Callable[[int], int] | None = None

    def put(self, n: int, folder: Path) -> Path:
        """Writes formula and data of size n into a folder of their own; gives that folder."""
        place = folder / f"{self.name}-{n}"
        place.mkdir(parents=True)
        shutil.copy(self.formula, place / self.formula.name)
        arrays = self.data(n, np.random.default_rng(zlib.crc32(self.model.encode())))
        if arrays:
            np.savez(place / f"{self.formula.stem}.npz", **{k: np.asarray(v, dtype=float) for k, v in arrays.items()})
        return place

    def get(self, place: Path) -> Data:
        """The data that `put` wrote."""
        path = place / f"{self.formula.stem}.npz"
        if not path.exists():
            return {}
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}


# ---- data ---------------------------------------------------------------------------------------------------------


def _quad(n: int, rng: np.random.Generator) -> Data:
    return {name: rng.normal(size=n) for name in ("a", "b", "c", "x0")}


def _rosen(n: int, rng: np.random.Generator) -> Data:
    return {"x0": rng.normal(size=n), "direction": rng.normal(size=n)}


def _expfit(n: int, rng: np.random.Generator) -> Data:
    t = rng.uniform(0.1, 5.0, n)
    return {"t": t, "y": 2.4 * (1 - np.exp(-0.55 * t)) + rng.normal(0, 0.05, n)}


def _heavy(n: int, rng: np.random.Generator) -> Data:
    return {"x0": rng.normal(size=n), "y": rng.normal(size=n)}


def _logis(n: int, rng: np.random.Generator) -> Data:
    X = rng.normal(size=(n, FEATURES))
    chance = 1 / (1 + np.exp(-X @ rng.normal(0, 0.3, FEATURES)))
    return {"X": X, "y": (rng.uniform(size=n) < chance).astype(float)}


def _gmm(n: int, rng: np.random.Generator) -> Data:
    """`constant` is what of the likelihood depends on no variable; the formula computes it itself."""
    d, k = (64, 25) if n >= 1000 else (8, 5)
    gamma, m = 1.0, 0
    degrees = d + m + 1
    multigamma = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((degrees - j) / 2) for j in range(d))
    wishart = degrees * d * (math.log(gamma) - math.log(2) / 2) - multigamma
    return {
        "x": rng.normal(size=(n, d)),
        "alpha0": rng.normal(size=k),
        "mean0": rng.uniform(size=(k, d)),
        "q0": rng.normal(0, 0.2, size=(k, d)),
        "l0": rng.normal(0, 0.1, size=(k, d * (d - 1) // 2)),
        "prior": np.array([gamma, m]),
        "constant": np.array(-n * d / 2 * math.log(2 * math.pi) - k * wishart),
    }


def _lstm(n: int, rng: np.random.Generator) -> Data:
    layers, width = 2, 14
    return {
        "main0": rng.normal(0, 0.5, size=(2 * layers, 4 * width)),
        "extra0": rng.normal(0, 0.5, size=(3, width)),
        "hidden0": rng.normal(0, 0.5, size=(layers, width)),
        "cell0": rng.normal(0, 0.5, size=(layers, width)),
        "x": np.eye(width)[rng.integers(width, size=n)],
    }


def _ba(n: int, rng: np.random.Generator) -> Data:
    """n observations of n/4 points by 49 cameras; `view` and `spot` count from 1."""
    cameras, points = 49, max(n // 4, 1)
    camera = np.concatenate(
        [
            rng.normal(0, 0.3, (cameras, 3)),
            rng.normal(0, 0.5, (cameras, 3)),
            rng.uniform(0.8, 1.2, (cameras, 1)),
            rng.normal(0, 0.1, (cameras, 2)),
            rng.normal(0, 0.01, (cameras, 2)),
        ],
        axis=1,
    )
    return {
        "view": 1.0 + np.arange(n) % cameras,
        "spot": 1.0 + np.arange(n) % points,
        "cameras0": camera,
        "points0": rng.normal((0, 0, 8), 1, (points, 3)),
        "weights0": rng.uniform(0.5, 1.5, n),
        "feature": rng.normal(size=(n, 2)),
    }


def _nothing(n: int, rng: np.random.Generator) -> Data:
    return {}


# ---- the table ----------------------------------------------------------------------------------------------------

_GMM = ("alpha", "mean", "q", "l")
_LONG, _SHORT = (1, 1_000, 100_000, 10_000_000), (1_000, 100_000)
WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "quad", "sum(a*x^2 + b*x + c) of a vector x", HERE / "quad.tape",
            "quad", "gradient", ("x",), _LONG, _SHORT, _quad, traffic=lambda n: 5 * 8 * n,
        ),
        Workload(
            "rosen", "Rosenbrock's function, chained", HERE / "rosen.tape",
            "rosen", "gradient", ("x",), (2, *_LONG[1:]), _SHORT, _rosen, traffic=lambda n: 2 * 8 * n,
        ),
        Workload(
            "expfit", "a sum of squares with one exponential, of 2 parameters", HERE / "expfit.tape",
            "expfit", "gradient", ("b1", "b2"), _LONG, _SHORT, _expfit, traffic=lambda n: 2 * 8 * n,
        ),
        Workload(
            "heavy", "30 transcendental functions per entry", HERE / "heavy.tape",
            "heavy", "gradient", ("x",), _LONG[:3], _SHORT, _heavy,
        ),
        Workload(
            "logis", f"logistic regression, {FEATURES} features", HERE / "logis.tape",
            "logis", "gradient", ("w",), _LONG[:3], _SHORT, _logis, traffic=lambda n: (FEATURES + 1) * 8 * n,
        ),
        Workload(
            "gmm", "ADBench's Gaussian mixture, d = 64, K = 25 (d = 8, K = 5 below n = 1000)", ADBENCH / "gmm.tape",
            "gmm", "gradient", _GMM, (1_000,), (100,), _gmm,
            flops=lambda n: 3 * 2 * n * 25 * 64 * 64 if n >= 1000 else 0,
        ),
        Workload(
            "lstm", "ADBench's LSTM, 2 layers of 14, n characters", ADBENCH / "lstm.tape",
            "lstm", "gradient", ("main", "extra"), (1_024,), (64,), _lstm,
        ),
        Workload(
            "ba", "ADBench's bundle adjustment, n observations: the Jacobian", ADBENCH / "ba.tape",
            "ba", "jacobian", ("cameras", "points", "w"), (10_000,), (500,), _ba,
        ),
        Workload(
            "scalar", "one number: a call from Python", HERE / "parabola.tape",
            "parabola", "gradient", ("x",), (1,), (1,), _nothing,
        ),
        Workload(
            "sgd", f"{STEPS} steps of gradient descent on a parabola", HERE / "parabola.tape",
            "parabola", "loop", ("x",), (1,), (1,), _nothing,
        ),
        Workload(
            "sgdfit", f"{STEPS} steps of gradient descent on a curve of 2 parameters", HERE / "descent.tape",
            "descent", "loop", ("b1", "b2"), (1_000, 100_000), (1_000,), _expfit,
        ),
        Workload(
            "hess", "the Hessian of expfit", HERE / "expfit.tape",
            "expfit", "hessian", ("b1", "b2"), (1_000, 100_000), (1_000,), _expfit,
        ),
        Workload(
            "hvp", "the Hessian of rosen times a direction", HERE / "rosen.tape",
            "rosen", "hvp", ("x",), (1_000, 100_000), (1_000,), _rosen,
        ),
    )
}  # fmt: skip
