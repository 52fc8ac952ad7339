"""Counts which samples of a cell are there, without reading it into a table: a listing needs no pandas."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.store.runs import TableCell
from evalsuite.store.samples import read_rows

MAX_LISTED = 10
"""Number of failed items that a line of text names; ``summary.json`` lists all of them."""


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """The planned samples of one cell that are there."""

    measured: int
    """Number of samples with a value."""
    outcomes: Counter[str]
    """Outcome -> number of samples."""
    failed: tuple[str, ...]
    """Ids of items with an attempt that could not be measured, sorted."""


def count_samples(cell: TableCell) -> SampleCounts:
    """Count the planned samples of a cell by outcome, those with a value, and the items with a failed one, from its
    samples file or journals; when an item and repeat has several rows, the last written one counts.
    """
    items, repeats = set(cell.manifest["items"]), int(cell.manifest["repeats"])
    rows = read_rows(cell.folder, ["item_id", "repeat", "outcome", "value"])
    last = {(row["item_id"], row["repeat"]): row for row in rows if row["item_id"] in items and row["repeat"] < repeats}
    measured = sum(row["value"] is not None for row in last.values())
    failed = {item for (item, _), row in last.items() if row["outcome"] == "failed"}
    return SampleCounts(measured, Counter(row["outcome"] for row in last.values()), tuple(sorted(failed)))


def failed_text(failed: Sequence[str]) -> str:
    """Return a line "failed items: ..." that names the given item ids (at most ``MAX_LISTED``, 10, then how many more);
    empty without any.
    """
    more = f" and {len(failed) - MAX_LISTED:,} more (summary.json)" if len(failed) > MAX_LISTED else ""
    return f"failed items: {', '.join(failed[:MAX_LISTED])}{more}" if failed else ""
