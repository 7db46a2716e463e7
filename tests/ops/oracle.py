"""What the ops of the table are in exact terms: values and derivatives by mpmath, from formulas of their own.

Used by make_facts.py and sweep.py; the tests themselves read facts.json and need no mpmath.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp
from pairs import TWO
from singles import ONE, sgn, sinc

#: The value, the first and the second derivatives (row by row), and the sizes that their errors count by.
Exact = tuple[Any, tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]


def _power(x: Any, n: float) -> tuple[Any, Any, Any]:
    e = mp.mpf(n)
    sign = 1 if x > 0 or n % 2 == 0 else -1
    a = abs(x)
    return sign * a**e, sign * sgn(x) * e * a ** (e - 1), sign * e * (e - 1) * a ** (e - 2)


def known(name: str) -> bool:
    """Whether there are exact terms for an op here; those that rest on SciPy have theirs in tests/special."""
    return name in ONE or name in TWO or name in ("power", "gamma_d", "polygamma", "sinc_d", "clip", "select")


def exact(name: str, params: dict[str, Any], args: tuple[float, ...]) -> Exact:
    """The op at `args`."""
    x = [mp.mpf(a) for a in args]
    if name == "power":
        v, d, dd = _power(x[0], params["exponent"])
        return v, (d,), (dd,), (0,) * 13
    if name == "gamma_d":
        g, a, b, c, d = mp.gamma(x[0]), *[mp.psi(k, x[0]) for k in range(4)]
        chain = a, a**2 + b, a**3 + 3 * a * b + c, a**4 + 6 * a**2 * b + 3 * b**2 + 4 * a * c + d
        v, first, second = [g * t for t in chain[params["n"] - 1 :][:3]]
        return v, (first,), (second,), (0,) * 13
    if name in ("polygamma", "sinc_d"):
        n = params["n"]
        f = sinc if name == "sinc_d" else (lambda z, k: mp.psi(k, z))
        return f(x[0], n), (f(x[0], n + 1),), (f(x[0], n + 2),), (0,) * 13
    if name == "clip":
        v, low, high = x
        first = [mp.mpf(low <= v <= high), mp.mpf(v < low), mp.mpf(v > high)]
        return min(max(v, low), high), tuple(first), (mp.mpf(0),) * 9, (0,) * 13
    if name == "select":
        c, v, w = x
        return (v if c else w), (mp.mpf(0), mp.mpf(c != 0), mp.mpf(c == 0)), (mp.mpf(0),) * 9, (0,) * 13
    if name in ONE:  # a unit is examined as 1
        f, f1, f2 = ONE[name]
        return f(x[0]), (f1(x[0]),), (f2(x[0]),), (0,) * 13
    v, a, b, aa, ab, bb, *sizes = [mp.mpf(t) for t in TWO[name](*x, **params)]
    o, p, q, r, s, t = sizes if len(sizes) == 6 else (0, 0, 0, *(sizes or (0, 0, 0)))
    return v, (a, b), (aa, ab, ab, bb), (o, p, q, r, s, s, t)
