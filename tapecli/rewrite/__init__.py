"""Graph to graph rules. The only place outside the op table where ops are named.

`CANONICAL` rules hold as mathematics and decide derivatives at kinks (`sqrt(x^2)` is `abs(x)`, whose derivative at 0
is 0), so they are applied while a formula is built, for every engine. `SIMPLER` rules are for graphs whose derivatives
are all taken. Every rule gives the same finite results up to rounding, and its reading stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tapecli.core import TABLE, Array, Op
from tapecli.graph import INPUT, LITERAL, Graph, Node, is_literal, needed

Rule: TypeAlias = Callable[[Graph, tuple[Node, ...], dict[str, Any]], Node | None]

#: Results larger than this and than what they are made of are computed at each run, not kept.
FOLD_LIMIT = 4096


def _is(node: Node, name: str) -> bool:
    return node.op.name == name


def _add(graph: Graph, name: str, *args: Node, **params: Any) -> Node:
    return graph.add(TABLE[name], args, params)


# ---- canonical ------------------------------------------------------------------------------------------------


def _sqrt(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    if _is(x, "power"):
        n = x.params["exponent"]
        if n == 2.0:  # sqrt(x^2) -> abs(x)
            return _add(graph, "abs", x.args[0])
        if n > 0 and n % 4 == 0:  # sqrt(x^4) -> x^2
            return build(graph, TABLE["power"], (x.args[0],), {"exponent": n / 2})
    if _is(x, "mul") and x.args[0] is x.args[1]:  # sqrt(x*x) -> abs(x)
        return _add(graph, "abs", x.args[0])
    return None


def _power(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    n = params["exponent"]
    if n == 0.0:  # x^0 -> 1
        return graph.literal(np.ones(x.shape))
    if n == 1.0:  # x^1 -> x
        return x
    if n % 2 == 0 and _is(x, "abs"):  # abs(x)^2 -> x^2
        return build(graph, TABLE["power"], x.args, params)
    if n == 2.0 and _is(x, "norm"):  # norm(x)^2 -> sum(x^2)
        return _add(graph, "sum", _add(graph, "power", x.args[0], exponent=2.0), **x.params)
    if n % 2 == 0 and n > 0 and _is(x, "hypot"):  # hypot(x, y)^2 -> x^2 + y^2
        square = _add(graph, "add", *[_add(graph, "power", arg, exponent=2.0) for arg in x.args])
        return build(graph, TABLE["power"], (square,), {"exponent": n / 2})
    return None


def _mul_canonical(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    x, y = args
    if x is y and (_is(x, "abs") or _is(x, "norm")):  # abs(x)*abs(x) -> x^2
        return build(graph, TABLE["power"], (x,), {"exponent": 2.0})
    return None


CANONICAL: dict[str, Rule] = {"sqrt": _sqrt, "power": _power, "mul": _mul_canonical}


def build(graph: Graph, op: Op, args: Sequence[Any], params: dict[str, Any]) -> Node:
    """The node `op(*args, **params)` in canonical form."""
    nodes = tuple([arg if isinstance(arg, Node) else graph.literal(arg) for arg in args])
    rule = CANONICAL.get(op.name)
    found = rule(graph, nodes, params) if rule is not None else None
    return graph.add(op, nodes, params) if found is None else found


# ---- simpler --------------------------------------------------------------------------------------------------


def _fits(x: Node, *others: Node) -> bool:
    """Whether x alone already has the shape that it has together with the others."""
    return all(len(y.shape) <= len(x.shape) and not y.shape for y in others) or all(y.shape == x.shape for y in others)


def _mul(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    x, y = args
    if _ones(y) and _fits(x, y):  # x*1 -> x
        return x
    if _ones(x) and _fits(y, x):  # 1*x -> x
        return y
    if is_literal(y, -1.0):  # x*-1 -> -x
        return _add(graph, "neg", x)
    if is_literal(x, -1.0):  # -1*x -> -x
        return _add(graph, "neg", y)
    for c, other in ((x, y), (y, x)):
        number, inner = _scalar(c), [_scalar(arg) for arg in other.args] if _is(other, "mul") else []
        for k, d in enumerate(inner):
            if number is not None and d is not None and abs(number) >= 1.0 and _power_of_two(d):
                # c*(d*x) -> (c*d)*x, for d = 1, 2, 4 … and |c| >= 1: both round once and in the same way
                return build_simpler(graph, TABLE["mul"], (graph.literal(number * d), other.args[1 - k]), {})
        if _is(c, "broadcast") and c.args[0].size == 1:
            if other.shape == c.shape:  # broadcast(c)*x -> c*x, for a number c
                return build_simpler(graph, TABLE["mul"], (_number(graph, c.args[0]), other), {})
            if not other.shape:  # broadcast(c)*y -> broadcast(c*y), for numbers c and y
                product = build_simpler(graph, TABLE["mul"], (_number(graph, c.args[0]), other), {})
                return _add(graph, "broadcast", product, shape=c.shape)
    return None


def _scalar(node: Node) -> float | None:
    """The number that a literal is."""
    return float(node.params["value"]) if node.op is LITERAL and not node.shape else None


def _power_of_two(x: float) -> bool:
    return 1.0 <= abs(x) < 2.0**64 and math.frexp(x)[0] in (0.5, -0.5)


def _number(graph: Graph, x: Node) -> Node:
    """The only entry of x as a number."""
    if x.op is LITERAL:
        return graph.literal(x.params["value"].reshape(()))
    return build_simpler(graph, TABLE["reshape"], (x,), {"shape": ()})


def _sum_of(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    x, y = args
    if _zeros(y) and _fits(x, y):  # x+0 -> x
        return x
    if _zeros(x) and _fits(y, x):  # 0+x -> x
        return y
    if _is(y, "neg"):  # x+(-y) -> x-y
        return _add(graph, "sub", x, y.args[0])
    return None


def _difference(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    x, y = args
    if _zeros(y) and _fits(x, y):  # x-0 -> x
        return x
    if _zeros(x) and _fits(y, x):  # 0-x -> -x
        return _add(graph, "neg", y)
    if _is(y, "neg"):  # x-(-y) -> x+y
        return _add(graph, "add", x, y.args[0])
    return None


def _quotient(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    x, y = args
    return x if _ones(y) and _fits(x, y) else None  # x/1 -> x


def _negative(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    if _is(x, "neg"):  # -(-x) -> x
        return x.args[0]
    if _is(x, "sub"):  # -(x-y) -> y-x
        return _add(graph, "sub", x.args[1], x.args[0])
    if _is(x, "mul"):
        for c, y in (x.args, x.args[::-1]):
            number = _scalar(c)
            if number is not None:  # -(c*x) -> (-c)*x
                return build_simpler(graph, TABLE["mul"], (graph.literal(-number), y), {})
    return None


def _choice(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    condition, x, y = args
    if x is y and len(condition.shape) <= len(x.shape) and condition.shape in ((), x.shape):  # if c then x else x -> x
        return x
    if condition.op is LITERAL and not condition.shape:  # if true then x else y -> x
        taken, other = (x, y) if float(condition.params["value"]) else (y, x)
        return taken if _fits(taken, other) else None
    return None


def _identity(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    return args[0]  # stop(x) -> x and distinct(x) -> x, once all derivatives are taken


def _same_shape(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    if x.shape == params["shape"]:  # reshape(x, shape of x) -> x
        return x
    if _is(x, "reshape"):  # reshape(reshape(x)) -> reshape(x)
        return build_simpler(graph, TABLE["reshape"], x.args, params)
    return None


def _turned(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    axes = params["axes"]
    if axes == tuple(range(len(axes))):  # transpose(x, its own axes) -> x
        return x
    if _is(x, "transpose"):  # transpose(transpose(x)) -> transpose(x)
        return build_simpler(graph, TABLE["transpose"], x.args, {"axes": tuple(x.params["axes"][a] for a in axes)})
    return None


def _placed(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    whole = x.shape[params["axis"]] == params["n"] and params["start"] == 0 and params["step"] == 1
    return x if whole else None  # x put into zeros of its own length -> x


def _repeat(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    return x if x.shape == params["shape"] else None  # broadcast(x, shape of x) -> x


def _no_axes(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    if not params["axes"]:  # sum over no axes -> x
        return x
    whole = bool(x.size) and len(params["axes"]) == len(x.shape)
    if whole and _is(x, "broadcast") and not x.args[0].shape:  # sum(x, …, x) -> n*x
        return _add(graph, "mul", x.args[0], graph.literal(float(x.size)))
    return _factored(graph, x, params)


def _factored(graph: Graph, x: Node, params: dict[str, Any]) -> Node | None:
    """A sum without the factors that all its terms share. A factor less than 1 stays: the sum without it might
    overflow."""
    if _is(x, "neg"):  # sum(-x) -> -sum(x)
        return _add(graph, "neg", build_simpler(graph, TABLE["sum"], x.args, params))
    if _is(x, "mul"):
        for c, y in (x.args, x.args[::-1]):
            value = c.params["value"] if c.op is LITERAL and not c.shape else None
            if value is not None and 1.0 <= abs(float(value)) < np.inf:  # sum(c*x) -> c*sum(x)
                return _add(graph, "mul", c, build_simpler(graph, TABLE["sum"], (y,), params))
    if _is(x, "matmul"):
        return _summed_product(graph, x, params)
    return None


def _summed_product(graph: Graph, x: Node, params: dict[str, Any]) -> Node | None:
    a, b = x.args
    n = len(x.shape)
    if n < 2 or len(a.shape) != n or len(b.shape) != n or a.shape[:-2] != b.shape[:-2] or not x.size:
        return None
    if n - 2 in params["axes"] and x.shape[-2] > 1:  # sum over the rows of a @ b -> sum(a) @ b
        a = _add(graph, "reshape", _add(graph, "sum", a, axes=(n - 2,)), shape=(*a.shape[:-2], 1, a.shape[-1]))
    elif n - 1 in params["axes"] and x.shape[-1] > 1:  # sum over the columns of a @ b -> a @ sum(b)
        b = _add(graph, "reshape", _add(graph, "sum", b, axes=(n - 1,)), shape=(*b.shape[:-1], 1))
    else:
        return None
    return build_simpler(graph, TABLE["sum"], (_add(graph, "matmul", a, b),), params)


def _whole(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    if (params["start"], params["stop"], params["step"]) == (0, x.shape[params["axis"]], 1):  # x[1..n] -> x
        return x
    return None


def _length(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    if math.prod([x.shape[axis] for axis in params["axes"]]) != 1:
        return None
    size = build_simpler(graph, TABLE["abs"], (x,), {})  # norm(x) -> abs(x), over one entry
    kept = tuple(n for axis, n in enumerate(x.shape) if axis not in params["axes"])
    return build_simpler(graph, TABLE["reshape"], (size,), {"shape": kept})


def _size(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    (x,) = args
    return x if x.op.name in ("abs", "norm") else None  # abs(abs(x)) -> abs(x)


def _row(graph: Graph, args: tuple[Node, ...], params: dict[str, Any]) -> Node | None:
    if len(args) > 1:
        return None
    (x,) = args  # stack(x) -> reshape(x), for one x
    return build_simpler(graph, TABLE["reshape"], (x,), {"shape": (1, *x.shape)})


def _ones(node: Node) -> bool:
    return _filled(node, 1.0)


def _zeros(node: Node) -> bool:
    return _filled(node, 0.0)


def _filled(node: Node, number: float) -> bool:
    """Whether all entries are a number, known beforehand."""
    while node.op.name in ("broadcast", "reshape"):
        node = node.args[0]
    return node.op is LITERAL and bool((node.params["value"] == number).all())


SIMPLER: dict[str, Rule] = {
    "mul": _mul,
    "add": _sum_of,
    "sub": _difference,
    "div": _quotient,
    "neg": _negative,
    "select": _choice,
    "stop": _identity,
    "distinct": _identity,
    "reshape": _same_shape,
    "transpose": _turned,
    "embed": _placed,
    "broadcast": _repeat,
    "sum": _no_axes,
    "slice": _whole,
    "norm": _length,
    "abs": _size,
    "stack": _row,
}


def build_simpler(graph: Graph, op: Op, args: Sequence[Node], params: dict[str, Any]) -> Node:
    """The node `op(*args, **params)` after both families of rules."""
    nodes = tuple(args)
    for rules in (CANONICAL, SIMPLER):
        rule = rules.get(op.name)
        found = rule(graph, nodes, params) if rule is not None else None
        if found is not None:
            return found
    return graph.add(op, nodes, params)


@np.errstate(all="ignore")
def simplify(outputs: Sequence[Node], known: Mapping[Node, Array], dtype: Any) -> tuple[list[Node], dict[Node, Node]]:
    """`outputs` in a new graph: inputs of `known` made literals, constants folded in the run's precision,
    rules applied.

    Also returns the new input leaf of each input that is left.
    """
    graph = Graph()
    env: dict[int, Node] = {}
    inputs: dict[Node, Node] = {}
    for node in needed(outputs):
        graph.here = node.place
        if node in known:
            new = graph.literal(np.asarray(known[node], dtype=dtype))
        elif node.op is LITERAL:
            new = graph.literal(node.params["value"].astype(dtype))
        elif node.op is INPUT:
            new = inputs[node] = graph.input(node.params["name"], node.shape)
        else:
            args = [env[arg.index] for arg in node.args]
            folded = _folded(graph, node, args, dtype)
            new = build_simpler(graph, node.op, args, node.params) if folded is None else folded
        env[node.index] = new
    return _ordered([env[node.index] for node in outputs]), inputs


def _ordered(outputs: list[Node]) -> list[Node]:
    """Products of several matrices in the cheapest order."""
    if not any(_is(node, "matmul") for node in outputs[0].graph.nodes) if outputs else True:
        return outputs
    from tapecli.rewrite.products import ordered

    return ordered(outputs)


def _folded(graph: Graph, node: Node, args: Sequence[Node], dtype: Any) -> Node | None:
    if any(arg.op is not LITERAL for arg in args):
        return None
    if node.size > max(FOLD_LIMIT, *(arg.size for arg in args)):
        return None
    return graph.literal(node.op.kernel(*[arg.params["value"].astype(dtype) for arg in args], **node.params))
