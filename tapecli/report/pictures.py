"""Pictures by Matplotlib, whose one door this is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapecli.report.sketch import logarithmic

if TYPE_CHECKING:
    from tapecli.problem.curves import Fitted

BLUE, ORANGE, GREY, DARK = "#1f5fa8", "#d9631e", "#9aa3ad", "#30363d"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.edgecolor": GREY,
    "axes.labelcolor": DARK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9ec",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": DARK,
    "ytick.labelcolor": DARK,
    "legend.frameon": False,
    "svg.hashsalt": "tapecli",
}


def picture(title: str, rows: Sequence[tuple[int, float, float]], of: str, fit: Fitted | None, kind: str) -> bytes:
    """The picture of a run in the format `kind`: png, svg or pdf."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        heights = [3.0, 1.3] if fit is not None else []
        heights += [1.7, 1.7]
        figure = Figure(figsize=(7.2, 1.0 + 1.15 * sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        if fit is not None:
            _fit(axes[0], axes[1], fit)
        _convergence(axes[-2], axes[-1], rows, of)
        figure.suptitle(_plain(title), fontsize=12, color=DARK)
        figure.align_ylabels(axes)
        out = io.BytesIO()
        # without the time of day equal runs give equal files
        dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(out, format=kind, dpi=150, metadata=dates.get(kind))
    return out.getvalue()


def _plain(text: str) -> str:
    """Text of a user's, not to be read as Matplotlib's formulas."""
    return text.replace("$", r"\$")


def _fit(main: Any, rest: Any, fit: Fitted) -> None:
    """Data, curve and band; below them what the curve leaves."""
    residuals = fit.observed - fit.fitted
    if fit.x is None or fit.name is None:
        _against_fitted(main, rest, fit, residuals)
        return
    if fit.grid is not None and fit.curve is not None:
        main.plot(fit.grid, fit.curve, color=ORANGE, lw=1.8, label="fit", zorder=3)
        if fit.band is not None:
            low, high = fit.curve - fit.band, fit.curve + fit.band
            label = f"{100 * fit.sure:g} % confidence"
            main.fill_between(fit.grid, low, high, color=ORANGE, alpha=0.22, lw=0, label=label, zorder=2)
    else:
        order = np.argsort(fit.x)
        main.plot(fit.x[order], fit.fitted[order], color=ORANGE, lw=1.8, label="fit", zorder=3)
    main.plot(fit.x, fit.observed, "o", color=BLUE, ms=_size(len(fit.x)), label="data", zorder=4)
    main.set_ylabel(_plain(fit.label))
    main.legend(loc="best")
    main.tick_params(labelbottom=False)
    main.sharex(rest)
    rest.axhline(0.0, color=ORANGE, lw=1.2)
    rest.plot(fit.x, residuals, "o", color=BLUE, ms=_size(len(fit.x)))
    rest.set_xlabel(_plain(fit.name))
    rest.set_ylabel("residual")


def _against_fitted(main: Any, rest: Any, fit: Fitted, residuals: Any) -> None:
    """Of a fit without one independent column: observed against fitted values."""
    ends = [float(np.nanmin(fit.fitted)), float(np.nanmax(fit.fitted))]
    main.plot(ends, ends, color=ORANGE, lw=1.5, label="observed = fitted")
    main.plot(fit.fitted, fit.observed, "o", color=BLUE, ms=_size(len(fit.fitted)), label="data")
    main.set_ylabel(_plain(fit.label))
    main.legend(loc="best")
    main.tick_params(labelbottom=False)
    main.sharex(rest)
    rest.axhline(0.0, color=ORANGE, lw=1.2)
    rest.plot(fit.fitted, residuals, "o", color=BLUE, ms=_size(len(fit.fitted)))
    rest.set_xlabel("fitted")
    rest.set_ylabel("residual")


def _size(n: int) -> float:
    """The size of a mark: smaller where there are many."""
    return 5.0 if n <= 100 else 3.0 if n <= 1000 else 1.5


def _convergence(above: Any, below: Any, rows: Sequence[tuple[int, float, float]], of: str) -> None:
    steps = [step for step, _, _ in rows]
    mark = {"marker": "o", "ms": 3.5} if len(steps) <= 30 else {}
    for axes, ys, label, color in (
        (above, [value for _, value, _ in rows], of, BLUE),
        (below, [norm for _, _, norm in rows], "gradient norm", DARK),
    ):
        axes.plot(steps, ys, color=color, lw=1.4, **mark)
        positive = [y for y in ys if y > 0]
        if logarithmic(positive) and (label == "gradient norm" or len(positive) == len(ys)):
            axes.set_yscale("log")
        axes.set_ylabel(_plain(label))
    above.sharex(below)
    above.tick_params(labelbottom=False)
    below.set_xlabel("step")
    below.xaxis.get_major_locator().set_params(integer=True)
