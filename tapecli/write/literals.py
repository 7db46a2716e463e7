"""Numbers and arrays of numbers as terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapecli.core import Shape
from tapecli.errors import TapeError
from tapecli.write.terms import Term, Terms

#: Arrays of more entries are not written out.
ENTRIES = 10_000


def literal(terms: Terms, value: Any) -> Term:
    """A number, or an array written out."""
    if not value.shape:
        return terms.num(float(value))
    flat = value.reshape(-1)
    if flat.size and np.all(flat == flat[0]):
        return terms.filled(float(flat[0]), value.shape)
    if value.ndim == 2 and value.shape[0] == value.shape[1] and np.array_equal(value, np.eye(len(value))):
        return terms.call("eye", [terms.num(len(value))], value.shape)
    if flat.size > ENTRIES or not flat.size:
        raise TapeError("limit", f"an array of {flat.size:,} numbers is not written out")
    rows = [terms.num(float(x)) for x in flat]
    shape: Shape = ()
    for n in reversed(value.shape):
        shape = (n, *shape)
        rows = [terms.make("vector", None, rows[k : k + n], shape) for k in range(0, len(rows), n)]
    return rows[0]
