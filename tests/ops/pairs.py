"""The ops of two arguments in exact terms: `f, fx, fy, fxx, fxy, fyy` by mpmath, from formulas of their own.

Where a result is a difference, the greatest term of each follows or, where only second derivatives are, of the last
three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
from singles import ONE

TWO: dict[str, Callable[..., tuple[Any, ...]]] = {}


def two(name: str) -> Callable[[Any], Any]:
    def keep(f: Any) -> Any:
        TWO[name] = f
        return f

    return keep


def _comparisons() -> None:
    o = mp.mpf(0)
    for name, f in {
        "less": lambda x, y: x < y,
        "less_equal": lambda x, y: x <= y,
        "equal": lambda x, y: x == y,
        "not_equal": lambda x, y: x != y,
        "logical_and": lambda x, y: x != 0 and y != 0,
        "logical_or": lambda x, y: x != 0 or y != 0,
    }.items():
        TWO[name] = lambda x, y, f=f: (mp.mpf(f(x, y)), o, o, o, o, o)


@two("add")
def _(x: Any, y: Any) -> Any:
    return x + y, 1, 1, 0, 0, 0


@two("sub")
def _(x: Any, y: Any) -> Any:
    return x - y, 1, -1, 0, 0, 0


@two("mul")
def _(x: Any, y: Any) -> Any:
    return x * y, y, x, 0, 1, 0


@two("div")
def _(x: Any, y: Any) -> Any:
    return x / y, 1 / y, -x / y**2, 0, -1 / y**2, 2 * x / y**3


@two("xdivy")
def _(x: Any, y: Any) -> Any:
    return TWO["div"](x, y)


@two("mod")
def _(x: Any, y: Any) -> Any:
    n = mp.floor(x / y)
    return x - n * y, 1, -n, 0, 0, 0


@two("maximum")
def _(x: Any, y: Any, tie: float) -> Any:
    share = mp.mpf(tie) if x == y else mp.mpf(x > y)
    return max(x, y), share, 1 - share, 0, 0, 0


@two("minimum")
def _(x: Any, y: Any, tie: float) -> Any:
    share = mp.mpf(tie) if x == y else mp.mpf(x < y)
    return min(x, y), share, 1 - share, 0, 0, 0


@two("hypot")
def _(x: Any, y: Any) -> Any:
    r = mp.hypot(x, y)
    return r, x / r, y / r, y**2 / r**3, -x * y / r**3, x**2 / r**3


@two("ratio")
def _(x: Any, y: Any) -> Any:
    r = mp.hypot(x, y)
    a, b = y * (2 * x**2 - y**2) / r**5, x * (2 * y**2 - x**2) / r**5
    size = abs(y) / r**3, abs(x) / r**3
    return x / r, y**2 / r**3, -x * y / r**3, -3 * x * y**2 / r**5, a, b, 0, *size


@two("atan2")
def _(y: Any, x: Any) -> Any:
    s = x**2 + y**2
    v = mp.atan2(y, x)
    return v, x / s, -y / s, -2 * x * y / s**2, (y**2 - x**2) / s**2, 2 * x * y / s**2, 0, max(x**2, y**2) / s**2, 0


@two("pow")
def _(x: Any, y: Any) -> Any:
    p, w = x**y, mp.log(x)
    q = p / x
    return p, y * q, p * w, y * (y - 1) * q / x, q * (1 + y * w), p * w**2, 0, max(q, abs(q * y * w)), 0


@two("power_dx")
def _(x: Any, y: Any) -> Any:
    p, w = x ** (y - 1), mp.log(x)
    q = p / x
    second = y * (y - 1) * (y - 2) * q / x, (2 * y - 1) * q + y * (y - 1) * q * w, p * w * (2 + y * w)
    size = max(abs(q), abs(2 * y * q), abs(y * (y - 1) * q * w)), max(abs(2 * p * w), abs(p * y * w * w))
    return y * p, y * (y - 1) * q, p * (1 + y * w), *second, 0, 0, max(p, abs(p * y * w)), 0, *size


@two("power_dxx")
def _(x: Any, y: Any) -> Any:
    q, w = x ** (y - 2), mp.log(x)
    t = q / x
    c = y * (y - 1)
    third = (2 * y - 1) * q + c * q * w
    xxxx = c * (y - 2) * (y - 3) * t / x
    xxxy = (3 * y**2 - 6 * y + 2) * t + c * (y - 2) * t * w
    size = (6 * y**2 + 12 * abs(y) + 6) * t * (1 + abs(w))
    xxyy = 2 * q + 2 * (2 * y - 1) * q * w + c * q * w**2
    more = (2 + 2 * abs(2 * y - 1) * abs(w) + abs(c) * w**2) * q
    return c * q, c * (y - 2) * t, third, xxxx, xxxy, xxyy, 0, 0, abs((2 * y - 1) * q) + abs(c * q * w), 0, size, more


@two("power_dxy")
def _(x: Any, y: Any) -> Any:
    p, w = x ** (y - 1), mp.log(x)
    q = p / x
    c = y * (y - 1)
    first = (2 * y - 1) * q + c * q * w, p * w * (2 + y * w)
    xxx = (3 * y**2 - 6 * y + 2) * q / x + c * (y - 2) * q / x * w
    xxy = 2 * q + 2 * (2 * y - 1) * q * w + c * q * w**2
    xyy = p * w**2 * (3 + y * w)
    size = (6 * y**2 + 12 * abs(y) + 6) * q * (1 + abs(w))
    many = p * max(1, abs(y * w)), size, 2 * abs(p * w) + abs(p * y * w * w), size / x
    return p * (1 + y * w), *first, xxx, xxy, xyy, *many, size * (1 + abs(w)), 3 * p * w**2 * (1 + abs(y * w))


@two("power_log")
def _(x: Any, y: Any, k: int) -> Any:
    p, w = x**y, mp.log(x)
    q = p / x
    y1 = w ** (k - 1) * (y * w + k)
    z1 = w**k * (y * w + k + 1)
    xx = p / x**2 * ((y - 1) * y1 + (k - 1) * w ** (k - 2) * (y * w + k) + w ** (k - 1) * y)
    size = (1 + y * y) * (1 + k * k) * p / x**2 * (1 + abs(w) ** k + abs(w) ** (k - 2)) * 4
    big = (abs(y * w) + k + 1) * abs(w) ** k * q
    return (
        p * w**k,
        q * y1,
        p * w ** (k + 1),
        xx,
        q * z1,
        p * w ** (k + 2),
        0,
        max(abs(y * w), k) * abs(w) ** (k - 1) * q,
        0,
        size,
        big,
        0,
    )


@two("logaddexp")
def _(x: Any, y: Any) -> Any:
    s, s1, _ = ONE["sigmoid"]
    top, d = max(x, y), x - y
    c = s1(d)
    return top + mp.log1p(mp.exp(-abs(d))), s(d), s(-d), c, -c, c


@two("logaddexp_share")
def _(x: Any, y: Any) -> Any:
    s, s1, s2 = ONE["sigmoid"]
    d = x - y
    return s(d), s1(d), -s1(d), s2(d), -s2(d), s2(d)


@two("logaddexp_d2")
def _(x: Any, y: Any) -> Any:
    s1, s2, s3 = ONE["sigmoid_d1"]
    d = x - y
    return s1(d), s2(d), -s2(d), s3(d), -s3(d), s3(d)


@two("xlogy")
def _(x: Any, y: Any) -> Any:
    return x * mp.log(y), mp.log(y), x / y, 0, 1 / y, -x / y**2


@two("xlog1py")
def _(x: Any, y: Any) -> Any:
    z = 1 + y
    return x * mp.log1p(y), mp.log1p(y), x / z, 0, 1 / z, -x / z**2


@two("lbeta")
def _(x: Any, y: Any) -> Any:
    z = x + y
    p = mp.psi
    v = mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(z)
    t = p(1, z)
    return v, p(0, x) - p(0, z), p(0, y) - p(0, z), p(1, x) - t, -t, p(1, y) - t


@two("beta")
def _(x: Any, y: Any) -> Any:
    v, a, b, aa, ab, bb = TWO["lbeta"](x, y)
    c = mp.exp(v)
    return c, c * a, c * b, c * (a * a + aa), c * (a * b + ab), c * (b * b + bb)


@two("beta_dx")
def _(x: Any, y: Any) -> Any:
    p = mp.psi
    _, v, _, aa, ab, _ = TWO["beta"](x, y)
    b, _, _, _, _, _ = TWO["beta"](x, y)
    s = x + y
    f, g, h = p(0, x) - p(0, s), p(0, y) - p(0, s), p(1, s)
    f1, g1, h1 = p(1, x) - h, p(1, y) - h, p(2, s)
    f2 = p(2, x) - h1
    third = (
        b * (f**3 + 3 * f * f1 + f2),
        b * (f * f * g + f1 * g - 2 * f * h - h1),
        b * (f * g * g + g1 * f - 2 * g * h - h1),
    )
    sizes = (
        b * max(abs(f**3), abs(f2)),
        b * max(abs(f * f * g), abs(f1 * g), abs(f * h), abs(h1)),
        b * max(abs(f * g * g), abs(g1 * f), abs(g * h), abs(h1)),
    )
    return v, aa, ab, *third, *sizes


@two("beta_dxy")
def _(x: Any, y: Any) -> Any:
    ab, xx, xy = TWO["beta"](x, y)[4], TWO["beta_dx"](x, y), TWO["beta_dx"](y, x)
    return ab, xx[4], xy[4], 0, 0, 0, xx[7], xy[7], 0


@two("digamma_diff")
def _(x: Any, y: Any) -> Any:
    z, p = x + y, mp.psi
    t = p(2, z)
    return p(0, x) - p(0, z), p(1, x) - p(1, z), -p(1, z), p(2, x) - t, -t, -t, abs(p(2, x)), 0, 0


@two("trigamma_diff")
def _(x: Any, y: Any) -> Any:
    z, p = x + y, mp.psi
    t = p(3, z)
    return p(1, x) - p(1, z), p(2, x) - p(2, z), -p(2, z), p(3, x) - t, -t, -t, p(3, x), 0, 0


_comparisons()
