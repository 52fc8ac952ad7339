"""Explains why a score changed: by kinds of answers, by smaller token budgets, and by stable and random changes.

All parts are fractions of the (weighted) mean score, candidate minus baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.stats.intervals import Floats

CAUSES: tuple[str, ...] = ("wrong", "truncated", "no_answer", "refused")
"""Outcomes by which an answer loses points; their parts add up to the delta."""
FAULTS: tuple[str, ...] = ("server_fault", "judge_fault", "simulator_fault", "sandbox_fault")
"""Reasons why an answer can be missing. Their part is 0 when only measured answers count, and the rest of the delta
when missing answers were counted as wrong or right."""
BUDGETS: tuple[int, ...] = (8_000, 16_000, 32_000, 64_000)
"""Numbers of generated tokens at which stored answers are hypothetically truncated."""


@dataclass(frozen=True, slots=True)
class BudgetedScores:
    """Both scores if no answer had been allowed more than ``tokens`` generated tokens; fractions of 1."""

    tokens: int
    """The token budget."""
    baseline_score: float
    """Score of the baseline at this budget."""
    candidate_score: float
    """Score of the candidate at this budget."""
    baseline_cut: float
    """Fraction of the baseline's answers that are longer (or were truncated at a lower limit)."""
    candidate_cut: float
    """The same fraction of the candidate's answers."""

    def to_json(self) -> dict[str, Any]:
        """Return an entry of the list ``budgets`` of a row of ``comparison.json``: a dict of the fields and ``delta``
        (candidate minus baseline score), fractions.
        """
        return {
            "tokens": self.tokens,
            "baseline_score": self.baseline_score,
            "candidate_score": self.candidate_score,
            "delta": self.candidate_score - self.baseline_score,
            "baseline_cut": self.baseline_cut,
            "candidate_cut": self.candidate_cut,
        }


@dataclass(frozen=True, slots=True)
class Stability:
    """Items that changed in every repeat, separated from items that vary between repeats; needs repeats in both
    models.
    """

    lost: int
    """Number of items that the baseline answered correctly in every repeat and the candidate in none."""
    gained: int
    """Number of items that the candidate answered correctly in every repeat and the baseline in none."""
    fluctuating: int
    """Number of items that at least one model answered correctly in some repeats only."""
    delta_stable: float
    """Part of the delta from items with the same value in all repeats of each model."""
    delta_fluctuating: float
    """The rest of the delta."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``stability`` of a row of ``comparison.json``: a dict of all fields."""
        return {
            "lost": self.lost,
            "gained": self.gained,
            "fluctuating": self.fluctuating,
            "delta_stable": self.delta_stable,
            "delta_fluctuating": self.delta_fluctuating,
        }


def split_delta(base: pd.DataFrame, cand: pd.DataFrame, means: pd.DataFrame) -> dict[str, float]:
    """Split the delta into parts by cause: a map from each of ``CAUSES`` and ``FAULTS`` to its part; the parts add up
    to the delta.

    A part is what the outcome costs the baseline's weighted mean score minus what it costs the candidate's, a fraction
    of 1: above 0 where the candidate loses less by it. "wrong" also holds what no other outcome explains, such as
    partial credit. ``base`` and ``cand`` are sample rows that all have a value (see ``fill_missing``). ``means`` are
    the items with their weights, as ``scores.item_means`` returns them.
    """
    before, after = _lost_points(base, means), _lost_points(cand, means)
    return {cause: before[cause] - after[cause] for cause in (*CAUSES, *FAULTS)}


def _lost_points(rows: pd.DataFrame, means: pd.DataFrame) -> dict[str, float]:
    """Return, for each of ``CAUSES`` and ``FAULTS``, how much of the weighted mean score it costs (a fraction of 1).

    ``rows`` are samples that all have a ``value``, with their ``outcome``; ``means`` the items with their weights. What
    no other outcome explains counts as "wrong", partial credit included.
    """
    lost = (1 - rows["value"].to_numpy(dtype=np.float64)) * _row_weights(rows, means)
    named = [cause for cause in (*CAUSES, *FAULTS) if cause != "wrong"]
    parts = {cause: float(lost[(rows["outcome"] == cause).to_numpy(dtype=bool)].sum()) for cause in named}
    return {"wrong": float(lost.sum()) - sum(parts.values()), **parts}


def _row_weights(rows: pd.DataFrame, means: pd.DataFrame) -> Floats:
    """Return each row's weight in the mean score, shape (rows,): the item's fraction of all weights in ``means``
    (indexed by item id, all items of ``rows``), divided equally among its rows. They add up to 1 when every item of
    ``means`` has a row.
    """
    position = means.index.get_indexer(pd.Index(rows["item_id"]))
    repeats = np.bincount(position, minlength=len(means))
    weight = means["weight"].to_numpy(dtype=np.float64)
    share: Floats = (weight / np.maximum(repeats, 1))[position] / weight.sum()
    return share


def scores_at_budgets(
    base: pd.DataFrame, cand: pd.DataFrame, means: pd.DataFrame, caps: tuple[int | None, int | None]
) -> tuple[BudgetedScores, ...]:
    """Compute both scores at the token budgets of ``BUDGETS`` that are small enough, in increasing order, from stored
    lengths: an answer longer than the budget scores 0, any other keeps its value.

    Only for attempts of one reply, because the table holds the length of the last reply. ``base`` and ``cand`` are
    sample rows with values, ``means`` the items with weights; ``caps`` are the maximum tokens of baseline and
    candidate, None for unknown. A budget must be below the larger cap, or, if any cap is unknown, below the longest
    answer; at others nothing would be truncated. Returns an empty tuple when no budget is left or the length of any
    answer is unknown.
    """
    if any(bool(rows["completion_tokens"].isna().any()) for rows in (base, cand)):
        return ()
    known = [cap for cap in caps if cap is not None]
    longest = max(known) if len(known) == 2 else float(max(rows["completion_tokens"].max() for rows in (base, cand)))
    smaller = [tokens for tokens in BUDGETS if tokens < longest]
    old, new = (_truncated_at(rows, means, smaller) for rows in (base, cand))
    return tuple(
        BudgetedScores(tokens, before, after, before_cut, after_cut)
        for tokens, (before, before_cut), (after, after_cut) in zip(smaller, old, new, strict=True)
    )


def _truncated_at(rows: pd.DataFrame, means: pd.DataFrame, budgets: Sequence[int]) -> list[tuple[float, float]]:
    """Return (weighted score, weighted fraction of answers that are longer or were already truncated) for each budget
    in tokens, in the order of ``budgets``.
    """
    share, length = _row_weights(rows, means), rows["completion_tokens"].to_numpy(dtype=np.float64)
    value = rows["value"].to_numpy(dtype=np.float64) * share
    cut = (rows["outcome"] == "truncated").to_numpy(dtype=bool)
    return [(float(value[length <= budget].sum()), float(share[cut | (length > budget)].sum())) for budget in budgets]


def stability(base: pd.DataFrame, cand: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> Stability | None:
    """Separate items that changed in all repeats from items that vary between repeats of a model.

    ``base`` and ``cand`` are sample rows with values of the same items, ``before`` and ``after`` their item means
    (``scores.item_means``), whose weights count in both parts of the delta. Returns None when some item has a single
    answer in a model.
    """
    spans = [rows.groupby("item_id", sort=True)["value"].agg(["min", "max", "size"]) for rows in (base, cand)]
    if any(int(span["size"].min()) < 2 for span in spans):
        return None
    stable = np.logical_and.reduce([(span["min"] == span["max"]).to_numpy(dtype=bool) for span in spans])
    old, new = (side["value"].to_numpy(dtype=np.float64) for side in (before, after))
    weight = before["weight"].to_numpy(dtype=np.float64)
    parts = (new - old) * weight / weight.sum()
    return Stability(
        lost=int((stable & (old == 1) & (new == 0)).sum()),
        gained=int((stable & (old == 0) & (new == 1)).sum()),
        fluctuating=int((~stable).sum()),
        delta_stable=float(parts[stable].sum()),
        delta_fluctuating=float(parts[~stable].sum()),
    )


def fill_missing(rows: pd.DataFrame, plan: pd.DataFrame, value: float) -> pd.DataFrame:
    """Return one row per planned sample, sorted by item and repeat; a missing one gets the score ``value`` and its
    fault, such as ``server_fault``, as outcome.

    ``rows``: the samples of a cell; a row without value counts as missing, a row outside the plan is dropped. ``plan``
    has one row per item and repeat with the item's ``weight``, ``cluster`` and groups. A sample that was never
    requested counts as a fault of the server.
    """
    keys = ["item_id", "repeat"]
    own = rows.drop(columns=[name for name in plan.columns if name in rows.columns and name not in keys])
    full = plan.merge(own, on=keys, how="left", sort=False)
    missing = full["value"].isna()
    fault = full["fault"].fillna("").astype(str)
    fault = fault.where(fault != "", "server") + "_fault"
    full["outcome"] = full["outcome"].astype(str).where(~missing, fault)
    full["value"] = full["value"].fillna(value)
    return full.sort_values(keys)
