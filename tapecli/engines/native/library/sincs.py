"""The first four derivatives of sinc, as in the NumPy kernels: Taylor series up to 1, then a recurrence in pairs."""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library.pairs import Pair, less_product
from tapecli.engines.native.library.turns import sin_cos_pi
from tapecli.ops.kernels import tables as kt

SERIES = {
    1: (kt.SINC1_T, kt.SINC1_H),
    2: (kt.SINC2_T, kt.SINC2_H),
    3: (kt.SINC3_T, kt.SINC3_H),
    4: (kt.SINC4_T, kt.SINC4_H),
}
#: From here on every number is even: the sine of pi x is 0, the cosine 1.
EVEN = 2.0**53


def _series(b: Lanes, x: Val, n: int) -> Val:
    h, lo = pairs.poly(b, pairs.square(b, x), *SERIES[n])
    return h + lo if n % 2 == 0 else b.mad(h, x, lo * x)


def _recurrence(b: Lanes, x: Val, n: int) -> Val:
    """x f(n) + n f(n-1) = pi^(n-1) sin(pi x + n pi/2), from differentiating x sinc(x) = sin(pi x)/pi n times."""
    s, c = b.once(sin_cos_pi, x)
    w = 1.0 / x
    inverse: Pair = w, less_product(b, b.const(1.0), w, x) * w
    f = pairs.mul(b, pairs.div(b, s, pairs.constant(b, kt.PI)), inverse)
    power = pairs.constant(b, (1.0, 0.0))
    for k in range(1, n + 1):
        turn = pairs.mul(b, (c, s)[(k + 1) % 2], power)
        if (k - 1) % 4 in (1, 2):
            turn = pairs.neg(turn)
        f = pairs.mul(b, pairs.add(turn, pairs.mul1(b, f, -float(k))), inverse)
        power = pairs.mul(b, power, pairs.constant(b, kt.PI))
    return f[0] + f[1]


def _far(x: Val, n: int) -> Val:
    """n f(n-1)/x is below rounding, but where the sine is 0."""
    if n % 2:
        return (1.0 if n == 1 else -math.pi * math.pi) / x
    return -float(n) * _far(x, n - 1) / x


def sinc_d(b: Lanes, x: Val, n: int) -> Val:
    """For n from 1 to 4."""
    a = b.abs(x)
    near, far = a < 1.0, a >= EVEN
    zero = b.const(0.0)
    first = b.code.branch(b.code.any(near), lambda: [_series(b, b.select(near, x, 0.0), n)], lambda: [zero])[0]

    def beyond() -> list[Val]:
        v = b.select(near | far, 1.0, x)
        return [b.select(far, _far(x, n), _recurrence(b, v, n))]

    second = b.code.branch(b.code.any(~near), beyond, lambda: [zero])[0]
    return b.select(near, first, second)
