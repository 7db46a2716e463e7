"""The samples' models beside independent programs in NumPy, in all engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp

SAMPLES = Path(__file__).parents[2] / "samples"
ENGINES = ("tape", "numpy", "native")
NAMES = [path.name for path in sorted(SAMPLES.glob("*.tape"))]


def load(name: str, engine: str = "tape") -> Any:
    return tp.load(str(SAMPLES / name), engine=engine)


def table(name: str) -> dict[str, Any]:
    found = np.genfromtxt(SAMPLES / name, delimiter=",", names=True)
    return {column: found[column] for column in found.dtype.names}


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize("name", NAMES)
def test_the_engines_agree(name: str, engine: str) -> None:
    """At the start and, since a start is often a special point, a little away from it."""
    eager, traced = load(name), load(name, engine)
    rng = np.random.default_rng(9)
    off = {key: value + 0.01 * rng.normal(size=value.shape) for key, value in eager.start.items()}
    scalar = [None] if eager.objective else [out for out in eager.outputs if not np.ndim(eager.value(of=out))][-1:]
    for at in ({}, off):
        for of in scalar:
            one, two = (p.derivatives(at=at, of=of) for p in (eager, traced))
            assert two.engine == engine
            np.testing.assert_allclose(one.value, two.value, rtol=1e-13)
            for key, gradient in one.gradient.items():
                size = float(np.max(np.abs(gradient), initial=1e-9))
                np.testing.assert_allclose(gradient, two.gradient[key], rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize("engine", ENGINES)
def test_logistic_is_where_newton_ends(engine: str) -> None:
    p, columns = load("logistic.tape", engine), table("logistic.csv")
    x = np.column_stack([np.ones(80), columns["a"], columns["b"]])
    w = np.zeros(3)
    for _ in range(10):
        odds = 1 / (1 + np.exp(-x @ w))
        w += np.linalg.solve(x.T @ (x * (odds * (1 - odds))[:, None]), x.T @ (columns["case"] - odds))
    np.testing.assert_allclose(p.minimize().at["weights"], w, rtol=1e-9)


def test_mixture_is_where_expectation_maximisation_ends() -> None:
    p, value = load("mixture.tape"), table("mixture.csv")["value"]
    share, centre, width = np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.ones(2)
    for _ in range(1000):
        density = share * np.exp(-(((value[:, None] - centre) / width) ** 2) / 2) / width
        own = density / density.sum(axis=1, keepdims=True)
        weight = own.sum(axis=0)
        share, centre = weight / 120, own.T @ value / weight
        width = np.sqrt((own * (value[:, None] - centre) ** 2).sum(axis=0) / weight)
    least = p.minimize()
    np.testing.assert_allclose(least.at["centre"], centre, rtol=1e-7)
    np.testing.assert_allclose(np.exp(least.at["width"]), width, rtol=1e-7)
    np.testing.assert_allclose(p.value(at=least.at, of="share"), share, rtol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_gaussian_process_by_eigenvalues(engine: str) -> None:
    p, columns = load("gaussian_process.tape", engine), table("gaussian_process.csv")
    t, y = columns["t"], columns["y"]
    z = np.array([0.4, 0.2, -1.5])
    distance = (t[:, None] - t) ** 2
    smooth = np.exp(2 * z[1] - distance / 2 * np.exp(-2 * z[0]))
    values, vectors = np.linalg.eigh(smooth + np.exp(2 * z[2]) * np.eye(30))
    u = vectors.T @ y
    wanted = (u**2 / values + np.log(values) + np.log(2 * np.pi)).sum() / 2
    a = vectors @ (u / values)
    inverse = vectors / values @ vectors.T
    slopes = [smooth * distance * np.exp(-2 * z[0]), 2 * smooth, 2 * np.exp(2 * z[2]) * np.eye(30)]
    at = dict(zip(("length", "size", "noise"), z, strict=True))
    value, gradient = p.value_and_grad(at=at)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    got = [gradient[name] for name in at]
    np.testing.assert_allclose(got, [((inverse - np.outer(a, a)) * s).sum() / 2 for s in slopes], rtol=1e-10)


def test_kinetics_finds_the_rates_that_made_the_data() -> None:
    least = load("kinetics.tape").minimize()
    assert abs(float(least.at["k1"]) - 0.7) < 0.02
    assert abs(float(least.at["k2"]) - 0.3) < 0.01


@pytest.mark.parametrize("engine", ENGINES)
def test_double_pendulum_obeys_the_equations_of_motion(engine: str) -> None:
    """The equations of motion, solved for the accelerations by hand, and shorter steps."""
    m1, m2, l1, l2, g = 1.0, 0.5, 1.0, 0.8, 9.81
    p = load("double_pendulum.tape", engine)

    def acceleration(q: Any, v: Any) -> Any:
        c, s = np.cos(q[0] - q[1]), np.sin(q[0] - q[1])
        mass = np.array([[(m1 + m2) * l1, m2 * l2 * c], [l1 * c, l2]])
        force = [-m2 * l2 * s * v[1] ** 2 - (m1 + m2) * g * np.sin(q[0]), l1 * s * v[0] ** 2 - g * np.sin(q[1])]
        return np.linalg.solve(mass, force)

    q, v, h = np.array([1.2, -0.5]), np.array([0.3, 0.1]), 0.001
    np.testing.assert_allclose(p.value(of="bend"), acceleration(q, v)[0], rtol=1e-13)
    for _ in range(500):
        k1 = v, acceleration(q, v)
        k2 = v + h / 2 * k1[1], acceleration(q + h / 2 * k1[0], v + h / 2 * k1[1])
        k3 = v + h / 2 * k2[1], acceleration(q + h / 2 * k2[0], v + h / 2 * k2[1])
        k4 = v + h * k3[1], acceleration(q + h * k3[0], v + h * k3[1])
        q, v = (x + h / 6 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip((q, v), k1, k2, k3, k4, strict=True))
    np.testing.assert_allclose(p.value(of="q1"), q, rtol=0, atol=1e-6)
    np.testing.assert_allclose(p.value(of="v1"), v, rtol=0, atol=1e-5)


def test_portfolio_fulfils_the_conditions_of_a_bounded_minimum() -> None:
    p = load("portfolio.tape")
    least = p.minimize()
    share, gradient = least.at["share"], p.grad(at=least.at)["share"]
    assert np.all((share >= 0) & (share <= 0.4))
    inside = (share > 0) & (share < 0.4)
    assert np.all(np.abs(gradient[inside]) < 1e-9)
    assert np.all(gradient[share == 0] > 0) and np.all(gradient[share == 0.4] < 0)
    assert inside.any() and (share == 0).any() and (share == 0.4).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_lstm_step_by_step(engine: str) -> None:
    p = load("lstm.tape", engine)
    w, b, out = (p.start[name] for name in ("W", "b", "out"))
    u = np.sin(2 * np.arange(1.0, 13)) / 2
    h, c, total = np.zeros(3), np.zeros(3), 0.0
    for t in range(12):
        z = np.concatenate([h, u[t : t + 1]]) @ w + b
        forget, write, show = 1 / (1 + np.exp(-z[:3] - 1)), 1 / (1 + np.exp(-z[3:6])), 1 / (1 + np.exp(-z[6:9]))
        c = forget * c + write * np.tanh(z[9:])
        h = show * np.tanh(c)
        total += (h @ out - u[: t + 1].mean()) ** 2
    np.testing.assert_allclose(p.value(of="loss"), total / 12, rtol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_physics_informed_minimum_is_that_of_least_squares(engine: str) -> None:
    """The residual is linear in the outer weights: (t² cos(kt/2))'' + t² cos(kt/2), and 1 for u = 1."""
    p = load("physics_informed.tape", engine)
    t, w = np.linspace(0, 2, 21)[:, None], np.arange(1, 5) / 2
    columns = 2 * np.cos(w * t) - 4 * t * w * np.sin(w * t) + (1 - w**2) * t**2 * np.cos(w * t)
    a, *_ = np.linalg.lstsq(columns, -np.ones(21), rcond=None)
    least = p.minimize()
    np.testing.assert_allclose(least.at["a"], a, rtol=1e-9)
    np.testing.assert_allclose(least.value, ((columns @ a + 1) ** 2).mean(), rtol=1e-8)
    assert float(p.value(at=least.at, of="worst")) < 2e-4


def test_made_up_data_are_what_their_script_makes(tmp_path: Path) -> None:
    import runpy

    names = runpy.run_path(str(SAMPLES / "make_data.py"))
    names["write"].__globals__["HERE"] = tmp_path
    for make in ("logistic", "mixture", "gaussian_process", "kinetics", "portfolio"):
        names[make]()
    for path in tmp_path.iterdir():
        assert path.read_text() == (SAMPLES / path.name).read_text(), path.name
