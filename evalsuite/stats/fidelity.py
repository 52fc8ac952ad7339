"""How far a candidate's next-token distributions are from its baseline's, on the baseline's own answers.

Per token: total variation and Kullback-Leibler divergence of baseline and candidate over the tokens that both list and
one bucket of all others. Merging outcomes can only lower both, so that each is a lower bound (data processing
inequality). Tokens of one answer depend on each other: errors are those of sums over answers.

These figures measure how much two servers disagree, not in which direction: between nearly lossless quantizations they
say nothing about accuracy (arXiv 2606.19558).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.stats.distributions import norm_isf, t_sf

Floats = NDArray[np.float64]
SMALLEST = 1e-12
"""Nats: smaller means of an answer count as this in logarithms."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The listed part of the distributions of n tokens."""

    tokens: NDArray[np.int64]
    """[n, k]: token ids, most likely first; -1 where fewer are listed."""
    logprobs: NDArray[np.float64]
    """[n, k]: natural-log probabilities; -inf where fewer are listed."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Baseline against candidate at each of n tokens."""

    variation: Floats
    """[n]: total variation, a fraction."""
    nats: Floats
    """[n]: Kullback-Leibler divergence of the candidate from the baseline."""
    flips: NDArray[np.bool_]
    """[n]: whether the likeliest token is another one."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of two sums over answers, or a mean per token (a sum over answers by their tokens)."""

    value: float
    """The estimate."""
    low: float
    """Lower bound of the 95 % interval; ``value`` for fewer than two answers."""
    high: float
    """Upper bound of the 95 % interval; ``value`` for fewer than two answers."""


def divergence(baseline: Listed, candidate: Listed) -> Divergence:
    """Compare two listings of the same tokens.

    Args:
        baseline: Token ids and natural-log probabilities of the baseline at n places, [n, k], most likely first.
        candidate: The same of the candidate at the same places, [n, m].

    Returns:
        For each of the n places total variation (a fraction), Kullback-Leibler divergence of the candidate from the
            baseline in nats (probabilities below ``SMALLEST``, 1e-12, count as it in logarithms), and whether the
            likeliest token differs. The first two are lower bounds, because tokens that not both of them list are
            merged into one bucket.
    """
    same = (baseline.tokens[:, :, None] == candidate.tokens[:, None, :]) & (baseline.tokens >= 0)[:, :, None]
    both = same.any(axis=2)
    p = np.where(both, np.exp(baseline.logprobs), 0.0)
    matched = np.where(same, np.exp(candidate.logprobs)[:, None, :], 0.0).sum(axis=2)
    q = np.where(both, matched, 0.0)
    p = np.concatenate((p, np.clip(1 - p.sum(axis=1, keepdims=True), 0, 1)), axis=1)
    q = np.concatenate((q, np.clip(1 - q.sum(axis=1, keepdims=True), 0, 1)), axis=1)
    variation = np.abs(p - q).sum(axis=1) / 2
    terms = np.where(p > 0, p * (np.log(np.maximum(p, SMALLEST)) - np.log(np.maximum(q, SMALLEST))), 0.0)
    flips = baseline.tokens[:, 0] != candidate.tokens[:, 0]
    return Divergence(variation, np.maximum(terms.sum(axis=1), 0.0), flips)


def mean_per_token(sums: Floats, tokens: Floats) -> Estimate:
    """Estimate the mean per token with an error by answer.

    Args:
        sums: [answers]: sum of the quantity over the tokens of each answer.
        tokens: [answers]: number of these tokens; their sum must be above 0.

    Returns:
        Sum of ``sums`` divided by sum of ``tokens``, with the 95 % interval of the linearized ratio (Cochran 1977,
        section 6.3), not below 0; of width 0 for fewer than two answers or a mean of 0.
    """
    return _ratio(sums, tokens, logarithmic=False)


def ratio_to(sums: Floats, floor: Floats) -> Estimate:
    """Estimate how many times as large one quantity is as another over the same answers.

    Args:
        sums: [answers]: the quantity of the candidate.
        floor: [answers]: that of the baseline served again; their sum must be above 0.

    Returns:
        The ratio, with a 95 % interval that is symmetric in its logarithm; of width 0 for fewer than two answers or a
            ratio of 0.
    """
    return _ratio(sums, floor, logarithmic=True)


def _ratio(above: Floats, below: Floats, *, logarithmic: bool) -> Estimate:
    total, n = float(below.sum()), len(below)
    value = float(above.sum()) / total
    if n < 2 or value == 0:
        return Estimate(value, value, value)
    residuals = above - value * below
    error = float(np.sqrt(n / (n - 1) * np.square(residuals).sum())) / total
    z = norm_isf(0.025)
    if logarithmic:
        factor = float(np.exp(z * error / value))
        return Estimate(value, value / factor, value * factor)
    return Estimate(value, max(0.0, value - z * error), value + z * error)


def above_floor(candidate: Floats, floor: Floats, tokens: Floats) -> float:
    """Test whether a candidate's divergence is above that of the baseline served again.

    Args:
        candidate: [answers]: sum of the Kullback-Leibler divergences of each answer, nats.
        floor: [answers]: the same of the second reading of the baseline.
        tokens: [answers]: number of tokens, each above 0.

    Returns:
        One-sided p value of the paired t test on the logarithms of the means per token (means below ``SMALLEST``, 1e-12
        nats, count as it); 1.0 for fewer than two answers and where every pair is equal or lower by the same factor,
        0.0 where every one is higher by the same factor (both within rounding).
    """
    logs = [np.log(np.maximum(sums / tokens, SMALLEST)) for sums in (candidate, floor)]
    differences = logs[0] - logs[1]
    if len(differences) < 2 or not differences.any():
        return 1.0
    spread = float(differences.std(ddof=1)) / np.sqrt(len(differences))
    if spread == 0:
        return 0.0 if differences[0] > 0 else 1.0
    return float(t_sf(float(differences.mean() / spread), len(differences) - 1))


def diverging(flips: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Find the answers on which the likeliest token differs somewhere.

    Args:
        flips: Per answer: whether the likeliest token differs, [tokens].

    Returns:
        [answers]: whether the likeliest token differs at any token of the answer; False for one without tokens. With
            greedy decoding the candidate would write these answers differently, if it computes the same probabilities
            when it scores a given text as when it generates.
    """
    return np.array([bool(answer.any()) for answer in flips], dtype=bool)
