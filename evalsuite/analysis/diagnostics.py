"""How two arms behave beyond their scores: how long they write, how often they are cut off, how often answers flip."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.distributions import t_isf
from evalsuite.stats.intervals import Codes, Floats
from evalsuite.stats.ratios import Ratio, TokenRatio, token_ratio
from evalsuite.stats.variance import Excess, VarianceParts, exact_questions_interval

KINDS: tuple[str, ...] = ("completion", "reasoning")
"""Token counts that are compared; completion counts reasoning in."""


@dataclass(frozen=True, slots=True)
class ArmRows:
    """One arm's rows with the code of each row's item in 0 .. items-1."""

    rows: pd.DataFrame
    codes: Codes
    items: int

    def means(self, column: str) -> Floats:
        """Item means of a column; NaN where an item has an unknown value."""
        values = self.rows[column].to_numpy(dtype=np.float64)
        count = np.bincount(self.codes, minlength=self.items)
        mean: Floats = np.bincount(self.codes, weights=values, minlength=self.items) / count
        return mean


@dataclass(frozen=True, slots=True)
class Truncation:
    """The share of truncated answers in both arms, and its paired change."""

    baseline: float
    candidate: float
    change: Delta

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        change = self.change
        return {
            "baseline": self.baseline,
            "candidate": self.candidate,
            "delta": change.delta,
            "ci95": None if change.ci95 is None else list(change.ci95),
            "p_value": change.p_value,
            "method": change.method,
        }


@dataclass(frozen=True, slots=True)
class FlipNoise:
    """Flips against what the same model flips against itself."""

    excess: Excess
    source: str
    """``repeats``, or the model that was asked twice."""

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        found = self.excess
        return {
            "source": self.source,
            "flips": found.observed,
            "floor": found.floor,
            "excess": found.excess,
            "ci95": None if found.ci95 is None else list(found.ci95),
            "rms_shift": found.rms_shift,
        }


def truncation(base: ArmRows, cand: ArmRows, clusters: Codes | None, *, single: bool) -> Truncation:
    """Paired change of the share of truncated answers; each item counts once, whatever its weight."""
    old, new = (_cut(side) for side in (base, cand))
    return Truncation(float(old.mean()), float(new.mean()), paired_delta(old, new, single=single, clusters=clusters))


def _cut(side: ArmRows) -> Floats:
    cut = (side.rows["outcome"] == "truncated").to_numpy(dtype=np.float64)
    share: Floats = np.bincount(side.codes, weights=cut, minlength=side.items) / np.bincount(
        side.codes, minlength=side.items
    )
    return share


def token_ratios(base: ArmRows, cand: ArmRows, clusters: Codes | None) -> dict[str, TokenRatio]:
    """Kind -> ratio of tokens, for the kinds that both arms know."""
    found: dict[str, TokenRatio] = {}
    for kind in KINDS:
        ratio = token_ratio(base.means(f"{kind}_tokens"), cand.means(f"{kind}_tokens"), clusters=clusters)
        if ratio is not None:
            found[kind] = ratio
    return found


def tokens_json(ratios: Mapping[str, TokenRatio]) -> dict[str, Any]:
    """As in ``comparison.json``: ``total`` is the bill, ``typical`` the geometric mean over items."""
    return {
        kind: {"total": _ratio(found.total), "typical": _ratio(found.typical), "p_longer": found.p_longer}
        for kind, found in ratios.items()
    }


def _ratio(found: Ratio) -> dict[str, Any]:
    return {"ratio": found.ratio, "ci95": None if found.ci95 is None else list(found.ci95), "items": found.n}


def shown_above(found: Ratio, most: float, alpha: float) -> bool:
    """Whether the one-sided lower bound of a ratio at level 1 - ``alpha`` lies above ``most``."""
    if not found.stderr:
        return found.n > 1 and found.ratio > most
    return found.ratio - t_isf(alpha, found.n - 1) * found.stderr > most


def variance_json(parts: VarianceParts) -> dict[str, Any]:
    """As in ``comparison.json``: where the error of the delta comes from."""
    return {
        "phi": [parts.phi_base, parts.phi_cand],
        "within": [parts.within_base, parts.within_cand],
        "tau2": parts.tau2,
    }


def estimands_json(change: Delta, parts: VarianceParts) -> dict[str, Any]:
    """As in ``comparison.json``: the two questions that one delta answers, each with its own error."""
    exact = None
    if parts.stderr_exact is not None:
        ends = exact_questions_interval(change.delta, parts.stderr_exact)
        exact = {"stderr": parts.stderr_exact, "ci95": None if ends is None else list(ends)}
    population = {"stderr": change.stderr, "ci95": None if change.ci95 is None else list(change.ci95)}
    return {"questions_like_these": population, "exactly_these_questions": exact}


def first_answers(side: ArmRows) -> Floats:
    """The first repeat's value of every item."""
    first = np.full(side.items, np.nan)
    values = side.rows["value"].to_numpy(dtype=np.float64)
    first[side.codes[::-1]] = values[::-1]  # rows are sorted by repeat: the first one is written last
    return first
