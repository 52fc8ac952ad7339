"""CSV files and ``card.md`` say what ``comparison.json`` says."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.errors import Exit
from evalsuite.records import OUTCOMES
from evalsuite.report.build import DEMO_NOTE
from evalsuite.report.hub_metadata import write_hub_metadata
from evalsuite.report.model_card import card_text
from tests.report.conftest import Reported
from tests.support.cells import SAMPLING, Answer, Made, answers, write


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def same(text: str, value: Any) -> bool:
    """A CSV field and a JSON value, unrounded."""
    if value is None:
        return text == ""
    return float(text) == value if isinstance(value, float) else text == str(value)


@pytest.fixture(params=["demo_report", "real_report"])
def written(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    found: Reported = request.getfixturevalue(request.param)
    return found.folder, found.content


def test_scores_and_deltas_csv(written: tuple[Path, dict[str, Any]]) -> None:
    folder, content = written
    scores = read(folder / "tables" / "scores.csv")
    assert len(scores) == len(content["cells"])
    for line, cell in zip(scores, content["cells"], strict=True):
        assert all(same(line[name], cell[name]) for name in ("model", "task", "items", "score", "stderr"))
        assert [float(line["ci95_low"]), float(line["ci95_high"])] == cell["ci95"]
        assert [int(line[name]) for name in OUTCOMES] == [cell["outcomes"][name] for name in OUTCOMES]
    deltas = read(folder / "tables" / "deltas.csv")
    assert len(deltas) == len(content["rows"])
    names = ("delta", "stderr", "p_value", "lost", "gained", "mde", "recovery", "tokens_ratio", "baseline_score")
    for line, row in zip(deltas, content["rows"], strict=True):
        assert all(same(line[name], row[name]) for name in names)
        for interval in ("ci95", "ci90"):
            assert [float(line[f"{interval}_low"]), float(line[f"{interval}_high"])] == row[interval]


def test_group_cause_and_series_csv(written: tuple[Path, dict[str, Any]]) -> None:
    folder, content = written
    groups = read(folder / "tables" / "groups.csv")
    parts = [part for row in content["rows"] for some in row["groups"].values() for part in some]
    assert len(groups) == len(parts) > 0
    for line, part in zip(groups, parts, strict=True):
        assert all(same(line[name], part[name]) for name in ("value", "n", "delta", "p_value", "q_bh", "p_holm"))
        assert [float(line["ci95_low"]), float(line["ci95_high"])] == part["ci95"]
    causes = read(folder / "tables" / "causes.csv")
    for row in content["rows"]:
        own = [one for one in causes if (one["task"], one["candidate"]) == (row["task"], row["candidate"])]
        assert sum(float(one["part"]) for one in own) == pytest.approx(row["delta"])
        assert {one["cause"]: float(one["part"]) for one in own} == row["causes"]
    for line in read(folder / "tables" / "budgets.csv"):
        found = content["series"][line["task"]]["budgets"]
        at = found["budgets"].index(int(line["budget"]))
        assert float(line["score"]) == found["scores"][line["model"]][at]
    for line in read(folder / "tables" / "lengths.csv"):
        found = content["series"][line["task"]]["lengths"]
        assert int(line["answers"]) == sum(found["counts"][line["model"]][line["outcome"]])
        assert float(line["p50"]) == found["quantiles"][line["model"]][line["outcome"]]["0.5"]


def test_suite_csv(real_report: Reported) -> None:
    folder, content = real_report.folder, real_report.content
    (line,) = read(folder / "tables" / "suite.csv")
    mean = content["suite"]["nvfp4_v2"]
    assert float(line["delta"]) == mean["delta"]
    assert [float(line["ci95_low"]), float(line["ci95_high"])] == mean["ci95"]


def test_a_refused_comparison_has_empty_numbers(tmp_path: Path) -> None:
    run = write(tmp_path / "r", Made("a", answers([1, 0, 1])), Made("b", answers([1, None, 1])))
    assert report(Report(run=[str(run)])) == Exit.INCOMPLETE
    (line,) = read(run / "report" / "tables" / "deltas.csv")
    assert (line["delta"], line["ci95_low"]) == ("", "")
    assert "1 failed" in line["reason"]


def test_card_table_has_the_layout_and_the_numbers_of_a_card(real_report: Reported) -> None:
    folder, content = real_report.folder, real_report.content
    text = (folder / "card.md").read_text()
    table = text.split("\n\n")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0] == ["Precision", "GPQA Diamond", "IFBench"]
    titles = {"fp8": "FP8", "nvfp4_v2": "NVFP4 V2"}  # the published card's
    scores = {(titles[cell["model"]], cell["task"]): cell for cell in content["cells"]}
    assert [cell[0] for cell in cells[2:]] == list(titles.values())
    for title, *values in cells[2:]:
        assert values == [f"{scores[title, task]['score']:.3f}" for task in ("gpqa_diamond", "ifbench")]
    for (title, _), cell in scores.items():
        low, high = cell["ci95"]
        assert re.search(rf"{title}, \S+ ?\S* \[{low:.3f}, {high:.3f}\]", text)
    for row in content["rows"]:
        assert f"{row['delta']:+.3f}".replace("-0.000", "0.000").replace("+0.000", "0.000") in text
    assert "Baseline: Qwen3.5-397B-A17B-FP8." in text
    assert "temperature=0.6, top_p=0.95, max num tokens 64000, thinking on" in text
    above, strata = text.split("<details>")[0], text.split("<summary>IFBench by subject</summary>")[1]
    assert "[" not in above
    for part in content["cells"][1]["groups"]["subject"].items():
        assert re.search(rf"\| {part[0]} \| {part[1]['n']} \|.*{part[1]['score']:.3f}", strata)


def test_the_card_of_the_release_suite_has_columns_titles_order_and_caption_of_the_published_one(
    tmp_path: Path,
) -> None:
    tasks = ("tau2_telecom", "gsm8k", "ifbench", "aa_lcr", "scicode", "mmmu_pro", "gpqa_diamond")
    checkpoints = {
        "another": "me/another",
        "nvfp4_v2": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
        "fp8": "Qwen/Qwen3.5-397B-A17B-FP8",
    }
    made = [
        Made(model, answers([1, 0, 1]), task, title=f"title of {model}", baseline="fp8" if model != "fp8" else None,
             identity={"checkpoint": checkpoint, "sampling": SAMPLING | limit})
        for task in tasks
        for limit in ({"max_tokens": 128000} if task == "tau2_telecom" else {},)
        for model, checkpoint in checkpoints.items()
    ]  # fmt: skip
    text = card_text(compare_all(load_run(write(tmp_path / "r", *made))), "")
    lines = text.split("<details>")[0].splitlines()
    assert lines[:3] == ["## Evaluation", "", "The accuracy benchmark results are presented in the table below:"]
    assert lines[4] == (
        "| Precision | MMMU Pro | GPQA Diamond | SciCode | AA-LCR | IFBench | Tau2 Bench Telecom | GSM8K |"
    )
    score = " 0.667 |" * 7
    assert lines[6:9] == [f"| FP8 |{score}", f"| NVFP4 V2 |{score}", f"| title of another |{score}"]
    assert lines[10].replace("\\", "") == (
        "Baseline: Qwen3.5-397B-A17B-FP8. Benchmarked with temperature=0.6, top_p=0.95, max num tokens 64000, "
        "thinking on. For Tau2 Bench Telecom we use max num tokens 128000."
    )


def test_hub_metadata_round_trips(real_report: Reported) -> None:
    folder, content = real_report.folder, real_report.content
    for model, checkpoint in (("fp8", "Qwen3.5-397B-A17B-FP8"), ("nvfp4_v2", "Qwen3.5-397B-A17B-NVFP4-V2")):
        cells = {cell["task"]: cell for cell in content["cells"] if cell["model"] == model}
        front = yaml.safe_load((folder / "hub" / model / "model-index.yaml").read_text())
        name, results = model_index_to_eval_results(front["model-index"])
        assert name == checkpoint
        assert [one.metric_value for one in results] == [round(100 * cell["score"], 2) for cell in cells.values()]
        assert results[0].dataset_type == "Idavidrein/gpqa"
        entries = parse_eval_result_entries(
            yaml.safe_load((folder / "hub" / model / ".eval_results" / "evalsuite.yaml").read_text())
        )
        assert [(one.dataset_id, one.task_id) for one in entries] == [("Idavidrein/gpqa", "gpqa_diamond")]
        assert entries[0].value == round(100 * cells["gpqa_diamond"]["score"], 2)
        assert entries[0].date == "2026-11-20"


def test_demo_models_parts_and_imports_are_never_offered_to_the_hub(demo_report: Reported, tmp_path: Path) -> None:
    folder = demo_report.folder
    assert not (folder / "hub").exists()
    text = (folder / "card.md").read_text()
    assert DEMO_NOTE[1:] in text
    part = {str(item): [Answer(1.0)] for item in range(5)}
    run = write(tmp_path / "r", Made("a", part, total_items=200), Made("b", answers([1, 0]), "gsm8k", imported=True))
    report(Report(run=[str(run)]))
    folder = run / "report"
    assert not (folder / "hub").exists()
    assert "| 1.000 (part) |" in (folder / "card.md").read_text()
    assert "a, MMLU-Pro: 5 of 200 items" in (folder / "card.md").read_text()


def test_metadata_of_an_earlier_report_in_the_same_folder_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "hub"
    for model in ("a", "b"):
        run = write(tmp_path / f"run of {model}", Made(model, answers([1, 0, 1]), "gpqa_diamond"))
        write_hub_metadata(compare_all(load_run(run)), out)
    assert [path.parent.name for path in out.glob("*/model-index.yaml")] == ["b"]
    assert [path.parents[1].name for path in out.glob("*/.eval_results/evalsuite.yaml")] == ["b"]
