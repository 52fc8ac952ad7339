"""The calibration figure, small: 600 simulated suites at each tau. Full size: ``make figures FIGURES=calibration``."""

from math import sqrt
from pathlib import Path

import pytest

from evalsuite.config.compose import load_report, load_settings
from figures import calibration, identical, promises, unfriendly
from figures.simulate import ALPHA, BENCHES, STEPS

COUNT = 600


@pytest.mark.slow
@pytest.mark.parametrize("tau", calibration.TAUS)
def test_verdicts_are_calibrated(tau: float) -> None:
    found = calibration.release(tau, COUNT)
    ours, room = found.methods["evalsuite"], 3 * sqrt(0.25 / COUNT) * 0.44  # three errors of a share of 5 %
    assert ours.any_fail <= 0.05 + room
    assert ours.identical.passes >= 0.8 - 3 * sqrt(0.16 / COUNT)
    assert found.big_loss > 0.99
    for bench in BENCHES:
        chance, each = found.planned[bench.task], ours.each[bench.task]
        assert abs(each[0.0].passes - chance) <= 0.02 + 3 * sqrt(chance * (1 - chance) / COUNT)
        assert each[-1.0].passes <= 0.05 + room
        assert each[-2.0].fails > 0.8
        assert 0.035 - room <= ours.type_one[bench.task] <= 0.065 + room
        if bench.tier == "critical":
            assert ours.at_margin[bench.task].passes <= 0.05 + room
    assert ours.all_at_margin.passes == 0


@pytest.mark.parametrize("case", unfriendly.CASES[:5] + unfriendly.CASES[-4:], ids=lambda case: case.what)
def test_losses_on_few_items_do_not_pass(case: unfriendly.Case) -> None:
    """Small; the full size, with the cases whose bootstrap takes minutes, is ``make figures FIGURES=unfriendly``."""
    found = unfriendly.measure(case, 300)
    assert found.passes <= 0.05 + 3 * found.error()
    assert found.covers >= 0.93 - 3 * found.error(0.07)


def test_identical_suites_are_rarely_marked() -> None:
    found = identical.marked(25)
    assert max(found.fail, found.star, found.anomalous) <= 0.05 + 3 * sqrt(0.05 * 0.95 / 25)
    assert found.group_values > 20


def test_plan_keeps_its_promises() -> None:
    for promise in promises.promised("card", 0.0, 400):
        chance = promise.planned
        assert abs(chance - promise.simulated) <= 0.03 + 3 * sqrt(chance * (1 - chance) / 400), promise.bench.task


def test_exact_tests_keep_their_level() -> None:
    for name, share in calibration.exact_tests(500).items():
        assert share <= 0.05 + 3 * sqrt(0.05 * 0.95 / 500), name


def test_the_simulated_suite_is_the_shipped_one(tmp_path: Path) -> None:
    run = load_settings(["model=fp8", "suite=release"])
    (tmp_path / "made").mkdir()
    gate = load_report(["run=made", f"results_dir={tmp_path}", "gate=release"]).gate
    assert gate is not None
    assert gate.alpha == ALPHA
    assert gate.suite_points == pytest.approx(100 * calibration.SUITE_MARGIN)
    shipped = {
        name: (task.repeats, gate.margins[name].points, gate.margins[name].tier) for name, task in run.tasks.items()
    }
    assert shipped == {one.task: (one.repeats, pytest.approx(100 * one.margin), one.tier) for one in BENCHES}
    assert int(STEPS.sum()) == 338
