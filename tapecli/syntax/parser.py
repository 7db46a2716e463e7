"""From text to statements: what each rule of the grammar means.

The automaton of `tables` calls the method of `_Actions` that has the rule's name, in the order of reading, operands
first. The expressions of a statement have then been written as code (`code.Writer`), and the statement cuts it off.
"""

from __future__ import annotations

from typing import Any

from tapecli.errors import MOST_ERRORS, Source, TapeError
from tapecli.syntax import code as made
from tapecli.syntax.code import Clause, Code, Module, Piece, Setting, Span, Statement, Writer
from tapecli.syntax.lexer import Lexer, Token, resume
from tapecli.syntax.tables import Tables

Target = tuple[made.Bind | made.Define, int, int]

_tables: Tables | None = None


def parse(source: Source) -> Module:
    """The statements of a formula file. Raises its first syntax error, with the others in `more`."""
    module = read(source)
    _raise(list(module.faults))
    return module


def read(source: Source) -> Module:
    """The statements of a formula file that can be read, and the syntax errors of the others."""
    lexer = Lexer(source)
    actions = _Actions(source)
    errors: list[TapeError] = []
    lost: set[str] = set()
    offset: int | None = 0
    while offset is not None and len(errors) < MOST_ERRORS:
        begin, count = offset, len(errors)
        offset = _run("file", lexer, offset, actions, errors)
        if len(errors) > count:
            begin = max([begin, *(one.end for one in actions.found[-1:])])
            lost |= _words(source.text[begin:offset])
    return Module(source, tuple(actions.found), tuple(errors), frozenset(lost))


def _words(text: str) -> set[str]:
    """Everything in a text that may be a name."""
    import re  # only a wrong formula needs it
    from unicodedata import normalize

    return {normalize("NFC", word) for word in re.findall(r"[^\W\d]\w*", text)}


def parse_expression(source: Source) -> Code:
    """The code of a text that is one expression."""
    actions = _Actions(source)
    errors: list[TapeError] = []
    _run("expression", Lexer(source), 0, actions, errors)
    _raise(errors)
    return actions.code


def _raise(errors: list[TapeError]) -> None:
    if errors:
        errors[0].more = tuple(errors[1:])
        raise errors[0]


def _run(start: str, lexer: Lexer, offset: int, actions: _Actions, errors: list[TapeError]) -> int | None:
    """Reads from `offset` on; after an error, gives where to read on."""
    global _tables
    if _tables is None:
        _tables = Tables()
    tokens = lexer.tokens(offset)
    named = [getattr(actions, name or "step") for _, _, name in _tables.rules]
    failure = _tables.run(start, tokens, named)
    if failure is None:
        return None
    from tapecli.syntax.complaints import complaint  # only a wrong formula needs the words

    errors.append(failure.error or complaint(failure, lexer, _tables))
    actions.clear()
    return resume(lexer, failure.token, tokens)


class _Actions(Writer):
    """The methods of the rules above operators, which are the writer's. `found` holds the statements."""

    __slots__ = ("found",)

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.found: list[Statement] = []

    # Arrays, indices, blocks

    def pair(self, opening: Token, value: Span, _: Token, others: list[Span], *rest: Token) -> Span:
        return self.wrap("tuple", 1 + len(others), (value[0], opening[1], rest[-1][2]))

    def vector(self, opening: Token, *rest: Any) -> Span:
        values = rest[0] if len(rest) > 1 else []
        begin = values[0][0] if values else len(self.code)
        return self.wrap("vector", len(values), (begin, opening[1], rest[-1][2]))

    def index(self, base: Span, _: Token, items: list[Span], closing: Token) -> Span:
        return self.wrap("index", len(items), (base[0], base[1], closing[2]))

    def transpose(self, base: Span, sign: Token) -> Span:
        return self.wrap("transpose", None, (base[0], base[1], sign[2]))

    def range(self, first: Span, _: Token, last: Span, *step: Any) -> Span:
        return self.wrap("range", bool(step), (first[0], first[1], step[-1][2] if step else last[2]))

    def enter(self) -> int:
        self.emit("enter", None, 0, 0)
        return len(self.code) - 1

    def block(self, opening: Token, begin: int, lines: list[tuple[bool, int, int]], *rest: Token) -> Span:
        for is_value, start, end in lines[:-1]:
            if is_value:
                hint = "only the last line of a block is its value; bind the others: `c = …`"
                self.fail("the value of this line is not used", start, end, hint)
        if not lines[-1][0]:
            hint = "add a line with the value, such as the name that was bound last"
            self.fail("a block ends with an expression, its value", lines[-1][1], lines[-1][2], hint)
        span = (begin, opening[1], rest[-1][2])
        self.code[begin] = ("enter", None, span[1], span[2])
        return self.wrap("leave", None, span)

    def line_value(self, value: Span) -> tuple[bool, int, int]:
        return True, value[1], value[2]

    def line_binding(self, target: Target, _: Token, value: Span) -> tuple[bool, int, int]:
        form, start, end = target
        if isinstance(form, made.Bind):
            self.emit("bind", (form.names, form.unpack), start, end)
        else:
            body = self.cut(value[0])
            self.emit("define", (form.name, form.params, body), start, end)
        return False, start, value[2]

    # Calls and loops

    def argument(self, value: Span) -> tuple[None, Span]:
        return None, value

    def named_argument(self, name: Token, _: Token, value: Span) -> tuple[Token, Span]:
        return name, value

    def call(self, name: Token, opening: Token, *rest: Any) -> Span:
        arguments = rest[0] if len(rest) > 1 else []
        keys = [key for key, _ in arguments if key is not None]
        count = len(arguments) - len(keys)
        for key, value in arguments[:count] if keys else ():
            if key is not None:
                last = next(value for key, value in reversed(arguments) if key is None)
                hint = f"values without a name come first, before `{key[3]}=`"
                self.fail("a value without a name behind a named one", last[1], last[2], hint)
        self.distinct([(key[3], key[1], key[2]) for key in keys], "the argument")
        begin = arguments[0][1][0] if arguments else len(self.code)
        operand = (name[3], count, tuple(key[3] for key in keys))
        return self.wrap("call", operand, (begin, name[1], rest[-1][2]))

    def clause(self, name: Token, _: Token, domain: Span) -> Clause:
        return Clause(name[3], self.cut(domain[0]), name[1], domain[2])

    def condition(self, conditions: list[Code], _: Token, value: Span) -> list[Code]:
        return [*conditions, self.cut(value[0])]

    def loop(self, word: Token, clauses: list[Clause], conditions: list[Code]) -> Any:
        self.distinct([(clause.index, clause.start, clause.end) for clause in clauses], "the index")
        return tuple(clauses), tuple(conditions)

    def array_loop(self, opening: Token, value: Span, loop: Any, closing: Token) -> Span:
        body = self.cut(value[0])
        return self.wrap("comprehension", (None, body, *loop), (value[0], opening[1], closing[2]))

    def call_loop(self, name: Token, _: Token, arguments: list[Any], loop: Any, closing: Token) -> Span:
        key, value = arguments[0]
        if len(arguments) > 1 or key is not None:
            hint = f"write `{name[3]}(x[i] for i in 1..n)`; a recurrence is `fold(x = x0 for k in 1..n: …)`"
            self.fail(f"`{name[3]}(… for …)` takes one expression before `for`", value[1], arguments[-1][1][2], hint)
        body = self.cut(value[0])
        return self.wrap("comprehension", (name[3], body, *loop), (value[0], name[1], closing[2]))

    def recurrence(self, name: Token, _: Token, states: list[Any], *rest: Any) -> Span:
        _, clause, _, value, closing = rest
        if name[3] not in ("fold", "scan"):
            hint = "only `fold` and `scan` have a `:`; a range is written `1..n`"
            self.fail(f"`{name[3]}` is no recurrence", name[1], name[2], hint)
        for key, start in states:
            if key is None:
                hint = f"write `{name[3]}(x = x0 for {clause.index} in 1..n: …)`"
                self.fail("a state of a recurrence needs a name and a start", start[1], start[2], hint)
        self.distinct([(key[3], key[1], key[2]) for key, _ in states], "the state")
        body = self.cut(value[0])
        starts = self.cut_all([start for _, start in states])
        names = tuple(key[3] for key, _ in states)
        operand = (name[3], names, starts, clause.index, clause.domain, body)
        return self.wrap("recur", operand, (len(self.code), name[1], closing[2]))

    # A file

    def file(self, *_: Any) -> None:
        pass

    def expression(self, *_: Any) -> None:
        pass

    def statements(self, *_: Any) -> None:
        pass

    # Statements

    def output(self, value: Span) -> None:
        self.found.append(made.Output(self.cut(value[0]), value[1], value[2]))

    def target(self, value: Span) -> Target:
        """What stands left of `=`, read as an expression: the statement, whose code is still to come."""
        _, start, end = value
        code = self.cut(value[0])
        opcode, operand, _, _ = code[-1]
        names = [(item[1], item[2], item[3]) for item in code[:-1]]
        plain = all(item[0] == "name" for item in code[:-1])
        if opcode == "name" and len(code) == 1:
            return made.Bind((operand,), False, [], ((code[0][2], code[0][3]),), start, end), start, end
        if opcode == "tuple" and plain and operand == len(names):
            self.distinct(names, "the name")
            places = tuple((at, to) for _, at, to in names)
            return made.Bind(tuple(name for name, _, _ in names), True, [], places, start, end), start, end
        if opcode == "call" and plain and operand[1:] == (len(names), ()):
            self.distinct(names, "the parameter")
            begin = code[-1][2]
            until = begin + len(self.source.text[begin : self.source.text.index("(", begin)].rstrip())
            params = tuple(name for name, _, _ in names)
            return made.Define(operand[0], params, [], begin, until, start, end), start, end
        if opcode == "index":
            hint = "name the whole vector: `x = [i^2 for i in 1..n]`, or declare its start: `var x[n] = 0`"
        elif opcode == "call":
            hint = "the parameters of a function are plain names: `f(t) = …`"
        else:
            hint = "to compare, write `==`; to bind, give a name: `y = …`, `f(t) = …` or `(a, b) = …`"
        self.fail("`=` binds a name, and this is not one", start, end, hint, "a name, `f(t)` or `(a, b)` stands here")

    def binding(self, target: Target, _: Token, value: Span) -> None:
        self.found.append(target[0]._replace(code=self.cut(value[0]), end=value[2]))

    def variables(self, word: Token, declarations: list[made.Declare]) -> None:
        self.found.append(declarations[0]._replace(start=word[1]))
        self.found.extend(declarations[1:])

    def constants(self, word: Token, declarations: list[made.Declare]) -> None:
        for declared in declarations:
            if declared.bounded:
                self.fail(
                    f"the constant `{declared.name}` cannot have bounds",
                    declared.start,
                    declared.end,
                    hint=f"bounds are for variables: `var {declared.name} = … in [0, 1]`",
                )
            if declared.value is None:
                self.fail(
                    f"the constant `{declared.name}` has no value",
                    declared.name_start,
                    declared.name_end,
                    hint=f"write `const {declared.name} = …`",
                )
        self.variables(word, [declared._replace(kind="const") for declared in declarations])

    def declaration(self, name: Token, sizes: Piece | None, start: Piece | None, bounds: Any) -> made.Declare:
        end = max(part[2] for part in (name, sizes, start, bounds) if part is not None)
        lower, upper = bounds[0] if bounds else (None, None)
        value = start[0] if start else None
        shape: Any = sizes[0] if sizes else ()
        return made.Declare(
            "var", name[3], name[1], name[2], shape, value, lower, upper, bounds is not None, name[1], end
        )

    def enclosed(self, opening: Token, values: list[Span], closing: Token) -> tuple[tuple[Code, ...], int, int]:
        return self.cut_all(values), opening[1], closing[2]

    def start(self, _: Token, value: Span) -> Piece:
        return self.cut(value[0]), value[1], value[2]

    def bound(self, value: Span) -> Piece:
        return self.cut(value[0]), value[1], value[2]

    def bounds(self, word: Token, _: Token, lower: Any, __: Token, upper: Any, closing: Token) -> tuple[Any, int, int]:
        return (lower and lower[0], upper and upper[0]), word[1], closing[2]

    def data(self, word: Token, columns: list[made.Column], _: Token, path: Token) -> None:
        self.found.append(made.Data(tuple(columns), path[3], path[1], path[2], word[1], path[2]))

    def column(self, name: Token, _: Token | None = None, label: Any = None) -> made.Column:
        if label is None:
            return made.Column(name[3], None, name[1], name[2])
        return made.Column(name[3], label[0], name[1], label[2])

    def stacked_columns(self, name: Token, _: Token, __: Token, labels: list[Any], closing: Token) -> made.Column:
        return made.Column(name[3], tuple(label[0] for label in labels), name[1], closing[2])

    def all_columns(self, name: Token, *rest: Token) -> made.Column:
        return made.Column(name[3], made.EVERY_COLUMN, name[1], rest[-1][2])

    def label_text(self, text: Token) -> tuple[str, int, int]:
        return text[3], text[1], text[2]

    def label_number(self, number: Token) -> tuple[int, int, int]:
        if not number[3].isdecimal() or int(number[3]) < 1:
            self.fail(f"`{number[3]}` is no number of a column", number[1], number[2], "columns are counted from 1")
        return int(number[3]), number[1], number[2]

    def tail(self, options: list[Setting], *rest: Any) -> tuple[made.Method | None, tuple[Setting, ...]]:
        method, more = rest[1:] if rest else (None, [])
        options.extend(more)
        self.distinct([(option.name, option.start, option.end) for option in options], "the option")
        return method, tuple(options)

    def method(self, name: Token, *rest: Any) -> made.Method:
        options = []
        for key, value in reversed(rest[1] if len(rest) == 3 else []):
            if key is None:
                hint = f"name it, as in `{name[3]}(learning_rate=0.1)`"
                self.fail("an option of a method needs its name", value[1], value[2], hint)
            options.append(Setting(key[3], self.cut(value[0]), key[1], value[2]))
        options.reverse()
        self.distinct([(option.name, option.start, option.end) for option in options], "the option")
        return made.Method(name[3], tuple(options), name[1], rest[-1][2] if rest else name[2])

    def setting(self, name: Token, _: Token, value: Span) -> Setting:
        return Setting(name[3], self.cut(value[0]), name[1], value[2])

    def objective(self, word: Token, value: Span, tail: Any) -> None:
        method, settings = tail
        end = max(value[2], method.end if method else 0, settings[-1].end if settings else 0)
        self.found.append(made.Objective(word[3], self.cut(value[0]), method, settings, word[1], end))

    def fit(self, word: Token, left: Span, _: Token, right: Span, tail: Any) -> None:
        method, settings = tail
        end = max(right[2], method.end if method else 0, settings[-1].end if settings else 0)
        sides = self.cut_all([left, right])
        self.found.append(made.Fit(sides[0], sides[1], method, settings, word[1], end))

    def constraints(self, word: Token, _: Token, values: list[Span]) -> None:
        found: list[Statement] = []
        stops = [value[0] for value in values[1:]] + [len(self.code)]
        for value, stop in zip(values, stops, strict=True):
            compared = self.operands(value, stop)
            if compared is None or not set(compared[0]) <= {"<=", ">=", "=="}:
                at = self.code[stop - 1][2:] if compared else value[1:]
                self.fail("a constraint compares two sides by `<=`, `>=` or `==`", *at, hint="write `g(x) <= 0`")
            sides = compared[1]
            for relation, left, right in zip(compared[0], sides, sides[1:], strict=False):
                found.append(made.Constraint(left, relation, right, value[1], value[2]))
        self.found.extend(found)
        self.clear()

    def point(self, word: Token, name: Token, _: Token, settings: list[Setting]) -> None:
        self.distinct([(setting.name, setting.start, setting.end) for setting in settings], "the name")
        self.found.append(made.Point(name[3], tuple(settings), name[1], name[2], word[1], settings[-1].end))

    def within(self, qualifiers: list[Any], word: Token, value: Span) -> list[Any]:
        return [*qualifiers, ("within", word, self.cut(value[0]), value[2])]

    def at_point(self, qualifiers: list[Any], word: Token, name: Token) -> list[Any]:
        return [*qualifiers, ("at", word, name[3], name[2])]

    def at_values(self, qualifiers: list[Any], word: Token, settings: list[Setting]) -> list[Any]:
        self.distinct([(setting.name, setting.start, setting.end) for setting in settings], "the name")
        return [*qualifiers, ("at", word, tuple(settings), settings[-1].end)]

    def expect(self, word: Token, value: Span, qualifiers: list[Any]) -> None:
        given = {kind: what for kind, _, what, _ in qualifiers}
        self.distinct([(kind, at[1], at[2]) for kind, at, _, _ in qualifiers], "the part")
        compared = self.operands(value, len(self.code))
        relation, left, right = None, None, None
        if compared is not None and len(compared[0]) == 1:
            relation, left, right = compared[0][0], *compared[1]
        end = qualifiers[-1][3] if qualifiers else value[2]
        text = " ".join(self.source.text[value[1] : end].split())
        place = given.get("at", ())
        at_point, assignments = (place, ()) if isinstance(place, str) else (None, place)
        self.found.append(
            made.Expect(
                self.cut(value[0]),
                relation,
                left,
                right,
                given.get("within"),
                at_point,
                assignments,
                text,
                word[1],
                end,
            )
        )
        self.clear()
