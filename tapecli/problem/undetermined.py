"""What data determine where they do not determine every parameter: combinations, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapecli.core import Array


def combinations(names: Sequence[str], null: Array) -> str | None:
    """A sentence about the parameters that the columns of `null` move without moving the fit; None where there is no
    such column.

    The combinations that are determined are those without a part along any of the columns: a + c where a and c can
    only be shifted against each other. They hold to first order, near the point."""
    if null.shape[1] == 0:
        return None
    size = np.max(np.abs(null), axis=0)
    null = null / np.where(size > 0.0, size, 1.0)
    weight = np.max(np.abs(null), axis=1)
    involved = [i for i in range(len(names)) if weight[i] > 1e-9 * np.max(weight)]
    rows = _echelon(_complement(null[involved]))
    words = _list([names[i] for i in involved])
    if not rows.shape[0]:
        return f"these data say nothing about {words}"
    told = _list([_sum(row, [names[i] for i in involved]) for row in rows])
    return f"only {told} {'is' if rows.shape[0] == 1 else 'are'} determined by these data, not {words} each"


def _complement(null: Array) -> Array:
    """Rows that span what is orthogonal to all columns."""
    u, sigma, _ = np.linalg.svd(null, full_matrices=True)
    rank = int(np.sum(sigma > 1e-9 * np.max(sigma, initial=0.0)))
    return np.asarray(u[:, rank:].T)


def _echelon(rows: Array) -> Array:
    """The same span with as many zeros as elimination gives, the first entry of each row being 1."""
    rows = rows.copy()
    lead = 0
    for k in range(rows.shape[0]):
        while lead < rows.shape[1] and np.max(np.abs(rows[k:, lead])) < 1e-9:
            lead += 1
        if lead == rows.shape[1]:
            break
        pivot = k + int(np.argmax(np.abs(rows[k:, lead])))
        rows[[k, pivot]] = rows[[pivot, k]]
        rows[k] = rows[k] / rows[k, lead]
        for other in range(rows.shape[0]):
            if other != k:
                rows[other] -= rows[other, lead] * rows[k]
        lead += 1
    rows[np.abs(rows) < 1e-9] = 0.0
    return rows


def _sum(row: Array, names: Sequence[str]) -> str:
    text = ""
    for factor, name in zip(row, names, strict=True):
        if factor == 0.0:
            continue
        size = f"{abs(factor):.6g}"
        term = name if size == "1" else f"{size}*{name}"
        sign = "-" if factor < 0.0 else "+"
        text = (("-" if factor < 0.0 else "") + term) if not text else f"{text} {sign} {term}"
    return text


def _list(words: Sequence[str]) -> str:
    if len(words) > 8:
        words = [*words[:7], f"{len(words) - 7} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
