"""The inverses of erf and erfc: a polynomial where |erf| <= 1/2; else, from polynomials in sqrt(-log p) on 16
intervals, a step of Newton's method for log erfc(y) = log p, the difference taken before it is rounded.
"""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import tables_errors as ts
from tapecli.engines.native.library.errors import ROOT_PI, erfc_parts
from tapecli.engines.native.library.exponential import power_of_two
from tapecli.engines.native.library.logarithm import log
from tapecli.engines.native.library.pieces import octaves, piecewise

INF, NAN = math.inf, math.nan


def _central(b: Lanes, x: Val) -> Val:
    """erfinv(x) for |x| <= 1/2."""
    return b.mad(x, b.poly(x * x, ts.ERFINV), x)


def _tail(b: Lanes, p: Val) -> Val:
    """The y with erfc(y) = p, 0 < p <= 1/2."""
    s = b.sqrt(-log(b, p))
    head, low = piecewise(b, ts.ERFC_START, s, octaves(b, s + 1.25, 2.0))
    y = head + low
    h, lo, bits = erfc_parts(b, y)
    v = (p * 2.0**500) * power_of_two(b, -bits, -500)
    rho = ((h - v) + lo) / v
    scaled, scaled_low = piecewise(b, ts.ERFCX, y, octaves(b, y + 2.0, 2.0))
    step = (0.5 * ROOT_PI) * (scaled + scaled_low)
    return b.mad(step, b.mad(-0.5 * rho, rho, rho), y)


def _by_tail(b: Lanes, tail: Val, p: Val, y: Val) -> Val:
    """`y`, and the inverse of erfc at p in the tail."""

    def found() -> list[Val]:
        return [b.select(tail, _tail(b, b.select(tail, p, 0.25)), y)]

    return b.code.branch(b.code.any(tail), found, lambda: [y])[0]


def erfinv(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    y = b.copysign(_by_tail(b, (a > 0.5) & (a < 1.0), 1.0 - a, _central(b, a)), x)
    return b.select(a < 1.0, y, b.select(a.eq(1.0), b.copysign(INF, x), NAN))


def erfcinv(b: Lanes, x: Val) -> Val:
    """-erfinv(x - 1) around 1, which is exact there; the tail of x, or of 2 - x with the sign turned."""
    left = x > 1.0
    p = b.select(left, 2.0 - x, x)
    tail = (p > 0.0) & (p < 0.5)
    y = _by_tail(b, tail, p, _central(b, 1.0 - x))
    y = b.select(tail & left, -y, y)
    end = b.select(x.eq(0.0), INF, b.select(x.eq(2.0), -INF, b.const(NAN)))
    return b.select((x > 0.0) & (x < 2.0), y, end)
