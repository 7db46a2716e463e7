"""What the machine does after something was wrong, so that the next independent fault of the file is found too.

The value of an instruction that failed is `Broken`. What is made of a broken value is broken without a word, and every
other part of the expression is run as usual. So each fault is reported once, at the place where it arose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapecli.errors import MOST_ERRORS, TapeError
from tapecli.language.values import Broken, FollowUp, Frame
from tapecli.syntax.code import Code, taken

if TYPE_CHECKING:
    from tapecli.language.machine import Machine


def note(m: Machine, error: TapeError) -> None:
    """Keeps an error to be told at the end: one for each place, and one for each unknown name."""
    place = error.place
    key = (
        (error.code, error.message)
        if error.code == "name" or place is None
        else (error.code, id(place.source), place.start, place.end)
    )
    if key not in m.told:
        m.told.add(key)
        m.errors.append(error)


def recover(m: Machine, fault: TapeError | FollowUp, frame: Frame, instruction: Any, height: int) -> None:
    """Puts the stack, which had `height` values, as the failed instruction would have left it, its value being broken.

    A limit is no fault among others: nothing is tried after it.
    """
    if isinstance(fault, TapeError):
        if fault.code == "limit" or len(m.errors) >= MOST_ERRORS:
            raise fault
        note(m, fault)
    m.wounded = True
    opcode, operand, *_ = instruction
    del m.stack[height - taken(opcode, operand) :]
    if opcode == "then":
        m.stack[-1] = Broken()
        m.masks.append(None)
    elif opcode == "bind":
        for name in operand[0]:
            frame.scope.values.setdefault(name, Broken())
    else:
        m.stack.append(Broken())


def skipped(m: Machine, frame: Frame, instruction: Any) -> bool:
    """Whether the instruction rests on something broken; it then leaves something broken and is not run."""
    opcode, operand, *_ = instruction
    count = 1 if opcode == "then" else taken(opcode, operand)
    if not count or not any(isinstance(value, Broken) for value in m.stack[-count:]):
        return False
    if opcode == "then":
        m.masks.append(None)
        return True
    if opcode == "endif":
        m.masks.pop()
    del m.stack[-count:]
    if opcode == "bind":
        for name in operand[0]:
            frame.scope.values.setdefault(name, Broken())
    else:
        m.stack.append(Broken())
    return True


def first_of(errors: list[TapeError]) -> TapeError:
    """The error that comes first in the text, with the others in its `more`."""
    source = errors[0].place.source if errors[0].place is not None else None
    if all(e.place is not None and e.place.source is source for e in errors):
        errors = sorted(errors, key=lambda e: e.place.start)  # type: ignore[union-attr]
    first, *rest = errors
    return TapeError(first.code, first.message, place=first.place, hint=first.hint, label=first.label, more=rest)


def pieces(value: Any) -> list[Code]:
    """All code in a statement, whatever fields it stands in."""
    found: list[Code] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            found.append(one)
        elif isinstance(one, tuple):
            waiting.extend(part for part in reversed(one) if isinstance(part, (list, tuple)))
    return found
