"""Bounds the effect of missing answers on a delta, from all of them wrong to all of them right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis import causes, scores
from evalsuite.stats.delta import Delta, paired_delta


@dataclass(frozen=True, slots=True)
class Extreme:
    """The comparison with every missing answer counted against, or for, the candidate; fractions of 1."""

    change: Delta
    """The paired change."""
    baseline_score: float
    """Score of the baseline."""
    candidate_score: float
    """Score of the candidate."""
    causes: Mapping[str, float]
    """Outcome or fault -> its part of the delta."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``worst`` or ``best`` of ``bounded`` in ``comparison.json``: both scores, delta with error
        and intervals (null when unknown), method, and the parts of the delta by cause.
        """
        change = self.change
        return {
            "baseline_score": self.baseline_score,
            "candidate_score": self.candidate_score,
            "delta": change.delta,
            "stderr": change.stderr,
            "ci95": None if change.ci95 is None else list(change.ci95),
            "ci90": None if change.ci90 is None else list(change.ci90),
            "method": change.method,
            "causes": dict(self.causes),
        }


@dataclass(frozen=True, slots=True)
class MissingAnswerBounds:
    """Both extremes of a comparison with missing answers; a verdict must hold at both."""

    missing: tuple[int, int]
    """Numbers of samples without a value in baseline and candidate."""
    share: float
    """The larger of the two models' fractions of missing samples."""
    worst: Extreme
    """The candidate's missing answers count as wrong, the baseline's as right."""
    best: Extreme
    """The candidate's missing answers count as right, the baseline's as wrong."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``bounded`` of ``comparison.json``: a dict of the missing numbers and share, and both
        extremes.
        """
        return {
            "missing": list(self.missing),
            "share": self.share,
            "worst": self.worst.to_json(),
            "best": self.best.to_json(),
        }


def bound_missing(
    base: pd.DataFrame, cand: pd.DataFrame, items: Sequence[str], repeats: tuple[int, int], alpha: float = 0.05
) -> MissingAnswerBounds:
    """Compute the delta with all missing answers counted against the candidate (its own as wrong, the baseline's as
    right), and with all counted for it.

    ``items`` are the planned items that both share (at least one), ``repeats`` the planned repeats of (baseline,
    candidate), ``alpha`` the error of each one-sided bound. ``base`` and ``cand`` are sample rows of these items and
    repeats, which may lack values or whole rows.
    """
    item_rows = _items(base, cand, items)
    plans = [_plan(item_rows, count) for count in repeats]
    missing = [len(plan) - int(rows["value"].notna().sum()) for plan, rows in zip(plans, (base, cand), strict=True)]
    share = max(count / len(plan) for count, plan in zip(missing, plans, strict=True))
    worst, best = (
        _extreme(
            causes.fill_missing(base, plans[0], 1.0 - value), causes.fill_missing(cand, plans[1], value), repeats, alpha
        )
        for value in (0.0, 1.0)
    )
    return MissingAnswerBounds((missing[0], missing[1]), share, worst, best)


def _items(base: pd.DataFrame, cand: pd.DataFrame, items: Sequence[str]) -> pd.DataFrame:
    """Return one row per item of ``items``, sorted by id, with its weight, cluster and groups from the rows of either
    model; weight 1 and no cluster where neither has a row.
    """
    names = ["item_id", "weight", "cluster", *(str(name) for name in base.columns if str(name).startswith("group."))]
    item_rows = pd.concat([base[names], cand[names]]).drop_duplicates("item_id").set_index("item_id")
    full = item_rows.reindex(sorted(items)).rename_axis("item_id").reset_index()
    return full.assign(weight=full["weight"].fillna(1.0), cluster=full["cluster"].fillna(""))


def _plan(items: pd.DataFrame, repeats: int) -> pd.DataFrame:
    rows = items.loc[items.index.repeat(repeats)].reset_index(drop=True)
    return rows.assign(repeat=np.tile(np.arange(repeats, dtype=np.int32), len(items)))


def _extreme(base: pd.DataFrame, cand: pd.DataFrame, repeats: tuple[int, int], alpha: float) -> Extreme:
    before, after = scores.item_means(base), scores.item_means(cand)
    weights = scores.weights_of(before)
    old, new = scores.values_of(before), scores.values_of(after)
    change = paired_delta(
        old, new, single=repeats == (1, 1), weights=weights, clusters=scores.clusters_of(before), alpha=alpha
    )
    before_score, after_score = (float(np.average(side, weights=weights)) for side in (old, new))
    return Extreme(change, before_score, after_score, causes.split_delta(base, cand, before))
