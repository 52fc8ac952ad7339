"""Nightly charts: tuning with the baseline's own error, delays, confirmation."""

import numpy as np
import pytest

from evalsuite.stats import cusum as drift
from evalsuite.stats.delta import paired_delta
from evalsuite.stats.design import Design
from figures.drift import Course, nights

DESIGN = Design(300, 300, 0.878, 0.4, 0.0, 8, 1)


def test_the_limit_is_a_known_one_without_baseline_error() -> None:
    """Mean run length 200 at reference 0.5: 3.502 (Hawkins and Olwell 1998 tabulate 3.50)."""
    assert drift.limit(0.0) == pytest.approx(3.502, abs=0.01)
    assert drift.limit(1 / 9) > drift.limit(0.02) > drift.limit(0.0)


def test_run_length_by_simulation() -> None:
    """The tuned chart on standard normal nights that share a baseline's error: one false alarm in 200 nights."""
    rng = np.random.default_rng(4)
    share, charts, length = 1 / 9, 1_500, 400
    height = drift.limit(share)
    z = np.sqrt(share) * rng.standard_normal((charts, 1)) + np.sqrt(1 - share) * rng.standard_normal((charts, length))
    value, alarms = np.zeros(charts), np.zeros(charts)
    for night in range(length):
        value = np.maximum(0, value + z[:, night] - drift.REFERENCE)
        over = value > height
        alarms += over
        value[over] = 0
    rate = alarms * drift.NIGHTS / length
    assert rate.mean() == pytest.approx(1.0, abs=4 * rate.std() / np.sqrt(charts) + 0.02)


def test_a_chart_by_hand() -> None:
    chart = drift.Cusum(2.0)
    chart = drift.update(chart, -0.02, 0.01)
    assert (chart.value, chart.alarm, chart.nights) == (1.5, False, 1)
    chart = drift.update(chart, -0.02, 0.01)
    assert (chart.value, chart.alarm) == (3.0, True)
    chart = drift.update(chart, 0.01, 0.01)
    assert (chart.value, chart.alarm, chart.nights) == (0.0, False, 3)
    with pytest.raises(ValueError, match="above 0"):
        drift.update(chart, 0.0, 0.0)


def test_a_short_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        drift.tuned(Design(300, 300, 0.878, 0.4, 0.0, 7, 1))


def test_larger_losses_are_seen_sooner() -> None:
    found = drift.delays(DESIGN)
    assert [round(one.points) for one in found] == [0, 1, 2, 3]
    assert found[0].within_week < 0.03
    assert found[1].within_week < found[2].within_week < found[3].within_week
    medians = [one.median for one in found[1:]]
    assert medians == sorted(medians, key=lambda night: -(night or 0))


def test_an_alarm_is_confirmed_by_fresh_answers_only() -> None:
    rng = np.random.default_rng(5)
    chance = rng.beta(2, 0.3, 600)
    base = rng.binomial(8, chance) / 8
    worse, same = rng.binomial(8, 0.95 * chance) / 8, rng.binomial(8, chance) / 8
    assert drift.confirmed(paired_delta(base, worse, single=False, alpha=drift.CONFIRM_ALPHA))
    assert not drift.confirmed(paired_delta(base, same, single=False, alpha=drift.CONFIRM_ALPHA))
    assert drift.confirmed(paired_delta(base[:1], same[:1], single=False)) is None


def test_night_effects_widen_the_limit() -> None:
    assert drift.limit(1 / 9, night=0.5) < drift.limit(1 / 9, night=1.0)
    z = np.random.default_rng(3).standard_normal((2, 40)) * [[0.6], [2.0]]
    assert drift.night_effect(z[0], 1 / 9) == drift.ASSUMED_NIGHT
    assert 1.0 < drift.night_effect(z[1], 1 / 9) < 3.0
    assert drift.night_effect(z[1][:19], 1 / 9) == drift.ASSUMED_NIGHT
    wide, narrow = drift.tuned(DESIGN, night=1.0), drift.tuned(DESIGN)
    assert drift.update(wide, -0.02, 0.01).value < drift.update(narrow, -0.02, 0.01).value


def test_the_error_of_the_night_and_of_the_offset_enter_the_confirmation() -> None:
    rng = np.random.default_rng(5)
    chance = rng.beta(2, 0.3, 600)
    base, worse = rng.binomial(8, chance) / 8, rng.binomial(8, 0.95 * chance) / 8
    change = paired_delta(base, worse, single=False, alpha=drift.CONFIRM_ALPHA)
    assert drift.confirmed(change)
    assert not drift.confirmed(change, error=0.05)
    assert not drift.confirmed(change, offset=change.delta)


def test_nights_of_real_answers() -> None:
    """120 charts of 100 nights; the full size is in the figures."""
    same = nights(300, Course(), 120, 100)
    assert same.false_alarms <= 1 + 3 * same.error
    assert same.confirmed <= same.false_alarms
    assert nights(300, Course(0.03), 30, 40).median <= 8
