"""What can be said of code without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tapecli.syntax.code import Code


def free_names(code: Code, params: Iterable[str]) -> Iterator[tuple[str, int, int, bool]]:
    """The names that `code` takes from outside: name, place, and whether it is called.

    Names bound anywhere inside (in a block, by a loop) are not reported; the run tells when one is used too early.
    """
    values, functions = set(params), set()
    found: list[tuple[str, int, int, bool]] = []
    pending = [code]
    while pending:
        for opcode, operand, start, end in pending.pop():
            if opcode == "name":
                found.append((operand, start, end, False))
            elif opcode == "call":
                found.append((operand[0], start, end, True))
            elif opcode == "bind":
                values.update(operand[0])
            elif opcode == "define":
                functions.add(operand[0])
                values.update(operand[1])
                pending.append(operand[2])
            elif opcode == "comprehension":
                _, body, clauses, conditions = operand
                values.update(clause.index for clause in clauses)
                pending += [body, *conditions, *(clause.domain for clause in clauses)]
            elif opcode == "recur":
                _, states, starts, index, domain, body = operand
                values.update((*states, index))
                pending += [*starts, domain, body]
    for name, start, end, called in found:
        if name not in (functions if called else values):
            yield name, start, end, called
