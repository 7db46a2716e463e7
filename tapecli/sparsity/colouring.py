"""Colourings: columns (or rows) of a sparse matrix in few groups, such that a product with the sum of each group gives
back every entry.

The terms and the theory are those of Gebremedhin, Manne and Pothen, What color is your Jacobian? Graph coloring for
computing derivatives, SIAM Review 47, 2005. A set of colours is one Python integer, a bit per colour: the colours that
a vertex cannot take are a few ORs over its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tapecli.core import Array
from tapecli.records import NamedTuple

#: Graphs with more edges are coloured in their natural order only, smaller ones in others too.
PATIENCE = 2**20
#: The colour of what has no entries, and needs no product.
NONE = -1


class Readings(NamedTuple):
    """Where entry k of a matrix is read: at place `places[k]` of the product with the group of colour `colours[k]`."""

    places: Array
    colours: Array


def _lists(first: Array, second: Array, count: int) -> tuple[list[int], list[int]]:
    """`second` grouped by `first`: starts and members."""
    order = np.argsort(first, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=count))])
    return starts.tolist(), second[order].tolist()


def smallest_last(starts: Sequence[int], neighbours: Sequence[int]) -> list[int]:
    """The vertices such that each has the least degree among itself and those before it (Matula and Beck, 1983)."""
    n = len(starts) - 1
    degree = [starts[v + 1] - starts[v] for v in range(n)]
    buckets: list[list[int]] = [[] for _ in range(max(degree, default=0) + 1)]
    for v in range(n):
        buckets[degree[v]].append(v)
    left = bytearray(b"\x01") * n
    order: list[int] = []
    d = 0
    while len(order) < n:
        while not buckets[d]:
            d += 1
        v = buckets[d].pop()
        if not left[v] or degree[v] != d:
            continue
        left[v] = 0
        order.append(v)
        for w in neighbours[starts[v] : starts[v + 1]]:
            if left[w]:
                degree[w] -= 1
                buckets[degree[w]].append(w)
        d = max(d - 1, 0)
    order.reverse()
    return order


def _lowest_free(taken: int) -> int:
    return (~taken & (taken + 1)).bit_length() - 1


# ---- symmetric matrices: star colouring -------------------------------------------------------------------------


def star(rows: Array, columns: Array, n: int) -> Array:
    """Colours of the columns of a symmetric matrix, of which both halves are given: neighbours differ, and a path of
    four vertices has three colours at least. Every entry can then be read from one product.
    """
    if rows.size == n * n:
        return np.arange(n)
    off = rows != columns
    starts, neighbours = _lists(rows[off], columns[off], n)
    best = greedy_star(starts, neighbours, range(n))
    if len(neighbours) <= PATIENCE:
        other = greedy_star(starts, neighbours, smallest_last(starts, neighbours))
        best = min(best, other, key=lambda colours: max(colours, default=NONE))
    colours = np.array(best, dtype=np.int64)
    colours[np.bincount(rows, minlength=n) == 0] = NONE
    return _without_gaps(colours)


def greedy_star(starts: Sequence[int], neighbours: Sequence[int], order: Iterable[int]) -> list[int]:
    """The least colour that keeps every component of any two colours a star, for each vertex in turn (after
    Gebremedhin, Tarafdar, Manne and Pothen, SIAM Journal on Scientific Computing 29, 2007, algorithm 4.1).

    A vertex keeps as bits: the colours of its neighbours (`near`), those of more than one of them (`twice`), and those
    of the hubs of stars in which it is a leaf (`hubs`).
    """
    n = len(starts) - 1
    colour = [NONE] * n
    near, twice, hubs = [0] * n, [0] * n, [0] * n
    for v in order:
        around = [w for w in neighbours[starts[v] : starts[v + 1]] if colour[w] >= 0]
        once, again = near[v], twice[v]
        taken = once
        for w in around:  # below a repeated colour v becomes a hub, and no leaf has v's colour elsewhere
            taken |= near[w] if again >> colour[w] & 1 else hubs[w]
        c = colour[v] = _lowest_free(taken)
        bit = 1 << c
        for w in around:
            if again >> colour[w] & 1:
                hubs[w] |= bit
            elif near[w] & bit:  # w is the hub of v, and of its other neighbours of this colour
                mark = 1 << colour[w]
                if not twice[w] & bit:
                    for x in neighbours[starts[w] : starts[w + 1]]:
                        if colour[x] == c:
                            hubs[x] |= mark
                hubs[v] |= mark
        for w in neighbours[starts[v] : starts[v + 1]]:
            twice[w] |= near[w] & bit
            near[w] |= bit
    return colour


def star_readings(rows: Array, columns: Array, colours: Array) -> Readings:
    """Where the entries of a symmetric matrix (row by row, both halves) are read: mirror images at one place."""
    count = int(colours.max(initial=NONE)) + 1
    alone = np.ones(rows.size, dtype=bool)
    if count < colours.size:
        _, which, together = np.unique(rows * count + colours[columns], return_inverse=True, return_counts=True)
        alone = together[which] == 1
    other = alone[np.lexsort((rows, columns))]  # the same for the entry's mirror image
    own = np.where(rows >= columns, alone, ~other)
    return Readings(np.where(own, rows, columns), np.where(own, colours[columns], colours[rows]))


# ---- any matrix: groups of columns that share no row --------------------------------------------------------------


def disjoint(rows: Array, columns: Array, shape: tuple[int, int]) -> Array:
    """Colours of the columns such that no two of a colour have an entry in the same row."""
    m, n = shape
    if rows.size == m * n:
        return np.arange(n) if m else np.full(n, NONE)
    starts, found = _lists(columns, rows, n)
    orders: list[Iterable[int]] = [range(n)]
    if rows.size <= PATIENCE:
        sizes = np.bincount(columns, minlength=n)
        orders.append(np.argsort(-sizes, kind="stable").tolist())
        if int((np.bincount(rows, minlength=m) ** 2).sum()) <= PATIENCE:
            orders.append(smallest_last(*_meetings(rows, columns, shape)))
    best = min((greedy_disjoint(starts, found, m, order) for order in orders), key=lambda c: max(c, default=NONE))
    return _without_gaps(np.array(best, dtype=np.int64))


def greedy_disjoint(starts: Sequence[int], rows: Sequence[int], m: int, order: Iterable[int]) -> list[int]:
    """The least colour that no row of the column has seen yet, for each column in turn."""
    colour = [NONE] * (len(starts) - 1)
    seen = [0] * m
    for v in order:
        own = rows[starts[v] : starts[v + 1]]
        taken = 0
        for r in own:
            taken |= seen[r]
        if own:
            colour[v] = _lowest_free(taken)
            bit = 1 << colour[v]
            for r in own:
                seen[r] |= bit
    return colour


def _meetings(rows: Array, columns: Array, shape: tuple[int, int]) -> tuple[list[int], list[int]]:
    """The graph whose edges join columns that share a row."""
    m, n = shape
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    sizes = np.bincount(rows, minlength=m)
    first = (np.cumsum(sizes) - sizes)[rows]
    many = sizes[rows]
    one = np.repeat(np.arange(rows.size), many)
    two = np.repeat(first, many) + np.arange(one.size) - np.repeat(np.cumsum(many) - many, many)
    keys = np.unique((columns[one] * n + columns[two])[one != two])
    return _lists(keys // n, keys % n, n)


def _without_gaps(colours: Array) -> Array:
    """The same groups, numbered 0, 1, … without those that nothing is left in."""
    used, numbers = np.unique(colours[colours >= 0], return_inverse=True)
    result = np.full(colours.size, NONE)
    result[colours >= 0] = np.arange(used.size)[numbers]
    return result
