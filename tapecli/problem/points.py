"""Where a problem is evaluated: points given in Python, in words, or as rows of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tapecli import language
from tapecli.core import Array
from tapecli.errors import TapeError, nearest
from tapecli.graph import shape_text
from tapecli.language.formula import Formula
from tapecli.tape import number_of

if TYPE_CHECKING:
    from tapecli.data.table import Table

Values: TypeAlias = Mapping[str, Any]


def checked(formula: Formula, at: Values | None) -> dict[str, Array]:
    """`at` as arrays of the right shapes, for names that the formula binds."""
    values = {}
    for name, value in (at or {}).items():
        node = formula.names.get(name)
        if node is None:
            close = nearest(name, formula.names)
            hint = f"did you mean `{close}`?" if close else f"there is {', '.join(list(formula.names)[:10])}"
            raise TapeError("name", f"nothing in the formula is called `{name}`", hint=hint)
        array = np.asarray(number_of(value), dtype=np.float64)
        if array.ndim and array.shape != node.shape:
            sizes = f"{shape_text(node.shape)}, and the value given for it is {shape_text(array.shape)}"
            raise TapeError("shape", f"`{name}` is {sizes}")
        values[name] = np.array(np.broadcast_to(array, node.shape))
    return values


def from_words(formula: Formula, words: Sequence[str]) -> dict[str, Array]:
    """The values that `NAME=EXPR` and names of points give, later ones over earlier ones."""
    values: dict[str, Array] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip()
        if equals:
            values[name] = language.evaluate_expression(text, f"--at {name}", formula)
            continue
        if name not in formula.points:
            close = nearest(name, formula.points)
            otherwise = "give a point as NAME=VALUE, or name one of the file's points"
            raise TapeError(
                "name", f"there is no point `{name}`", hint=f"did you mean `{close}`?" if close else otherwise
            )
        values.update(formula.points[name])
    return values


class Rows(Sequence[dict[str, Array]]):
    """Points whose values are the rows of columns (points × shape of the value), and values that all of them have,
    which come before or after the columns."""

    def __init__(
        self, columns: Mapping[str, Array], count: int, before: Mapping[str, Array], after: Mapping[str, Array]
    ) -> None:
        self._columns = dict(columns)
        self._count = count
        self._before = dict(before)
        self._after = dict(after)

    def within(self, before: Mapping[str, Array], after: Mapping[str, Array]) -> Rows:
        """The same points, where values of `before` hold for what has no column, and those of `after` in any case."""
        return Rows(self._columns, self._count, {**before, **self._before}, {**self._after, **after})

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(self._count))]
        if not -self._count <= k < self._count:
            raise IndexError(k)
        return {**self._before, **{name: column[k, ...] for name, column in self._columns.items()}, **self._after}

    @property
    def columns(self) -> dict[str, Array]:
        """Every value of the points as a column."""
        names = {**self._before, **self._columns, **self._after}
        return {
            name: np.broadcast_to(value, (self._count, *np.shape(value)))
            if name in self._after or name not in self._columns
            else value
            for name, value in names.items()
        }


def table_of(path: str) -> Table:
    """A file of points, which stands where the caller says and not beside the formula."""
    from tapecli.data.table import Table

    if not os.path.exists(path):
        hint = "the path after @ begins at the current folder"
        raise TapeError("file", f"there is no file of points `{path}`", hint=hint)
    return Table(path, path)


def from_rows(formula: Formula, path: str) -> Rows:
    """A point per row of a CSV file, whose columns are names."""
    table = table_of(path)
    if table.headers is None:
        hint = "its columns are named by a first row, such as x,y"
        raise TapeError("data", f"`{path}` has no header row", hint=hint)
    if not len(table.rows):
        raise TapeError("data", f"`{path}` has names of columns and no rows", hint="each row is a point")
    rows = Rows({name: np.asarray(table.column(i)) for i, name in enumerate(table.headers)}, len(table.rows), {}, {})
    checked(formula, rows[0])
    return rows


def columns(formula: Formula, rows: Sequence[Values]) -> dict[str, Array] | None:
    """The values of points as columns (points × shape) of the shapes that the formula's names have; None where the
    points do not bind the same inputs, or bind what the graph itself rests on. Faults are those of `checked`."""
    if not len(rows):
        return {}
    first = checked(formula, rows[0])
    if any(name in formula.fixed or name not in formula.inputs for name in first):
        return None
    given = rows.columns if isinstance(rows, Rows) else _stacked(rows)
    if given is None:
        return None
    found = {}
    for name, value in first.items():
        column = np.asarray(given[name], dtype=np.float64)
        if column.ndim == 1:
            column = column.reshape(-1, *[1] * value.ndim)
        if column.shape[1:] != value.shape and column.size != len(rows):
            return None
        found[name] = np.broadcast_to(column, (len(rows), *value.shape))
    return found


def _stacked(rows: Sequence[Values]) -> dict[str, Array] | None:
    """Columns of points that have the same names and shapes."""
    names = list(rows[0])
    arrays = [[np.asarray(number_of(row[name])) for name in names] for row in rows if list(row) == names]
    if len(arrays) < len(rows):
        return None
    found = {}
    for name, column in zip(names, zip(*arrays, strict=True), strict=True):
        if any(array.shape != column[0].shape for array in column):
            return None
        found[name] = np.array(column)
    return found
