"""From a drop to its items: the frame, and the HTML that notebooks show."""

from pathlib import Path

import pytest

from evalsuite.analysis.comparison import Comparison, compare
from evalsuite.analysis.table import RunTable, load_run
from evalsuite.report.moved_items import drops_html, moved_items
from tests.support.cells import Answer, Made, write

SUBJECTS = {str(item): ("law", "maths", "physics")[item % 3] for item in range(30)}


def compared(folder: Path, task: str = "mmlu_pro") -> tuple[RunTable, Comparison]:
    """The candidate loses items 0 and 3 of law and gains 6; of maths it gains 1; physics is unchanged."""
    values = {str(item): 0.0 if item in (1, 6) else 1.0 for item in range(30)}
    changed = {**values, "0": 0.0, "3": 0.0, "6": 1.0, "1": 1.0}
    base = {item: [Answer(value, text=f"<b>old {item}</b>")] for item, value in values.items()}
    cand = {item: [Answer(value, text=f"new {item} \x1b[31m" + "y" * 900)] for item, value in changed.items()}
    fp8 = Made("fp8", base, task, SUBJECTS, title="FP8")
    run = write(folder / "r", fp8, Made("v2", cand, task, SUBJECTS, title="V2", baseline="fp8"))
    table = load_run(run)
    return table, compare(table, task, "fp8", "v2")


def test_the_items_of_a_value_with_the_largest_losses_first(tmp_path: Path) -> None:
    table, row = compared(tmp_path)
    moved = moved_items(table, row, "subject", "law")
    assert moved[["item_id", "change"]].to_records(index=False).tolist() == [("0", -1.0), ("3", -1.0), ("6", 1.0)]
    assert moved_items(table, row, "subject", "physics").empty
    assert row.paired is not None
    by_value = {part.value: part for part in row.paired.groups["subject"]}
    assert moved["change"].sum() / 10 == pytest.approx(by_value["law"].change.delta)


def test_a_drop_opens_to_its_items_and_an_item_to_both_answers(tmp_path: Path) -> None:
    table, row = compared(tmp_path)
    html = drops_html(table, row, "subject")
    assert "<summary>law: -10.00 [" in html
    assert "2 items fell, 1 rose of 10" in html
    assert "maths" not in html
    assert html.count("<li>") == 3
    assert "<summary>0: FP8 ✓, V2 ✗</summary>" in html
    assert "&lt;b&gt;old 0&lt;/b&gt;" in html
    assert "more characters" in html
    assert "\x1b" not in html
    assert "evalsuite show run=r task=mmlu_pro item=0" in html
    assert drops_html(table, row, "subject", items=1).count("<li>") == 1


def test_items_of_a_gated_task_are_counted_only(tmp_path: Path) -> None:
    table, row = compared(tmp_path, "gpqa_diamond")
    html = drops_html(table, row, "subject")
    assert "2 items fell" in html
    assert "not shown: the items of this task are gated" in html
    assert "old 0" not in html
    assert "item=0" not in html
