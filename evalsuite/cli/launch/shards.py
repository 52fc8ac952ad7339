"""Cells are cut into shards, and the journals of a shard are moved into its cell: every attempt exactly once.

A shard is a plain ``evalsuite run`` of some items of one cell in a folder of its own. Its journals are moved into the
cell when it ends, and the cell's reader merges journals by (item, repeat), however often an attempt was written.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalsuite.cli.launch.words import Words
from evalsuite.errors import StorageFailed
from evalsuite.records import Item
from evalsuite.store.cell import Cell
from evalsuite.store.runs import CellName

RUN_ID = "shard"
JOURNALS = "journal-*.jsonl"


@dataclass(frozen=True, slots=True)
class Shard:
    """Some items of one cell."""

    model: str
    """Key of the model."""
    task: str
    cell: Path
    folder: Path
    """Where the shard's own run lives."""
    words: Words


def cut(cell: Cell, items: Iterable[Item], repeats: int, attempts: int, *, judged: bool) -> Iterator[list[Item]]:
    """Yield the items that still need an attempt, in groups of ``attempts`` // ``repeats`` items (at least one each;
    the last may be smaller).

    ``repeats``: attempts at each item; ``judged``: answers that are ``ungraded`` need one, too.
    """
    missing = [
        item for item in items if any(cell.needs_attempt((item.id, repeat), judged=judged) for repeat in range(repeats))
    ]
    size = max(1, attempts // repeats)
    for start in range(0, len(missing), size):
        yield missing[start : start + size]


def prepare(shard: Shard, label: str, items: list[Item], cell: Cell, repeats: int) -> None:
    """Create the shard's folder with ``items.txt``, the ids of ``items``.

    If an attempt at one of them has a reply or a score, the cell's journals are linked or copied into the shard's run,
    below the model's ``label``. ``repeats``: attempts at each item. Raises ``StorageFailed``.
    """
    inside = shard.folder / RUN_ID / label / shard.task
    try:
        shard.folder.mkdir(parents=True, exist_ok=True)
        (shard.folder / "items.txt").write_text("".join(f"{item.id}\n" for item in items), encoding="utf-8")
        replied = cell.reply_counts()
        attempts = [(item.id, number) for item in items for number in range(repeats)]
        if any(attempt in replied or cell.outcome(attempt) for attempt in attempts):
            inside.mkdir(parents=True, exist_ok=True)
            for journal in shard.cell.glob(JOURNALS):
                _link_or_copy(journal, inside / journal.name)
    except OSError as error:
        raise StorageFailed(f"cannot prepare {shard.folder}: {error.strerror or error}") from None


def absorb(folder: Path, cell: Path) -> None:
    """Move the journals in the folder of a shard that has ended into the folder ``cell``, and delete
    the shard's folder.

    A journal whose name is there already (it was copied from there) is deleted with the folder. Raises
    ``StorageFailed``.
    """
    try:
        cell.mkdir(parents=True, exist_ok=True)
        for journal in sorted(folder.glob(f"{RUN_ID}/*/*/{JOURNALS}")):
            if not (cell / journal.name).exists():
                shutil.move(journal, cell / journal.name)
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageFailed(f"cannot take {folder} into {cell}: {error.strerror or error}") from None


def absorb_leftovers(root: Path, cells: Mapping[CellName, Path]) -> None:
    """Move the journals of the shards that an earlier driver left below ``root`` into their cells, and delete the
    shards.

    ``cells``: (model's label, task) -> folder of the cell; shards of other cells stay. Raises ``StorageFailed``.
    """
    for (model, task), cell in cells.items():
        for folder in sorted(root.glob(f"{model}/{task}/*")):
            absorb(folder, cell)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
