"""Python's collector of cycles, at rest while much is made that is no garbage: it would go over all of that again and
again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def rest() -> None:
    """Puts the collector to rest until `wake` is called."""
    gc.disable()


def wake() -> None:
    """The collector begins its work, if it was at rest. It never looks at what is there by now, which are modules."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


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
