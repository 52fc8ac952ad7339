"""Colours, markers and axes of all plots.

The colours are those of Okabe and Ito, which most colour-blind readers can distinguish; candidates differ in their
markers as well. Figures are created directly, without pyplot and global state, so that a notebook keeps its own
backend.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evalsuite.analysis.comparison import Comparison
from evalsuite.report.plots import fonts
from evalsuite.store.runs import TableCell
from evalsuite.tasks.datasets import benchmark_title

BASELINE = "#4d4d4d"
"""Colour of the baseline."""
CANDIDATES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of the candidates."""
MARKERS = ("o", "s", "D", "^", "v", "P")
"""Markers of the candidates."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Line styles of the models."""
CAUSE_COLOURS = {"wrong": "#0072b2", "truncated": "#e69f00", "no_answer": "#cc79a7", "refused": "#4d4d4d"}
"""Outcome -> its colour."""
FAULT = "#000000"
"""Colour of missing answers."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 150,
    "svg.hashsalt": "evalsuite",
    "svg.fonttype": "none",
    "text.hinting": "no_hinting",  # a twentieth of the time; at 150 dpi it shows in no letter
    "text.parse_math": False,  # titles are text of others
}
"""Settings of matplotlib but for the fonts."""
WIDTH = 7.5
"""Width of a figure in inches."""
ROW = 0.3
"""Height of a row in inches."""
GRID = "#e0e0e0"
"""Colour of grid lines."""
MAX_LABEL = 44
"""Largest number of characters of a label."""


@dataclass(frozen=True, slots=True)
class ModelTitle:
    """Name and title of a model."""

    model: str
    """The name."""
    title: str
    """The title."""


@dataclass(frozen=True, slots=True)
class ModelStyle:
    """Style of a model's line; models differ in dash and marker as well as in colour."""

    colour: str
    """Colour of the line."""
    dash: Any
    """Line style."""
    marker: str
    """Marker of points."""


def settings(texts: Iterable[str]) -> dict[Any, Any]:
    """Return the matplotlib settings (rcParams) for plots that contain ``texts``, with fonts that have their letters,
    as far as installed ones do.
    """
    return STYLE | {"font.family": fonts.families(texts)}


def model_line(number: int) -> ModelStyle:
    """Return the line style of the model at position ``number`` of the table, from 0; the first, mostly the baseline,
    is grey. Styles repeat.
    """
    colours = (BASELINE, *CANDIDATES)
    markers = ("x", *MARKERS)
    return ModelStyle(colours[number % len(colours)], DASHES[number % len(DASHES)], markers[number % len(markers)])


def label_text(text: str) -> str:
    """Return a name as a label: signs that are not printable become spaces, letters that cannot be drawn U+FFFD, and
    each line is cut to 44 characters. Where matplotlib parses formulas now, each ``$`` is then escaped by a backslash,
    which is not drawn.
    """
    plain = fonts.drawn("".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text))
    lines = [line if len(line) <= MAX_LABEL else line[: MAX_LABEL - 3] + "..." for line in plain.split("\n")]
    label = "\n".join(lines)
    return label.replace("$", r"\$") if rcParams["text.parse_math"] else label


def model_title(cell: TableCell) -> str:
    """Return the title of a cell's model, or its name where the present fonts lack letters of the title."""
    return cell.title if fonts.drawable(cell.title) else cell.model


def task_title(task: str) -> str:
    """Return the title of a task, or its name where the present fonts lack letters of the title."""
    title = benchmark_title(task)
    return title if fonts.drawable(title) else task


def legend(rows: Sequence[Comparison]) -> list[Line2D]:
    """Return legend handles for plots of group values: the baseline's bar and each candidate's marker. ``rows``: the
    comparisons that are drawn, none without numbers.
    """
    baselines = " / ".join(dict.fromkeys(model_title(row.baseline.cell) for row in rows))
    bar = Line2D(
        [], [], marker="|", linestyle="", color=BASELINE, markersize=9, markeredgewidth=2.5, label=label_text(baselines)
    )
    return [bar] + [
        Line2D([], [], marker=MARKERS[n % len(MARKERS)], color=CANDIDATES[n % len(CANDIDATES)], label=label_text(title))
        for n, title in enumerate(titles(rows))
    ]


def point(
    ax: Axes, value: float, interval: tuple[float, float] | None, place: float, number: int, *, filled: bool = True
) -> None:
    """Draw a value (fraction) with its interval (None for none) on ``ax`` in percent, at height ``place``, in the
    colour and marker of candidate ``number``, from 0; hollow unless ``filled``.
    """
    colour, marker = CANDIDATES[number % len(CANDIDATES)], MARKERS[number % len(MARKERS)]
    if interval is not None:
        ax.plot([100 * interval[0], 100 * interval[1]], [place, place], color=colour, linewidth=1.5)
    face = colour if filled else "white"
    ax.plot(100 * value, place, marker=marker, color=colour, markerfacecolor=face, markersize=5.5)


def models(rows: Sequence[Comparison]) -> list[str]:
    """Return the names of the candidates in order of first appearance."""
    return list(dict.fromkeys(row.candidate.cell.model for row in rows))


def titles(rows: Sequence[Comparison]) -> list[str]:
    """Return the titles of the candidates in order of first appearance (names where a title cannot be drawn)."""
    return [
        next(model_title(row.candidate.cell) for row in rows if row.candidate.cell.model == m) for m in models(rows)
    ]


def offset(number: int, models: int) -> float:
    """Return the vertical offset, in rows, of candidate ``number`` (from 0) of ``models`` inside its row: -0.28 to
    0.28, 0 for a single one.
    """
    return 0.0 if models == 1 else (number / (models - 1) - 0.5) * 0.56


def value_axis(ax: Axes, label: str) -> None:
    """Prepare the horizontal axis of changes on ``ax`` with the title ``label``, vertical grid lines and a line
    at 0.
    """
    ax.locator_params(axis="x", nbins=7)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel(label)
    ax.grid(axis="x", color=GRID)


def bands(ax: Axes, rows: int) -> None:
    """Shade every other of ``rows`` rows of ``ax``, from the first."""
    for row in range(0, rows, 2):
        ax.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=-1, linewidth=0)


def rows_axis(ax: Axes, labels: Sequence[str]) -> None:
    """Label the rows of the vertical axis of ``ax`` with ``labels``, the first on top."""
    ax.set_yticks(range(len(labels)), [label_text(label) for label in labels])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
