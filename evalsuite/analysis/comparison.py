"""Compares two models on one task: what changed, by how much, by which kind of answer, and the verdict.

Models are paired on the items that both cells hold, on item means over repeats (``pairing``). A comparison with a known
difference in the question is refused. A cell with missing answers gets no score, unless a fraction of missing answers
is allowed; then the delta of the measured answers is shown between "all missing wrong" and "all missing right".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalsuite.analysis import comparability, missing_answers, pairing, scores
from evalsuite.analysis.causes import CAUSES, FAULTS
from evalsuite.analysis.cautions import cautions
from evalsuite.analysis.groups import GroupChange
from evalsuite.analysis.missing_answers import MissingAnswerBounds
from evalsuite.analysis.pairing import Paired
from evalsuite.analysis.table import RunTable
from evalsuite.analysis.verdict import Verdict
from evalsuite.errors import BadInput
from evalsuite.store.runs import TableCell

__all__ = ["CAUSES", "FAULTS", "Comparison", "GroupChange", "Paired", "compare", "compare_scored"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate compared with its baseline on one task; all scores and deltas are fractions of 1."""

    baseline: scores.CellScore
    """Numbers of the baseline's cell."""
    candidate: scores.CellScore
    """Numbers of the candidate's cell."""
    comparable: comparability.Comparable
    """Whether the cells may be compared, and what differs."""
    paired: Paired | None
    """Numbers of the paired comparison; None when there are none, with the cause in ``reason``."""
    reason: str
    """Why there are no paired numbers; empty when there are."""
    partial: str
    """Description of the part of the task that was compared; empty for the whole task."""
    bounded: MissingAnswerBounds | None = None
    """How far missing answers could move the delta; None when none are missing."""
    verdict: Verdict | None = None
    """The verdict against the margin of a gate; None without a gate."""

    @property
    def task(self) -> str:
        """The name of the task, such as ``mmlu_pro``."""
        return self.candidate.cell.task

    @property
    def benchmark(self) -> str:
        """The title of the benchmark for reports, such as "MMLU-Pro"."""
        return self.candidate.benchmark

    @property
    def delta(self) -> float | None:
        """Candidate minus baseline, a fraction; None without paired numbers."""
        return self.paired.change.delta if self.paired else None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % interval of the delta (lower, upper end), fractions; None without paired numbers or standard error."""
        return self.paired.change.ci95 if self.paired else None

    @property
    def cautions(self) -> tuple[str, ...]:
        """Warnings as lines of text: why the task cannot show a loss, what else than the checkpoint may have caused a
        loss, and what changed that the score does not show; usually empty.
        """
        return cautions(self)

    @property
    def stopped(self) -> bool:
        """Whether either cell stopped early (``engine.stop=sequential``); delta and interval then decide nothing."""
        return any(side.cell.manifest.get("stopped") for side in (self.baseline, self.candidate))

    @property
    def demo(self) -> bool:
        """Whether the answers of either cell come from a demo model, and so say nothing about a real checkpoint."""
        return self.baseline.cell.demo or self.candidate.cell.demo

    def to_json(self) -> dict[str, Any]:
        """Build one row of ``comparison.json``: names, scores, paired numbers (null, empty or, for ``items``, 0 without
        them), margin, verdict, outcome counts, comparability and cautions.

        Returns:
            The row, of JSON types; scores and deltas are fractions.
        """
        numbers = self.paired.to_json() if self.paired else {**dict.fromkeys(pairing.KEYS), **pairing.EMPTY}
        return {
            "task": self.task,
            "variant": self.candidate.cell.identity["variant"],
            "baseline": self.baseline.cell.model,
            "candidate": self.candidate.cell.model,
            "repeats": [self.baseline.repeats, self.candidate.repeats],
            **numbers,
            "margin": self.verdict.limit.margin if self.verdict else None,
            "tier": self.verdict.limit.tier if self.verdict else None,
            "verdict": self.verdict.to_json() if self.verdict else None,
            "outcomes": {"baseline": dict(self.baseline.outcomes), "candidate": dict(self.candidate.outcomes)},
            "bounded": self.bounded.to_json() if self.bounded else None,
            "comparable": self.comparable.to_json(),
            "reason": self.reason,
            "partial": self.partial,
            "cautions": list(self.cautions),
            "stopped": self.stopped,
            "demo": self.demo,
        }


def compare(table: RunTable, task: str, baseline: str, candidate: str) -> Comparison:
    """Compare the cells of two models on one task.

    Args:
        table: Samples of both cells.
        task: Name of the task.
        baseline: Name of the baseline model.
        candidate: Name of the candidate model.

    Returns:
        The comparison. An incomplete cell is no error: the comparison then has no delta and gives the reason.

    Raises:
        BadInput: A name is unknown, both names are equal, a model has no cell of the task, or the two cells are known
            to have been asked or graded differently, or served with different chat templates or tokenizer files.
    """
    if baseline == candidate:
        raise BadInput(f"{baseline} cannot be compared with itself; name another baseline")
    result = _compare_cells(table, table.cell(baseline, task), table.cell(candidate, task))
    if not result.comparable.ok:
        raise BadInput(result.reason)
    return result


def _compare_cells(table: RunTable, baseline: TableCell, candidate: TableCell) -> Comparison:
    """Compare two cells of one task without a gate; when they may not be compared, the result has no paired numbers and
    gives the reason. Never raises for that.
    """
    return compare_scored(table, scored_rows(table, baseline), scored_rows(table, candidate))


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The planned rows of a cell with the numbers computed from them."""

    score: scores.CellScore
    """Numbers of the cell."""
    rows: pd.DataFrame
    """Its planned rows (``scores.planned_rows``)."""


def scored_rows(table: RunTable, cell: TableCell) -> ScoredRows:
    """Select the planned sample rows of a cell of the table and compute the cell's numbers; returns both."""
    rows = scores.planned_rows(table, cell)
    return ScoredRows(scores.score_rows(table, cell, rows), rows)


def compare_scored(
    table: RunTable,
    baseline: ScoredRows,
    candidate: ScoredRows,
    *,
    aa_rows: Mapping[str, pd.DataFrame] | None = None,
    allow_incomplete: float | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Compare two scored cells of one task; the result has no verdict yet.

    When they may not be compared, share no graded item, have a withheld score or lack more answers than
    ``allow_incomplete``, the result has no paired numbers and gives the reason; nothing is raised. ``aa_rows``: model
    -> planned rows of a second run of the baseline (A/A). ``allow_incomplete``: largest fraction of missing samples of
    the common items, in either cell, that is bounded instead of refused; None refuses every cell that is not complete.
    ``alpha``: error of each one-sided bound.
    """
    old, new = baseline.score, candidate.score
    comparable = comparability.check(old.cell, new.cell, baseline.rows, candidate.rows)
    items = set(old.cell.manifest["items"]) & set(new.cell.manifest["items"])
    total = int(new.cell.manifest["total_items"])
    partial = f"{len(items):,} of {total:,} items" if len(items) < total else ""
    partial += ", stopped early" if any(side.cell.manifest.get("stopped") for side in (old, new)) else ""
    benchmark, pair = new.benchmark, f"{new.cell.model} with {old.cell.model}"
    reason, bounded = "", None
    if not comparable.ok:
        reason = f"{benchmark}: cannot compare {pair}, they differ in {'; '.join(comparable.differences)}"
    elif not items:
        reason = f"{benchmark}: {pair} have no item in common"
    elif not (old.complete and new.complete):
        reason, bounded = _incomplete(baseline, candidate, sorted(items), allow_incomplete, alpha)
    if reason:
        return Comparison(old, new, comparable, None, reason, partial)
    arms = pairing.arms_of(*pairing.shared_rows(baseline.rows, candidate.rows, items))
    if not len(arms.before):
        reason = f"{benchmark}: {pair} have no item that both have a graded answer to"
        return Comparison(old, new, comparable, None, reason, partial)
    if bounded is not None:
        partial = f"{len(arms.before):,} of {total:,} items, {sum(bounded.missing):,} answers missing"
    groups, caps = table.groups(new.cell.task), _caps(old.cell, new.cell)
    paired = pairing.pair(groups, arms, caps, aa_rows=aa_rows, alpha=alpha)
    return Comparison(old, new, comparable, paired, "", partial, bounded)


def _incomplete(
    baseline: ScoredRows,
    candidate: ScoredRows,
    items: list[str],
    allowed: float | None,
    alpha: float,
) -> tuple[str, MissingAnswerBounds | None]:
    """Return (why there is no delta of incomplete cells, bounds of the delta): the reason is empty when the missing
    fraction is allowed, else the bounds are None. It is ("", None) when the fraction is allowed and none of ``items``
    lacks an answer.

    ``items``: ids that both cells plan. ``allowed``: largest fraction of missing samples of these items in either cell;
    None allows no incomplete cell. A withheld score is a reason whatever is allowed. ``alpha``: error of each one-sided
    bound.
    """
    scored = (baseline.score, candidate.score)
    descriptions = [f"{score.cell.model}: {score.missing_text}" for score in scored if not score.complete]
    reason = f"incomplete: {'; '.join(descriptions)}"
    if allowed is None or any(score.withheld for score in scored):
        return reason, None
    base, cand = pairing.shared_rows(baseline.rows, candidate.rows, set(items))
    repeats = (baseline.score.repeats, candidate.score.repeats)
    if comparability.prompt_depends_on_repeat(base, cand):
        repeats = (min(repeats), min(repeats))
    bounded = missing_answers.bound_missing(base, cand, items, repeats, alpha)
    if bounded.share > allowed:
        return f"{reason}; {100 * bounded.share:.2g} % missing, at most {100 * allowed:g} % are allowed", None
    return "", bounded if any(bounded.missing) else None


def _caps(baseline: TableCell, candidate: TableCell) -> tuple[int | None, int | None] | None:
    """Return the declared maximum tokens of a reply in (baseline, candidate), each None when unknown; None as a whole
    where the candidate's attempts have several replies, or its adapter is not installed.
    """
    if not comparability.is_single_turn(candidate):
        return None
    caps = [(cell.identity.get("sampling") or {}).get("max_tokens") for cell in (baseline, candidate)]
    return caps[0], caps[1]
