"""Plots of the answers: outcomes, lengths and times."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from evalsuite.analysis.comparison import CAUSES
from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.table import RunTable
from evalsuite.report.plots import fonts, style
from evalsuite.report.plots.data import SlotUse, lengths, token_budgets

SHORT_SECONDS = 7200.0
"""Runs up to this duration are drawn in minutes."""


def score_points(scores: Sequence[CellScore], ax: Axes) -> None:
    """Draw scores with 95 % intervals on ``ax``, in percent, one row per cell; cells without a score are left out."""
    shown = [score for score in scores if score.scored is not None]
    for place, score in enumerate(shown):
        if score.scored is not None:
            style.point(ax, score.scored.score, score.scored.ci95, place, 0)
    ax.set_xlabel("score, % (95 % interval)")
    ax.grid(axis="x", color=style.GRID)
    style.rows_axis(ax, [f"{style.model_title(score.cell)}\n{style.task_title(score.cell.task)}" for score in shown])


def outcome_shares(scores: Sequence[CellScore], ax: Axes) -> None:
    """Draw the answers that are wrong, truncated, refused or without a readable result on ``ax``, as stacked bars by
    outcome, in percent of each cell's samples.
    """
    for place, score in enumerate(scores):
        left, total = 0.0, sum(score.outcomes.values()) or 1
        for cause in CAUSES:
            share = 100 * score.outcomes[cause] / total
            ax.barh(place, share, left=left, color=style.CAUSE_COLOURS[cause], height=0.6)
            left += share
    ax.set_xlabel("answers not right, % of samples")
    ax.grid(axis="x", color=style.GRID)
    style.rows_axis(ax, [style.model_title(score.cell) for score in scores])


def length_distribution(table: RunTable, task: str, outcome: str, ax: Axes) -> None:
    """Draw the generated tokens of the answers with one outcome on ``ax``: one histogram for each model that has such
    answers, tokens on a logarithmic axis; only axis labels when no lengths are known.
    """
    distribution = lengths(table, task)
    if distribution is not None:
        for number, cell in enumerate(_cells(table, task)):
            counts = distribution.counts.get(cell.model, {}).get(outcome)
            if counts is not None:
                line = style.model_line(number)
                ax.stairs(
                    counts,
                    distribution.edges,
                    color=line.colour,
                    linestyle=line.dash,
                    label=style.label_text(cell.title),
                    linewidth=1.4,
                )
        ax.set_xscale("log")
        plain = FuncFormatter(lambda tokens, _: f"{tokens:,.0f}")
        ax.xaxis.set_major_formatter(plain)
        ax.xaxis.set_minor_formatter(plain)
        ax.tick_params(axis="x", which="minor", labelsize=7)
    ax.set_xlabel(f"generated tokens of {outcome.replace('_', ' ')} answers")
    ax.set_ylabel("answers")
    ax.grid(axis="x", color=style.GRID)


def budget_curve(table: RunTable, task: str, ax: Axes) -> None:
    """Draw the score in percent at smaller token budgets on ``ax``, longer answers counted as wrong, of every model of
    which ``token_budgets`` can compute it; only labels when there is none.
    """
    curve = token_budgets(table, task)
    if curve is not None:
        for number, cell in enumerate(_cells(table, task)):
            if cell.model in curve.scores:
                line = style.model_line(number)
                percents = [100 * score for score in curve.scores[cell.model]]
                ax.plot(curve.budgets, percents, color=line.colour, linestyle=line.dash, marker=line.marker,
                        markersize=4, label=style.label_text(cell.title))  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_xticks(curve.budgets, [f"{budget:,}" for budget in curve.budgets], rotation=30, ha="right")
        ax.minorticks_off()
    ax.set_xlabel("token budget; answers beyond it count as not right")
    ax.set_ylabel("score, %")
    ax.grid(color=style.GRID)


def slot_timeline(uses: Sequence[SlotUse], ax: Axes) -> None:
    """Draw the requests in flight of every model over the busy time of a run on ``ax``.

    Dotted lines mark pauses that were cut out. The horizontal axis is in hours, up to about two busy hours in minutes.
    """
    scale, unit = (60.0, "minutes") if not uses or uses[0].seconds[-1] <= SHORT_SECONDS else (3600.0, "hours")
    for number, use in enumerate(uses):
        line = style.model_line(number)
        times = [second / scale for second in use.seconds]
        title = style.label_text(use.title if fonts.drawable(use.title) else use.model)
        ax.plot(times, use.in_flight, color=line.colour, linestyle=line.dash, label=title, linewidth=1.4)
    for window in uses[0].windows[1:] if uses else ():
        ax.axvline(window / scale, color="black", linewidth=0.8, linestyle=":")
    ax.set_xlabel(f"busy {unit} since {uses[0].starts[0]}" if uses else f"busy {unit}")
    ax.set_ylabel("requests in flight")
    ax.set_ylim(bottom=0)
    ax.grid(color=style.GRID)


def _cells(table: RunTable, task: str) -> list[style.ModelTitle]:
    return [style.ModelTitle(cell.model, style.model_title(cell)) for cell in table.cells if cell.task == task]
