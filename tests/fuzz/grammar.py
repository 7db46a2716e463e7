# ruff: noqa: E501
"""Formulas made by rules like those of the grammar: mostly sound, now and then wrong in one place."""

from __future__ import annotations

from random import Random

SCALARS = ("x", "y", "a", "n")
VECTORS = ("v", "w", "u")
MATRICES = ("A", "B")
ONE = (
    "sin cos tan exp log sqrt abs tanh sigmoid softplus relu sign floor round asin acosh erf gamma lgamma expm1 log1p "
    "cbrt sinc digamma besselj0 zeta sinh atan logit"
).split()
TWO = "min max hypot atan2 pow logaddexp xlogy mod beta".split()
REDUCE = "sum prod mean max min norm variance std logsumexp".split()
NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "0.5",
    "-1",
    "1e-3",
    "1e300",
    "1e-300",
    "inf",
    "nan",
    "pi",
    "e",
    "eps",
    "7",
    "10",
    "1_000",
)
HEAD = """var x = {0}, y = {1} in [0, 10]
const a = {2}, n = 3
var v = [1, {0}, 3], w[n] = 0.5
const u = [0, -1, {1}]
var A[n, n] = 1, B = [[1, 2, 0], [0, 3, 1], [{2}, 0, 1]]
"""


class Maker:
    """Writes one formula. Every choice comes from `random`."""

    def __init__(self, random: Random) -> None:
        self.r = random
        self.indices: list[str] = []

    def number(self) -> str:
        return self.r.choice(NUMBERS)

    def scalar(self, depth: int) -> str:
        r = self.r
        if depth <= 0 or r.random() < 0.15:
            return r.choice(
                [*SCALARS, *self.indices, self.number(), f"v[{r.randint(1, 3)}]", f"A[1, {r.randint(1, 3)}]"]
            )
        d = depth - 1
        kind = r.randrange(16)
        if kind < 4:
            return f"({self.scalar(d)} {r.choice('+-*/^')} {self.scalar(d)})"
        if kind < 6:
            return f"{r.choice(ONE)}({self.scalar(d)})"
        if kind == 6:
            return f"{r.choice(TWO)}({self.scalar(d)}, {self.scalar(d)})"
        if kind == 7:
            return f"{r.choice(REDUCE)}({self.vector(d)})"
        if kind == 8:
            relation = r.choice(("<", "<=", "==", "!=", ">"))
            return f"(if {self.scalar(d)} {relation} {self.scalar(d)} then {self.scalar(d)} else {self.scalar(d)})"
        if kind == 9:
            return self.loop(d)
        if kind == 10:
            return f"grad({self.scalar(d)}, {r.choice('xy')})"
        if kind == 11:
            return f"(-{self.scalar(d)})"
        if kind == 12:
            return f"fold(s = {self.scalar(0)} for k in 1..{r.randint(0, 40)}: s*0.5 + {self.scalar(d)})"
        if kind == 13:
            return f"{r.choice(('det', 'logdet', 'trace'))}({self.matrix(d)})"
        if kind == 14:
            return "{ q = " + self.scalar(d) + "; q*" + self.scalar(0) + " }"
        return f"{self.vector(d)} @ {self.vector(d)}"

    def loop(self, depth: int) -> str:
        r = self.r
        index = r.choice("ijk") + str(len(self.indices))
        end = r.choice(("3", "n", "len(v)", "2*n", *self.indices))
        self.indices.append(index)
        body = r.choice((self.scalar(depth), f"v[mod({index}, 3) + 1]", f"v[{index}]*{self.scalar(depth - 1)}"))
        self.indices.pop()
        condition = f" if {index} != 2" if r.random() < 0.2 else ""
        return f"{r.choice(('sum', 'prod', 'max', 'min', 'mean'))}({body} for {index} in {r.choice('012')}..{end}{condition})"

    def vector(self, depth: int) -> str:
        r = self.r
        if depth <= 0 or r.random() < 0.2:
            return r.choice([*VECTORS, "[1, 2, 3]", "v[1..3]", "A[1, :]"])
        d = depth - 1
        kind = r.randrange(8)
        if kind < 3:
            return f"({self.vector(d)} {r.choice('+-*/^')} {r.choice((self.vector, self.scalar))(d)})"
        if kind == 3:
            return f"{r.choice(ONE)}({self.vector(d)})"
        if kind == 4:
            return f"({self.matrix(d)} @ {self.vector(d)})"
        if kind == 5:
            return f"[{self.scalar(d)} for i in 1..n]"
        if kind == 6:
            return f"grad({self.scalar(d)}, v)"
        return f"{r.choice(('cumsum', 'softmax', 'cumprod'))}({self.vector(d)})"

    def matrix(self, depth: int) -> str:
        r = self.r
        if depth <= 0 or r.random() < 0.3:
            return r.choice([*MATRICES, "eye(3)", "A'", "B'"])
        d = depth - 1
        kind = r.randrange(5)
        if kind == 0:
            return f"({self.matrix(d)} {r.choice('+-*@')} {self.matrix(d)})"
        if kind == 1:
            return f"inv({self.matrix(d)})"
        if kind == 2:
            return f"outer({self.vector(d)}, {self.vector(d)})"
        if kind == 3:
            return f"cholesky({self.matrix(d)} + 5*eye(3))"
        return f"[{self.scalar(d)} for i in 1..n, j in 1..n]"

    def formula(self) -> str:
        r = self.r
        lines = [HEAD.format(self.number(), self.number(), self.number())]
        for k in range(r.randint(1, 3)):
            kind = r.randrange(6)
            made = r.choice((self.scalar, self.scalar, self.vector, self.matrix))(r.randint(1, 4))
            if kind == 0:
                lines.append(f"f{k}(t) = {made.replace('x', 't') if 'exp' not in made and 'max' not in made else made}")
            elif kind == 1:
                lines.append(f"expect {made} == {self.number()} within 1e-3")
            else:
                lines.append(f"b{k} = {made}")
        lines.append(r.choice(("", "minimize ")) + self.scalar(r.randint(1, 4)))
        return "\n".join(lines) + "\n"


def formula(random: Random) -> str:
    return Maker(random).formula()
