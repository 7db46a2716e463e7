# ruff: noqa: E501
"""Whole formulas: declarations, data, functions, bindings, objectives, fits, constraints, points and checks."""

from __future__ import annotations

from random import Random

from kinds import MATRIX, SCALAR, VECTOR

from grammar import Maker
from tapecli.optimize.methods import names as methods
from tapecli.optimize.methods import options_of
from tapecli.optimize.schedules import SCHEDULES, Option

BOUNDS = ("",) * 60 + (" in [-1e3, 1e3]", " in [-10, ]", " in [, 20]", " in [0, 10]") * 6 + (" in [3, 1]",)
#: What a formula may read, and the names that come of it, by kind (of a table of three rows).
DATA = (
    ('data t, z from "f.csv"', ("t", "z"), ()),
    ('data t = 1, z = 2 from "f.csv"', ("t", "z"), ()),
    ('data X = [*] from "f.csv"', (), ("X",)),
    ('data t = "t", X = ["t", "y", "z"] from "f.csv"', ("t",), ("X",)),
    ('data g from "g.npy"', ("g",), ()),
)
KINDS = (SCALAR, SCALAR, SCALAR, VECTOR, MATRIX)


#: What a formula is there for: a number, an array, an objective or a fit.
GOALS = ("number", "array", "objective", "objective", "fit")


def formula(random: Random, goal: str | None = None) -> str:
    """The text of a formula file, one for a goal if this is given."""
    return File(random, goal or random.choice(GOALS)).text()


class File:
    """Writes one formula file."""

    def __init__(self, random: Random, goal: str) -> None:
        self.r = random
        self.goal = goal
        self.made = Maker(random)
        self.lines: list[str] = []
        #: a column of data
        self.rows: str | None = None
        #: what may stand behind a check
        self.places = ["", " within 1e-3", " at x = 2", " at x = 0.5, y = 1 within 0"]

    def text(self) -> str:
        r = self.r
        self.declarations()
        if r.random() < 0.25:
            self.data()
        for k in range(r.randint(1, 3)):
            r.choice((self.binding, self.binding, self.binding, self.function, self.unpacking))(k)
        if r.random() < 0.2:
            self.lines.append(f"point p: x = {self.made.number()}, v = [1, {self.made.number()}, 2]")
            self.places.append(" at p")
        for _ in range(r.choice((0, 0, 0, 1, 2))):
            self.expectation()
        self.end()
        return r.choice(("\n", "\n", "\n", "\r\n", "; ")).join(self.lines) + "\n"

    def declarations(self) -> None:
        m, r = self.made, self.r
        start = r.choice(("[[1, 2, 0], [0, 3, 1], [2, 0, 1]]", "eye(3)", "0.5", "normal(0, 1)"))
        self.lines += [
            f"var x = {m.number()}{r.choice(BOUNDS)}, y = {m.number()}{r.choice(BOUNDS)}",
            f"const a = {m.number()}, n = 3, u = [0, -1, {m.number()}]",
            f"var v = [1, {m.number()}, 3]{r.choice(BOUNDS)}, w[n] = {r.choice(('0.5', 'uniform(0, 1)', 'u', m.number()))}",
            f"var A[3, n] = {start}, B = [[1, 2, 0], [0, 3, 1], [{m.number()}, 0, 1]]",
        ]
        for kind, names, sources in ((SCALAR, "x y a", "x y"), (VECTOR, "v w u", "v w"), (MATRIX, "A B", "A B")):
            m.known[kind] += names.split()
            m.sources[kind] += sources.split()

    def data(self) -> None:
        line, vectors, matrices = self.r.choice(DATA)
        self.lines.append(line)
        self.made.known[VECTOR] += vectors
        self.rows = vectors[0] if vectors else None
        self.made.known[MATRIX] += matrices

    def binding(self, k: int) -> None:
        kind = self.r.choice(KINDS)
        name = f"b{k}"
        self.lines.append(f"{name} = {self.made.make(kind, self.r.randint(1, 4))}")
        self.made.known[kind].append(name)
        self.made.sources[kind].append(name)

    def unpacking(self, k: int) -> None:
        self.lines.append(f"(b{k}, c{k}) = ({self.made.scalar(2)}, {self.made.vector(2)})")
        self.made.known[SCALAR].append(f"b{k}")
        self.made.known[VECTOR].append(f"c{k}")

    def function(self, k: int) -> None:
        m, name = self.made, f"f{k}"
        takes = tuple(self.r.choice((SCALAR, SCALAR, VECTOR)) for _ in range(self.r.randint(1, 2)))
        gives = self.r.choice((SCALAR, VECTOR))
        parameters = [m.fresh("r") for _ in takes]
        for parameter, kind in zip(parameters, takes, strict=True):
            m.known[kind].append(parameter)
            m.sources[kind].append(parameter)
        self.lines.append(f"{name}({', '.join(parameters)}) = {m.make(gives, 3)}")
        for parameter, kind in zip(parameters, takes, strict=True):
            m.known[kind].remove(parameter)
            m.sources[kind].remove(parameter)
        m.functions.append((name, takes, gives))

    def expectation(self) -> None:
        m, r = self.made, self.r
        kind = r.choice((SCALAR, VECTOR))
        relation = r.choice(("==", "==", "<", ">=", "!="))
        self.lines.append(f"expect {m.make(kind, 2)} {relation} {m.make(kind, 1)}{r.choice(self.places)}")

    # What the file is for

    def end(self) -> None:
        m, r = self.made, self.r
        if self.goal == "objective":
            self.lines.append(f"{r.choice(('minimize', 'minimize', 'maximize'))} {self.objective()}{self.tail()}")
            for _ in range(r.choice((0, 0, 0, 1, 2))):
                left = r.choice(("x + y", "v[1]^2 + x", "sum(v)", m.scalar(2)))
                self.lines.append(f"subject to {left} {r.choice(('<=', '>=', '=='))} {m.scalar(0)}")
        elif self.goal == "fit":
            settings = r.choice(("", "", ", sigma=0.1", ", sigma=[1, 2, 0.5]", ", weights=[1, 0, 2]", ", sigma=u"))
            left = r.choice(("u", "u", "[1, 2, 4]", m.vector(1)))
            self.lines.append(f"fit {left} ~ {m.vector(2)} + x{settings}{self.tail()}")
        else:
            kind = SCALAR if self.goal == "number" else r.choice((VECTOR, MATRIX))
            self.lines.append(m.make(kind, r.randint(1, 4)))

    def objective(self) -> str:
        """Mostly something that has a minimum."""
        m, rows = self.made, self.rows
        forms = [
            m.scalar(3),
            f"(x - {m.scalar(1)})^2 + (y - 1)^2 + sum(v^2) + {m.scalar(2)}",
            f"sum(({m.vector(2)} - u)^2)",
        ]
        if rows:  # a sum over the rows of the data, as mini-batches take
            forms += 2 * [f"{self.r.choice(('sum', 'mean'))}(({rows}*x - y + {m.scalar(1)}*{rows})^2)"]
        return self.r.choice(forms)

    def tail(self) -> str:
        r = self.r
        if r.random() < 0.4:
            return ""
        method = r.choice(methods())
        options = [self.setting(option) for option in options_of(method) if r.random() < 0.2]
        using = f" using {method}({', '.join(options)})" if options else f" using {method}"
        more = ("steps=5", "tol=1e-3", "seed=7", "batch=2", "epochs=3")
        return using + "".join(f", {one}" for one in r.sample(more, r.choice((0, 1, 2))))

    def setting(self, option: Option) -> str:
        if option.name == "learning_rate" and self.r.random() < 0.4:
            return f"learning_rate={self.schedule()}"
        if isinstance(option.default, bool):
            return f"{option.name}={self.r.choice(('true', 'false'))}"
        return f"{option.name}={self.made.number()}"

    def schedule(self) -> str:
        name = self.r.choice(list(SCHEDULES))
        options = [option for option in SCHEDULES[name].options if self.r.random() < 0.8]
        given = [f"{o.name}={self.r.choice((self.made.number(), self.made.number(), '[1, 2]'))}" for o in options]
        return f"{name}({', '.join(given)})"
