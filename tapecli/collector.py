"""Python's collector of cycles, at rest while much is made that is no garbage: it would go over all of that again and
again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: Whether the process is one of our own, whose modules the collector need not look at.
_own = False


def rest() -> None:
    """Puts the collector to rest until `wake` is called, in a process of our own."""
    global _own
    _own = True
    gc.disable()


def wake() -> None:
    """The collector begins its work, if it was put to rest. It never looks at what is there by now: modules."""
    if _own and not gc.isenabled():
        gc.freeze()
        gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """A large library is imported within. In a process of our own the collector never looks at it."""
    if not _own:
        yield
        return
    with resting():
        yield
        gc.freeze()


@contextmanager
def resting() -> Iterator[None]:
    """The collector is at rest within."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
