"""Tokens per second of a stream: shown as what it is, and in nothing that says how good a model is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.analysis.scores import score_cell
from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.summary import summarize
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.report.tables import scores_table
from tests.support.cells import Answer, Made, write


def made(results: Path) -> Path:
    """Each request took one second."""
    quick = {"0": [Answer(1.0, tokens=300)], "1": [Answer(0.0, tokens=100)], "2": [Answer(1.0, tokens=None)]}
    slow = {"0": [Answer(1.0, tokens=20)], "1": [Answer(1.0, tokens=30)], "2": [Answer(1.0, tokens=40)]}
    at = {"concurrency": 8}
    return write(results / "r", Made("a", quick, server=at), Made("b", slow, baseline="a", server=at))


def test_the_column_and_its_label(tmp_path: Path) -> None:
    table = scores_table(compare_all(load_run(made(tmp_path))))
    at = [column.title for column in table.columns].index("tokens/s per stream")
    assert not table.columns[at].essential
    assert [row[at] for row in table.rows] == ["200", "30.0"] or [row[at] for row in table.rows] == ["200", "30"]
    (note,) = [note for note in table.notes if "Tokens/s per stream" in note]
    assert "at most 8 requests at a time" in note
    assert "not a speed benchmark" in note


def test_summary_has_it_and_comparison_has_not(tmp_path: Path) -> None:
    run = made(tmp_path)
    assert summarize(run / "a" / "mmlu_pro")["stream_tokens_per_second"] == pytest.approx(200.0)
    report(Report(run=[str(run)]))
    assert "per_second" not in (run / "report" / "comparison.json").read_text()
    assert json.loads((run / "a" / "mmlu_pro" / "summary.json").read_text())["stream_tokens_per_second"] == 200.0


def test_no_times_no_column(tmp_path: Path) -> None:
    table = load_run(made(tmp_path))
    timeless = replace(table, samples=table.samples.assign(seconds=float("nan")))
    assert score_cell(timeless, timeless.cells[0]).stream_rate is None
    assert "tokens/s per stream" not in [column.title for column in scores_table(compare_all(timeless)).columns]
