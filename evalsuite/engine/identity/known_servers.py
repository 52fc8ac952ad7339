"""The servers that this results folder knows: is a new one somebody else, or no longer who it was?

The previous checkpoint that still sits on the port gives a delta of exactly nothing. So a server's fingerprint is held
against those of all other models on record before its first question, and against what answered before in its own cell.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.endpoint.identity import fingerprint as prints
from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.endpoint.identity.fingerprint import Fingerprint
from evalsuite.errors import BadInput, EndpointUnusable
from evalsuite.store.cell import Cell
from evalsuite.store.journal import PATTERN
from evalsuite.store.manifest import MANIFEST, cells, read_manifest

REMEDY = (
    "serve the right checkpoint and run again; models that are meant to be one say so with models.NAME.same_as=; "
    "engine.fingerprint=false asks without this check"
)


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One model that has answered somewhere here."""

    model: str
    cell: str
    """Where, as ``run/model/task``."""
    checkpoint: str | None
    revision: str | None
    same_as: str | None
    print: Fingerprint


def known_servers(results: Path, baseline: str | None = None) -> list[KnownServer]:
    """Every fingerprint below ``results``, and in ``baseline`` (an artefact or a run folder), one for each model.

    Cells that cannot be read are left out: they have a message of their own where they are used.
    """
    runs = sorted(path for path in results.glob("*") if path.is_dir()) if results.is_dir() else []
    found: list[KnownServer] = []
    for run in runs:
        for folder in cells(run):
            found += _of(_manifest(folder), f"{run.name}/{folder.parent.name}/{folder.name}")
    if baseline is not None:
        for where, manifest in _artefact(Path(baseline)):
            found += _of(manifest, where)
    seen: dict[str, KnownServer] = {}
    for one in found:
        seen.setdefault(json.dumps([one.model, one.print.to_json()], sort_keys=True), one)
    return list(seen.values())


def cells_of(results: Path, checkpoint: str) -> list[str]:
    """Cells below ``results`` whose model is this checkpoint, as ``run/model/task``."""
    found = []
    for run in sorted(results.glob("*")) if results.is_dir() else []:
        for folder in cells(run) if run.is_dir() else []:
            if _manifest(folder).get("identity", {}).get("checkpoint") == checkpoint:
                found.append(f"{run.name}/{folder.parent.name}/{folder.name}")
    return found


def refuse_doubles(
    name: str,
    identity: Mapping[str, Any],
    new: Fingerprint,
    known: Sequence[KnownServer],
    declared: Iterable[tuple[str, str]],
) -> list[str]:
    """Notes on models that this one cannot be told from. Raises ``EndpointUnusable`` naming the cell of another
    checkpoint that it is the same as.

    ``identity``: ``checkpoint`` and ``revision`` of the model ``name``; ``declared``: pairs of models said to be one.
    """
    one = _joined([*declared, *((other.model, other.same_as) for other in known if other.same_as)], name)
    notes: dict[str, str] = {}
    for other in known:
        if other.model == name:
            continue
        likeness = prints.compare(new, other.print)
        if likeness.verdict == "same" and other.model not in one:
            if (other.checkpoint, other.revision) == (identity.get("checkpoint"), identity.get("revision")):
                notes[other.model] = f"answers like {other.model}, which is the same checkpoint"
                continue
            raise EndpointUnusable(
                f"{name} answers exactly like {other.cell} ({likeness.words()}): is {other.model} still on this port? "
                f"{REMEDY[0].upper()}{REMEDY[1:]}"
            )
        if likeness.verdict == "different" and other.model in one:
            notes[other.model] = f"is said to be {other.model} (same_as), but answers differently ({likeness.words()})"
        elif likeness.verdict == "cannot tell" and other.model not in one and likeness.distance is not None:
            notes[other.model] = f"cannot be told from {other.model} by its answers ({likeness.words()})"
        if (counts := _counts(new, other.print)) and new.thinking == other.print.thinking:
            notes[f"{other.model} tokens"] = f"counts other prompt tokens than {other.model}: {counts}"
    return list(notes.values())


def refuse_change(cell: Cell, entry: Mapping[str, Any], new: Fingerprint | None) -> list[str]:
    """Notes on how this server differs from the one that answered before in ``cell``. Raises ``EndpointUnusable``
    where its answers are another model's."""
    before = cell.manifest["server"]
    if not before or not any(cell.folder.glob(PATTERN)):
        return []
    last = before[-1]
    changes = differing_facts({"server": [last]}, {"server": [entry]})
    facts = [f"{one.name}: {one.baseline} -> {one.candidate}" for one in changes]
    old = next((found for one in reversed(before) if (found := prints.from_json(one.get("fingerprint")))), None)
    where = f"{cell.label}/{cell.folder.name}"
    if old is not None and new is not None:
        likeness = prints.compare(old, new)
        if likeness.verdict == "different":
            changed = "; ".join(facts) or "it states the same facts"
            raise EndpointUnusable(
                f"{where}: this is not the server that answered before ({likeness.words()}; {changed}). Serve what "
                "was served then, or ask again with redo=TASK reason=..., or use another run_id"
            )
        if likeness.verdict == "cannot tell":
            facts.append(f"fingerprint {likeness.words()}")
    return [f"{where}: the server has changed since it answered before: {'; '.join(facts)}"] if facts else []


def _counts(new: Fingerprint, old: Fingerprint) -> str:
    pairs = zip(new.prompt_tokens, old.prompt_tokens, strict=False)
    return ", ".join(f"{a} for {b}" for a, b in pairs if a is not None and b is not None and a != b)


def _joined(pairs: Iterable[tuple[str, str]], name: str) -> set[str]:
    """All models that are declared to be one with ``name``, over any number of steps."""
    known, links = {name}, list(pairs)
    while more := {end for pair in links for end in pair if known & set(pair)} - known:
        known |= more
    return known


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return read_manifest(folder)
    except BadInput:
        return {}


def _artefact(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Manifests of a saved baseline or a run folder."""
    if path.is_dir():
        yield from ((f"{path.name}/{one.parent.name}/{one.name}", _manifest(one)) for one in cells(path))
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(MANIFEST):
                    yield f"{path.name}:{member.removesuffix('/' + MANIFEST)}", json.loads(archive.read(member))


def _of(manifest: Mapping[str, Any], where: str) -> Iterator[KnownServer]:
    identity = manifest.get("identity") or {}
    for entry in manifest.get("server") or ():
        found = prints.from_json(entry.get("fingerprint"))
        if found is not None and identity.get("model"):
            yield KnownServer(
                identity["model"],
                where,
                identity.get("checkpoint"),
                identity.get("revision"),
                entry.get("same_as"),
                found,
            )
