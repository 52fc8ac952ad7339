"""Ratios between two arms with intervals: recovery of the score, and how much longer the answers became."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evalsuite.stats.intervals import Bounds, Codes, Floats, cluster_sums, mean_of, t_interval


@dataclass(frozen=True, slots=True)
class Ratio:
    """Candidate over baseline."""

    ratio: float
    stderr: float | None
    ci95: Bounds | None
    n: int
    """Paired items."""


@dataclass(frozen=True, slots=True)
class TokenRatio:
    """Candidate's tokens over the baseline's, paired by item; two questions, two numbers."""

    typical: Ratio
    """How a typical answer changed: exp of the mean over items of log(candidate / baseline). Its standard error is of
    the logarithm."""
    total: Ratio
    """How the bill changed: ratio of the totals."""
    p_longer: float | None
    """One-sided, of "a typical answer is no longer than before"."""


def recovery_ratio(
    base: Floats, cand: Floats, *, weights: Floats | None = None, clusters: Codes | None = None
) -> Ratio | None:
    """Ratio of the mean scores with its t interval; None where the baseline's mean is 0.

    R = mean B / mean A, e_i = (b_i - R a_i) / mean A, SE = sd(e) / sqrt(n): the ratio estimator (Cochran, Sampling
    Techniques, 6.3), clustered where items share a source. ``base`` and ``cand`` are item means, paired.
    """
    weight = np.ones(len(base)) if weights is None else weights
    below = float(np.average(base, weights=weight))
    if below == 0:
        return None
    ratio = float(np.average(cand, weights=weight)) / below
    parts = weight * (cand - ratio * base)
    if clusters is not None:
        parts = cluster_sums(parts, clusters)
    units = len(parts)
    if units < 2:
        return Ratio(ratio, None, None, len(base))
    stderr = float(np.sqrt(units / (units - 1) * (parts @ parts))) / (below * float(weight.sum()))
    half = float(stats.t.ppf(0.975, units - 1)) * stderr
    return Ratio(ratio, stderr, (ratio - half, ratio + half), len(base))


def token_ratio(base: Floats, cand: Floats, *, clusters: Codes | None = None) -> TokenRatio | None:
    """Ratio of generated tokens between item means ``base`` and ``cand``; None without two items above 0 tokens.

    Items without a token in either arm, or unknown (NaN), are left out of both. Lengths are skewed, so the interval of
    the typical ratio is a paired t interval of logarithms.
    """
    known = np.isfinite(base) & np.isfinite(cand) & (base > 0) & (cand > 0)
    base, cand = base[known], cand[known]
    codes = None if clusters is None else clusters[known]
    if len(base) < 2:
        return None
    estimate = mean_of(np.log(cand / base), clusters=codes)
    interval = t_interval(estimate)
    ends = None if interval is None else (float(np.exp(interval[0])), float(np.exp(interval[1])))
    typical = Ratio(float(np.exp(estimate.mean)), estimate.stderr, ends, len(base))
    total = recovery_ratio(base, cand, clusters=codes)
    assert total is not None  # every baseline length is above 0
    p_longer = float(stats.t.sf(estimate.mean / estimate.stderr, estimate.df)) if estimate.stderr else None
    return TokenRatio(typical, total, p_longer)
