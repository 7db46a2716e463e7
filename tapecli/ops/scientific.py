"""Special functions beyond the gamma family: Bessel, Airy, elliptic, Lambert and their like.

All but Chebyshev's polynomials, logsumexp and softmax rest on scipy.special, an optional dependency (the extra
`special`), which is imported at the first call. Relative errors in double precision, of value, first and second
derivative, stay below 1e-12 on ordinary arguments, mostly below 1e-14. They are greater

- beside the zeros of functions that oscillate, where it is the error against their amplitude that stays small: 1e-14
  for the Bessel and Airy functions (so 4e-12 of airybi at -23.5, 2e-13 of bessely at its first zero);
- in the derivatives of dawson from the third on, which lose digits as x nears 6.5;
- in zeta(s, a) for s < 0 and a ≠ 1, a sum that cancels: 1e-12 at s = -2.5, 1e-10 at s = -4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tapecli.core import Op, Rule, Shape, Value, elementwise, shape_of
from tapecli.errors import TapeError
from tapecli.ops.arithmetic import abs, equal, less, select
from tapecli.ops.late import late
from tapecli.ops.linear import _expand, _sum_shape, sum_
from tapecli.ops.lowering import Numbered, Written
from tapecli.ops.powers import exp, log1p, positive, pow
from tapecli.ops.reductions import max_
from tapecli.ops.special import exp_neg_sq
from tapecli.ops.trigonometry import cos, cospi, sin, sinc, sinpi

R = "real"
POSITIVE = "x > 0"
ROOT_PI_HALF = 0.5 * math.sqrt(math.pi)
INSTALL = "pip install 'tapecli[special]'"

_LINE = ((0.5,), (-1.3,), (2.5,), (1e-3,))
_HALF = ((0.5,), (2.5,), (1e-3,), (30.0,))
_ORDERS = ((0.0, 0.5), (1.0, 2.5), (2.5, 10.0), (3.0, 1e-2))


def available() -> bool:
    """Whether SciPy is installed; it is not imported to find out."""
    from importlib.util import find_spec

    return find_spec("scipy") is not None


def missing(name: str) -> TapeError:
    """The error for a function whose library is not installed."""
    return TapeError("unsupported", f"`{name}` needs SciPy, which is not installed", hint=INSTALL)


def _scipy(name: str) -> Callable[..., Any]:
    """The kernel `name`, which rests on SciPy."""
    found = late("scientific", name)

    def kernel(*args: Any, **params: Any) -> Any:
        try:
            return found(*args, **params)
        except ModuleNotFoundError:
            raise missing(name) from None

    return kernel


def _place(out: Any) -> Any:
    """Where a recorded value stands in the source, if anything under it knows."""
    while isinstance(out, Value) and not hasattr(out, "place"):
        out = getattr(out, "value", None)
    return getattr(out, "place", None)


def _refused(name: str, argument: str) -> Rule:
    """The rule of an argument whose derivative is not offered. A rule runs only where its derivative is asked for."""

    def rule(g: Any, out: Any, *args: Any, **params: Any) -> Any:
        raise TapeError(
            "unsupported",
            f"`{name}` has no derivative to its {argument}",
            place=_place(out),
            hint=f"make the {argument} of numbers, constants and data, or hold it with stop(…)",
        )

    return rule


# ---- error functions ----------------------------------------------------------------------------------------------

erfinv: Op = elementwise(
    "erfinv",
    kernel=_scipy("erfinv"),
    complex=None,
    vjps=(lambda g, out, x: g * (ROOT_PI_HALF / exp_neg_sq(out)),),
    native=lambda b, x: b.erfinv(x),
    domain="-1 < x < 1",
    points=((0.5,), (-0.9,), (1e-9,), (0.9999,)),
    doc="the inverse of erf",
)
erfcinv: Op = elementwise(
    "erfcinv",
    kernel=_scipy("erfcinv"),
    complex=None,
    vjps=(lambda g, out, x: -g * (ROOT_PI_HALF / exp_neg_sq(out)),),
    native=lambda b, x: b.erfcinv(x),
    domain="0 < x < 2",
    points=((0.5,), (1.9,), (1e-9,), (0.9999,)),
    doc="the inverse of erfc",
)
erfcx: Op = elementwise(
    "erfcx",
    kernel=_scipy("erfcx"),
    complex=None,
    vjps=(lambda g, out, x: g * erfcx_d(x, n=1),),  # 2 x out - 2/sqrt(π) would cancel
    native=lambda b, x: b.erfcx(x),
    domain=R,
    points=(*_LINE, (30.0,), (1e5,), (-5.0,)),
    doc="exp(x^2) erfc(x)",
)
erfcx_d: Op = elementwise(
    "erfcx_d",
    kernel=_scipy("erfcx_d"),
    complex=None,
    vjps=(lambda g, out, x, n: g * erfcx_d(x, n=n + 1),),
    native=Numbered("erfcx_d", (1, 2)),
    domain=R,
    points=(*_LINE, (30.0,), (1e5,), (-5.0,)),
    doc="the n-th derivative of erfcx",
)
dawson: Op = elementwise(
    "dawson",
    kernel=_scipy("dawson"),
    complex=None,
    vjps=(lambda g, out, x: g * dawson_d(x, n=1),),  # 1 - 2 x out would cancel
    native=None,
    domain=R,
    points=(*_LINE, (30.0,), (1e5,)),
    doc="Dawson's integral, exp(-x^2) times the integral of exp(t^2) from 0 to x",
)
dawson_d: Op = elementwise(
    "dawson_d",
    kernel=_scipy("dawson_d"),
    complex=None,
    vjps=(lambda g, out, x, n: g * dawson_d(x, n=n + 1),),
    native=None,
    domain=R,
    points=(*_LINE, (30.0,), (1e5,)),
    doc="the n-th derivative of dawson",
)

# ---- integrals ----------------------------------------------------------------------------------------------------

fresnels: Op = elementwise(
    "fresnels",
    kernel=_scipy("fresnels"),
    complex=None,
    vjps=(lambda g, out, x: g * sinpi(0.5 * (x * x)),),
    native=None,
    domain=R,
    points=_LINE,
    doc="the integral of sin(π t^2 / 2) from 0 to x",
)
fresnelc: Op = elementwise(
    "fresnelc",
    kernel=_scipy("fresnelc"),
    complex=None,
    vjps=(lambda g, out, x: g * cospi(0.5 * (x * x)),),
    native=None,
    domain=R,
    points=_LINE,
    doc="the integral of cos(π t^2 / 2) from 0 to x",
)
sinint: Op = elementwise(
    "sinint",
    kernel=_scipy("sinint"),
    complex=None,
    # sinc at 0, sin(x)/x where x/π would round
    vjps=(lambda g, out, x: g * select(less(abs(x), 1.0), sinc(x * (1.0 / math.pi)), sin(x) / x),),
    native=None,
    domain=R,
    points=(*_LINE, (30.0,)),
    doc="the integral of sin(t)/t from 0 to x",
)
cosint: Op = elementwise(
    "cosint",
    kernel=_scipy("cosint"),
    complex=None,
    vjps=(lambda g, out, x: g * (cos(x) / positive(x)),),
    native=None,
    domain=POSITIVE,
    points=_HALF,
    doc="the cosine integral, minus the integral of cos(t)/t from x to infinity",
)
expint: Op = elementwise(
    "expint",
    kernel=_scipy("expint"),
    complex=None,
    vjps=(lambda g, out, x: -g * (exp(-x) / positive(x)),),
    native=None,
    domain=POSITIVE,
    points=_HALF,
    doc="the exponential integral E1, the integral of exp(-t)/t from x to infinity",
)
lowergamma: Op = elementwise(
    "lowergamma",
    kernel=_scipy("lowergamma"),
    complex=None,
    vjps=(_refused("lowergamma", "shape"), lambda g, out, s, x: g * (pow(x, s - 1.0) * exp(-x))),
    native=None,
    domain="s > 0, x >= 0",
    points=((0.5, 0.7), (2.5, 1.2), (3.0, 10.0), (1.0, 0.1)),
    doc="the integral of t^(s-1) exp(-t) from 0 to x",
)

# ---- Bessel and Airy ----------------------------------------------------------------------------------------------

besselj: Op = elementwise(
    "besselj",
    kernel=_scipy("besselj"),
    complex=None,
    vjps=(_refused("besselj", "order"), lambda g, out, n, x: 0.5 * g * (besselj(n - 1.0, x) - besselj(n + 1.0, x))),
    native=None,
    domain="real; x >= 0 unless n is whole",
    points=_ORDERS,
    doc="the Bessel function J of order n",
)
bessely: Op = elementwise(
    "bessely",
    kernel=_scipy("bessely"),
    complex=None,
    vjps=(_refused("bessely", "order"), lambda g, out, n, x: 0.5 * g * (bessely(n - 1.0, x) - bessely(n + 1.0, x))),
    native=None,
    domain=POSITIVE,
    points=_ORDERS,
    doc="the Bessel function Y of order n",
)
besseli: Op = elementwise(
    "besseli",
    kernel=_scipy("besseli"),
    complex=None,
    vjps=(_refused("besseli", "order"), lambda g, out, n, x: 0.5 * g * (besseli(n - 1.0, x) + besseli(n + 1.0, x))),
    native=None,
    domain="real; x >= 0 unless n is whole",
    points=_ORDERS,
    doc="the modified Bessel function I of order n",
)
besselk: Op = elementwise(
    "besselk",
    kernel=_scipy("besselk"),
    complex=None,
    vjps=(_refused("besselk", "order"), lambda g, out, n, x: -0.5 * g * (besselk(n - 1.0, x) + besselk(n + 1.0, x))),
    native=None,
    domain=POSITIVE,
    points=_ORDERS,
    doc="the modified Bessel function K of order n",
)
airyai: Op = elementwise(
    "airyai",
    kernel=_scipy("airyai"),
    complex=None,
    vjps=(lambda g, out, x: g * airyaiprime(x),),
    native=None,
    domain=R,
    points=_LINE,
    doc="the Airy function Ai",
)
airyaiprime: Op = elementwise(
    "airyaiprime",
    kernel=_scipy("airyaiprime"),
    complex=None,
    vjps=(lambda g, out, x: g * (x * airyai(x)),),
    native=None,
    domain=R,
    points=_LINE,
    doc="the derivative of the Airy function Ai",
)
airybi: Op = elementwise(
    "airybi",
    kernel=_scipy("airybi"),
    complex=None,
    vjps=(lambda g, out, x: g * airybiprime(x),),
    native=None,
    domain=R,
    points=_LINE,
    doc="the Airy function Bi",
)
airybiprime: Op = elementwise(
    "airybiprime",
    kernel=_scipy("airybiprime"),
    complex=None,
    vjps=(lambda g, out, x: g * (x * airybi(x)),),
    native=None,
    domain=R,
    points=_LINE,
    doc="the derivative of the Airy function Bi",
)

# ---- elliptic, Lambert, zeta, Chebyshev ---------------------------------------------------------------------------

_BELOW_ONE = ((0.5,), (-1.5,), (1e-3,), (0.0,), (0.9,))
ellipk: Op = elementwise(
    "ellipk",
    kernel=_scipy("ellipk"),
    complex=None,
    vjps=(lambda g, out, m: g * ellipk_d(m, n=1),),
    native=None,
    domain="m < 1",
    points=_BELOW_ONE,
    doc="the complete elliptic integral of the first kind, of the parameter m",
)
ellipk_d: Op = elementwise(
    "ellipk_d",
    kernel=_scipy("ellipk_d"),
    complex=None,
    vjps=(lambda g, out, m, n: g * ellipk_d(m, n=n + 1),),
    native=None,
    domain="m < 1",
    points=_BELOW_ONE,
    doc="the n-th derivative of ellipk",
)
ellipe: Op = elementwise(
    "ellipe",
    kernel=_scipy("ellipe"),
    complex=None,
    vjps=(lambda g, out, m: g * ellipe_d(m, n=1),),
    native=None,
    domain="m <= 1",
    points=_BELOW_ONE,
    doc="the complete elliptic integral of the second kind, of the parameter m",
)
ellipe_d: Op = elementwise(
    "ellipe_d",
    kernel=_scipy("ellipe_d"),
    complex=None,
    vjps=(lambda g, out, m, n: g * ellipe_d(m, n=n + 1),),
    native=None,
    domain="m < 1",
    points=_BELOW_ONE,
    doc="the n-th derivative of ellipe",
)
lambertw: Op = elementwise(
    "lambertw",
    kernel=_scipy("lambertw"),
    complex=None,
    vjps=(lambda g, out, x: g / (exp(out) * (1.0 + out)),),
    native=lambda b, x: b.lambertw(x),
    domain="x >= -1/e",
    points=((0.5,), (-0.3,), (10.0,), (1e5,), (0.0,)),
    doc="the principal branch of Lambert's W, the inverse of x exp(x)",
)
zeta: Op = elementwise(
    "zeta",
    kernel=_scipy("zeta"),
    complex=None,
    vjps=(
        _refused("zeta", "exponent"),
        lambda g, out, s, a: g * select(equal(s, 0.0), -1.0, -s * zeta(s + 1.0, a)),
    ),
    native=None,
    domain="s ≠ 1, a > 0",
    points=((2.0, 1.0), (3.5, 0.3), (0.5, 2.5), (-0.7, 1.7)),
    doc="the zeta function, the sum of (a + k)^-s for k = 0, 1, …; without a, Riemann's, a = 1",
)

_DEGREES = ((0.0, 0.5), (1.0, -0.3), (2.0, 1.5), (5.0, 0.7), (12.0, -0.99))
chebyshevt: Op = elementwise(
    "chebyshevt",
    kernel=late("sums", "chebyshev"),
    complex=None,
    vjps=(_refused("chebyshevt", "degree"), lambda g, out, n, x: g * chebyshevt_d(x, n, k=1)),
    native=None,
    domain="real; n whole",
    points=_DEGREES,
    doc="Chebyshev's polynomial T of degree n",
)
chebyshevt_d: Op = elementwise(
    "chebyshevt_d",
    kernel=late("sums", "chebyshev_d"),
    complex=None,
    vjps=(lambda g, out, x, n, k: g * chebyshevt_d(x, n, k=k + 1), _refused("chebyshevt", "degree")),
    native=None,
    domain="real; n whole",
    points=tuple((x, n) for n, x in _DEGREES),
    doc="the k-th derivative of Chebyshev's polynomial T of degree n",
)

# ---- sums of exponentials -----------------------------------------------------------------------------------------


def _moved(g: Any, out: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """`softmax (g - sum(g softmax))`."""
    return out * (g - _expand(sum_(g * out, axes=axes), shape_of(x), axes))


def _same(x: Shape, axes: tuple[int, ...]) -> Shape:
    return x


def _peaks(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
    """As in the kernels: the greatest entries, where they stand, how many they are, and `exp(x - greatest)` of the
    others."""
    top = max_(x, axes=axes)
    wide = _expand(top, shape_of(x), axes)
    peak = equal(x, wide)
    others = select(peak, 0.0, exp(x - wide))
    return top, peak, sum_(peak, axes=axes), others


def _logsumexp_formula(dtype: Any, x: Any, axes: tuple[int, ...]) -> Any:
    top, _, count, others = _peaks(x, axes)
    return top + log1p(sum_(others, axes=axes) + (count - 1.0))


def _softmax_formula(dtype: Any, x: Any, axes: tuple[int, ...]) -> Any:
    top, peak, count, others = _peaks(x, axes)
    whole = select(equal(top, top), count + sum_(others, axes=axes), math.nan)
    return select(peak, 1.0, others) / _expand(whole, shape_of(x), axes)


logsumexp: Op = Op(
    "logsumexp",
    kind="dense",
    kernel=late("sums", "logsumexp"),
    complex=None,
    shape=lambda x, axes: _sum_shape(x, axes=axes),
    vjps=(lambda g, out, x, axes: _expand(g, shape_of(x), axes) * softmax(x, axes=axes),),
    native=Written(_logsumexp_formula),
    domain=R,
    points=(),
    doc="log(sum(exp(x))) along axes without overflow; its derivative is softmax(x)",
)
softmax: Op = Op(
    "softmax",
    kind="dense",
    kernel=late("sums", "softmax"),
    complex=None,
    shape=_same,
    vjps=(_moved,),
    native=Written(_softmax_formula),
    domain=R,
    points=(),
    doc="exp(x) / sum(exp(x)) along axes; infinite entries that tie have equal shares",
)
