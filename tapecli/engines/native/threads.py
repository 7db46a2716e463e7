"""Threads for passes that are long enough. Blocks are fixed beforehand and every block's sums have a place of their
own, so the number of threads never shows in the bits of a result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

#: A pass of less work than this (in instructions on one number) is not worth handing out: about a millisecond.
LEAST = 6e6


def available() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The helping threads of a process; a process that was forked off has none of its parent's."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(available(), 2) - 1, "tapecli")


def worth_sharing(work: float) -> bool:
    """Whether a pass of so much work is shared by threads."""
    return work >= LEAST


def shares(blocks: int, threads: int) -> list[tuple[int, int]]:
    """`blocks` split evenly into at most `threads` ranges."""
    count = min(blocks, threads)
    return [(blocks * k // count, blocks * (k + 1) // count) for k in range(count)]


def together(calls: Sequence[Callable[[], Any]]) -> None:
    """Runs all calls at the same time: the first one here, the others on helping threads."""
    pool = _pool(os.getpid())
    waiting = [pool.submit(call) for call in calls[1:]]
    calls[0]()
    for future in waiting:
        future.result()
