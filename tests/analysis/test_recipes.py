"""The choice among the candidates of one baseline, from cells on disk to every output."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.store.manifest import MANIFEST
from tests.support.cells import Answer, Made, write

TASKS = ("gsm8k", "mmlu_pro")


def _arm(seed: int, chance: float, tokens: int, items: int = 240) -> dict[str, list[Answer]]:
    luck, own = np.random.default_rng(5).random(items), np.random.default_rng(seed).random(items)
    right = np.where(own < 0.25, own < 0.25 * chance, luck < chance)
    return {str(item): [Answer(float(value), tokens=tokens)] for item, value in enumerate(right)}


def made(folder: Path, **more: Made) -> Path:
    """Two tasks of a baseline and of three candidates: two alike, one ten points down."""
    chances = {"bf16": 0.85, "near": 0.85, "alike": 0.85, "bad": 0.7}
    cells = [
        Made(model, _arm(place + 20 * number, chance, 100 + 50 * place), task, baseline="bf16" if place else None)
        for place, (model, chance) in enumerate(chances.items())
        for number, task in enumerate(TASKS)
    ]
    run = write(folder, *cells, *more.values())
    for number, model in enumerate(("near", "alike")):
        for task in TASKS:
            path = run / model / task / MANIFEST
            path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_gb": 250.0 - number}))
    return run


def test_the_choice_among_three_candidates(tmp_path: Path) -> None:
    (choice,) = compare_all(load_run(made(tmp_path / "r"))).recipes
    assert (choice.baseline, choice.tasks, choice.left_out) == ("bf16", TASKS, ())
    by_name = {recipe.model: recipe for recipe in choice.recipes}
    assert [recipe.among_best for recipe in choice.recipes] == [True, True, False]
    assert choice.recipes[-1].model == "bad"
    assert by_name["near"].weights_gb == 250.0
    assert by_name["bad"].weights_gb is None
    assert by_name["bad"].tokens == pytest.approx(250)
    assert choice.corrected is not None
    assert choice.corrected <= choice.recipes[0].delta
    content = choice.to_json()
    assert (content["best"], content["delta"]) == (choice.recipes[0].model, choice.recipes[0].delta)
    json.dumps(content, allow_nan=False)


def test_the_scores_are_means_of_what_all_have(tmp_path: Path) -> None:
    """A fourth candidate that was asked one task makes that task the common one, and the note names the other."""
    extra = Made("fourth", _arm(3, 0.85, 90), "gsm8k", baseline="bf16")
    table = load_run(made(tmp_path / "r", extra=extra))
    suite = compare_all(table)
    (choice,) = suite.recipes
    assert (choice.tasks, choice.left_out) == (("gsm8k",), ("mmlu_pro",))
    deltas = {row.candidate.cell.model: row.delta for row in suite.comparisons if row.task == "gsm8k"}
    assert {recipe.model: pytest.approx(recipe.delta) for recipe in choice.recipes} == deltas
    assert compare_all(table, "near").recipes[0].baseline == "near"


def test_two_candidates_are_no_choice(tmp_path: Path) -> None:
    arms = [Made(name, _arm(place, 0.8, 100), baseline="a" if place else None) for place, name in enumerate("abc")]
    assert compare_all(load_run(write(tmp_path / "r", *arms))).recipes == ()


def test_every_output_shows_the_choice(tmp_path: Path) -> None:
    run, printed = made(tmp_path / "r"), StringIO()
    with redirect_stdout(printed):
        report(Report(run=[str(run)]))
    folder = run / "report"
    (choice,) = json.loads((folder / "comparison.json").read_text())["recipes"]
    corrected = f"{100 * choice['delta_corrected']:+.2f}"
    for text in (printed.getvalue(), (folder / "report.md").read_text(), (folder / "report.html").read_text()):
        flat = " ".join(text.replace("\\", "").split())
        assert "Which candidate is best" in flat
        assert "Of 3 candidates, 2 cannot be told from the best" in flat
        assert f"{corrected} pt corrected" in flat
        assert "checkpoint GB" in flat
    assert flat.count("Which candidate is best") == 1
    rows = (folder / "tables" / "recipes.csv").read_text().splitlines()
    assert len(rows) == 4
    assert "ci95" not in rows[0].split(",")
