"""Grade stored answers of judged tasks, all cells by one judge in one pass."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from evalsuite.config.settings import Report
from evalsuite.engine.auxiliary import AuxiliaryClient, connect_auxiliary
from evalsuite.engine.conversation import Conversation
from evalsuite.engine.judge_client import judging
from evalsuite.engine.stopping import Stop
from evalsuite.engine.stored.rescore import load
from evalsuite.records import Item
from evalsuite.store.cell import Cell, close_cells, open_cell
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.base import Adapter, Tools
from evalsuite.tasks.grading.judge_prompt import identity


@dataclass(frozen=True, slots=True)
class JudgeBatch:
    """A cell whose answers are judged."""

    cell: Cell
    adapter: Adapter
    items: dict[str, Item]
    attempts: tuple[tuple[str, int], ...]


async def judge_cells(folders: list[Path], settings: Report) -> list[str]:
    """Judge all cells together; returns what to say of each."""
    assert settings.judge is not None
    aide = await connect_auxiliary(settings.judge, settings.engine)
    dockets: list[JudgeBatch] = []
    with JournalWriter() as commits:
        try:
            for folder in folders:
                manifest = read_manifest(folder)
                adapter, items = load(folder, manifest, settings.data)
                rows = read_samples(folder, ["item_id", "repeat", "outcome"]).to_pylist()
                attempts = tuple((row["item_id"], row["repeat"]) for row in rows if row["outcome"] != "failed")
                dockets.append(JudgeBatch(open_cell(folder, manifest, commits), adapter, items, attempts))
            return await _judge_all(dockets, aide)
        finally:
            await aide.client.close()
            await close_cells((docket.cell for docket in dockets), commits)


async def _judge_all(dockets: list[JudgeBatch], aide: AuxiliaryClient) -> list[str]:
    name, stop = identity(aide.client.model.checkpoint, aide.sampling), Stop()
    earlier = [{key: dict(docket.cell.verdicts(key)) for key in docket.attempts} for docket in dockets]
    waiting = asyncio.Semaphore(2 * aide.client.model.concurrency)

    async def one(docket: JudgeBatch, key: tuple[str, int]) -> None:
        async with waiting:
            item = docket.items[key[0]]
            turns = Conversation(docket.cell, item, key[1], {}, 0, None)
            tools = Tools(turns.chat, judge=judging(aide, docket.cell, key, stop))
            score = await docket.adapter.attempt(item, key[1], tools)
            rerolled = docket.cell.rerolled(key)
            version, asked = docket.adapter.version, turns.first_sha
            docket.cell.score(turns.sample(score, version=version, rerolled=rerolled, prompt_sha=asked))

    keys = sorted({key for docket in dockets for key in docket.attempts}, key=lambda key: (key[1], key[0]))
    async with asyncio.TaskGroup() as group:
        for key in keys:
            for docket in dockets:
                if key in docket.attempts:
                    group.create_task(one(docket, key))
    for docket in dockets:
        docket.cell.update({"judge": name})
    return [_line(docket, before, name) for docket, before in zip(dockets, earlier, strict=True)]


def _line(docket: JudgeBatch, earlier: dict[tuple[str, int], dict[tuple[str, str], bool]], name: str) -> str:
    """What one pass did, and how far other judges had said the same."""
    right = judged = 0
    agreed: Counter[str] = Counter()
    shared: Counter[str] = Counter()
    for key in docket.attempts:
        now = docket.cell.verdicts(key)
        for (sha, judge_name), verdict in now.items():
            if judge_name != name:
                continue
            judged += 1
            right += verdict
            for (other_sha, other), before in earlier[key].items():
                if other_sha == sha and other != name:
                    shared[other] += 1
                    agreed[other] += before == verdict
    line = f"{judged} answers judged by {name}, {right} right"
    return line + "".join(f"; agrees with {other} on {agreed[other]} of {count}" for other, count in shared.items())
