"""Why a score moved: how answers lost their points, what a smaller token budget would leave, what is stable.

All parts are fractions of the (weighted) mean score, candidate minus baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.stats.intervals import Floats

CAUSES: tuple[str, ...] = ("wrong", "truncated", "no_answer", "refused")
"""How an answer can lose its point; their parts add up to the delta."""
FAULTS: tuple[str, ...] = ("server_fault", "judge_fault", "simulator_fault")
"""Why an answer can be missing. Its part is 0 where only measured answers count, and the rest of the delta where
missing ones were counted as wrong or right."""
BUDGETS: tuple[int, ...] = (8_000, 16_000, 32_000, 64_000)
"""Generated tokens at which stored answers are cut off in thought."""


@dataclass(frozen=True, slots=True)
class BudgetedScores:
    """Both scores, had no answer been allowed more than ``tokens`` generated tokens."""

    tokens: int
    baseline_score: float
    candidate_score: float
    baseline_cut: float
    """Share of the baseline's answers that are longer (or were truncated at a lower cap)."""
    candidate_cut: float

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
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
    """Which items moved for good and which only fall now this way, now that; needs repeats in both arms."""

    lost: int
    """Items that the baseline has right in every repeat and the candidate in none."""
    gained: int
    fluctuating: int
    """Items that at least one arm has right in some repeats only."""
    delta_stable: float
    """Part of the delta from items with one and the same value in all repeats of each arm."""
    delta_fluctuating: float
    """The rest of the delta."""

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        return {
            "lost": self.lost,
            "gained": self.gained,
            "fluctuating": self.fluctuating,
            "delta_stable": self.delta_stable,
            "delta_fluctuating": self.delta_fluctuating,
        }


def split(base: pd.DataFrame, cand: pd.DataFrame, means: pd.DataFrame) -> dict[str, float]:
    """Cause or fault -> its part of the delta; the parts add up to it.

    ``base`` and ``cand`` are rows with a value each (see ``fill_missing``), ``means`` the items in the order of the
    result of ``scores.item_means`` with their weights.
    """
    before, after = _shortfalls(base, means), _shortfalls(cand, means)
    return {cause: before[cause] - after[cause] for cause in (*CAUSES, *FAULTS)}


def _shortfalls(rows: pd.DataFrame, means: pd.DataFrame) -> dict[str, float]:
    """Outcome -> the points it costs the (weighted) mean score."""
    lacking = (1 - rows["value"].to_numpy(dtype=np.float64)) * _share(rows, means)
    named = [cause for cause in (*CAUSES, *FAULTS) if cause != "wrong"]
    parts = {cause: float(lacking[(rows["outcome"] == cause).to_numpy(dtype=bool)].sum()) for cause in named}
    return {"wrong": float(lacking.sum()) - sum(parts.values()), **parts}


def _share(rows: pd.DataFrame, means: pd.DataFrame) -> Floats:
    """Each row's share of the mean score; the shares of all rows add up to 1."""
    place = means.index.get_indexer(pd.Index(rows["item_id"]))
    repeats = np.bincount(place, minlength=len(means))
    weight = means["weight"].to_numpy(dtype=np.float64)
    share: Floats = (weight / np.maximum(repeats, 1))[place] / weight.sum()
    return share


def at_budgets(
    base: pd.DataFrame, cand: pd.DataFrame, means: pd.DataFrame, caps: tuple[int | None, int | None]
) -> tuple[BudgetedScores, ...]:
    """Both scores at the smaller ``BUDGETS``, from stored lengths: an answer longer than the budget scores 0.

    For attempts of one reply only: of several, the table has the last one's length. Empty where lengths are unknown.
    ``caps``: the tokens that each arm
    was allowed; budgets from the larger cap on are left out, as nothing would be cut.
    """
    if any(bool(rows["completion_tokens"].isna().any()) for rows in (base, cand)):
        return ()
    known = [cap for cap in caps if cap is not None]
    longest = max(known) if len(known) == 2 else float(max(rows["completion_tokens"].max() for rows in (base, cand)))
    smaller = [tokens for tokens in BUDGETS if tokens < longest]
    old, new = (_cut(rows, means, smaller) for rows in (base, cand))
    return tuple(
        BudgetedScores(tokens, before, after, before_cut, after_cut)
        for tokens, (before, before_cut), (after, after_cut) in zip(smaller, old, new, strict=True)
    )


def _cut(rows: pd.DataFrame, means: pd.DataFrame, budgets: Sequence[int]) -> list[tuple[float, float]]:
    """(score, share of cut answers) at each budget."""
    share, length = _share(rows, means), rows["completion_tokens"].to_numpy(dtype=np.float64)
    value = rows["value"].to_numpy(dtype=np.float64) * share
    cut = (rows["outcome"] == "truncated").to_numpy(dtype=bool)
    return [(float(value[length <= most].sum()), float(share[cut | (length > most)].sum())) for most in budgets]


def stability(base: pd.DataFrame, cand: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> Stability | None:
    """Stable loss against coin flips; None with a single answer per item in either arm."""
    spans = [rows.groupby("item_id", sort=True)["value"].agg(["min", "max", "size"]) for rows in (base, cand)]
    if any(int(span["size"].min()) < 2 for span in spans):
        return None
    steady = np.logical_and.reduce([(span["min"] == span["max"]).to_numpy(dtype=bool) for span in spans])
    old, new = (side["value"].to_numpy(dtype=np.float64) for side in (before, after))
    weight = before["weight"].to_numpy(dtype=np.float64)
    parts = (new - old) * weight / weight.sum()
    return Stability(
        lost=int((steady & (old == 1) & (new == 0)).sum()),
        gained=int((steady & (old == 0) & (new == 1)).sum()),
        fluctuating=int((~steady).sum()),
        delta_stable=float(parts[steady].sum()),
        delta_fluctuating=float(parts[~steady].sum()),
    )


def fill_missing(rows: pd.DataFrame, plan: pd.DataFrame, value: float) -> pd.DataFrame:
    """All planned samples of a cell, the missing ones with ``value`` and the fault as their outcome.

    ``plan`` has one row per item x repeat with what is known of the item (``weight``, ``cluster``, groups). A sample
    that was not asked at all counts as the server's fault.
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
