"""Accuracy of one model: intervals for proportions and for means of item means."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalsuite.stats.distributions import norm_cdf, norm_ppf, t_ppf

Floats = NDArray[np.float64]
"""Array of numbers."""
Codes = NDArray[np.int64]
"""Array of integer codes, such as the cluster of each item."""
Bounds = tuple[float, float]
"""Lower and upper end of an interval."""

RESAMPLES = 9_999
"""Number of bootstrap resamples and of random sign flips."""
MANY_ITEMS = 2_000
"""From this number of items the bootstrap draws counts of equal values instead of items, if there are few distinct
values."""
FEW_KINDS = 500
"""Largest number of distinct values for which the bootstrap draws counts."""
_SEED = 20261120
_ROUNDING = 1e-14
"""Fraction of the total weight below which a sum is rounding error, not variation."""
DIGITS = 12
"""Decimals kept before resampling, so that the order of summation cannot make equal values different."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over items with the standard error that follows from its sampling unit."""

    n: int
    """Number of items."""
    units: int
    """Number of independent units: clusters, or items when none share a source."""
    mean: float
    """The (weighted) mean."""
    stderr: float | None
    """Standard error; None when it cannot be estimated (fewer than two units), 0.0 when no item or no unit varies."""

    @property
    def df(self) -> int:
        """Degrees of freedom of the t distribution: units - 1."""
        return self.units - 1


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """Score of a model on a task with its interval; fractions of 1."""

    score: float
    """Mean score."""
    stderr: float | None
    """Standard error of the score; None when it cannot be estimated."""
    ci95: Bounds | None
    """Two-sided 95 % interval; None when it cannot be estimated."""
    method: str
    """Name of the method, for reports."""


def wilson(successes: float, n: int, level: float = 0.95) -> Bounds | None:
    """Compute the Wilson score interval of a proportion (Wilson, JASA 22, 1927).

    Args:
        successes: Number of successes, 0 to ``n``; not whole for a published, rounded share times ``n``.
        n: Number of trials.
        level: Confidence level, a fraction.

    Returns:
        The interval in fractions of 1; None for ``n`` = 0.
    """
    if n == 0:
        return None
    share, z = successes / n, norm_ppf(0.5 + level / 2)
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + sign * spread) / (1 + z * z / n) for sign in (-1, 1))
    return 0.0 if share == 0 else low, 1.0 if share == 1 else high


def mean_of(values: Floats, weights: Floats | None = None, clusters: Codes | None = None) -> Mean:
    """Compute a weighted mean of item values with its CR1 cluster-robust standard error.

    With one item per cluster and equal weights the error is sd / sqrt(n). With clusters and equal weights it is that of
    ``OLS(values, 1).fit(cov_type="cluster")`` of statsmodels, whose small-sample factor is G / (G - 1). Weights enter
    as in a ratio estimator.

    Args:
        values: One value per item, shape (items,).
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's cluster, shape (items,); None when items are independent.

    Returns:
        The mean, its standard error (None with one independent unit; 0.0 when all values are equal, or when in every
        unit the deviations cancel within rounding, 1e-14 of the total weight) and the numbers of items and units.

    Raises:
        ValueError: There are no values.
    """
    if not len(values):
        raise ValueError("no values")
    weight = np.ones(len(values)) if weights is None else weights
    mean = float(np.average(values, weights=weight))
    parts = weight * (values - mean)
    if clusters is not None:
        parts = cluster_sums(parts, clusters)
    units = len(parts)
    if units < 2:
        return Mean(len(values), units, mean, None)
    if np.ptp(values) == 0 or np.abs(parts).max() < _ROUNDING * weight.sum():
        return Mean(len(values), units, mean, 0.0)  # clusters may cancel exactly where items do not
    variance = units / (units - 1) * float(parts @ parts) / float(weight.sum()) ** 2
    return Mean(len(values), units, mean, float(np.sqrt(variance)))


def cluster_sums(values: Floats, clusters: Codes) -> Floats:
    """Sum the items' values in each cluster.

    Args:
        values: One value per item, shape (items,).
        clusters: Integer code of each item's cluster, shape (items,).

    Returns:
        One sum per cluster, ordered by cluster code, shape (clusters,).
    """
    codes = np.unique(clusters, return_inverse=True)[1]
    return np.asarray(np.bincount(codes, weights=values), dtype=np.float64)


def t_interval(estimate: Mean, level: float = 0.95) -> Bounds | None:
    """Compute Student's t interval with ``units - 1`` degrees of freedom.

    Args:
        estimate: The mean with its standard error.
        level: Confidence level, a fraction.

    Returns:
        The interval; None without a standard error, of width 0 for one of 0.
    """
    if estimate.stderr is None:
        return None
    half = t_ppf(0.5 + level / 2, estimate.df) * estimate.stderr
    return estimate.mean - half, estimate.mean + half


def bca_interval(values: Floats, weights: Floats | None = None, level: float = 0.95) -> Bounds | None:
    """Compute one bootstrap interval of the mean; see ``bca_intervals``.

    Args:
        values: One value per item, shape (items,).
        weights: Weight of each item, shape (items,); None for equal weights.
        level: Confidence level, a fraction.

    Returns:
        The interval; None when nothing varies or an end is not finite.
    """
    return bca_intervals(values, weights, (level,))[0]


def bca_intervals(values: Floats, weights: Floats | None, levels: Sequence[float]) -> tuple[Bounds | None, ...]:
    """Compute bias-corrected and accelerated bootstrap intervals of the mean over items (Efron 1987; scipy).

    All levels use the same resamples. The random seed is fixed, the values are rounded to 12 decimals, the order of the
    items does not matter, and the interval of ``-values`` is the mirror image.

    Args:
        values: One value per item, shape (items,).
        weights: Weight of each item, shape (items,); None for equal weights.
        levels: Confidence levels, fractions.

    Returns:
        One interval for each level, in the same order; None when nothing varies or an end is not finite.
    """
    values = values.round(DIGITS)  # two ways to the same fraction must count as equal
    if len(values) < 2 or np.ptp(values) == 0:
        return (None,) * len(levels)
    weight = np.ones(len(values)) if weights is None else weights
    sign = _orientation(values, weight)
    if weights is None and len(values) >= MANY_ITEMS:
        kinds, counts = np.unique((sign or 1.0) * values, return_counts=True)
        if len(kinds) <= FEW_KINDS:
            return tuple(_oriented(*ends, sign) for ends in _counted_bca(kinds, counts, levels))
    from scipy.stats import bootstrap  # 0.9 s to import, and few comparisons need it

    order = np.lexsort((weight, (sign or 1.0) * values))
    intervals: list[Bounds | None] = []
    drawn = None
    for level in levels:
        drawn = bootstrap(
            ((sign or 1.0) * values[order], weight[order]),
            _weighted_mean,
            paired=True,
            vectorized=True,
            n_resamples=0 if drawn else RESAMPLES,
            batch=_batch(len(values)),
            confidence_level=level,
            method="BCa",
            bootstrap_result=drawn,
            rng=np.random.default_rng(_SEED),
        )
        intervals.append(_oriented(float(drawn.confidence_interval.low), float(drawn.confidence_interval.high), sign))
    return tuple(intervals)


def _counted_bca(kinds: Floats, counts: Codes, levels: Sequence[float]) -> list[Bounds]:
    """Compute the BCa intervals (low, high) of an unweighted mean, one per level, from its few distinct values.

    ``kinds``: the distinct values; ``counts``: items with each; ``levels``: confidence levels, fractions. One resample
    is one multinomial draw and the jackknife has a closed form (U_i = x_i - mean), so that the cost depends on the
    number of distinct values and not on the number of items.
    """
    n = int(counts.sum())
    mean = float(kinds @ counts) / n
    drawn = np.random.default_rng(_SEED).multinomial(n, counts / n, RESAMPLES) @ kinds / n
    gap = kinds - mean
    acceleration = float(counts @ gap**3) / (6 * float(counts @ gap**2) ** 1.5)
    below = ((drawn < mean).mean() + (drawn <= mean).mean()) / 2
    bias = norm_ppf(float(below))
    intervals: list[Bounds] = []
    for level in levels:
        z = bias + norm_ppf(np.array([0.5 - level / 2, 0.5 + level / 2]))
        low, high = np.quantile(drawn, norm_cdf(bias + z / (1 - acceleration * z)))
        intervals.append((float(low), float(high)))
    return intervals


def _oriented(low: float, high: float, sign: float) -> Bounds | None:
    """Return the interval for the original values, of which ``sign`` times the values was resampled (-1: mirrored back;
    0: made symmetric); None when an end is not finite.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if sign == 0:  # the values are their own mirror image, and so must the interval be
        return (low - high) / 2, (high - low) / 2
    return (low, high) if sign > 0 else (-high, -low)


def score(
    means: Floats, *, single: bool, weights: Floats | None = None, clusters: Codes | None = None
) -> ScoreInterval:
    """Compute a model's score with its 95 % interval, with the method that fits the data.

    Wilson's interval for single 0/1 answers, and for two or more item means that are all equal to 0 or all equal to 1,
    both without weights and clusters; else Student's t on item means (never Wilson on items x repeats), cluster-robust
    when items share a source, cut off at 0 and 1.

    Args:
        means: Item means over repeats, fractions of 1, shape (items,).
        single: Whether each item mean is one answer.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's cluster, shape (items,); None when items are independent.

    Returns:
        The score, its standard error, its interval and the name of the method. Where the method is not Wilson's, error
            and interval are None with one independent unit or where the units do not vary; with Wilson's the error is
            None for one item and 0.0 where nothing varies.

    Raises:
        ValueError: There are no items.
    """
    estimate = mean_of(means, weights, clusters)
    binary = bool(np.isin(means, (0.0, 1.0)).all())
    plain = clusters is None and weights is None
    if plain and binary and (single or estimate.stderr == 0.0):
        interval, method = wilson(int(means.sum()), len(means)), "Wilson"
    elif estimate.stderr == 0.0:
        return ScoreInterval(estimate.mean, None, None, "no variation between items")
    else:
        interval, method = t_interval(estimate), "t on item means" if clusters is None else "t, CR1 clusters"
        interval = None if interval is None else (max(interval[0], 0.0), min(interval[1], 1.0))
    return ScoreInterval(estimate.mean, estimate.stderr, interval, method)


def sign_flip(values: Floats, alternative: Literal["two-sided", "less", "greater"] = "two-sided") -> float:
    """Compute the p value of the sign-flip permutation test of mean 0 (Fisher; ``permutation_test`` of scipy).

    The test is exact for up to 12 values that are not 0 at 12 decimals and uses 9,999 flips with a fixed seed beyond.
    It assumes that differences are symmetric about 0 when nothing changed. To flip whole clusters, pass their sums.

    Args:
        values: One difference per item or cluster, shape (items,).
        alternative: The alternative hypothesis, as in scipy.

    Returns:
        The p value; 1.0 when there are no values or all are 0.
    """
    from scipy.stats import permutation_test  # 0.9 s to import, and few comparisons need it

    nonzero = values.round(DIGITS)
    nonzero = nonzero[nonzero != 0]
    if not len(nonzero):
        return 1.0
    sign = (_orientation(nonzero) or 1.0) if alternative == "two-sided" else 1.0
    result = permutation_test(
        (np.append(np.sort(sign * nonzero), 0.0),),  # scipy wants two values; flipping a zero changes no p value
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_batch(len(nonzero)),
        alternative=alternative,
        rng=np.random.default_rng(_SEED),
    )
    return float(result.pvalue)


_mean: Callable[..., Floats] = np.mean


def _weighted_mean(values: Floats, weights: Floats, axis: int = -1) -> Floats:
    total: Floats = (values * weights).sum(axis=axis) / weights.sum(axis=axis)
    return total


def _orientation(values: Floats, weights: Floats | None = None) -> float:
    """Return the sign, +1 or -1, by which the values are to be multiplied so that they and their negation are resampled
    equally; 0 when both are the same set. ``weights``: of each value, None for equal ones.
    """
    values = values.round(DIGITS)
    weight = np.ones(len(values)) if weights is None else weights
    ordered, mirrored = (
        np.stack([side, weight], axis=1)[np.lexsort((weight, side))].ravel() for side in (values, -values)
    )
    first = np.flatnonzero(ordered != mirrored)
    return 0.0 if not len(first) else 1.0 if ordered[first[0]] > mirrored[first[0]] else -1.0


def _batch(n: int) -> int:
    """Return the number of resamples or sign flips of ``n`` items per batch: at least 1, and as many as fit into about
    16 MB.
    """
    return max(1, 2_000_000 // n)
