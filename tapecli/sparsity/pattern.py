"""Where a Jacobian can have nonzeros, found from the graph: the set of inputs that each entry of each node rests on.

Sets of inputs are numbered, and a node's sets are an array of such numbers in the node's own shape. An op that moves
entries then moves their sets by its own kernel, 0 being the empty set as it is the zero that fills gaps. An op that
joins entries is known by its derivative rule, which is linear in the cotangent and spreads it back over just the
entries that were joined: the sets that the rule finds for its result are those of the op, transposed. So neither the
linear nor the dense ops are described here one by one.

What is found holds at every point: a choice counts with both its branches unless its condition is a number, and
entries that happen to be zero are not left out. Nothing that can differ from zero is ever missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapecli.core import Array, Op
from tapecli.errors import TapeError
from tapecli.graph import INPUT, LITERAL, Graph, Node, needed, replay
from tapecli.ops.arithmetic import select
from tapecli.ops.dense import matmul
from tapecli.records import NamedTuple

#: The set of no inputs, the set of all, and the set of the first input alone; the other inputs follow.
EMPTY, EVERY, FIRST = 0, 1, 2
#: More members of sets than this are not kept, and more nonzeros than that are refused.
LIMIT = 2**26
NONZEROS = 2**25
#: Unions are made of about this many members at a time.
BLOCK = 2**21
#: A linear op that neither it nor its rule explains is run on this many entries of unit vectors at most.
PROBES = 2**24


class Pattern(NamedTuple):
    """The coordinates (from 0) of what can differ from zero, row by row, over the flattened outputs and inputs.

    `exact` is false where the sets outgrew the limit and some were taken to be everything.
    """

    rows: Array
    columns: Array
    shape: tuple[int, int]
    exact: bool


class _Growing:
    """An array that is added to at its end."""

    __slots__ = ("_room", "size")

    def __init__(self, values: Array) -> None:
        self._room = values
        self.size = values.size

    @property
    def values(self) -> Array:
        return self._room[: self.size]

    def extend(self, values: Array) -> None:
        size = self.size + values.size
        if size > self._room.size:
            room = np.empty(max(size, 2 * self._room.size), dtype=self._room.dtype)
            room[: self.size] = self.values
            self._room = room
        self._room[self.size : size] = values
        self.size = size


def _distinct(keys: Array) -> Array:
    """The distinct ones of `keys`, in order. Sorting is many times faster here than NumPy's hashing."""
    keys = np.array(keys)
    keys.sort()
    first = np.ones(keys.size, dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    found: Array = keys[first]
    return found


class Sets:
    """Numbered sets of the columns 0..n-1. A set is a stretch of one long array, kept once; `exact` as in `Pattern`."""

    __slots__ = ("_lengths", "_members", "_starts", "exact", "limit", "n")

    def __init__(self, n: int, limit: int) -> None:
        self.n = n
        self.limit = limit
        self.exact = True
        each = np.arange(n)
        self._members = _Growing(each.astype(np.int32) if n < 2**31 else each)
        self._starts = _Growing(np.concatenate([[0, 0], each]))
        self._lengths = _Growing(np.concatenate([[0, n], np.ones(n, dtype=np.int64)]))

    def lengths(self, numbers: Array) -> Array:
        """How many members each set has."""
        found: Array = self._lengths.values[numbers]
        return found

    def members(self, numbers: Array) -> tuple[Array, Array]:
        """The members of each set, one set after the other: its place in `numbers`, and the column."""
        sizes = self.lengths(numbers)
        places = np.repeat(np.arange(numbers.size), sizes)
        skip = np.cumsum(sizes) - sizes
        return places, self._members.values[np.arange(places.size) + (self._starts.values[numbers] - skip)[places]]

    def union(self, a: Array, b: Array) -> Array:
        """The unions of the sets of two arrays, entry by entry, with NumPy's broadcasting."""
        if a is b:
            return a
        low, high = np.minimum(a, b), np.maximum(a, b)
        out = np.asarray(np.where((low == EMPTY) | (low == high), high, EVERY))
        open_ = (low >= FIRST) & (low != high)
        low, high = low[open_], high[open_]
        if low.size:
            inside = self._holds(high, low)
            result = np.where(inside, high, EMPTY)
            result[~inside] = self._pairs(low[~inside], high[~inside])
            out[open_] = result
        return out

    def _pairs(self, low: Array, high: Array) -> Array:
        keys = low * self._starts.size + high
        inverse = None
        if not (keys[1:] > keys[:-1]).all():
            keys, inverse = np.unique(keys, return_inverse=True)
        pairs = np.stack(np.divmod(keys, self._starts.size), axis=1).reshape(-1)
        found = self._united(pairs, np.repeat(np.arange(keys.size), 2), keys.size)
        return found if inverse is None else found[inverse]

    def _holds(self, numbers: Array, others: Array) -> Array:
        """Whether each set holds the other: told for others of a single input, by bisection; false for larger ones."""
        single = others < FIRST + self.n
        column = others[single] - FIRST
        at, sizes = self._starts.values[numbers[single]], self.lengths(numbers[single])
        end, members = at + sizes, self._members.values
        for k in reversed(range(int(sizes.max(initial=1)).bit_length())):
            probe = at + (1 << k)
            on = probe < end
            on[on] = members[probe[on]] <= column[on]
            at = np.where(on, probe, at)
        held = np.zeros(numbers.size, dtype=bool)
        held[single] = members[at] == column
        return held

    def merged(self, numbers: Array, groups: Array, count: int) -> Array:
        """The union of the sets of each group 0..count-1."""
        kept = numbers != EMPTY
        keys = _distinct(groups[kept] * self._starts.size + numbers[kept])
        groups, numbers = np.divmod(keys, self._starts.size)
        return self._united(numbers, groups, count)

    def _united(self, numbers: Array, groups: Array, count: int) -> Array:
        """`merged`, for groups in order and without repetitions."""
        counts = np.bincount(groups, minlength=count)
        result = np.zeros(count, dtype=np.int64)
        result[groups] = numbers  # all there is to do for groups of one
        result[groups[numbers == EVERY]] = EVERY
        open_ = (counts > 1) & (result != EVERY)
        if open_.any():
            kept = open_[groups]
            result[open_] = self._in_blocks(numbers[kept], (np.cumsum(open_) - 1)[groups[kept]])
        return result

    def _in_blocks(self, numbers: Array, groups: Array) -> Array:
        """The unions of groups of several sets, so many groups at a time that little memory is needed."""
        sizes = self.lengths(numbers)
        first = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
        block = (np.cumsum(sizes) - sizes)[first] // BLOCK
        cuts = first[np.concatenate([[True], block[1:] != block[:-1]])].tolist()
        found = [
            self._block(numbers[a:b], groups[a:b] - groups[a], sizes[a:b])
            for a, b in zip(cuts, [*cuts[1:], numbers.size], strict=True)
        ]
        return np.concatenate(found)

    def _block(self, numbers: Array, groups: Array, sizes: Array) -> Array:
        count = int(groups[-1]) + 1
        if int(sizes.sum()) + self._members.size > self.limit:
            self.exact = False
            return np.full(count, EVERY)
        places, columns = self.members(numbers)
        keys = _distinct(groups[places] * self.n + columns)
        group, columns = np.divmod(keys, self.n)
        found = np.bincount(group, minlength=count)
        result = np.full(count, -1)
        same = sizes == found[groups]  # a set that is as large as the union is the union
        result[groups[same]] = numbers[same]
        result[found == self.n] = EVERY
        new = result == -1
        result[new] = self._added(found[new], columns[new[group]])
        return result

    def _added(self, lengths: Array, columns: Array) -> Array:
        first = self._starts.size
        self._starts.extend(self._members.size + np.cumsum(lengths) - lengths)
        self._lengths.extend(lengths)
        self._members.extend(columns)
        return np.arange(first, first + lengths.size)


class _Search:
    """One search through a graph. `above` are the ops whose rules are being looked into."""

    __slots__ = ("above", "dtype", "env", "fixed", "known", "sets", "values")

    def __init__(
        self, inputs: Sequence[Node], known: Mapping[Node, Array], dtype: Any, limit: int, above: frozenset[Op]
    ) -> None:
        self.sets = Sets(sum(node.size for node in inputs), limit)
        self.above = above
        self.dtype = np.dtype(dtype)
        self.known = {node: np.asarray(value, dtype=dtype) for node, value in known.items()}
        self.env: dict[int, Array] = {}
        self.fixed = {node.index for node in known}
        self.values: dict[int, Array] = {}
        before = FIRST
        for node in inputs:
            self.env[node.index] = np.arange(before, before + node.size).reshape(node.shape)
            before += node.size

    def run(self, outputs: Sequence[Node], inputs: Sequence[Node]) -> list[Array]:
        """The sets of the outputs' entries."""
        order = needed(outputs, inputs)
        last = {arg.index: node.index for node in order for arg in node.args}
        last.update({node.index: -1 for node in outputs})
        for node in order:
            if node.op is LITERAL or (node.args and all(arg.index in self.fixed for arg in node.args)):
                self.fixed.add(node.index)
            elif node.index not in self.env and node.op is not INPUT:
                live = [i for i, a in enumerate(node.args) if a.index in self.env and node.op.rule(i) is not None]
                found = self.sets_of(node, live) if live else None
                if found is not None and found.any():
                    self.env[node.index] = found
            for arg in node.args:
                if last[arg.index] == node.index:
                    self.env.pop(arg.index, None)
        nothing = np.zeros((), dtype=np.int64)
        return [np.broadcast_to(self.env.get(node.index, nothing), node.shape) for node in outputs]

    def sets_of(self, node: Node, live: Sequence[int]) -> Array:
        """The sets of the entries of a node, of whose arguments the `live` ones pass something on."""
        op = node.op
        if op.kind == "elementwise":
            return self._entrywise(node, live)
        if op.kind == "linear":
            moved = self._moved(node, live)
            if moved is not None:
                return moved
        if op is matmul:
            return self._product(node, live)
        if op in self.above or (op.kind != "linear" and callable(op.vjps)):
            # the rule leads back to the op itself, or, of a recurrence, to another recurrence
            probed = op.kind == "linear" and sum(node.args[i].size for i in live) * node.size <= PROBES
            return self._probed(node, live) if probed else self._joined(node, live)
        found = np.zeros(node.shape, dtype=np.int64)
        for i in live:
            found = self.sets.union(found, self._by_rule(node, i))
        return found

    def _entrywise(self, node: Node, live: Sequence[int]) -> Array:
        if node.op is select and node.args[0].index in self.fixed:
            nothing = np.zeros((), dtype=np.int64)
            branches = [self.env.get(arg.index, nothing) for arg in node.args[1:]]
            return np.asarray(np.broadcast_to(select.kernel(self._value(node.args[0]), *branches), node.shape))
        found = self.env[node.args[live[0]].index]
        for i in live[1:]:
            found = self.sets.union(found, self.env[node.args[i].index])
        return np.broadcast_to(found, node.shape)

    def _value(self, node: Node) -> Array:
        if node.index not in self.values:
            with np.errstate(all="ignore"):
                self.values[node.index] = np.asarray(replay([node], self.known, self.dtype.type)[0])
        return self.values[node.index]

    def _moved(self, node: Node, live: Sequence[int]) -> Array | None:
        """The sets where the op puts them, or None where it adds entries up."""
        kernel, params = node.op.kernel, node.params
        counts = kernel(*[np.ones(arg.shape) for arg in node.args], **params)
        if np.max(counts, initial=0.0) > 1.0:
            return None
        given = [self.env[a.index] if i in live else np.zeros(a.shape) for i, a in enumerate(node.args)]
        return np.asarray(kernel(*[np.asarray(x, dtype=np.float64) for x in given], **params)).astype(np.int64)

    def _by_rule(self, node: Node, i: int) -> Array:
        """The sets that argument i passes on: by the entries of the result that its rule takes cotangents from."""
        graph = Graph()
        g = graph.input("g", node.shape)
        args = [graph.input(f"argument {k}", arg.shape) for k, arg in enumerate(node.args)]
        rule = node.op.rule(i)
        assert rule is not None
        share = rule(g, graph.input("out", node.shape), *args, **node.params)
        if share is None:
            return np.zeros(node.shape, dtype=np.int64)
        inner = _Search([g], {}, self.dtype, self.sets.limit, self.above | {node.op})
        (back,) = inner.run([share], [g])
        self.sets.exact &= inner.sets.exact
        kinds, which = np.unique(np.broadcast_to(back, args[i].shape).reshape(-1), return_inverse=True)
        totals = self.sets.merged(self.env[node.args[i].index].reshape(-1), which, kinds.size)
        places, entries = inner.sets.members(kinds)
        return self.sets.merged(totals[places], entries.astype(np.int64), node.size).reshape(node.shape)

    def _product(self, node: Node, live: Sequence[int]) -> Array:
        """A product of matrices joins rows of the one and columns of the other. Its rule is a product, and no help."""
        found = np.zeros(node.shape, dtype=np.int64)
        for i in live:
            inner = -2 if i and node.args[1].ndim > 1 else -1
            whole = np.moveaxis(self.env[node.args[i].index], inner, -1)
            groups = np.repeat(np.arange(whole.size // max(whole.shape[-1], 1)), whole.shape[-1])
            joined = self.sets.merged(whole.reshape(-1), groups, groups.size // max(whole.shape[-1], 1))
            joined = joined.reshape(whole.shape[:-1])
            if i == 0 and node.args[1].ndim > 1:
                joined = joined[..., None]
            elif i == 1 and node.args[0].ndim > 1 and node.args[1].ndim > 1:
                joined = joined[..., None, :]
            found = self.sets.union(found, joined)
        return found

    def _joined(self, node: Node, live: Sequence[int]) -> Array:
        """Every entry rests on everything that the arguments rest on."""
        numbers = np.concatenate([self.env[node.args[i].index].reshape(-1) for i in live])
        return np.broadcast_to(self.sets.merged(numbers, np.zeros(numbers.size, dtype=np.int64), 1)[0], node.shape)

    def _probed(self, node: Node, live: Sequence[int]) -> Array:
        """The sets that a linear op passes on, seen by its values at unit vectors."""
        blank = [np.zeros(arg.shape) for arg in node.args]
        numbers, groups = [], []
        for i in live:
            for k, number in enumerate(self.env[node.args[i].index].reshape(-1).tolist()):
                if number != EMPTY:
                    blank[i].reshape(-1)[k] = 1.0
                    groups.append(np.flatnonzero(node.op.kernel(*blank, **node.params)))
                    numbers.append(np.full(groups[-1].size, number))
                    blank[i].reshape(-1)[k] = 0.0
        return self.sets.merged(np.concatenate(numbers), np.concatenate(groups), node.size).reshape(node.shape)


def jacobian_pattern(
    outputs: Sequence[Node],
    inputs: Sequence[Node],
    known: Mapping[Node, Array] = {},
    dtype: Any = np.float64,
    limit: int = LIMIT,
) -> Pattern:
    """Where the derivatives of the outputs' entries to the inputs' can differ from zero.

    `known` are nodes whose values are always these; conditions are decided in the run's precision, `dtype`. Where the
    sets would outgrow `limit` some are taken to be everything; too many nonzeros are refused.
    """
    search = _Search(inputs, known, dtype, limit, frozenset())
    found = search.run(outputs, inputs)
    sets = search.sets
    numbers = np.concatenate([np.zeros(0, dtype=np.int64), *[part.reshape(-1) for part in found]])
    total = int(sets.lengths(numbers).sum())
    if total > min(limit, NONZEROS):
        raise TapeError(
            "limit",
            f"{total:,} entries of a {numbers.size:,}×{sets.n:,} matrix of derivatives can differ from zero",
            hint="that many are not stored: ask for products with directions",
        )
    rows, columns = sets.members(numbers)
    return Pattern(rows, columns.astype(np.int64), (numbers.size, sets.n), sets.exact)
