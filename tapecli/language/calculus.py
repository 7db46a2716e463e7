"""Derivatives inside formulas: grad, hess, jac, jvp, hvp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tapecli import derive
from tapecli.graph import Node, shape_text
from tapecli.language.machine import Machine


class Builtin(NamedTuple):
    """A function of the language that is not simply an op: its signature, what it is, and how it is built."""

    signature: str
    least: int
    most: int
    keys: tuple[str, ...]
    build: Callable[..., Any]
    doc: str


def _source(m: Machine, x: Any, name: str) -> Node:
    node = m.node(x, f"`{name}`")
    if node.value is not None:
        raise m.error(
            "type",
            f"`{name}` takes the derivative to a name, and this is a number",
            hint="bind it: var x = 1, then grad(y, x)",
        )
    return node


def _scalar(m: Machine, y: Any, name: str, instead: str) -> Node:
    node = m.node(y, f"`{name}`")
    if node.shape:
        raise m.error(
            "shape",
            f"`{name}` takes the derivative of a number, and this is {shape_text(node.shape)}",
            hint=f"use {instead}, or sum it first",
        )
    return node


def _grad(m: Machine, y: Any, x: Any) -> Node:
    x = _source(m, x, "grad")
    return _or_zeros(m, derive.nodes_gradient(_scalar(m, y, "grad", "jac(y, x)"), x), x.shape)


def _or_zeros(m: Machine, node: Node | None, shape: tuple[int, ...]) -> Node:
    return m.graph.literal(np.zeros(shape)) if node is None else node


def _jac(m: Machine, v: Any, x: Any) -> Node:
    v, x = m.node(v, "`jac`"), _source(m, x, "jac")
    return _or_zeros(m, derive.nodes_jacobian(v, x), v.shape + x.shape)


def _hess(m: Machine, y: Any, x: Any) -> Node:
    x = _source(m, x, "hess")
    gradient = derive.nodes_gradient(_scalar(m, y, "hess", "jac(grad(…), x)"), x)
    if gradient is None:
        return m.graph.literal(np.zeros(x.shape + x.shape))
    return _or_zeros(m, derive.nodes_jacobian(gradient, x), x.shape + x.shape)


def _direction(m: Machine, x: Node, direction: Any, name: str) -> Node:
    node = m.node(direction, f"`{name}`")
    if node.shape != x.shape:
        raise m.error("shape", f"the direction has the shape of x: {shape_text(x.shape)}, not {shape_text(node.shape)}")
    return node


def _jvp(m: Machine, v: Any, x: Any, direction: Any) -> Node:
    v, x = m.node(v, "`jvp`"), _source(m, x, "jvp")
    return _or_zeros(m, derive.nodes_jvp(v, x, _direction(m, x, direction, "jvp")), v.shape)


def _hvp(m: Machine, y: Any, x: Any, direction: Any) -> Node:
    x = _source(m, x, "hvp")
    along = _direction(m, x, direction, "hvp")
    gradient = derive.nodes_gradient(_scalar(m, y, "hvp", "jvp(grad(…), x, v)"), x)
    if gradient is None:
        return m.graph.literal(np.zeros(x.shape))
    slope = m.apply("mul", gradient, along)
    slope = m.apply("sum", slope, axes=tuple(range(slope.ndim)))
    return _or_zeros(m, derive.nodes_gradient(slope, x), x.shape)


CALCULUS: dict[str, Builtin] = {
    "grad": Builtin("grad(y, x)", 2, 2, (), _grad, "the derivative of a number y to x, in the shape of x"),
    "hess": Builtin("hess(y, x)", 2, 2, (), _hess, "the second derivatives of a number y to x"),
    "jac": Builtin("jac(v, x)", 2, 2, (), _jac, "the derivative of each entry of v to x"),
    "jvp": Builtin("jvp(v, x, direction)", 3, 3, (), _jvp, "the derivative of v along a direction of x"),
    "hvp": Builtin("hvp(y, x, direction)", 3, 3, (), _hvp, "the second derivatives of y times a direction of x"),
}
