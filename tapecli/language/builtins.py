"""Functions of the language that are more than one op: reductions, sizes, filled arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from tapecli.graph import shape_text
from tapecli.language.algebra import ALGEBRA
from tapecli.language.calculus import CALCULUS, Builtin
from tapecli.language.machine import Machine
from tapecli.language.special import SPECIAL
from tapecli.language.values import Tuple
from tapecli.ops import reductions


def _axes(m: Machine, x: Any, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    number = m.whole(axis, "an axis")
    if not 1 <= number <= x.ndim:
        raise m.error("index", f"there is no axis {number} of {shape_text(x.shape)}", hint="axes are counted from 1")
    return (number - 1,)


def _sum(m: Machine, x: Any, axis: Any = None) -> Any:
    x = m.node(x, "`sum`")
    return m.apply("sum", x, axes=_axes(m, x, axis))


def _mean(m: Machine, x: Any, axis: Any = None) -> Any:
    x = m.node(x, "`mean`")
    axes = _axes(m, x, axis)
    count = int(np.prod([x.shape[a] for a in axes]))
    if count == 0:
        raise m.error("shape", "there is no mean of no entries")
    return m.apply("div", m.apply("sum", x, axes=axes), float(count))


def _prod(m: Machine, x: Any, axis: Any = None) -> Any:
    x = m.node(x, "`prod`")
    return m.over(reductions.prod, x, _axes(m, x, axis))


def _extreme(one: str, many: str) -> Callable[..., Any]:
    def build(m: Machine, *args: Any, axis: Any = None) -> Any:
        nodes = [m.node(arg, f"`{many}`") for arg in args]
        if len(nodes) > 1:
            if axis is not None:
                raise m.error("type", f"`{many}` takes an axis with one array only")
            return reduce(lambda x, y: m.together(one, [x, y], tie=m.options["tie"]), nodes)
        (x,) = nodes
        if not x.size:
            raise m.error("shape", f"there is no {many} of no entries")
        return m.apply(many, x, axes=_axes(m, x, axis))

    return build


def _norm(m: Machine, x: Any, axis: Any = None) -> Any:
    x = m.node(x, "`norm`")
    return m.apply("norm", x, axes=_axes(m, x, axis))


def _centred(m: Machine, x: Any, name: str, axis: Any) -> tuple[Any, tuple[int, ...], float]:
    """Deviations from the mean along an axis, the axes, and the number of entries."""
    x = m.node(x, f"`{name}`")
    axes = _axes(m, x, axis)
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    mean = m.apply("reshape", _mean(m, x, axis), shape=kept)
    return m.apply("sub", x, mean), axes, float(np.prod([x.shape[a] for a in axes]))


def _variance(m: Machine, x: Any, axis: Any = None) -> Any:
    deviation, axes, count = _centred(m, x, "variance", axis)
    return m.apply("div", m.apply("sum", m.apply("power", deviation, exponent=2.0), axes=axes), count)


def _std(m: Machine, x: Any, axis: Any = None) -> Any:
    deviation, axes, count = _centred(m, x, "std", axis)
    return m.apply("div", m.apply("norm", deviation, axes=axes), float(np.sqrt(count)))


def _running(name: str) -> Callable[..., Any]:
    def build(m: Machine, x: Any, axis: Any = None) -> Any:
        x = m.node(x, f"`{name}`")
        if axis is None and x.ndim != 1:
            raise m.error("shape", f"`{name}` needs an axis for {shape_text(x.shape)}", hint=f"{name}(x, axis=1)")
        (along,) = _axes(m, x, axis)
        if name == "cumsum":
            return m.apply("cumsum", x, axis=along)
        return m.over(lambda node, axes: reductions.cumprod(node, axis=axes[0]), x, (along,))

    return build


def _log(m: Machine, x: Any, base: Any = None) -> Any:
    x = m.apply("log", m.node(x, "`log`"))
    return x if base is None else m.apply("div", x, m.apply("log", m.node(base, "`log`")))


def _len(m: Machine, x: Any) -> Any:
    if isinstance(x, Tuple):
        return m.graph.literal(float(len(x.items)))
    node = m.node(x, "`len`")
    if not node.shape:
        raise m.error("shape", "a number has no length")
    return m.graph.literal(float(node.shape[0]))


def _shape(m: Machine, x: Any) -> Any:
    return m.graph.literal(np.array(m.node(x, "`shape`").shape, dtype=float))


def _filled(value: float) -> Callable[..., Any]:
    def build(m: Machine, *sizes: Any) -> Any:
        shape = [m.whole(size, "a size") for size in sizes]
        if min(shape) < 0:
            raise m.error("value", f"a size is not negative, and this is {min(shape)}")
        m.room(shape, "this array")
        return m.graph.literal(np.full(shape, value))

    return build


def _linspace(m: Machine, first: Any, last: Any, count: Any) -> Any:
    n = m.whole(count, "the number of entries")
    if n < 2:
        raise m.error("value", f"`linspace` needs 2 entries or more, and has {n}")
    first, last = m.node(first), m.node(last)
    m.room((n,), "this array", 4)
    steps = m.graph.literal(np.arange(n) / (n - 1))
    return m.apply("add", m.apply("mul", first, 1.0 - steps.params["value"]), m.apply("mul", last, steps))


MANY = 1 << 30
BUILTINS: dict[str, Builtin] = {
    "log": Builtin("log(x) or log(x, base)", 1, 2, (), _log, "the natural logarithm, or that to a base"),
    "pow": Builtin("pow(x, y)", 2, 2, (), lambda m, x, y: m.binary("pow", x, y), "x to the power y"),
    "sum": Builtin("sum(x) or sum(x, axis=k)", 1, 1, ("axis",), _sum, "the sum of the entries"),
    "prod": Builtin("prod(x) or prod(x, axis=k)", 1, 1, ("axis",), _prod, "the product of the entries"),
    "mean": Builtin("mean(x) or mean(x, axis=k)", 1, 1, ("axis",), _mean, "the mean of the entries"),
    "max": Builtin(
        "max(x), max(x, axis=k) or max(a, b, …)",
        1,
        MANY,
        ("axis",),
        _extreme("maximum", "max"),
        "the greatest entry, or the greatest of several",
    ),
    "min": Builtin(
        "min(x), min(x, axis=k) or min(a, b, …)",
        1,
        MANY,
        ("axis",),
        _extreme("minimum", "min"),
        "the least entry, or the least of several",
    ),
    "norm": Builtin("norm(x) or norm(x, axis=k)", 1, 1, ("axis",), _norm, "the Euclidean length"),
    "variance": Builtin(
        "variance(x) or variance(x, axis=k)", 1, 1, ("axis",), _variance, "the mean square deviation from the mean"
    ),
    "std": Builtin(
        "std(x) or std(x, axis=k)", 1, 1, ("axis",), _std, "the root of the variance; its derivative is 0 where it is 0"
    ),
    "cumsum": Builtin("cumsum(x) or cumsum(x, axis=k)", 1, 1, ("axis",), _running("cumsum"), "running sums"),
    "cumprod": Builtin("cumprod(x) or cumprod(x, axis=k)", 1, 1, ("axis",), _running("cumprod"), "running products"),
    "len": Builtin("len(x)", 1, 1, (), _len, "the number of entries"),
    "shape": Builtin("shape(x)", 1, 1, (), _shape, "the sizes of an array"),
    "zeros": Builtin("zeros(n) or zeros(n, m)", 1, MANY, (), _filled(0.0), "an array of zeros"),
    "ones": Builtin("ones(n) or ones(n, m)", 1, MANY, (), _filled(1.0), "an array of ones"),
    "linspace": Builtin(
        "linspace(first, last, n)", 3, 3, (), _linspace, "n numbers in equal steps, both ends included"
    ),
    **CALCULUS,
    **ALGEBRA,
    **SPECIAL,
}
