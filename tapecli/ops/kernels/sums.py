"""Kernels that sum: logarithms of sums of exponentials, and Chebyshev's polynomials by their recurrence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapecli.core import Array

#: Beyond this degree Chebyshev's polynomials are not computed: each degree is a step of a recurrence.
MOST = 100_000


def _peaks(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Any, Any]:
    """The greatest entries, where they stand, how many they are, and `exp(x - greatest)` of the others."""
    top = np.max(x, axis=axes, keepdims=True)
    peak = np.equal(x, top)
    others = np.where(peak, 0.0, np.exp(x - top)).astype(x.dtype, copy=False)
    return top, peak, np.add.reduce(peak, axis=axes, keepdims=True, dtype=x.dtype), others


def logsumexp(x: Array, axes: tuple[int, ...]) -> Any:
    """log(sum(exp(x))), counted from the greatest entry; what the others add keeps its digits."""
    with np.errstate(all="ignore"):
        top, _, count, others = _peaks(np.asarray(x), axes)
        rest = np.add.reduce(others, axis=axes, keepdims=True) + (count - 1)
        return (top + np.log1p(rest)).squeeze(axis=axes).astype(x.dtype, copy=False)


def softmax(x: Array, axes: tuple[int, ...]) -> Any:
    """exp(x) / sum(exp(x)); infinite entries that tie have equal shares."""
    with np.errstate(all="ignore"):
        top, peak, count, others = _peaks(np.asarray(x), axes)
        whole = count + np.add.reduce(others, axis=axes, keepdims=True)
        return np.where(np.isnan(top), np.nan, np.where(peak, 1.0, others) / whole).astype(x.dtype, copy=False)


def _each_order(n: Array, x: Array, k: int) -> Any:
    """The k-th derivative of Chebyshev's T of each order n: Gegenbauer's recurrence, kept where its step is n - k."""
    orders, x = np.broadcast_arrays(n - k, np.asarray(x, dtype=np.float64))
    whole = (n == np.floor(n)) & (np.abs(n) <= MOST)
    before, y = np.zeros(x.shape), np.ones(x.shape)
    result = np.where(orders == 0, y, np.where(whole, 0.0, np.nan))
    for j in range(1, int(np.max(orders, initial=0, where=whole)) + 1):
        a, b = (1.0 + (j > 1), 1.0) if k == 0 else (2.0 * (j + k - 1) / j, (j + 2.0 * k - 2.0) / j)
        before, y = y, a * x * y - b * before
        result = np.where(orders == j, y, result)
    return result if k == 0 else result * n * (2.0 ** (k - 1) * math.factorial(k - 1))


def chebyshev(n: Array, x: Array) -> Any:
    """T of degree n at x; undefined where n is not whole."""
    return chebyshev_d(x, n, 0)


def chebyshev_d(x: Array, n: Array, k: int) -> Any:
    """The k-th derivative of T of degree n."""
    with np.errstate(all="ignore"):
        orders = np.abs(np.asarray(n, dtype=np.float64))
        return np.asarray(_each_order(orders, x, k)).astype(np.result_type(n, x), copy=False)
