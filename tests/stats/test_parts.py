"""Variance parts, flips against the floor, ratios, group heterogeneity and published numbers."""

from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.stats.delta import mean_delta, paired_delta
from evalsuite.stats.design import Design
from evalsuite.stats.grim import grim
from evalsuite.stats.heterogeneity import heterogeneity
from evalsuite.stats.intervals import Codes, Floats, mean_of
from evalsuite.stats.ratios import recovery_ratio, token_ratio
from evalsuite.stats.variance import (
    Repeated,
    design_of,
    exact_questions_interval,
    flips_excess,
    flips_over_aa,
    repeated,
    variance_parts,
)

N, K = 4_000, 4


def arm(chance: Floats, rng: np.random.Generator, repeats: int = K) -> Repeated:
    values = (rng.random((len(chance), repeats)) < chance[:, None]).astype(np.float64)
    return repeated(values.ravel(), np.repeat(np.arange(len(chance)), repeats), len(chance))


def shifted(seed: int = 1, n: int = N) -> tuple[Repeated, Repeated]:
    """Two arms whose items truly moved by 10 points up or down."""
    rng = np.random.default_rng(seed)
    chance = 0.1 + 0.8 * rng.beta(0.5, 0.5, n)
    return arm(chance, rng), arm(chance + rng.choice([-0.1, 0.1], n), rng)


def test_variance_parts_are_found() -> None:
    base, cand = shifted()
    parts = variance_parts(base, cand)
    within = 0.25 - 0.64 * 0.125  # E[p (1 - p)] of 0.1 + 0.8 Beta(1/2, 1/2)
    assert parts.within_base == pytest.approx(within, abs=0.006)
    assert parts.phi_base == pytest.approx(within / 0.25, abs=0.03)
    assert parts.tau2 == pytest.approx(0.01, abs=0.003)
    assert parts.stderr is not None
    assert parts.stderr_exact is not None
    assert parts.stderr_exact < parts.stderr
    assert parts.stderr == pytest.approx(sqrt((0.01 + (2 * within - 0.01) / K) / N), rel=0.04)
    low, high = exact_questions_interval(0.01, parts.stderr_exact)
    assert high - low == pytest.approx(2 * 1.959964 * parts.stderr_exact)


def test_one_repeat_hides_the_parts() -> None:
    rng = np.random.default_rng(2)
    base, cand = arm(np.full(50, 0.5), rng, 1), arm(np.full(50, 0.5), rng, 4)
    parts = variance_parts(base, cand)
    assert (parts.within_base, parts.tau2, parts.stderr_exact) == (None, None, None)
    assert parts.within_cand is not None
    assert flips_excess(base, cand) is None
    assert design_of(parts, base, cand) is None
    assumed = Design(1, 1, 0.5, 0.4, 0.05, 1, 1)
    found = design_of(parts, base, cand, assumed=assumed)
    assert found == Design(50, 50, 0.5, 0.4, 0.05, 1, 4)
    with pytest.raises(ValueError, match="every item"):
        repeated(np.ones(2), np.array([0, 2]), 3)


def test_the_measured_design_has_the_measured_error() -> None:
    base, cand = shifted()
    parts = variance_parts(base, cand)
    design = design_of(parts, base, cand)
    assert design is not None
    assert (design.answers, design.units, design.repeats_cand) == (N, N, K)
    assert design.stderr == pytest.approx(parts.stderr, rel=0.01)
    clusters = np.arange(N) // 4
    weights = np.arange(N) % 3 + 1.0
    assert design_of(parts, base, cand, clusters=clusters).units == pytest.approx(N / 4)  # type: ignore[union-attr]
    weighted = design_of(variance_parts(base, cand, weights=weights), base, cand, weights=weights)
    assert weighted is not None
    assert weighted.answers == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert weighted.stderr == pytest.approx(mean_of(cand.mean - base.mean, weights).stderr, rel=0.03)


def test_excess_flips_are_unbiased() -> None:
    found = [flips_excess(*shifted(seed, 1_000)) for seed in range(12)]
    excess = np.array([one.excess for one in found if one])
    assert excess.mean() == pytest.approx(0.01, abs=4 * excess.std(ddof=1) / sqrt(12))
    assert found[0] is not None
    assert found[0].rms_shift == pytest.approx(sqrt(found[0].excess))
    ends = [one.ci95 for one in found if one and one.ci95]
    assert sum(low <= 0.01 <= high for low, high in ends) >= 9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_excess_in_both_forms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, cand = arm(rng.random(30), rng, 3), arm(rng.random(30), rng, 5)
    found = flips_excess(base, cand)
    assert found is not None
    a, b = base.mean, cand.mean
    assert found.observed == pytest.approx(float((a + b - 2 * a * b).mean()))
    assert found.floor == pytest.approx(float((base.variance + cand.variance).mean()))


def test_flips_over_an_a_a_run() -> None:
    rng = np.random.default_rng(4)
    chance = rng.beta(0.7, 0.3, 6_000)
    draw = [(rng.random(6_000) < p).astype(np.float64) for p in (chance, chance, chance, 1 - chance)]
    same, other = flips_over_aa(*draw[:3]), flips_over_aa(draw[0], draw[1], draw[3])
    assert same.ci95 is not None
    assert same.ci95[0] <= 0 <= same.ci95[1]
    assert same.excess == pytest.approx(same.observed - same.floor)
    assert other.excess == pytest.approx(float(((1 - 2 * chance) ** 2).mean()), abs=0.04)


def test_recovery_with_interval() -> None:
    rng = np.random.default_rng(5)
    chance = rng.beta(3, 1, 400)
    covered = 0
    for _ in range(400):
        base, cand = rng.binomial(4, chance) / 4, rng.binomial(4, 0.96 * chance) / 4
        found = recovery_ratio(base, cand)
        assert found is not None
        assert found.ci95 is not None
        covered += found.ci95[0] <= 0.96 <= found.ci95[1]
    assert 0.91 <= covered / 400 <= 0.985
    by_hand = recovery_ratio(np.array([0.5, 1.0, 1.0]), np.array([0.5, 0.5, 1.0]))
    assert by_hand is not None
    errors = (np.array([0.5, 0.5, 1.0]) - 0.8 * np.array([0.5, 1.0, 1.0])) / (2.5 / 3)
    assert (by_hand.ratio, by_hand.stderr) == pytest.approx((0.8, errors.std(ddof=1) / sqrt(3)))
    assert recovery_ratio(np.zeros(3), np.ones(3)) is None
    assert recovery_ratio(np.ones(1), np.ones(1)).stderr is None  # type: ignore[union-attr]
    clustered = recovery_ratio(np.array([0.5, 1.0, 1.0, 0.5]), np.ones(4), clusters=np.array([0, 0, 1, 1]))
    assert clustered is not None
    assert clustered.stderr == pytest.approx(0.0, abs=1e-12)


def test_token_ratio() -> None:
    rng = np.random.default_rng(6)
    base = rng.lognormal(8, 1, 2_000)
    cand = 1.1 * base * rng.lognormal(0, 0.5, 2_000)
    found = token_ratio(base, cand)
    assert found is not None
    assert found.typical.ratio == pytest.approx(1.1, rel=0.04)
    assert found.typical.ci95 is not None
    assert found.typical.ci95[0] < 1.1 < found.typical.ci95[1]
    assert found.total.ratio == pytest.approx(cand.sum() / base.sum())
    assert found.p_longer is not None
    assert found.p_longer < 1e-6
    back = token_ratio(cand, base)
    assert back is not None
    assert back.typical.ratio == pytest.approx(1 / found.typical.ratio)
    gaps = token_ratio(np.array([10.0, 20.0, np.nan, 0.0]), np.array([20.0, 40.0, 5.0, 5.0]))
    assert gaps is not None
    assert (gaps.typical.n, gaps.typical.ratio, gaps.total.ratio) == pytest.approx((2, 2.0, 2.0))
    assert gaps.p_longer is None  # both doubled: nothing varies
    assert token_ratio(np.array([1.0]), np.array([exp(1)])) is None


def test_the_rate_of_truncation_is_tested_in_pairs() -> None:
    """A truncation is 0 or 1 like any score, so the same function tests it; more of them is a gain of the rate."""
    base, cand = np.zeros(300), np.zeros(300)
    base[:3], cand[1:16] = 1, 1
    found = paired_delta(base, cand, single=True)
    assert found.delta == pytest.approx(12 / 300)
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert found.p_loss is not None
    assert found.p_loss > 0.99


def test_heterogeneity_without_errors() -> None:
    assert heterogeneity([0.1, 0.2], [0.01, None]) is None
    found = heterogeneity([0.1, -0.1, 0.5], [0.01, 0.01, None])
    assert found is not None
    assert (found.df, found.shrunk[2]) == (1, 0.5)
    assert found.p_value < 1e-10
    alike = heterogeneity([0.01, 0.0101], [0.01, 0.01])
    assert alike is not None
    assert alike.tau2 == 0.0
    assert alike.shrunk[0] == pytest.approx(alike.pooled)


def test_grim_on_published_numbers() -> None:
    assert grim("0.877", 198, 4) == ()  # 198 x 4 answers cannot give it
    assert len(grim("0.877", 198, 5)) == 1
    assert grim(0.5, 3, decimals=1) == ()
    assert grim("1.0", 7) == (7,)
    assert grim("0.738", 1101) == (812, 813)


def test_an_unchanged_arm_still_has_width() -> None:
    values = np.array([0.25, 0.5, 0.75, 1.0] * 20)
    same = paired_delta(values, values, single=False)
    assert same.method == "no item changed, Tango interval"
    assert same.ci95 is not None
    assert same.ci95[1] == pytest.approx(1.959964**2 / (80 + 1.959964**2), rel=1e-5)
    clusters: Codes = np.arange(80) // 8
    wider = paired_delta(values, values, single=False, clusters=clusters, weights=np.arange(80) % 2 + 1.0)
    assert wider.ci95 is not None
    assert wider.ci95[1] > 3 * same.ci95[1]


def test_mean_of_strata() -> None:
    one = paired_delta(np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0]), single=True)
    two = paired_delta(np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0]), single=True)
    mean = mean_delta([one, two], [3, 1])
    assert one.stderr is not None
    assert two.stderr is not None
    assert mean.delta == pytest.approx((3 * one.delta + two.delta) / 4)
    assert mean.stderr == pytest.approx(sqrt(9 * one.stderr**2 + two.stderr**2) / 4)
    assert mean.p_loss is not None
    assert mean.p_value == pytest.approx(2 * min(mean.p_loss, 1 - mean.p_loss))
