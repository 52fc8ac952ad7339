"""The numbers of a comparison that could be made: two arms on their common items, paired by item.

Everything is taken on item means over repeats; methods by ``stats``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis import causes, scores
from evalsuite.analysis import comparability as comparable
from evalsuite.analysis import diagnostics as behaviour
from evalsuite.analysis.causes import BudgetedScores, Stability
from evalsuite.analysis.diagnostics import ArmRows, FlipNoise, Truncation
from evalsuite.analysis.groups import GroupChange, group_changes
from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.heterogeneity import Heterogeneity
from evalsuite.stats.intervals import Codes, Floats
from evalsuite.stats.paired import Flips, binary_flips, graded_flips, recovery, smallest_detectable
from evalsuite.stats.power import Design
from evalsuite.stats.ratios import Ratio, TokenRatio, recovery_ratio
from evalsuite.stats.variance import (
    Repeated,
    VarianceParts,
    design_of,
    flips_excess,
    flips_over_aa,
    repeated,
    variance_parts,
)

ASSUMED_PHI = 0.5
"""Share of coin tossing that is assumed where one answer per item cannot show it (statistics of sampled answers)."""
ASSUMED_TAU = 0.05
"""True change per item that is assumed then."""


@dataclass(frozen=True, slots=True)
class Arms:
    """Rows with values of two arms on common items, by item and repeat, and their item means in the same order."""

    base: pd.DataFrame
    cand: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame
    codes: tuple[Codes, Codes]
    """Each row's item, as its place in ``before``."""

    @property
    def sides(self) -> tuple[ArmRows, ArmRows]:
        """Both arms with their codes."""
        return ArmRows(self.base, self.codes[0], len(self.before)), ArmRows(self.cand, self.codes[1], len(self.before))

    @property
    def repeats(self) -> tuple[Repeated, Repeated]:
        """Mean, variance and number of each item's answers in both arms."""
        old, new = (
            repeated(side.rows["value"].to_numpy(dtype=np.float64), side.codes, side.items) for side in self.sides
        )
        return old, new

    @property
    def single(self) -> bool:
        """Whether every item has one answer in each arm."""
        return len(self.base) == len(self.before) and len(self.cand) == len(self.after)

    @property
    def binary(self) -> bool:
        """Whether all answers are right or wrong."""
        return bool(self.base["value"].isin((0.0, 1.0)).all() and self.cand["value"].isin((0.0, 1.0)).all())


@dataclass(frozen=True, slots=True)
class Paired:
    """The numbers of a comparison that could be made."""

    change: Delta
    baseline_score: float
    candidate_score: float
    flips: Flips
    causes: Mapping[str, float]
    """Outcome (or fault) -> its part of the delta."""
    groups: Mapping[str, tuple[GroupChange, ...]]
    heterogeneity: Mapping[str, Heterogeneity]
    """Grouping -> whether its strata changed alike; groupings with too few strata are left out."""
    tokens: Mapping[str, TokenRatio]
    """``completion``, ``reasoning`` -> candidate's tokens over the baseline's, where both are known."""
    truncation: Truncation
    recovered: Ratio | None
    """Candidate score over baseline score."""
    variance: VarianceParts
    design: Design | None
    """How the comparison was measured, for what would decide it."""
    noise: FlipNoise | None
    """Flips against the A/A floor; None: the floor is unknown."""
    budgets: tuple[BudgetedScores, ...]
    """Both scores at lower token budgets; empty where lengths do not tell."""
    stability: Stability | None
    """Stable loss against coin flips; None without repeats."""

    @property
    def tokens_ratio(self) -> float | None:
        """Completion tokens in all, candidate over baseline, on the paired items."""
        return self.tokens["completion"].total.ratio if "completion" in self.tokens else None

    @property
    def mde(self) -> float | None:
        """The smallest true difference that these data detect (power 0.8, two-sided alpha 0.05)."""
        return smallest_detectable(self.change.stderr)

    @property
    def recovery(self) -> float | None:
        """Candidate score over baseline score."""
        return recovery(self.baseline_score, self.candidate_score)

    def to_json(self) -> dict[str, Any]:
        """The numbers of a row of ``comparison.json``."""
        change = self.change
        return {
            "items": change.n,
            "baseline_score": self.baseline_score,
            "candidate_score": self.candidate_score,
            "delta": change.delta,
            "stderr": change.stderr,
            "ci95": _bounds(change.ci95),
            "ci90": _bounds(change.ci90),
            "p_value": change.p_value,
            "p_loss": change.p_loss,
            "method": change.method,
            "lost": self.flips.lost,
            "gained": self.flips.gained,
            "mde": self.mde,
            "recovery": self.recovery,
            "recovery_ci95": _bounds(self.recovered.ci95) if self.recovered else None,
            "tokens_ratio": self.tokens_ratio,
            "tokens": behaviour.tokens_json(self.tokens),
            "truncation": self.truncation.to_json(),
            "estimands": behaviour.estimands_json(change, self.variance),
            "variance": behaviour.variance_json(self.variance),
            "noise": self.noise.to_json() if self.noise else None,
            "causes": dict(self.causes),
            "budgets": [budget.to_json() for budget in self.budgets],
            "stability": self.stability.to_json() if self.stability else None,
            "groups": {name: [part.to_json() for part in parts] for name, parts in self.groups.items()},
            "heterogeneity": {
                name: {"q": found.q, "df": found.df, "p_value": found.p_value, "tau2": found.tau2}
                for name, found in self.heterogeneity.items()
            },
        }


KEYS: tuple[str, ...] = (
    "items", "baseline_score", "candidate_score", "delta", "stderr", "ci95", "ci90", "p_value", "p_loss", "method",
    "lost", "gained", "mde", "recovery", "recovery_ci95", "tokens_ratio", "tokens", "truncation", "estimands",
    "variance", "noise", "causes", "budgets", "stability", "groups", "heterogeneity",
)  # fmt: skip
"""Keys of ``Paired.to_json``."""
EMPTY: Mapping[str, Any] = {
    "items": 0,
    "tokens": {},
    "causes": {},
    "budgets": [],
    "groups": {},
    "heterogeneity": {},
}
"""What stands for these keys, where it is not null, when nothing could be compared."""


def shared_rows(base: pd.DataFrame, cand: pd.DataFrame, items: set[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the common items; of the common repeats only, where the prompt depends on the repeat."""
    base, cand = scores.of_items(base, items), scores.of_items(cand, items)
    if comparable.order_matters(base, cand):
        repeats = set(base["repeat"]) & set(cand["repeat"])
        base, cand = base[base["repeat"].isin(repeats)], cand[cand["repeat"].isin(repeats)]
    return base, cand


def arms_of(base: pd.DataFrame, cand: pd.DataFrame) -> Arms:
    """Pair two arms on the items that both have a measured answer to; rows are sorted by item and repeat."""
    base, cand = base[base["value"].notna()], cand[cand["value"].notna()]
    both = set(base["item_id"].unique()) & set(cand["item_id"].unique())
    base, cand = scores.of_items(base, both), scores.of_items(cand, both)
    before, after = scores.item_means(base), scores.item_means(cand)
    old, new = (before.index.get_indexer(pd.Index(rows["item_id"])).astype(np.int64) for rows in (base, cand))
    return Arms(base, cand, before, after, (old, new))


def pair(
    group_names: tuple[str, ...],
    arms: Arms,
    caps: tuple[int | None, int | None] | None,
    *,
    again: Mapping[str, pd.DataFrame] | None = None,
    alpha: float = 0.05,
) -> Paired:
    """All numbers of a comparison.

    ``caps``: the tokens that the one reply of an attempt was allowed in each arm, None where unknown; None for attempts
    of several replies. ``again``: model -> rows of a second arm of
    the baseline (A/A), where there is one. ``alpha``: error of each one-sided bound.
    """
    base, cand, before, after = arms.base, arms.cand, arms.before, arms.after
    flips = _item_flips(arms)
    weights, clusters = scores.weights_of(before), scores.clusters_of(before)
    old, new = scores.values_of(before), scores.values_of(after)
    change = paired_delta(old, new, single=arms.single, weights=weights, clusters=clusters, alpha=alpha)
    changes = {name: group_changes(name, before, after, flips, single=arms.single) for name in group_names}
    repeats = arms.repeats
    parts = variance_parts(*repeats, weights=weights, clusters=clusters)
    assumed = Design(len(old), len(old), float((old.mean() + new.mean()) / 2), ASSUMED_PHI, ASSUMED_TAU, 1, 1)
    return Paired(
        change,
        float(np.average(old, weights=weights)),
        float(np.average(new, weights=weights)),
        Flips(float(flips["lost"].sum()), float(flips["gained"].sum())),
        causes.split(base, cand, before),
        {name: parts for name, (parts, _) in changes.items()},
        {name: found for name, (_, found) in changes.items() if found is not None},
        behaviour.token_ratios(*arms.sides, clusters),
        behaviour.truncation(*arms.sides, clusters, single=arms.single),
        recovery_ratio(old, new, weights=weights, clusters=clusters),
        parts,
        design_of(parts, *repeats, weights=weights, clusters=clusters, assumed=assumed),
        _noise(arms, repeats, again or {}),
        causes.at_budgets(base, cand, before, caps) if caps else (),
        causes.stability(base, cand, before, after),
    )


def _noise(arms: Arms, repeats: tuple[Repeated, Repeated], again: Mapping[str, pd.DataFrame]) -> FlipNoise | None:
    """Flips against the floor: of the repeats where both arms have them, else of a second arm of the baseline."""
    found = flips_excess(*repeats)
    if found is not None:
        return FlipNoise(found, "repeats")
    for model, rows in again.items():
        rows = rows[rows["value"].notna() & rows["item_id"].isin(arms.before.index)]
        if set(rows["item_id"]) == set(arms.before.index):
            codes = arms.before.index.get_indexer(pd.Index(rows["item_id"])).astype(np.int64)
            second = behaviour.first_answers(ArmRows(rows, codes, len(arms.before)))
            first, other = (behaviour.first_answers(side) for side in arms.sides)
            return FlipNoise(flips_over_aa(first, second, other), model)
    return None


def _item_flips(arms: Arms) -> pd.DataFrame:
    """Expected ``lost`` and ``gained`` of every item."""
    before, after = arms.before, arms.after
    if arms.binary:
        lost, gained = binary_flips(scores.values_of(before), scores.values_of(after))
    else:
        lost, gained = graded_flips(_answers(arms.base, before), _answers(arms.cand, after))
    return pd.DataFrame({"lost": lost, "gained": gained}, index=before.index)


def _answers(rows: pd.DataFrame, means: pd.DataFrame) -> list[Floats]:
    by_item = {str(item): part.to_numpy(dtype=np.float64) for item, part in rows.groupby("item_id")["value"]}
    return [by_item[str(item)] for item in means.index]


def _bounds(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
