"""Sparse Hessians and Jacobians: the pattern from the graph, a product per colour, and every entry read from one.

The Hessian of a chain of a million variables costs a handful of products with directions. No matrix is ever built but
the coordinates of its nonzeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.engines.traced import nodes as trace
from tapecli.graph import Node
from tapecli.records import NamedTuple
from tapecli.sparsity import Pattern, colouring, jacobian_pattern

if TYPE_CHECKING:
    from tapecli.problem import Problem
    from tapecli.problem.points import Values
    from tapecli.problem.running import Runner


class Coordinates(NamedTuple):
    """A sparse matrix: entry k stands at `rows[k]`, `columns[k]` (from 0), in order of rows, then columns.

    Both halves of a symmetric matrix are given, and are equal bit for bit. What can differ from zero at some point is
    an entry at every point. `names` are the variables whose entries, flattened, the columns stand for (the rows of a
    Hessian too): variable k's begin at `offsets[k]` and are `shapes[k]`. `colours` is how many products it took, `mode`
    of which kind, and `exact` is false where the pattern was too large to be found and more was taken for nonzero.
    """

    rows: Array
    columns: Array
    values: Array
    shape: tuple[int, int]
    symmetric: bool
    of: str
    names: tuple[str, ...]
    offsets: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    colours: int
    mode: str
    exact: bool
    dtype: str
    engine: str

    def dense(self) -> Array:
        """The matrix with its zeros, where it is small enough for that."""
        matrix = np.zeros(self.shape, dtype=self.values.dtype)
        matrix[self.rows, self.columns] = self.values
        return matrix


class Plan(NamedTuple):
    """How a matrix is computed at any point: its pattern, the groups of columns (or rows) and where to read."""

    pattern: Pattern
    mode: str
    groups: Array
    places: Array
    order: Array
    ends: Array

    @property
    def colours(self) -> int:
        return self.ends.size - 1


#: The plans of each problem, for as long as it lives.
_plans: WeakKeyDictionary[Runner, dict[Any, Plan]] = WeakKeyDictionary()


def _plan(pattern: Pattern, mode: str, groups: Array, readings: colouring.Readings) -> Plan:
    order = np.argsort(readings.colours, kind="stable")
    count = int(groups.max(initial=colouring.NONE)) + 1
    ends = np.searchsorted(readings.colours[order], np.arange(count + 1))
    return Plan(pattern, mode, groups, readings.places, order, ends)


def _planned(runner: Runner, key: Any, make: Callable[[], Plan]) -> Plan:
    plans = _plans.setdefault(runner, {})
    if key not in plans:
        plans[key] = make()
    return plans[key]


# ---- patterns ---------------------------------------------------------------------------------------------------


def _traced(
    runner: Runner, node: Node, names: Sequence[str], order: int
) -> tuple[list[Node], list[Node], dict[Node, Array]]:
    """The output or its gradient as nodes, the nodes of `names`, and those whose values never change."""
    formula = runner.formula
    leaves = runner.leaves(names)
    position = {leaf.index: i for i, (_, leaf) in enumerate(leaves)}
    wrt = [position[formula.names[name].index] for name in names]
    values = runner.function([node], [leaf for _, leaf in leaves])

    def gradient(*xs: Any) -> list[Any]:
        return derive.gradient(lambda *inner: values(*inner)[0], wrt)(*xs)[1:]

    arguments = [Argument(name, leaf.shape, None) for name, leaf in leaves]
    outputs, inputs = trace(gradient if order == 2 else values, arguments)
    known = {
        inputs[i]: np.asarray(formula.inputs[name].value)
        for i, (name, _) in enumerate(leaves)
        if name in formula.fixed and name in formula.inputs and i not in wrt
    }
    return outputs, [inputs[i] for i in wrt], known


def hessian_plan(runner: Runner, node: Node, names: Sequence[str]) -> Plan:
    """How the Hessian of a scalar node is computed from products with directions."""

    def make() -> Plan:
        pattern = _symmetric(jacobian_pattern(*_traced(runner, node, names, 2), dtype=runner.dtype))
        groups = colouring.star(pattern.rows, pattern.columns, pattern.shape[0])
        return _plan(pattern, "hvp", groups, colouring.star_readings(pattern.rows, pattern.columns, groups))

    return _planned(runner, ("hessian", node.index, *names), make)


def _symmetric(pattern: Pattern) -> Pattern:
    """The pattern with the mirror image of every entry."""
    n = pattern.shape[0]
    keys = pattern.rows * n + pattern.columns
    mirrored = pattern.columns * n + pattern.rows
    order = np.argsort(mirrored)
    if np.array_equal(mirrored[order], keys):
        return pattern
    keys = np.union1d(keys, mirrored)
    return pattern._replace(rows=keys // n, columns=keys % n)


def jacobian_plan(runner: Runner, node: Node, names: Sequence[str]) -> Plan:
    """How the Jacobian of a node is computed: from products with groups of columns, or rows where they are fewer."""

    def make() -> Plan:
        pattern = jacobian_pattern(*_traced(runner, node, names, 1), dtype=runner.dtype)
        rows, columns, (m, n), _ = pattern
        by_row = colouring.disjoint(columns, rows, (n, m))
        by_column = colouring.disjoint(rows, columns, (m, n))
        if by_row.max(initial=colouring.NONE) <= by_column.max(initial=colouring.NONE):  # the cheaper of the two
            return _plan(pattern, "vjp", by_row, colouring.Readings(columns, by_row[rows]))
        return _plan(pattern, "jvp", by_column, colouring.Readings(rows, by_column[columns]))

    return _planned(runner, ("jacobian", node.index, *names), make)


# ---- values -----------------------------------------------------------------------------------------------------


def sparse_hessian(
    problem: Problem, *, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
) -> Coordinates:
    """The Hessian of a scalar output, in as many products with directions as its pattern takes colours."""
    problem, point = problem._placed(at)
    name, node = problem._scalar(of, "use the sparse Jacobian for arrays, or sum the output")
    names = problem._wrt(wrt)
    plan = hessian_plan(problem.runner, node, names)

    def product(group: Array) -> tuple[Array, str]:
        found, engine = problem.runner.run("hvp", [node], names, point, _split(group, problem, names))
        return _flat(found[1 + len(names) :]), engine

    return _coordinates(problem, name, names, plan, product, True)


def sparse_jacobian(
    problem: Problem, *, at: Values | None = None, wrt: str | Sequence[str] | None = None, of: str | None = None
) -> Coordinates:
    """The Jacobian of an output, its entries flattened to rows, in as few products from the left or the right as its
    pattern allows."""
    problem, point = problem._placed(at)
    name, node = problem._output(of)
    names = problem._wrt(wrt)
    plan = jacobian_plan(problem.runner, node, names)

    def right(group: Array) -> tuple[Array, str]:
        found, engine = problem.runner.run("jvp", [node], names, point, _split(group, problem, names))
        return found[1].reshape(-1), engine

    def left(group: Array) -> tuple[Array, str]:
        found, engine = _vjp(problem.runner, node, names, point, group.reshape(node.shape))
        return _flat(found), engine

    return _coordinates(problem, name, names, plan, right if plan.mode == "jvp" else left, False)


def _coordinates(
    problem: Problem,
    of: str,
    names: Sequence[str],
    plan: Plan,
    product: Callable[[Array], tuple[Array, str]],
    symmetric: bool,
) -> Coordinates:
    dtype = problem.dtype
    values = np.zeros(plan.pattern.rows.size, dtype=dtype)
    engine = problem.runner.engine
    for k in range(plan.colours):
        found, engine = product((plan.groups == k).astype(dtype))
        entries = plan.order[plan.ends[k] : plan.ends[k + 1]]
        values[entries] = found[plan.places[entries]]
    nodes = [problem.formula.names[name] for name in names]
    offsets = np.cumsum([0, *[node.size for node in nodes]]).tolist()
    return Coordinates(
        plan.pattern.rows,
        plan.pattern.columns,
        values,
        plan.pattern.shape,
        symmetric,
        of,
        tuple(names),
        tuple(offsets[:-1]),
        tuple(node.shape for node in nodes),
        plan.colours,
        plan.mode,
        plan.pattern.exact,
        dtype,
        engine,
    )


def _split(flat: Array, problem: Problem, names: Sequence[str]) -> list[Array]:
    """A flat direction as one array per variable."""
    nodes = [problem.formula.names[name] for name in names]
    pieces = np.split(flat, np.cumsum([node.size for node in nodes])[:-1])
    return [piece.reshape(node.shape) for piece, node in zip(pieces, nodes, strict=True)]


def _flat(parts: Sequence[Array]) -> Array:
    return np.concatenate([part.reshape(-1) for part in parts])


def _vjp(
    runner: Runner, node: Node, names: Sequence[str], at: Mapping[str, Array], seed: Array
) -> tuple[list[Array], str]:
    """The product of a row vector and the Jacobian, by one sweep back."""
    leaves = runner.leaves(names)
    position = {leaf.index: i for i, (_, leaf) in enumerate(leaves)}
    wrt = [position[runner.formula.names[name].index] for name in names]

    def make() -> Callable[..., list[Any]]:
        values = runner.function([node], [leaf for _, leaf in leaves])

        def run(*arguments: Any) -> list[Any]:
            y, recording, sources = derive.record(lambda *xs: values(*xs)[0], arguments[:-1], wrt)
            return derive.pullback(y, recording, sources, arguments[-1])

        return run

    def arguments() -> list[Argument]:
        return [Argument(name, leaf.shape, None) for name, leaf in (*leaves, ("cotangent", node))]

    compiled, engine = runner.compile(("vjp", node.index, *wrt), make, arguments)
    return compiled.run(*runner.arrays(leaves, at), seed), engine


# ---- text -------------------------------------------------------------------------------------------------------


def as_dict(matrix: Coordinates) -> dict[str, Any]:
    """The matrix as fields of JSON; rows and columns count from 1, as in the formula language. Its three columns of
    numbers are arrays, which an encoder writes as lists."""
    variables = zip(matrix.names, matrix.offsets, matrix.shapes, strict=True)
    return {
        "shape": list(matrix.shape),
        "symmetric": matrix.symmetric,
        "rows": matrix.rows + 1,
        "columns": matrix.columns + 1,
        "values": matrix.values,
        "variables": {name: {"first": first + 1, "shape": list(shape)} for name, first, shape in variables},
        "colours": matrix.colours,
        "mode": matrix.mode,
        "exact": matrix.exact,
    }


def matrix_market(matrix: Coordinates) -> str:
    """The matrix as Matrix Market exchange format: of a symmetric one the lower half, each number as the shortest text
    that reads back as the same value."""
    rows, columns, values = matrix.rows, matrix.columns, matrix.values
    if matrix.symmetric:
        lower = rows >= columns
        rows, columns, values = rows[lower], columns[lower], values[lower]
    numbers = map(repr, values.tolist()) if matrix.dtype == "float64" else map(str, values)
    lines = [f"%%MatrixMarket matrix coordinate real {'symmetric' if matrix.symmetric else 'general'}"]
    if not matrix.symmetric:
        lines.append(f"% rows 1..{matrix.shape[0]}: the entries of {matrix.of}, the last index running fastest")
    for name, first, shape in zip(matrix.names, matrix.offsets, matrix.shapes, strict=True):
        what = "rows and columns" if matrix.symmetric else "columns"
        size = int(np.prod(shape))
        if size:
            lines.append(f"% {what} {first + 1}..{first + size}: {name}{list(shape) if shape else ''}")
    lines.append(f"{matrix.shape[0]} {matrix.shape[1]} {rows.size}")
    places = zip((rows + 1).tolist(), (columns + 1).tolist(), numbers, strict=True)
    lines += [f"{i} {j} {number}" for i, j, number in places]
    return "\n".join(lines) + "\n"
