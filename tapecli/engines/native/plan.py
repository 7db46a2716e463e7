"""From a graph to passes over rows.

A *pass* runs once over the rows (the first dimension that has more than one entry) of everything in it, block by block.
In a block it goes through its *stages*, each one loop nest over one shape; what a later stage of the block reads stays
in a small local buffer. So a chain of arithmetic with its sums is one loop without temporaries, and a product with a
matrix, arithmetic on its rows and the product with the transpose are one pass over the matrix.

Whatever reads other rows than its own (a sum's result, a gather, what NumPy computes) waits for a later *level*.
Cheap arithmetic is computed again instead, at the place where it is wanted: so shifts and gathers of it are loads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tapecli.core import Shape
from tapecli.engines.native.lower import cheap, domain_points, effective, kind, seen_through, source
from tapecli.graph import LITERAL, Node, needed
from tapecli.ops.lowering import Coords, Guard, broadcast_from

#: About how many entries a block has. The sums of blocks are added up with compensation.
BLOCK = 4096
#: A block has a multiple of this many rows: whole vectors.
ROWS = 32
#: A stage of scalars has at most this many nodes.
STAGE = 400


class Use:
    """One entry that an expression reads: the node it comes from, where, and under which conditions it is not 0."""

    __slots__ = ("at", "guards", "node")

    def __init__(self, node: Node, at: Coords, guards: tuple[Guard, ...]) -> None:
        self.node = node
        self.at = at
        self.guards = guards

    @property
    def identity(self) -> bool:
        """Whether the entry is that of the point itself, on all axes."""
        axes = [c for c, n in zip(self.at, self.node.shape, strict=True) if n != 1]
        return not self.guards and all(c.whole and c.axis == k for k, c in enumerate(axes))

    @property
    def aligned(self) -> bool:
        """Whether the entry lies in the same row."""
        first = next((c for c, n in zip(self.at, self.node.shape, strict=True) if n != 1), None)
        return not self.guards and (first is None or (first.whole and first.axis == 0))


class Task:
    """One node to be computed in a pass: `expr` is evaluated at every point of `domain`, and stored or combined.

    `what` is "value" (of an elementwise node), "reduces", "piece" (one argument of a concatenation, number `part`),
    "copy" (entries that are moved, where they have to lie in memory), or "scatters", "repeats" and "outside", which
    are passes of their own.
    """

    __slots__ = ("domain", "expr", "level", "node", "part", "reads", "stage", "uses", "what")

    def __init__(self, what: str, node: Node, expr: Node, part: int = 0) -> None:
        self.what = what
        self.node = node
        self.expr = expr
        self.part = part
        self.domain = effective(expr.shape)
        self.level = 0
        self.stage = 0
        self.uses: list[Use] = []
        #: the nodes whose stored or shared values this task reads
        self.reads: list[tuple[Node, Use | None]] = []

    @property
    def rows(self) -> int | None:
        return self.domain[0] if self.domain else None

    @property
    def alone(self) -> bool:
        return self.what in ("scatters", "repeats", "outside")

    @property
    def reduced(self) -> tuple[int, ...]:
        """The axes of the domain that a reduction runs over."""
        axes, k = [], 0
        for axis, n in enumerate(self.expr.shape):
            if n != 1:
                if axis in self.node.params["axes"]:
                    axes.append(k)
                k += 1
        return tuple(axes)

    @property
    def crossing(self) -> bool:
        """Whether the result is there only after the whole pass."""
        return self.alone or self.what == "piece" or (self.what == "reduces" and (not self.domain or 0 in self.reduced))


class Stage:
    """Tasks of one domain that run in one loop nest."""

    def __init__(self, domain: Shape) -> None:
        self.domain = domain
        self.tasks: list[Task] = []


class Pass:
    """Stages over the same rows, or one task that is a pass of its own (`alone`)."""

    def __init__(self, rows: int | None, alone: Task | None) -> None:
        self.rows = rows
        self.alone = alone
        self.stages: list[Stage] = []
        self.tasks: list[Task] = [alone] if alone else []

    @property
    def inner(self) -> int:
        """How many entries a row has at most."""
        return max(math.prod(stage.domain[1:]) for stage in self.stages)

    @property
    def block(self) -> int:
        """How many rows a block has."""
        if self.rows is None:
            return 1
        return min(self.rows, max(ROWS, BLOCK // self.inner // ROWS * ROWS))

    def near(self, other: Pass) -> bool:
        """Whether two passes that do not need one another go over about as many rows, and as long ones."""
        if self.alone or other.alone or self.rows is None or other.rows is None:
            return False
        fewer, more = sorted((self.rows, other.rows))
        return 2 * fewer >= more and self.inner == other.inner

    def absorb(self, other: Pass) -> None:
        """Takes over what another pass does. A stage whose rows end earlier has none in the last blocks."""
        assert self.rows is not None and other.rows is not None
        for task in other.tasks:
            task.stage += len(self.stages)
        self.rows = max(self.rows, other.rows)
        self.stages += other.stages
        self.tasks += other.tasks

    @property
    def blocks(self) -> int:
        return 1 if self.rows is None else -(-self.rows // self.block)


def inlined(use: Use) -> bool:
    """Whether an elementwise value is computed where it is read, being read at another place than its own."""
    return not use.identity and kind(use.node) == "elementwise" and cheap(use.node)


class Plan:
    """The passes of a graph in order. `stored` are the nodes that lie in memory of their own, `local` those that only
    later stages of the same block read."""

    def __init__(self, outputs: Sequence[Node]) -> None:
        self.outputs = tuple(outputs)
        self.tasks: dict[int, list[Task]] = {}
        self.stored: dict[int, Node] = {}
        self.local: dict[int, Node] = {}
        self._demand()
        self._levels()
        self._sink()
        self.passes = self._passes()
        self._storage()

    # ---- what has to be computed

    def _demand(self) -> None:
        for node in self.outputs:
            self._store(node)
        for node in reversed(needed(self.outputs)):
            for task in self.tasks.get(node.index, ()):
                self._expand(task)

    def _store(self, node: Node) -> None:
        """`node` has to lie in memory."""
        while kind(node) == "view":
            node = node.args[0]
        if kind(node) != "leaf":
            self.stored[node.index] = node
            self._want(node)

    def _want(self, node: Node) -> None:
        """`node` has to be computed."""
        if node.index in self.tasks:
            return
        what = kind(node)
        if what == "elementwise":
            self.tasks[node.index] = [Task("value", node, node)]
        elif what == "moves":
            self.tasks[node.index] = [Task("copy", node, node)]
        elif what == "pieces":
            self.tasks[node.index] = [Task("piece", node, arg, k) for k, arg in enumerate(node.args) if arg.size]
            self.stored[node.index] = node
        elif what == "reduces":
            self.tasks[node.index] = [Task("reduces", node, node.args[0])]
        else:
            self.tasks[node.index] = [Task(what, node, node)]
            self.stored[node.index] = node

    def _expand(self, task: Task) -> None:
        if task.alone:
            for arg in task.node.args:
                if task.what == "outside":
                    arg = seen_through(arg)
                self._store(arg)
                task.reads.append((self.root(arg), None))
            return
        at = domain_points(task.expr.shape)
        if task.what == "value":
            self._args(task, task.node, at, ())
        else:
            self._use(task, task.expr, at, ())

    def _args(self, task: Task, node: Node, at: Coords, guards: tuple[Guard, ...]) -> None:
        for arg in node.args:
            self._use(task, arg, broadcast_from(at, arg.shape), guards)

    def _use(self, task: Task, node: Node, at: Coords, guards: tuple[Guard, ...]) -> None:
        node, at, more = source(node, at)
        use = Use(node, at, guards + more)
        if node.op is LITERAL and not node.shape:
            return
        if inlined(use):
            self._args(task, node, at, use.guards)
            return
        task.uses.append(use)
        root = self.root(node)
        if kind(node) == "view" or kind(root) == "leaf":
            self._store(node)
        else:
            self._want(node)
        task.reads.append((root, None if root is not node else use))

    @staticmethod
    def root(node: Node) -> Node:
        """The node whose memory a view shows."""
        while kind(node) == "view":
            node = node.args[0]
        return node

    # ---- when

    def _same_pass(self, task: Task, node: Node, use: Use | None) -> bool:
        """Whether what `task` reads of `node` can come from the same block of the same pass."""
        made = self.tasks[node.index][0]
        return use is not None and not made.crossing and not task.alone and made.rows == task.rows and use.aligned

    def _computed(self, task: Task) -> list[tuple[Node, Use | None]]:
        return [(node, use) for node, use in task.reads if node.index in self.tasks]

    def _levels(self) -> None:
        for index in sorted(self.tasks):
            for task in self.tasks[index]:
                for node, use in self._computed(task):
                    level = max(made.level for made in self.tasks[node.index])
                    task.level = max(task.level, level + (not self._same_pass(task, node, use)))

    def _sink(self) -> None:
        """What is wanted only in a later pass over the same rows is computed there."""
        latest: dict[int, int] = {}
        for index in sorted(self.tasks, reverse=True):
            for task in self.tasks[index]:
                if task.what == "value" and index in latest and index not in self.stored:
                    task.level = max(task.level, latest[index])
                for node, use in self._computed(task):
                    level = task.level - (not self._same_pass(task, node, use))
                    latest[node.index] = min(latest.get(node.index, level), level)

    def _passes(self) -> list[Pass]:
        found: dict[Any, Pass] = {}
        for index in sorted(self.tasks):
            for task in self.tasks[index]:
                if not math.prod(task.domain) and not task.alone and task.what != "reduces":
                    continue
                key = (task.level, task.alone, task.rows if not task.alone else index)
                known = found.get(key)
                if known is None:
                    known = found[key] = Pass(None if task.alone else task.rows, task if task.alone else None)
                if not task.alone:
                    self._stage(known, task)
                    known.tasks.append(task)
        order = sorted(found, key=lambda key: key[:2])
        return self._joined([(key[0], found[key]) for key in order])

    @staticmethod
    def _joined(passes: Sequence[tuple[int, Pass]]) -> list[Pass]:
        """Passes of one level over about as many rows made one, so that what they share is read once."""
        result: list[Pass] = []
        latest, first = -1, 0
        for level, p in passes:
            if level != latest:
                latest, first = level, len(result)
            near = next((q for q in result[first:] if q.near(p)), None)
            if near is None:
                result.append(p)
            else:
                near.absorb(p)
        return result

    def _stage(self, within: Pass, task: Task) -> None:
        """The first stage of the task's domain in which all that it reads is there."""
        need = 0
        for node, use in self._computed(task):
            made = self.tasks[node.index][0]
            if made.level == task.level and self._same_pass(task, node, use):
                assert use is not None
                shared = made.what == "value" and made.domain == task.domain and use.identity
                need = max(need, made.stage + (not shared))
        for k, stage in enumerate(within.stages):
            if k >= need and stage.domain == task.domain and len(stage.tasks) < STAGE:
                break
        else:
            k = len(within.stages)
            within.stages.append(Stage(task.domain))
        task.stage = k
        within.stages[k].tasks.append(task)

    # ---- where

    def _storage(self) -> None:
        where = {id(task): (p, task.stage) for p in self.passes for task in p.tasks}
        for index in self.tasks:
            for task in self.tasks[index]:
                if id(task) not in where:
                    continue
                if task.crossing:
                    self.stored[task.node.index] = task.node
                for node, _ in self._computed(task):
                    made = self.tasks[node.index][0]
                    if id(made) not in where:
                        continue
                    (p, stage), (q, other) = where[id(made)], where[id(task)]
                    if p is not q:
                        self.stored[node.index] = node
                    elif stage != other:
                        self.local[node.index] = node
        for index in self.stored:
            self.local.pop(index, None)
