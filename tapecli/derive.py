"""Derivatives of a function on values: gradient, Jacobian, Hessian and products with them.

Each takes a function that maps values to one value and returns a function on values, so they nest, and so the same
text computes on arrays (the eager tape) and builds graphs on nodes (the traced mode). `wrt` names the positions of
the arguments that derivatives are taken to; the results come back as a flat list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tapecli.core import Shape, shape_of
from tapecli.graph import Graph, Node, rebuild
from tapecli.ops.linear import reshape, stack, sum_
from tapecli.tape import Box, Recording, number_of

Function: TypeAlias = Callable[..., Any]
Many: TypeAlias = Callable[..., list[Any]]


def constant_like(value: Any, array: Any) -> Any:
    """`array` as a constant that can meet `value`: a literal of its graph, or an array of its precision."""
    base = number_of(value)
    if isinstance(base, Node):
        return base.graph.literal(array)
    return np.asarray(array, dtype=base.dtype)


def zeros_like(value: Any) -> Any:
    """Zeros of the shape of `value`."""
    return constant_like(value, np.zeros(shape_of(value)))


def ones_like(value: Any) -> Any:
    """Ones of the shape of `value`."""
    return constant_like(value, np.ones(shape_of(value)))


def basis(value: Any, entry: int) -> Any:
    """One at the given entry (counted through the whole array), zeros elsewhere."""
    array = np.zeros(shape_of(value))
    array.reshape(-1)[entry] = 1.0
    return constant_like(value, array)


def record(f: Function, xs: Sequence[Any], wrt: Sequence[int]) -> tuple[Any, Recording, list[Box]]:
    """Runs `f` on `xs` with the arguments of `wrt` watched by a new recording."""
    recording = Recording()
    values = list(xs)
    for i in wrt:
        values[i] = recording.watch(values[i])
    return f(*values), recording, [values[i] for i in wrt]


def pullback(target: Any, recording: Recording, sources: Sequence[Box], seed: Any) -> list[Any]:
    """The cotangents of `sources`, zeros where the target does not depend on one."""
    if not recording.owns(target):
        return [zeros_like(box.value) for box in sources]
    found = recording.sweep(target, sources, seed)
    return [zeros_like(box.value) if g is None else g for g, box in zip(found, sources, strict=True)]


def _inner(target: Any, recording: Recording) -> Any:
    return target.value if recording.owns(target) else target


def gradient(f: Function, wrt: Sequence[int]) -> Many:
    """`xs -> [f(xs), df/dx for x in wrt]` for a scalar f, by one sweep back."""

    def run(*xs: Any) -> list[Any]:
        y, recording, sources = record(f, xs, wrt)
        return [_inner(y, recording), *pullback(y, recording, sources, ones_like(y))]

    return run


def jacobian(f: Function, wrt: Sequence[int]) -> Many:
    """`xs -> [f(xs), dF/dx for x in wrt]`, each of shape (shape of f) + (shape of x): a sweep per entry of f."""

    def run(*xs: Any) -> list[Any]:
        y, recording, sources = record(f, xs, wrt)
        rows = [pullback(y, recording, sources, basis(y, k)) for k in range(math.prod(shape_of(y)))]
        return [_inner(y, recording), *_columns(rows, shape_of(y), sources)]

    return run


def _columns(rows: list[list[Any]], shape: Shape, sources: Sequence[Box]) -> list[Any]:
    blocks = []
    for j, box in enumerate(sources):
        if not rows:
            blocks.append(constant_like(box.value, np.zeros(shape + box.shape)))
            continue
        block = stack(*[row[j] for row in rows])
        blocks.append(reshape(block, shape=shape + box.shape))
    return blocks


def hessian(f: Function, wrt: Sequence[int]) -> Many:
    """`xs -> [f(xs), gradients…, blocks…]`, blocks row by row, each of shape (row's shape) + (column's shape).

    The gradient is recorded once; each entry of it is then swept back.
    """

    def run(*xs: Any) -> list[Any]:
        result, recording, sources = record(lambda *inner: gradient(f, wrt)(*inner), xs, wrt)
        blocks: list[Any] = []
        for g in result[1:]:
            rows = [pullback(g, recording, sources, basis(g, k)) for k in range(math.prod(shape_of(g)))]
            blocks += _columns(rows, shape_of(g), sources)
        return [*(_inner(value, recording) for value in result), *blocks]

    return run


def hvp(f: Function, wrt: Sequence[int]) -> Many:
    """`(*xs, *directions) -> [f(xs), gradients…, products…]`: the Hessian times a direction, without the Hessian."""

    def run(*arguments: Any) -> list[Any]:
        xs, directions = arguments[: -len(wrt)], arguments[-len(wrt) :]
        result, recording, sources = record(lambda *inner: gradient(f, wrt)(*inner), xs, wrt)
        slope: Any = 0.0
        for g, v in zip(result[1:], directions, strict=True):
            term = g * v
            slope = slope + sum_(term, axes=tuple(range(len(shape_of(term)))))
        products = pullback(slope, recording, sources, ones_like(slope))
        return [*(_inner(value, recording) for value in result), *products]

    return run


def jvp(f: Function, wrt: Sequence[int]) -> Many:
    """`(*xs, *directions) -> [f(xs), the derivative of f along the directions]`, as the vjp of the vjp."""

    def run(*arguments: Any) -> list[Any]:
        xs, directions = arguments[: -len(wrt)], arguments[-len(wrt) :]
        y, inner, sources = record(f, xs, wrt)
        outer = Recording()
        probe = outer.watch(ones_like(y))
        slope: Any = zeros_like(probe.value) * 0.0
        total = 0.0
        for g, v in zip(pullback(y, inner, sources, probe), directions, strict=True):
            term = g * v
            total = total + sum_(term, axes=tuple(range(len(shape_of(term)))))
        if outer.owns(total):
            (slope,) = pullback(total, outer, [probe], ones_like(total))
        return [_inner(y, inner), slope]

    return run


def _watched(v: Node, x: Node) -> tuple[Any, Recording, Box]:
    """`v` as it depends on `x`, recorded: the part of its graph above `x`, run again on a box of `x`."""
    recording = Recording()
    box = recording.watch(x)
    (target,) = rebuild([v], {x: box})
    return target, recording, box


def nodes_gradient(y: Node, x: Node) -> Node | None:
    """dy/dx as a node of the same graph, or None where y does not depend on x. `x` may be any node y rests on."""
    target, recording, box = _watched(y, x)
    if not recording.owns(target):
        return None
    (g,) = recording.sweep(target, [box], ones_like(target))
    return None if g is None else as_node(x.graph, g)


def nodes_jacobian(v: Node, x: Node) -> Node | None:
    """dv/dx of shape (shape of v) + (shape of x), or None where v does not depend on x."""
    target, recording, box = _watched(v, x)
    if not recording.owns(target):
        return None
    rows = [pullback(target, recording, [box], basis(target, k)) for k in range(v.size)]
    return as_node(x.graph, _columns(rows, v.shape, [box])[0])


def nodes_jvp(v: Node, x: Node, direction: Node) -> Node | None:
    """The derivative of v along a direction of x, as the vjp of the vjp; None where v does not depend on x."""
    target, inner, box = _watched(v, x)
    if not inner.owns(target):
        return None
    outer = Recording()
    probe = outer.watch(ones_like(target))
    (g,) = pullback(target, inner, [box], probe)
    total = sum_(g * direction, axes=tuple(range(len(shape_of(g)))))
    if not outer.owns(total):
        return None
    return as_node(x.graph, pullback(total, outer, [probe], ones_like(total))[0])


def as_node(graph: Graph, value: Any) -> Node:
    """`value` as a node of `graph`."""
    return value if isinstance(value, Node) else graph.literal(value)
