"""Checkpoints: the state of a run in a file that is whole or not there, and that says what run it belongs to.

A file is a line `tapecli checkpoint 1`, the length of a header (8 bytes, little endian), the header (JSON: the identity
of the run, and name, dtype and shape of each array), the arrays one after another, and the SHA-256 of all that. It is
written beside its name, brought to the disk, and renamed; the checkpoint before stays as `FILE.1`. So whenever the
process or the machine stops, one of the two is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from tapecli.core import Array
from tapecli.errors import TapeError
from tapecli.optimize.method import ANY, State
from tapecli.records import NamedTuple

MAGIC = b"tapecli checkpoint 1\n"
#: The part of a run's time that writing may take, where checkpoints cost more than the seconds between them allow.
SHARE = 0.02


class Damaged(Exception):
    """A file that is no whole checkpoint; the argument says why."""


class Saved(NamedTuple):
    """What a checkpoint holds: the run it belongs to, the state, and the best state so far."""

    identity: dict[str, str]
    state: State
    best: State | None


def older(path: str) -> str:
    """Where the checkpoint before the last one is."""
    return path + ".1"


def write(path: str, saved: Saved) -> None:
    """Puts a checkpoint in the place of the last one, which becomes the older one."""
    parts = {"state/" + name: array for name, array in saved.state.flat().items()}
    if saved.best is not None and saved.best is not saved.state:
        parts |= {"best/" + name: array for name, array in saved.best.flat().items()}
    arrays = {name: _plain(array) for name, array in parts.items()}
    listed = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = {"identity": saved.identity, "best": saved.best is not None, "arrays": listed}
    text = json.dumps(header).encode()
    pieces = [MAGIC, len(text).to_bytes(8, "little"), text, *[array.tobytes() for array in arrays.values()]]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.writelines([*pieces, digest.digest()])
            file.flush()
            os.fsync(file.fileno())
        if os.path.lexists(path):
            os.replace(path, older(path))
        os.replace(temporary, path)
        _sync_folder(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise TapeError("file", f"the checkpoint {path} cannot be written: {_reason(error)}") from None


def _plain(array: Array) -> Array:
    """The array in little endian."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _sync_folder(folder: str) -> None:
    """The new names are on the disk, too."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # not every file system can
        pass
    finally:
        os.close(handle)


def read(path: str) -> Saved:
    """The checkpoint of one file. Raises `Damaged`, and OSError where the file cannot be read."""
    with open(path, "rb") as file:
        content = file.read()
    if not content.startswith(MAGIC):
        same = content.startswith(MAGIC[:18])
        raise Damaged("it is of another version" if same else "it is no checkpoint, or its beginning is damaged")
    begin = len(MAGIC) + 8
    if len(content) < begin + 32 or hashlib.sha256(content[:-32]).digest() != content[-32:]:
        raise Damaged("its end is missing or its content was changed")
    size = int.from_bytes(content[len(MAGIC) : begin], "little")
    try:
        header = json.loads(content[begin : begin + size])
        return _parsed(header, content, begin + size)
    except (ValueError, KeyError, TypeError) as error:  # it is as it was written, and yet wrong
        raise Damaged(f"it does not say what it should ({error})") from None


def _parsed(header: Any, content: bytes, at: int) -> Saved:
    parts: dict[str, dict[str, Array]] = {"state": {}, "best": {}}
    for name, dtype, shape in header["arrays"]:
        count = prod(shape)
        kind = np.dtype(dtype)
        if kind.kind not in "biuf":
            raise ValueError(f"an array of {kind}")
        array = np.frombuffer(content, kind, count, at).reshape(shape).astype(kind.newbyteorder("="))
        at += count * kind.itemsize
        whose, _, rest = name.partition("/")
        parts[whose][rest] = array
    state = State.restored(parts["state"])
    best = (State.restored(parts["best"]) if parts["best"] else state) if header["best"] else None
    return Saved(dict(header["identity"]), state, best)


def latest(path: str, identity: Mapping[str, str]) -> tuple[Saved | None, str | None]:
    """The checkpoint to go on from, or None where there is none yet; and what is to be said about that, if anything.

    Raises TapeError("file") where all that is there is damaged, and TapeError("usage") where it belongs to another run.
    """
    faults: list[str] = []
    for name in (path, older(path)):
        try:
            saved = read(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TapeError("file", f"the checkpoint {name} cannot be read: {_reason(error)}") from None
        except Damaged as fault:
            faults.append(f"the checkpoint {name} is damaged: {fault}")
            continue
        _check(name, saved.identity, identity)
        note = f"{faults[0]}; going on from the older {name}, step {saved.state.step}" if faults else None
        return saved, note
    if faults:
        raise TapeError("file", "; ".join(faults), hint="without --resume, and with --force, the run begins anew")
    return None, f"there is no checkpoint {path} yet: the run begins at the start"


#: part of an identity -> what is to be said where it differs
DIFFERENT = {
    "formula": "of another formula",
    "data": "of other data",
    "start": "of a run from another start",
    "options": "of a run with other options",
}


def _check(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for part, what in DIFFERENT.items():
        if found.get(part) != wanted[part]:
            detail = _difference(found.get(part, ""), wanted[part]) if part == "options" else ""
            raise TapeError(
                "usage",
                f"the checkpoint {name} is {what}{detail}",
                hint="give this run a checkpoint of its own; --force without --resume replaces one",
            )


def _difference(found: str, wanted: str) -> str:
    """What two lists of options do not have in common."""
    there, here = [text.replace("(", ", ").replace(")", "").split(", ") for text in (found, wanted)]
    lost, new = [x for x in there if x not in here], [x for x in here if x not in there]
    return f": {', '.join(lost) or 'nothing'} there, {', '.join(new) or 'nothing'} here"


def hashed(*arrays: Array | str) -> str:
    """A hash of arrays, their shapes and kinds included, or of texts."""
    digest = hashlib.sha256()
    for array in arrays:
        if isinstance(array, str):
            digest.update(array.encode("utf-8", "surrogatepass"))
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        flat = array.reshape(-1)
        for begin in range(0, len(flat), 1 << 20):
            digest.update(np.ascontiguousarray(flat[begin : begin + (1 << 20)]).data)
    return digest.hexdigest()


def claim(path: str, force: bool) -> None:
    """Raises TapeError where a new run must not, or cannot, keep its checkpoints at `path`."""
    if not force:
        for name in (path, older(path)):
            if os.path.lexists(name):
                raise TapeError("file", f"{name} exists already", hint="--resume goes on from it, --force replaces it")
    reachable(path)


def reachable(path: str) -> None:
    """Raises TapeError where nothing can be written at `path`: better before a long run than in it."""
    folder = os.path.dirname(os.path.abspath(path))
    why = "it has no name" if not path else next(filter(None, map(_unusual, (path, older(path)))), None)
    if why is None and not os.path.isdir(folder):
        why = "there is no such folder"
    elif why is None and not os.access(folder, os.W_OK | os.X_OK):
        why = "permission denied"
    if why is not None:
        raise TapeError("file", f"the checkpoint {path} cannot be written: {why}")


def _unusual(path: str) -> str | None:
    """What there is at a path that a file must not take the place of."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else "it is a folder" if stat.S_ISDIR(mode) else "it is no regular file"


class Keeper:
    """Writes checkpoints of one run while it goes on: every `every` seconds, less often where that would take more
    than a small share of the time. It is called between steps. `before` is called before each: what else is written
    about the run must not stay behind its state."""

    def __init__(
        self, path: str, identity: dict[str, str], every: float, before: Callable[[], None] | None = None
    ) -> None:
        self.path = path
        self.identity = identity
        self.every = every
        self._before = before
        self._due = time.monotonic() + every
        self._written: State | None = None
        self.fault: TapeError | None = None

    def ahead(self, number: int) -> int:
        """How many steps may pass before it is asked again; it goes by the time."""
        return ANY if self.every else 1

    def __call__(self, state: State, best: State | None) -> None:
        if time.monotonic() >= self._due:
            self.write(state, best)

    def write(self, state: State, best: State | None) -> None:
        """Writes this state, unless it is there. That a disk is full, say, must not end a run: it is kept as `fault`
        until a later checkpoint could be written."""
        if state is self._written:
            return
        begin = time.monotonic()
        if self._before is not None:
            self._before()
        try:
            write(self.path, Saved(self.identity, state, best))
        except TapeError as error:
            self.fault = error
        else:
            self._written, self.fault = state, None
        end = time.monotonic()
        self._due = end + (max(self.every, (end - begin) / SHARE) if self.every else 0.0)
