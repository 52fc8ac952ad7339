"""Draws the drift of nightly runs: deltas with their intervals above, the CUSUM chart with its limit below."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalsuite.analysis.drift import Chart
from evalsuite.report.plots.save import save_figure
from evalsuite.report.plots.style import BASELINE, CANDIDATES, label_text, settings, task_title
from evalsuite.tasks.datasets import benchmark_title

MARKS = {"confirmed": "X", "open": "o", "dismissed": "s"}
"""Result of an alarm -> its marker."""


def trend(chart: Chart, axes: Axes) -> None:
    """Draw the delta of every night in percentage points with its 95 % interval on ``axes``, and mark the alarms by
    their result.
    """
    places = range(len(chart.points))
    for place, point in zip(places, chart.points, strict=True):
        if point.ci95 is not None:
            axes.vlines(place, 100 * point.ci95[0], 100 * point.ci95[1], color=BASELINE, linewidth=1)
    axes.plot(places, [100 * point.delta for point in chart.points], ".-", color=CANDIDATES[0], linewidth=1)
    axes.axhline(0, color=BASELINE, linewidth=0.8)
    for place, point in zip(places, chart.points, strict=True):
        if point.alarm:
            axes.plot(
                place, 100 * point.delta, MARKS[point.alarm], color=CANDIDATES[1], markersize=7, label=point.alarm
            )
    axes.set_ylabel("delta, points")
    axes.set_title(label_text(f"{chart.candidate} against {chart.baseline}: {task_title(chart.task)}"), loc="left")


def cusum(chart: Chart, axes: Axes) -> None:
    """Draw the value of the CUSUM chart after every night, in standard errors, and its present limit, above which a
    value is an alarm, on ``axes``.
    """
    axes.step(range(len(chart.points)), [point.value for point in chart.points], where="mid", color=CANDIDATES[0])
    axes.axhline(chart.limit, color=CANDIDATES[1], linestyle="--", linewidth=1)
    axes.annotate("alarm", (0, chart.limit), xytext=(2, 2), textcoords="offset points", color=CANDIDATES[1], fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("CUSUM")
    step = max(1, len(chart.points) // 10)
    shown = range(0, len(chart.points), step)
    axes.set_xticks(list(shown), [chart.points[place].run for place in shown], rotation=30, ha="right", fontsize=7)


def save_trend(charts: Sequence[Chart], path: Path, *, svg: bool) -> None:
    """Write all charts with points below each other, as ``path`` with ``.png`` appended and, with ``svg``, ``.svg``
    (without it an older ``.svg`` is removed), into its folder, which is created; nothing when no chart has points.
    """
    with_points = [chart for chart in charts if chart.points]
    if not with_points:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(settings(benchmark_title(chart.task) for chart in with_points)):
        figure = Figure(figsize=(9, 4.5 * len(with_points)))
        axes = figure.subplots(2 * len(with_points), 1, squeeze=False)
        for number, chart in enumerate(with_points):
            trend(chart, axes[2 * number, 0])
            cusum(chart, axes[2 * number + 1, 0])
        figure.tight_layout()
        save_figure(figure, path, svg=svg)
