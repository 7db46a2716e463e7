"""The Typer app, generated from the table of options: help, completion, and whatever `quick` does not read.

Bodies of commands do not run here. Each only notes what was asked for, so that both readers hand the same thing on.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

with warnings.catch_warnings():  # Typer still imports what newer versions of Click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    import click
    import typer

import tapecli
from tapecli.cli.options import COMMANDS, Option, method_options, methods, of_command, takes_files
from tapecli.cli.quick import Values
from tapecli.errors import TapeError, nearest

FILES = "FILE is a formula file, a folder, a glob, or - for standard input."
ABOUT = "Formula files in, exact derivatives and minima out."
COMPLETE = "_TAPECLI_COMPLETE"


def read(argv: Sequence[str]) -> tuple[str, Values] | int:
    """The command and its values; or the exit status, where help or a completion was asked for and given.

    Raises TapeError("usage") for a command line that is wrong.
    """
    asked: list[tuple[str, Values]] = []
    complete = COMPLETE in os.environ
    command = argv[0] if argv and argv[0] in COMMANDS else None
    words = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split() if complete else []
    if complete:
        command = next((word for word in words[1:] if word in COMMANDS), None)
    # the options of minimize's methods come with NumPy: only who completes an option waits for that
    own = not complete or any(word.startswith("-") for word in words[-2:])
    app = build(command, lambda name, values: asked.append((name, values)), methods_too=own)
    try:
        status = typer.main.get_command(app).main(
            args=list(argv), prog_name="tapecli", standalone_mode=False, complete_var=COMPLETE
        )
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.NoArgsIsHelpError as help:
        click.echo(help.format_message())
        return 0
    except click.ClickException as error:
        raise explain(error, argv) from None
    return asked[0] if asked else int(status or 0)


def build(
    command: str | None, note: Callable[[str, Values], None], methods_too: bool = True, every: bool = False
) -> typer.Typer:
    """The app. Only `command` gets its options, unless `every` is set: the others are there to be named in help."""
    app = typer.Typer(
        help=ABOUT,
        rich_markup_mode=None,
        suggest_commands=False,
        pretty_exceptions_enable=False,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 110,
            "token_normalize_func": dashed,
        },
    )
    app.callback(invoke_without_command=True)(_top)
    for name, about in COMMANDS.items():
        body = _body(name, note, methods_too) if every or name == command else _nothing
        about_files = "Without a CODE, all codes are listed." if name == "explain" else FILES
        help = f"{about}\n\n{about_files}" if takes_files(name) else about
        app.command(name, help=help, short_help=about)(body)
    return app


def dashed(word: str) -> str:
    """Options may be spelt as Keras spells them: --beta_1 is --beta-1."""
    return word.replace("_", "-")


def _nothing() -> None:
    """A command that was not asked for."""


def _show_version(wanted: bool) -> None:
    if wanted:
        click.echo(f"tapecli {tapecli.__version__}")
        raise typer.Exit


def _top(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _body(command: str, note: Callable[[str, Values], None], methods_too: bool) -> Callable[..., None]:
    """A function with the signature that Typer makes the options of `command` from."""
    table = of_command(command)
    extra = method_options() if command == "minimize" and methods_too else ()

    def body(**given: Any) -> None:
        values: Values = {o.name: list(given[o.name] or ()) if o.kind == "texts" else given[o.name] for o in table}
        if takes_files(command):
            values["files"] = list(given["files"] or ())
        if command == "minimize":
            values["options"] = {o.name: given[o.name] for o in extra if given[o.name] is not None}
        note(command, values)

    parameters = [_option(option, methods_too) for option in (*table, *extra)]
    if takes_files(command):
        # hidden: versions of Click differ in how they list arguments, so the help of the command tells of them
        argument = typer.Argument(None, metavar="[CODE]..." if command == "explain" else "[FILE]...", hidden=True)
        parameters.insert(0, Parameter("files", Parameter.KEYWORD_ONLY, default=argument, annotation=list[str] | None))
    body.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    body.__annotations__ = {p.name: p.annotation for p in parameters}
    return body


_TYPES: dict[str, Any] = {
    "flag": bool,
    "switch": bool | None,
    "text": str | None,
    "choice": str,
    "texts": list[str] | None,
    "integer": int | None,
    "number": float | None,
}


def _option(option: Option, methods_too: bool) -> Parameter:
    flags = list(option.flags)
    if option.kind == "switch":
        flags = [f"{flag}/--no-{flag[2:]}" for flag in flags]
    default = None if option.kind == "texts" else option.default
    help = option.help
    if option.name == "method" and methods_too:
        help += ": " + ", ".join(("auto", *methods()))
    made = typer.Option(
        default,
        *flags,
        help=help,
        metavar=option.metavar or None,
        show_default=default is not None and default is not False,
        click_type=click.Choice(option.choices) if option.choices else None,
    )
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=made, annotation=_TYPES[option.kind])


def explain(error: click.ClickException, argv: Sequence[str]) -> TapeError:
    """What Click found wrong, in the words of this program."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    own = f"tapecli {argv[0]}" if argv and argv[0] in COMMANDS else "tapecli"
    path = context.command_path if context is not None else own
    hint = f"`{path} --help` shows what there is"
    if isinstance(error, click.NoSuchOption) and context is not None:
        flags = {flag for parameter in context.command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        close = nearest(error.option_name, (flag for flag in flags if flag.startswith("--")))
        message = f"there is no option {error.option_name}"
        return TapeError("usage", message, hint=f"did you mean {close}? {hint}" if close else hint)
    if context is not None and context.parent is None and argv and argv[0] not in COMMANDS:
        return _unknown_command(argv[0], hint)
    if isinstance(error, click.BadParameter) and error.param is not None and context is not None:
        told = _wrong_value(str(error.param.name), context.info_name or "", argv)
        if told is not None:
            return TapeError("usage", told[0], hint=told[1] or hint)
    message = error.format_message().rstrip(".")
    return TapeError("usage", message[:1].lower() + message[1:], hint=hint)


#: What an option takes, by its kind.
_TAKES = {"integer": "a whole number", "number": "a number"}


def _wrong_value(name: str, command: str, argv: Sequence[str]) -> tuple[str, str | None] | None:
    """What is wrong with the value of an option, and a hint, if a value is near."""
    table = (*of_command(command), *(method_options() if command == "minimize" else ()))
    option = next((o for o in table if o.name == name), None)
    if option is None or option.kind not in (*_TAKES, "choice"):
        return None
    flag, value = next(flag for flag in option.flags if flag.startswith("--")), ""
    for k, word in enumerate(argv):
        written, equals, text = word.partition("=")
        if dashed(written) in option.flags:
            flag, value = dashed(written), text if equals else "".join(argv[k + 1 : k + 2])
    *others, last = option.choices or ("",)
    takes = f"{', '.join(others)} or {last}" if option.choices else _TAKES[option.kind]
    close = nearest(value, option.choices)
    return f"{flag} takes {takes}, not {value!r}", f"did you mean {close}?" if close else None


def _unknown_command(word: str, hint: str) -> TapeError:
    close = nearest(word, COMMANDS)
    if close:
        hint = f"did you mean `tapecli {close}`? {hint}"
    elif word.endswith(".tape") or os.path.exists(word):
        hint = f"a command comes first, as in `tapecli grad {word}`"
    return TapeError("usage", f"there is no command {word}", hint=hint)
