"""What all plots share: colours, markers, axes.

Colours are Okabe and Ito's, told apart by most colour-blind readers; candidates differ in marker as well. No pyplot
and no global state: figures are made directly, and a notebook keeps its own backend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evalsuite.analysis.comparison import Comparison

BASELINE = "#4d4d4d"
CANDIDATES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "D", "^", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
CAUSE_COLOURS = {"wrong": "#0072b2", "truncated": "#e69f00", "no_answer": "#cc79a7", "refused": "#4d4d4d"}
FAULT = "#000000"
"""Answers that are missing."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.hashsalt": "evalsuite",
    "svg.fonttype": "none",
}
WIDTH = 7.5
"""Inches."""
ROW = 0.3
GRID = "#e0e0e0"
LONGEST = 44
"""Characters of a label."""


@dataclass(frozen=True, slots=True)
class ModelTitle:
    """A model's name and title."""

    model: str
    title: str


@dataclass(frozen=True, slots=True)
class ModelStyle:
    """How a model's line is drawn; no two look alike even without colour."""

    colour: str
    dash: Any
    marker: str


def model_line(number: int) -> ModelStyle:
    """The look of the model at a place of the table; the first, mostly the baseline, is grey."""
    colours = (BASELINE, *CANDIDATES)
    markers = ("x", *MARKERS)
    return ModelStyle(colours[number % len(colours)], DASHES[number % len(DASHES)], markers[number % len(markers)])


def words(text: str) -> str:
    """A name as a label: printable, not taken for a formula, and no longer than there is room for."""
    plain = "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)
    lines = [line if len(line) <= LONGEST else line[: LONGEST - 3] + "..." for line in plain.split("\n")]
    return "\n".join(lines).replace("$", r"\$")


def legend(rows: Sequence[Comparison]) -> list[Line2D]:
    """Handles for a legend of the plots per stratum: the baseline's bar and each candidate's marker."""
    baselines = " / ".join(dict.fromkeys(row.baseline.cell.title for row in rows))
    bar = Line2D(
        [], [], marker="|", linestyle="", color=BASELINE, markersize=9, markeredgewidth=2.5, label=words(baselines)
    )
    return [bar] + [
        Line2D([], [], marker=MARKERS[n % len(MARKERS)], color=CANDIDATES[n % len(CANDIDATES)], label=words(title))
        for n, title in enumerate(titles(rows))
    ]


def point(
    ax: Axes, value: float, interval: tuple[float, float] | None, place: float, number: int, *, filled: bool = True
) -> None:
    """A value with its interval in percent, in the colour and marker of candidate ``number``."""
    colour, marker = CANDIDATES[number % len(CANDIDATES)], MARKERS[number % len(MARKERS)]
    if interval is not None:
        ax.plot([100 * interval[0], 100 * interval[1]], [place, place], color=colour, linewidth=1.5)
    face = colour if filled else "white"
    ax.plot(100 * value, place, marker=marker, color=colour, markerfacecolor=face, markersize=5.5)


def models(rows: Sequence[Comparison]) -> list[str]:
    """Candidates in the order in which they are met."""
    return list(dict.fromkeys(row.candidate.cell.model for row in rows))


def titles(rows: Sequence[Comparison]) -> list[str]:
    """Their titles."""
    return [next(row.candidate.cell.title for row in rows if row.candidate.cell.model == m) for m in models(rows)]


def offset(number: int, models: int) -> float:
    """Where a candidate stands within its row."""
    return 0.0 if models == 1 else (number / (models - 1) - 0.5) * 0.56


def value_axis(ax: Axes, label: str) -> None:
    """The horizontal axis of changes, with a line at no change."""
    ax.locator_params(axis="x", nbins=7)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_xlabel(label)
    ax.grid(axis="x", color=GRID)


def bands(ax: Axes, rows: int) -> None:
    """Shade every other row, so that the eye finds its stratum."""
    for row in range(0, rows, 2):
        ax.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=-1, linewidth=0)


def rows_axis(ax: Axes, labels: Sequence[str]) -> None:
    """One labelled row per place, the first on top."""
    ax.set_yticks(range(len(labels)), [words(label) for label in labels])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
