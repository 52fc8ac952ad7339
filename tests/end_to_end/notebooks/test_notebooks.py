"""Notebooks run as they are, on a small run, and are stored without outputs; their charts are in the documentation."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.cells import Answer, Made, write
from tests.end_to_end.notebooks.running import CHART, IMAGES, NOTEBOOKS, ROOT, charts, executed

ITEMS, REPEATS = 60, 4
LARGEST = 150_000
"""Bytes of a picture in the repository."""
TELLS = {
    "per_subject_drops": ["mul", "p_holm", "tau2"],
    "power_planning": ["mmlu_pro", "repeats_needed", "repeats_for_1_pt"],
    "anatomy_of_flips": ["demo_nvfp4__aa", "excess", "fluctuating", "truncated", "evalsuite show run=demo-"],
}
"""Notebook -> words that its tables and texts must hold."""


def demo_run(folder: Path) -> Path:
    """Two models with repeats, each asked twice; the candidate loses one subject and is cut off more often."""
    rng = np.random.default_rng(4)
    subjects = {str(item): ("add", "sub", "mul")[item % 3] for item in range(ITEMS)}
    base = np.clip(rng.normal(0.85, 0.3, ITEMS), 0, 1)
    lossy = np.where(np.arange(ITEMS) % 3 == 2, base * 0.4, base)

    def arm(model: str, chance: np.ndarray[Any, Any], cut: float, **facts: Any) -> Made:
        answers: dict[str, list[Answer]] = {}
        for item in range(ITEMS):
            for _ in range(REPEATS):
                right, truncated = rng.random() < chance[item], rng.random() < cut
                outcome = "truncated" if truncated else "" if right else str(rng.choice(["wrong", "no_answer"]))
                tokens = 64 if truncated else int(rng.integers(10, 60))
                answers.setdefault(str(item), []).append(Answer(float(right and not truncated), outcome, tokens=tokens))
        return Made(model, answers, "word_problems", subjects, demo=True, **facts)

    return write(
        folder / "demo-20261120T190000Z",
        arm("demo_bf16", base, 0.02),
        arm("demo_bf16__aa", base, 0.02, baseline="demo_bf16", server={"same_as": "demo_bf16"}),
        arm("demo_nvfp4", lossy, 0.08, baseline="demo_bf16"),
        arm("demo_nvfp4__aa", lossy, 0.08, baseline="demo_nvfp4", server={"same_as": "demo_nvfp4"}),
    )


def told(notebook: Any) -> str:
    """All tables and texts that a notebook showed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("data", {}).get("text/html", "") + output.get("text", "") for output in outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = executed(path, tmp_path, {"EVALSUITE_RUN": str(demo_run(tmp_path))})
    words = told(notebook)
    assert [word for word in TELLS[path.stem] if word not in words] == []
    drawn = {cell.id.removeprefix(CHART) for cell in notebook.cells if cell.id.startswith(CHART)}
    assert {name for name in charts(notebook) if not name[-1].isdigit()} == drawn != set()
    assert [
        cell.id for cell in notebook.cells for output in cell.get("outputs", ()) if output.get("name") == "stderr"
    ] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_in_a_notebook_shows_its_progress_and_returns_frames(tmp_path: Path) -> None:
    """The thread of a notebook's cell has an event loop already; the cell's output holds one table, kept up to date."""
    import nbformat

    overrides = {"limit": 30, "sampling": "greedy", "run_id": "r", "engine.fingerprint": False}
    code = f"import evalsuite\nevalsuite.run('demo_fp8', 'word_problems', overrides={overrides!r}).scores[['model', 'score']]"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])  # type: ignore[no-untyped-call]
    path = tmp_path / "run.ipynb"
    path.write_text(nbformat.writes(notebook), encoding="utf-8")  # type: ignore[no-untyped-call]
    (cell,) = executed(path, tmp_path, {}).cells
    shown = [output["data"].get("text/html", "") for output in cell.outputs if "data" in output]
    assert sum("30/30" in text for text in shown) == 1
    assert all("\x1b" not in text for text in shown)
    assert "demo_fp8" in shown[-1]
    assert (tmp_path / "results" / "r" / "report" / "report.html").is_file()
    assert [output for output in cell.outputs if output.get("name") in ("stdout", "stderr")] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_page_shows_every_chart_and_every_picture_is_there_and_small() -> None:
    page = (ROOT / "docs" / "guide" / "notebooks.md").read_text(encoding="utf-8")
    shown = re.findall(r"\(\.\./images/(\w+)\.png\)", page)
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    assert {cell["id"].removeprefix(CHART) for cell in cells if cell["id"].startswith(CHART)} <= set(shown)
    assert all(f"notebooks/{path.name}" in page for path in NOTEBOOKS)
    for name in shown:
        picture = (IMAGES / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < LARGEST


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(TELLS)
