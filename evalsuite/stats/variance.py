"""Sources of the error of a delta: variation within items (v, phi) and true change between items (tau).

Two questions have two errors. "Questions like these": would other items of this kind show the change? (All of Var d;
the default of every verdict.) "Exactly these questions": would other answers to the same items show it? (Repeats only.)
Source: variance decomposition of Miller 2024 (arXiv 2411.00640), in its paired form.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from evalsuite.stats.delta import effective_sources
from evalsuite.stats.design import Design
from evalsuite.stats.distributions import norm_ppf
from evalsuite.stats.intervals import Bounds, Codes, Floats, bca_interval, cluster_sums, mean_of


@dataclass(frozen=True, slots=True)
class Repeated:
    """Answers of one model summarised by item; arrays of shape (items,)."""

    mean: Floats
    """Mean score of each item, a fraction."""
    variance: Floats
    """Sample variance of the item's repeats (ddof 1); NaN with one repeat."""
    count: Floats
    """Number of repeats of each item."""


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """Variance components and both standard errors of a delta; None where one cannot be estimated."""

    within_base: float | None
    """v of the baseline: mean variance of one answer around its item's own mean."""
    within_cand: float | None
    """v of the candidate."""
    phi_base: float | None
    """v / (mu (1 - mu)) of the baseline."""
    phi_cand: float | None
    """v / (mu (1 - mu)) of the candidate."""
    tau2: float | None
    """Variance over items of the true change; the estimate is unbiased, so it may be below 0."""
    stderr: float | None
    """Standard error of the delta for questions like these, a fraction."""
    stderr_exact: float | None
    """Standard error of the delta for exactly these questions, a fraction."""


@dataclass(frozen=True, slots=True)
class Excess:
    """Disagreement between two models beyond the disagreement of each model with itself; fractions of items."""

    observed: float
    """Chance that one answer of each model disagrees (0/1 scores), or their mean squared difference."""
    floor: float
    """The same between two runs of one model (A/A)."""
    excess: float
    """Unbiased estimate of mean (pB - pA)^2; may be below 0."""
    ci95: Bounds | None
    """BCa bootstrap interval over items; None when nothing varies or an end is not finite."""

    @property
    def rms_shift(self) -> float:
        """Root mean square of the items' true shifts; 0 when the excess is not above 0."""
        return sqrt(max(self.excess, 0.0))


def repeated(values: Floats, items: Codes, n: int) -> Repeated:
    """Compute the mean and the variance of each item's answers.

    Args:
        values: Score of each answer, shape (answers,).
        items: Item of each answer as a code in 0 .. n-1, shape (answers,).
        n: Number of items.

    Returns:
        Of each item, in the order of the codes: mean, sample variance (NaN with one answer) and number of answers.

    Raises:
        ValueError: An item has no answer, or a code is not in 0 .. n-1.
    """
    count = np.bincount(items, minlength=n).astype(np.float64)
    if len(count) != n or not count.all():
        raise ValueError("every item needs an answer")
    mean = np.bincount(items, weights=values, minlength=n) / count
    squares = np.bincount(items, weights=(values - mean[items]) ** 2, minlength=n)
    variance = np.divide(squares, count - 1, out=np.full(n, np.nan), where=count > 1)
    return Repeated(mean, variance, count)


def variance_parts(
    base: Repeated, cand: Repeated, *, weights: Floats | None = None, clusters: Codes | None = None
) -> VarianceParts:
    """Split the variance of the delta between two models into its components.

    Args:
        base: Answers of the baseline by item.
        cand: Answers of the candidate on the same items in the same order.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's cluster, shape (items,); None when items are independent.

    Returns:
        v and phi of each model, tau^2 (not clipped at 0), and the standard errors for questions like these and for
            exactly these. None are: v and phi of a model with an item of one answer, tau^2 and the error for exactly
            these where either model has such an item; phi at a score of 0 or 1, tau^2 of one item, and the error for
            questions like these with one unit.
    """
    difference = cand.mean - base.mean
    stderr = mean_of(difference, weights, clusters).stderr
    within_base, within_cand = _within(base, weights), _within(cand, weights)
    tau2 = exact = None
    if within_base is not None and within_cand is not None:
        noise = base.variance / base.count + cand.variance / cand.count
        weight = np.ones(len(noise)) if weights is None else weights
        exact = sqrt(float((weight**2 * noise).sum())) / float(weight.sum())
        if len(difference) > 1:
            tau2 = float(difference.var(ddof=1) - noise.mean())
    return VarianceParts(
        within_base,
        within_cand,
        _phi(base, within_base, weights),
        _phi(cand, within_cand, weights),
        tau2,
        stderr,
        exact,
    )


def flips_excess(base: Repeated, cand: Repeated) -> Excess | None:
    """Estimate the flips beyond the floor that the repeats themselves give.

    floor = mean(sA^2 + sB^2), observed = mean(a + b - 2 a b) for 0/1 answers. The general form for any scores, excess =
    mean((b - a)^2 - sA^2 / kA - sB^2 / kB), is algebraically the same for 0/1 ones.

    Args:
        base: Answers of the baseline by item.
        cand: Answers of the candidate on the same items in the same order.

    Returns:
        Observed flips, floor and excess (may be below 0) with its 95 % interval (None when nothing varies or an end is
            not finite); None for all when an item of either model has one repeat only.
    """
    if np.isnan(base.variance).any() or np.isnan(cand.variance).any():
        return None
    each = (cand.mean - base.mean) ** 2 - base.variance / base.count - cand.variance / cand.count
    floor = float((base.variance + cand.variance).mean())
    excess = float(each.mean())
    return Excess(excess + floor, floor, excess, bca_interval(each))


def flips_over_aa(base: Floats, base_again: Floats, cand: Floats) -> Excess:
    """Estimate the flips of single answers beyond an A/A floor from a baseline that was run twice.

    The estimate is unbiased for mean (pB - pA)^2 when both models vary equally within items. All three arrays are
    paired by item.

    Args:
        base: One score per item of the baseline, shape (items,).
        base_again: One score per item of the baseline's second run.
        cand: One score per item of the candidate.

    Returns:
        Observed flips (mean squared difference), floor and excess (may be below 0) with its 95 % interval (None
            when nothing varies or an end is not finite).
    """
    observed, floor = (cand - base) ** 2, (base_again - base) ** 2
    each = observed - floor
    return Excess(float(observed.mean()), float(floor.mean()), float(each.mean()), bca_interval(each))


def exact_questions_interval(delta: float, stderr_exact: float, level: float = 0.95) -> Bounds:
    """Compute the normal interval of the delta for exactly these questions.

    Args:
        delta: Candidate minus baseline, a fraction.
        stderr_exact: Standard error from the repeats alone (``VarianceParts.stderr_exact``), a fraction.
        level: Confidence level, a fraction.

    Returns:
        The interval, fractions.
    """
    half = norm_ppf(0.5 + level / 2) * stderr_exact
    return delta - half, delta + half


def design_of(
    parts: VarianceParts,
    base: Repeated,
    cand: Repeated,
    *,
    weights: Floats | None = None,
    clusters: Codes | None = None,
    assumed: Design | None = None,
) -> Design | None:
    """Describe a finished comparison as a design for ``power.would_decide``.

    Score and phi are those of both models together, tau is clipped at 0, repeats are rounded means. Answers are the
    items; units are the items or, if given, the clusters; both are Kish's effective numbers, which unequal weights
    and unequal sizes of clusters reduce.

    Args:
        parts: Variance components of the comparison.
        base: Answers of the baseline by item.
        cand: Answers of the candidate on the same items.
        weights: Weight of each item, shape (items,); None for equal weights.
        clusters: Integer code of each item's cluster, shape (items,); None when items are independent.
        assumed: Design whose score, phi and tau are used when a component is unknown; None to assume nothing.

    Returns:
        The design; None when a component is unknown (an item with one answer, or one item alone) and nothing is
            assumed.
    """
    answers = _effective(np.ones(len(base.mean)) if weights is None else weights)
    units, sources = answers, None
    if clusters is not None:
        totals = cluster_sums(np.ones(len(base.mean)) if weights is None else weights, clusters)
        units, sources = _effective(totals), float(effective_sources(weights, clusters))
    repeats = round(float(base.count.mean())), round(float(cand.count.mean()))
    if parts.within_base is None or parts.within_cand is None or parts.tau2 is None:
        if assumed is None:
            return None
        return Design(answers, units, assumed.score, assumed.phi, assumed.tau, *repeats, sources)
    score = float((base.mean.mean() + cand.mean.mean()) / 2)
    within = (parts.within_base + parts.within_cand) / 2
    phi = within / (score * (1 - score)) if 0 < score < 1 else 0.0
    return Design(answers, units, score, phi, sqrt(max(parts.tau2, 0.0)), *repeats, sources)


def _effective(weights: Floats) -> float:
    """Return Kish's effective number of equally weighted items: squared sum of weights over sum of squared weights."""
    return float(weights.sum()) ** 2 / float(weights @ weights)


def _within(arm: Repeated, weights: Floats | None) -> float | None:
    return None if np.isnan(arm.variance).any() else float(np.average(arm.variance, weights=weights))


def _phi(arm: Repeated, within: float | None, weights: Floats | None) -> float | None:
    score = float(np.average(arm.mean, weights=weights))
    return within / (score * (1 - score)) if within is not None and 0 < score < 1 else None
