"""How accurate is one model: intervals for proportions and for means of item means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Bounds = tuple[float, float]

RESAMPLES = 9_999
MANY_ITEMS = 2_000
"""From here on a bootstrap draws counts of equal values instead of items, where there are few different ones."""
FEW_KINDS = 500
_SEED = 20261120
_ROUNDING = 1e-14
"""A share of the whole weight below which a sum is rounding, not variation."""
_DIGITS = 12
"""Decimals kept before resampling, so that the order of a sum cannot tell equal values apart."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over items with the standard error that its sampling unit gives."""

    n: int
    """Items."""
    units: int
    """Independent units: clusters, or items where none share a source."""
    mean: float
    stderr: float | None
    """None where it cannot be estimated (fewer than two units); 0.0 only where nothing varies."""

    @property
    def df(self) -> int:
        """Degrees of freedom of the t distribution: units - 1."""
        return self.units - 1


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """A model's score on a task, with its interval and the method's name."""

    score: float
    stderr: float | None
    ci95: Bounds | None
    method: str


def wilson(successes: int, n: int, level: float = 0.95) -> Bounds | None:
    """Wilson score interval for ``successes`` of ``n``; None for n = 0 (Wilson 1927; scipy's ``binomtest``)."""
    if n == 0:
        return None
    bounds = stats.binomtest(successes, n).proportion_ci(level, "wilson")
    return float(bounds.low), float(bounds.high)


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Bounds | None:
    """Exact interval with guaranteed coverage for ``successes`` of ``n``; None for n = 0 (scipy's ``binomtest``)."""
    if n == 0:
        return None
    bounds = stats.binomtest(successes, n).proportion_ci(level, "exact")
    return float(bounds.low), float(bounds.high)


def mean_of(values: Floats, weights: Floats | None = None, clusters: Codes | None = None) -> Mean:
    """Weighted mean of item values with its CR1 cluster-robust standard error.

    ``values``, ``weights`` and ``clusters`` (integer codes) have one entry per item. With one item per cluster and
    equal weights this is sd / sqrt(n); with clusters it equals ``OLS(values, 1).fit(cov_type="cluster")`` of
    statsmodels, whose small-sample factor is G / (G - 1). Weights enter as in a ratio estimator.
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
    """Sum of the items' values in each cluster, in the order of the cluster codes."""
    codes = np.unique(clusters, return_inverse=True)[1]
    return np.asarray(np.bincount(codes, weights=values), dtype=np.float64)


def t_interval(estimate: Mean, level: float = 0.95) -> Bounds | None:
    """Student's t interval with ``units - 1`` degrees of freedom; None without a standard error."""
    if estimate.stderr is None:
        return None
    half = float(stats.t.ppf(0.5 + level / 2, estimate.df)) * estimate.stderr
    return estimate.mean - half, estimate.mean + half


def bca_interval(values: Floats, weights: Floats | None = None, level: float = 0.95) -> Bounds | None:
    """One interval of ``bca_intervals``."""
    return bca_intervals(values, weights, (level,))[0]


def bca_intervals(values: Floats, weights: Floats | None, levels: Sequence[float]) -> tuple[Bounds | None, ...]:
    """Bias-corrected and accelerated bootstrap intervals of the (weighted) mean over items (Efron 1987; scipy).

    One for each of ``levels``, all from the same resamples. None where nothing varies. Seeded, and a pure function of
    the values as a set: the order of the items does not matter, and the interval of ``-values`` is the mirror image.
    """
    values = values.round(_DIGITS)  # two ways to the same fraction must count as equal
    if len(values) < 2 or np.ptp(values) == 0:
        return (None,) * len(levels)
    weight = np.ones(len(values)) if weights is None else weights
    sign = _orientation(values, weight)
    if weights is None and len(values) >= MANY_ITEMS:
        kinds, counts = np.unique((sign or 1.0) * values, return_counts=True)
        if len(kinds) <= FEW_KINDS:
            return tuple(_oriented(*ends, sign) for ends in _counted_bca(kinds, counts, levels))
    order = np.lexsort((weight, (sign or 1.0) * values))
    found: list[Bounds | None] = []
    drawn = None
    for level in levels:
        drawn = stats.bootstrap(
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
        found.append(_oriented(float(drawn.confidence_interval.low), float(drawn.confidence_interval.high), sign))
    return tuple(found)


def _counted_bca(kinds: Floats, counts: Codes, levels: Sequence[float]) -> list[Bounds]:
    """The same intervals of an unweighted mean from its few different values: a resample is one multinomial draw, the
    jackknife has a closed form (U_i = x_i - mean), and 12,000 items cost no more than their kinds."""
    n = int(counts.sum())
    mean = float(kinds @ counts) / n
    drawn = np.random.default_rng(_SEED).multinomial(n, counts / n, RESAMPLES) @ kinds / n
    gap = kinds - mean
    acceleration = float(counts @ gap**3) / (6 * float(counts @ gap**2) ** 1.5)
    below = ((drawn < mean).mean() + (drawn <= mean).mean()) / 2
    bias = float(stats.norm.ppf(below))
    found: list[Bounds] = []
    for level in levels:
        z = bias + stats.norm.ppf([0.5 - level / 2, 0.5 + level / 2])
        low, high = np.quantile(drawn, stats.norm.cdf(bias + z / (1 - acceleration * z)))
        found.append((float(low), float(high)))
    return found


def _oriented(low: float, high: float, sign: float) -> Bounds | None:
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if sign == 0:  # the values are their own mirror image, and so must the interval be
        return (low - high) / 2, (high - low) / 2
    return (low, high) if sign > 0 else (-high, -low)


def score(
    means: Floats, *, single: bool, weights: Floats | None = None, clusters: Codes | None = None
) -> ScoreInterval:
    """A model's score with its 95 % interval, by the decision table.

    ``means`` are item means over repeats; ``single`` says that each is one answer. Wilson for single 0/1 answers,
    else Student's t on item means (never Wilson on items x repeats), clustered where items share a source.
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
    """P value of the sign-flip permutation test of mean 0 (Fisher; scipy's ``permutation_test``).

    Exact for up to 13 non-zero values, else 9,999 seeded flips. ``alternative`` as scipy's. Whole clusters are
    flipped by passing their sums. Assumes that differences are symmetric about 0 when nothing changed.
    """
    moved = values.round(_DIGITS)
    moved = moved[moved != 0]
    if not len(moved):
        return 1.0
    sign = (_orientation(moved) or 1.0) if alternative == "two-sided" else 1.0
    result = stats.permutation_test(
        (np.append(np.sort(sign * moved), 0.0),),  # scipy wants two values; flipping a zero changes no p value
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_batch(len(moved)),
        alternative=alternative,
        rng=np.random.default_rng(_SEED),
    )
    return float(result.pvalue)


_mean: Callable[..., Floats] = np.mean


def _weighted_mean(values: Floats, weights: Floats, axis: int = -1) -> Floats:
    total: Floats = (values * weights).sum(axis=axis) / weights.sum(axis=axis)
    return total


def _orientation(values: Floats, weights: Floats | None = None) -> float:
    """+1 or -1 such that values and their negation are resampled alike; 0 where they are the same set."""
    values = values.round(_DIGITS)
    weight = np.ones(len(values)) if weights is None else weights
    ordered, mirrored = (
        np.stack([side, weight], axis=1)[np.lexsort((weight, side))].ravel() for side in (values, -values)
    )
    first = np.flatnonzero(ordered != mirrored)
    return 0.0 if not len(first) else 1.0 if ordered[first[0]] > mirrored[first[0]] else -1.0


def _batch(n: int) -> int:
    """Resamples at a time such that a batch stays below about 16 MB."""
    return max(1, 2_000_000 // n)
