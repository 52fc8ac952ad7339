"""Cells on disk become one typed table."""

from pathlib import Path

import pytest

from evalsuite.analysis.scores import score_cell
from evalsuite.analysis.table import load_run
from evalsuite.errors import BadInput
from evalsuite.store.runs import run_ids
from evalsuite.store.samples import read_rows
from tests.support.cells import Answer, Made, answers, repeated, write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    subjects = {"0": "law", "1": "law", "2": "math", "3": "math"}
    fp8 = Made("fp8", answers([1, 1, 0, 1]), subjects=subjects)
    nvfp4 = Made("nvfp4", repeated([[1, 0], [1, 1], [0, 0], [1, 1]]), subjects=subjects, baseline="fp8")
    return write(tmp_path / "results" / "r1", fp8, nvfp4)


def test_loads_a_run_by_id_and_by_folder(run: Path) -> None:
    by_id = load_run("r1", results_dir=run.parent)
    by_folder = load_run(run)
    assert by_id.samples.equals(by_folder.samples)
    assert by_id.models == ("fp8", "nvfp4")
    assert by_id.tasks == ("mmlu_pro",)
    assert by_id.groups("mmlu_pro") == ("subject",)
    assert len(by_id.samples) == 4 + 8
    assert "text" not in by_id.samples.columns
    assert run_ids(run.parent) == ("r1",)


def test_texts_are_read_for_one_item(run: Path) -> None:
    cell = load_run(run).cell("nvfp4", "mmlu_pro")
    assert [(row["repeat"], row["value"], row["reasoning"]) for row in read_rows(cell.folder, item="0")] == [
        (0, 1.0, "Let me think."),
        (1, 0.0, "Let me think."),
    ]
    assert read_rows(cell.folder, item="99") == []


def test_scores_outcomes_groups_and_tokens(run: Path) -> None:
    table = load_run(run)
    scored = score_cell(table, table.cell("nvfp4", "mmlu_pro"))
    assert scored.complete
    assert scored.scored is not None
    assert scored.scored.score == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert scored.outcomes == {
        "correct": 5, "wrong": 3, "truncated": 0, "no_answer": 0, "refused": 0, "ungraded": 0, "failed": 0,
    }  # fmt: skip
    assert {part.value: (part.n, part.scored.score) for part in scored.groups["subject"]} == {
        "law": (2, 0.75),
        "math": (2, 0.5),
    }
    assert scored.tokens.completion == 100
    assert scored.tokens.reasoning is None


def test_wrong_names_are_named(run: Path) -> None:
    with pytest.raises(BadInput, match=r"unknown run 'r2'.* Known: r1\."):
        load_run("r2", results_dir=run.parent)
    with pytest.raises(BadInput, match=r"runs in .*results: r1"):
        load_run(results_dir=run.parent)
    table = load_run(run)
    with pytest.raises(BadInput, match=r"unknown model 'nvfp5'; did you mean 'nvfp4'"):
        table.cell("nvfp5", "mmlu_pro")
    with pytest.raises(BadInput, match="unknown task 'mmlu'"):
        table.cell("fp8", "mmlu")


def test_a_folder_without_cells_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no cells"):
        load_run("empty", results_dir=tmp_path)


def test_one_cell_in_two_runs_is_refused(run: Path) -> None:
    write(run.parent / "r2", Made("fp8", answers([1, 1, 1, 1])))
    with pytest.raises(BadInput, match="fp8 x mmlu_pro is in two of these runs, r1 and r2"):
        load_run("r1", "r2", results_dir=run.parent)


def test_runs_with_different_models_and_imports_mix(run: Path) -> None:
    other = Made("recorded", answers([1, 0, 0, 1]), imported=True)
    write(run.parent / "r2", other, Made("fp8", answers([1, 0]), task="gsm8k"))
    table = load_run("r2", "r1", results_dir=run.parent)
    assert table.models == ("fp8", "recorded", "nvfp4")
    assert table.tasks == ("gsm8k", "mmlu_pro")
    assert table.cell("recorded", "mmlu_pro").imported
    assert not table.cell("fp8", "mmlu_pro").imported
    with pytest.raises(BadInput, match="nvfp4 has no cell of gsm8k"):
        table.cell("nvfp4", "gsm8k")


def test_an_incomplete_cell_has_counts_and_no_score(tmp_path: Path) -> None:
    given = {"0": [Answer(1.0)], "1": [Answer(None)], "2": [Answer(None, "ungraded")]}
    table = load_run(write(tmp_path / "r", Made("fp8", given, planned=["0", "1", "2", "3"])))
    scored = score_cell(table, table.cells[0])
    assert scored.scored is None
    assert not scored.groups
    assert scored.missing_text == "1 of 4 samples measured (1 failed, 1 ungraded, 1 not asked yet)"


def test_a_cell_without_any_sample_is_incomplete(tmp_path: Path) -> None:
    table = load_run(write(tmp_path / "r", Made("fp8", {}, planned=["0", "1"], repeats=1)))
    scored = score_cell(table, table.cells[0])
    assert (scored.measured, scored.scored, scored.missing_text) == (
        0,
        None,
        "0 of 2 samples measured (2 not asked yet)",
    )


def test_samples_beyond_the_plan_do_not_count(tmp_path: Path) -> None:
    table = load_run(write(tmp_path / "r", Made("fp8", answers([1, 0, 0, 0]), planned=["0"], total_items=4)))
    scored = score_cell(table, table.cells[0])
    assert scored.scored is not None
    assert scored.scored.score == 1.0
    assert table.cells[0].partial == "1 of 4 items"


def test_weights_and_clusters(tmp_path: Path) -> None:
    given = {
        "0": [Answer(1.0, weight=3, cluster="a")],
        "1": [Answer(0.0, weight=1, cluster="a")],
        "2": [Answer(1.0, weight=1)],
        "3": [Answer(0.0, weight=1)],
    }
    table = load_run(write(tmp_path / "r", Made("fp8", given)))
    scored = score_cell(table, table.cells[0]).scored
    assert scored is not None
    assert scored.score == pytest.approx(4 / 6)
    assert scored.method == "t, CR1 clusters"
