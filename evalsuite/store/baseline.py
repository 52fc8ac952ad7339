"""Writes baselines as artefacts: one portable file with a model's cells, and the count of candidates compared with it.

An artefact is a zip archive with deterministic bytes: ``artefact.json`` (schema, facts, SHA-256 of every member and of
itself) and, per task, the cell's manifest, table and journals, so that its replies can be graded again by a later
grader. ``artefact`` opens them. ``<FILE>.compared.jsonl`` has one line for every candidate that was ever compared
with it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.records import SCHEMA, canonical_sha
from evalsuite.sandbox.archives import MAX_RATIO, SMALL
from evalsuite.store.artefact import INDEX, KIND, Artefact
from evalsuite.store.manifest import MANIFEST, read_manifest
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import SAMPLES, seal

COMPARED = ".compared.jsonl"
"""Added to the artefact's name: the candidates that were compared with it."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class CandidateCount:
    """The number of candidates that were compared with an artefact: the best of many looks better than it is."""

    total: int
    """Different candidates, this one included."""
    note: str = ""
    """The reason why this one could not be recorded; empty if it was."""


def write_artefact(cells: Sequence[TableCell], path: Path, accepted: Mapping[str, Any] | None = None) -> str:
    """Write ``cells`` (at least one, all of one model, one per task) as a baseline artefact at ``path``, atomically,
    and return the hash of its index. Missing folders are created.

    ``accepted``: ``baseline`` (name) and ``tasks`` (task -> ``delta`` and ``stderr``, fractions of 1) of the release
    that accepted this model; None: none. The same cells in the same order, with the file times of their journals in the
    same order, and the same ``accepted`` give the same bytes. A cell without ``samples.parquet`` gets one first, unless
    it is imported. Raises ``BadInput`` if a file with other content is at ``path`` or a cell without
    ``samples.parquet`` is damaged (one that has it is copied unread), ``StorageFailed`` if the artefact cannot be
    written or a file of a cell not be read.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            with zipfile.ZipFile(temporary, "w", strict_timestamps=True) as archive:
                sha = _fill(archive, cells, accepted or {}, method)
                sizes = [(entry.file_size, entry.compress_size) for entry in archive.infolist()]
            if not any(size > max(SMALL, MAX_RATIO / 2 * packed) for size, packed in sizes):
                break  # else answers loop, and are packed so well that a reader would refuse them
        if path.exists() and _file_sha(path) != _file_sha(temporary):
            raise BadInput(f"{path} is there with another content; a baseline is never overwritten: choose another to=")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):  # its folder may be a file
            temporary.unlink(missing_ok=True)
    return sha


def _fill(archive: zipfile.ZipFile, cells: Sequence[TableCell], accepted: Mapping[str, Any], method: int) -> str:
    files: dict[str, dict[str, Any]] = {}
    journals: dict[str, list[str]] = {}
    for cell in cells:
        if not (cell.folder / SAMPLES).exists():
            seal(cell.folder)
        ordered = sorted(cell.folder.glob("journal-*.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        journals[cell.task] = [path.name for path in ordered]  # of two lines on one attempt the later counts
        for path in (cell.folder / MANIFEST, cell.folder / SAMPLES, *sorted(ordered)):
            name = f"{cell.task}/{path.name}"
            with path.open("rb") as source, archive.open(_info(name, method), "w", force_zip64=True) as target:
                files[name] = _copy(source, target)
    facts = {"model": cells[0].model, "title": cells[0].title, "tasks": [_facts(cell) for cell in cells]}
    index = {"schema": SCHEMA, "kind": KIND, **facts, "journals": journals, "files": files}
    if accepted:
        index["accepted"] = dict(accepted)
    sha = canonical_sha(index)
    archive.writestr(
        _info(INDEX, method), json.dumps({**index, "sha256": sha}, indent=1, sort_keys=True, ensure_ascii=False)
    )
    return sha


def _facts(cell: TableCell) -> dict[str, Any]:
    """Facts of a cell for the index, which can be read without unpacking: task, run, number of items, time of recording
    (ISO 8601, None: unknown), identity, version, repeats and the number of items of the whole task."""
    manifest = cell.manifest
    recorded = None if cell.recorded is None else cell.recorded.isoformat()
    known = {name: manifest[name] for name in ("identity", "version", "repeats", "total_items")}
    return {"task": cell.task, "run": cell.run, "items": len(manifest["items"]), "recorded": recorded, **known}


def _info(name: str, method: int) -> zipfile.ZipInfo:
    """The zip entry of a member: fixed time and mode, and compression ``method`` (of ``zipfile``), none for Parquet
    files."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o644 << 16
    info.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else method
    return info


def _copy(source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return {"sha256": digest.hexdigest(), "bytes": size}


def _file_sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compared_candidates(path: Path) -> tuple[dict[str, Any], ...]:
    """Entries of ``<path>.compared.jsonl``: the candidates compared with the artefact ``path``, in the order of the
    lines, each once (its first line).

    An entry has ``candidate`` (a hash), ``run``, ``model``, ``checkpoint``, ``revision``, ``artefact`` (a hash),
    ``schema`` and ``at`` (time). Lines that are no JSON object with a ``candidate`` are left out; without the file the
    result is empty. Raises ``OSError`` if the file cannot be read.
    """
    record = path.with_name(path.name + COMPARED)
    entries: dict[str, dict[str, Any]] = {}
    if record.is_file():
        for line in record.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict) and isinstance(entry.get("candidate"), str):
                entries.setdefault(entry["candidate"], entry)
    return tuple(entries.values())


def record_compared(artefact: Artefact, candidates: Sequence[TableCell]) -> CandidateCount:
    """Append new candidates (one cell of each) to the artefact's ``.compared.jsonl`` and return the number of different
    candidates, those recorded before and these, with a note.

    The same model and checkpoint (with its revision) in a run of the same name counts once; in another run it counts
    again. One line is one ``write``, so that concurrent processes lose none. A file that cannot be written is no error:
    the count includes the candidates all the same, and the result's ``note`` (empty otherwise) gives the reason why not
    all were recorded. Raises ``OSError`` if the file is there and cannot be read.
    """
    known = {entry["candidate"] for entry in compared_candidates(artefact.path)}
    new = {key: cell for cell in candidates if (key := _candidate(cell)) not in known}
    record, note = artefact.path.with_name(artefact.path.name + COMPARED), ""
    lines = [json.dumps(_entry(artefact, key, cell), ensure_ascii=False, sort_keys=True) for key, cell in new.items()]
    try:
        for line in lines:
            handle = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(handle, line.encode() + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        note = f"not recorded in {record}: {error.strerror or error}"
    return CandidateCount(len(known | new.keys()), note)


def _candidate(cell: TableCell) -> str:
    identity = cell.identity
    return canonical_sha([cell.run, cell.model, identity.get("checkpoint"), identity.get("revision")])[:16]


def _entry(artefact: Artefact, key: str, cell: TableCell) -> dict[str, Any]:
    known = {name: cell.identity.get(name) for name in ("checkpoint", "revision")}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"schema": SCHEMA, "artefact": artefact.sha256, "candidate": key, "run": cell.run, "model": cell.model}
    return {**entry, **known, "at": at}


def copy_cell(cell: TableCell, folder: Path, label: str | None = None) -> TableCell:
    """Copy a cell to ``folder/<run>/<model>/<task>``, without lock and hidden files, and return the copy, its manifest
    read again (with the errors of ``read_manifest``).

    ``label`` replaces the name of the model's folder if it is given. Missing folders are created. Raises
    ``StorageFailed`` if the cell cannot be copied or the target is there already.
    """
    target = folder / cell.run / (label or cell.model) / cell.task
    ignore = shutil.ignore_patterns("lock", ".*")
    try:
        shutil.copytree(cell.folder, target, ignore=ignore)
    except (OSError, shutil.Error) as error:
        raise StorageFailed(f"cannot copy {cell.folder}: {error}") from None
    return TableCell(cell.run, target, read_manifest(target))
