"""Opens baseline artefacts: everything in them is checked before it becomes a cell.

``sandbox.archives`` reads the archive, the index in it is checked against its own hash, and the files are unpacked
under names of evalsuite's own form into a fresh folder, which is moved into place when every hash holds.
"""

import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.model_checks import NAME, RESERVED
from evalsuite.errors import BadInput, StorageFailed
from evalsuite.records import SCHEMA, canonical_sha
from evalsuite.sandbox import archives
from evalsuite.store.foreign_table import check_table
from evalsuite.store.manifest import MANIFEST, cell_folders, check_manifest
from evalsuite.store.runs import TableCell, run_cells
from evalsuite.store.samples import SAMPLES

INDEX = "artefact.json"
KIND = "evalsuite baseline"
_TITLE = "baseline artefact"
MAX_GB = 50.0
"""Largest artefact that is unpacked, in GB of files, where ``baseline_max_gb`` states no other."""
_MAX_INDEX, _MAX_MANIFEST = 1 << 24, 1 << 26
"""Bytes."""
_JOURNAL = re.compile(r"journal-[A-Za-z0-9_]{1,40}-\d{1,10}-[0-9a-f]{8}\.jsonl")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Offset:
    """Difference from its baseline with which a release accepted a model; fractions of 1."""

    delta: float
    """Candidate minus baseline."""
    stderr: float
    """Standard error of the difference."""
    baseline: str
    """Name of the baseline."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """An opened baseline."""

    path: Path
    sha256: str
    """Hash of its index, which holds the SHA-256 of every member; verdicts name the artefact by it."""
    model: str
    title: str
    cells: tuple[TableCell, ...]
    """Unpacked; they exist as long as the artefact is open."""
    accepted: Mapping[str, Offset]
    """Task -> offset from the baseline against which a release accepted this model; empty where none was recorded."""


@contextmanager
def open_artefact(path: Path, max_gb: float = MAX_GB) -> Iterator[Artefact]:
    """Check a baseline artefact and yield it (hash of its index, model, cells, accepted offsets), its cells unpacked in
    a temporary folder that is deleted after the ``with`` block.

    ``max_gb``: most GB (10^9 bytes) of unpacked files. Raises ``BadInput`` when the file is missing, no artefact, torn,
    edited, larger than that (or than a set multiple of its own size), or holds a manifest or table that this version
    cannot read (of journals only the hash is checked); ``StorageFailed`` when it cannot be read or unpacked.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="evalsuite-baseline-")
    except OSError as error:
        raise StorageFailed(f"cannot unpack {path} into a temporary folder: {error.strerror or error}") from None
    with folder as home:
        yield unpack(path, Path(home), max_gb)


def unpack(path: Path, folder: Path, max_gb: float = MAX_GB) -> Artefact:
    """Check a baseline artefact and unpack its cells into the existing ``folder``, where they stay: ``folder/<file
    stem>/<model>/<task>`` (``baseline`` for a stem that is no valid name).

    ``max_gb``: most GB (10^9 bytes) of unpacked files. Returns the artefact with its cells; raises as
    ``open_artefact``, and ``StorageFailed`` if the target is there already (other than as an empty folder). A failure
    may leave a hidden folder ``.unpacked-*`` in ``folder``.
    """
    if not path.is_file():
        raise BadInput(f"baseline_run={path}: there is no such file")
    run = folder / (path.stem if NAME.fullmatch(path.stem) else "baseline")
    try:
        fresh = Path(tempfile.mkdtemp(prefix=".unpacked-", dir=folder))
        with archives.open_zip(path, _TITLE) as archive:
            index = read_index(archive, path)
            members = _members(index, path, max_gb)
            archives.unpack(path, archive, members, fresh)
        _check_cells(index, fresh, path)
        fresh.rename(run)
    except OSError as error:
        raise StorageFailed(f"cannot unpack {path}: {error.strerror or error}") from None
    return Artefact(path, str(index["sha256"]), index["model"], index["title"], run_cells(run), _accepted(index))


def read_index(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The parsed ``artefact.json`` of an artefact, checked: kind, schema, types, its own hash, and that the archive
    holds exactly the files that it lists.

    ``path`` is the archive's, for messages. Raises ``BadInput`` if a check fails; ``ValueError``, ``BadZipFile``,
    ``EOFError`` or ``zlib.error`` for an index that is no JSON, damaged or too long, which ``archives.open_zip`` turns
    into ``BadInput``.
    """
    names = archive.namelist()
    if INDEX not in names:
        raise BadInput(f"{path} is no baseline artefact: it has no {INDEX}. `evalsuite baseline save` makes one")
    index = archives.parse_json(archives.read_entry(archive, INDEX, _MAX_INDEX))
    if not isinstance(index, dict) or index.get("kind") != KIND or index.get("schema") not in range(1, SCHEMA + 1):
        raise BadInput(f"{path} is no baseline artefact that this version reads (schema up to {SCHEMA})")
    if canonical_sha({key: value for key, value in index.items() if key != "sha256"}) != index.get("sha256"):
        raise BadInput(f"{path} was edited: its {INDEX} does not have the hash that it states")
    problem = _index_problem(index)
    if problem:
        raise BadInput(f"{path} was not written by `evalsuite baseline save`: {problem}")
    if sorted(names) != sorted([INDEX, *index["files"]]):
        raise BadInput(f"{path} was edited: it does not hold exactly the files that its {INDEX} lists")
    return index


def _accepted(index: Mapping[str, Any]) -> dict[str, Offset]:
    """Task -> offset from the baseline with which a release accepted the model, from a checked index; empty if none is
    recorded."""
    accepted = index.get("accepted") or {}
    baseline = str(accepted.get("baseline"))
    return {
        task: Offset(float(offset["delta"]), float(offset["stderr"]), baseline)
        for task, offset in accepted.get("tasks", {}).items()
    }


def _accepted_problem(accepted: Any) -> str:
    """What is wrong with the ``accepted`` entry of an index (types, or numbers outside -1 to 1); empty if nothing
    is."""
    if not isinstance(accepted, dict) or not isinstance(accepted.get("baseline"), str):
        return "its accepted offsets name no baseline"
    tasks = accepted.get("tasks")
    if not isinstance(tasks, dict):
        return "its accepted offsets are of no tasks"
    for task, offset in tasks.items():
        numbers = [offset.get(key) for key in ("delta", "stderr")] if isinstance(offset, dict) else [None]
        if not all(isinstance(number, int | float) and -1 <= number <= 1 for number in numbers):
            return f"its accepted offset of {task[:100]!r} is no number"
    return ""


def _index_problem(index: Mapping[str, Any]) -> str:
    """What is wrong with an index, as a clause for a message: invalid names, files that no cell has, sizes or hashes
    that cannot be, impossible accepted offsets; empty if nothing is."""
    model, title, files, journals = (index.get(name) for name in ("model", "title", "files", "journals"))
    if not isinstance(model, str) or not is_name(model):
        return f"model {str(model)[:100]!r} is no name"
    if not isinstance(title, str) or not isinstance(files, dict) or not isinstance(journals, dict):
        return "title, files or journals is missing"
    expected: list[str] = []
    for task, names in journals.items():
        if not is_name(task):
            return f"task {task[:100]!r} is no name"
        if not isinstance(names, list) or not all(isinstance(name, str) and _JOURNAL.fullmatch(name) for name in names):
            return f"the journals of {task} have other names than journals"
        expected += [f"{task}/{name}" for name in (MANIFEST, SAMPLES, *names)]
    if "accepted" in index and (problem := _accepted_problem(index["accepted"])):
        return problem
    if not journals or sorted(expected) != sorted(files):
        return "its files are not those of its tasks"
    for name, facts in files.items():
        if not isinstance(facts, dict) or facts.keys() != {"bytes", "sha256"}:
            return f"{name} has no size and hash"
        size, sha = facts["bytes"], facts["sha256"]
        if type(size) is not int or size < 0 or not isinstance(sha, str) or not _SHA256.fullmatch(sha):
            return f"{name} has no size and hash"
        if name.endswith(MANIFEST) and size > _MAX_MANIFEST:
            return f"{name} is {size:,} bytes"
    return ""


def is_name(name: str) -> bool:
    """Whether ``name`` may be a model's or task's folder: of the allowed form, and none of the reserved names
    (``report``, ``superseded``, ``lock``)."""
    return bool(NAME.fullmatch(name)) and name not in (*RESERVED, "superseded", "lock")


def _members(index: Mapping[str, Any], path: Path, max_gb: float) -> list[archives.Member]:
    """The files to unpack: name in the archive, target path ``<model>/<name>``, size and SHA-256 of each.

    Raises ``BadInput`` if they sum to more than ``max_gb`` (10^9 bytes) or to too large a multiple of the archive
    ``path``.
    """
    total = sum(facts["bytes"] for facts in index["files"].values())
    if total > max_gb * 1e9:
        raise BadInput(
            f"{path} would unpack to {total / 1e9:,.1f} GB, over baseline_max_gb={max_gb:g}; if you trust it: "
            f"baseline_max_gb={int(total / 1e9) + 1}"
        )
    if total > archives.MAX_RATIO * path.stat().st_size:
        raise BadInput(f"{path} would unpack to over {archives.MAX_RATIO} times its size: not opened")
    return [
        archives.Member(name, f"{index['model']}/{name}", facts["bytes"], facts["sha256"])
        for name, facts in index["files"].items()
    ]


def _check_cells(index: Mapping[str, Any], run: Path, path: Path) -> None:
    """Check manifests and tables of the cells unpacked below ``run``; set the journals' file times to the order in the
    index.

    ``path`` is the artefact's, for messages. Raises ``BadInput`` for a damaged or impossible cell.
    """
    for task, names in index["journals"].items():
        folder = run / index["model"] / task
        try:
            manifest = archives.parse_json((folder / MANIFEST).read_bytes())
            check_manifest(manifest)
            check_table(folder / SAMPLES, manifest)
        except ValueError as error:
            raise BadInput(f"{path} is no baseline that this version reads: {task}: {error}") from None
        for number, name in enumerate(names):  # the store reads journals in the order of their numbers, then times
            os.utime(folder / name, ns=(number * 10**9, number * 10**9))


@contextmanager
def baseline_cells(path: str | None, max_gb: float = MAX_GB) -> Iterator[dict[str, Path]]:
    """Yields task -> cell folder of ``baseline_run=``: a run's folder, or an artefact, unpacked for the time of the
    block.

    Where several models of a run have a task, the last by name is taken. ``path`` None yields an empty dictionary.
    ``max_gb`` and errors are those of ``open_artefact``; a run's folder has neither.
    """
    if path is None:
        yield {}
    elif Path(path).is_dir():
        yield {folder.name: folder for folder in cell_folders(Path(path))}
    else:
        with open_artefact(Path(path), max_gb) as artefact:
            yield {cell.task: cell.folder for cell in artefact.cells}


def manifests(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (task, checked manifest) of every cell of the artefact ``path`` without unpacking it; the hashes of its
    files are not compared. While iterated over, raises ``BadInput`` for a missing file, no artefact or an invalid
    manifest, ``StorageFailed`` if it cannot be read."""
    with archives.open_zip(path, _TITLE) as archive:
        for task in read_index(archive, path)["journals"]:
            manifest = archives.parse_json(archives.read_entry(archive, f"{task}/{MANIFEST}", _MAX_MANIFEST))
            check_manifest(manifest)
            yield task, manifest
