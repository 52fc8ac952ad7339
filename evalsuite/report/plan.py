"""Builds the tables of a plan."""

from collections.abc import Sequence

from evalsuite.plan.benchmarks import SourcedNumber
from evalsuite.plan.build import Plan
from evalsuite.plan.decisions import TARGET_CHANCE, ReleaseChance, StratumChance, TaskChance, VerdictChances
from evalsuite.plan.screen import screens
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.report.plan_cost import cost_table, placement_table, screen_table
from evalsuite.stats.power import Chances
from evalsuite.tasks.datasets import benchmark_title

_GENERATED = "generated"


def tables(plan: Plan) -> list[Table]:
    """Build the tables of a plan, in this order: what it can decide, the values of each task's first group, costs,
    screens, the placement on machines (if planned), and the assumptions.
    """
    plan_tables = [_decision_table(plan), *_strata_tables(plan.chances), cost_table(plan)]
    plan_tables += map(screen_table, screens(plan))
    if plan.placement is not None:
        plan_tables.append(placement_table(plan.placement, plan.node_hours))
    return [*plan_tables, _assumption_table(plan)]


def _decision_table(plan: Plan) -> Table:
    several_baselines = len({chance.baseline for chance in plan.chances}) > 1
    columns = (
        Column("benchmark", number=False),
        *([Column("baseline", number=False)] if several_baselines else []),
        Column("items x repeats"),
        Column("margin pt"),
        Column("detectable pt", essential=False),
        Column("pass: identical %"),
        Column("items moved %", essential=False),
        Column("half lost %"),
        Column("repeats needed", essential=False),
    )
    rows = tuple(
        (
            benchmark_title(chance.facts.name),
            *([chance.baseline] if several_baselines else []),
            _times(chance),
            formats.UNKNOWN if chance.margin is None else f"{chance.margin.points:g}",
            formats.percent(chance.detectable, 2),
            *_outlook(chance.outlook),
            _repeats(chance),
        )
        for chance in plan.chances
    )
    notes = [
        f"Margins of {plan.gate_origin}. Detectable: two-sided alpha 0.05, power 0.8.",
        "Chances to pass if both models are identical; if nothing is lost on the mean but items moved by tau; and if "
        f"half the margin is lost. Repeats needed: for {100 * TARGET_CHANCE:.0f} % if nothing is lost.",
        *(f"Out of reach as planned: {line}" for line in _out_of_reach(plan.chances)),
        *(
            line
            for baseline, release in plan.releases.items()
            for line in _release_notes(baseline, release, several_baselines)
        ),
        *plan.notes,
    ]
    return Table("What this run can decide", columns, rows, tuple(notes))


def _times(chance: TaskChance) -> str:
    base, cand = chance.design.repeats_base, chance.design.repeats_cand
    return f"{chance.facts.items:,} x {cand}" + (f" (baseline {base})" if base != cand else "")


def _outlook(chances: VerdictChances | None) -> tuple[str, str, str]:
    if chances is None:
        return (formats.UNKNOWN,) * 3
    return _passes(chances.identical), _passes(chances.moved), _passes(chances.half)


def _passes(chances: Chances) -> str:
    return formats.percent(chances.passes, 0)


def _repeats(chance: TaskChance) -> str:
    if chance.margin is None:
        return formats.UNKNOWN
    return "no number" if chance.repeats is None else f"{chance.repeats:,}"


def _out_of_reach(chances: Sequence[TaskChance]) -> list[str]:
    lines = []
    for chance in chances:
        if chance.reached is not False or chance.outlook is None or chance.margin is None:
            continue
        passes = _passes(chance.outlook.moved)
        subject = benchmark_title(chance.facts.name) + (f" against {chance.baseline}" if chance.baseline else "")
        if chance.margin.points / 100 <= chance.resolution:
            least, sources = f"{formats.percent(chance.resolution)} points", f"{chance.design.units:.3g} sources"
            limit = f"no number of repeats would do: it cannot pass below {least}, {sources} exclude no less"
            lines.append(f"{subject}, {chance.margin.points:g} pt; {limit}.")
            continue
        remedy = (
            "no number of repeats would do: tau alone leaves a standard error of "
            f"{formats.percent(chance.design.floor, 2)} pt"
            if chance.repeats is None
            else f"{chance.repeats} repeats would do" + (" of the candidate" if chance.base_fixed else " in both arms")
        )
        lines.append(f"{subject}, {chance.margin.points:g} pt ({passes} % if nothing is lost); {remedy}.")
    return lines


def _release_notes(baseline: str, release: ReleaseChance, several: bool) -> list[str]:
    suffix = f" against {baseline}" if several and baseline else ""
    chances = [release.identical, release.moved, release.half]
    same, moved, half = (f"{_passes(scenario.release)} %" for scenario in chances)
    lines = [
        f"The release{suffix}: passes with chance {same} if identical (a fail anywhere: "
        f"{formats.percent(release.identical.any_fail)} %), {moved} if items moved, {half} if half of every "
        "margin is lost."
    ]
    same_rule, moved_rule = release.threshold
    low, high = (formats.percent(chance, 0) for chance in moved_rule.accepts_double)
    lines.append(
        f'For comparison, the rule "no benchmark more than {100 * same_rule.threshold:g} pt down" without regard to '
        f"errors would reject an identical checkpoint{suffix} with chance "
        f"{formats.percent(same_rule.rejects_identical, 0)} % "
        f"({formats.percent(moved_rule.rejects_identical, 0)} % if items moved), and accept a true loss of "
        f"{200 * same_rule.threshold:g} pt on a benchmark with chance {low} to {high} %."
    )
    if release.missing:
        missing = ", ".join(map(benchmark_title, release.missing))
        lines.append(f"Not in this plan, but critical for the release{suffix}: {missing}.")
    return lines


def _strata_tables(chances: Sequence[TaskChance]) -> list[Table]:
    """Build one table per task with groups, for its first group and the first baseline; the JSON holds the others."""
    columns = (
        Column("", number=False),
        Column("items"),
        Column("expected %", essential=False),
        Column("detectable pt"),
        Column("after Holm pt", essential=False),
        Column("pass: identical %"),
        Column("half lost %", essential=False),
    )
    strata_tables: list[Table] = []
    first = {chance.facts.name: chance for chance in reversed(chances)}
    for chance in (chance for chance in chances if first[chance.facts.name] is chance):
        for group, parts in list(chance.strata.items())[:1]:
            rows = tuple(
                (
                    part.value,
                    f"{part.items:,}",
                    formats.percent(part.score.value),
                    formats.percent(part.detectable, 1),
                    formats.percent(part.detectable_holm, 1),
                    *_outlook(part.outlook)[::2],
                )
                for part in parts
            )
            if _is_uniform(parts):
                counts = sorted(part.items for part in parts)
                name = f"each of {len(parts)}"
                rows = ((name, f"{counts[0]:,} to {counts[-1]:,}", *rows[_middle(parts)][2:]),)
            against = f" against {chance.baseline}" if len({other.baseline for other in chances}) > 1 else ""
            notes = ("No margin is set for strata: the chances are for the benchmark's.",) if chance.margin else ()
            strata_tables.append(
                Table(f"{benchmark_title(chance.facts.name)} by {group}{against}", columns, rows, notes)
            )
    return strata_tables


def _is_uniform(parts: Sequence[StratumChance]) -> bool:
    """Return whether the group values can be shown in one line: more than five, similar sizes (within 30 %) and equal
    expected scores.
    """
    counts = [part.items for part in parts]
    return len(parts) > 5 and max(counts) <= 1.3 * min(counts) and len({part.score.value for part in parts}) == 1


def _middle(parts: Sequence[StratumChance]) -> int:
    """Return the index of the group value with the median number of items (the upper one of two)."""
    return sorted(range(len(parts)), key=lambda index: parts[index].items)[len(parts) // 2]


def _assumption_table(plan: Plan) -> Table:
    columns = (
        Column("benchmark", number=False),
        Column("score %"),
        Column("phi"),
        Column("tau pt"),
        Column("source", number=False),
    )
    rows: list[tuple[str, ...]] = []
    for chance in plan.chances:
        origins = dict.fromkeys(f"{name}: {_origin(number)}" for name, number in _sourced_numbers(chance))
        cells = (
            formats.percent(chance.score.value),
            f"{chance.facts.phi.value:.2f}",
            formats.percent(chance.facts.tau.value),
        )
        row = (benchmark_title(chance.facts.name), *cells, "; ".join(origins))
        if row not in rows:
            rows.append(row)
    note = (
        "phi: share of binomial variance between repeats of one item; tau: spread over items of what a quantization "
        "changes. A baseline recorded with repeats replaces score and phi."
    )
    return Table("Assumptions", columns, tuple(rows), (note,))


def _sourced_numbers(chance: TaskChance) -> list[tuple[str, SourcedNumber]]:
    return [("score", chance.score), ("phi", chance.facts.phi), ("tau", chance.facts.tau)]


def _origin(number: SourcedNumber) -> str:
    return "assumed" if number.assumed else number.origin
