"""The traced NumPy engine: a simplified graph played back as a list of calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tapecli.core import Array, Shape
from tapecli.graph import INPUT, LITERAL, Node, needed

#: Ops whose results are views of their arguments.
VIEWS = frozenset(("broadcast", "reshape", "slice", "transpose", "input"))


class Program:
    """A graph as a list of calls on numbered slots. One program is run by one thread at a time: it owns its buffers.

    `outputs` are the graph's results, `inputs` its leaves in calling order; `steps` counts the calls of one run.
    """

    __slots__ = ("_code", "_entry", "_result", "_slots", "buffers", "dtype", "inputs", "outputs")

    @np.errstate(all="ignore")
    def __init__(self, outputs: Sequence[Node], inputs: Sequence[Node | None], dtype: Any) -> None:
        self.outputs = tuple(outputs)
        self.inputs = tuple(inputs)
        self.dtype = np.dtype(dtype)
        order = needed(outputs)
        slot = {node.index: i for i, node in enumerate(order)}
        self._slots: list[Any] = [None] * len(order)
        for node in order:
            if node.op is LITERAL:
                value = node.params["value"].astype(dtype)
                self._slots[slot[node.index]] = value if value.shape else value[()]
        self._entry = [None if node is None else slot.get(node.index) for node in inputs]
        self._result = [slot[node.index] for node in outputs]
        self._code, self.buffers = _schedule(order, outputs, slot, self.dtype)

    @property
    def memory(self) -> int:
        """How many bytes a run takes, roughly: its buffers, and the results that have memory of their own."""
        buffers = [call.keywords.get("out") for call, _, _ in self._code if isinstance(call, partial)]
        seen: dict[int, int] = {id(buffer): buffer.nbytes for buffer in buffers if isinstance(buffer, np.ndarray)}
        own = [node for node in needed(self.outputs) if node.op.name not in VIEWS]
        rest: int = sum(node.size for node in own if not isinstance(node.op.kernel, np.ufunc))
        return sum(seen.values()) + int(self.dtype.itemsize) * rest

    @property
    def steps(self) -> int:
        return len(self._code)

    def run(self, *arrays: Any) -> list[Array]:
        """One run. The results are fresh arrays."""
        slots = self._slots
        with np.errstate(all="ignore"):
            for entry, array in zip(self._entry, arrays, strict=True):
                if entry is not None:
                    slots[entry] = np.asarray(array, dtype=self.dtype)
            for call, out, args in self._code:
                slots[out] = call(*[slots[i] for i in args])
        return [np.array(slots[i], dtype=self.dtype) for i in self._result]


def _schedule(
    order: Sequence[Node], outputs: Sequence[Node], slot: dict[int, int], dtype: Any
) -> tuple[list[tuple[Callable[..., Any], int, tuple[int, ...]]], int]:
    """The calls of a run, with output buffers shared between results that are not alive together."""
    last = _last_uses(order, outputs)
    free: dict[Shape, list[Array]] = {}
    owned: dict[int, Array] = {}
    dying: dict[int, list[Node]] = {}
    for node in order:
        dying.setdefault(last[node.index], []).append(node)
    code = []
    count = 0
    for node in order:
        for dead in dying.get(node.index, ()):
            if dead.index in owned:
                free.setdefault(dead.shape, []).append(owned.pop(dead.index))
        if node.op in (LITERAL, INPUT):
            continue
        kernel = node.op.kernel
        if isinstance(kernel, np.ufunc) and node.size > 1:
            pool = free.get(node.shape)
            if pool:
                buffer = pool.pop()
            else:
                buffer = np.empty(node.shape, dtype=dtype)
                count += 1
            owned[node.index] = buffer
            kernel = partial(kernel, out=buffer)
        elif node.params:
            kernel = partial(kernel, **node.params)
        code.append((kernel, slot[node.index], tuple([slot[arg.index] for arg in node.args])))
    return code, count


def _last_uses(order: Sequence[Node], outputs: Sequence[Node]) -> dict[int, int]:
    """The node that uses each node last. What may be a view of its argument keeps that argument alive as well."""
    end = order[-1].index + 1 if order else 0
    last = {node.index: node.index for node in order}
    last.update({node.index: end for node in outputs})
    for node in reversed(order):
        until = node.index if node.op.kind == "elementwise" else max(node.index, last[node.index])
        for arg in node.args:
            last[arg.index] = max(last[arg.index], until)
    return last
