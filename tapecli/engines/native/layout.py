"""What a program is besides its code: its memory, its functions, and what goes in and out. It lies in the cache beside
the code, so that a program that is there is run without being written again."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tapecli.core import Array, Shape
from tapecli.engines.native.cache import digest_of
from tapecli.graph import Node
from tapecli.records import NamedTuple

#: Contents of slots of more bytes than this are not kept beside the code.
MOST = 1 << 20


class Slot(NamedTuple):
    """One entry of `ctx`. `what` is input, literal, table, value, partials, or pointer (set by the code itself);
    `content` the array of what is known beforehand."""

    what: str
    size: int
    content: Array | None


class Step(NamedTuple):
    """One step of a program: a pass of compiled code (the functions `name` and `finish`, the number of `blocks`), or
    an op that NumPy runs ("outside"). `work` is about how many instructions on one number it takes."""

    what: str
    name: str
    blocks: int
    finish: str | None
    node: Node | None
    work: float


class Repeat(NamedTuple):
    """Steps that are repeated: the function's name, the slot of the state and the shapes of its parts, the slots of the
    arguments that are rows and of those that are shared (None for what is not used), the slot of what the steps put out
    and the shapes of its parts."""

    name: str
    state: int
    shapes: tuple[Shape, ...]
    rows: tuple[int | None, ...]
    shared: tuple[int | None, ...]
    outs: int
    out: tuple[Shape, ...]


class Layout(NamedTuple):
    """A program without its code: the `names` of its functions, its memory by slot and the bytes of `scratch` memory of
    a thread, the slot and shape of each argument (None for one that is not used) and result, and the steps of a run; or
    `repeat`, where it repeats a step. `where` has the slots of nodes for ops that NumPy runs."""

    names: tuple[str, ...]
    slots: tuple[Slot, ...]
    scratch: int
    inputs: tuple[tuple[int, Shape] | None, ...]
    outputs: tuple[tuple[int, Shape], ...]
    steps: tuple[Step, ...]
    repeat: Repeat | None
    where: dict[int, int]


def packed(layout: Layout, text: str, code: bytes) -> bytes:
    """Layout and code as bytes: the length of a head, the head, the contents of slots, the code. A layout with parts of
    the graph in it (ops that NumPy runs), or with large contents, has to be made again: then the head is the digest of
    the text that the code was made of."""
    contents = [np.ascontiguousarray(slot.content) for slot in layout.slots if slot.content is not None]
    if any(step.what != "pass" for step in layout.steps) or sum(array.nbytes for array in contents) > MOST:
        return _headed(digest_of(text.encode()), code)
    slots = [
        (slot.what, slot.size, None if slot.content is None else (slot.content.dtype.str, slot.content.shape))
        for slot in layout.slots
    ]
    steps = [tuple(step._replace(node=None)) for step in layout.steps]
    repeat = None if layout.repeat is None else tuple(layout.repeat)
    plain = (layout.names, slots, layout.scratch, layout.inputs, layout.outputs, steps, repeat)
    return _headed(plain, b"".join([*[array.tobytes() for array in contents], code]))


def _headed(head: Any, rest: bytes) -> bytes:
    text = repr(head).encode()
    return b"%d\n" % len(text) + text + rest


def unpacked(body: bytes) -> tuple[Layout | str, bytes]:
    """What `packed` was given: the layout, or the digest of the text where the layout was left out, and the code."""
    from ast import literal_eval

    length, _, rest = body.partition(b"\n")
    at = int(length)
    head = literal_eval(rest[:at].decode())
    if isinstance(head, str):
        return head, rest[at:]
    names, kept, scratch, inputs, outputs, steps, repeat = head
    slots = []
    for what, size, form in kept:
        content: Any = None
        if form is not None:
            dtype, shape = form
            content = np.frombuffer(rest, dtype, prod(shape), at).reshape(shape).copy()
            at += content.nbytes
        slots.append(Slot(what, size, content))
    made = tuple(Step(*step) for step in steps)
    again = None if repeat is None else Repeat(*repeat)
    return Layout(names, tuple(slots), scratch, inputs, outputs, made, again, {}), rest[at:]
