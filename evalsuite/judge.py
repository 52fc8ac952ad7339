"""The ``judge`` command: stored answers of judged tasks are graded now, all precisions by one judge in one pass.

Nothing is generated again. Answers of the cells take turns, so that a judge that drifts drifts for all alike; every
verdict is on disk before it counts, and a verdict of the same judge on the same answer is never asked for twice.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from evalsuite.adapters.base import Adapter, Tools
from evalsuite.asking import AideClient, Stop
from evalsuite.connecting import connect_aide
from evalsuite.errors import BadInput, Exit
from evalsuite.grading.judge import identity
from evalsuite.records import Item
from evalsuite.rescore import load
from evalsuite.settings import Report
from evalsuite.slots import judging
from evalsuite.store import Cell, Commits, cells, close_cells, open_cell, read_manifest, read_samples, seal
from evalsuite.summary import summarize
from evalsuite.table import find_run
from evalsuite.turns import Turns


@dataclass(frozen=True, slots=True)
class Docket:
    """A cell whose answers are judged."""

    cell: Cell
    adapter: Adapter
    items: dict[str, Item]
    attempts: tuple[tuple[str, int], ...]


def judge(settings: Report) -> Exit:
    """Grade the answers of every judged cell of the named runs with ``settings.judge``.

    Raises ``BadInput`` without a judge or judged cells, ``EndpointUnusable`` if the judge cannot be reached.
    """
    if settings.judge is None:
        raise BadInput("no judge chosen: add judge=NAME, and judge.base_url=... if it is served elsewhere")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    results = Path(settings.results_dir)
    found = [folder for run in settings.run for folder in cells(find_run(run, results))]
    folders = [folder for folder in found if settings.task in (None, folder.name) and _judged(folder)]
    if not folders:
        raise BadInput(f"no cell of {', '.join(settings.run)} has answers that a judge grades")
    lines = asyncio.run(_pass(folders, settings))
    complete = True
    for folder, line in zip(folders, lines, strict=True):
        seal(folder)
        summary = summarize(folder)
        complete &= summary["complete"]
        waiting = summary["outcomes"]["ungraded"]
        console.print(
            f"{folder.parent.name}/{folder.name}: {line}" + (f"; {waiting} still ungraded" if waiting else "")
        )
    return Exit.DONE if complete else Exit.INCOMPLETE


def _judged(folder: Path) -> bool:
    """Whether a cell was asked here and a judge has, or will have, to do with it."""
    manifest = read_manifest(folder)
    if manifest["imported"] is not None:
        return False
    waiting = "ungraded" in read_samples(folder, ["outcome"])["outcome"].to_pylist()
    return waiting or manifest.get("judge") is not None


async def _pass(folders: list[Path], settings: Report) -> list[str]:
    """Judge all cells together; returns what to say of each."""
    assert settings.judge is not None
    aide = await connect_aide(settings.judge, settings.engine)
    dockets: list[Docket] = []
    with Commits() as commits:
        try:
            for folder in folders:
                manifest = read_manifest(folder)
                adapter, items = load(folder, manifest, settings.data)
                rows = read_samples(folder, ["item_id", "repeat", "outcome"]).to_pylist()
                attempts = tuple((row["item_id"], row["repeat"]) for row in rows if row["outcome"] != "failed")
                dockets.append(Docket(open_cell(folder, manifest, commits), adapter, items, attempts))
            return await _judge_all(dockets, aide)
        finally:
            await aide.client.close()
            await close_cells((docket.cell for docket in dockets), commits)


async def _judge_all(dockets: list[Docket], aide: AideClient) -> list[str]:
    name, stop = identity(aide.client.model.checkpoint, aide.sampling), Stop()
    earlier = [{key: dict(docket.cell.verdicts(key)) for key in docket.attempts} for docket in dockets]
    waiting = asyncio.Semaphore(2 * aide.client.model.concurrency)

    async def one(docket: Docket, key: tuple[str, int]) -> None:
        async with waiting:
            item = docket.items[key[0]]
            turns = Turns(docket.cell, item, key[1], {}, 0, None)
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


def _line(docket: Docket, earlier: dict[tuple[str, int], dict[tuple[str, str], bool]], name: str) -> str:
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
