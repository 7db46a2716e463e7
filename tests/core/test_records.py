"""`tapecli.records.NamedTuple` makes what `typing.NamedTuple` makes."""

from __future__ import annotations

import pickle
import typing
from typing import Any

import pytest

from tapecli import records


class Ours(records.NamedTuple):
    """Two numbers."""

    x: int
    y: float | None = 2.0

    @property
    def total(self) -> float:
        return self.x + (self.y or 0.0)

    def more(self) -> Ours:
        return self._replace(x=self.x + 1)


class Theirs(typing.NamedTuple):
    """Two numbers."""

    x: int
    y: float | None = 2.0

    @property
    def total(self) -> float:
        return self.x + (self.y or 0.0)

    def more(self) -> Theirs:
        return self._replace(x=self.x + 1)


@pytest.mark.parametrize(
    "look",
    [
        lambda c: (c._fields, c._field_defaults, c.__doc__, c.__module__, c.__bases__, c.__match_args__, c.__slots__),
        lambda c: (c(1), c(1).y, c(1, y=3).more(), c(1).total, c(1) == (1, 2.0), hash(c(1)), c(1)._asdict()),
        lambda c: c.__qualname__ == c.__name__,
        lambda c: typing.get_type_hints(c),
        lambda c: repr(c(1))[len(c.__name__) :],
        lambda c: pickle.loads(pickle.dumps(c(1))),
    ],
)
def test_it_is_the_same(look: Any) -> None:
    assert look(Ours) == look(Theirs)


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(TypeError):
        Ours()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Ours(1).x = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="default"):
        type(records.NamedTuple)("Bad", (records.NamedTuple,), {
            "__module__": "m", "__annotations__": {"x": "int", "y": "int"}, "x": 1,
        })  # fmt: skip
