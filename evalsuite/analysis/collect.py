"""Collects the input of a report or a gate: the cells of the named runs and the baseline, graded by one version.

When cells of a task were graded by different versions of its grader, their stored replies are graded again in a copy.
The runs themselves stay unchanged (``evalsuite rescore`` changes them).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evalsuite.analysis.degenerate import accepting
from evalsuite.analysis.table import RunTable, table_of
from evalsuite.config.paths import expanded
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Data
from evalsuite.errors import BadInput, unknown_name
from evalsuite.records import canonical_sha
from evalsuite.store.artefact import Artefact, open_artefact
from evalsuite.store.baseline import copy_cell
from evalsuite.store.extents import narrowed
from evalsuite.store.manifest import read_manifest
from evalsuite.store.runs import BASELINE_SUFFIX, TableCell, find_run, named_cells, run_cells
from evalsuite.store.samples import SAMPLES
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.registry import ADAPTERS

REPORT_FOLDER = "report"
"""Name of the folder of a report on one run, inside the run's folder."""
_GRADED_BY = ("adapter", "protocol", "variant", "options")
"""Keys of a cell's identity that choose its grader; a baseline's cells are graded only with those of own cells."""
DEMO_NOTE = "demo model: not a claim about any real checkpoint"
"""Note on every report of demo models."""


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """The cells of a report. Unpacked and copied cells exist only inside the ``with`` block of ``open_inputs``."""

    table: RunTable
    """Samples and cells."""
    baseline: str | None
    """The model that all others are compared with; None when each model has its own baseline."""
    artefact: Artefact | None
    """The baseline file, when one was given."""
    notes: tuple[str, ...]
    """Lines about what was graded again, and what could not be."""


def report_folder(settings: Report) -> Path:
    """Return the folder to write a report to: ``settings.out`` as it is, else the folder ``report`` in the only named
    run. Creates nothing.

    Raises ``BadInput`` without ``out`` for several runs, or a run that is unknown or has no cells. At least one run
    must be named.
    """
    if settings.out is not None:
        return Path(settings.out)
    if len(settings.run) > 1:
        raise BadInput("a report on several runs belongs to none of them: name its folder with out=DIR")
    return find_run(settings.run[0], Path(settings.results_dir)) / REPORT_FOLDER


@contextmanager
def open_inputs(settings: Report) -> Iterator[ReportInputs]:
    """Load the cells of ``settings.run`` and, unless it is None, of the baseline model in ``settings.baseline_run`` (a
    run or a baseline file) into one table, and yield them for a ``with`` block.

    Of the other settings, ``limit`` keeps only so many items per task (not of cells that stopped early),
    ``accept_degenerate`` and ``accept_log_disagreement`` (reasons) admit scores that are withheld, ``varies``, unless
    it is empty, replaces the declared facts that differ on purpose. Cells of the runs that are the baseline's own are
    left out; where a remaining model has its name, the baseline gets the ending ``@baseline``. Cells of a task that
    were graded by different versions are graded again in temporary copies, if the questions are there and the cells
    were asked in one way; these and unpacked files are deleted when the block ends. The runs stay unchanged.

    Raises ``BadInput`` for unknown runs, a model and task that two runs hold, damaged cells, cells of which ``limit``
    cannot choose so many items (too few were asked, say), and a baseline that is missing, ambiguous, edited, all that
    the runs hold, or asked with classes that are neither built in nor named by the runs.
    """
    cells = named_cells(*settings.run, results_dir=settings.results_dir)
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="evalsuite-report-")))
        baseline, artefact = settings.baseline, None
        if settings.baseline_run is not None:
            path = expanded(settings.baseline_run)
            if path.is_dir() or not path.exists():
                baseline_cells = _baseline_of_run(settings, cells)
            else:
                artefact = stack.enter_context(open_artefact(path, settings.baseline_max_gb))
                baseline_cells = artefact.cells
                _check_name(settings.baseline, artefact)
            _check_classes(cells, baseline_cells)
            cells, baseline_cells = _separate_baseline(cells, baseline_cells, home)
            baseline = baseline_cells[0].model
            cells = (*cells, *baseline_cells)
        cells = tuple(replace(cell, manifest=narrowed(cell.manifest, settings.limit)) for cell in cells)
        brought = baseline if settings.baseline_run is not None else None
        table, notes = _with_equal_grading(table_of(cells), settings.data, home / "graded", brought)
        reasons = {"degenerate": settings.accept_degenerate, "log_disagreement": settings.accept_log_disagreement}
        table = RunTable(table.samples, _varying(accepting(table.cells, reasons), settings.varies))
        yield ReportInputs(table, baseline, artefact, notes)


def _varying(cells: Sequence[TableCell], varies: Sequence[str]) -> tuple[TableCell, ...]:
    """Return the cells with ``varies`` (names of server facts) written into their manifests in memory as those declared
    to differ on purpose, instead of earlier ones; unchanged when ``varies`` is empty.
    """
    return tuple(
        replace(cell, manifest={**cell.manifest, "varies": list(varies)}) if varies else cell for cell in cells
    )


def _separate_baseline(
    cells: Sequence[TableCell], baseline_cells: Sequence[TableCell], home: Path
) -> tuple[tuple[TableCell, ...], tuple[TableCell, ...]]:
    """Remove the cells of the baseline (same model, same samples) from the cells of the runs, and rename the baseline
    to ``<model>@baseline`` when a remaining cell has its model's name.

    Returns (remaining cells, baseline's cells); renamed ones are copied into the folder ``baseline`` in ``home``.
    Raises ``BadInput`` when nothing remains.
    """
    baseline_keys = {_content_key(cell) for cell in baseline_cells}
    rest = tuple(
        cell for cell in cells if cell.model != baseline_cells[0].model or _content_key(cell) not in baseline_keys
    )
    if not rest:
        raise BadInput("the runs hold nothing but the baseline itself: name the candidate's run with run=R")
    if baseline_cells[0].model not in {cell.model for cell in rest}:
        return rest, tuple(baseline_cells)
    return rest, tuple(copy_cell(cell, home / "baseline", f"{cell.model}{BASELINE_SUFFIX}") for cell in baseline_cells)


def _content_key(cell: TableCell) -> tuple[str, str]:
    """Return (task, SHA-256 of the samples file), equal for a cell and its unchanged copy; (task, folder) when the cell
    has no samples file.
    """
    samples = cell.folder / SAMPLES
    if not samples.exists():
        return cell.task, str(cell.folder)
    with samples.open("rb") as file:
        return cell.task, hashlib.file_digest(file, "sha256").hexdigest()


def _check_classes(cells: Sequence[TableCell], baseline_cells: Sequence[TableCell]) -> None:
    """Raise ``BadInput`` when a baseline cell names an adapter class that is neither built in nor named by any of
    ``cells``, so that a foreign file cannot make code be imported.
    """
    own = {cell.identity.get("adapter") for cell in cells}
    for cell in baseline_cells:
        adapter = str(cell.identity.get("adapter"))
        if adapter not in ADAPTERS and adapter not in own:
            raise BadInput(
                f"the baseline's {cell.task} was asked with the class {adapter[:200]}, which no cell of these runs "
                "names; classes are imported only where your own cells name them. Save a baseline without it: task=NAME"
            )


def _check_name(requested: str | None, artefact: Artefact) -> None:
    if requested not in (None, artefact.model):
        raise BadInput(f"baseline={requested}, but {artefact.path} holds {artefact.model}: leave baseline= out")


def _baseline_of_run(settings: Report, cells: Sequence[TableCell]) -> tuple[TableCell, ...]:
    """Return the cells of the baseline model from the run ``settings.baseline_run``: of the model
    ``settings.baseline``, else of the run's only model, else of the only one of its models that ``cells`` declare as
    baseline.

    Raises ``BadInput`` for an unknown run or model, or when no single model can be chosen.
    """
    available = run_cells(find_run(str(settings.baseline_run), Path(settings.results_dir)))
    models = list(dict.fromkeys(cell.model for cell in available))
    declared = {cell.manifest.get("baseline") for cell in cells} & set(models)
    if settings.baseline is not None and settings.baseline not in models:
        raise unknown_name("baseline", settings.baseline, models, f"(models of {settings.baseline_run})")
    choices = [settings.baseline] if settings.baseline else models if len(models) == 1 else sorted(map(str, declared))
    if len(choices) != 1:
        raise BadInput(f"baseline_run={settings.baseline_run} holds {', '.join(models)}: choose one with baseline=NAME")
    return tuple(cell for cell in available if cell.model == choices[0])


def _with_equal_grading(
    table: RunTable, data: Data, home: Path, brought: str | None
) -> tuple[RunTable, tuple[str, ...]]:
    """Return the table with the samples of each task graded by one version, where that is possible, and notes about
    what was graded again or could not be.

    New grades are written to copies in ``home``; ``data`` states where the questions are loaded from. A task stays
    unchanged when its questions cannot be loaded or differ (a note says so), and when its cells were asked in different
    ways; comparisons of cells that differ are refused later. A task of which only the model ``brought`` (from a
    baseline file or another run; None for none) has a cell stays unchanged, too, because its file would choose the
    grader.
    """
    replaced: dict[tuple[str, str], TableCell] = {}
    notes: list[str] = []
    for task in table.tasks:
        cells = [cell for cell in table.cells if cell.task == task]
        versions = {cell.model: set(map(str, table.rows(cell)["version"].unique())) for cell in cells}
        asked = {canonical_sha([cell.identity.get(key) for key in _GRADED_BY]) for cell in cells}
        alone = {cell.model for cell in cells} == {brought}
        if alone or len(set().union(*versions.values())) < 2 or len(asked) > 1:  # else refused as not comparable
            continue
        try:
            own = next(cell.manifest.get("data") for cell in cells if cell.model != brought)
            regraded = [_regrade(cell, own, versions[cell.model], data, home) for cell in cells]
        except BadInput as error:
            notes.append(
                f"{benchmark_title(task)}: graded by different versions, and they cannot be graded again here: {error}"
            )
            continue
        replaced |= {(cell.model, task): cell for cell, note in regraded if note}
        notes += [note for _, note in regraded if note]
    if not replaced:
        return table, tuple(notes)
    return table_of([replaced.get((cell.model, cell.task), cell) for cell in table.cells]), tuple(notes)


def _regrade(
    cell: TableCell, own: Mapping[str, Any] | None, versions: set[str], data: Data, home: Path
) -> tuple[TableCell, str]:
    """Return the cell graded by the present version of its grader, in a copy in ``home``, and a note; (the cell itself,
    "") when ``versions``, those that graded it, are only the present one.

    ``own``: the entry ``data`` (where questions are from) of a run here, used instead of the cell's, so that a baseline
    file of others does not choose a folder. Raises ``BadInput`` when the questions cannot be loaded or differ.
    """
    from evalsuite.engine.stored import rescore  # with every benchmark's readers, which no other report needs

    adapter, items = rescore.load(cell.folder, {**cell.manifest, "data": own}, data)
    if versions == {adapter.version}:
        return cell, ""
    copied = copy_cell(cell, home)
    changes = rescore.grade(copied.folder, dict(copied.manifest), adapter, items)
    changed = sum(count for (before, now), count in changes.items() if before != now)
    steps = f"{'+'.join(sorted(versions))} -> {adapter.version}"
    subject = f"{cell.title}, {benchmark_title(cell.task)}"
    note = f"{subject}: graded again for this comparison ({steps}), {changed} changed"
    graded = read_manifest(copied.folder)
    kept = ("items", "repeats", "selection", "part_declared")  # of limit=
    narrow = {key: cell.manifest[key] for key in kept if key in cell.manifest}
    return TableCell(cell.run, copied.folder, {**graded, **narrow}), note
