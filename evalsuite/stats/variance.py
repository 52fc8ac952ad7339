"""Where the error of a delta comes from: coin tossing within items (v, phi) and true change between items (tau).

Two questions have two errors. "Questions like these": would other items of this kind show it? (all of Var d, the
default of every verdict). "Exactly these questions": would other answers to the same items show it? (repeats only).
Source: variance decomposition of Miller 2024 (arXiv 2411.00640), paired form.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from evalsuite.stats.intervals import Bounds, Codes, Floats, bca_interval, cluster_sums, mean_of
from evalsuite.stats.power import Design


@dataclass(frozen=True, slots=True)
class Repeated:
    """Each item's answers in one arm, summed up; arrays of equal length, one entry per item."""

    mean: Floats
    variance: Floats
    """Sample variance of the item's repeats (ddof 1); NaN where there is one repeat."""
    count: Floats
    """Repeats."""


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """Variance parts and both standard errors of the delta; None where fewer than two repeats hide them."""

    within_base: float | None
    """v: mean variance of one answer around its item's own mean."""
    within_cand: float | None
    phi_base: float | None
    """v / (mu (1 - mu))."""
    phi_cand: float | None
    tau2: float | None
    """Variance over items of the true change; an unbiased estimate, so it may be below 0."""
    stderr: float | None
    """For questions like these."""
    stderr_exact: float | None
    """For exactly these questions."""


@dataclass(frozen=True, slots=True)
class Excess:
    """How often answers flip between the arms beyond what each arm flips against itself; fractions of items."""

    observed: float
    """Chance that one answer of each arm disagrees (0/1 scores), or their mean squared difference."""
    floor: float
    """The same between two runs of one model (A/A)."""
    excess: float
    """Unbiased estimate of mean (pB - pA)^2; may be below 0."""
    ci95: Bounds | None
    """BCa bootstrap over items."""

    @property
    def rms_shift(self) -> float:
        """Root mean square of the items' true shifts, 0 where the excess is not above 0."""
        return sqrt(max(self.excess, 0.0))


def repeated(values: Floats, items: Codes, n: int) -> Repeated:
    """Item means and variances from one value per answer and its item's code in 0 .. n-1.

    Every item needs an answer (``ValueError``).
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
    """The variance parts of the delta between two arms on the same items, in the same order."""
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
    """Flips beyond the floor that the repeats themselves give; None where an arm has items with one repeat only.

    floor = mean(sA^2 + sB^2), observed = mean(a + b - 2 a b) for 0/1 answers. In its general form, for any scores,
    excess = mean((b - a)^2 - sA^2 / kA - sB^2 / kB), algebraically the same for 0/1 ones.
    """
    if np.isnan(base.variance).any() or np.isnan(cand.variance).any():
        return None
    each = (cand.mean - base.mean) ** 2 - base.variance / base.count - cand.variance / cand.count
    floor = float((base.variance + cand.variance).mean())
    excess = float(each.mean())
    return Excess(excess + floor, floor, excess, bca_interval(each))


def flips_over_aa(base: Floats, base_again: Floats, cand: Floats) -> Excess:
    """Flips of single answers beyond an A/A floor: the baseline run twice, each array one 0/1 (or fractional) answer.

    Unbiased for mean (pB - pA)^2 where both arms toss alike within items; the error pairs all three by item.
    """
    observed, floor = (cand - base) ** 2, (base_again - base) ** 2
    each = observed - floor
    return Excess(float(observed.mean()), float(floor.mean()), float(each.mean()), bca_interval(each))


def exact_questions_interval(delta: float, stderr_exact: float, level: float = 0.95) -> Bounds:
    """Normal interval of the delta on exactly these questions; needs two repeats in both arms."""
    half = float(stats.norm.ppf(0.5 + level / 2)) * stderr_exact
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
    """The design that a finished comparison had, for ``power.would_decide``.

    Where one repeat hides the parts they are taken from ``assumed`` (None: no design). Its standard error is the
    measured one's model value, tau clipped at 0; clusters count as units, weights by Kish's effective number.
    """
    answers = _effective(np.ones(len(base.mean)) if weights is None else weights)
    units = answers
    if clusters is not None:
        totals = cluster_sums(np.ones(len(base.mean)) if weights is None else weights, clusters)
        units = _effective(totals)
    repeats = round(float(base.count.mean())), round(float(cand.count.mean()))
    if parts.within_base is None or parts.within_cand is None or parts.tau2 is None:
        if assumed is None:
            return None
        return Design(answers, units, assumed.score, assumed.phi, assumed.tau, *repeats)
    score = float((base.mean.mean() + cand.mean.mean()) / 2)
    within = (parts.within_base + parts.within_cand) / 2
    phi = within / (score * (1 - score)) if 0 < score < 1 else 0.0
    return Design(answers, units, score, phi, sqrt(max(parts.tau2, 0.0)), *repeats)


def _effective(weights: Floats) -> float:
    return float(weights.sum()) ** 2 / float(weights @ weights)


def _within(arm: Repeated, weights: Floats | None) -> float | None:
    return None if np.isnan(arm.variance).any() else float(np.average(arm.variance, weights=weights))


def _phi(arm: Repeated, within: float | None, weights: Floats | None) -> float | None:
    score = float(np.average(arm.mean, weights=weights))
    return within / (score * (1 - score)) if within is not None and 0 < score < 1 else None
