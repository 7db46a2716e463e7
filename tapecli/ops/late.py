"""Kernels that are imported when they are first called: a start pays only for the functions that its formula uses."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def late(module: str, name: str) -> Callable[..., Any]:
    """The kernel `name` of `tapecli.ops.kernels.<module>`, which is imported at the first call."""
    found: Callable[..., Any] | None = None

    def kernel(*args: Any, **params: Any) -> Any:
        nonlocal found
        if found is None:
            found = getattr(import_module(f"tapecli.ops.kernels.{module}"), name)
        return found(*args, **params)

    return kernel
