"""Benchmarks are named by the titles of their cards; ids stand in file names, data and commands only."""

import re
from pathlib import Path

import pytest

from evalsuite.cli.report import report
from evalsuite.config.paths import shipped
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import Exit
from evalsuite.tasks.datasets import benchmark_title, card
from tests.support.cells import Made, answers, write
from tests.support.made_runs import real_run

IDS = ("gpqa_diamond", "ifbench")
FILE_NAME = re.compile(r"(plots|texts)/[\w./-]+")
PROTOCOL = re.compile(r"evalsuite (gpqa_diamond|ifbench) \d")
"""The adapter with its version, which ``card.md`` states beside the title."""


def without_file_names(text: str) -> str:
    return PROTOCOL.sub("", FILE_NAME.sub("", text))


@pytest.mark.parametrize("task", sorted(path.parent.name for path in shipped("tasks").glob("*/card.yaml")))
def test_the_title_is_the_cards(task: str) -> None:
    assert benchmark_title(task) == card(task)["title"]


@pytest.mark.parametrize("task", ["mine", "../tasks/gsm8k", "", "a\0b", "x" * 5000])
def test_a_task_without_a_card_keeps_its_name(task: str) -> None:
    assert benchmark_title(task) == task


def test_tables_pages_and_plots_show_titles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = real_run(tmp_path)
    gate = Gate({task: Margin(2.0, "tests", "fixed") for task in IDS})
    assert report(Report(run=[str(run)], gate=gate, svg=True)) == Exit.DONE
    folder = run / "report"
    page = (folder / "report.html").read_text()
    shown = {
        "terminal": capsys.readouterr().out,
        "report.md": (folder / "report.md").read_text(),
        "card.md": (folder / "card.md").read_text(),
        "page": re.sub(r' data-\w+="[^"]*"', "", re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)),
        **{path.name: path.read_text() for path in (folder / "plots").glob("*.svg")},
    }
    for name, text in shown.items():
        assert [task for task in IDS if task in without_file_names(text)] == [], name
    for name in ("terminal", "report.md", "card.md", "page", "deltas.svg"):
        assert all(benchmark_title(task) in shown[name] for task in IDS), name


def test_a_users_own_task_is_named_as_in_commands(tmp_path: Path) -> None:
    run = write(tmp_path / "r", Made("a", answers([1, 0, 1]), "mine"), Made("b", answers([1, 1, 1]), "mine"))
    assert report(Report(run=[str(run)])) == Exit.DONE
    assert "| mine |" in (run / "report" / "report.md").read_text()
