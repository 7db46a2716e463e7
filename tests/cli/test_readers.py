"""The quick reader and the Typer app read every command line alike; the quick one leaves to Typer what is not plain."""

from __future__ import annotations

import itertools
import random

import pytest

from tapecli.cli import app, options, quick
from tapecli.errors import TapeError

#: words that may follow an option of each kind, some of them wrong
WORDS = {
    "flag": (),
    "switch": (),
    "text": ("x", "-1", "", "a=b", "--json", "α"),
    "texts": ("x=1", "x=-1", "-x", "@p.csv", "far", "x = 2", "--", "a,b"),
    "integer": ("3", "-2", "0", "1_000", " 7 ", "2.5", "many", ""),
    "number": ("3", "1e-3", "-2.5", "inf", "nan", ".5", "1e", ""),
    "choice": (),
}
PLAIN = (
    "grad f.tape",
    "grad f.tape --json",
    "grad --json f.tape g.tape",
    "eval - --at x=1 --at=y=2",
    "eval -e 1+1",
    "grad f.tape --wrt x,y --of z -q -v",
    "hess f.tape --hvp x=1 --hvp y=2",
    "minimize f.tape --method adam --lr 0.1 --steps 10",
    "minimize f.tape --learning-rate=1e-2 --nesterov --no-amsgrad --beta-1 0.8",
    "minimize f.tape --log log.jsonl --log-every 5 --tol 1e-8",
    "minimize f.tape --beta_1 0.8 --no-use_ema --learning_rate=0.5",
    "trace f.tape --show graph --at x=0 --at x=1",
    "check samples --format github --jobs 4 --fail-fast --exit-zero",
    "ops --json",
    "eval folder/ *.tape --data-root . --seed 3 --timeout 2.5 --dtype float32 --engine tape --kink tf",
)
ODD = (
    "",
    "--help",
    "--version",
    "gard f.tape",
    "grad --help",
    "grad -h",
    "grad f.tape --engine fast",
    "grad f.tape -qv",
    "grad f.tape -e1+1",
    "grad -- -odd.tape",
    "grad f.tape --json=1",
    "grad f.tape --no-json",
    "grad f.tape --at",
    "ops f.tape",
    "grad f.tape --steps 3",
    "minimize f.tape --momentun 0.9",
    "minimize f.tape --steps 2.5",
)


def with_typer(argv: list[str]) -> object:
    try:
        return app.read(argv)
    except TapeError as error:
        return error.message


def corpus() -> list[list[str]]:
    """Every option of every command with every kind of word, in both spellings, and random mixtures of them."""
    lines = [line.split() for line in (*PLAIN, *ODD)]
    pieces: dict[str, list[list[str]]] = {}
    for command in options.COMMANDS:
        table = options.of_command(command) + (options.method_options() if command == "minimize" else ())
        pieces[command] = [
            piece
            for option in table
            for flag in option.flags
            for word in (*WORDS[option.kind], *option.choices, None)
            for piece in ([[flag]] if word is None else [[flag, word], [f"{flag}={word}"]])
        ]
    random.seed(0)
    for command, found in pieces.items():
        lines += [[command, "f.tape", *piece] for piece in found[:: 3 if len(found) > 150 else 1]]
        for _ in range(60):
            chosen = random.sample(found, 4)
            words = list(itertools.chain(*chosen, ["f.tape"] if options.takes_files(command) else []))
            lines.append([command, *words])
    return lines


def test_both_readers_agree() -> None:
    read = 0
    for argv in corpus():
        fast = quick.read(argv)
        if fast is not None:
            read += 1
            slow = with_typer(argv)
            assert repr(fast) == repr((slow[0], in_order(slow[1], fast[1]))), argv  # type: ignore[index]
    assert read > 500


def in_order(values: dict[str, object], like: dict[str, object]) -> dict[str, object]:
    """The same dictionary in the order of the other one; nan compares by its text."""
    assert values.keys() == like.keys()
    result = {name: values[name] for name in like}
    if "options" in result:
        given, wanted = result["options"], like["options"]
        assert isinstance(given, dict)
        assert isinstance(wanted, dict)
        assert given.keys() == wanted.keys()
        result["options"] = {name: given[name] for name in wanted}
    return result


@pytest.mark.parametrize("line", PLAIN)
def test_what_is_plain_needs_no_typer(line: str) -> None:
    assert quick.read(line.split()) is not None


@pytest.mark.parametrize("line", ODD)
def test_what_is_odd_is_left_to_typer(line: str) -> None:
    assert quick.read(line.split()) is None


def test_every_method_option_is_offered() -> None:
    from tapecli.optimize.methods import names, options_of

    offered = {option.name for option in options.method_options()}
    assert offered == {option.name for method in names() for option in options_of(method)}
    assert not offered & {option.name for option in options.OPTIONS}


def test_kinds_and_commands_of_the_table() -> None:
    for option in options.OPTIONS:
        assert option.kind in options.KINDS
        assert bool(option.choices) == (option.kind == "choice")
        assert set(option.commands) <= set(options.COMMANDS)
        assert option.help
    names = [option.name for option in options.OPTIONS]
    assert len(set(names)) == len(names)
