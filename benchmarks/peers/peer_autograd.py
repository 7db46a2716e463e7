"""Autograd: NumPy with a tape, in Python."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import grad, hessian, make_hvp, value_and_grad
from autograd.scipy.special import logsumexp
from case import Case, Data, Skip, only_flat
from workloads import RATES, STEPS, Workload

#: A model is `f(variables)` of a list, and where the variables start.
Model = tuple[Any, list[Any]]


def sigmoid(u: Any) -> Any:
    return 1 / (1 + anp.exp(-u))


def parabola(d: Data) -> Model:
    return lambda v: 1.0 * v[0] ** 2 - 2.0 * v[0] + 1.0, [0.0]


def quad(d: Data) -> Model:
    a, b, c = d["a"], d["b"], d["c"]
    return lambda v: anp.sum(a * v[0] ** 2 + b * v[0] + c), [d["x0"]]


def rosen(d: Data) -> Model:
    def f(v: Any) -> Any:
        x = v[0]
        return anp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return f, [d["x0"]]


def expfit(d: Data) -> Model:
    t, y = d["t"], d["y"]
    return lambda v: anp.sum((y - v[0] * (1 - anp.exp(-v[1] * t))) ** 2), [2.0, 0.6]


def descent(d: Data) -> Model:
    t, y = d["t"], d["y"]
    return lambda v: anp.mean((y - v[0] * (1 - anp.exp(-v[1] * t))) ** 2), [1.0, 1.0]


def heavy(d: Data) -> Model:
    def layer(u: Any) -> Any:
        return anp.tanh(anp.sin(u) * anp.exp(-(u**2))) + anp.log(1 + u**2) * anp.cos(u) * sigmoid(u)

    return lambda v: anp.sum(layer(layer(layer(layer(layer(v[0]))))) * d["y"]), [d["x0"]]


def logis(d: Data) -> Model:
    X, y = d["X"], d["y"]

    def f(v: Any) -> Any:
        z = X @ v[0]
        return anp.sum(anp.logaddexp(z, 0.0) - y * z)

    return f, [np.full(X.shape[1], 0.1)]


def gmm(d: Data) -> Model:
    x = d["x"]
    n, dim = x.shape
    gamma, m = (float(v) for v in d["prior"])
    place = np.zeros((dim, dim), dtype=int)
    column, row = np.triu_indices(dim, 1)
    place[row, column] = 1 + dim + np.arange(len(row))
    place[np.diag_indices(dim)] = 1 + np.arange(dim)

    def f(v: Any) -> Any:
        alpha, mean, q, lower = v
        Q = anp.concatenate([np.zeros((len(d["alpha0"]), 1)), anp.exp(q), lower], axis=1)[:, place]
        terms = anp.matmul(Q, anp.swapaxes(x[None] - mean[:, None], 1, 2))
        mixture = (alpha + anp.sum(q, axis=1))[:, None] - anp.sum(terms**2, axis=1) / 2
        fitted = anp.sum(logsumexp(mixture, axis=0)) - n * logsumexp(alpha)
        wishart = gamma**2 / 2 * (anp.sum(anp.exp(q) ** 2) + anp.sum(lower**2)) - m * anp.sum(q)
        return fitted + wishart + d["constant"]

    return f, [d["alpha0"], d["mean0"], d["q0"], d["l0"]]


def lstm(d: Data) -> Model:
    layers, width = d["hidden0"].shape
    x = d["x"]

    def f(v: Any) -> Any:
        main, extra = v
        weights = anp.reshape(main, (layers, 2, 4, width))
        weights = [[[weights[j, i, k] for k in range(4)] for i in range(2)] for j in range(layers)]
        inputs, hidden, cells, top = x[:-1] * extra[0], list(d["hidden0"]), list(d["cell0"]), []
        for t in range(len(x) - 1):
            u = inputs[t]
            for j in range(layers):
                w, b = weights[j]
                forget, out = sigmoid(u * w[0] + b[0]), sigmoid(u * w[2] + b[2])
                write, new = sigmoid(hidden[j] * w[1] + b[1]), anp.tanh(hidden[j] * w[3] + b[3])
                cells[j] = cells[j] * forget + write * new
                u = hidden[j] = out * anp.tanh(cells[j])
            top.append(u)
        y = anp.stack(top) * extra[1] + extra[2]
        guess = y - anp.log(anp.sum(anp.exp(y), axis=1, keepdims=True) + 2)
        return -anp.sum(x[1:] * guess) / ((len(x) - 1) * width)

    return f, [d["main0"], d["extra0"]]


MODELS = {f.__name__: f for f in (parabola, quad, rosen, expfit, descent, heavy, logis, gmm, lstm)}


def make(workload: Workload, d: Data, flavour: str) -> Case:
    if workload.model not in MODELS:
        raise Skip("it cannot batch a Jacobian: a call for each observation")
    f, start = MODELS[workload.model](d)
    if workload.kind == "hessian":
        full = hessian(f)
        return Case(lambda: [full(np.array(start))], only_flat)
    if workload.kind == "hvp":
        product = make_hvp(lambda x: f([x]))
        return Case(lambda: [product(start[0])[0](d["direction"])], only_flat)
    if workload.kind == "loop":
        rate, slope = RATES[workload.model], grad(f)

        def loop() -> Any:
            xs = np.array(start)
            for _ in range(STEPS):
                xs = xs - rate * slope(xs)
            return [xs]

        return Case(loop, only_flat)
    both = value_and_grad(f)

    def numbers(found: Any) -> Any:
        return float(found[0]), only_flat(found[1])[1]

    return Case(lambda: both(start), numbers, lambda: f(start))
