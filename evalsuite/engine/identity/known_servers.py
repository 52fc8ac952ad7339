"""The servers that this results folder knows: is a new server one of them, or has one changed since it answered?

The previous checkpoint that still sits on the port gives a delta of exactly nothing. So a server's fingerprint is
compared with those of all other models on record before its first question, and with what answered before in its own
cell.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.endpoint.identity.differences import differing_facts, learnable, other_model
from evalsuite.endpoint.identity.fingerprint import Fingerprint, compare, from_json
from evalsuite.errors import BadInput, EndpointUnusable
from evalsuite.store import artefact
from evalsuite.store.cell import Cell
from evalsuite.store.journal import PATTERN
from evalsuite.store.manifest import cell_folders, read_manifest

REMEDY = (
    "serve the right checkpoint and run again; models that are meant to be one say so with models.NAME.same_as=; "
    "engine.fingerprint=false asks without this check"
)


@dataclass(frozen=True, slots=True)
class KnownServer:
    """One model that has answered in a run on record."""

    model: str
    cell: str
    """Where, as ``run/model/task``."""
    checkpoint: str | None
    revision: str | None
    same_as: str | None
    print: Fingerprint
    idle: tuple[str, ...] = ()
    """Facts of it that were found to change without any effect."""


@dataclass(frozen=True, slots=True)
class EarlierServers:
    """Where the servers on record are found, and which models are declared to be one."""

    results: Path
    """Folder of runs."""
    baseline: str | None = None
    """A baseline artefact or a run folder."""
    declared: Sequence[tuple[str, str]] = ()
    """Pairs of models that are one checkpoint (``same_as``)."""

    def known(self) -> list[KnownServer]:
        """The fingerprints on record, one or more per model (see ``known_servers``); read again at each call, as
        models of the present run are added. Raises as ``known_servers``."""
        return known_servers(self.results, self.baseline)


def known_servers(results: Path, baseline: str | None = None) -> list[KnownServer]:
    """Every fingerprint of a model in the runs below ``results`` and in ``baseline`` (an artefact or a run folder; none
    of it where that does not exist), each once, but again where other idle facts stand with it.

    Cells with a damaged manifest, or one of a later schema, are left out: they have a message of their own where they
    are used.
    Raises ``BadInput`` for a damaged artefact, ``StorageFailed`` for a file that the disk does not give.
    """
    runs = sorted(path for path in results.glob("*") if path.is_dir()) if results.is_dir() else []
    servers: list[KnownServer] = []
    for run in runs:
        for folder in cell_folders(run):
            servers += _servers(_manifest(folder), f"{run.name}/{folder.parent.name}/{folder.name}")
    if baseline is not None:
        for where, manifest in _baseline_manifests(Path(baseline)):
            servers += _servers(manifest, where)
    different: dict[str, KnownServer] = {}
    for server in servers:
        different.setdefault(json.dumps([server.model, server.print.to_json(), server.idle], sort_keys=True), server)
    return list(different.values())


def cells_of(results: Path, checkpoint: str) -> list[str]:
    """Cells below ``results`` whose model has this ``checkpoint``, as ``run/model/task``, in the order of their names;
    empty if there are none. Raises ``StorageFailed`` for a manifest that the disk does not give."""
    names = []
    for run in sorted(results.glob("*")) if results.is_dir() else []:
        for folder in cell_folders(run) if run.is_dir() else []:
            if _manifest(folder).get("identity", {}).get("checkpoint") == checkpoint:
                names.append(f"{run.name}/{folder.parent.name}/{folder.name}")
    return names


def refuse_duplicate(
    name: str,
    identity: Mapping[str, Any],
    new: Fingerprint,
    known: Sequence[KnownServer],
    declared: Iterable[tuple[str, str]],
) -> list[str]:
    """Compare a new model's fingerprint with those of other models, and return notes on those that it resembles.

    Also noted: declared equals that answer differently, and unequal token counts of equal prompts.

    Args:
        name: The new model's key.
        identity: Its ``checkpoint`` and ``revision``.
        new: Its fingerprint.
        known: The models on record.
        declared: Pairs of models that are declared to be one.

    Returns:
        Notes for people, without the name of the new model; empty if there is nothing to note.

    Raises:
        EndpointUnusable: It answers like (``same``) another checkpoint or revision to which it is not declared equal;
            the cell of that one is named.
    """
    links = [*declared, *((other.model, other.same_as) for other in known if other.same_as)]
    same_model = _declared_equal(links, name)
    notes: dict[str, str] = {}
    for other in known:
        if other.model == name:
            continue
        comparison = compare(new, other.print)
        if comparison.verdict == "same" and other.model not in same_model:
            if (other.checkpoint, other.revision) == (identity.get("checkpoint"), identity.get("revision")):
                notes[other.model] = f"answers like {other.model}, which is the same checkpoint"
                continue
            raise EndpointUnusable(
                f"{name} answers exactly like {other.cell} ({comparison.summary()}): is {other.model} still on this "
                f"port? {REMEDY[0].upper()}{REMEDY[1:]}"
            )
        if comparison.verdict == "different" and other.model in same_model:
            notes[other.model] = (
                f"is declared to be {other.model} (same_as), but answers differently ({comparison.summary()})"
            )
        elif comparison.verdict == "cannot tell" and other.model not in same_model and comparison.distance is not None:
            notes[other.model] = f"is not distinguishable from {other.model} by its answers ({comparison.summary()})"
        if (counts := _differing_counts(new, other.print)) and new.thinking == other.print.thinking:
            notes[f"{other.model} tokens"] = f"counts other prompt tokens than {other.model}: {counts}"
    return list(notes.values())


def refuse_change(cell: Cell, entry: Mapping[str, Any], new: Fingerprint | None) -> tuple[list[str], list[str]]:
    """Compare a server with the one that answered before in ``cell``; both lists are empty where none did.

    ``entry`` is the server's new entry in the manifest, ``new`` its fingerprint (None: none was taken). Returns (notes
    on what has changed, names of facts that are idle: changed while the answers stayed the same, and not listed as
    facts about the model). Raises ``EndpointUnusable`` where its answers, or its facts about the model, are another
    model's.
    """
    before = cell.manifest["server"]
    if not before or not any(cell.folder.glob(PATTERN)):
        return [], []
    last = before[-1]
    taken = (from_json(earlier.get("fingerprint")) for earlier in reversed(before))
    old = next((print_ for print_ in taken if print_ is not None), None)
    comparison = compare(old, new) if old is not None and new is not None else None
    idle = learnable(last, entry) if comparison is not None and comparison.verdict == "same" else []
    ignored = [*idle, *(cell.manifest.get("idle") or ())]
    changes = differing_facts({"server": [last], "idle": ignored}, {"server": [entry]})
    facts = [f"{change.name}: {change.baseline} -> {change.candidate}" for change in changes]
    where = f"{cell.label}/{cell.folder.name}"
    different = comparison is not None and comparison.verdict == "different"
    if different or other_model(last, entry):
        shown = [comparison.summary()] if comparison is not None and different else []
        shown += facts or ["it states the same facts"]
        raise EndpointUnusable(
            f"{where}: this is not the server that answered before ({'; '.join(shown)}). Serve what was served then, "
            "or ask again with redo=TASK reason=..., or use another run_id"
        )
    if comparison is not None and comparison.verdict == "cannot tell":
        facts.append(f"fingerprint {comparison.summary()}")
    notes = [f"{where}: the server has changed since it answered before: {'; '.join(facts)}"] if facts else []
    return notes, idle


def _differing_counts(new: Fingerprint, old: Fingerprint) -> str:
    """The prompts' token counts in which two fingerprints differ, as ``new for old``, joined by commas; empty if none
    does. Counts that one side lacks are left out.
    """
    pairs = zip(new.prompt_tokens, old.prompt_tokens, strict=False)
    return ", ".join(f"{a} for {b}" for a, b in pairs if a is not None and b is not None and a != b)


def _declared_equal(pairs: Iterable[tuple[str, str]], name: str) -> set[str]:
    """All models that are declared to be one with ``name`` by ``pairs``, over any number of steps; ``name``
    included."""
    models, links = {name}, list(pairs)
    while more := {end for pair in links for end in pair if models & set(pair)} - models:
        models |= more
    return models


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a cell; empty where it is missing, damaged or of a later schema. Raises ``StorageFailed`` where
    the disk does not give it."""
    try:
        return read_manifest(folder)
    except BadInput:
        return {}


def _baseline_manifests(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it is, manifest) of every cell in a saved baseline or a run folder; nothing if ``path`` does not exist.
    Raises ``BadInput`` for a damaged artefact, ``StorageFailed`` for a file that the disk does not give; a damaged
    manifest in a folder is empty."""
    if path.is_dir():
        yield from ((f"{path.name}/{cell.parent.name}/{cell.name}", _manifest(cell)) for cell in cell_folders(path))
    elif path.is_file():
        yield from ((f"{path.name}:{task}", manifest) for task, manifest in artefact.manifests(path))


def _servers(manifest: Mapping[str, Any], where: str) -> Iterator[KnownServer]:
    """The servers in the manifest of one cell whose fingerprint this version can read; none where the manifest names no
    model. ``where``: the name of the cell for messages."""
    identity = manifest.get("identity") or {}
    for entry in manifest.get("server") or ():
        print_ = from_json(entry.get("fingerprint"))
        if print_ is not None and identity.get("model"):
            yield KnownServer(
                model=identity["model"],
                cell=where,
                checkpoint=identity.get("checkpoint"),
                revision=identity.get("revision"),
                same_as=entry.get("same_as"),
                print=print_,
                idle=tuple(manifest.get("idle") or ()),
            )
