"""Checks the ``samples.parquet`` of others: its columns, what it becomes in memory, and every value that is used."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.records import OUTCOMES
from evalsuite.sandbox.archives import MAX_RATIO, parse_json
from evalsuite.store.extents import asked_at_all
from evalsuite.store.samples import COLUMNS, schema

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_MAX_TEXTS = 1 << 26
"""Bytes that the texts of a small table may become."""
_MAX_GROUP = 1 << 28
"""Bytes of one row group: evalsuite writes 16 MB, and a single answer more."""
_VALUES = ("item_id", "repeat", "outcome", "value", "weight", "groups", "parts")


def check_table(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` with the reason if the Parquet file ``path`` cannot be read or does not fit the (checked)
    ``manifest``.

    Checks columns and types, sizes in memory, and that every row is a sample that some command planned, is there once,
    and has a known outcome, a finite or missing value and weight, and groups and parts of the right form. Planned
    samples may be missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [field.name for field in schema() if pa.types.is_string(field.type)]
    try:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            items, repeats = asked_at_all(manifest)
            _check_sizes(file, len(items) * repeats)
            _check_texts(file, texts, max(_MAX_TEXTS, MAX_RATIO * path.stat().st_size))
            _check_values(file, manifest)
    except (pa.ArrowException, OSError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"its table is damaged ({' '.join(str(error).split())[:200]})") from None


def _check_sizes(file: "pq.ParquetFile", planned: int) -> None:
    metadata = file.metadata
    columns = {field.name: field.type for field in file.schema_arrow}
    types = {field.name: field.type for field in schema()}
    strange = [name for name in columns if name not in types or str(types[name]) not in str(columns[name])]
    if strange or not len(columns) == len(file.schema_arrow) == len(COLUMNS):
        raise ValueError(
            f"its table has other columns or types ({', '.join(strange)[:200] or 'too few or double ones'})"
        )
    if metadata.num_rows > planned:
        raise ValueError(f"its table has {metadata.num_rows:,} rows, its manifest plans {planned:,} samples")
    sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    if any(not 0 <= size <= _MAX_GROUP for size in sizes):
        raise ValueError(f"its table has parts of over {_MAX_GROUP:,} bytes")


def _check_texts(file: "pq.ParquetFile", texts: list[str], most: int) -> None:
    """Raise ``ValueError`` if the text columns (``texts``) would take more than ``most`` bytes without their
    dictionaries.

    Only lengths are computed; the texts are not expanded.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for batch in file.iter_batches(1024, columns=texts):
        for column in batch.columns:
            if isinstance(column, pa.DictionaryArray):
                column = pc.take(pc.binary_length(column.dictionary), column.indices)
            else:
                column = pc.binary_length(column)
            total += pc.sum(column, min_count=0).as_py() or 0
        if total > most:
            raise ValueError(f"the texts of its table become over {most:,} bytes")


def _check_values(file: "pq.ParquetFile", manifest: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless every row is a planned sample (a missing repeat counts as 0), is there once, and has
    a known outcome, value and weight finite or missing, and groups (with texts as values) and parts that are JSON
    objects, empty or missing."""
    items, repeats = asked_at_all(manifest)
    seen: set[tuple[str, int]] = set()
    for row in _rows(file):
        key = (row["item_id"], row["repeat"] or 0)
        if key in seen or key[0] not in items or not 0 <= key[1] < repeats:
            raise ValueError(f"its table holds item {str(key[0])[:100]!r}, repeat {key[1]}, which is not planned once")
        seen.add(key)
        if row["outcome"] not in OUTCOMES or not all(
            value is None or math.isfinite(value) for value in (row["value"], row["weight"])
        ):
            raise ValueError(f"its table has a score that no grader gives: {str(row['outcome'])[:100]!r}")
        for name, kinds in (("groups", str), ("parts", object)):
            value = parse_json(row[name] or "{}")
            if not isinstance(value, dict) or not all(isinstance(part, kinds) for part in value.values()):
                raise ValueError(f"its table has {name} of another form")


def _rows(file: "pq.ParquetFile") -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(1024, columns=list(_VALUES)):
        yield from batch.to_pylist()
