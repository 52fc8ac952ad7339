"""A second way to a verdict, written apart from the package: numpy and scipy, nothing of evalsuite.

Single 0/1 answers: the score test of a shift is inverted, with the nuisance parameter found by maximizing the
trinomial likelihood numerically (not by the closed form). Several answers per item: a t interval on item means, moved
out on the side of a tail by the first Edgeworth term.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats


@dataclass(frozen=True, slots=True)
class Second:
    """The verdict of the second method."""

    call: str
    delta: float
    lower: float
    upper: float
    p_loss: float


def verdict(base: np.ndarray, cand: np.ndarray, margin: float, *, single: bool, alpha: float = 0.05) -> Second:
    """Pass, fail or undecided of one benchmark judged alone, from item means in the same order."""
    delta = float((cand - base).mean())
    if single:
        lost, gained, n = int((base > cand).sum()), int((cand > base).sum()), len(base)
        lower, upper = (_score_bound(lost, gained, n, side, alpha) for side in (-1, 1))
        p_loss = float(sum(stats.binom.pmf(j, lost + gained, 0.5) for j in range(gained + 1)))
    else:
        found = stats.ttest_rel(cand, base, alternative="less")
        p_loss = float(found.pvalue)
        half = stats.t.ppf(1 - alpha, len(base) - 1) * stats.sem(cand - base)
        z = stats.t.ppf(1 - alpha, len(base) - 1)
        tail = stats.sem(cand - base) * stats.skew(cand - base) * (2 * z**2 + 1) / (6 * np.sqrt(len(base)))
        lower, upper = delta - half + min(tail, 0), delta + half + max(tail, 0)
    if lower > -margin:
        call = "pass"
    elif upper < -margin or (p_loss <= alpha and delta < -margin / 2):
        call = "fail"
    else:
        call = "undecided"
    return Second(call, delta, float(lower), float(upper), p_loss)


def _score_bound(lost: int, gained: int, n: int, side: int, alpha: float) -> float:
    """The shift at which the score statistic reaches the normal quantile, below (-1) or above (+1) the estimate."""
    wanted = -side * stats.norm.ppf(1 - alpha)

    def statistic(shift: float) -> float:
        p_lost = _most_likely(lost, gained, n, shift)
        variance = (2 * p_lost + shift - shift**2) / n
        return float(((gained - lost) / n - shift) / np.sqrt(variance)) - wanted

    delta = (gained - lost) / n
    return float(optimize.brentq(statistic, *sorted((delta + side * 1e-9, side * 0.5)), xtol=1e-12))


def _most_likely(lost: int, gained: int, n: int, shift: float) -> float:
    """Chance of a lost item that maximizes the likelihood when gained - lost has the chance ``shift``."""

    def minus(p_lost: float) -> float:
        chances = np.array([p_lost, p_lost + shift, 1 - 2 * p_lost - shift])
        return -float(np.array([lost, gained, n - lost - gained]) @ np.log(np.maximum(chances, 1e-300)))

    low, high = max(0.0, -shift), (1 - shift) / 2
    best = optimize.minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-14})
    return float(best.x)


def subjects_lost(groups: dict[str, tuple[int, int]]) -> dict[str, tuple[float, float, float]]:
    """Stratum -> (exact two-sided McNemar p, Benjamini-Hochberg q, Holm p) from its (lost, gained) items."""
    names = list(groups)
    p = np.array(
        [min(1.0, 2 * stats.binom.cdf(min(pair), sum(pair), 0.5)) if sum(pair) else 1.0 for pair in groups.values()]
    )
    order = np.argsort(p, kind="stable")
    m = len(p)
    holm, bh = np.empty(m), np.empty(m)
    holm[order] = np.minimum(np.maximum.accumulate((m - np.arange(m)) * p[order]), 1)
    bh[order] = np.minimum(np.minimum.accumulate((m / np.arange(1, m + 1) * p[order])[::-1])[::-1], 1)
    return {name: (float(p[i]), float(bh[i]), float(holm[i])) for i, name in enumerate(names)}
