"""Linear algebra: products, solutions, factors and determinants of matrices.

Matrices are the last two axes; axes before them are many matrices at once, broadcast as NumPy does. The kernels are
LAPACK's, in the precision of their arguments. What has no answer (the inverse of a singular matrix) is nan, for that
matrix alone. Each rule is written in ops, so derivatives of any order follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapecli.core import Array, Op, Shape, broadcast_shapes, shape_of
from tapecli.ops.arithmetic import select
from tapecli.ops.linear import embed, reshape, slice_, sum_, transpose, unbroadcast
from tapecli.ops.lowering import Written

# ---- shapes -----------------------------------------------------------------------------------------------------


def _square(x: Shape) -> Shape:
    if len(x) < 2 or x[-1] != x[-2]:
        raise ValueError("a square matrix is needed")
    return x


def _matmul_shape(x: Shape, y: Shape) -> Shape:
    if not x or not y:
        raise ValueError("a number is no matrix")
    if x[-1] != y[-2 if len(y) > 1 else 0]:
        raise ValueError("the inner sizes differ")
    return broadcast_shapes(x[:-2], y[:-2]) + x[-2:-1] + (y[-1:] if len(y) > 1 else ())


def _solve_shape(a: Shape, b: Shape) -> Shape:
    _square(a)
    if len(b) < 2 or b[-2] != a[-1]:
        raise ValueError("the right side has a row for each row of the matrix")
    return broadcast_shapes(a[:-2], b[:-2]) + b[-2:]


def _like(x: Shape, y: Shape) -> Shape:
    if x != y:
        raise ValueError("shapes do not fit")
    return _square(x)


# ---- kernels ----------------------------------------------------------------------------------------------------


def _defined(f: Callable[..., Array], shape: Callable[..., Shape]) -> Callable[..., Any]:
    """`f` with nan for the matrices that it refuses; the others of the same call are computed one by one then."""

    def kernel(*args: Any) -> Any:
        arrays = [np.asarray(arg) for arg in args]
        whole = shape(*[array.shape for array in arrays])
        try:
            with np.errstate(all="ignore"):
                return f(*arrays)
        except np.linalg.LinAlgError:
            many = broadcast_shapes(*[array.shape[:-2] for array in arrays])
            out = np.full(whole, np.nan, dtype=np.result_type(*arrays))
            if many:
                wide = [np.broadcast_to(array, many + array.shape[-2:]) for array in arrays]
                for at in np.ndindex(many):
                    out[at] = kernel(*[array[at] for array in wide])
            return out

    return kernel


def _matmul(x: Any, y: Any) -> Any:
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim > 2 and y.ndim == 2:  # many times one matrix: one product of taller matrices
        tall = np.matmul(x.reshape(_count(x.shape[:-1]), x.shape[-1]), y)
        return tall.reshape(*x.shape[:-1], y.shape[-1])
    return np.matmul(x, y)


def _logdet(x: Array) -> Any:
    return np.linalg.slogdet(x)[1]


def _complex_logdet(x: Array) -> Any:
    """The analytic continuation of log|det| from the real matrices near x."""
    sign, logarithm = np.linalg.slogdet(x)
    return logarithm + np.log(sign * np.sign(sign.real))


def _lower(x: Array) -> Array:
    return np.linalg.cholesky(0.5 * (x + np.swapaxes(x, -1, -2)))


def _crossed(x: Array, y: Array) -> Any:
    """For 3×3 matrices, the cross product of the next row of x and the one after it of y, for each row."""
    return np.cross(np.roll(x, -1, axis=-2), np.roll(y, -2, axis=-2))


def _det(x: Array) -> Any:
    """Up to 3×3 the sum of products, which is exact for small whole numbers; then LAPACK."""
    n = x.shape[-1]
    if n == 2:
        (a, b), (c, d) = x.T
        return (a * d - b * c).T
    if n == 3:
        (a, b, c), (d, e, f), (g, h, i) = x.T
        return (a * (e * i - f * h) + b * (f * g - d * i) + c * (d * h - e * g)).T
    return +x[..., 0, 0] if n == 1 else np.linalg.det(x)


def _adjugate_2(x: Array) -> Array:
    """The cofactors of 2×2 matrices."""
    out = np.empty_like(x)
    out[..., 0, 0], out[..., 0, 1] = x[..., 1, 1], -x[..., 1, 0]
    out[..., 1, 0], out[..., 1, 1] = -x[..., 0, 1], x[..., 0, 0]
    return out


def _rotations(x: Array) -> tuple[Array, Array, Array, Array]:
    """The singular value decomposition, and the sign of the determinant of its rotations (to each matrix)."""
    u, s, vh = np.linalg.svd(x)
    sign = np.rint(np.linalg.det(u) * np.linalg.det(vh))
    return u, s, vh, sign[..., None, None].astype(x.dtype)


def _others(s: Array) -> Array:
    """The product of the other entries, for each entry: exact at zeros."""
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], axis=-1), axis=-1)
    return before * after[..., ::-1]


def _by_rotation(x: Array) -> Any:
    """Cofactors of matrices of any rank, by way of their singular values (G. W. Stewart, On the adjugate matrix, Linear
    Algebra and its Applications 283, 1998)."""
    u, s, vh, sign = _rotations(x)
    return np.matmul(sign * u * _others(s)[..., None, :], vh)


def _cofactor(x: Array) -> Any:
    n = x.shape[-1]
    if n <= 3:
        return _crossed(x, x) if n == 3 else _adjugate_2(x) if n == 2 else np.ones_like(x)
    # an error of the last pivot is in both factors, and cancels in their product
    out = np.asarray(np.linalg.det(x))[..., None, None] * np.swapaxes(inv.kernel(x), -1, -2)
    lost = ~np.isfinite(out).all(axis=(-1, -2))
    if np.any(lost):
        out[lost] = _defined(_by_rotation, _square)(x[lost])
    return out


def _cofactor_d1(g: Array, x: Array) -> Any:
    """For x = U S V' the derivative of the cofactors is that at S, turned; there it has products of all singular values
    but two, which need no division."""
    n = x.shape[-1]
    if n <= 3:
        return _crossed(g, x) + _crossed(x, g) if n == 3 else _adjugate_2(g) if n == 2 else np.zeros_like(x)
    u, s, vh, sign = _rotations(x)
    off = ~np.eye(n, dtype=bool)
    pairs = np.where(off, _others(np.where(off, s[..., None, :], 1)), 0).astype(x.dtype, copy=False)
    turned = np.matmul(np.matmul(np.swapaxes(u, -1, -2), g), np.swapaxes(vh, -1, -2))
    moved = -np.swapaxes(turned * pairs, -1, -2)
    diagonal = np.arange(n)
    moved[..., diagonal, diagonal] = np.matmul(pairs, turned[..., diagonal, diagonal][..., None])[..., 0]
    return np.matmul(np.matmul(sign * u, moved), vh)


# ---- compositions that the rules use ----------------------------------------------------------------------------


def _count(shape: Shape) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def turned(x: Any) -> Any:
    """Every matrix transposed."""
    n = len(shape_of(x))
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


def _total(x: Any) -> Any:
    """The sum of the entries of every matrix, as a 1×1 matrix."""
    shape = shape_of(x)
    return reshape(sum_(x, axes=(len(shape) - 2, len(shape) - 1)), shape=(*shape[:-2], 1, 1))


def _each(g: Any) -> Any:
    """A number for every matrix, as a 1×1 matrix."""
    return reshape(g, shape=(*shape_of(g), 1, 1))


def _tall(x: Any) -> Any:
    """The rows of all matrices in one."""
    shape = shape_of(x)
    return reshape(x, shape=(_count(shape[:-1]), shape[-1]))


def _matmul_left(g: Any, out: Any, x: Any, y: Any) -> Any:
    shape, own, other = shape_of(g), shape_of(x), shape_of(y)
    if len(other) == 1:
        return reshape(g, shape=(*shape, 1)) * y
    if len(own) == 1:
        column = matmul(y, reshape(g, shape=(*shape, 1)))
        return unbroadcast(reshape(column, shape=shape_of(column)[:-1]), own)
    return unbroadcast(matmul(g, turned(y)), own)


def _matmul_right(g: Any, out: Any, x: Any, y: Any) -> Any:
    shape, own, other = shape_of(g), shape_of(y), shape_of(x)
    if len(other) == 1:
        row = g if len(own) == 1 else reshape(g, shape=(*shape[:-1], 1, shape[-1]))
        return (x if len(own) == 1 else reshape(x, shape=(*other, 1))) * row
    if len(own) == 1:
        return matmul(reshape(g, shape=(_count(shape),)), _tall(x))
    if len(own) == 2:  # one matrix for many: the sum over them is inside one product
        return matmul(turned(_tall(x)), _tall(g))
    return unbroadcast(matmul(turned(x), g), own)


def _cholesky_rule(g: Any, out: Any, x: Any) -> Any:
    """I. Murray, Differentiation of the Cholesky decomposition, 2016 (equation 10)."""
    product = matmul(turned(out), tril(g, k=0))
    half = 0.5 * (tril(product, k=0) + tril(product, k=-1))
    back = turned(out)
    full = solve_(back, turned(solve_(back, half)))
    return 0.5 * (full + turned(full))


def _cofactor_d2(h: Any, out: Any, g: Any, x: Any) -> Any:
    """The derivative of <h, D> to x, for D = (C<g, C> - C g' C) / det the derivative of the cofactors C along g."""
    n = shape_of(x)[-1]
    if n <= 3:  # D is then linear in x, and has the same form in x and g
        return cofactor_d1(h, g) if n == 3 else None
    c, d = cofactor(x), _each(det(x))
    along, across = _total(g * c), _total(h * c)
    crossed = matmul(matmul(h, turned(c)), g) + matmul(matmul(g, turned(c)), h)
    slope = cofactor_d1((h * along + g * across - crossed) / d, x)
    return slope - c * (_total(h * out) / d)


# ---- the table --------------------------------------------------------------------------------------------------

#: Products of matrices of at most this many multiplications are written out; larger ones are BLAS's.
WRITTEN = 4096


def _tril_formula(dtype: Any, x: Any, k: int) -> Any:
    return select(np.tril(np.ones(shape_of(x)[-2:]), k), x, 0.0)


def _matmul_formula(dtype: Any, x: Any, y: Any) -> Any:
    """A product with a vector, or of small matrices, as a sum."""
    a, b = shape_of(x), shape_of(y)
    if len(a) > 2 or len(b) > 2:
        return None
    if len(b) == 1:
        return sum_(x * y, axes=(len(a) - 1,))
    if len(a) == 1:
        return sum_(reshape(x, shape=(*a, 1)) * y, axes=(0,))
    if a[0] * a[1] * b[1] > WRITTEN:
        return None
    return sum_(reshape(x, shape=(*a, 1)) * y, axes=(1,))


tril: Op = Op(
    "tril",
    kind="linear",
    kernel=lambda x, k: np.tril(x, k),
    complex=lambda x, k: np.tril(x, k),
    shape=lambda x, k: x,
    vjps=(lambda g, out, x, k: tril(g, k=k),),
    native=Written(_tril_formula),
    domain="real",
    points=(),
    doc="the entries of a matrix on the k-th diagonal and below, zeros above",
)
matmul: Op = Op(
    "matmul",
    kind="dense",
    kernel=_matmul,
    complex=_matmul,
    shape=_matmul_shape,
    vjps=(_matmul_left, _matmul_right),
    native=Written(_matmul_formula),
    domain="real",
    points=(),
    doc="the product of matrices and vectors",
)
inv: Op = Op(
    "inv",
    kind="dense",
    kernel=_defined(np.linalg.inv, _square),
    complex=np.linalg.inv,
    shape=_square,
    vjps=(lambda g, out, x: -matmul(matmul(turned(out), g), turned(out)),),
    native=None,
    domain="not singular",
    points=(),
    doc="the inverse of a matrix",
)
solve_: Op = Op(
    "solve",
    kind="dense",
    kernel=_defined(np.linalg.solve, _solve_shape),
    complex=np.linalg.solve,
    shape=_solve_shape,
    vjps=(
        lambda g, out, a, b: unbroadcast(-matmul(solve_(turned(a), g), turned(out)), shape_of(a)),
        lambda g, out, a, b: unbroadcast(solve_(turned(a), g), shape_of(b)),
    ),
    native=None,
    domain="a not singular",
    points=(),
    doc="the matrix x with a @ x = b",
)
cholesky: Op = Op(
    "cholesky",
    kind="dense",
    kernel=_defined(_lower, _square),
    complex=None,
    shape=_square,
    vjps=(_cholesky_rule,),
    native=None,
    domain="symmetric, positive definite",
    points=(),
    doc="the lower triangular L with L @ L' the symmetric part of a matrix",
)
det: Op = Op(
    "det",
    kind="dense",
    kernel=_defined(_det, lambda x: _square(x)[:-2]),
    complex=_det,
    shape=lambda x: _square(x)[:-2],
    vjps=(lambda g, out, x: _each(g) * cofactor(x),),
    native=None,
    domain="real",
    points=(),
    doc="the determinant; its first and second derivatives are exact at singular matrices too",
)
cofactor: Op = Op(
    "cofactor",
    kind="dense",
    kernel=_defined(_cofactor, _square),
    complex=None,
    shape=_square,
    vjps=(lambda g, out, x: cofactor_d1(g, x),),
    native=None,
    domain="real",
    points=(),
    doc="the derivative of the determinant by each entry",
)
cofactor_d1: Op = Op(
    "cofactor_d1",
    kind="dense",
    kernel=_defined(_cofactor_d1, _like),
    complex=None,
    shape=_like,
    vjps=(lambda h, out, g, x: cofactor_d1(h, x), _cofactor_d2),
    native=None,
    domain="real",
    points=(),
    doc="the derivative of the cofactors of x along g",
)
logdet: Op = Op(
    "logdet",
    kind="dense",
    kernel=_defined(_logdet, lambda x: _square(x)[:-2]),
    complex=_complex_logdet,
    shape=lambda x: _square(x)[:-2],
    vjps=(lambda g, out, x: _each(g) * turned(inv(x)),),
    native=None,
    domain="not singular",
    points=(),
    doc="log|det|, without overflow; -inf for a singular matrix",
)

# ---- compositions -----------------------------------------------------------------------------------------------


def solve(a: Any, b: Any) -> Any:
    """The x with `a @ x = b`, for a vector or a matrix b. One matrix a is factored once for many right sides."""
    shape, many = shape_of(b), shape_of(a)[:-2]
    if len(shape) == 1:
        x = solve_(a, reshape(b, shape=(*shape, 1)))
        return reshape(x, shape=shape_of(x)[:-1])
    if many or len(shape) == 2:
        return solve_(a, b)
    front = tuple(range(len(shape) - 2))
    n, m = len(shape) - 2, len(shape) - 1
    side_by_side = reshape(transpose(b, axes=(n, *front, m)), shape=(shape[n], _count(shape[:n]) * shape[m]))
    x = reshape(solve_(a, side_by_side), shape=(shape[n], *shape[:n], shape[m]))
    return transpose(x, axes=(*(axis + 1 for axis in front), 0, m))


def diagonal(x: Any) -> Any:
    """The entries x[i, i] of every matrix, as a vector."""
    *many, rows, columns = shape_of(x)
    count = min(rows, columns)
    flat = reshape(x, shape=(*many, rows * columns))
    stop = (count - 1) * (columns + 1) + 1 if count else 0
    return slice_(flat, axis=len(many), start=0, stop=stop, step=columns + 1)


def diagonal_matrix(x: Any) -> Any:
    """The matrix with the entries of a vector on its diagonal, and zeros elsewhere."""
    *many, n = shape_of(x)
    flat = embed(x, axis=len(many), n=n * n, start=0, stop=n * n, step=n + 1)
    return reshape(flat, shape=(*many, n, n))


def diag(x: Any) -> Any:
    """A vector as a diagonal matrix; of a matrix, its diagonal."""
    return diagonal_matrix(x) if len(shape_of(x)) == 1 else diagonal(x)


def trace(x: Any) -> Any:
    """The sum of the diagonal."""
    return sum_(diagonal(x), axes=(len(shape_of(x)) - 2,))


def outer(x: Any, y: Any) -> Any:
    """The matrix of all products x[i]*y[j]."""
    return reshape(x, shape=(*shape_of(x), 1)) * reshape(y, shape=(*shape_of(y)[:-1], 1, shape_of(y)[-1]))
