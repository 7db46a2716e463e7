"""Compiled programs on disk, by what they were made of.

An entry is the digest of the rest, then the program (see `layout`). The folder is the user's alone; an entry that
somebody else could have written, or that does not agree with its digest, counts as missing. Nothing here is an error:
where the folder cannot be used, code is compiled again.
"""

from __future__ import annotations

import contextlib
import os
import stat

try:  # where CPython has it: importing hashlib loads OpenSSL, which takes longer than all the rest
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

#: Raised when the meaning of an entry changes.
VERSION = "2"
#: The length of digests in bytes.
DIGEST = 32
#: The largest size of the folder, in bytes; beyond it the entries that were used longest ago go.
LIMIT = 256 * 1024 * 1024


def folder() -> str:
    """Where entries lie: TAPECLI_CACHE, or the user's folder for caches."""
    named = os.environ.get("TAPECLI_CACHE")
    if named:
        return named
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "tapecli")


def key_of(*parts: str) -> str:
    """The name of an entry: a digest of all that it depends on."""
    digest = blake2b(VERSION.encode(), digest_size=DIGEST)
    for part in parts:
        data = part.encode()
        digest.update(str(len(data)).encode() + b":" + data)
    return digest.hexdigest()


def digest_of(content: bytes) -> str:
    """What stands for a content where that would be long."""
    return blake2b(content, digest_size=DIGEST).hexdigest()


def _mine(status: os.stat_result) -> bool:
    """Whether only this user can have written what `status` is of."""
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def fetch(key: str) -> bytes | None:
    """The program of a key, or None where there is no sound one."""
    path = os.path.join(folder(), key)
    try:
        if not _mine(os.stat(folder())):
            return None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not (stat.S_ISREG(status.st_mode) and _mine(status)):
                return None
            content = file.read()
    except OSError:
        return None
    digest, body = content[:DIGEST], content[DIGEST:]
    if not body or blake2b(key.encode() + body, digest_size=DIGEST).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return body


def keep(key: str, body: bytes) -> None:
    """Writes an entry, whole or not at all."""
    place = folder()
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        if not _mine(os.stat(place)):
            return
        import tempfile  # late: it starts slowly, and is wanted only where something was compiled

        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(blake2b(key.encode() + body, digest_size=DIGEST).digest() + body)
            os.replace(temporary, os.path.join(place, key))
        except BaseException:
            os.unlink(temporary)
            raise
        if key[0] == "0":  # one in sixteen: looking at thousands of entries takes as long as compiling a small one
            _trim(place)
    except OSError:
        return


def _trim(place: str) -> None:
    """Removes the entries used longest ago where there are too many."""
    entries = [(e.stat().st_mtime, e.stat().st_size, e.path) for e in os.scandir(place) if e.is_file()]
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT:
            return
        os.unlink(path)
        total -= size
