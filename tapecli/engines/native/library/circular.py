"""Sine, cosine and tangent.

The argument less the nearest multiple of pi/2, as a pair: with pi/2 in three parts (Cody and Waite; the first two
differences are exact) up to 2^28, beyond by M. Payne and R. Hanek, Radian reduction for trigonometric functions, SIGNUM
Newsletter 18 (1983), in integers, lane by lane. Then minimax polynomials for |r| <= pi/4.
"""

from __future__ import annotations

from typing import Any

from tapecli.engines.native.ir import Lanes, Val
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.exponential import nearest
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product, two_prod, two_sum

#: Up to here three parts of pi/2 are enough.
FAR = 2.0**28


def _quarters_far(x: Val) -> list[Val]:
    """The same as `quarters` for one scalar of any size, by 192 bits of 2/pi: for |x| = M 2^e the turns M 2^(e-2) 2/pi
    modulo 1 as 128 bits."""
    code = x.code
    b = Lanes(code, "double", 1)
    i = b.to_bits(x)
    field = (i >> 52) & 0x7FF
    field = b.select(field > 2046, 2046, field)
    field = b.select(field < 1023, 1023, field)
    mantissa = (i & ((1 << 52) - 1)) | (1 << 52)
    at = field - (1075 + 2 - 64)  # the bit of the table where the fraction begins
    table = code.words("two_over_pi", t.TWO_OVER_PI)
    first, shift = at >> 6, at & 63

    def word(k: int) -> Val:
        place = code.emit(f"getelementptr i64, ptr {table.name}, i64 {(first + k).name}", "ptr")
        return code.emit(f"load i64, ptr {place.name}", "i64")

    w = [word(k) for k in range(4)]
    code.declare("declare i64 @llvm.fshl.i64(i64, i64, i64)")
    a0, a1, a2 = (
        code.emit(f"call i64 @llvm.fshl.i64({p.typed}, {q.typed}, {shift.typed})", "i64")
        for p, q in zip(w, w[1:], strict=False)
    )

    def wide(v: Val) -> Val:
        return code.emit(f"zext {v.typed} to i128", "i128")

    m = wide(mantissa)
    turns = (wide(mantissa * a0) << 64) + m * wide(a1) + ((m * wide(a2)) >> 64)
    q = (turns + (1 << 125)) >> 126
    f = turns - (q << 126)

    def part(k: int) -> Val:
        piece = code.emit(f"trunc {(f >> (32 * k)).typed} to i32", "i32")
        how = "sitofp" if k == 3 else "uitofp"
        return code.emit(f"{how} {piece.typed} to double", "double") * 2.0 ** (32 * k - 128)

    p3, p2, p1, p0 = (part(k) for k in (3, 2, 1, 0))
    h, e = fast_two_sum(p3, p2)
    h, e = fast_two_sum(h, e + (p1 + p0))
    r = pairs.mul(b, (h, e), pairs.constant(b, t.TWO_PI))
    negative = x < 0.0
    quarter = code.emit(f"trunc {q.typed} to i64", "i64")
    undefined = ~(b.abs(x) < float("inf"))
    r0 = b.select(undefined, float("nan"), b.select(negative, -r[0], r[0]))
    return [b.select(negative, -quarter, quarter), r0, b.select(negative, -r[1], r[1])]


def quarters(b: Lanes, x: Val) -> tuple[Val, Pair]:
    """x = q pi/2 + r: q in the low bits of an integer, and r as a pair."""
    k, bits = nearest(b, x, t.PER_HALF_PI)
    r0 = less_product(b, x, k, t.HALF_PI[0])
    p, pe = two_prod(b, k, t.HALF_PI[1])
    r1, e = two_sum(r0, -p)
    r = fast_two_sum(r1, e - b.mad(k, t.HALF_PI[2], pe))
    usual = b.abs(x) <= FAR

    def far() -> list[Val]:
        q, h, l = b.code.each_lane(_quarters_far, [x], ["i64", "double", "double"])
        return [b.select(usual, bits, q), b.select(usual, r[0], h), b.select(usual, r[1], l)]

    q, h, l = b.code.branch(b.code.any(~usual), far, lambda: [bits, *r])
    return q, (h, l)


def sin_cos(b: Lanes, r: Pair) -> tuple[Pair, Pair]:
    """Sine and cosine of a pair, |r| <= pi/4 or a little more, as pairs whose low parts are not yet added."""
    h, l = r
    z = h * h
    half = 0.5 * z
    w = 1.0 - half
    s = b.mad(h * z, b.poly(z, t.SIN), l * w)
    c = ((1.0 - w) - half) + b.mad(z * z, b.poly(z, t.COS), -(h * l))
    return (h, s), (w, c)


def _turned(b: Lanes, q: Val, y: Val) -> Val:
    """`y`, its sign turned where bit 1 of q is set."""
    return b.from_bits(b.to_bits(y) ^ ((q & 2) << 62))


def sin(b: Lanes, x: Val) -> Val:
    q, r = quarters(b, x)
    s, c = sin_cos(b, r)
    odd = (q & 1).ne(0)
    y = b.select(odd, c[0], s[0]) + b.select(odd, c[1], s[1])
    return b.select(b.abs(x) < 2.0**-27, x, _turned(b, q, y))


def cos(b: Lanes, x: Val) -> Val:
    q, r = quarters(b, x)
    s, c = sin_cos(b, r)
    odd = (q & 1).ne(0)
    y = b.select(odd, s[0], c[0]) + b.select(odd, s[1], c[1])
    return _turned(b, q + 1, y)


def tan(b: Lanes, x: Val) -> Val:
    q, r = quarters(b, x)
    s, c = sin_cos(b, r)
    s, c = fast_two_sum(*s), fast_two_sum(*c)
    odd = (q & 1).ne(0)
    y = pairs.joined(pairs.div(b, pairs.select(b, odd, c, s), pairs.select(b, odd, s, c)))
    y = b.from_bits(b.to_bits(y) ^ ((q & 1) << 63))
    return b.select(b.abs(x) < 2.0**-27, x, y)


__all__ = ["Any", "cos", "quarters", "sin", "sin_cos", "tan"]
