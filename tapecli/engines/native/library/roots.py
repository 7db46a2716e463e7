"""Cube roots, lengths and remainders."""

from __future__ import annotations

import math

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.pairs import less_product, two_prod

INF, NAN = math.inf, math.nan


def spacing(b: Lanes, x: Val) -> Val:
    """The distance to the next number of the same precision, with the sign of x."""
    digits = 52 if b.scalar == "double" else 23
    field = (b.to_bits(b.abs(x)) >> digits) << digits
    unit = b.from_bits(b.select(field.eq(0), 1 << digits, field)) * 2.0**-digits
    return b.select(b.abs(x) < INF, b.copysign(unit, x), NAN)


def cbrt(b: Lanes, x: Val) -> Val:
    """A polynomial, one step of Halley's and one of Newton's method, the latter with the cube in a pair."""
    a = b.abs(x)
    m, k = b.significand(a)
    third = b.mad(k, 1.0 / 3.0, 1.5 * 2.0**52)
    bits = b.to_bits(third)
    rest = k - 3.0 * (third - 1.5 * 2.0**52)
    up, down = rest > 0.5, rest < -0.5
    z = m * b.select(up, 2.0, b.select(down, 0.5, b.const(1.0)))
    y = b.poly(m, t.CBRT) * b.select(up, t.CBRT_2[0], b.select(down, t.CBRT_2[1], b.const(1.0)))
    cube = y * y * y
    r = 1.0 / (cube + cube + z)
    y = b.mad(y * (z - cube), r, y)
    square, e = two_prod(b, y, y)
    p, f = two_prod(b, square, y)
    y = y + ((z - p) - b.mad(e, y, f)) * (y * r)
    y = y * b.from_bits((bits + 1023) << 52)
    return b.select((a > 0.0) & (a < INF), b.copysign(y, x), x)


def hypot(b: Lanes, x: Val, y: Val) -> Val:
    """sqrt(x^2 + y^2), scaled where squares would leave the range; infinite where one of them is."""
    v, w = b.abs(x), b.abs(y)
    high, low = b.select(v > w, v, w), b.select(v > w, w, v)
    big, small = high > 2.0**480, high < 2.0**-480
    up = b.select(big, 2.0**-600, b.select(small, 2.0**600, b.const(1.0)))
    back = b.select(big, 2.0**600, b.select(small, 2.0**-600, b.const(1.0)))
    p, e = two_prod(b, high * up, high * up)
    low = low * up
    root = b.sqrt(p + b.mad(low, low, e)) * back
    root = b.select(b.isnan(x) | b.isnan(y), x + y, root)
    return b.select(v.eq(INF) | w.eq(INF), INF, root)


def ratio(b: Lanes, x: Val, y: Val) -> Val:
    """x / hypot(x, y), 0 where both are 0."""
    r = hypot(b, x, y)
    return b.select(r.eq(0.0), 0.0, x / r)


def _long_division(x: Val, y: Val) -> list[Val]:
    """x modulo y for positive finite scalars, x >= y, in integers, eight bits at a time."""
    code = x.code
    b = Lanes(code, "double", 1)

    def parts(v: Val) -> tuple[Val, Val]:
        i = b.to_bits(v)
        field = i >> 52
        normal = field.ne(0)
        return b.select(normal, (i & ((1 << 52) - 1)) | (1 << 52), i), b.select(normal, field, 1)

    (mx, ex), (my, ey) = parts(x), parts(y)

    def urem(v: Val, w: Val) -> Val:
        return code.emit(f"urem {v.typed}, {w.name}", "i64")

    def step(m: Val, left: Val) -> tuple[Val, Val]:
        by = b.select(left > 8, 8, left)
        return urem(m << by, my), left - by

    m, _ = code.repeat([urem(mx, my), ex - ey], lambda m, left: left > 0, step)
    # m 2^(ey - 1075), in two exact steps
    as_float = code.emit(f"uitofp {m.typed} to double", "double")
    half = ey - 1075 + 2048 >> 1
    first = b.from_bits((half - 1024 + 1023) << 52)
    second = b.from_bits((ey - 1075 + 2048 - half - 1024 + 1023) << 52)
    return [(as_float * first) * second]


def mod(b: Lanes, x: Val, y: Val) -> Val:
    """The remainder with the sign of y, exact but for the last addition, as NumPy's."""
    q = x / y
    near = b.abs(q) < 2.0**50
    whole = b.rint(b.select(near, q, 0.0))
    r = less_product(b, x, whole, y)
    usual = (near & (b.abs(x) < 2.0**960)) | ~((b.abs(x) < INF) & (b.abs(y) < INF) & y.ne(0.0))

    def far() -> list[Val]:
        v, w = b.select(usual, 1.0, b.abs(x)), b.select(usual, 1.0, b.abs(y))
        w = b.select(w > v, v, w)
        (found,) = b.code.each_lane(_long_division, [v, w], ["double"])
        found = b.select(b.abs(x) < b.abs(y), b.abs(x), found)
        return [b.select(usual, r, b.copysign(found, x))]

    (r,) = b.code.branch(b.code.any(~usual), far, lambda: [r])
    r = b.select(b.abs(y).eq(INF), x, r)
    r = b.select(r.ne(0.0) & ((r < 0.0) ^ (y < 0.0)), r + y, r)
    r = b.select(r.eq(0.0), b.copysign(0.0, y), r)
    undefined = y.eq(0.0) | b.abs(x).eq(INF)
    return b.select(undefined | b.isnan(x) | b.isnan(y), NAN, r)
