"""Effects of checkpoint and server: what they are, on arrays."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evalsuite.stats.delta import Delta
from evalsuite.stats.effects import Kind, effect
from figures.two_by_two import CASES, Planted, real_run, simulate

PLACES = [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(("items", "repeats"), [(2, 1), (60, 4), (200, 1)])
def test_the_effects_are_the_means_of_the_items_contrasts(items: int, repeats: int) -> None:
    rng = np.random.default_rng(items)
    means = {place: rng.binomial(repeats, rng.random(items)) / repeats for place in PLACES}
    single = repeats == 1

    def delta(kind: Kind, at: int | None = None) -> Delta:
        return effect(means, kind, at, single=single)

    for at in (0, 1):
        assert delta("checkpoint", at).delta == pytest.approx(float((means[1, at] - means[0, at]).mean()))
        assert delta("server", at).delta == pytest.approx(float((means[at, 1] - means[at, 0]).mean()))
    assert delta("checkpoint").delta == pytest.approx((delta("checkpoint", 0).delta + delta("checkpoint", 1).delta) / 2)
    assert delta("interaction").delta == pytest.approx(delta("server", 1).delta - delta("server", 0).delta)
    for change in (delta("checkpoint"), delta("server"), delta("interaction")):
        assert change.ci95 is None or change.ci95[0] <= change.delta <= change.ci95[1]


def test_the_interaction_is_a_paired_t_of_the_items_differences() -> None:
    rng = np.random.default_rng(5)
    means = {place: rng.binomial(4, 0.7, 500) / 4 for place in PLACES}
    change = effect(means, "interaction")
    items = means[1, 1] - means[0, 1] - means[1, 0] + means[0, 0]
    assert change.p_value == pytest.approx(stats.ttest_1samp(items, 0).pvalue)
    assert change.stderr == pytest.approx(items.std(ddof=1) / np.sqrt(500))
    assert change.ci95 is not None
    assert change.ci95[1] - change.ci95[0] >= 2 * 1.96 * change.stderr


def test_clusters_and_weights_count() -> None:
    rng = np.random.default_rng(6)
    means = {place: rng.binomial(4, 0.7, 120) / 4 for place in PLACES}
    clusters, weights = np.arange(120) % 30, 1.0 + np.arange(120) % 3
    change = effect(means, "interaction", clusters=clusters, weights=weights)
    items = means[1, 1] - means[0, 1] - means[1, 0] + means[0, 0]
    assert change.delta == pytest.approx(float(np.average(items, weights=weights)))
    assert "clusters" in change.method
    nothing = effect(dict.fromkeys(PLACES, means[0, 0]), "interaction", clusters=clusters)
    assert nothing.ci95 is not None
    assert nothing.ci95[1] == pytest.approx(2 * 1.96**2 / (30 + 1.96**2), rel=1e-3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_planted_effects_are_found_and_put_down_to_nothing_else(case: Planted) -> None:
    rng = np.random.default_rng(7)
    right = (rng.random(1_500) < 0.9).astype(float)
    found = simulate(case, {(0, 0): right, (1, 0): np.where(rng.random(1_500) < 0.06, 0.0, right)}, 100, 1_500)
    assert min(found.covered.values()) >= 89  # of 100: the 1 % point of 95 %
    assert found.misplaced == 0


@pytest.mark.slow
def test_a_run_with_varies_separates_what_a_server_spoils(tmp_path: Path) -> None:
    effects, values = real_run(tmp_path, 150)
    assert effects["settings"] == ["speculative off", "speculative NEXTN"]
    assert (effects["missing"], effects["reason"], effects["items"]) == (None, "", 150)
    measured = {(row["effect"], row["at"]): row for row in effects["effects"]}
    assert measured["server", "demo_bf16_off"]["delta"] == pytest.approx((values[0, 1] - values[0, 0]).mean())
    assert measured["checkpoint", "speculative off"]["delta"] == pytest.approx((values[1, 0] - values[0, 0]).mean())
    assert all(row["besides"] == [] for row in measured.values())
    assert measured["server", None]["ci95"][1] < 0
