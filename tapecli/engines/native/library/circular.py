"""Sine, cosine and tangent.

The argument less the nearest multiple of pi/2, as a pair: with pi/2 in four parts (Cody and Waite; all products but the
last are exact) up to 2^27, beyond by M. Payne and R. Hanek, Radian reduction for trigonometric functions, SIGNUM
Newsletter 18 (1983), in integers, lane by lane. Then minimax polynomials for |r| <= pi/4.
"""

from __future__ import annotations

from itertools import pairwise

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library import pairs
from tapecli.engines.native.library import tables as t
from tapecli.engines.native.library.exponential import nearest
from tapecli.engines.native.library.pairs import Pair, fast_two_sum, less_product
from tapecli.engines.native.library.turns import quarter

#: Up to here multiples of the parts of pi/2 are exact.
FAR = 2.0**27


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
        code.emit(f"call i64 @llvm.fshl.i64({p.typed}, {q.typed}, {shift.typed})", "i64") for p, q in pairwise(w)
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
    first, second, third, rest = t.HALF_PI_CUT
    top = b.mad(k, -second, b.mad(k, -first, x))  # exact
    h = b.mad(k, -third, top)
    r = h, b.mad(k, -rest, b.mad(k, -third, top - h))
    usual = b.abs(x) <= FAR

    def far() -> list[Val]:
        q, h, lo = b.code.each_lane(_quarters_far, [x], ["i64", "double", "double"])
        return [b.select(usual, bits, q), b.select(usual, r[0], h), b.select(usual, r[1], lo)]

    q, h, lo = b.code.branch(b.code.any(~usual), far, lambda: [bits, *r])
    return q, (h, lo)


def sin_cos(b: Lanes, r: Pair) -> tuple[Pair, Pair]:
    """Sine and cosine of a pair, |r| <= pi/4 or a little more, as pairs whose low parts are not yet added."""
    h, lo = r
    z = h * h
    c = b.mad(z, b.mad(z, b.poly(z, t.COS), -0.5), -(h * lo))
    s = b.mad(h * z, b.poly(z, t.SIN), lo * b.mad(z, -0.5, 1.0))
    return (h, s), (b.const(1.0), c)


def _turned(b: Lanes, q: Val, y: Val) -> Val:
    """`y`, its sign turned where bit 1 of q is set."""
    return b.from_bits(b.to_bits(y) ^ ((q & 2) << 62))


def sin(b: Lanes, x: Val) -> Val:
    q, r = b.once(quarters, x)
    s, c = b.once(sin_cos, r)
    odd = (q & 1).ne(0)
    y = b.select(odd, c[0], s[0]) + b.select(odd, c[1], s[1])
    return b.select(b.abs(x) < 2.0**-27, x, _turned(b, q, y))


def cos(b: Lanes, x: Val) -> Val:
    q, r = b.once(quarters, x)
    s, c = b.once(sin_cos, r)
    odd = (q & 1).ne(0)
    y = b.select(odd, s[0], c[0]) + b.select(odd, s[1], c[1])
    return _turned(b, q + 1, y)


def tan(b: Lanes, x: Val) -> Val:
    q, r = b.once(quarters, x)
    s, c = b.once(sin_cos, r)
    s, c = fast_two_sum(*s), fast_two_sum(*c)
    odd = (q & 1).ne(0)
    y = pairs.ratio(b, pairs.select(b, odd, c, s), pairs.select(b, odd, s, c))
    y = b.from_bits(b.to_bits(y) ^ ((q & 1) << 63))
    return b.select(b.abs(x) < 2.0**-27, x, y)


def _half_turns(b: Lanes, x: Val) -> tuple[Val, Pair]:
    """pi x = q pi/2 + r: q in the low bits of an integer, and r as a pair."""
    r, bits = quarter(b, x)
    return bits, pairs.mul1(b, pairs.constant(b, t.PI), r)


def _degrees(b: Lanes, x: Val) -> tuple[Val, Pair]:
    """x degrees likewise."""
    usual = b.abs(x) < 2.0**45

    def far() -> list[Val]:
        # a whole number: whole turns are taken away, greatest powers of two first, each time exactly
        y = x
        for power in range(975, -1, -45):
            turn = 360.0 * 2.0**power
            y = y - turn * b.rint(y / turn)
        return [b.select(usual, x, y)]

    (y,) = b.code.branch(b.code.any(~usual), far, lambda: [x])
    k, bits = nearest(b, y, 1.0 / 90.0)
    return bits, pairs.mul1(b, pairs.constant(b, t.RADIANS), less_product(b, y, k, 90.0))


def _sin_of(b: Lanes, x: Val, q: Val, r: Pair) -> Val:
    s, c = sin_cos(b, r)
    odd = (q & 1).ne(0)
    y = _turned(b, q, b.select(odd, c[0], s[0]) + b.select(odd, c[1], s[1]))
    return b.select(y.eq(0.0), b.copysign(0.0, x), y)


def _cos_of(b: Lanes, q: Val, r: Pair) -> Val:
    s, c = sin_cos(b, r)
    odd = (q & 1).ne(0)
    return _turned(b, q + 1, b.select(odd, s[0], c[0]) + b.select(odd, s[1], c[1])) + 0.0


def _tan_of(b: Lanes, x: Val, q: Val, r: Pair) -> Val:
    """Infinite, with the sign of the sine, where the cosine is 0."""
    s, c = sin_cos(b, r)
    s, c = fast_two_sum(*s), fast_two_sum(*c)
    odd = (q & 1).ne(0)
    below = pairs.select(b, odd, s, c)
    pole = below[0].eq(0.0)
    y = pairs.ratio(b, pairs.select(b, odd, c, s), (b.select(pole, 1.0, below[0]), below[1]))
    y = b.from_bits(b.to_bits(y) ^ ((q & 1) << 63))
    y = b.select(pole, _turned(b, q, b.const(float("inf"))), y)
    return b.select(y.eq(0.0), b.copysign(0.0, x), y)


def sinpi(b: Lanes, x: Val) -> Val:
    return _sin_of(b, x, *_half_turns(b, x))


def cospi(b: Lanes, x: Val) -> Val:
    return _cos_of(b, *_half_turns(b, x))


def tanpi(b: Lanes, x: Val) -> Val:
    return _tan_of(b, x, *_half_turns(b, x))


def sind(b: Lanes, x: Val) -> Val:
    return _sin_of(b, x, *_degrees(b, x))


def cosd(b: Lanes, x: Val) -> Val:
    return _cos_of(b, *_degrees(b, x))


def tand(b: Lanes, x: Val) -> Val:
    return _tan_of(b, x, *_degrees(b, x))


def sinc(b: Lanes, x: Val) -> Val:
    """sin(pi x)/(pi x) as a quotient of pairs, 1 at 0."""
    a = b.abs(x)
    small = a < 1e-9
    v = b.select(small, 0.5, b.select(a > 2.0**60, 2.0**60, a))
    q, r = _half_turns(b, v)
    s, c = sin_cos(b, r)
    odd = (q & 1).ne(0)
    top = fast_two_sum(b.select(odd, c[0], s[0]), b.select(odd, c[1], s[1]))
    y = pairs.ratio(b, top, pairs.mul1(b, pairs.constant(b, t.PI), v))
    return b.select(small, 1.0, b.select(a < float("inf"), _turned(b, q, y), 0.0 / a))
