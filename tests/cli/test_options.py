"""Every option of every command with values that it cannot take, given twice, and beside options that it excludes.

Commands and options come from their declarations. What can be told from an option's kind is tried without more ado; the
rest stands in tables, in which a new option has to be entered.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tapecli.cli import run
from tapecli.cli.options import COMMANDS, OPTIONS, Option, method_options
from tapecli.cli.quick import read

#: command -> what stands after it
BASE: dict[str, list[str]] = {
    **{command: ["m.tape"] for command in COMMANDS},
    "jac": ["v.tape"], "fit": ["f.tape"], "check": ["e.tape"], "ops": [], "explain": ["name"],
}  # fmt: skip

#: option -> values of the right kind that are out of range, and what is said of each; and, for options of texts,
#: (value, exit status, what is said)
NUMBERS: dict[str, tuple[list[str], str]] = {
    "order": (["0", "3", "-1"], "--order is 1 or 2, not "),
    "steps": (["-1"], "--steps is 0 or more, not -1"),
    "tol": (["-1", "nan", "inf"], "--tol is a positive number, not "),
    "max_evaluations": (["0", "-1"], "--max-evaluations is 1 or more, not "),
    "starts": (["0", "-1"], "--starts is 1 or more, not "),
    "checkpoint_every": (["-1", "nan"], "--checkpoint-every is a number of seconds, 0 or more, not "),
    "batch": (["0", "-1"], "--batch is 1 or more, not "),
    "epochs": (["0", "-1"], "--epochs is 1 or more, not "),
    "log_every": (["0", "-1"], "--log-every is 1 or more, not "),
    "loss_scale": (["0", "-1", "nan", "inf"], "the scale of a loss is a number above 0, not "),
    "confidence": (["0", "1", "-1", "nan"], "a confidence is a number between 0 and 1, not "),
    "seed": (["-1"], "--seed is 0 or more, not -1"),
    "timeout": (["0", "-1", "nan", "inf"], "--timeout is a positive number, not "),
    "threads": (["0", "-1"], "--threads is 1 or more, not "),
    "jobs": (["0", "-1"], "--jobs is 1 or more, not "),
    "max_failures": (["0", "-1"], "--max-failures is 1 or more, not "),
}
TEXTS: dict[str, list[tuple[str, int, str]]] = {
    "inline": [("2x", 1, "a product needs its `*`")],
    "at": [
        ("nowhere", 3, "there is no point `nowhere`"),
        ("zz=1", 3, "called `zz`"),
        ("x=", 3, "expected a number, a name or `(`"),
        ("@nowhere.csv", 6, "there is no file of points `nowhere.csv`"),
    ],
    "wrt": [("zz", 3, "nothing in the formula is called `zz`"), ("x,,y", 2, "--wrt holds an empty name")],
    "of": [("zz", 3, "there is no output `zz`"), ("\x1b[31m", 3, r"there is no output `\x1b[31m`")],
    "hvp": [("zz=1", 3, "called `zz`"), ("x", 3, "there is no point `x`")],
    "method": [("nowton", 2, "there is no method `nowton`")],
    "checkpoint": [("no/such", 6, "the checkpoint no/such cannot be written: there is no such folder")],
    "plot": [("picture.jpg", 2, "a picture's name ends in .png, .svg, .pdf"), ("no/p.svg", 6, "no such folder")],
    "log": [("no/such", 6, "no/such cannot be written: no such file or directory"), ("m.tape", 6, "is read as well")],
    "sensitivity": [("zz", 3, "`zz` is no constant of the formula"), (",", 2, "--sensitivity holds an empty name")],
    "data_root": [("no/such", 6, "--data-root no/such: there is no such folder")],
    "max_memory": [("much", 2, "'much' is no amount of memory"), ("-1", 2, "'-1' is no amount of memory")],
    "output": [("no/such", 6, "no/such cannot be written: no such file or directory"), (".", 6, "it is a folder")],
}
#: what stands on the command line besides, and what is said
EXCLUDED: list[tuple[list[str], str]] = [
    (["check", "e.tape", "--json", "--format", "junit"], "--json and --format junit exclude each other"),
    (["check", "e.tape", "--json", "--format", "sarif"], "--json and --format sarif exclude each other"),
    (["check", "e.tape", "--update", "--at", "x=1"], "--update and --at exclude each other"),
    (["hess", "m.tape", "--sparse", "--hvp", "x=1"], "--sparse and --hvp exclude each other"),
    (["minimize", "m.tape", "--resume"], "--resume needs a checkpoint to go on from"),
    (["minimize", "m.tape", "--starts", "2", "--log", "l"], "--log follows one run, and --starts 2 are several"),
    (["minimize", "m.tape", "--starts", "2", "--checkpoint", "c"], "--checkpoint follows one run"),
    (["minimize", "m.tape", "--starts", "2", "--plot", "-"], "--plot follows one run"),
    (["minimize", "m.tape", "v.tape", "--log", "l"], "--log is for one file"),
    (["minimize", "m.tape", "--at", "@p.csv", "--checkpoint", "c"], "--checkpoint follows one run, and --at @…"),
    (["eval", "m.tape", "--at", "@p.csv", "--at", "@p.csv"], "--at names two files of points"),
    (["eval", "-", "-"], "- stands twice, but standard input can be read once"),
    (["eval"], "no formula was given"),
    (["eval", "7"], "there is no file 7"),
    (["evla", "m.tape"], "there is no command evla"),
    (["eval", "m.tape", "--wrt", "x"], "there is no option --wrt"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tape").write_text("var x = 3, y = 1\nminimize x^2 + y^2 using sgd(learning_rate=0.1), steps=5\n")
    (tmp_path / "v.tape").write_text("var x = 1, y = 2\n[x, y]\n")
    (tmp_path / "f.tape").write_text('var x = 1\ndata t, z from "d.csv"\nfit z ~ x*t\n')
    (tmp_path / "e.tape").write_text("var x = 3\nexpect x == 3\n")
    (tmp_path / "d.csv").write_text("t,z\n1,2\n2,4.1\n3,5.9\n")
    (tmp_path / "p.csv").write_text("x\n1\n2\n")
    return tmp_path


def long(option: Option) -> str:
    return next(flag for flag in option.flags if flag.startswith("--"))


def refused(words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails unless the command line ends so, with one message that says so and without a result."""
    assert run(words) == status, words
    out, err = capsys.readouterr()
    assert said in err, (words, err)
    assert "error[" in err, err
    assert "Traceback" not in err and not any(c < " " and c != "\n" for c in err)
    if status == 2:
        assert out == "" and not [path.name for path in Path().iterdir() if path.suffix not in (".tape", ".csv")]


EACH = [(command, option) for option in OPTIONS for command in option.commands]


def ids(x: object) -> str | None:
    return x.name if isinstance(x, Option) else None


def test_every_option_is_entered() -> None:
    assert {o.name for o in OPTIONS if o.kind in ("integer", "number")} == set(NUMBERS)
    assert {o.name for o in OPTIONS if o.kind in ("text", "texts")} == set(TEXTS)


@pytest.mark.parametrize(("command", "option"), EACH, ids=ids)
def test_values_of_a_wrong_kind(command: str, option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    flag, words = long(option), [command, *BASE[command]]
    if option.kind == "flag":
        refused([*words, f"{flag}=1"], 2, f"option '{flag}' does not take a value", capsys)
        return
    refused([*words, flag], 2, f"option '{flag}' requires an argument", capsys)
    if option.kind == "choice":
        *others, last = option.choices
        for value in ("nonsense", ""):
            takes = f"{', '.join(others)} or {last}"
            refused([*words, f"{flag}={value}"], 2, f"{flag} takes {takes}, not '{value}'", capsys)
        refused([*words, flag, option.choices[0] + "e"], 2, f"did you mean {option.choices[0]}?", capsys)
    elif option.kind in ("integer", "number"):
        what = "a whole number" if option.kind == "integer" else "a number"
        for value in ("many", "", "1,5", *(["1.5"] if option.kind == "integer" else [])):
            refused([*words, flag, value], 2, f"{flag} takes {what}, not '{value}'", capsys)
    elif option.name != "inline":  # an empty formula is told of like any other
        refused([*words, f"{flag}="], 2, f"{flag} is given without a value", capsys)


@pytest.mark.parametrize(("command", "option"), EACH, ids=ids)
def test_values_out_of_range(command: str, option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    words = [command, *BASE[command]]
    if option.name in NUMBERS:
        values, said = NUMBERS[option.name]
        for value in values:
            more = ["--checkpoint", "c"] if option.name == "checkpoint_every" else []
            refused([*words, f"{long(option)}={value}", *more], 2, said, capsys)
    for value, status, said in TEXTS.get(option.name, ()):
        if command in ("eval", "minimize", "grad", "hess", "fit", option.commands[0]):
            given = [*words, f"{long(option)}={value}"]
            if command == "fit" and value == "m.tape":
                given[-1] = f"{long(option)}=f.tape"
            refused(given, status, said, capsys)


@pytest.mark.parametrize("option", method_options(), ids=ids)
def test_options_of_methods(option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    if option.kind == "switch":
        refused(["minimize", "m.tape", f"{long(option)}=1"], 2, "does not take a value", capsys)
    else:
        refused(["minimize", "m.tape", long(option), "x"], 2, "takes a number, not 'x'", capsys)


@pytest.mark.parametrize(("words", "said"), EXCLUDED, ids=[said for _, said in EXCLUDED])
def test_what_excludes_each_other(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(words)
    assert (code, said in capsys.readouterr().err) == (2, True), words


@pytest.mark.parametrize(("command", "option"), EACH, ids=ids)
def test_of_an_option_that_is_given_twice_the_last_counts(command: str, option: Option) -> None:
    """By both readers of the command line; texts that are repeatable are kept in order."""
    from tapecli.cli import app

    flag = long(option)
    pair = {"choice": option.choices[-2:], "integer": ("2", "1"), "number": ("2", "1"), "flag": ("", "")}
    first, second = pair.get(option.kind, ("a", "b"))
    words = [command, *BASE[command]]
    words += [flag, flag] if option.kind == "flag" else [f"{flag}={first}", f"{flag}={second}"]
    quick, slow = read(words), app.read(words)
    assert quick == slow and not isinstance(slow, int)
    kinds = {"integer": int, "number": float, "flag": lambda _: True}
    last = kinds.get(option.kind, str)(second)
    assert slow[1][option.name] == ([first, second] if option.kind == "texts" else last)
