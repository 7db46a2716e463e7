"""`Flat`: an objective as a function of one vector, for SciPy and other minimisers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive, engines
from tapecli.core import Array, Shape
from tapecli.engines import Argument, Compiled
from tapecli.errors import TapeError
from tapecli.ops.linear import reshape, slice_
from tapecli.problem.running import UNROLLED
from tapecli.rewrite import FOLD_LIMIT

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


class Flat:
    """`fun(vector) -> (value, gradient vector)`: a scalar output as a function of all its variables in one vector.

    The vector has the entries of the variables in the order of the file, each row by row. Constants and data are fixed
    when the function is made. Every answer is a fresh array.

    x0        the start, a vector of `size` entries
    bounds    a (low, high) pair for each entry, None for an end that is open; None where nothing is bounded
    """

    def __init__(self, problem: Problem, at: Mapping[str, Array], of: str | None = None) -> None:
        name, node = problem._scalar(of, "sum the output")
        formula, runner = problem.formula, problem.runner
        self.of = name
        self.dtype = np.dtype(problem.dtype)
        leaves = runner.leaves()
        arrays = runner.arrays(leaves, at)
        free = [i for i, (leaf, _) in enumerate(leaves) if formula.inputs[leaf].kind == "var"]
        if not free:
            raise TapeError("usage", f"`{problem.name}` has no variables", hint="declare one: var x = 1")
        self._names = tuple(leaves[i][0] for i in free)
        self._shapes: tuple[Shape, ...] = tuple(leaves[i][1].shape for i in free)
        self.size = sum(math.prod(shape) for shape in self._shapes)
        self.x0 = np.concatenate([arrays[i].reshape(-1) for i in free])
        self.bounds = self._bounds(problem)
        self._problem, self._node = problem, node
        values = runner.function([node], [leaf for _, leaf in leaves])
        # small constants are folded into the program, large ones are handed to it at each call
        held = [i for i in range(len(leaves)) if i not in free and arrays[i].size > FOLD_LIMIT]
        self._held = [arrays[i] for i in held]

        def function(vector: Any, *large: Any) -> Any:
            given: list[Any] = [None] * len(arrays)
            for i, x in (*zip(free, self._parts(vector), strict=True), *zip(held, large, strict=True)):
                given[i] = x
            given = [derive.constant_like(vector, a) if x is None else x for a, x in zip(arrays, given, strict=True)]
            return values(*given)[0]

        self._function = function
        self._compiled: dict[str, Compiled] = {}
        self._gradient = self._made("gradient", derive.gradient, 1)

    def _parts(self, vector: Any) -> list[Any]:
        """The variables in a vector of any kind."""
        parts, at = [], 0
        for shape in self._shapes:
            size = math.prod(shape)
            parts.append(reshape(slice_(vector, axis=0, start=at, stop=at + size, step=1), shape=shape))
            at += size
        return parts

    def _bounds(self, problem: Problem) -> list[tuple[float | None, float | None]] | None:
        if not problem.bounds:
            return None
        pairs: list[tuple[float | None, float | None]] = []
        for name, shape in zip(self._names, self._shapes, strict=True):
            ends = [
                [None] * math.prod(shape) if end is None else np.broadcast_to(end, shape).reshape(-1).tolist()
                for end in problem.bounds.get(name, (None, None))
            ]
            closed = [[None if x is None or math.isinf(x) else float(x) for x in end] for end in ends]
            pairs += zip(*closed, strict=True)
        return pairs

    def _made(self, key: str, derivative: Callable[..., Any], count: int) -> Compiled:
        if key not in self._compiled:
            engine, how = self._problem.runner.engine, self._problem.runner.how
            vectors = [Argument(f"vector {k}", (self.size,), None) for k in range(count)]
            held = [Argument(f"held {k}", array.shape, None) for k, array in enumerate(self._held)]
            arguments = [vectors[0], *held, *vectors[1:]]
            made = engines.compile(engine, derivative(self._function, [0]), arguments, self.dtype, how=how)
            self._compiled[key] = made
            self._problem.runner.traces += made.traces
        return self._compiled[key]

    def __call__(self, vector: Any) -> tuple[float, Array]:
        """The value and the gradient vector."""
        value, gradient = self._gradient.run(vector, *self._held)
        return value.item(), gradient

    def value(self, vector: Any) -> float:
        """The value alone."""

        def derivative(f: Callable[..., Any], wrt: Any) -> Callable[..., list[Any]]:
            return lambda *xs: [f(*xs)]

        return float(self._made("value", derivative, 1).run(vector, *self._held)[0])

    def hess(self, vector: Any) -> Array:
        """The Hessian, a matrix of shape (size, size)."""
        if self.size > UNROLLED:
            return np.array([self.hvp(vector, unit) for unit in np.eye(self.size)])  # it is symmetric
        return self._made("hessian", derive.hessian, 1).run(vector, *self._held)[-1]

    def hvp(self, vector: Any, direction: Any) -> Array:
        """The Hessian times a direction, a vector."""
        return self._made("hvp", derive.hvp, 2).run(vector, *self._held, direction)[-1]

    def unpack(self, vector: Any) -> dict[str, Array]:
        """The variables by name, in their shapes."""
        vector = np.asarray(vector, dtype=self.dtype)
        if vector.shape != (self.size,):
            raise TapeError("shape", f"the vector has {self.size} entries, not the shape {vector.shape}")
        return dict(zip(self._names, [np.array(x) for x in self._parts(vector)], strict=True))
