"""Terms: formulas as people write them, with sums and products of any number of parts, in order and simplified.

A term is frozen, and equal terms are one object. It is made from terms that were there before, so the order of making
is an order for walking, and nothing here recurses. Every simplification holds for all real numbers at which the formula
has a value, rounding aside; that `x/x` is 1 is one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tapecli.core import Shape, broadcast_shapes


class Term:
    """`kind` says what `value` and `args` are:

    num       a number: its value
    name      a name
    product   (numerator, denominator, exponents): numbers, and the power of each of `args`
    sum       (numerators, denominators): the factor of each of `args`, and last the number that is added
    call      (name, ((key, text), …)): a function of `args`
    others    an operator or a construct of that name, and what belongs to it
    """

    __slots__ = ("args", "kind", "serial", "shape", "size", "value")

    def __init__(self, kind: str, value: Any, args: tuple[Term, ...], shape: Shape, serial: int) -> None:
        self.kind = kind
        self.value = value
        self.args = args
        self.shape = shape
        self.serial = serial
        self.size: int = 1 + sum(arg.size for arg in args)


class Terms:
    """Makes terms, each once."""

    def __init__(self) -> None:
        self._known: dict[Any, Term] = {}
        #: what nothing that varies is in
        self.steady: set[Term] = set()

    def make(self, kind: str, value: Any, args: Sequence[Term], shape: Shape) -> Term:
        key = (kind, value, tuple([arg.serial for arg in args]), shape)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Term(kind, value, tuple(args), shape, len(self._known))
        return found

    def num(self, x: float) -> Term:
        return self.make("num", (float(x), math.copysign(1.0, x)), (), ())

    def name(self, name: str, shape: Shape) -> Term:
        return self.make("name", name, (), shape)

    def call(self, name: str, args: Sequence[Term], shape: Shape, keys: tuple[tuple[str, str], ...] = ()) -> Term:
        return self.make("call", (name, keys), args, shape)

    def filled(self, x: float, shape: Shape) -> Term:
        """An array whose entries are all `x`."""
        if not shape:
            return self.num(x)
        sizes = [self.num(n) for n in shape]
        if x == 0.0:
            return self.call("zeros", sizes, shape)
        return self.product([(self.call("ones", sizes, shape), 1.0)], x)

    # ---- products ----

    def product(self, factors: Iterable[tuple[Term, float]], up: float = 1.0, down: float = 1.0) -> Term:
        """The product of powers of terms and of `up/down`, flattened and put in order."""
        powers: dict[Term, float] = {}
        held: list[tuple[Term, float]] = []
        shapes: list[Shape] = []
        waiting = list(factors)
        while waiting:
            base, n = waiting.pop(0)
            shapes.append(base.shape)
            if base.kind == "num" and n in (1.0, -1.0):
                up, down = (up * base.value[0], down) if n > 0 else (up, down * base.value[0])
            elif base.kind == "product" and n in (1.0, -1.0):
                above, below, exponents = base.value
                up, down = (up * above, down * below) if n > 0 else (up * below, down * above)
                waiting[:0] = [(arg, n * k) for arg, k in zip(base.args, exponents, strict=True)]
            elif base in powers and (powers[base] == int(powers[base]) or n == int(n)):
                powers[base] += n
            elif base in powers:
                held.append((base, n))
            else:
                powers[base] = n
        shape = broadcast_shapes(*shapes)
        up, down = _fraction(up, down)
        if up == 0.0 and all(term.kind != "num" for term in powers):
            return self.filled(0.0, shape)
        parts = [(base, n) for base, n in [*powers.items(), *held] if n != 0.0]
        parts = self._without_ones(parts, shape)
        if (up, down) == (1.0, 1.0) and len(parts) == 1 and parts[0][1] == 1.0 and parts[0][0].shape == shape:
            return parts[0][0]
        if not parts:
            return self.spread(self.num(up / down) if down == 1.0 else self._number(up, down), shape)
        parts.sort(key=lambda part: _rank(part[0]))
        found = broadcast_shapes(*[base.shape for base, _ in parts])
        made = self.make("product", (up, down, tuple(n for _, n in parts)), [base for base, _ in parts], found)
        return self.spread(made, shape)

    def _number(self, up: float, down: float) -> Term:
        return self.make("product", (up, down, ()), (), ())

    def spread(self, term: Term, shape: Shape) -> Term:
        """`term` with the shape that it lost when parts of it fell away."""
        if term.shape == shape:
            return term
        ones = self.call("ones", [self.num(n) for n in shape], shape)
        if term.kind == "num" and term.value[0] == 1.0:
            return ones
        if term.kind == "product":
            up, down, exponents = term.value
            return self.make("product", (up, down, (*exponents, 1.0)), (*term.args, ones), shape)
        up = term.value[0] if term.kind == "num" else 1.0
        args = () if term.kind == "num" else (term,)
        return self.make("product", (up, 1.0, (1.0,) * (len(args) + 1)), (*args, ones), shape)

    def _without_ones(self, parts: list[tuple[Term, float]], shape: Shape) -> list[tuple[Term, float]]:
        """Leaves out arrays of ones where the others have the shape without them."""
        ones = [part for part in parts if is_ones(part[0])]
        if not ones:
            return parts
        others = [part for part in parts if not is_ones(part[0])]
        if others and broadcast_shapes(*[base.shape for base, _ in others]) == shape:
            return others
        return [*others, *[(base, 1.0) for base, _ in ones if base.shape == shape][:1]] or parts

    def power(self, base: Term, n: float) -> Term:
        if base.kind == "num" and base.value[0] > 0:
            with np.errstate(all="ignore"):
                return self.num(float(np.float64(base.value[0]) ** n))
        if base.kind == "product" and n.is_integer() and len(base.args) == 1 and base.value[:2] == (1.0, 1.0):
            inner = base.value[2][0]
            if inner.is_integer():
                return self.product([(base.args[0], inner * n)])
        return self.product([(base, n)])

    # ---- sums ----

    def total(self, parts: Iterable[tuple[Term, float]]) -> Term:
        """The sum of terms with signs, flattened; terms that differ in their number only are added up."""
        found: dict[Term, tuple[float, float]] = {}
        added = (0.0, 1.0)
        shapes: list[Shape] = []
        plain: set[Term] = set()
        for part, sign in parts:
            shapes.append(part.shape)
            for rest, up, down in self._split(part):
                if rest is None:
                    added = _plus(added, (sign * up, down))
                else:
                    plain.add(rest)
                    found[rest] = _plus(found[rest], (sign * up, down)) if rest in found else (sign * up, down)
        shape = broadcast_shapes(*shapes)
        kept = [(rest, *factor) for rest, factor in found.items() if factor[0] != 0.0]
        kept, added = self._absorbed(kept, added, shape)
        kept = self._joined(kept)
        if not kept:
            return self.spread(self.num(_quotient(*added)), shape)
        if len(kept) == 1 and added[0] == 0.0:
            return self.spread(self.product([(kept[0][0], 1.0)], kept[0][1], kept[0][2]), shape)
        # what is taken away stands behind, and what stands alone behind the products
        kept.sort(key=lambda part: (part[1] < 0, part[0].kind != "product" and part[1:] == (1.0, 1.0)))
        value = (
            (*(up for _, up, _ in kept), added[0]),
            (*(down for *_, down in kept), added[1]),
        )
        args = [rest for rest, *_ in kept]
        return self.spread(self.make("sum", value, args, broadcast_shapes(*[a.shape for a in args])), shape)

    def _split(self, part: Term) -> list[tuple[Term | None, float, float]]:
        """A term as parts of a sum: each a term without its number, and that number as a fraction."""
        if part.kind == "num":
            return [(None, part.value[0], 1.0)]
        if part.kind == "sum":
            ups, downs = part.value
            return list(zip((*part.args, None), ups, downs, strict=True))
        if part.kind == "product":
            up, down, exponents = part.value
            if not part.args:
                return [(None, up, down)]
            return [(self.product(zip(part.args, exponents, strict=True)), up, down)]
        return [(part, 1.0, 1.0)]

    def _absorbed(
        self, kept: list[tuple[Term, float, float]], added: tuple[float, float], shape: Shape
    ) -> tuple[list[tuple[Term, float, float]], tuple[float, float]]:
        """An array of ones that is added is a number that is added, where the others have the shape without it."""
        ones = [part for part in kept if is_ones(part[0])]
        others = [part for part in kept if not is_ones(part[0])]
        if ones and others and broadcast_shapes(*[rest.shape for rest, *_ in others]) == shape:
            for _, up, down in ones:
                added = _plus(added, (up, down))
            return others, added
        return kept, added

    def _joined(self, kept: list[tuple[Term, float, float]]) -> list[tuple[Term, float, float]]:
        """Puts together what excludes one another: pieces of arrays of zeros that do not overlap, and the branches of
        one condition whose other branch is 0."""
        found: list[tuple[Term, float, float]] = []
        for part in kept:
            for k, other in enumerate(found):
                both = self._pieces(other, part) or self._branches(other, part)
                if both is not None:
                    found[k] = (both, 1.0, 1.0)
                    break
            else:
                found.append(part)
        return found

    def _pieces(self, one: tuple[Term, float, float], two: tuple[Term, float, float]) -> Term | None:
        if one[0].kind != "embed" or two[0].kind != "embed" or one[0].shape != two[0].shape:
            return None
        pieces = sorted([*_placed(one[0]), *_placed(two[0])], key=lambda piece: piece[0])
        if any(a[0] + a[1] > b[0] for a, b in pairwise(pieces)):
            return None
        owner = {id(arg): part for part in (one, two) for arg in part[0].args}
        args = [self.product([(arg, 1.0)], *owner[id(arg)][1:]) for *_, arg in pieces]
        return self.make("embed", tuple([(start, count) for start, count, _ in pieces]), args, one[0].shape)

    def _branches(self, one: tuple[Term, float, float], two: tuple[Term, float, float]) -> Term | None:
        if one[0].kind != "if" or two[0].kind != "if" or one[0].shape != two[0].shape:
            return None
        (c, x, other), (d, more, y) = one[0].args, two[0].args
        if c is not d:
            return None
        if _is_zero(x) and _is_zero(y):
            one, two, x, y = two, one, more, other
        elif not (_is_zero(other) and _is_zero(more)):
            return None
        return self.choose(c, self.product([(x, 1.0)], *one[1:]), self.product([(y, 1.0)], *two[1:]), one[0].shape)

    # ---- conditions ----

    def choose(self, condition: Term, x: Term, y: Term, shape: Shape) -> Term:
        """`if condition then x else y`"""
        known = _same_number(condition)
        if known is not None and known == known:
            return self.spread(x if known else y, shape)
        if condition.kind == "not":
            condition, x, y = condition.args[0], y, x
        return self.make("if", None, (condition, x, y), shape)

    def logical(self, kind: str, one: Term, two: Term, shape: Shape) -> Term:
        """`one and two`, `one or two`"""
        if one is two and one.kind in ("compare", "and", "or", "not"):
            return one
        known = [_same_number(one), _same_number(two)]
        if None not in known:
            return self.filled(float(all(known) if kind == "and" else any(known)), shape)
        for answer, other in ((known[0], two), (known[1], one)):
            if answer is not None and answer == answer:
                if bool(answer) == (kind == "or"):  # the other makes no difference
                    return self.filled(float(kind == "or"), shape)
                if other.shape == shape:
                    return other
        if kind == "or" and (_is_not(one, two) or _is_not(two, one)):
            return self.filled(1.0, shape)
        return self.make(kind, None, (one, two), shape)


def _placed(term: Term) -> list[tuple[int, int, Term]]:
    return [(start, count, arg) for (start, count), arg in zip(term.value, term.args, strict=True)]


def _is_not(one: Term, two: Term) -> bool:
    return one.kind == "not" and one.args[0] is two


def _is_zero(term: Term) -> bool:
    return _same_number(term) == 0.0


def _same_number(term: Term) -> float | None:
    """The number that all entries of a term are, where that is known."""
    if term.kind == "num":
        return float(term.value[0])
    if term.kind == "call" and term.value[0] in ("zeros", "ones"):
        return float(term.value[0] == "ones")
    return None


def is_ones(term: Term) -> bool:
    """Whether it is an array of ones."""
    return term.kind == "call" and term.value[0] == "ones"


def _rank(term: Term) -> int:
    """The place of a factor: names, then functions, then brackets."""
    return {"name": 0, "index": 0, "call": 1, "matmul": 2}.get(term.kind, 3)


def _whole(x: float) -> bool:
    return math.isfinite(x) and x == int(x) and abs(x) < 2**53


def _fraction(up: float, down: float) -> tuple[float, float]:
    """A fraction of numbers, as short as it can be written."""
    if down < 0:
        up, down = -up, -down
    if down in (0.0, 1.0) or not (math.isfinite(up) and math.isfinite(down)):
        return up, down
    if _whole(up) and _whole(down):
        common = math.gcd(int(up), int(down))
        return up / common, down / common
    if up == down:
        return 1.0, 1.0
    return (up, down) if up == int(up) else (_quotient(up, down), 1.0)


def _quotient(up: float, down: float) -> float:
    """`up`/`down`, which is infinite or no number where `down` is 0."""
    with np.errstate(all="ignore"):
        return float(np.float64(up) / down)


def _plus(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
    if one[1] == two[1]:
        return _fraction(one[0] + two[0], one[1])
    if all(map(_whole, (*one, *two))):
        return _fraction(one[0] * two[1] + two[0] * one[1], one[1] * two[1])
    return _quotient(*one) + _quotient(*two), 1.0


def reachable(roots: Iterable[Term]) -> list[Term]:
    """The terms that the roots are made of, in the order of their making."""
    found: dict[int, Term] = {}
    waiting = list(roots)
    while waiting:
        term = waiting.pop()
        if term.serial not in found:
            found[term.serial] = term
            waiting += term.args
    return [found[serial] for serial in sorted(found)]
