"""What to say to the user when a token does not fit. Loaded only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapecli.errors import Place, TapeError, nearest
from tapecli.syntax import habits
from tapecli.syntax.tables import Failure, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapecli.syntax.lexer import Lexer, Token

_OPERANDS = frozenset(
    {"NUMBER", "NAME", "STRING", "WHERE", "TRUE", "FALSE", "LPAR", "LSQB", "LBRACE", "MINUS", "PLUS", "NOT", "IF"}
)
_OPERATORS = frozenset(
    {
        "PLUS",
        "MINUS",
        "STAR",
        "SLASH",
        "CIRCUMFLEX",
        "QUOTE",
        "LSQB",
        "LPAR",
        "RELATION",
        "AND",
        "OR",
        "__ANON_0",
        "__ANON_1",
    }
)
_ENDS_OPERAND = frozenset({"NUMBER", "NAME", "STRING", "TRUE", "FALSE", "RPAR", "RSQB", "RBRACE", "QUOTE"})
_BEGINS_OPERAND = frozenset({"NUMBER", "NAME", "STRING", "WHERE", "TRUE", "FALSE", "LPAR", "LBRACE"})
_SPELLED = {"NAME": "a name", "NUMBER": "a number", "STRING": 'a text in quotes `"…"`', "RELATION": "a comparison"}
_STARTERS = ("var", "const", "data", "minimize", "maximize", "fit", "subject", "point", "expect")
_INNER_WORDS = frozenset({"for", "if", "then", "else", "and", "or", "not"})


class Found:
    """What is known of a token that does not fit; `expected` are the names of the terminals that would."""

    def __init__(self, failure: Failure, lexer: Lexer, tables: Tables) -> None:
        from tapecli.syntax.lexer import first_in_line

        self.text = lexer.text
        self.token = failure.token
        self.previous = failure.previous
        self.at = _spelling(self.text, self.token)
        self.before = _spelling(self.text, self.previous)
        own = failure.values[2:] if failure.values and failure.values[0] is None else failure.values
        states = _rewound(failure, lexer, own[0][1] if own else self.token[1], tables)
        self.expected = {tables.terminals[kind] for kind in tables.expected(states)}
        self.is_second = bool(own) and own[0][1] == self.previous[1]
        self.begins_line = first_in_line(lexer, self.previous)
        self.bracket = lexer.opened[-1][0] if lexer.opened else ""


def _spelling(text: str, token: Token, most: int = 60) -> str:
    """How the token is written, cut short where it would fill the screen."""
    _, start, end, _ = token
    return text[start:end] if end - start <= most else text[start : start + most] + "…"


#: A message, the token it is about, and a hint.
Answer = tuple[str, "Token", str | None]


def complaint(failure: Failure, lexer: Lexer, tables: Tables) -> TapeError:
    """The error of a token that does not fit, in the user's words."""
    from tapecli.syntax.lexer import BAD, CLOSERS, END, SEPARATOR, unclosed

    token, previous = failure.token, failure.previous
    if token[0] == BAD:
        assert isinstance(token[3], TapeError)
        return token[3]
    bracket = unclosed(lexer, token)
    if bracket is not None:
        place = Place(lexer.source, bracket[1], bracket[1] + 1)
        missing = f"write the `{CLOSERS[bracket[0]]}` that is missing"
        return TapeError("syntax", f"`{bracket[0]}` is never closed", place=place, hint=missing, label="opened here")
    found = Found(failure, lexer, tables)
    for look in (_reserved, habits.habit, _side_by_side, _equals, _strange_sign, _strange_word):
        answer = look(found)
        if answer is not None:
            message, (_, start, end, _), hint = answer
            return TapeError("syntax", message, place=Place(lexer.source, start, end), hint=hint)
    both = "both branches stand there: `if c then a else b`" if found.expected & {"THEN", "ELSE"} else None
    name, place = f"`{found.at}`", Place(lexer.source, token[1], token[2])
    if token[0] in (SEPARATOR, END) and token[3] != ";":
        name = "the end of the file" if token[0] == END else "the end of the line"
        place = Place(lexer.source, previous[2], previous[2] + 1)
    return TapeError("syntax", f"expected {_listed(found.expected)}, found {name}", place=place, hint=both)


def _rewound(failure: Failure, lexer: Lexer, begin: int, tables: Tables) -> list[int]:
    """The states before `token` was seen: the automaton has put parts together before it found that nothing fits."""
    from tapecli.syntax.lexer import BAD, Lexer

    token = failure.token

    def again() -> Iterator[Token]:
        for other in Lexer(lexer.source).tokens(begin):
            if other[1] >= token[1]:
                break
            yield other
        yield BAD, token[1], token[2], ""

    stopped = tables.run(failure.start, again(), [lambda *_: None] * len(tables.rules))
    assert stopped is not None
    return stopped.states


def _reserved(found: Found) -> Answer | None:
    """A word of the language where a name should be."""
    at, before, words = found.at, found.before, _words()
    if at == "=" and before.isalpha() and before in words and before not in _INNER_WORDS:
        word, token = before, found.previous
    elif at.isalpha() and at in words and at not in _INNER_WORDS and "NAME" in found.expected:
        word, token = at, found.token
    else:
        return None
    return f"`{word}` is a reserved word", token, f"choose another name, such as `{word}_`"


def _side_by_side(found: Found) -> Answer | None:
    """Two values with no operator between them."""
    from tapecli.syntax._tables import TERMINALS

    at, before, token, previous = found.at, found.before, found.token, found.previous
    kind, kind_before = TERMINALS[token[0]], TERMINALS[previous[0]]
    if before == "from" and at.strip():
        return "a file's name stands in quotes", token, 'write `data t, y from "file.csv"`'
    if kind not in _BEGINS_OPERAND or kind_before not in _ENDS_OPERAND or "STAR" not in found.expected:
        return None
    if at in habits.WORDS:
        return f"`{at}` is no word of the language", token, f"write {habits.WORDS[at]}"
    if kind_before == "NAME" and found.is_second:
        word = nearest(before, _STARTERS)
        better = habits.WORDS.get(before.lower()) or (word and f"`{word}`")
        if better:
            return f"no statement begins with `{before}`", previous, f"write {better}"
    if kind == "NAME" and "USING" in found.expected and found.text[token[2] :].lstrip()[:1] == "=":
        return f"`,` is missing before `{at}`", token, f"options stand behind a comma: `, {at}=…`"
    product = f"`{before}*(…)`" if at == "(" else f"`{before}*{at}`"
    if kind_before == "NUMBER":
        return "a product needs its `*`", (0, previous[1], token[2], ""), f"write {product}"
    hint = f"a product is written {product}" if kind_before == "NAME" else "a product is written with `*`"
    if kind_before == "NAME" and kind in ("NAME", "NUMBER"):
        hint += f", the value of a function `{before}({at})`"
    return f"expected an operator between `{before}` and `{at}`", token, hint


def _equals(found: Found) -> Answer | None:
    """`=` for `==`, `==` for `=`, and signs that other languages make with `=`."""
    at, before, expected = found.at, found.before, found.expected
    around = found.text[found.previous[1] : found.token[2] + 1]
    for wrong, right in (("=>", ">="), ("=<", "<="), ("<>", "!="), ("===", "=="), (":=", "=")):
        if at in wrong and wrong in (around[:-1], around[-2:]):
            return f"`{wrong}` is no sign of the language", found.token, f"write `{right}`"
    if at == "==" and "EQUAL" in expected:
        return "`==` compares, it does not bind", found.token, "write a single `=`"
    if at != "=":
        return None
    if before in ("+", "-", "*", "/", "^", "@"):
        hint = "a name is bound once: bind the result to a new one"
        return f"`{before}=` is no sign of the language", found.token, hint
    if found.begins_line and not found.is_second and not found.bracket:
        hint = "the line above goes on here, since it ends with an operator, a comma or `=`: finish it there"
    elif expected == {"IN"}:
        hint = "write `in`: `for i in 1..n`"
    elif "TILDE" in expected:
        hint = "a fit is written `fit y ~ f(t)`"
    elif expected == {"COLON"}:
        hint = "a point is written `point start: x = 1, y = 2`"
    elif "STAR" in expected:
        hint = "to compare, write `==`"
    else:
        return None
    return "`=` does not stand here", found.token, hint


def _strange_sign(found: Found) -> Answer | None:
    """Signs where the language has others."""
    at, expected = found.at, found.expected
    begins = "VAR" in expected
    hint: str | None = None
    if at == "..":
        hint = "a range stands in an index and behind `in`; a vector is `[i for i in 1..n]`"
    elif at == "'":
        hint = 'text stands in double quotes, `"…"`; a transpose follows its matrix, `A\'`'
    elif at == ":" and found.bracket == "[":
        hint = "a range is written `1..n`"
    elif at == ";" and found.bracket == "[":
        hint = "a matrix is a vector of its rows: `[[1, 2], [3, 4]]`"
    elif at == "," and "STAR" in expected and not found.bracket:
        hint = "several values stand in parentheses: `(a, b)`"
    elif at == "(" and {"IN", "EQUAL"} <= expected:
        hint = "a function is bound without `var` and `const`: `f(t) = …`"
    elif at == ")" and "COMMA" in expected and "RPAR" not in expected:
        hint = "`where` takes three values: `where(condition, a, b)`"
    elif at == "]" and "COMMA" in expected and "RSQB" not in expected:
        hint = "bounds are two, and either may be left out: `in [0, ]`"
    elif begins and at and not at[0].isalnum():
        hint = "a line does not continue the one above it: end that line with the operator, or put both in parentheses"
    if begins and at.strip():
        return f"no statement begins with `{at}`", found.token, hint
    return (f"expected {_listed(expected)}, found `{at}`", found.token, hint) if hint else None


def _strange_word(found: Found) -> Answer | None:
    """Words where the language has others."""
    at = found.at
    if at == "for":
        hint = "several indices stand after one `for`: `for i in 1..n, j in 1..m`"
        if not found.bracket or "NUMBER" in found.expected:
            hint = "write `sum(x[i] for i in 1..n)` or `[x[i] for i in 1..n]`"
        return "`for` does not stand here", found.token, hint
    if at in ("if", "not") and "NUMBER" in found.expected:
        return f"`{at}` is no operand here", found.token, f"put it in parentheses: `({at} …)`"
    if at == "if" and "STAR" in found.expected:
        return "`if` does not stand behind a value", found.token, "a choice is written `if c then a else b`"
    return None


def _words() -> dict[str, int]:
    from tapecli.syntax._tables import WORDS

    return WORDS


def _listed(expected: set[str]) -> str:
    """`a number, a name or ...`: what could stand there, the likeliest first."""
    left = set(expected)
    parts = []
    if {"NUMBER", "NAME", "LPAR"} <= left:
        parts += ["a number", "a name", "`(`"]
        left -= _OPERANDS
    elif {"STAR", "PLUS"} <= left:
        parts.append("an operator")
        left -= _OPERATORS
    ends = left & {"SEPARATOR", "$END"}
    spelled = {kind: f"`{word}`" for word, kind in _words().items()}
    from tapecli.syntax._tables import TERMINALS

    order = ("RPAR", "RSQB", "RBRACE", "COMMA", "EQUAL", "TO")
    names = sorted(left - ends, key=lambda name: (order.index(name) if name in order else 9, name))
    for name in names[: max(1, 4 - len(parts))]:
        parts.append(_SPELLED.get(name) or spelled.get(TERMINALS.index(name)) or f"`{name.lower()}`")
    if ends:
        parts.append("the end of the line" if "RBRACE" in expected else "the end of the statement")
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " or " + parts[-1]
