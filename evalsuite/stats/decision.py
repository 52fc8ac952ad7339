"""The verdict rule: pass, fail or undecided from one-sided bounds, a margin and the losses of the whole suite.

The functions are pure and do not depend on how the bounds were computed (t, Tango, bootstrap, clusters, bounds over
missing answers). Sources: non-inferiority by confidence bounds (CONSORT extension, Piaggio et al., JAMA 308, 2012); the
requirement that all benchmarks pass is an intersection-union test and needs no correction (Berger, Technometrics 24,
1982); that any benchmark may fail is corrected by Holm 1979.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalsuite.stats import rounding
from evalsuite.stats.delta import Delta, MeanDelta
from evalsuite.stats.intervals import Floats
from evalsuite.stats.multiplicity import adjust, holm_arrays

Call = Literal["pass", "fail", "undecided"]
"""The three possible verdicts."""
Tier = Literal["critical", "supporting", "advisory"]
"""Role of a benchmark in a release: a critical one must pass, a supporting one must not fail, an advisory one decides
nothing."""
Calls = NDArray[np.int8]
"""Array of verdicts: 1 pass, -1 fail, 0 undecided."""
Rule = Literal["non-inferior", "inferior", "significant loss", "in between", "no evidence", "sequential"]
"""Which step of the verdict rule decided."""

SUITE_MEAN = "suite mean"
"""Task name under which the suite's mean appears among the benchmarks."""
NOT_MEASURED = "nothing was measured that could be compared"
"""Reason of a decision without a measured change."""


@dataclass(frozen=True, slots=True)
class EarlyDecision:
    """A verdict by sequential testing (``stats.sequential``); bounds for a fixed number of items do not apply to it."""

    call: Call
    """The verdict."""
    reason: str
    """Reason in one clause, for reports."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measured change of one benchmark (or of the suite's mean) and its margin; fractions of 1."""

    task: str
    """Name of the benchmark, or ``SUITE_MEAN``."""
    margin: float
    """Largest loss that is tolerated; above 0."""
    delta: float | None
    """Candidate minus baseline; None when nothing was measured."""
    lower: float | None
    """One-sided lower bound of the delta at level 1 - alpha (an end of the two-sided 1 - 2 alpha interval)."""
    upper: float | None
    """One-sided upper bound of the delta at level 1 - alpha."""
    p_loss: float | None
    """One-sided p value of "no loss", before correction; None counts as 1."""
    ci95: tuple[float, float] | None = None
    """Two-sided 95 % interval; used only to flag a detectable loss."""
    tier: Tier = "critical"
    """Role of the benchmark in the release."""
    early_decision: EarlyDecision | None = None
    """Verdict of a sequential test; when given, it is the verdict and nothing else decides."""
    resolution: float = 0.0
    """Smallest loss that the number of sources can exclude (``Delta.resolution``); no smaller margin is passed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one benchmark."""

    task: str
    """Name of the benchmark, or ``SUITE_MEAN``."""
    tier: Tier
    """Role of the benchmark in the release."""
    call: Call
    """The verdict."""
    rule: Rule
    """Which step of the rule decided."""
    reason: str
    """Reason in one clause, in percentage points, for reports."""
    p_holm: float | None
    """One-sided p value of "no loss", Holm-adjusted over all benchmarks that were decided together."""
    detectable_loss: bool
    """Whether the two-sided 95 % interval lies below 0. With a pass this is "pass, with a detectable loss"."""

    @property
    def label(self) -> str:
        """The verdict as shown in reports: ``call`` (pass, fail, undecided), or "pass, with a detectable loss" for a
        pass whose two-sided 95 % interval lies below 0.
        """
        return "pass, with a detectable loss" if self.call == "pass" and self.detectable_loss else self.call


@dataclass(frozen=True, slots=True)
class SuiteDecision:
    """The verdict on a whole suite and on each of its benchmarks."""

    call: Call
    """The verdict on the suite."""
    reason: str
    """Reason, for reports."""
    parts: tuple[Decision, ...]
    """One decision for each benchmark, in the order of the input."""
    suite_mean: Decision | None
    """Decision on the suite's mean; None when it was not asked for."""


def evidence(task: str, change: Delta | MeanDelta | None, margin: float, tier: Tier = "critical") -> Evidence:
    """Turn a paired change into the input of ``decide``.

    Args:
        task: Name of the benchmark.
        change: Result of ``paired_delta`` or ``mean_delta``, whose ``alpha`` is that of the bounds; None (not
            comparable or incomplete) gives evidence without numbers, on which ``decide`` is undecided.
        margin: Largest tolerated loss, a fraction above 0 (checked by ``decide``).
        tier: Role of the benchmark in the release: a critical one must pass, a supporting one must not fail, an
            advisory one decides nothing.

    Returns:
        The evidence, fractions of 1.
    """
    if change is None:
        return Evidence(task, margin, None, None, None, None, None, tier)
    lower, upper = change.one_sided or (None, None)
    resolution = change.resolution if isinstance(change, Delta) else 0.0
    return Evidence(task, margin, change.delta, lower, upper, change.p_loss, change.ci95, tier, resolution=resolution)


def decide(benchmarks: Sequence[Evidence], alpha: float = 0.05) -> tuple[Decision, ...]:
    """Give the verdicts on benchmarks that are decided together.

    A sequential decision in the evidence is taken as it is. Without a measured change: **undecided**. Otherwise, in
    this order: **pass** when the lower bound is above -margin and the margin above the resolution; **fail** when the
    upper bound is below -margin, or when the loss is significant (Holm over all benchmarks, one-sided at ``alpha``) and
    the estimate is beyond half the margin; else **undecided**.

    Args:
        benchmarks: Evidence of each benchmark; together they are one Holm family, in which a missing p value counts
            as 1.
        alpha: One-sided error; must be the one with which the bounds were computed.

    Returns:
        One decision for each benchmark, in the same order: the verdict, the step that decided, a reason in words, the
            Holm-adjusted p value (None without one), and whether the 95 % interval lies below 0 (False without one).

    Raises:
        ValueError: A margin is not above 0.
    """
    holm = adjust([benchmark.p_loss for benchmark in benchmarks]).holm
    return tuple(_decide(benchmark, p_holm, alpha) for benchmark, p_holm in zip(benchmarks, holm, strict=True))


def decide_release(
    benchmarks: Sequence[Evidence], suite_mean: Evidence | None = None, alpha: float = 0.05
) -> SuiteDecision:
    """Give the verdict on a release: it passes when all critical benchmarks and the suite mean pass and no supporting
    one fails.

    It fails when a critical or supporting benchmark or the suite mean fails. Otherwise it is undecided, also where
    there is no critical benchmark. Advisory benchmarks decide nothing, but belong to the Holm family.

    Args:
        benchmarks: Evidence of each benchmark.
        suite_mean: Evidence of the suite's mean (tier critical), which joins the Holm family; None when the mean is not
            tested.
        alpha: One-sided error; must be the one with which the bounds were computed.

    Returns:
        The verdict on the release, its reason, and the decisions on its benchmarks (in the given order) and the mean.

    Raises:
        ValueError: A margin is not above 0.
    """
    decisions = decide([*benchmarks, suite_mean] if suite_mean else benchmarks, alpha)
    parts, mean = (decisions[:-1], decisions[-1]) if suite_mean else (decisions, None)
    counted = [decision for decision in (*parts, mean) if decision is not None and decision.tier != "advisory"]
    failed = [decision for decision in counted if decision.call == "fail"]
    undecided = [decision for decision in counted if decision.tier == "critical" and decision.call == "undecided"]
    call: Call = "pass"
    reason = "every critical benchmark passes and nothing fails"
    if failed:
        call, reason = "fail", "; ".join(f"{decision.task} fails: {decision.reason}" for decision in failed)
    elif undecided:
        call, reason = (
            "undecided",
            "; ".join(f"{decision.task} is undecided: {decision.reason}" for decision in undecided),
        )
    elif not any(decision.tier == "critical" for decision in parts):
        call, reason = "undecided", "no critical benchmark was judged"
    return SuiteDecision(call, reason, parts, mean)


def decide_arrays(
    delta: Floats,
    bounds: tuple[Floats, Floats],
    p_loss: Floats,
    margins: Floats,
    alpha: float = 0.05,
    resolutions: Floats | float = 0.0,
) -> Calls:
    """Apply the rule of ``decide`` to many simulated suites at once.

    In the arrays of shape (suites, benchmarks) NaN stands for a missing number. There are no sequential decisions.

    Args:
        delta: Candidate minus baseline, fractions, shape (suites, benchmarks).
        bounds: One-sided lower and upper bounds, each of the same shape.
        p_loss: One-sided p values of "no loss", same shape.
        margins: Margins, fractions above 0, shape (benchmarks,).
        alpha: One-sided error of the bounds.
        resolutions: Smallest losses that can be excluded, fractions, shape (benchmarks,) or one number for all; no
            margin at or below them passes.

    Returns:
        Verdicts of shape (suites, benchmarks): 1 pass, -1 fail, 0 undecided.
    """
    holm = holm_arrays(p_loss)
    lower, upper = bounds
    passes = (lower > -margins) & (margins > resolutions)
    fails = (upper < -margins) | ((holm <= alpha) & (delta < -margins / 2))
    return np.where(passes, 1, np.where(fails, -1, 0)).astype(np.int8)


def release_arrays(calls: Calls, tiers: Sequence[Tier]) -> Calls:
    """Apply the rule of ``decide_release`` to many simulated suites at once.

    A suite fails when a column that is not advisory fails; else it passes when there is a critical column and all of
    them pass. Unlike in ``decide_release``, the column of the suite mean may be the only critical one.

    Args:
        calls: Verdicts of shape (suites, benchmarks) as from ``decide_arrays``; a suite mean is one more critical
            column.
        tiers: Role of each column.

    Returns:
        Verdicts of shape (suites,): 1 pass, -1 fail, 0 undecided.
    """
    counted = np.array([tier != "advisory" for tier in tiers])
    critical = np.array([tier == "critical" for tier in tiers])
    fails = (calls[:, counted] == -1).any(axis=1)
    passes = (calls[:, critical] == 1).all(axis=1) & bool(critical.any())
    return np.where(fails, -1, np.where(passes, 1, 0)).astype(np.int8)


def _decide(benchmark: Evidence, p_holm: float | None, alpha: float) -> Decision:
    if benchmark.margin <= 0:
        raise ValueError(f"{benchmark.task}: a margin must be above 0, not {benchmark.margin}")
    call, rule, reason = _ruling(benchmark, p_holm, alpha)
    detectable_loss = benchmark.ci95 is not None and benchmark.ci95[1] < 0
    return Decision(benchmark.task, benchmark.tier, call, rule, reason, p_holm, detectable_loss)


def _ruling(benchmark: Evidence, p_holm: float | None, alpha: float) -> tuple[Call, Rule, str]:
    if benchmark.early_decision is not None:
        return benchmark.early_decision.call, "sequential", benchmark.early_decision.reason
    level, margin = f"one-sided {100 * (1 - alpha):g} % ", f"the margin of {_points(-benchmark.margin)}"
    if benchmark.delta is None:
        return "undecided", "no evidence", NOT_MEASURED
    coarse = benchmark.margin <= benchmark.resolution
    if benchmark.lower is not None and benchmark.lower > -benchmark.margin and not coarse:
        return "pass", "non-inferior", f"{level}lower bound {_points(benchmark.lower)} is above {margin}"
    if benchmark.upper is not None and benchmark.upper < -benchmark.margin:
        return "fail", "inferior", f"{level}upper bound {_points(benchmark.upper)} is below {margin}"
    if p_holm is not None and p_holm <= alpha and benchmark.delta < -benchmark.margin / 2:
        loss = f"significant loss of {_points(benchmark.delta)} (p {p_holm:.2g}, Holm over the suite)"
        return "fail", "significant loss", f"{loss}, beyond half of {margin}"
    if benchmark.lower is None or benchmark.upper is None:
        return "undecided", "no evidence", f"too little varies for an interval around {_points(benchmark.delta)}"
    bounds = f"{_points(benchmark.lower)} to {_points(benchmark.upper)}"
    if coarse:
        least = rounding.percent(benchmark.resolution)
        limit = f"so few sources cannot exclude a loss of {least} pt, whatever the answers"
        return "undecided", "in between", f"{limit}; {margin} is closer (one-sided bounds {bounds})"
    return "undecided", "in between", f"one-sided bounds {bounds} lie on both sides of {margin}"


def _points(fraction: float) -> str:
    return f"{rounding.points(fraction)} pt"
