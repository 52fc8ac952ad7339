"""Cells of one or several runs as one typed table.

A run is a folder ``results/<run_id>/`` of cells (one model x one task). ``load_run`` reads everything that numbers
are made of and leaves the texts on disk; ``texts`` reads them for the few items that a person looks at.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalsuite.errors import BadInput, unknown_name
from evalsuite.store.runs import TableCell, named_cells
from evalsuite.store.samples import COLUMNS, read_samples

LIGHT_COLUMNS: tuple[str, ...] = tuple(
    name for name in COLUMNS if name not in ("text", "reasoning", "answer", "note", "parts", "stage", "task")
)
"""What numbers are made of: everything but the texts."""
_GROUP = "group."


@dataclass(frozen=True, slots=True)
class RunTable:
    """Samples of any cells, one row per item x repeat, with the cells they come from.

    ``samples`` has the columns of ``samples.parquet`` without texts, plus ``task`` (the folder's name), ``fault``
    (whose it is that there is no value) and one column ``group.<name>`` per group. ``value`` is a fraction of 1 and
    NaN where nothing was measured.
    """

    samples: pd.DataFrame
    cells: tuple[TableCell, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Models in the order in which their runs were named."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks in the order in which they are first met."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells))

    def title(self, model: str) -> str:
        """The title of a model that has a cell."""
        return next(cell.title for cell in self.cells if cell.model == model)

    def find(self, model: str, task: str) -> TableCell | None:
        """The cell of a model and a task, None if it was not run."""
        return next((cell for cell in self.cells if cell.model == model and cell.task == task), None)

    def cell(self, model: str, task: str) -> TableCell:
        """As ``find``; raises ``BadInput`` with the names that exist."""
        if model not in self.models:
            raise unknown_name("model", model, self.models)
        if task not in self.tasks:
            raise unknown_name("task", task, self.tasks)
        found = self.find(model, task)
        if found is None:
            having = ", ".join(cell.task for cell in self.cells if cell.model == model)
            raise BadInput(f"{model} has no cell of {task} in these runs; it has {having}")
        return found

    def of(self, cell: TableCell) -> pd.DataFrame:
        """The rows of one cell."""
        frame = self.samples
        return frame[(frame["model"] == cell.model) & (frame["task"] == cell.task)]

    def groups(self, task: str) -> tuple[str, ...]:
        """Names of the groups that items of a task have, such as ``subject``."""
        names = [str(name) for name in self.samples.columns if str(name).startswith(_GROUP)]
        rows = self.samples.loc[self.samples["task"] == task, names]
        return tuple(name.removeprefix(_GROUP) for name in names if bool(rows[name].notna().any()))


def group_column(name: str) -> str:
    """The column of ``RunTable.samples`` that holds a group's values."""
    return _GROUP + name


def load_run(*runs: str | Path, results_dir: str | Path = "results") -> RunTable:
    """Read one or several runs, each a run id below ``results_dir`` or a folder, as one table.

    Raises ``BadInput`` for an unknown run, a run without cells, a damaged cell, or a model x task that two of the
    runs both hold (they would be two answers to one question).
    """
    return table_of(named_cells(*runs, results_dir=results_dir))


def table_of(cells: Sequence[TableCell]) -> RunTable:
    """Read the samples of ``cells`` without their texts."""
    frames = [_with_groups(_read(cell, LIGHT_COLUMNS)) for cell in cells]
    samples = pd.concat(frames, ignore_index=True)
    for name in ("task", "model", "version", "variant", "outcome"):
        samples[name] = samples[name].astype("category")
    return RunTable(samples, tuple(cells))


def texts(cell: TableCell, item: str) -> tuple[dict[str, Any], ...]:
    """Every column of one item's samples, in order of the repeats; empty where it was not asked."""
    rows: list[dict[str, Any]] = read_samples(cell.folder, item=item).to_pylist()
    return tuple(sorted(rows, key=lambda row: int(row["repeat"])))


def _read(cell: TableCell, columns: Sequence[str]) -> pd.DataFrame:
    frame: pd.DataFrame = read_samples(cell.folder, columns).to_pandas()
    return frame.assign(model=cell.model, task=cell.task, fault=_faults(cell, frame))


def _faults(cell: TableCell, frame: pd.DataFrame) -> list[str]:
    """Whose fault it is that a sample has no value: ``server``, ``judge`` or ``simulator``; empty where it has one."""
    lacking = frame["value"].isna().to_numpy()
    if not lacking.any():
        return [""] * len(frame)
    notes = read_samples(cell.folder, ["note"])["note"].to_pylist()
    outcomes = frame["outcome"].astype(str)
    return [
        _fault(outcome, str(note or "")) if lacks else ""
        for lacks, outcome, note in zip(lacking, outcomes, notes, strict=True)
    ]


def _fault(outcome: str, note: str) -> str:
    if outcome == "ungraded" or note.startswith(("judge", "the judge", "no verdict of")):
        return "judge"
    return "simulator" if note.startswith("simulator") or "simulated user" in note else "server"


def _with_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Expand the JSON of the few distinct group values into one column per group."""
    parsed = {text: json.loads(text or "{}") for text in frame["groups"].unique()}
    names = sorted({name for groups in parsed.values() for name in groups})
    columns = {
        group_column(name): frame["groups"].map({text: groups.get(name) for text, groups in parsed.items()})
        for name in names
    }
    return frame.drop(columns="groups").assign(**columns)
