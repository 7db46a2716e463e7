"""Special functions of the language that need more than their op's name: an order, an axis, or SciPy installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapecli.core import TABLE
from tapecli.language.calculus import Builtin
from tapecli.language.machine import Machine
from tapecli.ops import scientific


def _needs_scipy(m: Machine, name: str) -> None:
    """Refuses a function whose library is not installed, where its call stands."""
    if not scientific.available():
        error = scientific.missing(name)
        raise m.error(error.code, error.message, hint=error.hint)


def _on_scipy(name: str, signature: str) -> Builtin:
    """An op that rests on SciPy, under its own name."""
    op = TABLE[name]
    count = len(op.vjps)  # type: ignore[arg-type]

    def build(m: Machine, *args: Any) -> Any:
        _needs_scipy(m, name)
        return m.together(name, [m.node(arg, f"`{name}`") for arg in args])

    return Builtin(signature, count, count, (), build, op.doc)


def _zeta(m: Machine, s: Any, a: Any = None) -> Any:
    _needs_scipy(m, "zeta")
    a = m.graph.literal(1.0) if a is None else m.node(a, "`zeta`")
    return m.together("zeta", [m.node(s, "`zeta`"), a])


def _polygamma(m: Machine, n: Any, x: Any) -> Any:
    order = m.whole(n, "the order of `polygamma`")
    if order < 0:
        raise m.error("value", f"the order of `polygamma` is 0 or greater, and is {order}")
    x = m.node(x, "`polygamma`")
    return m.apply(("digamma", "trigamma")[order], x) if order < 2 else m.apply("polygamma", x, n=order)


def _chebyshevt(m: Machine, n: Any, x: Any) -> Any:
    return m.together("chebyshevt", [m.node(n, "`chebyshevt`"), m.node(x, "`chebyshevt`")])


def _along(name: str) -> Callable[..., Any]:
    def build(m: Machine, x: Any, axis: Any = None) -> Any:
        from tapecli.language.builtins import _axes  # which lists the functions of this module

        x = m.node(x, f"`{name}`")
        if not x.size:
            raise m.error("shape", f"there is no {name} of no entries")
        return m.apply(name, x, axes=_axes(m, x, axis))

    return build


#: Ops that rest on SciPy, and how they are called.
ON_SCIPY = {
    "erfinv": "erfinv(x)",
    "erfcinv": "erfcinv(x)",
    "erfcx": "erfcx(x)",
    "dawson": "dawson(x)",
    "fresnels": "fresnels(x)",
    "fresnelc": "fresnelc(x)",
    "sinint": "sinint(x)",
    "cosint": "cosint(x)",
    "expint": "expint(x)",
    "lowergamma": "lowergamma(s, x)",
    "besselj": "besselj(n, x)",
    "bessely": "bessely(n, x)",
    "besseli": "besseli(n, x)",
    "besselk": "besselk(n, x)",
    "airyai": "airyai(x)",
    "airyaiprime": "airyaiprime(x)",
    "airybi": "airybi(x)",
    "airybiprime": "airybiprime(x)",
    "ellipk": "ellipk(m)",
    "ellipe": "ellipe(m)",
    "lambertw": "lambertw(x)",
}
SPECIAL: dict[str, Builtin] = {
    **{name: _on_scipy(name, signature) for name, signature in ON_SCIPY.items()},
    "zeta": Builtin("zeta(s) or zeta(s, a)", 1, 2, (), _zeta, TABLE["zeta"].doc),
    "polygamma": Builtin(
        "polygamma(n, x)", 2, 2, (), _polygamma, "the n-th derivative of digamma; n is a whole number"
    ),
    "chebyshevt": Builtin("chebyshevt(n, x)", 2, 2, (), _chebyshevt, TABLE["chebyshevt"].doc),
    "logsumexp": Builtin(
        "logsumexp(x) or logsumexp(x, axis=k)",
        1,
        1,
        ("axis",),
        _along("logsumexp"),
        "log(sum(exp(x))) without overflow; entries that are infinite and tie share its derivative",
    ),
    "softmax": Builtin(
        "softmax(x) or softmax(x, axis=k)",
        1,
        1,
        ("axis",),
        _along("softmax"),
        "exp(x) / sum(exp(x)), the derivative of logsumexp",
    ),
}
