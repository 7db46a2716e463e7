"""From bytes to text to tokens: what is a token, where a statement ends, and which characters are refused."""

from __future__ import annotations

import pytest

from tapecli.errors import Source, TapeError
from tapecli.syntax._tables import TERMINALS, WORDS
from tapecli.syntax.lexer import BAD, END, NAME, NUMBER, RELATION, SEPARATOR, STRING, TO, WHERE, Lexer, decode

SHORT = {NAME: "n", NUMBER: "0", RELATION: "?", SEPARATOR: "|", STRING: "s", TO: "TO", WHERE: "WHERE", BAD: "BAD"}


def kinds(text: str) -> str:
    """The tokens of `text` in short: a separator is `|`, a name `n`, a number `0`, a relation `?`."""
    tokens = list(Lexer(Source("test", text)).tokens())
    assert tokens.pop()[0] == END
    return " ".join(SHORT.get(kind) or TERMINALS[kind] for kind, *_ in tokens)


def values(text: str) -> list[str]:
    return [token[3] for token in Lexer(Source("test", text)).tokens() if token[0] not in (SEPARATOR, END)]


def bad(text: str) -> TapeError:
    """The first error of the lexer."""
    error = next(token[3] for token in Lexer(Source("test", text)).tokens() if token[0] == BAD)
    assert isinstance(error, TapeError)
    return error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 1.5 .5 1. 1e-3 1_000_000 2E5", ["1", "1.5", ".5", "1.", "1e-3", "1_000_000", "2E5"]),
        ("1..n", ["1", "..", "n"]),
        ("1.5..2.", ["1.5", "..", "2."]),
        ("1...5", ["1", "..", ".5"]),
        ("x[2..n]", ["x", "[", "2", "..", "n", "]"]),
        ("1.e3", ["1.e3"]),
        ("2x", ["2", "x"]),
        ("a**b*c^d", ["a", "**", "b", "*", "c", "^", "d"]),
        ("a<=b<c!=d==e>=f>g=h", ["a", "<=", "b", "<", "c", "!=", "d", "==", "e", ">=", "f", ">", "g", "=", "h"]),
        ("A'@x'", ["A", "'", "@", "x", "'"]),
        ('data t from "a b#c.csv" # "no"', ["data", "t", "from", "a b#c.csv"]),
        ("_a1 σ β1 é", ["_a1", "σ", "β1", "é"]),
        ("e\u0301 = \u2126", ["é", "=", "Ω"]),
    ],
)
def test_values(text: str, expected: list[str]) -> None:
    assert values(text) == expected


def test_places_are_those_of_the_text() -> None:
    text = "α = 2*x  # note\n  y"
    found = [text[start:end] for _, start, end, _ in Lexer(Source("test", text)).tokens()]
    assert found == ["α", "=", "2", "*", "x", "\n  ", "y", "", ""]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb;c", "n | n | n |"),
        ("\n\n# note\n a # note\r\n\r\n ;; b\n", "n | n |"),
        ("a +\n b", "n PLUS n |"),
        ("a\n + b", "n | PLUS n |"),
        ("a =\n\n # note\n b,\n c", "n EQUAL n COMMA n |"),
        ("a <\n b and\n not\n c", "n ? n AND NOT n |"),
        ("f(a\n b\n)\n[a\n]", "n LPAR n n RPAR | LSQB n RSQB |"),
        ("({\na = 1\na\n})", "LPAR LBRACE n EQUAL 0 | n | RBRACE RPAR |"),
        ("{ f(a,\n b)\n c }", "LBRACE n LPAR n COMMA n RPAR | n RBRACE |"),
        ("if a\nthen b\n\n# note\n else c", "IF n THEN n ELSE n |"),
        ("a\nthenx\nelse_", "n | n | n |"),
        ("a\rb", "n | n |"),
    ],
)
def test_where_statements_end(text: str, expected: str) -> None:
    assert kinds(text) == expected


def test_words_in_their_places() -> None:
    assert kinds("subject to x <= to") == "SUBJECT TO n ? n |"
    assert kinds("where (a) + where") == "WHERE LPAR n RPAR PLUS n |"
    assert kinds("weights sigma gamma e") == "n n n n |"


@pytest.mark.parametrize(
    ("text", "message", "hint", "column"),
    [
        ("сумма", "CYRILLIC SMALL LETTER ES (U+0441)", "Latin or Greek", 1),
        ("xа", "CYRILLIC SMALL LETTER A (U+0430)", "Latin or Greek", 2),
        ("a\u200bb", "ZERO WIDTH SPACE (U+200B)", "remove it", 2),
        ("a\u00a0+ b", "NO-BREAK SPACE (U+00A0)", "ordinary space", 2),
        ("x\u20d7", "COMBINING RIGHT ARROW ABOVE (U+20D7)", "remove it", 2),
        ("x\u0332", "COMBINING LOW LINE (U+0332)", "Latin or Greek", 2),
        ("x²", "SUPERSCRIPT TWO (U+00B2)", "`x^2`", 2),
        ("x₁", "SUBSCRIPT ONE (U+2081)", "`x1`", 2),
        ("µ", "MICRO SIGN (U+00B5)", "`μ`", 1),
        ("a − b", "MINUS SIGN (U+2212)", "`-`", 3),
        ("“a”", "LEFT DOUBLE QUOTATION MARK (U+201C)", '`"`', 1),
        ("a ≤ b", "LESS-THAN OR EQUAL TO (U+2264)", "`<=`", 3),
        ("a \x1b b", "a control character (U+001B)", "remove it", 3),
        ("a && b", "`&&`", "`and`", 3),
        ("a || b", "`||`", "`or`", 3),
        ("!a", "`!`", "`not`", 1),
        ("a % b", "`%`", "`mod(a, b)`", 3),
        ("x .* y", "`.`", "without a dot", 3),
        ('"abc\n"', "this text has no end", "close the text", 1),
        ("a)", "`)` closes nothing", "remove it", 2),
        ("(a]", "`]` cannot close the `(` of line 1, column 1", "`)`", 3),
    ],
)
def test_what_is_refused(text: str, message: str, hint: str, column: int) -> None:
    error = bad(text)
    assert message in error.message
    assert error.hint is not None
    assert hint in error.hint
    assert error.place is not None
    assert error.place.column == column


@pytest.mark.parametrize("text", ["# \u202e note", 'x = "\u2067"', "a\u202db"])
def test_what_reorders_the_text_is_refused_everywhere(text: str) -> None:
    with pytest.raises(TapeError, match="cannot stand here"):
        Lexer(Source("test", text))


def test_any_text_in_comments_and_strings() -> None:
    assert values('"время (с)" # 変数 👩\u200d🔬') == ["время (с)"]


def test_decode() -> None:
    assert decode(b"\xef\xbb\xbfx = 1\r\n", "f").text == "x = 1\r\n"
    assert kinds(decode(b"\xef\xbb\xbfx = 1\r\ny\r\n", "f").text) == "n EQUAL 0 | n |"


@pytest.mark.parametrize(
    ("data", "message", "line", "column"),
    [
        (b"x = 1\ny = \xe9", "byte 0xE9 at offset 10", 2, 5),
        (b"\xef\xbb\xbfx\xff", "byte 0xFF at offset 4", 1, 2),
        ("é\n".encode() + b"ab\xc3(", "byte 0xC3 at offset 5", 2, 3),
        (b"x\n\0", "NUL byte at offset 2", 2, 1),
        ("é\0".encode(), "NUL byte at offset 2", 1, 2),
        ("x = 1".encode("utf-16"), "UTF-16", 1, 1),
    ],
)
def test_decode_refuses(data: bytes, message: str, line: int, column: int) -> None:
    with pytest.raises(TapeError) as caught:
        decode(data, "f")
    assert message in caught.value.message
    assert caught.value.exit_code == 3
    assert caught.value.place is not None
    assert (caught.value.place.line, caught.value.place.column) == (line, column)


def test_comments_before_then_are_read_once() -> None:
    assert kinds("if a\n" + "# note\n" * 20_000 + "then b else c") == "IF n THEN n ELSE n |"


def test_every_word_of_the_grammar_has_its_kind() -> None:
    for word, kind in WORDS.items():
        assert next(iter(Lexer(Source("test", word)).tokens()))[0] in (kind, BAD)
