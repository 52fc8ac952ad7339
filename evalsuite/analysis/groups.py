"""Computes the change on every value of a group, such as each subject, and whether the values changed differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis import scores
from evalsuite.analysis.table import group_column
from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.heterogeneity import Heterogeneity, heterogeneity
from evalsuite.stats.multiplicity import adjust

SIGNIFICANT = 0.05
"""Adjusted p value below which the change of a group value is marked, and named when it is a loss."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """Change on one group value, such as the subject ``law``; fractions of 1."""

    value: str
    """The group value."""
    change: Delta
    """The paired change with its interval and p value."""
    baseline_score: float
    """Mean score of the baseline on these items."""
    candidate_score: float
    """Mean score of the candidate on these items."""
    lost: float
    """Number of items whose score fell; an expected number with repeats."""
    gained: float
    """Number of items whose score rose; an expected number with repeats."""
    q_bh: float | None
    """P value adjusted by Benjamini and Hochberg over all values of this group."""
    p_holm: float | None
    """P value adjusted by Holm over all values of this group."""
    shrunken: float | None = None
    """The delta shrunk towards the mean of all values of the group; for plots."""
    p_page: float | None = None
    """P value adjusted by Holm over everything that is shown of the candidate: all values of all groups of all
    tasks."""

    @property
    def significant(self) -> bool:
        """Whether the change is marked: p value below 0.05 after Holm over all values that are shown together
        (``p_page``); False before that adjustment.
        """
        return self.p_page is not None and self.p_page < SIGNIFICANT

    @property
    def z(self) -> float | None:
        """The change divided by its standard error: 0 for no change, else None without a standard error above 0."""
        if self.change.delta == 0:
            return 0.0
        return self.change.delta / self.change.stderr if self.change.stderr else None

    def to_json(self) -> dict[str, Any]:
        """Return an entry of ``groups`` of a row of ``comparison.json``: value, number of items, scores, delta with its
        error (fractions of 1) and p values (null when unknown), numbers of items lost and gained.
        """
        return {
            "value": self.value,
            "n": self.change.n,
            "baseline_score": self.baseline_score,
            "candidate_score": self.candidate_score,
            "delta": self.change.delta,
            "stderr": self.change.stderr,
            "ci95": None if self.change.ci95 is None else list(self.change.ci95),
            "p_value": self.change.p_value,
            "q_bh": self.q_bh,
            "p_holm": self.p_holm,
            "p_page": self.p_page,
            "shrunken": self.shrunken,
            "lost": self.lost,
            "gained": self.gained,
            "method": self.change.method,
        }


Groups = Mapping[str, tuple[GroupChange, ...]]
"""Group name -> change on each of its values."""


def adjusted_together(tasks: Sequence[Groups]) -> tuple[Groups, ...]:
    """Return copies of the groups of several tasks of one candidate with ``p_page`` set: Holm's adjustment over all of
    their values together; None for a value without p value. Same order as ``tasks``.
    """
    parts = [part for groups in tasks for values in groups.values() for part in values]
    adjusted = iter(adjust([part.change.p_value for part in parts]).holm)
    return tuple(
        {name: tuple(replace(part, p_page=next(adjusted)) for part in values) for name, values in groups.items()}
        for groups in tasks
    )


FEWEST_ITEMS = 10
"""Items below which a group value is shown only together with the others of this kind."""


def group_changes(
    name: str, before: pd.DataFrame, after: pd.DataFrame, flips: pd.DataFrame, *, single: bool
) -> tuple[tuple[GroupChange, ...], GroupChange | None, Heterogeneity | None]:
    """Compute the change on every value of the group ``name``, and a test of whether the values changed differently;
    items without this group are left out.

    ``before`` and ``after`` are item means of baseline and candidate (``scores.item_means``), ``flips`` has the
    expected ``lost`` and ``gained`` of every item; all have the same items in the same order. ``single``: each item has
    one answer in both models. Returns (changes sorted by group value, small ones included, with p values adjusted over
    them; the change on all items of values with fewer than ten items together, None without such values; the
    heterogeneity test, None with fewer than two values that have a standard error above 0).
    """
    column = before[group_column(name)]
    rows = [_change(str(value), old, after, flips, single=single) for value, old in before.groupby(column, sort=True)]
    adjusted = adjust([row.change.p_value for row in rows])
    heterogeneous = heterogeneity([row.change.delta for row in rows], [row.change.stderr for row in rows])
    shrunken: tuple[float | None, ...] = heterogeneous.shrunk if heterogeneous else (None,) * len(rows)
    changes = tuple(
        replace(row, q_bh=q_bh, p_holm=p_holm, shrunken=shrunk)
        for row, q_bh, p_holm, shrunk in zip(rows, adjusted.bh, adjusted.holm, shrunken, strict=True)
    )
    small = [row.value for row in rows if row.change.n < FEWEST_ITEMS]
    if not small:
        return changes, None, heterogeneous
    title = f"{small[0] if len(small) == 1 else f'{len(small)} values'} (under {FEWEST_ITEMS} items)"
    folded = _change(title, before[column.astype(str).isin(small)], after, flips, single=single)
    return changes, folded, heterogeneous


def _change(title: str, old: pd.DataFrame, after: pd.DataFrame, flips: pd.DataFrame, *, single: bool) -> GroupChange:
    """Compute the paired change on the items of ``old`` (item means of the baseline), named ``title``; ``after`` and
    ``flips`` may hold more items and are reduced to these. Adjusted p values are None.
    """
    new, weights, moved = after.loc[old.index], scores.weights_of(old), flips.loc[old.index]
    change = paired_delta(
        scores.values_of(old), scores.values_of(new), single=single, weights=weights, clusters=scores.clusters_of(old)
    )
    old_score, new_score = (float(np.average(side["value"], weights=weights)) for side in (old, new))
    lost, gained = (float(moved[direction].sum()) for direction in ("lost", "gained"))
    return GroupChange(title, change, old_score, new_score, lost, gained, None, None)
