"""What the language knows besides nodes: tuples, ranges, functions, and the scopes that names stand in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tapecli.errors import Place, Source
from tapecli.language.code import Code


class Tuple:
    """Several values together: `(a, b)`."""

    __slots__ = ("items",)

    def __init__(self, items: list[Any]) -> None:
        self.items = items


class Range:
    """`first..last by step`: whole numbers, both ends included."""

    __slots__ = ("first", "last", "step")

    def __init__(self, first: int, last: int, step: int) -> None:
        self.first = first
        self.last = last
        self.step = step

    @property
    def values(self) -> range:
        return range(self.first, self.last + (1 if self.step > 0 else -1), self.step)


class Everything:
    """The `:` of an index."""

    __slots__ = ()


class Broken:
    """What a name stands for whose statement was wrong: its uses are not reported again."""

    __slots__ = ()


class FollowUp(Exception):
    """A fault that follows from one already reported."""


class Function:
    """A user's function: its code, and the names it may use."""

    __slots__ = ("code", "name", "params", "place", "scope", "source")

    def __init__(
        self, name: str, params: tuple[str, ...], code: Code, scope: Scope, source: Source, place: Place
    ) -> None:
        self.name = name
        self.params = params
        self.code = code
        self.scope = scope
        self.source = source
        self.place = place


class Scope:
    """The values and the functions that names stand for; names not found are looked up in `parent`."""

    __slots__ = ("functions", "parent", "values")

    def __init__(self, parent: Scope | None = None) -> None:
        self.values: dict[str, Any] = {}
        self.functions: dict[str, Function] = {}
        self.parent = parent

    def value(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        return None

    def function(self, name: str) -> Function | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.functions:
                return scope.functions[name]
            scope = scope.parent
        return None

    def names(self) -> Iterable[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.values
            scope = scope.parent


class Frame:
    """Code that is being run: the next instruction, the names it sees and the source it stands in."""

    __slots__ = ("at", "code", "scope", "source")

    def __init__(self, code: Code, scope: Scope, source: Source) -> None:
        self.code = code
        self.at = 0
        self.scope = scope
        self.source = source
