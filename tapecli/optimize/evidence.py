"""What exact derivatives say of a point: a minimum, a saddle, not stationary, or not to be decided; and how near.

First order: how far a full Newton step would go, relative to the variables, and how much lower the value could be
there. Second order: whether the Hessian is definite in the variables that can move. A direction in which the value does
not change at all is harmless where it is there at other points as well (only a + c occurs in the formula, say);
otherwise it is a sign of a model that has run off into a region without slope, and nothing is claimed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tapecli.core import Array
from tapecli.optimize.models import EXACT, Curved, Products, Squares, look_gradient, look_squares
from tapecli.optimize.quadratic import free_of
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import relative

#: A Newton step of this size, relative to the variables, is that of a point which counts as stationary.
STATIONARY = 1e-4
#: A sum of squares that is this part of the one at the start is 0.
ZERO = 1e-25
#: A singular value of a scaled Jacobian below this part of the greatest: these data cannot tell.
DEFICIENT = 1e-11
#: Negative curvature beyond this part of the greatest is no rounding.
NEGATIVE = 1e-9


class Evidence(NamedTuple):
    """`kind` is minimum, saddle, slope (not stationary) or undetermined.

    distance   the size of a full Newton step, relative to the variables: about how far the optimum is (None: unknown)
    decrease   by how much the value would fall with it
    curvature  the least eigenvalue of the scaled Hessian in the variables that can move, the greatest being 1
    flat       how many directions there are in which the value does not change to second order
    harmless   whether those are there at other points as well
    """

    kind: str
    distance: float | None
    decrease: float | None
    curvature: float | None
    flat: int = 0
    harmless: bool = True

    @property
    def holds(self) -> bool:
        """Whether this is evidence of a minimum."""
        return self.kind == "minimum" or (self.kind == "undetermined" and self.flat > 0 and self.harmless)


def judge(target: Target, x: Array, stationary: float = STATIONARY) -> Evidence:
    """The evidence at a point. `stationary` is how far, relatively, a Newton step may go from a stationary point."""
    with np.errstate(all="ignore"):
        found = _judged(target, x, target.rounding(stationary))
        if target.kinked:
            found = found._replace(harmless=False)
            if found.kind != "slope" and _lower(target, x):
                return found._replace(kind="slope")
    return found


def _lower(target: Target, x: Array) -> bool:
    """Whether the value is lower somewhere very near: where derivatives jump they prove nothing, but this disproves."""
    draw = np.random.default_rng(0)
    size = 1e-5 * np.maximum(np.abs(x), 1e-3 * np.abs(x - target.flat(target.starts)) + 1e-8)
    units = np.eye(x.size) if x.size <= EXACT else draw.choice([-1.0, 1.0], (20, x.size))
    ways = np.vstack([units, -units, draw.uniform(-1.0, 1.0, (20, x.size))])
    value = target.value(x)
    slack = 8.0 * float(np.finfo(target.dtype).eps) * abs(value)
    return any(target.value(np.clip(x + size * way, target.low, target.high)) < value - slack for way in ways)


def _judged(target: Target, x: Array, stationary: float) -> Evidence:
    if target.residuals is not None:
        return _of_squares(target, x, stationary)
    at = look_gradient(target, x)
    if not (math.isfinite(at.value) and np.all(np.isfinite(at.gradient))):
        return Evidence("undetermined", None, None, None)
    free = free_of(at.gradient, x, target.low, target.high)
    if not np.any(free):
        return Evidence("minimum", 0.0, 0.0, None)
    if x.size > EXACT:
        return _of_products(target, x, free, stationary)
    model = Curved(target, x, at, free, np.ones(x.size))
    if not model.sound:
        return Evidence("undetermined", None, None, None)
    diagonal = np.sqrt(np.abs(np.diag(model.matrix)))
    scale = np.ones(x.size)
    scale[free] = np.where(diagonal > 1e-150, diagonal, 1.0)
    model = model.rescaled(scale)
    greatest = float(np.max(np.abs(model.curvatures)))
    least = float(model.curvatures[0]) / greatest if greatest > 0 else 0.0
    step = _newton(model, x.size)
    distance = relative(step, x, target.flat(target.starts))
    decrease = max(-0.5 * float(at.gradient @ step), 0.0)
    if least < -target.rounding(NEGATIVE):
        return Evidence("saddle" if distance <= stationary else "slope", distance, decrease, least)
    flat = (
        int(np.sum(model.curvatures <= target.rounding(NEGATIVE * 1e-2) * greatest))
        if greatest > 0
        else model.curvatures.size
    )
    if distance > stationary or np.any(model.slopes[model.curvatures == 0.0] != 0.0):
        return Evidence("slope", distance, decrease, least, flat)
    if flat:
        return Evidence("undetermined", distance, decrease, least, flat, _everywhere(target, x, free, flat))
    return Evidence("minimum", distance, decrease, least)


def _newton(model: Curved, size: int) -> Array:
    """The step to the stationary point of the model, flat directions left out."""
    kept = ~model.flat() & (model.curvatures != 0.0)
    p = np.where(kept, -model.slopes / np.where(kept, model.curvatures, 1.0), 0.0)
    step = np.zeros(size)
    step[model.free] = (model.basis @ p) / model.scale
    return step


def _of_products(target: Target, x: Array, free: Array, stationary: float) -> Evidence:
    at = look_gradient(target, x)
    step = Products(target, x, at, free, np.ones(x.size)).newton()
    if step is None:
        return Evidence("undetermined", None, None, None)
    distance = relative(step, x, target.flat(target.starts))
    decrease = max(-0.5 * float(at.gradient @ step), 0.0)
    return Evidence("minimum" if distance <= stationary else "slope", distance, decrease, None)


def _of_squares(target: Target, x: Array, stationary: float) -> Evidence:
    at = look_squares(target, x)
    if not (math.isfinite(at.value) and np.all(np.isfinite(at.gradient))):
        return Evidence("undetermined", None, None, None)
    assert target.residuals is not None
    assert at.jacobian is not None
    begin = look_squares(target, target.flat(target.starts)).value
    above = at.value - target.residuals.offset
    if (
        above
        <= target.rounding(ZERO) ** (1.0 if target.dtype == np.float64 else 2.0) * (begin - target.residuals.offset)
        or above == 0.0
    ):
        return Evidence("minimum", 0.0, above, None)  # a sum of squares cannot be lower than 0
    free = free_of(at.gradient, x, target.low, target.high)
    if not np.any(free):
        return Evidence("minimum", 0.0, 0.0, None)
    lengths = np.linalg.norm(at.jacobian, axis=0)
    model = Squares(target, x, at, free, np.where(lengths > 0.0, lengths, 1.0))
    model.noise = target.rounding(DEFICIENT)
    found = model.core()
    if found is None:
        return Evidence("undetermined", None, None, None)
    away = relative(_one_by_one(at.gradient, lengths, free), x, target.flat(target.starts))
    if not away <= stationary:
        return Evidence("slope", away if math.isfinite(away) else None, None, None)
    curvatures, _, kept = found
    flat = int(np.sum(~kept))
    least = float(curvatures[0]) if curvatures.size else 0.0
    if model.exact and (flat or least <= target.rounding(1e-10)):  # then it is for the second-order term to decide
        curvatures, _, _ = model.whole()
        greatest = float(np.max(np.abs(curvatures)))
        least = float(curvatures[0]) / greatest if greatest > 0 else 0.0
        flat = (
            int(np.sum(curvatures <= target.rounding(1e-10) * greatest)) if least >= -target.rounding(NEGATIVE) else 0
        )
    step = model.newton()
    if step is None:
        return Evidence(
            "saddle" if least < -target.rounding(NEGATIVE) else "undetermined", None, None, least, flat, harmless=False
        )
    distance = relative(step, x, target.flat(target.starts))
    decrease = max(-0.5 * float(at.gradient @ step), 0.0)
    if distance > stationary:
        return Evidence("slope", distance, decrease, least, flat)
    if least < -target.rounding(NEGATIVE):
        return Evidence("saddle", distance, decrease, least)
    if flat:
        harmless = _everywhere(target, x, free, flat)
        return Evidence("undetermined", distance, decrease, least, flat, harmless)
    return Evidence("minimum", distance, decrease, least)


def _one_by_one(gradient: Array, lengths: Array, free: Array) -> Array:
    """The Gauss-Newton step of each variable with the others held. In the whole step a variable that the data hardly
    see can make the others look flat beside its own huge scaled curvature; alone, each has to be at rest. A column so
    short that its square is 0 gives an infinite step, or none (NaN)."""
    step = np.zeros(gradient.size)
    seen = free & (lengths > 0.0)
    step[seen] = -gradient[seen] / (2.0 * lengths[seen] ** 2)
    return step


def _everywhere(target: Target, x: Array, free: Array, flat: int) -> bool:
    """Whether at the start, beside x, and where x is held below powers of ten there are as many flat directions."""
    if not np.all(np.isfinite(x)):
        return False
    draw = np.random.default_rng(0)
    start = target.flat(target.starts)
    beside = x * (1.0 + 0.05 * draw.uniform(0.5, 1.0, x.size)) + 1e-3 * draw.uniform(0.5, 1.0, x.size)
    nearer = x * draw.uniform(0.03, 0.3, x.size)  # a slope that is lost far out comes back
    reach = math.ceil(math.log10(max(float(np.max(np.abs(x), initial=0.0)), 1.0)))
    bounded = [np.clip(nearer, -(10.0**k), 10.0**k) for k in range(reach, -4, -1)]
    seen = 0
    for point in (start, beside, start + 0.05 * (beside - start), nearer, *bounded):
        matrix = _curving(target, np.clip(point, target.low, target.high), free)
        if not np.all(np.isfinite(matrix)):
            continue
        seen += 1
        values = np.linalg.svd(matrix, compute_uv=False)
        values = np.pad(values, (0, matrix.shape[1] - values.size))
        greatest = float(np.max(values, initial=0.0))
        if greatest == 0.0 or int(np.sum(values <= target.rounding(DEFICIENT) * greatest)) < flat:
            return False
    return seen > 1


def _curving(target: Target, x: Array, free: Array) -> Array:
    """The scaled Jacobian of a sum of squares, or else the scaled Hessian."""
    if target.residuals is not None:
        jacobian = look_squares(target, x).jacobian
        assert jacobian is not None
        lengths = np.linalg.norm(jacobian[:, free], axis=0)
        return np.asarray(jacobian[:, free] / np.where(lengths > 0.0, lengths, 1.0))
    matrix = target.hessian(x)[np.ix_(free, free)]
    root = np.sqrt(np.abs(np.diag(matrix)))
    root = np.where(root > 0.0, root, 1.0)
    return np.asarray(matrix / np.outer(root, root))


def judge_constrained(target: Target, x: Array, multipliers: Array) -> Evidence:
    """The evidence at a point under constraints: the conditions of Karush, Kuhn and Tucker, and the Hessian of the
    Lagrangian on the directions that the active constraints leave (Nocedal and Wright, theorem 12.6). `distance` is
    the larger of stationarity and violation."""
    from tapecli.optimize.lagrangian import kkt, lagrangian_hessian

    here = kkt(target, x, multipliers)
    residual = max(here.stationarity, here.violation)
    if not math.isfinite(residual):
        return Evidence("undetermined", None, None, None)
    if here.stationarity > 1e-5 or here.violation > 1e-6:
        return Evidence("slope", residual, None, None)
    free = free_of(here.gradient, x, target.low, target.high)
    hessian = lagrangian_hessian(target, x, multipliers)[np.ix_(free, free)]
    rows = here.jacobian[np.ix_(here.active, free)]
    basis = _null(rows, int(free.sum()))
    if not basis.shape[1]:
        return Evidence("minimum", residual, None, None)
    reduced = basis.T @ hessian @ basis
    if not np.all(np.isfinite(reduced)):
        return Evidence("undetermined", residual, None, None)
    curvatures = np.linalg.eigvalsh(reduced)
    greatest = max(float(np.max(np.abs(curvatures))), 1e-12 * float(np.max(np.abs(hessian), initial=0.0)), 1e-300)
    least = float(curvatures[0]) / greatest
    kind = "saddle" if least < -1e-7 else "undetermined" if least < 1e-11 else "minimum"
    return Evidence(kind, residual, None, least, int(kind == "undetermined"), False)


def _null(rows: Array, n: int) -> Array:
    """An orthonormal basis of what all rows are orthogonal to, as columns."""
    if not rows.shape[0]:
        return np.eye(n)
    _, sigma, vt = np.linalg.svd(rows, full_matrices=True)
    rank = int(np.sum(sigma > 1e-10 * np.max(sigma, initial=0.0)))
    return np.asarray(vt[rank:].T)
