"""From bytes to text, and from text to tokens.

One regular expression, made of the grammar's terminals, finds the tokens; what follows it decides what the grammar
cannot: which newlines end a statement, which bracket closes which, and which characters a name may have. A text that
is no token becomes a token `BAD` that carries its error, so the parser meets errors in the order of reading.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tapecli.errors import Place, Source, TapeError
from tapecli.syntax._tables import PATTERNS, TERMINALS, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

#: (terminal, start, end, value); the value is the name, the number's or the text's characters, or the word or sign.
Token = tuple[int, int, int, Any]

END = TERMINALS.index("$END")
NAME = TERMINALS.index("NAME")
NUMBER = TERMINALS.index("NUMBER")
RELATION = TERMINALS.index("RELATION")
SEPARATOR = TERMINALS.index("SEPARATOR")
STRING = TERMINALS.index("STRING")
TO = TERMINALS.index("TO")
WHERE = TERMINALS.index("WHERE")
#: No terminal of the grammar: the value of such a token is its error.
BAD = TERMINALS.index("$BAD")

#: The words that begin a statement; none of them can stand inside an expression.
STARTERS = frozenset(
    WORDS[word] for word in ("var", "const", "data", "minimize", "maximize", "fit", "subject", "point", "expect")
)
CLOSERS = {"(": ")", "[": "]", "{": "}"}

#: After these a newline does not end the statement: something has to follow. (After a separator it ends nothing.)
_OPEN_ENDED = frozenset(
    [RELATION, SEPARATOR, *map(WORDS.__getitem__, ("+", "-", "*", "/", "@", "^", "**", ",", "=", "~", "..", ":", "{"))]
    + [WORDS[word] for word in ("and", "or", "not", "if", "then", "else")]
)
_SUBJECT = WORDS["subject"]
_BRACKETS = {char: WORDS[char] for char in "()[]{}"}
_SIGNS = {word: kind for word, kind in WORDS.items() if not word[0].isalpha() and word not in _BRACKETS}
_WORDS = {word: (kind, word) for word, kind in WORDS.items() if word[0].isalpha()}

#: Characters that reorder what a reader sees: they are refused in comments and texts too.
_REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

_ADVICE = {
    "!": "write `not`; a factorial is `gamma(n + 1)`",
    "&": "write `and`",
    "|": "write `or`; a magnitude is `abs(x)`",
    "%": "the remainder of a division is `mod(a, b)`; a comment begins with `#`",
    ".": "operators act on each entry without a dot: `x*y`, `x^2`; a range is `1..n`; a transpose is `A'`",
    "$": "names are written without `$`",
    "?": "a choice is written `if c then a else b`",
    "\\": "a statement goes on over the line's end inside brackets and after an operator, without `\\`",
    "`": "text stands in double quotes",
    "\u00a0": "write an ordinary space",
    "\u00ac": "write `not`",
    "\u00b7": "write `*`",
    "\u00d7": "write `*`",
    "\u22c5": "write `*`",
    "\u2217": "write `*`",
    "\u00f7": "write `/`",
    "\u2044": "write `/`",
    "\u2215": "write `/`",
    "\u2212": "write `-`",
    "\u2010": "write `-`",
    "\u2011": "write `-`",
    "\u2013": "write `-`",
    "\u2014": "write `-`",
    "\u2264": "write `<=`",
    "\u2265": "write `>=`",
    "\u2260": "write `!=`",
    "\u2248": "a check to a tolerance is `expect a == b within 1e-3`",
    "\u201c": 'write the straight `"`',
    "\u201d": 'write the straight `"`',
    "\u201e": 'write the straight `"`',
    "\u2018": "text stands in straight double quotes `\"`; a transpose is the straight `'`",
    "\u2019": "text stands in straight double quotes `\"`; a transpose is the straight `'`",
    "\u2032": "a transpose is the straight `'`",
    "\u2026": "a range is written with two dots: `1..n`",
    "\u2202": "derivatives are `grad(y, x)`",
    "\u2207": "derivatives are `grad(y, x)`",
    "\u2211": "write `sum(x[i] for i in 1..n)`",
    "\u220f": "write `prod(x[i] for i in 1..n)`",
    "\u221a": "write `sqrt(x)`",
    "\u221e": "write `inf`",
    "\u00b5": "the Greek letter is `μ`",
}

_pattern: re.Pattern[str] | None = None


def _compiled() -> re.Pattern[str]:
    """The pattern of a token and what may stand before it. Its groups are told apart in `Lexer.tokens`."""
    global _pattern
    if _pattern is None:
        signs = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
        _pattern = re.compile(
            f"(?:{PATTERNS['BLANK']})?(?:{PATTERNS['COMMENT']})?"
            f"(?:({PATTERNS['NAME']})|({PATTERNS['RELATION']}|{signs})|({PATTERNS['NUMBER']})|([][(){{}}])"
            f"|({PATTERNS['SEPARATOR']})|({PATTERNS['STRING']})|(.))"
        )
    return _pattern


class Lexer:
    """The tokens of a source. `opened` holds the brackets that are open after the token given last: (sign, offset)."""

    __slots__ = ("_known", "opened", "source", "text")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text + "\n"  # so that the pattern matches everywhere up to the end
        self.opened: list[tuple[str, int]] = []
        self._known: dict[str, tuple[int, Any]] = dict(_WORDS)
        if not self.text.isascii():
            found = [at for at in map(self.text.find, _REORDERING) if at >= 0]
            if found:
                raise self._refused(min(found), "it reorders what a reader sees")

    def tokens(self, offset: int = 0) -> Iterator[Token]:
        """The tokens from `offset` on, the last of them END."""
        opened, known = self.opened, self._known
        last = SEPARATOR
        for match in _compiled().finditer(self.text, offset):
            group = match.lastindex
            value: Any = match[group or 0]
            end = match.end()
            start = end - len(value)
            if group == 1:
                entry = known.get(value)
                if entry is None:
                    entry = self._name(value, start, end, last)
                last, value = entry
            elif group == 2:
                last = _SIGNS.get(value, RELATION)
            elif group == 3:
                last = NUMBER
            elif group == 4:
                last = _BRACKETS[value]
                if value in CLOSERS:
                    opened.append((value, start))
                elif opened and CLOSERS[opened[-1][0]] == value:
                    opened.pop()
                else:
                    last, value = BAD, self._misplaced(value, start)
            elif group == 5:
                if value == ";":
                    if last == SEPARATOR:
                        continue
                elif last in _OPEN_ENDED or (opened and opened[-1][0] != "{"):
                    continue
                elif self._goes_on(end):
                    last = SEPARATOR  # so that the newlines up to there are not looked at again
                    continue
                last = SEPARATOR
            elif group == 6:
                last, value = STRING, value[1:-1]
            else:
                last, value = BAD, self._unknown(value, start)
            yield last, start, end, value
        yield END, len(self.text) - 1, len(self.text) - 1, ""

    def _name(self, value: str, start: int, end: int, last: int) -> tuple[int, Any]:
        """The terminal and value of a name met for the first time, and of the words that are so in one place only."""
        if value == "where" and self.text[end : end + 80].lstrip(" \t")[:1] == "(":
            return WHERE, value
        if value == "to" and last == _SUBJECT:
            return TO, value
        if value in ("where", "to"):
            return NAME, value
        if value.isascii():
            entry: tuple[int, Any] = (NAME, value)
        else:
            fault = self._foreign(value, start)
            if fault is not None:
                return BAD, fault
            from unicodedata import normalize

            entry = (NAME, normalize("NFC", value))
        self._known[value] = entry
        return entry

    def _foreign(self, value: str, start: int) -> TapeError | None:
        """What is wrong with the first character of a name that is no Latin or Greek letter, digit or `_`."""
        from unicodedata import name, normalize

        for char in normalize("NFC", value):
            if char.isascii() or (char.isalpha() and name(char, "").startswith(("LATIN ", "GREEK "))):
                continue
            at = max(value.find(char), 0)
            digit = name(char, "").rpartition(" ")[2].lower()
            digits = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
            if digit in digits and at > 0:
                plain = digits.index(digit)
                raised = name(char).startswith("SUPERSCRIPT")
                hint = f"a power is `{value[:at]}^{plain}`" if raised else f"write `{value[:at]}{plain}`"
            else:
                hint = _ADVICE.get(char, "names are written in Latin or Greek letters, digits and `_`")
            return self._refused(start + at, hint)
        return None

    def _goes_on(self, offset: int) -> bool:
        """Whether the next line that holds anything begins with `then` or `else`: no statement can begin so."""
        text = self.text
        while text[offset : offset + 1] in ("#", "\r", "\n", " ", "\t", "\f"):
            offset = text.find("\n", offset) + 1 if text[offset] == "#" else offset + 1
        word = text[offset : offset + 5]
        return word[:4] in ("then", "else") and not (word[4:].isalnum() or word[4:] == "_")

    def _misplaced(self, value: str, start: int) -> TapeError:
        """The error of a closing bracket that does not close the one opened last."""
        place = Place(self.source, start, start + 1)
        opener = next(sign for sign, closer in CLOSERS.items() if closer == value)
        if not self.opened:
            return TapeError(
                "syntax",
                f"`{value}` closes nothing",
                place=place,
                label=f"no `{opener}` is open here",
                hint=f"remove it, or write the missing `{opener}`",
            )
        inner, at = self.opened[-1]
        line, column = self.source.position(at)
        if any(sign == opener for sign, _ in self.opened):
            while self.opened.pop()[0] != opener:
                pass
        return TapeError(
            "syntax",
            f"`{value}` cannot close the `{inner}` of line {line}, column {column}",
            place=place,
            label=f"expected `{CLOSERS[inner]}`",
            hint=f"close `{inner}` with `{CLOSERS[inner]}` first",
        )

    def _unknown(self, char: str, start: int) -> TapeError:
        """The error of a character that begins no token."""
        place = Place(self.source, start, start + 1)
        if char == '"':
            end = self.text.find("\n", start)
            return TapeError(
                "syntax",
                "this text has no end",
                place=Place(self.source, start, end),
                label='no `"` follows on this line',
                hint='close the text with `"` on the line it begins on',
            )
        if not char.isascii() or not char.isprintable():
            return self._refused(start, _ADVICE.get(char))
        if self.text[start : start + 2] in ("&&", "||"):
            place = Place(self.source, start, start + 2)
        hint = _ADVICE.get(char)
        if char == "." and self.text[start - 1 : start].isalpha() and self.text[start + 1 : start + 2].isalpha():
            hint = "functions stand alone, without a module or an object: `sin(x)`, `len(x)`"
        return TapeError("syntax", f"`{place.text}` is no sign of the language", place=place, hint=hint)

    def _refused(self, offset: int, hint: str | None) -> TapeError:
        """The error of a character that is named, since it may look like another or like nothing."""
        from unicodedata import name

        char = self.text[offset]
        called = name(char, "a control character")
        return TapeError(
            "syntax",
            f"{called} (U+{ord(char):04X}) cannot stand here",
            place=Place(self.source, offset, offset + 1),
            hint=hint or "remove it",
        )


def first_in_line(lexer: Lexer, token: Token) -> bool:
    """Whether nothing stands before the token on its line."""
    begin = max(lexer.text.rfind("\n", 0, token[1]), lexer.text.rfind("\r", 0, token[1])) + 1
    return not lexer.text[begin : token[1]].strip()


def unclosed(lexer: Lexer, token: Token) -> tuple[str, int] | None:
    """The bracket of an earlier line that is open at `token` and that nothing closes up to the end or a statement."""
    depth = len(lexer.opened) - (lexer.text[token[1] : token[2]] in CLOSERS)
    if not depth:
        return None
    innermost = lexer.opened[depth - 1]
    if token[0] == END:
        return innermost
    if "\n" not in lexer.text[innermost[1] : token[1]]:
        return None
    probe = Lexer(lexer.source)
    probe.opened = lexer.opened[:depth]
    for follower in probe.tokens(token[1]):
        if len(probe.opened) < depth:
            return None
        if follower[0] in STARTERS and first_in_line(lexer, follower):
            break
    return innermost


def resume(lexer: Lexer, token: Token, tokens: Iterator[Token]) -> int | None:
    """Where to read on after the error at `token`: behind the end of its statement; None at the end of the text.

    Where the statement has no end because a bracket is open, that is the line of the token, or a word that only a
    statement begins with.
    """
    text, opened = lexer.text, lexer.opened
    if unclosed(lexer, token):
        opened.clear()
        return None if token[0] == END else text.rfind("\n", 0, token[1]) + 1
    follower = token
    while follower[0] != SEPARATOR or opened:
        if follower[0] == END:
            if not opened or token[0] == END:
                return None
            opened.clear()
            return text.find("\n", token[1]) + 1
        if follower[0] in STARTERS and opened and first_in_line(lexer, follower):
            opened.clear()
            return follower[1]
        follower = next(tokens)
    return follower[2]


def decode(data: bytes, name: str) -> Source:
    """The text of a formula file; refuses what is not UTF-8 text, with the byte's place."""
    mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        text = data[mark:].decode("utf-8", "replace")
        before = len(data[mark : mark + error.start].decode("utf-8"))
        place = Place(Source(name, text), before, before + 1)
        offset = mark + error.start
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise TapeError(
                "syntax", "the file is UTF-16, not UTF-8", place=place, hint="save the file as UTF-8"
            ) from None
        raise TapeError(
            "syntax",
            f"byte 0x{data[offset]:02X} at offset {offset} is not UTF-8",
            place=place,
            hint="save the file as UTF-8",
        ) from None
    source = Source(name, text)
    at = text.find("\0")
    if at >= 0:
        offset = mark + len(text[:at].encode("utf-8"))
        raise TapeError(
            "syntax",
            f"a NUL byte at offset {offset}: this is no text file",
            place=Place(source, at, at + 1),
            hint="give a formula file, saved as UTF-8 text",
        )
    return source
