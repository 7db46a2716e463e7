"""The functions that have a form of their own in single precision: the same methods with shorter polynomials. What lies
outside of the usual arguments is computed in double precision, on a branch.
"""

from __future__ import annotations

from collections.abc import Callable

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import circular, exponential, logarithm
from tapecli.engines.native.library import tables as t

MAGIC = 1.5 * 2.0**23
ROOT_HALF_BITS = 0x3F3504F3


def _or_double(b: Lanes, usual: Val, value: Val, f: Callable[..., Val], *args: Val) -> Val:
    """`value`, and f in double precision on the lanes that are not usual."""

    def wide() -> list[Val]:
        return [b.select(usual, value, b.in_double(f, *args))]

    return b.code.branch(b.code.any(~usual), wide, lambda: [value])[0]


def _exp(b: Lanes, x: Val) -> Val:
    """For |x| <= 87."""
    shifted = b.mad(x, t.LOG2E[0], MAGIC)
    k = shifted - MAGIC
    r = b.mad(k, -t.LN2_SINGLE[1], b.mad(k, -t.LN2_SINGLE[0], x))
    y = b.mad(r * r, b.poly(r, t.EXPF), r) + 1.0
    return b.from_bits(b.to_bits(y) + (b.to_bits(shifted) << 23))


def exp(b: Lanes, x: Val) -> Val:
    return _or_double(b, b.abs(x) <= 87.0, _exp(b, x), exponential.exp, x)


def log(b: Lanes, x: Val) -> Val:
    i = b.to_bits(x)
    e = (i - (ROOT_HALF_BITS - (128 << 23))) >> 23
    f = b.from_bits(i - (e << 23) + (128 << 23)) - 1.0
    k = b.from_bits(e | 0x4B000000) - (2.0**23 + 128.0)
    half = 0.5 * (f * f)
    s = f / (2.0 + f)
    w = s * s
    low = b.mad(k, t.LN2_SINGLE[1], s * b.mad(w, b.poly(w, t.LOGF), half))
    y = b.mad(k, t.LN2_SINGLE[0], f - (half - low))
    return _or_double(b, (x >= 2.0**-126) & (x < float("inf")), y, logarithm.log, x)


def _circular(b: Lanes, x: Val, turn: int, f: Callable[..., Val]) -> Val:
    if not b.fused:
        return b.in_double(f, x)
    shifted = b.mad(x, t.PER_HALF_PI, MAGIC)
    k = shifted - MAGIC
    r = x
    for part in t.HALF_PI_SINGLE:
        r = b.fma(-k, part, r)
    z = r * r
    s = b.mad(r * z, b.poly(z, t.SINF), r)
    half = 0.5 * z
    w = 1.0 - half
    c = w + b.mad(z * z, b.poly(z, t.COSF), (1.0 - w) - half)
    q = b.to_bits(shifted) + turn
    y = b.select((q & 1).ne(0), c, s)
    y = b.from_bits(b.to_bits(y) ^ ((q & 2) << 30))
    return _or_double(b, b.abs(x) <= 1e4, y, f, x)


def sin(b: Lanes, x: Val) -> Val:
    return b.select(b.abs(x) < 2.0**-12, x, _circular(b, x, 0, circular.sin))


def cos(b: Lanes, x: Val) -> Val:
    return _circular(b, x, 1, circular.cos)


def tanh(b: Lanes, x: Val) -> Val:
    """An odd polynomial near 0; 1 - 2/(exp(2 a) + 1) beyond."""
    a = b.abs(x)
    z = x * x
    near = b.mad(x * z, b.poly(z, t.TANHF), x)
    e = _exp(b, 2.0 * b.select(a > 10.0, 10.0, a))
    return b.copysign(b.select(a < 0.625, near, 1.0 - 2.0 / (e + 1.0)), x)


def sigmoid(b: Lanes, x: Val) -> Val:
    a = b.abs(x)
    e = _exp(b, -b.select(a > 87.0, 87.0, a))
    y = b.select(x < 0.0, e, 1.0) / (1.0 + e)
    return _or_double(b, a <= 87.0, y, exponential.sigmoid, x)
