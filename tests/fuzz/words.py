# ruff: noqa: E501
"""Command lines: every command, with options taken from their declarations."""

from __future__ import annotations

from functools import cache
from random import Random

from tapecli.cli.options import COMMANDS, Option, method_options, of_command
from tapecli.optimize.methods import names as methods

#: Options that are not made here: processes, and what every run gets.
LEFT_OUT = {"jobs", "no_cache", "max_memory", "timeout", "inline"}
#: Commands that take as long as there is work to do: they get a limit of time, and have to keep it.
OPEN_ENDED = {"minimize", "fit", "check", "bench"}
#: Seconds of that limit.
TIME = 0.5
MEMORY = "64M"
#: How often a command is taken.
WEIGHTS = {"eval": 5, "grad": 5, "hess": 4, "jac": 3, "minimize": 3, "fit": 3, "diff": 3, "check": 2, "trace": 2}
NUMBERS = ("1e-3", "0.1", "0.5", "0.9", "0.99", "1", "2", "10")
WHOLES = ("1", "1", "2", "3", "5")
#: Values that hardly any option takes, and how often such a one is given.
WRONG, SELDOM = ("0", "-1", "1e300", "nan", "inf", "1.5", "x", "", "10000"), 0.06
#: Texts by the option that takes them; an option that is not here gets those of its metavariable, or `ANY`.
TEXTS = {
    "at": ("x=1.5", "y=2", "v=[1, 2, 3]", "a=2", "w=v", "A=eye(3)", "p", "@points.csv", "b0=1", "x=nan", "n=4", "x=v", "="),
    "wrt": ("x", "x,y", "v", "A", "a", "u", "w,y", "v,x,A", "b0", "nothing"),
    "of": ("b0", "b0", "b1", "x", "v", "nothing"),
    "hvp": ("x=1", "v=[1, 0, 2]", "A=eye(3)", "x=v", "y=nan", "x"),
    "sensitivity": ("a", "u", "a,u", "x", "nothing"),
    "data_root": (".", "..", "nowhere"),
    "plot": ("-", "nowhere/p.png", "p.txt"),  # a picture is drawn by a library that writes files of its own
}  # fmt: skip
FILES = ("out.txt", "nowhere/out.txt", "-", "f.csv", ".")
ANY = ("x", "1", "x=1", "", "..", "\N{GREEK SMALL LETTER ALPHA}")


@cache
def _options(command: str) -> tuple[Option, ...]:
    return tuple(option for option in of_command(command) if option.name not in LEFT_OUT)


@cache
def _of_methods() -> tuple[Option, ...]:
    return method_options()


#: Commands that a formula is not for, by what it is for.
NOT_FOR = {
    "number": {"jac", "minimize", "fit"}, "array": {"grad", "hess", "minimize", "fit", "bench"}, "objective": {"fit", "jac"},
    "fit": {"jac"},
}  # fmt: skip


def words(random: Random, goal: str | None = None) -> list[str]:
    """A command line without its formulas: the command, mostly one for what the formula is there for, then options."""
    wrong = NOT_FOR[goal] if goal is not None and random.random() < 0.95 else set()
    pool = [command for command in COMMANDS if command not in ("ops", "explain", *wrong)]
    command = random.choices(pool, [WEIGHTS.get(one, 1) for one in pool])[0]
    line = [command]
    options = _options(command)
    for option in random.sample(options, min(len(options), random.choice((0, 0, 1, 1, 2, 3, 5)))):
        line += _given(random, option)
    for option in random.sample(_of_methods(), random.choice((0, 0, 0, 1, 2)) if command == "minimize" else 0):
        line += _given(random, option)
    if command == "minimize" and "--steps" not in line:
        line += ["--steps", random.choice(("1", "3", "20"))]
    line += ["--max-memory", MEMORY, "--no-cache"]
    line += ["--timeout", str(TIME)] if command in OPEN_ENDED else []
    if random.random() < 0.01:
        line.append(random.choice(random.choice(options).flags))  # its value is missing, where it takes one
    return line


def _given(random: Random, option: Option) -> list[str]:
    flag = random.choice(option.flags)
    if option.kind == "flag":
        return [flag]
    if option.kind == "switch":
        return [random.choice((flag, "--no-" + flag[2:]))]
    return [flag, _value(random, option)]


def _value(random: Random, option: Option) -> str:
    if random.random() < SELDOM:
        return random.choice(WRONG)
    if option.kind == "choice":
        return random.choice(option.choices)
    if option.kind in ("integer", "number"):
        return random.choice(WHOLES if option.kind == "integer" else NUMBERS)
    if option.name == "method":
        return random.choice((*methods(), "auto"))
    return random.choice(TEXTS.get(option.name) or (FILES if option.metavar == "FILE" else ANY))
