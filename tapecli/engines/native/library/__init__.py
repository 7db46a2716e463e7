"""Functions of vectors: name -> `function(b, *args)`, written with `Lanes`.

Each is written for double precision. In single precision the same is computed in double and rounded once, but for those
that have a form of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes

#: The functions of each module by name.
_MODULES: dict[str, tuple[str, ...]] = {
    "exponential": (
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
    "logarithm": (
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
    "circular": (
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
    "inverse": (
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
    "roots": (
        "cbrt",
        "hypot",
        "ratio",
        "mod",
        "spacing",
    ),
    "errors": (
        "erf",
        "erfc",
        "erfcx",
    ),
    "error_inverses": (
        "erfinv",
        "erfcinv",
    ),
    "lambert": ("lambertw",),
    "gamma": (
        "lgamma",
        "digamma",
        "trigamma",
        "gamma",
    ),
    "beta": (
        "lbeta",
        "beta",
    ),
    "differences": (
        "digamma_diff",
        "trigamma_diff",
        "beta_dx",
    ),
}
#: Those with a number: its name in the function, and the numbers; `sinc_d_3` is `sinc_d` with n = 3.
_NUMBERED: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "power_log": ("logarithm", "k", (1, 2)),
    "gamma_d": ("gamma", "n", (1, 2)),
    "erfcx_d": ("errors", "n", (1, 2)),
    "sinc_d": ("sincs", "n", (1, 2, 3, 4)),
    "polygamma": ("polygamma", "n", (2, 3)),
}
#: By name: the module, the function's name there, and its number.
_HOMES: dict[str, tuple[str, str, dict[str, int]]] = {
    **{name: (module, name, {}) for module, names in _MODULES.items() for name in names},
    **{f"{f}_{n}": (module, f, {key: n}) for f, (module, key, numbers) in _NUMBERED.items() for n in numbers},
}
#: The names of all functions.
NAMES = frozenset(_HOMES)
#: Those that have a form of their own in single precision.
_SINGLE = frozenset(("exp", "log", "sin", "cos", "tanh", "sigmoid"))


@cache
def function(name: str) -> Callable[..., Val]:
    """The function of a name; its module is imported now."""
    module, own_name, number = _HOMES[name]
    double: Callable[..., Val] = getattr(import_module(f"tapecli.engines.native.library.{module}"), own_name)
    if name == "spacing":  # of either precision
        return double

    def of_type(b: Lanes, *args: Val) -> Val:
        if b.scalar == "float" and name in _SINGLE:
            from tapecli.engines.native.library import single

            own: Callable[..., Val] = getattr(single, name)
            return own(b, *args)
        return b.in_double(partial(double, **number), *args)

    return of_type
