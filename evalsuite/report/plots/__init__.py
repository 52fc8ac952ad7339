"""Plots for people: each public function draws on the ``Axes`` it is given, so that notebooks can use them too.

``changes`` draws comparisons, ``answers`` draws cells and tables, ``save`` makes whole figures and files.
"""

from evalsuite.report.plots.answers import (
    budget_curve,
    length_distribution,
    outcome_shares,
    score_points,
    slot_timeline,
)
from evalsuite.report.plots.changes import delta_forest, group_drops, group_dumbbell, heat_map, outcome_shifts
from evalsuite.report.plots.save import (
    budget_figure,
    forest_figure,
    group_figure,
    heat_figure,
    length_figure,
    outcome_figure,
    save_all,
    score_figure,
    timeline_figure,
)
from evalsuite.report.plots.style import STYLE, legend

__all__ = [
    "STYLE",
    "budget_curve",
    "budget_figure",
    "delta_forest",
    "forest_figure",
    "group_drops",
    "group_dumbbell",
    "group_figure",
    "heat_figure",
    "heat_map",
    "legend",
    "length_distribution",
    "length_figure",
    "outcome_figure",
    "outcome_shares",
    "outcome_shifts",
    "save_all",
    "score_figure",
    "score_points",
    "slot_timeline",
    "timeline_figure",
]
