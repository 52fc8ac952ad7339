"""The change in every stratum of a grouping: which subject dropped, whether the strata differ at all."""

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
    """The change on one stratum, such as the subject ``law``."""

    value: str
    change: Delta
    baseline_score: float
    candidate_score: float
    lost: float
    gained: float
    q_bh: float | None
    """Over all strata of this grouping."""
    p_holm: float | None
    """Over all strata of this grouping."""
    shrunken: float | None = None
    """The delta drawn towards the common one, as far as the strata's own differences allow; for plots."""

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
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
    """The change in every stratum of the grouping ``name``, sorted by its value, and whether the strata differ.

    ``before`` and ``after`` are item means (``scores.item_means``), ``flips`` the expected ``lost`` and ``gained`` of
    every item, all in the same order.
    """
    found: list[tuple[str, Delta, float, float, float, float]] = []
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
        found.append(
            (str(value), change, old_score, new_score, float(moved["lost"].sum()), float(moved["gained"].sum()))
        )
    adjusted = adjust([change.p_value for _, change, *_ in found])
    differ = heterogeneity([change.delta for _, change, *_ in found], [change.stderr for _, change, *_ in found])
    shrunken: tuple[float | None, ...] = differ.shrunk if differ else (None,) * len(found)
    changes = tuple(
        GroupChange(*row, q_bh, p_holm, drawn)
        for row, q_bh, p_holm, drawn in zip(found, adjusted.bh, adjusted.holm, shrunken, strict=True)
    )
    return changes, differ
