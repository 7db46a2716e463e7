"""`Problem.updated`: a formula file whose `expect` lines say what came out, all else left as it is.

Only what is certain is rewritten: an equality that failed, one side of which is a number as written, or a vector or
matrix of such. What else failed is named with the reason why it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tapecli.core import Array
from tapecli.problem.results import Check, Expectation
from tapecli.records import NamedTuple
from tapecli.syntax.code import Code, Expect

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


class Change(NamedTuple):
    """One `expect` line that is rewritten: its number among them, its place, and the value's text before and after."""

    number: int
    line: int
    column: int
    old: str
    new: str


class Skipped(NamedTuple):
    """One `expect` line that failed and stays, and why."""

    number: int
    line: int
    reason: str


class Update(NamedTuple):
    """The text after the changes, and what was changed and what was not."""

    text: str
    changes: tuple[Change, ...]
    skipped: tuple[Skipped, ...]


class _Literal(NamedTuple):
    """A value as written: its shape, and the places of its numbers in order."""

    shape: tuple[int, ...]
    places: tuple[tuple[int, int], ...]


def updated(problem: Problem, check: Check) -> Update:
    """What the file becomes when its failed expectations are rewritten to what `check` got."""
    lines = list(statements(problem))
    text = problem.source.text
    edits: list[tuple[int, int, str]] = []
    changes, skipped = [], []
    for number, (statement, found) in enumerate(zip(lines, check.expectations, strict=True)):
        if found.ok:
            continue
        planned = _planned(statement, found, text, problem.dtype)
        if isinstance(planned, str):
            skipped.append(Skipped(number, found.line, planned))
            continue
        (start, end), words = planned
        new = _replaced(text[start:end], [(a - start, b - start, word) for a, b, word in words])
        line, column = problem.source.position(start)
        changes.append(Change(number, line, column, text[start:end], new))
        edits += words
    return Update(_replaced(text, sorted(edits)), tuple(changes), tuple(skipped))


def _replaced(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """`text` with stretches replaced; the edits are in order and do not overlap."""
    parts, at = [], 0
    for start, end, word in edits:
        parts += [text[at:start], word]
        at = end
    return "".join([*parts, text[at:]])


def _planned(
    s: Expect, found: Expectation, text: str, dtype: str
) -> tuple[tuple[int, int], list[tuple[int, int, str]]] | str:
    """The place of the value and the edits that make an expectation hold, or the reason why there are none."""
    if s.relation != "==" or s.left is None or s.right is None:
        kind = "an inequality" if s.relation in ("<", "<=", ">", ">=", "!=") else "a condition"
        return f"it is {kind}, which names no value"
    for code, value in ((s.right, found.got), (s.left, found.wanted)):
        literal = _literal(code, text)
        if literal is None:
            continue
        value = np.asarray(value)
        if literal.shape != value.shape:
            return "the value that came out has another shape than the one written"
        if not np.isfinite(value).all():
            return "the value that came out is not finite"
        words = [_number(x, dtype) for x in value.reshape(-1)]
        return code[-1][2:], [(*place, word) for place, word in zip(literal.places, words, strict=True)]
    return "its value is an expression, not a number"


def _number(x: Array, dtype: str) -> str:
    """The shortest text that reads back as the number."""
    text = str(np.float32(x)) if dtype == "float32" else float.__repr__(float(x))
    return text.removesuffix(".0")


def _literal(code: Code, text: str) -> _Literal | None:
    """The value that `code` writes out, or None where it is an expression."""
    stack: list[_Literal] = []
    for opcode, operand, start, end in code:
        if opcode == "num" and text[start : start + 1] in tuple("0123456789."):  # `true` is a number too
            stack.append(_Literal((), ((start, end),)))
        elif opcode == "neg" and stack and not stack[-1].shape and text[start] == "-":
            number = text[start + 1 : stack[-1].places[0][1]].strip()
            if not number or number[0] not in "0123456789.":
                return None
            stack.append(_Literal((), ((start, stack.pop().places[0][1]),)))
        elif opcode == "vector" and operand and len(stack) >= operand:
            rows = stack[-operand:]
            del stack[-operand:]
            if any(row.shape != rows[0].shape for row in rows):
                return None
            stack.append(_Literal((operand, *rows[0].shape), tuple(place for row in rows for place in row.places)))
        else:
            return None
    return stack[0] if len(stack) == 1 else None


def value_place(code: Code | None) -> tuple[int, int] | None:
    """Where the code of a value stands, from its first character to its last."""
    if not code:
        return None
    return min(start for _, _, start, _ in code), max(end for _, _, _, end in code)


def statements(problem: Problem) -> Iterator[Expect]:
    """The `expect` statements of a problem, in the order of its expectations."""
    return (s for s in problem._module.statements if isinstance(s, Expect))
