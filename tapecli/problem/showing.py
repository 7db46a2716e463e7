"""`Problem.traced`: what recording and tracing a formula give, as text that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.engines.traced import Traced, trace
from tapecli.errors import TapeError
from tapecli.graph import INPUT, LITERAL, Node, needed
from tapecli.problem.evaluations import Derivatives

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem

STAGES = ("tape", "graph", "program", "ir", "asm")
#: How operations are written in listings, where a sign says it better than a name.
SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
    "logical_and": "and",
    "logical_or": "or",
}


class Trace:
    """A traced derivative of one output: its stages as text, and runs of the compiled program."""

    def __init__(self, problem: Problem, of: str | None, order: int) -> None:
        self.problem = problem.compile("numpy")
        self.of, self._node = self.problem._scalar(of, "sum the output")
        self._order = order

    @property
    def traces(self) -> int:
        """How often the formula was traced so far."""
        return self.problem.traces

    def run(self, at: Mapping[str, Any] | None = None) -> Derivatives:
        """One call of the compiled program."""
        return self.problem.derivatives(order=self._order, at=at, of=self.of)

    def show(self, stage: str) -> str:
        """A listing of one of the `STAGES`."""
        if stage not in STAGES:
            raise TapeError("usage", f"there is no stage {stage!r}", hint=", ".join(STAGES))
        return str(getattr(self, f"_{stage}")())

    def _arguments(self) -> tuple[list[Argument], list[int], Any]:
        problem = self.problem
        leaves = problem.runner.leaves()
        names = problem._wrt(None)
        wrt = [i for i, (name, _) in enumerate(leaves) if name in names]
        inner = problem.runner.function([self._node], [node for _, node in leaves])
        kind = derive.gradient if self._order == 1 else derive.hessian
        return [Argument(name, node.shape, None) for name, node in leaves], wrt, kind(lambda *xs: inner(*xs)[0], wrt)

    def _tape(self) -> str:
        """The eager record at the start point: each call with its numbers, then the cotangents on the way back."""
        problem = self.problem
        leaves = problem.runner.leaves()
        arrays = problem.runner.arrays(leaves, {})
        _, wrt, _ = self._arguments()
        inner = problem.runner.function([self._node], [node for _, node in leaves])
        with np.errstate(all="ignore"):
            _, recording, _ = derive.record(lambda *xs: inner(*xs)[0], arrays, wrt)
        lines = []
        names = iter([leaves[i][0] for i in wrt])
        for number, entry in enumerate(recording.entries):
            if entry.op is None:
                lines.append(f"  %{number} = watch {next(names)} = {_number(entry.out)}")
                continue
            args = [f"%{i}" if i is not None else _number(arg) for i, arg in zip(entry.inputs, entry.args, strict=True)]
            lines.append(f"  %{number} = {_written(entry.op.name, args, entry.params)} = {_number(entry.out)}")
        return "\n".join([f"tape of {self.of}: {len(recording.entries)} entries", *lines])

    def _graph(self) -> str:
        return f"graph of {self.of}\n" + _listing([self._node], [self.of])

    def _program(self) -> str:
        """The traced and simplified program of value and derivatives."""
        traced, results = self._traced()
        program = traced.program
        head = f"program of {', '.join(results)}: {program.steps} steps, {program.buffers} buffers, {program.dtype}"
        return head + "\n" + _listing(program.outputs, results)

    def _traced(self) -> tuple[Traced, list[str]]:
        """Value and derivatives, traced and simplified, and their names."""
        arguments, wrt, function = self._arguments()
        names = [arguments[i].name for i in wrt]
        results = [self.of, *[f"d{self.of}/d{name}" for name in names]]
        results += [f"d²{self.of}/d{r}d{c}" for r in names for c in names] if self._order == 2 else []
        return trace(function, arguments, self.problem.dtype), results

    def _ir(self) -> str:
        """The passes of the compiled program, what each computes, and their LLVM text."""
        from tapecli.engines import native

        if not native.ready():
            raise TapeError("unsupported", "machine code cannot be made here", hint="pip install 'tapecli[native]'")
        from tapecli.engines.native.text import written

        traced, results = self._traced()
        return f"compiled program of {', '.join(results)}, {traced.dtype}\n" + written(traced).module.annotated

    def _asm(self) -> str:
        """The machine code of the compiled program."""
        from tapecli.engines import native

        if not native.ready():
            raise TapeError("unsupported", "machine code cannot be made here", hint="pip install 'tapecli[native]'")
        from tapecli.engines.native.text import written

        return native.build.assembly(written(self._traced()[0]).text)


def _listing(outputs: Sequence[Node], names: Sequence[str]) -> str:
    """One line per node: its number, what it does, its shape, and where in the file it comes from."""
    order = needed(outputs)
    number = {node.index: i for i, node in enumerate(order)}
    rows = []
    for node in order:
        if node.op is LITERAL:
            continue
        args = [_literal(arg) if arg.op is LITERAL else f"%{number[arg.index]}" for arg in node.args]
        what = f"input {node.params['name']}" if node.op is INPUT else _written(node.op.name, args, node.params)
        shape = "" if not node.shape else f"  [{', '.join(map(str, node.shape))}]"
        rows.append(
            (
                f"  %{number[node.index]} = {what}{shape}",
                "" if node.place is None else f"line {node.place.line}, column {node.place.column}",
            )
        )
    width = min(max((len(left) for left, _ in rows), default=0), 60)
    lines = [f"{left:<{width}}  # {right}" if right else left for left, right in rows]
    for output, name in zip(outputs, names, strict=True):
        lines.append(f"  {name} = {_literal(output) if output.op is LITERAL else f'%{number[output.index]}'}")
    return "\n".join(lines)


def _written(name: str, args: Sequence[str], params: Mapping[str, Any]) -> str:
    if name in SIGNS and len(args) == 2:
        return f"{args[0]} {SIGNS[name]} {args[1]}"
    if name == "power":
        return f"{args[0]} ^ {params['exponent']:g}"
    if name == "neg":
        return f"-{args[0]}"
    options = [f"{key}={value}" for key, value in params.items()]
    return f"{name}({', '.join([*args, *options])})"


def _literal(node: Node) -> str:
    return _number(node.params["value"])


def _number(value: Array) -> str:
    value = np.asarray(value)
    if value.ndim == 0:
        return f"{float(value):.6g}"
    flat = value.reshape(-1)
    if flat.size and np.all(flat == flat[0]):
        return f"[{float(flat[0]):.6g} × {value.size}]"
    return f"[{', '.join(f'{float(x):.4g}' for x in flat[:4])}{', …' if flat.size > 4 else ''}]"
