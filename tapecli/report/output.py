"""Where results go: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Literal, Protocol, TextIO

from tapecli.errors import TapeError


class Sink(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Unwritable(OSError):
    """Results could not be written: a full disk, say. It is no fault of a formula. `path` is that of a file."""

    path: str | None = None


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


class Written:
    """A file as a sink, by its path."""

    __slots__ = ("path", "stream")

    def __init__(self, path: str, stream: TextIO) -> None:
        self.path = path
        self.stream = stream

    def write(self, text: str) -> None:
        with told(self.path):
            self.stream.write(text)

    def flush(self) -> None:
        with told(self.path):
            self.stream.flush()


@contextmanager
def told(path: str | None = None) -> Iterator[None]:
    """An error of writing as one that is told from errors of reading. A closed pipe stays what it is."""
    try:
        yield
    except (BrokenPipeError, Unwritable):
        raise
    except OSError as error:
        unwritable = Unwritable(*error.args)
        unwritable.path = path
        raise unwritable from None


def trouble(path: str, what: str, error: OSError) -> TapeError:
    """The error for a file that the system refuses."""
    return TapeError("file", f"{path} cannot be {what}: {(error.strerror or str(error)).lower()}")


def exists(path: str) -> TapeError:
    return TapeError("file", f"{path} exists already", hint="--force replaces it")


def open_log(path: str, force: bool, append: bool = False) -> TextIO:
    """A file that grows as lines come in, for logs."""
    return _opened(path, "a" if append else "w" if force or special(path) else "x", path)


def open_beside(path: str) -> tuple[TextIO, str]:
    """A file that is to take the place of `path` once there is something in it, and the name it has until then."""
    final = os.path.realpath(path)
    temporary = _beside(final)
    _open.append(temporary)  # first: a signal may come at any moment
    return _opened(temporary, "x", path), temporary


def put_in_place(temporary: str, path: str) -> None:
    """Such a file gets its name; it is still open, and grows."""
    final = os.path.realpath(path)
    with suppress(OSError):
        os.chmod(temporary, stat.S_IMODE(os.stat(final).st_mode))
    os.replace(temporary, final)
    _open.remove(temporary)


def _beside(final: str) -> str:
    return os.path.join(os.path.dirname(final), f".{os.path.basename(final)}.{os.getpid()}.tmp")


def _opened(name: str, mode: Literal["a", "w", "x"], path: str) -> TextIO:
    try:
        stream = open(name, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    except FileExistsError:
        raise exists(path) from None
    except OSError as error:
        raise trouble(path, "written", error) from None
    return stream


def special(path: str) -> bool:
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
    if special(path):
        with told(path), open_log(path, force) as stream:
            yield Written(path, stream)
        return
    final = os.path.realpath(path)
    if not force and os.path.lexists(final):
        raise exists(path)
    temporary = _beside(final)
    _open.append(temporary)  # first: a signal may come at any moment
    try:
        try:
            stream = open(temporary, "x", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        except OSError as error:
            raise trouble(path, "written", error) from None
        with told(path), stream:
            _whole.append(lambda: _finish(stream, temporary, final, path, force))
            yield Written(path, stream)
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
    if special(path):
        try:
            with open(path, "wb") as stream:
                stream.write(content)
        except OSError as error:
            raise trouble(path, "written", error) from None
        return
    final = os.path.realpath(path)
    temporary = _beside(final)
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
    temporary = _beside(final)
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
