"""ADBench's problems on small instances: the formulas of benchmarks/adbench, in both engines.

The inputs called `test.txt` and the numbers asserted about them are those of ADBench's own tests (microsoft/ADBench,
commit 38cb7931, MIT licence: test/…/GmmTests, BaTests). All other numbers are computed here, by an independent program
in NumPy and complex steps.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapecli as tp

FOLDER = Path(__file__).parents[2] / "benchmarks" / "adbench"
ENGINES = ("tape", "numpy")
CLOSE = 1e-12

GMM = """2 3 1
-0.649014
1.181166
-0.758453
0.092339 0.186260
0.345561 0.396767
0.538817 0.419195
0.586443 -0.851887 0.800321
-1.509405 0.875874 -0.242790
0.166813 -1.965419 -1.270071
1.175171 2.029160
1.000000 0
"""
GMM_VALUE = 8.073804080049758
GMM_GRADIENT = [
    *(0.10866285550865246, -0.7412700395238985, 0.6326071840152461),
    *(1.1169257653278701, 0.16333301355145527, -0.021998982407119314),
    *(0.2277782922542361, 1.2096302561283219, -0.060637592073395634),
    *(2.5852999405116224, 0.11263269452421379, 0.3857443098496118),
    *(0.07351805731823055, 5.418363627155952, -0.32149440967744647),
    *(1.7189230977500494, 0.8600910907908669, -0.9946409304663228),
]
BA = """2 10 10
1.797201 0.590697 -0.635786 90.859550 29.361415 28.777534 211.628116 -0.284531 -14.762924 0.058931 0.069976
4.173048 5.586898 1.403869
0.417022
-525.672849 161.811929
"""
BA_RESIDUALS = [-0.2690488492351894, 0.2599447926779019, 0.826092651516]
BA_ROWS = [
    [
        *(228.87720220824676, 634.5748114955454, -782.2228662593405),
        *(2.4289261560715967, -11.782807962801131, 2.5416931248774346),
        *(-1.0365708495851809, 0.417022, 0.0, -350.7395210960052, -912.1077736680086),
        *(-2.4289261560715967, 11.782807962801131, -2.5416931248774346, -0.6451670397129874),
    ],
    [
        *(-120.54243599499688, -385.6732407664604, 97.54762914033265),
        *(-1.7837210852957657, 4.154667994331261, 2.040257180298989),
        *(0.3491763974331459, 0.0, 0.417022, 118.1491477044145, 307.25010896034325),
        *(1.7837210852957657, -4.154667994331261, -2.040257180298989, 0.623335921553064),
    ],
]


@pytest.fixture(scope="module")
def convert() -> Callable[[Path, Path], Path]:
    spec = importlib.util.spec_from_file_location("convert", FOLDER / "convert.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.convert  # type: ignore[no-any-return]


@pytest.fixture
def problem(convert: Callable[[Path, Path], Path], tmp_path: Path) -> Callable[[str, str, str], Any]:
    def make(name: str, text: str, engine: str) -> Any:
        source = tmp_path / name / "input.txt"
        source.parent.mkdir()
        source.write_text(text)
        return tp.load(str(convert(source, tmp_path / "there")), engine=engine)

    return make


def close(got: Any, wanted: Any) -> None:
    """Equal to within 1e-12 of the greatest entry."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape
    assert np.max(np.abs(got - wanted)) <= CLOSE * np.max(np.abs(wanted))


def by_complex_steps(f: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of a real function, from an imaginary step along each entry."""
    found = np.zeros_like(x)
    for k in range(x.size):
        moved = x.astype(complex)
        moved[k] += 1e-30j
        found[k] = f(moved).imag / 1e-30
    return found


def written(*parts: Any) -> str:
    return "\n".join(" ".join(map(repr, np.asarray(part, dtype=float).ravel().tolist())) for part in parts)


# ---- GMM --------------------------------------------------------------------------------------------------------


def flat(gradient: dict[str, Any]) -> Any:
    roots = np.concatenate([gradient["q"], gradient["l"]], axis=1)
    return np.concatenate([gradient["alpha"], gradient["mean"].ravel(), roots.ravel()])


def mixture(z: Any, d: int, k: int, x: Any, gamma: float, m: int) -> Any:
    """The log likelihood, written anew as loops over points and components."""
    from math import lgamma, log, pi

    def lse(values: Any) -> Any:
        top = max(value.real for value in values)
        return top + np.log(sum(np.exp(value - top) for value in values))

    alpha, mean, roots = z[:k], z[k : k + k * d].reshape(k, d), z[k + k * d :].reshape(k, -1)
    total = -len(x) * (d / 2 * log(2 * pi) + lse(alpha))
    factors = []
    for j in range(k):
        q = np.zeros((d, d), dtype=z.dtype)
        q[np.diag_indices(d)] = np.exp(roots[j, :d])
        q.T[np.triu_indices(d, 1)] = roots[j, d:]
        factors.append(q)
    for point in x:
        terms = [q @ (point - mean[j]) for j, q in enumerate(factors)]
        total += lse([alpha[j] + roots[j, :d].sum() - (y * y).sum() / 2 for j, y in enumerate(terms)])
    degrees = d + m + 1
    constant = degrees * d * (log(gamma) - log(2) / 2) - d * (d - 1) / 4 * log(pi)
    constant -= sum(lgamma(degrees / 2 - j / 2) for j in range(d))
    for j, q in enumerate(factors):
        total += gamma**2 / 2 * (q * q).sum() - m * roots[j, :d].sum() - constant
    return total


@pytest.mark.parametrize("engine", ENGINES)
def test_gmm_gives_what_adbench_asserts(problem: Callable[[str, str, str], Any], engine: str) -> None:
    found = problem("gmm", GMM, engine).derivatives()
    close(found.value, GMM_VALUE)
    close(flat(found.gradient), GMM_GRADIENT)


@pytest.mark.parametrize("engine", ENGINES)
def test_gmm_with_a_prior(problem: Callable[[str, str, str], Any], engine: str) -> None:
    rng = np.random.default_rng(7)
    d, k, n, gamma, m = 3, 4, 6, 1.3, 2
    alpha, mean = rng.normal(size=k), rng.normal(size=(k, d))
    roots, x = rng.normal(size=(k, d + d * (d - 1) // 2)), rng.normal(size=(n, d))
    found = problem("gmm", f"{d} {k} {n}\n{written(alpha, mean, roots, x)}\n{gamma} {m}\n", engine).derivatives()
    z = np.concatenate([alpha, mean.ravel(), roots.ravel()])
    close(found.value, mixture(z, d, k, x, gamma, m))
    close(flat(found.gradient), by_complex_steps(lambda z: mixture(z, d, k, x, gamma, m), z))


# ---- BA ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_ba_gives_what_adbench_asserts(problem: Callable[[str, str, str], Any], engine: str) -> None:
    p = problem("ba", BA, engine)
    residuals = p.value(of="residuals")
    close(residuals, [*BA_RESIDUALS[:2] * 10, *BA_RESIDUALS[2:] * 10])
    found = p.jac()
    cameras, points, w = (found[name] for name in ("cameras", "points", "w"))
    for i in range(10):
        rows, camera = slice(2 * i, 2 * i + 2), i % 2
        close(np.column_stack([cameras[rows, camera], points[rows, i], w[rows, i]]), BA_ROWS)
        assert not cameras[rows, 1 - camera].any()
        assert np.count_nonzero(points[rows]) == 6
        assert np.count_nonzero(w[rows]) == 2
    close(w[20:], -2 * 0.417022 * np.eye(10))
    assert not cameras[20:].any() and not points[20:].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_ba_in_coordinates_is_the_same_matrix(problem: Callable[[str, str, str], Any], engine: str) -> None:
    p = problem("ba", BA, engine)
    found = p.sparse_jacobian(of="residuals")
    dense = np.concatenate([block.reshape(30, -1) for block in p.jac().values()], axis=1)
    close(found.dense(), dense)
    assert len(found.values) == 10 * (30 - 2) + 10  # a camera's two centres touch one row each


@pytest.mark.parametrize("engine", ENGINES)
def test_ba_without_rotation(problem: Callable[[str, str, str], Any], engine: str) -> None:
    """At r = 0 the rotation is y + r × y, and so are its derivatives."""
    p = problem("ba", BA, engine)
    still = p.start["cameras"].copy()
    still[:, :3] = 0
    found = p.jac(at={"cameras": still})["cameras"][:2, 0]

    def project(camera: Any) -> Any:
        r, centre, focus, middle, kappa = camera[:3], camera[3:6], camera[6], camera[7:9], camera[9:]
        y = p.start["points"][0] - centre
        y = y + np.cross(r, y)
        u = y[:2] / y[2]
        s = u @ u
        return 0.417022 * (u * (1 + kappa[0] * s + kappa[1] * s * s) * focus + middle)

    close(found, [by_complex_steps(lambda c, k=k: project(c)[k], still[0]) for k in range(2)])


# ---- LSTM -------------------------------------------------------------------------------------------------------


def network(z: Any, layers: int, width: int, states: Any, x: Any) -> Any:
    """The loss, written anew as loops over characters and layers."""
    main, extra = z[: 8 * layers * width].reshape(layers, 2, 4, width), z[8 * layers * width :].reshape(3, width)
    hidden, cells = [list(states[:, k].astype(z.dtype)) for k in range(2)]
    loss = 0.0
    for now, then in pairwise(x):
        u = now * extra[0]
        for j in range(layers):
            (wf, wi, wo, wg), (bf, bi, bo, bg) = main[j]
            forget = 1 / (1 + np.exp(-(u * wf + bf)))
            write = 1 / (1 + np.exp(-(hidden[j] * wi + bi)))
            out = 1 / (1 + np.exp(-(u * wo + bo)))
            cells[j] = cells[j] * forget + write * np.tanh(hidden[j] * wg + bg)
            u = hidden[j] = out * np.tanh(cells[j])
        y = u * extra[1] + extra[2]
        loss = loss - (then * (y - np.log(np.exp(y).sum() + 2))).sum()
    return loss / ((len(x) - 1) * width)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", [2, 7, 60])
def test_lstm(problem: Callable[[str, str, str], Any], engine: str, length: int) -> None:
    rng = np.random.default_rng(8)
    layers, width = 2, 3
    main, extra = rng.normal(size=(2 * layers, 4 * width)), rng.normal(size=(3, width))
    states, x = rng.normal(size=(layers, 2, width)), np.eye(width)[rng.integers(width, size=length)]
    text = f"{layers} {length} {width}\n\n{written(main, extra, states, x)}\n"
    found = problem("lstm", text, engine).derivatives()
    z = np.concatenate([main.ravel(), extra.ravel()])
    close(found.value, network(z, layers, width, states, x))
    got = np.concatenate([found.gradient[name].ravel() for name in ("main", "extra")])
    close(got, by_complex_steps(lambda z: network(z, layers, width, states, x), z))
