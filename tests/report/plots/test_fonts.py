"""Names in scripts that matplotlib's own font lacks: drawn where a font is installed, else by key or number."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib import rc_context
from matplotlib.font_manager import fontManager

from evalsuite.analysis.suite import SuiteComparison, compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.report.plots import fonts, style
from evalsuite.report.plots.save import forest_figure
from tests.support.cells import Made, write
from tests.support.made_runs import arm

TITLE, SUBJECTS = "通义千问 FP8", ("法律", "数学", "物理")


def run_of(folder: Path, title: str = TITLE) -> Path:
    subject_of = {str(item): SUBJECTS[item % 3] for item in range(150)}
    return write(
        folder / "r",
        Made("a", arm(1), subjects=subject_of, title="Old"),
        Made("b", arm(3, 0.4), subjects=subject_of, title=title, baseline="a"),
        Made("c", arm(4), subjects=subject_of, title="New", baseline="a"),
    )


def forest_labels(suite: SuiteComparison) -> list[str]:
    with rc_context(style.settings([cell.title for cell in suite.table.cells])):
        (ax,) = forest_figure(suite.comparisons).axes
        return [tick.get_text() for tick in ax.get_yticklabels()]


@pytest.fixture
def no_font() -> Iterator[None]:
    """Only the font of all plots is installed."""
    before = list(fontManager.ttflist)
    fontManager.ttflist[:] = [entry for entry in before if entry.name == fonts.FAMILY]
    yield
    fontManager.ttflist[:] = before


def test_a_title_is_drawn_by_an_installed_font(tmp_path: Path) -> None:
    title = "\u210a FP8"  # the script g stands in STIX, which matplotlib brings, and not in the font of all plots
    assert fonts.families(["Old", title])[0] == fonts.FAMILY
    assert len(fonts.families(["Old", title])) == 2
    assert forest_labels(compare_all(load_run(run_of(tmp_path, title))))[0] == f"{title}\nMMLU-Pro"


def test_without_a_font_keys_and_numbers_stand_for_names(no_font: None, tmp_path: Path) -> None:
    run = run_of(tmp_path)
    assert forest_labels(compare_all(load_run(run)))[0] == "b\nMMLU-Pro"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report(Report(run=[str(run)]))
    assert "subject 1: 物理" in (run / "report" / "report.md").read_text(encoding="utf-8")
    assert (run / "report" / "plots" / "mmlu_pro-subject-heat.png").exists()


def test_what_has_neither_key_nor_number_gets_a_sign(no_font: None) -> None:
    assert style.label_text("a 物") == "a \ufffd"


def test_a_dollar_stands_as_it_is_where_no_formula_is_parsed() -> None:
    with rc_context(style.settings([])):
        assert style.label_text("$5 and $6") == "$5 and $6"
    with rc_context({"text.parse_math": True}):
        assert style.label_text("$5 and $6") == r"\$5 and \$6"
