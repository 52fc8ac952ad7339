"""The verdict rule, case by case and against its vectorised twin."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.stats.decision import (
    SUITE_MEAN,
    Evidence,
    Tier,
    decide,
    decide_arrays,
    decide_release,
    evidence,
    release_arrays,
)
from evalsuite.stats.delta import mean_delta, paired_delta
from evalsuite.stats.multiplicity import adjust, holm_arrays

GOOD = Evidence("good", 0.01, 0.0, -0.004, 0.004, 0.5, (-0.005, 0.005))
BAD = Evidence("bad", 0.01, -0.03, -0.034, -0.026, 1e-9, (-0.035, -0.025))
OPEN = Evidence("open", 0.01, -0.004, -0.014, 0.006, 0.26, (-0.016, 0.008))
CODES = {"pass": 1, "fail": -1, "undecided": 0}


def test_three_verdicts_and_their_reasons() -> None:
    good, bad, between = decide([GOOD, BAD, OPEN])
    assert (good.call, good.rule, good.label) == ("pass", "non-inferior", "pass")
    assert good.reason == "one-sided 95 % lower bound -0.40 pt is above the margin of -1.00 pt"
    assert (bad.call, bad.rule, bad.detectable_loss) == ("fail", "inferior", True)
    assert (between.call, between.rule) == ("undecided", "in between")
    assert decide([GOOD], alpha=0.045)[0].reason.startswith("one-sided 95.5 % lower bound")


def test_a_pass_comes_first_and_tells_a_detectable_loss() -> None:
    small = Evidence("small", 0.01, -0.006, -0.009, -0.003, 1e-6, (-0.0095, -0.0025))
    (found,) = decide([small])
    assert (found.call, found.detectable_loss, found.label) == ("pass", True, "pass, with a detectable loss")


def test_a_significant_loss_fails_only_beyond_half_the_margin() -> None:
    wide = Evidence("wide", 0.01, -0.007, -0.012, -0.002, 0.004, (-0.013, -0.001))
    assert decide([wide])[0].rule == "significant loss"
    near = replace(wide, delta=-0.0045, p_loss=0.001, upper=-0.001)
    assert decide([near])[0].call == "undecided"
    crowd = [replace(GOOD, task=str(place)) for place in range(12)]  # Holm: 13 x 0.004 is above 0.05
    assert decide([wide, *crowd])[0].call == "undecided"
    assert decide([wide, *crowd])[0].p_holm == pytest.approx(13 * 0.004)


def test_nothing_measured_decides_nothing() -> None:
    nothing = evidence("gone", None, 0.01)
    assert decide([nothing])[0].rule == "no evidence"
    no_error = Evidence("flat", 0.01, -0.2, None, None, 0.02)
    assert decide([no_error])[0].call == "fail"  # the loss itself is significant
    assert decide([replace(no_error, p_loss=None)])[0].call == "undecided"
    with pytest.raises(ValueError, match="above 0"):
        decide([replace(GOOD, margin=0.0)])


def test_a_release_needs_every_critical_pass_and_no_fail() -> None:
    mean = replace(GOOD, task=SUITE_MEAN)
    assert decide_release([GOOD, GOOD], mean).call == "pass"
    assert decide_release([GOOD, OPEN], mean).call == "undecided"
    assert decide_release([GOOD, OPEN, BAD], mean).call == "fail"
    assert decide_release([GOOD, replace(OPEN, tier="supporting")], mean).call == "pass"
    assert decide_release([GOOD, replace(BAD, tier="supporting")], mean).call == "fail"
    assert decide_release([GOOD, replace(BAD, tier="advisory")], mean).call == "pass"
    assert decide_release([GOOD], replace(OPEN, task=SUITE_MEAN)).call == "undecided"
    assert decide_release([GOOD]).suite_mean is None
    assert decide_release([replace(GOOD, tier="supporting")]).call == "undecided"


def test_evidence_of_a_comparison_uses_its_bounds() -> None:
    rng = np.random.default_rng(3)
    base, cand = rng.binomial(4, 0.9, 300) / 4, rng.binomial(4, 0.9, 300) / 4
    change = paired_delta(base, cand, single=False)
    found = evidence("t", change, 0.02)
    assert (found.lower, found.upper) == change.ci90
    assert change.p_value is not None
    assert found.p_loss == pytest.approx(change.p_value / 2 if change.delta < 0 else 1 - change.p_value / 2)
    wider = paired_delta(base, cand, single=False, alpha=0.01)
    assert wider.one_sided is not None
    assert found.lower is not None
    assert wider.one_sided[0] < found.lower
    mean = evidence(SUITE_MEAN, mean_delta([change, change]), 0.01)
    assert mean.delta == pytest.approx(change.delta)
    assert mean.upper is not None
    assert mean.upper - change.delta == pytest.approx(1.644854 * change.stderr / 2**0.5)  # type: ignore[operator]


numbers = st.floats(-0.05, 0.05, allow_nan=False)
cases = st.tuples(
    numbers, st.floats(1e-4, 0.03), st.floats(0, 1), st.sampled_from(["critical", "supporting", "advisory"])
)


@settings(max_examples=150, deadline=None)
@given(st.lists(cases, min_size=1, max_size=6))
def test_the_vectorised_rule_is_the_rule(rows: list[tuple[float, float, float, Tier]]) -> None:
    found = [Evidence("x", 0.01, d, d - half, d + half, p, None, tier) for d, half, p, tier in rows]
    deltas = np.array([[row[0] for row in rows]])
    half = np.array([[row[1] for row in rows]])
    p_loss = np.array([[row[2] for row in rows]])
    calls = decide_arrays(deltas, (deltas - half, deltas + half), p_loss, np.full(len(rows), 0.01))
    assert calls[0].tolist() == [CODES[one.call] for one in decide(found)]
    assert release_arrays(calls, [row[3] for row in rows])[0] == CODES[decide_release(found).call]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_adjusted_p_values_are_those_of_statsmodels(p_values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    ours = adjust(p_values)
    for found, method in ((ours.holm, "holm"), (ours.bh, "fdr_bh")):
        assert list(found) == pytest.approx(list(multipletests(p_values, method=method)[1]))


def test_a_missing_number_is_no_evidence_in_arrays() -> None:
    nan = np.array([[np.nan]])
    assert decide_arrays(nan, (nan, nan), nan, np.array([0.01])).tolist() == [[0]]
    assert holm_arrays(np.array([[np.nan, 0.01]])).tolist() == [[1.0, 0.02]]
