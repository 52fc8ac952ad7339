"""The ``judge`` command: stored answers of judged tasks are graded now, all precisions by one judge in one pass.

Nothing is generated again. Every verdict is on disk before it counts, and no answer is judged twice by one judge.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from evalsuite.analysis.summary import summarize
from evalsuite.config.report_settings import Report
from evalsuite.endpoint import environment
from evalsuite.engine.stored.judge import judge_cells
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import lines_output
from evalsuite.store.attempts import scan
from evalsuite.store.manifest import cell_folders, read_manifest
from evalsuite.store.runs import find_run
from evalsuite.store.samples import read_samples, seal
from evalsuite.tasks.datasets import HUB
from evalsuite.tasks.registry import build


def judge(settings: Report) -> Exit:
    """Grade the stored answers of every judged cell of the named runs (or only ``task``) with ``settings.judge``;
    answers that this judge has graded before are left out.

    Writes verdicts, tables and summaries and prints a line a cell. Returns ``DONE``, or ``INCOMPLETE`` if samples of
    these cells still lack a value or a score is withheld. Raises ``BadInput`` without a judge, for unknown runs, and
    where no cell has or awaits verdicts of a judge, or one was asked with other questions than are here;
    ``EndpointUnusable`` if the judge cannot be used; ``CellInUse`` for a cell that a process writes.
    """
    if settings.judge is None:
        raise BadInput(
            "no judge chosen: add judge=qwen3_235b_instruct, or your own judge=NAME, and judge.base_url=URL if it is "
            "served elsewhere"
        )
    console = lines_output()
    results = Path(settings.results_dir)
    every_cell = [folder for run in settings.run for folder in cell_folders(find_run(run, results))]
    folders = [folder for folder in every_cell if settings.task in (None, folder.name) and _is_judged(folder)]
    if not folders:
        raise BadInput(f"no cell of {', '.join(settings.run)} has answers that a judge grades")
    prepared = environment.prepare({"judge": settings.judge}, {}, settings.engine.connect_seconds)
    judge_model = replace(settings.judge, concurrency=prepared.models["judge"].concurrency)
    for note in prepared.notes:
        console.print(note)
    lines = asyncio.run(judge_cells(folders, judge_model, settings.engine, settings.data))
    complete = True
    for folder, line in zip(folders, lines, strict=True):
        seal(folder)
        summary = summarize(folder)
        complete &= summary["complete"]
        waiting = summary["outcomes"]["ungraded"]
        console.print(
            f"{folder.parent.name}/{folder.name}: {line}" + (f"; {waiting} still ungraded" if waiting else "")
        )
    return Exit.DONE if complete else Exit.INCOMPLETE


def _is_judged(folder: Path) -> bool:
    """Whether the answers of the cell in ``folder`` are, or wait to be, graded by a judge; False for imported cells."""
    manifest = read_manifest(folder)
    if manifest["imported"] is not None:
        return False
    if manifest.get("judge") is not None:
        return True
    asked = manifest["identity"]
    adapter = build(asked["adapter"], variant=asked["variant"], options=asked["options"], source=HUB, seed=0)
    if "judge" not in getattr(adapter, "needs", ()):
        return False
    waiting = "ungraded" in read_samples(folder, ["outcome"])["outcome"].to_pylist()
    return waiting or any(attempt.verdicts for attempt in scan(folder).values())  # an earlier pass was interrupted
