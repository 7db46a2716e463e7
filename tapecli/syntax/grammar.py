"""Makes the parser's tables of the grammar file, by Lark, when the grammar has changed.

`python -m tapecli.syntax.grammar` compiles `grammar/tape.lark` to `_tables.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapecli.syntax.tables import STARTS

if TYPE_CHECKING:
    from pathlib import Path


def grammar_path() -> Path:
    """The grammar: beside the package in a checkout, inside it in an installation."""
    from pathlib import Path

    package = Path(__file__).parents[1]
    inside = package / "grammar" / "tape.lark"
    return inside if inside.exists() else package.parent / "grammar" / "tape.lark"


def load_grammar(text: str) -> Any:
    """Lark's reading of the grammar. It never lexes: the tokens are tapecli's own."""
    from lark import Lark
    from lark.lexer import Lexer

    class Given(Lexer):
        def __init__(self, *_: object) -> None:
            pass

        def lex(self, *tokens: Any) -> Any:
            return tokens[0]

    return Lark(text, parser="lalr", lexer=Given, start=list(STARTS))


def action_name(rule: Any) -> str:
    """The name of the parser's method for a rule; empty for a rule that only passes its one part through."""
    if rule.options.expand1 and rule.alias is None and len(rule.expansion) == 1:
        return ""
    return str(rule.alias or rule.origin.name)


def compile_grammar(text: str) -> str:
    """The text of `_tables.py` for a grammar. A conflict is an error: nothing is settled by Lark's defaults."""
    from lark.common import ParserConf
    from lark.parsers.lalr_analysis import LALR_Analyzer

    lark = load_grammar(text)
    rules = [rule for rule in lark.rules if not rule.origin.name.startswith("$")]
    analyzer: Any = LALR_Analyzer(ParserConf(lark.rules, {}, list(STARTS)), strict=True)
    analyzer.compute_lalr()
    table = analyzer.parse_table
    order = _ordered(table)
    literals = {str(t.name): t.pattern.value for t in lark.terminals if t.pattern.type == "str"}
    patterns = {str(t.name): t.pattern.value for t in lark.terminals if t.pattern.type == "re"}
    ignored = set(lark.ignore_tokens)
    terminals = ["$END", *sorted(str(t.name) for t in lark.terminals if t.name not in ignored), "$BAD"]
    nonterminals = sorted({str(rule.origin.name) for rule in rules})
    width = len(terminals)
    if len(order) * width > 0x7FFF:
        raise ValueError("the grammar has outgrown tables of 16-bit numbers")
    place = {state: at * width for at, state in enumerate(order)}
    ends = set(table.end_states.values())
    number = {rule: at for at, rule in enumerate(rules, 1)}

    def row(state: int, names: list[str]) -> bytes:
        found = table.states[state]
        cells = (found.get(name) for name in names)
        values = [0 if c is None else place[c[1]] if c[1] in place else -number[c[1]] for c in cells]
        if state in ends and names is terminals:
            values[0] = place[state]  # everything was read: Lark compares states, here $END is shifted
        return b"".join(value.to_bytes(2, "little", signed=True) for value in values)

    actions, action_rows = _pack([row(state, terminals) for state in order])
    gotos, goto_rows = _pack([row(state, nonterminals) for state in order])
    parts = {
        "GRAMMAR": fingerprint(text),
        "TERMINALS": tuple(terminals),
        "NONTERMINALS": tuple(nonterminals),
        "WORDS": {literals[name]: at for at, name in enumerate(terminals) if name in literals},
        "PATTERNS": dict(sorted(patterns.items())),
        "RULES": tuple((nonterminals.index(r.origin.name), len(r.expansion), action_name(r)) for r in rules),
        "STARTS": {start: place[table.start_states[start]] for start in STARTS},
        "ACTIONS": actions,
        "ACTION_ROWS": action_rows,
        "GOTOS": gotos,
        "GOTO_ROWS": goto_rows,
    }
    head = '"""Made by `python -m tapecli.syntax.grammar` from grammar/tape.lark. Not to be edited."""\n\n# fmt: off'
    return "\n".join([head, *(_assignment(name, value) for name, value in parts.items())]) + "\n"


def fingerprint(text: str) -> str:
    """What tells whether the tables are those of this grammar, whichever line ends a checkout gave it."""
    from hashlib import sha256

    return sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _ordered(table: Any) -> list[int]:
    """The states as met from the starts. Lark numbers them by the order of a set, which differs from run to run."""
    order = [table.start_states[start] for start in STARTS]
    seen = set(order)
    for state in order:
        cells = sorted((name, target) for name, (_, target) in table.states[state].items() if isinstance(target, int))
        for _, target in cells:
            if target not in seen:
                seen.add(target)
                order.append(target)
    return order


def _pack(rows: list[bytes]) -> tuple[str, tuple[int, ...]]:
    different = list(dict.fromkeys(rows))
    return b"".join(different).hex(), tuple(different.index(row) for row in rows)


def _assignment(name: str, value: object, width: int = 110) -> str:
    """A line, or lines of limited length, of `_tables.py`."""
    if isinstance(value, str):
        chunks = [f'    "{value[at : at + width]}"' for at in range(0, len(value), width)]
    elif isinstance(value, dict):
        chunks = [f"    {key!r}: {item!a}," for key, item in value.items()]
        return f"{name} = {{\n" + "\n".join(chunks) + "\n}"
    else:
        assert isinstance(value, tuple)
        chunks = []
        for item in value:
            if chunks and len(chunks[-1]) + len(repr(item)) < width:
                chunks[-1] += f" {item!r},"
            else:
                chunks.append(f"    {item!r},")
    return f"{name} = (\n" + "\n".join(chunks) + "\n)"


def main() -> None:
    from pathlib import Path

    text = compile_grammar(grammar_path().read_text(encoding="utf-8"))
    Path(__file__).with_name("_tables.py").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
