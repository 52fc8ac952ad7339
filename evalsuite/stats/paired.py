"""Intervals and tests for the change between two models on the same items."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalsuite.stats.distributions import binom_half_cdf, binom_half_pmf, norm_ppf, t_sf
from evalsuite.stats.intervals import Bounds, Floats, Mean

HALVINGS = 60
"""Bisections of an interval of at most 2 that leave less than rounding (``scipy.optimize`` takes 0.25 s to import)."""
_ALPHA_POWER = norm_ppf(0.975) + norm_ppf(0.8)
"""2.8016: two-sided alpha 0.05, power 0.8."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """P values of the sign test on discordant items (McNemar 1947); 1.0 when no item is discordant."""

    p_exact: float
    """Two-sided, exact."""
    p_mid: float
    """Two-sided, mid-p: less conservative, but its error is not guaranteed (Fagerland et al. 2013)."""
    p_exact_loss: float
    """One-sided, exact: small when the candidate is worse."""
    p_mid_loss: float
    """One-sided, mid-p: small when the candidate is worse."""


@dataclass(frozen=True, slots=True)
class Flips:
    """Numbers of items whose score changed; expected numbers when there is more than one repeat."""

    lost: float
    """Items whose score fell."""
    gained: float
    """Items whose score rose."""


def tango_interval(base_only: float, cand_only: float, n: float, level: float = 0.95) -> Bounds | None:
    """Compute Tango's score interval of the change between single 0/1 answers.

    The score statistic at the constrained maximum equals +-z at the ends (Tango, Statistics in Medicine 17, 1998),
    which stop at -1 and 1. The interval has a width even when no item is discordant.

    Args:
        base_only: Number of items that only the baseline answered correctly; with repeats an expected number.
        cand_only: Number of items that only the candidate answered correctly; likewise.
        n: Number of items, or the effective number of weighted ones.
        level: Confidence level, a fraction.

    Returns:
        The interval of (cand_only - base_only) / n, fractions; None for ``n`` = 0.
    """
    if n == 0:
        return None
    z = norm_ppf(0.5 + level / 2)
    delta = (cand_only - base_only) / n

    def statistic(shift: float) -> float:
        a = 2.0 * n
        b = (2 * n - cand_only + base_only) * shift - cand_only - base_only
        c = -base_only * shift * (1 - shift)
        q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * q + shift * (1 - shift))
        gap = cand_only - base_only - n * shift
        return math.copysign(math.inf, gap) if variance <= 0 else gap / math.sqrt(variance)

    def end(bound: float) -> float:
        target = z if bound < 0 else -z
        edge = bound * (1 - 1e-12)
        if abs(delta - bound) < 1e-15 or (statistic(edge) - target) * target <= 0:
            return bound
        low, high = sorted((edge, delta))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if statistic(middle) > target else (low, middle)
        return (low + high) / 2

    return end(-1.0), end(1.0)


def mcnemar(base_only: int, cand_only: int) -> McNemar:
    """Compute the exact and the mid-p McNemar test (binomial distribution, p = 1/2).

    Args:
        base_only: Number of items that only the baseline answered correctly.
        cand_only: Number of items that only the candidate answered correctly.

    Returns:
        Two-sided p values of "no change" and one-sided ones of "no loss" (small when the candidate is worse), each
            exact and mid-p; all 1.0 when no item is discordant.
    """
    n = base_only + cand_only
    if n == 0:
        return McNemar(1.0, 1.0, 1.0, 1.0)
    least = min(base_only, cand_only)
    tail = binom_half_cdf(least, n)
    mid = min(1.0, 2 * tail - binom_half_pmf(least, n))
    loss = binom_half_cdf(cand_only, n)
    return McNemar(min(1.0, 2 * tail), mid, loss, loss - binom_half_pmf(cand_only, n) / 2)


def t_test(difference: Mean) -> float | None:
    """Test whether a mean difference is 0.

    Args:
        difference: Mean difference with its standard error.

    Returns:
        The two-sided p value; None when the standard error is 0 or None.
    """
    if not difference.stderr:
        return None
    return 2 * t_sf(abs(difference.mean / difference.stderr), difference.df)


def binary_flips(base: Floats, cand: Floats) -> tuple[Floats, Floats]:
    """Compute for each item the chance of a loss and of a gain between one random answer of each model.

    Args:
        base: Item means of the baseline's 0/1 answers, shape (items,).
        cand: Item means of the candidate on the same items.

    Returns:
        (chances of a loss, chances of a gain), each of shape (items,). With one answer per item these are 0 or 1.
    """
    return base * (1 - cand), cand * (1 - base)


def graded_flips(base: Sequence[Floats], cand: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Compute for each item the chance of a lower and of a higher score between one random answer of each model.

    The form of ``binary_flips`` for fractional scores.

    Args:
        base: For each item the scores of the baseline's answers, shape (repeats,), at least one.
        cand: For each item the scores of the candidate's answers; the number of repeats may differ.

    Returns:
        (chances of a loss, chances of a gain), each of shape (items,).

    Raises:
        ValueError: The numbers of items differ.
    """
    gaps = [np.subtract.outer(after, before) for before, after in zip(base, cand, strict=True)]
    return np.array([float((gap < 0).mean()) for gap in gaps]), np.array([float((gap > 0).mean()) for gap in gaps])


def smallest_detectable(stderr: float | None) -> float | None:
    """Compute the true difference that is detected with power 0.8 at two-sided alpha 0.05.

    Args:
        stderr: Standard error of the difference, a fraction; None when it is unknown.

    Returns:
        2.8016 standard errors, a fraction; None without a standard error.
    """
    return None if stderr is None else _ALPHA_POWER * stderr


def recovery(base: float, cand: float) -> float | None:
    """Compute the ratio of the candidate's to the baseline's score.

    Args:
        base: Score of the baseline.
        cand: Score of the candidate.

    Returns:
        The ratio; None when the baseline's score is 0.
    """
    return None if base == 0 else cand / base
