"""Many candidates at once: what is kept beside the best, and the winner's corrected change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evalsuite.stats.paired import mcnemar
from evalsuite.stats.selection import ManyScores, chance_best_dropped, select_best
from figures import recipes


def _answers(
    seed: int, arms: int, items: int = 300, *, better: float = 0.0
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    chances = np.full(arms, 0.7)
    chances[-1] += better
    return (np.random.default_rng(seed).random((items, arms)) < chances).astype(np.float64)


@pytest.mark.parametrize("what", ["all twelve equal", "one worse"])
def test_the_best_of_twelve_is_kept_and_its_score_is_not_flattered(what: str) -> None:
    """Small; full size: ``make figures FIGURES=recipes``."""
    found = recipes.measure(recipes.SUITES["300 items, one answer each"], recipes.DIFFERENCES[what], 40)
    assert found.holds_best >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 40)
    assert abs(found.corrected) <= 0.001 + 4 * found.error
    assert found.raw > 0.01  # the uncorrected change of the best of twelve is more than a point too high


def test_two_candidates_are_told_apart_as_a_one_sided_test_does() -> None:
    """With one rival the rule is a one-sided McNemar test (normal approximation) at 5 %."""
    agreed = 0
    for seed in range(40):
        means = _answers(seed, 3, better=0.06)
        found = select_best([ManyScores(means)])
        assert found.among_best[found.winner]
        lost = int((means[:, 1] > means[:, 2]).sum())
        gained = int((means[:, 1] < means[:, 2]).sum())
        z = (gained - lost) / np.sqrt(gained + lost)
        if abs(z - stats.norm.isf(0.05)) > 0.1:
            assert found.among_best[0] == (z < stats.norm.isf(0.05))
            agreed += found.among_best[0] == (mcnemar(lost, gained).p_exact_loss > 0.05 or z < 0)
    assert agreed > 12


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_order_and_copies_of_candidates_do_not_matter(seed: int, arms: int) -> None:
    means = _answers(seed, arms + 1, 40, better=0.3)
    found = select_best([ManyScores(means)])
    turned = select_best([ManyScores(means[:, [0, *range(arms, 0, -1)]])])
    assert turned.scores == found.scores[::-1]
    assert turned.deltas[turned.winner] == found.deltas[found.winner]
    twice = select_best([ManyScores(np.column_stack([means, means[:, 1:]]))])
    assert twice.among_best[:arms] == twice.among_best[arms:]


def test_nothing_is_told_from_few_changes() -> None:
    means = np.ones((200, 4))
    means[:5, 3] = 0.0  # five lost answers: no test of single answers is sure of them
    found = select_best([ManyScores(means)])
    assert found.among_best == (True, True, True)
    assert found.bounds == (None, None, None)
    assert found.corrected == 0.0
    means[:12, 3] = 0.0
    assert select_best([ManyScores(means)]).among_best == (True, True, False)


def test_sources_count_as_units() -> None:
    """Ten sources of twenty equal items are ten answers, not two hundred, and exclude no small change."""
    few = _answers(3, 3, 10, better=0.3)
    spread = ManyScores(np.repeat(few, 20, axis=0), None, np.repeat(np.arange(10), 20))
    alone = select_best([ManyScores(few)])
    together = select_best([spread])
    assert together.among_best == alone.among_best
    assert together.corrected == pytest.approx(alone.corrected)
    for bounds in together.bounds:
        assert bounds is None or bounds[1] - bounds[0] > 0.5


def test_a_selection_needs_something_to_choose_from() -> None:
    with pytest.raises(ValueError, match="a task and a candidate"):
        select_best([])
    assert select_best([ManyScores(np.ones((1, 3)))]).corrected is None


def test_the_chance_that_a_screen_drops_the_best_follows_drawn_scores() -> None:
    rng = np.random.default_rng(2)
    for lead in (0.0, 0.01, 0.03):
        scores = 0.01 * rng.standard_normal((20_000, 12))
        scores[:, 0] += lead
        dropped = float(((scores[:, 1:] > scores[:, :1]).sum(axis=1) >= 3).mean())
        assert chance_best_dropped(0.01, lead, 12, 3) == pytest.approx(dropped, abs=0.012)
    assert chance_best_dropped(0.01, 0.0, 12, 3) == pytest.approx(9 / 12, abs=1e-6)
    assert chance_best_dropped(0.01, 0.01, 3, 3) == 0.0
    assert (chance_best_dropped(0.0, 0.01, 12, 3), chance_best_dropped(0.0, 0.0, 12, 3)) == (0.0, 0.75)
