"""What a report or a gate looks at: the cells of the named runs, the baseline brought along, all graded alike.

Where cells of a task were graded by different versions of its grader, their stored replies are graded again in a copy;
the runs themselves stay as they are (``evalsuite rescore`` changes them).
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from evalsuite.analysis.table import RunTable, table_of
from evalsuite.config.settings import Data, Report
from evalsuite.engine.stored import rescore
from evalsuite.errors import BadInput, unknown_name
from evalsuite.store.baseline import Artefact, copy_cell, open_artefact
from evalsuite.store.manifest import read_manifest
from evalsuite.store.runs import AT_BASELINE, TableCell, find_run, named_cells, run_cells
from evalsuite.store.samples import SAMPLES
from evalsuite.tasks.datasets import benchmark_title

FOLDER = "report"
"""Where a report on one run lies, in the run's folder."""
DEMO_NOTE = "demo model: not a claim about any real checkpoint"


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """The cells of a report; unpacked and copied ones exist as long as it is open."""

    table: RunTable
    baseline: str | None
    """The model that all others are compared with; None: each one's own."""
    artefact: Artefact | None
    """The baseline's file, where one was brought."""
    notes: tuple[str, ...]
    """What was graded again, and what could not be."""


def folder_of(settings: Report) -> Path:
    """Where a report on the named runs belongs. Raises ``BadInput`` for an unknown run, or several without ``out``."""
    if settings.out is not None:
        return Path(settings.out)
    if len(settings.run) > 1:
        raise BadInput("a report on several runs belongs to none of them: name its folder with out=DIR")
    return find_run(settings.run[0], Path(settings.results_dir)) / FOLDER


@contextmanager
def open_inputs(settings: Report) -> Iterator[ReportInputs]:
    """The cells of ``settings.run`` with the baseline of ``settings.baseline_run``, for the time of a ``with`` block.

    Raises ``BadInput`` for unknown runs, and for a baseline that is missing, torn or edited.
    """
    cells = named_cells(*settings.run, results_dir=settings.results_dir)
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="evalsuite-gathered-")))
        baseline, artefact = settings.baseline, None
        if settings.baseline_run is not None:
            path = Path(settings.baseline_run).expanduser()
            if path.is_dir() or not path.exists():
                brought = _from_run(settings, cells)
            else:
                artefact = stack.enter_context(open_artefact(path))
                brought = artefact.cells
                _check_name(settings.baseline, artefact)
            cells, brought = _side_by_side(cells, brought, home)
            baseline = brought[0].model
            cells = (*cells, *brought)
        table, notes = _graded_alike(table_of(cells), settings.data, home / "graded")
        yield ReportInputs(table, baseline, artefact, notes)


def _side_by_side(
    cells: Sequence[TableCell], brought: Sequence[TableCell], home: Path
) -> tuple[tuple[TableCell, ...], tuple[TableCell, ...]]:
    """The runs' cells without those that were brought along, and the latter under a name of their own."""
    known = {_content(cell) for cell in brought}
    rest = tuple(cell for cell in cells if cell.model != brought[0].model or _content(cell) not in known)
    if not rest:
        raise BadInput("the runs hold nothing but the baseline itself: name the candidate's run with run=R")
    if brought[0].model not in {cell.model for cell in rest}:
        return rest, tuple(brought)
    return rest, tuple(copy_cell(cell, home / "baseline", f"{cell.model}{AT_BASELINE}") for cell in brought)


def _content(cell: TableCell) -> tuple[str, str]:
    """Two cells with the same answers are one cell."""
    samples = cell.folder / SAMPLES
    if not samples.exists():
        return cell.task, str(cell.folder)
    with samples.open("rb") as file:
        return cell.task, hashlib.file_digest(file, "sha256").hexdigest()


def _check_name(asked: str | None, artefact: Artefact) -> None:
    if asked not in (None, artefact.model):
        raise BadInput(f"baseline={asked}, but {artefact.path} holds {artefact.model}: leave baseline= out")


def _from_run(settings: Report, cells: Sequence[TableCell]) -> tuple[TableCell, ...]:
    """The baseline's cells of another run's folder."""
    found = run_cells(find_run(str(settings.baseline_run), Path(settings.results_dir)))
    models = list(dict.fromkeys(cell.model for cell in found))
    declared = {cell.manifest.get("baseline") for cell in cells} & set(models)
    if settings.baseline is not None and settings.baseline not in models:
        raise unknown_name("baseline", settings.baseline, models, f"(models of {settings.baseline_run})")
    choices = [settings.baseline] if settings.baseline else models if len(models) == 1 else sorted(map(str, declared))
    if len(choices) != 1:
        raise BadInput(f"baseline_run={settings.baseline_run} holds {', '.join(models)}: say which with baseline=NAME")
    return tuple(cell for cell in found if cell.model == choices[0])


def _graded_alike(table: RunTable, data: Data, home: Path) -> tuple[RunTable, tuple[str, ...]]:
    """The table with one grading version per task, and what was done for it.

    Where the questions cannot be had, or were others, a task stays as it is: its comparison is then refused.
    """
    replaced: dict[tuple[str, str], TableCell] = {}
    notes: list[str] = []
    for task in table.tasks:
        cells = [cell for cell in table.cells if cell.task == task]
        versions = {cell.model: set(table.of(cell)["version"].astype(str)) for cell in cells}
        protocols = {cell.identity.get("protocol") for cell in cells}
        if len(set().union(*versions.values())) < 2 or len(protocols) > 1:
            continue
        try:
            again = [_graded_again(cell, versions[cell.model], data, home) for cell in cells]
        except BadInput as error:
            notes.append(
                f"{benchmark_title(task)}: graded by different versions, and they cannot be graded again here: {error}"
            )
            continue
        replaced |= {(cell.model, task): cell for cell, note in again if note}
        notes += [note for _, note in again if note]
    if not replaced:
        return table, tuple(notes)
    return table_of([replaced.get((cell.model, cell.task), cell) for cell in table.cells]), tuple(notes)


def _graded_again(cell: TableCell, versions: set[str], data: Data, home: Path) -> tuple[TableCell, str]:
    """The cell at the grader's present version, and what was done; the cell itself where it is there already."""
    adapter, items = rescore.load(cell.folder, dict(cell.manifest), data)
    if versions == {adapter.version}:
        return cell, ""
    copied = copy_cell(cell, home)
    changes = rescore.grade(copied.folder, dict(copied.manifest), adapter, items)
    moved = sum(count for (before, now), count in changes.items() if before != now)
    was = "+".join(sorted(versions))
    who = f"{cell.title}, {benchmark_title(cell.task)}"
    note = f"{who}: graded again for this comparison ({was} -> {adapter.version}), {moved} changed"
    return TableCell(cell.run, copied.folder, read_manifest(copied.folder)), note
