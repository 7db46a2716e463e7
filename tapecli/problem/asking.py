"""What is asked of a problem, at one point or at many: which function is run, and how its results are put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.graph import Node
from tapecli.problem import points
from tapecli.problem.evaluations import Derivatives, Evaluation
from tapecli.problem.points import Values
from tapecli.problem.running import UNROLLED

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: What can be asked at many points. `value` is that of outputs of any shape, the others are derivatives of one output.
KINDS = ("value", "gradient", "hessian", "jacobian")
#: What to do instead of a gradient.
OF_ARRAYS = "use the Jacobian for arrays, or sum the output"


class Question:
    """A function of a problem: its `kind`, outputs with their names, and the names that derivatives are taken to."""

    __slots__ = ("_connected", "_names", "_nodes", "_outputs", "_problem", "kind")

    def __init__(
        self, problem: Problem, kind: str, outputs: Sequence[tuple[str, Node]], names: Sequence[str] = ()
    ) -> None:
        self.kind = kind
        self._problem = problem
        self._outputs = [name for name, _ in outputs]
        self._nodes = [node for _, node in outputs]
        self._names = list(names)
        self._connected = problem._connected(self._nodes[0], names) if names else {}

    def at(self, point: Mapping[str, Array], extra: Sequence[Array] = ()) -> Any:
        """The answer at a point; `extra` is the direction of a product."""
        results, engine = self._run(point, extra)
        return self._answer(self._problem._shown(point), results, engine)

    def _run(self, point: Mapping[str, Array], extra: Sequence[Array]) -> tuple[list[Array], str]:
        runner = self._problem.runner
        if self._unrolled:
            return runner.run(self.kind, self._nodes, self._names, point, extra)
        value, found, blocks, engine = runner.by_products(self._nodes[0], self._names, point)
        return [value, *found, *blocks], engine

    @property
    def _unrolled(self) -> bool:
        """Whether one function gives the answer. A traced Hessian of many variables is made of products."""
        if self.kind != "hessian" or self._problem.runner.engine != "numpy":
            return True
        return sum(self._problem.formula.names[name].size for name in self._names) <= UNROLLED

    def along(self, columns: Mapping[str, Array], count: int) -> Iterator[Any] | None:
        """The answers at `count` points whose values are rows of `columns` (count × shape); None where points are
        better asked one by one."""
        runner = self._problem.runner
        return self._along(columns) if self._unrolled and runner.sweeps(count) else None

    def _along(self, columns: Mapping[str, Array]) -> Iterator[Any]:
        problem = self._problem
        usual = problem._shown({})
        with np.errstate(all="ignore"):
            given = {name: np.asarray(column, dtype=problem.dtype) for name, column in columns.items()}
        for begin, results, engine in problem.runner.sweep(self.kind, self._nodes, self._names, given):
            for k in range(len(results[0])):
                at = {**usual, **{name: column[begin + k, ...] for name, column in given.items()}}
                yield self._answer(at, [result[k, ...] for result in results], engine)

    def _answer(self, at: dict[str, Array], results: Sequence[Array], engine: str) -> Evaluation | Derivatives:
        dtype = self._problem.dtype
        if self.kind == "value":
            return Evaluation(at, dict(zip(self._outputs, results, strict=True)), dtype, engine)
        names, n = self._names, len(self._names)
        value, *parts = results
        first = dict(zip(names, parts, strict=False))
        gradient = None if self.kind == "jacobian" else first
        hessian = product = None
        if self.kind == "hessian":
            hessian = {
                row: dict(zip(names, parts[n * (1 + i) : n * (2 + i)], strict=True)) for i, row in enumerate(names)
            }
        if self.kind == "hvp":
            product = dict(zip(names, parts[n:], strict=True))
        jacobian = first if self.kind == "jacobian" else None
        connected = dict(self._connected)
        of = self._outputs[0]
        return Derivatives(of, at, value, gradient, connected, hessian, jacobian, product, dtype, engine)


def ask(problem: Problem, kind: str, wrt: str | Sequence[str] | None = None, of: str | None = None) -> Question:
    """The question of a kind: of the output `of`, or else the objective or the last output; for `value` all outputs."""
    if kind == "value":
        outputs = problem.formula.outputs
        chosen = [problem._output(of)] if of is not None or not outputs else [(o.name, o.node) for o in outputs]
        return Question(problem, kind, chosen)
    name, node = problem._output(of) if kind == "jacobian" else problem._scalar(of, OF_ARRAYS)
    return Question(problem, kind, [(name, node)], problem._wrt(wrt))


def answers(
    problem: Problem, kind: str, rows: Sequence[Values], wrt: str | Sequence[str] | None, of: str | None
) -> Iterator[Any]:
    """The answer at each point, or the TapeError where there is none: by a compiled loop where all points are points of
    one and the same graph, else one by one."""
    if kind not in KINDS:
        raise TapeError("usage", f"there is no kind {kind!r}", hint=", ".join(KINDS))
    columns = points.columns(problem.formula, rows)
    found = None if not columns else ask(problem, kind, wrt, of).along(columns, len(rows))
    return _one_by_one(problem, kind, rows, wrt, of) if found is None else found


def _one_by_one(
    problem: Problem, kind: str, rows: Sequence[Values], wrt: str | Sequence[str] | None, of: str | None
) -> Iterator[Any]:
    for row in rows:
        try:
            other, point = problem._placed(row)
            yield ask(other, kind, wrt, of).at(point)
        except TapeError as error:
            yield error
