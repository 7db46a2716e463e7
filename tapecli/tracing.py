"""`trace`: a Python function run once on symbols, then as a compiled program, like tf.function.

Variables that the function reads become inputs of the program, those that it assigns become outputs, so a whole
training step (tape, gradient, optimizer) is one program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli import engines
from tapecli.core import Array
from tapecli.eager import Handle, Symbol, Variable, _open, _trace
from tapecli.errors import TapeError
from tapecli.tape import number_of


class _Recorder:
    """What a function under trace reads and writes."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.inputs: dict[int, tuple[Variable, Any]] = {}
        self.current: dict[int, Any] = {}
        self.writes: dict[int, Variable] = {}

    def read(self, variable: Variable) -> Any:
        key = id(variable)
        if key not in self.current:
            node = self.graph.input(f"variable {len(self.inputs)}", variable.shape)
            self.inputs[key] = (variable, node)
            self.current[key] = node
        return self.current[key]

    def write(self, variable: Variable, value: Any) -> None:
        self.read(variable)
        self.current[id(variable)] = value
        self.writes[id(variable)] = variable


class Traced:
    """A function that runs as a compiled program. `traces` counts how often the Python function itself has run:
    once for each combination of argument shapes.

    Arguments are numbers or arrays; results are what the function returns: one value, or lists, tuples and dicts of
    them. Inside a tape's `with` block, or inside another traced function, the function itself is called.
    """

    def __init__(self, f: Callable[..., Any], engine: str, dtype: Any) -> None:
        self._f = f
        self._engine = engine
        self._dtype = np.dtype(dtype)
        self._programs: dict[Any, tuple[Any, list[Variable], list[Variable], Callable[[list[Any]], Any]]] = {}
        self.traces = 0

    def __call__(self, *args: Any) -> Any:
        if _open.get() or _trace.get() is not None:  # a part of what a tape or another trace records
            return self._f(*args)
        given = [number_of(arg.resolve() if isinstance(arg, Handle) else arg) for arg in args]
        with np.errstate(all="ignore"):
            arrays = [np.asarray(number, dtype=self._dtype) for number in given]
        key = tuple(array.shape for array in arrays)
        if key not in self._programs:
            self._programs[key] = self._compile(arrays)
        compiled, reads, writes, rebuild = self._programs[key]
        results = compiled.run(*arrays, *[variable._value for variable in reads])
        for variable, value in zip(writes, results[len(results) - len(writes) :], strict=True):
            variable._value = np.asarray(value, dtype=variable.dtype)
        return rebuild(results[: len(results) - len(writes)])

    def _compile(self, arrays: list[Array]) -> Any:
        from tapecli.engines.traced import Traced
        from tapecli.graph import Graph, Node
        from tapecli.rewrite import simplify

        if self._engine == "tape":
            raise TapeError("usage", "the engine 'tape' does not trace", hint="auto, numpy or native")
        graph = Graph()
        inputs = [graph.input(f"argument {i}", array.shape) for i, array in enumerate(arrays)]
        recorder = _Recorder(graph)
        token = _trace.set(recorder)
        try:
            answer = self._f(*[Symbol(node, self._dtype, node.params["name"]) for node in inputs])
        finally:
            _trace.reset(token)
        self.traces += 1
        flat, rebuild = _flatten(answer)
        writes = list(recorder.writes.values())
        values = [_node(graph, value, recorder) for value in flat]
        values += [_node(graph, recorder.current[id(variable)], recorder) for variable in writes]
        simple, left = simplify([v for v in values if isinstance(v, Node)], {}, self._dtype)
        every = inputs + [node for _, node in recorder.inputs.values()]
        compiled = engines.of_graph(self._engine, Traced(simple, [left.get(node) for node in every], self._dtype))
        return compiled, [variable for variable, _ in recorder.inputs.values()], writes, rebuild


def _node(graph: Any, value: Any, recorder: _Recorder) -> Any:
    from tapecli.graph import Node

    value = recorder.read(value) if isinstance(value, Variable) else value
    value = number_of(value.read() if isinstance(value, Handle) else value)
    return value if isinstance(value, Node) else graph.literal(value)


def _flatten(answer: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The values of a result in order, and how to put it together again."""
    if answer is None:
        return [], lambda values: None
    if not isinstance(answer, (dict, list, tuple)):
        return [answer], lambda values: values[0]
    kind: Any = type(answer)
    keys, values = (list(answer), list(answer.values())) if isinstance(answer, dict) else (None, list(answer))
    flat: list[Any] = []
    parts = []
    for part in values:
        found, rebuild = _flatten(part)
        parts.append((len(flat), len(flat) + len(found), rebuild))
        flat += found

    def together(values: list[Any]) -> Any:
        built = [rebuild(values[start:end]) for start, end, rebuild in parts]
        if keys is not None:
            return dict(zip(keys, built, strict=True))
        return kind(*built) if hasattr(kind, "_fields") else kind(built)

    return flat, together


def trace(f: Callable[..., Any], *, engine: str = "numpy", dtype: Any = np.float64) -> Traced:
    """`f`, run once on symbols for each combination of argument shapes and then as a compiled program.

    Arguments are converted to `dtype`, so plain numbers do not trace anew. An argument can be watched by a tape inside.
    """
    return Traced(f, engine, dtype)
