"""The ``show`` command: a list of runs and cells, or one item in all precisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.analysis.completeness import count_samples, failed_text
from evalsuite.cli.json_output import Content
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput, Exit, unknown_name
from evalsuite.records import OUTCOMES
from evalsuite.report import console, formats
from evalsuite.report.console import Column, Table
from evalsuite.report.formats import Interval
from evalsuite.sandbox.archives import parse_json
from evalsuite.store import lock, manifest
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.runs import SUPERSEDED, TableCell, archived_cells, find_run, run_cells, run_ids
from evalsuite.store.samples import is_current

if TYPE_CHECKING:
    from evalsuite.report.item import Answers

_COLUMNS = (
    Column("run", number=False),
    Column("model", number=False),
    Column("task", number=False),
    Column("state", number=False),
    Column("score % [95 %]"),
    Column("samples"),
    Column("truncated", essential=False),
    Column("part", number=False, essential=False),
    Column("title", number=False, essential=False),
)


@dataclass(frozen=True, slots=True)
class ListedCell:
    """One cell as it is listed."""

    run: str
    model: str
    task: str
    state: str
    """``running``, ``incomplete``, ``complete`` (every answer is there, the table is not), ``sealed``, ``superseded``
    or ``damaged``."""
    score: float | None = None
    """Fraction of 1."""
    ci95: Interval | None = None
    measured: int | None = None
    """Samples with a value; None where the cell cannot be read."""
    planned: int | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Outcome -> number of samples; empty where they were not counted."""
    partial: bool = False
    part: str = ""
    """What part of the task was asked, and how often, in words."""
    title: str = ""
    note: str = ""
    demo: bool = False

    @property
    def samples(self) -> str:
        """The number of measured samples (of an archived cell: of all that it has) as text, ``90 of 100, 3 failed``,
        with ``(part)`` where only a part of the task was asked; empty where it is not known: a damaged cell, an
        archived one without a summary.
        """
        if self.measured is None:
            return ""
        whole = self.measured == self.planned
        parts = [f"{self.measured:,}" if whole else f"{self.measured:,} of {self.planned:,}"]
        parts += [f"{self.outcomes[name]:,} {name}" for name in ("failed", "ungraded") if self.outcomes.get(name)]
        return ", ".join(parts) + (" (part)" if self.partial else "")

    @property
    def row(self) -> tuple[str, ...]:
        """The texts of the cell's row in the table, in the order of its columns."""
        truncated = formats.count(self.outcomes.get("truncated", 0)) if self.outcomes else ""
        names = (self.run, self.model, self.task, self.state, formats.score(self.score, self.ci95), self.samples)
        return (*names, truncated, self.part, self.title)

    def to_json(self) -> dict[str, Any]:
        """The cell as an entry of the JSON document: all fields but ``run`` and ``partial``; scores
        are fractions of 1.
        """
        names = ("model", "task", "title", "state", "score", "measured", "planned", "part", "note", "demo")
        fields = {name: getattr(self, name) for name in names}
        return fields | {"ci95": None if self.ci95 is None else list(self.ci95), "outcomes": dict(self.outcomes)}


def show(settings: Report) -> Exit:
    """Print all runs with their cells, the cells of some runs, or one item of a task in all
    precisions; returns ``DONE``.

    Raises ``BadInput`` for names that do not exist, for ``item=`` without a run and a task, and for ``repeat=`` without
    ``item=``.
    """
    output = console.standard_output()
    if settings.item is not None:
        from evalsuite.report.item import print_item

        print_item(*_item(settings), output, include_gated_text=settings.include_gated_text)
        return Exit.DONE
    cells = _listed_cells(settings)
    if not cells:
        output.print(f"no runs in {settings.results_dir} yet; `evalsuite run suite=demo` makes one", markup=False)
        return Exit.DONE
    console.show(_tables(cells, output.width), "", output)
    return Exit.DONE


def show_json(settings: Report) -> Content:
    """What ``show`` prints as (``DONE``, fields of the document of ``output=json``): the list of runs, or the item.
    Raises as ``show`` does.
    """
    if settings.item is not None:
        from evalsuite.report.item import item_json

        return Exit.DONE, item_json(*_item(settings), include_gated_text=settings.include_gated_text)
    cells = _listed_cells(settings)
    runs = dict.fromkeys(cell.run for cell in cells)
    listed = [{"run": run, "cells": [cell.to_json() for cell in cells if cell.run == run]} for run in runs]
    return Exit.DONE, {"runs": listed}


def _listed_cells(settings: Report) -> list[ListedCell]:
    """The cells of the named runs (all runs if none is named), or only those of ``task``.

    Raises ``BadInput`` for an unknown run or task, and for ``repeat=`` without an item.
    """
    if settings.repeat is not None:
        raise BadInput(
            f"repeat={settings.repeat} needs run=R, task=T and item=I; `evalsuite show` lists runs and tasks"
        )
    results = Path(settings.results_dir)
    folders = [find_run(run, results) for run in settings.run] or [results / run for run in run_ids(results)]
    cells = [cell for folder in folders for cell in list_cells(folder)]
    if settings.task is not None:
        tasks = {cell.task for cell in cells}
        if settings.task not in tasks:
            raise unknown_name("task", settings.task, tasks)
        cells = [cell for cell in cells if cell.task == settings.task]
    return cells


def list_cells(run: Path) -> list[ListedCell]:
    """The cells in the folder of a run by model and task, each followed by its archived ones; last come archived cells
    in whose place no cell is now.

    A damaged cell is listed with the state ``damaged`` and the reason as its note.
    """
    cells: list[ListedCell] = []
    for folder in manifest.cell_folders(run):
        try:
            cell = TableCell(run.name, folder, read_manifest(folder))
            cells.append(_listed(cell))
        except BadInput as error:
            cells.append(ListedCell(run.name, folder.parent.name, folder.name, "damaged", note=str(error)))
        cells += [_archived(run.name, folder, path) for path in archived_cells(folder) if (path / MANIFEST).is_file()]
    for path in sorted(run.glob(f"*/{SUPERSEDED}/*")):  # forgotten: there is no such cell any more
        folder = path.parents[1] / path.name.rpartition("-")[0]
        if (path / MANIFEST).is_file() and not (folder / MANIFEST).is_file():
            cells.append(_archived(run.name, folder, path))
    return cells


def _tables(cells: Sequence[ListedCell], width: int) -> list[Table]:
    """One table of all runs if there are several and it fits ``width`` (columns of text), else one per run; notes stand
    below the last one. ``cells`` has at least one.
    """
    notes = [f"{cell.model}, {cell.task}: {cell.note}" for cell in cells if cell.note]
    if any(cell.demo for cell in cells):
        notes.append("demo models: not a claim about any real checkpoint")
    whole = Table("Runs and cells", _COLUMNS, tuple(cell.row for cell in cells), tuple(notes))
    runs = list(dict.fromkeys(cell.run for cell in cells))
    if len(runs) > 1 and console.fits(whole, width):
        return [whole]
    parts = [Table(run, _COLUMNS[1:], tuple(cell.row[1:] for cell in cells if cell.run == run)) for run in runs]
    last = parts[-1]
    return [*parts[:-1], Table(last.title, last.columns, last.rows, tuple(notes))]


def _listed(cell: TableCell) -> ListedCell:
    writer = lock.holder_of(cell.folder)
    summary, note = _summary(cell), ""
    score: _Score = (None, None)
    if summary is None:
        counts = count_samples(cell)
        measured, outcomes, note = counts.measured, dict(counts.outcomes), failed_text(counts.failed)
        if measured == cell.planned:
            score, note = _computed_score(cell)
    else:
        measured, outcomes, score = cell.planned, summary["outcomes"], _score(summary)
    complete = measured == cell.planned
    state = "running" if writer else "incomplete" if not complete else "complete"
    if state == "complete" and is_current(cell.folder):
        state = "sealed"
    part = cell.partial
    if (repeats := int(cell.manifest["repeats"])) > 1:
        part = f"{part or formats.count(len(cell.manifest['items'])) + ' items'} x {repeats}"
    return ListedCell(
        cell.run,
        cell.model,
        cell.task,
        state,
        *score,
        measured=measured,
        planned=cell.planned,
        outcomes={name: outcomes.get(name, 0) for name in OUTCOMES},
        partial=bool(cell.partial),
        part=part,
        title=cell.title,
        note=f"written by {writer}" if writer else note,
        demo=cell.demo,
    )


_Score = tuple[float | None, Interval | None]
"""A score with its 95 % interval, fractions of 1."""


def _computed_score(cell: TableCell) -> tuple[_Score, str]:
    """(score and interval of a fully measured cell, computed from its samples; why it has none).

    Both values of the score are None and the reason is a text where it is withheld; else the reason is empty.
    """
    from evalsuite.analysis.scores import score_cell  # pandas and scipy, which no other cell of a listing needs
    from evalsuite.analysis.table import table_of

    found = score_cell(table_of([cell]), cell)
    if found.scored is None:
        return (None, None), found.withheld
    return (found.scored.score, found.scored.ci95), ""


def _archived(run: str, folder: Path, path: Path) -> ListedCell:
    """The entry of an archived cell at ``path``, with the values of its summary (a score only where that is complete);
    ``folder`` is where the cell had been.
    """
    reason = path / "reason.txt"
    why = reason.read_text(encoding="utf-8").strip() if reason.is_file() else ""
    at = path.name.removeprefix(f"{folder.name}-")
    summary = _read(path / "summary.json") or {}
    score: _Score = _score(summary) if summary.get("complete") else (None, None)
    note = f"superseded {at}, its answers are kept" + (f" (reason: {why})" if why else "")
    samples, outcomes = summary.get("samples"), summary.get("outcomes", {})
    counts = {"measured": samples, "planned": samples, "outcomes": outcomes}
    return ListedCell(run, folder.parent.name, folder.name, "superseded", *score, **counts, note=note)


def _score(summary: Mapping[str, Any]) -> _Score:
    bounds = summary.get("ci95")
    return summary.get("score"), (bounds[0], bounds[1]) if bounds else None


def _summary(cell: TableCell) -> Mapping[str, Any] | None:
    """The content of a cell's ``summary.json``; None unless it is complete and of the present plan and version."""
    summary = _read(cell.folder / "summary.json") or {}
    fits = (
        {"score", "outcomes"} <= summary.keys() and summary.get("complete") and summary.get("planned") == cell.planned
    )
    return summary if fits and summary.get("version") == cell.manifest["version"] else None


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a ``summary.json``; None where there is none, or one that is no JSON object or has values that no
    summary has.
    """
    if not path.is_file():
        return None
    try:
        summary = parse_json(path.read_bytes())
    except ValueError:
        return None
    return summary if isinstance(summary, dict) and _is_sound(summary) else None


def _is_sound(summary: Mapping[str, Any]) -> bool:
    outcomes, bounds = summary.get("outcomes", {}), summary.get("ci95")
    if not isinstance(outcomes, dict) or not (bounds is None or (isinstance(bounds, list) and len(bounds) == 2)):
        return False
    shares = [share for share in (summary.get("score"), *(bounds or ())) if share is not None or bounds]
    counts = [*outcomes.values(), summary.get("samples") or 0]
    return all(type(share) in (int, float) and isfinite(share) for share in shares) and set(map(type, counts)) <= {int}


def _item(settings: Report) -> "tuple[list[Answers], list[int]]":
    """(the answers to ``settings.item`` by cell, the numbers of the repeats to be shown).

    Raises ``BadInput`` without a run and a task, and for a task, item or repeat that does not exist.
    """
    from evalsuite.report.item import answers_of

    item, results = str(settings.item), Path(settings.results_dir)
    if not settings.run or settings.task is None:
        raise BadInput(f"item={item} needs run=R and task=T; `evalsuite show` lists both")
    cells = [cell for run in settings.run for cell in run_cells(find_run(run, results))]
    asked = [cell for cell in cells if cell.task == settings.task]
    if not asked:
        raise unknown_name("task", settings.task, {cell.task for cell in cells})
    answers = answers_of(asked, item)
    if not any(answer.rows for answer in answers):
        examples = ", ".join(str(name) for name in asked[0].manifest["items"][:5])
        raise BadInput(f"no answer to item '{item}' of {settings.task} in these runs; items are {examples} ...")
    repeats = {repeat for answer in answers for repeat in answer.rows}
    if settings.repeat is not None and settings.repeat not in repeats:
        raise BadInput(f"no repeat {settings.repeat} of item '{item}'; there are {min(repeats)} to {max(repeats)}")
    return answers, sorted(repeats) if settings.repeat is None else [settings.repeat]
