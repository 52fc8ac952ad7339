"""Gives the verdict on a candidate as a whole from its comparisons, the suite's mean and what was not measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.analysis.anomalies import Anomaly, find_anomalies
from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.diagnostics import significantly_above
from evalsuite.analysis.verdict import (
    TOLERANCE,
    MarginChoice,
    Verdict,
    early_decision,
    evidence_of,
    extremes_of,
    margin_for,
    verdict_of,
)
from evalsuite.config.settings import Gate
from evalsuite.errors import BadInput
from evalsuite.stats import decision
from evalsuite.stats.decision import SUITE_MEAN, Call, EarlyDecision, Evidence
from evalsuite.stats.delta import MeanDelta, mean_delta
from evalsuite.stats.power import ThresholdRule, threshold_rule
from evalsuite.tasks.datasets import benchmark_title


@dataclass(frozen=True, slots=True)
class ReleaseVerdict:
    """The verdict on a candidate."""

    baseline: str
    """Name of the baseline model."""
    candidate: str
    """Name of the candidate model."""
    call: Call
    """``pass``, ``fail`` or ``undecided``."""
    reason: str
    """Why, for reports."""
    suite_mean: Verdict | None
    """Verdict on the equal-weight mean over the critical benchmarks; None when the gate does not ask for it."""
    mean: MeanDelta | None
    """The mean delta over the critical benchmarks; None when one of them has no delta."""
    missing: tuple[str, ...]
    """Critical and supporting benchmarks of the gate that were not compared."""
    anomalies: tuple[Anomaly, ...] = ()
    """Significant gains above the margin."""
    threshold: ThresholdRule | None = None
    """What a bare threshold on the estimates would do at these errors; None without a standard error."""

    @property
    def delta(self) -> float | None:
        """The mean delta over the critical benchmarks, a fraction; None when the gate does not ask for it, no benchmark
        is critical, or one of them has no delta or was tested sequentially.
        """
        return self.mean.delta if self.mean else None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``comparison.json`` and ``verdict.json``: baseline, call, reason, missing benchmarks,
        suite mean (its verdict) and delta, anomalies, and what a bare threshold would do; null where there is none. The
        candidate is the entry's key.
        """
        return {
            "baseline": self.baseline,
            "call": self.call,
            "reason": self.reason,
            "missing": list(self.missing),
            "suite_mean": self.suite_mean.to_json() if self.suite_mean else None,
            "delta": self.delta,
            "anomalies": [anomaly.to_json() for anomaly in self.anomalies],
            "bare_threshold": None if self.threshold is None else self.threshold.to_json(),
        }


def release_verdict(
    baseline: str, candidate: str, rows: Sequence[Comparison], gate: Gate
) -> tuple[ReleaseVerdict, dict[str, Verdict]]:
    """Decide on a candidate from its comparisons ``rows`` with one baseline.

    Tasks without a margin in the gate get their detectable difference as one and decide nothing. Critical tasks of the
    gate that were not compared leave the release undecided, unless it fails; it also fails by more tokens than the gate
    allows (``_with_tokens``). Returns (the verdict on the candidate, task -> verdict on each task of ``rows`` with a
    margin or a detectable difference). Raises ``BadInput`` for a margin that is not above 0 or an unknown tier.
    """
    compared = {row.task: row for row in rows}
    limits = _margins(compared, gate)
    declared = {task: limit for task, limit in limits.items() if limit.declared}
    measured = {task: _evidence(task, limit, compared.get(task)) for task, limit in declared.items()}
    mean, mean_evidence = _suite_mean(compared, declared, gate)
    suite_decision = decision.decide_release(list(measured.values()), mean_evidence, gate.alpha)
    verdicts = {
        task: verdict_of(measured[task], part, limits[task], gate.alpha, compared[task])
        for task, part in zip(declared, suite_decision.parts, strict=True)
        if task in compared
    }
    for task, limit in limits.items():
        if not limit.declared:
            single = _evidence(task, limit, compared[task])
            verdicts[task] = verdict_of(
                single, decision.decide([single], gate.alpha)[0], limit, gate.alpha, compared[task]
            )
    required = [task for task, limit in declared.items() if limit.tier != "advisory"]
    absent = tuple(task for task in required if task not in compared or compared[task].paired is None)
    suite = None
    if mean_evidence is not None and suite_decision.suite_mean is not None:
        suite = verdict_of(mean_evidence, suite_decision.suite_mean, _suite_limit(gate), gate.alpha)
    call, reason = _with_tokens(suite_decision.call, _reason(suite_decision), compared, declared, gate)
    judged = with_verdicts(rows, verdicts)
    gains, threshold = find_anomalies(judged, gate.alpha), _threshold(rows)
    return ReleaseVerdict(baseline, candidate, call, reason, suite, mean, absent, gains, threshold), verdicts


def _threshold(rows: Sequence[Comparison]) -> ThresholdRule | None:
    """Return what the rule "no more than one point lost on any benchmark" does at the standard errors of these
    comparisons; None when none has a standard error above 0.
    """
    errors = [row.paired.change.stderr for row in rows if row.paired is not None and row.paired.change.stderr]
    return threshold_rule(errors) if errors else None


def _reason(suite_decision: decision.SuiteDecision) -> str:
    """Return the reason of the decision as text. An undecided decision for which two or more critical benchmarks (the
    suite's mean counts as one) were not measured names all of them in one clause, then the other critical ones that are
    undecided; any other reason is returned unchanged.
    """
    parts = (*suite_decision.parts, suite_decision.suite_mean)
    undecided = [part for part in parts if part and part.tier == "critical" and part.call == "undecided"]
    absent = [part for part in undecided if part.reason == decision.NOT_MEASURED]
    if suite_decision.call != "undecided" or len(absent) < 2:
        return suite_decision.reason
    rest = [part for part in undecided if part not in absent]
    names = ", ".join(part.task for part in absent)
    return "; ".join([f"not measured: {names}", *(f"{part.task} is undecided: {part.reason}" for part in rest)])


def with_verdicts(rows: Sequence[Comparison], verdicts: Mapping[str, Verdict]) -> tuple[Comparison, ...]:
    """Return copies of the comparisons of one candidate with the verdict of their task, None for tasks without one.
    ``verdicts``: task -> verdict.
    """
    return tuple(replace(row, verdict=verdicts.get(row.task)) for row in rows)


def _margins(compared: Mapping[str, Comparison], gate: Gate) -> dict[str, MarginChoice]:
    """Return task -> margin for every task that the gate names or that was compared (``compared``: task -> comparison);
    tasks without margin and without detectable difference are left out.

    The gate's margin comes before the detectable difference. Raises ``BadInput`` for a margin that is not above 0 or an
    unknown tier.
    """
    limits: dict[str, MarginChoice] = {}
    for task in dict.fromkeys([*gate.margins, *compared]):
        row = compared.get(task)
        limit = margin_for(task, gate, row.paired.mde if row is not None and row.paired is not None else None)
        if limit is not None:
            limits[task] = limit
    return limits


def _evidence(task: str, limit: MarginChoice, row: Comparison | None) -> Evidence:
    if row is None or row.paired is None:
        return evidence_of(benchmark_title(task), limit, None)
    measured = evidence_of(benchmark_title(task), limit, row.paired.change, extremes_of(row.bounded))
    early = early_decision(row.baseline.cell, row.candidate.cell, limit.margin, measured.lower)
    if early is None:
        return measured
    return replace(measured, lower=None, upper=None, p_loss=None, ci95=None, early_decision=early)


def _suite_limit(gate: Gate) -> MarginChoice:
    points = gate.suite_points or 0.0
    if not points > 0:
        raise BadInput(f"gate.suite_points={points}: must be above 0 (percentage points)")
    return MarginChoice(points / 100, "critical", "gate", "equal-weight mean over the critical benchmarks")


def _suite_mean(
    compared: Mapping[str, Comparison], limits: Mapping[str, MarginChoice], gate: Gate
) -> tuple[MeanDelta | None, Evidence | None]:
    """Return (mean delta over the critical benchmarks with equal weight, evidence for its decision).

    ``compared``: task -> comparison; ``limits``: task -> declared margin. (None, None) when the gate does not ask for
    it or no benchmark is critical; (None, evidence without numbers) when a critical benchmark has no delta, or was
    tested sequentially: then the evidence has an early decision.
    """
    rows = [compared.get(task) for task, limit in limits.items() if limit.tier == "critical"]
    if gate.suite_points is None or not rows:
        return None, None
    limit = _suite_limit(gate)
    measured = [row for row in rows if row is not None and row.paired is not None]
    if len(measured) < len(rows):
        return None, evidence_of(SUITE_MEAN, limit, None)
    early = [
        early_decision(row.baseline.cell, row.candidate.cell, limits[row.task].margin, _lower(row)) for row in measured
    ]
    if any(early):
        return None, replace(
            evidence_of(SUITE_MEAN, limit, None), early_decision=_mean_decision(measured, early, limits, limit)
        )
    changes = [row.paired.change for row in measured if row.paired is not None]
    mean = mean_delta(changes, alpha=gate.alpha)
    if all(row.bounded is None for row in measured):
        return mean, evidence_of(SUITE_MEAN, limit, mean)
    extremes = [extremes_of(row.bounded) or (change, change) for row, change in zip(measured, changes, strict=True)]
    worst, best = (mean_delta([extreme[side] for extreme in extremes], alpha=gate.alpha) for side in (0, 1))
    return mean, evidence_of(SUITE_MEAN, limit, mean, (worst, best))


def _lower(row: Comparison) -> float | None:
    """Return the one-sided lower bound of a delta, a fraction; None without one.

    With missing answers it is that of the worst extreme.
    """
    change = extremes_of(row.bounded) or (row.paired.change if row.paired else None,)
    return change[0].one_sided[0] if change[0] is not None and change[0].one_sided else None


def _mean_decision(
    rows: Sequence[Comparison],
    early: Sequence[EarlyDecision | None],
    limits: Mapping[str, MarginChoice],
    limit: MarginChoice,
) -> EarlyDecision:
    """Decide on the suite's mean when some of its tasks were tested sequentially, so that it has no valid interval:
    "pass" when every critical task passes and the mean of their margins is at most the margin of the mean, else
    "undecided".

    ``rows``: the critical comparisons; ``early``: their sequential decisions in the same order, None for a fixed size;
    ``limits``: task -> margin; ``limit``: margin of the mean. Where the mean lost more than the mean of the
    margins, some task lost more than its margin, and all tasks pass with at most the chance that this one passes
    (intersection-union, as in ``stats.decision``).
    """
    margins = sum(limits[row.task].margin for row in rows) / len(rows)
    passed = all(
        decided.call == "pass"
        if decided is not None
        else (bound := _lower(row)) is not None and bound > -limits[row.task].margin
        for row, decided in zip(rows, early, strict=True)
    )
    margin_text = f"the mean of the margins is {100 * margins:g} pt"
    if passed and margins <= limit.margin + TOLERANCE:
        return EarlyDecision("pass", f"every critical benchmark passes, and {margin_text}")
    cause = f"{margin_text}, above {100 * limit.margin:g} pt" if passed else "not every critical benchmark passes"
    return EarlyDecision("undecided", f"tasks were looked at early, so the mean has no valid bounds; {cause}")


def _with_tokens(
    call: Call, reason: str, compared: Mapping[str, Comparison], limits: Mapping[str, MarginChoice], gate: Gate
) -> tuple[Call, str]:
    """Turn the verdict into a fail when the candidate, on a benchmark that is not advisory, generates significantly
    more tokens than ``gate.tokens_ratio_max`` times the baseline's.

    Returns (call, reason), unchanged when none does or the gate sets no such limit. ``compared``: task -> comparison;
    ``limits``: task -> declared margin. The new reason names these benchmarks, before that of an earlier fail.
    """
    if gate.tokens_ratio_max is None:
        return call, reason
    over = [
        f"{row.benchmark} generates x{ratio.total.ratio:.3f} tokens, shown to be above x{gate.tokens_ratio_max:g}"
        for task, limit in limits.items()
        if limit.tier != "advisory"
        and (row := compared.get(task)) is not None
        and row.paired is not None
        and (ratio := row.paired.tokens.get("completion")) is not None
        and significantly_above(ratio.total, gate.tokens_ratio_max, gate.alpha)
    ]
    if not over:
        return call, reason
    return "fail", "; ".join([*over, *([reason] if call == "fail" else [])])
