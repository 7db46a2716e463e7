# ruff: noqa: E501
"""Expressions made by rules like those of the grammar. They fit together: numbers, vectors of 3, matrices of 3 by 3."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from kinds import MATRIX, SCALAR, VECTOR, WHOLE, Call, calls

NUMBERS = ("0", "1", "2", "3", "0.5", "1.5", "-1", "-2.5", "0.1", "7", "10", "1_000", "1e-3", "pi", "e", "true")
RARE = ("1e300", "1e-300", "inf", "nan", "eps", "1e16", "-0.0", "2^53")
RELATIONS = ("<", "<=", ">", ">=", "==", "!=")
#: How often a rule is taken, among those that give the kind that is asked for.
Rule = Callable[[int], str]


class Maker:
    """Writes expressions. Every choice comes from `random`; `known` are the names that may be used, by kind."""

    def __init__(self, random: Random) -> None:
        self.r = random
        self.known: dict[str, list[str]] = {SCALAR: [], VECTOR: [], MATRIX: []}
        #: functions of the formula: the kinds that they take, and what they give
        self.functions: list[tuple[str, tuple[str, ...], str]] = []
        #: names that a derivative can be taken to
        self.sources: dict[str, list[str]] = {SCALAR: [], VECTOR: [], MATRIX: []}
        self.indices: list[str] = []
        self._serial = 0
        self._rules: dict[str, list[tuple[int, Rule]]] = {
            SCALAR: [
                (6, self._operator), (8, self._call_scalar), (2, self._choice), (3, self._loop), (1, self._negative),
                (2, self._recurrence), (2, self._block), (1, self._product), (1, self._entry), (1, self._own_scalar),
            ],
            VECTOR: [
                (5, self._on_vectors), (6, self._call_vector), (2, self._listed), (2, self._each), (2, self._slice),
                (1, self._times), (1, self._gather), (1, self._chosen), (1, self._states), (1, self._own_vector),
            ],
            MATRIX: [
                (4, self._on_matrices), (5, self._call_matrix), (1, self._rows), (1, self._turned), (2, self._table),
                (1, self._trajectory),
            ],
        }  # fmt: skip

    def fresh(self, letter: str) -> str:
        self._serial += 1
        return f"{letter}{self._serial}"

    def number(self) -> str:
        return self.r.choice(RARE if self.r.random() < 0.04 else NUMBERS)

    def leaf(self, kind: str) -> str:
        r = self.r
        if kind == SCALAR:
            return r.choice([*self.known[SCALAR], *self.known[SCALAR], *self.indices, self.number()])
        if kind == VECTOR:
            return r.choice([*self.known[VECTOR], "[1, 2, 3]", "linspace(0, 1, 3)", "ones(3)"])
        return r.choice([*self.known[MATRIX], "eye(3)", "[[2, 1, 0], [1, 3, 1], [0, 1, 4]]"])

    def make(self, kind: str, depth: int) -> str:
        """An expression of a kind, at most so many rules deep."""
        if kind == WHOLE:
            return self.r.choice(("0", "1", "2", "3", "n"))
        if depth <= 0 or self.r.random() < 0.12:
            return self.leaf(kind)
        rules = self._rules[kind]
        (_, rule) = self.r.choices(rules, [weight for weight, _ in rules])[0]
        return rule(depth - 1)

    def scalar(self, depth: int) -> str:
        return self.make(SCALAR, depth)

    def vector(self, depth: int) -> str:
        return self.make(VECTOR, depth)

    def matrix(self, depth: int) -> str:
        return self.make(MATRIX, depth)

    # Calls

    def _called(self, kind: str, depth: int) -> str:
        call: Call = self.r.choice(self.r.choice(calls()[kind]))
        args = [
            self._source(takes) if plain else self.make(takes, depth)
            for takes, plain in zip(call.takes, call.plain, strict=True)
        ]
        return f"{call.before}{', '.join(args)}{call.behind}"

    def _source(self, kind: str) -> str:
        return self.r.choice(self.sources[kind])

    def _call_scalar(self, depth: int) -> str:
        return self._called(SCALAR, depth)

    def _call_vector(self, depth: int) -> str:
        return self._called(VECTOR, depth)

    def _call_matrix(self, depth: int) -> str:
        return self._called(MATRIX, depth)

    def _own(self, kind: str, depth: int) -> str:
        fitting = [one for one in self.functions if one[2] == kind]
        if not fitting:
            return self.leaf(kind)
        name, takes, _ = self.r.choice(fitting)
        return f"{name}({', '.join(self.make(take, depth) for take in takes)})"

    def _own_scalar(self, depth: int) -> str:
        return self._own(SCALAR, depth)

    def _own_vector(self, depth: int) -> str:
        return self._own(VECTOR, depth)

    # Numbers

    def _operator(self, depth: int) -> str:
        return f"({self.scalar(depth)} {self.r.choice('+-*/^')} {self.scalar(depth)})"

    def _negative(self, depth: int) -> str:
        return f"(-{self.scalar(depth)})"

    def _product(self, depth: int) -> str:
        return f"{self.vector(depth)} @ {self.vector(depth)}"

    def truth(self, depth: int) -> str:
        r = self.r
        kind = r.randrange(6)
        if kind == 0:
            return f"not {self.truth(depth - 1)}" if depth > 0 else "true"
        if kind == 1 and depth > 0:
            return f"({self.truth(depth - 1)} {r.choice(('and', 'or'))} {self.truth(depth - 1)})"
        if kind == 2:
            return f"{self.scalar(0)} {r.choice(RELATIONS[:2])} {self.scalar(depth)} {r.choice(RELATIONS[:2])} {self.scalar(0)}"
        return f"{self.scalar(depth)} {r.choice(RELATIONS)} {self.scalar(0)}"

    def _choice(self, depth: int) -> str:
        parts = self.truth(depth), self.scalar(depth), self.scalar(depth)
        form = self.r.choice(("(if {} then {} else {})", "where({}, {}, {})"))
        return form.format(*parts)

    def _entry(self, depth: int) -> str:
        r = self.r
        at = r.choice(("1", "2", "3", "n", "len(v)", *[f"mod({one}, 3) + 1" for one in self.indices]))
        named = r.choice(self.known[VECTOR])
        return r.choice((f"{named}[{at}]", f"({self.vector(depth)})[{at}]", f"({self.matrix(depth)})[{at}, 2]"))

    def _indexed(self, make: Callable[[str], str]) -> str:
        """What `make` makes of an index that is open meanwhile."""
        index = self.fresh(self.r.choice("ijk"))
        self.indices.append(index)
        made = make(index)
        self.indices.remove(index)
        return made

    def _loop(self, depth: int) -> str:
        r = self.r

        def written(index: str) -> str:
            end = r.choice(("3", "3", "n", "len(v)", "2*n", "n + 1", *self.indices[:-1]))
            body = r.choice((self.scalar(depth), f"v[mod({index}, 3) + 1]*{self.scalar(depth - 1)}"))
            clause = f"{index} in {r.choice('01112')}..{end}{r.choice(('', '', ' by 2'))}"
            second = f", {self.fresh('m')} in {index}..3" if r.random() < 0.2 else ""
            condition = f" if {index} != 2" if r.random() < 0.2 else ""
            # what a sum of nothing is, is known; the greatest of nothing is not
            kinds = ("sum", "prod") if second or condition or end in self.indices else ("sum", "max", "min", "mean")
            return f"{r.choice(kinds)}({body} for {clause}{second}{condition})"

        return self._indexed(written)

    def _recurrence(self, depth: int) -> str:
        r = self.r

        def written(index: str) -> str:
            state, other = self.fresh("s"), self.fresh("z")
            head = f"{state} = {self.scalar(0)}"
            self.known[SCALAR].append(state)
            step = f"{state}*0.5 + {self.scalar(depth)}"
            if r.random() < 0.3:
                self.known[SCALAR].append(other)
                second = self.scalar(depth)
                self.known[SCALAR].remove(other)
                made = (
                    f"fold({head}, {other} = {self.number()} for {index} in 1..{r.randint(0, 20)}: ({step}, {second}))"
                )
                made = f"{{ ({self.fresh('p')}, q) = {made}; q }}"
            else:
                made = f"fold({head} for {index} in 1..{r.randint(0, 40)}: {step})"
            self.known[SCALAR].remove(state)
            return made

        return self._indexed(written)

    def _block(self, depth: int) -> str:
        name = self.fresh("q")
        first = self.scalar(depth)
        self.known[SCALAR].append(name)
        last = self.scalar(depth)
        self.known[SCALAR].remove(name)
        return f"{{ {name} = {first}; {name}*{last} }}"

    # Vectors

    def _on_vectors(self, depth: int) -> str:
        other = self.r.choice((self.vector, self.scalar))
        return f"({self.vector(depth)} {self.r.choice('+-*/^')} {other(depth)})"

    def _listed(self, depth: int) -> str:
        return f"[{self.scalar(depth)}, {self.scalar(depth)}, {self.scalar(0)}]"

    def _each(self, depth: int) -> str:
        return self._indexed(lambda index: f"[{self.scalar(depth)} for {index} in 1..n]")

    def _slice(self, depth: int) -> str:
        return self.r.choice((f"({self.matrix(depth)})[{self.r.randint(1, 3)}, :]", f"({self.matrix(depth)})[:, 1]",
                              f"({self.vector(depth)})[1..3]", f"concat({self.vector(depth)}, v)[2..6 by 2]"))  # fmt: skip

    def _times(self, depth: int) -> str:
        return f"({self.matrix(depth)} @ {self.vector(depth)})"

    def _gather(self, depth: int) -> str:
        return f"({self.vector(depth)})[[3, 1, {self.r.choice('123123124')}]]"

    def _chosen(self, depth: int) -> str:
        relation = self.r.choice(RELATIONS)
        return f"where({self.vector(depth)} {relation} {self.scalar(0)}, {self.vector(depth)}, {self.vector(0)})"

    def _states(self, depth: int) -> str:
        def written(index: str) -> str:
            state = self.fresh("s")
            self.known[SCALAR].append(state)
            made = f"scan({state} = {self.number()} for {index} in 1..3: {self.scalar(depth)})"
            self.known[SCALAR].remove(state)
            return made

        return self._indexed(written)

    # Matrices

    def _on_matrices(self, depth: int) -> str:
        return f"({self.matrix(depth)} {self.r.choice('+-*/@^')} {self.r.choice((self.matrix, self.scalar))(depth)})"

    def _rows(self, depth: int) -> str:
        return f"[{self.vector(depth)}, {self.vector(0)}, {self.vector(0)}]"

    def _turned(self, depth: int) -> str:
        return f"({self.matrix(depth)})'"

    def _table(self, depth: int) -> str:
        return self._indexed(lambda i: self._indexed(lambda j: f"[{self.scalar(depth)} for {i} in 1..n, {j} in 1..3]"))

    def _trajectory(self, depth: int) -> str:
        def written(index: str) -> str:
            state = self.fresh("s")
            self.known[VECTOR].append(state)
            made = f"scan({state} = {self.vector(0)} for {index} in 1..3: {self.vector(depth)})"
            self.known[VECTOR].remove(state)
            return made

        return self._indexed(written)
