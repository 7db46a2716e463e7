"""Error functions: erfc(x) = exp(-x^2) R(x), R by polynomials whose leading terms are pairs (as in W. J. Cody, Math.
Comp. 23, 1969); erf by its odd series near 0, 1 minus erfc beyond. The tables are those of the NumPy kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library.exponential import exp_pair, ldexp
from tapecli.engines.native.library.pairs import Pair, fast_two_sum
from tapecli.ops.kernels import tables as t
from tapecli.ops.kernels import tables_special as ts


def _series(b: Lanes, x: Val) -> Pair:
    """erf(x) for |x| < 1/2."""
    return pairs.mul1(b, pairs.poly(b, pairs.square(b, x), ts.ERF_T, ts.ERF_H), x)


def _tail(b: Lanes, x: Val) -> tuple[Pair, Val]:
    """erfc(x) = (h + lo) 2^k for x >= 1/2, up to 30."""
    low, middle = x < 1.5, x < 3.0

    def three(p: Any, q: Any, r: Any) -> Val:
        return b.select(low, b.const(p), b.select(middle, b.const(q), b.const(r)))

    w = 1.0 / x
    u = b.select(low, x - 1.0, b.select(middle, x - 2.25, w * w))
    size = max(len(ts.ERFC_A_T), len(ts.ERFC_B_T), len(ts.ERFC_C_T)) + 2
    rows = [_filled(tail, head, size) for tail, head in _RATIOS]
    h: Any = three(*[row[0][0] for row in rows])
    for k in range(1, size - 2):
        h = b.mad(h, u, three(*[row[k][0] for row in rows]))
    lo: Any = b.const(0.0)
    for k in (size - 2, size - 1):
        p, e = pairs.two_prod(b, h, u)
        lo = b.mad(lo, u, e)
        h, e = pairs.two_sum(three(*[row[k][0] for row in rows]), p)
        lo = lo + (e + three(*[row[k][1] for row in rows]))
    r = fast_two_sum(h, lo)
    r = pairs.select(b, middle, r, pairs.div(b, r, (x, b.const(0.0))))
    s, e = pairs.square(b, x)
    h, lo, bits = exp_pair(b, -s, -e)
    return pairs.mul(b, (h, lo), r), bits


_RATIOS = ((ts.ERFC_A_T, ts.ERFC_A_H), (ts.ERFC_B_T, ts.ERFC_B_H), (ts.ERFC_C_T, ts.ERFC_C_H))


def _filled(tail: Sequence[float], head: Sequence[Sequence[float]], size: int) -> list[tuple[float, float]]:
    """The coefficients as pairs, zeros before the highest power."""
    row = [(c, 0.0) for c in tail] + [(c[0], c[1]) for c in head]
    return [(0.0, 0.0)] * (size - len(row)) + row


def erf(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    near = a < 0.5
    tiny = a < 1e-100
    v = b.select(near, b.select(tiny, 0.25, a), 0.25)
    h, lo = _series(b, v)
    p, bits = _tail(b, b.select(near, 0.5, b.select(a > 7.0, 7.0, a)))
    s = fast_two_sum(b.const(1.0), -ldexp(b, p[0], bits))
    far = s[0] + (s[1] - ldexp(b, p[1], bits))
    g, go = pairs.mul1(b, pairs.constant(b, t.TWO_OVER_SQRT_PI), b.select(tiny, a, 0.0) * 2.0**200)
    y = b.select(tiny, (g + go) * 2.0**-200, b.select(near, h + lo, far))
    return b.select(b.isnan(x), x, b.copysign(y, x))


def erfc(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    near = a < 0.5
    h, lo = _series(b, b.select(near, x, 0.25))
    s = pairs.two_sum(b.const(1.0), -h)
    middle = s[0] + (s[1] - lo)
    p, bits = _tail(b, b.select(near, 0.5, b.select(a > 30.0, 30.0, a)))
    right = ldexp(b, p[0] + p[1], bits)
    s = fast_two_sum(b.const(2.0), -right)
    left = s[0] + (s[1] - ldexp(b, p[1] - ((p[0] + p[1]) - p[0]), bits))
    y = b.select(near, middle, b.select(x < 0.0, left, right))
    return b.select(b.isnan(x), x, y)
