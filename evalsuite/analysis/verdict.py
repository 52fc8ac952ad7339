"""Gives the verdict on one comparison against its margin, and computes what would decide an undecided one.

The rule itself is in ``stats.decision``; this module builds its input from comparisons and describes its result. A
comparison that was run with ``engine.stop=sequential`` gets the verdict that its cells recorded: after interim looks
the bounds for a fixed number of items are not valid, even when all items were asked in the end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast, get_args

from evalsuite.analysis.missing_answers import MissingAnswerBounds
from evalsuite.analysis.pairing import Paired
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import BadInput
from evalsuite.records import canonical_sha
from evalsuite.stats import rounding
from evalsuite.stats.decision import Call, Decision, EarlyDecision, Evidence, Tier, evidence
from evalsuite.stats.delta import Delta, MeanDelta
from evalsuite.stats.design import Design
from evalsuite.stats.power import WouldDecide, would_decide
from evalsuite.store.runs import TableCell

if TYPE_CHECKING:
    from evalsuite.analysis.comparison import Comparison

NO_OWNER = "nobody"
"""Owner of a margin that was derived from the data; a gate may name it, too."""
FROM_DATA = "made from the detectable difference of these very data: shown only"
"""Reason of a margin that was derived from the data."""


@dataclass(frozen=True, slots=True)
class MarginChoice:
    """The margin of one benchmark."""

    margin: float
    """Largest tolerated loss, a fraction of 1."""
    tier: Tier
    """Role of the benchmark in the release."""
    owner: str
    """The person or team that set the margin; ``nobody`` when it was derived from the data."""
    reason: str
    """Why this margin."""

    @property
    def declared(self) -> bool:
        """Whether the margin is one of the gate; False for one that was derived from the data."""
        return (self.owner, self.reason) != (NO_OWNER, FROM_DATA)

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``limit`` of a row of ``verdict.json``: a dict of all fields; ``margin`` is a fraction."""
        return {"margin": self.margin, "tier": self.tier, "owner": self.owner, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class NeededToDecide:
    """What would decide an undecided comparison, if the true change equals the estimate."""

    towards: Call
    """The verdict that the estimate points to."""
    repeats: int | None
    """Repeats of each item, in both models or, with a fixed baseline, in the candidate; None when no number is
    enough."""
    items: int | None
    """Items of this kind at the present repeats; None when no number is enough."""
    text: str
    """The same as a line of text for reports."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry ``wanted`` of a verdict in ``comparison.json``: a dict of all fields."""
        return {"towards": self.towards, "repeats": self.repeats, "items": self.items, "text": self.text}


@dataclass(frozen=True, slots=True)
class LostStratum:
    """A group value with a significant loss after Holm's correction over all that is shown of the candidate."""

    group: str
    """Name of the group, such as ``subject``."""
    value: str
    """The group value, such as ``law``."""
    delta: float
    """Candidate minus baseline, a fraction."""
    p_holm: float | None
    """P value adjusted over the values of the group."""
    p_page: float | None
    """P value adjusted over all values of all groups and tasks of the candidate."""

    def to_json(self) -> dict[str, Any]:
        """Return an entry of the list ``where`` of a verdict in ``comparison.json``: a dict of all fields."""
        numbers = {"delta": self.delta, "p_holm": self.p_holm, "p_page": self.p_page}
        return {"group": self.group, "value": self.value, **numbers}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, fail or undecided against a margin, with the reason."""

    decision: Decision
    """Result of the decision rule."""
    limit: MarginChoice
    """The margin."""
    lower: float | None
    """One-sided lower bound of the delta; with missing answers that of the worst extreme."""
    upper: float | None
    """One-sided upper bound of the delta; with missing answers that of the best extreme."""
    alpha: float
    """Error of each one-sided bound."""
    needed: NeededToDecide | None = None
    """What would decide; only for an undecided comparison."""
    lost_strata: tuple[LostStratum, ...] = ()
    """Group values with a significant loss, the worst first."""

    @property
    def call(self) -> Call:
        """``pass``, ``fail`` or ``undecided``."""
        return self.decision.call

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``comparison.json`` and ``verdict.json``: call, rule, reason, bounds as fractions, alpha,
        what would decide, and the group values that lost.
        """
        decision = self.decision
        return {
            "call": decision.call,
            "label": decision.label,
            "rule": decision.rule,
            "reason": decision.reason,
            "tier": decision.tier,
            "lower": self.lower,
            "upper": self.upper,
            "alpha": self.alpha,
            "p_holm": decision.p_holm,
            "detectable_loss": decision.detectable_loss,
            "wanted": self.needed.to_json() if self.needed else None,
            "where": [stratum.to_json() for stratum in self.lost_strata],
        }


def margin_for(task: str, gate: Gate, detectable: float | None) -> MarginChoice | None:
    """Return the margin that the gate sets for a task, or else an advisory one equal to the detectable difference
    ``detectable`` (a fraction).

    None when there is neither (``detectable`` None or 0). Raises ``BadInput`` for a margin that is not above 0 or an
    unknown tier.
    """
    margin = gate.margins.get(task)
    if margin is not None:
        return _declared(task, margin)
    return None if not detectable else MarginChoice(detectable, "advisory", NO_OWNER, FROM_DATA)


def _declared(task: str, margin: Margin) -> MarginChoice:
    if not margin.points > 0:
        raise BadInput(f"gate.margins.{task}.points={margin.points}: must be above 0 (percentage points)")
    if margin.tier not in get_args(Tier):
        raise BadInput(f"gate.margins.{task}.tier={margin.tier}: must be {', '.join(get_args(Tier))}")
    return MarginChoice(margin.points / 100, cast("Tier", margin.tier), margin.owner, margin.reason)


def evidence_of(
    task: str, limit: MarginChoice, change: Delta | MeanDelta | None, extremes: tuple[Any, Any] | None = None
) -> Evidence:
    """Build the input of the decision rule from a measured change (None when not measured) or, with missing answers,
    from its extremes.

    ``task``: title of the benchmark. ``extremes`` (worst, best) replace ``change`` when answers are missing. The lower
    bound is then that of the worst extreme, delta, upper bound, p value and interval are those of the best one, and the
    resolution is the larger of both, so that a verdict holds for every possible value of the missing answers.
    """
    if extremes is None:
        return evidence(task, change, limit.margin, limit.tier)
    worst, best = (evidence(task, extreme, limit.margin, limit.tier) for extreme in extremes)
    return replace(best, lower=worst.lower, resolution=max(worst.resolution, best.resolution))


def extremes_of(bounded: MissingAnswerBounds | None) -> tuple[Delta, Delta] | None:
    """Return the paired changes at the (worst, best) extreme of missing answers; None when ``bounded`` is None."""
    return None if bounded is None else (bounded.worst.change, bounded.best.change)


def verdict_of(
    measured: Evidence, decision: Decision, limit: MarginChoice, alpha: float, row: "Comparison | None" = None
) -> Verdict:
    """Combine the decision on a benchmark with its bounds, what would decide it if undecided, and the group values with
    a significant loss, largest first.

    ``row``: the comparison that was decided; None for a mean over several tasks, which gets neither of the last two.
    ``alpha``: error of each one-sided bound.
    """
    needed = _needed(measured, limit, alpha, row) if row is not None and decision.call == "undecided" else None
    lost = sorted(_lost_strata(row.paired), key=lambda stratum: stratum.delta) if row and row.paired else ()
    return Verdict(decision, limit, measured.lower, measured.upper, alpha, needed, tuple(lost))


def _needed(measured: Evidence, limit: MarginChoice, alpha: float, row: "Comparison") -> NeededToDecide | None:
    """Return what would decide an undecided comparison; None when that cannot be computed: no design, no delta, or a
    sequential test.

    Missing answers come before all else, and answers that do not vary after that, both with a text and without numbers.
    Else repeats and items are computed at half of ``alpha``, which pays for the second look.
    """
    if row.bounded is not None:
        text = f"the {sum(row.bounded.missing):,} missing answers come first: the run's own command asks them again"
        return NeededToDecide("undecided", None, None, text)
    design = row.paired.design if row.paired else None
    if measured.delta is None or design is None or measured.early_decision is not None:
        return None
    if design.stderr == 0:
        text = "nothing varied: these answers tell of no number of repeats or items that would decide"
        return NeededToDecide("undecided", None, None, text)
    fixed_baseline = row.baseline.cell.run != row.candidate.cell.run  # it gets no further repeats
    base = design.repeats_base if fixed_baseline else None
    second = alpha / 2
    target = would_decide(design, limit.margin, measured.delta, alpha=second, base=base)
    needed = _describe_needed(target, design, "the candidate" if fixed_baseline else "both arms")
    if target.repeats is None and target.items is None:
        return needed
    price = f"; a second look is paid for by half the error, for which this is computed: gate.alpha={second:.3g}"
    return replace(needed, text=needed.text + price)


def _lost_strata(paired: Paired) -> Iterator[LostStratum]:
    """Yield the group values with a loss that is significant over everything shown of the candidate, in the order of
    the groups.
    """
    for name, parts in paired.groups.items():
        for part in parts:
            if part.significant and part.change.delta < 0:
                yield LostStratum(name, part.value, part.change.delta, part.p_holm, part.p_page)


def _describe_needed(target: WouldDecide, design: Design, models: str) -> NeededToDecide:
    """Describe the repeats or items that would decide, as numbers (None when none would) and as text; ``models`` ("both
    arms" or "the candidate") needs the repeats.
    """
    single = design.repeats_base == design.repeats_cand == 1
    lines: list[str] = []
    if target.repeats is not None:
        lines.append(f"{target.repeats:,} repeats of each item in {models}")
    if target.items is not None:
        lines.append(f"{target.items:,} items of this kind at the present repeats")
    if not lines:
        text = "no number of items or repeats would: the estimate lies on the margin"
    elif target.repeats is None:
        text = f"no number of repeats on these items would; {lines[0]} would, towards {target.verdict}"
    else:
        text = f"{' or '.join(lines)} would decide, towards {target.verdict}"
    if single and target.repeats is not None:
        text += " (with one answer per item, the random variation within items is assumed, not measured)"
    return NeededToDecide(target.verdict, target.repeats, target.items, text)


TOLERANCE = 1e-9
"""Difference below which two margins are equal."""


def early_decision(
    baseline: TableCell, candidate: TableCell, margin: float, lower: float | None = None
) -> EarlyDecision | None:
    """Return the decision of a sequential test between two cells, for a gate with this ``margin`` (fraction).

    None when the cells were compared at a fixed size. Undecided when one of them stopped early, or the candidate was
    tested early, in another comparison; also when the recorded decision is not made yet, was made on another grading
    version, or does not hold for ``margin``. ``lower`` is the one-sided lower bound of the delta over all items; it
    decides passing only when the sequential rule had no looks, so that there was a single test of passing.
    """
    rule = candidate.manifest.get("sequential")
    stopped = [cell.model for cell in (baseline, candidate) if cell.manifest.get("stopped")]
    if rule is None and not stopped:
        return None
    if rule is None or rule["baseline_sha"] != canonical_sha(dict(baseline.identity)):
        subject = f"{', '.join(stopped) or candidate.model} stopped or looked early in another comparison"
        return EarlyDecision("undecided", f"{subject}; these items give no unbiased result for this one")
    return _recorded_decision(rule, str(candidate.manifest["version"]), margin, lower)


def _recorded_decision(rule: Mapping[str, Any], version: str, margin: float, lower: float | None) -> EarlyDecision:
    """Return the decision that the sequential ``rule`` (an entry of the candidate's manifest) recorded, as far as it
    holds for ``margin`` (a fraction) and the grading ``version``; else undecided with the reason.

    ``lower``: one-sided lower bound of the delta, a fraction, or None; it lets a rule without looks pass at its end.
    """
    decision = rule["decision"]
    if decision is None:
        return EarlyDecision("undecided", "sequential: not decided yet; the run's own command goes on")
    if decision["version"] != version:
        graded = f"decided on answers graded by version {decision['version']}, now {version}"
        return EarlyDecision("undecided", f"sequential: {graded}; the run's own command decides again")
    call, reason = decision["call"], f"sequential: {decision['reason']}"
    asked, run_for = f"margin {100 * margin:g} pt", f"run for a margin of {100 * rule['margin']:g} pt"
    if call == "pass" and margin < rule["margin"] - TOLERANCE:
        return EarlyDecision("undecided", f"{reason}; but {run_for}, and a pass at that margin is none at {asked}")
    if call == "fail" and margin > rule["margin"] + TOLERANCE:
        return EarlyDecision("undecided", f"{reason}; but {run_for}, and a failure at that margin is none at {asked}")
    if call == "undecided" and not rule["looks"] and lower is not None and lower > -margin:
        points = f"{rounding.points(lower)} pt is above the margin of {rounding.points(-margin)} pt"
        return EarlyDecision(
            "pass", f"sequential: never failed; passes at its only look, at the end: lower bound {points}"
        )
    return EarlyDecision(call, reason)
