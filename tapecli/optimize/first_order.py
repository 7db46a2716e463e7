"""First-order optimizers as pure (init, update) pairs written in ops.

The same text steps on arrays and, on graph nodes, is traced with the gradient into one program. A rule is a function
`(options, g, w, slots, rate, step) -> (new w, new slots)` for one parameter; around it `Optimizer.update` clips, decays
and averages. Nothing branches on a value, only on options. Names, defaults and the order of operations, down to where
an epsilon stands, are those of Keras 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from tapecli import ops
from tapecli.core import shape_of
from tapecli.derive import constant_like, ones_like, zeros_like
from tapecli.optimize.schedules import (
    ABOVE_ZERO,
    BELOW_ONE,
    FRACTION,
    NOT_NEGATIVE,
    NOT_POSITIVE,
    POSITIVE,
    TRUTH,
    Check,
    Option,
    Options,
    Schedule,
    call_text,
    raised,
    read_options,
    unknown,
)
from tapecli.optimize.transforms import COMMON, WEIGHT_DECAY, average, check_clips, clip, decay
from tapecli.records import NamedTuple

#: The state of one parameter by slot name; the state of all has a list under each name.
State: TypeAlias = dict[str, Any]
Slots: TypeAlias = dict[str, list[Any]]
Stepped: TypeAlias = tuple[Any, State]


def sgd(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Gradient descent (Cauchy, 1847; Robbins and Monro, 1951), with momentum (Polyak, 1964) or Nesterov's (Sutskever
    and others, ICML 2013). The learning rate stands inside the momentum."""
    if not o["momentum"]:
        return w - rate * g, {}
    m = s["momentum"] * o["momentum"] - rate * g
    return w + (m * o["momentum"] - rate * g if o["nesterov"] else m), {"momentum": m}


def _moments(o: Options, g: Any, s: State) -> State:
    """The moving averages of the gradient and of its square."""
    m, v = s["momentum"], s["velocity"]
    return {"momentum": m + (g - m) * (1.0 - o["beta_1"]), "velocity": v + (g * g - v) * (1.0 - o["beta_2"])}


def adam(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Adam (Kingma and Ba, ICLR 2015), epsilon being the paper's epsilon hat; AMSGrad (Reddi, Kale and Kumar, ICLR
    2018); with weight decay AdamW (Loshchilov and Hutter, ICLR 2019)."""
    s = {**s, **_moments(o, g, s)}
    v = s["velocity"]
    if o["amsgrad"]:
        v = s["velocity_hat"] = ops.maximum(s["velocity_hat"], v)
    alpha = rate * ops.sqrt(1.0 - raised(o["beta_2"], step)) / (1.0 - raised(o["beta_1"], step))
    return w - s["momentum"] * alpha / (ops.sqrt(v) + o["epsilon"]), s


def rmsprop(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """RMSprop (Hinton, lecture 6e, 2012), centred as in Graves (arXiv 1308.0850). Epsilon stands inside the root."""
    rho = o["rho"]
    v = rho * s["velocity"] + (1.0 - rho) * (g * g)
    after = {"velocity": v}
    if o["centered"]:
        mean = after["average_gradient"] = rho * s["average_gradient"] + (1.0 - rho) * g
        v = v - mean * mean
    change = rate * g / ops.sqrt(v + o["epsilon"])
    if o["momentum"]:
        change = after["momentum"] = o["momentum"] * s["momentum"] + change
    return w - change, after


def adagrad(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Adagrad (Duchi, Hazan and Singer, JMLR 12, 2011)."""
    total = s["accumulator"] + g * g
    return w - rate * g / ops.sqrt(total + o["epsilon"]), {"accumulator": total}


def adadelta(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Adadelta (Zeiler, arXiv 1212.5701)."""
    rho, epsilon, old = o["rho"], o["epsilon"], s["accumulated_delta"]
    total = rho * s["accumulated_gradient"] + (1.0 - rho) * (g * g)
    change = ops.sqrt(old + epsilon) * g / ops.sqrt(total + epsilon)
    after = {"accumulated_gradient": total, "accumulated_delta": rho * old + (1.0 - rho) * (change * change)}
    return w - rate * change, after


def adamax(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Adamax, Adam by the greatest norm (Kingma and Ba, ICLR 2015, section 7.1)."""
    m = s["momentum"] + (g - s["momentum"]) * (1.0 - o["beta_1"])
    u = ops.maximum(o["beta_2"] * s["norm"], ops.abs(g))
    change = rate * m / ((1.0 - raised(o["beta_1"], step)) * (u + o["epsilon"]))
    return w - change, {"momentum": m, "norm": u}


def nadam(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Nadam, Adam with Nesterov's momentum (Dozat, ICLR workshop 2016)."""
    u = o["beta_1"] * (1.0 - 0.5 * raised(0.96, step))
    u_next = o["beta_1"] * (1.0 - 0.5 * raised(0.96, step + 1.0))
    product = s["u_product"] * u
    after = _moments(o, g, s)
    m_hat = u_next * after["momentum"] / (1.0 - product * u_next) + (1.0 - u) * g / (1.0 - product)
    v_hat = after["velocity"] / (1.0 - raised(o["beta_2"], step))
    return w - m_hat * rate / (ops.sqrt(v_hat) + o["epsilon"]), {**after, "u_product": product}


def ftrl(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Follow the regularized leader (McMahan and others, KDD 2013). The weights are computed anew from the state; the
    start enters through `linear` only."""
    l1, power = o["l1_regularization_strength"], -o["learning_rate_power"]
    l2 = o["l2_regularization_strength"] + o["beta"] / (2.0 * rate)
    n = s["accumulator"] + g * g
    root = ops.pow(n, power)
    shrunk = g + 2.0 * o["l2_shrinkage_regularization_strength"] * w
    z = s["linear"] + (shrunk - (root - ops.pow(s["accumulator"], power)) / rate * w)
    return (ops.clip(z, -l1, l1) - z) / (root / rate + 2.0 * l2), {"accumulator": n, "linear": z}


def lion(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Lion, the sign of an interpolated momentum (Chen and others, arXiv 2302.06675)."""
    m, b1, b2 = s["momentum"], o["beta_1"], o["beta_2"]
    return w - rate * ops.sign(m * b1 + g * (1.0 - b1)), {"momentum": m * b2 + g * (1.0 - b2)}


def lamb(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Lamb, Adam scaled to the length of each variable (You and others, ICLR 2020)."""
    after = _moments(o, g, s)
    v_hat = after["velocity"] / (1.0 - raised(o["beta_2"], step))
    change = after["momentum"] / (1.0 - raised(o["beta_1"], step)) / (ops.sqrt(v_hat) + o["epsilon"])
    length, change_length = ops.sqrt(ops.sum(w * w)), ops.sqrt(ops.sum(change * change))
    both = ops.less(0.0, length) * ops.less(0.0, change_length)
    ratio = ops.where(both, length / ops.where(both, change_length, 1.0), 1.0)
    return w - ratio * rate * change, after


def adafactor(o: Options, g: Any, w: Any, s: State, rate: Any, step: Any) -> Stepped:
    """Adafactor (Shazeer and Stern, ICML 2018). Of two axes and more the second moment is kept as its means along the
    last axis (`row`) and the one before (`column`). `relative_step` changes nothing, as in Keras, where the rate is
    kept below 1/sqrt(step) in either case."""
    new = ops.pow(step, o["beta_2_decay"])
    old = 1.0 - new
    square = g * g + o["epsilon_1"]
    if len(shape_of(w)) < 2:
        v = old * s["velocity"] + new * square
        after = {**s, "velocity": v}
    else:
        row = old * s["row"] + new * ops.mean(square, axis=-1)
        column = old * s["column"] + new * ops.mean(square, axis=-2)
        v = _outer(row, column)
        after = {**s, "row": row, "column": column}
    change = g / ops.sqrt(v)
    change = change / ops.maximum(1.0, _rms(change) / o["clip_threshold"])
    alpha = ops.maximum(o["epsilon_2"], _rms(w)) * ops.minimum(rate, 1.0 / ops.sqrt(step))
    return w - alpha * change, after


def _rms(x: Any) -> Any:
    return ops.sqrt(ops.mean(x * x))


def _outer(row: Any, column: Any) -> Any:
    """The second moment that has these means along its last two axes."""
    *outer, n = shape_of(row)
    share = row / ops.reshape(ops.mean(row, axis=-1), shape=(*outer, 1))
    return ops.reshape(share, shape=(*outer, n, 1)) * ops.reshape(column, shape=(*outer, 1, shape_of(column)[-1]))


def _zeros(*names: str) -> Callable[[Options, Any], State]:
    return lambda o, w: {name: zeros_like(w) for name in names}


def _sgd_slots(o: Options, w: Any) -> State:
    return {"momentum": zeros_like(w)} if o["momentum"] else {}


def _adam_slots(o: Options, w: Any) -> State:
    names = ("momentum", "velocity", "velocity_hat") if o["amsgrad"] else ("momentum", "velocity")
    return {name: zeros_like(w) for name in names}


def _rmsprop_slots(o: Options, w: Any) -> State:
    extra = [name for name, wanted in (("average_gradient", o["centered"]), ("momentum", o["momentum"])) if wanted]
    return {name: zeros_like(w) for name in ("velocity", *extra)}


def _filled(o: Options, w: Any) -> State:
    return {"accumulator": ones_like(w) * o["initial_accumulator_value"]}


def _ftrl_slots(o: Options, w: Any) -> State:
    return {**_filled(o, w), "linear": zeros_like(w)}


def _nadam_slots(o: Options, w: Any) -> State:
    return {"momentum": zeros_like(w), "velocity": zeros_like(w), "u_product": constant_like(w, 1.0)}


def _adafactor_slots(o: Options, w: Any) -> State:
    """What a parameter does not need is a scalar 0, so that every slot has one value per parameter."""
    shape = shape_of(w)
    nothing = constant_like(w, 0.0)
    if len(shape) < 2:
        return {"row": nothing, "column": nothing, "velocity": zeros_like(w)}
    zeros = zeros_like(w)
    n = len(shape)
    return {"row": ops.sum(zeros, axis=n - 1), "column": ops.sum(zeros, axis=n - 2), "velocity": nothing}


class Rule(NamedTuple):
    """One optimizer: its name in Keras, its rule, its state for one parameter, its options and a line of help."""

    title: str
    rule: Callable[[Options, Any, Any, State, Any, Any], Stepped]
    slots: Callable[[Options, Any], State]
    options: tuple[Option, ...]
    help: str


def _read_rate(value: Any) -> Any:
    return value if isinstance(value, Schedule) else NOT_NEGATIVE.read(value)


RATE = Check("a number, 0 or more, or a schedule", _read_rate)


def _method(
    title: str, rule: Any, slots: Any, help: str, *own: Option, rate: float = 0.001, weight_decay: Option = WEIGHT_DECAY
) -> Rule:
    """A method with its own options between the learning rate and those that all have."""
    learning_rate = Option("learning_rate", rate, RATE, "the length of a step: a number or a schedule")
    return Rule(title, rule, slots, (learning_rate, *own, weight_decay, *COMMON), help)


_BETA_1 = Option("beta_1", 0.9, BELOW_ONE, "how much of the gradient's average is kept at each step")
_BETA_2 = Option("beta_2", 0.999, BELOW_ONE, "how much of the squared gradient's average is kept at each step")
_RHO = Option("rho", 0.9, FRACTION, "how much of the average of squares is kept at each step")
_EPSILON = Option("epsilon", 1e-7, NOT_NEGATIVE, "a small number against division by 0")
_MOMENTUM = Option("momentum", 0.0, FRACTION, "how much of the last step is carried on")
_AMSGRAD = Option("amsgrad", False, TRUTH, "use the greatest second moment so far")
_ACCUMULATOR = Option("initial_accumulator_value", 0.1, NOT_NEGATIVE, "the sum of squares that the start has")

#: Every optimizer, declared once: the command line, help, docs and tests follow from it.
OPTIMIZERS: dict[str, Rule] = {
    "sgd": _method(
        "SGD", sgd, _sgd_slots, "gradient descent, with momentum where wanted",
        _MOMENTUM, Option("nesterov", False, TRUTH, "Nesterov's momentum"), rate=0.01,
    ),
    "adam": _method("Adam", adam, _adam_slots, "adaptive moments", _BETA_1, _BETA_2, _EPSILON, _AMSGRAD),
    "adamw": _method(
        "AdamW", adam, _adam_slots, "Adam with decoupled weight decay",
        _BETA_1, _BETA_2, _EPSILON, _AMSGRAD, weight_decay=WEIGHT_DECAY._replace(default=0.004, check=NOT_NEGATIVE),
    ),
    "rmsprop": _method(
        "RMSprop", rmsprop, _rmsprop_slots, "steps divided by the root mean square of recent gradients",
        _RHO, _MOMENTUM, _EPSILON, Option("centered", False, TRUTH, "divide by the variance, not the second moment"),
    ),
    "adagrad": _method(
        "Adagrad", adagrad, _filled, "steps divided by the root of all squares so far", _ACCUMULATOR, _EPSILON
    ),
    "adadelta": _method(
        "Adadelta", adadelta, _zeros("accumulated_gradient", "accumulated_delta"), "Adagrad over a moving window",
        _RHO._replace(default=0.95), _EPSILON,
    ),
    "adamax": _method(
        "Adamax", adamax, _zeros("momentum", "norm"), "Adam by the greatest norm", _BETA_1, _BETA_2, _EPSILON
    ),
    "nadam": _method("Nadam", nadam, _nadam_slots, "Adam with Nesterov's momentum", _BETA_1, _BETA_2, _EPSILON),
    "ftrl": _method(
        "Ftrl", ftrl, _ftrl_slots, "follow the regularized leader: sparse weights",
        Option("learning_rate_power", -0.5, NOT_POSITIVE, "how the learning rate falls; 0 keeps it"),
        _ACCUMULATOR,
        Option("l1_regularization_strength", 0.0, NOT_NEGATIVE, "the weight of the sum of absolute values"),
        Option("l2_regularization_strength", 0.0, NOT_NEGATIVE, "the weight of the sum of squares, for stability"),
        Option("l2_shrinkage_regularization_strength", 0.0, NOT_NEGATIVE, "the same, as a part of the gradient"),
        Option("beta", 0.0, NOT_NEGATIVE, "the beta of the paper"),
    ),
    "lion": _method(
        "Lion", lion, _zeros("momentum"), "steps of one size, by the sign of the momentum",
        Option("beta_1", 0.9, ABOVE_ZERO, "how much of the momentum goes into a step"),
        Option("beta_2", 0.99, FRACTION, "how much of the momentum is kept at each step"),
    ),
    "lamb": _method(
        "Lamb", lamb, _zeros("momentum", "velocity"), "Adam scaled to the length of each variable",
        _BETA_1, _BETA_2, _EPSILON,
    ),
    "adafactor": _method(
        "Adafactor", adafactor, _adafactor_slots, "Adam with a factored second moment and relative steps",
        Option("beta_2_decay", -0.8, NOT_POSITIVE, "the power of the step that the second moment forgets by"),
        Option("epsilon_1", 1e-30, NOT_NEGATIVE, "what is added to squared gradients"),
        Option("epsilon_2", 1e-3, NOT_NEGATIVE, "the least scale of a variable"),
        Option("clip_threshold", 1.0, POSITIVE, "the greatest root mean square of a change before the rate"),
        Option("relative_step", True, TRUTH, "keep the learning rate below 1/sqrt(step)"),
    ),
}  # fmt: skip


class Optimizer:
    """A first-order method with its settings. Frozen; the state is the caller's, in slots: a list per name."""

    __slots__ = ("_hash", "name", "options")
    name: str
    options: Options
    _hash: int

    def __init__(self, name: str, options: Options) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "_hash", hash((name, *options.items())))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an optimizer is frozen")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optimizer) and (self.name, self.options) == (other.name, other.options)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return call_text(self.name, self.options)

    def init(self, params: Sequence[Any]) -> Slots:
        """The state before the first step: per slot name a list with one value per parameter."""
        slots = _gather([OPTIMIZERS[self.name].slots(self.options, w) for w in params])
        if self.options["use_ema"]:
            slots["average"] = [zeros_like(w) for w in params]
        return slots

    def rate(self, step: Any) -> Any:
        """The learning rate of step number `step`, counted from 1."""
        rate = self.options["learning_rate"]
        return rate(step - 1.0) if isinstance(rate, Schedule) else rate

    def update(
        self, gradients: Sequence[Any], slots: Mapping[str, Sequence[Any]], params: Sequence[Any], step: Any
    ) -> tuple[list[Any], Slots]:
        """One step, number `step` counted from 1: the new parameters and the new state."""
        o, rule, rate = self.options, OPTIMIZERS[self.name].rule, self.rate(step)
        own = [{name: values[i] for name, values in slots.items() if name != "average"} for i in range(len(params))]
        rows = zip(clip(o, gradients), decay(o, params, rate), own, strict=True)
        stepped = [rule(o, g, w, state, rate, step) for g, w, state in rows]
        after, state = [w for w, _ in stepped], _gather([state for _, state in stepped])
        if o["use_ema"]:
            after, state["average"] = average(o, after, slots["average"], step)
        return after, state

    def finalize(self, slots: Mapping[str, Sequence[Any]], params: Sequence[Any]) -> list[Any]:
        """The parameters to hand out: their average where one is kept and has not been taking their place already."""
        if self.options["use_ema"] and self.options["ema_overwrite_frequency"] is None:
            return list(slots["average"])
        return list(params)


def _gather(states: Sequence[State]) -> Slots:
    """From the state of each parameter to a list per slot."""
    return {name: [state[name] for state in states] for name in (states[0] if states else ())}


def make(name: str, options: Mapping[str, object]) -> Optimizer:
    """The optimizer `name` with Keras' options; raises TapeError("usage") with what there is."""
    key = name.lower()
    if key not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    settings = read_options(key, OPTIMIZERS[key].options, options)
    check_clips(key, settings)
    return _known(Optimizer(key, settings))


@lru_cache(maxsize=32)
def _known(optimizer: Optimizer) -> Optimizer:
    """The first of those that are equal: programs are kept by their optimizer, and are found sooner by the same one."""
    return optimizer
