import json
from pathlib import Path

from evalsuite.analysis.scores import score_cell
from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.summary import summarize
from evalsuite.analysis.table import load_run
from evalsuite.report.tables import scores_table
from tests.support.cells import Answer, Made, write


def run_of(folder: Path, values: list[float | None], again: set[int]) -> Path:
    answers = {str(number): [Answer(value, rerolled=number in again)] for number, value in enumerate(values)}
    return write(folder / "r", Made("fp8", answers))


def test_samples_drawn_anew_are_shown_beside_the_others(tmp_path: Path) -> None:
    run = run_of(tmp_path, [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0], {0, 1, 2, 3})
    cell = run / "fp8" / "mmlu_pro"
    found = summarize(cell)["rerolled"]
    assert found == {"samples": 4, "share": 0.5, "score": 0.5, "others": 0.75}
    assert json.loads((cell / "summary.json").read_text())["rerolled"] == found
    notes = " ".join(scores_table(compare_all(load_run(run))).notes)
    assert "4 of 8 samples (50.0 %) were asked again because their first answer was lost" in notes
    assert "score 50.0 % of them, 75.0 % of the others" in notes


def test_an_incomplete_cell_shows_how_many_and_no_score(tmp_path: Path) -> None:
    run = run_of(tmp_path, [1.0, 0.0, None], {0})
    found = summarize(run / "fp8" / "mmlu_pro")["rerolled"]
    assert found == {"samples": 1, "share": 1 / 3, "score": None, "others": None}
    assert "score" not in " ".join(
        note for note in scores_table(compare_all(load_run(run))).notes if "asked again" in note
    )


def test_nothing_is_said_where_nothing_was_drawn_anew(tmp_path: Path) -> None:
    run = run_of(tmp_path, [1.0, 0.0], set())
    assert summarize(run / "fp8" / "mmlu_pro")["rerolled"] == {"samples": 0, "share": 0.0, "score": None, "others": 0.5}
    assert "asked again" not in " ".join(scores_table(compare_all(load_run(run))).notes)


def test_answers_outside_the_plan_do_not_change_the_calibration_error(tmp_path: Path) -> None:
    answers = {str(number): [Answer(float(number < 400), parts={"confidence": 1.0})] for number in range(800)}
    planned = [str(number) for number in range(400)]
    table = load_run(write(tmp_path / "r", Made("fp8", answers, "hle", planned=planned)))
    assert score_cell(table, table.cells[0]).calibration_error == 0.0
