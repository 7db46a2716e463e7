"""Functions of vectors: name -> `function(b, *args)`, written with `Lanes`.

Each is written for double precision. In single precision the same is computed in double and rounded once, but for those
that have a form of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import (
    beta,
    circular,
    differences,
    error_inverses,
    errors,
    exponential,
    gamma,
    inverse,
    lambert,
    logarithm,
    polygamma,
    roots,
    sincs,
    single,
)


def _of_type(double: Callable[..., Val], own: Callable[..., Val] | None) -> Callable[..., Val]:
    def function(b: Lanes, *args: Val) -> Val:
        if b.scalar == "float" and own is not None:
            return own(b, *args)
        return b.in_double(double, *args)

    return function


#: The functions of each module by name.
_NAMES = {
    exponential: (
        "exp",
        "exp2",
        "exp10",
        "expm1",
        "sinh",
        "cosh",
        "tanh",
        "sech2",
        "sigmoid",
        "sigmoid_d1",
        "logaddexp_share",
        "logaddexp_d2",
        "sech",
        "csch",
        "coth",
        "sech_d1",
        "sech_d2",
        "exp_neg_sq",
        "exp_neg_sq_d1",
    ),
    logarithm: (
        "log",
        "log1p",
        "log2",
        "log10",
        "softplus",
        "logit",
        "logaddexp",
        "pow",
        "power_dx",
        "power_dxx",
        "power_dxy",
    ),
    circular: (
        "sin",
        "cos",
        "tan",
        "sinpi",
        "cospi",
        "tanpi",
        "sind",
        "cosd",
        "tand",
        "sinc",
    ),
    inverse: (
        "atan",
        "atand",
        "acot",
        "atan2",
        "asin",
        "asind",
        "acos",
        "acosd",
        "asec",
        "acsc",
        "asinh",
        "acosh",
        "atanh",
        "acoth",
        "acsch",
        "asech",
        "asech_d2",
    ),
    roots: (
        "cbrt",
        "hypot",
        "ratio",
        "mod",
    ),
    errors: (
        "erf",
        "erfc",
        "erfcx",
        "erfcx_d_1",
        "erfcx_d_2",
    ),
    error_inverses: (
        "erfinv",
        "erfcinv",
    ),
    lambert: ("lambertw",),
    gamma: (
        "lgamma",
        "digamma",
        "trigamma",
        "gamma",
        "gamma_d_1",
        "gamma_d_2",
    ),
    polygamma: (
        "polygamma_2",
        "polygamma_3",
    ),
    sincs: (
        "sinc_d_1",
        "sinc_d_2",
        "sinc_d_3",
        "sinc_d_4",
    ),
    beta: (
        "lbeta",
        "beta",
    ),
    differences: (
        "digamma_diff",
        "trigamma_diff",
        "beta_dx",
    ),
}
_DOUBLE: dict[str, Callable[..., Val]] = {name: getattr(m, name) for m, names in _NAMES.items() for name in names}
_DOUBLE["power_log_1"] = partial(logarithm.power_log, k=1)
_DOUBLE["power_log_2"] = partial(logarithm.power_log, k=2)
_SINGLE: dict[str, Callable[..., Val]] = {
    f.__name__: f for f in (single.exp, single.log, single.sin, single.cos, single.tanh, single.sigmoid)
}
FUNCTIONS: dict[str, Callable[..., Val]] = {name: _of_type(f, _SINGLE.get(name)) for name, f in _DOUBLE.items()}
FUNCTIONS["spacing"] = roots.spacing  # of either precision
