"""Random start values: `normal(mean, sd)` and `uniform(low, high)`."""

from __future__ import annotations

import numpy as np

from tapecli.core import Array
from tapecli.graph import shape_text
from tapecli.language.machine import Machine


def drawn(
    m: Machine, random: np.random.Generator, name: str, first: Array, second: Array, sizes: tuple[int, ...]
) -> Array:
    """Entries of the shape `sizes`, or without sizes of the arguments' own; raises TapeError for what has no draw."""
    shapes = [np.shape(first), np.shape(second)]
    try:
        shape = np.broadcast_shapes(*shapes, *([sizes] if sizes else []))
    except ValueError:
        shape = None
    if shape is None or (sizes and shape != sizes):
        said = " and ".join(shape_text(one) for one in shapes)
        wanted = f" for {shape_text(sizes)}" if sizes else ""
        raise m.error("shape", f"`{name}` needs sizes that match, and has {said}{wanted}")
    with np.errstate(all="ignore"):
        if name == "normal":
            if not np.all(second >= 0):
                raise m.error("value", "a standard deviation is a number, 0 or more", hint="normal(mean, sd)")
            return np.asarray(random.normal(first, second, shape))
        if not np.all(np.isfinite(np.subtract(second, first)) & (first <= second)):
            raise m.error("value", "`uniform` needs two finite ends, the lower one first", hint="uniform(low, high)")
        return np.asarray(random.uniform(first, second, shape))
