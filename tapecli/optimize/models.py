"""What trust-region methods know at a point, and the quadratic models that they step by.

A `Model` is of the free variables alone, scaled, and in the basis in which the step within a radius is a matter of one
equation. There are three: of a sum of squares (from the Jacobian, with the exact second-order term beside it), of any
function with its Hessian, and, for many variables, of products with the Hessian alone.
"""

from __future__ import annotations

import math
from copy import copy
from typing import Protocol

import numpy as np

from tapecli.core import Array
from tapecli.optimize.losses import LOSSES
from tapecli.optimize.quadratic import shortest, truncated
from tapecli.optimize.target import Target
from tapecli.records import NamedTuple

#: Up to this many variables matrices of second derivatives are made.
EXACT = 256
#: A singular value or curvature below this part of the greatest is rounding.
NOISE = 1e-14


class Local(NamedTuple):
    """What is known at a point: the value, its gradient and, of a sum of squares, the residuals and the Jacobian
    weighted by the loss (`r`, `jacobian`), the plain residuals, the weights ρ' and what true curvature of the loss
    lacks to the weighted Jacobian's (`slack`, relative)."""

    value: float
    gradient: Array
    r: Array | None = None
    jacobian: Array | None = None
    plain: Array | None = None
    weights: Array | None = None
    slack: Array | None = None

    def fall_to(self, after: Local) -> float:
        """By how much the value falls: for plain squares as Σ (r - r')(r + r'), which keeps the digits of a small
        fall."""
        if self.slack is None and self.r is not None and after.r is not None:
            return float((self.r - after.r) @ (self.r + after.r))
        return self.value - after.value


def look_squares(target: Target, x: Array) -> Local:
    """A sum of squares, or of losses, at a point."""
    assert target.residuals is not None
    spec = target.residuals
    with np.errstate(all="ignore"):
        r, jacobian = target.columns("residuals", spec.function, x)
        if spec.loss == "linear":
            return Local(spec.offset + float(r @ r), 2.0 * (jacobian.T @ r), r, jacobian, r)
        loss, z = LOSSES[spec.loss], (r / spec.scale) ** 2
        first, second = loss.first(z), loss.second(z)
        true = first + 2.0 * second * z
        root = np.sqrt(np.maximum(true, 1e-3 * first))
        value = spec.offset + spec.scale**2 * float(np.sum(np.asarray(loss.rho(z))))
        gradient = 2.0 * (jacobian.T @ (first * r))
        return Local(value, gradient, first * r / root, jacobian * root[:, None], r, first, true / root**2 - 1.0)


def look_gradient(target: Target, x: Array) -> Local:
    """Any function at a point."""
    with np.errstate(all="ignore"):
        return Local(*target.gradient(x))


class Model(Protocol):
    """See the module. Steps are of all variables, 0 where they are not free."""

    def within(self, radius: float, exact: bool) -> Array: ...

    def fall(self, moved: Array, exact: bool) -> float: ...

    def newton(self) -> Array | None: ...


class Squares:
    """Scaled, J is U Σ Vᵀ: Gauss and Newton's model has the curvatures 2Σ² in the basis of V, and the exact one adds
    T there. All of it comes from a QR factorisation of J, never from JᵀJ."""

    def __init__(self, target: Target, x: Array, at: Local, free: Array, scale: Array) -> None:
        assert at.jacobian is not None
        assert at.r is not None
        self.free, self._at, self._target, self._x = free, at, target, x
        self.exact, self.noise = x.size <= EXACT, NOISE
        q, self._r = np.linalg.qr(at.jacobian[:, free])
        self._qr = q.T @ at.r
        self._full: Array | None = None
        self._factor(scale)

    def rescaled(self, scale: Array) -> Squares:
        """The same models under another scaling."""
        other = copy(self)
        other._factor(scale)
        return other

    def _factor(self, scale: Array) -> None:
        self.scale = scale[self.free]
        u, self.sigma, self.vt = np.linalg.svd(self._r / self.scale, full_matrices=False)
        self._ur = u.T @ self._qr
        rest = self.scale.size - self.sigma.size
        if rest:  # fewer residuals than parameters
            self.vt = np.linalg.svd(self._r / self.scale, full_matrices=True)[2]
            self.sigma, self._ur = np.pad(self.sigma, (0, rest)), np.pad(self._ur, (0, rest))
        self._term: Array | None = None

    @property
    def term(self) -> Array:
        """T: Σ ρ' r·∇²r, and what a loss adds to JᵀJ, in the basis of V."""
        if self._term is None:
            self._term = self.vt @ (self._second() / np.outer(self.scale, self.scale)) @ self.vt.T
        return self._term

    def _second(self) -> Array:
        if self._full is None:
            at, spec = self._at, self._target.residuals
            assert spec is not None
            assert at.plain is not None
            assert at.jacobian is not None
            weights = at.plain if at.weights is None else at.weights * at.plain
            with np.errstate(all="ignore"):
                full = self._target.weighted("residuals", spec.function, self._x, weights)
                if at.slack is not None:
                    full = full + at.jacobian.T @ (at.slack[:, None] * at.jacobian)
            self._full = full[np.ix_(self.free, self.free)]
        return np.asarray(self._full)

    def out(self, k: int) -> Array:
        """The k-th direction of the basis as a step."""
        return self._out(np.eye(self.sigma.size)[k])

    def bend(self, k: int) -> float:
        """The curvature along it."""
        return 2.0 * float(self.sigma[k] ** 2 + (self.term[k, k] if self.exact else 0.0))

    def parts(self, flat: int) -> tuple[Array, Array, Array]:
        """The null space of the Hessian, if `flat` is its dimension, its range, and the curvatures there."""
        if not self.exact:
            curvatures, steps = 2.0 * self.sigma[::-1] ** 2, np.eye(self.sigma.size)[::-1]
            space = np.array([self._out(row) for row in steps]).T
        else:
            half, basis, root = self.whole()
            curvatures, space = 2.0 * half, np.zeros((self._x.size, half.size))
            space[self.free] = basis / root[:, None]
        return space[:, :flat], space[:, flat:], curvatures[flat:]

    def _out(self, p: Array) -> Array:
        step = np.zeros(self._x.size)
        step[self.free] = (self.vt.T @ p) / self.scale
        return step

    def within(self, radius: float, exact: bool) -> Array:
        slopes = self.sigma * self._ur
        if not exact or not np.all(np.isfinite(self.term)):
            return self._out(shortest(self.sigma**2, slopes, radius))
        curvatures, basis = np.linalg.eigh(np.diag(self.sigma**2) + self.term)
        return self._out(basis @ shortest(curvatures, basis.T @ slopes, radius))

    def fall(self, moved: Array, exact: bool) -> float:
        p = self.vt @ (moved[self.free] * self.scale)
        bent = self.sigma * p
        fall = -2.0 * float(self._ur @ bent) - float(bent @ bent)
        return fall - float(p @ self.term @ p) if exact else fall

    def core(self) -> tuple[Array, Array, Array] | None:
        """Where J has its full rank up to rounding, and which is left: the Hessian as Σ(1 + Σ⁻¹TΣ⁻¹)Σ, which keeps
        the digits that JᵀJ would lose: eigenvalues and eigenvectors of the middle, and which of Σ are kept."""
        kept = self.sigma > self.noise * np.max(self.sigma, initial=0.0)
        if not np.all(np.isfinite(self.sigma)) or (self.exact and not np.all(np.isfinite(self.term))):
            return None
        middle = np.eye(int(kept.sum()))
        if self.exact:
            middle = middle + self.term[np.ix_(kept, kept)] / np.outer(self.sigma[kept], self.sigma[kept])
        curvatures, basis = np.linalg.eigh((middle + middle.T) / 2.0)
        return curvatures, basis, kept

    def whole(self) -> tuple[Array, Array, Array]:
        """Half the Hessian, scaled so that its diagonal is 1: eigenvalues, eigenvectors, and the scaling."""
        matrix = self._r.T @ self._r + self._second()
        root = np.sqrt(np.abs(np.diag(matrix)))
        root = np.where(root > 1e-150, root, 1.0)
        curvatures, basis = np.linalg.eigh(matrix / np.outer(root, root))
        return curvatures, basis, root

    def _bent(self) -> Array | None:
        """Newton's full step where it is the second-order term that makes the model definite."""
        curvatures, basis, root = self.whole()
        if curvatures[0] <= 1e-10 * np.max(np.abs(curvatures)):
            return None
        slopes = basis.T @ ((self._r.T @ self._qr) / root)
        step = np.zeros(self._x.size)
        step[self.free] = -(basis @ (slopes / curvatures)) / root
        return step

    def newton(self) -> Array | None:
        """Newton's full step, or None where the exact model has no minimum. Directions without influence are left."""
        found = self.core()
        if found is None:
            return None
        curvatures, basis, kept = found
        if (curvatures.size and curvatures[0] <= 1e-10) or (self.exact and not np.all(kept)):
            bent = self._bent()
            if bent is not None:
                return bent
        if curvatures.size and curvatures[0] <= 1e-10:
            return None
        p = np.zeros_like(self.sigma)
        p[kept] = -(basis @ ((basis.T @ self._ur[kept]) / curvatures)) / self.sigma[kept]
        return self._out(p)


class Curved:
    """The model from the Hessian, scaled and diagonalised."""

    exact = True

    def __init__(self, target: Target, x: Array, at: Local, free: Array, scale: Array) -> None:
        self.free, self._size, self.gradient = free, x.size, at.gradient[free]
        with np.errstate(all="ignore"):
            self.matrix = target.hessian(x)[np.ix_(free, free)]
        self.sound = bool(np.all(np.isfinite(self.matrix)))
        if not self.sound:
            self.matrix = np.eye(int(free.sum()))
        self._factor(scale)

    def rescaled(self, scale: Array) -> Curved:
        """The same model under another scaling."""
        other = copy(self)
        other._factor(scale)
        return other

    def _factor(self, scale: Array) -> None:
        self.scale = scale[self.free]
        self.curvatures, self.basis = np.linalg.eigh(self.matrix / np.outer(self.scale, self.scale))
        self.slopes = self.basis.T @ (self.gradient / self.scale)

    def flat(self) -> Array:
        """The directions along which, up to rounding, the value has neither curvature nor slope."""
        greatest = np.max(np.abs(self.curvatures), initial=0.0)
        straight = (self.curvatures <= NOISE * greatest) & (self.curvatures >= -1e-9 * greatest)
        return np.asarray(straight & (np.abs(self.slopes) <= 1e-6 * np.max(np.abs(self.slopes), initial=0.0)))

    def out(self, k: int) -> Array:
        """The k-th direction of the basis as a step."""
        return self._out(np.eye(self.curvatures.size)[k])

    def _out(self, p: Array) -> Array:
        step = np.zeros(self._size)
        step[self.free] = (self.basis @ p) / self.scale
        return step

    def within(self, radius: float, exact: bool) -> Array:
        return self._out(shortest(self.curvatures, self.slopes, radius))

    def fall(self, moved: Array, exact: bool) -> float:
        step = moved[self.free]
        return -float(self.gradient @ step) - 0.5 * float(step @ self.matrix @ step)

    def newton(self) -> Array | None:
        """Newton's full step, or None where the model has no minimum. Directions with neither slope nor curvature are
        left."""
        kept = ~self.flat()
        if not self.sound or np.any(self.curvatures[kept] <= 0.0):
            return None
        p = np.zeros_like(self.slopes)
        p[kept] = -self.slopes[kept] / self.curvatures[kept]
        return self._out(p)


class Products:
    """The model from products of the Hessian with directions, for many variables; unscaled."""

    exact = True

    def __init__(self, target: Target, x: Array, at: Local, free: Array, scale: Array) -> None:
        self.free, self._gradient = free, np.where(free, at.gradient, 0.0)
        self._target, self._x = target, x

    def rescaled(self, scale: Array) -> Products:
        """The model itself: it has no scaling."""
        return self

    def _times(self, v: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.where(self.free, self._target.product(self._x, v), 0.0)

    def within(self, radius: float, exact: bool) -> Array:
        norm = float(np.linalg.norm(self._gradient))
        return truncated(self._times, self._gradient, radius, min(0.5, math.sqrt(norm)) * norm, 2 * self._x.size)[0]

    def fall(self, moved: Array, exact: bool) -> float:
        return -float(self._gradient @ moved) - 0.5 * float(moved @ self._times(moved))

    def newton(self) -> Array | None:
        """Newton's step to many digits, or None where curvature is negative."""
        norm = float(np.linalg.norm(self._gradient))
        step, whole = truncated(self._times, self._gradient, math.inf, 1e-6 * norm, 4 * self._x.size)
        return step if whole else None
