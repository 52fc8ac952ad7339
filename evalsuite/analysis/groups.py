"""Computes the change on every value of a group, such as each subject, and whether the values changed differently."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis import scores
from evalsuite.analysis.table import group_column
from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.heterogeneity import Heterogeneity, heterogeneity
from evalsuite.stats.multiplicity import adjust


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

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``comparison.json``."""
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
            "shrunken": self.shrunken,
            "lost": self.lost,
            "gained": self.gained,
            "method": self.change.method,
        }


def group_changes(
    name: str, before: pd.DataFrame, after: pd.DataFrame, flips: pd.DataFrame, *, single: bool
) -> tuple[tuple[GroupChange, ...], Heterogeneity | None]:
    """Compute the change on every value of the group ``name``, and a test of whether the values changed differently.

    ``before`` and ``after`` are item means of baseline and candidate (``scores.item_means``), ``flips`` has the
    expected ``lost`` and ``gained`` of every item; all have the same items in the same order. ``single``: each item has
    one answer in both models. Returns the changes sorted by group value and the heterogeneity test (None with too few
    values).
    """
    rows: list[tuple[str, Delta, float, float, float, float]] = []
    for value, old in before.groupby(group_column(name), sort=True):
        new, weights, moved = after.loc[old.index], scores.weights_of(old), flips.loc[old.index]
        change = paired_delta(
            scores.values_of(old),
            scores.values_of(new),
            single=single,
            weights=weights,
            clusters=scores.clusters_of(old),
        )
        old_score, new_score = (float(np.average(side["value"], weights=weights)) for side in (old, new))
        rows.append(
            (str(value), change, old_score, new_score, float(moved["lost"].sum()), float(moved["gained"].sum()))
        )
    adjusted = adjust([change.p_value for _, change, *_ in rows])
    heterogeneous = heterogeneity([change.delta for _, change, *_ in rows], [change.stderr for _, change, *_ in rows])
    shrunken: tuple[float | None, ...] = heterogeneous.shrunk if heterogeneous else (None,) * len(rows)
    changes = tuple(
        GroupChange(*row, q_bh, p_holm, shrunk)
        for row, q_bh, p_holm, shrunk in zip(rows, adjusted.bh, adjusted.holm, shrunken, strict=True)
    )
    return changes, heterogeneous
