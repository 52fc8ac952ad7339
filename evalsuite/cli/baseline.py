"""The ``baseline save`` command."""

from pathlib import Path

from evalsuite.analysis.scores import score_cell
from evalsuite.analysis.table import table_of
from evalsuite.config.settings import Report
from evalsuite.errors import BadInput, Exit, unknown_name
from evalsuite.report import console
from evalsuite.store.baseline import write_artefact
from evalsuite.store.runs import TableCell, find_run, run_cells


def save(settings: Report) -> Exit:
    """``evalsuite baseline save run=R model=M to=FILE``: write the cells of one model as an artefact.

    Raises ``BadInput`` for an unknown model, an incomplete cell, or a file that is there with another content.
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
    sha = write_artefact(cells, Path(settings.to))
    size = Path(settings.to).stat().st_size / 1e6
    tasks = ", ".join(cell.task for cell in cells)
    output = console.standard_output()
    output.print(
        f"{settings.to}: {cells[0].title}, {tasks}; {size:,.1f} MB, sha256 {sha}", soft_wrap=True, markup=False
    )
    return Exit.DONE


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
