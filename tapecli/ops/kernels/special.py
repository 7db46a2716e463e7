"""Special functions: the error functions, the gamma function and its relatives."""

from __future__ import annotations

from tapecli.ops.kernels.betas import beta, beta_dx, beta_dxy, digamma_diff, lbeta, trigamma_diff
from tapecli.ops.kernels.erf import erf, erfc
from tapecli.ops.kernels.gammas import gamma, lgamma
from tapecli.ops.kernels.polygammas import digamma, polygamma, trigamma

__all__ = [
    "beta", "beta_dx", "beta_dxy", "digamma", "digamma_diff", "erf", "erfc", "gamma", "lbeta", "lgamma", "polygamma",
    "trigamma", "trigamma_diff",
]  # fmt: skip
