"""Error functions, by polynomials on 16 intervals: erf itself, and erfc(x) = exp(-x^2) R(x) (W. J. Cody, Math. Comp.
23, 1969) with R, which is erfcx, piece by piece. The square is taken exactly, so that the tail keeps its digits.
"""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables_errors as ts
from tapecli.engines.native.library.exponential import MAGIC, exp_pair, exp_parts_near, ldexp, power_of_two, scaled
from tapecli.engines.native.library.pairs import Pair, less_product
from tapecli.engines.native.library.pieces import Pieces, octaves, piecewise

ROOT_PI: float = math.sqrt(math.pi)
#: Where the asymptotic series of erfcx begins.
FAR = 30.0


def erf(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    # from 6 on it rounds to 1; the last piece is wider than the others
    at = b.to_bits(b.select(a < 5.8, a, 5.8) * (8.0 / 3.0) + MAGIC)
    head, low = piecewise(b, ts.ERF, b.select(a > 6.0, 6.0, a), at)
    return b.copysign(head + low, x)


def erfc_parts(b: Lanes, a: Val) -> tuple[Val, Val, Val]:
    """erfc(a) = (h + lo) 2^k for 0 <= a <= 30, k in the low bits of an integer."""
    head, low = piecewise(b, ts.ERFCX, a, octaves(b, a + 2.0, 2.0))
    square, e = pairs.square(b, a)
    power, s, k = exp_parts_near(b, -square, -e)
    h, lo = pairs.two_prod(b, power, head)
    return h, b.mad(power, b.mad(head, s, b.mad(low, s, low)), lo), k


def erfc(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    a = b.select(a > 28.0, 28.0, a)
    head, low, k = erfc_parts(b, a)
    y = head + low
    usual = a <= 26.0

    # subnormal numbers by 2^k in two factors, the first of which stays normal
    right = b.code.branch(
        b.code.any(~usual), lambda: [y * power_of_two(b, k, 500) * 2.0**-500], lambda: [scaled(b, y, k)]
    )[0]
    return b.select(x < 0.0, 2.0 - right, right)


def _scaled(b: Lanes, table: Pieces, a: Val, n: int) -> Pair:
    """The n-th derivative of erfcx (the first with its sign turned) at a >= 0, by its series from 30 on."""
    far = a >= FAR
    near = piecewise(b, table, b.select(far, FAR, a), octaves(b, b.select(far, 29.0, a) + 2.0, 2.0))

    def series() -> list[Val]:
        w = 1.0 / a
        z, odd, terms = w * w, 1.0, []
        for k in range(8):
            terms.append(odd * math.prod(range(2 * k + 1, 2 * k + 1 + n)))
            odd *= -(2 * k + 1) / 2.0
        inverse = w, b.select(a < 1e100, less_product(b, b.const(1.0), w, a) * w, 0.0)
        lead = pairs.mul(b, pairs.constant(b, ts.PER_ROOT_PI), inverse)
        for _ in range(n):
            lead = pairs.mul(b, lead, inverse)
        h, lo = pairs.scaled(lead, float(terms[0]))
        return [b.select(far, h, near[0]), b.select(far, lo + lead[0] * (z * b.poly(z, terms[1:])), near[1])]

    found = b.code.branch(b.code.any(far), series, lambda: list(near))
    return found[0], found[1]


def erfcx(b: Lanes, x: Val) -> Val:
    """exp(x^2) erfc(x); left of 0 it is 2 exp(x^2) less its value at -x."""
    return pairs.joined(b.once(_erfcx_pair, x))


def _erfcx_pair(b: Lanes, x: Val) -> Pair:
    a = b.abs(x)
    right = _scaled(b, ts.ERFCX, a, 0)
    negative = x < 0.0

    def left() -> list[Val]:
        v = b.select(a > 28.0, 28.0, a)
        h, lo, k = exp_pair(b, *pairs.square(b, v))
        y = ldexp(b, h, k, 1)
        y_low = (ldexp(b, lo, k, 1) - right[0]) - right[1]
        inside = y < math.inf
        return [b.select(negative, y, right[0]), b.select(negative, b.select(inside, y_low, 0.0), right[1])]

    found = b.code.branch(b.code.any(negative), left, lambda: list(right))
    return found[0], found[1]


def erfcx_d(b: Lanes, x: Val, n: int) -> Val:
    """The first or second derivative; left of 0, where nothing cancels, 2 x y - 2/sqrt(pi) and 2 y + 2 x y'."""
    a = b.abs(x)
    h, lo = _scaled(b, (ts.ERFCX1, ts.ERFCX2)[n - 1], a, n)
    right = h + lo
    right = -right if n == 1 else right
    negative = x < 0.0

    def left() -> list[Val]:
        y = erfcx(b, x)
        first = 2.0 * x * y - 2.0 / ROOT_PI
        return [b.select(negative, first if n == 1 else 2.0 * (y + x * first), right)]

    return b.code.branch(b.code.any(negative), left, lambda: [right])[0]
