"""Computes what the planned run can decide: detectable differences and chances to pass, per benchmark and group value.

The arithmetic is that of ``stats.power``. "Identical": both models answer equally (tau 0). "Moved": no loss on the
mean, but items became easier and harder by tau. "Half": the mean lost half the margin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import unknown_name
from evalsuite.plan.benchmarks import SourcedNumber, TaskFacts
from evalsuite.stats.decision import Tier
from evalsuite.stats.delta import FEW_ITEMS
from evalsuite.stats.design import Design
from evalsuite.stats.power import (
    Chances,
    PlannedBenchmark,
    ReleaseChances,
    ThresholdRule,
    chances,
    detectable,
    release_chances,
    repeats_needed,
    threshold_rule,
)

TARGET_CHANCE = 0.8
"""Chance to pass that counts as a margin within reach, a fraction."""


@dataclass(frozen=True, slots=True)
class VerdictChances:
    """Chances of the verdicts against one margin."""

    identical: Chances
    """When both models are identical."""
    moved: Chances
    """When nothing is lost on the mean, but items changed by tau."""
    half: Chances
    """When half the margin is lost."""


@dataclass(frozen=True, slots=True)
class StratumChance:
    """What one group value, such as the subject ``law``, can decide; it has no margin of its own."""

    value: str
    """The group value."""
    items: int
    """Number of items."""
    score: SourcedNumber
    """Expected score of the baseline."""
    stderr: float
    """Standard error of the delta, a fraction."""
    detectable: float
    """Smallest true difference that is detected with power 0.8 at two-sided alpha 0.05."""
    detectable_holm: float
    """The same after Holm's first step over all values of the group."""
    outlook: VerdictChances | None
    """Chances against the margin of the benchmark; None without a margin."""


@dataclass(frozen=True, slots=True)
class TaskChance:
    """What one benchmark can decide against one baseline."""

    facts: TaskFacts
    """The benchmark."""
    baseline: str
    """Key of the baseline; empty without one."""
    candidates: tuple[str, ...]
    """Keys of the candidates."""
    score: SourcedNumber
    """Expected score of the baseline."""
    design: Design
    """How the benchmark is measured."""
    base_fixed: bool
    """Whether the baseline is recorded and not measured again."""
    margin: Margin | None
    """The margin of the gate; None without one."""
    outlook: VerdictChances | None
    """Chances of the verdicts; None without a margin."""
    repeats: int | None
    """Repeats with which a model without loss passes with chance 0.8: of the candidate when the baseline is fixed, else
    of both models. None when no number is enough, or without a margin."""
    strata: Mapping[str, tuple[StratumChance, ...]]
    """Group -> what each of its values can decide."""
    resolution: float = 0.0
    """Smallest margin that can be passed with so few sources, a fraction; 0 where items share none."""

    @property
    def detectable(self) -> float:
        """Smallest true difference that is detected with power 0.8 at two-sided alpha 0.05, a fraction."""
        return detectable(self.design.stderr)

    @property
    def reached(self) -> bool | None:
        """Whether a candidate without loss on the mean, but with items moved by tau, passes with chance 0.8 or more;
        None without a margin.
        """
        return None if self.outlook is None else self.outlook.moved.passes >= TARGET_CHANCE


@dataclass(frozen=True, slots=True)
class ReleaseChance:
    """Chances of the verdicts on the whole gate."""

    tasks: tuple[str, ...]
    """Benchmarks with a margin."""
    missing: tuple[str, ...]
    """Critical benchmarks of the gate that are not in this plan; without them no release passes."""
    identical: ReleaseChances
    """When both models are identical."""
    moved: ReleaseChances
    """When nothing is lost on the mean, but items changed by tau."""
    half: ReleaseChances
    """When half of every margin is lost."""
    threshold: tuple[ThresholdRule, ThresholdRule]
    """What a bare threshold of one point on every benchmark does: when both models are identical, and when items
    changed by tau."""


@dataclass(frozen=True, slots=True)
class ExpectedBaseline:
    """What is expected of the baseline on one benchmark."""

    name: str
    """Key of the baseline; empty without one."""
    score: SourcedNumber
    """Expected score."""
    strata: Mapping[str, Mapping[str, SourcedNumber]]
    """Group -> value -> expected score, where it is known better than by ``score``."""
    repeats: int | None
    """Repeats of a recorded baseline; None when it is measured as often as the candidates."""


def task_chance(facts: TaskFacts, baseline: ExpectedBaseline, candidates: Sequence[str], gate: Gate) -> TaskChance:
    """Compute what a benchmark can decide for ``candidates`` (names) against ``baseline`` with the margin of ``gate``:
    detectable difference, chances of the verdicts (both also per group value) and repeats needed.

    Without a margin for the task in the gate, margin, chances and repeats are None; repeats also when no number of them
    is enough.
    """
    base = facts.repeats if baseline.repeats is None else baseline.repeats
    score, phi, tau = baseline.score.value, facts.phi.value, facts.tau.value
    sources = facts.units if facts.clustered else None
    independent = sources is None and round(facts.answers, 6) == facts.items == facts.units
    few = independent and 2 <= facts.items < FEW_ITEMS
    design = Design(facts.answers, facts.units, score, phi, tau, base, facts.repeats, sources, few)
    margin = gate.margins.get(facts.name)
    family = max(1, sum(other.tier != "advisory" for other in gate.margins.values()))
    needed = None
    if margin is not None:
        points = margin.points / 100
        needed = repeats_needed(design, points, power=TARGET_CHANCE, alpha=gate.alpha, base=baseline.repeats)
    return TaskChance(
        facts,
        baseline.name,
        tuple(candidates),
        baseline.score,
        design,
        baseline.repeats is not None,
        margin,
        None if margin is None else _outlook(design, margin, gate.alpha, family),
        needed,
        {group: _strata(facts, group, baseline, design, gate) for group in facts.strata},
        design.resolution(gate.alpha),
    )


def release_chance(task_chances: Sequence[TaskChance], gate: Gate) -> ReleaseChance | None:
    """Compute the chances of the verdicts on the whole gate by simulation (fixed seed); None when none of
    ``task_chances`` has a margin.

    ``task_chances``: the benchmarks against one baseline; those without a margin do not count. Raises ``BadInput`` for
    an unknown tier.
    """
    with_margin = [(chance, chance.margin) for chance in task_chances if chance.margin is not None]
    if not with_margin:
        return None

    def simulated(tau: bool, lost: float) -> ReleaseChances:
        benchmarks = [
            PlannedBenchmark(
                chance.facts.name,
                chance.design if tau else replace(chance.design, tau=0.0),
                margin.points / 100,
                _tier(margin),
            )
            for chance, margin in with_margin
        ]
        deltas = [-lost * margin.points / 100 for _, margin in with_margin]
        suite = None if gate.suite_points is None else gate.suite_points / 100
        return release_chances(benchmarks, suite_margin=suite, deltas=deltas, alpha=gate.alpha)

    names = {chance.facts.name for chance, _ in with_margin}
    missing = tuple(name for name, margin in gate.margins.items() if margin.tier == "critical" and name not in names)
    designs = [chance.design for chance, _ in with_margin]
    rules = (
        threshold_rule([replace(design, tau=0.0).stderr for design in designs]),
        threshold_rule([design.stderr for design in designs]),
    )
    return ReleaseChance(
        tuple(sorted(names)), missing, simulated(False, 0.0), simulated(True, 0.0), simulated(True, 0.5), rules
    )


def _outlook(design: Design, margin: Margin, alpha: float, family: int) -> VerdictChances:
    points = margin.points / 100
    return VerdictChances(
        chances(replace(design, tau=0.0), points, alpha=alpha, family=family),
        chances(design, points, alpha=alpha, family=family),
        chances(design, points, -points / 2, alpha=alpha, family=family),
    )


def _strata(
    facts: TaskFacts, group: str, baseline: ExpectedBaseline, total: Design, gate: Gate
) -> tuple[StratumChance, ...]:
    """Return what each value of ``group`` can decide, in the order of ``facts``; ``total`` is the design of the whole
    benchmark, scaled to the value's items. Without a margin for the task in the gate the chances are None.
    """
    margin, values, known = gate.margins.get(facts.name), facts.strata[group], baseline.strata.get(group, {})
    strata = []
    for value, items in values.items():
        share, score = items / max(facts.items, 1), known.get(value, baseline.score)
        answers, units = max(total.answers * share, 1.0), max(total.units * share, 2.0)
        sources = None if total.sources is None else units
        design = replace(total, answers=answers, units=units, score=score.value, sources=sources, few_items=False)
        error = design.stderr
        outlook = None if margin is None else _outlook(design, margin, gate.alpha, 1)
        smallest = detectable(error), detectable(error, alpha=0.05 / len(values))
        strata.append(StratumChance(value, items, score, error, *smallest, outlook))
    return tuple(strata)


def _tier(margin: Margin) -> Tier:
    if margin.tier not in ("critical", "supporting", "advisory"):
        raise unknown_name("tier", margin.tier, ("critical", "supporting", "advisory"))
    return cast("Tier", margin.tier)
