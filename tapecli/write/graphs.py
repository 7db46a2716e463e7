"""From a graph to terms: every op as people write it, and common parts under names.

What has no name in the formula language is written out (`sech2` is a square of `sech`). What cannot be written as a
formula at all, such as a derivative through a recurrence, is refused with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from tapecli.core import Shape
from tapecli.errors import TapeError
from tapecli.graph import INPUT, LITERAL, Node, needed
from tapecli.write import powers
from tapecli.write.branches import settled
from tapecli.write.literals import ENTRIES, literal
from tapecli.write.terms import Term, Terms, is_ones, reachable

#: Graphs of more nodes than this are no formulas for people.
NODES = 10_000
#: Parts of fewer terms than this are written again wherever they occur.
SMALL = 4

Writer: TypeAlias = Callable[[Terms, Node, Sequence[Term]], Term]


class Names:
    """New names that nothing else has."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = set(taken)
        self._count = 0

    def free(self, wanted: str) -> str:
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted

    def next(self) -> str:
        while True:
            self._count += 1
            name = f"t{self._count}"
            if name not in self._taken:
                self._taken.add(name)
                return name


class Written:
    """What a graph says: `bindings`, in order, and `outputs` in terms of them."""

    __slots__ = ("bindings", "outputs")

    def __init__(self, bindings: dict[str, Term], outputs: list[Term]) -> None:
        self.bindings = bindings
        self.outputs = outputs


def written(
    outputs: Sequence[Node], called: Mapping[int, str], taken: set[str], fixed: Collection[str] = ()
) -> Written:
    """The terms of `outputs`. `called` are the names that nodes have already, by index; they are kept where the nodes
    occur. What occurs often and is not small gets a name of its own; `taken` are the names that it cannot have. `fixed`
    are the inputs that do not vary."""
    order = needed(outputs)
    if len(order) > NODES:
        raise TapeError(
            "limit",
            f"the derivative has {len(order):,} operations, which nobody could read",
            hint=f"up to {NODES:,} are written out; `tapecli grad` computes it",
        )
    uses: dict[int, int] = {}
    for node in order:
        for arg in node.args:
            uses[arg.index] = uses.get(arg.index, 0) + 1
    for node in outputs:
        uses[node.index] = uses.get(node.index, 0) + 1
    often = {index for index, count in uses.items() if count > 1}
    for _ in range(4):  # what simplification leaves but one use of needs no name
        made, names = _once(order, outputs, called, often, taken, fixed)
        counts = _counts(made)
        lone = {index for index, name in names.items() if counts.get(name, 0) < 2}
        if not lone:
            break
        often -= lone
    return _pruned(made)


def _once(
    order: Sequence[Node],
    outputs: Sequence[Node],
    called: Mapping[int, str],
    often: set[int],
    taken: set[str],
    fixed: Collection[str],
) -> tuple[Written, dict[int, str]]:
    terms, names = Terms(), Names(taken)
    bindings: dict[str, Term] = {}
    own: dict[int, str] = {}
    env: dict[int, Term] = {}
    for node in order:
        term = _term(terms, node, [env[arg.index] for arg in node.args])
        if node.op is not INPUT and node.op is not LITERAL and term.size >= _least(term):
            name = called.get(node.index)
            if name is None and node.index in often:
                name = own[node.index] = names.next()
            if name is not None:
                bindings[name] = term
                term = terms.name(name, node.shape)
        if node.params["name"] in fixed if node.op is INPUT else all(env[a.index] in terms.steady for a in node.args):
            terms.steady.add(term)
        env[node.index] = term
    bindings = {name: settled(terms, term) for name, term in bindings.items()}
    return Written(bindings, [settled(terms, env[node.index]) for node in outputs]), own


def _least(term: Term) -> int:
    """The size that a name is worth. Conditions stay as they are longer, so that branches can be put together."""
    return 4 * SMALL if term.kind in ("compare", "not", "and", "or") else SMALL


def _counts(made: Written) -> dict[str, int]:
    """How often each name occurs in what is reached."""
    counts: dict[str, int] = {}
    roots = list(made.outputs)
    seen: set[str] = set()
    while roots:
        root = roots.pop()
        for term in reachable([root]):
            for arg in term.args if term.args else ([term] if term is root else []):
                if arg.kind == "name":
                    counts[arg.value] = counts.get(arg.value, 0) + 1
                    if arg.value in made.bindings and arg.value not in seen:
                        seen.add(arg.value)
                        roots.append(made.bindings[arg.value])
    return counts


def _pruned(made: Written) -> Written:
    used = _counts(made)
    return Written({name: term for name, term in made.bindings.items() if used.get(name)}, made.outputs)


# ---- ops --------------------------------------------------------------------------------------------------------


def _term(terms: Terms, node: Node, args: Sequence[Term]) -> Term:
    if node.op is INPUT:
        return terms.name(node.params["name"], node.shape)
    if node.op is LITERAL:
        return literal(terms, node.params["value"])
    write = WRITERS.get(node.op.name)
    if write is None:
        raise TapeError(
            "unsupported",
            f"the derivative has a part that no formula says: `{node.op.name}`, {node.op.doc}",
            place=node.place,
            hint="`tapecli grad` computes it",
        )
    return write(terms, node, args)


def _call(name: str) -> Writer:
    return lambda t, node, args: t.call(name, args, node.shape)


def _compare(sign: str) -> Writer:
    return lambda t, node, args: t.make("compare", sign, args, node.shape)


def _choose(t: Terms, condition: Term, x: Term, y: Term, shape: Shape) -> Term:
    return t.choose(condition, x, y, shape)


def _unary(f: Callable[[Terms, Term, Shape], Term]) -> Writer:
    """An elementwise op of one argument as a formula of it."""
    return lambda t, node, args: f(t, args[0], node.shape)


def _squared(t: Terms, x: Term) -> Term:
    return t.power(x, 2.0)


def _less_square(t: Terms, x: Term) -> Term:
    """1 - x^2"""
    return t.total([(t.num(1.0), 1.0), (_squared(t, x), -1.0)])


def _along(name: str) -> Writer:
    """A reduction: of all entries, or along one axis, counted from 1."""

    def write(t: Terms, node: Node, args: Sequence[Term]) -> Term:
        x = args[0]
        axes = sorted(node.params["axes"], reverse=True)
        if len(axes) == len(x.shape):
            if name == "sum" and is_ones(x):
                return t.num(float(np.prod(x.shape)))
            return t.call(name, args, node.shape)
        kept = node.shape if name == "softmax" else None
        if len(axes) > 1 and name != "sum":
            raise TapeError("unsupported", f"`{name}` along two axes at once is not written out", place=node.place)
        for axis in axes:
            shape = kept or (*x.shape[:axis], *x.shape[axis + 1 :])
            x = t.call(name, [x], shape, (("axis", str(axis + 1)),))
        return x

    return write


def _slice(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    p = node.params
    (x,) = args
    axis, count = p["axis"], node.shape[p["axis"]]
    if not count:
        raise TapeError("unsupported", "an empty slice is not written out", place=node.place)
    first, last = p["start"] + 1, p["start"] + 1 + (count - 1) * p["step"]
    items = [":"] * len(x.shape)
    if x.kind == "index" and isinstance(x.value, tuple):  # a part of a part is a part of the whole
        open_ = [k for k, item in enumerate(x.value) if not item.isdigit()]
        start, dots, rest = x.value[open_[axis]].partition("..")
        if start == ":" or (dots and " by " not in rest):
            offset = 0 if start == ":" else int(start) - 1
            items, first, last, axis, (x,) = list(x.value), first + offset, last + offset, open_[axis], x.args
    items[axis] = f"{first}..{last}" + (f" by {p['step']}" if p["step"] != 1 and count > 1 else "")
    return t.make("index", tuple(items), (x,), node.shape)


def _reshape(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    (x,) = args
    if not x.shape and all(n == 1 for n in node.shape):
        return t.product([(x, 1.0), (t.filled(1.0, node.shape), 1.0)])
    if x.kind == "index":
        picked, shape = [], iter(x.shape)
        for item in x.value:
            n = 0 if item.isdigit() else next(shape)
            picked.append(item.partition("..")[0] if n == 1 and ".." in item else item)
        kept = tuple(n for n, item in zip(x.shape, _open(x.value), strict=True) if n != 1 or ".." not in item)
        if kept == node.shape:
            return t.make("index", tuple(picked), x.args, kept)
    if not node.shape:
        return _only(t, x)
    return t.call("reshape", [x, *[t.num(n) for n in node.shape]], node.shape)


def _open(items: Sequence[str]) -> list[str]:
    """The items of an index that leave a dimension."""
    return [item for item in items if not item.isdigit()]


def _only(t: Terms, x: Term) -> Term:
    """The one entry of an array."""
    if x.kind == "vector":
        return _only(t, x.args[0]) if x.args[0].shape else x.args[0]
    return t.call("sum", [x], ())


def _transpose(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    axes = tuple(node.params["axes"])
    if axes == tuple(range(len(axes))):
        return args[0]
    if axes != (1, 0):
        raise TapeError("unsupported", "axes in another order are not written out", place=node.place)
    return t.make("transpose", None, args, node.shape)


def _placed(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    """Entries at the places of a slice, zeros elsewhere: zeros before and behind, or a pattern of entries and zeros."""
    (x,) = args
    p = node.params
    axis, before = p["axis"], p["start"]
    count = x.shape[axis]
    if p["step"] != 1 and count > 1:
        if len(x.shape) != 1:
            raise TapeError("unsupported", "entries spread over a matrix are not written out", place=node.place)
        step, last = p["step"], before + (count - 1) * p["step"]
        first, last, step = (before, last, step) if step > 0 else (last, before, -step)
        from_end = p["step"] < 0
        place = f"({last + 1} - {{i}})/{step} + 1" if from_end else f"({{i}} - {first + 1})/{step} + 1"
        condition = f"{first + 1} <= {{i}} and {{i}} <= {last + 1} and mod({{i}} - {first + 1}, {step}) == 0"
        head, tail = f"[if {condition} then ", f"[{place}] else 0 for {{i}} in 1..{p['n']}]"
        return t.make("pattern", (head, tail), (x,), node.shape)
    if len(x.shape) == 1:
        return _piece(t, x, before, node.shape)
    pieces = []
    for n in (before, p["n"] - before - count):
        shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
        pieces.append([t.filled(0.0, shape)] if n else [])
    keys = (("axis", str(axis + 1)),) if axis else ()
    parts = [*pieces[0], x, *pieces[1]]
    return parts[0] if len(parts) == 1 else t.call("concat", parts, node.shape, keys)


def _piece(t: Terms, x: Term, before: int, shape: Shape) -> Term:
    """A vector as a piece of a longer one that is 0 elsewhere."""
    if x.kind == "embed":
        pieces = [(start + before, count) for start, count in x.value]
        return t.make("embed", tuple(pieces), x.args, shape)
    if x.kind == "product" and x.shape == (1,):  # one entry counts as a vector where arrays are put together
        up, down, exponents = x.value
        parts = list(zip(x.args, exponents, strict=True))
        alone = [part for part in parts if part[0].shape == () or not is_ones(part[0])]
        if all(base.shape == () for base, _ in alone):
            x = t.product(alone, up, down)
    elif is_ones(x) and x.shape == (1,):
        x = t.num(1.0)
    return t.make("embed", ((before, shape[0] if x.shape == shape else (x.shape or (1,))[0]),), (x,), shape)


def _index(node: Node) -> str:
    found = node.params["index"].array
    if found.size > ENTRIES:
        raise TapeError("limit", f"an index of {found.size:,} places is not written out", place=node.place)
    return f"[{', '.join(str(i + 1) for i in found)}]"


def _take(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    items = [":"] * len(args[0].shape)
    items[node.params["axis"]] = _index(node)
    return t.make("index", tuple(items), args, node.shape)


def _scatter(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    if len(node.shape) != 1:
        raise TapeError("unsupported", "entries added up over a matrix are not written out", place=node.place)
    m = args[0].shape[0]
    head = "[sum("
    tail = f"[{{k}}] for {{k}} in 1..{m} if {_index(node)}[{{k}}] == {{i}}) for {{i}} in 1..{node.shape[0]}]"
    return t.make("pattern", (head, tail), args, node.shape)


def _concat(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    axis = node.params["axis"]
    return t.call("concat", args, node.shape, (("axis", str(axis + 1)),) if axis else ())


def _stack(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    if any(arg.shape for arg in args):
        return t.call("stack", args, node.shape)
    return t.make("vector", None, args, node.shape)


def _cumsum(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    keys = (("axis", str(node.params["axis"] + 1)),) if len(node.shape) > 1 else ()
    return t.call("cumsum", args, node.shape, keys)


def _matmul(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    if any(len(arg.shape) > 2 for arg in args):
        raise TapeError("unsupported", "products of stacks of matrices are not written out", place=node.place)
    return t.make("matmul", None, args, node.shape)


def _polygamma(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    return t.call("polygamma", [t.num(node.params["n"]), args[0]], node.shape)


def _gamma_d(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    (x,) = args
    gamma, psi = t.call("gamma", [x], x.shape), t.call("digamma", [x], x.shape)
    if node.params["n"] == 1:
        return t.product([(gamma, 1.0), (psi, 1.0)])
    return t.product([(gamma, 1.0), (t.total([(_squared(t, psi), 1.0), (t.call("trigamma", [x], x.shape), 1.0)]), 1.0)])


def _share(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    x, y = args
    tie = _choose(t, t.make("compare", "==", (x, y), node.shape), t.num(node.params["tie"]), t.num(0.0), node.shape)
    return _choose(t, t.make("compare", ">", (x, y), node.shape), t.num(1.0), tie, node.shape)


def _inside(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    x, low, high = args
    return t.make(
        "and", None, [t.make("compare", "<=", pair, node.shape) for pair in ((low, x), (x, high))], node.shape
    )


def _xdivy(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    x, y = args
    zeros = [t.make("compare", "==", (z, t.num(0.0)), z.shape) for z in (x, y)]
    both = t.make("and", None, zeros, node.shape)
    return _choose(t, both, t.num(0.0), t.product([(x, 1.0), (y, -1.0)]), node.shape)


def _sinc_d(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    (x,) = args
    if node.params["n"] != 1:
        raise TapeError("unsupported", "higher derivatives of `sinc` are not written out", place=node.place)
    part = t.total([(t.call("cospi", [x], x.shape), 1.0), (t.call("sinc", [x], x.shape), -1.0)])
    at_zero = t.make("compare", "==", (x, t.num(0.0)), x.shape)
    return _choose(t, at_zero, t.num(0.0), t.product([(part, 1.0), (x, -1.0)]), node.shape)


def _dawson_d(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    (x,) = args
    if node.params["n"] != 1:
        raise TapeError("unsupported", f"higher derivatives of `{node.op.name}` are not written out", place=node.place)
    return t.total([(t.num(1.0), 1.0), (t.product([(x, 1.0), (t.call("dawson", [x], x.shape), 1.0)], 2.0), -1.0)])


def _less_than(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    return t.product([(t.call("sigmoid", [t.total([(args[0], 1.0), (args[1], -1.0)])], node.shape), 1.0)])


def _both_ways(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    ways = [t.total([(x, 1.0), (y, -1.0)]) for x, y in (tuple(args), tuple(args[::-1]))]
    return t.product([(t.call("sigmoid", [way], node.shape), 1.0) for way in ways])


def _beta_dx(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    slope = _difference_of("digamma")(t, node, args)
    return t.product([(t.call("beta", list(args), node.shape), 1.0), (slope, 1.0)])


def _beta_dxy(t: Terms, node: Node, args: Sequence[Term]) -> Term:
    both = t.total([(args[0], 1.0), (args[1], 1.0)])
    slopes = [_difference_of("digamma")(t, node, pair) for pair in (args, args[::-1])]
    product = t.product([(slope, 1.0) for slope in slopes])
    rest = t.total([(product, 1.0), (t.call("trigamma", [both], both.shape), -1.0)])
    return t.product([(t.call("beta", list(args), node.shape), 1.0), (rest, 1.0)])


def _difference_of(name: str) -> Writer:
    def write(t: Terms, node: Node, args: Sequence[Term]) -> Term:
        both = t.total([(args[0], 1.0), (args[1], 1.0)])
        return t.total([(t.call(name, [args[0]], args[0].shape), 1.0), (t.call(name, [both], both.shape), -1.0)])

    return write


def _sech(t: Terms, x: Term) -> Term:
    return t.call("sech", [x], x.shape)


_RATIONAL = _unary(lambda t, x, s: t.product([(_less_square(t, x), -1.0)]))
_SAME = (
    "exp expm1 exp2 exp10 log1p log2 log10 sqrt cbrt abs sign floor ceil round mod hypot atan2 relu clip "
    "sin cos tan sec csc cot asin acos atan asec acsc acot sinh cosh tanh sech csch coth "
    "asinh acosh atanh asech acsch acoth sind cosd tand asind acosd atand sinpi cospi tanpi "
    "sinc sigmoid logit softplus logaddexp xlogy xlog1py erf erfc gamma lgamma digamma trigamma beta lbeta log "
    "inv solve cholesky det logdet erfinv erfcinv erfcx dawson fresnels fresnelc sinint cosint expint lowergamma "
    "besselj bessely besseli besselk airyai airyaiprime airybi airybiprime ellipk ellipe lambertw zeta chebyshevt"
).split()

#: op -> the term that stands for it
WRITERS: dict[str, Writer] = {
    **{name: _call(name) for name in _SAME},
    **{name: _along(name) for name in ("sum", "norm", "max", "min", "logsumexp", "softmax")},
    "add": lambda t, node, args: t.total([(args[0], 1.0), (args[1], 1.0)]),
    "sub": lambda t, node, args: t.total([(args[0], 1.0), (args[1], -1.0)]),
    "neg": lambda t, node, args: t.product([(args[0], 1.0)], -1.0),
    "mul": lambda t, node, args: t.product([(args[0], 1.0), (args[1], 1.0)]),
    "div": lambda t, node, args: t.product([(args[0], 1.0), (args[1], -1.0)]),
    "power": lambda t, node, args: t.power(args[0], node.params["exponent"]),
    "pow": lambda t, node, args: powers.power(t, args[0], args[1]),
    "less": _compare("<"),
    "less_equal": _compare("<="),
    "equal": _compare("=="),
    "not_equal": _compare("!="),
    "logical_and": lambda t, node, args: t.logical("and", args[0], args[1], node.shape),
    "logical_or": lambda t, node, args: t.logical("or", args[0], args[1], node.shape),
    "logical_not": lambda t, node, args: t.make("not", None, args, node.shape),
    "select": lambda t, node, args: t.choose(args[0], args[1], args[2], node.shape),
    "stop": lambda t, node, args: args[0],
    "distinct": lambda t, node, args: args[0],
    "positive": lambda t, node, args: args[0],
    "maximum": _call("max"),
    "minimum": _call("min"),
    "share": _share,
    "inside": _inside,
    "ratio": lambda t, node, args: t.product([(args[0], 1.0), (t.call("hypot", args, node.shape), -1.0)]),
    "xdivy": _xdivy,
    "broadcast": lambda t, node, args: t.product([(args[0], 1.0), (t.filled(1.0, node.shape), 1.0)]),
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "embed": _placed,
    "take": _take,
    "scatter": _scatter,
    "concat": _concat,
    "stack": _stack,
    "cumsum": _cumsum,
    "matmul": _matmul,
    "polygamma": _polygamma,
    "gamma_d": _gamma_d,
    "beta_dx": _beta_dx,
    "beta_dxy": _beta_dxy,
    "digamma_diff": _difference_of("digamma"),
    "trigamma_diff": _difference_of("trigamma"),
    "exp_neg_sq": _unary(lambda t, x, s: t.call("exp", [t.product([(_squared(t, x), 1.0)], -1.0)], s)),
    "exp_neg_sq_d1": _unary(
        lambda t, x, s: t.product([(x, 1.0), (t.call("exp", [t.product([(_squared(t, x), 1.0)], -1.0)], s), 1.0)], -2.0)
    ),
    "cbrt_d1": _unary(lambda t, x, s: t.product([(t.call("cbrt", [x], s), -2.0)], 1.0, 3.0)),
    "sech2": _unary(lambda t, x, s: _squared(t, _sech(t, x))),
    "sech_d1": _unary(lambda t, x, s: t.product([(_sech(t, x), 1.0), (t.call("tanh", [x], s), 1.0)], -1.0)),
    "sech_d2": _unary(
        lambda t, x, s: t.product(
            [(_sech(t, x), 1.0), (t.total([(t.num(1.0), 1.0), (t.product([(_sech(t, x), 2.0)], 2.0), -1.0)]), 1.0)]
        )
    ),
    "sigmoid_d1": _unary(
        lambda t, x, s: t.product([(t.call("sigmoid", [y], s), 1.0) for y in (x, t.product([(x, 1.0)], -1.0))])
    ),
    "logit_d1": _unary(lambda t, x, s: t.product([(x, -1.0), (t.total([(t.num(1.0), 1.0), (x, -1.0)]), -1.0)])),
    "atanh_d1": _RATIONAL,
    "acoth_d1": _RATIONAL,
    "asin_d1": _unary(lambda t, x, s: t.product([(t.call("sqrt", [_less_square(t, x)], s), -1.0)])),
    "asech_d1": _unary(lambda t, x, s: t.product([(x, -1.0), (t.call("sqrt", [_less_square(t, x)], s), -1.0)], -1.0)),
    "atan_d1": lambda t, node, args: t.product(
        [(t.total([(t.num(1.0), 1.0), (_squared(t, args[0]), 1.0)]), -1.0)], node.params["unit"]
    ),
    "logaddexp_share": _less_than,
    "logaddexp_d2": _both_ways,
    "power_dx": powers.dx,
    "power_dxx": powers.dxx,
    "power_dxy": powers.dxy,
    "power_log": powers.log,
    "dawson_d": _dawson_d,
    "sinc_d": _sinc_d,
}
