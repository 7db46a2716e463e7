"""Derivatives inside formulas: grad, hess, jac, jvp, hvp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli import derive
from tapecli.core import TABLE
from tapecli.graph import Node, needed, shape_text
from tapecli.language.machine import Machine
from tapecli.language.sweeps import full
from tapecli.language.values import Swept
from tapecli.records import NamedTuple


class Builtin(NamedTuple):
    """A function of the language that is not simply an op: its signature, what it is, and how it is built."""

    signature: str
    least: int
    most: int
    keys: tuple[str, ...]
    build: Callable[..., Any]
    doc: str


def _source(m: Machine, x: Any, name: str) -> Any:
    node = m.node(x, f"`{name}`")
    if isinstance(node, Node) and node.value is not None:
        raise m.error(
            "type",
            f"`{name}` takes the derivative to a name, and this is a number",
            hint="bind it: var x = 1, then grad(y, x)",
        )
    return node


def _scalar(m: Machine, y: Any, name: str, instead: str) -> Any:
    node = m.node(y, f"`{name}`")
    if node.shape:
        raise m.error(
            "shape",
            f"`{name}` takes the derivative of a number, and this is {shape_text(node.shape)}",
            hint=f"use {instead}, or sum it first",
        )
    return node


def _derivative(m: Machine, v: Any, x: Any) -> Any:
    """dv/dx of shape (shape of v) + (shape of x); inside a loop, at every point."""
    _growing(m, v)
    before = len(m.graph.nodes)
    found = _derived(m, v, x)
    m.derived += len(m.graph.nodes) - before
    return found


#: What a derivative adds to a graph, in operations for each that it is of: roughly, of a mixed formula.
GROWTH = 4
#: So many operations may derivatives add, whatever the text; beyond it, so many for each instruction of the text.
FREE, EACH = 100_000, 40


def _growing(m: Machine, v: Any) -> None:
    """Refuses derivatives of derivatives of … before their graph is too large: each is several times its original."""
    node = v.node if isinstance(v, Swept) else v
    if m.derived + node.index < FREE // GROWTH:
        return
    more = GROWTH * len(needed([node]))
    if m.derived + more > max(FREE, EACH * m.length):
        raise m.error(
            "limit",
            f"this derivative adds about {more:,} operations, and derivatives have added {m.derived:,} so far",
            hint="each derivative of a derivative is several times as long; take fewer, or of a shorter formula",
        )


def _derived(m: Machine, v: Any, x: Any) -> Any:
    if isinstance(v, Node) and isinstance(x, Node):
        found = derive.nodes_jacobian(v, x) if v.shape else derive.nodes_gradient(v, x)
        return m.graph.literal(np.zeros(v.shape + x.shape)) if found is None else found
    own = v.axes if isinstance(v, Swept) else ()
    axes = x.axes if isinstance(x, Swept) else ()
    if not set(axes) <= set(own):
        return m.graph.literal(np.zeros(v.shape + x.shape))  # the value does not move with what it is derived to
    node, source = v.node, x.node if isinstance(x, Swept) else x
    if v.shape == () and own == axes and x.shape:
        total = m.graph.add(TABLE["sum"], [node], {"axes": tuple(range(node.ndim))})
        found = derive.nodes_gradient(total, source)
        return m.graph.literal(np.zeros(x.shape)) if found is None else Swept(found, axes)
    return _by_entries(m, v, x, node, source)


def _by_entries(m: Machine, v: Any, x: Any, node: Node, source: Node) -> Any:
    """The derivative inside a loop, an entry of x at one point after another.

    The points do not touch one another, so one derivative along the direction that moves them all is that of each.
    """
    columns = []
    for k in range(x.size):
        direction = np.zeros(x.shape)
        direction.reshape(-1)[k] = 1.0
        along = m.graph.literal(np.broadcast_to(direction, source.shape))
        found = derive.nodes_jvp(node, source, along)
        found = m.graph.literal(np.zeros(node.shape)) if found is None else found
        columns.append(m.apply("reshape", Swept(found, v.axes), shape=(*v.shape, 1)))
    joined = columns[0] if len(columns) == 1 else m.apply("concat", *columns, axis=v.ndim)
    return m.apply("reshape", joined, shape=v.shape + x.shape)


def _grad(m: Machine, y: Any, x: Any) -> Any:
    return _derivative(m, _scalar(m, y, "grad", "jac(y, x)"), _source(m, x, "grad"))


def _jac(m: Machine, v: Any, x: Any) -> Any:
    return _derivative(m, m.node(v, "`jac`"), _source(m, x, "jac"))


def _hess(m: Machine, y: Any, x: Any) -> Any:
    x = _source(m, x, "hess")
    return _derivative(m, _derivative(m, _scalar(m, y, "hess", "jac(grad(…), x)"), x), x)


def _direction(m: Machine, x: Any, direction: Any, name: str) -> Any:
    node = m.node(direction, f"`{name}`")
    if node.shape != x.shape:
        raise m.error("shape", f"the direction has the shape of x: {shape_text(x.shape)}, not {shape_text(node.shape)}")
    return node


def _jvp(m: Machine, v: Any, x: Any, direction: Any) -> Any:
    v, x = m.node(v, "`jvp`"), _source(m, x, "jvp")
    along = _direction(m, x, direction, "jvp")
    axes = x.axes if isinstance(x, Swept) else ()
    if isinstance(along, Swept) and not set(along.axes) <= set(axes):
        hint = "sum(grad(…, x)*direction) does it for a number"
        raise m.error("unsupported", "the direction of `jvp` moves with a loop, and x does not", hint=hint)
    own = v.axes if isinstance(v, Swept) else ()
    found = None
    if set(axes) <= set(own):
        node, source = (value.node if isinstance(value, Swept) else value for value in (v, x))
        found = derive.nodes_jvp(node, source, full(m.graph, along, axes))
    if found is None:
        return m.graph.literal(np.zeros(v.shape))
    return Swept(found, own) if own else found


def _hvp(m: Machine, y: Any, x: Any, direction: Any) -> Any:
    """The derivative of the gradient along the direction, which is held: it may itself be made of x."""
    return _jvp(m, _derivative(m, _scalar(m, y, "hvp", "jvp(grad(…), x, v)"), _source(m, x, "hvp")), x, direction)


CALCULUS: dict[str, Builtin] = {
    "grad": Builtin("grad(y, x)", 2, 2, (), _grad, "the derivative of a number y to x, in the shape of x"),
    "hess": Builtin("hess(y, x)", 2, 2, (), _hess, "the second derivatives of a number y to x"),
    "jac": Builtin("jac(v, x)", 2, 2, (), _jac, "the derivative of each entry of v to x"),
    "jvp": Builtin("jvp(v, x, direction)", 3, 3, (), _jvp, "the derivative of v along a direction of x"),
    "hvp": Builtin("hvp(y, x, direction)", 3, 3, (), _hvp, "the second derivatives of y times a direction of x"),
}
