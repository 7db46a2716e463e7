"""Functions by a polynomial on each of 16 intervals, whose coefficients are looked up."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from tapecli.engines.native.host import host
from tapecli.engines.native.ir import Code, Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library.pairs import Pair, two_prod, two_sum

#: How many intervals there are: as many as two registers of AVX-512 hold.
COUNT = 16


class Pieces(NamedTuple):
    """`heads + slopes u + (lows + u P(u))` with u = x - points - points_low, one entry for each interval; `rows` are
    the coefficients of P, lowest power first. A row that is 0 throughout is empty. Where `points_low` is not 0, the
    slope is 1, and the rounding of u is made good."""

    name: str
    points: tuple[float, ...]
    points_low: tuple[float, ...]
    heads: tuple[float, ...]
    lows: tuple[float, ...]
    slopes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    #: what the first of the rows lacks, for pairs
    first_low: tuple[float, ...] = ()


def permutes(code: Code) -> bool:
    """Whether an instruction picks entries out of two registers of 8 doubles."""
    known = getattr(code.module, "avx512", None)
    if known is not None:
        return bool(known)
    machine = host()
    return machine is not None and machine.bytes == 64


def lookup(b: Lanes, name: str, row: Sequence[float], index: Val) -> Val:
    """`row[index]`, by the low bits of an integer index; `name` is the row's own."""
    code = b.code
    if index.lanes == 2 * 8 and permutes(code):
        halves = [_permuted(code, row, _half(code, index, k)) for k in (0, 8)]
        order = ", ".join(f"i32 {k}" for k in range(16))
        return code.emit(f"shufflevector {halves[0].typed}, {halves[1].typed}, <16 x i32> <{order}>", "double", 16)
    if index.lanes == 8 and permutes(code):
        return _permuted(code, row, index)
    return loaded(code, constants(code, f"row.{name}", row), index & (COUNT - 1))


def constants(code: Code, name: str, values: Sequence[float]) -> Val:
    """The address of an array of doubles, which the module has once."""
    return code.words(name, [struct.unpack("<q", struct.pack("<d", v))[0] for v in values])


def _half(code: Code, index: Val, start: int) -> Val:
    order = ", ".join(f"i32 {k}" for k in range(start, start + 8))
    return code.emit(f"shufflevector {index.typed}, {index.type} poison, <8 x i32> <{order}>", "i64", 8)


def _permuted(code: Code, row: Sequence[float], index: Val) -> Val:
    wide = "<8 x double>"
    first, second = (
        f"{wide} <{', '.join(code.constant(v, 'double').typed for v in part)}>" for part in (row[:8], row[8:])
    )
    name = "@llvm.x86.avx512.vpermi2var.pd.512"
    code.declare(f"declare {wide} {name}({wide}, <8 x i64>, {wide})")
    return code.emit(f"call {wide} {name}({first}, {index.typed}, {second})", "double", 8)


def loaded(code: Code, base: Val, index: Val) -> Val:
    """The entry of such an array at an index, or those at the lanes of one."""
    n = index.lanes
    place = code.emit(f"getelementptr double, ptr {base.name}, {index.typed}", "ptr", n)
    if n == 1:
        return code.emit(f"load double, ptr {place.name}", "double")
    wide, mask = f"<{n} x double>", f"<{n} x i1>"
    name = f"@llvm.masked.gather.v{n}f64.v{n}p0"
    code.declare(f"declare {wide} {name}(<{n} x ptr>, i32, {mask}, {wide})")
    return code.emit(f"call {wide} {name}({place.typed}, i32 8, {mask} splat (i1 true), {wide} poison)", "double", n)


def polynomial(b: Lanes, x: Val, coefficients: Sequence[Val]) -> Val:
    """The polynomial of looked up coefficients, even and odd powers apart, lowest power first."""
    square = x * x
    even, odd = (list(coefficients[k::2]) for k in (0, 1))
    halves = []
    for part in (even, odd):
        y = part[-1]
        for c in reversed(part[:-1]):
            y = b.mad(y, square, c)
        halves.append(y)
    return b.mad(halves[1], x, halves[0])


def piecewise(b: Lanes, table: Pieces, x: Val, index: Val, up: Any = None) -> Pair:
    """The function at `x + up` as a sum of two parts, the second of which is small."""

    def pick(label: str, row: Sequence[float]) -> Val:
        return lookup(b, f"{table.name}.{label}", row, index)

    point = pick("points", table.points)
    exact = x - (point if up is None else point - up)
    rows = [pick(str(k), row) for k, row in enumerate(table.rows)]
    low = pick("lows", table.lows)
    u = exact
    if table.points_low:
        rest = pick("points_low", table.points_low)
        u = exact - rest
        low = low + ((exact - u) - rest)
    low = b.mad(u, polynomial(b, u, rows), low)
    head = pick("heads", table.heads)
    return (b.mad(u, pick("slopes", table.slopes), head) if table.slopes else head), low


def piecewise_pair(b: Lanes, table: Pieces, x: Pair, index: Val, up: Val) -> Pair:
    """The same at a pair and to about 2^-60: the first two terms are taken exactly."""

    def pick(label: str, row: Sequence[float]) -> Val:
        return lookup(b, f"{table.name}.{label}", row, index)

    u, e = two_sum(x[0], up - pick("points", table.points))
    rows = [pick(str(k), row) for k, row in enumerate(table.rows)]
    slope = pick("slopes", table.slopes)
    head, f = two_sum(pick("heads", table.heads), u * slope)
    p, g = two_prod(b, u, rows[0])
    head, h = two_sum(head, p)
    low = b.mad(u, pick("first_low", table.first_low), pick("lows", table.lows)) + ((f + g) + h)
    low = b.mad(u * u, polynomial(b, u, rows[1:]), low)
    steep = slope + b.mad(u + u, rows[1], rows[0])  # the derivative by its first terms
    return head, b.mad(e + x[1], steep, low)


def octaves(b: Lanes, x: Val, first: float) -> Val:
    """The index of a table with four pieces in each octave from `first` on, a power of two, in its low bits."""
    begin: int = struct.unpack("<q", struct.pack("<d", first))[0] >> 50
    return (b.to_bits(x) >> 50) - begin
