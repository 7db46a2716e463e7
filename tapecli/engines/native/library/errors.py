"""Error functions, by polynomials on 16 intervals: erf itself, and erfc(x) = exp(-x^2) R(x) (W. J. Cody, Math. Comp.
23, 1969) with R piece by piece. The square is taken exactly, so that the tail keeps its digits.
"""

from __future__ import annotations

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library import tables_special as ts
from tapecli.engines.native.library.exponential import MAGIC, nearest, power_of_two
from tapecli.engines.native.library.pieces import octaves, piecewise


def erf(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    # from 6 on it rounds to 1; the last piece is wider than the others
    at = b.to_bits(b.select(a < 5.8, a, 5.8) * (8.0 / 3.0) + MAGIC)
    head, low = piecewise(b, ts.ERF, b.select(a > 6.0, 6.0, a), at)
    return b.copysign(head + low, x)


def erfc(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    a = b.select(a > 28.0, 28.0, a)
    head, low = piecewise(b, ts.ERFCX, a, octaves(b, a + 2.0, 2.0))
    s, e = pairs.square(b, a)
    k, bits = nearest(b, s, -t.LOG2E[0])
    top = b.mad(k, -t.LN2_CUT[0], -s)  # exact
    r = b.mad(k, -t.LN2_CUT[1], top)
    tail = b.mad(k, -t.LN2_CUT[1], top - r) - e
    q = (r * r) * b.poly(r, t.EXP)
    q = b.mad(tail, 1.0 + (r + q), q)
    p = r + q  # exp(-a^2) = (1 + p) 2^k
    y = head + b.mad(head, r, b.mad(head, q, b.mad(low, p, low)))
    usual = a <= 26.0

    def plain() -> list[Val]:
        return [b.from_bits(b.to_bits(y) + (bits << 52))]

    def subnormal() -> list[Val]:
        # 2^k in two factors, the first of which stays normal
        return [(y * power_of_two(b, bits, 500)) * 2.0**-500]

    (right,) = b.code.branch(b.code.any(~usual), subnormal, plain)
    return b.select(x < 0.0, 2.0 - right, right)
