"""Run the notebooks, and save the charts that ``docs/guide/notebooks.md`` shows.

    python -m tests.end_to_end.notebooks.running

asks the embedded demo models for real (about a minute on two cores), runs every notebook on that and writes
``docs/images/<name>.png`` for every cell whose id is ``chart-<name>``.
"""

import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IMAGES = ROOT / "docs" / "images"
CHART = "chart-"
RUN = (
    *("run", "model=[demo_bf16,demo_nvfp4]", "task=word_problems", "aa=true", "limit=300"),
    *("tasks.word_problems.repeats=4", "sampling=greedy", "sampling.temperature=0.6", "sampling.max_tokens=34"),
    *("run_id=demo-flips", "report=false"),
)
"""As in ``anatomy_of_flips``; a cap of 34 tokens cuts the longest answers, so that running out of tokens is seen."""


def executed(path: Path, folder: Path, environment: Mapping[str, str]) -> Any:
    """The notebook with its outputs, run in ``folder``. Raises what a cell raised."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute(env={**os.environ, **environment})
    return notebook


def charts(notebook: Any) -> dict[str, bytes]:
    """Name -> PNG of every chart; a cell that draws several numbers them from 2 on."""
    found: dict[str, bytes] = {}
    for cell in notebook.cells:
        pictures = [one.data["image/png"] for one in cell.get("outputs", ()) if "image/png" in one.get("data", {})]
        for number, picture in enumerate(pictures, 1):
            if cell.id.startswith(CHART):
                found[cell.id.removeprefix(CHART) + (f"_{number}" if number > 1 else "")] = base64.b64decode(picture)
    return found


def main() -> None:
    """Make the demo run and all charts."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        subprocess.run([sys.executable, "-m", "evalsuite", *RUN, f"results_dir={results}"], check=True)
        for path in NOTEBOOKS:
            run = {"EVALSUITE_RUN": str(results / "demo-flips")}
            for name, picture in charts(executed(path, Path(folder), run)).items():
                (IMAGES / f"{name}.png").write_bytes(picture)
                sys.stdout.write(f"docs/images/{name}.png: {len(picture):,} bytes\n")


if __name__ == "__main__":
    main()
