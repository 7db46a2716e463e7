"""What a peer makes of a workload: calls that can be timed, and the numbers they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Data = dict[str, Any]


class Case(NamedTuple):
    """One workload in the words of one peer, data loaded and everything built.

    `run` computes what the workload asks for and returns when all of it is there. `numbers` makes of its result the
    value (None where the workload has none) and the derivative as one flat array. `value` computes the value alone.
    """

    run: Callable[[], Any]
    numbers: Callable[[Any], tuple[float | None, Any]]
    value: Callable[[], Any] | None = None
    remark: str = ""


class Skip(Exception):
    """This peer does not do this workload, or not of this size; the text says why."""


def flat(parts: Sequence[Any]) -> Any:
    """Arrays of any library, one after another."""
    return np.concatenate([np.asarray(part, dtype=np.float64).reshape(-1) for part in parts])


def value_and_flat(result: Any) -> tuple[float, Any]:
    """Of `(value, parts)`."""
    return float(np.asarray(result[0])), flat(result[1])


def only_flat(result: Any) -> tuple[None, Any]:
    """Of `parts`."""
    return None, flat(result)
