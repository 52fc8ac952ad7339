"""What the plots draw is what the comparisons say."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib import artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evalsuite.analysis.comparison import CAUSES
from evalsuite.analysis.suite import SuiteComparison, compare_all
from evalsuite.analysis.table import load_run
from evalsuite.config.settings import Gate, Margin
from evalsuite.report.plots.answers import outcome_shares, score_points
from evalsuite.report.plots.changes import delta_forest, group_drops, group_dumbbell, heat_map, outcome_shifts
from evalsuite.report.plots.docstrings import import_figures
from evalsuite.report.plots.save import forest_figure, group_figure, heat_figure, outcome_figure
from tests.support.made_runs import demo_run


@pytest.fixture(scope="module")
def overview(tmp_path_factory: pytest.TempPathFactory) -> SuiteComparison:
    return compare_all(load_run(demo_run(tmp_path_factory.mktemp("plots"))))


def axes() -> Axes:
    return Figure().add_subplot()


def drawn(ax: Axes, length: int) -> list[tuple[list[float], list[float]]]:
    """Data of the lines with so many points; bars that mark baselines and the zero line are left out."""
    lines = [line for line in ax.lines if line.get_marker() != "|" and line.get_linewidth() != 0.8]
    data = [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in lines]
    return [(x.tolist(), y.tolist()) for x, y in data if len(x) == length]


def points(ax: Axes) -> list[tuple[float, float]]:
    """Single marked points in the order in which they were drawn."""
    return [(x[0], y[0]) for x, y in drawn(ax, 1)]


def spans(ax: Axes) -> list[list[float]]:
    """Ends of the intervals in the order in which they were drawn."""
    return [x for x, _ in drawn(ax, 2)]


def test_forest(overview: SuiteComparison) -> None:
    ax = axes()
    delta_forest(overview.comparisons, ax)
    rows = [row.to_json() for row in overview.comparisons]
    assert [x for x, _ in points(ax)] == pytest.approx([100 * row["delta"] for row in rows])
    assert [y for _, y in points(ax)] == [0, 1]
    assert np.array(spans(ax)) == pytest.approx(np.array([row["ci95"] for row in rows]) * 100)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        "FP8 (demo)\nWord problems",
        "NVFP4 (demo)\nWord problems",
    ]


def test_drops_and_dumbbell(overview: SuiteComparison) -> None:
    drops, dumbbell = axes(), axes()
    group_drops(overview.comparisons, "subject", drops)
    group_dumbbell(overview.comparisons, "subject", dumbbell)
    labels = [tick.get_text() for tick in drops.get_yticklabels()]
    assert labels == [tick.get_text() for tick in dumbbell.get_yticklabels()]
    assert labels[0] == "physics"
    parts = [part for row in overview.comparisons for part in row.to_json()["groups"]["subject"]]
    assert [x for x, _ in points(drops)] == pytest.approx([100 * part["delta"] for part in parts])
    assert [labels[round(y)] for _, y in points(drops)] == [part["value"] for part in parts]
    assert [x for x, _ in points(dumbbell)] == pytest.approx([100 * part["candidate_score"] for part in parts])


def test_margins_of_the_forest(tmp_path: Path) -> None:
    gate = Gate({"word_problems": Margin(2.5, "tests", "fixed")})
    overview = compare_all(load_run(demo_run(tmp_path)), gate=gate)
    ax = axes()
    delta_forest(overview.comparisons, ax)
    bars = [np.asarray(line.get_xdata(), float).tolist() for line in ax.lines if line.get_gid() == "margin"]
    assert bars == [[-2.5, -2.5]] * 2
    assert [row.to_json()["margin"] for row in overview.comparisons] == [0.025, 0.025]


def test_heat_map(overview: SuiteComparison) -> None:
    ax = axes()
    heat_map(overview.comparisons, "subject", ax)
    columns = [tick.get_text() for tick in ax.get_xticklabels()]
    values = [tick.get_text() for tick in ax.get_yticklabels()]
    assert columns == ["FP8 (demo)", "NVFP4 (demo)"]
    grid = np.asarray(ax.images[0].get_array(), float)
    for row, title in zip(overview.comparisons, columns, strict=True):
        for part in row.to_json()["groups"]["subject"]:
            place = (columns.index(title), values.index(part["value"]))
            z = part["delta"] / part["stderr"] if part["delta"] else 0.0
            assert grid[place[::-1]] == pytest.approx(z)
            (text,) = [one for one in ax.texts if one.get_position() == place]
            assert text.get_text() == f"{z:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")
            assert (text.get_fontweight() == "bold") == (part["p_page"] < 0.05)


def test_outcomes(overview: SuiteComparison) -> None:
    shares, shifts = axes(), axes()
    outcome_shares(overview.scores, shares)
    widths = [patch.get_width() for patch in shares.patches]  # type: ignore[attr-defined]
    expected = [100 * score.outcomes[cause] / 150 for score in overview.scores for cause in CAUSES]
    assert widths == pytest.approx(expected)
    outcome_shifts(overview.comparisons, shifts)
    widths = [patch.get_width() for patch in shifts.patches]  # type: ignore[attr-defined]
    rows = [row.to_json() for row in overview.comparisons]
    assert widths == pytest.approx([100 * part for row in rows for part in row["causes"].values()])
    assert all(sum(row["causes"].values()) == pytest.approx(row["delta"]) for row in rows)
    assert [x for x, _ in points(shifts)] == pytest.approx([100 * row["delta"] for row in rows])


def test_scores(overview: SuiteComparison) -> None:
    ax = axes()
    score_points(overview.scores, ax)
    expected = [100 * score.scored.score for score in overview.scores if score.scored]
    assert [x for x, _ in points(ax)] == pytest.approx(expected)


def test_nothing_is_clipped_or_overlaps(overview: SuiteComparison, tmp_path: Path) -> None:
    """Tick labels of saved figures stay inside the figure and apart from each other."""
    for figure in (
        forest_figure(overview.comparisons),
        group_figure(overview.comparisons, "subject"),
        outcome_figure(overview.scores, overview.comparisons),
        heat_figure(overview.comparisons, "subject"),
    ):
        figure.savefig(tmp_path / "figure.png")
        for ax in figure.axes:
            boxes = [tick.get_window_extent() for tick in ax.get_yticklabels() if tick.get_text()]
            assert all(box.x0 >= -1 for box in boxes if box.width)
            ordered = sorted((box for box in boxes if box.width), key=lambda box: box.y0)
            assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(ordered))


def test_docstrings_of_matplotlib_are_left_out_only_of_its_import() -> None:
    import_figures()
    assert "linewidth" in artist.kwdoc(Line2D)


def test_matplotlib_is_imported_without_lists_of_properties_and_works() -> None:
    script = (
        "from evalsuite.report.plots.docstrings import import_figures\n"
        "import_figures()\n"
        "from matplotlib.lines import Line2D\n"
        "from matplotlib.artist import Artist\n"
        "line = Line2D([0], [0])\n"
        "line.set(linewidth=3.0)\n"
        "class Later(Artist): pass\n"
        "print(line.get_linewidth(), 'linewidth' in str(Line2D.set.__doc__), 'alpha' in Later.set.__doc__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3.0", "False", "True"]
