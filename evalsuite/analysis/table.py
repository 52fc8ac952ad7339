"""Loads the samples of several cells into one typed table.

A run is a folder ``results/<run_id>/`` of cells; a cell is one model on one task. ``load_run`` reads all columns except
the texts, which stay on disk (``store.samples.read_rows`` reads those of one item).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evalsuite.analysis.degenerate import signs_of
from evalsuite.errors import BadInput, unknown_name
from evalsuite.store.runs import TableCell, named_cells
from evalsuite.store.samples import COLUMNS, read_samples

LIGHT_COLUMNS: tuple[str, ...] = tuple(
    name for name in COLUMNS if name not in ("text", "reasoning", "answer", "note", "parts", "stage", "task")
)
"""Columns that are read into the table: all except the texts."""
_GROUP = "group."


@dataclass(frozen=True, slots=True)
class RunTable:
    """Samples of several cells, one row per item and repeat, with the cells they come from."""

    samples: pd.DataFrame
    """The columns of ``samples.parquet`` without texts, plus ``task`` (the folder's name), ``fault`` (``server``,
    ``judge``, ``simulator`` or ``sandbox`` when the sample has no value, else empty) and one column ``group.<name>``
    per group. ``value`` is a fraction of 1, or NaN when nothing was measured."""
    cells: tuple[TableCell, ...]
    """The cells, in the order of the runs that were named."""

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models, each once, in the order of ``cells``."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks, each once, in order of first appearance in ``cells``."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells))

    def title(self, model: str) -> str:
        """Look up the title of a model.

        Args:
            model: Name of a model that has a cell.

        Returns:
            The title of its first cell.
        """
        return next(cell.title for cell in self.cells if cell.model == model)

    def find(self, model: str, task: str) -> TableCell | None:
        """Look up the cell of a model and a task.

        Args:
            model: Name of the model.
            task: Name of the task.

        Returns:
            The cell; None when the table has none.
        """
        return next((cell for cell in self.cells if cell.model == model and cell.task == task), None)

    def cell(self, model: str, task: str) -> TableCell:
        """Look up the cell of a model and a task that must exist.

        Args:
            model: Name of the model.
            task: Name of the task.

        Returns:
            The cell.

        Raises:
            BadInput: There is no such cell; the message lists the names that exist.
        """
        if model not in self.models:
            raise unknown_name("model", model, self.models)
        if task not in self.tasks:
            raise unknown_name("task", task, self.tasks)
        table_cell = self.find(model, task)
        if table_cell is None:
            tasks = ", ".join(cell.task for cell in self.cells if cell.model == model)
            raise BadInput(f"{model} has no cell of {task} in these runs; it has {tasks}")
        return table_cell

    def rows(self, cell: TableCell) -> pd.DataFrame:
        """Select the rows of one cell.

        Args:
            cell: A cell of this table.

        Returns:
            The rows of ``samples`` that belong to it.
        """
        frame = self.samples
        return frame[(frame["model"] == cell.model) & (frame["task"] == cell.task)]

    def groups(self, task: str) -> tuple[str, ...]:
        """List the groups that items of a task have, such as ``subject``.

        Args:
            task: Name of the task.

        Returns:
            Names of the groups, in the order of their columns in ``samples``; empty without any.
        """
        names = [str(name) for name in self.samples.columns if str(name).startswith(_GROUP)]
        rows = self.samples.loc[self.samples["task"] == task, names]
        return tuple(name.removeprefix(_GROUP) for name in names if bool(rows[name].notna().any()))


def group_column(name: str) -> str:
    """Return the column of ``RunTable.samples`` that holds the values of the group ``name``: ``group.<name>``."""
    return _GROUP + name


def load_run(*runs: str | Path, results_dir: str | Path = "results") -> RunTable:
    """Read one or several runs as one table.

    Args:
        runs: Run ids below ``results_dir``, or folders of runs.
        results_dir: Folder that holds the runs.

    Returns:
        The table of all their samples.

    Raises:
        BadInput: No run is named, a run is unknown or has no cells, no model has answered yet, a cell is damaged, or
            two runs hold the same model and task.
    """
    return table_of(named_cells(*runs, results_dir=results_dir))


def table_of(cells: Sequence[TableCell]) -> RunTable:
    """Read the samples of ``cells`` without their texts into one table (``RunTable.samples``), in which ``task``,
    ``model``, ``version``, ``variant``, ``outcome`` and ``degenerate`` are categories.

    There must be at least one cell. Raises ``BadInput`` for a damaged one.
    """
    frames = [_with_groups(_read(cell, LIGHT_COLUMNS)) for cell in cells]
    samples = pd.concat(frames, ignore_index=True)
    for name in ("task", "model", "version", "variant", "outcome", "degenerate"):
        samples[name] = samples[name].astype("category")
    return RunTable(samples, tuple(cells))


def _read(cell: TableCell, columns: Sequence[str]) -> pd.DataFrame:
    frame: pd.DataFrame = read_samples(cell.folder, columns).to_pandas()
    frame["degenerate"] = signs_of(cell, frame)
    return frame.assign(model=cell.model, task=cell.task, fault=_faults(cell, frame))


def _faults(cell: TableCell, frame: pd.DataFrame) -> list[str]:
    """Return for each row of ``frame``, the cell's samples, the cause of a missing value: ``server``, ``judge``,
    ``simulator`` or ``sandbox``; "" where there is a value. Reads the notes from the cell's folder.
    """
    missing = frame["value"].isna().to_numpy()
    if not missing.any():
        return [""] * len(frame)
    notes = read_samples(cell.folder, ["note"])["note"].to_pylist()
    outcomes = frame["outcome"].astype(str)
    return [
        _fault(outcome, str(note or "")) if is_missing else ""
        for is_missing, outcome, note in zip(missing, outcomes, notes, strict=True)
    ]


def _fault(outcome: str, note: str) -> str:
    if outcome == "ungraded" and note.startswith("no sandbox"):
        return "sandbox"
    if outcome == "ungraded" or note.startswith(("judge", "the judge", "no verdict of")):
        return "judge"
    return "simulator" if note.startswith("simulator") or "simulated user" in note else "server"


def _with_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the column ``groups`` (JSON texts) replaced by one column ``group.<name>`` per group, in
    the order of their names; NaN where an item lacks it.
    """
    parsed = {text: json.loads(text or "{}") for text in frame["groups"].unique()}
    names = sorted({name for groups in parsed.values() for name in groups})
    columns = {
        group_column(name): frame["groups"].map({text: groups.get(name) for text, groups in parsed.items()})
        for name in names
    }
    return frame.drop(columns="groups").assign(**columns)
