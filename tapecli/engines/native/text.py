"""A traced graph as LLVM text. What is imported here is not wanted where the cache has the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tapecli.core import Shape
from tapecli.engines.native.host import host
from tapecli.engines.native.layout import Layout, Repeat, Step
from tapecli.engines.native.lower import written_out
from tapecli.engines.native.module import Module
from tapecli.engines.native.plan import Plan
from tapecli.engines.native.writer import Writer
from tapecli.engines.traced import Traced
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.engines.repeated import Sizes

SCALARS = {"float64": "double", "float32": "float"}


class Text(NamedTuple):
    """A program written as LLVM text: its module, and its layout."""

    module: Module
    layout: Layout

    @property
    def text(self) -> str:
        return self.module.text


def written(traced: Traced) -> Text:
    """The LLVM text of a traced function."""
    outputs, inputs = written_out(traced.outputs, traced.inputs, traced.dtype)
    module = _module(traced)
    entries = {node.index: module.slot("input", node.size) for node in inputs if node is not None}
    writer = Writer(module, Plan(outputs), entries)
    steps = writer.write()
    results = [(writer.slot(node), node.shape) for node in outputs]
    names = [name for step in steps for name in (step.name, step.finish) if name]
    if all(step.what == "pass" for step in steps):
        writer.driver("run")
        names.append("run")
    given = [None if node is None else (entries[node.index], node.shape) for node in inputs]
    return Text(module, _layout(module, names, given, results, steps, None, writer.slots))


def repeated(traced: Traced, sizes: Sizes) -> Text | None:
    """The LLVM text of a traced step that is repeated (see `tapecli.engines.Stepping`); None where a part of it is
    left to NumPy."""
    from tapecli.engines.native import recurrences

    outputs, inputs = written_out(traced.outputs, traced.inputs, traced.dtype)
    module = _module(traced)
    if not recurrences.all_compiled(outputs, module.scalar):
        return None
    repeat = recurrences.repeat(Writer(module, Plan(()), {}), outputs, inputs, sizes)
    return Text(module, _layout(module, [repeat.name], [], [], [], repeat, {}))


def _module(traced: Traced) -> Module:
    machine = host()
    assert machine is not None
    dtype = np.dtype(traced.dtype)
    return Module(SCALARS[dtype.name], machine.bytes // dtype.itemsize, machine.attributes)


def _layout(
    module: Module,
    names: Sequence[str],
    inputs: Sequence[tuple[int, Shape] | None],
    outputs: Sequence[tuple[int, Shape]],
    steps: Sequence[Step],
    repeat: Repeat | None,
    where: dict[int, int],
) -> Layout:
    slots = tuple(module.slots)
    return Layout(tuple(names), slots, module.scratch, tuple(inputs), tuple(outputs), tuple(steps), repeat, where)


__all__ = ["Text", "repeated", "written"]
