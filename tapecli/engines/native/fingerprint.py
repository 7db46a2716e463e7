"""A text that tells programs apart before they are written: what machine code depends on, as far as it is known then.

It has everything of the traced graph that decides what is written, and a stamp of the sources that do the writing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tapecli import core
from tapecli.core import Array
from tapecli.engines.traced import Traced
from tapecli.graph import INPUT, Node, needed
from tapecli.ops.linear import Index
from tapecli.ops.lowering import Table
from tapecli.recur import Body

#: What of this package the writing of machine code imports (a test sees to it that nothing is missing).
SOURCES = frozenset("__init__ collector core derive engines errors graph limits ops records recur rewrite tape".split())
#: Arrays of more bytes than this are told apart by a digest.
FEW = 512


def of(traced: Traced, form: Sequence[int] | None) -> str | None:
    """The program of a traced function; with `form`, that of a step that is repeated, as `Sizes` says it. None where
    nobody can say what writes it."""
    sources = stamp()
    if sources is None:
        return None
    return "\n".join([sources, str(np.dtype(traced.dtype)), _word(form), *_lines(traced.outputs, traced.inputs)])


def _lines(outputs: Sequence[Node], inputs: Sequence[Node | None]) -> Iterator[str]:
    """A graph, an operation a line; arguments are numbers of lines."""
    number: dict[int, int] = {}
    for node in needed([*outputs, *[node for node in inputs if node is not None]]):
        number[node.index] = len(number)
        args = " ".join([str(number[arg.index]) for arg in node.args])
        params = "" if node.op is INPUT else " ".join([f"{key}={_word(value)}" for key, value in node.params.items()])
        yield f"{node.op.name} {args} {node.shape} {params}"
    yield _word([number[node.index] for node in outputs])
    yield _word([None if node is None else number[node.index] for node in inputs])


def _word(value: Any) -> str:
    """A parameter, so that different ones are different texts."""
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"({' '.join([_word(one) for one in value])})"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{_content(value)}"
    if isinstance(value, (Index, Table)):
        return _word(value.array)
    if isinstance(value, Body):
        shapes = [value.carry, value.row, value.constants, value.out]
        return f"{{{_word(shapes)}\n{chr(10).join(_lines(value.outputs, value.inputs))}}}"
    raise TypeError(f"a parameter of kind {type(value).__name__} has no fingerprint")


def _content(array: Array) -> str:
    from tapecli.engines.native.cache import digest_of

    content = np.ascontiguousarray(array).tobytes()
    return content.hex() if len(content) <= FEW else digest_of(content)


@lru_cache(maxsize=1)
def stamp() -> str | None:
    """The sizes and times of the sources, by which Python itself judges whether byte code is that of a source; None
    where one has changed since this process imported it, so that they say nothing of what runs here."""
    root = os.path.dirname(core.__file__)
    while not os.path.exists(root):  # the package lies in an archive
        root = os.path.dirname(root)
    places = [root]
    if os.path.isdir(root):
        places = [entry.path for entry in os.scandir(root) if entry.name.partition(".")[0] in SOURCES]
    found = []
    for place, status in sorted(_files(places)):
        if max(status.st_mtime_ns, status.st_ctime_ns) > core.IMPORTED:
            return None
        found.append(f"{place}:{status.st_size}:{status.st_mtime_ns}")
    return " ".join(found)


def _files(places: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    while places:
        place = places.pop()
        if os.path.isdir(place):
            places += [entry.path for entry in os.scandir(place) if entry.name != "__pycache__"]
        else:
            yield place, os.stat(place)
