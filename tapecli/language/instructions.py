"""What each opcode of the stack machine does: one handler per opcode, and the table of them.

Loops, recurrences and indices have modules of their own, which a formula without any does not import.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.errors import TapeError, nearest
from tapecli.graph import LITERAL, Node, shape_text
from tapecli.language.algebra import matmul
from tapecli.language.functions import call, is_function
from tapecli.language.machine import Handler, Machine
from tapecli.language.sweeps import full, joint
from tapecli.language.values import (
    Broken,
    Everything,
    FollowUp,
    Frame,
    Function,
    Range,
    Scope,
    Swept,
    SweptRange,
    Tuple,
)
from tapecli.ops import linear
from tapecli.syntax.code import Code

RELATIONS = {
    "<": ("less", False),
    "<=": ("less_equal", False),
    ">": ("less", True),
    ">=": ("less_equal", True),
    "==": ("equal", False),
    "!=": ("not_equal", False),
}


def _num(m: Machine, frame: Frame, value: float) -> None:
    m.stack.append(m.graph.literal(value))


def _name(m: Machine, frame: Frame, name: str) -> None:
    value = frame.scope.value(name)
    if value is None:
        value = constant(m, name)
    if value is None:
        raise unknown_name(m, frame, name)
    if isinstance(value, Broken):
        raise FollowUp
    m.stack.append(value)


def constant(m: Machine, name: str) -> Any:
    """The constants of the language."""
    if name == "eps":
        return m.apply("spacing", 1.0)
    values = {"pi": np.pi, "π": np.pi, "e": np.e, "inf": np.inf, "nan": np.nan}
    return m.graph.literal(values[name]) if name in values else None


def unknown_name(m: Machine, frame: Frame, name: str) -> TapeError | FollowUp:
    """The error for a name that nothing binds, with the nearest one that something does."""
    if name in m.lost:
        return FollowUp()
    from tapecli.syntax.habits import instead_of_binding  # only an error needs it

    close, place = nearest(name, frame.scope.names()), m.graph.here
    meant = None if place is None else instead_of_binding(place.source.text, place.end, name)
    if meant:
        hint = meant
    elif is_function(m, frame.scope, name):
        hint = f"`{name}` is a function: write {name}(…)"
    elif close:
        hint = f"did you mean `{close}`?"
    else:
        hint = f"bind it above: var {name} = 1, const {name} = 1 or {name} = …"
    return m.error("name", f"nothing above is called `{name}`", label="unknown name", hint=hint)


def _str(m: Machine, frame: Frame, text: str) -> None:
    m.stack.append(text)


def _neg(m: Machine, frame: Frame, _: None) -> None:
    node = m.node(m.stack.pop(), "`-`")
    literal = isinstance(node, Node) and node.op is LITERAL
    m.stack.append(m.graph.literal(-node.params["value"]) if literal else m.apply("neg", node))


def _not(m: Machine, frame: Frame, _: None) -> None:
    m.stack.append(m.apply("logical_not", m.node(m.stack.pop(), "`not`")))


def _binary(m: Machine, frame: Frame, name: str) -> None:
    x, y = m.take(2)
    m.stack.append(matmul(m, x, y) if name == "matmul" else m.binary(name, x, y))


def _and(m: Machine, frame: Frame, _: None) -> None:
    x, y = m.take(2)
    m.stack.append(m.apply("logical_and", m.node(x, "`and`"), m.node(y, "`and`")))


def _or(m: Machine, frame: Frame, _: None) -> None:
    x, y = m.take(2)
    m.stack.append(m.apply("logical_or", m.node(x, "`or`"), m.node(y, "`or`")))


def _compare(m: Machine, frame: Frame, relations: tuple[str, ...]) -> None:
    values = [m.node(value, f"`{relations[0]}`") for value in m.take(len(relations) + 1)]
    result: Node | None = None
    for relation, x, y in zip(relations, values, values[1:], strict=False):
        op, swapped = RELATIONS[relation]
        holds = m.apply(op, y, x) if swapped else m.apply(op, x, y)
        result = holds if result is None else m.apply("logical_and", result, holds)
    m.stack.append(result)


def _call(m: Machine, frame: Frame, operand: tuple[str, int, tuple[str, ...]]) -> None:
    name, count, keys = operand
    values = m.take(count + len(keys))
    call(m, frame, name, values[:count], dict(zip(keys, values[count:], strict=True)))


def _tuple(m: Machine, frame: Frame, count: int) -> None:
    m.stack.append(Tuple(m.take(count)))


def _vector(m: Machine, frame: Frame, count: int) -> None:
    nodes = [m.node(value, "an array") for value in m.take(count)]
    if not nodes:
        m.stack.append(m.graph.literal(np.zeros(0)))
    elif all(isinstance(node, Node) and node.op is LITERAL and not node.shape for node in nodes):
        m.stack.append(m.graph.literal(np.array([node.value for node in nodes])))
    elif any(node.shape != nodes[0].shape for node in nodes):
        shapes = sorted({shape_text(node.shape) for node in nodes})
        raise m.error("shape", f"the entries of an array have one shape, and these have {' and '.join(shapes)}")
    elif any(isinstance(node, Swept) for node in nodes):
        axes = joint(axis for node in nodes if isinstance(node, Swept) for axis in node.axes)
        rows = [Swept(full(m.graph, node, axes), axes) for node in nodes]
        m.stack.append(m.apply("concat", *[m.apply("reshape", row, shape=(1, *row.shape)) for row in rows], axis=0))
    else:
        m.stack.append(m.apply("stack", *nodes))


def _range(m: Machine, frame: Frame, stepped: bool) -> None:
    first, last, *rest = m.take(3 if stepped else 2)
    step = m.whole(rest[0], "the step of a range") if stepped else 1
    if step == 0:
        raise m.error("value", "a range needs a step that is not 0")
    if isinstance(first, Swept) or isinstance(last, Swept):
        m.stack.append(SweptRange(first, last, step))
    else:
        m.stack.append(Range(m.whole(first, "the start of a range"), m.whole(last, "the end of a range"), step))


def _all(m: Machine, frame: Frame, _: None) -> None:
    m.stack.append(Everything())


def _index(m: Machine, frame: Frame, count: int) -> None:
    from tapecli.language.indexing import index

    base, *items = m.take(count + 1)
    m.stack.append(index(m, base, items))


def _transpose(m: Machine, frame: Frame, _: None) -> None:
    node = m.node(m.stack.pop(), "`'`")

    def turned(x: Any, axes: tuple[int, ...]) -> Any:
        return linear.transpose(x, axes=(*range(x.ndim - len(axes)), *reversed(axes)))

    m.stack.append(m.over(turned, node, tuple(range(node.ndim))) if node.ndim > 1 else node)


def _then(m: Machine, frame: Frame, _: None) -> None:
    """Begins a branch. What is known of the condition at each point of the loops says where its indices count."""
    condition = m.stack[-1] = m.node(m.stack[-1], "a condition")
    numbers = m.number(condition) if condition.ndim == 0 else None
    if numbers is not None:
        m.masks.append((numbers != 0, condition.axes if isinstance(condition, Swept) else ()))
    else:
        from tapecli.language.recurrences import over_steps

        found = over_steps(m, condition)
        m.masks.append(None if found is None else (found[0] != 0, found[1]))


def _else(m: Machine, frame: Frame, _: None) -> None:
    mask = m.masks.pop()
    m.masks.append(None if mask is None else (~mask[0], mask[1]))


def _endif(m: Machine, frame: Frame, _: None) -> None:
    m.masks.pop()
    condition, taken, other = m.take(3)
    known = m.literal(condition)
    m.stack.append(choose(m, condition, taken, other) if known is None else taken if known else other)


def choose(m: Machine, condition: Any, taken: Any, other: Any) -> Any:
    """`if condition then taken else other`; of tuples part by part."""
    if isinstance(taken, Tuple) or isinstance(other, Tuple):
        if not (isinstance(taken, Tuple) and isinstance(other, Tuple) and len(taken.items) == len(other.items)):
            raise m.error("type", "both branches of `if` are tuples of the same length, or neither is")
        return Tuple([choose(m, condition, x, y) for x, y in zip(taken.items, other.items, strict=True)])
    x, y = m.node(taken, "`then`"), m.node(other, "`else`")
    try:
        return m.apply("select", condition, x, y)
    except TapeError:
        branches = f"the branches {shape_text(x.shape)} and {shape_text(y.shape)}"
        sizes = f"the condition is {shape_text(condition.shape)}, {branches}"
        raise m.error("shape", f"`if` needs sizes that match: {sizes}") from None


def _enter(m: Machine, frame: Frame, _: None) -> None:
    frame.scope = Scope(frame.scope)


def _leave(m: Machine, frame: Frame, _: None) -> None:
    assert frame.scope.parent is not None
    frame.scope = frame.scope.parent


def _bind(m: Machine, frame: Frame, operand: tuple[tuple[str, ...], bool]) -> None:
    names, unpack = operand
    value = m.stack.pop()
    values = parts(m, value, len(names)) if unpack else [value]
    for name, part in zip(names, values, strict=True):
        if name in frame.scope.values:
            raise m.error("duplicate", f"`{name}` is bound twice in this block")
        frame.scope.values[name] = part


def parts(m: Machine, value: Any, count: int) -> list[Any]:
    """The `count` parts of a tuple, or the entries of an array along its first axis."""
    if isinstance(value, Tuple):
        items = value.items
    else:
        node = m.node(value, "unpacking")
        if not node.shape or node.shape[0] > 10 * count + 10:
            raise m.error("shape", f"this needs {count} values, and has {shape_text(node.shape)}")
        items = list(node)
    if len(items) != count:
        raise m.error("shape", f"this needs {count} values, and has {len(items)}")
    return items


def _define(m: Machine, frame: Frame, operand: tuple[str, tuple[str, ...], Code]) -> None:
    name, params, code = operand
    assert m.graph.here is not None
    frame.scope.functions[name] = Function(name, params, code, frame.scope, frame.source, m.graph.here)


def _comprehension(m: Machine, frame: Frame, operand: Any) -> None:
    from tapecli.language.loops import comprehension

    value = comprehension(m, frame, operand)
    if value is not None:
        m.stack.append(value)


def _recur(m: Machine, frame: Frame, operand: Any) -> None:
    from tapecli.language.recurrences import recurrence

    m.stack.append(recurrence(m, frame, operand))


HANDLERS: dict[str, Handler] = {
    "num": _num, "name": _name, "str": _str, "neg": _neg, "not": _not, "binary": _binary, "and": _and, "or": _or,
    "compare": _compare, "call": _call, "tuple": _tuple, "vector": _vector, "range": _range, "all": _all,
    "index": _index, "transpose": _transpose, "then": _then, "else": _else, "endif": _endif, "enter": _enter,
    "leave": _leave, "bind": _bind, "define": _define, "comprehension": _comprehension, "recur": _recur,
}  # fmt: skip
