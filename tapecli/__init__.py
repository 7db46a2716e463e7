"""Exact derivatives and minima of formulas written in text files.

    import tapecli as tp

    p = tp.load("rosenbrock.tape")
    p.value_and_grad(at={"x": 1.0})
    p.minimize(method="sgd", learning_rate=0.01, steps=1000)

Importing this module is cheap: each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

#: name -> the module that has it
_HOMES = {
    "load": "problem",
    "parse": "problem",
    "Problem": "problem",
    "TapeError": "errors",
    "TapeWarning": "errors",
    "Tape": "eager",
    "Variable": "eager",
    "constant": "eager",
    "trace": "tracing",
}
_MODULES = ("ops", "optimizers")

__all__ = [
    "Problem",
    "Tape",
    "TapeError",
    "TapeWarning",
    "Variable",
    "__version__",
    "constant",
    "load",
    "ops",
    "optimizers",
    "parse",
    "trace",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"tapecli.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"tapecli.{name}")
    raise AttributeError(f"module 'tapecli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
