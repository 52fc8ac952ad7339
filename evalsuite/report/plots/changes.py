"""Plots of the changes against the baseline."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from evalsuite.analysis.comparison import Comparison
from evalsuite.report import formats
from evalsuite.report.plots import fonts, style
from evalsuite.report.tables import strata_by_drop

MARGIN = "#d55e00"
"""Colour of the margin."""
HEAT_LIMIT = 4.0
"""Standard errors of the strongest colours of a heat map, unless a change is larger: chance alone stays pale."""


def delta_forest(rows: Sequence[Comparison], ax: Axes) -> None:
    """Draw the deltas in percentage points with 95 % intervals on ``ax``, one row per comparison; zero is the baseline.

    Where a comparison has a verdict, a bar marks minus its margin. Comparisons without numbers are left out.
    """
    shown = [row for row in rows if row.paired is not None]
    models = style.models(shown)
    labels: list[str] = []
    for place, row in enumerate(shown):
        margin = _margin_of(row)
        if margin is not None:
            heights = [place - 0.38, place + 0.38]
            ax.plot([-100 * margin] * 2, heights, color=MARGIN, linewidth=2.5, alpha=0.6, gid="margin")
        style.point(ax, row.delta or 0.0, row.ci95, place, models.index(row.candidate.cell.model))
        part = f" ({row.partial})" if row.partial else ""
        labels.append(f"{style.model_title(row.candidate.cell)}\n{style.task_title(row.task)}{part}")
    baselines = style.label_text(" / ".join(dict.fromkeys(style.model_title(row.baseline.cell) for row in shown)))
    bar = "; orange bar: minus the margin" if any(_margin_of(row) is not None for row in shown) else ""
    style.value_axis(ax, f"change against {baselines}, percentage points (95 % interval{bar})")
    style.rows_axis(ax, labels)


def _margin_of(row: Comparison) -> float | None:
    """Return the margin of a comparison as a fraction of 1; None without a verdict."""
    return row.verdict.limit.margin if row.verdict else None


def group_drops(rows: Sequence[Comparison], name: str, ax: Axes) -> None:
    """Draw the change of each value of the group ``name`` with its 95 % interval on ``ax``, in percentage points, the
    worst drop on top.

    ``rows`` are comparisons of one task; those without numbers are left out. Filled markers are significant after
    Holm's correction.
    """
    shown = [row for row in rows if row.paired is not None]
    models, values = style.models(shown), strata_by_drop(shown, name)
    for row in shown:
        number = models.index(row.candidate.cell.model)
        for part in row.paired.shown_groups(name) if row.paired else ():
            place = values.index(part.value) + style.offset(number, len(models))
            significant = part.significant
            style.point(ax, part.change.delta, part.change.ci95, place, number, filled=significant)
    style.value_axis(ax, "change, percentage points")
    style.bands(ax, len(values))
    style.rows_axis(ax, fonts.numbered(values, name))


def group_dumbbell(rows: Sequence[Comparison], name: str, ax: Axes) -> None:
    """Draw the scores in percent of each value of the group ``name`` on ``ax``: the baseline as a bar, each candidate
    as a dot joined to it.

    ``rows`` are comparisons of one task. The order is that of ``group_drops``: the worst drop on top.
    """
    shown = [row for row in rows if row.paired is not None]
    models, values = style.models(shown), strata_by_drop(shown, name)
    for row in shown:
        number = models.index(row.candidate.cell.model)
        colour = style.CANDIDATES[number % len(style.CANDIDATES)]
        marker = style.MARKERS[number % len(style.MARKERS)]
        for part in row.paired.shown_groups(name) if row.paired else ():
            place = values.index(part.value) + style.offset(number, len(models))
            old, new = 100 * part.baseline_score, 100 * part.candidate_score
            ax.plot([old, new], [place, place], color=colour, linewidth=1.5)
            ax.plot(old, place, marker="|", color=style.BASELINE, markersize=8, markeredgewidth=2)
            ax.plot(new, place, marker=marker, color=colour, markersize=4.5)
    ax.set_xlabel("score, %")
    ax.grid(axis="x", color=style.GRID)
    style.bands(ax, len(values))
    style.rows_axis(ax, fonts.numbered(values, name))


def heat_map(rows: Sequence[Comparison], name: str, ax: Axes) -> None:
    """Draw the changes of models (columns) and values of the group ``name`` (rows) on ``ax`` in standard errors: orange
    for a drop, purple for a gain.

    ``rows`` are comparisons of one task. Changes without a standard error above 0 stay empty, unless they are 0. Bold
    numbers are significant after Holm's correction.
    """
    shown = [row for row in rows if row.paired is not None]
    values = strata_by_drop(shown, name)
    grid = np.full((len(values), len(shown)), np.nan)
    for column, row in enumerate(shown):
        for part in row.paired.shown_groups(name) if row.paired else ():
            line = values.index(part.value)
            if part.z is not None:
                grid[line, column] = part.z
                ax.text(column, line, formats.standard_errors(part.z), ha="center", va="center",
                        fontsize=8, fontweight="bold" if part.significant else "normal")  # fmt: skip
    limit = max([HEAT_LIMIT, *np.abs(grid[np.isfinite(grid)])])
    ax.imshow(grid, cmap="PuOr", norm=TwoSlopeNorm(0.0, -limit, limit), aspect="auto", alpha=0.75)
    ax.set_xticks(
        range(len(shown)),
        [style.label_text(style.model_title(row.candidate.cell)) for row in shown],
        rotation=20,
        ha="right",
    )
    ax.set_xlabel("change, standard errors (bold: p < 0.05 after Holm)")
    style.rows_axis(ax, fonts.numbered(values, name))
    ax.grid(visible=False)


def outcome_shifts(rows: Sequence[Comparison], ax: Axes) -> None:
    """Draw the part of each outcome in the delta on ``ax``, as stacked bars in percentage points, one row per
    comparison; a diamond marks the delta. Comparisons without numbers are left out.
    """
    shown = [row for row in rows if row.paired is not None]
    for place, row in enumerate(shown):
        ends = {True: 0.0, False: 0.0}
        for cause, part in row.paired.causes.items() if row.paired else ():
            width, colour = 100 * part, style.CAUSE_COLOURS.get(cause, style.FAULT)
            ax.barh(place, width, left=ends[width > 0], color=colour, height=0.6)
            ends[width > 0] += width
        ax.plot(100 * (row.delta or 0.0), place, marker="D", color="black", markersize=5)
    ax.use_sticky_edges = False
    style.value_axis(ax, "part of the change, percentage points; diamond: the whole change")
    style.rows_axis(ax, [style.model_title(row.candidate.cell) for row in shown])
