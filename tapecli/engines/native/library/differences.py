"""digamma(x) - digamma(x + y) and the same of trigamma, of which the derivatives of the beta function are made.

Terms of the asymptotic series at x and at x + y are joined by divided differences, so that nothing cancels; arguments
below 3 are moved up by 3 (the formulas and the tables are those of the NumPy kernels).
"""

from __future__ import annotations

from collections.abc import Sequence

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library.beta import INF, beta
from tapecli.engines.native.library.gamma import digamma, trigamma
from tapecli.engines.native.library.logarithm import log1p
from tapecli.ops.kernels import tables_special as kts

_PSI = (*kts.PSI_T, kts.PSI_H[0][0], 0.0)  # w P(w)
_PSI1 = (*kts.PSI1_T, kts.PSI1_H[0][0])


def _quotient(b: Lanes, coefficients: Sequence[float], u: Val, v: Val) -> tuple[Val, Val]:
    """A polynomial (highest power first) at u, and its difference quotient between u and v."""
    p, d = b.const(coefficients[0]), b.const(0.0)
    for c in coefficients[1:]:
        d = b.mad(d, v, p)
        p = b.mad(p, u, c)
    return p, d


def _raised(b: Lanes, x: Val, y: Val) -> tuple[Val, ...]:
    """x moved up to 3 or more: it, 1 over it and over its sum with y, and the difference of these two."""
    up = b.select(x < 3.0, x + 3.0, x)
    s = up + y
    u, v = 1.0 / up, 1.0 / s
    return up, u, v, (y * v) * u


def _steps(b: Lanes, x: Val, y: Val) -> tuple[Val, ...]:
    """1/(x + k) and 1/(x + y + k) for k = 0, 1, 2, where some x is below 3."""

    def inverses() -> list[Val]:
        s = x + y
        return [1.0 / w for w in (x, s, x + 1.0, s + 1.0, x + 2.0, s + 2.0)]

    return tuple(b.code.branch(b.code.any(x < 3.0), inverses, lambda: [b.const(0.0)] * 6))


def _psi_diff(b: Lanes, x: Val, y: Val) -> Val:
    up, u, v, d = b.once(_raised, x, y)
    w = b.once(_steps, x, y)
    _, f = _quotient(b, _PSI, u * u, v * v)
    out = log1p(b, y / up) + d * b.mad(f, u + v, 0.5)
    low = ((y * w[5]) * w[4] + (y * w[3]) * w[2]) + (y * w[1]) * w[0]
    return -b.select(x < 3.0, out + low, out)


def _psi1_diff(b: Lanes, x: Val, y: Val) -> Val:
    _, u, v, d = b.once(_raised, x, y)
    w = b.once(_steps, x, y)
    p, f = _quotient(b, _PSI1, u * u, v * v)
    squares = (u * u + u * v) + v * v
    out = d * (1.0 + b.mad(u + v, 0.5, b.mad(squares, p, ((v * v) * v) * (f * (u + v)))))
    low = b.const(0.0)
    for k in (4, 2, 0):
        low = low + ((y * w[k + 1]) * w[k]) * (w[k] + w[k + 1])
    return b.select(x < 3.0, out + low, out)


def _usual(x: Val, y: Val) -> Val:
    return (x > 0.0) & (y > 0.0) & (y < INF)


def digamma_diff(b: Lanes, x: Val, y: Val) -> Val:
    """digamma(x) - digamma(x + y), without cancellation for x, y > 0."""
    out, usual = _psi_diff(b, x, y), _usual(x, y)
    tiny = x < 1e-300

    def others() -> list[Val]:
        inside = b.select(tiny, -((y / (x + y)) / x), out)
        return [b.select(usual, inside, digamma(b, x) - digamma(b, x + y))]

    return b.code.branch(b.code.any(~usual | tiny), others, lambda: [out])[0]


def trigamma_diff(b: Lanes, x: Val, y: Val) -> Val:
    """trigamma(x) - trigamma(x + y) likewise."""
    out, usual = _psi1_diff(b, x, y), _usual(x, y)

    def others() -> list[Val]:
        return [b.select(usual, out, trigamma(b, x) - trigamma(b, x + y))]

    return b.code.branch(b.code.any(~usual), others, lambda: [out])[0]


def beta_dx(b: Lanes, x: Val, y: Val) -> Val:
    """The derivative of the beta function by its first argument."""
    return beta(b, x, y) * digamma_diff(b, x, y)
