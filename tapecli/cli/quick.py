"""Reads plain command lines without importing Typer, whose import alone takes longer than a small gradient.

What it reads, it reads exactly as the Typer app does (a test compares the two on many command lines). What it does not
understand, among it everything wrong, it leaves to the app: `read` answers None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tapecli.cli.options import COMMANDS, Option, method_options, of_command, takes_files

Values = dict[str, object]


def read(argv: Sequence[str]) -> tuple[str, Values] | None:
    """The command and the value of each of its options, or None."""
    if not argv or argv[0] not in COMMANDS:
        return None
    command = argv[0]
    table = of_command(command)
    by_flag = {flag: option for option in table for flag in option.flags}
    values: Values = {o.name: [] if o.kind == "texts" else o.default for o in table}
    files: list[str] = []
    given: Values = {}
    words = iter(argv[1:])
    for word in words:
        if word == "-" or not word.startswith("-"):
            files.append(word)
            continue
        flag, equals, text = word.partition("=")
        flag = flag.replace("_", "-")
        if flag not in by_flag and command == "minimize":
            by_flag |= _flags_of_methods()
        option = by_flag.get(flag)
        if option is None or (equals and not flag.startswith("--")):
            return None
        into = given if option not in table else values
        if not _store(option, flag, text if equals else None, words, into):
            return None
    if not takes_files(command):
        return None if files else (command, values)
    values["files"] = files
    if command == "minimize":
        values["options"] = given
    return command, values


def _flags_of_methods() -> dict[str, Option]:
    flags = {}
    for option in method_options():
        for flag in option.flags:
            flags[flag] = option
            if option.kind == "switch":
                flags["--no-" + flag[2:]] = option
    return flags


def _store(option: Option, flag: str, text: str | None, words: Iterator[str], values: Values) -> bool:
    """Whether the option could be read: a word with a wrong or a missing value is the app's to explain."""
    if option.kind in ("flag", "switch"):
        values[option.name] = flag in option.flags
        return text is None
    if text is None:
        text = next(words, None)
    if text is None:
        return False
    if option.kind == "texts":
        stored = values[option.name]
        assert isinstance(stored, list)
        stored.append(text)
        return True
    if option.kind in ("integer", "number"):
        try:
            values[option.name] = int(text) if option.kind == "integer" else float(text)
        except ValueError:
            return False
        return True
    values[option.name] = text
    return option.kind == "text" or text in option.choices
