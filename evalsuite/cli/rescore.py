"""The ``rescore`` command: grades the stored replies of finished runs again; nothing is sent."""

from pathlib import Path

from evalsuite.analysis.summary import summarize
from evalsuite.config.report_settings import Report
from evalsuite.engine.stored.rescore import Changes, grade, load
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import lines_output
from evalsuite.store.manifest import cell_folders, read_manifest
from evalsuite.store.runs import find_run


def rescore(settings: Report) -> Exit:
    """Grade every cell of the named runs (or only ``task``) again with the graders of this version; sends no request.

    Writes the new scores and summaries and prints a line a cell on how many verdicts changed; returns ``DONE``. Raises
    ``BadInput`` for an unknown run, if no cell fits, or if one cannot be graded on this machine or was asked with
    another protocol or other questions than are here now, ``CellInUse`` for one that a process writes; cells before the
    one that raises have been graded by then.
    """
    console = lines_output()
    results = Path(settings.results_dir)
    folders = [folder for run in settings.run for folder in cell_folders(find_run(run, results))]
    chosen = [folder for folder in folders if settings.task in (None, folder.name)]
    if not chosen:
        raise BadInput(f"no cell of task {settings.task} in {', '.join(settings.run)}")
    for folder in chosen:
        manifest = read_manifest(folder)
        adapter, items = load(folder, manifest, settings.data)
        changes = grade(folder, manifest, adapter, items)
        summarize(folder)
        console.print(_line(folder, manifest["version"], adapter.version, changes))
    return Exit.DONE


def _line(folder: Path, before: str, now: str, changes: Changes) -> str:
    changed = {pair: count for pair, count in changes.items() if pair[0] != pair[1]}
    what = ", ".join(f"{count} {old} -> {new}" for (old, new), count in sorted(changed.items())) or "no verdict changed"
    return (
        f"{folder.parent.name}/{folder.name}: {sum(changes.values())} graded again (version {before} -> {now}): {what}"
    )
