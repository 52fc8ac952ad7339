"""The report of many samples stays quick and small (full size: ``make figures``)."""

from pathlib import Path

import pytest

from figures.report import report_cost


@pytest.mark.slow
def test_report_cost(tmp_path: Path) -> None:
    cost = report_cost(tmp_path, items=1_200, models=2, repeats=2)
    assert (cost.samples, cost.exit_code) == (4_800, 0)
    assert cost.peak_mb < 600
