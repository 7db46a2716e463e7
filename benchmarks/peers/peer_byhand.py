"""No peer: derivatives written by hand, with NumPy or numexpr, and the limits of the machine.

What a programmer gets who works the derivative out on paper. It does not count as a peer, and shows what the
automatic derivative costs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from case import Case, Data, Skip, only_flat, value_and_flat
from workloads import RATES, STEPS, Workload


def quad(d: Data) -> Case:
    a, b, c, x = d["a"], d["b"], d["c"], d["x0"]
    return Case(
        lambda: (np.sum(a * x**2 + b * x + c), [2 * a * x + b]), value_and_flat, lambda: np.sum(a * x**2 + b * x + c)
    )


def rosen(d: Data) -> Case:
    x = d["x0"]

    def value() -> Any:
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def both() -> Any:
        inner, rest = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        slope = np.zeros_like(x)
        slope[1:] = 200 * inner
        slope[:-1] -= 400 * inner * x[:-1] + 2 * rest
        return np.sum(100 * inner**2 + rest**2), [slope]

    return Case(both, value_and_flat, value)


def expfit(d: Data) -> Case:
    t, y, b1, b2 = d["t"], d["y"], 2.0, 0.6

    def both() -> Any:
        decay = np.exp(-b2 * t)
        r = y - b1 * (1 - decay)
        return r @ r, [-2 * np.sum(r * (1 - decay)), -2 * b1 * np.sum(r * t * decay)]

    return Case(both, value_and_flat, lambda: np.sum((y - b1 * (1 - np.exp(-b2 * t))) ** 2))


def logis(d: Data) -> Case:
    X, y = d["X"], d["y"]
    w = np.full(X.shape[1], 0.1)

    def value() -> Any:
        z = X @ w
        return np.sum(np.logaddexp(z, 0) - y * z)

    def both() -> Any:
        z = X @ w
        return np.sum(np.logaddexp(z, 0) - y * z), [(1 / (1 + np.exp(-z)) - y) @ X]

    return Case(both, value_and_flat, value)


def parabola(d: Data) -> Case:
    a, b, c = 1.0, -2.0, 1.0

    def both(x: float = 0.0) -> Any:
        return a * x * x + b * x + c, 2 * a * x + b

    return Case(both, lambda found: (found[0], np.array([found[1]])), lambda x=0.0: a * x * x + b * x + c)


def by_numexpr(workload: Workload, d: Data) -> Case:
    import numexpr

    numexpr.set_num_threads(1)
    run = numexpr.evaluate
    if workload.model == "quad":
        names = {"a": d["a"], "b": d["b"], "c": d["c"], "x": d["x0"]}
        total, slope = "sum(a*x**2 + b*x + c)", "2*a*x + b"
        return Case(lambda: (run(total, names), [run(slope, names)]), value_and_flat, lambda: run(total, names))
    if workload.model == "expfit":
        names = {"t": d["t"], "y": d["y"], "b1": 2.0, "b2": 0.6}

        def both() -> Any:
            decay = run("exp(-b2*t)", names)
            with_decay = {**names, "e": decay}
            first = run("sum((y - b1*(1 - e))*(1 - e))", with_decay)
            second = run("sum((y - b1*(1 - e))*t*e)", with_decay)
            return run("sum((y - b1*(1 - e))**2)", with_decay), [-2 * first, -4.0 * second]

        return Case(both, value_and_flat, lambda: run("sum((y - b1*(1 - exp(-b2*t)))**2)", names))
    raise Skip("not written by hand")


def sgd(workload: Workload) -> Case:
    rate = RATES[workload.model]

    def loop() -> Any:
        x = 0.0
        for _ in range(STEPS):
            x = x - rate * (2 * x - 2)
        return [x]

    return Case(loop, only_flat)


MODELS = {f.__name__: f for f in (quad, rosen, expfit, logis, parabola)}


def make(workload: Workload, d: Data, flavour: str) -> Case:
    if flavour == "numexpr":
        if workload.kind != "gradient":
            raise Skip("not written by hand")
        return by_numexpr(workload, d)
    if workload.name == "sgd":
        return sgd(workload)
    if workload.kind != "gradient" or workload.model not in MODELS:
        raise Skip("not written by hand")
    return MODELS[workload.model](d)
