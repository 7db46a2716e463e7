"""The functions of the language: where a call's name leads.

A name is a user's function, an entry of `BUILTINS`, an op of the table under its own name, or a function of
`library.tape`, which ships with the package and is read when one of its functions is first called.
"""

from __future__ import annotations

from typing import Any

from tapecli.core import TABLE
from tapecli.errors import Source, TapeError, nearest
from tapecli.language.builtins import BUILTINS
from tapecli.language.calculus import Builtin
from tapecli.language.machine import Machine
from tapecli.language.values import FollowUp, Frame, Function, Scope

#: Ops of the table that are functions of the language, under the same name.
DIRECT = frozenset(
    (
        "exp expm1 exp2 exp10 log1p log2 log10 sqrt cbrt abs sign floor ceil round mod hypot atan2 relu clip "
        "sin cos tan sec csc cot asin acos atan asec acsc acot sinh cosh tanh sech csch coth "
        "asinh acosh atanh asech acsch acoth sind cosd tand asind acosd atand sinpi cospi tanpi "
        "sinc sigmoid logit softplus logaddexp xlogy xlog1py stop "
        "erf erfc gamma lgamma digamma trigamma beta lbeta"
    ).split()
)
#: Other spellings.
ALIASES = {
    "ln": "log", "logistic": "sigmoid", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "arcsec": "asec", "arccsc": "acsc", "arccot": "acot",
    "arcsech": "asech", "arccsch": "acsch", "arccoth": "acoth",
}  # fmt: skip


def call(m: Machine, frame: Frame, name: str, args: list[Any], keys: dict[str, Any]) -> None:
    """Calls `name`; the value is pushed at once, or by the frame that is entered."""
    function = frame.scope.function(name)
    if function is None:
        name = ALIASES.get(name, name)
        builtin = BUILTINS.get(name)
        if builtin is not None:
            m.stack.append(_built(m, name, builtin, args, keys))
            return
        if name in DIRECT:
            m.stack.append(_direct(m, name, args, keys))
            return
        function = library(m).function(name)
    if function is None:
        if name in m.broken or name in m.lost:
            raise FollowUp
        m.stack.append(_otherwise(m, frame, name, args, keys))
        return
    if keys:
        raise m.error(
            "type", f"`{name}` takes no `{next(iter(keys))}=`", hint="give the arguments in order, without names"
        )
    m.enter(function, args)


def _otherwise(m: Machine, frame: Frame, name: str, args: list[Any], keys: dict[str, Any]) -> Any:
    """A learning-rate schedule or a random start, where one may stand; else the error for an unknown function."""
    for context in ("schedule", "draw"):
        make = m.options[context]
        if make is not None:
            found = make(m, name, args, keys)
            if found is not None:
                return found
    raise unknown_function(m, frame.scope, name)


def unknown_function(m: Machine, scope: Scope, name: str) -> TapeError:
    """The error for a call of something that is no function, with the nearest one that is."""
    if scope.value(name) is not None:
        return m.error("name", f"`{name}` is a value, not a function", hint=f"write {name}*(…) to multiply")
    if name in ("normal", "uniform"):
        return m.error(
            "name",
            f"`{name}` draws random start values, and stands only in var statements",
            hint=f"var w[10] = {name}(0, 0.1)",
        )
    from tapecli.syntax.habits import FUNCTIONS  # only an error needs them

    close = nearest(name, names(m, scope))
    otherwise = f"did you mean `{close}`?" if close else "`tapecli ops` lists the functions"
    hint = FUNCTIONS.get(name, otherwise)
    return m.error("name", f"there is no function `{name}`", label="unknown function", hint=hint)


def names(m: Machine, scope: Scope) -> list[str]:
    """Every function that can be called from `scope`."""
    found = [*BUILTINS, *DIRECT, *ALIASES, *library(m).functions]
    user: Scope | None = scope
    while user is not None:
        found += user.functions
        user = user.parent
    return found


def is_function(m: Machine, scope: Scope, name: str) -> bool:
    """Whether `name` can be called from `scope`."""
    return (
        name in BUILTINS
        or name in DIRECT
        or name in ALIASES
        or scope.function(name) is not None
        or name in library(m).functions
    )


# ---- the library file -------------------------------------------------------------------------------------------

_library: dict[str, tuple[Any, ...]] = {}


def library_source() -> Source:
    """The text of the library file."""
    from importlib.resources import files

    return Source("library.tape", files("tapecli.language").joinpath("library.tape").read_text(encoding="utf-8"))


def library(m: Machine) -> Scope:
    """The functions of the library file."""
    scope = m.options.get("library")
    if scope is None:
        from tapecli.errors import Place
        from tapecli.syntax.code import Define
        from tapecli.syntax.parser import parse

        if not _library:
            source = library_source()
            for statement in parse(source).statements:
                assert isinstance(statement, Define)
                _library[statement.name] = (statement, source, Place(source, statement.start, statement.end))
        scope = m.options["library"] = Scope()
        for name, (statement, source, place) in _library.items():
            scope.functions[name] = Function(name, statement.params, statement.code, scope, source, place, 1)
    return scope


# ---- calls ------------------------------------------------------------------------------------------------------


def _count(m: Machine, name: str, signature: str, least: int, most: int, count: int) -> None:
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}" if most < 1 << 30 else f"{least} or more"
        raise m.error(
            "type",
            f"`{name}` takes {wanted} argument{'s' * (wanted != '1')}, and has {count}",
            hint=f"it is {signature}",
        )


def _direct(m: Machine, name: str, args: list[Any], keys: dict[str, Any]) -> Any:
    op = TABLE[name]
    arity = len(op.vjps)  # type: ignore[arg-type]
    _count(m, name, f"{name}({', '.join('xyz'[:arity])})", arity, arity, len(args))
    if keys:
        raise m.error("type", f"`{name}` takes no `{next(iter(keys))}=`")
    nodes = [m.node(arg, f"`{name}`") for arg in args]
    return m.together(name, nodes)


def _built(m: Machine, name: str, builtin: Builtin, args: list[Any], keys: dict[str, Any]) -> Any:
    _count(m, name, builtin.signature, builtin.least, builtin.most, len(args))
    for key in keys:
        if key not in builtin.keys:
            raise m.error("type", f"`{name}` takes no `{key}=`", hint=f"it is {builtin.signature}")
    return builtin.build(m, *args, **keys)
