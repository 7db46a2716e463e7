"""What each code of `errors.CODES` means at length: `tapecli explain CODE` and docs/errors.md are made of this.

For each code: what it stands for, a command that meets it, and the same command mended. Examples are plain command
lines, which the documentation's tests run.
"""

from __future__ import annotations

from tapecli.records import NamedTuple


class Explanation(NamedTuple):
    """`before` are files that the examples need, by name; `wrong` and `mended` are what stands after `tapecli`."""

    text: str
    wrong: str
    mended: str
    before: tuple[tuple[str, str], ...] = ()


EXPLANATIONS: dict[str, Explanation] = {
    "syntax": Explanation(
        "The text is not a formula: a sign is missing or one too many, a bracket is not closed, a character is none of "
        "the language's. The place is where reading could not go on. The rest of the file is read all the same.",
        "eval -e 'y = 3 + * 4'",
        "eval -e 'y = 3 + 4'",
    ),
    "name": Explanation(
        "A name, a function, an output or a point that nothing above binds. Order is the order of reading: a name is "
        "bound above its use. The nearest known name is suggested. All unknown names of a file are told together.",
        "eval -e 'var y = 4; q = sqr(y) + yy'",
        "eval -e 'var y = 4; q = sqrt(y) + y'",
    ),
    "duplicate": Explanation(
        "A name that is bound twice, a second objective, a point that is given twice. A name stands for one thing, so "
        "that a formula means the same wherever one begins to read.",
        "eval -e 'a = 1; b = 2; a = 3'",
        "eval -e 'a = 1; b = 2; c = 3'",
    ),
    "shape": Explanation(
        "Sizes that do not fit together, or an array where a number must stand. Shapes are known before anything runs.",
        "eval -e 'u = [1, 2]; v = [1, 2, 3]; u + v'",
        "eval -e 'u = [1, 2]; v = [1, 2, 3]; u + v[1..2]'",
    ),
    "type": Explanation(
        "A value of the wrong kind for its place, or a wrong number of arguments.",
        "eval -e 'atan2(1)'",
        "eval -e 'atan2(1, 2)'",
    ),
    "index": Explanation(
        "An index outside its array, or one that is no whole number. Indices begin at 1, and ranges include both ends.",
        "eval -e 'v = [10, 20, 30]; v[4]'",
        "eval -e 'v = [10, 20, 30]; v[3]'",
    ),
    "value": Explanation(
        "A number that this place cannot take, or one that must be known before anything runs and is not: sizes, "
        "indices and the ends of ranges may rest on constants and data, not on variables. A start value outside its "
        "bounds is a warning of this code.",
        "eval -e 'var n = 3; zeros(n)'",
        "eval -e 'const n = 3; zeros(n)'",
    ),
    "start": Explanation(
        "A variable without a start value was to be evaluated. Give it one in the file, or by --at.",
        "eval -e 'var x; x^2'",
        "eval -e 'var x; x^2' --at x=3",
    ),
    "data": Explanation(
        "A data file that does not hold what was asked for: a missing column, a cell that is no number, rows of "
        "different lengths, a place outside the data folder. Cells are named by row and column. With --missing drop, "
        "rows with an empty cell are left out.",
        "eval -e 'data t, y from \"run.csv\"; sum(y)'",
        "eval -e 'data t from \"run.csv\"; sum(t)'",
        (("run.csv", "t,y\n1,2\n2,n/a\n"),),
    ),
    "unsupported": Explanation(
        "A construct that this version reads, but does not compute.",
        "eval -e 'var x = 1; s = sum(jvp(x^2, x, i) for i in 1..3)'",
        "eval -e 'var x = 1; s = sum(grad(x^2, x)*i for i in 1..3)'",
    ),
    "usage": Explanation(
        "A wrong command line, or a wrong call of a function of Python.",
        "grad samples/quadratic.tape --engin tape",
        "grad samples/quadratic.tape --engine tape",
    ),
    "nonfinite": Explanation(
        "A value or a derivative that is not finite, or a minimisation that ran off. The place is the operation that "
        "first made it so of finite numbers, with these numbers, and the row of data, the index or the step of a "
        "recurrence where it stood.",
        "eval -e 'v = [4, 1, -1]; sum(log(v[i]) for i in 1..3)'",
        "eval -e 'v = [4, 1, -1]; sum(if v[i] > 0 then log(v[i]) else 0 for i in 1..3)'",
    ),
    "limit": Explanation(
        "A limit that was reached first: memory (--max-memory, by default most of what there is), time (--timeout), a "
        "tolerance that was asked for, the length of a formula once its calls are written out. Sizes are estimated "
        "before memory is taken.",
        "eval -e 'var x[10^6, 10^6] = 0; sum(x)' --max-memory 2G",
        "eval -e 'var x[10^2, 10^2] = 0; sum(x)' --max-memory 2G",
    ),
    "file": Explanation(
        "A file that cannot be read or written. What exists is replaced only with --force, and what is read is never "
        "written over.",
        "eval nowhere.tape",
        "eval samples/morse.tape",
    ),
    "expect": Explanation(
        "An expectation of the file does not hold, so the formula is not what its writer believes.",
        "check -e 'var x = 2; expect x^3 == 9'",
        "check -e 'var x = 2; expect x^3 == 8'",
    ),
    "derivative": Explanation(
        "A derivative differs from the numerical one. A kink, a jump or a branch that holds at one point alone can do "
        "this near the point; anything else is a fault of tapecli.",
        "check -e 'var x = 0; minimize if x == 0 then 0 else sin(x)'",
        "check -e 'var x = 0; minimize sin(x)'",
    ),
    "minimize": Explanation(
        "A warning: a minimisation ended where it may not be trusted. What speaks against the point is told: the steps "
        "that were asked for did not suffice, the value still falls, it is a saddle, or the Hessian is singular.",
        "minimize -e 'var x = 3; minimize x^2 using sgd(learning_rate=0.01), steps=10'",
        "minimize -e 'var x = 3; minimize x^2 using sgd(learning_rate=0.01), steps=2000'",
    ),
    "sparse": Explanation(
        "A warning: entries of a sparse matrix are listed that may always be 0, because which entries can differ from "
        "0 took too much to keep on the way. The numbers are right all the same.",
        "jac -e 'var x[8000] = 1; cumprod(x)[1..2]' --sparse --output wide.mtx",
        "jac -e 'var x[8000] = 1; cumprod(x[1..2])' --sparse",
    ),
    "bug": Explanation(
        "A fault of tapecli itself. It is reported in two lines, without a traceback; please send them together with "
        "the formula. With TAPECLI_DEBUG=1 in the environment the whole traceback is shown.",
        "",
        "",
    ),
}


def text_of(code: str) -> str:
    """The explanation as `tapecli explain` prints it."""
    from textwrap import fill

    from tapecli.errors import CODES

    status, short = CODES[code]
    e = EXPLANATIONS[code]
    lines = [f"{code}: {short} (exit status {status})", "", fill(e.text, 100)]
    for name, content in e.before:
        lines += ["", f"with {name}:", *(f"    {line}" for line in content.splitlines())]
    if e.wrong:
        lines += ["", "wrong:", f"    tapecli {e.wrong}", "", "mended:", f"    tapecli {e.mended}"]
    return "\n".join(lines) + "\n"
