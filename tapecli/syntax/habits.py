"""What people write who come from other languages, and what stands for it here. Loaded only for an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapecli.syntax.complaints import Answer, Found

#: Words that begin a statement elsewhere.
WORDS = {
    "let": "`y = …`",
    "set": "`y = …`",
    "def": "`f(x) = …`",
    "function": "`f(x) = …`",
    "lambda": "`f(x) = …`",
    "print": "the expression alone",
    "return": "the expression alone",
    "param": "`const a = 1`",
    "parameter": "`const a = 1`",
    "constant": "`const a = 1`",
    "variable": "`var x = 0`",
    "double": "`var x = 0`",
    "float": "`var x = 0`",
    "real": "`var x = 0`",
    "int": "`const n = 1`",
    "assert": "`expect a == b`",
    "constraint": "`subject to g(x) <= 0`",
    "import": 'nothing: functions such as `sin` are always there; data are read by `data t from "file.csv"`',
    "elif": "`else if`",
}

#: Functions that have another name here, or are no functions.
FUNCTIONS = {
    "print": "write the expression alone on its line: `tapecli eval` prints it",
    "c": "a vector is written `[1, 2, 3]`",
    "array": "a vector is written `[1, 2, 3]`",
    "range": "a range is written `1..n`: `for i in 1..n`",
    "seq": "a range is written `1..n`: `for i in 1..n`",
    "arange": "a range is written `1..n`; `linspace(a, b, n)` is a vector",
    "fabs": "write `abs(x)`",
    "power": "write `x^y`",
    "length": "write `len(x)`",
    "numel": "write `len(x)`",
    "size": "write `len(x)` or `shape(A)`",
    "ifelse": "a choice is written `if c then a else b`",
    "iif": "a choice is written `if c then a else b`",
    "diff": "derivatives are `grad(y, x)`",
    "derivative": "derivatives are `grad(y, x)`",
    "gradient": "derivatives are `grad(y, x)`",
    "hessian": "second derivatives are `hess(y, x)`",
    "jacobian": "the Jacobian is `jac(v, x)`",
    "transpose": "a transpose is written `A'`",
    "matmul": "a product of matrices is written `A @ B`",
    "factorial": "write `gamma(n + 1)`",
    "float": "numbers need no conversion",
    "int": "write `floor(x)` or `round(x)`",
}


def instead_of_binding(text: str, end: int, name: str) -> str | None:
    """The hint for a statement `name == …` or `name <- …` whose name nothing binds: it was meant to bind it."""
    sign = re.compile(r"[ \t]*(==|<-)").match(text, end)
    begins = re.search(r"(?:^|[\n;])[ \t]*$", text[max(0, end - len(name) - 80) : end - len(name)])
    return f"a name is bound with a single `=`: {name} = …" if sign and begins else None


def habit(found: Found) -> Answer | None:
    """The answer for a token that stands where another language would have it."""
    for look in (_comment, _decimal_comma, _sign_twice, _entries, _borrowed_statement, _power_of_function, _bounds):
        answer = look(found)
        if answer is not None:
            return answer
    return None


def _touching(found: Found) -> bool:
    """Whether nothing stands between the token and the one before."""
    return found.previous[2] == found.token[1]


def _comment(found: Found) -> Answer | None:
    start = found.token[1]
    slashes = found.text[start : start + 2] in ("//", "/*")
    if slashes and "VAR" in found.expected:
        return f"no statement begins with `{found.text[start : start + 2]}`", found.token, "a comment begins with `#`"
    if found.before == "/" and found.at in ("/", "*") and _touching(found):
        sign = f"/{found.at}"
        whole = "; a quotient without its rest is `floor(a/b)`" if found.at == "/" else ""
        token = (found.token[0], found.previous[1], found.token[2], "")
        return f"`{sign}` is no sign of the language", token, f"a comment begins with `#`{whole}"
    return None


def _decimal_comma(found: Found) -> Answer | None:
    text, token = found.text, found.token
    at = token[1] if found.at == "," else found.previous[1] if found.before == "," else -1
    if at < 0 or found.bracket or not re.fullmatch(r"\d,\d", text[max(0, at - 1) : at + 2]):
        return None
    number = re.search(r"\d*$", text[:at])
    rest = re.match(r"\d*", text[at + 1 :])
    assert number is not None and rest is not None
    return (
        "`,` does not stand in a number",
        (token[0], at, at + 1, ""),
        f"a decimal point is a point: `{number[0]}.{rest[0]}`",
    )


def _sign_twice(found: Found) -> Answer | None:
    """`x++`, and a number with two points."""
    end = found.previous[2]
    if found.before in ("+", "-") and found.text[end - 2 : end] == 2 * found.before and found.at.strip() == "":
        token = (found.token[0], end - 2, end, "")
        return f"`{2 * found.before}` is no operator", token, "a name is bound once: `y = x + 1` binds a new one"
    if found.at.startswith(".") and found.at[1:2].isdigit() and found.before[:1].isdigit() and _touching(found):
        token = (found.token[0], found.previous[1], found.token[2], "")
        return "a number has one point", token, "a range is written `1..n`"
    return None


def _entries(found: Found) -> Answer | None:
    """Vectors in the way of MATLAB, and of C."""
    if found.bracket == "[" and found.before[-1:].isdigit() and found.at[:1].isdigit() and not _touching(found):
        hint = f"entries stand behind commas: `[{found.before}, {found.at}]`; a product is `{found.before}*{found.at}`"
        return f"`,` is missing before `{found.at}`", found.token, hint
    if found.bracket == "{" and found.at == ",":
        return "`,` does not stand in a block", found.token, "a vector is written `[1, 2, 3]`"
    return None


def _borrowed_statement(found: Found) -> Answer | None:
    begins = "VAR" in found.expected
    if found.at == "for" and begins:
        hint = "a loop stands inside a value: `sum(x[i] for i in 1..n)`, `[x[i] for i in 1..n]`, `fold(…)`"
        return "no statement begins with `for`", found.token, hint
    if found.at == "{" and found.before in (")", "else"):
        return "`{` does not stand here", found.token, "a choice is a value: `y = if c then a else b`"
    if found.before == "lambda":
        return "`lambda` is no word of the language", found.previous, f"write {WORDS['lambda']}"
    return None


def _power_of_function(found: Found) -> Answer | None:
    """`sin^2(x)`."""
    start = found.previous[1]
    name = re.search(r"([^\W\d]\w*)\^$", found.text[max(0, start - 80) : start])
    if found.at != "(" or name is None or not found.before.isdigit():
        return None
    hint = f"a power of a function's value is `{name[1]}(…)^{found.before}`"
    return "a power stands behind the argument", (0, start - 1, found.previous[2], ""), hint


def _bounds(found: Found) -> Answer | None:
    if found.before == "in" and found.expected == {"LSQB"} and found.at.strip():
        return f"expected `[`, found `{found.at}`", found.token, "bounds stand in square brackets: `in [0, 10]`"
    return None
