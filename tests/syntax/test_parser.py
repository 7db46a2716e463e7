"""From text to statements and code, against Lark's own parser, and what is said about texts that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tapecli.errors import Source, TapeError
from tapecli.syntax import code
from tapecli.syntax.grammar import action_name, compile_grammar, fingerprint, grammar_path, load_grammar
from tapecli.syntax.lexer import END, Lexer
from tapecli.syntax.parser import MOST_ERRORS, parse, parse_expression
from tapecli.syntax.tables import STARTS, Tables

CORPUS = [
    "",
    "x^2 - 2*x + 1",
    "var x = 0\nconst a = 1, b = -2\ny = a*x^2 + b*x\n\nexpect grad(y, x) == -2 # note\nminimize y",
    "var x = 1 in [0, 10], y = 2 in [0, ], z in [, 1]; var w[50] = 0, W[n, 5] = normal(0, 0.1), v = [1, 2, 3,]",
    'data t, y from "a.csv"\ndata t = 1, y = "Time (s)", X = ["a", 2], Z = [*] from "b.csv"',
    "f(t, k) = { g = t^2\n h(u) = u + g; (p, q) = (g, k)\n\n h(p)*q\n}\n(a, b,) = f(1, 2)\ng() = 1",
    "minimize y using adam(learning_rate=exponential_decay(0.1, decay_steps=100, decay_rate=0.9)), steps=10, tol=1e-3",
    "fit log(y) ~ b1*(1 - exp(-b2*t)), sigma=s using lm, steps=5; maximize y, steps=3",
    "subject to g(x) <= 0\nsubject to 0 <= x <= 1, y == 2\npoint start2: b1 = 250,\n b2 = 5e-4",
    "expect a == b within 1e-9 at start2\nexpect a at x = 3, y = [1] within 2\nexpect not a",
    "sum(1/norm(p[i, :] - p[j, :]) for i in 1..n-1 by 2, j in i+1..n if i != 3 if j != 4)",
    "[exp(-(x[i] - x[j])^2) for i in idx, j in max(1, i-5)..min(n, i+1)]; x[2..n]' @ A'; []; f()",
    "(x1, v1) = fold(x = x0, v = v0 for k in 1..1000: (x + dt*v, v - dt*x)); scan(x = 0 for k in 1..n: x + k)",
    'if a then b else if not c or d and e then where(f, g, 2^-h^2) else "s"\n0 < x <= 1 != true; +a - -b**c; false',
    "sum(A, axis=1,); (((a, b), c), [[1, 2], [3]])",
]


def tokens_of(text: str) -> list[tuple[int, int, int, Any]]:
    return list(Lexer(Source("test", text)).tokens())


def brief(text: str) -> str:
    """The code of an expression in short: opcodes, with operands where they say something."""
    return shorten(parse_expression(Source("test", text)))


def shorten(instructions: code.Code) -> str:
    words = []
    for opcode, operand, _, _ in instructions:
        if opcode in ("name", "binary", "str"):
            words.append(str(operand))
        elif opcode == "num":
            words.append(f"{operand:g}")
        elif opcode in ("compare", "call", "tuple", "vector", "index", "range", "bind"):
            words.append(f"{opcode}{operand}".replace(" ", ""))
        else:
            words.append(opcode)
    return " ".join(words)


def only(text: str) -> Any:
    (statement,) = parse(Source("test", text)).statements
    return statement


def errors(text: str) -> list[TapeError]:
    with pytest.raises(TapeError) as caught:
        parse(Source("test", text))
    return [caught.value, *caught.value.more]


# The tables


def test_tables_are_those_of_the_grammar() -> None:
    text = grammar_path().read_text(encoding="utf-8")
    made = grammar_path().parents[1] / "tapecli" / "syntax" / "_tables.py"
    assert fingerprint(text) in made.read_text(encoding="utf-8")
    assert compile_grammar(text) == made.read_text(encoding="utf-8"), "run python -m tapecli.syntax.grammar"


@pytest.fixture(scope="module")
def lark_parser() -> Any:
    """Lark's own tables of the grammar, and its rules."""
    from lark.common import ParserConf
    from lark.parsers.lalr_analysis import LALR_Analyzer

    rules = load_grammar(grammar_path().read_text(encoding="utf-8")).rules
    analyzer: Any = LALR_Analyzer(ParserConf(rules, {}, list(STARTS)))
    analyzer.compute_lalr()
    return rules, analyzer.parse_table


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("text", CORPUS)
def test_same_derivation_as_lark(text: str, start: str, lark_parser: Any) -> None:
    from lark import Token
    from lark.exceptions import UnexpectedToken
    from lark.parsers.lalr_parser_state import ParseConf, ParserState

    rules, table = lark_parser
    tables = Tables()
    theirs: list[int] = []

    def recorder(number: int, rule: Any) -> Any:
        # A step of the ladder of precedence is no action of ours.
        return lambda _: theirs.append(number) if action_name(rule) else None

    callbacks: Any = {rule: recorder(number, rule) for number, rule in enumerate(rules, 1)}
    state: Any = ParserState(ParseConf(table, callbacks, start), None)  # type: ignore[arg-type]
    accepted = True
    try:
        for kind, _, _, value in tokens_of(text):
            state.feed_token(Token(tables.terminals[kind], value), is_end=kind == END)
    except UnexpectedToken:
        accepted = False

    ours: list[int] = []
    actions = [lambda *_, number=number: ours.append(number) for number in range(len(tables.rules))]
    failure = tables.run(start, tokens_of(text), actions)
    assert (failure is None) == accepted
    assert start == "expression" or accepted
    assert ours == theirs


def test_lark_is_not_imported_to_parse() -> None:
    import subprocess
    import sys

    script = (
        "import sys; from tapecli.errors import Source; from tapecli.syntax.parser import parse;"
        "parse(Source('f', 'y = 1 + 2')); sys.exit('lark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# Code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-x^2", "x 2 pow neg"),
        ("2^-x", "2 x neg pow"),
        ("2^3^2", "2 3 2 pow pow"),
        ("2**3^-2'", "2 3 2 transpose neg pow pow"),
        ("a*-b", "a b neg mul"),
        ("-a*b", "a neg b mul"),
        ("a - b - c", "a b sub c sub"),
        ("a/b*c@d", "a b div c mul d matmul"),
        ("a + b*c", "a b c mul add"),
        ("+a - +b", "a b sub"),
        ("((a))", "a"),
        ("not a < b and c or d", "a b compare('<',) not c and d or"),
        ("0 < x <= 1", "0 x 1 compare('<','<=')"),
        ("(0 < x) == true", "0 x compare('<',) 1 compare('==',)"),
        ("a + b < c", "a b add c compare('<',)"),
        ("if a then b else c", "a then b else c endif"),
        ("where(a, b, c) + 1", "a then b else c endif 1 add"),
        ("if a then b else if c then d else e", "a then b else c then d else e endif endif"),
        ("f(x)'[i, 2..n, :]", "x call('f',1,()) transpose i 2 n rangeFalse all index3"),
        ("x[1..n by 2]", "x 1 n 2 rangeTrue index1"),
        ("sum(A, 2, axis=1)", "A 2 1 call('sum',2,('axis',))"),
        ("(a, b)", "a b tuple2"),
        ("[[1, 2], [3, 4],]", "1 2 vector2 3 4 vector2 vector2"),
        ("[]", "vector0"),
        ("f()", "call('f',0,())"),
        ('"a b"', "a b"),
        ("{ c = 2\n (a, b) = c\n a }", "enter 2 bind(('c',),False) c bind(('a','b'),True) a leave"),
        (".5 + 1. + 1_000 + 1e-3", "0.5 1 add 1000 add 0.001 add"),
    ],
)
def test_code(text: str, expected: str) -> None:
    assert brief(text) == expected


def test_code_of_loops() -> None:
    text = "1 + sum(x[i]*y for i in 1..n, j in i..m if i != 3)"
    one, (opcode, operand, start, end), add = parse_expression(Source("test", text))
    assert (one[0], opcode, add[1], text[start:end]) == ("num", "comprehension", "add", text[4:])
    kind, body, clauses, conditions = operand
    assert (kind, shorten(body)) == ("sum", "x i index1 y mul")
    assert [(c.index, shorten(c.domain), text[c.start : c.end]) for c in clauses] == [
        ("i", "1 n rangeFalse", "i in 1..n"),
        ("j", "i m rangeFalse", "j in i..m"),
    ]
    assert [shorten(condition) for condition in conditions] == ["i 3 compare('!=',)"]

    ((_, (kind, body, (clause,), conditions), _, _),) = parse_expression(Source("test", "[i^2 for i in idx]"))
    assert (kind, shorten(body), shorten(clause.domain), conditions) == (None, "i 2 pow", "idx", ())

    ((opcode, operand, _, _),) = parse_expression(Source("test", "fold(x = a, v = b+1 for k in 1..9: (v, x))"))
    kind, names, starts, index, domain, body = operand
    assert (opcode, kind, names, index) == ("recur", "fold", ("x", "v"), "k")
    assert ([shorten(s) for s in starts], shorten(domain), shorten(body)) == (
        ["a", "b 1 add"],
        "1 9 rangeFalse",
        "v x tuple2",
    )


def test_operators_are_marked_at_the_operator() -> None:
    text = "a @ -b <= c and not f(d)"
    marked: dict[Any, str] = {i[1] or i[0]: text[i[2] : i[3]] for i in parse_expression(Source("test", text))}
    assert marked == {
        "a": "a",
        "b": "b",
        "c": "c",
        "d": "d",
        "matmul": "@",
        "neg": "-b",
        ("<=",): "<=",
        "and": "and",
        "not": "not f(d)",
        ("f", 1, ()): "f(d)",
    }


def test_blocks_may_define_functions() -> None:
    instructions = parse_expression(Source("test", "{ g(t) = t^2; g(2) }"))
    opcode, (name, params, body), _, _ = instructions[1]
    assert (opcode, name, params, shorten(body)) == ("define", "g", ("t",), "t 2 pow")


# Statements


def test_declarations() -> None:
    text = "var x = 1 in [0, n], w[n, 2] = 3, z in [, ]\nconst a = -2"
    x, w, z, a = parse(Source("test", text)).statements
    assert isinstance(x, code.Declare)
    assert isinstance(w, code.Declare)
    assert isinstance(z, code.Declare)
    assert isinstance(a, code.Declare)
    assert (x.kind, x.name, shorten(x.value or []), x.bounded) == ("var", "x", "1", True)
    assert (shorten(x.lower or []), shorten(x.upper or [])) == ("0", "n")
    assert ([shorten(size) for size in w.sizes], w.bounded, w.lower) == (["n", "2"], False, None)
    assert (z.value, z.bounded, z.lower, z.upper) == (None, True, None, None)
    assert (a.kind, shorten(a.value or [])) == ("const", "2 neg")
    assert [text[d.start : d.end] for d in (x, w, z, a)] == [
        "var x = 1 in [0, n]",
        "w[n, 2] = 3",
        "z in [, ]",
        "const a = -2",
    ]
    assert text[w.name_start : w.name_end] == "w"


def test_data() -> None:
    data = only('data t, u = 2, v = "Time (s)", X = ["a", 3], Y = [*] from "runs/one.csv"')
    assert [column.name for column in data.columns] == ["t", "u", "v", "X", "Y"]
    assert [column.selector for column in data.columns] == [None, 2, "Time (s)", ("a", 3), code.EVERY_COLUMN]
    assert data.path == "runs/one.csv"


def test_bindings() -> None:
    text = "(a, b) = f(x)"
    bind = only(text)
    assert (bind.names, bind.unpack, shorten(bind.code)) == (("a", "b"), True, "x call('f',1,())")
    assert [text[start:end] for start, end in bind.places] == ["a", "b"]
    assert only("y = x").unpack is False
    define = only("f (t, k) = t + k")
    assert (define.name, define.params, shorten(define.code)) == ("f", ("t", "k"), "t k add")
    assert (define.name_start, define.name_end) == (0, 1)
    assert shorten(only("x^2").code) == "x 2 pow"


def test_objectives() -> None:
    text = "minimize y + 1 using adam(learning_rate=decay(0.1, steps=2)), steps=5, tol=0"
    objective = only(text)
    assert (objective.kind, shorten(objective.code), objective.method.name) == ("minimize", "y 1 add", "adam")
    (option,) = objective.method.options
    assert (option.name, shorten(option.code)) == ("learning_rate", "0.1 2 call('decay',1,('steps',))")
    assert text[option.start : option.end] == "learning_rate=decay(0.1, steps=2)"
    assert [setting.name for setting in objective.settings] == ["steps", "tol"]
    assert only("maximize y").kind == "maximize"
    fit = only("fit log(y) ~ a*t, sigma=s using lm, steps=4")
    assert (shorten(fit.left), shorten(fit.right)) == ("y call('log',1,())", "a t mul")
    assert (fit.method.name, [setting.name for setting in fit.settings]) == ("lm", ["sigma", "steps"])


def test_constraints() -> None:
    found = parse(Source("test", "subject to 0 <= x + y <= 1, (a == b)")).statements
    assert [(shorten(c.left), c.relation, shorten(c.right)) for c in found if isinstance(c, code.Constraint)] == [
        ("0", "<=", "x y add"),
        ("x y add", "<=", "1"),
        ("a", "==", "b"),
    ]


def test_points_and_expectations() -> None:
    point = only("point start2: b1 = 250, b2 = 5e-4")
    assert (point.name, [(s.name, shorten(s.code)) for s in point.assignments]) == (
        "start2",
        [("b1", "250"), ("b2", "0.0005")],
    )
    check = only("expect a*b  == c within 1e-9 at x = 3, y = 4  # note")
    assert (shorten(check.left), check.relation, shorten(check.right)) == ("a b mul", "==", "c")
    assert shorten(check.code) == "a b mul c compare('==',)"
    assert (shorten(check.within), check.at_point) == ("1e-09", None)
    assert [setting.name for setting in check.assignments] == ["x", "y"]
    assert check.text == "a*b == c within 1e-9 at x = 3, y = 4"
    check = only("expect a at start2 within 1")
    assert (check.at_point, check.relation, check.left, shorten(check.within)) == ("start2", None, None, "1")
    for text in ("expect 0 < x < 1", "expect a == b and c == d", "expect not a == b", "expect f(a == b)"):
        assert only(text).relation is None


def test_free_words_are_names() -> None:
    assert shorten(only("to = where + sigma + weights").code) == "where sigma add weights add"


# Errors

WRONG = [
    ("y = 2x", "a product needs its `*`", "`2*x`", "2x"),
    ("y = 2(x+1)", "a product needs its `*`", "`2*(…)`", "2("),
    ("y = (a)(b)", "expected an operator between `)` and `(`", "`*`", "("),
    ("y = sin x", "expected an operator between `sin` and `x`", "`sin(x)`", "x"),
    ("minimise y", "no statement begins with `minimise`", "`minimize`", "minimise"),
    ("minimze y using sgd", "no statement begins with `minimze`", "`minimize`", "minimze"),
    ("let y = 3", "no statement begins with `let`", "`y = …`", "let"),
    ("minimize y steps=3", "`,` is missing before `steps`", "`, steps=…`", "steps"),
    ("minimize y using sgd(0.1)", "an option of a method needs its name", "learning_rate", "0.1"),
    ("data = 3", "`data` is a reserved word", "`data_`", "data"),
    ("y = data*2", "`data` is a reserved word", "`data_`", "data"),
    ("f(at) = 3", "`at` is a reserved word", "`at_`", "at"),
    ("const a", "the constant `a` has no value", "`const a = …`", "a"),
    ("const a == 1", "`==` compares", "single `=`", "=="),
    ("const a = 1 in [0, 1]", "the constant `a` cannot have bounds", "var a", "a = 1 in [0, 1]"),
    ("expect y = 2", "`=` does not stand here", "`==`", "="),
    ("if x = 0 then 1 else 2", "`=` does not stand here", "`==`", "="),
    ("fit y = a", "`=` does not stand here", "`fit y ~ f(t)`", "="),
    ("sum(i for i = 1..n)", "`=` does not stand here", "`in`", "="),
    ("y = a +\nz = 3", "`=` does not stand here", "the line above goes on", "="),
    ("y = if a then b", "expected an operator or `else`, found the end of the line", "if c then a else b", "\n"),
    ("y = if a else b", "expected an operator or `then`, found `else`", "if c then a else b", "else"),
    ("y = a if c else b", "`if` does not stand behind a value", "if c then a else b", "if"),
    ("y = 1 + if a then b else c", "`if` is no operand here", "parentheses", "if"),
    ("y = a => b", "`=>` is no sign", "`>=`", "="),
    ("y += 1", "`+=` is no sign", "bound once", "="),
    ("y := 1", "`:=` is no sign", "`=`", ":"),
    ("x[1] = 3", "`=` binds a name", "the whole vector", "x[1]"),
    ("a + b = 3", "`=` binds a name", "`==`", "a + b"),
    ("f(t, t) = 3", "the parameter `t` is given twice", "", "t"),
    ("a, b = f(x)", "found `,`", "`(a, b)`", ","),
    ("y = x[1:3]", "found `:`", "`1..n`", ":"),
    ("y = [1, 2; 3]", "found `;`", "[[1, 2], [3, 4]]", ";"),
    ("y = 1..n", "found `..`", "behind `in`", ".."),
    ("y = x[i] for i in 1..n", "`for` does not stand here", "sum(", "for"),
    ("y = [a for i in 1..n for j in 1..m]", "`for` does not stand here", "j in 1..m", "for"),
    ("data t from 'a.csv'", "a file's name stands in quotes", '"file.csv"', "'"),
    ("data t from abc", "a file's name stands in quotes", '"file.csv"', "abc"),
    ('data t = 0 from "a"', "`0` is no number of a column", "from 1", "0"),
    ("subject to x < 3", "a constraint compares", "<= 0", "<"),
    ("subject x <= 3", "expected `to`, found `x`", "", "x"),
    ("where(a, b)", "found `)`", "`where(condition, a, b)`", ")"),
    ("var x = 1 in (0, 1)", "expected `[`, found `(`", "`in [0, 10]`", "("),
    ("var f(t) = 3", "found `(`", "without `var`", "("),
    ("y = { a = 2 }", "a block ends with an expression", "", "a = 2"),
    ("y = { a; b }", "the value of this line is not used", "bind", "a"),
    ("sum(x, y for i in 1..n)", "takes one expression", "", "x, y"),
    ("sum(x for i in 1..n: x)", "`sum` is no recurrence", "`fold` and `scan`", "sum"),
    ("fold(x for i in 1..n: x)", "needs a name and a start", "fold(x = x0", "x"),
    ("f(a=1, 2)", "behind a named one", "", "2"),
    ("expect a within 1 within 2", "the part `within` is given twice", "", "within"),
    ("y = 1__0", "`1__0` is not a number", "1_000_000", "1__0"),
    ("y = 1e999", "larger than every number", "`inf`", "1e999"),
    ("y =", "expected a number, a name or `(`, found the end", "", "\n"),
    ("y = (a + b\nz = 3", "`(` is never closed", "`)`", "("),
    ("y = f(x", "`(` is never closed", "`)`", "("),
    ("y = {\n a = 2\n a", "`{` is never closed", "`}`", "{"),
    ("y = a\n* b", "no statement begins with `*`", "end that line with the operator", "*"),
]


@pytest.mark.parametrize(("text", "message", "hint", "marked"), WRONG)
def test_wrong_texts(text: str, message: str, hint: str, marked: str) -> None:
    error = errors(text)[0]
    assert message in error.message
    assert hint in (error.hint or "")
    assert error.place is not None
    assert (error.place.text or "\n") == marked
    assert error.code == "syntax"


def test_messages_speak_no_terminal_names() -> None:
    for text, *_ in WRONG:
        for error in errors(text):
            shown = f"{error.message} {error.hint}"
            assert not any(name in shown for name in Tables().terminals if len(name) > 3 and name != "$END")
            assert "__ANON" not in shown


def test_every_statement_has_its_error() -> None:
    text = "var x = 0\ny = 2x\nz = x + 1\nw = (x + \nconst a = 3 4\nv = [1, 2\nu = 5 5; t = )\n"
    text += "s = {\n r = 1 1\n r }\nq = 1"
    found = errors(text)
    assert [error.place.line for error in found if error.place] == [2, 4, 5, 6, 7, 7, 9]


def test_a_limit_of_errors() -> None:
    assert len(errors("y = 2x\n" * 100)) == MOST_ERRORS


def test_expressions_alone() -> None:
    for text in ("x = 3", "1 2", "", "var x", "1; 2"):
        with pytest.raises(TapeError):
            parse_expression(Source("test", text))


# Size

DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "(" * DEEP + "x" + ")" * DEEP,
        "f(" * DEEP + "x" + ")" * DEEP,
        "x[" * DEEP + "1" + "]" * DEEP,
        "{" * DEEP + "x" + "}" * DEEP,
        "-" * DEEP + "x",
        "x^" * DEEP + "x",
        "if a then b else " * DEEP + "c",
        "where(a, b, " * DEEP + "c" + ")" * DEEP,
        "sum(" * DEEP + "x" + " for i in 1..n)" * DEEP,
        "x + " * DEEP + "x",
    ],
    ids=["brackets", "calls", "indices", "blocks", "signs", "powers", "ifs", "wheres", "sums", "terms"],
)
def test_deep_and_long_texts(text: str) -> None:
    assert parse_expression(Source("test", text))


def test_deep_texts_that_are_wrong() -> None:
    assert errors("(" * DEEP)[0].message == "`(` is never closed"
    assert "found `*`" in errors("y = " + "x + " * DEEP + "*")[0].message
