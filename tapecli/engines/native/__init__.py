"""The native engine: a traced graph made machine code.

`lower` writes ops out in others, `plan` groups what is left into passes, `nest` and `module` write them as LLVM text,
`build` makes machine code of it, `program` runs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.core import Array
from tapecli.engines import How
from tapecli.engines.native import build, cache, recurrences
from tapecli.engines.native.host import host
from tapecli.engines.native.lower import written_out
from tapecli.engines.native.module import Module, Step
from tapecli.engines.native.plan import Plan
from tapecli.engines.native.program import Program, Steps
from tapecli.engines.native.recurrences import Repeat
from tapecli.engines.native.writer import Writer
from tapecli.engines.traced import Traced
from tapecli.errors import TapeWarning
from tapecli.graph import Node
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.engines.repeated import Sizes

SCALARS = {"float64": "double", "float32": "float"}


class Made(NamedTuple):
    """A program of machine code, with the fields of `Compiled`."""

    run: Callable[..., list[Array]]
    traces: int
    program: Program


class Text(NamedTuple):
    """A program written as LLVM text: what compiling begins with."""

    text: str
    names: list[str]
    outputs: list[Node]
    inputs: list[Node | None]
    module: Module
    steps: list[Step]
    where: dict[int, int]
    repeat: Repeat | None


def lack() -> str | None:
    """Why no machine code can be made here; None where it can."""
    if host() is None:
        return "no machine code is made for this kind of processor"
    try:
        build.llvm_version()
    except ImportError:
        return "machine code is made by llvmlite, which is not installed (the extra `native`)"
    return None


def ready(quiet: bool = False) -> bool:
    """Whether machine code can be made here; if not, a warning says why, once."""
    reason = lack()
    if reason is not None and not quiet and not _told:
        _told.append(reason)
        warnings.warn(f"{reason}: the NumPy program runs instead", TapeWarning, stacklevel=2)
    return reason is None


_told: list[str] = []


def written(traced: Traced) -> Text:
    """The LLVM text of a traced function."""
    outputs, inputs = written_out(traced.outputs, traced.inputs, traced.dtype)
    module = _module(traced)
    plan = Plan(outputs)
    entries = {node.index: module.slot("input", node.size) for node in inputs if node is not None}
    writer = Writer(module, plan, entries)
    steps = writer.write()
    for node in outputs:
        writer.slot(node)
    names = [name for step in steps for name in (step.name, step.finish) if name]
    if all(step.what == "pass" for step in steps):
        writer.driver("run")
        names.append("run")
    return Text(module.text, names, outputs, inputs, module, steps, writer.slots, None)


def repeated(traced: Traced, sizes: Sizes) -> Text | None:
    """The LLVM text of a traced step that is repeated (see `tapecli.engines.Stepping`); None where a part of it is
    left to NumPy."""
    outputs, inputs = written_out(traced.outputs, traced.inputs, traced.dtype)
    module = _module(traced)
    if not recurrences.all_compiled(outputs, module.scalar):
        return None
    repeat = recurrences.repeat(Writer(module, Plan(()), {}), outputs, inputs, sizes)
    return Text(module.text, [repeat.name], outputs, inputs, module, [], {}, repeat)


def _module(traced: Traced) -> Module:
    machine = host()
    assert machine is not None
    dtype = np.dtype(traced.dtype)
    return Module(SCALARS[dtype.name], machine.bytes // dtype.itemsize, machine.attributes)


def loaded(made: Text, how: How) -> Any:
    """The machine code of a text, from the cache or compiled."""
    machine = host()
    assert machine is not None
    return build.load(made.text, made.names, machine, how.cache)


def there(made: Text, how: How) -> bool:
    """Whether the cache has the machine code of a text."""
    machine = host()
    assert machine is not None
    return how.cache and cache.there(build.key_of(made.text, machine))


def compiled(traced: Traced, how: How) -> Made:
    """A traced function as machine code, from the cache or compiled."""
    return made_of(written(traced), traced, how)


def made_of(text: Text, traced: Traced, how: How) -> Made:
    """The same, where its text is written already."""
    result = Program(text, traced.dtype, loaded(text, how), how.threads)
    return Made(result.run, 1, result)


__all__ = ["Made", "Steps", "Text", "compiled", "loaded", "made_of", "ready", "repeated", "there", "written"]
