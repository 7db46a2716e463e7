"""Numerical derivatives that owe nothing to the tape: what `check` holds exact derivatives against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.records import NamedTuple

#: How many steps a central difference tries; each takes two values.
STEPS = 8

Scalar = Callable[[Array], Any]


class Estimate(NamedTuple):
    """A numerical derivative, how far off it may be, and how it was found (`central` or `complex`)."""

    value: float
    uncertainty: float
    method: str


def central(f: Scalar, x: float, dtype: Any) -> Estimate:
    """df/dx at x by central differences of falling steps, extrapolated to 0 (Ridders, Adv. Eng. Software 4, 1982).

    The first step is eps^(1/5) of x's size in the run's precision, and each is half of the one before, so that the
    tableau passes the step where truncation and rounding balance. The estimate whose neighbours agree best is taken;
    their distance, and the rounding of f itself, are its uncertainty.
    """
    eps = float(np.finfo(dtype).eps)
    step = eps**0.2 * max(abs(x), 1e-2)
    best = Estimate(float("nan"), float("inf"), "central")
    previous: list[float] = []
    for k in range(STEPS):
        h = float(np.asarray(step / 2**k, dtype=dtype))
        high, low = np.asarray(x + h, dtype=dtype), np.asarray(x - h, dtype=dtype)
        width = float(high) - float(low)
        above, below = float(f(high)), float(f(low))
        row = [(above - below) / width if width else float("nan")]
        rounding = eps * (abs(above) + abs(below)) / width if width else float("inf")
        factor = 4.0
        for i, known in enumerate(previous):
            row.append((factor * row[i] - known) / (factor - 1.0))
            distance = max(abs(row[-1] - row[i]), abs(row[-1] - known)) + rounding
            if distance < best.uncertainty:
                best = Estimate(row[-1], distance, "central")
            factor *= 4.0
        previous = row
    return best


def complex_step(f: Scalar, x: float) -> Estimate:
    """df/dx as the imaginary part of f(x + ih)/h with a step so small that nothing is lost (Squire and Trapp, SIAM
    Review 40, 1998). `f` has to be analytic, and to take complex numbers."""
    h = 1e-150
    there = complex(f(np.asarray(complex(x, h))))
    value = there.imag / h
    # the rounding of f bounds what is left of derivatives whose parts cancel
    return Estimate(value, 4e-15 * (abs(value) + abs(there.real) / max(abs(x), 1.0)), "complex")
