"""It is stated when a task cannot show a loss, and when kinds of outcome shifted though the score did not."""

from pathlib import Path
from typing import Any

import pytest

from evalsuite.analysis.comparison import Comparison, compare
from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from evalsuite.config.settings import Gate, Margin
from evalsuite.report.tables import group_tables
from tests.support.cells import Answer, Made, answers, write


def compared(folder: Path, old: list[Answer], new: list[Answer], task: str = "mmlu_pro") -> Comparison:
    cells = [
        Made(model, {str(number): [answer] for number, answer in enumerate(side)}, task=task)
        for model, side in (("bf16", old), ("fp8", new))
    ]
    return compare(load_run(write(folder / "run", *cells)), task, "bf16", "fp8")


@pytest.mark.parametrize(
    ("right", "items", "said"),
    [
        (0, 40, "baseline at the floor (0 %)"),
        (5, 40, "not shown to be above guessing, 11.1 %"),
        (20, 40, ""),
        (199, 200, "baseline at the ceiling (99.5 %)"),
        (180, 200, ""),
    ],
)
def test_a_baseline_without_room_for_a_loss_is_stated(tmp_path: Path, right: int, items: int, said: str) -> None:
    values = [Answer(float(number < right)) for number in range(items)]
    (*found,) = compared(tmp_path, values, values).cautions
    assert (said in found[0]) if said else not found


def test_a_task_without_choices_has_no_level_of_guessing(tmp_path: Path) -> None:
    values = [Answer(float(number < 5)) for number in range(40)]
    assert compared(tmp_path, values, values, task="gsm8k").cautions == ()


def test_a_baseline_below_the_margin_cannot_lose_it(tmp_path: Path) -> None:
    values = [Answer(float(number < 3)) for number in range(200)]
    cells = [
        Made(model, {str(number): [answer] for number, answer in enumerate(values)}, task="gsm8k", baseline="bf16")
        for model in ("bf16", "fp8")
    ]
    table = load_run(write(tmp_path / "run", *cells))
    gate = Gate(margins={"gsm8k": Margin(2.0, "me", "why")})
    (row,) = compare_all(table, "bf16", gate=gate).comparisons
    assert row.cautions == ("baseline at the floor (1.5 %): no loss can exceed the margin of 2 pt",)


def kinds(wrong: int, truncated: int, unread: int) -> list[Answer]:
    return [Answer(0.0, "wrong")] * wrong + [Answer(0.0, "truncated")] * truncated + [Answer(0.0, "no_answer")] * unread


def test_a_shift_between_kinds_of_outcome_stands_beside_the_delta(tmp_path: Path) -> None:
    right = [Answer(1.0)] * 60
    row = compared(tmp_path, right + kinds(4, 7, 5), right + kinds(0, 16, 0), task="gsm8k")
    assert row.delta == 0
    (said,) = row.cautions
    assert said == "kinds of outcome shifted though the score did not: truncated 9.2 % → 21.1 % (p 0.016)"
    shifts = row.to_json()["outcome_shifts"]
    assert [(shift["outcome"], round(shift["p_holm"], 4)) for shift in shifts] == [("truncated", 0.0156)]


def test_a_shift_is_no_caution_where_the_score_shows_it(tmp_path: Path) -> None:
    right = [Answer(1.0)] * 40
    row = compared(tmp_path, right + kinds(20, 0, 0), right[:20] + kinds(20, 20, 0), task="gsm8k")
    assert row.cautions == ()


def test_another_share_of_degenerate_answers_is_stated_below_the_threshold_too(tmp_path: Path) -> None:
    plain, loop = Answer(1.0), Answer(1.0, degenerate="loop")
    row = compared(tmp_path, [plain] * 800, [loop] * 12 + [plain] * 788, task="gsm8k")
    assert row.candidate.warnings == ()  # 1.5 % of the cell
    assert any(text.startswith("degenerate answers 0.0 % → 1.5 % (p < 0.001)") for text in row.cautions)


def test_values_under_ten_items_fold_into_one_line(tmp_path: Path) -> None:
    subjects = {str(number): "law" if number < 30 else f"subject {number}" for number in range(40)}
    made = [
        Made("bf16", answers([1.0] * 40), subjects=subjects),
        Made("fp8", answers([1.0] * 35 + [0.0] * 5), subjects=subjects),
    ]
    suite = compare_all(load_run(write(tmp_path / "run", *made)), "bf16")
    (table,) = group_tables(suite)
    assert [row[:3] for row in table.rows] == [("10 values (under 10 items)", "10", "100.0"), ("law", "30", "100.0")]
    assert table.rows[0][3].startswith("-50.00 [")
    (row,) = suite.to_json()["rows"]
    assert len(row["groups"]["subject"]) == 11, "the file keeps all of them"
    assert row["small_groups"]["subject"]["lost"] == 5


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"kv_cache_dtype": "fp8_e4m3"}, "kv_cache_dtype auto → fp8_e4m3"),
        ({"disable_radix_cache": True}, "prefix_cache"),
        ({"tp_size": 4}, "tensor_parallel 8 → 4"),
        ({"max_running_requests": 8}, ""),  # the number of slots moves no score by itself
        ({}, ""),
    ],
)
def test_a_loss_is_put_down_to_the_server_as_well_where_its_settings_differ(
    tmp_path: Path, facts: dict[str, Any], named: str
) -> None:
    known = {
        "dialect": "sglang", "kv_cache_dtype": "auto", "disable_radix_cache": False, "tp_size": 8,
        "max_running_requests": 64,
    }  # fmt: skip
    cells = [
        Made(model, {str(number): [Answer(float(number % 10 > lost))] for number in range(200)}, task="gsm8k",
             server={"facts": {**known, **changed}})
        for model, lost, changed in (("bf16", 1, {}), ("fp8", 3, facts))
    ]  # fmt: skip
    row = compare(load_run(write(tmp_path / "run", *cells)), "gsm8k", "bf16", "fp8")
    found = [caution for caution in row.cautions if caution.startswith("checkpoint or server")]
    assert len(found) == bool(named)
    if named:
        assert named in found[0]
        assert "One control run would decide: serve" in found[0]
