"""Optimizers for variables, by Keras' names: `tp.optimizers.SGD(learning_rate=0.01)`.

The same pure update rules as the command line's, with the state kept in variables, so that a step can be traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli.eager import Tape, Variable
from tapecli.errors import TapeError
from tapecli.optimize.first_order import OPTIMIZERS, make
from tapecli.tape import number_of


class Optimizer:
    """A method with its settings and its state. `apply` changes variables by gradients, `minimize` takes one step of a
    function; both as in Keras 2. `iterations` counts the steps."""

    def __init__(self, method: str, **options: Any) -> None:
        self.rule = make(method, options)
        self.iterations = Variable(0.0)
        self._slots: dict[tuple[int, ...], dict[str, list[Variable]]] = {}
        self._kept: list[Variable] = []

    @property
    def options(self) -> dict[str, Any]:
        """Every setting, defaults filled in."""
        return dict(self.rule.options)

    def apply(self, gradients_and_variables: Sequence[tuple[Any, Variable]]) -> None:
        """One step: each variable is changed by its gradient."""
        pairs = list(gradients_and_variables)
        for gradient, variable in pairs:
            if not isinstance(variable, Variable):
                raise TapeError(
                    "type",
                    f"an optimizer changes variables, not {type(variable).__name__}",
                    hint="make it one: tp.Variable(1.0)",
                )
            if gradient is None:
                raise TapeError(
                    "value", f"there is no gradient for {variable!r}", hint="the target does not depend on it"
                )
        if not pairs:
            return
        variables = [variable for _, variable in pairs]
        slots = self._state(variables)
        step = number_of(self.iterations.read()) + 1.0
        read = {name: [number_of(slot.read()) for slot in values] for name, values in slots.items()}
        params = [number_of(variable.read()) for variable in variables]
        after, state = self.rule.update([number_of(gradient) for gradient, _ in pairs], read, params, step)
        for variable, value in zip(variables, after, strict=True):
            variable.assign(value)
        for name, values in slots.items():
            for slot, value in zip(values, state[name], strict=True):
                slot.assign(value)
        self.iterations.assign(step)

    def minimize(self, f: Callable[[], Any], variables: Sequence[Variable]) -> Any:
        """One step down the gradient of `f()`, a function of no arguments. Returns f's value before the step."""
        with Tape() as tape:
            value = f()
        self.apply(list(zip(tape.gradient(value, list(variables)), variables, strict=True)))
        return number_of(value)

    def _state(self, variables: Sequence[Variable]) -> dict[str, list[Variable]]:
        """The slots of these variables, made at the first step."""
        key = tuple(id(variable) for variable in variables)
        if key not in self._slots:
            numbers = [variable.numpy() for variable in variables]
            self.iterations = self.iterations if self._kept else Variable(np.zeros((), dtype=numbers[0].dtype))
            made = self.rule.init(numbers)
            self._slots[key] = {
                name: [Variable(np.asarray(value, dtype=numbers[0].dtype)) for value in values]
                for name, values in made.items()
            }
            self._kept += variables
        return self._slots[key]

    def __repr__(self) -> str:
        return repr(self.rule)


def _made(method: str) -> Callable[..., Optimizer]:
    def construct(**options: Any) -> Optimizer:
        return Optimizer(method, **options)

    entry = OPTIMIZERS[method]
    construct.__name__ = construct.__qualname__ = entry.title
    lines = [f"    {option.name}={option.default!r}: {option.help}" for option in entry.options]
    construct.__doc__ = "\n".join([f"{entry.title}: {entry.help}.", "", "Options:", *lines])
    return construct


#: The constructors, under Keras' names: SGD, Adam, AdamW …
CONSTRUCTORS = {entry.title: _made(method) for method, entry in OPTIMIZERS.items()}
globals().update(CONSTRUCTORS)
__all__ = ["Optimizer", *CONSTRUCTORS]  # pyright: ignore[reportUnsupportedDunderAll]
