"""What a formula is at a point, as calls of a problem answer it. The other answers are in `results`."""

from __future__ import annotations

from tapecli.core import Array
from tapecli.records import NamedTuple


class Evaluation(NamedTuple):
    """Values of outputs at a point."""

    at: dict[str, Array]
    values: dict[str, Array]
    dtype: str
    engine: str


class Derivatives(NamedTuple):
    """The value of one output at a point, and derivatives of it. What was not asked for is None.

    gradient    by name, each of the shape of its variable (zeros where the output does not depend on it)
    connected   by name, whether the output depends on it at all
    hessian     by row name, then column name, blocks of shape (row's shape) + (column's shape)
    jacobian    by name, (shape of the output) + (shape of the variable)
    product     by name, the Hessian times the direction that was asked for
    """

    of: str
    at: dict[str, Array]
    value: Array
    gradient: dict[str, Array] | None
    connected: dict[str, bool]
    hessian: dict[str, dict[str, Array]] | None
    jacobian: dict[str, Array] | None
    product: dict[str, Array] | None
    dtype: str
    engine: str
