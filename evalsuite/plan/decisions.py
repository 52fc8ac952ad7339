"""What the planned run can decide: detectable differences and chances to pass, per benchmark, stratum and release.

Arithmetic of ``stats.power``. "Identical": the two models answer alike (tau 0). "Moved": no loss on the mean, but items
became easier and harder by tau. "Half": the mean lost half the margin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import unknown_name
from evalsuite.plan.benchmarks import SourcedNumber, TaskFacts
from evalsuite.stats.decision import Tier
from evalsuite.stats.power import (
    Chances,
    Design,
    PlannedBenchmark,
    ReleaseChances,
    chances,
    detectable,
    release_chances,
    repeats_needed,
)

WANTED = 0.8
"""The chance to pass that a margin in reach has."""


@dataclass(frozen=True, slots=True)
class VerdictChances:
    """Chances of the verdicts against one margin."""

    identical: Chances
    moved: Chances
    half: Chances


@dataclass(frozen=True, slots=True)
class StratumChance:
    """One stratum, such as the subject ``law``; no margin of its own, the benchmark's is shown."""

    value: str
    items: int
    score: SourcedNumber
    stderr: float
    detectable: float
    """Two-sided alpha 0.05, power 0.8."""
    detectable_holm: float
    """The same after Holm's first step over all strata of the grouping."""
    outlook: VerdictChances | None


@dataclass(frozen=True, slots=True)
class TaskChance:
    """One benchmark against one baseline."""

    facts: TaskFacts
    baseline: str
    candidates: tuple[str, ...]
    score: SourcedNumber
    design: Design
    base_fixed: bool
    """The baseline is recorded and is not asked again."""
    margin: Margin | None
    outlook: VerdictChances | None
    repeats: int | None
    """Repeats with which no loss passes with chance 0.8: the candidate's where the baseline is fixed, else both arms'.
    None: no number would, or there is no margin."""
    strata: Mapping[str, tuple[StratumChance, ...]]

    @property
    def detectable(self) -> float:
        """Smallest true difference seen with power 0.8 at two-sided alpha 0.05."""
        return detectable(self.design.stderr)

    @property
    def reached(self) -> bool | None:
        """Whether a candidate that lost nothing passes with chance 0.8; None without a margin."""
        return None if self.outlook is None else self.outlook.moved.passes >= WANTED


@dataclass(frozen=True, slots=True)
class ReleaseChance:
    """The whole gate."""

    tasks: tuple[str, ...]
    missing: tuple[str, ...]
    """Critical benchmarks of the gate that are not in this plan: without them no release passes."""
    identical: ReleaseChances
    moved: ReleaseChances
    half: ReleaseChances


def task_chance(
    facts: TaskFacts,
    baseline: str,
    candidates: Sequence[str],
    score: SourcedNumber,
    strata: Mapping[str, Mapping[str, SourcedNumber]],
    gate: Gate,
    base_repeats: int | None,
) -> TaskChance:
    """What a benchmark can decide. ``strata``: group -> value -> expected score, for those known better than ``score``.

    ``base_repeats``: of a recorded baseline; None: the baseline is asked as often as the candidates.
    """
    base = facts.repeats if base_repeats is None else base_repeats
    design = Design(facts.answers, facts.units, score.value, facts.phi.value, facts.tau.value, base, facts.repeats)
    margin = gate.margins.get(facts.name)
    family = max(1, sum(one.tier != "advisory" for one in gate.margins.values()))
    needed = None
    if margin is not None:
        points = margin.points / 100
        needed = repeats_needed(design, points, power=WANTED, alpha=gate.alpha, base=base_repeats)
    parts = {
        group: tuple(
            _stratum(facts, design, value, items, strata.get(group, {}).get(value, score), len(values), gate, margin)
            for value, items in values.items()
        )
        for group, values in facts.strata.items()
    }
    return TaskChance(
        facts,
        baseline,
        tuple(candidates),
        score,
        design,
        base_repeats is not None,
        margin,
        None if margin is None else _outlook(design, margin, gate.alpha, family),
        needed,
        parts,
    )


def release_chance(found: Sequence[TaskChance], gate: Gate) -> ReleaseChance | None:
    """The chance that the whole gate passes; None where no benchmark of the plan has a margin."""
    judged = [(one, one.margin) for one in found if one.margin is not None]
    if not judged:
        return None

    def drawn(tau: bool, lost: float) -> ReleaseChances:
        benches = [
            PlannedBenchmark(
                one.facts.name,
                one.design if tau else replace(one.design, tau=0.0),
                margin.points / 100,
                _tier(margin),
            )
            for one, margin in judged
        ]
        deltas = [-lost * margin.points / 100 for _, margin in judged]
        suite = None if gate.suite_points is None else gate.suite_points / 100
        return release_chances(benches, suite_margin=suite, deltas=deltas, alpha=gate.alpha)

    names = {one.facts.name for one, _ in judged}
    missing = tuple(name for name, margin in gate.margins.items() if margin.tier == "critical" and name not in names)
    return ReleaseChance(tuple(sorted(names)), missing, drawn(False, 0.0), drawn(True, 0.0), drawn(True, 0.5))


def _outlook(design: Design, margin: Margin, alpha: float, family: int) -> VerdictChances:
    points = margin.points / 100
    return VerdictChances(
        chances(replace(design, tau=0.0), points, alpha=alpha, family=family),
        chances(design, points, alpha=alpha, family=family),
        chances(design, points, -points / 2, alpha=alpha, family=family),
    )


def _stratum(
    facts: TaskFacts,
    whole: Design,
    value: str,
    items: int,
    score: SourcedNumber,
    family: int,
    gate: Gate,
    margin: Margin | None,
) -> StratumChance:
    share = items / max(facts.items, 1)
    design = replace(
        whole, answers=max(whole.answers * share, 1.0), units=max(whole.units * share, 2.0), score=score.value
    )
    return StratumChance(
        value,
        items,
        score,
        design.stderr,
        detectable(design.stderr),
        detectable(design.stderr, alpha=0.05 / family),
        None if margin is None else _outlook(design, margin, gate.alpha, 1),
    )


def _tier(margin: Margin) -> Tier:
    if margin.tier not in ("critical", "supporting", "advisory"):
        raise unknown_name("tier", margin.tier, ("critical", "supporting", "advisory"))
    return cast("Tier", margin.tier)
