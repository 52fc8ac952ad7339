"""What each cell says on its own: state, outcomes, score with interval, groups, tokens, and samples asked again.

A crash or a time-out hits long answers more often, and long answers are more often wrong: where many answers were lost
and asked again, the difference between those samples and the others shows whether the faults selected answers.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalsuite.analysis.table import RunTable, group_column
from evalsuite.records import OUTCOMES
from evalsuite.stats.intervals import Codes, Floats, ScoreInterval, score
from evalsuite.stats.pass_power import pass_power_k
from evalsuite.store.runs import TableCell
from evalsuite.tasks.datasets import benchmark_title


@dataclass(frozen=True, slots=True)
class Tokens:
    """Mean tokens of one answer; None where the server or the import did not say."""

    prompt: float | None
    completion: float | None
    reasoning: float | None


@dataclass(frozen=True, slots=True)
class GroupScore:
    """A cell's score on one stratum, such as the subject ``law``."""

    value: str
    n: int
    """Items."""
    scored: ScoreInterval


LISTED = 10
"""Failed items that are named in a line of text; ``summary.json`` has them all."""


@dataclass(frozen=True, slots=True)
class RetriedSamples:
    """The samples of one cell that were asked again; fractions of 1."""

    samples: int
    share: float
    """Of all samples of the cell."""
    score: float | None
    """Mean value of these samples; None without any, or while the cell is incomplete."""
    others: float | None
    """Mean value of the samples that were asked once."""

    def to_json(self) -> dict[str, Any]:
        """As in ``summary.json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CellScore:
    """A cell's own numbers. Scores and groups are empty while it is incomplete."""

    cell: TableCell
    items: int
    repeats: int
    measured: int
    """Samples with a value; the cell is complete when they are all that were planned."""
    outcomes: Mapping[str, int]
    """Outcome -> samples, in the order of ``OUTCOMES``."""
    scored: ScoreInterval | None
    groups: Mapping[str, tuple[GroupScore, ...]]
    tokens: Tokens
    pass_power: Mapping[int, float]
    """k -> pass^k, the chance that k repeats of an item all succeed; empty without repeats or for fractional scores."""
    stream_rate: float | None
    """Generated tokens per second of one request at the run's concurrency, queue and prefill included: a by-product,
    no speed benchmark. Where an answer took several requests, of the last one. None where times or counts are unknown.
    """
    failed: tuple[str, ...] = ()
    """Items with an attempt that could not be measured, in the order of their ids."""
    rerolled: RetriedSamples | None = None
    """Samples that were drawn anew because their first answer was lost."""

    @property
    def benchmark(self) -> str:
        """The title of the cell's benchmark, as people write it."""
        return benchmark_title(self.cell.task)

    @property
    def complete(self) -> bool:
        """Whether every planned sample has a value."""
        return self.measured == self.cell.planned

    @property
    def missing(self) -> str:
        """What an incomplete cell lacks, in words; empty when complete."""
        if self.complete:
            return ""
        faults = [f"{self.outcomes[name]:,} {name}" for name in ("failed", "ungraded") if self.outcomes[name]]
        absent = self.cell.planned - sum(self.outcomes.values())
        faults += [f"{absent:,} not asked yet"] if absent > 0 else []
        return f"{self.measured:,} of {self.cell.planned:,} samples measured ({', '.join(faults)})"

    @property
    def failed_words(self) -> str:
        """The failed items by name, the first ones where there are many; empty without any."""
        more = f" and {len(self.failed) - LISTED:,} more (summary.json)" if len(self.failed) > LISTED else ""
        return f"failed items: {', '.join(self.failed[:LISTED])}{more}" if self.failed else ""


def score_cell(table: RunTable, cell: TableCell) -> CellScore:
    """All numbers of one cell."""
    return score_rows(table, cell, planned_rows(table, cell))


def score_rows(table: RunTable, cell: TableCell, rows: pd.DataFrame) -> CellScore:
    """As ``score_cell`` from the cell's planned rows."""
    outcomes = _outcome_counts(rows)
    measured = int(rows["value"].notna().sum())
    complete = measured == cell.planned
    scored: ScoreInterval | None = None
    groups: dict[str, tuple[GroupScore, ...]] = {}
    if complete and measured:
        means = item_means(rows)
        single = int(cell.manifest["repeats"]) == 1
        scored = _score(means, single=single)
        for name in table.groups(cell.task):
            parts = means.groupby(group_column(name), sort=True)
            groups[name] = tuple(
                GroupScore(str(value), len(part), _score(part, single=single)) for value, part in parts
            )
    tokens = Tokens(*(_mean(rows[f"{kind}_tokens"]) for kind in ("prompt", "completion", "reasoning")))
    items = len(cell.manifest["items"])
    repeats = int(cell.manifest["repeats"])
    powers = _pass_power(rows, repeats) if complete and repeats > 1 else {}
    failed = tuple(sorted(rows.loc[rows["outcome"] == "failed", "item_id"].astype(str).unique()))
    rate = _stream_rate(rows)
    again = rerolled(rows, complete=complete)
    return CellScore(cell, items, repeats, measured, outcomes, scored, groups, tokens, powers, rate, failed, again)


def _stream_rate(rows: pd.DataFrame) -> float | None:
    known = rows[rows["completion_tokens"].notna() & (rows["seconds"] > 0)]
    seconds = float(known["seconds"].sum())
    return float(known["completion_tokens"].sum()) / seconds if seconds else None


def _pass_power(rows: pd.DataFrame, repeats: int) -> dict[int, float]:
    if not rows["value"].isin((0.0, 1.0)).all():
        return {}
    codes = pd.factorize(rows["item_id"])[0]
    right = np.bincount(codes, weights=rows["value"].to_numpy(dtype=np.float64)).astype(int)
    kinds, counts = np.unique(np.stack([right, np.bincount(codes)]), axis=1, return_counts=True)
    alike = [([1.0] * r + [0.0] * (n - r), int(count)) for (r, n), count in zip(kinds.T, counts, strict=True)]
    return {
        k: float(sum(pass_power_k([attempts], k) * count for attempts, count in alike) / counts.sum())
        for k in range(1, repeats + 1)
    }


def planned_rows(table: RunTable, cell: TableCell) -> pd.DataFrame:
    """The cell's rows that its plan asks for, each once (the last written), by item and repeat."""
    rows = table.of(cell)
    rows = of_items(rows[rows["repeat"] < int(cell.manifest["repeats"])], cell.manifest["items"])
    if rows.empty:
        return rows
    codes, repeats = pd.factorize(rows["item_id"], sort=True)[0], rows["repeat"].to_numpy(dtype=np.int64)
    keys = codes * (int(repeats.max()) + 1) + repeats
    order = np.argsort(keys, kind="stable")
    last = np.append(np.diff(keys[order]) != 0, True)
    ordered: pd.DataFrame = rows.iloc[order[last]]
    return ordered


def of_items(rows: pd.DataFrame, items: Collection[str]) -> pd.DataFrame:
    """The rows of some items; the rows themselves where those are all."""
    codes, known = pd.factorize(rows["item_id"])
    wanted = np.isin(np.asarray(known, dtype=object).astype(str), np.asarray(list(items), dtype=str))
    return rows if wanted.all() else rows[wanted[codes]]


def _outcome_counts(rows: pd.DataFrame) -> dict[str, int]:
    """Samples by outcome, every outcome named."""
    counts = rows["outcome"].value_counts()
    return {name: int(counts.get(name, 0)) for name in OUTCOMES}


def item_means(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per item: mean ``value`` over its repeats, with its weight, cluster and groups."""
    first = {str(name): (str(name), "first") for name in rows.columns if str(name).startswith("group.")}
    means = rows.groupby("item_id", sort=True).agg(
        value=("value", "mean"), weight=("weight", "first"), cluster=("cluster", "first"), **first
    )
    return means


def weights_of(means: pd.DataFrame) -> Floats | None:
    """Item weights, None where all are equal."""
    weights = means["weight"].to_numpy(dtype=np.float64)
    return None if np.ptp(weights) == 0 else weights


def clusters_of(means: pd.DataFrame) -> Codes | None:
    """Integer codes of the items' clusters, None where no two items share one."""
    names = means["cluster"].fillna("").astype(str).to_numpy(dtype=object)
    alone = names == ""
    codes = np.unique(np.where(alone, "", names).astype(str), return_inverse=True)[1].astype(np.int64)
    codes[alone] = len(names) + np.arange(int(alone.sum()))
    return None if len(np.unique(codes)) == len(codes) else codes


def values_of(means: pd.DataFrame) -> Floats:
    """The item means as an array."""
    return means["value"].to_numpy(dtype=np.float64)


def _score(means: pd.DataFrame, *, single: bool) -> ScoreInterval:
    return score(values_of(means), single=single, weights=weights_of(means), clusters=clusters_of(means))


def _mean(column: "pd.Series[float]") -> float | None:
    value = column.mean()
    return None if pd.isna(value) else float(value)


def rerolled(rows: pd.DataFrame, *, complete: bool) -> RetriedSamples:
    """Count them and compare; ``rows`` are a cell's planned samples with ``rerolled`` and ``value``."""
    marked = rows["rerolled"].fillna(False).astype(bool)
    share = float(marked.mean()) if len(rows) else 0.0
    scores = [_rerolls_mean(rows.loc[part, "value"]) if complete else None for part in (marked, ~marked)]
    return RetriedSamples(int(marked.sum()), share, *scores)


def _rerolls_mean(values: "pd.Series[float]") -> float | None:
    return float(values.mean()) if len(values) else None
