"""The fields of each result as the JSON output has them, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapecli.problem.evaluations import Derivatives, Evaluation
    from tapecli.problem.results import Check, Expectation, Minimum, Step
    from tapecli.problem.sparse import Coordinates
    from tapecli.problem.timing import Bench
    from tapecli.problem.updating import Update


def of_evaluation(r: Evaluation) -> dict[str, Any]:
    return {"dtype": r.dtype, "engine": r.engine, "at": r.at, "values": r.values}


def of_derivatives(r: Derivatives) -> dict[str, Any]:
    """What was asked for: whatever is None is left out."""
    fields: dict[str, Any] = {"of": r.of, "dtype": r.dtype, "engine": r.engine, "at": r.at, "value": r.value}
    if r.gradient is not None and r.product is None:
        fields["gradient"] = r.gradient
    if r.hessian is not None:
        fields["hessian"] = r.hessian
    if r.jacobian is not None:
        fields["jacobian"] = r.jacobian
    if r.product is not None:
        fields["product"] = r.product
    return fields | {"connected": r.connected}


def of_coordinates(kind: str, r: Derivatives | Evaluation, m: Coordinates, matrix: dict[str, Any]) -> dict[str, Any]:
    """A matrix in coordinates under the name that it has when it is written out."""
    fields: dict[str, Any] = {"of": m.of, "dtype": m.dtype, "engine": m.engine, "at": r.at}
    evaluation: Any = r
    if m.symmetric:
        fields |= {key: getattr(evaluation, key) for key in ("value", "gradient", "connected")}
    else:
        fields["value"] = evaluation.values[m.of]
    return fields | {kind: matrix}


def of_minimum(r: Minimum) -> dict[str, Any]:
    return (
        {
            "of": r.of,
            "dtype": r.dtype,
            "engine": r.engine,
            "method": r.method,
            "steps": r.steps,
            "evaluations": r.evaluations,
            "stop_reason": r.stop_reason,
            "converged": r.converged,
            "value": r.value,
            "at": r.at,
            "gradient_norm": r.gradient_norm,
            "seconds": round(r.seconds, 6),
            "best": {"value": r.best_value, "at": r.best_at},
            "traces": r.traces,
        }
        | _evidence(r)
        | _minima(r)
    )


def _evidence(r: Minimum) -> dict[str, Any]:
    """Why the method was taken, and what is known of the point; what there is not is left out."""
    fields: dict[str, Any] = {}
    if r.chosen is not None:
        fields["chosen"] = r.chosen
    if r.evidence is not None:
        e = r.evidence
        fields["evidence"] = {"kind": e.kind, "distance": e.distance, "decrease": e.decrease, "curvature": e.curvature}
        if e.beside is not None:
            fields["evidence"]["beside"] = e.beside
    if r.violation is not None:
        fields["violation"] = r.violation
    if r.sensitivity is not None:
        fields["sensitivity"] = r.sensitivity
    return fields


def _minima(r: Minimum) -> dict[str, Any]:
    """What several starts found, where there were several."""
    if r.starts == 1 and not r.minima:
        return {}
    minima = [{"value": m.value, "at": m.at, "found": m.found} for m in r.minima]
    return {"starts": r.starts, "minima": minima}


def of_step(r: Step) -> dict[str, Any]:
    return {"step": r.step, "value": r.value, "at": r.at, "gradient_norm": r.gradient_norm}


def of_check(r: Check, update: Update | None = None) -> dict[str, Any]:
    """`decided` is false where the numerical estimate was too uncertain: such a derivative neither held nor failed."""
    expectations = [
        {"line": e.line, "text": e.text, "ok": e.ok, "got": e.got, "wanted": e.wanted} | _distance(e)
        for e in r.expectations
    ]
    derivatives = [
        {
            "wrt": d.wrt,
            "order": d.order,
            "ok": d.ok,
            "tape": d.tape,
            "numerical": d.numerical,
            "error": d.error,
            "method": d.method,
            "decided": d.decided,
        }
        for d in r.derivatives
    ]
    fields = {
        "of": r.of,
        "dtype": r.dtype,
        "engine": r.engine,
        "at": r.at,
        "expectations": expectations,
        "derivatives": derivatives,
        "undecided": r.undecided,
    }
    if update is not None:
        fields["updated"] = [{"line": c.line, "column": c.column, "old": c.old, "new": c.new} for c in update.changes]
        fields["skipped"] = [{"line": s.line, "reason": s.reason} for s in update.skipped]
    return fields


def _distance(e: Expectation) -> dict[str, Any]:
    return {} if e.worst is None else {"difference": e.worst.difference, "tolerance": e.worst.tolerance}


def of_bench(r: Bench) -> dict[str, Any]:
    """Times are in seconds."""
    engines = [
        {
            "engine": e.engine,
            "first": e.first,
            "value": e.value,
            "gradient": e.gradient,
            "runs": e.runs,
            "ratio": e.ratio,
            "difference": e.difference,
        }
        for e in r.engines
    ]
    return {
        "of": r.of,
        "dtype": r.dtype,
        "engine": r.engine,
        "at": r.at,
        "entries": r.entries,
        "engines": engines,
        "missing": r.missing,
    }


def finite(r: Evaluation | Derivatives) -> bool:
    """Whether every value and every derivative of the result is finite."""
    from math import isfinite

    from numpy import isfinite as each_finite  # long there when there is a result

    from tapecli.problem.evaluations import Derivatives

    parts: list[Any] = [r.value] if isinstance(r, Derivatives) else list(r.values.values())
    if isinstance(r, Derivatives):
        for group in (r.gradient, r.jacobian, r.product, *(r.hessian or {}).values()):
            parts += (group or {}).values()
    return all(bool(each_finite(part).all()) if part.ndim else isfinite(part) for part in parts)
