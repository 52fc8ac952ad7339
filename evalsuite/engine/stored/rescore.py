"""Grade the stored replies of a cell again, without asking anybody."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from evalsuite.config.settings import Data
from evalsuite.engine.conversation import Conversation
from evalsuite.engine.judge_client import JudgeClient
from evalsuite.errors import BadInput, SampleFailed
from evalsuite.records import Item, Reply, Sample, Score, Usage, data_sha
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.samples import read_samples, seal, write_imported
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.base import Adapter, SingleTurn, Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build

Changes = Counter[tuple[str, str]]
"""(outcome before, outcome now) -> samples."""


def grade(folder: Path, manifest: dict[str, Any], adapter: Adapter, items: dict[str, Item]) -> Changes:
    """Grade a cell's stored replies again with ``adapter`` and write them down (see ``load``); returns what changed."""
    how = _imported if manifest["imported"] is not None else _asked
    return how(folder, manifest, adapter, items)


def load(folder: Path, manifest: dict[str, Any], data: Data) -> tuple[Adapter, dict[str, Item]]:
    """The adapter as the cell was asked with, and its items by id."""
    identity = manifest["identity"]
    source = Source(data.kind, data.root)
    seed = 0 if identity["seed"] is None else identity["seed"]
    options = identity["options"]
    adapter = build(identity["adapter"], variant=identity["variant"], options=options, source=source, seed=seed)
    if adapter.version.partition(".")[0] != identity["protocol"]:
        raise BadInput(f"{folder} was asked with protocol {identity['protocol']}, here is {adapter.version}: ask again")
    items = tuple(adapter.items())
    if data_sha(items) != identity["data_sha"]:
        raise BadInput(f"{folder} was asked with other questions than data={data.kind} {data.root or ''} holds")
    return adapter, {item.id: item for item in items}


def _asked(folder: Path, manifest: dict[str, Any], adapter: Adapter, items: dict[str, Item]) -> Changes:
    """Replay every recorded attempt through the adapter and add the new verdicts to the journal."""
    columns = ["item_id", "repeat", "outcome", "value", "answer", "stage", "note", "prompt_sha", "rerolled"]
    rows = read_samples(folder, columns).to_pylist()
    changes: Changes = Counter()

    async def all_of(cell: Cell) -> None:
        for row in rows:
            if row["outcome"] == "failed":
                continue
            key = (row["item_id"], row["repeat"])
            turns = Conversation(cell, items[key[0]], key[1], {}, 0, None)
            simulator = Conversation(cell, items[key[0]], key[1], {}, 0, None, who="simulator")
            judge = JudgeClient(cell, key, manifest["judge"], {}, None) if manifest.get("judge") else None
            try:
                score = await adapter.attempt(items[key[0]], key[1], Tools(turns.chat, simulator.chat, judge))
            except SampleFailed:  # its verdict was the server's, such as a prompt that did not fit: it stands
                score = Score(row["value"], row["outcome"], row["answer"], row["stage"], note=row["note"])
            changes[row["outcome"], score.outcome] += 1
            asked, again = row["prompt_sha"], row["rerolled"]
            cell.score(turns.sample(score, version=adapter.version, rerolled=again, prompt_sha=asked))
        await cell.flush()

    with JournalWriter() as commits:
        cell = open_cell(folder, manifest, commits)
        try:
            asyncio.run(all_of(cell))
            cell.update({"version": adapter.version})
        finally:
            cell.close()
    seal(folder)
    return changes


def _imported(folder: Path, manifest: dict[str, Any], adapter: Adapter, items: dict[str, Item]) -> Changes:
    """Grade the stored texts again and write the table anew."""
    rows = read_samples(folder).to_pylist()
    changes: Changes = Counter()
    single = cast("SingleTurn", adapter)

    def again() -> Iterator[Sample]:
        for row in rows:
            item = items[row["item_id"]]
            reply: Reply | None = None
            score = Score(None, "failed", note=row["note"])
            if row["outcome"] != "failed":
                usage = Usage(row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"])
                reply = Reply(row["text"], row["reasoning"], row["finish_reason"], usage=usage)
                score = single.score(item, row["repeat"], reply)
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
            )

    write_imported(folder, {**manifest, "version": adapter.version}, again())
    return changes
