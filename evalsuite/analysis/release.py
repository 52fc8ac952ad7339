"""The verdict on a candidate as a whole: its comparisons together, the suite's mean, and what was not measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.diagnostics import shown_above
from evalsuite.analysis.verdict import (
    NEAR,
    MarginChoice,
    Verdict,
    evidence_of,
    extremes_of,
    limit_for,
    settled,
    verdict_of,
)
from evalsuite.config.settings import Gate
from evalsuite.stats import decision
from evalsuite.stats.decision import SUITE_MEAN, Call, EarlyDecision, Evidence
from evalsuite.stats.delta import MeanDelta, mean_delta
from evalsuite.tasks.datasets import benchmark_title


@dataclass(frozen=True, slots=True)
class ReleaseVerdict:
    """The verdict on a candidate."""

    baseline: str
    candidate: str
    call: Call
    reason: str
    suite_mean: Verdict | None
    """Of the equal-weight mean over the critical benchmarks; None where the gate asks for none."""
    mean: MeanDelta | None
    """That mean; None where a critical benchmark has no delta."""
    missing: tuple[str, ...]
    """Critical and supporting benchmarks of the gate that were not compared."""

    @property
    def delta(self) -> float | None:
        """The mean delta over the critical benchmarks."""
        return self.mean.delta if self.mean else None

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json`` and ``verdict.json``."""
        return {
            "baseline": self.baseline,
            "call": self.call,
            "reason": self.reason,
            "missing": list(self.missing),
            "suite_mean": self.suite_mean.to_json() if self.suite_mean else None,
            "delta": self.delta,
        }


def release_of(
    baseline: str, candidate: str, rows: Sequence[Comparison], gate: Gate
) -> tuple[ReleaseVerdict, dict[str, Verdict]]:
    """The verdict on a candidate from its comparisons with one baseline, and the verdict on each task.

    Tasks for which the gate has no margin are shown against their detectable difference and decide nothing; tasks of
    the gate that were not compared leave a critical release undecided. Raises ``BadInput`` for a wrong margin.
    """
    compared = {row.task: row for row in rows}
    limits = _limits(compared, gate)
    declared = {task: limit for task, limit in limits.items() if limit.declared}
    found = {task: _evidence(task, limit, compared.get(task)) for task, limit in declared.items()}
    mean, mean_evidence = _suite_mean(compared, declared, gate)
    ruled = decision.decide_release(list(found.values()), mean_evidence, gate.alpha)
    verdicts = {
        task: _verdict(found[task], ruling, limits[task], compared[task], gate)
        for task, ruling in zip(declared, ruled.parts, strict=True)
        if task in compared
    }
    for task, limit in limits.items():
        if not limit.declared:
            alone = _evidence(task, limit, compared[task])
            verdicts[task] = _verdict(alone, decision.decide([alone], gate.alpha)[0], limit, compared[task], gate)
    asked = [task for task, limit in declared.items() if limit.tier != "advisory"]
    absent = tuple(task for task in asked if task not in compared or compared[task].paired is None)
    suite = None
    if mean_evidence is not None and ruled.suite_mean is not None:
        suite = verdict_of(mean_evidence, ruled.suite_mean, _suite_limit(gate), gate.alpha, None)
    call, reason = _with_tokens(ruled.call, _reason(ruled), compared, declared, gate)
    return ReleaseVerdict(baseline, candidate, call, reason, suite, mean, absent), verdicts


def _reason(ruled: decision.SuiteDecision) -> str:
    """The rule's own words, with all that was not measured in one."""
    open_ones = [one for one in (*ruled.parts, ruled.suite_mean) if one is not None and one.tier == "critical"]
    absent = [one for one in open_ones if one.rule == "no evidence" and one.call == "undecided"]
    if ruled.call != "undecided" or len(absent) < 2:
        return ruled.reason
    rest = [one for one in open_ones if one.call == "undecided" and one not in absent]
    names = ", ".join(one.task for one in absent)
    return "; ".join([f"nothing to judge by: {names}", *(f"{one.task} is undecided: {one.reason}" for one in rest)])


def with_verdicts(rows: Sequence[Comparison], verdicts: Mapping[str, Verdict]) -> tuple[Comparison, ...]:
    """The comparisons with their verdicts."""
    return tuple(replace(row, verdict=verdicts.get(row.task)) for row in rows)


def _limits(compared: Mapping[str, Comparison], gate: Gate) -> dict[str, MarginChoice]:
    """Task -> its margin, for everything that the gate names or that was compared."""
    found: dict[str, MarginChoice] = {}
    for task in dict.fromkeys([*gate.margins, *compared]):
        row = compared.get(task)
        limit = limit_for(task, gate, row.paired.mde if row is not None and row.paired is not None else None)
        if limit is not None:
            found[task] = limit
    return found


def _evidence(task: str, limit: MarginChoice, row: Comparison | None) -> Evidence:
    if row is None or row.paired is None:
        return evidence_of(benchmark_title(task), limit, None)
    found = evidence_of(benchmark_title(task), limit, row.paired.change, extremes_of(row.bounded))
    said = settled(row.baseline.cell, row.candidate.cell, limit.margin, found.lower)
    if said is None:
        return found
    return replace(found, lower=None, upper=None, p_loss=None, ci95=None, early_decision=said)


def _verdict(found: Evidence, ruling: decision.Decision, limit: MarginChoice, row: Comparison, gate: Gate) -> Verdict:
    fixed = row.baseline.cell.run != row.candidate.cell.run
    return verdict_of(found, ruling, limit, gate.alpha, row.paired, row.bounded, fixed_baseline=fixed)


def _suite_limit(gate: Gate) -> MarginChoice:
    return MarginChoice(
        (gate.suite_points or 0) / 100, "critical", "gate", "equal-weight mean over the critical benchmarks"
    )


def _suite_mean(
    compared: Mapping[str, Comparison], limits: Mapping[str, MarginChoice], gate: Gate
) -> tuple[MeanDelta | None, Evidence | None]:
    """The mean over the critical benchmarks, and what is decided on it; (None, evidence of nothing) if one lacks."""
    rows = [compared.get(task) for task, limit in limits.items() if limit.tier == "critical"]
    if gate.suite_points is None or not rows:
        return None, None
    limit = _suite_limit(gate)
    whole = [row for row in rows if row is not None and row.paired is not None]
    if len(whole) < len(rows):
        return None, evidence_of(SUITE_MEAN, limit, None)
    said = [settled(row.baseline.cell, row.candidate.cell, limits[row.task].margin, _lower(row)) for row in whole]
    if any(said):
        return None, replace(
            evidence_of(SUITE_MEAN, limit, None), early_decision=_mean_settled(whole, said, limits, limit)
        )
    changes = [row.paired.change for row in whole if row.paired is not None]
    mean = mean_delta(changes, alpha=gate.alpha)
    if all(row.bounded is None for row in whole):
        return mean, evidence_of(SUITE_MEAN, limit, mean)
    ends = [extremes_of(row.bounded) or (change, change) for row, change in zip(whole, changes, strict=True)]
    worst, best = (mean_delta([end[side] for end in ends], alpha=gate.alpha) for side in (0, 1))
    return mean, evidence_of(SUITE_MEAN, limit, mean, (worst, best))


def _lower(row: Comparison) -> float | None:
    """The one-sided lower bound of a comparison, its worst where answers are missing."""
    change = extremes_of(row.bounded) or (row.paired.change if row.paired else None,)
    return change[0].one_sided[0] if change[0] is not None and change[0].one_sided else None


def _mean_settled(
    rows: Sequence[Comparison],
    said: Sequence[EarlyDecision | None],
    limits: Mapping[str, MarginChoice],
    limit: MarginChoice,
) -> EarlyDecision:
    """The suite's mean where tasks were looked at early: no interval of it is honest, but what its parts imply is.

    A mean that lost the mean of the margins lost the margin in some part, so that all parts pass with at most the
    chance with which that part does (intersection-union, as ``stats.decision``).
    """
    margins = sum(limits[row.task].margin for row in rows) / len(rows)
    passed = all(
        one.call == "pass"
        if one is not None
        else (bound := _lower(row)) is not None and bound > -limits[row.task].margin
        for row, one in zip(rows, said, strict=True)
    )
    words = f"the mean of the margins is {100 * margins:g} pt"
    if passed and margins <= limit.margin + NEAR:
        return EarlyDecision("pass", f"every critical benchmark passes, and {words}")
    why = f"{words}, above {100 * limit.margin:g} pt" if passed else "not every critical benchmark passes"
    return EarlyDecision("undecided", f"tasks were looked at early, so that the mean has no bounds of its own; {why}")


def _with_tokens(
    call: Call, reason: str, compared: Mapping[str, Comparison], limits: Mapping[str, MarginChoice], gate: Gate
) -> tuple[Call, str]:
    """A candidate that is shown to write more than the gate allows fails, whatever its scores say."""
    if gate.tokens_ratio_max is None:
        return call, reason
    over = [
        f"{row.benchmark} generates x{ratio.total.ratio:.3f} tokens, shown to be above x{gate.tokens_ratio_max:g}"
        for task, limit in limits.items()
        if limit.tier != "advisory"
        and (row := compared.get(task)) is not None
        and row.paired is not None
        and (ratio := row.paired.tokens.get("completion")) is not None
        and shown_above(ratio.total, gate.tokens_ratio_max, gate.alpha)
    ]
    if not over:
        return call, reason
    return "fail", "; ".join([*over, *([reason] if call == "fail" else [])])
