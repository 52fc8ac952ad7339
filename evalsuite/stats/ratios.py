"""Ratios between two models with intervals: recovery of the score, and the change in answer length."""

from dataclasses import dataclass

import numpy as np

from evalsuite.stats.delta import Delta
from evalsuite.stats.distributions import t_ppf, t_sf
from evalsuite.stats.intervals import Bounds, Codes, Floats, cluster_sums, mean_of, t_interval


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of candidate to baseline."""

    ratio: float
    """The estimate."""
    stderr: float | None
    """Its standard error; None with fewer than two units."""
    ci95: Bounds | None
    """Two-sided 95 % interval; None with fewer than two units."""
    n: int
    """Number of paired items."""


@dataclass(frozen=True, slots=True)
class TokenRatio:
    """Ratio of the candidate's to the baseline's generated tokens, paired by item."""

    typical: Ratio
    """Change of a typical answer: exp of the mean over items of log(candidate / baseline). Its standard error is that
    of the logarithm."""
    total: Ratio
    """Change of the cost: ratio of the total numbers of tokens."""
    p_longer: float | None
    """One-sided p value of "a typical answer is not longer than before"."""


def recovery_of(change: Delta, base: float) -> Ratio | None:
    """Compute the ratio of candidate to baseline score with the bounds of their difference: 1 + delta / baseline.

    The 95 % interval is that of the delta, carried over, so that it allows for few changed items and few sources.

    Args:
        change: The paired change.
        base: Mean score of the baseline, a fraction.

    Returns:
        The ratio, its standard error and interval (not below 0), both None where the change has none; None for all when
            the baseline scored 0.
    """
    if base == 0:
        return None
    stderr = None if change.stderr is None else change.stderr / base
    ends = None if change.ci95 is None else (max(1 + change.ci95[0] / base, 0.0), 1 + change.ci95[1] / base)
    return Ratio(1 + change.delta / base, stderr, ends, change.n)


def recovery_ratio(
    base: Floats, cand: Floats, *, weights: Floats | None = None, clusters: Codes | None = None
) -> Ratio | None:
    """Compute the ratio of two means with its t interval.

    R = mean B / mean A, e_i = (b_i - R a_i) / mean A, SE = sd(e) / sqrt(n): the ratio estimator (Cochran, Sampling
    Techniques, 6.3), cluster-robust when items share a source.

    Args:
        base: Item means of the baseline, shape (items,).
        cand: Item means of the candidate on the same items.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's cluster, shape (items,); None when items are independent.

    Returns:
        The ratio with standard error and 95 % interval (None for both with fewer than two units); None for all when the
            baseline's mean is 0.
    """
    weight = np.ones(len(base)) if weights is None else weights
    base_mean = float(np.average(base, weights=weight))
    if base_mean == 0:
        return None
    ratio = float(np.average(cand, weights=weight)) / base_mean
    parts = weight * (cand - ratio * base)
    if clusters is not None:
        parts = cluster_sums(parts, clusters)
    units = len(parts)
    if units < 2:
        return Ratio(ratio, None, None, len(base))
    stderr = float(np.sqrt(units / (units - 1) * (parts @ parts))) / (base_mean * float(weight.sum()))
    half = t_ppf(0.975, units - 1) * stderr
    return Ratio(ratio, stderr, (ratio - half, ratio + half), len(base))


def token_ratio(base: Floats, cand: Floats, *, clusters: Codes | None = None) -> TokenRatio | None:
    """Compute the ratio of generated tokens.

    An item counts only if both models have a finite number of tokens above 0. Lengths are skewed, so the interval of
    the typical ratio is a paired t interval of logarithms.

    Args:
        base: Mean number of tokens of each item in the baseline, shape (items,).
        cand: The same for the candidate on the same items.
        clusters: Integer code of each item's cluster, shape (items,); None when items are independent.

    Returns:
        ``typical``, exp of the mean over items of log(candidate / baseline), whose standard error is that of the
            logarithm; ``total``, the ratio of the sums of tokens; and ``p_longer``, the one-sided p value of "a typical
            answer is not longer" (None where no error is known or it is 0). None for all with fewer than two items that
            have tokens in both models.
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
    p_longer = t_sf(estimate.mean / estimate.stderr, estimate.df) if estimate.stderr else None
    return TokenRatio(typical, total, p_longer)
