"""What a budget decides: closed forms against each other and against drawn answers."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from evalsuite.stats.design import Design
from evalsuite.stats.power import (
    PlannedBenchmark,
    chance_to_pass,
    chances,
    detectable,
    release_chances,
    repeats_needed,
    threshold_rule,
    would_decide,
)

GPQA = Design(198, 198, 0.872, 0.4, 0.05, 8, 8)


def test_standard_errors_of_both_questions() -> None:
    v = 0.4 * 0.872 * 0.128
    assert GPQA.stderr == pytest.approx(sqrt((0.05**2 + 2 * v / 8) / 198))
    assert GPQA.stderr_exact == pytest.approx(sqrt(2 * v / 8 / 198))
    assert GPQA.floor == pytest.approx(0.05 / sqrt(198))


def test_detectable_is_where_power_is_reached() -> None:
    found = detectable(GPQA.stderr)
    estimates = stats.norm(found, GPQA.stderr)  # significant beyond 1.96 standard errors on either side
    significant = estimates.sf(1.959964 * GPQA.stderr) + estimates.cdf(-1.959964 * GPQA.stderr)
    assert significant == pytest.approx(0.8, abs=1e-4)
    assert detectable(GPQA.stderr, sides=1) < found


def test_chances_follow_drawn_estimates() -> None:
    """200,000 drawn estimates and errors through the rule's own inequalities; Monte Carlo error 0.001."""
    rng = np.random.default_rng(1)
    margin, draws = 0.02, 200_000
    for delta in (0.0, -0.01, -0.02, -0.04):
        df = GPQA.units - 1
        estimate = delta + GPQA.stderr * rng.standard_normal(draws)
        error = GPQA.stderr * np.sqrt(rng.chisquare(df, draws) / df)
        t = stats.t.isf(0.05, df)
        passes = estimate - t * error > -margin
        lost = (estimate / error < -stats.t.isf(0.05 / 8, df)) & (estimate < -margin / 2)
        fails = ~passes & ((estimate + t * error < -margin) | lost)
        found = chances(GPQA, margin, delta, family=8)
        assert found.passes == pytest.approx(passes.mean(), abs=0.004)
        assert found.fails == pytest.approx(fails.mean(), abs=0.01)
        assert found.passes + found.fails + found.undecided == pytest.approx(1)
    assert chance_to_pass(GPQA, margin, -margin) == pytest.approx(0.05, abs=1e-6)


def test_repeats_needed_are_the_fewest() -> None:
    for design, margin in (
        (GPQA, 0.02),
        (replace(GPQA, tau=0.0), 0.01),
        (Design(12032, 12032, 0.878, 0.4, 0, 1, 1), 0.01),
    ):
        needed = repeats_needed(design, margin)
        assert needed is not None
        enough = replace(design, repeats_base=needed, repeats_cand=needed)
        assert chance_to_pass(enough, margin) >= 0.8 - 0.003
        if needed > 1:
            fewer = replace(design, repeats_base=needed - 1, repeats_cand=needed - 1)
            assert chance_to_pass(fewer, margin) < 0.8


def test_a_long_baseline_saves_candidate_repeats() -> None:
    both, alone = repeats_needed(GPQA, 0.02), repeats_needed(GPQA, 0.02, base=64)
    assert both is not None
    assert alone is not None
    assert alone < both
    assert repeats_needed(GPQA, 0.02, base=1) is None  # the baseline's own error is too large at any number


def test_some_margins_are_out_of_reach() -> None:
    wide = Design(100, 30, 0.688, 0.4, 0.05, 16, 16)
    assert repeats_needed(wide, 0.01) is None
    assert repeats_needed(wide, 0.03, delta=-0.03) is None
    assert would_decide(wide, 0.01, 0.0).items is not None


def test_what_would_decide() -> None:
    near = would_decide(GPQA, 0.02, -0.005)
    assert (near.verdict, near.repeats, near.items) == ("pass", 19, 376)
    assert chance_to_pass(replace(GPQA, repeats_base=19, repeats_cand=19), 0.02, -0.005) == pytest.approx(0.8, abs=0.01)
    larger = replace(GPQA, answers=376, units=376)
    assert chance_to_pass(larger, 0.02, -0.005) == pytest.approx(0.8, abs=0.01)
    assert would_decide(GPQA, 0.02, -0.03).verdict == "fail"
    on_it = would_decide(GPQA, 0.02, -0.02)
    assert (on_it.repeats, on_it.items) == (None, None)
    never = would_decide(GPQA, 0.02, -0.019)
    assert never.repeats is None  # tau alone is larger
    assert never.items is not None


def test_release_chances() -> None:
    benches = [
        PlannedBenchmark("a", replace(GPQA, repeats_base=24, repeats_cand=24), 0.02),
        PlannedBenchmark("b", GPQA, 0.03, "supporting"),
    ]
    found = release_chances(benches, suite_margin=None)
    for one, bench in zip(found.each, benches, strict=True):
        assert one.passes == pytest.approx(chance_to_pass(bench.design, bench.margin), abs=0.01)
    # a supporting benchmark only takes away where it fails
    assert found.release.passes == pytest.approx(found.each[0].passes * (1 - found.each[1].fails), abs=0.005)
    lossy = release_chances(benches, suite_margin=0.02, deltas=[-0.02, 0.0])
    assert lossy.release.passes <= 0.055
    assert len(lossy.each) == 3
    assert release_chances(benches, suite_margin=0.02).release == release_chances(benches, suite_margin=0.02).release
    with pytest.raises(ValueError, match="benchmark"):
        release_chances([], suite_margin=None)


def test_a_bare_threshold_follows_drawn_estimates() -> None:
    errors = np.array([0.004, 0.008, 0.015])
    rule = threshold_rule(errors.tolist())
    drawn = errors * np.random.default_rng(8).standard_normal((40_000, 3))
    assert rule.rejects_identical == pytest.approx((drawn < -0.01).any(axis=1).mean(), abs=0.01)
    accepted = (drawn - 0.02 >= -0.01).mean(axis=0)
    assert rule.accepts_double == pytest.approx((accepted.min(), accepted.max()), abs=0.01)
    with pytest.raises(ValueError, match="needs a benchmark"):
        threshold_rule([])


def test_few_sources_limit_what_can_pass() -> None:
    sets = Design(100, 30, 0.688, 0.4, 0.0, 16, 16, 30)
    assert sets.resolution(0.045) == pytest.approx(0.0874, abs=1e-4)
    assert chance_to_pass(sets, 0.08, alpha=0.045) == 0.0
    assert repeats_needed(sets, 0.08, alpha=0.045) is None
    assert chance_to_pass(sets, 0.12, alpha=0.045) > 0.95
    found = would_decide(sets, 0.05, -0.01, alpha=0.045)
    assert (found.verdict, found.repeats) == ("pass", None)
    assert found.items is not None
    assert found.items > 200
    for margin, delta, tau in ((0.1, 0.0, 0.0), (0.11, -0.01, 0.05), (0.2, -0.03, 0.0), (0.11, 0.0, 0.1)):
        design = replace(sets, tau=tau)
        planned = PlannedBenchmark("aa_lcr", design, margin)
        drawn = release_chances([planned], suite_margin=None, deltas=[delta], alpha=0.045)
        assert drawn.each[0].passes == pytest.approx(chance_to_pass(design, margin, delta, alpha=0.045), abs=0.01)
    still = replace(sets, phi=0.0)
    assert [chance_to_pass(still, 0.1, delta, alpha=0.045) for delta in (0.0, -0.001)] == [1.0, 0.0]


def test_no_noise_at_all() -> None:
    sure = Design(50, 50, 1.0, 0.4, 0.0, 1, 1)
    assert chances(sure, 0.01, -0.02).fails == 1.0
    assert chance_to_pass(sure, 0.01) == 1.0
    assert repeats_needed(sure, 0.01) == 1
