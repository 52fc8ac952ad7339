"""Do subjects differ in how they changed: heterogeneity, and group deltas shrunk towards their common mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Random-effects view of group deltas; fractions of 1."""

    q: float
    """Cochran's Q; chi-square with groups - 1 degrees of freedom where all groups changed alike."""
    df: int
    p_value: float
    tau2: float
    """Variance between the groups' true deltas (DerSimonian and Laird), 0 where Q is below its expectation."""
    pooled: float
    """Random-effects mean of the deltas."""
    shrunk: tuple[float, ...]
    """Each delta pulled towards ``pooled`` as far as its own error asks; for plots, never for tests."""


def heterogeneity(deltas: Sequence[float], stderrs: Sequence[float | None]) -> Heterogeneity | None:
    """Q test, DerSimonian-Laird variance and shrunken deltas (as statsmodels' ``combine_effects`` with ``chi2``, which
    divides by Q and so cannot take groups that changed alike).

    Groups without a standard error keep their delta and do not count. None where fewer than two have one.
    Source: DerSimonian and Laird, Controlled Clinical Trials 7, 1986.
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
    return Heterogeneity(q, df, float(stats.chi2.sf(q, df)), tau2, pooled, tuple(shrunk))
