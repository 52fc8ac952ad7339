"""Measured and published, and published numbers held against arithmetic."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite.analysis.suite import SuiteComparison, compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit
from evalsuite.report import console
from evalsuite.report.published.check import CardCheck, check
from evalsuite.report.published.match import cards_for, matches
from evalsuite.report.published.tables import published_tables
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.published import Card, card_named, published_cards
from tests.support.cells import SAMPLING, Made, answers, repeated, write
from tests.support.made_runs import demo_run, real_run

CARD = """
title: A card
source: https://example.org/card
model: Maker/Model
date: "2026-06-29"
settings: {temperature: 1.0, top_p: 0.95, repeats: not stated}
columns:
  - {key: fp8, title: FP8, checkpoint: maker/fp8, role: baseline}
  - {key: quant, title: Quantized, checkpoint: null, role: candidate}
rows:
  - {task: mmlu_pro, title: MMLU-Pro, scores: {fp8: 0.95, quant: 0.5}, n: not stated, note: Another harness.}
groups:
  - task: mmlu_pro
    group: subject
    column: fp8
    values: {computer_science: {correct: 9, n: 10}, law: {correct: 1, n: 4}}
errata: [The card says 448 questions.]
"""


def overview(folder: Path, *cells: Made) -> SuiteComparison:
    return compare_all(load_run(write(folder / "r", *cells)))


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """The folder of a user's own cards, below what ``--config-dir`` names."""
    folder = tmp_path / "own" / "card"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(CARD)
    (folder / "other.yaml").write_text(CARD.replace("maker/", "someone/"))
    return folder


def checked(folder: Path, made: Made, *, published: float = 0.9, row: Any = None, **settings: Any) -> CardCheck:
    """One made cell held against a card that publishes ``published`` with these settings."""
    content = {
        "title": "A card",
        "settings": settings,
        "columns": [{"key": "fp8", "title": "FP8", "checkpoint": "maker/fp8", "role": "baseline"}],
        "rows": [{"task": "mmlu_pro", "title": "MMLU-Pro", "scores": {"fp8": published}, "n": "not stated", "note": ""}
                 | (row or {})],
    }  # fmt: skip
    card = Card("mine", content)
    (match,) = matches(overview(folder, made), card)
    return check(card, match)


NINETY = answers([1.0] * 180 + [0.0] * 20)


def test_a_difference_within_both_errors_is_reproduced(tmp_path: Path) -> None:
    found = checked(tmp_path, Made("fp8", NINETY), published=0.93, temperature=0.6, max_tokens=64000)
    assert (found.result, found.differences) == ("reproduced", ())
    assert found.difference == pytest.approx(-0.03)
    low, high = found.difference_ci95 or (0.0, 0.0)
    # sqrt(.9 x .1 / 199 + .93 x .07 / 200) is .0279; 1.96 of it and half a published digit
    assert (high - low) / 2 == pytest.approx(1.96 * 0.0279 + 0.0005, abs=2e-4)


def test_a_difference_beyond_both_errors_is_not_reproduced(tmp_path: Path) -> None:
    assert checked(tmp_path, Made("fp8", NINETY), published=0.97).result == "not reproduced"


def test_stated_repeats_make_the_published_score_sharper(tmp_path: Path) -> None:
    made = Made("fp8", repeated([[1.0] * 4] * 180 + [[0.0] * 4] * 20))
    once = checked(tmp_path / "a", made, published=0.945)
    often = checked(tmp_path / "b", made, published=0.945, repeats=16)
    assert (once.difference_ci95 or (0, 0))[1] > (often.difference_ci95 or (0, 0))[1]
    assert (once.result, often.result) == ("reproduced", "not reproduced")


@pytest.mark.parametrize(
    ("settings", "row", "more", "said"),
    [
        ({"temperature": 1.0}, {}, {}, "temperature 0.6 (card 1.0)"),
        ({"max_tokens": 32000}, {}, {}, "max_tokens 64000 (card 32000)"),
        ({"max_tokens": 64000, "max_tokens_mmlu_pro": 128000}, {}, {}, "max_tokens 64000 (card 128000)"),
        ({"thinking": False}, {}, {}, "thinking on (card off)"),
        ({}, {"n": 12032}, {}, "200 items (card 12,032)"),
        ({}, {}, {"total_items": 12032}, "200 of 12,032 items (card: all)"),
    ],
)
def test_what_was_asked_otherwise_is_not_comparable(
    settings: dict[str, Any], row: dict[str, Any], more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = checked(tmp_path, Made("fp8", NINETY, **more), row=row, **settings)
    assert found.result == "not comparable"
    assert found.differences == (said,)


def test_what_a_card_does_not_state_is_listed_and_no_difference(tmp_path: Path) -> None:
    found = checked(tmp_path, Made("fp8", NINETY), temperature="not stated", prompts="not stated", top_p=0.95)
    assert found.result == "reproduced"
    assert found.unknown == ("temperature", "prompts")


def test_an_incomplete_cell_has_no_result(tmp_path: Path) -> None:
    found = checked(tmp_path, Made("fp8", answers([1.0, None])))
    assert (found.result, found.measured, found.difference) == ("incomplete", None, None)


def test_measured_beside_published(tmp_path: Path, cards: Path) -> None:
    subjects = {str(item): "computer science" if item < 10 else "law" for item in range(20)}
    found = overview(tmp_path, Made("fp8", answers([1] * 18 + [0] * 2), subjects=subjects, title="FP8"))
    matching = cards_for(found, None, str(cards.parent))
    assert [card.name for card in matching] == ["mine"]
    beside, strata, *_ = published_tables(found, matching)
    ((*shown, difference, result),) = beside.rows
    assert shown == ["MMLU-Pro", "FP8", "95.0", "90.0 [69.9, 97.2]"]
    assert difference.startswith("-5.00 [")
    assert result == "not comparable"
    notes = " ".join(beside.notes)
    assert "does not state: repeats" in notes
    assert "Measured with temperature 0.6 (card 1.0): FP8, MMLU-Pro." in notes
    assert "Another harness." in notes
    assert "448" in notes
    assert strata.rows == (
        ("computer_science", "9/10", "90.0 [59.6, 98.2]", "100.0 [72.2, 100.0]"),
        ("law", "1/4", "25.0 [4.6, 69.9]", "80.0 [49.0, 94.3]"),
    )
    assert "10/14" in strata.notes[0]


def test_two_groups_of_a_column_have_their_own_counts_on_the_page(tmp_path: Path, cards: Path) -> None:
    card = cards / "by.yaml"
    level = "  - {task: mmlu_pro, group: level, column: fp8, values: {hard: {correct: 3, n: 7}}}\nerrata:"
    card.write_text(CARD.replace("A card", "Scores by a lab").replace("errata:", level))
    run = write(tmp_path / "r", Made("fp8", answers([1] * 18 + [0] * 2), title="FP8"))
    assert report(Report(run=[str(run)], card=str(card))) is Exit.DONE
    page = (run / "report" / "report.html").read_text()
    for text in (
        "Measured and published: Scores by a lab", "MMLU-Pro by subject: Scores by a lab", "by level: Scores by", "3/7"
    ):  # fmt: skip
        assert text in page
    subject, levels = json.loads((run / "report" / "comparison.json").read_text())["cards"][0]["groups"]
    assert [part["value"] for part in subject["values"]] == ["computer_science", "law"]
    assert [(part["value"], part["correct"], part["n"]) for part in levels["values"]] == [("hard", 3, 7)]


def test_recorded_answers_match_by_name(tmp_path: Path, cards: Path) -> None:
    found = overview(tmp_path, Made("quant", answers([1, 0, 1, 1]), imported=True))
    beside, *_ = published_tables(found, cards_for(found, "mine", str(cards.parent)))
    assert beside.rows[0][2] == "50.0"
    (one,) = matches(found, cards_for(found, "mine", str(cards.parent))[0])
    assert "sampling of the recorded answers" in check(cards_for(found, "mine", str(cards.parent))[0], one).unknown


def test_another_checkpoint_of_that_name_does_not_match(tmp_path: Path, cards: Path) -> None:
    found = overview(tmp_path, Made("fp8", answers([1, 0]), identity={"checkpoint": "somebody/fp8"}))
    assert cards_for(found, None, str(cards.parent)) == ()
    with pytest.raises(BadInput, match="card mine publishes no score of these cells; its columns are maker/fp8, quant"):
        cards_for(found, "mine", str(cards.parent))
    with pytest.raises(BadInput, match="unknown card 'mime'; did you mean 'mine'"):
        cards_for(found, "mime", str(cards.parent))


def test_demo_models_match_no_card(tmp_path: Path, cards: Path) -> None:
    made = Made("fp8", answers([1, 0]), identity={"checkpoint": "maker/fp8"}, demo=True)
    assert cards_for(overview(tmp_path, made), None, str(cards.parent)) == ()
    assert cards_for(compare_all(load_run(demo_run(tmp_path))), None) == ()


def test_a_damaged_card_is_named(tmp_path: Path, cards: Path) -> None:
    found = overview(tmp_path, Made("fp8", answers([1, 0])))
    (cards / "mine.yaml").write_text("title: just a title\n")
    with pytest.raises(BadInput, match=r"mine\.yaml is not a card"):
        cards_for(found, "mine", str(cards.parent))
    (cards / "mine.yaml").write_text("{")
    with pytest.raises(BadInput, match=r"mine\.yaml, line \d: not valid YAML"):
        cards_for(found, "mine", str(cards.parent))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("n: not stated", "n: 0", "n of mmlu_pro"),
        ("repeats: not stated", "repeats: 0", "repeats"),
        ("values: {computer_science: {correct: 9, n: 10}, law: {correct: 1, n: 4}}", "values: {}", "subject are empty"),
    ],
)
def test_a_card_without_items_is_refused(cards: Path, old: str, new: str, named: str) -> None:
    (cards / "mine.yaml").write_text(CARD.replace(old, new))
    with pytest.raises(BadInput, match=named):
        card_named(str(cards / "mine.yaml"))


def test_shipped_cards_stand_beside_our_numbers(tmp_path: Path) -> None:
    run = real_run(tmp_path)
    found = compare_all(load_run(run))
    shown = published_tables(found, cards_for(found, None))
    nvidia = next(table for table in shown if table.title.startswith("Measured") and "NVFP4 V2" in table.title)
    assert {row[:3] for row in nvidia.rows} == {
        ("GPQA Diamond", "FP8", "87.2"),
        ("GPQA Diamond", "NVFP4_V2", "87.7"),
        ("IFBench", "FP8", "76.1"),
        ("IFBench", "NVFP4_V2", "76.5"),
    }
    name = "nvidia_qwen3_5_397b_nvfp4_v2"
    report(Report(run=[str(run)], card=name))
    assert "Measured and published" in (run / "report" / "report.md").read_text()
    assert "<h2>Published differences: " in (run / "report" / "report.html").read_text()
    (card,) = json.loads((run / "report" / "comparison.json").read_text())["cards"]
    assert card["name"] == name
    rows = {(benchmark_title(row["task"]), row["model"]): row for row in card["rows"]}
    for row in nvidia.rows:
        one = rows[row[0], row[1]]
        assert row[5] == one["result"]
        assert float(row[2]) == pytest.approx(100 * one["published"])


def test_published_subjects_get_wilson_intervals(tmp_path: Path) -> None:
    checkpoint = "lukealonso/Qwen3.5-397B-A17B-NVFP4"
    made = Made("nvfp4_community", answers([1, 0]), subjects={"0": "law", "1": "math"})
    found = overview(tmp_path, Made(made.model, made.answers, subjects=made.subjects, identity={
        "checkpoint": checkpoint, "sampling": SAMPLING}))  # fmt: skip
    strata = published_tables(found, cards_for(found, "lukealonso_qwen3_5_397b_nvfp4"))[1]
    rows = {row[0]: row[1:3] for row in strata.rows}
    assert len(rows) == 14
    assert rows["law"] == ("812/1,101", "73.8 [71.1, 76.3]")
    assert isinstance(strata, console.Table)


def test_a_card_alone_is_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = report(Report(card="lukealonso_qwen3_5_397b_nvfp4", out=str(tmp_path / "out")))
    assert code is Exit.DONE
    said = capsys.readouterr().out
    assert "10,594/12,032" in said
    assert "is no measured gain" in said
    assert "External baseline, unpaired" in said
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["schema"] == 1
    assert content["cards"][0]["rows"] == []
    assert "## Are these numbers possible" in (tmp_path / "out" / "report.md").read_text()
    with pytest.raises(BadInput, match="unknown card 'lukealonso'"):
        report(Report(card="lukealonso"))


def test_a_card_of_ones_own(cards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Report(card=str(cards / "mine.yaml"))) is Exit.DONE
    assert "A card" in capsys.readouterr().out


def test_a_card_below_config_dir_replaces_the_shipped_one_of_its_name(cards: Path) -> None:
    shipped = card_named("lukealonso_qwen3_5_397b_nvfp4")
    (cards / f"{shipped.name}.yaml").write_text(CARD)
    assert card_named(shipped.name, str(cards.parent)).title == "A card"
    assert {"mine", "other", shipped.name} < set(published_cards(str(cards.parent)))
    assert published_cards(None)[shipped.name] == shipped
