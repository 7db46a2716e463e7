"""What a command line says that no reader of single options can judge: empty values, ranges, contradictions."""

from __future__ import annotations

import os
from typing import Any

from tapecli.cli.options import of_command
from tapecli.cli.quick import Values
from tapecli.errors import TapeError


def not_empty(command: str, v: Values) -> None:
    """An option that is given says something: what comes from a variable of a script that is not set does not."""
    for option in of_command(command):
        value: Any = v.get(option.name)
        empty = value == "" if option.kind == "text" else option.kind == "texts" and "" in value
        if empty and option.name != "inline":  # an empty formula is read like any other
            hint = f"{option.flags[-1]} {option.metavar}: {option.help}"
            raise TapeError("usage", f"{option.flags[-1]} is given without a value", hint=hint)


def validate(command: str, v: Values) -> None:
    """What neither reader checks."""
    not_empty(command, v)
    v["wrt"] = names(v.get("wrt") or ())
    if v["json"] and v["format"] in ("junit", "sarif"):
        raise TapeError("usage", f"--json and --format {v['format']} exclude each other", hint="give one of the two")
    v["sensitivity"] = names(v.get("sensitivity") or (), "sensitivity") or []
    ones = ("jobs", "threads", "log_every", "batch", "epochs", "starts", "max_evaluations", "max_failures")
    for name, least in (*((name, 1) for name in ones), ("steps", 0), ("seed", 0)):
        value: Any = v.get(name)
        if value is not None and value < least:
            raise TapeError("usage", f"--{name.replace('_', '-')} is {least} or more, not {value}")
    if v.get("resume") and v.get("checkpoint") is None:
        raise TapeError(
            "usage", "--resume needs a checkpoint to go on from", hint="name it: --checkpoint FILE --resume"
        )
    if sum(word.startswith("@") for word in v["at"]) > 1 and command != "trace":  # type: ignore[attr-defined]
        raise TapeError("usage", "--at names two files of points", hint="put the rows into one file")
    if v.get("update") and v["at"]:
        raise TapeError("usage", "--update and --at exclude each other", hint="the file says what it expects where")
    if v.get("order", 1) not in (1, 2):
        raise TapeError("usage", f"--order is 1 or 2, not {v['order']}")
    every: Any = v.get("checkpoint_every")
    if every is not None and not every >= 0:
        raise TapeError("usage", f"--checkpoint-every is a number of seconds, 0 or more, not {every}")
    root: Any = v["data_root"]
    if root is not None and not os.path.isdir(root):
        raise TapeError("file", f"--data-root {root}: there is no such folder")
    for name in ("timeout", "tol"):
        value = v.get(name)
        if value is not None and not 0 < value < float("inf") and not (name == "tol" and value == 0):
            raise TapeError("usage", f"--{name} is a positive number, not {value}")


def one_run(v: Values, files: int) -> None:
    """Some options follow one run, and there is one where there is one file, one point and one start."""
    starts: Any = v.get("starts") or 1
    rows = any(word.startswith("@") for word in v["at"])  # type: ignore[attr-defined]
    for name in ("log", "checkpoint", "plot"):
        if v.get(name) is None:
            continue
        if files > 1:
            hint = f"minimise the files one by one, each with its own {name}"
            raise TapeError("usage", f"--{name} is for one file", hint=hint)
        if starts > 1:
            raise TapeError("usage", f"--{name} follows one run, and --starts {starts} are several")
        if rows and name != "log":
            raise TapeError("usage", f"--{name} follows one run, and --at @… are several")


def names(words: Any, option: str = "wrt") -> list[str] | None:
    """`--wrt x,y --wrt z` as one list, or None where nothing was said."""
    found = [name.strip() for word in words for name in word.split(",")]
    if not all(found):
        raise TapeError("usage", f"--{option} holds an empty name", hint=f"names stand between commas: --{option} x,y")
    return found or None
