"""Text to graph: the one door to the formula language."""

from __future__ import annotations

from tapecli.core import Array
from tapecli.errors import Source
from tapecli.graph import Graph, replay
from tapecli.language.elaborate import Context, Elaborator
from tapecli.language.formula import Formula
from tapecli.language.instructions import HANDLERS
from tapecli.language.machine import Machine
from tapecli.language.recovery import first_of
from tapecli.language.values import FollowUp, Scope
from tapecli.syntax.code import Module
from tapecli.syntax.lexer import decode
from tapecli.syntax.parser import parse_expression
from tapecli.syntax.parser import read as parse


def build(module: Module, context: Context) -> Formula:
    """The formula that the statements of `module` say."""
    return Elaborator(module, context).run()


def evaluate_expression(text: str, name: str, formula: Formula | None) -> Array:
    """The number of an expression; with a formula, the numbers of its inputs stand under their names."""
    import numpy as np

    source = Source(name, text)
    graph = Graph() if formula is None else formula.graph
    machine, scope = Machine(graph, source, HANDLERS), Scope()
    known = {}
    if formula is not None:
        scope.values.update({entry.name: entry.node for entry in formula.inputs.values() if entry.value is not None})
        known = {entry.node: entry.value for entry in formula.inputs.values() if entry.value is not None}
        machine.known = known
    try:
        node = machine.node(machine.run(parse_expression(source), scope), "a value")
    except FollowUp:
        raise first_of(machine.errors) from None
    with np.errstate(all="ignore"):
        return np.asarray(replay([node], known, lambda value: value)[0], dtype=np.float64)


__all__ = ["Context", "Formula", "Module", "build", "decode", "evaluate_expression", "parse", "parse_expression"]
