"""`Problem.diff`: derivatives as formulas. The sweep runs on nodes; what comes out is simplified and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli import derive
from tapecli.core import Array
from tapecli.engines import Argument
from tapecli.engines.traced import trace
from tapecli.errors import TapeError
from tapecli.graph import INPUT, LITERAL, Node, needed
from tapecli.records import NamedTuple
from tapecli.syntax.code import Data
from tapecli.write.graphs import Names, Written, written
from tapecli.write.literals import literal
from tapecli.write.printers import FORMS, Latex, Printer
from tapecli.write.terms import Terms, reachable

if TYPE_CHECKING:
    from tapecli.problem.facade import Problem


class Derivation(NamedTuple):
    """Derivatives of an output as text. `text` is all of it: in the form `tape` a formula file that computes them, in
    `python` a function, in `latex` equations. `formulas` are the derivatives alone, by name, in terms of the
    `bindings`. `str` of it is the text."""

    of: str
    order: int
    form: str
    names: tuple[str, ...]
    bindings: dict[str, str]
    formulas: dict[str, str]
    text: str

    def __str__(self) -> str:
        return self.text


def differentiate(
    problem: Problem,
    at: Mapping[str, Array],
    wrt: str | Sequence[str] | None,
    of: str | None,
    order: int,
    form: str,
) -> Derivation:
    """The derivatives of a number of the first or the second order (all second ones), as formulas."""
    if form not in FORMS:
        raise TapeError("usage", f"there is no form {form!r}", hint=f"forms are {', '.join(FORMS)}")
    if order not in (1, 2):
        raise TapeError("usage", f"the order is 1 or 2, not {order}")
    output, node = problem._scalar(of, "say --of NAME for one that is a number, or sum it")
    names = problem._wrt(wrt)
    pairs = [(r, c) for k, r in enumerate(names) for c in names[k:]]
    keys: list[tuple[str, ...]] = [(name,) for name in names] if order == 1 else [*pairs]
    nodes, called = _traced(problem, node, names, order)
    taken = {*problem.formula.names, *problem.formula.inputs}
    fixed = {name for name, entry in problem.formula.inputs.items() if entry.kind != "var" and name not in names}
    made = written(nodes, called, taken, fixed)
    target = "" if output.startswith("_") else output
    fresh = Names(taken | set(made.bindings))
    results = [fresh.free(_called(target, key, order)) for key in keys]
    printer = FORMS[form]([*taken, *made.bindings, *results])
    bindings = {name: printer.text(term) for name, term in made.bindings.items()}
    formulas = dict(zip(results, [printer.text(term) for term in made.outputs], strict=True))
    said = _Said(problem, at, output, keys, order, made, bindings, formulas, printer)
    text = {"tape": said.tape, "python": said.python, "latex": said.latex}[form]()
    return Derivation(output, order, form, tuple(names), bindings, formulas, text)


def _called(of: str, key: tuple[str, ...], order: int) -> str:
    """dy_dx, d2y_dx2, d2y_dxdz; without the output's name where it has none."""
    if order == 1:
        return f"d{of}_d{key[0]}"
    below = f"d{key[0]}2" if key[0] == key[1] else f"d{key[0]}_d{key[1]}"
    return f"d2{of}_{below}"


def _traced(problem: Problem, node: Node, names: list[str], order: int) -> tuple[list[Node], dict[int, str]]:
    """The derivatives as simplified nodes, and which of the nodes have a name in the file."""
    runner, formula = problem.runner, problem.formula
    leaves = runner.leaves(names)
    position = {leaf.index: i for i, (_, leaf) in enumerate(leaves)}
    wrt = [position[formula.names[name].index] for name in names]
    inputs = [leaf for _, leaf in leaves]
    inside = {n.index for n in needed([node])}
    bound = {
        name: n
        for name, n in formula.names.items()
        if n.index in inside and n.op is not INPUT and n.op is not LITERAL and n is not node
    }
    values = runner.function([node], inputs)
    kept = runner.function(list(bound.values()), inputs)
    kind = derive.gradient if order == 1 else derive.hessian
    derivatives = kind(lambda *xs: values(*xs)[0], wrt)

    def everything(*xs: Any) -> list[Any]:
        found = derivatives(*xs)[1:]
        if order == 2:
            n = len(wrt)
            found = [found[n + r * n + c] for r in range(n) for c in range(r, n)]
        return [*found, *kept(*xs)]

    taps = range(len(formula.inputs), len(leaves))
    arguments = [
        Argument(name, leaf.shape, np.zeros(leaf.shape) if i in taps else None) for i, (name, leaf) in enumerate(leaves)
    ]
    outputs = list(trace(everything, arguments, problem.dtype).outputs)
    count = len(outputs) - len(bound)
    return outputs[:count], {n.index: name for name, n in reversed(list(zip(bound, outputs[count:], strict=True)))}


class _Said:
    """One derivation, put into words."""

    def __init__(
        self,
        problem: Problem,
        at: Mapping[str, Array],
        of: str,
        keys: list[tuple[str, ...]],
        order: int,
        made: Written,
        bindings: dict[str, str],
        formulas: dict[str, str],
        printer: Printer,
    ) -> None:
        self.problem = problem
        self.at = at
        self.of = of
        self.keys = keys
        self.order = order
        self.bindings = bindings
        self.formulas = formulas
        self.printer = printer
        roots = [*made.outputs, *made.bindings.values()]
        self.used = {term.value for term in reachable(roots) if term.kind == "name"}

    def _inputs(self) -> list[Any]:
        return [entry for entry in self.problem.formula.inputs.values() if entry.name in self.used]

    def tape(self) -> str:
        lines = [f"# {self._title()}"]
        data = {entry.name for entry in self._inputs() if entry.kind == "data"}
        for statement in self.problem._module.statements:
            if isinstance(statement, Data) and data & {column.name for column in statement.columns}:
                lines.append(self.problem.source.text[statement.start : statement.end])
        for kind in ("var", "const"):
            entries = [entry for entry in self._inputs() if entry.kind == kind]
            said = [self._declared(entry) for entry in entries]
            lines += [f"{kind} {', '.join(said)}"] if said else []
        lines += [f"{name} = {text}" for name, text in {**self.bindings, **self.formulas}.items()]
        return "\n".join([*lines, *self.formulas]) + "\n"

    def _title(self) -> str:
        what = {1: "the derivative", 2: "the second derivative"}[self.order]
        names = ", ".join(dict.fromkeys(name for key in self.keys for name in key))
        of = "the formula" if self.of.startswith("_") else self.of
        where = "".join(c if c.isprintable() else " " for c in self.problem.name)
        return f"{what} of {of} with respect to {names}" + ("" if where.startswith("<") else f", from {where}")

    def _declared(self, entry: Any) -> str:
        value = self.at.get(entry.name, entry.value)
        if value is None:
            return str(entry.name)
        if not value.shape and np.isnan(value):
            return str(entry.name)
        return f"{entry.name} = {self.printer.text(literal(Terms(), np.asarray(value, dtype=np.float64)))}"

    def python(self) -> str:
        p = self.printer
        body = [f"    {p.name(name)} = {text}" for name, text in {**self.bindings, **self.formulas}.items()]
        results = ", ".join(p.name(name) for name in self.formulas)
        given = ", ".join(p.name(entry.name) for entry in self._inputs())
        special = "from scipy import special\n" if any("special." in line for line in body) else ""
        name = p.name(next(iter(self.formulas)) if len(self.formulas) == 1 else "derivatives")
        if len(self.formulas) == 1:
            body[-1] = f"    return {next(iter(self.formulas.values()))}"
        else:
            body.append(f"    return {results}")
        head = f"def {name}({given}):\n    # {self._title()}\n"
        return f"import numpy as np\n{special}\n\n{head}" + "\n".join(body) + "\n"

    def latex(self) -> str:
        p = self.printer
        assert isinstance(p, Latex)
        of = "" if self.of.startswith("_") else p.name(self.of)
        lines = [f"{p.name(name)} &= {text}" for name, text in self.bindings.items()]
        for key, text in zip(self.keys, self.formulas.values(), strict=True):
            if self.order == 1:
                left = rf"\frac{{\partial {of}}}{{\partial {p.name(key[0])}}}"
            elif key[0] == key[1]:
                left = rf"\frac{{\partial^2 {of}}}{{\partial {p.name(key[0])}^2}}"
            else:
                left = rf"\frac{{\partial^2 {of}}}{{\partial {p.name(key[0])} \, \partial {p.name(key[1])}}}"
            lines.append(f"{left} &= {text}")
        body = " \\\\\n".join(f"  {line}" for line in lines)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n"


__all__ = ["Derivation", "differentiate"]
