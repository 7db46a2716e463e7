"""Text that came from outside, made safe to print, and its width on a terminal."""

from __future__ import annotations

import re

#: Controls, their 8-bit kin, marks that change direction or cannot be seen, line separators and lone surrogates.
#: Kept as text: compiling waits until something needs it.
_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
#: What a log of GitHub Actions would take for a command.
_COMMAND = r"(?m)^(\s*):(?=:)"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def clean(text: str) -> str:
    """`text` on one line, with what a terminal would act on written out as `\\x1b`."""
    return text if text.isascii() and text.isprintable() else re.sub(_UNSAFE, _visible, text)


def clean_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(clean, text.split("\n")))


def guard(text: str) -> str:
    """No line of the result begins with `::`, which continuous integration would read as a command."""
    return re.sub(_COMMAND, r"\1\\x3a", text) if "::" in text else text


def width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 file`, `3 files`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
