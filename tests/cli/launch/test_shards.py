import asyncio
from pathlib import Path

from evalsuite.cli.launch import shards
from evalsuite.records import Item
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.writer import JournalWriter
from tests.support.journals import manifest, reply


def test_a_reply_that_was_not_graded_goes_with_its_shard(tmp_path: Path) -> None:
    """A worker died between the reply and its score: the shard of the item must not ask again."""
    items, cells = [Item("0", {}), Item("1", {})], tmp_path / "run" / "fp8" / "toy"

    def shard(name: str) -> shards.Shard:
        return shards.Shard("fp8", "toy", cells, tmp_path / ".ray" / name, ())

    async def one_reply() -> Cell:
        with JournalWriter() as writer:
            cell = open_cell(cells, manifest(), writer)
            await cell.record_reply(("0", 0), ("model", 0), "p", reply("A"), 1)
            cell.close()
            return cell

    cell = asyncio.run(one_reply())
    assert list(shards.cut(cell, items, 1, 1, judged=False)) == [items[:1], items[1:]]
    for number, item in enumerate(items):
        shards.prepare(shard(str(number)), "fp8", [item], cell, 1)
    (journal,) = cells.glob("journal-*")
    assert [path.relative_to(tmp_path / ".ray") for path in (tmp_path / ".ray").rglob("journal-*")] == [
        Path("0") / shards.RUN_ID / "fp8" / "toy" / journal.name
    ]
