"""`Value`, `Op` and the dispatch rule: the highest value interprets.

A quantity is a NumPy array or a `Value`. Calling an op looks at its arguments and lets the one with the highest
`level` interpret the call: plain arrays are computed at once, a graph node records a new node, a tape's box calls the
op one level down and appends to its tape. That one rule is all the machinery there is; evaluation, tracing and
derivatives of any order are the same call on different values.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from tapecli.records import NamedTuple

Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, ...]
#: `vjp(g, out, *args, **params)`: the cotangent of one argument, written in ops.
Rule: TypeAlias = Callable[..., Any]

#: When this was imported, in nanoseconds: a source that has changed since then is not what runs.
IMPORTED = time.time_ns()
#: Every op by name. Filled by the one statement that declares an op; nothing else writes to it.
TABLE: dict[str, Op] = {}


class Masked(NamedTuple):
    """What the rule of a choice answers with: a cotangent, and where it is present at all."""

    g: Any
    mask: Any


class Value:
    """A quantity that interprets the ops it is given to; the base of nodes, boxes and variables."""

    __slots__ = ()
    #: NumPy's operators give way to ours.
    __array_ufunc__ = None

    level: int
    shape: Shape

    def interpret(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The result of `op(*args, **params)`, self being the highest of `args`."""
        raise NotImplementedError

    def mark(self) -> None:
        """What is built from here on belongs to the place in the source that this value stands at."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __add__(self, other: Any) -> Any:
        return TABLE["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return TABLE["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return TABLE["sub"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return TABLE["sub"](other, self)

    def __mul__(self, other: Any) -> Any:
        return TABLE["mul"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return TABLE["mul"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return TABLE["div"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return TABLE["div"](other, self)

    def __neg__(self) -> Any:
        return TABLE["neg"](self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return TABLE["abs"](self)

    def __pow__(self, other: Any) -> Any:
        if type(other) in (int, float):
            return TABLE["power"](self, exponent=float(other))
        return TABLE["pow"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return TABLE["pow"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return TABLE["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return TABLE["matmul"](other, self)

    def __lt__(self, other: Any) -> Any:
        return TABLE["less"](self, other)

    def __le__(self, other: Any) -> Any:
        return TABLE["less_equal"](self, other)

    def __gt__(self, other: Any) -> Any:
        return TABLE["less"](other, self)

    def __ge__(self, other: Any) -> Any:
        return TABLE["less_equal"](other, self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """`x[i]` and slices along the first axis; entries count from 0 here, as in Python."""
        n = len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(n)
            return TABLE["slice"](self, axis=0, start=start, stop=stop, step=step)
        index = int(index)
        if not -n <= index < n:
            raise IndexError(f"index {index} of {n} entries")
        entry = TABLE["slice"](self, axis=0, start=index % n, stop=index % n + 1, step=1)
        return TABLE["reshape"](entry, shape=self.shape[1:])

    def __bool__(self) -> bool:
        raise TypeError("the truth of a recorded value is not known: write where(condition, a, b)")

    __hash__ = object.__hash__


class Op:
    """One operation of the closed table, declared once in one statement. No field has a default.

    kind      "elementwise" (the Jacobian is diagonal), "linear" (entries are moved and summed, so that a rule moves a
              mask as it moves a cotangent) or "dense" (all others)
    kernel    computes on arrays; takes the arguments, then the parameters by keyword
    complex   the same for complex arrays (the complex step rests on it), or None where there is no analytic form
    shape     the result's shape from the arguments' shapes and the parameters
    vjps      a rule per argument, or None where the derivative is absent; a callable `i -> rule` for any number
    native    what compiled code makes of it. Elementwise: `(b, *args, **params)` written with `Lanes`
              (`tapecli/engines/native/lanes.py`); else one of the forms of `tapecli/ops/lowering.py`; None where the
              op is left to NumPy
    domain    per argument, the open or closed interval that real values come from, as text
    points    arguments for the tests of this op: tuples of numbers inside the domain, kinks excluded
    doc       the line that `tapecli ops` and the reference page show
    """

    __slots__ = ("complex", "doc", "domain", "kernel", "kind", "name", "native", "points", "shape", "vjps")

    def __init__(
        self,
        name: str,
        *,
        kind: str,
        kernel: Callable[..., Any],
        complex: Callable[..., Any] | None,
        shape: Callable[..., Shape],
        vjps: tuple[Rule | None, ...] | Callable[[int], Rule],
        native: Any,
        domain: str,
        points: tuple[tuple[float, ...], ...],
        doc: str,
    ) -> None:
        assert name not in TABLE, f"{name} is declared twice"
        self.name = name
        self.kind = kind
        self.kernel = kernel
        self.complex = complex
        self.shape = shape
        self.vjps = vjps
        self.native = native
        self.domain = domain
        self.points = points
        self.doc = doc
        TABLE[name] = self

    def __call__(self, *args: Any, **params: Any) -> Any:
        top: Value | None = None
        for arg in args:
            if isinstance(arg, Value) and (top is None or arg.level > top.level):
                top = arg
        if top is None:
            return self.kernel(*args, **params)
        return top.interpret(self, args, params)

    def rule(self, i: int) -> Rule | None:
        """The derivative rule of argument `i`, or None where the derivative is absent."""
        return self.vjps(i) if callable(self.vjps) else self.vjps[i]

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that arrays of `shapes` have together, by NumPy's rule. Raises ValueError where they do not fit."""
    if len(shapes) == 1 or (len(shapes) == 2 and shapes[0] == shapes[1]):
        return shapes[0]
    ndim = max(map(len, shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for axis, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if result[axis] not in (1, n):
                    raise ValueError("shapes do not fit")
                result[axis] = n
    return tuple(result)


def shape_of(x: Any) -> Shape:
    """The shape of a value, an array or a plain number."""
    shape: Shape = getattr(x, "shape", ())
    return shape


def elementwise(
    name: str,
    *,
    kernel: Callable[..., Any],
    complex: Callable[..., Any] | None,
    vjps: tuple[Rule | None, ...],
    native: Callable[..., Any] | None,
    domain: str,
    points: tuple[tuple[float, ...], ...],
    doc: str,
) -> Op:
    """Declares an op that acts entry by entry. Arguments broadcast; the tape undoes that, not the rules."""

    def shape(*shapes: Shape, **_: Any) -> Shape:
        return broadcast_shapes(*shapes)

    return Op(
        name,
        kind="elementwise",
        kernel=kernel,
        complex=complex,
        shape=shape,
        vjps=vjps,
        native=native,
        domain=domain,
        points=points,
        doc=doc,
    )
