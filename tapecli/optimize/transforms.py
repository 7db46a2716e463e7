"""What every optimizer does around its own rule: clip the gradients, decay the weights, average the weights.

Each is a step of a sentence, clip -> decay -> rule -> average, in the order and with the options of Keras. All is
written in ops; what is chosen in Python depends on options only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapecli import ops
from tapecli.errors import TapeError
from tapecli.optimize.schedules import COUNT, FRACTION, NOT_NEGATIVE, POSITIVE, TRUTH, Option, Options, or_none

CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")

WEIGHT_DECAY = Option(
    "weight_decay", None, or_none(NOT_NEGATIVE), "shrink the weights by weight_decay · learning_rate before the step"
)

#: The options that every optimizer has beside its learning rate and weight decay.
COMMON: tuple[Option, ...] = (
    Option("clipnorm", None, or_none(POSITIVE), "the greatest length of each variable's gradient"),
    Option("clipvalue", None, or_none(POSITIVE), "the greatest size of each entry of a gradient"),
    Option("global_clipnorm", None, or_none(POSITIVE), "the greatest length of all gradients together"),
    Option("use_ema", False, TRUTH, "keep an exponential moving average of the weights"),
    Option("ema_momentum", 0.99, FRACTION, "the weight of the old average"),
    Option(
        "ema_overwrite_frequency", None, or_none(COUNT), "put the average in the weights' place every so many steps"
    ),
)


def check_clips(owner: str, o: Options) -> None:
    """At most one of the three ways to clip may be set."""
    chosen = [name for name in CLIPS if o[name] is not None]
    if len(chosen) > 1:
        message = f"`{owner}` can clip in one way only, not by {' and '.join(chosen)}"
        raise TapeError("usage", message, hint=f"keep one of {', '.join(CLIPS)}")


def clip(o: Options, gradients: Sequence[Any]) -> list[Any]:
    """The gradients, shortened where they are longer than allowed (Pascanu, Mikolov and Bengio, ICML 2013)."""
    if o["clipnorm"] is not None:
        limit = o["clipnorm"]
        return [g * limit / ops.maximum(ops.norm(g), limit) for g in gradients]
    if o["global_clipnorm"] is not None and gradients:
        limit = o["global_clipnorm"]
        length = ops.norm(ops.stack(*[ops.norm(g) for g in gradients]))
        scale = limit * (1.0 / ops.maximum(length, limit)) + (length - length)  # nan where the length is not finite
        return [g * scale for g in gradients]
    if o["clipvalue"] is not None:
        return [ops.clip(g, -o["clipvalue"], o["clipvalue"]) for g in gradients]
    return list(gradients)


def decay(o: Options, params: Sequence[Any], rate: Any) -> list[Any]:
    """Decoupled weight decay (Loshchilov and Hutter, ICLR 2019), before the step."""
    if o["weight_decay"] is None:
        return list(params)
    return [w - w * o["weight_decay"] * rate for w in params]


def average(o: Options, params: Sequence[Any], averages: Sequence[Any], step: Any) -> tuple[list[Any], list[Any]]:
    """The weights and their moving average (Polyak and Juditsky, 1992) after a step; the first step copies.

    With `ema_overwrite_frequency` the average takes the place of the weights at its multiples.
    """
    keep = o["ema_momentum"] * ops.not_equal(step, 1.0)
    averages = [keep * mean + (1.0 - keep) * w for mean, w in zip(averages, params, strict=True)]
    every = o["ema_overwrite_frequency"]
    if every is None:
        return list(params), averages
    due = ops.equal(ops.mod(step, every), 0.0)
    return [ops.where(due, mean, w) for mean, w in zip(averages, params, strict=True)], averages
