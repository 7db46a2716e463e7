"""Where a problem is evaluated: points given in Python, in words, or as rows of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tapecli import language
from tapecli.core import Array
from tapecli.errors import TapeError, nearest
from tapecli.graph import shape_text
from tapecli.language.formula import Formula
from tapecli.tape import number_of

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


def from_rows(formula: Formula, path: str) -> list[dict[str, Array]]:
    """A point per row of a CSV file, whose columns are names."""
    from tapecli.data import Table

    table = Table(path, path)
    if table.headers is None:
        hint = "its columns are named by a first row, such as x,y"
        raise TapeError("data", f"`{path}` has no header row", hint=hint)
    columns = [(name, table.column(i)) for i, name in enumerate(table.headers)]
    if len(table.rows):
        checked(formula, {name: column[0] for name, column in columns})
    return [{name: np.asarray(column[k]) for name, column in columns} for k in range(len(table.rows))]
