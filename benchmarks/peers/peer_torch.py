"""PyTorch, eager and through torch.compile (flavour `compile`), on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from case import Case, Data, Skip, only_flat, value_and_flat
from workloads import RATES, STEPS, Workload

#: Below this size nobody would compile for minutes what a call of the eager library does.
LEAST = 1000


class Model(NamedTuple):
    """`f(*variables, *others)` is the value."""

    f: Callable[..., Any]
    variables: list[Any]
    others: list[Any]


def parabola(d: Data) -> Model:
    return Model(lambda x, a, b, c: a * x**2 + b * x + c, [0.0], [1.0, -2.0, 1.0])


def quad(d: Data) -> Model:
    return Model(lambda x, a, b, c: torch.sum(a * x**2 + b * x + c), [d["x0"]], [d["a"], d["b"], d["c"]])


def rosen(d: Data) -> Model:
    def f(x: Any) -> Any:
        return torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Model(f, [d["x0"]], [])


def expfit(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return torch.sum((y - b1 * (1 - torch.exp(-b2 * t))) ** 2)

    return Model(f, [2.0, 0.6], [d["t"], d["y"]])


def descent(d: Data) -> Model:
    def f(b1: Any, b2: Any, t: Any, y: Any) -> Any:
        return torch.mean((y - b1 * (1 - torch.exp(-b2 * t))) ** 2)

    return Model(f, [1.0, 1.0], [d["t"], d["y"]])


def heavy(d: Data) -> Model:
    def layer(u: Any) -> Any:
        tanh = torch.tanh(torch.sin(u) * torch.exp(-(u**2)))
        return tanh + torch.log(1 + u**2) * torch.cos(u) * torch.sigmoid(u)

    return Model(lambda x, y: torch.sum(layer(layer(layer(layer(layer(x))))) * y), [d["x0"]], [d["y"]])


def logis(d: Data) -> Model:
    def f(w: Any, X: Any, y: Any) -> Any:
        z = X @ w
        # softplus of torch is cut off at 20, logaddexp is not
        return torch.sum(torch.logaddexp(z, torch.zeros_like(z)) - y * z)

    return Model(f, [np.full(d["X"].shape[1], 0.1)], [d["X"], d["y"]])


def gmm(d: Data) -> Model:
    n, dim = d["x"].shape
    k = len(d["alpha0"])
    gamma, m = (float(v) for v in d["prior"])
    column, row = (torch.from_numpy(index) for index in np.triu_indices(dim, 1))
    component = torch.arange(k)[:, None]

    def f(alpha: Any, mean: Any, q: Any, lower: Any, x: Any, constant: Any) -> Any:
        zeros = torch.zeros(k, dim, dim, dtype=x.dtype)
        Q = zeros.index_put((component, row[None], column[None]), lower) + torch.diag_embed(torch.exp(q))
        distance = torch.sum((Q @ (x[None] - mean[:, None]).transpose(1, 2)) ** 2, dim=1)
        mixture = (alpha + torch.sum(q, dim=1))[:, None] - distance / 2
        fitted = torch.sum(torch.logsumexp(mixture, dim=0)) - n * torch.logsumexp(alpha, dim=0)
        wishart = gamma**2 / 2 * (torch.sum(torch.exp(q) ** 2) + torch.sum(lower**2)) - m * torch.sum(q)
        return fitted + wishart + constant

    return Model(f, [d["alpha0"], d["mean0"], d["q0"], d["l0"]], [d["x"], d["constant"]])


def lstm(d: Data) -> Model:
    layers, width = d["hidden0"].shape

    def f(main: Any, extra: Any, hidden0: Any, cell0: Any, x: Any) -> Any:
        weights = [[part.unbind() for part in layer.unbind()] for layer in main.reshape(layers, 2, 4, width).unbind()]
        hidden, cells, top = list(hidden0.unbind()), list(cell0.unbind()), []
        for u in (x[:-1] * extra[0]).unbind():
            for j in range(layers):
                w, b = weights[j]
                forget, out = torch.sigmoid(u * w[0] + b[0]), torch.sigmoid(u * w[2] + b[2])
                write, new = torch.sigmoid(hidden[j] * w[1] + b[1]), torch.tanh(hidden[j] * w[3] + b[3])
                cells[j] = cells[j] * forget + write * new
                u = hidden[j] = out * torch.tanh(cells[j])
            top.append(u)
        y = torch.stack(top) * extra[1] + extra[2]
        guess = y - torch.log(torch.sum(torch.exp(y), dim=1, keepdim=True) + 2)
        return -torch.sum(x[1:] * guess) / ((len(x) - 1) * width)

    return Model(f, [d["main0"], d["extra0"]], [d["hidden0"], d["cell0"], d["x"]])


MODELS = {f.__name__: f for f in (parabola, quad, rosen, expfit, descent, heavy, logis, gmm, lstm)}


def ba(d: Data, build: Callable[[Any], Any]) -> Case:
    def residual(camera: Any, point: Any, w: Any, seen: Any) -> Any:
        r, y = camera[:3], point - camera[3:6]
        square = torch.dot(r, r)
        angle = torch.sqrt(square)
        v = r / angle
        across = torch.linalg.cross(v, y)
        turned = torch.cos(angle) * y + torch.sin(angle) * across + (1 - torch.cos(angle)) * torch.dot(v, y) * v
        u = turned[:2] / turned[2]
        s = torch.dot(u, u)
        return w * (camera[6] * u * (1 + camera[9] * s + camera[10] * s**2) + camera[7:9] - seen)

    blocks = torch.func.vmap(torch.func.jacrev(residual, argnums=(0, 1, 2)))
    weight = torch.func.vmap(torch.func.grad(lambda w: 1 - w**2))

    def jacobian(cameras: Any, points: Any, w: Any, seen: Any) -> Any:
        of_camera, of_point, of_weight = blocks(cameras[view], points[spot], w, seen)
        return torch.cat([of_camera, of_point, of_weight[..., None]], dim=2), weight(w)

    view, spot = (torch.from_numpy(d[name].astype(int) - 1) for name in ("view", "spot"))
    args = [torch.from_numpy(d[name]) for name in ("cameras0", "points0", "weights0", "feature")]
    jacobian = build(jacobian)
    return Case(lambda: jacobian(*args), only_flat)


def make(workload: Workload, d: Data, flavour: str) -> Case:
    torch.set_num_threads(1)
    compiled = flavour == "compile"
    n = max((len(value) for value in d.values() if value.ndim), default=1)
    if compiled and workload.model == "lstm":
        raise Skip("torch.compile writes the loop out step by step, which takes many minutes")
    if compiled and n < LEAST and workload.model != "parabola":
        raise Skip(f"not compiled below {LEAST} entries")
    torch._dynamo.reset()

    def build(function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=False) if compiled else function

    if workload.model == "ba":
        return ba(d, build)
    f, variables, others = MODELS[workload.model](d)
    args = [torch.as_tensor(value, dtype=torch.float64) for value in [*variables, *others]]
    count = len(variables)
    wrt = tuple(range(count))
    if workload.kind == "hessian":
        hessian = build(torch.func.hessian(f, argnums=wrt))
        return Case(lambda: hessian(*args), lambda found: only_flat([h for row in found for h in row]))
    if workload.kind == "hvp":
        direction = torch.from_numpy(d["direction"])
        product = build(lambda x, v: torch.func.jvp(torch.func.grad(f), (x,), (v,))[1])
        return Case(lambda: [product(args[0], direction)], only_flat)
    if workload.kind == "loop":
        return loop(f, args, count, RATES[workload.model], build if compiled else None)
    if compiled:
        both, value = build(torch.func.grad_and_value(f, argnums=wrt)), build(f)
        return Case(lambda: both(*args), lambda found: value_and_flat(found[::-1]), lambda: value(*args))

    def eager() -> Any:
        result = f(*leaves, *args[count:])
        return result.detach(), torch.autograd.grad(result, leaves)

    def plain() -> Any:
        with torch.no_grad():
            return f(*args)

    leaves = [x.clone().requires_grad_() for x in args[:count]]
    return Case(eager, value_and_flat, plain)


def loop(f: Any, args: list[Any], count: int, rate: float, build: Any) -> Case:
    """Eagerly by the library's own optimizer; compiled as a whole step that is called again and again."""
    others = args[count:]
    if build is None:

        def eager() -> Any:
            leaves = [x.clone().requires_grad_() for x in args[:count]]
            optimizer = torch.optim.SGD(leaves, lr=rate)
            for _ in range(STEPS):
                optimizer.zero_grad()
                f(*leaves, *others).backward()
                optimizer.step()
            return [x.detach() for x in leaves]

        return Case(eager, only_flat)
    slope = torch.func.grad(f, argnums=tuple(range(count)))

    @build
    def step(*xs: Any) -> Any:
        return tuple(x - rate * g for x, g in zip(xs[:count], slope(*xs), strict=True))

    def run() -> Any:
        xs = tuple(args[:count])
        for _ in range(STEPS):
            xs = step(*xs, *others)
        return xs

    return Case(run, only_flat)
