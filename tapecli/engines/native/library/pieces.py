"""Functions by a polynomial on each of 16 intervals, whose coefficients are looked up."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from tapecli.engines.native.ir import Val
from tapecli.engines.native.lanes import Lanes
from tapecli.engines.native.library.pairs import Pair, two_prod, two_sum
from tapecli.records import NamedTuple


class Pieces(NamedTuple):
    """`heads + slopes u + (lows + u P(u))` with u = x - points - points_low, one entry for each interval; `rows` are
    the coefficients of P, lowest power first. A row that is 0 throughout is empty. Where `points_low` is not 0, the
    slope is 1, and the rounding of u is made good."""

    points: tuple[float, ...]
    points_low: tuple[float, ...]
    heads: tuple[float, ...]
    lows: tuple[float, ...]
    slopes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    #: what the first of the rows lacks, for pairs
    first_low: tuple[float, ...] = ()


def piecewise(b: Lanes, table: Pieces, x: Val, index: Val, up: Any = None) -> Pair:
    """The function at `x + up` as a sum of two parts, the second of which is small."""

    def pick(row: Sequence[float]) -> Val:
        return b.lookup(index, row)[0]

    point = pick(table.points)
    exact = x - (point if up is None else point - up)
    rows = [pick(row) for row in table.rows]
    low = pick(table.lows)
    u = exact
    if table.points_low:
        rest = pick(table.points_low)
        u = exact - rest
        low = low + ((exact - u) - rest)
    low = b.mad(u, b.poly(u, rows), low)
    head = pick(table.heads)
    return (b.mad(u, pick(table.slopes), head) if table.slopes else head), low


def piecewise_pair(b: Lanes, table: Pieces, x: Pair, index: Val, up: Val) -> Pair:
    """The same at a pair and to about 2^-60: the first two terms are taken exactly."""

    def pick(row: Sequence[float]) -> Val:
        return b.lookup(index, row)[0]

    u, e = two_sum(x[0], up - pick(table.points))
    rows = [pick(row) for row in table.rows]
    slope = pick(table.slopes)
    head, f = two_sum(pick(table.heads), u * slope)
    p, g = two_prod(b, u, rows[0])
    head, h = two_sum(head, p)
    low = b.mad(u, pick(table.first_low), pick(table.lows)) + ((f + g) + h)
    low = b.mad(u * u, b.poly(u, rows[1:]), low)
    steep = slope + b.mad(u + u, rows[1], rows[0])  # the derivative by its first terms
    return head, b.mad(e + x[1], steep, low)


def octaves(b: Lanes, x: Val, first: float) -> Val:
    """The index of a table with four pieces in each octave from `first` on, a power of two, in its low bits."""
    begin: int = struct.unpack("<q", struct.pack("<d", first))[0] >> 50
    return (b.to_bits(x) >> 50) - begin
