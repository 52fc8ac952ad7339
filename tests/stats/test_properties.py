"""What must hold whatever the data: swapping arms, permuting items, copying repeats."""

from math import sqrt
from random import Random

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from evalsuite.stats.delta import Delta, paired_delta
from evalsuite.stats.intervals import Floats, bca_interval, mean_of, score, sign_flip
from evalsuite.stats.multiplicity import adjust
from evalsuite.stats.paired import binary_flips, graded_flips, tango_interval

Rows = list[list[int]]


def arms(min_items: int = 2, max_items: int = 70, repeats: int = 3) -> st.SearchStrategy[tuple[Rows, Rows]]:
    row = st.lists(st.integers(0, 1), min_size=repeats, max_size=repeats)
    return st.integers(min_items, max_items).flatmap(
        lambda n: st.tuples(st.lists(row, min_size=n, max_size=n), st.lists(row, min_size=n, max_size=n))
    )


def means(rows: Rows) -> Floats:
    return np.array([np.mean(row) for row in rows])


def mirrored(delta: Delta) -> tuple[object, ...]:
    ends = [None if ci is None else (-ci[1], -ci[0]) for ci in (delta.ci95, delta.ci90)]
    return (-delta.delta, delta.stderr, *ends, delta.p_value, delta.method)


def parts(delta: Delta) -> tuple[object, ...]:
    return (delta.delta, delta.stderr, delta.ci95, delta.ci90, delta.p_value, delta.method)


def assert_close(got: tuple[object, ...], expected: tuple[object, ...]) -> None:
    for one, other in zip(got, expected, strict=True):
        assert one == (other if other is None or isinstance(other, str) else pytest.approx(other, abs=1e-9))


CANCELLING = ([[0, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]], [[1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
"""Differences whose clusters sum to the same: their error is zero, in whatever order they are added."""
MIRRORED = ([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [[0, 0, 1], [0, 1, 1], [0, 0, 0]])
"""Differences that are their own mirror image: their interval must be one, too."""


@settings(max_examples=60, deadline=None)
@example(data=MIRRORED, kind="plain")
@example(data=MIRRORED, kind="weights")
@example(data=([[0, 0, 0], [0, 0, 1]], [[0, 1, 1], [1, 1, 1]]), kind="plain")  # equal but for rounding
@given(arms(), st.sampled_from(["plain", "weights", "clusters"]))
def test_swapping_the_arms_flips_the_sign(data: tuple[Rows, Rows], kind: str) -> None:
    base, cand = map(means, data)
    weights = np.arange(len(base)) % 3 + np.float64(1) if kind == "weights" else None
    clusters = np.arange(len(base)) // 2 if kind == "clusters" else None
    there = paired_delta(base, cand, single=False, weights=weights, clusters=clusters)
    back = paired_delta(cand, base, single=False, weights=weights, clusters=clusters)
    assert_close(parts(back), mirrored(there))


@settings(max_examples=60, deadline=None)
@given(arms(repeats=1))
def test_swapping_the_arms_flips_the_sign_of_single_answers(data: tuple[Rows, Rows]) -> None:
    base, cand = map(means, data)
    there, back = paired_delta(base, cand, single=True), paired_delta(cand, base, single=True)
    assert_close(parts(back), mirrored(there))
    assert there.ci95 is not None
    assert there.ci95[0] <= there.delta <= there.ci95[1]
    assert there.ci95[1] - there.ci95[0] > 0


@settings(max_examples=60, deadline=None)
@example(data=CANCELLING, random=Random(0), kind="clusters")
@given(data=arms(), random=st.randoms(use_true_random=False), kind=st.sampled_from(["plain", "weights", "clusters"]))
def test_permuting_items_changes_nothing(data: tuple[Rows, Rows], random: object, kind: str) -> None:
    base, cand = map(means, data)
    order = np.array(getattr(random, "sample")(range(len(base)), len(base)))  # noqa: B009
    weights = np.arange(len(base)) % 3 + np.float64(1)
    clusters = np.arange(len(base)) // 3
    extra = {"plain": (None, None), "weights": (weights, None), "clusters": (None, clusters)}[kind]
    moved = tuple(None if array is None else array[order] for array in extra)
    first = paired_delta(base, cand, single=False, weights=extra[0], clusters=extra[1])
    second = paired_delta(base[order], cand[order], single=False, weights=moved[0], clusters=moved[1])
    assert_close(parts(second), parts(first))


@settings(max_examples=60, deadline=None)
@given(arms(repeats=2), st.integers(2, 6))
def test_copying_repeats_does_not_shrink_the_error(data: tuple[Rows, Rows], copies: int) -> None:
    base, cand = data
    once = paired_delta(means(base), means(cand), single=False)
    copied = paired_delta(means([row * copies for row in base]), means([row * copies for row in cand]), single=False)
    assert_close(parts(copied), parts(once))


@settings(max_examples=60, deadline=None)
@given(arms(min_items=50, repeats=1), st.integers(2, 6))
def test_copying_single_answers_does_not_shrink_the_error(data: tuple[Rows, Rows], copies: int) -> None:
    base, cand = data
    once = paired_delta(means(base), means(cand), single=True)
    copied = paired_delta(means([row * copies for row in base]), means([row * copies for row in cand]), single=False)
    assert copied.delta == pytest.approx(once.delta)
    assert copied.stderr == pytest.approx(once.stderr)


@settings(max_examples=60, deadline=None)
@given(arms(repeats=1))
def test_single_answer_error_is_the_closed_form(data: tuple[Rows, Rows]) -> None:
    base, cand = map(means, data)
    n, flips = len(base), int((base != cand).sum())
    delta = float((cand - base).mean())
    assume(flips > 0 and abs(delta) < 1)
    expected = sqrt((flips / n - delta**2) / (n - 1))
    assert paired_delta(base, cand, single=True).stderr == pytest.approx(expected)
    assert mean_of(cand - base).stderr == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(arms())
def test_graded_flips_agree_with_binary_ones(data: tuple[Rows, Rows]) -> None:
    base, cand = ([np.array(row, dtype=np.float64) for row in rows] for rows in data)
    for one, other in zip(graded_flips(base, cand), binary_flips(means(data[0]), means(data[1])), strict=True):
        assert one == pytest.approx(other)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_never_get_smaller(p_values: list[float]) -> None:
    adjusted = adjust(p_values)
    for p, holm, bh in zip(p_values, adjusted.holm, adjusted.bh, strict=True):
        assert holm is not None
        assert bh is not None
        assert p <= bh + 1e-12
        assert bh <= holm + 1e-12


def test_identical_single_answers_still_have_width() -> None:
    same = np.ones(198)
    got = paired_delta(same, same, single=True)
    assert got.ci95 is not None
    assert got.ci95[1] == pytest.approx(1.959964**2 / (198 + 1.959964**2), rel=1e-6)
    assert got.ci95[0] == pytest.approx(-got.ci95[1])
    assert got.p_value == 1.0
    assert got.stderr == pytest.approx(got.ci95[1] / 1.959964)


def test_tango_at_the_edges() -> None:
    assert tango_interval(0, 0, 0) is None
    low, high = tango_interval(1, 0, 1) or (0.0, 0.0)
    assert low == -1.0
    assert -1.0 < high < 1.0
    low, high = tango_interval(7, 0, 7) or (0.0, 0.0)
    assert (low, high < 0) == (-1.0, True)


def test_methods_by_the_decision_table() -> None:
    rng = np.random.default_rng(5)
    base, cand = rng.integers(0, 5, 200) / 4, rng.integers(0, 5, 200) / 4
    assert paired_delta(base, cand, single=False).method == "paired t on item means"
    assert paired_delta(base[:49], cand[:49], single=False).method == "BCa bootstrap, sign-flip p"
    rare = np.zeros(200)
    rare[:6] = 0.5
    assert paired_delta(np.full(200, 0.5), 0.5 + rare, single=False).method == "BCa bootstrap, sign-flip p"
    rare[1:] = 0.0
    assert paired_delta(np.full(200, 0.5), 0.5 + rare, single=False).method == "1 item changed, Tango interval"
    clusters = np.arange(200) // 4
    assert paired_delta(base, cand, single=True, clusters=clusters).method.startswith("paired t, CR1 clusters")
    assert paired_delta(base, cand, single=False, clusters=np.zeros(200, dtype=np.int64)).stderr is None


@settings(max_examples=80, deadline=None)
@example(data=CANCELLING, kind="clusters")
@given(arms(), st.sampled_from(["plain", "weights", "clusters"]))
def test_interval_and_test_agree(data: tuple[Rows, Rows], kind: str) -> None:
    """An interval excludes 0 exactly where the p value is below its error: badge, interval and p by one test."""
    base, cand = map(means, data)
    weights = np.arange(len(base)) % 3 + np.float64(1) if kind == "weights" else None
    clusters = np.arange(len(base)) // 2 if kind == "clusters" else None
    for single in (False, True):
        got = paired_delta(base, cand, single=single, weights=weights, clusters=clusters)
        if got.ci95 is None or got.ci90 is None or got.p_value is None:
            assert got.stderr is None
            continue
        assert got.ci95[0] <= got.delta <= got.ci95[1]
        for (low, high), error in ((got.ci95, 0.05), (got.ci90, 0.1)):
            assert (low > 0 or high < 0) == (got.p_value < error - 1e-12)


@pytest.mark.parametrize("moved", [0, 1])
@pytest.mark.parametrize("repeats", [2, 16])
def test_one_rule_for_any_repeats_where_nothing_or_one_item_moves(moved: int, repeats: int) -> None:
    """Whole items that always answer alike get the interval of single answers, and a part of one is between both."""
    base, cand = np.ones(114), np.ones(114)
    cand[:moved] = 0.0
    single, repeated = (paired_delta(base, cand, single=single) for single in (True, False))
    assert repeated.ci95 == pytest.approx(single.ci95)
    assert repeated.p_value == single.p_value == 1.0
    cand[:moved] = 1 - 1 / repeats
    part = paired_delta(base, cand, single=False)
    same = paired_delta(base, base, single=False)
    assert part.ci95 is not None
    assert single.ci95 is not None
    assert same.ci95 is not None
    assert single.ci95[0] <= part.ci95[0] <= same.ci95[0]
    assert part.ci95[1] > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 1000), st.sampled_from([0.0, 0.02, 0.3]))
def test_clusters_exclude_no_more_than_their_number(sources: int, size: int, seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    base = rng.random(sources * size)
    cand = base + noise * rng.standard_normal(len(base))
    got = paired_delta(base, cand, single=False, clusters=np.arange(sources).repeat(size), alpha=0.045)
    assert got.ci95 is not None
    assert got.one_sided is not None
    for bounds, level in ((got.ci95, 0.95), (got.one_sided, 0.91)):
        low, high = tango_interval(0, 0, sources, level) or (0.0, 0.0)
        assert bounds[1] - bounds[0] >= min(high - low, 1 + got.delta, 1 - got.delta) - 1e-9
        if bounds[0] < 0 < bounds[1]:
            assert bounds[0] <= low + 1e-9
            assert bounds[1] >= high - 1e-9
    assert got.resolution == pytest.approx(-(tango_interval(0, 0, sources, 0.91) or (0.0, 0.0))[0])


def test_one_item_has_no_error() -> None:
    got = paired_delta(np.array([0.5]), np.array([0.25]), single=False)
    assert (got.delta, got.stderr, got.ci95, got.p_value) == (-0.25, None, None, None)


def test_scores() -> None:
    right = score(np.ones(4), single=False)
    assert right.method == "Wilson"  # every item right in every repeat: four items, not four times the repeats
    assert right.ci95 == pytest.approx((4 / (4 + 1.959964**2), 1.0), rel=1e-6)
    halves = score(np.array([0.5, 1.0, 0.5, 1.0]), single=False)
    assert halves.method == "t on item means"
    assert halves.ci95 == pytest.approx((0.75 - 3.182446 * 0.1443376, 1.0), rel=1e-5)
    weighted = score(np.array([1.0, 0.0, 1.0]), single=True, weights=np.array([1.0, 2.0, 1.0]))
    assert weighted.score == 0.5
    assert score(np.full(3, 0.5), single=False).ci95 is None


def test_small_samples_by_hand() -> None:
    assert sign_flip(np.array([1.0, 1.0, 1.0])) == pytest.approx(2 / 8)
    assert sign_flip(np.array([0.0, 0.0])) == 1.0
    assert sign_flip(np.array([-1.0, -2.0]), "less") == pytest.approx(1 / 4)
    assert bca_interval(np.array([0.25, 0.25])) is None


def test_a_missing_p_value_keeps_the_family_size() -> None:
    adjusted = adjust([0.01, None, 0.5])
    assert adjusted.holm[1] is None
    assert (adjusted.holm[0], adjusted.holm[2]) == pytest.approx((0.03, 1.0))
    assert adjust([]).holm == ()


def test_weights_and_clusters_agree_with_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(11)
    values, weights, clusters = rng.normal(size=40), rng.integers(1, 5, 40).astype(float), rng.integers(0, 9, 40)
    fit = sm.WLS(values, np.ones(40), weights=weights).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    got = mean_of(values, weights, clusters)
    assert got.mean == pytest.approx(fit.params[0])
    assert got.stderr == pytest.approx(fit.bse[0])
    assert got.df == len(np.unique(clusters)) - 1


def test_type_one_error_of_identical_arms() -> None:
    """Two arms of one model, 198 items x 4: p < 0.05 about as often as promised (2,000 runs, error about 0.005)."""
    rng = np.random.default_rng(12)
    chance = rng.beta(2.0, 0.6, 198)
    hits = 0
    for _ in range(2_000):
        base, cand = (rng.binomial(4, chance) / 4 for _ in range(2))
        p_value = paired_delta(base, cand, single=False).p_value
        hits += p_value is not None and p_value < 0.05
    assert 0.035 <= hits / 2_000 <= 0.065
