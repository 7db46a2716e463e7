"""The ops of one argument in exact terms: value, first and second derivative by mpmath, from formulas of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

mp.mp.prec = 400

ONE: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {}

PI, LN2, LN10 = mp.pi, mp.log(2), mp.log(10)


def sgn(x: Any) -> Any:
    return mp.sign(x)


def circ(x: Any) -> Any:
    """sqrt(1 - x^2)."""
    return mp.sqrt((1 - x) * (1 + x))


def hyp(x: Any) -> Any:
    """sqrt(x^2 - 1)."""
    return mp.sqrt((x - 1) * (x + 1))


def one(name: str, f: Any, f1: Any, f2: Any) -> None:
    ONE[name] = (f, f1, f2)


def zero(x: Any) -> Any:
    return mp.mpf(0)


def _arithmetic() -> None:
    one("neg", lambda x: -x, lambda x: mp.mpf(-1), zero)
    one("abs", abs, sgn, zero)
    one("relu", lambda x: max(x, mp.mpf(0)), lambda x: mp.mpf(x > 0), zero)
    one("positive", lambda x: x, lambda x: mp.mpf(1), zero)
    one("stop", lambda x: x, zero, zero)
    one("sign", sgn, zero, zero)
    one("floor", mp.floor, zero, zero)
    one("ceil", mp.ceil, zero, zero)
    one("round", mp.nint, zero, zero)
    one("spacing", lambda x: mp.ldexp(1, mp.frexp(x)[1] - 53) * sgn(x), zero, zero)
    one("logical_not", lambda x: mp.mpf(x == 0), zero, zero)


def _powers() -> None:
    one("exp", mp.exp, mp.exp, mp.exp)
    one("expm1", mp.expm1, mp.exp, mp.exp)
    one("exp2", lambda x: 2**x, lambda x: LN2 * 2**x, lambda x: LN2**2 * 2**x)
    one("exp10", lambda x: mp.mpf(10) ** x, lambda x: LN10 * mp.mpf(10) ** x, lambda x: LN10**2 * mp.mpf(10) ** x)
    one("log", mp.log, lambda x: 1 / x, lambda x: -1 / x**2)
    one("log1p", mp.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2)
    one("log2", lambda x: mp.log(x) / LN2, lambda x: 1 / (x * LN2), lambda x: -1 / (x**2 * LN2))
    one("log10", lambda x: mp.log(x) / LN10, lambda x: 1 / (x * LN10), lambda x: -1 / (x**2 * LN10))
    one("sqrt", mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), lambda x: -1 / (4 * mp.sqrt(x) ** 3))

    def cbrt(x: Any) -> Any:
        return sgn(x) * mp.cbrt(abs(x))

    one("cbrt", cbrt, lambda x: 1 / (3 * cbrt(x) ** 2), lambda x: -2 / (9 * cbrt(x) ** 5))
    one("cbrt_d1", ONE["cbrt"][1], ONE["cbrt"][2], lambda x: 10 / (27 * cbrt(x) ** 8))


def _circular() -> None:
    sec, csc, cot = mp.sec, mp.csc, mp.cot
    one("sin", mp.sin, mp.cos, lambda x: -mp.sin(x))
    one("cos", mp.cos, lambda x: -mp.sin(x), lambda x: -mp.cos(x))
    one("tan", mp.tan, lambda x: sec(x) ** 2, lambda x: 2 * mp.tan(x) * sec(x) ** 2)
    one("sec", sec, lambda x: sec(x) * mp.tan(x), lambda x: sec(x) * (mp.tan(x) ** 2 + sec(x) ** 2))
    one("csc", csc, lambda x: -csc(x) * cot(x), lambda x: csc(x) * (cot(x) ** 2 + csc(x) ** 2))
    one("cot", cot, lambda x: -(csc(x) ** 2), lambda x: 2 * cot(x) * csc(x) ** 2)

    def asin2(x: Any) -> Any:
        return x / circ(x) ** 3

    def atan1(x: Any) -> Any:
        return 1 / (1 + x**2)

    one("asin", mp.asin, lambda x: 1 / circ(x), asin2)
    one("acos", mp.acos, lambda x: -1 / circ(x), lambda x: -asin2(x))
    one("asin_d1", lambda x: 1 / circ(x), asin2, lambda x: (1 + 2 * x**2) / circ(x) ** 5)
    one("atan", mp.atan, atan1, lambda x: -2 * x * atan1(x) ** 2)
    one("atan_d1", atan1, lambda x: -2 * x * atan1(x) ** 2, lambda x: (6 * x**2 - 2) * atan1(x) ** 3)
    one("acot", lambda x: mp.atan(1 / x), lambda x: -atan1(x), lambda x: 2 * x * atan1(x) ** 2)

    def asec2(x: Any) -> Any:
        return -sgn(x) * (2 * x**2 - 1) / (x**2 * hyp(abs(x)) ** 3)

    one("asec", lambda x: mp.acos(1 / x), lambda x: 1 / (abs(x) * hyp(abs(x))), asec2)
    one("acsc", lambda x: mp.asin(1 / x), lambda x: -1 / (abs(x) * hyp(abs(x))), lambda x: -asec2(x))


def _scaled(name: str, base: str, inner: Any, outer: Any) -> None:
    """outer f(x / inner)."""
    f, f1, f2 = ONE[base]
    one(
        name,
        lambda x: outer * f(x / inner),
        lambda x: outer * f1(x / inner) / inner,
        lambda x: outer * f2(x / inner) / inner**2,
    )


def _turns() -> None:
    one("sinpi", mp.sinpi, lambda x: PI * mp.cospi(x), lambda x: -(PI**2) * mp.sinpi(x))
    one("cospi", mp.cospi, lambda x: -PI * mp.sinpi(x), lambda x: -(PI**2) * mp.cospi(x))

    def tanpi(x: Any) -> Any:
        return mp.sinpi(x) / mp.cospi(x)

    one(
        "tanpi",
        tanpi,
        lambda x: PI / mp.cospi(x) ** 2,
        lambda x: 2 * PI**2 * tanpi(x) / mp.cospi(x) ** 2,
    )
    for name in ("sin", "cos", "tan"):
        _scaled(name + "d", name + "pi", 180, 1)
        _scaled(f"a{name}d", f"a{name}", 1, 180 / PI)
    one("sinc", lambda x: sinc(x, 0), lambda x: sinc(x, 1), lambda x: sinc(x, 2))


def sinc(x: Any, n: int) -> Any:
    """The n-th derivative of sin(pi x)/(pi x)."""
    if abs(x) < 1e-8:  # the sum over k of (-1)^k pi^2k x^(2k-n)/((2k-n)! (2k+1))
        return mp.fsum(
            (-1) ** k * PI ** (2 * k) * x ** (2 * k - n) / (mp.factorial(2 * k - n) * (2 * k + 1))
            for k in range((n + 1) // 2, (n + 1) // 2 + 12)
        )
    f = mp.sinpi(x) / (PI * x)
    for k in range(1, n + 1):
        w = (mp.sinpi, mp.cospi)[k % 2](x) * PI ** (k - 1) * (1, 1, -1, -1)[k % 4]
        f = (w - k * f) / x
    return f


def _hyperbolic() -> None:
    sech, csch, coth, tanh = mp.sech, mp.csch, mp.coth, mp.tanh
    one("sinh", mp.sinh, mp.cosh, mp.sinh)
    one("cosh", mp.cosh, mp.sinh, mp.cosh)
    one("tanh", tanh, lambda x: sech(x) ** 2, lambda x: -2 * tanh(x) * sech(x) ** 2)
    one("sech2", ONE["tanh"][1], ONE["tanh"][2], lambda x: sech(x) ** 2 * (4 - 6 * sech(x) ** 2))
    one("csch", csch, lambda x: -csch(x) * coth(x), lambda x: csch(x) * (coth(x) ** 2 + csch(x) ** 2))
    one("coth", coth, lambda x: -(csch(x) ** 2), lambda x: 2 * coth(x) * csch(x) ** 2)

    def sech1(x: Any) -> Any:
        return -sech(x) * tanh(x)

    def sech2(x: Any) -> Any:
        return sech(x) * (1 - 2 * sech(x) ** 2)

    def sech3(x: Any) -> Any:
        return sech1(x) * (1 - 6 * sech(x) ** 2)

    one("sech", sech, sech1, sech2)
    one("sech_d1", sech1, sech2, sech3)
    one("sech_d2", sech2, sech3, lambda x: sech(x) - 20 * sech(x) ** 3 + 24 * sech(x) ** 5)
    one("asinh", mp.asinh, lambda x: 1 / mp.sqrt(1 + x**2), lambda x: -x / mp.sqrt(1 + x**2) ** 3)
    one("acosh", mp.acosh, lambda x: 1 / hyp(x), lambda x: -x / hyp(x) ** 3)
    one("atanh", mp.atanh, lambda x: 1 / (1 - x**2), lambda x: 2 * x / (1 - x**2) ** 2)
    one("acoth", lambda x: mp.atanh(1 / x), *ONE["atanh"][1:])
    for name in ("atanh_d1", "acoth_d1"):
        one(name, *ONE["atanh"][1:], lambda x: (2 + 6 * x**2) / (1 - x**2) ** 3)

    def root(x: Any) -> Any:
        return mp.sqrt(1 + x**2)

    one(
        "acsch",
        lambda x: mp.asinh(1 / x),
        lambda x: -1 / (abs(x) * root(x)),
        lambda x: sgn(x) * (1 + 2 * x**2) / (x**2 * root(x) ** 3),
    )

    def asech1(x: Any) -> Any:
        return -1 / (x * circ(x))

    def asech2(x: Any) -> Any:
        return (1 - 2 * x**2) / (x**2 * circ(x) ** 3)

    def asech3(x: Any) -> Any:
        return -(6 * x**4 - 5 * x**2 + 2) / (x**3 * circ(x) ** 5)

    one("asech", lambda x: mp.acosh(1 / x), asech1, asech2)
    one("asech_d1", asech1, asech2, asech3)
    one("asech_d2", asech2, asech3, lambda x: mp.diff(asech3, x, h=x * (1 - x) * mp.mpf(2) ** -100))


def _logistic() -> None:
    def s(x: Any) -> Any:
        return 1 / (1 + mp.exp(-x))

    def s1(x: Any) -> Any:
        return s(x) * s(-x)

    def s2(x: Any) -> Any:
        return s1(x) * -mp.tanh(x / 2)

    one("sigmoid", s, s1, s2)
    one("sigmoid_d1", s1, s2, lambda x: s1(x) * (1 - 6 * s1(x)))
    one("softplus", lambda x: mp.log1p(mp.exp(x)), s, s1)

    def d1(x: Any) -> Any:
        return 1 / (x * (1 - x))

    def d2(x: Any) -> Any:
        return (2 * x - 1) * d1(x) ** 2

    one("logit", lambda x: mp.log(x / (1 - x)), d1, d2)
    one("logit_d1", d1, d2, lambda x: 2 / x**3 + 2 / (1 - x) ** 3)


def _special() -> None:
    c = 2 / mp.sqrt(PI)

    def q(x: Any) -> Any:
        return mp.exp(-(x**2))

    def q2(x: Any) -> Any:
        return (4 * x**2 - 2) * q(x)

    one("erf", mp.erf, lambda x: c * q(x), lambda x: -2 * c * x * q(x))
    one("erfc", mp.erfc, lambda x: -c * q(x), lambda x: 2 * c * x * q(x))
    one("exp_neg_sq", q, lambda x: -2 * x * q(x), q2)
    one("exp_neg_sq_d1", lambda x: -2 * x * q(x), q2, lambda x: (12 * x - 8 * x**3) * q(x))
    psi = mp.psi
    one(
        "gamma",
        mp.gamma,
        lambda x: mp.gamma(x) * psi(0, x),
        lambda x: mp.gamma(x) * (psi(0, x) ** 2 + psi(1, x)),
    )
    one(
        "lgamma",
        lambda x: mp.log(abs(mp.gamma(x))) if x < 1e6 else mp.loggamma(x),
        lambda x: psi(0, x),
        lambda x: psi(1, x),
    )
    one("digamma", lambda x: psi(0, x), lambda x: psi(1, x), lambda x: psi(2, x))
    one("trigamma", lambda x: psi(1, x), lambda x: psi(2, x), lambda x: psi(3, x))


_arithmetic()
_powers()
_circular()
_turns()
_hyperbolic()
_logistic()
_special()
