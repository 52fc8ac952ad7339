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


def norm_cdf(x: X) -> X:
    """Return the probability that a standard normal variable is at most ``x``."""
    return _like(x, special.ndtr(x))


def norm_sf(x: X) -> X:
    """Return the probability that a standard normal variable is above ``x``."""
    return norm_cdf(-x)


def norm_ppf(p: X) -> X:
    """Return the ``x`` with ``norm_cdf(x) == p``."""
    return _like(p, special.ndtri(p))


def norm_isf(p: X) -> X:
    """Return the ``x`` with ``norm_sf(x) == p``."""
    return -norm_ppf(p)


def t_cdf(x: X, df: X | float) -> X:
    """Return the probability that Student's t is at most ``x``; ``df`` is above 0, possibly infinite."""
    return _like(x, special.stdtr(df, x))


def t_sf(x: X, df: X | float) -> X:
    """Return the probability that Student's t is above ``x``."""
    return t_cdf(-x, df)


def t_ppf(p: float, df: X) -> X:
    """Return the ``x`` with ``t_cdf(x, df) == p``."""
    return _like(df, special.stdtrit(df, p))


def t_isf(p: float, df: X) -> X:
    """Return the ``x`` with ``t_sf(x, df) == p``."""
    return -t_ppf(p, df)


def nct_sf(x: float, df: float, nc: float) -> float:
    """Return the probability that the noncentral t with noncentrality ``nc`` is above ``x``."""
    below = float(special.nctdtr(df, nc, x))
    if math.isnan(below):  # what special.nctdtr returns where the probability is 0 or 1 within rounding
        return 1.0 if nc > x else 0.0
    return 1 - below


def chi2_sf(x: float, df: float) -> float:
    """Return the probability that chi-square with ``df`` degrees of freedom is above ``x``."""
    return float(special.chdtrc(df, x))


def binom_half_cdf(k: int, n: int) -> float:
    """Return the probability of at most ``k`` successes in ``n`` trials with probability 1/2 each."""
    return float(special.bdtr(k, n, 0.5))


def binom_half_pmf(k: int, n: int) -> float:
    """Return the probability of exactly ``k`` successes in ``n`` trials with probability 1/2 each."""
    log_count = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return float(np.exp(log_count - n * np.log(2)))


def _like(given: X, values: Any) -> X:
    """Return ``values`` as a plain float if ``given`` is a number, else unchanged."""
    result: X = float(values) if isinstance(given, (float, int)) else values
    return result
