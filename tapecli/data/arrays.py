"""Arrays from `.npy` and `.npz` files. A header is read and judged before any memory is taken; nothing is unpickled."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tapecli.core import Array
from tapecli.data import archives, mapped
from tapecli.errors import TapeError, nearest

if TYPE_CHECKING:
    from tapecli.data.text import Selector


def load(file: BinaryIO, path: str, shown: str, selectors: Sequence[tuple[str, Selector]]) -> list[Array]:
    """The arrays that `(name, selector)` pairs take from a file."""
    if path.lower().endswith(".npz"):
        return _load_archive(file, shown, selectors)
    if len(selectors) > 1 and any(selector is None for _, selector in selectors):
        raise TapeError(
            "data",
            f"`{shown}` holds one array",
            hint=f'say data {selectors[0][0]} from "{shown}", or number its columns',
        )
    array = _read(file, os.fstat(file.fileno()).st_size, f"`{shown}`", mappable=True)
    return [_columns(array, selector, shown) for _, selector in selectors]


def _columns(array: Array, selector: Selector, shown: str) -> Array:
    """The whole array, or columns of a matrix by number."""
    if selector is None or selector == ():
        return array
    if array.ndim != 2:
        raise TapeError("data", f"`{shown}` holds no matrix, and only a matrix has columns")
    numbers = selector if isinstance(selector, tuple) else (selector,)
    for number in numbers:
        if isinstance(number, str):
            raise TapeError("data", f"`{shown}` has no column `{number}`: its columns have numbers only")
        if not 1 <= number <= array.shape[1]:
            raise TapeError("data", f"`{shown}` has {array.shape[1]} columns, so there is no column {number}")
    if array.nbytes >= mapped.LARGE:
        columns = [array[:, number - 1] for number in numbers if isinstance(number, int)]
        both = mapped.side_by_side(columns, shown)
        return both if isinstance(selector, tuple) else both[:, 0]
    places = [number - 1 for number in numbers if isinstance(number, int)]
    return np.ascontiguousarray(array[:, places] if isinstance(selector, tuple) else array[:, places[0]])


def _read(file: Any, size: int, what: str, mappable: bool = False) -> Array:
    """The array that a file in NumPy's format of `size` bytes holds, in double precision. A large one of a file that
    can be mapped stays in files."""
    dtype, shape, fortran, offset = _header(file, what)
    if dtype.hasobject:
        raise TapeError("data", f"{what} holds pickled Python objects, which are never read", hint="save plain numbers")
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.subdtype is not None:
        raise TapeError("data", f"{what} holds {dtype}, not real numbers of at most 64 bits")
    count = prod(shape)
    if any(length < 0 for length in shape) or offset + count * dtype.itemsize != size:
        raise TapeError(
            "data",
            f"{what} is damaged: its header says {count} numbers of {dtype.itemsize} bytes, "
            f"and there are {size - offset} bytes",
        )
    if mappable and size >= mapped.LARGE and not (fortran and len(shape) > 1):
        return _mapped(file, dtype, shape, offset, what)
    raw = np.empty(count, dtype=dtype)
    view: Any = raw.view(np.uint8)
    at = 0
    while at < len(view):
        got = file.readinto(view[at:].data)
        if not got:
            raise TapeError("data", f"{what} is damaged: it ends early")
        at += got
    file.read(1)  # at its end an archive compares its checksum
    ordered = raw.reshape(shape[::-1]).T if fortran else raw.reshape(shape)
    return _doubles(ordered, what)


def _mapped(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, what: str) -> Array:
    """A large array where it lies, or converted block by block."""
    array = mapped.over(file, dtype, shape, offset)
    if array.dtype == np.float64 and array.dtype.isnative:
        return array
    flat = array.reshape(-1)
    parts = (_doubles(flat[k : k + mapped.BLOCK], what) for k in range(0, flat.size, mapped.BLOCK))
    return mapped.spooled(parts, shape, what.strip("`"))


def _header(file: Any, what: str) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    from tokenize import TokenError  # NumPy reads headers of Python 2 token by token

    form = np.lib.format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header as Python 2 wrote it
            version = form.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError
            read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
            shape, fortran, dtype = read(file)
    except (ValueError, TypeError, SyntaxError, TokenError, EOFError, MemoryError, RecursionError):
        raise TapeError("data", f"{what} is no array in NumPy's format", hint="write it with numpy.save") from None
    return dtype, shape, fortran, file.tell()


def _doubles(array: Array, what: str) -> Array:
    values = np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        limit = 1 << 53
        if int(array.max()) > limit or int(array.min()) < -limit:
            raise TapeError("data", f"{what} holds whole numbers beyond 2^53, which double precision does not")
    return values


def _load_archive(file: BinaryIO, shown: str, selectors: Sequence[tuple[str, Selector]]) -> list[Array]:
    try:
        archive = archives.plain(file)
        if archive is None:
            return _load_any(file, shown, selectors)
        return _taken(archive, shown, selectors)
    except archives.Damaged:
        raise TapeError("data", f"`{shown}` is a damaged archive, or none", hint="write it with numpy.savez") from None


def _load_any(file: BinaryIO, shown: str, selectors: Sequence[tuple[str, Selector]]) -> list[Array]:
    """From an archive of any kind. Raises Damaged."""
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(file) as archive:
            return _taken(archive, shown, selectors)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise archives.Damaged from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # to a place before the file's beginning
            raise
        raise archives.Damaged from None
    except (NotImplementedError, RuntimeError):  # a method of compression; a password
        raise TapeError("data", f"`{shown}` is compressed or locked in a way that is not read") from None


def _taken(archive: Any, shown: str, selectors: Sequence[tuple[str, Selector]]) -> list[Array]:
    arrays = _Archive(archive, shown)
    return [arrays.take(name, selector) for name, selector in selectors]


class _Archive:
    def __init__(self, archive: Any, shown: str) -> None:
        self.archive = archive
        self.shown = shown
        self.members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}

    def take(self, name: str, selector: Selector) -> Array:
        if isinstance(selector, tuple):
            parts = [self.array(one) for one in selector or self.members]
            if any(part.ndim != 1 or len(part) != len(parts[0]) for part in parts):
                raise TapeError(
                    "data", f"the arrays of `{self.shown}` are no vectors of one length, to stand as columns"
                )
            return np.stack(parts, axis=1)
        return self.array(name if selector is None else selector)

    def array(self, name: int | str) -> Array:
        if isinstance(name, int):
            raise TapeError("data", f"the arrays of `{self.shown}` have names, not numbers", hint=self.known(""))
        member = self.members.get(name)
        if member is None:
            raise TapeError("data", f"`{self.shown}` has no array `{name}`", hint=self.known(name))
        with self.archive.open(member) as file:
            return _read(file, member.file_size, f"`{name}` of `{self.shown}`")

    def known(self, name: str) -> str | None:
        close = nearest(name, self.members)
        if close:
            return f"did you mean `{close}`?"
        return f"there is {', '.join(list(self.members)[:10])}" if self.members else "it is empty"
