"""Special functions: the error functions, the gamma function and its relatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import Array, Op, elementwise
from tapecli.ops.late import late, wide
from tapecli.ops.lowering import Numbered

R = "real"
NO_POLE = "real; not 0, -1, -2, …"
TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)

_LINE = ((0.5,), (-2.0,), (1e-9,), (3.5,), (-0.1,))
_GAMMAS = ((0.5,), (3.3,), (1e-5,), (30.0,), (-1.7,), (1.4616,))
_exp_neg_sq = late("hyperbolic", "exp_neg_sq")


@wide
def _exp_neg_sq_d1(x: Array) -> Any:
    """`-2 x exp(-x^2)`; in the tail exp is a product of roots, so that only the result leaves the normal numbers."""
    root = _exp_neg_sq(0.5 * x)
    tail = -2.0 * x * root * root * root * root
    return np.where(np.abs(x) > 26.0, tail, -2.0 * x * _exp_neg_sq(x))


exp_neg_sq: Op = elementwise(
    "exp_neg_sq",
    kernel=_exp_neg_sq,
    complex=lambda x: np.exp(-x * x),
    vjps=(lambda g, out, x: g * exp_neg_sq_d1(x),),
    native=lambda b, x: b.exp_neg_sq(x),
    domain=R,
    points=_LINE,
    doc="exp(-x^2), the density under erf",
)
exp_neg_sq_d1: Op = elementwise(
    "exp_neg_sq_d1",
    kernel=_exp_neg_sq_d1,
    complex=lambda x: -2.0 * x * np.exp(-x * x),
    vjps=(lambda g, out, x: g * ((4.0 * x * x - 2.0) * exp_neg_sq(x)),),
    native=lambda b, x: b.exp_neg_sq_d1(x),
    domain=R,
    points=_LINE,
    doc="the derivative of exp(-x^2)",
)
erf: Op = elementwise(
    "erf",
    kernel=late("erf", "erf"),
    complex=None,
    vjps=(lambda g, out, x: g * (TWO_OVER_SQRT_PI * exp_neg_sq(x)),),
    native=lambda b, x: b.erf(x),
    domain=R,
    points=_LINE,
    doc="the error function",
)
erfc: Op = elementwise(
    "erfc",
    kernel=late("erf", "erfc"),
    complex=None,
    vjps=(lambda g, out, x: -g * (TWO_OVER_SQRT_PI * exp_neg_sq(x)),),
    native=lambda b, x: b.erfc(x),
    domain=R,
    points=(*_LINE, (20.0,)),
    doc="1 - erf(x), exact in the tail",
)
_gamma = late("gammas", "gamma")
_digamma = late("polygammas", "digamma")
_trigamma = late("polygammas", "trigamma")


@wide
def _gamma_d(x: Array, n: int) -> Any:
    """`gamma psi` or `gamma (psi^2 + psi')`; far left, where gamma alone underflows, with gamma at x + 8."""
    psi = _digamma(x)
    factor = psi if n == 1 else psi * psi + _trigamma(x)
    low = np.less(x, -160.0)
    result = _gamma(x) * factor
    if not np.any(low):
        return result
    v = np.where(low, x, -160.5)
    shifted = _gamma(v + 8.0) * factor
    for k in range(8):
        shifted = shifted / (v + k)
    return np.where(low, shifted, result)


def _gamma_d3(x: Any) -> Any:
    psi = digamma(x)
    return gamma(x) * (psi * psi * psi + 3.0 * (psi * trigamma(x)) + polygamma(x, n=2))


gamma: Op = elementwise(
    "gamma",
    kernel=_gamma,
    complex=None,
    vjps=(lambda g, out, x: g * gamma_d(x, n=1),),
    native=lambda b, x: b.gamma(x),
    domain=NO_POLE,
    points=_GAMMAS,
    doc="the gamma function",
)
gamma_d: Op = elementwise(
    "gamma_d",
    kernel=_gamma_d,
    complex=None,
    vjps=(lambda g, out, x, n: g * (gamma_d(x, n=2) if n == 1 else _gamma_d3(x)),),
    native=Numbered("gamma_d", (1, 2)),
    domain=NO_POLE,
    points=_GAMMAS,
    doc="the first or second derivative of gamma",
)
lgamma: Op = elementwise(
    "lgamma",
    kernel=late("gammas", "lgamma"),
    complex=None,
    vjps=(lambda g, out, x: g * digamma(x),),
    native=lambda b, x: b.lgamma(x),
    domain=NO_POLE,
    points=(*_GAMMAS, (1e10,)),
    doc="log |gamma(x)|",
)
digamma: Op = elementwise(
    "digamma",
    kernel=_digamma,
    complex=None,
    vjps=(lambda g, out, x: g * trigamma(x),),
    native=lambda b, x: b.digamma(x),
    domain=NO_POLE,
    points=(*_GAMMAS, (1e10,)),
    doc="the derivative of lgamma",
)
trigamma: Op = elementwise(
    "trigamma",
    kernel=_trigamma,
    complex=None,
    vjps=(lambda g, out, x: g * polygamma(x, n=2),),
    native=lambda b, x: b.trigamma(x),
    domain=NO_POLE,
    points=(*_GAMMAS, (1e10,)),
    doc="the second derivative of lgamma",
)
_polygamma = late("polygammas", "polygamma")
polygamma: Op = elementwise(
    "polygamma",
    kernel=lambda x, n: _polygamma(n, x),
    complex=None,
    vjps=(lambda g, out, x, n: g * polygamma(x, n=n + 1),),
    native=Numbered("polygamma", (2, 3)),
    domain=NO_POLE,
    points=(*_GAMMAS, (1e10,)),
    doc="the n-th derivative of digamma",
)
_BETAS = ((0.5, 0.5), (2.5, 1.25), (1e-5, 3.0), (30.0, 2.0), (1e6, 0.5))
digamma_diff: Op = elementwise(
    "digamma_diff",
    kernel=late("betas", "digamma_diff"),
    complex=None,
    vjps=(
        lambda g, out, x, y: g * trigamma_diff(x, y),
        lambda g, out, x, y: -g * trigamma(x + y),
    ),
    native=lambda b, x, y: b.digamma_diff(x, y),
    domain="x, y > 0",
    points=_BETAS,
    doc="digamma(x) - digamma(x + y), the derivative of lbeta",
)
trigamma_diff: Op = elementwise(
    "trigamma_diff",
    kernel=late("betas", "trigamma_diff"),
    complex=None,
    vjps=(
        lambda g, out, x, y: g * (polygamma(x, n=2) - polygamma(x + y, n=2)),
        lambda g, out, x, y: -g * polygamma(x + y, n=2),
    ),
    native=lambda b, x, y: b.trigamma_diff(x, y),
    domain="x, y > 0",
    points=_BETAS,
    doc="trigamma(x) - trigamma(x + y), the second derivative of lbeta",
)
lbeta: Op = elementwise(
    "lbeta",
    kernel=late("betas", "lbeta"),
    complex=None,
    vjps=(lambda g, out, x, y: g * digamma_diff(x, y), lambda g, out, x, y: g * digamma_diff(y, x)),
    native=lambda b, x, y: b.lbeta(x, y),
    domain="x, y > 0",
    points=_BETAS,
    doc="log B(x, y)",
)
#: These two are for accuracy: as products of the others the parts of a second derivative cancel near 0. A third one is
#: built of such parts, and loses digits there.
beta_dxy: Op = elementwise(
    "beta_dxy",
    kernel=late("betas", "beta_dxy"),
    complex=None,
    vjps=(lambda g, out, x, y: g * _beta_dxxy(out, x, y), lambda g, out, x, y: g * _beta_dxxy(out, y, x)),
    native=None,
    domain="x, y > 0",
    points=_BETAS,
    doc="the derivative of beta to both arguments",
)
beta_dx: Op = elementwise(
    "beta_dx",
    kernel=late("betas", "beta_dx"),
    complex=None,
    vjps=(
        lambda g, out, x, y: g * (out * digamma_diff(x, y) + beta(x, y) * trigamma_diff(x, y)),
        lambda g, out, x, y: g * beta_dxy(x, y),
    ),
    native=lambda b, x, y: b.beta_dx(x, y),
    domain="x, y > 0",
    points=_BETAS,
    doc="beta(x, y) (digamma(x) - digamma(x + y)), the derivative of beta",
)


def _beta_dxxy(out: Any, x: Any, y: Any) -> Any:
    """The third derivative of beta, twice to x; `out` is its derivative to both."""
    p, q, s = digamma_diff(x, y), digamma_diff(y, x), x + y
    more = trigamma_diff(x, y) * q - p * trigamma(s) - polygamma(s, n=2)
    return out * p + beta(x, y) * more


beta: Op = elementwise(
    "beta",
    kernel=late("betas", "beta"),
    complex=None,
    vjps=(lambda g, out, x, y: g * beta_dx(x, y), lambda g, out, x, y: g * beta_dx(y, x)),
    native=lambda b, x, y: b.beta(x, y),
    domain="x, y > 0",
    points=_BETAS,
    doc="the beta function, gamma(x) gamma(y) / gamma(x + y)",
)
