"""Diagnoses beyond the scores: answer lengths, truncation, and how often answers flip."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.distributions import t_isf
from evalsuite.stats.intervals import Codes, Floats
from evalsuite.stats.multiplicity import adjust
from evalsuite.stats.ratios import Ratio, TokenRatio, token_ratio
from evalsuite.stats.variance import Excess, VarianceParts, exact_questions_interval

KINDS: tuple[str, ...] = ("completion", "reasoning")
"""Token counts that are compared; ``completion`` includes ``reasoning``."""


@dataclass(frozen=True, slots=True)
class ArmRows:
    """Rows of one model with the code of each row's item."""

    rows: pd.DataFrame
    """The rows."""
    codes: Codes
    """Item of each row, in 0 .. items-1."""
    items: int
    """Number of items."""

    def means(self, column: str) -> Floats:
        """Return the mean of a numeric column for each item, shape (items,); NaN for an item with an unknown value in
        any row. Every item must have a row.
        """
        values = self.rows[column].to_numpy(dtype=np.float64)
        count = np.bincount(self.codes, minlength=self.items)
        mean: Floats = np.bincount(self.codes, weights=values, minlength=self.items) / count
        return mean


@dataclass(frozen=True, slots=True)
class ShareChange:
    """Fractions of answers of one kind in both models, with their paired change."""

    baseline: float
    """Fraction of the baseline's answers."""
    candidate: float
    """Fraction of the candidate's answers."""
    change: Delta
    """The paired change."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``truncation`` or ``degenerate`` of a row of ``comparison.json``: both fractions, their
        delta, its 95 % interval and p value (null when unknown) and method.
        """
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
    """Flips compared with the flips of the same model against itself."""

    excess: Excess
    """Observed flips, floor and excess."""
    source: str
    """Origin of the floor: ``repeats``, or the name of the model that was run twice."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``noise`` of ``comparison.json``: source of the floor, observed flips, floor, excess with
        its interval, and the root mean square shift.
        """
        flips = self.excess
        return {
            "source": self.source,
            "flips": flips.observed,
            "floor": flips.floor,
            "excess": flips.excess,
            "ci95": None if flips.ci95 is None else list(flips.ci95),
            "rms_shift": flips.rms_shift,
        }


Marks = Callable[[pd.DataFrame], "pd.Series[bool]"]
"""Rows -> whether each one is of a kind."""


def share_change(base: ArmRows, cand: ArmRows, clusters: Codes | None, marks: Marks, *, single: bool) -> ShareChange:
    """Compute the fractions of answers of one kind in both models and their paired change; every item counts once,
    whatever its weight and number of answers.

    ``marks`` maps rows to whether each is of the kind. ``clusters``: code of each item's cluster, shape (items,), None
    for independent items. ``single``: every item has one answer in each model.
    """
    old, new = (_shares(side, marks) for side in (base, cand))
    return ShareChange(float(old.mean()), float(new.mean()), paired_delta(old, new, single=single, clusters=clusters))


def _shares(side: ArmRows, marks: Marks) -> Floats:
    marked = marks(side.rows).to_numpy(dtype=np.float64)
    counts = np.bincount(side.codes, minlength=side.items)
    share: Floats = np.bincount(side.codes, weights=marked, minlength=side.items) / counts
    return share


@dataclass(frozen=True, slots=True)
class OutcomeShift:
    """A kind of outcome that became more or less frequent, significant after Holm's correction over the kinds."""

    outcome: str
    """The outcome."""
    share: ShareChange
    """Its fractions in both models."""
    p_holm: float
    """Adjusted p value."""

    def to_json(self) -> dict[str, Any]:
        """Return an entry of the list ``outcome_shifts`` of a row of ``comparison.json``: outcome, adjusted p value,
        both fractions and their change.
        """
        return {"outcome": self.outcome, "p_holm": self.p_holm, **self.share.to_json()}


def outcome_shifts(shares: Mapping[str, ShareChange], significant: float = 0.05) -> tuple[OutcomeShift, ...]:
    """Select the outcomes whose fraction rose or fell: those with a p value, adjusted by Holm over ``shares``, below
    ``significant``.

    ``shares``: outcome -> its fractions and change, without ``correct``. Returns them in the same order; empty without
    any.
    """
    adjusted = adjust([share.change.p_value for share in shares.values()]).holm
    return tuple(
        OutcomeShift(name, share, p_holm)
        for (name, share), p_holm in zip(shares.items(), adjusted, strict=True)
        if p_holm is not None and p_holm < significant
    )


def token_ratios(base: ArmRows, cand: ArmRows, clusters: Codes | None) -> dict[str, TokenRatio]:
    """Compute the ratio of the candidate's to the baseline's tokens: "completion" and "reasoning" -> ratio; a kind
    without two items that have counts above 0 in both models is left out. ``clusters``: code of each item's cluster,
    None for independent items.
    """
    ratios: dict[str, TokenRatio] = {}
    for kind in KINDS:
        ratio = token_ratio(base.means(f"{kind}_tokens"), cand.means(f"{kind}_tokens"), clusters=clusters)
        if ratio is not None:
            ratios[kind] = ratio
    return ratios


def tokens_json(ratios: Mapping[str, TokenRatio]) -> dict[str, Any]:
    """Return the entry ``tokens`` of ``comparison.json``: kind of count -> ``total``, ``typical`` and ``p_longer``.

    ``total`` is the ratio of all tokens (the cost), ``typical`` the geometric mean of the ratios over items, candidate
    over baseline; each has ``ratio``, ``ci95`` and ``items``. ``p_longer``: one-sided p value that typical answers did
    not grow; null without a standard error above 0.
    """
    return {
        kind: {"total": _ratio_json(ratio.total), "typical": _ratio_json(ratio.typical), "p_longer": ratio.p_longer}
        for kind, ratio in ratios.items()
    }


def _ratio_json(ratio: Ratio) -> dict[str, Any]:
    return {"ratio": ratio.ratio, "ci95": None if ratio.ci95 is None else list(ratio.ci95), "items": ratio.n}


def significantly_above(ratio: Ratio, threshold: float, alpha: float) -> bool:
    """Return whether a ratio of candidate to baseline is above ``threshold`` beyond chance.

    True when its one-sided lower t bound at level 1 - ``alpha`` is above; without a standard error, or when that is 0,
    when the estimate itself is and there is more than one item.
    """
    if not ratio.stderr:
        return ratio.n > 1 and ratio.ratio > threshold
    return ratio.ratio - t_isf(alpha, ratio.n - 1) * ratio.stderr > threshold


def variance_json(parts: VarianceParts) -> dict[str, Any]:
    """Return the entry ``variance`` of ``comparison.json``, null where unknown: ``phi`` (fraction of the variance that
    is within items) and ``within`` (that variance), each as [baseline, candidate], and ``tau2`` (variance of the true
    change over items).
    """
    return {
        "phi": [parts.phi_base, parts.phi_cand],
        "within": [parts.within_base, parts.within_cand],
        "tau2": parts.tau2,
    }


def estimands_json(change: Delta, parts: VarianceParts) -> dict[str, Any]:
    """Return the entry ``estimands`` of ``comparison.json``: standard error and 95 % interval of the delta for
    questions like these (each null when unknown) and for exactly these questions (null as a whole where an item has
    fewer than two repeats).
    """
    exact = None
    if parts.stderr_exact is not None:
        ends = exact_questions_interval(change.delta, parts.stderr_exact)
        exact = {"stderr": parts.stderr_exact, "ci95": None if ends is None else list(ends)}
    population = {"stderr": change.stderr, "ci95": None if change.ci95 is None else list(change.ci95)}
    return {"questions_like_these": population, "exactly_these_questions": exact}


def first_answers(side: ArmRows) -> Floats:
    """Return the value of the first row of every item, shape (items,); NaN for items without a row. The rows of an item
    must be in the order of its repeats.
    """
    first = np.full(side.items, np.nan)
    values = side.rows["value"].to_numpy(dtype=np.float64)
    first[side.codes[::-1]] = values[::-1]  # rows are sorted by repeat: the first one is written last
    return first
