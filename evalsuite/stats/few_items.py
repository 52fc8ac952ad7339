"""Simulated comparisons on few items, with the bounds that ``delta.paired_delta`` uses for them.

With fewer than ``delta.FEW_ITEMS`` items the answers vary in a few items only, so that the measured standard error
varies far more than a chi-square's, and bounds are those of the BCa bootstrap or of Tango instead of Student's t.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np

from evalsuite.stats.delta import FEW_MOVED
from evalsuite.stats.design import Design
from evalsuite.stats.distributions import norm_isf, t_cdf
from evalsuite.stats.intervals import Floats
from evalsuite.stats.paired import tango_interval

DRAWS = 5_000
"""Number of simulated comparisons; Monte Carlo error of a chance near 0.9: 0.004."""
_SEED = 20261126


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Simulated comparisons of one benchmark; fractions of 1, each of shape (``DRAWS``,)."""

    delta: Floats
    """Candidate minus baseline."""
    stderr: Floats
    """Measured standard error."""
    lower: Floats
    """One-sided lower bound."""
    upper: Floats
    """One-sided upper bound."""
    p_loss: Floats
    """One-sided p value of no loss where ``delta`` is below 0, else 0.5."""


@lru_cache(maxsize=32)
def comparisons(design: Design, delta: float, alpha: float) -> Comparisons:
    """Draw answers of both models and compare them as ``delta.paired_delta`` does, without its resampling.

    Items' chances of success are Beta with mean ``score`` and within-item share ``phi`` (both kept within 0.001 to
    0.999). For the candidate ``tau`` moves them up or down at random within [0, 1]; then a loss scales the chances of
    success, a gain those of failure. The bounds are Tango's where both models answer once, where at most ``FEW_MOVED``
    items changed, and where all changed equally; else those of the BCa bootstrap in their Cornish-Fisher expansion
    (``bca_bounds``). The p value is Student's, but at least 0.5 to the power of the number of changed items. An upper
    bound below 0 is raised to 0 where the p value is not below ``alpha``.

    Args:
        design: How the benchmark is measured; each of its units is one item, and there are two or more.
        delta: True difference, a fraction.
        alpha: One-sided error of the bounds.

    Returns:
        ``DRAWS`` (5,000) comparisons, from a fixed seed, each with delta, standard error, one-sided lower and upper
            bound, and the one-sided p value of "no loss" (0.5 where the delta is not below 0). The arrays are cached:
            do not change them.
    """
    rng, n = np.random.default_rng(_SEED), round(design.units)
    repeats = design.repeats_base, design.repeats_cand
    base, cand = (rng.binomial(k, p) / k for k, p in zip(repeats, _item_chances(design, delta, rng), strict=True))
    difference = cand - base
    moved = np.count_nonzero(difference, axis=1)
    estimates, stderr = difference.mean(axis=1), difference.std(axis=1, ddof=1) / sqrt(n)
    by_counts = np.full(DRAWS, True) if repeats == (1, 1) else (moved <= FEW_MOVED) | (stderr == 0)
    lower, upper = np.empty(DRAWS), np.empty(DRAWS)
    lower[by_counts], upper[by_counts] = _tango_bounds(difference[by_counts], alpha)
    lower[~by_counts], upper[~by_counts] = bca_bounds(difference[~by_counts], alpha)
    still = stderr == 0
    stderr[still] = (upper[still] - lower[still]) / (2 * norm_isf(alpha))
    p_loss = np.where(estimates < 0, np.maximum(t_cdf(estimates / stderr, n - 1), 0.5**moved), 0.5)
    unclear = (estimates < 0) & (p_loss >= alpha)  # paired_delta extends an interval to 0 where its test is not clear
    return Comparisons(estimates, stderr, lower, np.where(unclear, np.maximum(upper, 0.0), upper), p_loss)


def bca_bounds(difference: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Compute one-sided BCa bootstrap bounds of means without resampling.

    The quantiles of the bootstrap distribution are taken from its third-order Cornish-Fisher expansion (Hall, The
    Bootstrap and Edgeworth Expansion, 2.5 and 3.10); bias and acceleration are both a sixth of its skewness.

    Args:
        difference: Differences of items, fractions, shape (comparisons, items); each row varies.
        alpha: One-sided error.

    Returns:
        The lower and upper bounds, each of shape (comparisons,).
    """
    n, mean = difference.shape[1], difference.mean(axis=1)
    gap = difference - mean[:, None]
    square = gap * gap
    variance = square.mean(axis=1)
    skewness = (square * gap).mean(axis=1) / variance**1.5 / sqrt(n)
    kurtosis = ((square * square).mean(axis=1) / variance**2 - 3) / n
    ends = []
    for z in (-norm_isf(alpha), norm_isf(alpha)):
        shifted = skewness / 6 + z
        at = skewness / 6 + shifted / (1 - skewness / 6 * shifted)
        quantile = (
            at + (at**2 - 1) * skewness / 6 + (at**3 - 3 * at) * kurtosis / 24 - (2 * at**3 - 5 * at) * skewness**2 / 36
        )
        ends.append(mean + np.sqrt(variance / n) * quantile)
    return ends[0], ends[1]


def _item_chances(design: Design, delta: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the items' chances of success in (the baseline, the candidate), each of shape (DRAWS, items).

    ``delta``: true difference, a fraction; chances are cut off at 0 and 1.
    """
    score, phi = min(max(design.score, 1e-3), 1 - 1e-3), min(max(design.phi, 1e-3), 1 - 1e-3)
    total, shape = phi / (1 - phi), (DRAWS, round(design.units))
    chance = rng.beta(score * total, (1 - score) * total, shape)
    moved = chance
    if design.tau > 0:
        reach = np.minimum(chance, 1 - chance)
        widest = sqrt(float((reach**2).mean()))
        moved = chance + rng.choice([-1.0, 1.0], shape) * reach * min(1.0, design.tau / max(widest, 1e-9))
    lossy = moved * (1 + delta / score) if delta <= 0 else 1 - (1 - moved) * (1 - delta / (1 - score))
    return chance, np.clip(lossy, 0.0, 1.0)


def _tango_bounds(difference: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Return Tango's one-sided (lower, upper) bounds of each comparison's mean difference, of shape (comparisons,).

    They are taken on the summed losses and gains of ``difference``, shape (comparisons, items); ``alpha``: their error.
    """
    n = difference.shape[1]
    counts = np.stack([np.maximum(sign * difference, 0.0).sum(axis=1) for sign in (-1, 1)], axis=1).round(9)
    kinds, place = np.unique(counts, axis=0, return_inverse=True)
    ends = [tango_interval(lost, gained, n, 1 - 2 * alpha) or (-1.0, 1.0) for lost, gained in kinds.tolist()]
    bounds = np.array(ends, dtype=np.float64).reshape(-1, 2)[place.ravel()]
    return bounds[:, 0], bounds[:, 1]
