"""Choice of the method that measures the change between two models, by the kind of data.

Deltas are always candidate minus baseline, scores are fractions of 1, and a number that cannot be computed is None,
never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from evalsuite.stats.distributions import norm_cdf, norm_ppf
from evalsuite.stats.intervals import (
    Bounds,
    Codes,
    Floats,
    Mean,
    bca_intervals,
    cluster_sums,
    mean_of,
    sign_flip,
    t_interval,
)
from evalsuite.stats.paired import mcnemar, t_test, tango_interval

FEW_ITEMS = 50
"""Below this number of items the distribution of item differences is not assumed to be near normal."""
FEW_CLUSTERS = 30
"""Below this number of clusters the p value comes from flipping the signs of whole clusters, not from the t
distribution."""
_Z95 = norm_ppf(0.975)


@dataclass(frozen=True, slots=True)
class Delta:
    """Candidate minus baseline, paired by item; fractions of 1."""

    n: int
    """Number of paired items."""
    delta: float
    """Mean change."""
    stderr: float | None
    """Standard error of the mean change; None when it cannot be estimated."""
    ci95: Bounds | None
    """Two-sided 95 % interval; None without a standard error."""
    ci90: Bounds | None
    """Two-sided 90 % interval; None without a standard error."""
    p_value: float | None
    """Two-sided p value of no change."""
    method: str
    """Name of the method, for reports."""
    one_sided: Bounds | None = None
    """Lower and upper one-sided bound, each at level 1 - alpha."""
    p_loss: float | None = None
    """One-sided p value of no loss: small when the candidate is worse."""


@dataclass(frozen=True, slots=True)
class MeanDelta:
    """Weighted mean of the deltas of several tasks or strata; fractions of 1."""

    delta: float
    """Mean change."""
    stderr: float | None
    """Standard error of the mean change; None when that of any task is unknown."""
    ci95: Bounds | None
    """Two-sided 95 % interval."""
    p_value: float | None
    """Two-sided p value of no change."""
    one_sided: Bounds | None = None
    """Lower and upper one-sided bound, each at level 1 - alpha."""
    p_loss: float | None = None
    """One-sided p value of no loss."""


def paired_delta(
    base: Floats,
    cand: Floats,
    *,
    single: bool,
    weights: Floats | None = None,
    clusters: Codes | None = None,
    alpha: float = 0.05,
) -> Delta:
    """Measure the change between two models on the same items, with the method that fits the data.

    Single 0/1 answers: Tango's interval with the exact McNemar test. Clustered items: paired t with CR1 cluster-robust
    errors. Few items or skewed differences: BCa bootstrap with a sign-flip test. Otherwise: paired t on item means. The
    estimand is "questions like these": other items of the same kind (``variance.py`` has the error for exactly these
    questions). Repeats are averaged before and never count as items.

    Args:
        base: Item means of the baseline, fractions of 1, shape (items,).
        cand: Item means of the candidate on the same items in the same order.
        single: Whether each item mean is one answer in both models.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's source, shape (items,); None when items share no sources.
        alpha: Error of each one-sided bound.

    Returns:
        The change with its intervals, p values and the method's name.

    Raises:
        ValueError: The arrays are empty or differ in length.
    """
    if len(base) != len(cand) or not len(base):
        raise ValueError("paired items are needed")
    plain = weights is None and clusters is None
    binary = bool(np.isin(base, (0.0, 1.0)).all() and np.isin(cand, (0.0, 1.0)).all())
    same = bool(np.array_equal(base, cand))
    if plain and binary and (single or same):
        return _single_answers(base, cand, alpha)
    difference = cand - base
    estimate = mean_of(difference, weights, clusters)
    if estimate.stderr is None:
        return Delta(len(base), estimate.mean, None, None, None, None, "too few independent items for an error")
    if same:
        return _nothing_changed(estimate, weights, alpha)
    weighted = difference if weights is None else difference * weights
    if clusters is not None:
        few = estimate.units < FEW_CLUSTERS
        p_value = sign_flip(cluster_sums(weighted, clusters)) if few else t_test(estimate)
        method = "paired t, CR1 clusters" + (", sign-flip p by cluster" if few else "")
        return _by_t(estimate, p_value, method, alpha)
    if estimate.stderr == 0.0:
        return _by_t(estimate, sign_flip(difference), "no variation between items", alpha)
    if len(base) < FEW_ITEMS or _skewed(difference):
        ends = bca_intervals(difference, weights, (0.95, 0.9, 1 - 2 * alpha))
        p_value = sign_flip(weighted)
        method = "BCa bootstrap, sign-flip p"
        loss = _loss(p_value, estimate.mean)
        return Delta(len(base), estimate.mean, estimate.stderr, ends[0], ends[1], p_value, method, ends[2], loss)
    return _by_t(estimate, t_test(estimate), "paired t on item means", alpha)


def mean_delta(rows: Sequence[Delta], weights: Sequence[float] | None = None, alpha: float = 0.05) -> MeanDelta:
    """Average the deltas of independent tasks or strata, with a normal interval: SE = sqrt(sum w^2 SE^2).

    Args:
        rows: Deltas of the tasks or strata.
        weights: Weight of each row, fixed before the run and scaled here to sum 1; None for equal weights.
        alpha: Error of each one-sided bound.

    Returns:
        The mean change; without interval and p values when a row has no standard error.
    """
    share = np.full(len(rows), 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    share = share / share.sum()
    delta = float(share @ np.array([row.delta for row in rows]))
    errors = [row.stderr for row in rows if row.stderr is not None]
    if len(errors) < len(rows):
        return MeanDelta(delta, None, None, None)
    stderr = float(np.sqrt((share * np.array(errors)) @ (share * np.array(errors))))
    loss = norm_cdf(delta / stderr)
    ends = [(delta - z * stderr, delta + z * stderr) for z in (_Z95, norm_ppf(1 - alpha))]
    return MeanDelta(delta, stderr, ends[0], 2 * min(loss, 1 - loss), ends[1], loss)


def _single_answers(base: Floats, cand: Floats, alpha: float) -> Delta:
    """Return the delta of single 0/1 answers: Tango's intervals and the exact McNemar test."""
    n = len(base)
    lost, gained = int(((base == 1) & (cand == 0)).sum()), int(((base == 0) & (cand == 1)).sum())
    delta = (gained - lost) / n
    ci95, ci90, one_sided = (tango_interval(lost, gained, n, level) for level in (0.95, 0.9, 1 - 2 * alpha))
    stderr: float | None = None
    if lost + gained and n > 1:
        stderr = sqrt(max((lost + gained) / n - delta**2, 0.0) / (n - 1)) or None
    if stderr is None and ci95 is not None:
        stderr = (ci95[1] - ci95[0]) / (2 * _Z95)
    test = mcnemar(lost, gained)
    method = "Tango interval, exact McNemar p"
    return Delta(n, delta, stderr, ci95, ci90, test.p_exact, method, one_sided, test.p_exact_loss)


def _nothing_changed(estimate: Mean, weights: Floats | None, alpha: float) -> Delta:
    """Return the delta when no item moved: Tango's interval for as many single answers as there are independent units.

    This interval is at least as wide as any spread that the repeats could have hidden. Weights count by Kish's
    effective number.
    """
    units = estimate.units
    if weights is not None:
        units = min(units, int(float(weights.sum()) ** 2 / float(weights @ weights)))
    ci95, ci90, one_sided = (tango_interval(0, 0, units, level) for level in (0.95, 0.9, 1 - 2 * alpha))
    stderr = None if ci95 is None else (ci95[1] - ci95[0]) / (2 * _Z95)
    return Delta(estimate.n, estimate.mean, stderr, ci95, ci90, None, "no item changed, Tango interval", one_sided)


def _by_t(estimate: Mean, p_value: float | None, method: str, alpha: float) -> Delta:
    """Return a delta with Student's t intervals; without intervals when the standard error is 0 or None."""
    loss = _loss(p_value, estimate.mean)
    if not estimate.stderr:
        return Delta(estimate.n, estimate.mean, None, None, None, p_value, method, None, loss)
    ends = [t_interval(estimate, level) for level in (0.95, 0.9, 1 - 2 * alpha)]
    return Delta(estimate.n, estimate.mean, estimate.stderr, ends[0], ends[1], p_value, method, ends[2], loss)


def _loss(p_value: float | None, delta: float) -> float | None:
    """Return the one-sided p value from a two-sided one, for tests whose two-sided p is twice the smaller tail."""
    if p_value is None:
        return None
    return p_value / 2 if delta < 0 else 1 - p_value / 2


def _skewed(difference: Floats) -> bool:
    """Return whether Cochran's rule forbids the normal approximation.

    The rule needs n > 25 skewness^2 (Sampling Techniques, 2.15).
    """
    gap = difference - difference.mean()
    skewness = float((gap**3).mean()) / sqrt(float((gap**2).mean())) ** 3
    return len(difference) <= 25 * skewness**2
