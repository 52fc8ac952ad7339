"""Cells of one or several runs as one typed table.

A run is a folder ``results/<run_id>/`` of cells (one model x one task). ``load_run`` reads everything that numbers
are made of and leaves the texts on disk; ``texts`` reads them for the few items that a person looks at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from evalsuite import store
from evalsuite.errors import BadInput, unknown_name

LIGHT_COLUMNS: tuple[str, ...] = tuple(
    name for name in store.COLUMNS if name not in ("text", "reasoning", "answer", "note", "parts", "stage", "task")
)
"""What numbers are made of: everything but the texts."""
AT_BASELINE = "@baseline"
"""Added to the name of a baseline's folder where a candidate has the same name (the same checkpoint, another night)."""
_GROUP = "group."


@dataclass(frozen=True, slots=True)
class TableCell:
    """One model x one task as it was found on disk."""

    run: str
    """Name of the run's folder."""
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Name of the model's folder: its key, with ``-nothink`` where thinking was switched off."""
        return self.folder.parent.name

    @property
    def task(self) -> str:
        """Name of the task's folder."""
        return self.folder.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """The keys that make this cell what it is."""
        found: Mapping[str, Any] = self.manifest["identity"]
        return found

    @property
    def title(self) -> str:
        """The model as people call it."""
        title = str(self.manifest.get("title") or self.model)
        title += " (baseline)" if self.model.endswith(AT_BASELINE) else ""
        return f"{title} (no thinking)" if self.identity.get("thinking") is False else title

    @property
    def planned(self) -> int:
        """Samples asked for: items x repeats."""
        return len(self.manifest["items"]) * int(self.manifest["repeats"])

    @property
    def partial(self) -> str:
        """What part of the task was asked, in words; empty for the whole task."""
        asked, total = len(self.manifest["items"]), int(self.manifest["total_items"])
        return f"{asked:,} of {total:,} items" if asked < total else ""

    @property
    def demo(self) -> bool:
        """Whether the embedded demo model answered: no claim about any real checkpoint."""
        return bool(self.manifest.get("demo"))

    @property
    def superseded(self) -> tuple[str, ...]:
        """Why earlier cells of this model and task were put aside and asked again, oldest first."""
        reasons = sorted(self.folder.parent.glob(f"superseded/{self.task}-*/reason.txt"))
        return tuple(path.read_text(encoding="utf-8").strip() for path in reasons)

    @property
    def recorded(self) -> datetime | None:
        """When the model's server was last asked; None for answers recorded elsewhere."""
        served = self.manifest.get("server") or ()
        return datetime.fromisoformat(served[-1]["at"]) if served else None

    @property
    def imported(self) -> bool:
        """Whether the answers were recorded elsewhere, so that their settings are unknown."""
        return self.manifest.get("imported") is not None


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


def named_cells(*runs: str | Path, results_dir: str | Path = "results") -> tuple[TableCell, ...]:
    """The cells of one or several runs. Raises ``BadInput`` as ``load_run``."""
    if not runs:
        known = ", ".join(run_ids(Path(results_dir))) or "none"
        raise BadInput(f"no run was named; runs in {results_dir}: {known}. Name one with run=R")
    found: dict[tuple[str, str], TableCell] = {}
    for folder in dict.fromkeys(find_run(run, Path(results_dir)) for run in runs):
        for cell in run_cells(folder):
            other = found.setdefault((cell.model, cell.task), cell)
            if other is not cell:
                raise BadInput(
                    f"{cell.model} x {cell.task} is in two of these runs, {other.run} and {cell.run}: "
                    "report them one at a time, or move one of the cells away"
                )
    return tuple(found.values())


def find_run(run: str | Path, results_dir: Path) -> Path:
    """The folder of a run, given its id or its path. Raises ``BadInput`` naming the runs that exist."""
    for folder in (results_dir / run, Path(run)):
        if folder.is_dir() and store.cells(folder):
            return folder.resolve()
    if Path(run).is_dir() or (results_dir / run).is_dir():
        raise BadInput(f"{run} holds no cells (folders <model>/<task> with a {store.MANIFEST})")
    raise unknown_name("run", str(run), run_ids(results_dir), f"Runs are folders of {results_dir}.")


def run_ids(results_dir: Path) -> tuple[str, ...]:
    """Names of all runs with at least one cell, oldest first."""
    if not results_dir.is_dir():
        return ()
    folders = [folder for folder in results_dir.iterdir() if folder.is_dir() and store.cells(folder)]
    return tuple(folder.name for folder in sorted(folders, key=lambda folder: (folder.stat().st_mtime_ns, folder.name)))


def run_cells(folder: Path) -> tuple[TableCell, ...]:
    """The cells of one run, sorted by model and task."""
    return tuple(TableCell(folder.name, path, store.read_manifest(path)) for path in store.cells(folder))


def table_of(cells: Sequence[TableCell]) -> RunTable:
    """Read the samples of ``cells`` without their texts."""
    frames = [_with_groups(_read(cell, LIGHT_COLUMNS)) for cell in cells]
    samples = pd.concat(frames, ignore_index=True)
    for name in ("task", "model", "version", "variant", "outcome"):
        samples[name] = samples[name].astype("category")
    return RunTable(samples, tuple(cells))


def texts(cell: TableCell, item: str) -> tuple[dict[str, Any], ...]:
    """Every column of one item's samples, in order of the repeats; empty where it was not asked."""
    rows: list[dict[str, Any]] = store.read_samples(cell.folder, item=item).to_pylist()
    return tuple(sorted(rows, key=lambda row: int(row["repeat"])))


def _read(cell: TableCell, columns: Sequence[str]) -> pd.DataFrame:
    frame: pd.DataFrame = store.read_samples(cell.folder, columns).to_pandas()
    return frame.assign(model=cell.model, task=cell.task, fault=_faults(cell, frame))


def _faults(cell: TableCell, frame: pd.DataFrame) -> list[str]:
    """Whose fault it is that a sample has no value: ``server``, ``judge`` or ``simulator``; empty where it has one."""
    lacking = frame["value"].isna().to_numpy()
    if not lacking.any():
        return [""] * len(frame)
    notes = store.read_samples(cell.folder, ["note"])["note"].to_pylist()
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
