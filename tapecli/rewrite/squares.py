"""Sums of squares, recognised in a graph: an objective that is Σ c·r² with numbers c ≥ 0, plus a number.

The coefficients are those of a sweep back over what is linear in its terms: additions, products with what does not
depend on the variables, and linear ops, each by its own derivative rule. Where the sweep meets a square, what is
squared is a residual and what arrived there is its coefficient; where it meets what does not depend on the variables,
that is part of the number. Anything else that depends on a variable means that the objective is no such sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tapecli.core import Array
from tapecli.graph import INPUT, LITERAL, Node, dependents, needed
from tapecli.ops.linear import unbroadcast
from tapecli.records import NamedTuple

#: Ops whose derivative jumps.
KINKED = frozenset(
    ("abs", "maximum", "minimum", "max", "min", "relu", "sign", "floor", "ceil", "round", "mod", "norm", "clip")
)


class Term(NamedTuple):
    """`node` to the power `half`, times the roots of the coefficients, is a residual."""

    root: Array
    node: Node
    half: float


class Squares(NamedTuple):
    """The objective as offset + Σ residual², the residuals being those of all terms."""

    terms: tuple[Term, ...]
    offset: float

    @property
    def entries(self) -> int:
        return sum(math.prod(term.node.shape) for term in self.terms)


def squares_of(node: Node, variables: Sequence[Node], known: Mapping[Node, Array], sign: float) -> Squares | None:
    """`sign` times a scalar node as a sum of squares, or None where it is none. `known` are the values of all inputs
    but the variables."""
    order = needed([node])
    moving = dependents(order, variables)
    if node.index not in moving:
        return None
    values = _constants(order, moving, known)
    coefficients: dict[int, Array] = {node.index: np.asarray(float(sign))}
    terms: list[Term] = []
    offset = 0.0
    for here in reversed(order):
        c = coefficients.pop(here.index, None)
        if c is None:
            continue
        if here.index not in moving:
            offset += float(np.sum(c * values[here.index]))
            continue
        squared = _squared(here)
        if squared is not None and np.all(c >= 0.0):
            terms.append(Term(np.sqrt(np.broadcast_to(c, here.shape)), *squared))
            continue
        shares = _shares(here, c, moving, values)
        if shares is None:
            return None
        for arg, share in shares:
            if not np.any(share):
                continue
            coefficients[arg.index] = coefficients[arg.index] + share if arg.index in coefficients else share
    if not terms or not math.isfinite(offset) or not all(np.all(np.isfinite(term.root)) for term in terms):
        return None
    return Squares(tuple(terms), offset)


def _squared(node: Node) -> tuple[Node, float] | None:
    """What a node is the square of: x^2, x^4 as the square of x^2, x*x."""
    if node.op.name == "power":
        half = node.params["exponent"] / 2.0
        return (node.args[0], half) if half > 0 and half.is_integer() else None
    if node.op.name == "mul" and node.args[0] is node.args[1]:
        return node.args[0], 1.0
    return None


def _shares(node: Node, c: Array, moving: set[int], values: Mapping[int, Array]) -> list[tuple[Node, Array]] | None:
    """The coefficients of a node's arguments, or None where it is not linear in those that move."""
    name, args = node.op.name, node.args
    if name in ("add", "sub", "neg"):
        signs = {"add": (1.0, 1.0), "sub": (1.0, -1.0), "neg": (-1.0,)}[name]
        return [(a, np.asarray(unbroadcast(c * s, a.shape))) for a, s in zip(args, signs, strict=True)]
    if name in ("mul", "div"):
        fixed = [arg for arg in args if arg.index not in moving]
        if len(fixed) != 1 or (name == "div" and fixed[0] is not args[1]):
            return None
        other = args[0] if fixed[0] is args[1] else args[1]
        number = values[fixed[0].index]
        with np.errstate(all="ignore"):
            share = np.broadcast_to(c, node.shape) * (number if name == "mul" else 1.0 / number)
        return [(other, np.asarray(unbroadcast(share, other.shape)))]
    if node.op.kind == "linear":
        blanks = [np.zeros(arg.shape) for arg in args]
        wide = np.asarray(np.broadcast_to(c, node.shape))
        shares = []
        for i, arg in enumerate(args):
            rule = node.op.rule(i)
            if rule is None:
                return None
            shares.append((arg, np.asarray(rule(wide, np.zeros(node.shape), *blanks, **node.params))))
        return shares
    return None


def _constants(order: Sequence[Node], moving: set[int], known: Mapping[Node, Array]) -> dict[int, Array]:
    """The values of all nodes that do not depend on the variables."""
    values: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for node in order:
            if node.index in moving:
                continue
            if node.op is LITERAL:
                values[node.index] = node.params["value"]
            elif node.op is INPUT:
                values[node.index] = np.asarray(known[node], dtype=np.float64)
            else:
                args = [values[arg.index] for arg in node.args]
                values[node.index] = np.asarray(node.op.kernel(*args, **node.params))
    return values
