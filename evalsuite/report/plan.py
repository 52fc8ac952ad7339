"""The plan for people."""

from collections.abc import Sequence

from evalsuite.plan.benchmarks import SourcedNumber
from evalsuite.plan.build import Plan
from evalsuite.plan.cost import ModelCost, TaskCost
from evalsuite.plan.decisions import WANTED, ReleaseChance, StratumChance, TaskChance, VerdictChances
from evalsuite.plan.hardware import PlacedServer, Placement
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.stats.power import Chances
from evalsuite.tasks.datasets import benchmark_title

_GENERATED = "generated"


def tables(plan: Plan) -> list[Table]:
    """What can be decided, per stratum, what it costs, how it is served, and what was assumed."""
    found = [_decides(plan), *_strata(plan.chances), _costs(plan)]
    if plan.placement is not None:
        found.append(_serving(plan.placement, plan.node_hours))
    return [*found, _assumptions(plan)]


def amount(number: float) -> str:
    """Many tokens: ``4,120``, ``64 k``, ``58.7 M``, ``1.2 G``."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.0f} k" if number >= 1e4 else f"{number:,.0f}"


def hours(seconds: float | None) -> str:
    """``5.2 h``; short times in minutes."""
    if seconds is None:
        return formats.UNKNOWN
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:,.1f} min"


def _decides(plan: Plan) -> Table:
    several = len({one.baseline for one in plan.chances}) > 1
    columns = (
        Column("benchmark", number=False),
        *([Column("baseline", number=False)] if several else []),
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
            benchmark_title(one.facts.name),
            *([one.baseline] if several else []),
            _times(one),
            formats.UNKNOWN if one.margin is None else f"{one.margin.points:g}",
            formats.percent(one.detectable, 2),
            *_outlook(one.outlook),
            _repeats(one),
        )
        for one in plan.chances
    )
    notes = [
        f"Margins of {plan.gate_origin}. Detectable: two-sided alpha 0.05, power 0.8.",
        "Chances to pass if both models are identical; if nothing is lost on the mean but items moved by tau; and if "
        f"half the margin is lost. Repeats needed: for {100 * WANTED:.0f} % if nothing is lost.",
        *(f"Out of reach as planned: {line}" for line in _out_of_reach(plan.chances)),
        *(line for baseline, found in plan.releases.items() for line in _release(baseline, found, several)),
        *plan.notes,
    ]
    return Table("What this run can decide", columns, rows, tuple(notes))


def _times(one: TaskChance) -> str:
    base, cand = one.design.repeats_base, one.design.repeats_cand
    return f"{one.facts.items:,} x {cand}" + (f" (baseline {base})" if base != cand else "")


def _outlook(found: VerdictChances | None) -> tuple[str, str, str]:
    if found is None:
        return (formats.UNKNOWN,) * 3
    return _passes(found.identical), _passes(found.moved), _passes(found.half)


def _passes(found: Chances) -> str:
    return f"{100 * found.passes:.0f}"


def _repeats(one: TaskChance) -> str:
    if one.margin is None:
        return formats.UNKNOWN
    return "no number" if one.repeats is None else f"{one.repeats:,}"


def _out_of_reach(found: Sequence[TaskChance]) -> list[str]:
    lines = []
    for one in found:
        if one.reached is not False or one.outlook is None or one.margin is None:
            continue
        passes = 100 * one.outlook.moved.passes
        who = benchmark_title(one.facts.name) + (f" against {one.baseline}" if one.baseline else "")
        remedy = (
            f"no number of repeats would do: tau alone leaves a standard error of {100 * one.design.floor:.2f} pt"
            if one.repeats is None
            else f"{one.repeats} repeats would do" + (" of the candidate" if one.base_fixed else " in both arms")
        )
        lines.append(f"{who}, {one.margin.points:g} pt ({passes:.0f} % if nothing is lost); {remedy}.")
    return lines


def _release(baseline: str, found: ReleaseChance, several: bool) -> list[str]:
    who = f" against {baseline}" if several and baseline else ""
    chances = [found.identical, found.moved, found.half]
    same, moved, half = (f"{100 * one.release.passes:.0f} %" for one in chances)
    lines = [
        f"The release{who}: passes with chance {same} if identical (a fail anywhere: "
        f"{100 * found.identical.any_fail:.1f} %), {moved} if items moved, {half} if half of every margin is lost."
    ]
    if found.missing:
        lines.append(
            f"Not in this plan, but critical for the release{who}: {', '.join(map(benchmark_title, found.missing))}."
        )
    return lines


def _strata(found: Sequence[TaskChance]) -> list[Table]:
    """One table per task: its first grouping against the first baseline; the others are in the JSON."""
    columns = (
        Column("", number=False),
        Column("items"),
        Column("expected %", essential=False),
        Column("detectable pt"),
        Column("after Holm pt", essential=False),
        Column("pass: identical %"),
        Column("half lost %", essential=False),
    )
    made: list[Table] = []
    first = {one.facts.name: one for one in reversed(found)}
    for one in (one for one in found if first[one.facts.name] is one):
        for group, parts in list(one.strata.items())[:1]:
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
            if _alike(parts):
                counts = sorted(part.items for part in parts)
                name = f"each of {len(parts)}"
                rows = ((name, f"{counts[0]:,} to {counts[-1]:,}", *rows[_middle(parts)][2:]),)
            against = f" against {one.baseline}" if len({other.baseline for other in found}) > 1 else ""
            notes = ("No margin is set for strata: the chances are for the benchmark's.",) if one.margin else ()
            made.append(Table(f"{benchmark_title(one.facts.name)} by {group}{against}", columns, rows, notes))
    return made


def _alike(parts: Sequence[StratumChance]) -> bool:
    """Whether one line says as much as many: about the same size, nothing known of the scores."""
    counts = [part.items for part in parts]
    return len(parts) > 5 and max(counts) <= 1.3 * min(counts) and len({part.score.value for part in parts}) == 1


def _middle(parts: Sequence[StratumChance]) -> int:
    """The place of the stratum with the median number of items."""
    return sorted(range(len(parts)), key=lambda place: parts[place].items)[len(parts) // 2]


def _costs(plan: Plan) -> Table:
    aides = [who for who in ("judge", "simulator") if any(sum(getattr(task, who)) for task in _all(plan.costs))]
    columns = (
        Column("model", number=False),
        Column("benchmark", number=False),
        Column("attempts"),
        Column(_GENERATED),
        Column("read", essential=False),
        *(Column(who, essential=False) for who in aides),
        *([Column("time")] if plan.speed.rate else []),
        *([Column("long attempt", essential=False)] if plan.speed.rate else []),
        *([Column("windows")] if plan.speed.window and plan.speed.rate else []),
        Column("disk", essential=False),
    )
    rows: list[tuple[str, ...]] = []
    for one in plan.costs:
        rows += [_cost_row(one.model, task, plan, aides) for task in one.tasks]
        totals = [sum(sum(getattr(task, who)) for task in one.tasks) for who in aides]
        rows.append(
            (
                one.model,
                "together",
                f"{one.total('attempts'):,.0f}",
                amount(one.total("completion")),
                amount(one.total("prompt")),
                *map(amount, totals),
                *([hours(one.seconds), ""] if plan.speed.rate else []),
                *([_windows(one)] if plan.speed.window and plan.speed.rate else []),
                _bytes(one.total("disk")),
            )
        )
    return Table("What it costs", columns, tuple(rows), tuple(_cost_notes(plan)))


def _cost_row(model: str, task: TaskCost, plan: Plan, aides: Sequence[str]) -> tuple[str, ...]:
    return (
        model,
        benchmark_title(task.task),
        f"{task.attempts:,}",
        amount(task.completion) + ("*" if task.lengths.completion.assumed else ""),
        amount(task.prompt) + ("*" if task.lengths.prompt.assumed else ""),
        *(amount(spent) if (spent := sum(getattr(task, who))) else formats.UNKNOWN for who in aides),
        *([hours(task.seconds), hours(task.p99_seconds)] if plan.speed.rate else []),
        *(["fits" if task.fits else "none"] if plan.speed.window and plan.speed.rate else []),
        _bytes(task.disk),
    )


def _cost_notes(plan: Plan) -> list[str]:
    notes = ["Tokens. * assumed: no source states it. Read: before any prefix cache; judge, simulator: read and said."]
    if plan.speed.rate is None:
        notes.append("rate=2500 (generated tokens a second of one endpoint) gives hours, window=4h gives windows.")
        return notes
    whole = [one.seconds for one in plan.costs if one.seconds is not None]
    notes.append(
        f"At {plan.speed.rate:g} generated tokens a second of each endpoint; {hours(sum(whole))} of endpoints in all. "
        "Long attempt: 99 of 100 are shorter, at an equal share of the rate."
    )
    return notes


def _windows(one: ModelCost) -> str:
    return "never" if one.windows is None else str(one.windows)


def _bytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def _all(costs: Sequence[ModelCost]) -> list[TaskCost]:
    return [task for one in costs for task in one.tasks]


def _serving(found: Placement, node_hours: float | None) -> Table:
    columns = (
        Column("step"),
        Column("served", number=False),
        Column("devices"),
        Column("machines", essential=False),
        Column("number of devices is from", number=False, essential=False),
    )
    rows: list[tuple[str, ...]] = []
    for number, step in enumerate(found.steps, 1):
        rows += [(str(number), _who(one), str(one.devices), str(step.machines), one.origin) for one in step.servers]
        rows += [(str(number), f"{_who(one)}, elsewhere", str(one.devices), "+1", one.origin) for one in step.elsewhere]
    rows += [(formats.UNKNOWN, _who(one), "none", formats.UNKNOWN, one.origin) for one in found.unserved]
    notes = [*found.notes, *(f"Not served here: {_who(one)}. {one.origin}." for one in found.unserved)]
    if found.side_by_side:
        notes.insert(0, "All of it fits on one machine at the same time.")
    elif len(found.steps) > 1:
        notes.insert(0, "Serve step after step, each evaluated with the same run_id= before the next.")
    if node_hours is not None:
        notes.append(
            f"Node-hours: {node_hours:,.1f} (steps last as long as their slowest model; a later judge is extra)."
        )
    return Table(f"Served on {found.machine.title}", columns, tuple(rows), tuple(notes))


def _who(one: PlacedServer) -> str:
    return " and ".join(one.names)


def _assumptions(plan: Plan) -> Table:
    columns = (
        Column("benchmark", number=False),
        Column("score %"),
        Column("phi"),
        Column("tau pt"),
        Column("where from", number=False),
    )
    rows: list[tuple[str, ...]] = []
    for one in plan.chances:
        origins = dict.fromkeys(f"{name}: {_origin(known)}" for name, known in _named(one))
        cells = (formats.percent(one.score.value), f"{one.facts.phi.value:.2f}", formats.percent(one.facts.tau.value))
        row = (benchmark_title(one.facts.name), *cells, "; ".join(origins))
        if row not in rows:
            rows.append(row)
    note = (
        "phi: share of binomial variance between repeats of one item; tau: spread over items of what a quantization "
        "changes. A baseline recorded with repeats replaces score and phi."
    )
    return Table("What this reckons with", columns, tuple(rows), (note,))


def _named(one: TaskChance) -> list[tuple[str, SourcedNumber]]:
    return [("score", one.score), ("phi", one.facts.phi), ("tau", one.facts.tau)]


def _origin(known: SourcedNumber) -> str:
    return "assumed" if known.assumed else known.origin
