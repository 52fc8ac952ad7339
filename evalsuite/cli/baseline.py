"""The ``baseline save`` command."""

import json
from math import isfinite
from pathlib import Path
from typing import Any

from evalsuite.analysis.collect import REPORT_FOLDER
from evalsuite.analysis.scores import score_cell
from evalsuite.analysis.table import table_of
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit, unknown_name
from evalsuite.report import console
from evalsuite.report.verdict_file import VERDICT
from evalsuite.stats.distributions import norm_ppf
from evalsuite.store.baseline import write_artefact
from evalsuite.store.runs import TableCell, find_run, run_cells


def save(settings: Report) -> Exit:
    """``evalsuite baseline save run=R model=M to=FILE``: write the cells of one model as one file, and print the
    SHA-256 of its index (not of the file).

    Includes the offsets from the older baseline that accepted the model, where a verdict did. With ``task`` only that
    cell. Returns ``DONE``. Raises ``BadInput`` without ``model=`` or ``to=``, for an unknown run, model or task, a task
    in two of the runs, a cell that is incomplete, has its score withheld or stopped early, a broken ``verdict.json``,
    or a file that is there with another content; ``StorageFailed`` if it cannot be written.
    """
    if settings.model is None or settings.to is None:
        raise BadInput("baseline save needs model=NAME (whose cells) and to=FILE")
    cells = _chosen(settings)
    table = table_of(cells)
    incomplete = [
        f"{cell.task}: {score.missing_text}" for cell in cells if not (score := score_cell(table, cell)).complete
    ]
    incomplete += [f"{cell.task}: stopped early" for cell in cells if cell.manifest.get("stopped")]
    if incomplete:
        raise BadInput(f"a baseline must be whole; {'; '.join(incomplete)}. Leave cells out with task=NAME")
    accepted = _accepted(cells)
    sha = write_artefact(cells, Path(settings.to), accepted)
    size = Path(settings.to).stat().st_size / 1e6
    tasks = ", ".join(cell.task for cell in cells)
    output = console.standard_output()
    output.print(
        f"{settings.to}: {cells[0].title}, {tasks}; {size:,.1f} MB, sha256 {sha}", soft_wrap=True, markup=False
    )
    if accepted:
        output.print(f"accepted against {accepted['baseline']}: {len(accepted['tasks'])} offsets recorded")
    return Exit.DONE


def _accepted(cells: tuple[TableCell, ...]) -> dict[str, Any]:
    """The offsets of these cells from the baseline against which the verdicts of their runs passed the model.

    ``{"baseline": name, "tasks": {task: {"delta", "stderr"}}}`` in fractions of 1, read from each run's
    ``verdict.json`` (``stderr`` from the width of the 95 % interval; tasks without one are left out); empty where no
    verdict passed it, or where verdicts name several baselines. Raises ``BadInput`` for a broken file.
    """
    offsets: dict[str, dict[str, float]] = {}
    baselines: set[str] = set()
    for cell in cells:
        path = cell.folder.parents[1] / REPORT_FOLDER / VERDICT
        if not path.is_file():
            continue
        try:
            release = json.loads(path.read_text(encoding="utf-8"))["candidates"].get(cell.model) or {}
            row = next((row for row in release.get("rows") or () if row["task"] == cell.task), None)
            if release.get("call") == "pass" and row is not None and row["ci95"] is not None:
                low, high = row["ci95"]
                offset = {"delta": float(row["delta"]), "stderr": (high - low) / (2 * norm_ppf(0.975))}
                if not all(map(isfinite, offset.values())):
                    raise ValueError("a difference that is no number")
                baselines.add(str(release["baseline"]))
                offsets[cell.task] = offset
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise BadInput(f"{path} is no verdict ({error}): give it again with evalsuite gate") from None
    return {"baseline": baselines.pop(), "tasks": offsets} if len(baselines) == 1 else {}


def _chosen(settings: Report) -> tuple[TableCell, ...]:
    folders = [find_run(run, Path(settings.results_dir)) for run in settings.run]
    cells = [cell for folder in folders for cell in run_cells(folder)]
    models = {cell.model for cell in cells}
    if settings.model not in models:
        raise unknown_name("model", str(settings.model), models, f"(models of {', '.join(settings.run)})")
    kept = [cell for cell in cells if cell.model == settings.model and settings.task in (None, cell.task)]
    if not kept:
        raise unknown_name("task", str(settings.task), {cell.task for cell in cells if cell.model == settings.model})
    for cell in kept:
        if sum(other.task == cell.task for other in kept) > 1:
            raise BadInput(f"{cell.model} x {cell.task} is in several of these runs: name one run, or task=NAME")
    return tuple(sorted(kept, key=lambda cell: cell.task))
