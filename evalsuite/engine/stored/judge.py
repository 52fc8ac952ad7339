"""Stored answers of judged tasks are judged later: all cells by one judge in one pass."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalsuite.config.settings import AuxiliaryModel, Data, Engine
from evalsuite.engine.auxiliary import AuxiliaryClient, connect_auxiliary
from evalsuite.engine.conversation import Conversation
from evalsuite.engine.judge_client import JudgeClient
from evalsuite.engine.stopping import Stop
from evalsuite.engine.stored.rescore import load
from evalsuite.errors import EvalsuiteError, SampleFailed
from evalsuite.records import Item
from evalsuite.store.attempts import AttemptKey, Verdicts
from evalsuite.store.cell import Cell, close_cells, open_cell
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.base import Adapter, Tools


@dataclass(frozen=True, slots=True)
class JudgeBatch:
    """A cell whose answers are judged."""

    cell: Cell
    adapter: Adapter
    items: dict[str, Item]
    attempts: tuple[AttemptKey, ...]


async def judge_cells(folders: Sequence[Path], judge: AuxiliaryModel, engine: Engine, data: Data) -> list[str]:
    """Judge the answers of the cells in ``folders`` and write verdicts, scores and, in the manifests, the judge's
    identity; returns one line on each cell.

    Answers that this judge has judged already are not sent again; failed attempts, and those without a stored reply,
    keep their scores. An answer that needs a verdict and gets none (the judge is lost, or states none) becomes
    ``ungraded``. Answers of the cells take turns, so that a judge whose verdicts drift drifts equally for all. The
    tables are not written again. ``data``: where the questions are loaded from. Raises ``EndpointUnusable`` if the
    judge cannot be used at the start, ``BadInput`` for its configuration, a damaged cell and as ``load``, ``CellInUse``
    for a cell that a process writes, ``StorageFailed``.
    """
    client = await connect_auxiliary(judge, engine)
    batches: list[JudgeBatch] = []
    with JournalWriter() as writer:
        try:
            for folder in folders:
                manifest = read_manifest(folder)
                adapter, items = load(folder, manifest, data)
                rows = read_samples(folder, ["item_id", "repeat", "outcome"]).to_pylist()
                attempts = tuple((row["item_id"], row["repeat"]) for row in rows if row["outcome"] != "failed")
                batches.append(JudgeBatch(open_cell(folder, manifest, writer), adapter, items, attempts))
            return await _judge_all(batches, client)
        finally:
            await client.pool.close()
            await close_cells((batch.cell for batch in batches), writer)


async def _judge_all(batches: list[JudgeBatch], client: AuxiliaryClient) -> list[str]:
    judge, send = client.identity, client.sender("judge", Stop())
    earlier = [{key: dict(batch.cell.verdicts(key)) for key in batch.attempts} for batch in batches]
    waiting = asyncio.Semaphore(2 * client.pool.model.concurrency)

    async def judge_attempt(batch: JudgeBatch, key: AttemptKey) -> None:
        async with waiting:
            item = batch.items[key[0]]
            conversation = Conversation(batch.cell, item, key[1], {}, 0, None)
            tools = Tools(conversation.chat, judge=JudgeClient(batch.cell, key, judge, client.sampling, send))
            try:
                score = await batch.adapter.attempt(item, key[1], tools)
            except SampleFailed:  # without a stored reply, such as a prompt that did not fit: its score is kept
                return
            rerolled = batch.cell.rerolled(key)
            version, prompt_sha = batch.adapter.version, conversation.first_sha
            batch.cell.record_score(
                conversation.sample(score, version=version, rerolled=rerolled, prompt_sha=prompt_sha)
            )

    keys = sorted({key for batch in batches for key in batch.attempts}, key=lambda key: (key[1], key[0]))
    try:
        async with asyncio.TaskGroup() as group:
            for key in keys:
                for batch in batches:
                    if key in batch.attempts:
                        group.create_task(judge_attempt(batch, key))
    except* EvalsuiteError as errors:
        raise errors.exceptions[0] from None
    for batch in batches:
        batch.cell.update({"judge": judge})
    return [_line(batch, before, judge) for batch, before in zip(batches, earlier, strict=True)]


def _line(batch: JudgeBatch, earlier: Mapping[AttemptKey, Verdicts], judge: str) -> str:
    """One line on a cell: how many answers ``judge`` has judged, how many of them right, and how often other judges
    (``earlier``: their verdicts by attempt) agreed with it on the same answer."""
    right = judged = 0
    agreed: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    for key in batch.attempts:
        for (sha, name), verdict in batch.cell.verdicts(key).items():
            if name != judge:
                continue
            judged += 1
            right += verdict.right
            for (other_sha, other), before in earlier[key].items():
                if other_sha == sha and other != judge:
                    shared[other] += 1
                    agreed[other] += before.right == verdict.right
    line = f"{judged} answers judged by {judge}, {right} right"
    return line + "".join(f"; agrees with {other} on {agreed[other]} of {count}" for other, count in shared.items())
