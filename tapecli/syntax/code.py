"""What the parser makes of a formula file: statements, whose expressions are postfix code for a small stack machine.

Postfix code rather than a tree, because a sum of a million terms is a tree a million deep: code is written in one
pass into one list and run in one loop, and nothing walks down. `Code` is a list of instructions, and an instruction
is a tuple `(opcode, operand, start, end)`; `start` and `end` are offsets into the source, of the operator for binary
operators, comparisons, `and` and `or`, and of the whole construct for everything else.

| opcode        | operand                   | what the machine does                                                   |
|---------------|---------------------------|-------------------------------------------------------------------------|
| num           | float                     | pushes a number; `true` is 1 and `false` is 0                           |
| name          | str                       | pushes what the name stands for                                         |
| str           | str                       | pushes a text                                                           |
| neg, not      | None                      | one value to one value                                                  |
| binary        | add sub mul div matmul pow | two values to one                                                      |
| and, or       | None                      | two values to one                                                       |
| compare       | (relation, …)             | n relations take n+1 values; a chain holds where each relation holds    |
| call          | (name, count, (key, …))   | takes `count` values and one for each key, the keyed ones last          |
| tuple, vector | count                     | takes `count` values                                                    |
| range         | bool: is there a `by`     | takes first, last and, where there is one, the step                     |
| all           | None                      | pushes the `:` of an index                                              |
| index         | count                     | takes a base and `count` items: values, ranges or `all`                 |
| transpose     | None                      | one value to one value                                                  |
| then          | None                      | takes the condition; the code that follows, up to `else`, is its branch |
| else          | None                      | between the branches                                                    |
| endif         | None                      | takes both branches' values                                             |
| enter, leave  | None                      | a block begins; it ends, and its value is what lies on top              |
| bind          | ((name, …), unpack)       | takes a value and binds it in the block                                 |
| define        | (name, (param, …), Code)  | defines a function in the block                                         |
| comprehension | (kind, body, clauses, conditions) | pushes `[body for …]` (kind None) or `kind(body for …)`         |
| recur         | (fold or scan, (state, …), (start, …), index, domain, body) | pushes what the recurrence gives      |

`if c then a else b` and `where(c, a, b)` give the same code: c, then, a, else, b, endif. Unary plus and parentheses
give none. A clause is a `Clause`; its domain, the bodies, the conditions and a recurrence's starts are `Code`.
"""

# Annotations are evaluated here, not kept as text: typing compiles each text of a NamedTuple's field, which takes
# longer than reading a small formula.

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from tapecli.errors import Place, Source, TapeError
from tapecli.records import NamedTuple

if TYPE_CHECKING:
    from tapecli.syntax.lexer import Token

Instruction = tuple[str, Any, int, int]
Code = list[Instruction]
#: The value of an expression while it is read: where its code begins, and its place in the source. Tokens have their
#: places at the same positions.
Span = tuple[int, int, int]
#: Code that was cut off, and its place.
Piece = tuple[Code, int, int]
#: A comparison so far: its relations, its place, and its operands.
Chain = tuple[list["Token"], int, int, list[Span]]

#: How many values an instruction takes off the stack, from its operand; those not named here take none. `then` looks
#: at the condition and leaves it to `endif`; `leave` leaves the block's value where it is.
_TAKES: dict[str, Callable[[Any], int]] = {
    "neg": lambda _: 1, "not": lambda _: 1, "transpose": lambda _: 1, "binary": lambda _: 2, "and": lambda _: 2,
    "or": lambda _: 2, "compare": lambda relations: len(relations) + 1,
    "call": lambda operand: operand[1] + len(operand[2]), "tuple": lambda count: count,
    "vector": lambda count: count, "range": lambda stepped: 3 if stepped else 2, "index": lambda count: count + 1,
    "endif": lambda _: 3, "bind": lambda _: 1,
}  # fmt: skip


def taken(opcode: str, operand: Any) -> int:
    """How many values an instruction takes off the stack."""
    takes = _TAKES.get(opcode)
    return 0 if takes is None else takes(operand)


_BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "@": "matmul", "^": "pow", "**": "pow"}
_INFINITY = float("inf")

#: `Column.selector` of `data X = [*] from …`: every column there is. No list of columns is empty otherwise.
EVERY_COLUMN: tuple[str | int, ...] = ()


class Clause(NamedTuple):
    """`index in domain` after `for`; the domain's code leaves a range or a value."""

    index: str  # type: ignore[assignment]  # an index is called so, whatever tuples have under that name
    domain: Code
    start: int
    end: int


class Setting(NamedTuple):
    """`name = value` as an option, after `at`, or in a named point; the place is that of both together."""

    name: str
    code: Code
    start: int
    end: int


class Declare(NamedTuple):
    """One name of a `var` or `const` statement. Without bounds, and at an open end, `lower` and `upper` are None."""

    kind: str
    name: str
    name_start: int
    name_end: int
    sizes: tuple[Code, ...]
    value: Code | None
    lower: Code | None
    upper: Code | None
    bounded: bool
    start: int
    end: int


class Column(NamedTuple):
    """A name of a `data` statement, and which columns it takes.

    The selector is None for the column of that name (or the whole array), an int counted from 1, a header, a tuple
    of headers and numbers to stack, or EVERY_COLUMN.
    """

    name: str
    selector: int | str | tuple[str | int, ...] | None
    start: int
    end: int


class Data(NamedTuple):
    columns: tuple[Column, ...]
    path: str
    path_start: int
    path_end: int
    start: int
    end: int


class Bind(NamedTuple):
    """`y = …`, or `(a, b) = …` where `unpack` is set; `places` are those of the names."""

    names: tuple[str, ...]
    unpack: bool
    code: Code
    places: tuple[tuple[int, int], ...]
    start: int
    end: int


class Define(NamedTuple):
    """`name(params) = …`"""

    name: str
    params: tuple[str, ...]
    code: Code
    name_start: int
    name_end: int
    start: int
    end: int


class Output(NamedTuple):
    """An expression that stands alone."""

    code: Code
    start: int
    end: int


class Method(NamedTuple):
    """What stands after `using`."""

    name: str
    options: tuple[Setting, ...]
    start: int
    end: int


class Objective(NamedTuple):
    """`minimize …` or `maximize …`"""

    kind: str
    code: Code
    method: Method | None
    settings: tuple[Setting, ...]
    start: int
    end: int


class Fit(NamedTuple):
    """`fit left ~ right`; `sigma` and `weights` are among the settings."""

    left: Code
    right: Code
    method: Method | None
    settings: tuple[Setting, ...]
    start: int
    end: int


class Constraint(NamedTuple):
    """`left relation right`, the relation one of `<=`, `>=`, `==`. A chain is several constraints."""

    left: Code
    relation: str
    right: Code
    start: int
    end: int


class Point(NamedTuple):
    """`point name: x = 1, y = 2`"""

    name: str
    assignments: tuple[Setting, ...]
    name_start: int
    name_end: int
    start: int
    end: int


class Expect(NamedTuple):
    """A check. Where its last operation compares two values, they are `left` and `right`, with their relation."""

    code: Code
    relation: str | None
    left: Code | None
    right: Code | None
    within: Code | None
    at_point: str | None
    assignments: tuple[Setting, ...]
    text: str
    start: int
    end: int


Statement = Declare | Data | Bind | Define | Output | Objective | Fit | Constraint | Point | Expect


class Module(NamedTuple):
    """A formula file that was read. `faults` are its syntax errors, and `lost` the words in the statements that have
    them: what else is wrong is told together with them, save what may follow from them."""

    source: Source
    statements: tuple[Statement, ...]
    faults: tuple[TapeError, ...] = ()
    lost: frozenset[str] = frozenset()


class Writer:
    """Writes code: the methods have the names of the grammar's rules, and are called operands first.

    So all code is written at the end of one list, and the value of an expression is only its `Span`. What belongs to
    a loop, a function or a statement is cut off the end of the list: each instruction is written and moved once.
    """

    __slots__ = ("code", "sides", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.code: Code = []
        #: where the operands of a comparison begin, by the place of its instruction in `code`
        self.sides: dict[int, list[int]] = {}

    def clear(self) -> None:
        self.code.clear()
        self.sides.clear()

    def fail(self, message: str, start: int, end: int, hint: str | None = None, label: str | None = None) -> NoReturn:
        raise TapeError("syntax", message, place=Place(self.source, start, end), hint=hint, label=label)

    def cut(self, start: int) -> Code:
        """The code from `start` on, which leaves the list."""
        cut = self.code[start:]
        del self.code[start:]
        return cut

    def cut_all(self, spans: list[Span]) -> tuple[Code, ...]:
        return tuple([self.cut(span[0]) for span in reversed(spans)][::-1])

    def distinct(self, names: list[tuple[str, int, int]], what: str) -> None:
        """Refuses the second of two equal names."""
        seen = set()
        for name, start, end in names:
            if name in seen:
                self.fail(f"{what} `{name}` is given twice", start, end, hint="keep one of them")
            seen.add(name)

    def wrap(self, opcode: str, operand: Any, span: Span) -> Span:
        """Writes the instruction that makes the whole of `span`, and gives that."""
        self.code.append((opcode, operand, span[1], span[2]))
        return span

    def emit(self, opcode: str, operand: Any, start: int, end: int) -> None:
        self.code.append((opcode, operand, start, end))

    def operands(self, span: Span, stop: int) -> tuple[tuple[str, ...], list[Code]] | None:
        """The relations and operands of the expression that ends before `stop`, if it is a comparison."""
        if self.code[stop - 1][0] != "compare":
            return None
        starts = [*self.sides[stop - 1], stop - 1]
        assert starts[0] == span[0]
        return self.code[stop - 1][1], [self.code[starts[i] : starts[i + 1]] for i in range(len(starts) - 1)]

    # Lists and their absence

    def step(self, part: Any) -> Any:
        return part

    def nothing(self) -> None:
        return None

    def none_yet(self) -> list[Any]:
        return []

    def first(self, item: Any) -> list[Any]:
        return [item]

    def further(self, items: list[Any], _: "Token", item: Any) -> list[Any]:
        items.append(item)
        return items

    # Single values

    def number(self, token: "Token") -> Span:
        _, start, end, text = token
        try:
            value = float(text)
        except ValueError:
            self.fail(f"`{text}` is not a number", start, end, "`_` stands between digits: `1_000_000`")
        if value == _INFINITY:
            self.fail(f"`{text}` is larger than every number", start, end, "infinity is written `inf`")
        self.code.append(("num", value, start, end))
        return len(self.code) - 1, start, end

    def name(self, token: "Token") -> Span:
        _, start, end, text = token
        self.code.append(("name", text, start, end))
        return len(self.code) - 1, start, end

    def string(self, token: "Token") -> Span:
        self.code.append(("str", token[3], token[1], token[2]))
        return len(self.code) - 1, token[1], token[2]

    def truth(self, token: "Token") -> Span:
        self.code.append(("num", 1.0 if token[3] == "true" else 0.0, token[1], token[2]))
        return len(self.code) - 1, token[1], token[2]

    def everything(self, token: "Token") -> Span:
        self.code.append(("all", None, token[1], token[2]))
        return len(self.code) - 1, token[1], token[2]

    # Operators

    def binary(self, left: Span, sign: "Token", right: Span) -> Span:
        self.code.append(("binary", _BINARY[sign[3]], sign[1], sign[2]))
        return left[0], left[1], right[2]

    def logical(self, left: Span, word: "Token", right: Span) -> Span:
        self.code.append((word[3], None, word[1], word[2]))
        return left[0], left[1], right[2]

    def negation(self, word: "Token", value: Span) -> Span:
        return self.wrap("not", None, (value[0], word[1], value[2]))

    def negative(self, sign: "Token", value: Span) -> Span:
        return self.wrap("neg", None, (value[0], sign[1], value[2]))

    def positive(self, sign: "Token", value: Span) -> Span:
        return value[0], sign[1], value[2]

    def group(self, opening: "Token", value: Span, closing: "Token") -> Span:
        return value[0], opening[1], closing[2]

    def first_relation(self, left: Span, sign: "Token", right: Span) -> Chain:
        return [sign], left[1], right[2], [left, right]

    def further_relation(self, chain: Chain, sign: "Token", right: Span) -> Chain:
        signs, start, _, spans = chain
        signs.append(sign)
        spans.append(right)
        return signs, start, right[2], spans

    def comparison(self, chain: Chain) -> Span:
        signs, start, end, spans = chain
        self.sides[len(self.code)] = [span[0] for span in spans]
        self.emit("compare", tuple(sign[3] for sign in signs), signs[0][1], signs[-1][2])
        return spans[0][0], start, end

    def mark_then(self, token: "Token") -> None:
        self.emit("then", None, token[1], token[2])

    def mark_else(self, token: "Token") -> None:
        self.emit("else", None, token[1], token[2])

    def conditional(self, word: "Token", condition: Span, _: None, __: Span, ___: None, last: Span) -> Span:
        return self.wrap("endif", None, (condition[0], word[1], last[2]))

    def where(self, word: "Token", _: "Token", condition: Span, *rest: Any) -> Span:
        return self.wrap("endif", None, (condition[0], word[1], rest[-1][2]))
