"""The picture of a run: value and gradient norm by step and, of a fit, data, curve, band and residuals."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tapecli.errors import TapeError
from tapecli.report.numbers import rough
from tapecli.report.output import exists, write_whole
from tapecli.report.text import clean, count
from tapecli.report.watch import Curve

if TYPE_CHECKING:
    from tapecli.problem import Problem
    from tapecli.problem.curves import Fitted
    from tapecli.problem.results import Fit, Minimum

#: What a name may end in.
KINDS = (".png", ".svg", ".pdf")
#: Rows of a plot in the terminal, and the most columns.
ROWS, COLUMNS = 12, 78


class Plot:
    """What --plot asks for. Whether it can be drawn at all is found out before the run, not after it."""

    def __init__(self, path: str, force: bool) -> None:
        self.terminal = path in ("-", "terminal")
        self.path = path
        self.force = force
        self.curve = Curve()
        if self.terminal:
            return
        if os.path.splitext(path)[1].lower() not in KINDS:
            what = "a picture's name ends in " + ", ".join(KINDS)
            raise TapeError("usage", f"--plot {path}: {what}", hint="--plot - draws in the terminal")
        if find_spec("matplotlib") is None:
            hint = "pip install 'tapecli[plot]'; or --plot - draws in the terminal"
            raise TapeError("usage", "pictures need Matplotlib, which is not installed", hint=hint)
        if os.path.lexists(path) and not force:
            raise exists(path)
        if not os.path.isdir(os.path.dirname(path) or "."):
            raise TapeError("file", f"{path} cannot be written: there is no such folder")

    def lines(self, problem: Problem, r: Minimum | Fit, unicode: bool) -> list[str]:
        """The plot as text."""
        from tapecli.report.sketch import Series, logarithmic, sketch

        columns = min(shutil.get_terminal_size().columns, COLUMNS)
        rows = self.curve.rows
        steps = [float(step) for step, _, _ in rows]
        values, norms = [value for _, value, _ in rows], [norm for _, _, norm in rows]
        parts = []
        fit = fitted_of(problem, r)
        if fit is not None and fit.x is not None and fit.name is not None:
            drawn = [Series(fit.x.tolist(), fit.observed.tolist(), joined=False)]
            if fit.grid is not None and fit.curve is not None:
                drawn.insert(0, Series(fit.grid.tolist(), fit.curve.tolist()))
            parts.append(sketch(clean(fit.label), drawn, clean(fit.name), columns, ROWS, unicode))
        for title, ys in ((named(r), values), ("gradient norm", norms)):
            log = logarithmic([y for y in ys if y > 0]) and (title == "gradient norm" or min(ys) > 0)
            parts.append(sketch(title, [Series(steps, ys)], "step", columns, ROWS, unicode, log))
        return [line for part in parts for line in ("", *part)]

    def write(self, problem: Problem, r: Minimum | Fit, file: str) -> None:
        """The plot as a file."""
        from tapecli.report.pictures import picture

        least = least_of(r)
        said = f"{os.path.basename(clean(file))}: {least.method}, {count(least.steps, 'step')}"
        title = f"{said}, {named(r)} = {rough(least.value)}"
        kind = os.path.splitext(self.path)[1][1:].lower()
        write_whole(self.path, picture(title, self.curve.rows, named(r), fitted_of(problem, r), kind), self.force)


def least_of(r: Minimum | Fit) -> Minimum:
    """The minimisation that a result is of."""
    from tapecli.problem.results import Fit

    return r.minimum if isinstance(r, Fit) else r


def named(r: Minimum | Fit) -> str:
    """What the objective is called."""
    from tapecli.problem.results import Fit

    if isinstance(r, Fit):
        return "sum of squares"
    return clean(r.of) if r.of[:1] != "_" else "value"


def fitted_of(problem: Problem, r: Minimum | Fit) -> Fitted | None:
    """The fit at the point where the run ended, with its band where every free parameter is determined."""
    import numpy as np

    from tapecli.problem.curves import fitted
    from tapecli.problem.results import Fit
    from tapecli.problem.student import quantile

    if not isinstance(r, Fit):
        return fitted(problem, r.at)
    covariance = r.covariance.copy()
    held = np.concatenate([np.asarray(p.at_bound).reshape(-1) for p in r.parameters.values()])
    covariance[held, :] = covariance[:, held] = 0.0
    if not np.all(np.isfinite(covariance)):
        return fitted(problem, r.at)
    found = fitted(problem, r.at, covariance)
    if found is None or found.error is None:
        return found
    freedom = float("inf") if r.interval == "normal" else float(r.degrees_of_freedom)
    reach = quantile(0.5 + r.confidence / 2.0, freedom)
    return found._replace(band=reach * found.error, sure=r.confidence)
