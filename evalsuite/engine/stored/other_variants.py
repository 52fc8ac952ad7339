"""Answers that one variant of a task cannot read and another one can: then the wrong variant was probably chosen."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from evalsuite.records import Item, Reply
from evalsuite.store.manifest import MANIFEST, read_manifest, write_json
from evalsuite.store.samples import read_batches, read_rows
from evalsuite.tasks.base import SingleTurn

MANY = 0.1
"""Share of a cell's answers that are ``no_answer`` above which other variants are tried."""
_READABLE = 0.5
"""Share of the tried answers that another variant must read."""
_TRIED = 200
"""Unread answers that are tried."""


def unread(folder: Path, adapter: Any, items: Mapping[str, Item]) -> str:
    """Find out which other variant of the task would read a cell's unread answers (``no_answer``), and keep a sentence
    on it, which reports show, in the manifest as ``unread``.

    ``folder``: the cell's, with its table; ``adapter``: that of the cell; ``items``: id -> item. Returns the sentence;
    empty (then an earlier one is removed from the manifest) where at most a tenth of the samples is unread, where no
    variant would read half of those that are tried (the first 200 at most that have some text), and for a task that is
    not single-turn, has no other variants, or shuffles choices.
    Raises ``BadInput`` for a damaged cell, ``StorageFailed``.
    """
    text = _unread(folder, adapter, items)
    manifest = read_manifest(folder)
    if text != manifest.get("unread", ""):
        write_json(folder / MANIFEST, {**manifest, "unread": text})
    return text


def _unread(folder: Path, adapter: Any, items: Mapping[str, Item]) -> str:
    others = [name for name in getattr(adapter, "variants", ()) if name != adapter.variant]
    if not others or not hasattr(adapter, "score") or getattr(adapter, "shuffled", False):
        return ""
    outcomes = [row["outcome"] for row in read_rows(folder, ["outcome"])]
    count = outcomes.count("no_answer")
    if count <= MANY * len(outcomes):
        return ""
    tried = _texts(folder)
    readable = {name: _read(replace(adapter, variant=name), items, tried) for name in others}
    best = max(readable, key=lambda name: readable[name])
    if not tried or readable[best] < _READABLE * len(tried):
        return ""
    line = f"tasks.{folder.name}.variant={best}"
    return (
        f"{count:,} of {len(outcomes):,} answers are no answer to variant={adapter.variant}, but {line} would read "
        f"{readable[best]:,} of {len(tried):,} that were tried (is it the one that was asked?)"
    )


def _texts(folder: Path) -> list[Mapping[str, Any]]:
    columns = ("item_id", "repeat", "outcome", "finish_reason", "text")
    unread = (
        row
        for batch in read_batches(folder, columns)
        for row in batch
        if row["outcome"] == "no_answer" and row["text"].strip()
    )
    return [row for row, _ in zip(unread, range(_TRIED), strict=False)]


def _read(adapter: Any, items: Mapping[str, Item], rows: list[Mapping[str, Any]]) -> int:
    """Number of the ``rows`` (of a cell's table, of items in ``items``) in whose text ``adapter`` finds an answer."""
    single = cast("SingleTurn", adapter)
    replies = ((row, Reply(row["text"], finish_reason=row["finish_reason"])) for row in rows if row["item_id"] in items)
    return sum(single.score(items[row["item_id"]], row["repeat"], reply).answer is not None for row, reply in replies)
