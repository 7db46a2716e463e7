"""How rows of the table come by kernels that are not NumPy's own."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from tapecli.core import Array


def late(module: str, name: str) -> Callable[..., Any]:
    """The kernel `name` of `tapecli.ops.kernels.<module>`, which is imported at the first call: a start pays only
    for the functions that its formula uses.
    """
    found: Callable[..., Any] | None = None

    def kernel(*args: Any, **params: Any) -> Any:
        nonlocal found
        if found is None:
            found = getattr(import_module(f"tapecli.ops.kernels.{module}"), name)
        return found(*args, **params)

    return kernel


def wide(core: Callable[..., Any]) -> Callable[..., Any]:
    """`core` run in double precision whatever its arguments have, for what single precision has no room for."""

    def kernel(*args: Array, **params: Any) -> Any:
        result = core(*[np.asarray(arg, dtype=np.float64) for arg in args], **params)
        return result.astype(np.result_type(*args), copy=False)

    return kernel
