"""Quadratic models of a function near a point: the step that is least within a radius, and which variables are free."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tapecli.core import Array


def shortest(curvatures: Array, slopes: Array, radius: float) -> Array:
    """The p that makes Σ slopes·p + ½ Σ curvatures·p² least, with |p| ≤ radius: the trust-region step in the basis of
    the eigenvectors (Moré and Sorensen, SIAM J. Sci. Stat. Comput. 4, 1983), the hard case included."""
    lowest = float(curvatures.min()) if curvatures.size else 0.0
    if radius <= 0.0:
        return np.zeros_like(slopes)
    if lowest > 0.0:
        p = -slopes / curvatures
        if float(np.linalg.norm(p)) <= radius:
            return p
    floor = max(0.0, -lowest)
    scale = max(float(np.abs(curvatures).max(initial=0.0)), float(np.linalg.norm(slopes)) / max(radius, 1e-300), 1e-300)
    bottom = curvatures <= lowest + 1e-12 * scale
    if lowest <= 0.0 and not np.any(np.abs(slopes[bottom]) > 1e-14 * scale * radius):
        p = np.where(bottom, 0.0, -slopes / np.where(bottom, 1.0, curvatures + floor))
        rest = radius**2 - float(p @ p)
        if rest >= 0.0:  # the hard case: the way out is along the lowest curvature, to either side
            if lowest < 0.0:
                p[int(np.argmin(curvatures))] += math.sqrt(rest)
            return p
    return _secular(curvatures, slopes, radius, floor, scale)


def _secular(curvatures: Array, slopes: Array, radius: float, floor: float, scale: float) -> Array:
    """The step on the boundary: Newton's iterations on 1/|p(shift)| = 1/radius, kept between bounds."""
    low, high = floor, floor + float(np.linalg.norm(slopes)) / radius + 1e-16 * scale
    shift = max(low + 1e-3 * (high - low), low * (1.0 + 1e-15) + 1e-300)
    p = np.zeros_like(slopes)
    for _ in range(60):
        shifted = curvatures + shift
        if np.any(shifted <= 0.0):
            low, shift = shift, (shift + high) / 2.0
            continue
        p = -slopes / shifted
        norm = float(np.linalg.norm(p))
        if abs(norm - radius) <= 1e-3 * radius:
            break
        low, high = (shift, high) if norm > radius else (low, shift)
        unit = p / max(norm, 1e-300)
        slope = float(unit @ (unit / shifted))
        after = shift + (norm / radius - 1.0) / max(slope, 1e-300)
        shift = after if low < after < high else (low + high) / 2.0
        if high - low <= 1e-15 * high:
            break
    norm = float(np.linalg.norm(p))
    return p * (radius / norm) if norm > radius else p


def free_of(gradient: Array, x: Array, low: Array, high: Array) -> Array:
    """Which variables can move: all but those on a bound that descent would push them out of."""
    return ~(((x <= low) & (gradient > 0.0)) | ((x >= high) & (gradient < 0.0)))


def truncated(
    times: Callable[[Array], Array], gradient: Array, radius: float, tolerance: float, most: int
) -> tuple[Array, bool]:
    """The step of conjugate gradients towards the least point of g·p + ½ p·Hp, cut off at the radius or along negative
    curvature (Steihaug, SIAM J. Numer. Anal. 20, 1983), and whether it was cut off by neither."""
    p, r = np.zeros_like(gradient), gradient.copy()
    d, square = -r, float(r @ r)
    for _ in range(most):
        if math.sqrt(square) <= tolerance:
            return p, True
        hd = times(d)
        curvature = float(d @ hd)
        if not math.isfinite(curvature):
            return p, False
        if curvature <= 0.0:
            return (p + _reach(p, d, radius) * d if math.isfinite(radius) else p), False
        alpha = square / curvature
        if float(np.linalg.norm(p + alpha * d)) >= radius:
            return p + _reach(p, d, radius) * d, False
        p, r = p + alpha * d, r + alpha * hd
        after = float(r @ r)
        d, square = -r + (after / square) * d, after
    return p, math.isfinite(radius)


def _reach(p: Array, d: Array, radius: float) -> float:
    """How far along d from p the sphere is."""
    a, b, c = float(d @ d), float(p @ d), float(p @ p) - radius**2
    return float((-b + math.sqrt(max(b * b - a * c, 0.0))) / a) if a > 0 else 0.0
