"""Computes the numbers behind the plots: answer lengths, score at token budgets, requests in flight.

The functions are pure functions of a ``RunTable`` or of journals. The plots draw their results, and ``comparison.json``
and the CSV files contain them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis.comparability import is_single_turn
from evalsuite.analysis.scores import planned_rows
from evalsuite.analysis.table import RunTable
from evalsuite.records import OUTCOMES
from evalsuite.store import journal
from evalsuite.store.runs import TableCell

BINS = 32
"""Number of bars of a length distribution, evenly spaced in the logarithm."""
QUANTILES = (0.5, 0.9, 0.99)
"""Quantiles of the lengths that are reported."""
IDLE_SECONDS = 600.0
"""A longer pause without requests ends a time window; such pauses are cut out of the timeline."""
STEPS = 120
"""Number of points of a timeline."""
JOURNAL_BYTES = 4_000_000_000
"""Total size of journals above which no timeline is computed, because reading them would take too long."""

_SPAN = re.compile(rb'^\{"event": ?"reply",.*?"who": ?"model",.*?"span": ?\[([\d.]+), ?([\d.]+)\]')
"""Start and end of the request in a journal line of a reply of the evaluated model."""

Span = tuple[float, float]
"""Start and end of one request, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LengthDistribution:
    """Lengths of one task's answers in generated tokens, by model and outcome."""

    task: str
    """Name of the task."""
    edges: tuple[float, ...]
    """Edges of the bars in tokens, growing by a constant factor."""
    counts: dict[str, dict[str, tuple[int, ...]]]
    """Model -> outcome -> number of answers per bar; outcomes without answers are left out."""
    quantiles: dict[str, dict[str, tuple[float, ...]]]
    """Model -> outcome -> lengths at ``QUANTILES``."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``comparison.json``: ``edges``, ``counts`` and ``quantiles`` (model -> outcome ->
        quantile -> tokens).
        """
        return {
            "edges": list(self.edges),
            "counts": {model: {name: list(row) for name, row in parts.items()} for model, parts in self.counts.items()},
            "quantiles": {
                model: {name: dict(zip(map(str, QUANTILES), row, strict=True)) for name, row in parts.items()}
                for model, parts in self.quantiles.items()
            },
        }


@dataclass(frozen=True, slots=True)
class BudgetCurve:
    """Scores at smaller token budgets: answers longer than the budget count as wrong.

    This is a lower bound of the score under that limit, and exact for answers that are graded from their end.
    """

    task: str
    """Name of the task."""
    budgets: tuple[int, ...]
    """Generated tokens."""
    scores: dict[str, tuple[float, ...]]
    """Model -> score (fraction of 1) at each budget; models with unknown lengths are left out."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``comparison.json``: ``budgets`` (tokens) and ``scores`` (model -> fraction at
        each budget).
        """
        return {"budgets": list(self.budgets), "scores": {model: list(row) for model, row in self.scores.items()}}


@dataclass(frozen=True, slots=True)
class SlotUse:
    """Requests of one model in flight over time; pauses between time windows are cut out."""

    model: str
    """Name of the model."""
    title: str
    """Title of the model."""
    seconds: tuple[float, ...]
    """Middle of each step, seconds of busy time."""
    in_flight: tuple[float, ...]
    """Mean number of requests in flight during the step."""
    starts: tuple[str, ...]
    """UTC time at which each time window began."""
    windows: tuple[float, ...]
    """Seconds of busy time at which each time window began; the first is 0."""


def lengths(table: RunTable, task: str) -> LengthDistribution | None:
    """Compute the distribution of generated tokens (of the last reply of an attempt) of a task's stored answers, by
    model and outcome; None when no lengths are known.
    """
    rows = _rows_with_lengths(table, task)
    if rows.empty:
        return None
    tokens = rows["completion_tokens"].to_numpy(dtype=np.float64)
    low, high = max(1.0, float(tokens.min())), max(2.0, float(tokens.max()))
    edges = np.geomspace(low, max(high, low * 1.01), BINS + 1)
    counts: dict[str, dict[str, tuple[int, ...]]] = {}
    marks: dict[str, dict[str, tuple[float, ...]]] = {}
    for model in table.models:
        for outcome in OUTCOMES:
            part = tokens[((rows["model"] == model) & (rows["outcome"] == outcome)).to_numpy()]
            if len(part):
                histogram = np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0]
                counts.setdefault(model, {})[outcome] = tuple(int(number) for number in histogram)
                marks.setdefault(model, {})[outcome] = tuple(float(mark) for mark in np.quantile(part, QUANTILES))
    return LengthDistribution(task, tuple(float(edge) for edge in edges), counts, marks)


def token_budgets(table: RunTable, task: str, budgets: Sequence[int] | None = None) -> BudgetCurve | None:
    """Compute every model's score on a task at token ``budgets``; None takes the powers of two that span the lengths
    of all models' answers, but for the shortest 1 %.

    A model is left out when a length or value of its answers is unknown, when an attempt has several replies (only the
    length of the last one is known), or when the task's adapter is not installed. Returns None when no model is left.
    """
    rows = _rows_with_lengths(table, task)
    if rows.empty:
        return None
    if budgets is None:
        first = max(0, int(np.floor(np.log2(max(1.0, float(rows["completion_tokens"].quantile(0.01)))))))
        last = int(np.ceil(np.log2(max(2.0, float(rows["completion_tokens"].max())))))
        budgets = [2**power for power in range(first, last + 1)]
    scores: dict[str, tuple[float, ...]] = {}
    for cell in table.cells:
        if cell.task != task or not is_single_turn(cell):
            continue
        cell_rows = planned_rows(table, cell)
        if len(cell_rows) and not cell_rows[["completion_tokens", "value"]].isna().any(axis=None):
            scores[cell.model] = _scores_within(cell_rows, budgets)
    return BudgetCurve(task, tuple(budgets), scores) if scores else None


def slot_use(cells: Sequence[TableCell], limit: int = JOURNAL_BYTES) -> tuple[SlotUse, ...]:
    """Compute the requests in flight of each model over time from the journals of its cells, one entry per model with
    any; empty when they hold no times.

    Journals larger than ``limit`` bytes together are not read; the result is then empty, too.
    """
    size = sum(path.stat().st_size for cell in cells for path in cell.folder.glob(journal.PATTERN))
    if size > limit:
        return ()
    spans: dict[str, list[Span]] = {}
    titles = {cell.model: cell.title for cell in cells}
    for cell in cells:
        spans.setdefault(cell.model, []).extend(_requests(cell))
    all_spans = sorted(span for model_spans in spans.values() for span in model_spans)
    windows = _windows(all_spans)
    if not windows:
        return ()
    offsets = np.concatenate([[0.0], np.cumsum([end - start for start, end in windows])])
    edges = np.linspace(0.0, max(float(offsets[-1]), 1e-6), STEPS + 1)
    middles = tuple(float(value) for value in (edges[:-1] + edges[1:]) / 2)
    starts = tuple(datetime.fromtimestamp(start, UTC).isoformat(timespec="seconds") for start, _ in windows)
    return tuple(
        SlotUse(
            model,
            titles[model],
            middles,
            tuple(_mean_in_flight(_to_busy_time(model_spans, windows, offsets), edges)),
            starts,
            tuple(float(offset) for offset in offsets[:-1]),
        )
        for model, model_spans in spans.items()
        if model_spans
    )


def _rows_with_lengths(table: RunTable, task: str) -> pd.DataFrame:
    frame = table.samples
    return frame[(frame["task"] == task) & frame["completion_tokens"].notna()]


def _scores_within(rows: pd.DataFrame, budgets: Sequence[int]) -> tuple[float, ...]:
    """Return the weighted mean score (a fraction) at each token budget, with longer answers counted as 0; ``rows`` are
    the samples of one cell.
    """
    repeats = rows.groupby("item_id")["item_id"].transform("size").to_numpy(dtype=np.float64)
    share = rows["weight"].to_numpy(dtype=np.float64) / repeats
    points = share / share.sum() * rows["value"].to_numpy(dtype=np.float64)
    tokens = rows["completion_tokens"].to_numpy(dtype=np.float64)
    return tuple(float(points[tokens <= budget].sum()) for budget in budgets)


def _requests(cell: TableCell) -> Iterable[Span]:
    """Yield (start, end) in seconds since the epoch of each answered request of the cell's model, read from its
    journals; only the first 2,000 bytes of a line are searched, because replies may be long.
    """
    for path in sorted(cell.folder.glob(journal.PATTERN)):
        with path.open("rb") as file:
            for line in file:
                match = _SPAN.search(line, 0, 2000)
                if match is not None:
                    yield float(match[1]), float(match[2])


def _windows(spans: Sequence[Span]) -> list[Span]:
    """Return (start, end) of the stretches of time without a pause of more than ten minutes; ``spans`` are sorted."""
    windows: list[Span] = []
    for start, end in spans:
        if windows and start - windows[-1][1] <= IDLE_SECONDS:
            windows[-1] = (windows[-1][0], max(windows[-1][1], end))
        else:
            windows.append((start, end))
    return windows


def _to_busy_time(
    spans: Sequence[Span], windows: Sequence[Span], offsets: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the requests with times in seconds of busy time, which does not advance between windows: (n, 2).

    ``windows``: (start, end) of each stretch with requests; ``offsets``: busy seconds at which each window begins.
    """
    times: np.ndarray[Any, Any] = np.array(spans)
    begins = np.array([start for start, _ in windows])
    numbers = np.searchsorted(begins, times[:, 0], side="right") - 1
    times += (offsets[numbers] - begins[numbers])[:, None]
    return times


def _mean_in_flight(spans: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> list[float]:
    """Return the mean number of open ``spans`` (n, 2) in each step between two ``edges`` (seconds): their overlap with
    it, divided by its width.
    """
    starts, ends = np.sort(spans, axis=0).T

    def worked(until: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the summed seconds of all requests before each moment in ``until``, same shape."""
        total = np.zeros(len(until))
        for side, sign in ((starts, 1.0), (ends, -1.0)):
            sums = np.concatenate([[0.0], np.cumsum(side)])
            before = np.searchsorted(side, until, side="right")
            total += sign * (before * until - sums[before])
        return total

    return [float(value) for value in np.diff(worked(edges)) / np.diff(edges)]
