"""Twelve candidates of which eleven are equal: is the best one kept, and what does the winner's score become?

Item means are drawn from the benchmarks of ``simulate`` and go through ``select_best``, which the report uses;
``recipe_lines`` is the figure, the tests call ``measure`` small.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from evalsuite.stats.intervals import Floats
from evalsuite.stats.selection import ManyScores, select_best
from figures.line import Line
from figures.simulate import BENCHES, SETS, STEPS, Bench

CANDIDATES, SEED, TAU = 12, 20261126, 0.05
LARGEST_ERROR = 0.0003
DIFFERENCES = {"all twelve equal": 0.0, "one better": 0.02, "one worse": -0.02}
"""True difference of the first candidate from the eleven others, a fraction."""
_BY_NAME = {bench.task: bench for bench in BENCHES}
SUITES: dict[str, tuple[Bench, ...]] = {
    "300 items, one answer each": (replace(_BY_NAME["ifbench"], repeats=1),),
    "GPQA Diamond, 198 x 16": (replace(_BY_NAME["gpqa_diamond"], repeats=16),),
    "AA-LCR, 30 sets, 100 x 4": (replace(_BY_NAME["aa_lcr"], repeats=4),),
    "GPQA 198 x 4, SciCode 80 x 3, IFBench 300 x 1": (
        replace(_BY_NAME["gpqa_diamond"], repeats=4),
        replace(_BY_NAME["scicode"], repeats=3),
        replace(_BY_NAME["ifbench"], repeats=1),
    ),
}


@dataclass(frozen=True, slots=True)
class Recipes:
    """What ``select_best`` made of the simulations; fractions of 1."""

    holds_best: float
    """Share in which a true best candidate, chosen beforehand, is in the set."""
    size: float
    """Mean size of the set."""
    raw: float
    """Mean excess of the winner's change over its true one, as it stands."""
    corrected: float
    """The same, corrected."""
    error: float
    """Monte Carlo standard error of ``corrected``."""
    covers: float
    """Share in which all simultaneous intervals hold the true changes."""
    count: int
    """Number of simulations."""


def measure(benches: tuple[Bench, ...], difference: float, count: int) -> Recipes:
    """Draw ``count`` comparisons of twelve candidates, the first ``difference`` better than the others.

    Up to three times as many are drawn while the Monte Carlo error is above ``LARGEST_ERROR``.
    """
    rng = np.random.default_rng([SEED, round(1e4 * (1 + difference)), sum(bench.n for bench in benches)])
    true = np.zeros(CANDIDATES)
    true[0] = difference
    best = 1 if difference < 0 else 0
    rows: list[tuple[float, ...]] = []
    while len(rows) % count or not rows or (len(rows) < 3 * count and _error(rows) > LARGEST_ERROR):
        found = select_best([_drawn(bench, true, rng) for bench in benches])
        assert found.corrected is not None
        covered = all(
            bounds is None or bounds[0] <= change <= bounds[1]
            for bounds, change in zip(found.bounds, true, strict=True)
        )
        kept, winner = found.among_best, found.winner
        shared = float(np.mean(found.deltas - true))  # of the baseline's luck, 0 on the mean: taken out of both
        excess = found.deltas[winner] - true[winner] - shared, found.corrected - true[winner] - shared
        rows.append((kept[best], sum(kept), *excess, covered))
    holds, size, raw, corrected, covers = np.mean(rows, axis=0).tolist()
    return Recipes(holds, size, raw, corrected, _error(rows), covers, len(rows))


def _error(rows: list[tuple[float, ...]]) -> float:
    return float(np.std([row[3] for row in rows])) / sqrt(len(rows))


def _drawn(bench: Bench, true: Floats, rng: np.random.Generator) -> ManyScores:
    """Item means of the baseline and the candidates; each candidate's items move by up to ``TAU`` either way."""
    total = bench.phi / (1 - bench.phi)
    groups = SETS if bench.task == "aa_lcr" else np.arange(bench.n)
    chance = rng.beta(bench.score * total, (1 - bench.score) * total, bench.n)
    sign = rng.choice([-1.0, 1.0], (int(groups.max()) + 1, len(true)))[groups]
    moved = chance[:, None] + sign * np.minimum(TAU, np.minimum(chance, 1 - chance))[:, None]
    gain = np.where(true > 0, (1 - moved) / (1 - bench.score), moved / bench.score)
    chances = np.column_stack([chance, moved + true * gain])
    trials = bench.repeats * (STEPS[:, None] if bench.task == "scicode" else 1)
    return ManyScores(rng.binomial(trials, np.clip(chances, 0, 1)) / trials, bench.weights, bench.clusters)


def recipe_lines(count: int = 2_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for suite, benches in SUITES.items():
        for what, difference in DIFFERENCES.items():
            found = measure(benches, difference, count)
            lines.append(
                Line(
                    f"twelve candidates, {what} ({100 * difference:+g} pt), {suite}, {found.count:,} simulations: the "
                    "set holds the best; the winner's corrected loss",
                    "at least 95 %; unbiased within 0.1 point",
                    f"{100 * found.holds_best:.1f} % (mean size {found.size:.1f}); {100 * found.corrected:+.3f} pt "
                    f"(Monte Carlo error {100 * found.error:.3f}; uncorrected {100 * found.raw:+.2f} pt); all "
                    f"simultaneous intervals hold in {100 * found.covers:.1f} %",
                )
            )
    return lines
