"""Distributions for intervals, tests and plans, computed with ``scipy.special`` alone.

Importing ``scipy.stats`` takes most of a second, which every command over results would pay for these few functions.
Each is named after the one of ``scipy.stats`` (``norm.sf`` is ``norm_sf``), takes the same arguments in the same order,
and is compared with it by the tests. ``x`` and ``df`` are single numbers or arrays of equal shape.
"""

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

X = TypeVar("X", float, NDArray[np.float64])
"""A number or an array of numbers."""
NEXT_TO_ZERO = 1e-50
"""The series of ``special.nctdtr`` does not converge for some numbers closer to 0, where it is nan."""


def norm_cdf(x: X) -> X:
    """Compute the probability that a standard normal variable is at most ``x``.

    Args:
        x: Value or values, any shape.

    Returns:
        The probability, a fraction of the same shape.
    """
    return _like(x, special.ndtr(x))


def norm_sf(x: X) -> X:
    """Compute the probability that a standard normal variable is above ``x``.

    Args:
        x: Value or values, any shape.

    Returns:
        The probability, a fraction of the same shape.
    """
    return norm_cdf(-x)


def norm_ppf(p: X) -> X:
    """Compute the quantile of the standard normal distribution: the ``x`` with ``norm_cdf(x) == p``.

    Args:
        p: Probability or probabilities, fractions.

    Returns:
        The quantile, of the same shape; -inf for 0, inf for 1, NaN outside [0, 1].
    """
    return _like(p, special.ndtri(p))


def norm_isf(p: X) -> X:
    """Compute the upper quantile of the standard normal distribution: the ``x`` with ``norm_sf(x) == p``.

    Args:
        p: Probability or probabilities, fractions.

    Returns:
        The quantile, of the same shape; inf for 0, -inf for 1, NaN outside [0, 1].
    """
    return -norm_ppf(p)


def t_cdf(x: X, df: X | float) -> X:
    """Compute the probability that Student's t is at most ``x``.

    Args:
        x: Value or values, any shape.
        df: Degrees of freedom, above 0, possibly infinite; same shape, or one number.

    Returns:
        The probability, a fraction of the same shape.
    """
    return _like(x, special.stdtr(df, x))


def t_sf(x: X, df: X | float) -> X:
    """Compute the probability that Student's t is above ``x``.

    Args:
        x: Value or values, any shape.
        df: Degrees of freedom, above 0, possibly infinite; same shape, or one number.

    Returns:
        The probability, a fraction of the same shape.
    """
    return t_cdf(-x, df)


def t_ppf(p: float, df: X) -> X:
    """Compute the quantile of Student's t: the ``x`` with ``t_cdf(x, df) == p``.

    Args:
        p: Probability, a fraction above 0 and below 1.
        df: Degrees of freedom, above 0, any shape.

    Returns:
        The quantile, of the shape of ``df``.
    """
    return _like(df, special.stdtrit(df, p))


def t_isf(p: float, df: X) -> X:
    """Compute the upper quantile of Student's t: the ``x`` with ``t_sf(x, df) == p``.

    Args:
        p: Probability, a fraction above 0 and below 1.
        df: Degrees of freedom, above 0, any shape.

    Returns:
        The quantile, of the shape of ``df``.
    """
    return -t_ppf(p, df)


def nct_sf(x: float, df: float, nc: float) -> float:
    """Compute the probability that a noncentral t variable is above ``x``.

    Args:
        x: Value.
        df: Degrees of freedom, above 0.
        nc: Noncentrality.

    Returns:
        The probability, a fraction.
    """
    x = x if abs(x) > NEXT_TO_ZERO else 0.0
    below = float(special.nctdtr(df, nc, x))
    if math.isnan(below):  # what special.nctdtr returns where the probability is 0 or 1 within rounding
        return 1.0 if nc > x else 0.0
    return 1 - below


def chi2_sf(x: float, df: float) -> float:
    """Compute the probability that a chi-square variable is above ``x``.

    Args:
        x: Value, not below 0.
        df: Degrees of freedom, above 0.

    Returns:
        The probability, a fraction.
    """
    return float(special.chdtrc(df, x))


def binom_half_cdf(k: int, n: int) -> float:
    """Compute the probability of at most ``k`` successes in ``n`` trials with probability 1/2 each.

    Args:
        k: Number of successes, not below 0.
        n: Number of trials.

    Returns:
        The probability, a fraction; 1.0 for ``k`` >= ``n``.
    """
    return float(special.betainc(n - k, k + 1, 0.5)) if k < n else 1.0


def binom_half_pmf(k: int, n: int) -> float:
    """Compute the probability of exactly ``k`` successes in ``n`` trials with probability 1/2 each.

    Args:
        k: Number of successes, not below 0.
        n: Number of trials.

    Returns:
        The probability, a fraction; 0.0 for ``k`` > ``n``.
    """
    probability: float = math.comb(n, k) / 2**n
    return probability


def _like(given: X, values: Any) -> X:
    """Return ``values`` as a plain float if ``given`` is a float or an int, else unchanged."""
    result: X = float(values) if isinstance(given, (float, int)) else values
    return result
