"""Computes the numbers of a comparison from the rows of two models on their common items.

All numbers are computed on item means over repeats, with the methods of ``stats``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis import causes, comparability, diagnostics, scores
from evalsuite.analysis.causes import BudgetedScores, Stability
from evalsuite.analysis.diagnostics import ArmRows, FlipNoise, OutcomeShift, ShareChange
from evalsuite.analysis.groups import FEWEST_ITEMS, GroupChange, adjusted_together, group_changes
from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.design import Design
from evalsuite.stats.heterogeneity import Heterogeneity
from evalsuite.stats.intervals import Codes, Floats
from evalsuite.stats.paired import Flips, binary_flips, graded_flips, recovery, smallest_detectable
from evalsuite.stats.ratios import Ratio, TokenRatio, recovery_of
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
"""Fraction of the variance within items (see ``Design.phi``) that is assumed when single answers cannot show it."""
ASSUMED_TAU = 0.05
"""Standard deviation of the true change over items that is assumed when single answers cannot show it."""


@dataclass(frozen=True, slots=True)
class Arms:
    """Measured rows of baseline and candidate on their common items, sorted by item and repeat, with their item
    means.
    """

    base: pd.DataFrame
    """Rows of the baseline."""
    cand: pd.DataFrame
    """Rows of the candidate."""
    before: pd.DataFrame
    """Item means of the baseline (``scores.item_means``)."""
    after: pd.DataFrame
    """Item means of the candidate, in the same order as ``before``."""
    codes: tuple[Codes, Codes]
    """For each row of ``base`` and of ``cand``, the position of its item in ``before``."""

    @property
    def sides(self) -> tuple[ArmRows, ArmRows]:
        """The rows of (baseline, candidate), each with item codes and the number of items."""
        return ArmRows(self.base, self.codes[0], len(self.before)), ArmRows(self.cand, self.codes[1], len(self.before))

    @property
    def repeats(self) -> tuple[Repeated, Repeated]:
        """Mean, variance and number of each item's answers, in (baseline, candidate)."""
        old, new = (
            repeated(side.rows["value"].to_numpy(dtype=np.float64), side.codes, side.items) for side in self.sides
        )
        return old, new

    @property
    def single(self) -> bool:
        """Whether every item has one answer in each model."""
        return len(self.base) == len(self.before) and len(self.cand) == len(self.after)

    @property
    def binary(self) -> bool:
        """Whether every answer has the value 0 or 1."""
        return bool(self.base["value"].isin((0.0, 1.0)).all() and self.cand["value"].isin((0.0, 1.0)).all())


@dataclass(frozen=True, slots=True)
class Paired:
    """Numbers of one comparison; scores and deltas are fractions of 1."""

    change: Delta
    """The paired change with its intervals and p values."""
    baseline_score: float
    """Weighted mean score of the baseline on the common items."""
    candidate_score: float
    """Weighted mean score of the candidate on the common items."""
    flips: Flips
    """Numbers of items whose score fell and rose."""
    causes: Mapping[str, float]
    """Outcome (or fault) -> its part of the delta."""
    groups: Mapping[str, tuple[GroupChange, ...]]
    """Group name -> change on each of its values."""
    small_groups: Mapping[str, GroupChange]
    """Group name -> change on all items of its values with fewer than ten items; groups without such are left out."""
    heterogeneity: Mapping[str, Heterogeneity]
    """Group name -> test of whether its values changed differently; groups with too few values are left out."""
    tokens: Mapping[str, TokenRatio]
    """``completion`` and ``reasoning`` -> ratio of the candidate's to the baseline's tokens, when both are known."""
    truncation: ShareChange
    """Fractions of truncated answers and their paired change."""
    degenerate: ShareChange
    """Fractions of degenerate answers and their paired change."""
    shifts: tuple[OutcomeShift, ...]
    """Kinds of outcome whose frequency changed significantly."""
    recovered: Ratio | None
    """Ratio of candidate score to baseline score with its interval; None when the baseline scored 0."""
    variance: VarianceParts
    """Variance components of the delta."""
    design: Design | None
    """How the comparison was measured; input of the computation of what would decide it."""
    noise: FlipNoise | None
    """Flips compared with the A/A floor; None when the floor is unknown."""
    budgets: tuple[BudgetedScores, ...]
    """Both scores at lower token budgets; empty when lengths are unknown."""
    stability: Stability | None
    """Stable losses separated from random variation; None without repeats."""

    def shown_groups(self, name: str) -> tuple[GroupChange, ...]:
        """Return the changes on the values of the group ``name`` for display: values with at least ten items, then one
        entry for all smaller ones together, if there are any. Raises ``KeyError`` for an unknown group.
        """
        large = tuple(part for part in self.groups[name] if part.change.n >= FEWEST_ITEMS)
        return (*large, self.small_groups[name]) if name in self.small_groups else large

    @property
    def tokens_ratio(self) -> float | None:
        """Total completion tokens of the candidate over those of the baseline (sums of item means), on the paired items
        with known counts above 0 in both; None with fewer than two such items.
        """
        return self.tokens["completion"].total.ratio if "completion" in self.tokens else None

    @property
    def mde(self) -> float | None:
        """Minimum detectable effect, a fraction: the smallest true difference that these data detect.

        Computed for power 0.8 and two-sided alpha 0.05; None without a standard error.
        """
        return smallest_detectable(self.change.stderr)

    @property
    def recovery(self) -> float | None:
        """Candidate score over baseline score; None when the baseline scored 0."""
        return recovery(self.baseline_score, self.candidate_score)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of one row of ``comparison.json``: a dict of JSON types with the keys of ``KEYS``; scores
        and deltas are fractions, unknown values null.
        """
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
            "tokens": diagnostics.tokens_json(self.tokens),
            "truncation": self.truncation.to_json(),
            "degenerate": self.degenerate.to_json(),
            "outcome_shifts": [shift.to_json() for shift in self.shifts],
            "estimands": diagnostics.estimands_json(change, self.variance),
            "variance": diagnostics.variance_json(self.variance),
            "noise": self.noise.to_json() if self.noise else None,
            "causes": dict(self.causes),
            "budgets": [budget.to_json() for budget in self.budgets],
            "stability": self.stability.to_json() if self.stability else None,
            "groups": {name: [part.to_json() for part in parts] for name, parts in self.groups.items()},
            "small_groups": {name: part.to_json() for name, part in self.small_groups.items()},
            "heterogeneity": {
                name: {"q": test.q, "df": test.df, "p_value": test.p_value, "tau2": test.tau2}
                for name, test in self.heterogeneity.items()
            },
        }


KEYS: tuple[str, ...] = (
    "items", "baseline_score", "candidate_score", "delta", "stderr", "ci95", "ci90", "p_value", "p_loss", "method",
    "lost", "gained", "mde", "recovery", "recovery_ci95", "tokens_ratio", "tokens", "truncation", "degenerate",
    "outcome_shifts", "estimands", "variance", "noise", "causes", "budgets", "stability", "groups",
    "small_groups", "heterogeneity",
)  # fmt: skip
"""Keys of ``Paired.to_json``."""
EMPTY: Mapping[str, Any] = {
    "items": 0,
    "tokens": {},
    "outcome_shifts": [],
    "small_groups": {},
    "causes": {},
    "budgets": [],
    "groups": {},
    "heterogeneity": {},
}
"""Values of these keys, where they are not null, when nothing could be compared."""


def shared_rows(base: pd.DataFrame, cand: pd.DataFrame, items: set[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the rows of the common ``items`` from the sample rows of (baseline, candidate); returns both.

    When the prompt of any item depends on the repeat, all rows with a repeat that occurs in one model only are dropped.
    """
    base, cand = scores.select_items(base, items), scores.select_items(cand, items)
    if comparability.prompt_depends_on_repeat(base, cand):
        common_repeats = set(base["repeat"]) & set(cand["repeat"])
        base, cand = base[base["repeat"].isin(common_repeats)], cand[cand["repeat"].isin(common_repeats)]
    return base, cand


def arms_of(base: pd.DataFrame, cand: pd.DataFrame) -> Arms:
    """Pair the sample rows of baseline and candidate on the items for which both have an answer with a value; rows
    without value and other items are dropped.

    The rows must be sorted by item and repeat.
    """
    base, cand = base[base["value"].notna()], cand[cand["value"].notna()]
    both = set(base["item_id"].unique()) & set(cand["item_id"].unique())
    base, cand = scores.select_items(base, both), scores.select_items(cand, both)
    before, after = scores.item_means(base), scores.item_means(cand)
    old, new = (before.index.get_indexer(pd.Index(rows["item_id"])).astype(np.int64) for rows in (base, cand))
    return Arms(base, cand, before, after, (old, new))


def pair(
    group_names: tuple[str, ...],
    arms: Arms,
    caps: tuple[int | None, int | None] | None,
    *,
    aa_rows: Mapping[str, pd.DataFrame] | None = None,
    alpha: float = 0.05,
) -> Paired:
    """Compute all numbers of a comparison: change, scores, flips, causes, groups, tokens, variance and others.

    ``group_names``: groups of the task. ``arms``: the paired rows, at least one item. ``caps``: maximum tokens of the
    single reply of an attempt in baseline and candidate, each None when unknown; None for attempts of several replies,
    which get no scores at budgets. ``aa_rows``: model -> rows of a second run of the baseline (A/A); None for none.
    ``alpha``: error of each one-sided bound.
    """
    base, cand, before, after = arms.base, arms.cand, arms.before, arms.after
    flips = _item_flips(arms)
    weights, clusters = scores.weights_of(before), scores.clusters_of(before)
    old, new = scores.values_of(before), scores.values_of(after)
    change = paired_delta(old, new, single=arms.single, weights=weights, clusters=clusters, alpha=alpha)
    base_score = float(np.average(old, weights=weights))
    changes = {name: group_changes(name, before, after, flips, single=arms.single) for name in group_names}
    repeats = arms.repeats
    share = partial(diagnostics.share_change, *arms.sides, clusters, single=arms.single)
    outcomes = {name: share(partial(_is_outcome, name)) for name in causes.CAUSES}
    parts = variance_parts(*repeats, weights=weights, clusters=clusters)
    assumed = Design(len(old), len(old), float((old.mean() + new.mean()) / 2), ASSUMED_PHI, ASSUMED_TAU, 1, 1)
    return Paired(
        change,
        base_score,
        float(np.average(new, weights=weights)),
        Flips(float(flips["lost"].sum()), float(flips["gained"].sum())),
        causes.split_delta(base, cand, before),
        adjusted_together([{name: parts for name, (parts, _, _) in changes.items()}])[0],
        {name: small for name, (_, small, _) in changes.items() if small is not None},
        {name: test for name, (_, _, test) in changes.items() if test is not None},
        diagnostics.token_ratios(*arms.sides, clusters),
        outcomes["truncated"],
        share(lambda rows: rows["degenerate"] != ""),
        diagnostics.outcome_shifts(outcomes),
        recovery_of(change, base_score),
        parts,
        design_of(parts, *repeats, weights=weights, clusters=clusters, assumed=assumed),
        _noise(arms, repeats, aa_rows or {}),
        causes.scores_at_budgets(base, cand, before, caps) if caps else (),
        causes.stability(base, cand, before, after),
    )


def _is_outcome(name: str, rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["outcome"] == name


def _noise(arms: Arms, repeats: tuple[Repeated, Repeated], aa_rows: Mapping[str, pd.DataFrame]) -> FlipNoise | None:
    """Compare the flips with the A/A floor, those of the same model against itself; None when the floor is unknown.

    The floor comes from ``repeats`` (item summaries of baseline and candidate) when every item has several in both,
    else from the first second run of the baseline in ``aa_rows`` (model -> rows) that has a value for all items; first
    answers are compared then.
    """
    excess = flips_excess(*repeats)
    if excess is not None:
        return FlipNoise(excess, "repeats")
    for model, rows in aa_rows.items():
        rows = rows[rows["value"].notna() & rows["item_id"].isin(arms.before.index)]
        if set(rows["item_id"]) == set(arms.before.index):
            codes = arms.before.index.get_indexer(pd.Index(rows["item_id"])).astype(np.int64)
            second = diagnostics.first_answers(ArmRows(rows, codes, len(arms.before)))
            first, candidate = (diagnostics.first_answers(side) for side in arms.sides)
            return FlipNoise(flips_over_aa(first, second, candidate), model)
    return None


def _item_flips(arms: Arms) -> pd.DataFrame:
    """Return a frame, indexed by item as ``arms.before``, with the expected number of flips of each item (0 to 1) in
    columns ``lost`` and ``gained``.

    A loss is a right answer that becomes a wrong one, a gain the reverse; with fractional scores, any lower or higher
    score.
    """
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
