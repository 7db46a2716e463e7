"""PyTensor: symbolic graphs, compiled by its default linker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from case import Case, Data, Skip, only_flat, value_and_flat
from pytensor.gradient import grad
from workloads import RATES, STEPS, Workload


class Model(NamedTuple):
    """`f(*variables, *others)` is the value."""

    f: Callable[..., Any]
    variables: list[Any]
    others: list[Any]


def parabola(d: Data) -> Model:
    return Model(lambda x, a, b, c: a * x**2 + b * x + c, [0.0], [1.0, -2.0, 1.0])


def quad(d: Data) -> Model:
    return Model(lambda x, a, b, c: pt.sum(a * x**2 + b * x + c), [d["x0"]], [d["a"], d["b"], d["c"]])


def rosen(d: Data) -> Model:
    def f(x: Any) -> Any:
        return pt.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Model(f, [d["x0"]], [])


def expfit(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return pt.sum((y - b1 * (1 - pt.exp(-b2 * t))) ** 2)

    return Model(f, [2.0, 0.6], [d["t"], d["y"]])


def descent(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return pt.mean((y - b1 * (1 - pt.exp(-b2 * t))) ** 2)

    return Model(f, [1.0, 1.0], [d["t"], d["y"]])


def heavy(d: Data) -> Model:
    def layer(u: Any) -> Any:
        return pt.tanh(pt.sin(u) * pt.exp(-(u**2))) + pt.log(1 + u**2) * pt.cos(u) * pt.sigmoid(u)

    return Model(lambda x, y: pt.sum(layer(layer(layer(layer(layer(x))))) * y), [d["x0"]], [d["y"]])


def logis(d: Data) -> Model:
    def f(w: Any, X: Any, y: Any) -> Any:
        z = X @ w
        return pt.sum(pt.softplus(z) - y * z)

    return Model(f, [np.full(d["X"].shape[1], 0.1)], [d["X"], d["y"]])


def gmm(d: Data) -> Model:
    n, dim = d["x"].shape
    k = len(d["alpha0"])
    gamma, m = (float(v) for v in d["prior"])
    column, row = np.triu_indices(dim, 1)

    def f(alpha: Any, mean: Any, q: Any, lower: Any, x: Any, constant: Any) -> Any:
        Q = pt.zeros((k, dim, dim))[:, row, column].set(lower)
        Q = Q[:, np.arange(dim), np.arange(dim)].set(pt.exp(q))
        terms = Q @ (x[None] - mean[:, None]).transpose(0, 2, 1)
        mixture = (alpha + pt.sum(q, axis=1))[:, None] - pt.sum(terms**2, axis=1) / 2
        fitted = pt.sum(pt.logsumexp(mixture, axis=0)) - n * pt.logsumexp(alpha)
        wishart = gamma**2 / 2 * (pt.sum(pt.exp(q) ** 2) + pt.sum(lower**2)) - m * pt.sum(q)
        return fitted + wishart + constant

    return Model(f, [d["alpha0"], d["mean0"], d["q0"], d["l0"]], [d["x"], d["constant"]])


def lstm(d: Data) -> Model:
    layers, width = d["hidden0"].shape
    length = len(d["x"])

    def f(main: Any, extra: Any, hidden0: Any, cell0: Any, x: Any) -> Any:
        def step(now: Any, hidden: Any, cells: Any, main: Any, extra: Any) -> Any:
            weights = main.reshape((layers, 2, 4, width))
            u, hs, cs = now * extra[0], [], []
            for j in range(layers):
                w, b = weights[j, 0], weights[j, 1]
                forget, out = pt.sigmoid(u * w[0] + b[0]), pt.sigmoid(u * w[2] + b[2])
                write, new = pt.sigmoid(hidden[j] * w[1] + b[1]), pt.tanh(hidden[j] * w[3] + b[3])
                cs.append(cells[j] * forget + write * new)
                u = out * pt.tanh(cs[-1])
                hs.append(u)
            return pt.stack(hs), pt.stack(cs)

        hidden, _ = pytensor.scan(
            step, sequences=[x[:-1]], outputs_info=[hidden0, cell0], non_sequences=[main, extra], return_updates=False
        )
        y = hidden[:, -1] * extra[1] + extra[2]
        guess = y - pt.log(pt.sum(pt.exp(y), axis=1, keepdims=True) + 2)
        return -pt.sum(x[1:] * guess) / ((length - 1) * width)

    return Model(f, [d["main0"], d["extra0"]], [d["hidden0"], d["cell0"], d["x"]])


MODELS = {f.__name__: f for f in (parabola, quad, rosen, expfit, descent, heavy, logis, gmm, lstm)}


def make(workload: Workload, d: Data, flavour: str) -> Case:
    if workload.model not in MODELS:
        raise Skip("not written: it has no batched Jacobian")
    f, variables, others = MODELS[workload.model](d)
    arrays = [np.asarray(value, dtype=np.float64) for value in [*variables, *others]]
    args = [pt.tensor(f"v{i}", dtype="float64", shape=array.shape) for i, array in enumerate(arrays)]
    wrt = args[: len(variables)]

    def compiled(inputs: list[Any], outputs: Any) -> Any:
        # trust_input leaves out the check of every argument, as its documentation advises for speed
        return pytensor.function(inputs, outputs, trust_input=True)

    value = f(*args)
    if workload.kind == "hessian":
        first = grad(value, wrt)
        hessian = compiled(args, [part for g in first for part in grad(g, wrt)])
        return Case(lambda: hessian(*arrays), only_flat)
    if workload.kind == "hvp":
        direction = pt.tensor("direction", dtype="float64", shape=arrays[0].shape)
        product = compiled([*args, direction], [grad(pt.sum(grad(value, wrt[0]) * direction), wrt[0])])
        return Case(lambda: product(*arrays, d["direction"]), only_flat)
    if workload.kind == "loop":
        rate, count = RATES[workload.model], len(variables)

        def step(*xs: Any) -> Any:
            xs, rest = xs[:count], xs[count:]
            return [x - rate * g for x, g in zip(xs, grad(f(*xs, *rest), list(xs)), strict=True)]

        states = pytensor.scan(step, outputs_info=wrt, non_sequences=args[count:], n_steps=STEPS, return_updates=False)
        loop = compiled(args, [x[-1] for x in (states if count > 1 else [states])])
        return Case(lambda: loop(*arrays), only_flat)
    both, alone = compiled(args, [value, *grad(value, wrt)]), compiled(args, value)
    return Case(lambda: both(*arrays), lambda found: value_and_flat((found[0], found[1:])), lambda: alone(*arrays))
