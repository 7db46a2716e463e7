"""What exact derivatives say of a point: a minimum, a saddle, not stationary, or not to be decided; and how near.

First order: how far a full Newton step would go, relative to the variables, and how much lower the value could be
there. Second order: whether the Hessian is definite in the variables that can move. Both rest on the quadratic model at
the point, so slopes around it are looked at as well (`tapecli.optimize.nearby`): where they contradict the model,
nothing that it says is handed out. A direction in which the value does
not change at all is harmless where it is there at other points as well (only a + c occurs in the formula, say);
otherwise it is a sign of a model that has run off into a region without slope, and nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tapecli.core import Array
from tapecli.optimize.models import EXACT, Curved, Products, Squares, look_gradient, look_squares
from tapecli.optimize.nearby import Look, Nearby, Way
from tapecli.optimize.quadratic import free_of
from tapecli.optimize.target import Target
from tapecli.optimize.trust_region import THERE, relative
from tapecli.records import NamedTuple

#: A Newton step of this size, relative to the variables, is that of a point which counts as stationary.
STATIONARY = 1e-4
#: A sum of squares that is this part of the one at the start is 0.
ZERO = 1e-25
#: There a Newton step may be this long.
AT_ZERO = 1e-2
#: A singular value of a scaled Jacobian below this part of the greatest: these data cannot tell.
DEFICIENT = 1e-11
#: Negative curvature beyond this part of the greatest is no rounding.
NEGATIVE = 1e-9
#: A Newton step beyond this size, relative to the variables, tells nothing of where the optimum is.
REACH = 1.0
#: Along how many directions of least curvature slopes around a point are looked at, beside that of Newton's step.
WAYS = 3


class Evidence(NamedTuple):
    """`kind` is minimum, saddle, slope (not stationary) or undetermined.

    distance   the size of a full Newton step, relative to the variables: about how far the optimum is; None where no
               optimum is in reach of the quadratic model
    decrease   by how much the value would fall with it
    curvature  the least eigenvalue of the scaled Hessian in the variables that can move, the greatest being 1
    flat       how many directions there are in which the value does not change to second order
    harmless   whether those are there at other points as well
    beside     what values say beside a point whose Hessian is singular: higher, lower, level or mixed; else None
    """

    kind: str
    distance: float | None
    decrease: float | None
    curvature: float | None
    flat: int = 0
    harmless: bool = True
    beside: str | None = None

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
                return found._replace(kind="slope", distance=None, decrease=None, beside="lower")
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
    decrease = max(-0.5 * float(at.gradient @ step), 0.0) + 0.0  # which is no -0.0
    flat = model.curvatures <= target.rounding(NEGATIVE * 1e-2) * greatest if greatest > 0 else model.curvatures == 0.0
    if not (math.isfinite(distance) and math.isfinite(least)):
        return Evidence("undetermined", None, None, None, harmless=False)
    near = Nearby(target, x, target.gradient)
    bent = [Way(model.out(k), float(model.curvatures[k])) for k in np.flatnonzero(~flat)[:WAYS]]
    along = Way(step, float(step[free] @ model.matrix @ step[free]))
    found = Evidence("minimum", distance, decrease, least, int(np.sum(flat)))
    if least < -target.rounding(NEGATIVE):
        if distance > stationary:
            return Evidence("slope", None, None, least)
        lowest = Way(model.out(0), float(model.curvatures[0]))
        return _seen(near, Evidence("saddle", distance, decrease, least), at.gradient, step, [lowest, *bent])
    if np.any(model.slopes[model.curvatures == 0.0] != 0.0):
        return found._replace(kind="slope", distance=None, decrease=None)
    found = found._replace(kind="slope" if distance > stationary else "minimum")
    found = _seen(near, found, at.gradient, step, [along, *bent])
    if not found.flat or found.kind == "slope":
        return found
    space = np.array([model.out(k) for k in range(flat.size)]).T
    return _singular(target, x, free, found, near, (space[:, flat], space[:, ~flat], model.curvatures[~flat]))


def _seen(near: Nearby, found: Evidence, gradient: Array, step: Array, ways: Sequence[Way]) -> Evidence:
    """What was found at the length of Newton's `step`, if slopes around the point do not contradict it."""
    assert found.distance is not None
    if (
        found.distance > REACH
        or near.against(ways, found.distance)
        or (found.distance > THERE and not near.contracts(gradient, step))
    ):
        return found._replace(kind="slope", distance=None, decrease=None)
    return found


def _singular(
    target: Target, x: Array, free: Array, found: Evidence, near: Nearby, parts: tuple[Array, Array, Array]
) -> Evidence:
    """The evidence where the Hessian is singular; `parts` are its null space, its range and the curvatures there."""
    if _everywhere(target, x, free, found.flat):
        return found._replace(kind="undetermined")
    beside = near.beside(*parts)
    kind = "saddle" if beside == "lower" else "undetermined"
    return found._replace(kind=kind, distance=None, decrease=None, harmless=False, beside=beside)


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
    decrease = max(-0.5 * float(at.gradient @ step), 0.0) + 0.0  # which is no -0.0
    found = Evidence("minimum" if distance <= stationary else "slope", distance, decrease, None)
    draw = np.random.default_rng(0)
    ways = [step, *(np.where(free, draw.choice([-1.0, 1.0], x.size), 0.0) * np.abs(x) for _ in range(WAYS))]
    bent = [Way(way, float(way @ target.product(x, way))) for way in ways]
    return _seen(Nearby(target, x, target.gradient), found, at.gradient, step, bent)


def _of_squares(target: Target, x: Array, stationary: float) -> Evidence:
    at = look_squares(target, x)
    if not (math.isfinite(at.value) and np.all(np.isfinite(at.gradient))):
        return Evidence("undetermined", None, None, None)
    assert target.residuals is not None
    assert at.jacobian is not None
    begin = look_squares(target, target.flat(target.starts)).value
    above = at.value - target.residuals.offset
    least_sum = target.rounding(ZERO) ** (1.0 if target.dtype == np.float64 else 2.0)
    zero = above <= least_sum * (begin - target.residuals.offset) or above == 0.0
    if zero:
        stationary = max(stationary, AT_ZERO)  # a sum of squares cannot be lower than 0, so rounding is what moves
    free = free_of(at.gradient, x, target.low, target.high)
    if not np.any(free):
        return Evidence("minimum", 0.0, 0.0, None)
    lengths = np.linalg.norm(at.jacobian, axis=0)
    model = Squares(target, x, at, free, np.where(lengths > 0.0, lengths, 1.0))
    model.noise = target.rounding(DEFICIENT)
    core = model.core()
    if core is None:
        return Evidence("undetermined", None, None, None)
    away = relative(_one_by_one(at.gradient, lengths, free), x, target.flat(target.starts))
    if not away <= stationary:
        return Evidence("slope", None, None, None)
    curvatures, _, kept = core
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
    decrease = max(-0.5 * float(at.gradient @ step), 0.0) + 0.0  # which is no -0.0
    if not (math.isfinite(distance) and math.isfinite(least)):
        return Evidence("undetermined", None, None, None, flat, harmless=False)
    near = Nearby(target, x, _squares_alone(target))
    bent = [Way(model.out(k), model.bend(k)) for k in np.flatnonzero(kept)[-WAYS:]]
    found = Evidence("minimum", distance, decrease, least, flat)
    if least < -target.rounding(NEGATIVE):
        if distance > stationary:
            return Evidence("slope", None, None, least, flat)
        return _seen(near, Evidence("saddle", distance, decrease, least), at.gradient, step, bent)
    along = Way(step, max(-float(at.gradient @ step), 0.0))
    found = found._replace(kind="slope" if distance > stationary else "minimum")
    found = _seen(near, found, at.gradient, step, [along, *bent])
    if not found.flat or found.kind == "slope":
        return found
    found = _singular(target, x, free, found, near, model.parts(flat))
    if zero and (found.harmless or found.beside == "higher"):
        return found._replace(kind="minimum", distance=0.0, decrease=above)
    return found


def _squares_alone(target: Target) -> Look:
    """The squares without what is added to them, which would take their digits."""
    spec = target.residuals
    assert spec is not None

    def look(point: Array) -> tuple[float, Array]:
        at = look_squares(target, point)
        plain = spec.loss == "linear" and at.r is not None
        return (float(at.r @ at.r) if plain else at.value - spec.offset), at.gradient  # type: ignore[operator]

    return look


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
