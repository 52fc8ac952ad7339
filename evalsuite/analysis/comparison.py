"""Two models on one task: what changed, where, by how much, through which kind of answer, and the verdict on it.

Paired on the items that both cells hold, on item means over repeats; numbers by ``pairing``. What is known to differ
in the question is refused. A cell with missing answers gets no score, unless a share of them is allowed: then the
delta of the measured ones is shown between "all missing wrong" and "all missing right".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evalsuite.analysis import comparability as comparable
from evalsuite.analysis import missing_answers as missing
from evalsuite.analysis import pairing, scores
from evalsuite.analysis.causes import CAUSES, FAULTS
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
    """A candidate against its baseline on one task; all scores and deltas are fractions of 1."""

    baseline: scores.CellScore
    candidate: scores.CellScore
    comparable: comparable.Comparable
    paired: Paired | None
    """None where there is nothing to show; ``reason`` says why."""
    reason: str
    partial: str
    """Which part of the task was compared, declared or for want of answers; empty for the whole task."""
    bounded: MissingAnswerBounds | None = None
    """Where answers are missing and that was allowed: how far they could move the delta."""
    verdict: Verdict | None = None
    """Where margins were given."""

    @property
    def task(self) -> str:
        """The task's name."""
        return self.candidate.cell.task

    @property
    def benchmark(self) -> str:
        """The title of its benchmark, as people write it."""
        return self.candidate.benchmark

    @property
    def delta(self) -> float | None:
        """Candidate minus baseline."""
        return self.paired.change.delta if self.paired else None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """95 % interval of the delta."""
        return self.paired.change.ci95 if self.paired else None

    @property
    def stopped(self) -> bool:
        """Whether either cell stopped early: its delta and interval are those of a stopped run, and judge nothing."""
        return any(side.cell.manifest.get("stopped") for side in (self.baseline, self.candidate))

    @property
    def demo(self) -> bool:
        """Whether demo models answered: no claim about any real checkpoint."""
        return self.baseline.cell.demo or self.candidate.cell.demo

    def to_json(self) -> dict[str, Any]:
        """One row of ``comparison.json``."""
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
            "stopped": self.stopped,
            "demo": self.demo,
        }


def compare(table: RunTable, task: str, baseline: str, candidate: str) -> Comparison:
    """Compare two models' cells of a task.

    Raises ``BadInput`` for unknown names, and where the two are known to have been asked or graded differently. An
    incomplete cell is no error: the comparison then has no delta and says why.
    """
    if baseline == candidate:
        raise BadInput(f"{baseline} cannot be compared with itself; name another baseline")
    result = _compare_cells(table, table.cell(baseline, task), table.cell(candidate, task))
    if not result.comparable.ok:
        raise BadInput(result.reason)
    return result


def _compare_cells(table: RunTable, baseline: TableCell, candidate: TableCell) -> Comparison:
    """As ``compare``; cells that may not be compared give a result without numbers that says why."""
    base, cand = scores.planned_rows(table, baseline), scores.planned_rows(table, candidate)
    old, new = scores.score_rows(table, baseline, base), scores.score_rows(table, candidate, cand)
    return compare_scored(table, old, new, base, cand)


def compare_scored(
    table: RunTable,
    baseline: scores.CellScore,
    candidate: scores.CellScore,
    base: pd.DataFrame,
    cand: pd.DataFrame,
    *,
    again: Mapping[str, pd.DataFrame] | None = None,
    allow_incomplete: float | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """As ``_compare_cells`` from cells already scored, with their planned rows.

    ``again``: model -> planned rows of a second arm of the baseline (A/A). ``allow_incomplete``: the largest share of
    missing samples in either arm that is bounded instead of refused. ``alpha``: error of each one-sided bound.
    """
    found = comparable.check(baseline.cell, candidate.cell, base, cand)
    items = set(baseline.cell.manifest["items"]) & set(candidate.cell.manifest["items"])
    total = int(candidate.cell.manifest["total_items"])
    partial = f"{len(items):,} of {total:,} items" if len(items) < total else ""
    partial += ", stopped early" if any(side.cell.manifest.get("stopped") for side in (baseline, candidate)) else ""
    benchmark, pair = candidate.benchmark, f"{candidate.cell.model} with {baseline.cell.model}"
    reason, bounded = "", None
    if not found.ok:
        reason = f"{benchmark}: cannot compare {pair}, they differ in {'; '.join(found.differences)}"
    elif not items:
        reason = f"{benchmark}: {pair} have no item in common"
    elif not (baseline.complete and candidate.complete):
        reason, bounded = _incomplete(baseline, candidate, base, cand, sorted(items), allow_incomplete, alpha)
    if reason:
        return Comparison(baseline, candidate, found, None, reason, partial)
    arms = pairing.arms_of(*pairing.shared_rows(base, cand, items))
    if not len(arms.before):
        reason = f"{benchmark}: {pair} have no item that both have a graded answer to"
        return Comparison(baseline, candidate, found, None, reason, partial)
    if bounded is not None:
        partial = f"{len(arms.before):,} of {total:,} items, {sum(bounded.missing):,} answers missing"
    groups, caps = table.groups(candidate.cell.task), _caps(baseline.cell, candidate.cell)
    paired = pairing.pair(groups, arms, caps, again=again, alpha=alpha)
    return Comparison(baseline, candidate, found, paired, "", partial, bounded)


def _incomplete(
    baseline: scores.CellScore,
    candidate: scores.CellScore,
    base: pd.DataFrame,
    cand: pd.DataFrame,
    items: list[str],
    allowed: float | None,
    alpha: float,
) -> tuple[str, MissingAnswerBounds | None]:
    """(why there is no delta, or nothing; both extremes where the missing answers are few enough)."""
    lacking = [f"{side.cell.model}: {side.missing}" for side in (baseline, candidate) if not side.complete]
    reason = f"incomplete: {'; '.join(lacking)}"
    if allowed is None:
        return reason, None
    base, cand = pairing.shared_rows(base, cand, set(items))
    repeats = (baseline.repeats, candidate.repeats)
    if comparable.order_matters(base, cand):
        repeats = (min(repeats), min(repeats))
    bounded = missing.bounded(base, cand, items, repeats, alpha)
    if bounded.share > allowed:
        return f"{reason}; {100 * bounded.share:.2g} % missing, at most {100 * allowed:g} % are allowed", None
    return "", bounded


def _caps(baseline: TableCell, candidate: TableCell) -> tuple[int | None, int | None] | None:
    """The tokens that a reply was allowed in each arm; None for attempts of several replies."""
    if not comparable.one_question(candidate):
        return None
    caps = [(cell.identity.get("sampling") or {}).get("max_tokens") for cell in (baseline, candidate)]
    return caps[0], caps[1]
