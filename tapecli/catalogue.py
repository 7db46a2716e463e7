"""The functions of the language as a list for people: signature, meaning, and derivative, all from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapecli.core import TABLE, Op
from tapecli.derive import ones_like
from tapecli.graph import LITERAL, Graph, Node, needed
from tapecli.language.builtins import BUILTINS
from tapecli.language.functions import ALIASES, DIRECT
from tapecli.records import NamedTuple
from tapecli.rewrite import simplify


class Entry(NamedTuple):
    """One function: how it is called, what it is, and its derivative to each argument as a formula ("" for none)."""

    name: str
    signature: str
    help: str
    derivative: str


#: operation -> (how it is written, how tightly it binds)
INFIX = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "less": ("<", 0),
    "less_equal": ("<=", 0),
    "equal": ("==", 0),
    "not_equal": ("!=", 0),
}
ATOM = 5
#: rows that exist for accuracy's sake -> what they are in functions of the language, and how tightly that binds
WRITTEN = {
    "acoth_d1": ("1/(1 - {0}^2)", 2),
    "asech_d1": ("-1/({0}*sqrt(1 - {0}^2))", 2),
    "asin_d1": ("1/sqrt(1 - {0}^2)", 2),
    "atan_d1": ("{unit:.12g}/(1 + {0}^2)", 2),
    "atanh_d1": ("1/(1 - {0}^2)", 2),
    "beta_dx": ("beta({0}, {1})*(digamma({0}) - digamma({0} + {1}))", 2),
    "cbrt_d1": ("1/(3*cbrt({0})^2)", 2),
    "digamma_diff": ("digamma({0}) - digamma({0} + {1})", 1),
    "exp_neg_sq": ("exp(-{0}^2)", ATOM),
    "gamma_d": ("gamma({0})*digamma({0})", 2),
    "inside": ("if {1} <= {0} and {0} <= {2} then 1 else 0", -1),
    "logaddexp_share": ("exp({0})/(exp({0}) + exp({1}))", 2),
    "logit_d1": ("1/({0}*(1 - {0}))", 2),
    "positive": ("{0}", ATOM),
    "ratio": ("{0}/hypot({0}, {1})", 2),
    "sech2": ("sech({0})^2", 4),
    "sech_d1": ("-sech({0})*tanh({0})", 2),
    "share": ("if {0} > {1} then 1 else 0", -1),
    "sigmoid_d1": ("sigmoid({0})*(1 - sigmoid({0}))", 2),
    "sinc_d": ("(cospi({0}) - sinc({0}))/{0}", 2),
    "xdivy": ("{0}/{1}", 2),
}


def functions() -> list[Entry]:
    """Every function of the language, by name."""
    found = []
    for name in sorted(DIRECT):
        op = TABLE[name]
        arguments = "xyz"[: len(op.vjps)]  # type: ignore[arg-type]
        others = [alias for alias, of in ALIASES.items() if of == name]
        also = f" (also {', '.join(others)})" if others else ""
        found.append(Entry(name, f"{name}({', '.join(arguments)})", op.doc + also, derivative_text(op)))
    for name, builtin in BUILTINS.items():
        found.append(Entry(name, builtin.signature, builtin.doc, "1/x" if name == "log" else ""))
    found += _library()
    return sorted(found, key=lambda entry: entry.name)


def _library() -> list[Entry]:
    """The functions of the library file; what they are is what the file says."""
    from tapecli.language.functions import library_source
    from tapecli.syntax.code import Define
    from tapecli.syntax.parser import parse

    source = library_source()
    entries = []
    for s in parse(source).statements:
        assert isinstance(s, Define)
        body = " ".join(source.text[s.start : s.end].partition("=")[2].split())
        entries.append(Entry(s.name, f"{s.name}({', '.join(s.params)})", body, ""))
    return entries


def derivative_text(op: Op) -> str:
    """The derivative of an elementwise op to each of its arguments, as a formula; "0" where it is absent."""
    assert isinstance(op.vjps, tuple)
    texts = []
    for i in range(len(op.vjps)):
        graph = Graph()
        args = [graph.input(name, ()) for name in "xyz"[: len(op.vjps)]]
        rule = op.rule(i)
        if rule is None:
            texts.append("0")
            continue
        out = op(*args)
        g: Any = rule(ones_like(out), out, *args)
        if not isinstance(g, Node):
            texts.append("0")
            continue
        (simple,), _ = simplify([g], {}, "float64")
        texts.append(formula_text(simple))
    return ", ".join(texts)


def formula_text(node: Node) -> str:
    """A scalar graph as one formula. Shared parts are written out each time they are used."""
    text: dict[int, tuple[str, int]] = {}
    for n in needed([node]):
        text[n.index] = _written(n, [text[arg.index] for arg in n.args])
    return text[node.index][0]


def _written(node: Node, args: Sequence[tuple[str, int]]) -> tuple[str, int]:
    name = node.op.name
    if node.op is LITERAL:
        value = float(node.params["value"])
        return f"{value:.12g}", ATOM if value >= 0 else 3
    if name == "input":
        return node.params["name"], ATOM
    if name in INFIX:
        sign, level = INFIX[name]
        left = _held(args[0], level)
        right = _held(args[1], level + (sign in "-/"))
        return f"{left} {sign} {right}" if level < 2 else f"{left}{sign}{right}", level
    if name == "neg":
        return f"-{_held(args[0], 3)}", 3
    if name == "power":
        return f"{_held(args[0], ATOM)}^{node.params['exponent']:g}", 4
    if name == "pow":
        return f"{_held(args[0], ATOM)}^{_held(args[1], 4)}", 4
    if name in WRITTEN:
        text, level = WRITTEN[name]
        return text.format(*[_held(arg, ATOM) for arg in args], **node.params), level
    if name == "select" and args[2][0] == "inf":  # only keeps 0 from being divided by
        return args[1]
    if name == "select":
        return f"if {args[0][0]} then {args[1][0]} else {args[2][0]}", -1
    options = [f"{value:g}" if isinstance(value, (int, float)) else str(value) for value in node.params.values()]
    return f"{name}({', '.join([arg for arg, _ in args] + options)})", ATOM


def _held(arg: tuple[str, int], level: int) -> str:
    """The text of an argument, in brackets where it binds less tightly than its surroundings."""
    text, own = arg
    return text if own >= level else f"({text})"
