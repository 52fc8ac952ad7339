"""Chooses among more than two candidates of one baseline: the set that cannot be distinguished from the best.

The candidates' scores are means over the tasks of equal weight, paired on the items that all of them and the baseline
have. The method is that of ``stats.selection``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis import comparability, scores
from evalsuite.analysis.comparison import Comparison, ScoredRows
from evalsuite.stats.selection import ManyScores, select_best

FEWEST = 3
"""Candidates from which on the choice among them is shown."""
Cells = Mapping[tuple[str, str], ScoredRows]
"""(model, task) -> its planned rows."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One candidate next to the others; scores and deltas are fractions of 1."""

    model: str
    """Name of the candidate."""
    score: float
    """Mean score over the tasks."""
    delta: float
    """Mean change against the baseline."""
    ci95: tuple[float, float] | None
    """Interval of the change that holds for all candidates together; None where too few answers changed."""
    among_best: bool
    """Whether the candidate cannot be told from the best."""
    weights_gb: float | None
    """Size of the checkpoint in units of 10^9 bytes, as the model's file states it; None when it does not."""
    tokens: float | None
    """Mean generated tokens of an answer, the tasks with equal weight; None when unknown."""

    def to_json(self) -> dict[str, Any]:
        """Return an entry of ``candidates`` in the list ``recipes`` of ``comparison.json``: a dict of all fields."""
        return {
            "model": self.model,
            "score": self.score,
            "delta": self.delta,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "among_best": self.among_best,
            "weights_gb": self.weights_gb,
            "tokens": self.tokens,
        }


@dataclass(frozen=True, slots=True)
class RecipeChoice:
    """All candidates of one baseline, compared with each other."""

    baseline: str
    """Name of the baseline model."""
    tasks: tuple[str, ...]
    """Tasks that all of them have complete answers to."""
    left_out: tuple[str, ...]
    """Tasks that some of them lack."""
    recipes: tuple[Recipe, ...]
    """The candidates, the highest score first."""
    corrected: float | None
    """Change of the first one against the baseline, corrected for its having been chosen."""

    def to_json(self) -> dict[str, Any]:
        """Return an entry of the list ``recipes`` of ``comparison.json``: baseline, tasks used and left out, candidates
        with the highest score first, the best one's name and its delta, raw and corrected for the choice (null when
        unknown).
        """
        return {
            "baseline": self.baseline,
            "tasks": list(self.tasks),
            "left_out": list(self.left_out),
            "candidates": [recipe.to_json() for recipe in self.recipes],
            "best": self.recipes[0].model,
            "delta": self.recipes[0].delta,
            "delta_corrected": self.corrected,
        }


def choose_recipes(
    pairs: Sequence[tuple[str, str]], comparisons: Sequence[Comparison], cells: Cells
) -> tuple[RecipeChoice, ...]:
    """Compare the candidates of each baseline with each other; at most one entry per baseline, in the order of
    ``pairs``.

    ``pairs``: (baseline, candidate) names; ``comparisons`` say which tasks are complete; ``cells`` hold the rows.
    Candidates without any complete comparison are left out; only tasks that all remaining ones have complete count. A
    baseline with fewer than ``FEWEST`` (3) remaining candidates, or without such a task, gets no entry.
    """
    choices: list[RecipeChoice] = []
    for baseline in dict.fromkeys(baseline for baseline, _ in pairs):
        names = [candidate for other, candidate in pairs if other == baseline]
        held = {name: _tasks(baseline, name, comparisons) for name in names}
        models = [name for name in names if held[name]]
        tasks = [
            task for task in dict.fromkeys(row.task for row in comparisons) if all(task in held[n] for n in models)
        ]
        if len(models) >= FEWEST and tasks:
            known = {task for tasks_of_one in held.values() for task in tasks_of_one}
            left_out = tuple(sorted(known - set(tasks)))
            choices.append(_choice(baseline, models, tasks, left_out, cells))
    return tuple(choices)


def _tasks(baseline: str, candidate: str, comparisons: Sequence[Comparison]) -> set[str]:
    """Return the tasks on which these two models have a complete comparison of fixed size: with paired numbers, no
    missing answers, not stopped early.
    """
    return {
        row.task
        for row in comparisons
        if (row.baseline.cell.model, row.candidate.cell.model) == (baseline, candidate)
        and row.paired is not None
        and row.bounded is None
        and not row.stopped
    }


def _choice(
    baseline: str, models: Sequence[str], tasks: Sequence[str], left_out: tuple[str, ...], cells: Cells
) -> RecipeChoice:
    selected = select_best([_scores([cells[model, task] for model in (baseline, *models)]) for task in tasks])
    recipes = [
        Recipe(
            model,
            selected.scores[place],
            selected.deltas[place],
            selected.bounds[place],
            selected.among_best[place],
            cells[model, tasks[0]].score.cell.manifest.get("weights_gb"),
            _tokens([cells[model, task].score.tokens.completion for task in tasks]),
        )
        for place, model in enumerate(models)
    ]
    first = recipes[selected.winner]
    ordered = sorted(recipes, key=lambda recipe: (recipe is not first, -recipe.score))
    return RecipeChoice(baseline, tuple(tasks), left_out, tuple(ordered), selected.corrected)


def _scores(arms: Sequence[ScoredRows]) -> ManyScores:
    """Return one task's item means of the baseline and its candidates (columns in the order of ``arms``) on the items
    that all have a value of, with weights and clusters.

    Where prompts depend on the repeat, only the repeats that all have are used.
    """
    frames = [arm.rows[arm.rows["value"].notna()] for arm in arms]
    if any(comparability.prompt_depends_on_repeat(frames[0], frame) for frame in frames[1:]):
        shared = set.intersection(*(set(frame["repeat"]) for frame in frames))
        frames = [frame[frame["repeat"].isin(shared)] for frame in frames]
    means = [scores.item_means(frame) for frame in frames]
    items = means[0].index
    for other in means[1:]:
        items = items.intersection(other.index)
    first: pd.DataFrame = means[0].loc[items]
    values = np.column_stack([scores.values_of(arm.loc[items]) for arm in means])
    return ManyScores(values, scores.weights_of(first), scores.clusters_of(first))


def _tokens(means: Sequence[float | None]) -> float | None:
    known = [mean for mean in means if mean is not None]
    return float(np.mean(known)) if len(known) == len(means) else None
