"""sin(pi x) and cos(pi x) as pairs, by the tables of the NumPy kernels."""

from __future__ import annotations

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library.exponential import nearest
from tapecli.engines.native.library.pairs import Pair
from tapecli.ops.kernels import tables as kt


def quarter(b: Lanes, x: Val) -> tuple[Val, Val]:
    """x = q/2 + r but for whole turns: r, |r| <= 1/4, and q in the low bits of an integer."""
    y = x - 2.0 * b.rint(0.5 * x)
    k, bits = nearest(b, y, 2.0)
    return y - 0.5 * k, bits


def turned(b: Lanes, bits: Val, s: Pair, c: Pair) -> tuple[Pair, Pair]:
    """Sine and cosine after `bits` quarters of a turn."""
    odd = (bits & 1).ne(0)
    s, c = pairs.select(b, odd, c, s), pairs.select(b, odd, s, c)
    back, left = (bits & 2).ne(0), ((bits + 1) & 2).ne(0)
    return pairs.select(b, back, pairs.neg(s), s), pairs.select(b, left, pairs.neg(c), c)


def sin_cos_pi(b: Lanes, x: Val) -> tuple[Pair, Pair]:
    """Both to about 2^-65."""
    r, bits = quarter(b, x)
    u = pairs.square(b, r)
    s = pairs.mul1(b, pairs.poly(b, u, kt.SINPI_T, kt.SINPI_H), r)
    c = pairs.poly(b, u, kt.COSPI_T, kt.COSPI_H)
    return turned(b, bits, s, c)
