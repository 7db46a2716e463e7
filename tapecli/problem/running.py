"""`Runner`: a formula made into functions of its inputs, run by an engine, traced where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tapecli import derive, engines
from tapecli.core import Array
from tapecli.engines import DEFAULT, Argument, Compiled, How, Repeated, Stepping
from tapecli.errors import TapeError
from tapecli.graph import Node, needed, replay
from tapecli.language.formula import Formula
from tapecli.records import NamedTuple
from tapecli.tape import number_of

#: After this many runs of one function `auto` traces it.
PATIENCE = 4
#: Above this many variables a traced Hessian is made of products with unit vectors, not written out.
UNROLLED = 16
#: How much the tape of a derivative takes, in tapes of the value.
WAYS = {"gradient": 2, "jacobian": 2, "hessian": 4, "hvp": 4}
#: A formula with more entries than this in all its nodes, or with recurrences that take longer than this in seconds, is
#: traced at its first run.
LARGE, LONG = 4_000_000, 0.05
#: One with no more than this is run at many points in one loop, by one thread; of a block of points, arguments and
#: results have about so many entries.
SWEPT, BLOCK = 100_000, 1 << 14


class Task(NamedTuple):
    """A function of the formula: the key that it is kept by, how it is made, its leaves, and all arguments."""

    key: Any
    make: Callable[[], Callable[..., list[Any]]]
    leaves: list[tuple[str, Node]]
    arguments: list[Argument]


class Runner:
    """Runs functions of one formula in one precision. `traces` counts how many were traced."""

    def __init__(self, formula: Formula, engine: str, dtype: str, how: How = DEFAULT) -> None:
        self.formula = formula
        self.engine = engine
        self.dtype = dtype
        self.how = how
        self.traces = 0
        self._compiled: dict[Any, Compiled] = {}
        self._repeated: dict[Any, Repeated] = {}
        self._runs: dict[Any, int] = {}
        self._entries: int | None = None
        self._steps: float | None = None
        self._leaves: dict[tuple[str, ...], list[tuple[str, Node]]] = {}
        self._starts: dict[str, Array] = {}
        #: what others have made of this formula, for another time
        self.kept: dict[Any, Any] = {}

    def leaves(self, extra: Sequence[str] = ()) -> list[tuple[str, Node]]:
        """The arguments of every function of this problem: its inputs, then a tap for each bound name in `extra`."""
        key = tuple(extra)
        if key not in self._leaves:
            formula = self.formula
            named = [(entry.name, entry.node) for entry in formula.inputs.values()]
            known = {node.index for _, node in named}
            taps = [(name, formula.names[name]) for name in extra if formula.names[name].index not in known]
            self._leaves[key] = named + taps
        return self._leaves[key]

    def arrays(self, leaves: Sequence[tuple[str, Node]], at: Mapping[str, Array]) -> list[Array]:
        """The value of each argument at a point, in the run's precision."""
        if not at:
            return [self._start(name, node) for name, node in leaves]
        with np.errstate(all="ignore"):
            return [
                np.asarray(at[name], dtype=self.dtype)
                if name in at and name in self.formula.inputs
                else self._start(name, node)
                for name, node in leaves
            ]

    def _start(self, name: str, node: Node) -> Array:
        """The value that an argument has where nothing else is said."""
        known = self._starts.get(name)
        if known is None:
            entry = self.formula.inputs.get(name)
            value = np.zeros(node.shape) if entry is None else entry.value  # of a tap zero
            if value is None or (entry is not None and entry.kind == "var" and value.size and np.all(np.isnan(value))):
                assert entry is not None
                hint = f"var {name} = 1, or --at {name}=1"
                raise TapeError("start", f"`{name}` has no start value", place=entry.place, hint=hint)
            with np.errstate(all="ignore"):
                known = self._starts[name] = np.asarray(value, dtype=self.dtype)
        return known

    def function(self, outputs: Sequence[Node], inputs: Sequence[Node]) -> Callable[..., list[Any]]:
        """The formula as a function on values: from its inputs, and the taps after them, to some of its nodes."""
        dtype = np.dtype(self.dtype)
        count = len(self.formula.inputs)
        tapped = [node.index for node in inputs[count:]]

        def function(*values: Any) -> list[Any]:
            base = next((number_of(value) for value in values), None)
            onto = base.graph if isinstance(base, Node) else None
            literal = dtype.type if onto is None else onto.literal
            given = dict(zip(inputs[:count], values[:count], strict=True))
            return replay(outputs, given, literal, onto, dict(zip(tapped, values[count:], strict=True)))

        return function

    def compile(
        self, key: Any, make: Callable[[], Callable[..., list[Any]]], arguments: Callable[[], list[Argument]]
    ) -> tuple[Compiled, str]:
        """The compiled function of a key: traced where the engine says so, or where it has been asked for often."""
        engine = self.engine
        if engine == "auto":
            self._runs[key] = self._runs.get(key, 0) + 1
            engine = "tape" if self._runs[key] <= PATIENCE and not self._large() else "auto"
        if (key, engine) not in self._compiled:
            self._compiled[key, engine] = engines.compile(engine, make(), arguments(), self.dtype, how=self.how)
            self.traces += self._compiled[key, engine].traces
        compiled = self._compiled[key, engine]
        return compiled, compiled.engine

    def afford(self, kind: str, outputs: Sequence[Node], size: int = 0) -> None:
        """Raises TapeError("limit") where the results, or all values on a tape, are more than memory may hold. `size`
        is the number of entries that derivatives are taken to."""
        budget = self.formula.graph.budget
        if budget is None:
            return
        width = np.dtype(self.dtype).itemsize
        many = {"gradient": size, "hessian": size * size, "jacobian": size * sum(node.size for node in outputs)}
        results = width * many.get(kind, size)
        if not budget.allows(results):
            budget.ask(results, f"a {kind} of {many.get(kind, size):,} entries", outputs[0].place)
        if self.engine != "tape" and (self.engine != "auto" or self._large()):
            return
        taped = width * sum(node.size for node in needed(outputs)) * WAYS.get(kind, 1)
        if not budget.allows(taped):
            budget.ask(taped, f"the tape of this {kind}", outputs[0].place)

    def allow(self, compiled: Compiled) -> None:
        """The same for the memory of a traced program, which has not been touched yet."""
        budget, memory = self.formula.graph.budget, getattr(compiled.program, "memory", 0)
        if budget is not None and not budget.allows(memory):
            budget.ask(memory, "the program of this formula")

    def _large(self) -> bool:
        """Whether one run is so much work that tracing pays at once."""
        return self._size() > LARGE or self._recurring() > LONG

    def _recurring(self) -> float:
        """About how long the formula's recurrences take step by step, in seconds."""
        if self._steps is None:
            loops = [node for node in self.formula.graph.nodes if "body" in node.params]
            self._steps = 0.0
            if loops:
                from tapecli.engines.traced import recurring

                self._steps = recurring(loops)
        return self._steps

    def _size(self) -> int:
        """The entries of all nodes of the formula."""
        if self._entries is None:
            self._entries = sum(node.size for node in self.formula.graph.nodes)
        return self._entries

    def run(
        self,
        kind: str,
        outputs: Sequence[Node],
        names: Sequence[str],
        at: Mapping[str, Array],
        extra: Sequence[Array] = (),
    ) -> tuple[list[Array], str]:
        """Runs a function of the formula at a point: the value of outputs, or one of the derivatives of an output to
        names. `extra` is the direction of a product."""
        task = self._task(kind, outputs, names)
        compiled, engine = self.compile(task.key, task.make, lambda: task.arguments)
        self.allow(compiled)
        return compiled.run(*self.arrays(task.leaves, at), *extra), engine

    def _task(self, kind: str, outputs: Sequence[Node], names: Sequence[str]) -> Task:
        leaves = self.leaves(names)
        position = {node.index: i for i, (_, node) in enumerate(leaves)}
        wrt = [position[self.formula.names[name].index] for name in names]
        self.afford(kind, outputs, sum(self.formula.names[name].size for name in names))

        def make() -> Callable[..., list[Any]]:
            values = self.function(outputs, [node for _, node in leaves])
            if kind == "value":
                return values
            return getattr(derive, kind)(lambda *xs: values(*xs)[0], wrt)  # type: ignore[no-any-return]

        along = [Argument(f"direction {name}", leaves[i][1].shape, None) for name, i in zip(names, wrt, strict=True)]
        arguments = [Argument(name, node.shape, None) for name, node in leaves]
        key = (kind, *[node.index for node in outputs], tuple(wrt))
        return Task(key, make, leaves, arguments + (along if kind in ("hvp", "jvp") else []))

    def sweeps(self, count: int) -> bool:
        """Whether `count` points are best run in one loop: on an engine that traces, where one point is little work."""
        if self.engine == "tape" or (self.engine == "auto" and count <= PATIENCE):
            return False
        return self._size() <= SWEPT

    def sweep(
        self, kind: str, outputs: Sequence[Node], names: Sequence[str], columns: Mapping[str, Array]
    ) -> Iterator[tuple[int, list[Array], str]]:
        """The same at many points, the rows of `columns` (points × shape), in blocks: the number of a block's first
        point, its results (points × shape), and what ran."""
        task = self._task(kind, outputs, names)
        count = len(next(iter(columns.values())))
        rows = [i for i, (name, _) in enumerate(task.leaves) if name in columns]
        others = [i for i in range(len(task.leaves)) if i not in rows]
        key = ("rows", task.key, *rows)
        if key not in self._repeated:

            def step(*values: Any) -> list[Any]:
                given = dict(zip([*rows, *others], values, strict=True))
                return [*task.make()(*[given[i] for i in range(len(values))]), 0.0]

            taken = [[task.arguments[i] for i in group] for group in (rows, others)]
            stepping = Stepping(step, (), *taken)
            self._repeated[key] = engines.repeat(self.engine, stepping, self.dtype, count, self.how)
            self.traces += self._repeated[key].traces
        loop = self._repeated[key]
        shared = self.arrays([task.leaves[i] for i in others], {})
        named = [task.leaves[i][0] for i in rows]
        size = max(1, BLOCK // (1 + sum(task.leaves[i][1].size for i in rows) + self._results(kind, outputs, names)))
        for begin in range(0, count, size):
            block = [columns[name][begin : begin + size] for name in named]
            found = loop.run((), min(size, count - begin), block, shared)
            yield begin, found.outs, loop.engine

    def _results(self, kind: str, outputs: Sequence[Node], names: Sequence[str]) -> int:
        """How many entries the results of a function have."""
        n = sum(self.formula.names[name].size for name in names)
        own = sum(node.size for node in outputs)
        return own + {"value": 0, "gradient": n, "jacobian": n * own, "hessian": n + n * n}.get(kind, 2 * n)

    def by_products(
        self, node: Node, names: Sequence[str], at: Mapping[str, Array]
    ) -> tuple[Array, list[Array], list[Array], str]:
        """The Hessian from its products with unit vectors; it is symmetric, so its columns are its rows."""
        shapes = [self.formula.names[name].shape for name in names]
        blocks = [np.empty(row + column, dtype=self.dtype) for row in shapes for column in shapes]
        result, engine = self.run("gradient", [node], names, at)
        for i, shape in enumerate(shapes):
            for k in range(int(np.prod(shape))):
                direction = [np.zeros(s, dtype=self.dtype) for s in shapes]
                direction[i].reshape(-1)[k] = 1.0
                products, _ = self.run("hvp", [node], names, at, direction)
                for j, product in enumerate(products[1 + len(names) :]):
                    blocks[i * len(names) + j].reshape(int(np.prod(shape)), -1)[k] = product.reshape(-1)
        return result[0], result[1:], blocks, engine
