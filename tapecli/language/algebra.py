"""Linear algebra in formulas: `@`, solve, inv, det and their kin, with their shapes examined before anything runs.

Inside a loop a value has the loop's axes in front of its own; matrices are the last two axes everywhere, so one call
serves all points of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapecli.core import Shape
from tapecli.errors import TapeError
from tapecli.graph import Node
from tapecli.language.calculus import Builtin
from tapecli.language.machine import Machine
from tapecli.language.sweeps import full, joint, lift
from tapecli.language.values import Axis, Swept
from tapecli.ops import dense, linear
from tapecli.syntax.code import taken

# ---- how arguments are called -----------------------------------------------------------------------------------

#: Instructions that leave one value made of those they take; any other ends the search for an argument's name.
PLAIN = frozenset(
    "num name str all comprehension recur neg not transpose binary and or compare call tuple vector range index".split()
)
#: Instructions whose place is the whole construct.
WHOLE = {"name", "call", "transpose", "index", "vector"}
ORDINALS = ("first", "second", "third", "fourth", "fifth")


def _called(m: Machine, count: int) -> list[str]:
    """What the last `count` values before the running instruction are called: the text of a name or a short call, else
    their position."""
    names = [f"the {ORDINALS[k]} argument" if k < len(ORDINALS) else f"argument {k + 1}" for k in range(count)]
    frame = m.frames[-1]
    code, at = frame.code, frame.at - 1
    opcode, operand, *_ = code[at]
    if opcode == "binary":
        names, taken = ["the left side", "the right side"], 2
    elif opcode == "call":
        names = names if count > 1 else ["the argument"]
        taken = operand[1] + len(operand[2])
    else:
        return names
    for k in reversed(range(taken)):
        opcode, _, start, end = code[at - 1]
        text = frame.source.text[start:end]
        if k < count and opcode in WHOLE and len(text) <= 20 and text.isprintable():
            names[k] = text
        begin = _begin(code, at - 1)
        if begin is None:
            break
        at = begin
    return names


def _begin(code: Sequence[Any], at: int) -> int | None:
    """The first instruction of the value that the instruction `at` leaves, or None where that is not plain to see."""
    wanted = 1
    while wanted:
        opcode, operand, *_ = code[at]
        if opcode not in PLAIN:
            return None
        wanted += taken(opcode, operand) - 1
        at -= 1
    return at + 1


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape)) if shape else "a number"


def _counted(number: int, what: str) -> str:
    several = {"entry": "entries"}.get(what, f"{what}s")
    return f"{number} {what if number == 1 else several}"


def _sizes(names: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{name} is {_size(value.shape)}" for name, value in zip(names, values, strict=True))


# ---- values at all points of loops ------------------------------------------------------------------------------


def _over(function: Callable[..., Any], x: Any) -> Any:
    """A function of the last axes, at all points of a loop together."""
    return Swept(function(x.node), x.axes) if isinstance(x, Swept) else function(x)


def _common(m: Machine, values: Sequence[Any]) -> tuple[list[Node], tuple[Axis, ...]]:
    """Values as nodes with the axes of all in front, of length 1 where a value does not depend on one."""
    axes = joint(axis for value in values if isinstance(value, Swept) for axis in value.axes)
    nodes = []
    for value in values:
        lifted = lift(m.graph, value, axes) if isinstance(value, Swept) else Swept(value, ())
        counts = tuple(axis.count if axis in lifted.axes else 1 for axis in axes)
        nodes.append(_shaped(lifted.node, counts + lifted.shape))
    return nodes, axes


def _shaped(node: Node, shape: Shape) -> Any:
    return node if node.shape == shape else linear.reshape(node, shape=shape)


def _plain(value: Any) -> bool:
    return not isinstance(value, Swept)


def _at_points(node: Any, axes: tuple[Axis, ...]) -> Any:
    return Swept(node, axes) if axes else node


# ---- products ---------------------------------------------------------------------------------------------------


def matmul(m: Machine, x: Any, y: Any) -> Any:
    """`x @ y`."""
    x, y = m.node(x, "`@`"), m.node(y, "`@`")
    if not x.ndim or not y.ndim:
        raise m.error(
            "shape",
            f"`@` needs vectors or matrices: {_sizes(_called(m, 2), [x, y])}",
            label=f"{_size(x.shape)} and {_size(y.shape)}",
            hint="use * to multiply by a number",
        )
    try:
        shape = dense.matmul.shape(x.shape, y.shape)
    except ValueError:
        raise _mismatched(m, x, y) from None
    return _product(m, x, y, shape)


def _mismatched(m: Machine, x: Any, y: Any) -> TapeError:
    names = _called(m, 2)
    inner = y.shape[-2 if y.ndim > 1 else 0]
    left = _counted(x.shape[-1], "column" if x.ndim > 1 else "entry")
    right = _counted(inner, "row" if y.ndim > 1 else "entry")
    what = "matching inner sizes" if x.shape[-1] != inner else "matching leading sizes"
    return m.error(
        "shape",
        f"`@` needs {what}: {_sizes(names, [x, y])}",
        label=f"{names[0]} has {left}, {names[1]} has {right}",
        hint=_remedy(names, x, y),
    )


def _remedy(names: Sequence[str], x: Any, y: Any) -> str:
    """What could be meant by a product whose sizes do not match."""
    a, b = ["(…)" if name.endswith(" side") else name for name in names]
    if x.shape == y.shape and x.ndim == 2:
        return f"use {_transposed(a)} @ {b} or {a} @ {_transposed(b)}, or * to multiply entry by entry"
    ways = []
    if x.ndim == 2 and x.shape[0] == y.shape[0]:
        ways.append(f"use {_transposed(a)} @ {b}")
    elif y.ndim == 2 and x.shape[-1] == y.shape[1]:
        ways.append(f"use {a} @ {_transposed(b)}")
    if y.ndim == 1 and x.ndim == 2:
        ways.append(f"give {names[1]} the shape [{x.shape[1]}]")
    elif x.ndim == 1 and y.ndim == 2:
        ways.append(f"give {names[0]} the shape [{y.shape[0]}]")
    elif x.ndim == y.ndim == 1:
        ways.append(f"for the matrix of all products use outer({a}, {b})")
    return ", or ".join(ways) or "the left side needs as many columns as the right side has rows"


def _transposed(name: str) -> str:
    return name[:-1] if name.endswith("'") else f"{name}'"


def _product(m: Machine, x: Any, y: Any, shape: Shape) -> Any:
    """The product of values whose sizes match; `shape` is that of the result at one point."""
    if _plain(x) and _plain(y):
        return dense.matmul(x, y)
    if _plain(y) and y.ndim <= 2:  # many rows times one matrix or vector
        return Swept(dense.matmul(x.node, y), x.axes)
    if _plain(x) and y.ndim == 1 and x.ndim <= 2:
        return Swept(dense.matmul(y.node, x if x.ndim == 1 else dense.turned(x)), y.axes)
    if x.ndim == y.ndim == 1:
        terms = m.apply("mul", x, y)
        return m.apply("sum", terms, axes=(0,))
    left = x if x.ndim > 1 else m.apply("reshape", x, shape=(1, *x.shape))
    right = y if y.ndim > 1 else m.apply("reshape", y, shape=(*y.shape, 1))
    (a, b), axes = _common(m, [left, right])
    ndim = max(left.ndim, right.ndim)
    a, b = (_padded(node, len(axes), ndim) for node in (a, b))
    out = dense.matmul(a, b)
    return Swept(_shaped(out, out.shape[: len(axes)] + shape), axes)


def _padded(node: Any, axes: int, ndim: int) -> Any:
    """A node with `axes` loop axes and, behind these, `ndim` of its own."""
    own = node.shape[axes:]
    return _shaped(node, (*node.shape[:axes], *(1,) * (ndim - len(own)), *own))


def _dot(m: Machine, x: Any, y: Any) -> Any:
    x, y = m.node(x, "`dot`"), m.node(y, "`dot`")
    if x.ndim != 1 or y.ndim != 1 or x.shape != y.shape:
        both = x.ndim == y.ndim == 1
        raise m.error(
            "shape",
            f"`dot` needs two vectors of one length: {_sizes(_called(m, 2), [x, y])}",
            label=" and ".join(_counted(v.shape[0], "entry") for v in (x, y)) if both else None,
            hint="the entries of both vectors are multiplied in pairs"
            if both
            else "use A @ B for a matrix product, sum(A*B) for the sum over all entries",
        )
    return _product(m, x, y, ())


def _outer(m: Machine, x: Any, y: Any) -> Any:
    x, y = m.node(x, "`outer`"), m.node(y, "`outer`")
    if x.ndim != 1 or y.ndim != 1:
        raise m.error(
            "shape",
            f"`outer` needs two vectors: {_sizes(_called(m, 2), [x, y])}",
            label=f"{_size(x.shape)} and {_size(y.shape)}",
            hint="reshape(A, n) makes a vector of n entries",
        )
    (left, right), axes = _common(m, [x, y])
    return _at_points(dense.outer(left, right), axes)


# ---- matrices ---------------------------------------------------------------------------------------------------


def _square(m: Machine, x: Any, name: str, hint: str, count: int = 1) -> Any:
    """`x` as a square matrix, or the error that tells its size."""
    x = m.node(x, f"`{name}`")
    if x.ndim == 2 and x.shape[0] == x.shape[1]:
        return x
    label = f"{_counted(x.shape[0], 'row')}, {_counted(x.shape[1], 'column')}" if x.ndim == 2 else None
    raise m.error(
        "shape", f"`{name}` needs a square matrix: {_sizes(_called(m, count)[:1], [x])}", label=label, hint=hint
    )


def _of_square(name: str, function: Callable[..., Any], hint: str) -> Callable[..., Any]:
    def build(m: Machine, x: Any) -> Any:
        return _over(function, _square(m, x, name, hint))

    return build


def _solve(m: Machine, a: Any, b: Any) -> Any:
    a = _square(m, a, "solve", "the least-squares solution is solve(A' @ A, A' @ b)", 2)
    b = m.node(b, "`solve`")
    if not 1 <= b.ndim <= 2 or b.shape[0] != a.shape[0]:
        names = _called(m, 2)
        rows = _counted(a.shape[0], "row")
        right = _counted(b.shape[0], "entry" if b.ndim == 1 else "row") if b.ndim else "no rows"
        hint = f"use {_transposed(names[1])}" if b.ndim == 2 and b.shape[1] == a.shape[0] else f"give {names[1]} {rows}"
        raise m.error(
            "shape",
            f"`solve` needs a right side with a row for each row of the matrix: {_sizes(names, [a, b])}",
            label=f"{names[0]} has {rows}, {names[1]} has {right}",
            hint=hint,
        )
    if _plain(a) and _plain(b):
        return dense.solve(a, b)
    column = b if b.ndim == 2 else m.apply("reshape", b, shape=(*b.shape, 1))
    if _plain(a):
        out, axes = dense.solve(a, column.node), column.axes
    else:
        nodes, axes = _common(m, [a, column])
        out = dense.solve(*nodes)
    return Swept(_shaped(out, out.shape[: len(axes)] + b.shape), axes)


def _diag(m: Machine, x: Any) -> Any:
    x = m.node(x, "`diag`")
    if not 1 <= x.ndim <= 2:
        raise m.error(
            "shape",
            f"`diag` needs a vector or a matrix: {_sizes(_called(m, 1), [x])}",
            hint="a vector gives a diagonal matrix, a matrix its diagonal",
        )
    return _over(dense.diagonal_matrix if x.ndim == 1 else dense.diagonal, x)


def _eye(m: Machine, n: Any) -> Any:
    size = m.whole(n, "the size of `eye`")
    if size < 0:
        raise m.error("value", f"the size of `eye` is not negative, and this is {size}", hint="eye(3)")
    m.room((size, size), "this matrix")
    return m.graph.literal(np.eye(size))


# ---- arrays put together ----------------------------------------------------------------------------------------


def _together(m: Machine, values: list[Any], axis: int) -> Any:
    """Values of loops or not, one after another along an axis."""
    axes = joint(a for value in values if isinstance(value, Swept) for a in value.axes)
    return _at_points(linear.concat(*[full(m.graph, value, axes) for value in values], axis=axis + len(axes)), axes)


def _concat(m: Machine, *args: Any, axis: Any = None) -> Any:
    values = [m.node(arg, "`concat`") for arg in args]
    along = 0 if axis is None else m.whole(axis, "an axis") - 1
    ndim = max(1, *(value.ndim for value in values))
    if not 0 <= along < ndim:
        raise m.error(
            "index", f"there is no axis {along + 1} of {_size(values[0].shape)}", hint="axes are counted from 1"
        )
    rows = [m.apply("reshape", value, shape=(1,)) if ndim == 1 and not value.ndim else value for value in values]
    first = rows[0].shape
    if any(row.ndim != ndim or _without(row.shape, along) != _without(first, along) for row in rows):
        rest = f"sizes that match except along axis {along + 1}" if ndim > 1 else "vectors or numbers"
        raise m.error(
            "shape",
            f"`concat` needs {rest}: {_sizes(_called(m, len(args)), values)}",
            label=" and ".join(dict.fromkeys(_size(value.shape) for value in values)),
            hint="concat(A, B, axis=2) puts B to the right of A; reshape(x, 1, n) makes a row of a vector",
        )
    return _together(m, rows, along)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _stack(m: Machine, *args: Any) -> Any:
    values = [m.node(arg, "`stack`") for arg in args]
    if any(value.shape != values[0].shape for value in values):
        raise m.error(
            "shape",
            f"`stack` needs arrays of one shape: {_sizes(_called(m, len(args)), values)}",
            label=" and ".join(dict.fromkeys(_size(value.shape) for value in values)),
            hint="concat(a, b) puts arrays of different lengths one after another",
        )
    return _together(m, [m.apply("reshape", value, shape=(1, *value.shape)) for value in values], 0)


def _reshape(m: Machine, x: Any, *sizes: Any) -> Any:
    x = m.node(x, "`reshape`")
    wanted = tuple(m.whole(size, "a size") for size in sizes)
    count = 1
    for n in wanted:
        count *= n
    if min(wanted) < 0 or count != x.size:
        name = _called(m, 1 + len(sizes))[0]
        raise m.error(
            "shape",
            f"`reshape` keeps the number of entries: {name} is {_size(x.shape)}, the new shape is {_size(wanted)}",
            label=f"{_counted(x.size, 'entry')} before, {count} after" if min(wanted) >= 0 else "a size is negative",
            hint="entries keep their order, the last index running fastest",
        )
    return m.apply("reshape", x, shape=wanted)


MANY = 1 << 30
_ONLY = "only a square matrix has one"
ALGEBRA: dict[str, Builtin] = {
    "det": Builtin(
        "det(A)", 1, 1, (), _of_square("det", dense.det, _ONLY),
        "the determinant; first and second derivatives are exact at singular matrices too",
    ),
    "logdet": Builtin(
        "logdet(A)", 1, 1, (), _of_square("logdet", dense.logdet, _ONLY),
        "log(abs(det(A))), without overflow; -inf for a singular matrix",
    ),
    "inv": Builtin(
        "inv(A)", 1, 1, (), _of_square("inv", dense.inv, _ONLY), "the inverse; nan for a singular matrix"
    ),
    "solve": Builtin("solve(A, b)", 2, 2, (), _solve, "the x with A @ x = b, for a vector or a matrix b"),
    "cholesky": Builtin(
        "cholesky(A)", 1, 1, (), _of_square("cholesky", dense.cholesky, "A' @ A is square and symmetric"),
        "the lower triangular L with L @ L' = A, of the symmetric part of A; nan unless it is positive definite",
    ),
    "trace": Builtin(
        "trace(A)", 1, 1, (), _of_square("trace", dense.trace, "sum(diag(A)) adds the diagonal of any matrix"),
        "the sum of the diagonal",
    ),
    "diag": Builtin("diag(x)", 1, 1, (), _diag, "a vector as a diagonal matrix; of a matrix, its diagonal"),
    "outer": Builtin("outer(x, y)", 2, 2, (), _outer, "the matrix of the products x[i]*y[j] of two vectors"),
    "dot": Builtin("dot(x, y)", 2, 2, (), _dot, "the sum of the products of the entries of two vectors"),
    "eye": Builtin("eye(n)", 1, 1, (), _eye, "the identity matrix of n rows"),
    "concat": Builtin(
        "concat(a, b, …) or concat(a, b, …, axis=k)", 1, MANY, ("axis",), _concat,
        "arrays one after another, along the first axis or axis k; numbers count as vectors of one entry",
    ),
    "stack": Builtin("stack(a, b, …)", 1, MANY, (), _stack, "arrays of one shape as the rows of a new first axis"),
    "reshape": Builtin(
        "reshape(x, n, …)", 2, MANY, (), _reshape, "the entries of x, in order, the last index running fastest"
    ),
}  # fmt: skip
