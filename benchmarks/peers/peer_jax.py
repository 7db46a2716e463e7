"""JAX: everything jitted, data as arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from case import Case, Data, Skip, only_flat, value_and_flat
from jax import lax
from jax.scipy.special import logsumexp
from workloads import RATES, STEPS, Workload

jax.config.update("jax_enable_x64", True)


class Model(NamedTuple):
    """`f(*variables, *others)` is the value."""

    f: Callable[..., Any]
    variables: list[Any]
    others: list[Any]


def parabola(d: Data) -> Model:
    return Model(lambda x, a, b, c: a * x**2 + b * x + c, [0.0], [1.0, -2.0, 1.0])


def quad(d: Data) -> Model:
    return Model(lambda x, a, b, c: jnp.sum(a * x**2 + b * x + c), [d["x0"]], [d["a"], d["b"], d["c"]])


def rosen(d: Data) -> Model:
    def f(x: Any) -> Any:
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Model(f, [d["x0"]], [])


def expfit(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return jnp.sum((y - b1 * (1 - jnp.exp(-b2 * t))) ** 2)

    return Model(f, [2.0, 0.6], [d["t"], d["y"]])


def descent(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return jnp.mean((y - b1 * (1 - jnp.exp(-b2 * t))) ** 2)

    return Model(f, [1.0, 1.0], [d["t"], d["y"]])


def heavy(d: Data) -> Model:
    def layer(u: Any) -> Any:
        return jnp.tanh(jnp.sin(u) * jnp.exp(-(u**2))) + jnp.log(1 + u**2) * jnp.cos(u) * jax.nn.sigmoid(u)

    return Model(lambda x, y: jnp.sum(layer(layer(layer(layer(layer(x))))) * y), [d["x0"]], [d["y"]])


def logis(d: Data) -> Model:
    def f(w: Any, X: Any, y: Any) -> Any:
        z = X @ w
        return jnp.sum(jax.nn.softplus(z) - y * z)

    return Model(f, [np.full(d["X"].shape[1], 0.1)], [d["X"], d["y"]])


def gmm(d: Data) -> Model:
    n, dim = d["x"].shape
    column, row = np.triu_indices(dim, 1)
    gamma, m = (float(v) for v in d["prior"])

    def f(alpha: Any, mean: Any, q: Any, lower: Any, x: Any, constant: Any) -> Any:
        k = len(alpha)
        Q = jnp.zeros((k, dim, dim)).at[:, row, column].set(lower)
        Q = Q + jax.vmap(jnp.diag)(jnp.exp(q))
        distance = jnp.sum((Q @ jnp.swapaxes(x[None] - mean[:, None], 1, 2)) ** 2, axis=1)
        mixture = (alpha + jnp.sum(q, axis=1))[:, None] - distance / 2
        fitted = jnp.sum(logsumexp(mixture, axis=0)) - n * logsumexp(alpha)
        wishart = gamma**2 / 2 * (jnp.sum(jnp.exp(q) ** 2) + jnp.sum(lower**2)) - m * jnp.sum(q)
        return fitted + wishart + constant

    return Model(f, [d["alpha0"], d["mean0"], d["q0"], d["l0"]], [d["x"], d["constant"]])


def lstm(d: Data) -> Model:
    layers, width = d["hidden0"].shape

    def f(main: Any, extra: Any, hidden: Any, cell: Any, x: Any) -> Any:
        weights = main.reshape(layers, 2, 4, width)

        def step(state: Any, now: Any) -> Any:
            hidden, cells = state
            u, hs, cs = now * extra[0], [], []
            for j in range(layers):
                w, b = weights[j]
                forget, out = jax.nn.sigmoid(u * w[0] + b[0]), jax.nn.sigmoid(u * w[2] + b[2])
                write, new = jax.nn.sigmoid(hidden[j] * w[1] + b[1]), jnp.tanh(hidden[j] * w[3] + b[3])
                cs.append(cells[j] * forget + write * new)
                u = out * jnp.tanh(cs[-1])
                hs.append(u)
            return (jnp.stack(hs), jnp.stack(cs)), u

        _, top = lax.scan(step, (hidden, cell), x[:-1])
        y = top * extra[1] + extra[2]
        guess = y - jnp.log(jnp.sum(jnp.exp(y), axis=1, keepdims=True) + 2)
        return -jnp.sum(x[1:] * guess) / ((len(x) - 1) * width)

    return Model(f, [d["main0"], d["extra0"]], [d["hidden0"], d["cell0"], d["x"]])


MODELS = {f.__name__: f for f in (parabola, quad, rosen, expfit, descent, heavy, logis, gmm, lstm)}


def ba(d: Data) -> Case:
    def residual(camera: Any, point: Any, w: Any, seen: Any) -> Any:
        r, y = camera[:3], point - camera[3:6]
        square = r @ r
        angle = jnp.sqrt(square)
        v = r / angle
        turned = jnp.cos(angle) * y + jnp.sin(angle) * jnp.cross(v, y) + (1 - jnp.cos(angle)) * (v @ y) * v
        u = turned[:2] / turned[2]
        s = u @ u
        return w * (camera[6] * u * (1 + camera[9] * s + camera[10] * s**2) + camera[7:9] - seen)

    blocks = jax.vmap(jax.jacrev(residual, argnums=(0, 1, 2)))
    weight = jax.vmap(jax.grad(lambda w: 1 - w**2))

    @jax.jit
    def jacobian(cameras: Any, points: Any, w: Any, view: Any, spot: Any, seen: Any) -> Any:
        of_camera, of_point, of_weight = blocks(cameras[view], points[spot], w, seen)
        return jnp.concatenate([of_camera, of_point, of_weight[..., None]], axis=2), weight(w)

    view, spot = (jnp.asarray(d[name].astype(int) - 1) for name in ("view", "spot"))
    args = [jnp.asarray(d[name]) for name in ("cameras0", "points0", "weights0")]
    args += [view, spot, jnp.asarray(d["feature"])]
    return Case(lambda: jax.block_until_ready(jacobian(*args)), only_flat)


def make(workload: Workload, d: Data, flavour: str) -> Case:
    if workload.model == "ba":
        return ba(d)
    if workload.model not in MODELS:
        raise Skip("not written")
    f, variables, others = MODELS[workload.model](d)
    args = [jnp.asarray(value) for value in [*variables, *others]]
    wrt = tuple(range(len(variables)))
    if workload.kind == "hessian":
        hessian = jax.jit(jax.hessian(f, argnums=wrt))
        return Case(
            lambda: jax.block_until_ready(hessian(*args)), lambda found: only_flat([h for r in found for h in r])
        )
    if workload.kind == "hvp":
        direction = jnp.asarray(d["direction"])
        product = jax.jit(lambda x, v: jax.jvp(jax.grad(f), (x,), (v,))[1])
        return Case(lambda: jax.block_until_ready([product(args[0], direction)]), only_flat)
    if workload.kind == "loop":
        rate, slope = RATES[workload.model], jax.grad(f, argnums=wrt)

        @jax.jit
        def loop(variables: Any, others: Any) -> Any:
            def step(_: Any, xs: Any) -> Any:
                return tuple(x - rate * g for x, g in zip(xs, slope(*xs, *others), strict=True))

            return lax.fori_loop(0, STEPS, step, variables)

        begin, rest = tuple(args[: len(wrt)]), tuple(args[len(wrt) :])
        return Case(lambda: jax.block_until_ready(loop(begin, rest)), only_flat)
    both, value = jax.jit(jax.value_and_grad(f, argnums=wrt)), jax.jit(f)
    return Case(lambda: jax.block_until_ready(both(*args)), value_and_flat, lambda: jax.block_until_ready(value(*args)))
