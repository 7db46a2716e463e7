"""What exact derivatives say of a point under constraints.

First order are the conditions of Karush, Kuhn and Tucker; second order is the Hessian of the Lagrangian on the
directions that the active constraints leave (Nocedal and Wright, Numerical Optimization, theorems 12.5 and 12.6).
"""

from __future__ import annotations

import math

import numpy as np

from tapecli.core import Array
from tapecli.optimize.evidence import NEGATIVE, REACH, STATIONARY, WAYS, Evidence
from tapecli.optimize.lagrangian import Kkt, kkt, lagrangian_hessian
from tapecli.optimize.nearby import Nearby, Way
from tapecli.optimize.quadratic import free_of
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import THERE, relative
from tapecli.records import NamedTuple

#: The greatest stationarity and violation at a point that the conditions hold at.
HOLDS, FEASIBLE = 1e-5, 1e-6
#: A multiplier that holds its constraint with less than this part of the gradient's size does not hold it.
WEAK = 1e-8
#: A row of active constraints, scaled, below this part of the greatest depends on the others.
DEPENDENT = 1e-10


class Tangent(NamedTuple):
    """The Lagrangian along what the active constraints leave.

    steps, curvatures, slopes  directions (columns), and the Lagrangian's curvatures and slopes along them
    normal                     the shortest step to where the active constraints hold
    strong                     which constraints count as equalities
    free                       which variables can move
    rank                       how many of the active constraints are independent
    """

    steps: Array
    curvatures: Array
    slopes: Array
    normal: Array
    strong: Array
    free: Array
    rank: int


def strongly_active(target: Target, x: Array, here: Kkt, multipliers: Array) -> Array:
    """Equalities, and inequalities that hold as such with a multiplier that is not 0 up to rounding."""
    assert target.constraints is not None
    pull = np.abs(multipliers) * np.linalg.norm(here.jacobian, axis=1)
    size = float(np.linalg.norm(here.gradient - here.jacobian.T @ multipliers)) + float(np.sum(pull))
    held = (pull > WEAK * size) & (here.c >= -FEASIBLE * np.maximum(1.0, np.abs(here.jacobian) @ np.abs(x)))
    return np.asarray(target.constraints.equal | held)


def tangent(target: Target, x: Array, multipliers: Array, here: Kkt) -> Tangent | None:
    """The Lagrangian along the constraints at a point; None where its derivatives are not finite. Each variable is
    scaled by the root of its own curvature."""
    free = free_of(here.gradient, x, target.low, target.high)
    strong = strongly_active(target, x, here, multipliers)
    hessian = lagrangian_hessian(target, x, multipliers)[np.ix_(free, free)]
    if not np.all(np.isfinite(hessian)) or not np.all(np.isfinite(here.jacobian)):
        return None
    root = np.sqrt(np.abs(np.diag(hessian)))
    root = np.where(root > 1e-150, root, 1.0)
    rows = here.jacobian[np.ix_(strong, free)] / root
    basis = _null(rows, int(free.sum()))
    curvatures, vectors = np.linalg.eigh(basis.T @ (hessian / np.outer(root, root)) @ basis)
    steps = np.zeros((x.size, curvatures.size))
    steps[free] = (basis @ vectors) / root[:, None]
    normal = np.zeros(x.size)
    normal[free] = -np.linalg.lstsq(rows, here.c[strong], rcond=DEPENDENT)[0] / root
    return Tangent(steps, curvatures, steps.T @ here.gradient, normal, strong, free, int(free.sum()) - basis.shape[1])


def judge_constrained(target: Target, x: Array, multipliers: Array) -> Evidence:
    """The evidence at a point under constraints. `distance` is that of the Newton step along the constraints, or of the
    step to where they hold if it is longer."""
    with np.errstate(all="ignore"):
        here = kkt(target, x, multipliers)
        if not math.isfinite(max(here.stationarity, here.violation)):
            return Evidence("undetermined", None, None, None)
        if here.stationarity > HOLDS or here.violation > FEASIBLE:
            return Evidence("slope", None, None, None)
        along = tangent(target, x, multipliers, here)
        if along is None:
            return Evidence("undetermined", None, None, None)
        return _along(target, x, multipliers, here, along)


def _along(target: Target, x: Array, multipliers: Array, here: Kkt, along: Tangent) -> Evidence:
    curvatures = along.curvatures
    greatest = float(np.max(np.abs(curvatures), initial=0.0))
    start = target.flat(target.starts)
    off = relative(along.normal, x, start)
    if not off <= STATIONARY:
        return Evidence("slope", None, None, None)
    if not curvatures.size:
        return Evidence("minimum", off, None, None)
    least = float(curvatures[0]) / greatest if greatest > 0.0 else 0.0
    flat = np.abs(curvatures) <= NEGATIVE * 1e-2 * greatest
    if np.any(along.slopes[curvatures == 0.0] != 0.0):
        return Evidence("slope", None, None, least)
    step = -(along.steps @ np.where(flat, 0.0, along.slopes / np.where(flat, 1.0, curvatures)))
    distance = relative(step, x, start)
    decrease = max(-0.5 * float(here.gradient @ step), 0.0) + 0.0  # which is no -0.0
    near = _nearby(target, x, multipliers, along)
    ways = [Way(along.steps[:, k], float(curvatures[k])) for k in np.flatnonzero(~flat)[:WAYS]]
    ways.append(Way(step, max(-float(here.gradient @ step), 0.0)))
    if (
        distance > STATIONARY
        or near.against(ways, distance)
        or (distance > THERE and not near.contracts(here.gradient, step))
    ):
        known = distance if distance <= REACH and least > 0.0 and not near.against(ways, distance) else None
        return Evidence("slope", known, None if known is None else decrease, least)
    kind = "saddle" if least < -100.0 * NEGATIVE else "undetermined" if np.any(flat) else "minimum"
    known = None if kind == "undetermined" else max(distance, off)
    return Evidence(kind, known, None if known is None else decrease, least, int(np.sum(flat)), False)


def _nearby(target: Target, x: Array, multipliers: Array, along: Tangent) -> Nearby:
    """The surroundings by the Lagrangian, where constraints that do not count as equalities are kept."""
    spec = target.constraints
    assert spec is not None

    def look(point: Array) -> tuple[float, Array]:
        value, gradient = target.gradient(point)
        c, jacobian = target.columns("constraints", spec.function, point)
        return value + float(multipliers @ c), gradient + jacobian.T @ multipliers

    def allowed(point: Array) -> bool:
        c, _ = target.columns("constraints", spec.function, point)
        return bool(np.all(c[~along.strong] <= 0.0))

    return Nearby(target, x, look, allowed)


def _null(rows: Array, n: int) -> Array:
    """An orthonormal basis of what all rows are orthogonal to, as columns."""
    if not rows.shape[0]:
        return np.eye(n)
    lengths = np.linalg.norm(rows, axis=1)
    _, sigma, vt = np.linalg.svd(rows / np.where(lengths > 0.0, lengths, 1.0)[:, None], full_matrices=True)
    rank = int(np.sum(sigma > DEPENDENT * np.max(sigma, initial=0.0)))
    return np.asarray(vt[rank:].T)
