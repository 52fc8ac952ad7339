"""Draws whole figures and writes all of them as files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from evalsuite.analysis.comparison import CAUSES, Comparison
from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.analysis.table import RunTable
from evalsuite.records import OUTCOMES
from evalsuite.report import formats
from evalsuite.report.plots import answers, changes, fonts, style
from evalsuite.report.plots.data import LengthDistribution, SlotUse, lengths, slot_use, token_budgets
from evalsuite.report.tables import strata_by_drop
from evalsuite.tasks.datasets import benchmark_title


@dataclass(frozen=True, slots=True)
class Picture:
    """A written plot."""

    title: str
    """What it shows."""
    file: str
    """Name of the PNG file."""
    names: str = ""
    """What the numbered labels stand for, where no installed font has the letters of a group's values."""


def save_all(suite: SuiteComparison, folder: Path, caption: str, *, svg: bool) -> tuple[Picture, ...]:
    """Write every plot that the report has data for as PNG into ``folder`` (created), with ``svg`` also as SVG; returns
    them in order. Scores are drawn only where nothing is compared, heat maps only of several comparisons, a group of
    one shown value not at all. Other files in the folder stay; without ``svg`` older SVG files of these plots are
    removed.

    ``caption`` is the label of demo models, empty for real ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Picture] = []

    def keep(figure: Figure, name: str, title: str, names: str = "") -> None:
        file = re.sub(r"[^\w.-]+", "-", name)
        heading = style.label_text(title) + (f"\n{caption}" if caption else "")
        figure.suptitle(heading, fontsize=10, x=0.01, ha="left")
        save_figure(figure, folder / file, svg=svg)
        written.append(Picture(title, f"{file}.png", names))

    with rc_context(style.settings(_texts(suite))):
        compared = [row for row in suite.comparisons if row.paired is not None]
        if compared:
            keep(forest_figure(compared), "deltas", "Change against the baseline")
        elif any(score.scored for score in suite.scores):
            keep(score_figure(suite.scores), "scores", "Scores")
        for task in suite.table.tasks:
            benchmark = style.task_title(task)
            rows = [row for row in compared if row.task == task]
            cells = [score for score in suite.scores if score.cell.task == task and score.scored]
            for name in suite.table.groups(task) if rows else ():
                values = strata_by_drop(rows, name)
                if len(values) == 1:  # all items, as in the first plot
                    continue
                names = _numbered_names(values, name)
                title = f"{benchmark} by {name}: scores, and changes with 95 % intervals (filled: p < 0.05 after Holm)"
                keep(group_figure(rows, name), f"{task}-{name}", title, names)
                if len(rows) > 1:
                    title = f"{benchmark}: change by model and {name}"
                    keep(heat_figure(rows, name), f"{task}-{name}-heat", title, names)
            if cells:
                keep(outcome_figure(cells, rows), f"{task}-outcomes", f"{benchmark} by outcome")
            distribution = lengths(suite.table, task)
            if distribution is not None:
                keep(
                    length_figure(suite.table, distribution),
                    f"{task}-lengths",
                    f"{benchmark}: length of answers by outcome",
                )
            if token_budgets(suite.table, task) is not None:
                keep(budget_figure(suite.table, task), f"{task}-budgets", f"{benchmark}: score against token budget")
        uses = slot_use(suite.table.cells)
        if uses:
            keep(timeline_figure(uses), "timeline", "Requests in flight")
    return tuple(written)


def _texts(suite: SuiteComparison) -> Iterator[str]:
    """Yield all names of users that stand in plots: titles of models and tasks, groups and their values."""
    yield from (cell.title for cell in suite.table.cells)
    yield from (benchmark_title(task) for task in suite.table.tasks)
    for row in suite.comparisons:
        for name, parts in row.paired.groups.items() if row.paired else ():
            yield from (name, *(part.value for part in parts))


def _numbered_names(values: Sequence[str], kind: str) -> str:
    """Return the values of the group ``kind`` that a plot can only number, as text: ``subject 1: ...; subject 3: ...``;
    empty when all can be drawn.
    """
    labels = fonts.numbered(values, kind)
    return "; ".join(f"{label}: {value}" for label, value in zip(labels, values, strict=True) if label != value)


def forest_figure(rows: Sequence[Comparison]) -> Figure:
    """Draw the deltas of ``rows`` as a new figure."""
    figure = Figure(figsize=(style.WIDTH, 1.1 + 0.42 * len(rows)), layout="constrained")
    changes.delta_forest(rows, figure.add_subplot())
    return figure


def score_figure(scores: Sequence[CellScore]) -> Figure:
    """Draw all scores of a report without comparisons as a new figure; cells without a score are left out."""
    figure = Figure(figsize=(style.WIDTH, 1.1 + 0.42 * len(scores)), layout="constrained")
    answers.score_points(scores, figure.add_subplot())
    return figure


def group_figure(rows: Sequence[Comparison], name: str) -> Figure:
    """Draw the comparisons of one task by the group ``name`` as a new figure: scores on the left, changes on the
    right.
    """
    strata, models = len(strata_by_drop(rows, name)), len(style.models(rows))
    height = 1.6 + strata * max(style.ROW, 0.16 * models + 0.08)
    figure = Figure(figsize=(style.WIDTH + 1.5, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    changes.group_dumbbell(rows, name, left)
    changes.group_drops(rows, name, right)
    right.tick_params(labelleft=False)
    figure.legend(handles=style.legend(rows), loc="outside lower center", ncols=4)
    return figure


def heat_figure(rows: Sequence[Comparison], name: str) -> Figure:
    """Draw the changes of one task as a heat map of models and values of the group ``name``, as a new figure."""
    strata = len(strata_by_drop(rows, name))
    figure = Figure(figsize=(max(4.0, 2.2 + 1.1 * len(rows)), 1.6 + style.ROW * strata), layout="constrained")
    changes.heat_map(rows, name, figure.add_subplot())
    return figure


def outcome_figure(cells: Sequence[CellScore], rows: Sequence[Comparison]) -> Figure:
    """Draw one task by outcome as a new figure: fractions of every cell above, parts of the delta of every comparison
    in ``rows`` (may be empty) below.
    """
    heights = [0.8 + style.ROW * len(cells), *([0.8 + style.ROW * len(rows)] if rows else [])]
    figure = Figure(figsize=(style.WIDTH, 0.9 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    answers.outcome_shares(cells, axes[0])
    if rows:
        changes.outcome_shifts(rows, axes[1])
    present = [cause for cause in CAUSES if any(score.outcomes[cause] for score in cells)] or ["wrong"]
    handles = [axes[0].barh([0], [0], color=style.CAUSE_COLOURS[c], label=formats.OUTCOME_TITLES[c]) for c in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def length_figure(table: RunTable, distribution: LengthDistribution) -> Figure:
    """Draw the lengths of one task's answers as a new figure, with a panel for every outcome that occurs."""
    present = [name for name in OUTCOMES if any(name in parts for parts in distribution.counts.values())]
    figure = Figure(figsize=(style.WIDTH, 0.6 + 1.7 * len(present)), layout="constrained")
    axes = figure.subplots(len(present), 1, squeeze=False, sharex=True)[:, 0]
    for outcome, ax in zip(present, axes, strict=True):
        answers.length_distribution(table, distribution.task, outcome, ax)
    _one_legend(figure)
    return figure


def budget_figure(table: RunTable, task: str) -> Figure:
    """Draw the scores on one task at smaller token budgets, as ``budget_curve`` does, as a new figure."""
    figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
    answers.budget_curve(table, task, figure.add_subplot())
    _one_legend(figure)
    return figure


def timeline_figure(uses: Sequence[SlotUse]) -> Figure:
    """Draw the requests in flight of every model over the busy time of a run as a new figure."""
    figure = Figure(figsize=(style.WIDTH, 2.8), layout="constrained")
    answers.slot_timeline(uses, figure.add_subplot())
    _one_legend(figure)
    return figure


def _one_legend(figure: Figure) -> None:
    """Add a legend to the figure with every label of its panels once, below them."""
    handles: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)


def save_figure(figure: Figure, path: Path, *, svg: bool) -> None:
    """Write a figure as ``path`` with ``.png`` appended and, with ``svg``, ``.svg``. The figure is laid out once and
    loses its layout engine.

    Without ``svg`` an SVG file of an earlier report is removed: it would show other numbers than its neighbour.
    """
    layout = figure.get_layout_engine()
    if layout is not None:  # once here, where each file would lay out by drawing everything a second time
        layout.execute(figure)
        figure.set_layout_engine(None)
    png = path.with_name(f"{path.name}.png")
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib does not type it
    canvas.draw()
    drawn = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    # without transparency, which savefig writes too, a quarter less to compress
    drawn.convert("RGB").save(png, compress_level=1, dpi=(figure.dpi, figure.dpi))
    other = path.with_name(f"{path.name}.svg")
    if svg:
        figure.savefig(other, format="svg", metadata={"Date": None})
    else:
        other.unlink(missing_ok=True)
