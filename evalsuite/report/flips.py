"""The flip browser's data: every item's verdict in all precisions, and the texts in files of their own.

Verdicts are one letter per sample, so that 48,128 samples are about a megabyte with their lengths. Texts are written
to ``texts/<task>/<model>-<number>.js`` as they stream from disk and are loaded by the page when a person opens an
item. Items of gated benchmarks get verdicts only.
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
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import SAMPLES, is_current, read_samples
from evalsuite.tasks.datasets import is_gated

LETTERS = {
    "correct": "c", "wrong": "w", "truncated": "t", "no_answer": "n", "refused": "r", "ungraded": "u", "failed": "f",
}  # fmt: skip
"""Outcome -> its letter; a dot stands for a sample that is not there."""
SHARD_BYTES = 1_000_000
"""Texts of about this size go into one file."""
TEXT_BYTES = 400_000_000
"""Above this, texts are written only of items on which the precisions differ."""
FOLDER = "texts"
_TEXTS = ("item_id", "repeat", "text", "reasoning", "answer", "stage", "note", "finish_reason", "seconds")


@dataclass(frozen=True, slots=True)
class FlipsOfTask:
    """One task as the page gets it."""

    data: Mapping[str, Any]
    """JSON: ``items``, ``groups``, ``arms``, ``pairs`` ... as ``page.js`` reads it."""
    cells: tuple[TableCell, ...]
    """The arms, in order."""
    differing: frozenset[str]
    """Items on which two arms differ."""


def browse(overview: SuiteComparison, task: str) -> FlipsOfTask:
    """The verdicts of all models on one task; items in the plan's order."""
    table = overview.table
    cells = tuple(cell for cell in table.cells if cell.task == task)
    items = list(dict.fromkeys(str(item) for cell in cells for item in cell.manifest["items"]))
    frames = [planned_rows(table, cell) for cell in cells]
    arms = [_arm(cell, rows, items) for cell, rows in zip(cells, frames, strict=True)]
    models = [cell.model for cell in cells]
    pairs = [
        [models.index(row.baseline.cell.model), models.index(row.candidate.cell.model)]
        for row in overview.comparisons
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
    """Whether the items of these cells must not be shown."""
    return any(is_gated(str(name)) for cell in cells for name in (cell.task, cell.identity.get("adapter")) if name)


def write_texts(found: FlipsOfTask, folder: Path, stamp: str, limit: int = TEXT_BYTES) -> tuple[list[Any], str]:
    """Write the texts of one task below ``folder``.

    Returns, per arm and repeat, the number of the file that holds each item (null: none), and what is left out, in
    words.
    """
    task = str(found.data["task"])
    where = folder / task
    if where.is_dir():
        for old in where.glob("*.js"):
            old.unlink()
    if found.data["gated"]:
        return [None] * len(found.cells), "the items of this benchmark are gated"
    wanted = None if sum(_size(cell) for cell in found.cells) <= limit else found.differing
    where.mkdir(parents=True, exist_ok=True)
    place = {str(item): number for number, item in enumerate(found.data["items"])}
    shards = [_write_arm(cell, where, [task, number, stamp], place, wanted) for number, cell in enumerate(found.cells)]
    left = "" if wanted is None else f"texts of the {len(wanted):,} items on which the precisions differ only"
    return shards, left


def _arm(cell: TableCell, rows: pd.DataFrame, items: Sequence[str]) -> dict[str, Any]:
    repeats, count = int(cell.manifest["repeats"]), len(items)
    place = pd.Index(items).get_indexer(pd.Index(rows["item_id"].astype(str)))
    where = place * repeats + rows["repeat"].to_numpy(dtype=np.int64)
    letters = np.full(count * repeats, ".", dtype="<U1")
    letters[where] = rows["outcome"].astype(str).map(LETTERS).fillna("f").to_numpy(dtype="<U1")
    values = rows["value"].to_numpy(dtype=np.float64)
    fractional = bool(np.any(np.isfinite(values) & (values != 0) & (values != 1)))
    return {
        "model": cell.model,
        "title": cell.title,
        "repeats": repeats,
        "outcomes": "".join(letters),
        "values": _spread(values, where, count * repeats, 4) if fractional else None,
        "tokens": _spread(rows["completion_tokens"].to_numpy(dtype=np.float64), where, count * repeats, 0),
    }


def _spread(values: np.ndarray[Any, Any], where: np.ndarray[Any, Any], size: int, digits: int) -> list[Any] | None:
    full = np.full(size, np.nan)
    full[where] = np.round(values, digits)
    if np.isnan(full).all():
        return None
    return [None if np.isnan(value) else int(value) if digits == 0 else float(value) for value in full]


def _codes(table: RunTable, name: str, frames: Sequence[pd.DataFrame], items: Sequence[str]) -> dict[str, Any]:
    known = pd.concat([rows[["item_id", group_column(name)]] for rows in frames]).dropna().drop_duplicates("item_id")
    by_item = dict(zip(known["item_id"].astype(str), known[group_column(name)].astype(str), strict=True))
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


def _size(cell: TableCell) -> int:
    """Bytes of a cell's texts, about."""
    path = cell.folder / SAMPLES
    if not path.exists():
        return sum(file.stat().st_size for file in cell.folder.glob("journal-*.jsonl"))
    found = pq.read_metadata(path)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    return sum(one.total_uncompressed_size for one in columns if one.path_in_schema in ("text", "reasoning"))


def _rows(cell: TableCell) -> Iterator[dict[str, Any]]:
    """Rows with their texts, a few megabytes at a time where they are sealed."""
    batches = (
        pq.ParquetFile(cell.folder / SAMPLES).iter_batches(64, columns=list(_TEXTS))
        if is_current(cell.folder)
        else read_samples(cell.folder, _TEXTS).to_batches(64)
    )
    batch: pa.RecordBatch
    for batch in batches:
        yield from batch.to_pylist()


def _write_arm(
    cell: TableCell, where: Path, head: Sequence[Any], place: Mapping[str, int], wanted: frozenset[str] | None
) -> list[list[int | None]]:
    shards: list[list[int | None]] = [[None] * len(place) for _ in range(int(cell.manifest["repeats"]))]
    held: dict[str, dict[str, list[Any]]] = {}
    size, number = 0, 0
    for row in _rows(cell):
        item, repeat = str(row["item_id"]), int(row["repeat"])
        if item not in place or repeat >= len(shards) or (wanted is not None and item not in wanted):
            continue
        text, reasoning = row["text"] or "", row["reasoning"] or ""
        if held and size + len(text) + len(reasoning) > SHARD_BYTES:
            _write_shard(where / f"{cell.model}-{number}.js", [*head, number], held)
            held, size, number = {}, 0, number + 1
        held.setdefault(item, {})[str(repeat)] = [text, reasoning, *(row[name] for name in _TEXTS[4:])]
        shards[repeat][place[item]] = number
        size += len(text) + len(reasoning)
    if held:
        _write_shard(where / f"{cell.model}-{number}.js", [*head, number], held)
    return shards


def _write_shard(path: Path, head: Sequence[Any], held: Mapping[str, Any]) -> None:
    arguments = b",".join(script_json(value) for value in (*head, held))
    path.write_bytes(b"evalsuiteTexts(" + arguments + b");\n")


def script_json(value: Any) -> bytes:
    """JSON that is safe inside a script element and inside JavaScript, whatever a model wrote."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    for sign, escape in _ESCAPES:
        text = text.replace(sign, escape)
    return text


_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
