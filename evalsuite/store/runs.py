"""The folder of runs: which run a command belongs to, which cells a run holds, and how a cell is archived."""

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from evalsuite.errors import BadInput, CellInUse, StorageFailed, unknown_name
from evalsuite.store import lock
from evalsuite.store.attempts import has_results, scan
from evalsuite.store.manifest import MANIFEST, cell_folders, differences, read_manifest
from evalsuite.store.samples import SAMPLES

CellName = tuple[str, str]
"""(model label, task): the two folders of a cell below its run's folder."""


@dataclass(frozen=True, slots=True)
class RunChoice:
    """The run that a command writes into, and the reason in a few words."""

    run_id: str
    why: str


def model_label(model: str, thinking: bool) -> str:
    """Name of a model's folder: its key, with ``-nothink`` appended where ``thinking`` is off, because that is part of
    what is measured."""
    return model if thinking else f"{model}-nothink"


def _new_run_id(suite: str | None) -> str:
    """``<suite>-<UTC time>``, such as ``card-20260531T120000Z``; with ``run`` where ``suite`` is None or empty."""
    return f"{suite or 'run'}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def choose_run(
    results: Path, run_id: str | None, suite: str | None, asked: Mapping[CellName, Mapping[str, Any]]
) -> RunChoice:
    """The run to write into, and why: ``run_id`` if it is given (not checked), else the newest run of this suite in
    ``results`` if all asked cells fit into it, else a new one, ``<suite>-<UTC time>`` (``run-<UTC time>`` without a
    suite). Runs of a suite are those with such names; the time in the name states which is newest.

    A cell fits where the run has none or one of the same identity. ``asked``: (model label, task) -> manifest of the
    cells that are asked for. Creates nothing. Raises ``BadInput`` for a damaged manifest there, ``StorageFailed`` for
    one that cannot be read.
    """
    if run_id is not None:
        state = "continued" if (results / run_id).is_dir() else "new"
        return RunChoice(run_id, f"named on the command line, {state}")
    pattern = re.compile(rf"{re.escape(suite or 'run')}-\d{{8}}T\d{{6}}Z")
    runs = sorted((path for path in results.glob("*") if pattern.fullmatch(path.name)), reverse=True)
    for run in runs[:1]:
        reason = _misfit(run, asked)
        if reason is None:
            return RunChoice(run.name, "the newest run of this suite, and the asked cells fit")
        return RunChoice(_new_run_id(suite), f"new: {run.name} does not fit ({reason})")
    return RunChoice(_new_run_id(suite), "new: there is none of this suite yet")


def _misfit(run: Path, asked: Mapping[CellName, Mapping[str, Any]]) -> str | None:
    """Why the asked cells cannot go into ``run`` (the first asked one that is there with another identity, and the
    first key, alphabetically, that differs); None if they can, as where ``run`` has none of them."""
    for (model, task), manifest in asked.items():
        folder = run / model / task
        if (folder / MANIFEST).exists():
            lines = differences(read_manifest(folder)["identity"], manifest["identity"])
            if lines:
                return f"{model}/{task} {lines[0]}"
    return None


SUPERSEDED, REASON = "superseded", "reason.txt"
"""Folder of archived cells in a model's folder, and the file in each of them that says why."""


def archive(folder: Path, reason: str) -> Path:
    """Move a cell to ``superseded/<task>-<UTC time>`` in its model's folder, with ``reason`` in a file there that
    reports show.

    Returns the new folder. Raises ``CellInUse`` for a cell that a living process has locked, ``StorageFailed`` if it
    cannot be moved, as where one was archived in the same second, or the reason cannot be written (then it is moved).
    """
    if holder := lock.holder_of(folder):
        raise CellInUse(f"{folder} is being written by {holder}; wait for it or stop it")
    target = folder.parent / SUPERSEDED / f"{folder.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        target.parent.mkdir(exist_ok=True)
        folder.rename(target)
        (target / lock.LOCK).unlink(missing_ok=True)  # of a process that was killed
        (target / REASON).write_text(reason + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot archive {folder}: {error.strerror or error}") from None
    return target


def archived_cells(folder: Path) -> list[Path]:
    """Folders of the archived cells whose place was ``folder``, oldest first by the times in their names; empty if
    there are none."""
    paths = sorted(folder.parent.glob(f"{SUPERSEDED}/{folder.name}-*"))
    return [path for path in paths if path.name.rpartition("-")[0] == folder.name]  # not those of task NAME-2


MOST_DISAGREEMENT = 0.02
"""Share of a log's own verdicts up to which ours may differ."""


def check_can_create(folder: Path) -> None:
    """Raise ``StorageFailed`` if ``folder`` cannot be created or, where it exists, is no folder or cannot be written
    into. It is not created: where it does not exist, an empty folder is made in its nearest existing parent, to try it,
    and removed.

    A run that is refused must leave nothing, and one that cannot be stored must send nothing.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if there != folder:
            Path(mkdtemp(prefix=".evalsuite-", dir=there)).rmdir()
        elif not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        elif not os.access(folder, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(number, os.strerror(number))
    except OSError as error:
        problem = f"cannot write into {folder}: {error.strerror or error}"
        raise StorageFailed(f"{problem}; another folder that can be written: results_dir=DIR") from None


BASELINE_SUFFIX = "@baseline"
"""Added to the name of a baseline's folder where a candidate has the same name (the same checkpoint, another night)."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One model x one task as it was found on disk."""

    run: str
    """Name of the run's folder."""
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Name of the model's folder: its key, with ``-nothink`` where thinking was switched off and ``@baseline`` for
        a baseline's copy beside a candidate of the same name.
        """
        return self.folder.parent.name

    @property
    def task(self) -> str:
        """Name of the task's folder."""
        return self.folder.name

    @property
    def identity(self) -> Mapping[str, Any]:
        """The manifest's ``identity``: the facts (model, task, sampling ...) that a continuation of the cell must
        share, as key -> value."""
        identity: Mapping[str, Any] = self.manifest["identity"]
        return identity

    @property
    def title(self) -> str:
        """The model's title for people (its folder's name where it has none), with `` (baseline)`` for a baseline's
        copy beside a candidate of the same name and `` (no thinking)`` where thinking is off."""
        title = str(self.manifest.get("title") or self.model)
        title += " (baseline)" if self.model.endswith(BASELINE_SUFFIX) else ""
        return f"{title} (no thinking)" if self.identity.get("thinking") is False else title

    @property
    def planned(self) -> int:
        """Number of samples asked for: items x repeats."""
        return len(self.manifest["items"]) * int(self.manifest["repeats"])

    @property
    def partial(self) -> str:
        """What part of the task was asked, as ``20 of 1,319 items``; empty for the whole task."""
        asked, total = len(self.manifest["items"]), int(self.manifest["total_items"])
        return f"{asked:,} of {total:,} items" if asked < total else ""

    @property
    def short(self) -> str:
        """What part of the task was asked, as ``20 of 1,319 items``, if the data themselves lacked items; empty if
        none lacked, or if a ``limit``, ``select`` or early stop left them out."""
        declared = self.manifest["selection"] is not None or self.manifest.get("stopped")
        return "" if declared else self.partial

    @property
    def contradiction(self) -> str:
        """Why an imported cell gets no score, a message: our grades differ from more than 2 % of the log's own
        verdicts; empty if not, if the log states none, or if it was accepted."""
        found = self.manifest.get("log_agreement") or {}
        same, verdicts = found.get("same"), found.get("verdicts")
        accepted = (self.manifest.get("accepted") or {}).get("log_disagreement")
        if (
            type(same) is not int
            or type(verdicts) is not int
            or accepted
            or verdicts - same <= MOST_DISAGREEMENT * verdicts
        ):
            return ""
        return (
            f"no score: {verdicts - same:,} of the log's {verdicts:,} own verdicts are others than ours. Was another "
            'variant= asked, or were choices shuffled? accept_log_disagreement="reason" scores it as it is'
        )

    @property
    def dataset_revision(self) -> str | None:
        """The commit of the dataset; None unless the questions were verified to be those of that commit."""
        revision = (self.manifest.get("data") or {}).get("revision")
        return revision if isinstance(revision, str) else None

    @property
    def demo(self) -> bool:
        """Whether this cell is of the embedded demo model (by its base URL, or a key that begins with ``demo_``): its
        scores are no claim about any real checkpoint."""
        return bool(self.manifest.get("demo"))

    @property
    def superseded(self) -> tuple[str, ...]:
        """The reasons why earlier cells of this model and task were archived, oldest first, of those that have a file
        with it; read from disk at each call; empty if none were archived."""
        return tuple(
            (path / REASON).read_text(encoding="utf-8").strip()
            for path in archived_cells(self.folder)
            if (path / REASON).is_file()
        )

    @property
    def recorded(self) -> datetime | None:
        """Time of the manifest's last ``server`` entry: when a server was connected, or found restarted with other
        settings. None if there is none (answers recorded elsewhere, no server accepted yet)."""
        served = self.manifest.get("server") or ()
        return datetime.fromisoformat(served[-1]["at"]) if served else None

    @property
    def imported(self) -> bool:
        """Whether the answers were recorded elsewhere and imported."""
        return self.manifest.get("imported") is not None


def forgotten(cells: Sequence[TableCell]) -> tuple[tuple[str, str, str], ...]:
    """(model, task, reason) of archived cells in the runs of ``cells`` whose place none of ``cells`` has, sorted by
    folder (run, model, then task and time); those without a file with the reason are left out."""
    there = {cell.folder for cell in cells}
    runs = dict.fromkeys(cell.folder.parents[1] for cell in cells)
    archived = sorted(path for run in runs for path in run.glob(f"*/{SUPERSEDED}/*/{REASON}"))
    found = []
    for path in archived:
        model, task = path.parents[2], path.parent.name.rpartition("-")[0]
        if model / task not in there:
            found.append((model.name, task, path.read_text(encoding="utf-8").strip()))
    return tuple(found)


def named_cells(*runs: str | Path, results_dir: str | Path = "results") -> tuple[TableCell, ...]:
    """The cells of one or several runs (ids below ``results_dir``, or paths), in the order of the runs, then of model
    and task.

    Cells without a table, a reply or a score are left out; a run that is named twice counts once. Raises ``BadInput``
    if no run is named, one does not exist or has no cells, no model has answered yet in any of them, a manifest is
    damaged, a journal is of another cell, or a model and task occur in two of the runs.
    """
    if not runs:
        known = ", ".join(run_ids(Path(results_dir))) or "none"
        raise BadInput(f"no run was named; runs in {results_dir}: {known}. Name one with run=R")
    by_name: dict[CellName, TableCell] = {}
    for folder in dict.fromkeys(find_run(run, Path(results_dir)) for run in runs):
        for cell in run_cells(folder):
            other = by_name.setdefault((cell.model, cell.task), cell)
            if other is not cell:
                raise BadInput(
                    f"{cell.model} x {cell.task} is in two of these runs, {other.run} and {cell.run}: "
                    "report them one at a time, or move one of the cells away"
                )
    if not by_name:
        raise BadInput(f"{', '.join(map(str, runs))}: no model has answered yet")
    return tuple(by_name.values())


def find_run(run: str | Path, results_dir: Path) -> Path:
    """The absolute folder of a run, given its id below ``results_dir`` (tried first) or its path.

    Raises ``BadInput`` if there is no such run (naming those that exist), or it holds no cells.
    """
    for folder in (results_dir / run, Path(run)):
        if folder.is_dir() and cell_folders(folder):
            return folder.resolve()
    if Path(run).is_dir() or (results_dir / run).is_dir():
        raise BadInput(f"{run} holds no cells (folders <model>/<task> with a {MANIFEST})")
    raise unknown_name("run", str(run), run_ids(results_dir), f"Runs are folders of {results_dir}.")


def run_ids(results_dir: Path) -> tuple[str, ...]:
    """Names of all runs in ``results_dir`` with at least one cell, archived or not, by the time of last change of their
    folders, oldest first; empty without ``results_dir``."""
    if not results_dir.is_dir():
        return ()
    folders = [
        folder
        for folder in results_dir.iterdir()
        if folder.is_dir() and (cell_folders(folder) or any(folder.glob(f"*/{SUPERSEDED}/*/{MANIFEST}")))
    ]
    return tuple(folder.name for folder in sorted(folders, key=lambda folder: (folder.stat().st_mtime_ns, folder.name)))


def run_cells(folder: Path) -> tuple[TableCell, ...]:
    """The cells in a run's folder that have a table, a reply or a score, sorted by model and task.

    Raises ``BadInput`` for a damaged manifest, or a journal of another cell.
    """
    return tuple(TableCell(folder.name, path, read_manifest(path)) for path in cell_folders(folder) if _begun(path))


def _begun(folder: Path) -> bool:
    """Whether a cell has a table, a reply or a score; one whose process was killed before the first answer has none."""
    return (folder / SAMPLES).exists() or has_results(scan(folder))
