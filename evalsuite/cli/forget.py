"""The ``forget`` command: archives a cell that was a mistake; reports show that it was there, and why it is not."""

from pathlib import Path

from evalsuite.config.report_settings import Report
from evalsuite.errors import Exit, unknown_name
from evalsuite.report.console import standard_output
from evalsuite.store.manifest import cell_folders
from evalsuite.store.runs import archive, find_run


def forget(settings: Report) -> Exit:
    """Move the cell of ``settings.model`` and ``settings.task`` in the first of ``settings.run`` into ``superseded/``
    of the model's folder, with ``settings.reason``.

    Prints where it is now and returns ``DONE``. Raises ``BadInput`` for a run or cell that is not there, ``CellInUse``
    for one that is being written, ``StorageFailed`` where it cannot be moved.
    """
    model, task = str(settings.model), str(settings.task)
    run = find_run(settings.run[0], Path(settings.results_dir))
    cells = cell_folders(run)
    models = list(dict.fromkeys(folder.parent.name for folder in cells))
    if model not in models:
        raise unknown_name(f"model of {run.name}", model, models)
    tasks = [folder.name for folder in cells if folder.parent.name == model]
    if task not in tasks:
        raise unknown_name(f"task of {run.name}/{model}", task, tasks)
    target = archive(run / model / task, str(settings.reason))
    line = f"{run.name}/{model}/{task} is forgotten; its answers are kept in {target}, and reports show the reason"
    standard_output().print(line, soft_wrap=True, markup=False)
    return Exit.DONE
