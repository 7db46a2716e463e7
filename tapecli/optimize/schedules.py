"""Hyper-parameters: how they are declared and read, and the learning rates that change from step to step.

A schedule maps the number of steps done so far to a learning rate, in ops: on a number it computes, on a node of a
graph it is traced with everything else. Names, defaults and formulae are those of Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from tapecli import ops
from tapecli.errors import TapeError, nearest
from tapecli.ops import powers
from tapecli.records import NamedTuple

#: Settings by name, all defaults filled in.
Options: TypeAlias = dict[str, Any]


class Check(NamedTuple):
    """What a setting may be: in words, and as a reader that returns the setting or raises ValueError or TypeError."""

    says: str
    read: Callable[[Any], Any]


class Option(NamedTuple):
    """One hyper-parameter. A default of `REQUIRED` means that there is none."""

    name: str
    default: Any
    check: Check
    help: str


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


def _number(value: Any) -> float:
    if isinstance(value, (bool, str)):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def number(says: str, accepts: Callable[[float], bool]) -> Check:
    """A finite number that `accepts` agrees to."""

    def read(value: Any) -> float:
        result = _number(value)
        if not accepts(result):
            raise ValueError
        return result

    return Check(says, read)


def or_none(check: Check) -> Check:
    """What `check` takes, or None."""
    return Check(f"{check.says}, or none", lambda value: None if value is None else check.read(value))


def _truth(value: Any) -> bool:
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError
    return bool(value)


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(_number(item) for item in value)


NUMBER = number("a number", lambda x: True)
NOT_NEGATIVE = number("a number, 0 or more", lambda x: x >= 0.0)
NOT_POSITIVE = number("a number, 0 or less", lambda x: x <= 0.0)
POSITIVE = number("a number above 0", lambda x: x > 0.0)
FRACTION = number("a number from 0 to 1", lambda x: 0.0 <= x <= 1.0)
BELOW_ONE = number("a number from 0 to 1, 1 excluded", lambda x: 0.0 <= x < 1.0)
ABOVE_ZERO = number("a number from 0 to 1, 0 excluded", lambda x: 0.0 < x <= 1.0)
FROM_ONE = number("a number, 1 or more", lambda x: x >= 1.0)
COUNT = number("a whole number, 1 or more", lambda x: x >= 1.0 and x.is_integer())
TRUTH = Check("true or false", _truth)
NUMBERS = Check("a list of numbers", _numbers)


def unknown(kind: str, name: str, known: Iterable[str]) -> TapeError:
    """The error for a name that is not in a table, with what there is."""
    known = list(known)
    close = nearest(name, known)
    guess = f"did you mean `{close}`? " if close else ""
    error = TapeError("usage", f"there is no {kind} `{name}`", hint=f"{guess}there is {', '.join(known)}")
    error.written = "name"
    return error


def read_options(owner: str, table: Sequence[Option], given: Mapping[str, Any]) -> Options:
    """`given` checked against `table`, with the defaults of what was not given."""
    names = {option.name for option in table}
    for name in given:
        if name not in names:
            raise unknown(f"option of `{owner}` called", name, (option.name for option in table))
    return {option.name: _setting(owner, option, given) for option in table}


def _setting(owner: str, option: Option, given: Mapping[str, Any]) -> Any:
    if option.name not in given:
        if option.default is REQUIRED:
            raise TapeError("usage", f"`{owner}` needs `{option.name}`: {option.check.says}", hint=option.help)
        return option.default
    value = given[option.name]
    try:
        return option.check.read(value)
    except (ValueError, TypeError, OverflowError):
        message = f"`{option.name}` of `{owner}` is {option.check.says}, not {value!r}"
        raise TapeError("usage", message, hint=option.help) from None


def call_text(name: str, settings: Options) -> str:
    """`name(setting=value, …)`, as a formula file has it."""
    return f"{name}({', '.join(f'{key}={_text(value)}' for key, value in settings.items())})"


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:.17g}" if isinstance(value, float) and value.is_integer() else repr(value)


def raised(base: float, exponent: Any) -> Any:
    """`base^exponent` for an exponent that is a value. NumPy's double scalars are Python floats too, which `ops.pow`
    would take as written; the op itself computes the same bits whatever the value is."""
    return powers.pow(base, exponent)


def _progress(o: Options, steps: Any) -> Any:
    """The part of `decay_steps` that is done, in whole stairs with `staircase`."""
    done = steps / o["decay_steps"]
    return ops.floor(done) if o["staircase"] else done


def exponential_decay(o: Options, steps: Any) -> Any:
    """`initial · decay_rate^(steps / decay_steps)`."""
    return o["initial_learning_rate"] * raised(o["decay_rate"], _progress(o, steps))


def inverse_time_decay(o: Options, steps: Any) -> Any:
    """`initial / (1 + decay_rate · steps / decay_steps)`."""
    return o["initial_learning_rate"] / (1.0 + o["decay_rate"] * _progress(o, steps))


def polynomial_decay(o: Options, steps: Any) -> Any:
    """`(initial - end) · (1 - steps / decay_steps)^power + end`; with `cycle`, `decay_steps` grows by multiples."""
    end, whole = o["end_learning_rate"], o["decay_steps"]
    if o["cycle"]:
        whole = whole * ops.maximum(ops.ceil(steps / whole), 1.0)
    else:
        steps = ops.minimum(steps, whole)
    return (o["initial_learning_rate"] - end) * ops.pow(1.0 - steps / whole, o["power"]) + end


def piecewise_constant_decay(o: Options, steps: Any) -> Any:
    """The first of `values` up to and including the first of `boundaries`, and so on."""
    edges, values = o["boundaries"], o["values"]
    result: Any = steps * 0.0 + values[0] if not edges else ops.less_equal(steps, edges[0]) * values[0]
    for i, low in enumerate(edges):
        inside = ops.less(low, steps)
        if i + 1 < len(edges):
            inside = inside * ops.less_equal(steps, edges[i + 1])
        result = result + inside * values[i + 1]  # a sum with one term that is not 0: exactly that term
    return result


def _cosine(o: Options, start: float, scale: Any, fraction: Any) -> Any:
    wave = 0.5 * scale * (1.0 + ops.cos(math.pi * fraction))
    return start * ((1.0 - o["alpha"]) * wave + o["alpha"])


def cosine_decay(o: Options, steps: Any) -> Any:
    """Half a cosine down to `alpha` times the start (Loshchilov and Hutter, SGDR, ICLR 2017), after a linear warm-up
    from `initial_learning_rate` to `warmup_target` where one is set (Goyal and others, 2017)."""
    start, target, warm, whole = o["initial_learning_rate"], o["warmup_target"], o["warmup_steps"], o["decay_steps"]
    if target is None:
        return _cosine(o, start, 1.0, ops.minimum(steps, whole) / whole)
    steps = ops.minimum(steps, whole + warm)
    decayed = _cosine(o, target, 1.0, (steps - warm) / whole)
    if not warm:
        return decayed
    return ops.where(ops.less(steps, warm), (target - start) * (steps / warm) + start, decayed)


def cosine_decay_restarts(o: Options, steps: Any) -> Any:
    """Cosine decays one after another, each `t_mul` times as long and `m_mul` times as high as the one before
    (Loshchilov and Hutter, SGDR, ICLR 2017)."""
    done = steps / o["first_decay_steps"]
    ratio = o["t_mul"]
    if ratio == 1.0:
        restart = ops.floor(done)
        fraction = done - restart
    else:
        guess = ops.floor(ops.log(1.0 + done * (ratio - 1.0)) / math.log(ratio))
        fraction = _since_restart(done, ratio, guess)
        # the rounded logarithm may be one restart off
        restart = guess + ops.less_equal(1.0, fraction) - ops.less(fraction, 0.0)
        fraction = _since_restart(done, ratio, restart)
    return _cosine(o, o["initial_learning_rate"], raised(o["m_mul"], restart), fraction)


def _since_restart(done: Any, ratio: float, restart: Any) -> Any:
    """The part of the period after `restart` restarts that is over; periods are 1, ratio, ratio², … long."""
    length = raised(ratio, restart)
    return (done - (length - 1.0) / (ratio - 1.0)) / length


class Kind(NamedTuple):
    """One kind of schedule: its formula, its options in the order of Keras, and a line of help."""

    rate: Callable[[Options, Any], Any]
    options: tuple[Option, ...]
    help: str


_INITIAL = Option("initial_learning_rate", REQUIRED, NOT_NEGATIVE, "the learning rate at the start")
_STEPS = Option("decay_steps", REQUIRED, POSITIVE, "the number of steps that the decay is counted in")
_STAIRS = Option("staircase", False, TRUTH, "decay in whole steps of `decay_steps`")
_ALPHA = Option("alpha", 0.0, NUMBER, "the least learning rate, as a part of the greatest")

#: Every schedule, declared once: the language, help, docs and tests follow from it.
SCHEDULES: dict[str, Kind] = {
    "exponential_decay": Kind(
        exponential_decay,
        (_INITIAL, _STEPS, Option("decay_rate", REQUIRED, POSITIVE, "the factor per `decay_steps`"), _STAIRS),
        "falls by a factor per decay_steps",
    ),
    "polynomial_decay": Kind(
        polynomial_decay,
        (
            _INITIAL,
            _STEPS,
            Option("end_learning_rate", 1e-4, NOT_NEGATIVE, "the learning rate after `decay_steps`"),
            Option("power", 1.0, NOT_NEGATIVE, "the power of the polynomial"),
            Option("cycle", False, TRUTH, "begin again after `decay_steps`, from lower down"),
        ),
        "falls along a polynomial to an end",
    ),
    "piecewise_constant_decay": Kind(
        piecewise_constant_decay,
        (
            Option("boundaries", REQUIRED, NUMBERS, "the steps after which the next value counts, rising"),
            Option("values", REQUIRED, NUMBERS, "the learning rates, one more than boundaries"),
        ),
        "keeps a value up to each boundary",
    ),
    "inverse_time_decay": Kind(
        inverse_time_decay,
        (
            _INITIAL,
            _STEPS,
            Option("decay_rate", REQUIRED, NOT_NEGATIVE, "the growth of the divisor per `decay_steps`"),
            _STAIRS,
        ),
        "falls like one over the time",
    ),
    "cosine_decay": Kind(
        cosine_decay,
        (
            _INITIAL,
            _STEPS,
            _ALPHA,
            Option("warmup_target", None, or_none(NOT_NEGATIVE), "the learning rate that the warm-up ends at"),
            Option("warmup_steps", 0.0, NOT_NEGATIVE, "the number of steps of the warm-up"),
        ),
        "falls along half a cosine, after an optional warm-up",
    ),
    "cosine_decay_restarts": Kind(
        cosine_decay_restarts,
        (
            _INITIAL,
            Option("first_decay_steps", REQUIRED, POSITIVE, "the number of steps of the first decay"),
            Option("t_mul", 2.0, FROM_ONE, "how many times longer each decay is than the one before"),
            Option("m_mul", 1.0, POSITIVE, "how many times higher each decay starts than the one before"),
            _ALPHA,
        ),
        "falls along half a cosine again and again",
    ),
}


class Schedule:
    """A learning rate that changes: `schedule(steps)` is the rate when `steps` steps are done. Frozen."""

    __slots__ = ("name", "options")
    name: str
    options: Options

    def __init__(self, name: str, options: Options) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", options)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a schedule is frozen")

    def __call__(self, steps: Any) -> Any:
        return SCHEDULES[self.name].rate(self.options, steps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and (self.name, self.options) == (other.name, other.options)

    def __hash__(self) -> int:
        return hash((self.name, *self.options.items()))

    def __repr__(self) -> str:
        return call_text(self.name, self.options)


def make(name: str, positional: Sequence[Any], keyword: Mapping[str, Any]) -> Schedule:
    """The schedule `name(*positional, **keyword)`. Raises TapeError("usage") where that is not a schedule."""
    key = name.lower()
    if key not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    table = SCHEDULES[key].options
    if len(positional) > len(table):
        message = f"`{key}` takes {len(table)} settings, not {len(positional)}"
        raise TapeError("usage", message, hint=f"it takes {', '.join(option.name for option in table)}")
    given = {option.name: value for option, value in zip(table, positional, strict=False)}
    for twice in given.keys() & keyword.keys():
        raise TapeError("usage", f"`{twice}` of `{key}` is given twice")
    options = read_options(key, table, {**given, **keyword})
    if key == "piecewise_constant_decay":
        _check_pieces(options["boundaries"], options["values"])
    return Schedule(key, options)


def _check_pieces(boundaries: tuple[float, ...], values: tuple[float, ...]) -> None:
    if len(values) != len(boundaries) + 1:
        message = f"{len(boundaries)} boundaries need {len(boundaries) + 1} values, not {len(values)}"
        raise TapeError("usage", f"piecewise_constant_decay: {message}")
    if any(not low < high for low, high in pairwise(boundaries)):
        raise TapeError("usage", "piecewise_constant_decay: the boundaries must rise")
    if min(values) < 0.0:
        raise TapeError("usage", "piecewise_constant_decay: a learning rate is 0 or more")
