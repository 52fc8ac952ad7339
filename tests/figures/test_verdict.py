"""The figures about verdicts, small."""

from pathlib import Path

from figures import gate_process, verdict
from figures.report import report_cost
from tests.support.shared import shared_data


def test_near_twin(tmp_path: Path) -> None:
    found = verdict.near_twin(shared_data(), tmp_path, size=600)
    assert found.judged.agree
    assert found.same_subjects


def test_demo_verdicts_equal_the_second_way(tmp_path: Path) -> None:
    for name, found in verdict.demo_verdicts(tmp_path, limit=60).items():
        assert found.agree, name


def test_the_subject_that_drops_is_named(tmp_path: Path) -> None:
    for subject, found in verdict.one_subject_drops(tmp_path, subjects=2, items=1200).items():
        assert (found.call, found.named) == ("fail", (subject,))


def test_lost_answers_change_no_verdict_silently(tmp_path: Path) -> None:
    found = verdict.answers_lost(tmp_path, items=3000)
    assert {lost.lost for lost in found.values()} == {3}
    assert found["8 points worse"] == verdict.Lost(1, 3, 1)
    assert found["lossless"].bounded == 2


def test_a_stopped_gate_never_lies(tmp_path: Path) -> None:
    assert gate_process.terminated(tmp_path, times=6).false == 0


def test_the_gate_of_many_samples_is_cheap(tmp_path: Path) -> None:
    report_cost(tmp_path, items=1_200, models=2, repeats=5)
    assert gate_process.gate_cost(tmp_path).peak_mb < 700
