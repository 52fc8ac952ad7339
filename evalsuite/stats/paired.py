"""Did the candidate change: intervals and tests for two models on the same items."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from evalsuite.stats.intervals import Bounds, Floats, Mean

_ALPHA_POWER = float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
"""2.8016: two-sided alpha 0.05, power 0.8."""


@dataclass(frozen=True, slots=True)
class McNemar:
    """P values of the sign test on discordant items (McNemar 1947); 1.0 where no item is discordant."""

    p_exact: float
    """Two-sided, exact."""
    p_mid: float
    """Two-sided, mid-p: less conservative, not guaranteed (Fagerland et al. 2013)."""
    p_exact_loss: float
    """One-sided: the candidate is worse."""
    p_mid_loss: float


@dataclass(frozen=True, slots=True)
class Flips:
    """Items whose score fell and rose; expected numbers where there is more than one repeat."""

    lost: float
    gained: float


def tango_interval(base_only: int, cand_only: int, n: int, level: float = 0.95) -> Bounds | None:
    """Tango's score interval for (cand_only - base_only) / n, single 0/1 answers of ``n`` items; None for n = 0.

    ``base_only``: items only the baseline got right. Has width even where no item is discordant
    (Tango, Statistics in Medicine 17, 1998: the score statistic at the constrained maximum equals +-z at the ends).
    """
    if n == 0:
        return None
    z = float(stats.norm.ppf(0.5 + level / 2))
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
        inner = delta + math.copysign(1e-15, bound)
        return float(optimize.brentq(lambda shift: statistic(shift) - target, edge, inner, xtol=1e-14, rtol=1e-14))

    return end(-1.0), end(1.0)


def mcnemar(base_only: int, cand_only: int) -> McNemar:
    """Exact and mid-p McNemar test on the discordant items (scipy's binomial distribution, p = 1/2)."""
    n = base_only + cand_only
    if n == 0:
        return McNemar(1.0, 1.0, 1.0, 1.0)
    half = stats.binom(n, 0.5)
    least = min(base_only, cand_only)
    exact = float(stats.binomtest(least, n, 0.5).pvalue)
    mid = min(1.0, 2 * float(half.cdf(least) - half.pmf(least) / 2))
    loss = float(half.cdf(cand_only))
    return McNemar(exact, mid, loss, loss - float(half.pmf(cand_only)) / 2)


def t_test(difference: Mean) -> float | None:
    """Two-sided p value of mean difference 0; None where nothing varies or there are fewer than two units."""
    if not difference.stderr:
        return None
    return float(2 * stats.t.sf(abs(difference.mean / difference.stderr), difference.df))


@dataclass(frozen=True, slots=True)
class Margins:
    """Tests of a mean difference against a margin on both sides of 0 (Schuirmann 1987)."""

    p_noninferior: float
    """One-sided, of "the loss is at least the margin"."""
    p_equivalent: float
    """TOST: the larger of the two one-sided p values."""


def against_margin(difference: Mean, margin: float) -> Margins | None:
    """Non-inferiority and equivalence t tests at ``margin`` (a fraction above 0); None without a standard error."""
    if not difference.stderr:
        return None
    above = float(stats.t.sf((difference.mean + margin) / difference.stderr, difference.df))
    below = float(stats.t.cdf((difference.mean - margin) / difference.stderr, difference.df))
    return Margins(above, max(above, below))


def binary_flips(base: Floats, cand: Floats) -> tuple[Floats, Floats]:
    """Per item, the chance that one answer of each arm, drawn at random, shows a loss and a gain.

    ``base`` and ``cand`` are item means of 0/1 answers; at one answer each these are plain 0/1 counts.
    """
    return base * (1 - cand), cand * (1 - base)


def graded_flips(base: Sequence[Floats], cand: Sequence[Floats]) -> tuple[Floats, Floats]:
    """As ``binary_flips`` for fractional scores: one array of answers per item and arm; a loss is a lower score."""
    gaps = [np.subtract.outer(after, before) for before, after in zip(base, cand, strict=True)]
    return np.array([float((gap < 0).mean()) for gap in gaps]), np.array([float((gap > 0).mean()) for gap in gaps])


def smallest_detectable(stderr: float | None) -> float | None:
    """The true difference that this standard error detects with power 0.8 at two-sided alpha 0.05: 2.8016 SE."""
    return None if stderr is None else _ALPHA_POWER * stderr


def recovery(base: float, cand: float) -> float | None:
    """Candidate score over baseline score; None where the baseline scored 0."""
    return None if base == 0 else cand / base
