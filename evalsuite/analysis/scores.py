"""Computes the numbers of each cell: completeness, outcomes, score with interval, groups, tokens and retried samples.

Crashes and timeouts hit long answers more often, and long answers are more often wrong. When many answers were lost and
generated again, the difference between their mean score and that of the other samples shows whether the faults selected
answers.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis.degenerate import NO_DEGENERATE, DegenerateAnswers, degenerate_answers
from evalsuite.analysis.table import RunTable, group_column
from evalsuite.records import OUTCOMES
from evalsuite.stats.calibration import calibration_error
from evalsuite.stats.intervals import Codes, Floats, ScoreInterval, score
from evalsuite.stats.pass_power import pass_power_k
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import read_rows
from evalsuite.tasks.datasets import benchmark_title


@dataclass(frozen=True, slots=True)
class Tokens:
    """Mean numbers of tokens per answer; None when the server or the imported file did not report them."""

    prompt: float | None
    """Tokens of the prompt."""
    completion: float | None
    """Generated tokens, reasoning included."""
    reasoning: float | None
    """Generated tokens of the reasoning."""


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Score of a cell on one group value, such as the subject ``law``."""

    value: str
    """The group value."""
    n: int
    """Number of items."""
    scored: ScoreInterval
    """The score with its interval."""


@dataclass(frozen=True, slots=True)
class RetriedSamples:
    """The samples of one cell that were generated again because their first answer was lost; fractions of 1."""

    samples: int
    """Number of these samples."""
    share: float
    """Their fraction of all samples of the cell."""
    score: float | None
    """Mean value of these samples; None without any, or while the cell is incomplete."""
    others: float | None
    """Mean value of the samples that were generated once."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``rerolled`` of ``summary.json``: a dict of all fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CellScore:
    """Numbers of one cell. Scores and groups are empty while the cell is incomplete."""

    cell: TableCell
    """The cell."""
    items: int
    """Number of planned items."""
    repeats: int
    """Planned repeats of each item."""
    measured: int
    """Number of samples with a value; the cell is complete when it equals the planned number."""
    outcomes: Mapping[str, int]
    """Outcome -> number of samples, in the order of ``OUTCOMES``."""
    scored: ScoreInterval | None
    """The score with its interval; None while the cell is incomplete."""
    groups: Mapping[str, tuple[GroupScore, ...]]
    """Group name -> score on each of its values."""
    tokens: Tokens
    """Mean numbers of tokens per answer."""
    pass_power: Mapping[int, float]
    """k -> pass^k, the chance that k repeats of an item all succeed; empty without repeats or for fractional scores."""
    stream_rate: float | None
    """Generated tokens per second of one request at the concurrency of the run, queueing and prefill included; not a
    speed benchmark. For answers of several requests the last one counts. None when times or token counts are unknown.
    """
    failed: tuple[str, ...] = ()
    """Ids of items with an attempt that could not be measured, sorted."""
    retried: RetriedSamples | None = None
    """Samples that were generated again because their first answer was lost."""
    calibration_error: float | None = None
    """Distance of the confidence that answers state from their share of right ones, a fraction of 1; None for
    benchmarks that do not ask for it, and for few answers."""
    degenerate: DegenerateAnswers = NO_DEGENERATE
    """Answers that are signs of a sick server or checkpoint."""

    @property
    def benchmark(self) -> str:
        """The title of the cell's benchmark."""
        return benchmark_title(self.cell.task)

    @property
    def complete(self) -> bool:
        """Whether the cell has a score: every planned sample has a value, and nothing withholds it."""
        return self.measured == self.cell.planned and not self.withheld

    @property
    def withheld(self) -> str:
        """Why the cell has no score even when all is measured: half of its answers or more are degenerate, or too many
        grades differ from those in the log that it was imported from (``TableCell.contradiction``); empty when nothing
        withholds it, or a reason accepts it.
        """
        return self.cell.contradiction or (self.degenerate.text if self.degenerate.withheld else "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines on what bears on the score and is not the model's: degenerate answers, answers that another variant
        reads; usually empty.
        """
        return tuple(text for text in (self.degenerate.text, self.cell.manifest.get("unread")) if text)

    @property
    def missing_text(self) -> str:
        """Description of what a cell without a score lacks: counts of measured, failed, ungraded and unrequested
        samples, or why the score is withheld; empty when complete.
        """
        if self.complete:
            return ""
        if self.measured == self.cell.planned:
            return self.withheld
        faults = [f"{self.outcomes[name]:,} {name}" for name in ("failed", "ungraded") if self.outcomes[name]]
        absent = self.cell.planned - sum(self.outcomes.values())
        faults += [f"{absent:,} not asked yet"] if absent > 0 else []
        return f"{self.measured:,} of {self.cell.planned:,} samples measured ({', '.join(faults)})"


def score_cell(table: RunTable, cell: TableCell) -> CellScore:
    """Compute all numbers of one cell of the table; while the cell is incomplete or withheld, its score is None and
    groups and pass^k are empty.
    """
    return score_rows(table, cell, planned_rows(table, cell))


def score_rows(table: RunTable, cell: TableCell, rows: pd.DataFrame) -> CellScore:
    """Compute all numbers of one cell from ``rows``, its planned rows as ``planned_rows`` returns them; the table only
    gives the names of groups, and the calibration error is computed from the samples stored in the cell's folder.

    While the cell is incomplete or withheld, its score is None and groups and pass^k are empty.
    """
    outcomes = _outcome_counts(rows)
    measured = int(rows["value"].notna().sum())
    degenerate = degenerate_answers(cell, rows)
    complete = measured == cell.planned and not cell.contradiction and not degenerate.withheld
    scored: ScoreInterval | None = None
    groups: dict[str, tuple[GroupScore, ...]] = {}
    if complete and measured:
        means = item_means(rows)
        single = int(cell.manifest["repeats"]) == 1
        scored = _score_interval(means, single=single)
        for name in table.groups(cell.task):
            parts = means.groupby(group_column(name), sort=True)
            groups[name] = tuple(
                GroupScore(str(value), len(part), _score_interval(part, single=single)) for value, part in parts
            )
    tokens = Tokens(*(_mean(rows[f"{kind}_tokens"]) for kind in ("prompt", "completion", "reasoning")))
    items = len(cell.manifest["items"])
    repeats = int(cell.manifest["repeats"])
    powers = _pass_power(rows, repeats) if complete and repeats > 1 else {}
    failed = tuple(sorted(rows.loc[rows["outcome"] == "failed", "item_id"].astype(str).unique()))
    rate = _stream_rate(rows)
    retried = retried_samples(rows, complete=complete)
    calibration = _calibration_error(cell) if scored is not None and cell.identity.get("adapter") == "hle" else None
    numbers = (tokens, powers, rate, failed, retried, calibration, degenerate)
    return CellScore(cell, items, repeats, measured, outcomes, scored, groups, *numbers)


def _calibration_error(cell: TableCell) -> float | None:
    """Compute the calibration error (a fraction) from the confidences that the cell's planned answers state and whether
    they are right, read from its stored samples; None for fewer than 200 answers with both.
    """
    items, repeats = set(cell.manifest["items"]), int(cell.manifest["repeats"])
    rows = read_rows(cell.folder, ["item_id", "repeat", "value", "parts"])
    rows = [row for row in rows if row["item_id"] in items and row["repeat"] < repeats]
    stated = [(json.loads(row["parts"] or "{}").get("confidence"), row["value"]) for row in rows]
    pairs = np.array([pair for pair in stated if None not in pair], dtype=np.float64).reshape(-1, 2)
    return calibration_error(pairs[:, 0], pairs[:, 1])


def _stream_rate(rows: pd.DataFrame) -> float | None:
    known = rows[rows["completion_tokens"].notna() & (rows["seconds"] > 0)]
    seconds = float(known["seconds"].sum())
    return float(known["completion_tokens"].sum()) / seconds if seconds else None


def _pass_power(rows: pd.DataFrame, repeats: int) -> dict[int, float]:
    if not rows["value"].isin((0.0, 1.0)).all():
        return {}
    codes = pd.factorize(rows["item_id"])[0]
    right = np.bincount(codes, weights=rows["value"].to_numpy(dtype=np.float64)).astype(int)
    distinct, counts = np.unique(np.stack([right, np.bincount(codes)]), axis=1, return_counts=True)
    rewards = [([1.0] * r + [0.0] * (n - r), int(count)) for (r, n), count in zip(distinct.T, counts, strict=True)]
    return {
        k: float(sum(pass_power_k([attempts], k) * count for attempts, count in rewards) / counts.sum())
        for k in range(1, repeats + 1)
    }


def planned_rows(table: RunTable, cell: TableCell) -> pd.DataFrame:
    """Select the rows that the cell's plan (items and repeats of its manifest) asks for, sorted by item and repeat.

    When an item and repeat has several rows, the last written one counts. Planned samples without a row are not added.
    """
    rows = table.rows(cell)
    rows = select_items(rows[rows["repeat"] < int(cell.manifest["repeats"])], cell.manifest["items"])
    if rows.empty:
        return rows
    codes, repeats = pd.factorize(rows["item_id"], sort=True)[0], rows["repeat"].to_numpy(dtype=np.int64)
    keys = codes * (int(repeats.max()) + 1) + repeats
    order = np.argsort(keys, kind="stable")
    last = np.append(np.diff(keys[order]) != 0, True)
    ordered: pd.DataFrame = rows.iloc[order[last]]
    return ordered


def select_items(rows: pd.DataFrame, items: Collection[str]) -> pd.DataFrame:
    """Select the rows whose ``item_id`` is in ``items``; returns ``rows`` itself when it holds no others."""
    codes, known = pd.factorize(rows["item_id"])
    selected = np.isin(np.asarray(known, dtype=object).astype(str), np.asarray(list(items), dtype=str))
    return rows if selected.all() else rows[selected[codes]]


def _outcome_counts(rows: pd.DataFrame) -> dict[str, int]:
    """Return the number of samples of each outcome in ``OUTCOMES``, zeros included."""
    counts = rows["outcome"].value_counts()
    return {name: int(counts.get(name, 0)) for name in OUTCOMES}


def item_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a frame indexed by sorted item id with the columns ``value`` (mean over the item's rows, missing values
    left out; NaN without any) and the item's ``weight``, ``cluster`` and ``group.<name>``.
    """
    first = {str(name): (str(name), "first") for name in rows.columns if str(name).startswith("group.")}
    means = rows.groupby("item_id", sort=True).agg(
        value=("value", "mean"), weight=("weight", "first"), cluster=("cluster", "first"), **first
    )
    return means


def weights_of(means: pd.DataFrame) -> Floats | None:
    """Return the item weights as an array of shape (items,); None when all are equal. ``means`` is a result of
    ``item_means`` with at least one item.
    """
    weights = means["weight"].to_numpy(dtype=np.float64)
    return None if np.ptp(weights) == 0 else weights


def clusters_of(means: pd.DataFrame) -> Codes | None:
    """Return integer codes of the items' clusters, shape (items,), each item without a cluster by itself; None when no
    two items share one. ``means`` is a result of ``item_means``.
    """
    names = means["cluster"].fillna("").astype(str).to_numpy(dtype=object)
    alone = names == ""
    codes = np.unique(np.where(alone, "", names).astype(str), return_inverse=True)[1].astype(np.int64)
    codes[alone] = len(names) + np.arange(int(alone.sum()))
    return None if len(np.unique(codes)) == len(codes) else codes


def values_of(means: pd.DataFrame) -> Floats:
    """Return the item means as an array of shape (items,), in the order of ``means``, a result of ``item_means``."""
    return means["value"].to_numpy(dtype=np.float64)


def _score_interval(means: pd.DataFrame, *, single: bool) -> ScoreInterval:
    return score(values_of(means), single=single, weights=weights_of(means), clusters=clusters_of(means))


def _mean(column: "pd.Series[float]") -> float | None:
    value = column.mean()
    return None if pd.isna(value) else float(value)


def retried_samples(rows: pd.DataFrame, *, complete: bool) -> RetriedSamples:
    """Compare the samples of a cell that were generated again (column ``rerolled``) with the others: number, fraction,
    mean scores.

    ``rows``: planned rows. The scores are None unless ``complete``, and for a part without samples.
    """
    marked = rows["rerolled"].fillna(False).astype(bool)
    share = float(marked.mean()) if len(rows) else 0.0
    scores = [_mean_or_none(rows.loc[part, "value"]) if complete else None for part in (marked, ~marked)]
    return RetriedSamples(int(marked.sum()), share, *scores)


def _mean_or_none(values: "pd.Series[float]") -> float | None:
    return float(values.mean()) if len(values) else None
