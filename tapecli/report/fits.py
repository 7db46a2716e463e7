"""A fit as fields of JSON and as text for people."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from tapecli.report import records
from tapecli.report.numbers import rough, seconds, table, text_of
from tapecli.report.shown import evidence, minima
from tapecli.report.text import clean, count

if TYPE_CHECKING:
    from tapecli.problem.results import Fit

#: A correlation beyond this is worth a line.
STRONG = 0.9
#: Up to this many parameters the strong correlations are listed.
MANY = 30


def record(r: Fit) -> dict[str, Any]:
    """The fields of JSON: those of the minimisation, then those of the fit."""
    parameters = {
        name: {"value": p.value, "standard_error": p.standard_error, "lower": p.lower, "upper": p.upper}
        | ({"at_bound": p.at_bound} if p.at_bound.any() else {})
        for name, p in r.parameters.items()
    }
    return records.of_minimum(r.minimum) | {
        "parameters": parameters,
        "confidence": r.confidence,
        "interval": r.interval,
        "loss": r.loss,
        "residual_sum_of_squares": r.residual_sum_of_squares,
        "residual_standard_deviation": r.residual_standard_deviation,
        "observations": r.observations,
        "degrees_of_freedom": r.degrees_of_freedom,
        "names": list(r.names),
        "covariance": r.covariance,
        "correlation": r.correlation,
        "r_squared": r.r_squared,
        "aic": r.aic,
        "bic": r.bic,
        "runs_test": r.runs,
        "undetermined": r.undetermined,
    }


def lines(r: Fit, sentence: str) -> list[str]:
    """The table of parameters, what the residuals say, and how the run ended."""
    least, single = r.minimum, r.dtype == "float32"
    percent = f"{100 * r.confidence:g} %"
    rows = [["parameter", "value", "standard error", f"{percent} interval", ""]]
    position = 0
    for p in r.parameters.values():
        for k in range(p.value.size):
            value, error, low, high = (float(a.reshape(-1)[k]) for a in (p.value, p.standard_error, p.lower, p.upper))
            known = isfinite(error)
            held = bool(p.at_bound.reshape(-1)[k])
            rows.append(
                [
                    clean(r.names[position]),
                    text_of(value, single),
                    _digits(error) if known else "–",
                    f"{_digits(low)} … {_digits(high)}" if known and low == low else "–",
                    "at its bound" if held else "",
                ]
            )
            position += 1
    result = table(rows, right=frozenset((1, 2)), indent="")
    if not r.converged:
        result += ["", "no standard errors, because the run did not come to a minimum"]
    if r.undetermined is not None:
        result += ["", clean(r.undetermined)]
    result += ["", *_quality(r), *minima(least)]
    work = [count(least.steps, "step"), count(least.evaluations, "evaluation"), seconds(least.seconds)]
    result += ["", f"{least.method}{f' ({least.chosen})' if least.chosen else ''}: {', '.join(work)}"]
    return [*result, sentence, *evidence(least)]


def _quality(r: Fit) -> list[str]:
    rows = [
        ["residual sum of squares", _digits(r.residual_sum_of_squares)],
        [
            "residual standard deviation",
            f"{_digits(r.residual_standard_deviation)} with {count(r.degrees_of_freedom, 'degree')} of freedom",
        ],
        ["R², AIC, BIC", f"{_digits(r.r_squared)}, {_digits(r.aic)}, {_digits(r.bic)}"],
    ]
    if r.runs is not None:
        said = f"{r.runs['runs']:g} where {rough(r.runs['expected'])} are expected, p = {rough(r.runs['p_value'])}"
        rows.append(["runs of residuals of one sign", said])
    strong = _strong(r)
    if strong:
        rows.append(["strong correlations", ", ".join(strong)])
    return table(rows, indent="")


def _strong(r: Fit) -> list[str]:
    """The pairs whose correlation is strong, the strongest first."""
    n = len(r.names)
    if n > MANY:
        return []
    pairs = [(float(r.correlation[i, j]), i, j) for i in range(n) for j in range(i)]
    pairs = sorted((p for p in pairs if abs(p[0]) > STRONG), key=lambda p: -abs(p[0]))
    return [f"{clean(r.names[j])}, {clean(r.names[i])} {c:+.4f}" for c, i, j in pairs[:5]]


def _digits(x: float) -> str:
    """Six digits: as many as anybody reads of such a number; --json has them all."""
    return f"{x:.6g}" if isfinite(x) else "–" if x != x else text_of(x)
