"""All eight benchmarks through one command, with every fault on the way; and where a gated question's words turn up."""

from collections import Counter
from pathlib import Path

import pytest

from evalsuite.errors import Exit
from figures.canary import MODELS, canary
from figures.everything import FATES, TASKS, Everything, everything


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    return everything(tmp_path_factory.mktemp("everything"))


def test_faults_leave_the_run_incomplete_and_the_same_command_finishes_it(found: Everything) -> None:
    assert found.codes == (Exit.INCOMPLETE, Exit.DONE), found.said
    assert found.answered_twice == 0
    assert found.requests[1] < found.requests[0]


@pytest.mark.parametrize("task", TASKS)
def test_every_outcome_is_told_and_only_what_failed_is_asked_again(found: Everything, task: str) -> None:
    if task in found.skipped:
        pytest.skip(found.skipped[task])
    cell = found.cells[task]
    assert set(cell.planned.values()) >= set(FATES)
    assert cell.before == cell.planned
    healed = {item for item, outcome in cell.planned.items() if outcome in ("failed", "ungraded")}
    assert cell.after == {**cell.planned, **dict.fromkeys(healed, "correct")}
    assert cell.asked_after == {item for item in healed if cell.planned[item] == "failed"}
    assert cell.rows_kept
    for outcomes, summary in zip((cell.before, cell.after), cell.summaries, strict=True):
        counts = {name: count for name, count in summary["outcomes"].items() if count}
        assert counts == Counter(outcomes.values())
        assert (summary["planned"], summary["samples"]) == (len(outcomes), len(outcomes))
    assert [summary["complete"] for summary in cell.summaries] == [False, True]
    assert cell.summaries[0]["score"] is None
    assert 0 < cell.summaries[1]["score"] < 1


def test_a_fault_of_the_judge_is_healed_without_the_model(found: Everything) -> None:
    if "aa_lcr" in found.skipped:
        pytest.skip(found.skipped["aa_lcr"])
    assert found.judged == (2 + 2, 2)  # the broken verdict is asked for twice; an empty answer and a failed one never


@pytest.mark.slow
def test_the_suite_of_quantization_runs_as_the_eight(tmp_path: Path) -> None:
    quant = everything(tmp_path, "quant")
    assert quant.codes == (Exit.INCOMPLETE, Exit.DONE), quant.said
    assert quant.answered_twice == 0
    for task, cell in quant.cells.items():
        assert set(cell.planned.values()) >= set(FATES), task
        assert cell.before == cell.planned, task
        assert cell.rows_kept, task
        assert cell.summaries[1]["complete"], task
    gate = quant.ends.pop("gate")
    assert set(quant.ends.values()) == {Exit.DONE}
    assert gate == 2, "two benchmarks of the gate decide no release"


def test_the_words_of_a_gated_question_stay_out_of_report_and_output(tmp_path: Path) -> None:
    seen = canary(tmp_path)
    incomplete = {"run, failing", "run, echoing"}
    assert seen.codes == {step: Exit.INCOMPLETE if step in incomplete else Exit.DONE for step in seen.codes}, seen.said
    assert seen.sent == len(MODELS) * 2 * (4 + 1 + 1)  # two repeats of four items; one of them is asked three times
    assert {"report.md", "comparison.json"} < set(seen.reports)
    assert any(name.endswith(".png") for name in seen.reports)
    assert (seen.asked.output, seen.asked.report, seen.asked.cells) == ((), (), ()), "the prompt is not stored"
    assert (seen.echoed.output, seen.echoed.report) == ((), ())
    assert (seen.answered.output, seen.answered.report) == ((), ())
    assert seen.answered.cells == ("journal", "samples.parquet")
