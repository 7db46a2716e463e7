"""Pairs: a number as an unevaluated sum of two floats, high part first, for what needs more digits than one has.

two_sum: D. E. Knuth, The Art of Computer Programming 2, 4.2.2, theorem B. The product's rounding error is one fused
instruction; without those T. J. Dekker's splitting finds the same bits (Numer. Math. 18, 1971). The rest as in M.
Joldes, J.-M. Muller and V. Popescu, Tight and rigorous error bounds for basic building blocks of double-word
arithmetic, ACM Trans. Math. Software 44 (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes

Pair = tuple[Val, Val]
#: Splits a double into halves of 26 bits, a single one into halves of 12.
SPLITTERS = {"double": 2.0**27 + 1.0, "float": 2.0**12 + 1.0}


def two_sum(x: Any, y: Any) -> Pair:
    """`x + y` exactly."""
    s = x + y
    z = s - x
    return s, (x - (s - z)) + (y - z)


def fast_two_sum(x: Any, y: Any) -> Pair:
    """`x + y` exactly where |x| >= |y| or x is 0."""
    s = x + y
    return s, y - (s - x)


def _halves(b: Lanes, x: Val) -> Pair:
    c = x * SPLITTERS[b.scalar]
    high = c - (c - x)
    return high, x - high


def two_prod(b: Lanes, x: Val, y: Any) -> Pair:
    """`x * y` exactly."""
    y = b.lift(y)
    p = x * y
    if b.fused:
        return p, b.fma(x, y, -p)
    xh, xl = _halves(b, x)
    yh, yl = _halves(b, y)
    return p, xl * yl - (((p - xh * yh) - xl * yh) - xh * yl)


def less_product(b: Lanes, z: Val, x: Val, y: Any) -> Val:
    """`z - x*y` with one rounding where the product is close to z, so that the difference is exact."""
    if b.fused:
        return b.fma(-x, y, z)
    p, e = two_prod(b, x, y)
    return (z - p) - e


def square(b: Lanes, x: Val) -> Pair:
    """`x * x` exactly."""
    return two_prod(b, x, x)


def add(p: Pair, q: Pair) -> Pair:
    """The sum of two pairs; keeps its digits where the high parts cancel."""
    s, e = two_sum(p[0], q[0])
    t, f = two_sum(p[1], q[1])
    s, e = fast_two_sum(s, e + t)
    return fast_two_sum(s, e + f)


def add1(p: Pair, y: Any) -> Pair:
    """A pair and a float."""
    s, e = two_sum(p[0], y)
    return fast_two_sum(s, e + p[1])


def mul(b: Lanes, p: Pair, q: Pair) -> Pair:
    """The product of two pairs."""
    h, e = two_prod(b, p[0], q[0])
    return fast_two_sum(h, e + (p[0] * q[1] + p[1] * q[0]))


def mul1(b: Lanes, p: Pair, y: Any) -> Pair:
    """A pair times a float."""
    h, e = two_prod(b, p[0], y)
    return fast_two_sum(h, b.mad(p[1], y, e))


def _quotient(b: Lanes, p: Pair, q: Pair) -> tuple[Val, Val, Val]:
    """A first quotient of two pairs, what is left to divide, and 1 over the divisor."""
    r = 1.0 / q[0]
    h = p[0] * r
    return h, less_product(b, p[0], h, q[0]) + b.mad(-h, q[1], p[1]), r


def div(b: Lanes, p: Pair, q: Pair) -> Pair:
    """The quotient of two pairs, to about 100 bits."""
    h, rest, r = _quotient(b, p, q)
    return fast_two_sum(h, rest * r)


def ratio(b: Lanes, p: Pair, q: Pair) -> Val:
    """The float nearest to the quotient of two pairs."""
    h, rest, r = _quotient(b, p, q)
    return b.mad(rest, r, h)


def inv(b: Lanes, q: Pair) -> Pair:
    """1 over a pair."""
    r = 1.0 / q[0]
    rest = less_product(b, b.const(1.0), r, q[0]) - r * q[1]
    return fast_two_sum(r, rest * r)


def sqrt(b: Lanes, p: Pair) -> Pair:
    """The square root of a pair; of 0 it is 0."""
    s = b.sqrt(p[0])
    rest = less_product(b, p[0], s, s) + p[1]
    return fast_two_sum(s, b.select(s > 0.0, rest / (s + s), 0.0))


def neg(p: Pair) -> Pair:
    return -p[0], -p[1]


def scaled(p: Pair, by: Any) -> Pair:
    """A pair times a power of two."""
    return p[0] * by, p[1] * by


def joined(p: Pair) -> Val:
    """The float nearest to a pair."""
    return p[0] + p[1]


def select(b: Lanes, mask: Val, p: Pair, q: Pair) -> Pair:
    """`p` where the mask is true, else `q`."""
    return b.select(mask, p[0], q[0]), b.select(mask, p[1], q[1])


def constant(b: Lanes, p: Sequence[float]) -> Pair:
    return b.const(p[0]), b.const(p[1])


def poly(b: Lanes, u: Pair, tail: Sequence[float], head: Sequence[Sequence[float]]) -> Pair:
    """A polynomial of a pair, |u| < 1, highest power first: the terms of `tail` in single floats, those of `head` in
    pairs."""
    uh, ul = u
    h: Any = b.const(tail[0])
    for c in tail[1:]:
        h = b.mad(h, uh, c)
    low: Any = None
    for high_c, low_c in head:
        p, e = two_prod(b, h, uh)
        more = h * ul if low is None else b.mad(low, uh, h * ul)
        low = e + more
        h, e = fast_two_sum(b.const(high_c), p)
        low = low + (e + low_c)
    return fast_two_sum(h, low)
