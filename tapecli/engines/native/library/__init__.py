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
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
#: The families, whose functions have a number: the module, and the number's name there; `sinc_d_3` is `sinc_d` with
#: n = 3.
_FAMILIES = {
    "power_log": ("logarithm", "k"),
    "gamma_d": ("gamma", "n"),
    "erfcx_d": ("errors", "n"),
    "sinc_d": ("sincs", "n"),
    "polygamma": ("polygamma", "n"),
}
#: The names of all functions, and of the families.
NAMES, FAMILIES = frozenset(_HOMES), frozenset(_FAMILIES)
#: Those that have a form of their own in single precision.
_SINGLE = frozenset(("exp", "log", "sin", "cos", "tanh", "sigmoid"))


def known(name: str) -> bool:
    """Whether there is a function, or a family of functions, of a name."""
    return name in NAMES or name.rpartition("_")[0] in FAMILIES


def _double(name: str) -> Callable[..., Val]:
    """The function in double precision; its module is imported now."""
    if name in NAMES:
        found: Callable[..., Val] = getattr(import_module(f"tapecli.engines.native.library.{_HOMES[name]}"), name)
        return found
    family, _, number = name.rpartition("_")
    module, key = _FAMILIES[family]
    return partial(getattr(import_module(f"tapecli.engines.native.library.{module}"), family), **{key: int(number)})


@cache
def function(name: str) -> Callable[..., Val]:
    """The function of a name, in the precision of its lanes."""
    double = _double(name)
    if name == "spacing":  # of either precision
        return double

    def of_type(b: Lanes, *args: Val) -> Val:
        if b.scalar == "float" and name in _SINGLE:
            from tapecli.engines.native.library import single

            own: Callable[..., Val] = getattr(single, name)
            return own(b, *args)
        return b.in_double(double, *args)

    return of_type
