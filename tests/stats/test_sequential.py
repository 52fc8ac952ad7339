"""Stopping early: the state machine by hand, its boundary, and its errors in small Monte Carlo runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.stats.sequential import (
    BETS,
    BOUNDARY,
    LOOKS,
    BettingState,
    Rule,
    closed,
    implied,
    start,
    update,
)
from figures.arrivals import event_driven
from figures.sequential import MARGIN, measure, tokens_saved
from tests.support.e_values import log_e, update_counts

RULE = Rule(1_000, 0.02)


def test_the_boundary_keeps_five_looks_at_five_percent() -> None:
    steps = np.random.default_rng(1).standard_normal((400_000, LOOKS)).cumsum(axis=1)
    crossed = (steps / np.sqrt(np.arange(1, LOOKS + 1)) >= BOUNDARY * np.sqrt(LOOKS / np.arange(1, LOOKS + 1))).any(
        axis=1
    )
    assert 0.045 <= crossed.mean() <= 0.05


def test_identical_answers_pass_and_great_losses_fail() -> None:
    values = np.zeros(1_000)
    values[::50] = -1
    values[25::50] = 1  # 4 % flips, as many gained as lost
    state = update(RULE, start(RULE), values)
    assert (state.decided, state.n) == ("pass", 600)
    assert state.reason.startswith("look 3 of 5")
    bad = np.zeros(1_000)
    bad[::5] = -1
    state = start(RULE)
    for block in np.split(bad, 40):
        state = update(RULE, state, block)
    assert (state.decided, state.n) == ("fail", 75)
    assert state.delta == pytest.approx(-0.2)
    assert start(RULE).delta is None


def test_the_order_within_a_block_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    by_item = by_count = start(RULE)
    for _ in range(20):
        block = rng.choice([-1.0, 0.0, 1.0], 50, p=[0.05, 0.9, 0.05])
        by_item = update(RULE, by_item, block)
        lost, gained = int((block < 0).sum()), int((block > 0).sum())
        by_count = update_counts(RULE, by_count, lost=lost, gained=gained, n=50)
        assert numbers(by_item) == pytest.approx(numbers(by_count))
        assert by_item.decided == by_count.decided


def numbers(state: BettingState) -> list[float]:
    return [float(state.n), state.total, state.squares, state.highest, *state.wealth]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(600, 900))
def test_wealth_is_the_closed_form(lost: int, gained: int, n: int) -> None:
    rule = Rule(100_000, 0.02, alpha=1e-200)
    state = update_counts(rule, start(rule), lost=lost, gained=gained, n=n)
    expected = log_e(BETS, rule.margin, lost=lost, gained=gained, n=n, inferior=True)
    assert state.highest == pytest.approx(expected)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 500"):
        Rule(198, 0.02)
    with pytest.raises(ValueError, match="planned"):
        update(RULE, start(RULE), np.zeros(1_001))
    with pytest.raises(ValueError, match="-1, 1"):
        update(RULE, start(RULE), np.full(10, 1.5))


def test_a_block_across_looks_is_looked_at_in_between() -> None:
    values = np.concatenate([np.zeros(400), np.full(600, -1.0)])
    assert update(RULE, start(RULE), values).decided == "pass"  # at 400, before the rest


def test_only_closed_blocks_count() -> None:
    assert closed([True] * 7 + [False] + [True] * 9, 4) == 4
    assert closed([False] * 3, 2) == 0
    assert closed([True] * 7, 4) == 7


def test_what_is_implied_needs_no_waiting() -> None:
    values = np.zeros(400)
    values[:6] = np.nan
    assert implied(RULE, start(RULE), values) is None  # six losses would matter
    rule = Rule(10_000, 0.02)
    values = np.zeros(4_000)
    values[:2] = np.nan
    assert implied(rule, start(rule), values) == "pass"
    lost = np.full(400, -1.0)
    lost[:20] = np.nan
    assert implied(RULE, start(RULE), lost) == "fail"
    assert implied(RULE, start(RULE), np.full(100, np.nan)) is None


def test_fractional_differences_keep_the_error() -> None:
    """Means over four repeats, true delta exactly -m: the e-process fails at most 5 %; 300 runs."""
    rng = np.random.default_rng(3)
    rule = Rule(800, 0.02)
    fails = 0
    for _ in range(300):
        chance = rng.beta(2, 0.6, 800)
        base, cand = rng.binomial(4, chance) / 4, rng.binomial(4, chance * (1 - 0.02 * 2.6 / 2)) / 4
        state = start(rule)
        for block in np.split(cand - base, 20):
            state = update(rule, state, block)
        fails += state.decided == "fail"
    assert fails / 300 <= 0.05


def test_errors_and_savings() -> None:
    """2,000 runs each; Monte Carlo error 0.5 points."""
    for flips, saved in ((0.04, 0.5), (0.08, 0.38)):
        same = measure(flips, 0.0, 2_000)
        assert same.saved >= saved
        assert same.fixed_passes - same.passes < 0.02
        edge = measure(flips, -MARGIN, 2_000)
        assert edge.passes <= 0.05 + 3 * 0.005
        assert edge.fails <= 0.05
    assert measure(0.08, -0.03, 500).fails > 0.99


def test_tokens_saved_are_fewer_than_items() -> None:
    found = tokens_saved(0.04, 2)
    assert found.items_saved > found.implied >= found.waited > 0


def test_long_answers_that_finish_last_do_not_bias_the_decision() -> None:
    """Lost answers are the long ones; the full size, 2,000 runs, is in the figures."""
    found = event_driven(12)
    assert found.passes <= 0.25  # 3 of 12 by chance: 0.2 %
    assert found.fails <= 0.25
