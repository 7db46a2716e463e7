"""Arguments for the facts and the sweep: per op, how to draw from its domain and the hard places by name."""

from __future__ import annotations

from typing import Any

import numpy as np

Draw = Any


def signs(rng: Any, x: Any) -> Any:
    return x * rng.choice([-1.0, 1.0], x.size)


def logs(low: float, high: float) -> Draw:
    """Sizes from 10^low to 10^high of either sign."""
    return lambda rng, n: signs(rng, 10.0 ** rng.uniform(low, high, n))


def sizes(low: float, high: float) -> Draw:
    return lambda rng, n: 10.0 ** rng.uniform(low, high, n)


def flat(low: float, high: float) -> Draw:
    return lambda rng, n: rng.uniform(low, high, n)


def near(at: float, low: float, high: float, both: bool = True) -> Draw:
    """Close to `at`, at distances from 10^low to 10^high; above it only unless `both`."""

    def draw(rng: Any, n: int) -> Any:
        d = 10.0 ** rng.uniform(low, high, n)
        return at + (signs(rng, d) if both else d)

    return draw


def below(at: float, low: float, high: float) -> Draw:
    return lambda rng, n: at - 10.0 ** rng.uniform(low, high, n)


def mix(*draws: Draw) -> Draw:
    def draw(rng: Any, n: int) -> Any:
        each = -(-n // len(draws))
        return rng.permutation(np.concatenate([d(rng, each) for d in draws]))[:n]

    return draw


def off_poles(x: Any) -> Any:
    """Numbers whose distance from 0, -1, -2, … keeps the functions of the gamma family finite."""
    bad = (x <= 0) & (np.floor(x) == x)
    return np.where(bad, x + 0.5, x)


def gamma_line(top: float) -> Draw:
    inner = mix(sizes(-15, top), flat(0.5, 4.0), near(1.0, -16, -1), near(2.0, -16, -1), flat(-20.0, 0.0))
    return lambda rng, n: off_poles(inner(rng, n))


real = mix(flat(-3, 3), logs(-8, 2))
wide = mix(flat(-3, 3), logs(-300, 300), logs(-8, 8))
unit = mix(
    flat(-1, 1), logs(-300, 0), logs(-12, -1), below(1.0, -15.9, -1), lambda rng, n: -below(1.0, -15.9, -1)(rng, n)
)
inner = mix(flat(0, 1), sizes(-300, 0), sizes(-12, -1), below(1.0, -15.9, -1), near(0.5, -16, -2))
positive = mix(flat(0, 3), sizes(-300, 300), sizes(-5, 5), near(1.0, -15.9, -1))
outside = mix(lambda rng, n: signs(rng, 1 + sizes(-15, 2)(rng, n)), logs(0.001, 300), logs(0.001, 8))
circle = mix(flat(-7, 7), logs(-300, 0), logs(0, 5), logs(5, 15))
angle = mix(flat(-360, 360), logs(-300, 0), logs(0, 6))
turns = mix(flat(-2, 2), logs(-300, 0), logs(0, 8))
signed_exp = mix(flat(-3, 3), logs(-300, 0), logs(-3, 2.84))

ONE: dict[str, Draw] = {
    "exp": mix(signed_exp, flat(-745, 709)),
    "expm1": mix(signed_exp, flat(-745, 709)),
    "exp2": mix(signed_exp, flat(-1074, 1023)),
    "exp10": mix(flat(-3, 3), logs(-300, 0), flat(-323, 308)),
    "log": positive,
    "log1p": mix(positive, logs(-300, -1), flat(-0.999, 1), lambda rng, n: sizes(-15.9, -1)(rng, n) - 1),
    "log2": positive,
    "log10": positive,
    "sqrt": positive,
    "cbrt": wide,
    "cbrt_d1": wide,
    "positive": positive,
    "sin": circle,
    "cos": circle,
    "tan": circle,
    "sec": circle,
    "csc": circle,
    "cot": circle,
    **dict.fromkeys(("asin", "acos", "asind", "acosd", "asin_d1"), unit),
    **dict.fromkeys(("atan", "atand", "acot", "atan_d1", "asinh", "acsch"), wide),
    **dict.fromkeys(("asec", "acsc", "acoth", "acoth_d1"), outside),
    **dict.fromkeys(("sind", "cosd", "tand"), angle),
    **dict.fromkeys(("sinpi", "cospi", "tanpi", "sinc", "sinc_d"), turns),
    **dict.fromkeys(("sinh", "cosh", "csch", "coth", "sigmoid", "sigmoid_d1", "softplus"), signed_exp),
    "tanh": mix(signed_exp, flat(-372, 372)),
    "sech2": mix(signed_exp, flat(-372, 372)),
    **dict.fromkeys(("sech", "sech_d1", "sech_d2"), mix(signed_exp, near(0.881373587019543, -16, -1))),
    "acosh": mix(sizes(0, 300), near(1.0, -15.6, 2, False)),
    "atanh": unit,
    "atanh_d1": unit,
    **dict.fromkeys(("asech", "asech_d1", "asech_d2"), mix(inner, near(0.7071067811865476, -16, -1))),
    "logit": inner,
    "logit_d1": inner,
    **dict.fromkeys(("erf", "exp_neg_sq", "exp_neg_sq_d1"), mix(flat(-3, 3), logs(-300, 0), flat(-27, 27))),
    "erfc": mix(flat(-3, 3), logs(-300, 0), flat(-6, 27)),
    **dict.fromkeys(("gamma", "gamma_d"), mix(gamma_line(0.5), flat(0.5, 171), flat(-180.0, 0.0))),
    **dict.fromkeys(("lgamma", "digamma", "trigamma"), mix(gamma_line(12), flat(-1e4, 0.0))),
    "polygamma": gamma_line(8),
    "power": positive,
}
ordinary = mix(flat(-3, 3), logs(-5, 5))
pairs = (ordinary, ordinary)
lengths = (mix(flat(-3, 3), logs(-150, 150)), mix(flat(-3, 3), logs(-150, 150)))
bases = (mix(flat(0, 3), sizes(-6, 6), sizes(-100, 100), near(1.0, -15.9, -2)), mix(flat(-4, 4), logs(-20, 1.3)))
exps = mix(flat(-3, 3), logs(-8, 3))
betas = mix(flat(0, 3), sizes(-12, 12), sizes(0, 2))
TWO: dict[str, tuple[Draw, Draw]] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "xdivy", "maximum", "minimum"), pairs),
    **dict.fromkeys(("less", "less_equal", "equal", "not_equal", "logical_and", "logical_or"), pairs),
    "mod": (ordinary, mix(flat(0.1, 3), logs(0, 3))),
    **dict.fromkeys(("hypot", "ratio", "atan2"), lengths),
    **dict.fromkeys(("pow", "power_dx", "power_dxx", "power_dxy", "power_log"), bases),
    **dict.fromkeys(("logaddexp", "logaddexp_share", "logaddexp_d2"), (exps, exps)),
    "xlogy": (ordinary, positive),
    "xlog1py": (ordinary, ONE["log1p"]),
    **dict.fromkeys(("lbeta", "beta", "beta_dx", "beta_dxy", "digamma_diff", "trigamma_diff"), (betas, betas)),
}
#: The parameters that an op is examined with.
PARAMS: dict[str, list[dict[str, Any]]] = {
    "power": [{"exponent": e} for e in (2.0, 3.0, 4.0, -1.0, -2.0, 0.5, -0.5, 1.5, 0.1, 1.0 / 3.0, -2.2)],
    "atan_d1": [{"unit": 1.0}],
    "gamma_d": [{"n": 1}, {"n": 2}],
    "polygamma": [{"n": n} for n in (2, 3, 5)],
    "sinc_d": [{"n": n} for n in (1, 2)],
    "power_log": [{"k": k} for k in (1, 2)],
    "maximum": [{"tie": 0.5}],
    "minimum": [{"tie": 0.5}],
}
#: How many derivatives a row itself stands for: the limits of its own derivatives are those of the higher orders.
ORDER = {
    **dict.fromkeys(("asin_d1", "atan_d1", "atanh_d1", "acoth_d1", "asech_d1", "sech_d1", "logit_d1", "sigmoid_d1"), 1),
    **dict.fromkeys(
        ("cbrt_d1", "sech2", "exp_neg_sq", "ratio", "power_dx", "logaddexp_share", "digamma_diff", "beta_dx"), 1
    ),
    **dict.fromkeys(
        ("asech_d2", "sech_d2", "exp_neg_sq_d1", "power_dxx", "power_dxy", "logaddexp_d2", "trigamma_diff", "beta_dxy"),
        2,
    ),
}


def order(name: str, params: dict[str, Any]) -> int:
    """How many derivatives the op itself stands for."""
    if name in ("sinc_d", "gamma_d", "power_log"):
        return int(params.get("n", params.get("k")))
    return ORDER.get(name, 0)


#: Hard places that a draw would miss.
HARD: dict[str, list[tuple[float, ...]]] = {
    "sin": [(3.141592653589793,), (22.0,), (1e22,)],
    "cos": [(1.5707963267948966,), (11.0,), (1e22,)],
    "tan": [(1.5707963267948966,), (11.0,), (1e22,)],
    "tand": [(89.99999999999999,), (45.0,), (180.0,)],
    "sind": [(180.0,), (360.0,), (30.0,)],
    "cosd": [(90.0,), (60.0,), (450.0,)],
    "sinpi": [(1.0,), (0.5,), (1e15 + 0.5,)],
    "cospi": [(1.0,), (0.5,), (1e15 + 0.5,)],
    "tanpi": [(1.0,), (0.25,)],
    "sinc": [(0.0,), (1.0,), (-2.0,), (5e-324,), (1.43,)],
    "tanh": [(0.0,), (19.5,), (372.5,)],
    "sech": [(0.881373587019543,), (0.0,)],
    "asech": [(0.7071067811865476,), (0.7071067811865475,)],
    "softplus": [(1000.0,), (-1000.0,), (0.0,)],
    "sigmoid": [(1000.0,), (-1000.0,), (0.0,)],
    "logaddexp": [(1000.0, 1000.0), (-1000.0, -1000.0), (0.0, -745.0), (-0.6931471805599453, -0.6931471805599453)],
    "erfc": [(26.5,), (27.2,)],
    "gamma": [(171.6,), (-0.5,), (-100.5,), (-177.0044,), (5e-309,)],
    "lgamma": [(1.0,), (2.0,), (-2.4570247382208006,), (1e300,)],
    "digamma": [(1.4616321449683622,), (-0.5040830082644554,)],
    "hypot": [(1e200, 1e200), (3.0, 4.0), (0.0, 2.0), (1e-200, 1e-200)],
    "atan2": [(0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (1e-100, 1e100), (1e150, 1e150)],
    "xlogy": [(0.0, 1.0), (0.0, 1e-300), (1e300, 1.0)],
    "acosh": [(1.0000000000000002,)],
    "asin": [(0.9999999999999999,), (0.0,)],
    "acos": [(0.9999999999999999,), (0.0,), (-0.9999999999999999,)],
    "pow": [(1e-3, 100.0), (1e-200, 1.6), (1e300, 0.1), (2.0, 1e-300), (1.0, 5.0), (2.0, 0.0), (3.0, 1.0), (3.0, 2.0)],
}


def arguments(name: str, arity: int, rng: Any, n: int) -> list[tuple[float, ...]]:
    """`n` drawn arguments of an op."""
    if arity == 1:
        columns = [ONE.get(name, real)(rng, n)]
    elif arity == 2:
        columns = [draw(rng, n) for draw in TWO[name]]
        if name in ("beta", "beta_dx", "beta_dxy"):
            columns = [np.minimum(c, 300.0) for c in columns]
        if name.startswith("logaddexp"):  # near ties as well
            k = n // 3
            columns[1][:k] = columns[0][:k] + rng.uniform(-5, 5, k)
    else:
        return []
    return [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]
