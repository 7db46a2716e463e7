"""The native engine: a traced graph made machine code.

`lower` writes ops out in others, `plan` groups what is left into passes, `nest` and `module` write them as LLVM text,
`build` makes machine code of it, `program` runs it. Where the cache has the program, its `layout` and code are taken
from there, and nothing is written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tapecli.core import Array
from tapecli.engines import How
from tapecli.engines.native import build, cache, fingerprint
from tapecli.engines.native.host import host
from tapecli.engines.native.layout import Layout, packed, unpacked
from tapecli.engines.native.program import Program, Steps
from tapecli.engines.traced import Traced
from tapecli.errors import TapeWarning
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.engines.repeated import Sizes


class Made(NamedTuple):
    """A program of machine code, with the fields of `Compiled`."""

    run: Callable[..., list[Array]]
    traces: int
    program: Program


def lack() -> str | None:
    """Why no machine code can be made here; None where it can."""
    if host() is None:
        return "no machine code is made for this kind of processor"
    try:
        build.llvm_version()
    except ImportError:
        return "machine code is made by llvmlite, which is not installed (the extra `native`)"
    return None


def ready(quiet: bool = False) -> bool:
    """Whether machine code can be made here; if not, a warning says why, once."""
    reason = lack()
    if reason is not None and not quiet and not _told:
        _told.append(reason)
        warnings.warn(f"{reason}: the NumPy program runs instead", TapeWarning, stacklevel=2)
    return reason is None


_told: list[str] = []


def compiled(traced: Traced, how: How, cached: bool = False) -> Made | None:
    """A traced function as machine code, from the cache or compiled; with `cached` only from there, or None."""
    found = _loaded(traced, None, how, cached)
    if found is None:
        return None
    layout, code = found
    program = Program(layout, traced.dtype, code, how.threads)
    return Made(program.run, 1, program)


def repeated(traced: Traced, sizes: Sizes, how: How, cached: bool = False) -> Steps | None:
    """A traced step that is repeated (see `tapecli.engines.Stepping`) as a loop of machine code; None where a part of
    it is left to NumPy or, with `cached`, where the cache has no such loop."""
    found = _loaded(traced, sizes, how, cached)
    return None if found is None else Steps(found[0], traced.dtype, found[1])


def _loaded(traced: Traced, sizes: Sizes | None, how: How, cached: bool) -> tuple[Layout, Any] | None:
    """The layout of a program and its code."""
    machine = host()
    assert machine is not None
    program = fingerprint.of(traced, sizes) if how.cache else None
    key = None if program is None else build.key_of(program, machine)
    kept = None if key is None else cache.fetch(key)
    if kept is None and cached:
        return None
    layout, content = ("", b"") if kept is None else unpacked(kept)
    if isinstance(layout, str):  # the digest of the text that the code was made of
        from tapecli.engines.native import text

        made = text.written(traced) if sizes is None else text.repeated(traced, sizes)
        if made is None:
            return None
        if cache.digest_of(made.text.encode()) != layout:
            content = build.compiled(made.text)
            if key is not None:
                cache.keep(key, packed(made.layout, made.text, content))
        layout = made.layout
    return layout, build.load(content, layout.names, machine)


__all__ = ["Made", "Steps", "compiled", "ready", "repeated"]
