"""CasADi: graphs of whole matrices (MX) in its virtual machine, small ones of numbers (SX) where that is the idiom.

Functions are called through buffers, which is the quickest way in from Python. Its own compiling of MX graphs by a C
compiler was tried on these workloads and made them slower, so it is used for the call of a single number only.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import casadi as ca
import numpy as np
from case import Case, Data, only_flat, value_and_flat
from workloads import RATES, STEPS, Workload

#: A model is the value, its variables, the other inputs, and arrays for both.
Model = tuple[Any, list[Any], list[Any], list[Any]]
JIT = {"jit": True, "compiler": "shell", "jit_options": {"flags": ["-O3", "-march=native"], "verbose": False}}


def vectors(*lengths: int) -> list[Any]:
    return [ca.MX.sym(f"v{i}", n) for i, n in enumerate(lengths)]


def parabola(d: Data) -> Model:
    x = ca.SX.sym("x")
    others = [ca.SX.sym(name) for name in "abc"]
    a, b, c = others
    return a * x**2 + b * x + c, [x], others, [0.0, 1.0, -2.0, 1.0]


def quad(d: Data) -> Model:
    n = len(d["x0"])
    x, a, b, c = vectors(n, n, n, n)
    return ca.sum1(a * x**2 + b * x + c), [x], [a, b, c], [d["x0"], d["a"], d["b"], d["c"]]


def rosen(d: Data) -> Model:
    (x,) = vectors(len(d["x0"]))
    return ca.sum1(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), [x], [], [d["x0"]]


def expfit(d: Data) -> Model:
    n = len(d["t"])
    b1, b2, t, y = vectors(1, 1, n, n)
    return ca.sumsqr(y - b1 * (1 - ca.exp(-b2 * t))), [b1, b2], [t, y], [2.0, 0.6, d["t"], d["y"]]


def descent(d: Data) -> Model:
    value, variables, others, (_, _, *arrays) = expfit(d)
    return value / len(d["t"]), variables, others, [1.0, 1.0, *arrays]


def heavy(d: Data) -> Model:
    n = len(d["x0"])
    x, y = vectors(n, n)

    def layer(u: Any) -> Any:
        return ca.tanh(ca.sin(u) * ca.exp(-(u**2))) + ca.log(1 + u**2) * ca.cos(u) / (1 + ca.exp(-u))

    return ca.dot(layer(layer(layer(layer(layer(x))))), y), [x], [y], [d["x0"], d["y"]]


def logis(d: Data) -> Model:
    n, features = d["X"].shape
    w, y = vectors(features, n)
    X = ca.MX.sym("X", features, n)  # its matrices lie column by column
    z = X.T @ w
    softplus = ca.fmax(z, 0) + ca.log1p(ca.exp(-ca.fabs(z)))
    return ca.sum1(softplus - y * z), [w], [X, y], [np.full(features, 0.1), d["X"], d["y"]]


def gmm(d: Data) -> Model:
    n, dim = d["x"].shape
    k, size = d["l0"].shape
    gamma, m = (float(v) for v in d["prior"])
    alpha, constant = vectors(k, 1)
    mean, q, lower, x = (
        ca.MX.sym(s, r, c) for s, r, c in (("m", dim, k), ("q", dim, k), ("l", size, k), ("x", dim, n))
    )
    triangle, place, below = ca.Sparsity.lower(dim), [], dim
    for j in range(dim):
        place += [j, *range(below, below + dim - 1 - j)]
        below += dim - 1 - j
    rows = []
    for j in range(k):
        Q = ca.densify(ca.MX(triangle, ca.vertcat(ca.exp(q[:, j]), lower[:, j])[place]))
        terms = Q @ (x - ca.repmat(mean[:, j], 1, n))
        rows.append(alpha[j] + ca.sum1(q[:, j]) - ca.sum1(terms**2) / 2)
    top = reduce(ca.fmax, rows)
    fitted = ca.sum2(top + ca.log(reduce(lambda u, v: u + v, [ca.exp(row - top) for row in rows])))
    wishart = gamma**2 / 2 * (ca.sumsqr(ca.exp(q)) + ca.sumsqr(lower)) - m * ca.sum1(ca.sum2(q))
    value = fitted - n * ca.logsumexp(alpha) + wishart + constant
    arrays = [d["alpha0"], d["mean0"], d["q0"], d["l0"], d["x"], d["constant"]]
    return value, [alpha, mean, q, lower], [x, constant], arrays


def lstm(d: Data) -> Model:
    layers, width = d["hidden0"].shape
    length = len(d["x"])

    def sigmoid(u: Any) -> Any:
        return 1 / (1 + ca.exp(-u))

    # one step on numbers, then mapped along the text
    state, now = ca.SX.sym("state", 2 * layers * width), ca.SX.sym("now", width)
    w, e = ca.SX.sym("w", 8 * layers * width), ca.SX.sym("e", 3 * width)
    parts, gates = ca.vertsplit(state, width), ca.vertsplit(w, width)
    u, after = now * e[:width], []
    for j in range(layers):
        weights, biases = gates[8 * j : 8 * j + 4], gates[8 * j + 4 : 8 * j + 8]
        h, c = parts[2 * j], parts[2 * j + 1]
        forget, out = sigmoid(u * weights[0] + biases[0]), sigmoid(u * weights[2] + biases[2])
        write, new = sigmoid(h * weights[1] + biases[1]), ca.tanh(h * weights[3] + biases[3])
        c = c * forget + write * new
        u = out * ca.tanh(c)
        after += [u, c]
    step = ca.Function("step", [state, now, w, e], [ca.vertcat(*after)])
    steps = step.mapaccum("steps", length - 1)
    main, extra, hidden, cell = vectors(8 * layers * width, 3 * width, layers * width, layers * width)
    x = ca.MX.sym("x", width, length)
    hs, cs = ca.vertsplit(hidden, width), ca.vertsplit(cell, width)
    first = ca.vertcat(*[part for pair in zip(hs, cs, strict=True) for part in pair])
    states = steps(first, x[:, :-1], ca.repmat(main, 1, length - 1), ca.repmat(extra, 1, length - 1))
    top = states[2 * (layers - 1) * width : (2 * layers - 1) * width, :]
    y = top * ca.repmat(extra[width : 2 * width], 1, length - 1) + ca.repmat(extra[2 * width :], 1, length - 1)
    guess = y - ca.repmat(ca.log(ca.sum1(ca.exp(y)) + 2), width, 1)
    value = -ca.sum1(ca.sum2(x[:, 1:] * guess)) / ((length - 1) * width)
    arrays = [d["main0"], d["extra0"], d["hidden0"], d["cell0"], d["x"]]
    return value, [main, extra], [hidden, cell, x], arrays


MODELS = {f.__name__: f for f in (parabola, quad, rosen, expfit, descent, heavy, logis, gmm, lstm)}


class Call:
    """A function with its inputs and results in fixed buffers. NumPy's rows are CasADi's columns."""

    def __init__(self, function: Any, arrays: list[Any]) -> None:
        self.function = function
        self.inputs = [np.ascontiguousarray(array, dtype=float).reshape(-1) for array in arrays]
        self.results = [np.zeros(function.nnz_out(i)) for i in range(function.n_out())]
        self.buffer, self.trigger = function.buffer()
        for i, array in enumerate(self.inputs):
            self.buffer.set_arg(i, memoryview(array))
        for i, array in enumerate(self.results):
            self.buffer.set_res(i, memoryview(array))

    def __call__(self) -> list[Any]:
        self.trigger()
        return self.results


def ba(d: Data) -> Case:
    camera, point, w, seen = (ca.SX.sym(name, size) for name, size in (("c", 11), ("x", 3), ("w", 1), ("f", 2)))
    r, y = camera[:3], point - camera[3:6]
    square = ca.sumsqr(r)
    angle = ca.sqrt(square)
    v = r / angle
    turned = ca.cos(angle) * y + ca.sin(angle) * ca.cross(v, y) + (1 - ca.cos(angle)) * ca.dot(v, y) * v
    u = turned[:2] / turned[2]
    s = ca.sumsqr(u)
    residual = w * (camera[6] * u * (1 + camera[9] * s + camera[10] * s**2) + camera[7:9] - seen)
    block = ca.densify(ca.jacobian(residual, ca.vertcat(camera, point, w)).T)
    one = ca.Function("one", [camera, point, w, seen], [block, ca.jacobian(1 - w**2, w)])
    n = len(d["view"])
    view, spot = ([int(k) - 1 for k in d[name]] for name in ("view", "spot"))
    cameras, points = ca.MX.sym("cs", 11, len(d["cameras0"])), ca.MX.sym("xs", 3, len(d["points0"]))
    ws, fs = ca.MX.sym("ws", 1, n), ca.MX.sym("fs", 2, n)
    whole = ca.Function("all", [cameras, points, ws, fs], one.map(n)(cameras[:, view], points[:, spot], ws, fs))
    return Case(Call(whole, [d["cameras0"], d["points0"], d["weights0"], d["feature"]]), only_flat)


def make(workload: Workload, d: Data, flavour: str) -> Case:
    if workload.model == "ba":
        return ba(d)
    value, variables, others, arrays = MODELS[workload.model](d)
    inputs = [*variables, *others]
    if workload.kind == "hessian":
        both = ca.vertcat(*variables)
        plain = ca.Function("f", inputs, [value])
        free = ca.MX.sym("free", both.numel())
        hessian = ca.hessian(plain(*ca.vertsplit(free), *others), free)[0]
        return Case(
            Call(ca.Function("h", [free, *others], [ca.densify(hessian)]), [arrays[:2], *arrays[2:]]), only_flat
        )
    if workload.kind == "hvp":
        direction = ca.MX.sym("direction", variables[0].numel())
        product = ca.jtimes(ca.gradient(value, variables[0]), variables[0], direction)
        return Case(Call(ca.Function("p", [*inputs, direction], [product]), [*arrays, d["direction"]]), only_flat)
    slopes = [ca.gradient(value, x) for x in variables]
    if workload.kind == "loop":
        xs = variables
        if workload.model == "parabola":
            slopes = [ca.substitute(slopes[0], ca.vertcat(*others), ca.DM(arrays[1:]))]
            inputs, arrays, count = xs, arrays[:1], 1
        else:
            count = len(xs)
        moved = ca.vertcat(*[x - RATES[workload.model] * g for x, g in zip(xs, slopes, strict=True)])
        kind = type(xs[0])
        state = kind.sym("state", count)
        update = ca.Function("u", inputs, [moved])
        again = [kind.sym(f"o{i}", other.shape) for i, other in enumerate(inputs[count:])]
        step = ca.Function("s", [state, *again], [update(*ca.vertsplit(state), *again)])
        if again:  # by a loop in Python: `fold` would copy the data for each of the steps
            call = Call(step, [arrays[:count], *arrays[count:]])
            begin = call.inputs[0].copy()

            def loop() -> Any:
                call.inputs[0][:] = begin
                for _ in range(STEPS):
                    call.trigger()
                    call.inputs[0][:] = call.results[0]
                return call.results

            return Case(loop, only_flat)
        return Case(Call(step.fold(STEPS), [arrays[:count]]), only_flat)
    if workload.model == "lstm" or workload.model == "gmm":
        slopes = [ca.densify(slope) for slope in slopes]
    options = JIT if workload.model == "parabola" else {}
    both = Call(ca.Function("fg", inputs, [value, *slopes], options), arrays)
    alone = Call(ca.Function("f", inputs, [value], options), arrays)
    return Case(both, lambda found: value_and_flat((found[0][0], found[1:])), alone)
