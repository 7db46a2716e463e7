"""TensorFlow: traced functions compiled by XLA, with GradientTape inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from case import Case, Data, Skip, only_flat, value_and_flat
from workloads import RATES, STEPS, Workload

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


class Model(NamedTuple):
    """`f(*variables, *others)` is the value."""

    f: Callable[..., Any]
    variables: list[Any]
    others: list[Any]


def parabola(d: Data) -> Model:
    return Model(lambda x, a, b, c: a * x**2 + b * x + c, [0.0], [1.0, -2.0, 1.0])


def quad(d: Data) -> Model:
    return Model(lambda x, a, b, c: tf.reduce_sum(a * x**2 + b * x + c), [d["x0"]], [d["a"], d["b"], d["c"]])


def rosen(d: Data) -> Model:
    def f(x: Any) -> Any:
        return tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Model(f, [d["x0"]], [])


def expfit(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return tf.reduce_sum((y - b1 * (1 - tf.exp(-b2 * t))) ** 2)

    return Model(f, [2.0, 0.6], [d["t"], d["y"]])


def descent(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return tf.reduce_mean((y - b1 * (1 - tf.exp(-b2 * t))) ** 2)

    return Model(f, [1.0, 1.0], [d["t"], d["y"]])


def heavy(d: Data) -> Model:
    def layer(u: Any) -> Any:
        return tf.tanh(tf.sin(u) * tf.exp(-(u**2))) + tf.math.log(1 + u**2) * tf.cos(u) * tf.sigmoid(u)

    return Model(lambda x, y: tf.reduce_sum(layer(layer(layer(layer(layer(x))))) * y), [d["x0"]], [d["y"]])


def logis(d: Data) -> Model:
    def f(w: Any, X: Any, y: Any) -> Any:
        z = tf.linalg.matvec(X, w)
        return tf.reduce_sum(tf.nn.softplus(z) - y * z)

    return Model(f, [np.full(d["X"].shape[1], 0.1)], [d["X"], d["y"]])


def gmm(d: Data) -> Model:
    n, dim = d["x"].shape
    k = len(d["alpha0"])
    gamma, m = (float(v) for v in d["prior"])
    column, row = np.triu_indices(dim, 1)
    places = np.stack([row, column], axis=1)

    def f(alpha: Any, mean: Any, q: Any, lower: Any, x: Any, constant: Any) -> Any:
        below = tf.scatter_nd(places, tf.transpose(lower), (dim, dim, k))
        Q = tf.transpose(below, (2, 0, 1)) + tf.linalg.diag(tf.exp(q))
        terms = tf.matmul(Q, x[None] - mean[:, None], transpose_b=True)
        mixture = (alpha + tf.reduce_sum(q, axis=1))[:, None] - tf.reduce_sum(terms**2, axis=1) / 2
        fitted = tf.reduce_sum(tf.reduce_logsumexp(mixture, axis=0)) - n * tf.reduce_logsumexp(alpha)
        wishart = gamma**2 / 2 * (tf.reduce_sum(tf.exp(q) ** 2) + tf.reduce_sum(lower**2)) - m * tf.reduce_sum(q)
        return fitted + wishart + constant

    return Model(f, [d["alpha0"], d["mean0"], d["q0"], d["l0"]], [d["x"], d["constant"]])


def lstm(d: Data) -> Model:
    layers, width = d["hidden0"].shape
    length = len(d["x"])

    def f(main: Any, extra: Any, hidden0: Any, cell0: Any, x: Any) -> Any:
        weights = tf.reshape(main, (layers, 2, 4, width))

        def step(t: Any, hidden: Any, cells: Any, top: Any) -> Any:
            u, hs, cs = x[t] * extra[0], [], []
            for j in range(layers):
                w, b = weights[j, 0], weights[j, 1]
                forget, out = tf.sigmoid(u * w[0] + b[0]), tf.sigmoid(u * w[2] + b[2])
                write, new = tf.sigmoid(hidden[j] * w[1] + b[1]), tf.tanh(hidden[j] * w[3] + b[3])
                cs.append(cells[j] * forget + write * new)
                u = out * tf.tanh(cs[-1])
                hs.append(u)
            return t + 1, tf.stack(hs), tf.stack(cs), top.write(t, u)

        top = tf.TensorArray(tf.float64, size=length - 1, element_shape=(width,))
        state = (tf.constant(0), hidden0, cell0, top)
        *_, top = tf.while_loop(lambda t, *_: t < length - 1, step, state, maximum_iterations=length - 1)
        y = top.stack() * extra[1] + extra[2]
        guess = y - tf.math.log(tf.reduce_sum(tf.exp(y), axis=1, keepdims=True) + 2)
        return -tf.reduce_sum(x[1:] * guess) / ((length - 1) * width)

    return Model(f, [d["main0"], d["extra0"]], [d["hidden0"], d["cell0"], d["x"]])


MODELS = {f.__name__: f for f in (parabola, quad, rosen, expfit, descent, heavy, logis, gmm, lstm)}


def slopes(f: Any, count: int) -> Callable[..., Any]:
    """`(value, gradients)` of f with respect to its first arguments."""

    def both(*args: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(args[:count])
            value = f(*args)
        return value, tape.gradient(value, args[:count])

    return both


def make(workload: Workload, d: Data, flavour: str) -> Case:
    if workload.model not in MODELS:
        raise Skip("not written")
    f, variables, others = MODELS[workload.model](d)
    args = [tf.constant(value, dtype=tf.float64) for value in [*variables, *others]]
    count = len(variables)
    both = slopes(f, count)

    def done(result: Any) -> Any:
        """Results are there once they can be read."""
        return tf.nest.map_structure(lambda part: part.numpy(), result)

    def compiled(function: Any) -> Any:
        return tf.function(function, jit_compile=True, autograph=False)

    if workload.kind == "hessian":

        def second(*args: Any) -> Any:
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(args[:count])
                _, first = both(*args)
            return [tape.gradient(g, args[:count]) for g in first]

        hessian = compiled(second)
        return Case(lambda: done(hessian(*args)), lambda found: only_flat([h for row in found for h in row]))
    if workload.kind == "hvp":

        def along(x: Any, v: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                slope = tf.reduce_sum(both(x)[1][0] * v)
            return [tape.gradient(slope, x)]

        product, direction = compiled(along), tf.constant(d["direction"])
        return Case(lambda: done(product(args[0], direction)), only_flat)
    if workload.kind == "loop":
        rate = RATES[workload.model]

        def descend(*args: Any) -> Any:
            def step(k: Any, *xs: Any) -> Any:
                _, gradients = both(*xs, *args[count:])
                return (k + 1, *[x - rate * g for x, g in zip(xs, gradients, strict=True)])

            state = (tf.constant(0), *args[:count])
            return tf.while_loop(lambda k, *_: k < STEPS, step, state, maximum_iterations=STEPS)[1:]

        loop = compiled(descend)
        return Case(lambda: done(loop(*args)), only_flat)
    gradient, value = compiled(both), compiled(f)
    return Case(lambda: done(gradient(*args)), value_and_flat, lambda: done(value(*args)))
