"""Choice of the method that measures the change between two models, by the kind of data.

Deltas are always candidate minus baseline, scores are fractions of 1, and a number that cannot be computed is None,
never 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from evalsuite.stats.distributions import norm_cdf, norm_ppf
from evalsuite.stats.intervals import (
    DIGITS,
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
FEW_MOVED = 5
"""Up to this number of changed items no sign-flip test reaches p < 0.05 (2 / 2^5), and neither the t distribution nor
the bootstrap can be trusted; each change then counts as (part of) a lost or gained single answer."""
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
    resolution: float = 0.0
    """Smallest loss that can be excluded however the data look, at the error of ``one_sided``: what a number of sources
    without a change excludes. 0 for items that share no sources."""


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

    It is the first of these that applies. Single 0/1 answers without weights and clusters (or several per item, when
    all means are 0 or 1 and the same in both models): Tango's interval with the exact McNemar test. One item or one
    source: the mean change without error, intervals and p values. Clustered items: paired t with CR1 cluster-robust
    errors; intervals are at least as wide as for the same number of sources without a change, then cut off at -1 and 1.
    At most ``FEW_MOVED`` (5) changed items, or all changed equally: Tango's interval on the expected lost and gained
    answers, with a sign-flip test. Fewer than ``FEW_ITEMS`` (50) items or skewed differences: BCa bootstrap with a
    sign-flip test. Otherwise: paired t on item means; if there are no weights, intervals are extended on the side of
    the longer tail. An interval excludes 0 exactly where the p value is below its error. The estimand is "questions
    like these": other items of the same kind (``variance.py`` has the error for exactly these questions). Repeats are
    averaged before and never count as items.

    Args:
        base: Item means of the baseline, fractions of 1, shape (items,).
        cand: Item means of the candidate on the same items in the same order.
        single: Whether each item mean is one answer in both models.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's source, shape (items,); None when items share no sources.
        alpha: Error of each one-sided bound.

    Returns:
        The mean of candidate minus baseline with its standard error, two-sided 95 % and 90 % intervals, one-sided
            bounds (lower, upper), the p values of "no change" and, one-sided, of "no loss", and the method's name.

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
    if clusters is not None:
        return _by_clusters(estimate, effective_sources(weights, clusters), alpha)
    if estimate.stderr == 0.0 or np.count_nonzero(difference.round(DIGITS)) <= FEW_MOVED:
        return _few_moved(difference, estimate, weights, alpha)
    if len(base) < FEW_ITEMS or _skewed(difference):
        ends = bca_intervals(difference, weights, (0.95, 0.9, 1 - 2 * alpha))
        p_value = sign_flip(difference if weights is None else difference * weights)
        return _agreeing(estimate, ends, p_value, "BCa bootstrap, sign-flip p", alpha)
    skewness = _skewness(difference) if weights is None else 0.0
    t_ends = [skewed_t_interval(estimate, skewness, level) for level in _levels(alpha)]
    return _agreeing(estimate, t_ends, t_test(estimate), "paired t on item means", alpha)


def mean_delta(rows: Sequence[Delta], weights: Sequence[float] | None = None, alpha: float = 0.05) -> MeanDelta:
    """Average the deltas of independent tasks or strata, with a normal interval: SE = sqrt(sum w^2 SE^2).

    Args:
        rows: Deltas of the tasks or strata, at least one; not all with a standard error of 0.
        weights: Weight of each row, fixed before the run and scaled here to sum 1; None for equal weights.
        alpha: Error of each one-sided bound.

    Returns:
        The mean change with its standard error, two-sided 95 % interval, one-sided bounds (lower, upper) and p values
            of "no change" and, one-sided, of "no loss"; None for all but the change when a row has no standard error.
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


def skewed_t_interval(estimate: Mean, skewness: float, level: float) -> Bounds | None:
    """Compute Student's t interval, moved out on the side of the tail by the first Edgeworth term of skewness.

    The quantiles of t of a skewed mean are z - skewness (2 z^2 + 1) / (6 sqrt n) (Hall, The Bootstrap and Edgeworth
    Expansion, 2.6). No end is moved in, so that the interval is never narrower than Student's.

    Args:
        estimate: The mean difference with its standard error.
        skewness: Skewness of the items' differences.
        level: Confidence level, a fraction.

    Returns:
        The interval; None without a standard error (``stderr`` None), of width 0 for a standard error of 0.
    """
    bounds = t_interval(estimate, level)
    if bounds is None or not estimate.stderr:
        return bounds
    z = (bounds[1] - bounds[0]) / (2 * estimate.stderr)
    shift = estimate.stderr * skewness * (2 * z * z + 1) / (6 * sqrt(estimate.units))
    return bounds[0] + min(shift, 0.0), bounds[1] + max(shift, 0.0)


def sources_resolution(sources: float, alpha: float) -> float:
    """Compute the smallest loss that is excluded when no source changed: the end of Tango's interval for 0 changes.

    Args:
        sources: Number of independent sources; not whole when they are of unequal size.
        alpha: One-sided error.

    Returns:
        z^2 / (sources + z^2), a fraction of 1.
    """
    z = norm_ppf(1 - alpha)
    return float(z * z / (sources + z * z))


def effective_sources(weights: Floats | None, clusters: Codes) -> int:
    """Compute how many sources of equal size the sources count for: Kish's effective number, rounded up.

    Args:
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's source, shape (items,).

    Returns:
        At most the number of sources; fewer when they are of clearly unequal size.
    """
    totals = cluster_sums(np.ones(len(clusters)) if weights is None else weights, clusters)
    return ceil(float(totals.sum()) ** 2 / float(totals @ totals) - 1e-9)


def _single_answers(base: Floats, cand: Floats, alpha: float) -> Delta:
    """Return the delta of single 0/1 answers, paired by item: Tango's intervals and the exact McNemar test.

    ``alpha`` is the error of each one-sided bound. The standard error comes from the interval's width where the
    answers give 0.
    """
    n = len(base)
    lost, gained = int(((base == 1) & (cand == 0)).sum()), int(((base == 0) & (cand == 1)).sum())
    delta = (gained - lost) / n
    ends = [tango_interval(lost, gained, n, level) for level in _levels(alpha)]
    stderr = sqrt(max((lost + gained) / n - delta**2, 0.0) / (n - 1)) if n > 1 else 0.0
    test = mcnemar(lost, gained)
    estimate = Mean(n, n, delta, stderr or _tango_stderr(ends[0]))
    return _agreeing(estimate, ends, test.p_exact, "Tango interval, exact McNemar p", alpha, test.p_exact_loss)


def _few_moved(difference: Floats, estimate: Mean, weights: Floats | None, alpha: float) -> Delta:
    """Return the delta when at most ``FEW_MOVED`` items changed, or all equally: Tango's interval on expected counts.

    ``difference``: candidate minus baseline of each item; ``estimate``: their mean; ``alpha``: error of each one-sided
    bound. Fractional changes vary no more than whole lost and gained answers of the same sum, so the interval is wide
    enough for any number of repeats. Weights count by Kish's effective number.
    """
    share = np.full(len(difference), 1 / len(difference)) if weights is None else weights / weights.sum()
    units = 1 / float(share @ share)
    lost, gained = (units * float(share @ np.maximum(sign * difference, 0.0)) for sign in (-1, 1))
    ends = [tango_interval(lost, gained, units, level) for level in _levels(alpha)]
    moved = int(np.count_nonzero(difference.round(DIGITS)))
    method = f"{moved} item{'s' * (moved != 1)} changed, Tango interval" if moved else "no item changed, Tango interval"
    p_value = sign_flip(difference * share)
    estimate = replace(estimate, stderr=estimate.stderr or _tango_stderr(ends[0]))
    return _agreeing(estimate, ends, p_value, method, alpha)


def _by_clusters(estimate: Mean, sources: float, alpha: float) -> Delta:
    """Return the delta of clustered items: Student's t, widened to Tango's interval for as many unchanged sources.

    ``estimate``: the mean difference with its cluster-robust error; ``sources``: effective number of sources;
    ``alpha``: error of each one-sided bound. The t interval alone is too narrow for few sources: it ignores that others
    of their kind may be broken as a whole. Where the t interval excludes 0, the end towards 0 stays and the other is
    moved out where needed. Ends are cut off at -1 and 1. An interval is extended to 0 where the test does not reject
    "no change", as for a few sources that all changed equally.
    """
    ends: list[Bounds] = []
    for level in _levels(alpha):
        low, high = t_interval(estimate, level) or (estimate.mean, estimate.mean)
        half = sources_resolution(sources, (1 - level) / 2)
        if high < 0:
            ends.append((min(low, estimate.mean - half, high - 2 * half), high))
        elif low > 0:
            ends.append((low, max(high, estimate.mean + half, low + 2 * half)))
        else:
            ends.append((min(low, min(estimate.mean, 0.0) - half), max(high, max(estimate.mean, 0.0) + half)))
    ends = [(max(low, -1.0), min(high, 1.0)) for low, high in ends]
    resolution = sources_resolution(sources, alpha)
    p_value = t_test(estimate) or (1.0 if estimate.mean == 0 else 2 * 0.5**estimate.units)
    method = f"paired t, CR1 clusters, at least as wide as {sources:g} sources without a change allow"
    estimate = replace(estimate, stderr=estimate.stderr or _tango_stderr(ends[0]))
    return replace(_agreeing(estimate, ends, p_value, method, alpha), resolution=resolution)


def _levels(alpha: float) -> tuple[float, float, float]:
    return 0.95, 0.9, 1 - 2 * alpha


def _tango_stderr(ci95: Bounds | None) -> float | None:
    return None if ci95 is None else (ci95[1] - ci95[0]) / (2 * _Z95)


def _agreeing(
    estimate: Mean,
    ends: Sequence[Bounds | None],
    p_value: float | None,
    method: str,
    alpha: float,
    p_loss: float | None = None,
) -> Delta:
    """Return a delta whose intervals exclude 0 exactly where its test rejects "no change" at their error.

    ``ends``: intervals at the levels 95 %, 90 % and 1 - 2 ``alpha``. ``p_value``: two-sided; None without a test, which
    leaves the intervals as they are. ``p_loss``: one-sided p value of no loss, raised to that which follows from
    ``p_value`` where the estimate is below 0; None takes it from ``p_value``. Where the test does not reject, the
    interval is extended to 0; where only the interval does not exclude 0, the p value is raised to its error.
    """
    if p_value is not None:
        agreed: list[Bounds | None] = []
        for level, bounds in zip(_levels(alpha), ends, strict=True):
            error = 1 - level
            if bounds is not None and p_value >= error:
                bounds = (min(bounds[0], 0.0), max(bounds[1], 0.0))
            elif bounds is not None and bounds[0] <= 0 <= bounds[1]:
                p_value = error * (1 + 1e-9)  # not significant at exactly this error
            agreed.append(bounds)
        ends = agreed
    loss = _loss(p_value, estimate.mean)
    if p_loss is not None and loss is not None:
        loss = max(loss, p_loss) if estimate.mean < 0 else p_loss
    return Delta(estimate.n, estimate.mean, estimate.stderr, ends[0], ends[1], p_value, method, ends[2], loss)


def _loss(p_value: float | None, delta: float) -> float | None:
    """Return the one-sided p value of no loss (small for a loss) from a two-sided one, for tests whose two-sided p is
    twice the smaller tail; None without a p value. ``delta``: the estimate, of which the sign counts.
    """
    if p_value is None:
        return None
    return p_value / 2 if delta < 0 else 1 - p_value / 2


def _skewed(difference: Floats) -> bool:
    """Return whether Cochran's rule forbids the normal approximation for the mean of these item differences.

    True for n <= 25 skewness^2 (Sampling Techniques, 2.15). The differences must not all be equal.
    """
    return len(difference) <= 25 * _skewness(difference) ** 2


def _skewness(difference: Floats) -> float:
    gap = difference - difference.mean()
    return float((gap**3).mean()) / sqrt(float((gap**2).mean())) ** 3
