"""From the goal of a formula to a `Target`: a function of the variables alone, its squares and its constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive, ops
from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.graph import Node, dependents, needed
from tapecli.optimize.losses import LOSSES
from tapecli.optimize.target import Constraints, Residuals, Target
from tapecli.problem.cells import check_sigma
from tapecli.rewrite.squares import KINKED, Squares, squares_of

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

#: Targets of a problem that are kept at most.
KEPT = 4


class Setting:
    """The leaves of a problem at a point: which of them are variables, and the values of the others. Names in `also`
    count as variables."""

    def __init__(self, problem: Problem, at: Mapping[str, Array], also: Sequence[str] = ()) -> None:
        formula = problem.formula
        self.problem = problem
        self.leaves = problem.runner.leaves()
        self.arrays = problem.runner.arrays(self.leaves, at)
        self.free = [i for i, (name, _) in enumerate(self.leaves) if formula.inputs[name].kind == "var" or name in also]
        if not self.free:
            raise TapeError("usage", f"`{problem.name}` has no variables", hint="declare one: var x = 1")
        self.entries = [formula.inputs[self.leaves[i][0]] for i in self.free]
        self.variables = [self.leaves[i][1] for i in self.free]

    def function(self, nodes: Sequence[Node]) -> Callable[..., list[Any]]:
        """Nodes as a function of the variables."""
        whole = self.problem.runner.function(nodes, [node for _, node in self.leaves])

        def function(*xs: Any) -> list[Any]:
            values = [derive.constant_like(xs[0], array) for array in self.arrays]
            for i, x in zip(self.free, xs, strict=True):
                values[i] = x
            return whole(*values)

        return function

    def known(self) -> dict[Node, Array]:
        """The values of all leaves that are no variables."""
        free = set(self.free)
        return {
            node: array
            for i, ((_, node), array) in enumerate(zip(self.leaves, self.arrays, strict=True))
            if i not in free
        }

    def kinks(self, node: Node) -> list[str]:
        """Operations between the variables and a node whose derivative jumps."""
        order = needed([node])
        moving = dependents(order, self.variables)
        return sorted({n.op.name for n in order if n.index in moving and n.op.name in KINKED})


def target_of(
    problem: Problem,
    at: Mapping[str, Array],
    sign: float,
    loss: str = "linear",
    scale: float = 1.0,
    squares: bool = True,
) -> Target:
    """The goal as a function of the variables alone, times `sign`; constants and data are fixed for the run. A loss
    other than `linear` takes the place of the squares of a fit. `squares`: whether sums of squares are looked for.

    What was made for the same constants before is taken again, with what was compiled for it."""
    setting = Setting(problem, at)
    known = (sign, loss, scale, squares, *[id(a) for i, a in enumerate(setting.arrays) if i not in setting.free])
    kept = problem.runner.kept
    if known not in kept:
        if len(kept) >= KEPT:
            kept.clear()
        check_sigma(problem, at)
        kept[known] = _made(setting, sign, loss, scale, squares)
    target: Target = kept[known]
    return target.begun_at([setting.arrays[i] for i in setting.free])


def extended(problem: Problem, at: Mapping[str, Array], sign: float, also: Sequence[str]) -> Target:
    """The goal, with its constraints, as a function of the variables and of the constants in `also`: for derivatives,
    so bounds are left out, and the starts are the values at the point."""
    setting = Setting(problem, at, also)
    goal = problem.formula.goal
    assert goal is not None
    single, none = setting.function([goal.output.node]), [None] * len(setting.entries)

    def objective(*xs: Any) -> Any:
        return sign * single(*xs)[0]

    names, starts = [entry.name for entry in setting.entries], [setting.arrays[i] for i in setting.free]
    how = problem.runner.how._replace(steady=True)
    return Target(
        objective,
        names,
        starts,
        none,
        none,
        problem.dtype,
        problem.runner.engine,
        how=how,
        constraints=_constraints(setting),
    )


def _made(setting: Setting, sign: float, loss: str, scale: float, squares: bool) -> Target:
    problem = setting.problem
    goal = problem.formula.goal
    assert goal is not None
    node = goal.output.node
    single = setting.function([node])
    found = squares_of(node, setting.variables, setting.known(), sign) if squares else None
    residuals = None if found is None else _residuals(setting, found, loss, scale)

    def objective(*xs: Any) -> Any:
        value = single(*xs)[0]
        return -value if sign < 0 else value

    def lossy(*xs: Any) -> Any:
        assert residuals is not None
        z = residuals.function(*xs) / scale
        return ops.sum(LOSSES[loss].rho(z * z)) * scale**2 + residuals.offset

    if loss != "linear" and residuals is None:
        raise TapeError("usage", f"the loss `{loss}` is for sums of squares", hint="write fit y ~ …")
    return Target(
        objective if loss == "linear" else lossy,
        [entry.name for entry in setting.entries],
        [setting.arrays[i] for i in setting.free],
        [entry.lower for entry in setting.entries],
        [entry.upper for entry in setting.entries],
        problem.dtype,
        problem.runner.engine,
        how=problem.runner.how._replace(steady=True),
        residuals=residuals,
        constraints=_constraints(setting),
        kinked=bool(setting.kinks(node)),
    )


def _residuals(setting: Setting, found: Squares, loss: str, scale: float) -> Residuals:
    """The residuals of all terms in one vector."""
    nodes = setting.function([term.node for term in found.terms])

    def residuals(*xs: Any) -> Any:
        parts = []
        for term, value in zip(found.terms, nodes(*xs), strict=True):
            r = value if term.half == 1.0 else value**term.half
            if not np.all(term.root == 1.0):
                r = r * derive.constant_like(xs[0], term.root)
            parts.append(ops.reshape(r, shape=(term.node.size,)))
        return parts[0] if len(parts) == 1 else ops.concat(*parts, axis=0)

    goal = setting.problem.formula.goal
    return Residuals(residuals, found.entries, found.offset, loss, scale, goal is None or goal.kind != "fit")


def _constraints(setting: Setting) -> Constraints | None:
    """`subject to` as one vector: 0 where equality is asked, else 0 or less."""
    rows = setting.problem.formula.constraints
    if not rows:
        return None
    nodes = setting.function([node for row in rows for node in (row.left, row.right)])
    shapes = [np.broadcast_shapes(row.left.shape, row.right.shape) for row in rows]
    sizes = [int(np.prod(shape)) for shape in shapes]
    equal = np.concatenate([np.full(n, row.relation == "==") for n, row in zip(sizes, rows, strict=True)])

    def constraints(*xs: Any) -> Any:
        values, parts = nodes(*xs), []
        for k, (row, size) in enumerate(zip(rows, sizes, strict=True)):
            left, right = values[2 * k], values[2 * k + 1]
            difference = right - left if row.relation in (">=", ">") else left - right
            wide = difference + derive.constant_like(xs[0], np.zeros(shapes[k]))
            parts.append(ops.reshape(wide, shape=(size,)))
        return parts[0] if len(parts) == 1 else ops.concat(*parts, axis=0)

    return Constraints(constraints, equal)
