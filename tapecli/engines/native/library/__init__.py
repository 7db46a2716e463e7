"""Functions of vectors: name -> `function(b, *args)`, written with `Lanes`.

Each is written for double precision. In single precision the same is computed in double and rounded once, but for those
that have a form of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapecli.engines.native.ir import Lanes, Val
from tapecli.engines.native.library import circular, exponential, logarithm


def _of_type(double: Callable[..., Val], single: Callable[..., Val] | None) -> Callable[..., Val]:
    def function(b: Lanes, *args: Val) -> Val:
        if b.scalar == "float" and single is not None:
            return single(b, *args)
        return b.in_double(double, *args)

    return function


_DOUBLE: dict[str, Callable[..., Val]] = {
    f.__name__: f
    for f in (
        exponential.exp,
        exponential.exp2,
        exponential.exp10,
        exponential.expm1,
        exponential.sinh,
        exponential.cosh,
        exponential.tanh,
        exponential.sech2,
        exponential.sigmoid,
        exponential.sigmoid_d1,
        logarithm.log,
        logarithm.log1p,
        logarithm.log2,
        logarithm.log10,
        logarithm.softplus,
        logarithm.pow,
        circular.sin,
        circular.cos,
        circular.tan,
    )
}
_SINGLE: dict[str, Callable[..., Val]] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {name: _of_type(f, _SINGLE.get(name)) for name, f in _DOUBLE.items()}
