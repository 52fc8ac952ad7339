"""Simulated comparisons on few items against the verdict's own function, row by row, and against the plan."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evalsuite.stats.delta import paired_delta
from evalsuite.stats.design import Design
from evalsuite.stats.few_items import DRAWS, bca_bounds, comparisons
from evalsuite.stats.paired import tango_interval
from evalsuite.stats.power import PlannedBenchmark, chance_to_pass, chances, release_chances, repeats_needed

ALPHA = 0.045
AIME = Design(30, 30, 0.9, 0.5, 0.05, 64, 64, None, True)


def test_bounds_are_those_of_the_bootstrap() -> None:
    rng = np.random.default_rng(2)
    for n, repeats, shape in ((30, 64, (0.9, 0.1)), (12, 8, (0.6, 0.6)), (45, 4, (2.0, 1.0))):
        chance = rng.beta(*shape, (14, n))
        base, cand = (rng.binomial(repeats, p) / repeats for p in (chance, np.minimum(chance + 0.02, 1)))
        real = [paired_delta(*pair, single=False, alpha=ALPHA) for pair in zip(base, cand, strict=True)]
        kept = [place for place, delta in enumerate(real) if delta.method.startswith("BCa")]
        assert len(kept) >= 8
        errors = np.array([real[place].stderr for place in kept], dtype=np.float64)
        bounds = np.array([real[place].one_sided for place in kept], dtype=np.float64).T
        low, high = bca_bounds((cand - base)[kept], ALPHA)
        low, high = (
            np.where(bounds[0] == 0, np.minimum(low, 0), low),
            np.where(bounds[1] == 0, np.maximum(high, 0), high),
        )
        for expanded, stated in ((low, bounds[0]), (high, bounds[1])):  # an end is 0 where the sign-flip test moved it
            gap = (expanded - stated) / errors
            assert abs(gap.mean()) < 0.06
            assert np.abs(gap).max() < 0.35


@pytest.mark.parametrize("repeats", [(64, 64), (8, 16), (1, 1)])
def test_draws_have_the_designs_errors_and_loss(repeats: tuple[int, int]) -> None:
    for tau, delta in ((0.0, 0.0), (0.05, 0.0), (0.05, -0.02), (0.05, 0.02)):
        design = replace(AIME, tau=tau, repeats_base=repeats[0], repeats_cand=repeats[1])
        drawn = comparisons(design, delta, ALPHA)
        assert drawn.delta.mean() == pytest.approx(delta, abs=4 * design.stderr / DRAWS**0.5)
        if delta == 0:  # a loss of unequal size over items adds to it
            assert drawn.delta.std() == pytest.approx(design.stderr, rel=0.05)
        assert (drawn.lower <= drawn.delta).all()
        assert (drawn.upper >= drawn.delta).all()


def test_single_answers_are_judged_by_tango() -> None:
    design = Design(20, 20, 0.5, 0.4, 0.0, 1, 1, None, True)
    drawn = comparisons(design, 0.0, ALPHA)
    least = np.unique(drawn.lower[drawn.delta == 0])
    assert least == pytest.approx(sorted(tango_interval(m, m, 20, 0.91)[0] for m in range(len(least))), abs=1e-9)  # type: ignore[index]
    discordant = 2 * 0.4 * 0.25  # lost or gained: binomial, so that the chance of no change is known
    same = (drawn.delta == 0) & (drawn.lower == drawn.lower[drawn.delta == 0].max())
    assert same.mean() == pytest.approx(stats.binom(20, discordant).pmf(0), abs=0.01)


def test_chances_agree_with_each_other() -> None:
    found = chances(AIME, 0.04, -0.01, alpha=ALPHA, family=9)
    assert found.passes == chance_to_pass(AIME, 0.04, -0.01, alpha=ALPHA)
    assert found.passes < chance_to_pass(replace(AIME, few_items=False), 0.04, -0.01, alpha=ALPHA)
    assert chance_to_pass(AIME, 0.04, -0.04, alpha=ALPHA) < 0.12
    large = PlannedBenchmark("gpqa", Design(198, 198, 0.872, 0.4, 0.05, 16, 16), 0.03)
    drawn = release_chances(
        [PlannedBenchmark("aime", AIME, 0.04), large], suite_margin=0.02, deltas=[-0.01, 0.0], alpha=ALPHA
    )
    assert drawn.each[0].passes == pytest.approx(found.passes, abs=0.01)
    assert drawn.each[1].passes == pytest.approx(chance_to_pass(large.design, 0.03, alpha=ALPHA), abs=0.01)
    needed = repeats_needed(AIME, 0.04, alpha=ALPHA)
    assert needed is not None
    chance = [
        chance_to_pass(replace(AIME, repeats_base=k, repeats_cand=k), 0.04, alpha=ALPHA) for k in (needed - 1, needed)
    ]
    assert chance[0] < 0.8 <= chance[1]
    assert repeats_needed(AIME, 0.025, alpha=ALPHA) is None
    assert chance_to_pass(replace(AIME, phi=0.0, tau=0.0), 0.04, alpha=ALPHA) == 1.0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_any_design_has_chances(score: float) -> None:
    for items, phi, tau, repeats in ((2, 0.0, 0.05, (1, 1)), (2, 1.0, 0.5, (64, 1)), (3, 0.4, 0.0, (1, 3))):
        found = chances(Design(items, items, score, phi, tau, *repeats, None, True), 0.04, -0.02, alpha=ALPHA, family=3)
        assert found.passes + found.fails + found.undecided == pytest.approx(1)
        assert min(found.passes, found.fails, found.undecided) > -1e-9
