"""How a kernel meets its arguments: dtypes, scalars, blocks, and the choice between formulas.

A core computes in float64 on np.float64 scalars or one-dimensional arrays. Big arrays are cut into blocks so that the
many temporaries of a core stay in the processor's cache.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tapecli.ops.kernels.dd import Pair, Real

Core = Callable[..., Real]
Kernel1 = Callable[[ArrayLike], Any]
Kernel2 = Callable[[ArrayLike, ArrayLike], Any]

BLOCK = 8192


def _float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" and dtype.itemsize <= 8 else np.dtype(np.float64)


def _blocks(core: Core, out_type: np.dtype[Any], arrays: Sequence[np.ndarray[Any, Any]]) -> Any:
    """Run the core over equally shaped arrays."""
    shape = arrays[0].shape
    flat = [a.reshape(-1) for a in arrays]
    out = np.empty(flat[0].size, out_type)
    for i in range(0, out.size, BLOCK):
        out[i : i + BLOCK] = core(*(a[i : i + BLOCK].astype(np.float64, copy=False) for a in flat))
    return out.reshape(shape)


def kernel1(core: Core) -> Kernel1:
    """Make a kernel of one argument from its core."""

    @wraps(core)
    def run(x: ArrayLike) -> Any:
        with np.errstate(all="ignore"):
            if isinstance(x, (float, int)):  # np.float64 is a float
                return np.float64(core(np.float64(x)))
            a = np.asarray(x)
            out_type = _float_type(a.dtype)
            if a.ndim == 0:
                return out_type.type(core(np.float64(a[()])))
            return _blocks(core, out_type, (a,))

    return run


def kernel2(core: Core) -> Kernel2:
    """Make a kernel of two arguments, which broadcast, from its core."""

    @wraps(core)
    def run(x: ArrayLike, y: ArrayLike) -> Any:
        with np.errstate(all="ignore"):
            if isinstance(x, float) and isinstance(y, float):
                return np.float64(core(np.float64(x), np.float64(y)))
            weak_x: Any = x if isinstance(x, (float, int)) else np.asarray(x)
            weak_y: Any = y if isinstance(y, (float, int)) else np.asarray(y)
            out_type = _float_type(np.result_type(weak_x, weak_y))
            a, b = np.broadcast_arrays(weak_x, weak_y)
            if a.ndim == 0:
                return out_type.type(core(np.float64(a[()]), np.float64(b[()])))
            return _blocks(core, out_type, (a, b))

    return run


def pick(condition: Any, yes: Real, no: Real) -> Real:
    """np.where that stays fast and scalar for scalars."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    chosen = yes if condition else no
    # a literal would go on as a Python float, which raises where NumPy gives inf or nan
    return np.float64(chosen) if type(chosen) is float else chosen


def place(edges: Sequence[float], x: Real) -> Any:
    """Number of the interval between the edges that holds x: edges[k-1] <= x < edges[k]; nan comes last."""
    if isinstance(x, np.ndarray):
        return np.searchsorted(np.array(edges), x, side="right")
    return len(edges) if x != x else bisect_right(edges, x)


def cases(index: Any, cores: Sequence[Core], *args: Real) -> Real:
    """cores[index](*args) element by element: each core is called once, on its own elements only."""
    if not isinstance(index, np.ndarray):
        return cores[int(index)](*args)
    low, high = int(index.min()), int(index.max())
    if low == high:
        return cores[low](*args)
    out = np.empty(index.shape)
    for k in range(low, high + 1):
        at = np.flatnonzero(index == k)
        if at.size:
            out[at] = cores[k](*(a[at] for a in args))
    return out


def cases_pair(index: Any, cores: Sequence[Callable[..., Pair]], *args: Real) -> Pair:
    """The same for cores that return pairs."""
    if not isinstance(index, np.ndarray):
        return cores[int(index)](*args)
    low, high = int(index.min()), int(index.max())
    if low == high:
        return cores[low](*args)
    h, lo = np.empty(index.shape), np.empty(index.shape)
    for k in range(low, high + 1):
        at = np.flatnonzero(index == k)
        if at.size:
            h[at], lo[at] = cores[k](*(a[at] for a in args))
    return h, lo


def mend(out: Real, hard: Any, core: Core, *args: Real) -> Real:
    """Replace the elements of `out` where `hard` holds by those of a slower, more accurate core."""
    if not isinstance(hard, np.ndarray):
        return core(*args) if hard else out
    at = np.flatnonzero(hard)
    if at.size:
        out[at] = core(*(a[at] for a in args))
    return out
