"""What the tables say: values -> rows of text, the same for terminal and Markdown."""

from collections.abc import Iterable
from datetime import datetime

from evalsuite.analysis.comparison import CAUSES, FAULTS, Comparison, GroupChange
from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.tasks.datasets import benchmark_title

SIGNIFICANT = 0.05
_FAULTS = ("ungraded", "failed")
_TELLING = ("truncated", "no_answer", "refused")
"""Outcomes that differ between precisions for other reasons than knowing less; shown wherever they occur."""


def scores_table(overview: SuiteComparison) -> Table:
    """Every cell's score with its interval, outcomes and tokens; incomplete cells show counts and no score."""
    faults = tuple(name for name in _FAULTS if any(score.outcomes[name] for score in overview.scores))
    shown = ("correct", *CAUSES, *faults)
    telling = {name for name in _TELLING if any(score.outcomes[name] for score in overview.scores)}
    several = len({score.cell.run for score in overview.scores}) > 1
    timed = any(score.stream_rate is not None for score in overview.scores)
    columns = (
        Column("benchmark", number=False),
        Column("model", number=False),
        *([Column("run", number=False, essential=False)] if several else []),
        Column("score % [95 %]"),
        Column("items", essential=False),
        *(Column(formats.OUTCOME_TITLES[name], essential=name in telling) for name in shown),
        Column("tokens per answer", essential=False),
        *([Column("tokens/s per stream", essential=False)] if timed else []),
    )
    ordered = [score for task in overview.table.tasks for score in overview.scores if score.cell.task == task]
    rows = tuple(
        (
            score.benchmark,
            score.cell.title,
            *([score.cell.run] if several else []),
            _score(score),
            formats.count(score.items) + (f" x {score.repeats}" if score.repeats > 1 else ""),
            *(formats.count(score.outcomes[name]) for name in shown),
            formats.tokens(score.tokens.completion),
            *([formats.tokens(score.stream_rate)] if timed else []),
        )
        for score in ordered
    )
    notes = [note for score in ordered for note in _cell_notes(score)]
    notes += [_speed_note(overview.scores)] if timed else []
    return Table("Scores", columns, rows, tuple(notes))


def _speed_note(scores: Iterable[CellScore]) -> str:
    """What the speed in the scores table is and is not."""
    entries = [entry for score in scores for entry in score.cell.manifest.get("server") or ()]
    limits = sorted({int(entry["concurrency"]) for entry in entries if entry.get("concurrency")})
    most = f" (at most {' or '.join(map(str, limits))} requests at a time)" if limits else ""
    return (
        "Tokens/s per stream: generated tokens over the seconds of their requests, queue and prefill included, at this "
        f"run's concurrency{most}. A by-product of the run, not a speed benchmark."
    )


def delta_table(overview: SuiteComparison) -> Table:
    """Every comparison with interval, p value, flips, recovery, what the data could have seen, and the verdict."""
    judged = any(row.verdict for row in overview.comparisons)
    columns = (
        Column("benchmark", number=False),
        Column("model", number=False),
        Column("baseline %", essential=False),
        Column("score %"),
        Column("delta pt [95 %]"),
        Column("p"),
        Column("lost", essential=False),
        Column("gained", essential=False),
        Column("recovery %", essential=False),
        Column("detectable pt", essential=False),
        Column("tokens", essential=False),
        *([Column("margin pt", essential=False), Column("verdict", number=False)] if judged else []),
    )
    rows = [_delta_row(row) + (_verdict(row) if judged else ()) for row in overview.comparisons]
    for mean in overview.means:
        change = formats.change(mean.mean.delta, mean.mean.ci95)
        name = f"mean of {len(mean.tasks)} benchmarks"
        row = (name, overview.table.title(mean.pair.candidate), "", "", change, formats.probability(mean.mean.p_value))
        rows.append((*row, *[""] * (len(columns) - len(row))))
    return Table("Change against the baseline", columns, tuple(rows), tuple(_comparison_notes(overview)))


def causes_table(overview: SuiteComparison) -> Table:
    """How each delta came about; the parts add up to it."""
    compared = [row.paired for row in overview.comparisons if row.paired is not None]
    faults = [cause for cause in FAULTS if any(paired.causes.get(cause) for paired in compared)]
    columns = (
        Column("benchmark", number=False),
        Column("model", number=False),
        Column("delta pt"),
        *(Column(cause.replace("_", " ")) for cause in (*CAUSES, *faults)),
    )
    rows = tuple(
        (
            row.benchmark,
            row.candidate.cell.title,
            formats.points(row.delta),
            *(formats.points(row.paired.causes[cause]) for cause in (*CAUSES, *faults)),
        )
        for row in overview.comparisons
        if row.paired is not None
    )
    return Table("Where the points went (parts add up to the delta)", columns, rows)


def group_tables(overview: SuiteComparison) -> tuple[Table, ...]:
    """One table per task and grouping: the strata with the worst drop first."""
    found: list[Table] = []
    for task in overview.table.tasks:
        compared = [row for row in overview.comparisons if row.task == task and row.paired is not None]
        for baseline in dict.fromkeys(row.baseline.cell.model for row in compared):
            rows = [row for row in compared if row.baseline.cell.model == baseline]
            found += [_group_table(task, name, rows) for name in overview.table.groups(task)]
    return tuple(found)


def _comparison_notes(overview: SuiteComparison) -> Iterable[str]:
    """What must be said beside any delta."""
    reasons = dict.fromkeys((pair.baseline, pair.reason) for pair in overview.pairs)
    for baseline, why in reasons:
        pairs = [pair for pair in overview.pairs if (pair.baseline, pair.reason) == (baseline, why)]
        names = ", ".join(overview.table.title(pair.candidate) for pair in pairs)
        yield f"Compared with {overview.table.title(baseline)} ({why}): {names}."
    for row in overview.comparisons:
        who = f"{row.candidate.cell.title}, {row.benchmark}"
        if row.reason:
            yield f"{who}: no delta. {row.reason}."
        elif row.partial:
            yield f"{who}: a part of the task, {row.partial}."
        old, new = row.baseline.cell, row.candidate.cell
        if old.run != new.run:
            yield f"{who}: the baseline is from run {old.run}, {_age(old.recorded, new.recorded)}."
    unknown: dict[tuple[str, ...], list[str]] = {}
    for row in overview.comparisons:
        if row.comparable.ok and row.comparable.unknown:
            unknown.setdefault(row.comparable.unknown, []).append(f"{row.candidate.cell.title}, {row.benchmark}")
    for keys, where in unknown.items():
        yield f"Unknown and therefore not checked: {', '.join(keys)}; {'; '.join(where)}."
    for method in dict.fromkeys(row.paired.change.method for row in overview.comparisons if row.paired):
        yield f"Method: {method}. Detectable: the smallest true change seen with power 0.8 at two-sided alpha 0.05."


def strata_by_drop(rows: Iterable[Comparison], name: str) -> list[str]:
    """Values of a grouping, the worst drop of any candidate first."""
    worst: dict[str, float] = {}
    for row in rows:
        for part in row.paired.groups[name] if row.paired else ():
            worst[part.value] = min(worst.get(part.value, 1.0), part.change.delta)
    return sorted(worst, key=lambda value: (worst[value], value))


def _cell_notes(score: CellScore) -> Iterable[str]:
    who = f"{score.cell.title}, {score.benchmark}"
    if not score.complete:
        yield f"{who}: {score.missing_text}."
        if score.failed:
            yield f"{who}: {score.failed_text}."
    if score.cell.partial:
        yield f"{who}: a part of the task, {score.cell.partial}."
    if score.pass_power and score.cell.identity.get("adapter") == "tau2_telecom":  # its own headline besides the mean
        powers = ", ".join(f"pass^{k} {formats.percent(value)}" for k, value in score.pass_power.items())
        yield f"{who}: {powers} (the chance, in %, that k attempts at a task all succeed)."
    yield from _rerolled_note(who, score)
    for reason in score.cell.superseded:
        yield f"{who}: asked again; the earlier answers are kept under superseded/ (reason: {reason})."


def _rerolled_note(who: str, score: CellScore) -> Iterable[str]:
    """What was drawn anew, and whether that chose answers."""
    again = score.retried
    if again is None or not again.samples:
        return
    total = formats.count(sum(score.outcomes.values()))
    share = f"{formats.count(again.samples)} of {total} samples ({formats.percent(again.share)} %)"
    scores = ""
    if again.score is not None and again.others is not None:
        scores = f"; score {formats.percent(again.score)} % of them, {formats.percent(again.others)} % of the others"
    yield f"{who}: {share} were asked again because their first answer was lost{scores}."


def _score(score: CellScore) -> str:
    return formats.score(score.scored.score, score.scored.ci95) if score.scored else "incomplete"


def _delta_row(row: Comparison) -> tuple[str, ...]:
    paired = row.paired
    if paired is None:
        why = "refused" if not row.comparable.ok else "none"
        return (row.benchmark, row.candidate.cell.title, "", "", why, "", "", "", "", "", "")
    return (
        row.benchmark,
        row.candidate.cell.title,
        formats.percent(paired.baseline_score),
        formats.percent(paired.candidate_score),
        formats.change(paired.change.delta, paired.change.ci95),
        formats.probability(paired.change.p_value),
        formats.count(paired.flips.lost),
        formats.count(paired.flips.gained),
        formats.percent(paired.recovery),
        formats.percent(paired.mde, 2),
        formats.ratio(paired.tokens_ratio),
    )


def _verdict(row: Comparison) -> tuple[str, str]:
    """Margin and verdict; one that decides nothing says so."""
    if row.verdict is None:
        return ("", "")
    tier = "" if row.verdict.limit.tier == "critical" else f" ({row.verdict.limit.tier})"
    return (formats.percent(row.verdict.limit.margin, 2), row.verdict.decision.label + tier)


def _group_table(task: str, name: str, rows: list[Comparison]) -> Table:
    """Strata in rows, candidates in columns, a star where the drop or gain stands after Holm."""
    candidates = [(row, {part.value: part for part in row.paired.groups[name]}) for row in rows if row.paired]
    columns = [Column(name, number=False), Column("items"), Column(f"{rows[0].baseline.cell.title} %")]
    for row, _ in candidates:
        columns.append(Column(f"{row.candidate.cell.title} pt"))
    lines: list[tuple[str, ...]] = []
    for value in strata_by_drop(rows, name):
        parts = [groups.get(value) for _, groups in candidates]
        first = next(part for part in parts if part is not None)
        lines.append(
            (value, formats.count(first.change.n), formats.percent(first.baseline_score), *map(_stratum, parts))
        )
    note = f"* p < {SIGNIFICANT} after Holm's correction over the {len(lines)} strata. Intervals are 95 %, uncorrected."
    return Table(f"{benchmark_title(task)} by {name}", tuple(columns), tuple(lines), (note,))


def _stratum(part: GroupChange | None) -> str:
    if part is None:
        return formats.UNKNOWN
    star = " *" if part.p_holm is not None and part.p_holm < SIGNIFICANT else ""
    return formats.change(part.change.delta, part.change.ci95) + star


def _age(old: datetime | None, new: datetime | None) -> str:
    if old is None or new is None:
        return "its age is unknown"
    days = (new - old).days
    return f"recorded {old:%Y-%m-%d}" + (f", {days} days earlier" if days > 0 else "")
