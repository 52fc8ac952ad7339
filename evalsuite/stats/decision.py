"""The rule of a verdict: pass, fail or undecided from one-sided bounds, a margin and the losses of the whole suite.

Pure: what measured the bounds (t, Tango, bootstrap, clusters, bounds over missing answers) does not matter here.
Sources: non-inferiority by confidence bounds (CONSORT extension, Piaggio et al., JAMA 308, 2012); all benchmarks must
pass = intersection-union test, no correction needed (Berger, Technometrics 24, 1982); any may fail = Holm 1979.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalsuite.stats.delta import Delta, MeanDelta
from evalsuite.stats.intervals import Floats
from evalsuite.stats.multiplicity import adjust, holm_arrays

Call = Literal["pass", "fail", "undecided"]
Tier = Literal["critical", "supporting", "advisory"]
Calls = NDArray[np.int8]
"""1 pass, -1 fail, 0 undecided."""
Rule = Literal["non-inferior", "inferior", "significant loss", "in between", "no evidence", "sequential"]

SUITE_MEAN = "suite mean"


@dataclass(frozen=True, slots=True)
class EarlyDecision:
    """What a sequential rule said (``stats.sequential``); the bounds of a fixed number of items do not apply then."""

    call: Call
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on one benchmark (or on the suite's mean), and what it may lose; fractions of 1."""

    task: str
    margin: float
    """Largest loss that is tolerated; above 0."""
    delta: float | None
    """Candidate minus baseline; None where nothing was measured."""
    lower: float | None
    """One-sided lower bound of the delta at level 1 - alpha: an end of the two-sided 1 - 2 alpha interval."""
    upper: float | None
    """One-sided upper bound at level 1 - alpha."""
    p_loss: float | None
    """One-sided p value of "no loss", before any correction; None counts as 1."""
    ci95: tuple[float, float] | None = None
    """Two-sided 95 % interval; only tells a detectable loss."""
    tier: Tier = "critical"
    settled: EarlyDecision | None = None
    """Given: the verdict; nothing else decides."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one benchmark."""

    task: str
    tier: Tier
    call: Call
    rule: Rule
    """What decided."""
    reason: str
    """One clause for people, in percentage points."""
    p_holm: float | None
    """One-sided p value of "no loss", Holm-adjusted over everything that was decided together."""
    detectable_loss: bool
    """The two-sided 95 % interval lies below 0; beside a pass: "pass, with a detectable loss"."""

    @property
    def label(self) -> str:
        """The verdict as it is shown."""
        return "pass, with a detectable loss" if self.call == "pass" and self.detectable_loss else self.call


@dataclass(frozen=True, slots=True)
class SuiteDecision:
    """The verdict on a whole suite with those on its parts."""

    call: Call
    reason: str
    parts: tuple[Decision, ...]
    suite_mean: Decision | None


def evidence(task: str, change: Delta | MeanDelta | None, margin: float, tier: Tier = "critical") -> Evidence:
    """Evidence from a paired change; None (not comparable, incomplete) gives evidence that decides nothing.

    The bounds have the alpha that ``paired_delta`` or ``mean_delta`` was told.
    """
    if change is None:
        return Evidence(task, margin, None, None, None, None, None, tier)
    lower, upper = change.one_sided or (None, None)
    return Evidence(task, margin, change.delta, lower, upper, change.p_loss, change.ci95, tier)


def decide(found: Sequence[Evidence], alpha: float = 0.05) -> tuple[Decision, ...]:
    """Verdicts on benchmarks that are judged together, in their order.

    In this order: **pass** when the lower bound is above -margin; **fail** when the upper bound is below -margin, or
    when the loss is significant (Holm over ``found``, one-sided at ``alpha``) and the estimate is beyond half the
    margin; else **undecided**. ``alpha`` must be the one of the bounds. Raises ``ValueError`` for a margin not above 0.
    """
    holm = adjust([one.p_loss for one in found]).holm
    return tuple(_decide(one, p_holm, alpha) for one, p_holm in zip(found, holm, strict=True))


def decide_release(found: Sequence[Evidence], suite_mean: Evidence | None = None, alpha: float = 0.05) -> SuiteDecision:
    """The verdict on a release: passes when every critical benchmark and the suite mean pass and nothing fails.

    ``suite_mean`` joins the Holm family; None: no such test is asked. Advisory benchmarks are shown and decide
    nothing; supporting ones must not fail. Without a critical benchmark a release cannot pass.
    """
    everything = decide([*found, suite_mean] if suite_mean else found, alpha)
    parts, mean = (everything[:-1], everything[-1]) if suite_mean else (everything, None)
    counted = [one for one in (*parts, mean) if one is not None and one.tier != "advisory"]
    failed = [one for one in counted if one.call == "fail"]
    open_ones = [one for one in counted if one.tier == "critical" and one.call == "undecided"]
    call: Call = "pass"
    reason = "every critical benchmark passes and nothing fails"
    if failed:
        call, reason = "fail", "; ".join(f"{one.task} fails: {one.reason}" for one in failed)
    elif open_ones:
        call, reason = "undecided", "; ".join(f"{one.task} is undecided: {one.reason}" for one in open_ones)
    elif not any(one.tier == "critical" for one in parts):
        call, reason = "undecided", "no critical benchmark was judged"
    return SuiteDecision(call, reason, parts, mean)


def decide_arrays(
    delta: Floats, lower: Floats, upper: Floats, p_loss: Floats, margins: Floats, alpha: float = 0.05
) -> Calls:
    """``decide`` for many suites at once: rows are suites, columns benchmarks; NaN where there is no number.

    Returns 1 for pass, -1 for fail, 0 for undecided. ``margins`` has one entry per column.
    """
    holm = holm_arrays(p_loss)
    passes = lower > -margins
    fails = (upper < -margins) | ((holm <= alpha) & (delta < -margins / 2))
    return np.where(passes, 1, np.where(fails, -1, 0)).astype(np.int8)


def release_arrays(calls: Calls, tiers: Sequence[Tier]) -> Calls:
    """``decide_release`` for many suites at once; a suite mean is a further critical column of ``calls``."""
    counted = np.array([tier != "advisory" for tier in tiers])
    critical = np.array([tier == "critical" for tier in tiers])
    fails = (calls[:, counted] == -1).any(axis=1)
    passes = (calls[:, critical] == 1).all(axis=1) & bool(critical.any())
    return np.where(fails, -1, np.where(passes, 1, 0)).astype(np.int8)


def _decide(one: Evidence, p_holm: float | None, alpha: float) -> Decision:
    if one.margin <= 0:
        raise ValueError(f"{one.task}: a margin must be above 0, not {one.margin}")
    call, rule, reason = _ruling(one, p_holm, alpha)
    loses = one.ci95 is not None and one.ci95[1] < 0
    return Decision(one.task, one.tier, call, rule, reason, p_holm, loses)


def _ruling(one: Evidence, p_holm: float | None, alpha: float) -> tuple[Call, Rule, str]:
    if one.settled is not None:
        return one.settled.call, "sequential", one.settled.reason
    level, margin = f"one-sided {100 * (1 - alpha):g} % ", f"the margin of {_points(-one.margin)}"
    if one.delta is None:
        return "undecided", "no evidence", "nothing was measured that could be compared"
    if one.lower is not None and one.lower > -one.margin:
        return "pass", "non-inferior", f"{level}lower bound {_points(one.lower)} is above {margin}"
    if one.upper is not None and one.upper < -one.margin:
        return "fail", "inferior", f"{level}upper bound {_points(one.upper)} is below {margin}"
    if p_holm is not None and p_holm <= alpha and one.delta < -one.margin / 2:
        loss = f"significant loss of {_points(one.delta)} (p {p_holm:.2g}, Holm over the suite)"
        return "fail", "significant loss", f"{loss}, beyond half of {margin}"
    if one.lower is None or one.upper is None:
        return "undecided", "no evidence", f"too little varies for an interval around {_points(one.delta)}"
    bounds = f"{_points(one.lower)} to {_points(one.upper)}"
    return "undecided", "in between", f"one-sided bounds {bounds} lie on both sides of {margin}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f} pt"
