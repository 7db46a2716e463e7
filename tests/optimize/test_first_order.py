"""First-order optimizers: against Keras' own runs, against formulas written out here, eager against traced, errors."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapecli import ops
from tapecli.derive import gradient
from tapecli.errors import TapeError
from tapecli.graph import Graph, Node, replay
from tapecli.optimize import schedules
from tapecli.optimize.first_order import OPTIMIZERS, Optimizer, make

FACTS = json.loads(Path(__file__).with_name("keras_runs.json").read_text())

#: option sets that reach every branch of every rule, beside the defaults
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "adam": [{"amsgrad": True}],
    "rmsprop": [{"momentum": 0.5}, {"centered": True}],
    "ftrl": [{"learning_rate": 0.1, "beta": 0.1, "l1_regularization_strength": 0.01, "learning_rate_power": -0.3}],
    "adafactor": [{"learning_rate": 0.5, "clip_threshold": 0.3}],
}
#: options around the rule
AROUND: list[dict[str, Any]] = [
    {"clipnorm": 0.5},
    {"global_clipnorm": 0.5, "weight_decay": 0.1},
    {"clipvalue": 0.1, "use_ema": True},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    {"learning_rate": schedules.make("exponential_decay", [0.1, 3, 0.5], {})},
]
CASES = [(name, o) for name in OPTIMIZERS for o in ({}, *VARIANTS.get(name, []))] + [("adam", o) for o in AROUND]


def run(optimizer: Optimizer, params: list[Any], gradients: list[list[Any]]) -> tuple[list[Any], dict[str, list[Any]]]:
    """The parameters and the state after a step per entry of `gradients`."""
    slots = optimizer.init(params)
    for k, g in enumerate(gradients, 1):
        params, slots = optimizer.update(g, slots, params, np.asarray(k, dtype=params[0].dtype))
    return params, slots


def sample(shapes: list[tuple[int, ...]], dtype: str, steps: int) -> tuple[list[Any], list[list[Any]]]:
    """Parameters of these shapes and gradients for some steps."""
    rng = np.random.default_rng(7)
    params = [np.asarray(rng.normal(size=shape), dtype=dtype) for shape in shapes]
    return params, [[np.asarray(rng.normal(size=shape), dtype=dtype) for shape in shapes] for _ in range(steps)]


def error(got: Any, want: Any) -> float:
    """The greatest relative error, absolute below 1e-3."""
    want = np.asarray(want, dtype=np.float64)
    return float(np.max(np.abs(np.asarray(got, dtype=np.float64) - want) / np.maximum(np.abs(want), 1e-3), initial=0.0))


def rosenbrock(x: Any) -> Any:
    return 100.0 * ops.pow(x[1] - ops.pow(x[0], 2), 2) + ops.pow(1.0 - x[0], 2)


@pytest.mark.parametrize("fact", FACTS["runs"], ids=lambda f: f"{f['optimizer']}-{f['dtype']}-{f['options']}")
def test_iterates_are_those_of_keras(fact: dict[str, Any]) -> None:
    optimizer = make(fact["optimizer"], fact["options"])
    derivative = gradient(rosenbrock, [0])
    params = [np.array(FACTS["start"], dtype=fact["dtype"])]
    slots = optimizer.init(params)
    double = 1e-8 if fact["optimizer"] == "Adafactor" else 1e-10
    limit = {"float32": 4e-6, "float64": double}[fact["dtype"]]
    for k in range(1, max(map(int, fact["iterates"])) + 1):
        step = np.asarray(k, dtype=fact["dtype"])
        params, slots = optimizer.update(derivative(params[0])[1:], slots, params, step)
        assert params[0].dtype == fact["dtype"]
        assert error(params[0], fact["iterates"].get(str(k), params[0])) <= limit, k


@pytest.mark.parametrize("title", FACTS["defaults"])
def test_defaults_are_those_of_keras(title: str) -> None:
    want = {**FACTS["defaults"][title], **FACTS["common"]}
    optimizer = make(title, {})
    assert optimizer.options == want
    assert OPTIMIZERS[optimizer.name].title == title


def test_every_optimizer_has_facts() -> None:
    assert {title.lower() for title in FACTS["defaults"]} == set(OPTIMIZERS)


def traced(optimizer: Optimizer, params: list[Any], slots: dict[str, list[Any]]) -> Any:
    """One step as a graph: a function `(gradients, slots, params, step) -> (params, slots)` that replays it."""
    graph = Graph()
    gs = [graph.input(f"g{i}", w.shape) for i, w in enumerate(params)]
    ws = [graph.input(f"w{i}", w.shape) for i, w in enumerate(params)]
    ss = {name: [graph.input(f"{name}{i}", v.shape) for i, v in enumerate(vs)] for name, vs in slots.items()}
    step = graph.input("step", ())
    after, state = optimizer.update(gs, ss, ws, step)
    flat = [*after, *(v for vs in state.values() for v in vs)]
    assert {name: len(vs) for name, vs in state.items()} == {name: len(vs) for name, vs in slots.items()}
    assert all(isinstance(node, Node) for node in flat)
    shapes = [node.shape for node in (*ws, *(v for name in state for v in ss[name]))]
    assert [node.shape for node in flat] == shapes
    dtype = params[0].dtype

    def again(gradients: list[Any], slots: dict[str, list[Any]], params: list[Any], k: Any) -> Any:
        pairs = [*zip(gs, gradients, strict=True), *zip(ws, params, strict=True), (step, k)]
        for name, vs in slots.items():
            pairs += zip(ss[name], vs, strict=True)
        values = iter(replay(flat, dict(pairs), lambda a: np.asarray(a, dtype=dtype)))
        return [next(values) for _ in after], {name: [next(values) for _ in vs] for name, vs in state.items()}

    return again


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else str(v))
def test_traced_steps_have_the_bits_of_eager_ones(name: str, options: dict[str, Any], dtype: str) -> None:
    optimizer = make(name, options)
    params, gradients = sample([(), (3,), (2, 3), (2, 3, 2)], dtype, 4)
    slots = optimizer.init(params)
    again = traced(optimizer, params, slots)
    for k, g in enumerate(gradients, 1):
        step = np.dtype(dtype).type(k)
        eager = optimizer.update(g, slots, params, step)
        params, slots = again(g, slots, params, np.asarray(step))
        pairs = list(zip(eager[0], params, strict=True))
        for values, others in zip(eager[1].values(), slots.values(), strict=True):
            pairs += zip(values, others, strict=True)
        for a, b in pairs:
            assert a.dtype == b.dtype == dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_descent_has_the_bits_of_a_loop_by_hand(dtype: str) -> None:
    params, gradients = sample([(50,)], dtype, 5)
    (w,) = params
    for (g,) in gradients:
        w = w - 0.01 * g
    (got,), slots = run(make("sgd", {}), params, gradients)
    assert got.tobytes() == w.tobytes() and slots == {}


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"adamw", "ftrl"}))
def test_no_gradient_no_step(name: str) -> None:
    params, gradients = sample([(), (4,), (2, 3)], "float64", 3)
    after, _ = run(make(name, {}), params, [[0.0 * g for g in step] for step in gradients])
    assert all(np.array_equal(a, w) for a, w in zip(after, params, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_and_arguments_stay_as_they_were(name: str) -> None:
    params, (g,) = sample([(3,), (2, 3)], "float64", 1)
    optimizer = make(name, {"use_ema": True})
    slots = optimizer.init(params)
    before = json.dumps([[v.tolist() for v in params], {k: [v.tolist() for v in vs] for k, vs in slots.items()}])
    optimizer.update(g, slots, params, np.asarray(1.0))
    assert before == json.dumps(
        [[v.tolist() for v in params], {k: [v.tolist() for v in vs] for k, vs in slots.items()}]
    )
    with pytest.raises(AttributeError):
        optimizer.name = "other"


def moved(options: dict[str, Any], gradients: list[Any]) -> list[Any]:
    """What a unit step of plain descent makes of the gradients: the gradients as clipped."""
    zeros = [np.zeros_like(g) for g in gradients]
    after, _ = run(make("sgd", {"learning_rate": 1.0, **options}), zeros, [gradients])
    return [-w for w in after]


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3, 1e30])
def test_clipping_bounds_what_it_says(scale: float) -> None:
    gradients = [scale * g for g in sample([(5,), (2, 3)], "float32", 1)[1][0]]
    norms = [float(np.linalg.norm(g.astype(float))) for g in gradients]
    for g, n, c in zip(gradients, norms, moved({"clipnorm": 2.0}, gradients), strict=True):
        assert np.allclose(c, g * min(1.0, 2.0 / max(n, 1e-300)), rtol=1e-6)
    together = float(math.hypot(*norms))
    for g, c in zip(gradients, moved({"global_clipnorm": 2.0}, gradients), strict=True):
        assert np.allclose(c, g * min(1.0, 2.0 / max(together, 1e-300)), rtol=1e-6)
    for g, c in zip(gradients, moved({"clipvalue": 0.5}, gradients), strict=True):
        assert np.array_equal(c, np.clip(g, -0.5, 0.5))


def test_weight_decay_comes_before_the_step() -> None:
    (w,), _ = run(make("sgd", {"learning_rate": 0.1, "weight_decay": 0.5}), [np.array([2.0])], [[np.array([3.0])]])
    assert w[0] == (2.0 - 2.0 * 0.5 * 0.1) - 0.1 * 3.0


def test_average_of_the_weights() -> None:
    ones = [[np.array([1.0])]] * 3
    optimizer = make("sgd", {"learning_rate": 1.0, "use_ema": True, "ema_momentum": 0.75})
    params, slots = run(optimizer, [np.array([0.0])], ones)
    mean = 0.75 * (0.75 * -1.0 + 0.25 * -2.0) + 0.25 * -3.0
    assert (params[0][0], slots["average"][0][0]) == (-3.0, mean)
    assert optimizer.finalize(slots, params)[0][0] == mean
    optimizer = make("sgd", {"learning_rate": 1.0, "use_ema": True, "ema_momentum": 0.75, "ema_overwrite_frequency": 2})
    params, slots = run(optimizer, [np.array([0.0])], ones)
    second = 0.75 * -1.0 + 0.25 * -2.0
    assert params[0][0] == second - 1.0 and optimizer.finalize(slots, params) == params


def test_adafactor_of_a_matrix_written_out() -> None:
    params, gradients = sample([(3, 4), (2, 3, 4)], "float64", 5)
    after, slots = run(make("adafactor", {"learning_rate": 0.5, "clip_threshold": 0.9}), params, gradients)
    for i, w in enumerate(params):
        row, column = np.zeros(w.shape[:-1]), np.zeros(w.shape[:-2] + w.shape[-1:])
        for t, g in enumerate((step[i] for step in gradients), 1):
            beta = 1.0 - t**-0.8
            square = g**2 + 1e-30
            row = beta * row + (1 - beta) * square.mean(axis=-1)
            column = beta * column + (1 - beta) * square.mean(axis=-2)
            share = row / row.mean(axis=-1, keepdims=True)
            u = g / np.sqrt(share[..., :, None] * column[..., None, :])
            u /= max(1.0, np.sqrt((u**2).mean()) / 0.9)
            w = w - max(1e-3, np.sqrt((w**2).mean())) * min(0.5, t**-0.5) * u
        assert error(after[i], w) < 1e-12
        assert error(slots["row"][i], row) < 1e-12 and slots["velocity"][i].shape == ()


def test_lamb_starts_from_zero_weights() -> None:
    with np.errstate(all="raise"):
        (w,), _ = run(make("lamb", {"learning_rate": 0.5}), [np.zeros(2)], [[np.array([3.0, -4.0])]])
    assert np.allclose(w, [-0.5, 0.5])


def test_learning_rate_of_a_step() -> None:
    assert make("sgd", {}).rate(np.asarray(3.0)) == 0.01
    optimizer = make("adam", {"learning_rate": schedules.make("inverse_time_decay", [0.5, 2, 1.0], {})})
    assert [float(optimizer.rate(np.asarray(k))) for k in (1.0, 3.0, 5.0)] == [0.5, 0.25, 0.5 / 3.0]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adm", {}, ["`adm`", "did you mean `adam`?", "rmsprop"]),
        ("sgd", {"momentun": 0.9}, ["`momentun`", "did you mean `momentum`?", "nesterov"]),
        ("sgd", {"beta_1": 0.9}, ["`beta_1`", "learning_rate"]),
        ("sgd", {"momentum": 1.5}, ["`momentum` of `sgd` is a number from 0 to 1, not 1.5"]),
        ("sgd", {"nesterov": 0.5}, ["true or false"]),
        ("sgd", {"nesterov": "yes"}, ["true or false"]),
        ("adam", {"learning_rate": -0.1}, ["0 or more", "schedule"]),
        ("adam", {"learning_rate": "fast"}, ["`learning_rate`"]),
        ("adam", {"learning_rate": None}, ["`learning_rate`"]),
        ("adam", {"learning_rate": float("nan")}, ["`learning_rate`"]),
        ("adam", {"learning_rate": True}, ["`learning_rate`"]),
        ("adam", {"beta_1": 1.0}, ["1 excluded"]),
        ("lion", {"beta_1": 0.0}, ["0 excluded"]),
        ("adam", {"clipnorm": 0.0}, ["above 0"]),
        ("adam", {"clipnorm": 1.0, "clipvalue": 1.0}, ["clipnorm and clipvalue", "one way only"]),
        ("adamw", {"weight_decay": None}, ["`weight_decay`"]),
        ("adam", {"use_ema": True, "ema_overwrite_frequency": 1.5}, ["whole number"]),
        ("ftrl", {"learning_rate_power": 0.5}, ["0 or less"]),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TapeError) as caught:
        make(name, options)
    assert caught.value.code == "usage"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_pass_their_own_checks(name: str) -> None:
    method = OPTIMIZERS[name]
    for option in method.options:
        assert option.check.read(option.default) == option.default
        assert option.help and option.check.says
    assert method.help and method.rule.__doc__
    assert make(name.upper(), make(name, {}).options) == make(name, {})


def test_settings_are_read_from_any_number() -> None:
    optimizer = make("sgd", {"learning_rate": np.float32(0.5), "nesterov": 1.0, "momentum": np.asarray(0)})
    assert repr(optimizer).startswith("sgd(learning_rate=0.5, momentum=0, nesterov=true, weight_decay=none")
    assert type(optimizer.options["learning_rate"]) is float and optimizer.options["nesterov"] is True


def test_import_is_light() -> None:
    heavy = {"scipy", "lark", "rich", "typer", "llvmlite"}
    code = f"import sys, tapecli.optimize.first_order; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
