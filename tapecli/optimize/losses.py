"""Losses: what a residual counts in a sum. All are Σ c²·ρ((r/c)²) with the scale c, and 1·r² near 0.

Names and forms are those that users of SciPy know (Huber, 1964; Triggs and others, "Bundle adjustment", 2000, for how
they enter a Gauss-Newton step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli import ops
from tapecli.core import Array
from tapecli.records import NamedTuple


class Loss(NamedTuple):
    """ρ as a formula on values, and its first and second derivative on arrays of z = (r/c)²."""

    rho: Callable[[Any], Any]
    first: Callable[[Array], Array]
    second: Callable[[Array], Array]
    help: str


def _huber(z: Any) -> Any:
    inside = ops.less_equal(z, 1.0)
    return ops.where(inside, z, 2.0 * ops.sqrt(ops.where(inside, 1.0, z)) - 1.0)


#: name -> the loss; `linear` is plain least squares
LOSSES: dict[str, Loss] = {
    "linear": Loss(lambda z: z, lambda z: np.ones_like(z), lambda z: np.zeros_like(z), "least squares"),
    "soft_l1": Loss(
        lambda z: 2.0 * (ops.sqrt(1.0 + z) - 1.0),
        lambda z: (1.0 + z) ** -0.5,
        lambda z: -0.5 * (1.0 + z) ** -1.5,
        "smooth, and straight far out",
    ),
    "huber": Loss(
        _huber,
        lambda z: np.where(z <= 1.0, 1.0, np.maximum(z, 1.0) ** -0.5),
        lambda z: np.where(z <= 1.0, 0.0, -0.5 * np.maximum(z, 1.0) ** -1.5),
        "squares up to the scale, straight beyond",
    ),
    "cauchy": Loss(
        ops.log1p, lambda z: 1.0 / (1.0 + z), lambda z: -1.0 / (1.0 + z) ** 2, "outliers count less and less"
    ),
    "arctan": Loss(
        ops.atan,
        lambda z: 1.0 / (1.0 + z**2),
        lambda z: -2.0 * z / (1.0 + z**2) ** 2,
        "no residual counts more than π/2 squares of the scale",
    ),
}
