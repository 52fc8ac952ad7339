"""Cells made for tests, and a writer that is killed: run as ``python -m tests.support.journals FOLDER``."""

import asyncio
import itertools
import sys
from pathlib import Path
from typing import Any

from evalsuite.records import Reply, Sample, Score, Usage
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.writer import JournalWriter


def manifest(items: int = 3, repeats: int = 1, **identity: Any) -> dict[str, Any]:
    known = {
        "model": "fp8",
        "checkpoint": "org/model-FP8",
        "revision": None,
        "thinking": True,
        "task": "toy",
        "adapter": "toy",
        "protocol": "1",
        "variant": "plain",
        "options": {},
        "sampling": {"temperature": 0.6},
        "seed": 42,
        "data_sha": "d" * 16,
    }
    return {
        "schema": 1,
        "identity": known | identity,
        "version": "1.0",
        "title": "FP8",
        "precision": "fp8",
        "baseline": "bf16",
        "quantized": {},
        "sampling_origin": {},
        "items": [str(number) for number in range(items)],
        "total_items": 100,
        "selection": {"limit": items, "groups": {}, "ids": None},
        "repeats": repeats,
        "imported": None,
        "demo": False,
        "server": [],
        "evalsuite": "0.1.0",
    }


def reply(text: str, reasoning: str = "because") -> Reply:
    return Reply(text, reasoning, "stop", usage=Usage(10, 20, 15), seconds=0.5)


def sample(item: str, repeat: int = 0, value: float | None = 1.0) -> Sample:
    outcome = "failed" if value is None else "correct" if value else "wrong"
    return Sample(
        "toy",
        "1.0",
        "plain",
        "fp8",
        item,
        repeat,
        Score(value, outcome, "A"),
        groups={"subject": "law"},
        prompt_sha="p",
    )


async def answer(cell: Cell, item: str, repeat: int = 0, text: str = "A", value: float | None = 1.0) -> None:
    await cell.record_request((item, repeat), ("model", 0))
    await cell.record_reply((item, repeat), ("model", 0), "p", reply(text), 1)
    cell.record_score(sample(item, repeat, value))


async def write_forever(folder: Path) -> None:
    """Acknowledge on stdout every reply that is durable."""
    with JournalWriter() as commits:
        cell = open_cell(folder, manifest(items=1000), commits)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        for number in itertools.count():
            await cell.record_request((str(number), 0), ("model", 0))
            await cell.record_reply((str(number), 0), ("model", 0), "p", reply("x" * 20_000), 1)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            cell.record_score(sample(str(number)))


if __name__ == "__main__":
    asyncio.run(write_forever(Path(sys.argv[1])))
