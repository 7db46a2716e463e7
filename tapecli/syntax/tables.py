"""The tables of the parser, which `grammar` makes of the grammar file by Lark, and the run over them.

Lark itself is not imported when a formula is read: its import takes longer than everything else that reading a small
formula needs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tapecli.errors import TapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tapecli.syntax.lexer import Token

STARTS = ("file", "expression")


class Failure:
    """Where a run ended early: the error of an action, or None where `token` does not fit behind `previous`."""

    __slots__ = ("error", "previous", "start", "states", "token", "values")

    def __init__(
        self, start: str, error: TapeError | None, token: Token, previous: Token, states: list[int], values: list[Any]
    ) -> None:
        self.start = start
        self.error = error
        self.token = token
        self.previous = previous
        self.states = states
        self.values = values


class Tables:
    """A deterministic LALR(1) automaton over ints.

    A state is the offset of its row in `actions`, so `actions[state + terminal]` says what to do: a positive number
    is the state to shift to, a negative one minus the number of the rule to reduce by, 0 an error. Rules count from
    1; `rules[n]` is (left side, length, action), with an empty action for a rule that only passes its part through.
    """

    __slots__ = ("actions", "gotos", "height", "jumps", "rules", "starts", "terminals", "width")

    def __init__(self) -> None:
        from tapecli.syntax import _tables as made

        self.terminals: tuple[str, ...] = made.TERMINALS
        self.width = len(made.TERMINALS)
        self.height = len(made.NONTERMINALS)
        self.rules: tuple[tuple[int, int, str], ...] = ((0, 0, ""), *made.RULES)
        self.starts: dict[str, int] = made.STARTS
        self.actions = _unpack(made.ACTIONS, made.ACTION_ROWS, self.width)
        self.gotos = _unpack(made.GOTOS, made.GOTO_ROWS, self.height)
        self.jumps: dict[int, int] = {}

    def goto(self, state: int, left: int) -> int:
        """The state after `left` was found in `state`."""
        return self.gotos[state // self.width * self.height + left]

    def jump(self, state: int, left: int, terminal: int) -> int:
        """The state after `left` was found in `state`, with the rules that only pass a part through behind it.

        Each operand climbs the dozen steps of the ladder of precedence. Where to depends on these three alone, so
        the driver keeps the answers in `jumps`.
        """
        while True:
            found = self.goto(state, left)
            action = self.actions[found + terminal]
            if action >= 0:
                break
            above, length, name = self.rules[-action]
            if length != 1 or name:
                break
            left = above
        return found

    def run(self, start: str, tokens: Iterable[Token], actions: Sequence[Callable[..., Any]]) -> Failure | None:
        """Runs over the tokens up to END, calling `actions[n]` with the parts that rule n puts together.

        Where a token does not fit, or an action raises a TapeError, that is returned with the way up to there. States
        and values lie on lists, not on Python's stack: brackets may nest as deep as memory allows.
        """
        table, jumps, height = self.actions, self.jumps, self.height
        rules = [(left, length, actions[n]) for n, (left, length, _) in enumerate(self.rules) if n][::-1]
        state = self.starts[start]
        states, values = [state], list[Any]()
        token = previous = (0, 0, 0, "")
        try:
            for token in tokens:
                kind = token[0]
                while (action := table[state + kind]) < 0:
                    left, length, act = rules[action]  # rule n lies n places before the end
                    if length:
                        parts = values[-length:]
                        del values[-length:], states[-length:]
                        values.append(act(*parts))
                    else:
                        values.append(act())
                    key = (states[-1] + kind) * height + left
                    found = jumps.get(key)
                    if found is None:
                        found = jumps[key] = self.jump(states[-1], left, kind)
                    state = found
                    states.append(state)
                if not action:
                    return Failure(start, None, token, previous, states, values)
                states.append(action)
                values.append(token)
                state = action
                previous = token
        except TapeError as error:
            return Failure(start, error, token, previous, states, values)
        return None

    def expected(self, stack: Sequence[int]) -> list[int]:
        """The terminals that could come next."""
        return [terminal for terminal in range(self.width) if self.accepts(stack, terminal)]

    def accepts(self, stack: Sequence[int], terminal: int) -> bool:
        """Whether `terminal` can come next: a row may promise reductions that lead to no shift."""
        top, pushed = len(stack), [stack[-1]]
        while (action := self.actions[pushed[-1] + terminal]) < 0:
            left, length, _ = self.rules[-action]
            if length < len(pushed):
                del pushed[len(pushed) - length :]
            else:
                top -= length - len(pushed) + 1
                pushed = [stack[top - 1]]
            pushed.append(self.goto(pushed[-1], left))
        return action > 0


def _unpack(text: str, rows: Iterable[int], width: int) -> list[int]:
    """The whole table of which `text` holds each different row once, as little-endian 16-bit numbers in hexadecimal."""
    data = bytearray.fromhex(text)
    if sys.byteorder == "big":
        data[0::2], data[1::2] = data[1::2], data[0::2]
    size = 2 * width
    return memoryview(b"".join([data[row * size : (row + 1) * size] for row in rows])).cast("h").tolist()
