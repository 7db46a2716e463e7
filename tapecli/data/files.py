"""Data files: where a name leads, and opening exactly that file.

A name is first followed through all symbolic links, and what it leads to has to lie below the data root. The file is
then opened folder by folder without following any link, and what kind of file it is, is asked of the opened
descriptor. So a file that is exchanged in between is refused, and never read.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from tapecli.errors import TapeError

#: Folders are opened to pass through them only; for this the right to search them is enough where the system allows it.
_PASS = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_READ = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BY_FOLDER = os.open in os.supports_dir_fd and bool(_NO_LINK)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def locate(path: str, folder: str, root: str) -> str:
    """The full name, free of links, of what `path` names as seen from `folder`; it lies below `root`."""
    try:
        full = os.path.realpath(os.path.join(folder, path))
        top = os.path.realpath(root)
        inside = os.path.commonpath([full, top]) == top
    except ValueError:  # a NUL character; another drive
        inside = False
    if not inside:
        raise TapeError(
            "data",
            f"`{path}` lies outside the data folder",
            hint="data files lie below the formula file's folder, or below --data-root",
        )
    return full


def resolve(path: str, folder: str, root: str) -> str:
    """As `locate`, and the file exists and can be read."""
    full = locate(path, folder, root)
    open_below(full, os.path.realpath(root), path).close()
    return full


def open_below(full: str, top: str, shown: str) -> BinaryIO:
    """Opens a regular file by a name that is free of links; `top` is a folder above it."""
    try:
        descriptor = _descend(full, top) if _BY_FOLDER else os.open(full, os.O_RDONLY | _READ)
    except OSError as problem:
        raise _failure(problem, shown) from None
    return _regular(descriptor, shown)


def open_plainly(path: str, shown: str) -> BinaryIO:
    """Opens a regular file that the user named directly, through links as usual."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _READ)
    except ValueError:
        raise TapeError("file", f"`{shown}` cannot be read: no file has such a name") from None
    except OSError as problem:
        raise _failure(problem, shown) from None
    return _regular(descriptor, shown)


def _descend(full: str, top: str) -> int:
    names = [name for name in os.path.relpath(full, top).split(os.sep) if name != os.curdir]
    at = os.open(top, _PASS)
    try:
        for name in names[:-1]:
            at, before = os.open(name, _PASS, dir_fd=at), at
            os.close(before)
        return os.open(names[-1] if names else os.curdir, os.O_RDONLY | _READ | _NO_LINK, dir_fd=at)
    finally:
        os.close(at)


def _failure(problem: OSError, shown: str) -> TapeError:
    if problem.errno == errno.ENOENT:
        return TapeError("file", f"there is no data file `{shown}`", hint="paths are relative to the formula file")
    if problem.errno == errno.ENOTDIR:
        return TapeError("file", f"there is no data file `{shown}`", hint="a part of the path is no folder")
    if problem.errno in (errno.ENXIO, errno.EOPNOTSUPP, errno.ENODEV):
        return TapeError("data", f"`{shown}` is no regular file", hint="data are read from files only")
    return TapeError("file", f"`{shown}` cannot be read: {problem.strerror}")


#: The files that were opened, as the system knows them: nothing is written over an input.
opened: set[tuple[int, int]] = set()


def _regular(descriptor: int, shown: str) -> BinaryIO:
    status = os.fstat(descriptor)
    mode = status.st_mode
    if stat.S_ISREG(mode):
        opened.add((status.st_dev, status.st_ino))
        return open(descriptor, "rb", buffering=0)
    os.close(descriptor)
    kind = next((kind for test, kind in _KINDS if test(mode)), "something else")
    raise TapeError("data", f"`{shown}` is {kind}, no regular file", hint="data are read from files only")
