"""Each distribution against ``scipy.stats``, over the range that benchmarks reach and beyond."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from evalsuite.stats import distributions as ours
from evalsuite.stats.delta import paired_delta
from evalsuite.stats.intervals import wilson
from evalsuite.stats.multiplicity import adjust
from evalsuite.stats.paired import mcnemar

QUANTILES = st.floats(-35, 35)
CHANCES = st.floats(1e-12, 1 - 1e-12)
FREEDOM = st.one_of(st.integers(1, 20_000).map(float), st.floats(1, 300), st.just(math.inf))
COUNTS = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-300)


@given(QUANTILES, CHANCES)
def test_normal(x: float, chance: float) -> None:
    assert ours.norm_cdf(x) == close(stats.norm.cdf(x))
    assert ours.norm_sf(x) == close(stats.norm.sf(x))
    assert ours.norm_ppf(chance) == close(stats.norm.ppf(chance))
    assert ours.norm_isf(chance) == close(stats.norm.isf(chance))


@given(QUANTILES, CHANCES, FREEDOM)
def test_student(x: float, chance: float, df: float) -> None:
    assert ours.t_cdf(x, df) == close(stats.t.cdf(x, df))
    assert ours.t_sf(x, df) == close(stats.t.sf(x, df))
    assert ours.t_ppf(chance, df) == close(stats.t.ppf(chance, df))
    assert ours.t_isf(chance, df) == close(stats.t.isf(chance, df))


@settings(max_examples=1_000, deadline=None)
@given(st.floats(-15, 60), st.integers(1, 1_000), st.floats(-40, 80))
@example(7.0, 3, -7.0)
@example(2.0, 30, 40.0)
@example(5e-149, 1, 1.0)
def test_noncentral_student(x: float, df: int, shift: float) -> None:
    held_against = x if abs(x) > 1e-50 else 0.0  # scipy's series does not converge at 5e-149
    assert ours.nct_sf(x, df, shift) == pytest.approx(stats.nct.sf(held_against, df, shift), abs=1e-9)


@given(st.floats(0, 5_000), st.integers(1, 200))
def test_chi_square(x: float, df: int) -> None:
    assert ours.chi2_sf(x, df) == close(stats.chi2.sf(x, df))


@given(COUNTS)
def test_fair_coin(counts: tuple[int, int]) -> None:
    k, n = counts
    assert ours.binom_half_cdf(k, n) == close(stats.binom.cdf(k, n, 0.5))
    assert ours.binom_half_pmf(k, n) == close(stats.binom.pmf(k, n, 0.5))


@given(COUNTS)
def test_mcnemar_is_the_binomial_test(counts: tuple[int, int]) -> None:
    k, n = counts
    found = mcnemar(n - k, k)
    assert found.p_exact == close(stats.binomtest(k, n, 0.5).pvalue)
    assert found.p_exact_loss == close(stats.binomtest(k, n, 0.5, "less").pvalue)


@given(COUNTS, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson(counts: tuple[int, int], level: float) -> None:
    bounds = stats.binomtest(*counts).proportion_ci(level, "wilson")
    assert wilson(*counts, level) == pytest.approx((bounds.low, bounds.high), rel=1e-9, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_benjamini_hochberg(p_values: list[float]) -> None:
    assert adjust(p_values).bh == pytest.approx(tuple(stats.false_discovery_control(p_values)), rel=1e-12)


@pytest.mark.parametrize("losses", [1, 3, 6, 8, 12, 40])
def test_skewness_chooses_the_method(losses: int) -> None:
    base = np.full(200, 0.75)
    cand = base - np.where(np.arange(200) < losses, 0.5, 0) + np.where(np.arange(200) % 40 == 39, 0.25, 0)
    few = len(base) <= 25 * float(stats.skew(cand - base)) ** 2
    chosen = paired_delta(base, cand, single=False).method
    assert chosen == ("BCa bootstrap, sign-flip p" if few else "paired t on item means")


def test_arrays_and_single_numbers() -> None:
    df = np.array([1.0, 30.0, math.inf])
    assert ours.t_isf(0.05, df) == pytest.approx(stats.t.isf(0.05, df), rel=1e-12)
    assert ours.norm_cdf(np.array([-1.0, 2.0])) == pytest.approx(stats.norm.cdf([-1.0, 2.0]), rel=1e-12)
    numbers = (
        ours.norm_ppf(0.9),
        ours.t_ppf(0.9, 3),
        ours.chi2_sf(1.0, 2),
        ours.binom_half_cdf(1, 3),
        ours.nct_sf(1, 5, 1),
    )
    assert {type(number) for number in numbers} == {float}  # what JSON takes, not a scalar of NumPy
