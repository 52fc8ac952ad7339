"""The stored replies of a cell are graded again; nothing is sent."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from evalsuite.config.settings import Data
from evalsuite.engine.conversation import Conversation
from evalsuite.engine.judge_client import JudgeClient
from evalsuite.engine.stored.shown_choices import noted_order, score_shown
from evalsuite.errors import BadInput, SampleFailed
from evalsuite.records import Item, Reply, Sample, Score, Usage, data_sha
from evalsuite.store.attempts import SIMULATOR
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.imported import write_imported
from evalsuite.store.samples import read_samples, seal
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.base import Adapter, SingleTurn, Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.grading.degenerate import degenerate
from evalsuite.tasks.loading import all_items
from evalsuite.tasks.registry import build

_GRADED = ("correct", "wrong", "no_answer")
"""Outcomes that only a reply can have."""
Changes = Counter[tuple[str, str]]
"""(outcome before, outcome now) -> samples."""


def grade(folder: Path, manifest: dict[str, Any], adapter: Adapter, items: dict[str, Item]) -> Changes:
    """Grade a cell's stored replies again with ``adapter`` and ``items`` (see ``load``), and write scores, table and
    version. ``manifest`` is the cell's. Call it outside an event loop.

    Returns (outcome before, outcome now) -> number of samples, equal outcomes included; samples that were ``failed``
    before count only if the cell is imported. Raises
    ``BadInput`` if this machine cannot grade them (the scores then stay as they are), the cell is damaged or a reply is
    to another prompt than the task has now, ``CellInUse`` if a process writes it, ``StorageFailed``.
    """
    reason = str(getattr(adapter, "cannot_grade", str)())
    if reason:
        raise BadInput(f"{folder} keeps its scores: {reason}")
    if manifest["imported"] is not None:
        return _grade_imported(folder, manifest, adapter, items)
    return _replay(folder, manifest, adapter, items)


def load(folder: Path, manifest: dict[str, Any], data: Data) -> tuple[Adapter, dict[str, Item]]:
    """The adapter with which a cell was asked, and all items of its task by id; ``data``: where the questions are
    loaded from (with kind ``hub`` the local folder that the cell was asked from comes first, if it is still there).

    Raises ``BadInput`` if the cell was asked with another protocol or other questions than are here now, or they cannot
    be loaded; ``StorageFailed`` if a cache of them cannot be used.
    """
    identity = manifest["identity"]
    source = _source(manifest, data)
    seed = 0 if identity["seed"] is None else identity["seed"]
    options = identity["options"]
    adapter = build(identity["adapter"], variant=identity["variant"], options=options, source=source, seed=seed)
    if adapter.version.partition(".")[0] != identity["protocol"]:
        raise BadInput(f"{folder} was asked with protocol {identity['protocol']}, here is {adapter.version}: ask again")
    items = all_items(identity["task"], adapter, source)
    if data_sha(items) != identity["data_sha"]:
        raise BadInput(f"{folder} was asked with other questions than data={source.kind} {source.root or ''} holds")
    return adapter, {item.id: item for item in items}


def _source(manifest: dict[str, Any], data: Data) -> Source:
    """The questions' source: ``data``, or where its kind is ``hub`` the local folder that the cell was asked from if it
    is still there.

    A command without ``data=`` has ``hub``; ``load`` compares the hash of all questions whatever the source is.
    """
    kept = manifest.get("data") or {}
    root = kept.get("root")
    if data.kind == "hub" and kept.get("kind") == "local" and isinstance(root, str) and Path(root).is_dir():
        return Source("local", root)
    return Source(data.kind, data.root)


def _replay(folder: Path, manifest: dict[str, Any], adapter: Adapter, items: dict[str, Item]) -> Changes:
    """Replay every recorded attempt but failed ones through the adapter, add the new scores to the journal, write the
    adapter's version in the manifest, and the table.

    Returns (outcome before, outcome now) -> number of these samples. Where a stored reply is missing, ``correct``,
    ``wrong`` and ``no_answer`` become ``failed``; any other score is kept: it need not have come from a reply.
    """
    columns = ["item_id", "repeat", "outcome", "value", "answer", "stage", "note", "prompt_sha", "rerolled"]
    rows = read_samples(folder, columns).to_pylist()
    changes: Changes = Counter()

    async def replay_all(cell: Cell) -> None:
        for row in rows:
            if row["outcome"] == "failed":
                continue
            key = (row["item_id"], row["repeat"])
            model = Conversation(cell, items[key[0]], key[1], {}, 0, None)
            simulator = Conversation(cell, items[key[0]], key[1], {}, 0, None, SIMULATOR)
            judge = JudgeClient(cell, key, manifest["judge"], {}, None) if manifest.get("judge") else None
            try:
                score = await adapter.attempt(items[key[0]], key[1], Tools(model.chat, simulator.chat, judge))
            except SampleFailed:  # its score came from the server, such as a prompt that did not fit: it is kept
                score = Score(row["value"], row["outcome"], row["answer"], row["stage"], note=row["note"])
                if row["outcome"] in _GRADED:
                    score = Score(None, "failed", note="its stored reply is damaged: the run asks it again")
            changes[row["outcome"], score.outcome] += 1
            prompt_sha, rerolled = row["prompt_sha"], row["rerolled"]
            cell.record_score(model.sample(score, version=adapter.version, rerolled=rerolled, prompt_sha=prompt_sha))
        await cell.flush()

    with JournalWriter() as writer:
        cell = open_cell(folder, manifest, writer)
        try:
            asyncio.run(replay_all(cell))
            cell.update({"version": adapter.version})
        finally:
            cell.close()
    seal(folder)
    return changes


def _grade_imported(folder: Path, manifest: dict[str, Any], adapter: Adapter, items: dict[str, Item]) -> Changes:
    """Grade the stored texts of an imported cell again and write its table and manifest again.

    ``adapter`` is a single-turn one, ``items`` (by id) holds every item of the table. Failed samples, as those without
    a text, stay failed. ``manifest`` itself is not changed; the one that is written has the adapter's version.

    Returns (outcome before, outcome now) -> number of samples, equal outcomes included.
    """
    rows = read_samples(folder).to_pylist()
    changes: Changes = Counter()
    single = cast("SingleTurn", adapter)

    def graded() -> Iterator[Sample]:
        for row in rows:
            item = items[row["item_id"]]
            reply: Reply | None = None
            score = Score(None, "failed", note=row["note"])
            if row["outcome"] != "failed":
                usage = Usage(row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"])
                reply = Reply(row["text"], row["reasoning"], row["finish_reason"], usage=usage)
                score = score_shown(single, item, row["repeat"], reply, noted_order(row["note"]))
            changes[row["outcome"], score.outcome] += 1
            yield Sample(
                row["task"],
                adapter.version,
                row["variant"],
                row["model"],
                item.id,
                row["repeat"],
                score,
                item.cluster,
                item.weight,
                item.groups,
                reply=reply,
                degenerate="" if reply is None else degenerate(reply, item, call_as_text=score.stage == "as_text"),
            )

    write_imported(folder, {**manifest, "version": adapter.version}, graded())
    return changes
