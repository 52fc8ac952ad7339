"""The probe's figures, small: planted faults alarm, the baseline again does not, and memory stays flat."""

from pathlib import Path

import pytest

from figures.probe import again, confident, planted, read
from figures.probe_load import memory_and_cpu
from figures.unchanged import ROOT, demo


@pytest.mark.slow
def test_planted_faults_alarm_and_the_baseline_again_does_not(tmp_path: Path) -> None:
    run = demo(ROOT, tmp_path, "limit=40").parents[1]
    readings = read(run)
    for line in planted(readings, 5):
        assert line.asked.partition(" ")[0] in ("5", "listed:")
        if line.asked.startswith("5"):
            assert line.measured.startswith("5 of 5"), line
    (line,) = again(readings, 5)
    assert line.measured == "0"
    assert confident(readings).measured.startswith("0 claims")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_answers(tmp_path: Path) -> None:
    few, more = (float(memory_and_cpu(answers, 300)[0].measured.partition(" MB")[0]) for answers in (8, 32))
    assert more < few + 40
