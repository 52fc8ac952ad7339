"""Data of the page's flip browser: every item's outcomes in all precisions, and the texts in separate files.

Outcomes are one letter per sample, so that 48,128 samples are about a megabyte with their lengths. Texts are written to
``texts/<task>/<model>-<number>.js`` as they stream from disk, and the page loads them when an item is opened. Items of
gated benchmarks get outcomes only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evalsuite.analysis.scores import planned_rows
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.analysis.table import RunTable, group_column
from evalsuite.endpoint.fields import storable
from evalsuite.sandbox import safe_text
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import SAMPLES, is_current, read_samples
from evalsuite.tasks.gating import is_gated

LETTERS = {
    "correct": "c", "wrong": "w", "truncated": "t", "no_answer": "n", "refused": "r", "ungraded": "u", "failed": "f",
}  # fmt: skip
"""Outcome -> its letter; a dot stands for a missing sample."""
SHARD_BYTES = 1_000_000
"""Approximate size of one file of texts."""
TEXT_BYTES = 400_000_000
"""Size above which only texts of items with different outcomes are written."""
FOLDER = "texts"
"""Name of the folder of texts."""
_TEXTS = ("item_id", "repeat", "text", "reasoning", "answer", "stage", "note", "finish_reason", "seconds")


@dataclass(frozen=True, slots=True)
class FlipsOfTask:
    """Data of one task for the page."""

    data: Mapping[str, Any]
    """JSON content: ``items``, ``groups``, ``arms``, ``pairs`` and others, as ``page.js`` reads it."""
    cells: tuple[TableCell, ...]
    """The cells, in the order of ``arms``."""
    differing: frozenset[str]
    """Items on which the outcomes of two cells differ."""


def flips_of_task(suite: SuiteComparison, task: str) -> FlipsOfTask:
    """Collect the outcomes and lengths of all models on one task as data of the page's flip browser: every item that
    any cell plans, in the order of the cells' plans; pairs of models only where they may be compared.
    """
    table = suite.table
    cells = tuple(cell for cell in table.cells if cell.task == task)
    items = list(dict.fromkeys(str(item) for cell in cells for item in cell.manifest["items"]))
    frames = [planned_rows(table, cell) for cell in cells]
    arms = [_arm(cell, rows, items) for cell, rows in zip(cells, frames, strict=True)]
    models = [cell.model for cell in cells]
    pairs = [
        [models.index(row.baseline.cell.model), models.index(row.candidate.cell.model)]
        for row in suite.comparisons
        if row.task == task and row.comparable.ok
    ]
    runs = list(dict.fromkeys(cell.run for cell in cells))
    data = {
        "task": task,
        "gated": gated(cells),
        "run": runs[0] if len(runs) == 1 else f"'[{','.join(runs)}]'",
        "items": items,
        "groups": {name: _codes(table, name, frames, items) for name in table.groups(task)},
        "arms": arms,
        "pairs": pairs,
    }
    return FlipsOfTask(data, cells, _differing(arms, items))


def gated(cells: Sequence[TableCell]) -> bool:
    """Return whether the items of these cells must not be shown: true when any cell's task is gated."""
    return any(is_gated(cell.manifest, cell.task) for cell in cells)


def write_texts(flips: FlipsOfTask, folder: Path, stamp: str, limit: int = TEXT_BYTES) -> tuple[list[Any], str]:
    """Write the texts of one task as JavaScript files into ``folder/<task>``, where older ones are deleted; none for
    gated tasks.

    ``stamp`` identifies the report, ``limit`` is the size in bytes above which only items with different outcomes are
    written. Returns two values. The first has an entry per cell: None if the task is gated, else a list for each repeat
    that holds, for each item, the number of the file with its texts, or None. The second describes what was left out;
    it is empty if nothing was.
    """
    task = str(flips.data["task"])
    task_folder = folder / task
    if task_folder.is_dir():
        for old in task_folder.glob("*.js"):
            old.unlink()
    if flips.data["gated"]:
        return [None] * len(flips.cells), "the items of this benchmark are gated"
    selected = None if sum(_texts_size(cell) for cell in flips.cells) <= limit else flips.differing
    task_folder.mkdir(parents=True, exist_ok=True)
    position = {str(item): number for number, item in enumerate(flips.data["items"])}
    shards = [
        _write_arm(cell, task_folder, [task, number, stamp], position, selected)
        for number, cell in enumerate(flips.cells)
    ]
    left_out = "" if selected is None else f"texts of the {len(selected):,} items on which the precisions differ only"
    return shards, left_out


def _arm(cell: TableCell, rows: pd.DataFrame, items: Sequence[str]) -> dict[str, Any]:
    repeats, count = int(cell.manifest["repeats"]), len(items)
    position = pd.Index(items).get_indexer(pd.Index(rows["item_id"].astype(str)))
    slots = position * repeats + rows["repeat"].to_numpy(dtype=np.int64)
    letters = np.full(count * repeats, ".", dtype="<U1")
    letters[slots] = rows["outcome"].astype(str).map(LETTERS).fillna("f").to_numpy(dtype="<U1")
    values = rows["value"].to_numpy(dtype=np.float64)
    fractional = bool(np.any(np.isfinite(values) & (values != 0) & (values != 1)))
    return {
        "model": cell.model,
        "title": cell.title,
        "repeats": repeats,
        "outcomes": "".join(letters),
        "values": _spread(values, slots, count * repeats, 4) if fractional else None,
        "tokens": _spread(rows["completion_tokens"].to_numpy(dtype=np.float64), slots, count * repeats, 0),
    }


def _spread(values: np.ndarray[Any, Any], slots: np.ndarray[Any, Any], size: int, digits: int) -> list[Any] | None:
    full = np.full(size, np.nan)
    full[slots] = np.round(values, digits)
    if np.isnan(full).all():
        return None
    missing = np.isnan(full)
    numbers = np.where(missing, 0, full).astype(np.int64 if digits == 0 else np.float64).astype(object)
    numbers[missing] = None
    return list(numbers)


def _codes(table: RunTable, name: str, frames: Sequence[pd.DataFrame], items: Sequence[str]) -> dict[str, Any]:
    groups = pd.concat([rows[["item_id", group_column(name)]] for rows in frames]).dropna().drop_duplicates("item_id")
    by_item = dict(zip(groups["item_id"].astype(str), groups[group_column(name)].astype(str), strict=True))
    values = sorted(set(by_item.values()))
    code = {value: number for number, value in enumerate(values)}
    return {"values": values, "codes": [code.get(by_item.get(item, ""), -1) for item in items]}


def _differing(arms: Sequence[Mapping[str, Any]], items: Sequence[str]) -> frozenset[str]:
    if not arms:
        return frozenset()
    first, *others = [
        ["".join(sorted(arm["outcomes"][n * arm["repeats"] : (n + 1) * arm["repeats"]])) for n in range(len(items))]
        for arm in arms
    ]
    return frozenset(item for n, item in enumerate(items) if any(other[n] != first[n] for other in others))


def _texts_size(cell: TableCell) -> int:
    """Estimate the size of a cell's texts in bytes, from the metadata of its samples file or the size of its
    journals.
    """
    path = cell.folder / SAMPLES
    if not path.exists():
        return sum(file.stat().st_size for file in cell.folder.glob("journal-*.jsonl"))
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema in ("text", "reasoning"))


def _rows_with_texts(cell: TableCell) -> Iterator[tuple[Any, ...]]:
    """Yield each stored row of a cell as a tuple of the columns in ``_TEXTS``, in batches where the samples file is up
    to date, else from the journals; a missing number is None or NaN.
    """
    batches = (
        pq.ParquetFile(cell.folder / SAMPLES).iter_batches(64, columns=list(_TEXTS))
        if is_current(cell.folder)
        else read_samples(cell.folder, _TEXTS).to_batches(64)
    )
    batch: pa.RecordBatch
    for batch in batches:
        columns = (batch.column(name).to_numpy(zero_copy_only=False).tolist() for name in _TEXTS)
        yield from zip(*columns, strict=True)


def _write_arm(
    cell: TableCell,
    task_folder: Path,
    head: Sequence[Any],
    position: Mapping[str, int],
    selected: frozenset[str] | None,
) -> list[list[int | None]]:
    shards: list[list[int | None]] = [[None] * len(position) for _ in range(int(cell.manifest["repeats"]))]
    texts: dict[str, dict[str, list[Any]]] = {}
    size, number = 0, 0
    for item, repeat, text, reasoning, *shown in _rows_with_texts(cell):
        if item not in position or repeat >= len(shards) or (selected is not None and item not in selected):
            continue
        length = len(text or "") + len(reasoning or "")
        if texts and size + length > SHARD_BYTES:
            _write_shard(task_folder / f"{cell.model}-{number}.js", [*head, number], texts)
            texts, size, number = {}, 0, number + 1
        texts.setdefault(item, {})[str(repeat)] = [text or "", reasoning or "", *shown]
        shards[repeat][position[item]] = number
        size += length
    if texts:
        _write_shard(task_folder / f"{cell.model}-{number}.js", [*head, number], texts)
    return shards


def _write_shard(path: Path, head: Sequence[Any], texts: Mapping[str, Any]) -> None:
    arguments = b",".join(script_json(value) for value in (*head, texts))
    path.write_bytes(b"evalsuiteTexts(" + arguments + b");\n")


def script_json(value: Any) -> bytes:
    """Return ``value`` as JSON (UTF-8) that is safe inside a script element and inside JavaScript, whatever text it
    holds: U+FFFD stands for a lone surrogate, null for NaN and infinity. Raises ``TypeError`` for what ``orjson``
    cannot write, such as a set, a key that is no text or an integer of more than 64 bits.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # mostly a text with lone surrogates
        text = orjson.dumps(_without_surrogates(value), option=orjson.OPT_SERIALIZE_NUMPY)
    for sign, escape in _ESCAPES:
        text = text.replace(sign, escape)
    return text if text.isascii() and b"\x7f" not in text else safe_text.json(text.decode()).encode()


def _without_surrogates(value: Any) -> Any:
    """Return a copy of ``value`` in which U+FFFD stands for each lone surrogate in texts and keys of lists, tuples and
    mappings.
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(part) for part in value]
    return value


_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
