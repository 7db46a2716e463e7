"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Protocol, TextIO

from tapecli.errors import TapeError


class Sink(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Unwritable(OSError):
    """Results could not be written: a full disk, say. It is no fault of a formula."""


class Stream:
    """One of the standard streams, looked up late; a stream that is closed from the start swallows its text."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, text: str) -> None:
        stream: TextIO | None = getattr(sys, self.name)
        if stream is not None:
            with told():
                stream.write(text)

    def flush(self) -> None:
        stream: TextIO | None = getattr(sys, self.name)
        if stream is not None:
            with told():
                stream.flush()


@contextmanager
def told() -> Iterator[None]:
    """An error of writing as one that is told from errors of reading. A closed pipe stays what it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(*error.args) from None


def trouble(path: str, what: str, error: OSError) -> TapeError:
    """The error for a file that the system refuses."""
    return TapeError("file", f"{path} cannot be {what}: {(error.strerror or str(error)).lower()}")


def exists(path: str) -> TapeError:
    return TapeError("file", f"{path} exists already", hint="--force replaces it")


def open_log(path: str, force: bool, append: bool = False) -> TextIO:
    """A file that grows as lines come in, for logs."""
    try:
        return open(
            path,
            "a" if append else "w" if force or _special(path) else "x",
            encoding="utf-8",
            errors="backslashreplace",
        )
    except FileExistsError:
        raise exists(path) from None
    except OSError as error:
        raise trouble(path, "written", error) from None


def _special(path: str) -> bool:
    """Whether it is a terminal, a pipe or a device, which a file cannot take the place of."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def opened(path: str | None, force: bool) -> Iterator[Sink]:
    """The sink for results. A file is written beside its final name and renamed at the end, or never if that fails."""
    if path is None or path == "-":
        yield Stream("stdout")
        return
    if os.path.isdir(path):
        raise TapeError("file", f"{path} cannot be written: it is a folder")
    if _special(path):
        with open_log(path, force) as stream:
            yield stream
        return
    final = os.path.realpath(path)
    if not force and os.path.lexists(final):
        raise exists(path)
    temporary = os.path.join(os.path.dirname(final), f".{os.path.basename(final)}.{os.getpid()}.tmp")
    _open.append(temporary)  # first: a signal may come at any moment
    try:
        try:
            stream = open(temporary, "x", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        except OSError as error:
            raise trouble(path, "written", error) from None
        with told_of(path), stream:
            _whole.append(lambda: _finish(stream, temporary, final, path, force))
            yield stream
            _finish(stream, temporary, final, path, force)
    finally:
        abandon()


#: The file that is being written, under the name it has until it is whole, and what makes it so.
_open: list[str] = []
_whole: list[Callable[[], None]] = []


def complete() -> None:
    """Gives the file that is being written its name, before the process ends from another thread."""
    while _whole:
        _whole.pop()()


def abandon() -> None:
    """Removes what was not written to its end."""
    _whole.clear()
    while _open:
        with suppress(OSError):  # it may not have come to be, or its folder is gone
            os.unlink(_open[-1])
        _open.pop()


class Held:
    """Keeps an interrupt from tearing something apart: it is raised when that is whole, the second one at once."""

    __slots__ = ("_before", "_seen")

    def __enter__(self) -> None:
        import signal
        import threading

        self._seen: list[int] = []
        self._before: list[tuple[int, Any]] = []
        if threading.current_thread() is threading.main_thread():  # no other thread hears signals
            self._before = [(n, signal.signal(n, self._hear)) for n in (signal.SIGINT, signal.SIGTERM)]

    def _hear(self, number: int, frame: object) -> None:
        self._seen.append(number)
        if len(self._seen) > 1:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        import signal

        for number, before in self._before:
            signal.signal(number, before)
        if self._seen:
            signal.raise_signal(self._seen[0])


@contextmanager
def told_of(path: str) -> Iterator[None]:
    """A full disk, told with the name of the file."""
    try:
        yield
    except Unwritable:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise trouble(path, "written", error) from None
        raise


#: What the system says when there is no room for more.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def refuse_inputs(path: str | None, inputs: Iterable[str | None]) -> None:
    """Raises where `path` is one of the files that are read, by whatever name."""
    if path is None or not os.path.exists(path):
        return
    for given in inputs:
        if given is not None and os.path.exists(given) and os.path.samefile(path, given):
            raise _is_input(path)


def _is_input(path: str) -> TapeError:
    return TapeError("file", f"{path} is read as well, so it is not written over", hint="choose another file")


def _refuse_data(final: str, path: str) -> None:
    """The same for data files, which are known once they were read."""
    files = sys.modules.get("tapecli.data.files")
    if files is not None and os.path.exists(final):
        status = os.stat(final)
        if (status.st_dev, status.st_ino) in files.opened:
            raise _is_input(path)


def write_whole(path: str, content: bytes, force: bool) -> None:
    """A file with this content, which appears whole or not at all."""
    if _special(path):
        try:
            with open(path, "wb") as stream:
                stream.write(content)
        except OSError as error:
            raise trouble(path, "written", error) from None
        return
    final = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(final), f".{os.path.basename(final)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
            _finish(stream, temporary, final, path, force)
    except OSError as error:
        raise trouble(path, "written", error) from None
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def replaced(path: str, content: bytes) -> None:
    """Gives a file other content, at once: who reads it sees the old or the new, and its rights stay."""
    final = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(final), f".{os.path.basename(final)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, stat.S_IMODE(os.stat(final).st_mode))
        os.replace(temporary, final)
        _sync_folder(os.path.dirname(final))
    except OSError as error:
        raise trouble(path, "written", error) from None
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _finish(stream: IO[Any], temporary: str, final: str, path: str, force: bool) -> None:
    _refuse_data(final, path)
    try:
        stream.flush()
        os.fsync(stream.fileno())
        if force:
            if os.path.exists(final):
                os.chmod(temporary, stat.S_IMODE(os.stat(final).st_mode))
            os.replace(temporary, final)
        else:
            _rename_to_new(temporary, final)
        _sync_folder(os.path.dirname(final))
    except FileExistsError:
        raise exists(path) from None
    except OSError as error:
        raise trouble(path, "written", error) from None


def _rename_to_new(temporary: str, final: str) -> None:
    """A rename that never replaces: a file that appeared meanwhile stays."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(final):
            raise FileExistsError from None
        os.rename(temporary, final)


def _sync_folder(folder: str) -> None:
    """The new name itself is on the disk, too."""
    try:
        handle = os.open(folder or ".", os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # not every file system can
        pass
    finally:
        os.close(handle)
