"""Verdicts: a comparison held against its margin, and what would decide an undecided one.

The rule itself is ``stats.decision``; here it is fed from comparisons and put into words. The verdict of a comparison
that was run with ``engine.stop=sequential`` is the one its cells recorded: after interim looks, the bounds of a fixed
number of items are not valid, not even if everything was asked in the end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from evalsuite.analysis.missing_answers import MissingAnswerBounds
from evalsuite.analysis.pairing import Paired
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import BadInput
from evalsuite.records import canonical_sha
from evalsuite.stats.decision import Call, Decision, EarlyDecision, Evidence, Tier, evidence
from evalsuite.stats.delta import Delta, MeanDelta
from evalsuite.stats.power import Design, WouldDecide, would_decide
from evalsuite.store.runs import TableCell

NOBODY = "nobody"
SIGNIFICANT = 0.05
FROM_DATA = "made from the detectable difference of these very data: shown only"


@dataclass(frozen=True, slots=True)
class MarginChoice:
    """How much a benchmark may lose here."""

    margin: float
    """Fraction of 1."""
    tier: Tier
    owner: str
    """Who set it; ``nobody`` where it was made from the data."""
    reason: str

    @property
    def declared(self) -> bool:
        """Whether a person set it before the run."""
        return self.owner != NOBODY

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``."""
        return {"margin": self.margin, "tier": self.tier, "owner": self.owner, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class NeededToDecide:
    """What would decide an undecided comparison, if the truth is what was estimated."""

    towards: Call
    """Where the estimate points."""
    repeats: int | None
    """Repeats of each item, in both arms or, beside a fixed baseline, in the candidate; None: no number would."""
    items: int | None
    """Items of this kind at the present repeats; None: no number would."""
    text: str

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        return {"towards": self.towards, "repeats": self.repeats, "items": self.items, "text": self.text}


@dataclass(frozen=True, slots=True)
class LostStratum:
    """A stratum that lost significantly, after Holm's correction over its grouping."""

    group: str
    value: str
    delta: float
    p_holm: float

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        return {"group": self.group, "value": self.value, "delta": self.delta, "p_holm": self.p_holm}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, fail or undecided against a margin, with the reason."""

    decision: Decision
    limit: MarginChoice
    lower: float | None
    """One-sided lower bound of the delta; with missing answers at its worst extreme."""
    upper: float | None
    """One-sided upper bound of the delta; with missing answers at its best extreme."""
    alpha: float
    """Error of each one-sided bound."""
    wanted: NeededToDecide | None = None
    """Undecided only."""
    where: tuple[LostStratum, ...] = ()
    """Strata that lost significantly, the worst first."""

    @property
    def call(self) -> Call:
        """``pass``, ``fail`` or ``undecided``."""
        return self.decision.call

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json`` and ``verdict.json``."""
        found = self.decision
        return {
            "call": found.call,
            "label": found.label,
            "rule": found.rule,
            "reason": found.reason,
            "tier": found.tier,
            "lower": self.lower,
            "upper": self.upper,
            "alpha": self.alpha,
            "p_holm": found.p_holm,
            "detectable_loss": found.detectable_loss,
            "wanted": self.wanted.to_json() if self.wanted else None,
            "where": [part.to_json() for part in self.where],
        }


def limit_for(task: str, gate: Gate, detectable: float | None) -> MarginChoice | None:
    """The margin that the gate sets for a task, else an advisory one made from the detectable difference.

    None where there is neither. Raises ``BadInput`` for a margin that is not above 0 or an unknown tier.
    """
    margin = gate.margins.get(task)
    if margin is not None:
        return _declared(task, margin)
    return None if not detectable else MarginChoice(detectable, "advisory", NOBODY, FROM_DATA)


def _declared(task: str, margin: Margin) -> MarginChoice:
    if not margin.points > 0:
        raise BadInput(f"gate.margins.{task}.points={margin.points}: must be above 0 (percentage points)")
    if margin.tier not in get_args(Tier):
        raise BadInput(f"gate.margins.{task}.tier={margin.tier}: must be {', '.join(get_args(Tier))}")
    return MarginChoice(margin.points / 100, cast("Tier", margin.tier), margin.owner, margin.reason)


def evidence_of(
    task: str, limit: MarginChoice, change: Delta | MeanDelta | None, extremes: tuple[Any, Any] | None = None
) -> Evidence:
    """What the rule decides on; ``extremes`` (worst, best) stand in for ``change`` where answers are missing.

    The lower bound is then the worst extreme's and everything that speaks for a loss the best one's, so that a
    verdict holds wherever between them the missing answers lie.
    """
    if extremes is None:
        return evidence(task, change, limit.margin, limit.tier)
    worst, best = (evidence(task, extreme, limit.margin, limit.tier) for extreme in extremes)
    return Evidence(task, limit.margin, best.delta, worst.lower, best.upper, best.p_loss, best.ci95, limit.tier)


def extremes_of(bounded: MissingAnswerBounds | None) -> tuple[Delta, Delta] | None:
    """(worst, best) change of a comparison with missing answers."""
    return None if bounded is None else (bounded.worst.change, bounded.best.change)


def verdict_of(
    found: Evidence,
    ruling: Decision,
    limit: MarginChoice,
    alpha: float,
    paired: Paired | None,
    bounded: MissingAnswerBounds | None = None,
    *,
    fixed_baseline: bool = False,
) -> Verdict:
    """A verdict with its bounds and strata.

    ``paired``: the comparison it is on; None for a mean over several. ``fixed_baseline``: the baseline was measured
    elsewhere and gets no further repeats.
    """
    wanted, design = None, paired.design if paired else None
    if ruling.call == "undecided" and bounded is not None:
        text = f"the {sum(bounded.missing):,} missing answers come first: the run's own command asks them again"
        wanted = NeededToDecide("undecided", None, None, text)
    elif ruling.call == "undecided" and found.delta is not None and design is not None and found.early_decision is None:
        base = design.repeats_base if fixed_baseline else None
        needed = would_decide(design, limit.margin, found.delta, alpha=alpha, base=base)
        wanted = _wanted(needed, design, "the candidate" if fixed_baseline else "both arms")
    where = tuple(sorted(_where(paired), key=lambda part: part.delta)) if paired else ()
    return Verdict(ruling, limit, found.lower, found.upper, alpha, wanted, where)


def _where(paired: Paired) -> Iterator[LostStratum]:
    for name, parts in paired.groups.items():
        for part in parts:
            if part.p_holm is not None and part.p_holm < SIGNIFICANT and part.change.delta < 0:
                yield LostStratum(name, part.value, part.change.delta, part.p_holm)


def _wanted(needed: WouldDecide, design: Design, where: str) -> NeededToDecide:
    single = design.repeats_base == design.repeats_cand == 1
    lines: list[str] = []
    if needed.repeats is not None:
        lines.append(f"{needed.repeats:,} repeats of each item in {where}")
    if needed.items is not None:
        lines.append(f"{needed.items:,} items of this kind at the present repeats")
    if not lines:
        text = "no number of items or repeats would: the estimate lies on the margin"
    elif needed.repeats is None:
        text = f"no number of repeats on these items would; {lines[0]} would, towards {needed.verdict}"
    else:
        text = f"{' or '.join(lines)} would decide, towards {needed.verdict}"
    if single and needed.repeats is not None:
        text += " (with one answer per item, how much is coin tossing is assumed, not measured)"
    return NeededToDecide(needed.verdict, needed.repeats, needed.items, text)


NEAR = 1e-9


def settled(
    baseline: TableCell, candidate: TableCell, margin: float, lower: float | None = None
) -> EarlyDecision | None:
    """What was decided between two cells, for a gate with this ``margin`` (fraction); None: a fixed-size comparison.

    ``lower``: one-sided lower bound of the delta over all items. It decides passing only where the rule had no looks,
    that is where there was a single claim of passing all along.
    """
    rule = candidate.manifest.get("sequential")
    stopped = [cell.model for cell in (baseline, candidate) if cell.manifest.get("stopped")]
    if rule is None and not stopped:
        return None
    if rule is None or rule["baseline_sha"] != canonical_sha(dict(baseline.identity)):
        words = f"{', '.join(stopped) or candidate.model} stopped or looked early in another comparison"
        return EarlyDecision("undecided", f"{words}; these items say nothing fair about this one")
    return _recorded(rule, str(candidate.manifest["version"]), margin, lower)


def _recorded(rule: Mapping[str, Any], version: str, margin: float, lower: float | None) -> EarlyDecision:
    decision = rule["decision"]
    if decision is None:
        return EarlyDecision("undecided", "sequential: not decided yet; the run's own command goes on")
    if decision["version"] != version:
        graded = f"decided on answers graded by version {decision['version']}, now {version}"
        return EarlyDecision("undecided", f"sequential: {graded}; the run's own command decides anew")
    call, reason = decision["call"], f"sequential: {decision['reason']}"
    asked, run_for = f"margin {100 * margin:g} pt", f"run for a margin of {100 * rule['margin']:g} pt"
    if call == "pass" and margin < rule["margin"] - NEAR:
        return EarlyDecision("undecided", f"{reason}; but {run_for}, and a pass there is none at {asked}")
    if call == "fail" and margin > rule["margin"] + NEAR:
        return EarlyDecision("undecided", f"{reason}; but {run_for}, and a failure there is none at {asked}")
    if call == "undecided" and not rule["looks"] and lower is not None and lower > -margin:
        points = f"{100 * lower:+.2f} pt is above the margin of {-100 * margin:+.2f} pt"
        return EarlyDecision(
            "pass", f"sequential: never failed; the one look at passing, at the end: lower bound {points}"
        )
    return EarlyDecision(call, reason)
