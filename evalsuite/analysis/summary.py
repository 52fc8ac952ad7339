"""Writes ``summary.json``: the numbers of one cell, for programs that do not read Parquet."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalsuite.analysis.interruptions import cut_answers
from evalsuite.analysis.scores import CellScore, score_cell
from evalsuite.analysis.table import table_of
from evalsuite.records import SCHEMA
from evalsuite.store.manifest import read_manifest, write_json
from evalsuite.store.runs import TableCell

SUMMARY = "summary.json"
"""Name of the file in the cell's folder."""


def summarize(folder: Path) -> dict[str, Any]:
    """Compute the summary of the cell in ``folder``, write it to ``summary.json`` there and return it: ``summary_json``
    with cut answers and generated tokens per second.

    Scores are fractions of 1, tokens are means per sample with a known count. Raises ``BadInput`` for a damaged cell,
    ``StorageFailed`` where a file cannot be read or written.
    """
    cell = TableCell(folder.parents[1].name, folder, read_manifest(folder))
    scored = score_cell(table_of([cell]), cell)
    summary = summary_json(scored)
    cut = cut_answers(folder, cell.planned)
    summary["cut"] = cut.to_json() | {"words": cut.describe() if cut.samples else ""}
    summary["stream_tokens_per_second"] = scored.stream_rate  # a rate, not a score: so not in comparison.json
    write_json(folder / SUMMARY, summary)
    return summary


def summary_json(scored: CellScore) -> dict[str, Any]:
    """Return the numbers of a cell as a dict of JSON types, as documented for ``summary.json``, without those that
    ``summarize`` adds; ``score``, ``stderr`` and ``ci95`` are null, ``groups`` and ``pass_power`` empty while the cell
    is incomplete or withheld.
    """
    cell, total = scored.cell, scored.scored
    return {
        "schema": SCHEMA,
        "task": cell.task,
        "version": cell.manifest["version"],
        "variant": cell.identity["variant"],
        "model": cell.model,
        "items": scored.items,
        "total_items": cell.manifest["total_items"],
        "repeats": scored.repeats,
        "planned": cell.planned,
        "samples": sum(scored.outcomes.values()),
        "measured": scored.measured,
        "score": total.score if total else None,
        "stderr": total.stderr if total else None,
        "ci95": list(total.ci95) if total and total.ci95 else None,
        "outcomes": dict(scored.outcomes),
        "groups": {
            group: {part.value: {"n": part.n, "score": part.scored.score} for part in parts}
            for group, parts in scored.groups.items()
        },
        "pass_power": {str(k): value for k, value in scored.pass_power.items()},
        "calibration_error": scored.calibration_error,
        "tokens": asdict(scored.tokens),
        "failed_items": list(scored.failed),
        "rerolled": scored.retried.to_json() if scored.retried else None,
        "complete": scored.complete,
        "degenerate": dict(scored.degenerate.counts),
        "warnings": list(scored.warnings),
        "accepted": dict(cell.manifest.get("accepted") or {}),
        "stopped": cell.manifest.get("stopped"),
    }
