"""Heterogeneity: whether groups (such as subjects) changed differently, and group deltas shrunk towards their mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalsuite.stats.distributions import chi2_sf


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Random-effects analysis of group deltas; fractions of 1."""

    q: float
    """Cochran's Q; chi-square distributed with ``df`` degrees of freedom when all groups changed equally."""
    df: int
    """Degrees of freedom: groups with a standard error, minus 1."""
    p_value: float
    """P value of "all groups changed equally"."""
    tau2: float
    """Variance between the groups' true deltas (DerSimonian and Laird); 0 when Q is below its expectation."""
    pooled: float
    """Random-effects mean of the deltas."""
    shrunk: tuple[float, ...]
    """Each delta shrunk towards ``pooled`` according to its own standard error; for plots, not for tests."""


def heterogeneity(deltas: Sequence[float], stderrs: Sequence[float | None]) -> Heterogeneity | None:
    """Compute the Q test, the DerSimonian-Laird variance and shrunken deltas.

    Equals ``combine_effects`` with ``chi2`` of statsmodels, which divides by Q and therefore cannot take groups that
    all changed equally. Source: DerSimonian and Laird, Controlled Clinical Trials 7, 1986.

    Args:
        deltas: Change of each group, fractions of 1.
        stderrs: Standard error of each delta, not below 0; groups with None or 0 keep their delta and do not count.

    Returns:
        Q with its degrees of freedom and p value, the variance ``tau2`` between groups, the random-effects mean
            ``pooled``, and ``shrunk``: one delta for each group in the given order. None when fewer than two groups
            have a standard error above 0.
    """
    known = [place for place, error in enumerate(stderrs) if error]
    if len(known) < 2:
        return None
    effect = np.array([deltas[place] for place in known])
    variance = np.array([float(stderrs[place] or 0.0) ** 2 for place in known])
    weight, df = 1 / variance, len(known) - 1
    q = float(weight @ (effect - np.average(effect, weights=weight)) ** 2)
    spread = float(weight.sum() - weight @ weight / weight.sum())
    tau2 = max((q - df) / spread, 0.0)
    pooled = float(np.average(effect, weights=1 / (variance + tau2)))
    shrunk = list(map(float, deltas))
    for place, value, own in zip(known, effect, variance, strict=True):
        shrunk[place] = pooled + tau2 / (tau2 + float(own)) * (float(value) - pooled)
    return Heterogeneity(q, df, chi2_sf(q, df), tau2, pooled, tuple(shrunk))
