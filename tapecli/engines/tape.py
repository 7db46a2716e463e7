"""The eager engine: the function runs on arrays at every call, its derivatives on the NumPy tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.engines import Argument, Fixed, Function
from tapecli.tape import number_of


def compile(f: Function, arguments: Sequence[Argument], dtype: Any) -> Fixed:
    """`f` itself, its fixed arguments filled in."""
    with np.errstate(all="ignore"):
        fixed = [None if a.value is None else np.asarray(a.value, dtype=dtype) for a in arguments]

    def run(*arrays: Any) -> list[Array]:
        given = iter(arrays)
        with np.errstate(all="ignore"):
            values = [np.asarray(next(given), dtype=dtype) if value is None else value for value in fixed]
            return [np.asarray(number_of(out), dtype=dtype) for out in f(*values)]

    return Fixed(run, 0, None, "tape")
