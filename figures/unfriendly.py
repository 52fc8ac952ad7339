"""Verdicts where the world is unfriendly: losses of exactly the margin that fall on few items, all on one side.

Every comparison goes through the real ``paired_delta``. ``unfriendly_lines`` is the figure; the tests call ``measure``
small. The true loss is that of the whole kind of question: which items or sources break is drawn anew each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from evalsuite.stats.delta import paired_delta
from evalsuite.stats.intervals import Codes, Floats
from figures.line import Line
from figures.simulate import ALPHA, STEPS

EQUAL = np.repeat(np.arange(30), 4)
UNEQUAL = np.repeat(np.arange(30), [1] * 8 + [2] * 8 + [3] * 5 + [5] * 4 + [8] * 3 + [12] * 2)
"""Sources of AA-LCR's size: 30 with four questions each, and 30 with one to twelve."""
PHI = 0.4
WEIGHTS = STEPS.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Case:
    """A task, and how it loses its margin."""

    what: str
    items: int
    score: float
    margin: float
    repeats: tuple[int, int]
    broken: Callable[[Floats, "Case", np.random.Generator], Floats]
    """Chances of the candidate's answers from those of the baseline's."""
    clusters: Codes | None = None
    weights: Floats | None = None
    few_each: bool = False
    """Whether every item has a number of its own of the candidate's answers, from 1 to its repeats."""
    missing: float = 0.0
    """Share of the items without an answer of the candidate; they are left out of both arms."""


def sources_break(chance: Floats, case: Case, rng: np.random.Generator) -> Floats:
    """Whole sources, as many as the margin takes."""
    assert case.clusters is not None
    gone = rng.random(int(case.clusters.max()) + 1) < case.margin / case.score
    return np.where(gone[case.clusters], 0.0, chance)


def items_break(chance: Floats, case: Case, rng: np.random.Generator) -> Floats:
    """Whole items (SciCode: problems with all their steps)."""
    return np.where(rng.random(len(chance)) < case.margin / case.score, 0.0, chance)


def hard_are_cut(chance: Floats, case: Case, rng: np.random.Generator) -> Floats:
    """The hardest items are truncated for good, up to the chance below which the loss is the margin."""
    grid = np.sort(_chances(case.score, 400_000, np.random.default_rng(3)))
    below = np.cumsum(grid) / len(grid)
    return np.where(chance < grid[np.searchsorted(below, case.margin)], 0.0, chance)


def all_toss(chance: Floats, case: Case, rng: np.random.Generator) -> Floats:
    """Every item's chance falls in proportion."""
    return chance * (1 - case.margin / case.score)


CASES = (
    Case("AA-LCR, 30 equal sources, whole sources break, margin 3", 120, 0.688, 0.03, (16, 16), sources_break, EQUAL),
    Case("AA-LCR, 30 equal sources, whole sources break, margin 10", 120, 0.688, 0.1, (16, 16), sources_break, EQUAL),
    Case("AA-LCR, unequal sources, whole ones break, margin 3", 107, 0.688, 0.03, (16, 16), sources_break, UNEQUAL),
    Case("AA-LCR, unequal sources, whole ones break, margin 15", 107, 0.688, 0.15, (16, 16), sources_break, UNEQUAL),
    Case("saturated sources (99 %), whole ones break, margin 10", 120, 0.99, 0.1, (4, 4), sources_break, EQUAL),
    Case("SciCode, whole problems break, margin 3", 80, 0.467, 0.03, (24, 24), items_break, weights=WEIGHTS),
    Case("GPQA, whole items break, margin 2", 198, 0.872, 0.02, (24, 24), items_break),
    Case("GPQA, the hardest items are truncated, margin 2", 198, 0.872, 0.02, (24, 24), hard_are_cut),
    Case("IFBench, the hardest items are truncated, margin 3", 300, 0.761, 0.03, (10, 10), hard_are_cut),
    Case("saturated (99 %), 198 items x 8, whole items break, margin 2", 198, 0.99, 0.02, (8, 8), items_break),
    Case("saturated (99 %), 1,319 items x 1, whole items break, margin 1", 1319, 0.99, 0.01, (1, 1), items_break),
    Case("Tau2, saturated (97 %), 114 x 20, whole items break, margin 3", 114, 0.97, 0.03, (20, 20), items_break),
    Case("unequal repeats, 300 items, 16 and 4, margin 3", 300, 0.761, 0.03, (16, 4), all_toss),
    Case("unequal repeats, 300 items, 16 and 4, whole items break, margin 3", 300, 0.761, 0.03, (16, 4), items_break),
    Case("1 to 8 answers an item, 300 items, margin 3", 300, 0.761, 0.03, (8, 8), all_toss, few_each=True),
    Case("a tenth of the items missing, 300 items x 8, margin 3", 300, 0.761, 0.03, (8, 8), items_break, missing=0.1),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of simulated comparisons, and their number."""

    passes: float
    covers: float
    count: int

    def error(self, share: float = 0.05) -> float:
        """Monte Carlo standard error of a share."""
        return sqrt(share * (1 - share) / self.count)


def measure(case: Case, count: int, seed: int = 20261126) -> Coverage:
    """``count`` comparisons of one case whose true loss is its margin, at the gate's alpha."""
    rng = np.random.default_rng([seed, case.items, round(case.margin * 1000), round(case.score * 1000)])
    passes = covers = 0
    for _ in range(count):
        chance = _chances(case.score, case.items, rng)
        worse = case.broken(chance, case, rng)
        repeats = rng.integers(1, case.repeats[1] + 1, case.items) if case.few_each else case.repeats[1]
        base = rng.binomial(case.repeats[0], chance) / case.repeats[0]
        cand = rng.binomial(repeats, worse) / repeats
        kept = rng.random(case.items) >= case.missing
        parts = [None if array is None else array[kept] for array in (case.clusters, case.weights)]
        change = paired_delta(
            base[kept], cand[kept], single=case.repeats == (1, 1), clusters=parts[0], weights=parts[1], alpha=ALPHA
        )
        assert change.ci95 is not None
        assert change.one_sided is not None
        passes += change.one_sided[0] > -case.margin > -1 and case.margin > change.resolution
        covers += change.ci95[0] <= -case.margin <= change.ci95[1]
    return Coverage(passes / count, covers / count, count)


def _chances(score: float, items: int, rng: np.random.Generator) -> Floats:
    total = PHI / (1 - PHI)
    return rng.beta(score * total, (1 - score) * total, items)


ASKED = "passes at most 5 %, the 95 % interval covers at least 93 %"


def unfriendly_lines(count: int = 2_000) -> list[Line]:
    """The page's rows."""
    lines = []
    for case in CASES:
        found = measure(case, count)
        lines.append(
            Line(
                f"true loss = margin: {case.what} ({count:,} comparisons)",
                "stated" if case.weights is not None else ASKED,
                f"passes {100 * found.passes:.1f} %, covers {100 * found.covers:.1f} % "
                f"(Monte Carlo error {100 * found.error():.1f})",
            )
        )
    return lines
