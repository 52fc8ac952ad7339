"""Comparison of many candidates at once: which cannot be distinguished from the best, and the true score of the best.

The set follows Gupta's subset selection (Technometrics 7, 1965) in the form of Hsu's comparisons with the best (Annals
of Statistics 12, 1984): a candidate is left out when some other is better by more than chance allows, where each
candidate in turn is the control of a one-sided many-to-one comparison (Dunnett 1955). The critical values are those of
the largest statistic with the covariance of these data, drawn from a multivariate t (Westfall and Young 1993), so that
candidates that answer alike cost little. The best score of many is too high by selection; it is corrected by
cross-validatory assessment (Stone, JRSS B 36, 1974; Varma and Simon, BMC Bioinformatics 7:91, 2006): the winner of all
other parts is scored on the part that did not choose it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evalsuite.stats.delta import FEW_MOVED, effective_sources, sources_resolution
from evalsuite.stats.distributions import norm_sf
from evalsuite.stats.intervals import DIGITS, Bounds, Codes, Floats, cluster_sums

DRAWS, SPLITS, FOLDS = 4_000, 20, 10
"""Draws of the critical values; random splits of the items, and parts of each, for the winner's corrected score."""
_SEED = 20261126


@dataclass(frozen=True, slots=True)
class ManyScores:
    """Item means of a baseline and several candidates on one task, on the items that all of them have."""

    means: Floats
    """Fractions of 1, shape (items, 1 + candidates): the baseline first."""
    weights: Floats | None = None
    """Weight of each item, shape (items,); None for equal weights."""
    clusters: Codes | None = None
    """Integer code of each item's source, shape (items,); None when items share no sources."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Several candidates compared with each other and with their baseline; fractions of 1, one entry a candidate."""

    scores: tuple[float, ...]
    """Mean score over the tasks."""
    deltas: tuple[float, ...]
    """Mean change against the baseline."""
    bounds: tuple[Bounds | None, ...]
    """Simultaneous intervals of the changes: all of them hold together, so that they hold for one chosen afterwards,
    too. None where at most ``FEW_MOVED`` units changed."""
    among_best: tuple[bool, ...]
    """Whether the candidate cannot be told from the best; the best one is among them with the confidence asked for."""
    winner: int
    """Position of the highest score; of equal ones the first."""
    corrected: float | None
    """Change of the winner against the baseline, corrected for its having been chosen; None for fewer than two
    units."""


def select_best(tasks: Sequence[ManyScores], alpha: float = 0.05) -> Selection:
    """Compare several candidates on their mean score over tasks of equal weight, paired by item.

    Two candidates whose scores differ on at most ``FEW_MOVED`` (5) items or sources, all tasks together, are never
    distinguished.

    Args:
        tasks: Item means of the same candidates on each task: ``means`` of shape (items, 1 + candidates), the
            baseline first.
        alpha: Largest chance that the best candidate is left out, and largest chance that any of the simultaneous
            intervals misses.

    Returns:
        Entries for each candidate in the order of the columns, without the baseline: score, change against the
            baseline, its simultaneous interval (None where too few units changed), and whether it cannot be told from
            the best; with the winner's position among the candidates (from 0, of equal scores the first) and its
            corrected change (None when a task has one unit only).

    Raises:
        ValueError: There is no task or no candidate.
    """
    if not tasks or tasks[0].means.shape[1] < 2:
        raise ValueError("a selection needs a task and a candidate")
    units = [_units(task) for task in tasks]
    means = np.mean([sums.sum(axis=0) / weights.sum() for sums, weights in units], axis=0)
    gaps, errors, moved = _pairs(units)
    comparable = moved > FEW_MOVED
    rng = np.random.default_rng(_SEED)
    drawn = _draws(units, rng)
    apart = [_told_apart(place, gaps, errors, comparable, drawn, alpha) for place in range(1, len(means))]
    resolutions = [
        0.0 if task.clusters is None else sources_resolution(effective_sources(task.weights, task.clusters), alpha / 2)
        for task in tasks
    ]
    half = np.maximum(_simultaneous(errors[0], comparable[0], drawn, alpha), np.linalg.norm(resolutions) / len(tasks))
    deltas = means[1:] - means[0]
    bounds = [
        (float(delta - width), float(delta + width)) if known else None
        for delta, width, known in zip(deltas, half, comparable[0, 1:], strict=True)
    ]
    return Selection(
        tuple(map(float, means[1:])),
        tuple(map(float, deltas)),
        tuple(bounds),
        tuple(not inferior for inferior in apart),
        int(np.argmax(means[1:])),
        _assessed(units, rng),
    )


def chance_best_dropped(stderr: float, lead: float, candidates: int, kept: int) -> float:
    """Compute the chance that the best candidate is not among the highest scores of a screen, in the normal model.

    All others are equal and ``lead`` behind (the least favourable case, Bechhofer 1954); the best one is dropped where
    at least ``kept`` of them score higher. The chance is integrated numerically.

    Args:
        stderr: Standard error of a candidate's own score, without what all candidates share.
        lead: True lead of the best one, not below 0, in the unit of ``stderr``.
        candidates: Number of candidates, the best one included.
        kept: Number of candidates that are kept, at least 1.

    Returns:
        The chance, a fraction; 0 where all are kept. Without error it is 0 for a lead, else 1 - kept / candidates.
    """
    if kept >= candidates:
        return 0.0
    if stderr == 0:
        return 0.0 if lead > 0 else 1 - kept / candidates
    score = np.linspace(-8.0, 8.0, 2_001)
    density = np.exp(-(score**2) / 2)
    above = norm_sf(score + lead / stderr)
    beaten = special.betainc(kept, candidates - kept, above)  # at least kept of candidates - 1 are above
    return float(density @ beaten / density.sum())


_Units = tuple[Floats, Floats]
"""Weighted sums of the scores of each independent unit, shape (units, arms), and the units' weights, shape (units,)."""


def _units(task: ManyScores) -> _Units:
    """Return (weighted sums of scores, shape (units, arms); weights, shape (units,)) of a task's independent units: its
    items, or its sources.
    """
    weights = np.ones(len(task.means)) if task.weights is None else task.weights
    sums = task.means * weights[:, None]
    if task.clusters is None:
        return sums, weights
    return np.column_stack([cluster_sums(arm, task.clusters) for arm in sums.T]), cluster_sums(weights, task.clusters)


def _parts(units: _Units, tasks: int) -> Floats:
    """Return what each unit of one task adds to the deviation of the mean over ``tasks`` tasks, shape (units, arms);
    sums of products are its covariance.
    """
    sums, weights = units
    number = len(sums)
    mean = sums.sum(axis=0) / weights.sum()
    scale = np.sqrt(number / max(number - 1, 1)) / weights.sum() / tasks
    return np.asarray((sums - weights[:, None] * mean) * scale, dtype=np.float64)


def _pairs(units: Sequence[_Units]) -> tuple[Floats, Floats, Floats]:
    """Return (differences of the arms' means, row minus column; their standard errors; the numbers of units on which
    arms differ).

    All are of shape (arms, arms); ``units`` holds one entry per task. The error is that of the score test, whose
    variance is taken around no difference: with single answers difference / error is then McNemar's statistic, but for
    a term of order 1 / units. The error is never below that of the paired t test.
    """
    arms = units[0][0].shape[1]
    gaps, variance, moved = np.zeros((arms, arms)), np.zeros((arms, arms)), np.zeros((arms, arms))
    for sums, weights in units:
        parts = _parts((sums, weights), len(units))
        mean = sums.sum(axis=0) / weights.sum() / len(units)
        products, gap = parts.T @ parts, mean[:, None] - mean[None, :]
        own = np.diag(products)
        gaps += gap
        variance += own[:, None] + own[None, :] - 2 * products + gap**2 / len(sums)
        scores = (sums / weights[:, None]).round(DIGITS)
        for arm in range(arms):
            moved[arm] += (scores != scores[:, arm : arm + 1]).sum(axis=0)
    return gaps, np.sqrt(np.maximum(variance, 0.0)), moved


def _draws(units: Sequence[_Units], rng: np.random.Generator) -> Floats:
    """Draw ``DRAWS`` deviations of the arms' means over tasks from their multivariate t distribution, shape (draws,
    arms). ``units``: one entry per task.
    """
    covariance = sum(parts.T @ parts for parts in (_parts(task, len(units)) for task in units))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    df = max(min(len(sums) for sums, _ in units) - 1, 1)
    ratio = np.sqrt(rng.chisquare(df, DRAWS) / df)
    return np.asarray(rng.standard_normal((DRAWS, len(values))) @ root.T / ratio[:, None], dtype=np.float64)


def _told_apart(
    place: int, gaps: Floats, errors: Floats, comparable: NDArray[np.bool_], drawn: Floats, alpha: float
) -> bool:
    """Return whether some candidate is better than the arm ``place`` beyond simultaneous chance ``alpha``; the
    baseline, arm 0, does not count.

    ``gaps`` and ``errors``: mean differences (row minus column) and their errors, shape (arms, arms); ``comparable``:
    pairs that differ on enough units; ``drawn``: simulated deviations, shape (draws, arms).
    """
    others = np.flatnonzero(comparable[place, 1:]) + 1
    if not len(others):
        return False
    largest = ((drawn[:, others] - drawn[:, [place]]) / errors[place, others]).max(axis=1)
    return bool((gaps[others, place] / errors[place, others]).max() > np.quantile(largest, 1 - alpha))


def _simultaneous(errors: Floats, comparable: NDArray[np.bool_], drawn: Floats, alpha: float) -> Floats:
    """Return half the widths of intervals of all changes against the baseline that hold together at 1 - ``alpha``
    (Dunnett), shape (candidates,); all 0 when no candidate is comparable.

    ``errors`` and ``comparable``: of the baseline against each arm, shape (arms,); ``drawn``: simulated deviations,
    shape (draws, arms).
    """
    known = np.flatnonzero(comparable[1:]) + 1
    if not len(known):
        return np.zeros(len(errors) - 1)
    largest = np.abs((drawn[:, known] - drawn[:, :1]) / errors[known]).max(axis=1)
    return np.asarray(np.quantile(largest, 1 - alpha) * errors[1:], dtype=np.float64)


def _assessed(units: Sequence[_Units], rng: np.random.Generator) -> float | None:
    """Return the cross-validated change of the winner against the baseline; None when a task has fewer than two units.

    ``units``: one entry per task. Every task is split into the same number of parts by units. For each part, the
    candidate with the highest score on all other parts is compared with the baseline on that part. The result is the
    mean over parts and random splits.
    """
    folds = min(FOLDS, *(len(sums) for sums, _ in units))
    if folds < 2:
        return None
    totals = [(sums.sum(axis=0), weights.sum()) for sums, weights in units]
    changes = []
    for _ in range(SPLITS):
        parts = [_split(task, folds, rng) for task in units]
        trained = np.mean(
            [
                (total - sums) / (weight - weights)[:, None]
                for (sums, weights), (total, weight) in zip(parts, totals, strict=True)
            ],
            axis=0,
        )
        chosen, rows = 1 + trained[:, 1:].argmax(axis=1), np.arange(folds)
        scored = [
            (sums[rows, chosen] - sums[:, 0]).sum() / weight
            for (sums, _), (_, weight) in zip(parts, totals, strict=True)
        ]
        changes.append(float(np.mean(scored)))
    return float(np.mean(changes))


def _split(units: _Units, folds: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Split the units of a task at random into ``folds`` parts, whose sizes differ by at most one; returns their sums
    of scores, shape (folds, arms), and of weights, shape (folds,).
    """
    sums, weights = units
    order = rng.permutation(len(sums))
    starts = np.arange(folds) * len(sums) // folds
    return np.add.reduceat(sums[order], starts, axis=0), np.add.reduceat(weights[order], starts)
