# ruff: noqa: E501
"""An audit hook: whatever a formula says, nothing is opened, run, imported or connected beyond what is allowed here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2]
#: Files below these folders may be read: the interpreter, its packages, and this one.
READABLE = [str(Path(p).resolve()) for p in (sys.prefix, sys.base_prefix, PACKAGE / "tapecli", PACKAGE / "grammar")]
READABLE += [p for p in sys.path if p and "packages" in p]
#: What there is of memory is read here; the two others are for entropy and time.
EXACT = {
    "/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/dev/null",
}  # fmt: skip
#: Top-level modules that may be imported late, besides the standard library.
IMPORTABLE = {"tapecli", "numpy", "scipy", "llvmlite", "pyarrow", "rich", "typer", "click"}
#: What Typer imports.
IMPORTABLE |= {"annotated_doc", "shellingham"}
#: Events that never happen while a formula is read and run.
NEVER = (
    "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "pty.", "socket.",
    "urllib.", "http.", "ftplib.", "smtplib.", "telnetlib.", "poplib.", "imaplib.", "webbrowser.", "pickle.",
    "shutil.", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.putenv", "os.kill", "code.__new__", "builtins.input", "tempfile.",
)  # fmt: skip


#: What a command line that names a file to write may do below its folder: event -> how many paths it names.
CHANGES = {"os.rename": 2, "os.link": 2, "os.remove": 1, "os.chmod": 1}


class Guard:
    """Collects what was not allowed, while it is on. `root` is the folder that data may be read from, and, where
    `writes` is set, results written to."""

    def __init__(self) -> None:
        self.on = False
        self.writes = False
        self.root = ""
        self.seen: dict[str, int] = {}
        self.broken: list[str] = []
        sys.addaudithook(self.hook)

    @contextmanager
    def watching(self, root: str, writes: bool = False) -> Iterator[None]:
        self.root, self.writes, self.on = os.path.realpath(root), writes, True
        try:
            yield
        finally:
            self.on = False

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        self.on = False  # what is done here is not judged
        try:
            self.seen[event] = self.seen.get(event, 0) + 1
            fault = self.fault(event, args)
            if fault:
                self.broken.append(f"{event}: {fault}")
        finally:
            self.on = True

    def fault(self, event: str, args: tuple[Any, ...]) -> str | None:
        if event == "open":
            return self.of_open(*args)
        if event == "import":
            top = str(args[0]).partition(".")[0]
            if top not in IMPORTABLE and top not in sys.stdlib_module_names and not top.startswith("_"):
                return str(args[0])
        elif event == "exec":
            name = getattr(args[0], "co_filename", "")
            if not self.readable(name) and not name.startswith("<frozen ") and name != "<string>":
                return name
        elif event == "compile":
            source, name = args
            if source is not None and not self.readable(str(name)) and not _typing(source):
                return repr(source)[:80]
        elif event == "ctypes.dlopen":
            return None if args[0] is None or self.readable(str(args[0])) else str(args[0])
        elif event == "ctypes.dlsym":  # the compiler's own functions, and the one that lets memory be run
            library, name = args
            own = self.readable(str(getattr(library, "_name", None) or ""))
            return None if own or name == "mprotect" else f"{library}, {name}"
        elif event in CHANGES and self.writes:
            return None if all(self.below(os.fsdecode(path)) for path in args[: CHANGES[event]]) else repr(args)
        elif event.startswith(NEVER):
            return repr(args)[:200]
        return None

    def of_open(self, path: Any, mode: Any, flags: Any) -> str | None:
        if isinstance(path, int):
            return None
        name = os.fsdecode(path)
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
            return None if self.writes and self.below(name) else f"{name} to be written"
        full = os.path.realpath(name)
        if self.readable(full) or full in EXACT or self.below(full):
            return None
        if os.sep not in name and name not in (os.pardir, ""):
            # one name is opened below a folder that is open already: data files are come to step by step. It follows
            # no link, so it stays there
            return None if flags & os.O_NOFOLLOW else name
        # folders on the way to the data root are passed through
        inside = (
            full == self.root
            or full.startswith(self.root + os.sep)
            or self.root.startswith(full.rstrip(os.sep) + os.sep)
        )
        return None if inside else name

    def below(self, name: str) -> bool:
        """Whether a path lies below the folder, or is the folder (which the system then refuses to write)."""
        return (os.path.realpath(name) + os.sep).startswith(self.root + os.sep)

    def readable(self, name: str) -> bool:
        return any(name == top or name.startswith(top + os.sep) for top in READABLE)


#: Where the standard library itself compiles texts: annotations and named tuples.
COMPILERS = tuple(
    os.sep + name for name in ("typing.py", "inspect.py", os.path.join("collections", "__init__.py"), "dataclasses.py")
)


def _typing(source: Any) -> bool:
    """Whether the standard library compiles a text of its own, or a literal: `ast.literal_eval` runs nothing."""
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_filename
        literal = name.endswith(os.sep + "ast.py") and frame.f_code.co_name == "literal_eval"
        if literal or name.endswith(COMPILERS):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
