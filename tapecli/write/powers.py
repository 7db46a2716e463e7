"""`x^y` and its derivatives as terms, also where `x` is 0.

`y x^(y-1)` and `log(x) x^y` are what people write, and at `x = 0` they are 0·∞ in places where the derivative exists
and is 0: `x^0` is 1 for every `x`, and `0^y` is 0 for every positive `y`. Written here so that these come out as 0;
where `x` has no zero, nothing is added. At `x = y = 0` with a `y` that varies there is no derivative, and the formula
says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tapecli.core import broadcast_shapes
from tapecli.graph import LITERAL, Node
from tapecli.write.literals import literal
from tapecli.write.terms import Term, Terms

Said: TypeAlias = Callable[[Term], Term]

#: Functions that are never negative.
_NEVER_BELOW = frozenset("exp exp2 exp10 cosh sigmoid softplus abs sqrt norm hypot".split())


def power(t: Terms, x: Term, y: Term) -> Term:
    return t.make("pow", None, (x, y), broadcast_shapes(x.shape, y.shape))


def dx(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    """`y x^(y-1)`, 0 where `y` is 0"""
    x, y = args
    return _guarded(t, node, x, y, (0.0,), lambda less: t.product([(y, 1.0), (power(t, x, less), 1.0)]))


def dxx(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    """`y (y-1) x^(y-2)`, 0 where `y` is 0 or 1"""
    x, y = args
    weight = [(y, 1.0), (_less(t, y, 1.0), 1.0)]
    return _guarded(t, node, x, y, (0.0, 1.0), lambda less: t.product([*weight, (power(t, x, less), 1.0)]))


def dxy(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    """`x^(y-1) (1 + y log(x))`"""
    x, y = args
    slope = power(t, x, _less(t, y, 1.0))
    if _nonzero(x):
        more = t.total([(t.num(1.0), 1.0), (t.product([(y, 1.0), (t.call("log", [x], x.shape), 1.0)]), 1.0)])
        return t.product([(slope, 1.0), (more, 1.0)])
    return t.total([(t.product([(y, 1.0), (_logs(t, slope, x, 1), 1.0)]), 1.0), (slope, 1.0)])


def log(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    """`x^y log(x)^k`, 0 where `x^y` is"""
    x, y = args
    k = int(node.params["k"])
    if _nonzero(x):
        return t.product([(power(t, x, y), 1.0), (t.call("log", [x], x.shape), float(k))])
    return _logs(t, power(t, x, y), x, k)


def _logs(t: Terms, weight: Term, x: Term, k: int) -> Term:
    """`weight log(x)^k`, 0 where `weight` is 0"""
    for _ in range(k):
        weight = t.call("xlogy", [weight, x], weight.shape)
    return weight


def _less(t: Terms, y: Term, n: float) -> Term:
    return t.total([(y, 1.0), (t.num(n), -1.0)])


def _guarded(t: Terms, node: Node, x: Term, y: Term, roots: tuple[float, ...], said: Said) -> Term:
    """`said` with the exponent `y` less as many as there are `roots`; 0 where `y`, which does not vary, is one of
    these and `x` is 0."""
    n = float(len(roots))
    if node.args[1].op is LITERAL:  # where the factor is 0, any exponent that is not negative will do
        value = node.args[1].params["value"]
        return said(literal(t, np.where(np.isin(value, roots), 0.0, value - n)))
    found = said(_less(t, y, n))
    if y not in t.steady or _nonzero(x):
        return found
    conditions = [t.make("compare", "==", (y, t.num(root)), y.shape) for root in roots]
    either = conditions[0]
    for condition in conditions[1:]:
        either = t.logical("or", either, condition, y.shape)
    return t.choose(either, t.num(0.0), found, found.shape)


def _nonzero(x: Term) -> bool:
    """Whether `x` is seen to have no zero, by its outermost layers. `exp(z)` is not: it underflows."""
    if x.kind == "num":
        return bool(x.value[0] != 0.0)
    if x.kind == "vector":
        return all(arg.kind == "num" and arg.value[0] != 0.0 for arg in x.args)
    if x.kind == "product":
        return all(n < 0 for n in x.value[2])
    if x.kind == "sum":
        ups = x.value[0]
        return bool(min(ups) >= 0.0 and ups[-1] > 0.0) and all(_never_below(arg) for arg in x.args)
    return False


def _never_below(x: Term) -> bool:
    if x.kind != "product":
        return x.kind == "call" and x.value[0] in _NEVER_BELOW
    up, down, exponents = x.value
    factors = zip(x.args, exponents, strict=True)
    return bool(up / down >= 0.0) and all(
        n % 2.0 == 0.0 or (arg.kind == "call" and arg.value[0] in _NEVER_BELOW) for arg, n in factors
    )


__all__ = ["dx", "dxx", "dxy", "log", "power"]
