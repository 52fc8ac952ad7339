"""Names in scripts that matplotlib's own font lacks: drawn where a font is installed, else by key or number."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import rc_context
from matplotlib.font_manager import fontManager

from evalsuite.analysis.suite import SuiteComparison, compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.settings import Report
from evalsuite.report.plots import fonts, style
from evalsuite.report.plots.save import forest_figure
from tests.support.cells import Made, write
from tests.support.made_runs import arm

TITLE, SUBJECTS = "通义千问 FP8", ("法律", "数学", "物理")


def run_of(folder: Path) -> Path:
    subject_of = {str(item): SUBJECTS[item % 3] for item in range(150)}
    return write(
        folder / "r",
        Made("a", arm(1), subjects=subject_of, title="Old"),
        Made("b", arm(3, 0.4), subjects=subject_of, title=TITLE, baseline="a"),
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


@pytest.fixture
def font(no_font: None, tmp_path: Path) -> None:
    """A font with the letters of ``TITLE`` is installed as well."""
    letters = sorted({ord(letter) for letter in TITLE})
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", *(f"u{letter:X}" for letter in letters)])
    builder.setupCharacterMap({letter: f"u{letter:X}" for letter in letters})
    builder.setupGlyf({name: TTGlyphPen(None).glyph() for name in builder.font.getGlyphOrder()})
    builder.setupHorizontalMetrics({name: (500, 0) for name in builder.font.getGlyphOrder()})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made Hei", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "made.ttf")
    fontManager.addfont(tmp_path / "made.ttf")


def test_a_title_is_drawn_by_an_installed_font(font: None, tmp_path: Path) -> None:
    assert fonts.families([TITLE]) == ["DejaVu Sans", "Made Hei"]
    assert forest_labels(compare_all(load_run(run_of(tmp_path))))[0] == f"{TITLE}\nMMLU-Pro"


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
