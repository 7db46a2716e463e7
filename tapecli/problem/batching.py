"""Mini-batches of a problem: its objective for some of the rows of its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.errors import TapeError
from tapecli.graph import replay
from tapecli.language.rows import Rows
from tapecli.optimize import loop
from tapecli.optimize.batches import MiniBatches
from tapecli.optimize.descent import Descent
from tapecli.optimize.method import State
from tapecli.optimize.target import Target
from tapecli.tape import number_of

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: The size of a batch where only epochs are asked for, as in Keras.
BATCH = 32
#: The method where nobody names one, and its learning rate.
AUTOMATIC: tuple[str, dict[str, Any]] = ("adam", {"learning_rate": 0.01})
#: Entries of data that are worked on at once where all rows are gone through.
BLOCK = 1 << 21


class Batches:
    """Where `MiniBatches` gets its rows from: see `tapecli.optimize.batches.Source`."""

    def __init__(self, problem: Problem, at: Mapping[str, Array], sign: float) -> None:
        formula = problem.formula
        assert formula.goal is not None
        self.problem = problem
        self.at = at
        self.sign = sign
        self.rows = Rows(formula, formula.goal.output.node)
        self.dtype = np.dtype(problem.dtype)
        self._arrays = [_data(problem, name, at) for name in self.rows.names]
        leaves = [leaf for leaf in problem.runner.leaves() if leaf[0] not in self.rows.names]
        self._fixed = dict(zip([name for name, _ in leaves], problem.runner.arrays(leaves, at), strict=True))

    @property
    def count(self) -> int:
        return self.rows.count

    def shapes(self, size: int) -> list[tuple[int, ...]]:
        return [(size, *array.shape[1:]) for array in self._arrays]

    def take(self, rows: Array) -> list[Array]:
        with np.errstate(all="ignore"):
            return [np.asarray(array[rows], dtype=self.dtype) for array in self._arrays]

    def objective(self, size: int) -> Callable[..., Any]:
        """`(rows…, variables…) -> value`, for `size` rows."""
        output, inputs = self.rows.build(size)
        formula, n = self.problem.formula, len(self.rows.names)
        free = [e.name for e in formula.inputs.values() if e.kind == "var"]

        def objective(*values: Any) -> Any:
            base = number_of(values[0])
            named: dict[str, Any] = {name: derive.constant_like(base, a) for name, a in self._fixed.items()}
            named |= dict(zip(self.rows.names, values[:n], strict=True)) | dict(zip(free, values[n:], strict=True))
            onto = getattr(base, "graph", None)
            literal = self.dtype.type if onto is None else onto.literal
            value = replay([output], {node: named[name] for name, node in inputs.items()}, literal, onto)[0]
            return -value if self.sign < 0 else value

        return objective

    def total(self, target: Target, point: Sequence[Array]) -> tuple[float, float]:
        """Value and gradient norm of the objective of all rows. Block by block, where it is a sum over the rows: then
        no more memory is taken than a block needs."""
        with np.errstate(all="ignore"):
            value, gradient = self._whole(target, point) if not self.rows.affine else self._by_blocks(target, point)
            return value, float(np.linalg.norm(target.project(gradient, target.flat(point))))

    def _whole(self, target: Target, point: Sequence[Array]) -> tuple[float, Array]:
        """Value and gradient of all rows at once."""
        named = dict(zip(target.names, point, strict=True))
        whole = self.problem.derivatives(at={**self.at, **named}, wrt=list(target.names))
        return self.sign * float(whole.value), self.sign * target.flat(list((whole.gradient or {}).values()))

    def _by_blocks(self, target: Target, point: Sequence[Array]) -> tuple[float, Array]:
        n = self.count
        entries = sum(array.size // n for array in self._arrays)
        size = max(1, min(n, BLOCK // max(1, entries)))
        value, gradient = 0.0, np.zeros(target.size)
        for begin in range(0, n, size):
            rows = np.arange(begin, min(begin + size, n))
            program = self._block(target, len(rows))
            found, *parts = program.run(*self.take(rows), *point)
            share = len(rows) / n
            value += share * float(found)
            gradient += share * target.flat(parts)
        return value, gradient

    def _block(self, target: Target, size: int) -> Any:
        shapes = self.shapes(size)

        def arguments() -> list[Argument]:
            return [*[Argument(f"rows {i}", shape, None) for i, shape in enumerate(shapes)], *target.arguments()]

        def make() -> Callable[..., list[Any]]:
            wrt = range(len(shapes), len(shapes) + len(target.names))
            return derive.gradient(self.objective(size), wrt)

        return target.compiled(("block", size), make, arguments)


def _data(problem: Problem, name: str, at: Mapping[str, Array]) -> Array:
    array = at.get(name, problem.formula.inputs[name].value)
    assert array is not None
    return array


def asked(settings: Mapping[str, Any], batch: int | None, epochs: int | None) -> tuple[int, int | None] | None:
    """Size of the batches and number of epochs (None where steps are counted), or None for all data at every step."""
    batch = settings.get("batch") if batch is None else batch
    epochs = settings.get("epochs") if epochs is None else epochs
    for name, value in (("batch", batch), ("epochs", epochs)):
        if value is not None and not (isinstance(value, (int, float)) and value >= 1 and float(value).is_integer()):
            raise TapeError("usage", f"{name} is a whole number, 1 or more, not {value}")
    if batch is None and epochs is None:
        return None
    return int(batch or BATCH), None if epochs is None else int(epochs)


def stepping(
    descent: Descent, source: Batches, size: int, epochs: int | None, seed: int, limits: loop.Limits, counted: bool
) -> tuple[MiniBatches, loop.Limits]:
    """The method that steps on batches, and its limits. `counted`: the caller says how many steps, which then ends
    the run where that is before its epochs do."""
    method = MiniBatches(descent, source, size, seed, limits.tol)
    steps = limits.steps
    if epochs is not None:
        steps = min(steps, epochs * method.per_epoch) if counted else epochs * method.per_epoch
    return method, limits._replace(steps=steps, tol=None)


def whole(method: MiniBatches, target: Target, ending: loop.Ending) -> loop.Ending:
    """How the run ended, by the values of all rows instead of those of the last batch."""
    last = _judged(method, target, ending.state, ending.at)
    memory = last.memory
    best = last
    if np.isfinite(memory["best_mean"]):
        kept = _judged(method, target, last, [memory[f"best/{i}"] for i in range(len(last.x))])
        if loop.finite(kept) and not last.value <= kept.value:
            best = kept
    return ending._replace(state=last._replace(x=ending.state.x), best=best)


def _judged(method: MiniBatches, target: Target, state: State, point: Sequence[Array]) -> State:
    value, norm = method.source.total(target, point)
    return state._replace(x=tuple(point), value=value, gradient_norm=norm)
