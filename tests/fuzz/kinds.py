"""What every function of the language takes and gives, found out by calling it: new functions are fuzzed from the day
they are declared."""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from typing import NamedTuple

import tapecli as tp
from tapecli.catalogue import functions
from tapecli.language.calculus import CALCULUS

#: Kinds of values: a number, a vector of 3, a matrix of 3 by 3; and what has to be known before anything runs.
SCALAR, VECTOR, MATRIX, WHOLE = "svmn"
SHAPES = {(): SCALAR, (3,): VECTOR, (3, 3): MATRIX}
#: An example of each kind, with variables that every formula made here begins with.
EXAMPLES = {SCALAR: "x", VECTOR: "v", MATRIX: "A", WHOLE: "3"}
DECLARED = "var x = 0.5, v = [1, 2, 3], A[3, 3] = 1\n"


class Call(NamedTuple):
    """A way to call a function that works: the kinds of its arguments, and how it is written around them."""

    name: str
    takes: tuple[str, ...]
    #: what stands before the arguments and behind them
    before: str
    behind: str
    gives: str
    #: which arguments have to be plain names: those that a derivative is taken to
    plain: tuple[bool, ...]


@cache
def calls() -> dict[str, list[list[Call]]]:
    """By what is given: for each function, the ways to call it."""
    found: dict[str, dict[str, list[Call]]] = {kind: {} for kind in SHAPES.values()}
    for entry in functions():
        for one in _of_function(entry.name, entry.signature):
            found[one.gives].setdefault(one.name, []).append(one)
    return {kind: list(ways.values()) for kind, ways in found.items()}


def _of_function(name: str, signature: str) -> list[Call]:
    return [one for parameters in re.findall(r"\(([^)]*)\)", signature) for one in _of_form(name, parameters)]


def _of_form(name: str, parameters: str) -> list[Call]:
    """The calls that work of one form of a signature, say `x, axis=k`."""
    words = [word.strip() for word in parameters.split(",")]
    keys = [f", {word[:-1]}{k}" for word in words if word.endswith("=k") for k in (1, 2)] or [""]
    positional = [word for word in words if word.isidentifier()] + ["more"] * ("…" in words)
    plain = tuple(name in CALCULUS and word == "x" for word in positional)
    found = []
    for takes in product(EXAMPLES, repeat=len(positional)):
        if any(kind == WHOLE and alone for kind, alone in zip(takes, plain, strict=True)):
            continue
        for key in keys:
            shape = _shape(f"{name}({', '.join(EXAMPLES[kind] for kind in takes)}{key})")
            if shape in SHAPES:
                found.append(Call(name, takes, f"{name}(", f"{key})", SHAPES[shape], plain))
            elif shape is not None:  # arrays of other sizes are summed
                found.append(Call(name, takes, f"sum({name}(", f"{key}))", SCALAR, plain))
    return found


def _shape(call: str) -> tuple[int, ...] | None:
    try:
        return tp.parse(f"{DECLARED}r = {call}\n").value().shape
    except tp.TapeError:
        return None
