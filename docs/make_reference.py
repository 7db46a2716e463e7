"""Writes the pages, and the parts of pages, that follow from tables of the package.

    python docs/make_reference.py

`optimizers.md` and `functions.md` are written whole; in `commands.md` what stands between `<!-- options of … -->` and
`<!-- end -->`. A test fails where a page differs from what this makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap

from tapecli.catalogue import Entry, functions
from tapecli.cli.options import FORMULA, OPTIONS, Option
from tapecli.errors import CODES
from tapecli.explanations import EXPLANATIONS
from tapecli.optimize.first_order import OPTIMIZERS, Rule
from tapecli.optimize.methods import SECOND_ORDER
from tapecli.optimize.schedules import REQUIRED, SCHEDULES
from tapecli.optimize.schedules import Option as Setting
from tapecli.optimize.transforms import COMMON

DOCS = Path(__file__).parent
NOTICE = "<!-- Written by docs/make_reference.py from tables of the package. Do not edit: change the tables. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def said(value: object) -> str:
    """A default as it would be written in a formula file."""
    if value is REQUIRED:
        return "must be given"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`"


def settings(options: Iterable[Setting]) -> str:
    rows = [(f"`{o.name}`", said(o.default), o.check.says, o.help) for o in options]
    return table(("option", "default", "takes", "what it is"), rows)


# ---- optimizers.md ----------------------------------------------------------------------------------------------

OPTIMIZERS_HEAD = f"""{NOTICE}

# Methods of minimisation

First come the methods that follow the gradient, then [those that know more](#beyond-the-gradient). Of the first, names,
options, defaults and the order of operations, down to where an epsilon stands, are those of Keras 3. How a minimisation
is run, when it stops and what it answers stands in [commands.md](commands.md#tapecli-minimize).

A method is chosen in the file, on the command line or in Python; what the command line says wins over the file.

```tape
var x = -1.2, y = 1
f = 100*(y - x^2)^2 + (1 - x)^2
minimize f using adam(learning_rate=0.02, beta_1=0.8), steps=500
```

```sh
tapecli minimize f.tape --method adam --learning-rate 0.02 --beta-1 0.8 --steps 500
```

```python
import tapecli as tp

p = tp.parse("var x = -1.2, y = 1; minimize 100*(y - x^2)^2 + (1 - x)^2")
least = p.minimize(method="adam", learning_rate=0.02, beta_1=0.8, steps=500)
opt = tp.optimizers.Adam(learning_rate=0.02, beta_1=0.8)  # for variables of your own
```

On the command line an option is written with hyphens: `beta_1` is `--beta-1`, a truth is `--nesterov` or
`--no-nesterov`. Options are read strictly: an option that the method does not have, or a value outside its range, is
an error.

Where nobody names a method, it is `auto`, which chooses by the problem and says what it took and why:

| the problem | the method |
| --- | --- |
| has `subject to` | [lagrangian](#lagrangian) |
| options of a first-order method are given | [adam](#adam), with a learning rate of 0.05 if none is given |
| is a sum of squares (a `fit`, or read off the formula), up to 256 variables | [lm](#lm) |
| has kinks, such as those of `abs` | [lbfgs](#lbfgs) |
| is smooth, up to 256 variables | [newton](#newton) |
| has more variables | [lbfgs](#lbfgs) |
"""

SCHEDULES_HEAD = """## Learning rates that change

`learning_rate` may be a schedule: a learning rate that depends on how many steps are done. Settings are given in the
order of the table, or by name. Schedules stand in formula files only, not on the command line.

```tape
var x = 5
minimize (x - 2)^2 using sgd(learning_rate=cosine_decay(0.1, 200, alpha=0.01)), steps=200
```

In Python a schedule is made by name, and is given to any optimizer:

```python
from tapecli.optimize import schedules

rate = schedules.make("exponential_decay", [0.1, 100, 0.5], {})
print(rate(0), rate(100), rate(200))
# -> 0.1 0.05 0.025
opt = tp.optimizers.SGD(learning_rate=rate)
```
"""


BEYOND = """## Beyond the gradient

These use curvature, keep bounds, take shorter steps where a step leaves the domain, and end by themselves: where a full
Newton step, from exact second derivatives, would move no variable any more. `--tol` ends them earlier. They take the
steps that are needed, 5000 at most if nobody says otherwise.

How they compare with SciPy's, by evaluations until the value is within a millionth of its way from the start to the
minimum, on the 24 problems of `benchmarks/problems` (`python benchmarks/profile.py`):

| method | fewest | within 2 times | within 10 times | solved | claimed too much |
| --- | --- | --- | --- | --- | --- |
| tapecli auto | 42 % | 100 % | 100 % | 24/24 | 0 |
| tapecli newton | 25 % | 79 % | 92 % | 23/24 | 0 |
| tapecli lbfgs | 0 % | 33 % | 88 % | 23/24 | 0 |
| SciPy least_squares trf | 46 % | 83 % | 83 % | 21/24 | 0 |
| SciPy least_squares lm | 46 % | 79 % | 83 % | 21/24 | 0 |
| SciPy trust-exact | 25 % | 88 % | 100 % | 24/24 | 0 |
| SciPy Newton-CG | 17 % | 54 % | 83 % | 23/24 | 0 |
| SciPy BFGS | 0 % | 33 % | 92 % | 23/24 | 0 |
| SciPy L-BFGS-B | 0 % | 33 % | 88 % | 23/24 | 0 |
"""


def second(name: str) -> str:
    entry = SECOND_ORDER[name]
    own = settings(entry.options) if entry.options else "It has no options."
    return f"### `{name}`\n\n{entry.help[0].upper()}{entry.help[1:]}. {entry.about}\n\n{own}"


def method(name: str, entry: Rule) -> str:
    own = [option for option in entry.options if option.name not in {o.name for o in COMMON}]
    paper = " ".join((entry.rule.__doc__ or "").split())
    title = f"## `{name}`\n\n`tp.optimizers.{entry.title}`: {entry.help}."
    return f"{title} {paper}\n\n{settings(own)}"


def optimizers() -> str:
    names = ", ".join(f"[{name}](#{name})" for name in (*OPTIMIZERS, *SECOND_ORDER))
    common = (
        "## Options that every first-order method has\n\n"
        "At most one of the three ways to clip may be set. Where an average of the variables is kept (`use_ema`), it\n"
        "is what comes out at the end.\n\n" + settings(COMMON)
    )
    kinds = [f"### `{name}`\n\nIt {kind.help}.\n\n{settings(kind.options)}" for name, kind in SCHEDULES.items()]
    methods = [method(name, entry) for name, entry in OPTIMIZERS.items()]
    beyond = [BEYOND.rstrip(), *map(second, SECOND_ORDER)]
    return "\n\n".join(
        [OPTIMIZERS_HEAD + f"\nThe methods: {names}.", *methods, common, SCHEDULES_HEAD.rstrip(), *kinds, *beyond, ""]
    )[:-1]


# ---- functions.md -----------------------------------------------------------------------------------------------

FUNCTIONS_HEAD = f"""{NOTICE}

# Functions of the language

Every function that a formula can call, as `tapecli ops` lists them. How they are called stands in
[language.md](language.md#functions), what they do at kinks and edges in [conventions.md](conventions.md).

A derivative is shown where the function is a single operation: one formula per argument, separated by commas. `0`
stands where an argument has no derivative. These are the formulas that are run: they are written so that they lose no
digits, which is why `tanh` does not have the derivative `1 - tanh(x)^2`. A name that is no function of the language,
such as `asin_d1`, is an operation that only derivatives use.

The constants are `pi` (or `π`), `e`, `inf`, `nan`, and `eps`, the distance from 1 to the next number of the run's
precision.
"""


def function(entry: Entry) -> tuple[str, str, str]:
    derivative = f"`{entry.derivative}`" if entry.derivative else ""
    return f"`{entry.signature}`", entry.help, derivative


def list_of_functions() -> str:
    return FUNCTIONS_HEAD + "\n" + table(("function", "what it is", "derivative"), map(function, functions())) + "\n"


# ---- commands.md ------------------------------------------------------------------------------------------------

MARKED = re.compile(r"(<!-- options of ([\w ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def options_of(group: str) -> list[Option]:
    """The options that a marker asks for: of a group of commands, or those of one command that no group has."""
    everywhere = [o for o in OPTIONS if "ops" in o.commands]
    formula = [o for o in OPTIONS if o not in everywhere and set(FORMULA.split()) <= set(o.commands)]
    if group == "every command":
        return everywhere
    if group == "every formula":
        return formula
    return [o for o in OPTIONS if o not in everywhere and o not in formula and group in o.commands]


def option(o: Option) -> tuple[str, str, str]:
    flags = ", ".join(f"`{flag}{' ' + o.metavar if o.metavar else ''}`" for flag in o.flags)
    default = "" if o.default in (None, False, ()) else f"`{o.default}`"
    return flags, default, o.help


def commands(text: str) -> str:
    def fill(found: re.Match[str]) -> str:
        rows = [option(o) for o in options_of(found[2])]
        text = table(("option", "default", "what it is"), rows) if rows else "It has no options of its own."
        return f"{found[1]}\n{text}\n\n{found[4]}"

    return MARKED.sub(fill, text)


# ---- errors.md --------------------------------------------------------------------------------------------------

ERRORS_HEAD = f"""{NOTICE}

# Errors

Every error names the file, the line and the column, what was wrong, and what to do next. It has a code, which stands
in brackets, in JSON under `error.code`, and in Python as `TapeError.code`. Independent errors of one file are reported
together: what rests on something wrong is silent, everything else is read on. Errors go to standard error;
`--format concise` writes one line each, `--format github` annotations. `tapecli explain CODE` prints what stands here.
"""


def errors(text: str) -> str:
    """The page of codes. What the examples print is kept from `text`: the documentation's tests see to it."""
    printed = dict(re.findall(r"(?m)^(\$ .*)\n((?:(?!\$ |```).*\n)*)", text))

    def block(commands: Iterable[str]) -> str:
        return "```console\n" + "".join(f"{c}\n{printed.get(c, '')}" for c in commands) + "```"

    rows = [(f"[{code}](#{code})", str(status), what) for code, (status, what) in CODES.items()]
    parts = [ERRORS_HEAD, table(("code", "exit code", "what it stands for"), rows), ""]
    for code in CODES:
        e = EXPLANATIONS[code]
        parts += [f"## `{code}`", "", "\n".join(wrap(e.text, 118)), ""]
        if e.wrong:
            files = [f"$ printf {quote(content)} > {name}" for name, content in e.before]
            parts += [block([*files, f"$ tapecli {e.wrong}"]), "", "Mended:", "", block([f"$ tapecli {e.mended}"]), ""]
    return "\n".join(parts)


def quote(content: str) -> str:
    return "'" + content.replace("\n", "\\n") + "'"


def pages() -> dict[Path, str]:
    """Every generated page as it should be."""
    return {
        DOCS / "errors.md": errors((DOCS / "errors.md").read_text("utf-8")),
        DOCS / "optimizers.md": optimizers(),
        DOCS / "functions.md": list_of_functions(),
        DOCS / "commands.md": commands((DOCS / "commands.md").read_text("utf-8")),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
