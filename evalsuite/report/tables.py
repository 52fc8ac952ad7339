"""Builds the tables of a report: rows of text, the same for terminal, page and Markdown."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from evalsuite.analysis.comparison import CAUSES, FAULTS, Comparison, GroupChange
from evalsuite.analysis.completeness import failed_text
from evalsuite.analysis.groups import SIGNIFICANT
from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.store.extents import undeclared
from evalsuite.store.runs import forgotten
from evalsuite.tasks.datasets import benchmark_title

_FAULTS = ("ungraded", "failed")
"""Outcomes without a score; shown only when they occur."""
_TELLING = ("truncated", "no_answer", "refused")
"""Outcomes whose frequency can differ between precisions for other reasons than a loss of knowledge; always shown when
they occur."""


def scores_table(suite: SuiteComparison) -> Table:
    """Build the table of every cell's score with 95 % interval (percent), outcomes and tokens; incomplete and withheld
    cells have a word instead of the score.
    """
    faults = tuple(name for name in _FAULTS if any(score.outcomes[name] for score in suite.scores))
    shown = ("correct", *CAUSES, *faults)
    essential = {name for name in _TELLING if any(score.outcomes[name] for score in suite.scores)}
    several_runs = len({score.cell.run for score in suite.scores}) > 1
    degenerate = any(score.degenerate.counts for score in suite.scores)
    timed = any(score.stream_rate is not None for score in suite.scores)
    columns = (
        Column("benchmark", number=False),
        Column("model", number=False),
        *([Column("run", number=False, essential=False)] if several_runs else []),
        Column("score % [95 %]"),
        Column("items", essential=False),
        *([Column("degenerate")] if degenerate else []),
        *(Column(formats.OUTCOME_TITLES[name], essential=name in essential) for name in shown),
        Column("tokens per answer", essential=False),
        *([Column("tokens/s per stream", essential=False)] if timed else []),
    )
    ordered = [score for task in suite.table.tasks for score in suite.scores if score.cell.task == task]
    rows = tuple(
        (
            score.benchmark,
            score.cell.title,
            *([score.cell.run] if several_runs else []),
            _score(score),
            formats.count(score.items) + (f" x {score.repeats}" if score.repeats > 1 else ""),
            *([formats.count(sum(score.degenerate.counts.values()))] if degenerate else []),
            *(formats.count(score.outcomes[name]) for name in shown),
            formats.tokens(score.tokens.completion),
            *([formats.tokens(score.stream_rate)] if timed else []),
        )
        for score in ordered
    )
    notes = [note for score in ordered for note in _cell_notes(score)]
    notes += [
        f"{model}, {benchmark_title(task)}: forgotten; the answers are kept under superseded/ (reason: {reason})."
        for model, task, reason in forgotten(suite.table.cells)
    ]
    notes += [_speed_note(suite.scores)] if timed else []
    return Table("Scores", columns, rows, tuple(notes))


def _speed_note(scores: Iterable[CellScore]) -> str:
    """Return the note that explains the generation rate in the scores table, with the limits on requests at a time."""
    entries = [entry for score in scores for entry in score.cell.manifest.get("server") or ()]
    limits = sorted({int(entry["concurrency"]) for entry in entries if entry.get("concurrency")})
    limit_text = f" (at most {' or '.join(map(str, limits))} requests at a time)" if limits else ""
    return (
        "Tokens/s per stream: generated tokens over the seconds of their requests, queue and prefill included, at this "
        f"run's concurrency{limit_text}. A by-product of the run, not a speed benchmark."
    )


def delta_table(suite: SuiteComparison) -> Table:
    """Build the table of all comparisons and suite means: delta with interval, p value, flips, recovery, detectable
    difference and, if any, verdict. Comparisons without numbers have "refused" or "none" in place of the delta.
    """
    has_verdicts = any(row.verdict for row in suite.comparisons)
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
        *([Column("margin pt", essential=False), Column("verdict", number=False)] if has_verdicts else []),
    )
    rows = [_delta_row(row) + (_verdict_cells(row) if has_verdicts else ()) for row in suite.comparisons]
    for mean in suite.means:
        change = formats.change(mean.mean.delta, mean.mean.ci95)
        name = f"mean of {len(mean.tasks)} benchmarks"
        row = (name, suite.table.title(mean.pair.candidate), "", "", change, formats.probability(mean.mean.p_value))
        rows.append((*row, *[""] * (len(columns) - len(row))))
    return Table("Change against the baseline", columns, tuple(rows), tuple(_comparison_notes(suite)))


def causes_table(suite: SuiteComparison) -> Table:
    """Build the table of the parts of each delta by cause, in percentage points; the parts add up to the delta but for
    rounding. Comparisons without numbers are left out.
    """
    compared = [row.paired for row in suite.comparisons if row.paired is not None]
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
        for row in suite.comparisons
        if row.paired is not None
    )
    return Table("Where the points went (parts add up to the delta)", columns, rows)


def group_tables(suite: SuiteComparison) -> tuple[Table, ...]:
    """Build one table of changes for each task, baseline and group, with the group values sorted by the worst drop;
    comparisons without numbers are left out.

    What a star means stands below the first only.
    """
    built: list[Table] = []
    for task in suite.table.tasks:
        compared = [row for row in suite.comparisons if row.task == task and row.paired is not None]
        for baseline in dict.fromkeys(row.baseline.cell.model for row in compared):
            rows = [row for row in compared if row.baseline.cell.model == baseline]
            built += [_group_table(task, name, rows) for name in suite.table.groups(task)]
    return tuple(replace(table, notes=table.notes[1:]) if number else table for number, table in enumerate(built))


def _comparison_notes(suite: SuiteComparison) -> Iterable[str]:
    """Yield the notes below the table of comparisons: baselines, missing deltas, parts, cautions, unknown facts and
    methods.
    """
    reasons = dict.fromkeys((pair.baseline, pair.reason) for pair in suite.pairs)
    for baseline, reason in reasons:
        pairs = [pair for pair in suite.pairs if (pair.baseline, pair.reason) == (baseline, reason)]
        names = ", ".join(suite.table.title(pair.candidate) for pair in pairs)
        yield f"Compared with {suite.table.title(baseline)} ({reason}): {names}."
    for row in suite.comparisons:
        subject = f"{row.candidate.cell.title}, {row.benchmark}"
        if row.reason:
            yield f"{subject}: no delta. {row.reason}."
        elif row.partial:
            yield f"{subject}: a part of the task, {row.partial}."
        for caution in row.cautions:
            yield f"{subject}: {caution}."
        old, new = row.baseline.cell, row.candidate.cell
        if old.run != new.run:
            yield f"{subject}: the baseline is from run {old.run}, {_age(old.recorded, new.recorded)}."
    if suite.no_effects:
        yield f"Checkpoint and server effects: {suite.no_effects}."
    unknown: dict[tuple[str, ...], list[str]] = {}
    for row in suite.comparisons:
        if row.comparable.ok and row.comparable.unknown:
            unknown.setdefault(row.comparable.unknown, []).append(f"{row.candidate.cell.title}, {row.benchmark}")
    for keys, subjects in unknown.items():
        yield f"Unknown and therefore not checked: {', '.join(keys)}; {'; '.join(subjects)}."
    for method in dict.fromkeys(row.paired.change.method for row in suite.comparisons if row.paired):
        yield f"Method: {method}. Detectable: the smallest true change seen with power 0.8 at two-sided alpha 0.05."


def strata_by_drop(rows: Iterable[Comparison], name: str) -> list[str]:
    """Return the shown values of the group ``name`` (of each row those with fewer than ten items as one entry), sorted
    by the worst drop of any candidate in ``rows``; empty if no row has numbers. Raises ``KeyError`` for a group that a
    row with numbers does not have.
    """
    worst: dict[str, float] = {}
    for row in rows:
        for part in row.paired.shown_groups(name) if row.paired else ():
            worst[part.value] = min(worst.get(part.value, 1.0), part.change.delta)
    return sorted(worst, key=lambda value: (worst[value], value))


def _cell_notes(score: CellScore) -> Iterable[str]:
    subject = f"{score.cell.title}, {score.benchmark}"
    if not score.complete:
        yield f"{subject}: {score.missing_text}."
        if score.failed:
            yield f"{subject}: {failed_text(score.failed)}."
    yield from (f"{subject}: {text}." for text in score.warnings if text != score.missing_text)
    if score.cell.partial:
        yield f"{subject}: a part of the task, {score.cell.partial}."
    if score.cell.short:
        yield f"{subject}: the data held only this part, and no limit or select says so: it decides nothing."
    if undeclared(score.cell.manifest):
        yield f"{subject}: no command asked for just these items before their answers existed; they decide nothing."
    if score.pass_power and score.cell.identity.get("adapter") == "tau2_telecom":  # its own headline besides the mean
        powers = ", ".join(f"pass^{k} {formats.percent(value)}" for k, value in score.pass_power.items())
        yield f"{subject}: {powers} (the chance, in %, that k attempts at a task all succeed)."
    if score.calibration_error is not None:
        error = formats.percent(score.calibration_error)
        yield f"{subject}: calibration error {error} % (stated confidence against the share of right answers)."
    yield from _retried_note(subject, score)
    for reason in score.cell.superseded:
        yield f"{subject}: asked again; the earlier answers are kept under superseded/ (reason: {reason})."


def _retried_note(subject: str, score: CellScore) -> Iterable[str]:
    """Yield a note about the cell's samples that were generated again because their first answer was lost, if there are
    any. ``subject``: model and benchmark.
    """
    retried = score.retried
    if retried is None or not retried.samples:
        return
    total = formats.count(sum(score.outcomes.values()))
    share = f"{formats.count(retried.samples)} of {total} samples ({formats.percent(retried.share)} %)"
    scores = ""
    if retried.score is not None and retried.others is not None:
        scores = (
            f"; score {formats.percent(retried.score)} % of them, {formats.percent(retried.others)} % of the others"
        )
    yield f"{subject}: {share} were asked again because their first answer was lost{scores}."


def _score(score: CellScore) -> str:
    if score.scored is None:
        return "no score" if score.withheld else "incomplete"
    return formats.score(score.scored.score, score.scored.ci95)


def _delta_row(row: Comparison) -> tuple[str, ...]:
    paired = row.paired
    if paired is None:
        status = "refused" if not row.comparable.ok else "none"
        return (row.benchmark, row.candidate.cell.title, "", "", status, "", "", "", "", "", "")
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


def _verdict_cells(row: Comparison) -> tuple[str, str]:
    """Return (margin in points, verdict) of a comparison as text, empty without a verdict; the tier is added when it is
    not critical.
    """
    if row.verdict is None:
        return ("", "")
    tier = "" if row.verdict.limit.tier == "critical" else f" ({row.verdict.limit.tier})"
    return (formats.percent(row.verdict.limit.margin, 2), row.verdict.decision.label + tier)


def _group_table(task: str, name: str, rows: list[Comparison]) -> Table:
    """Build a table of one task with values of the group ``name`` in rows and candidates in columns; a star marks
    changes significant after Holm.

    ``rows``: comparisons with the same baseline, at least one.
    """
    candidates = [(row, {part.value: part for part in row.paired.shown_groups(name)}) for row in rows if row.paired]
    columns = [Column(name, number=False), Column("items"), Column(f"{rows[0].baseline.cell.title} %")]
    for row, _ in candidates:
        columns.append(Column(f"{row.candidate.cell.title} pt"))
    lines: list[tuple[str, ...]] = []
    for value in strata_by_drop(rows, name):
        parts = [groups.get(value) for _, groups in candidates]
        first = next(part for part in parts if part is not None)
        lines.append(
            (value, formats.count(first.change.n), formats.percent(first.baseline_score), *map(_change_text, parts))
        )
    family = "all strata of all groups and benchmarks shown of a model"
    note = f"* p < {SIGNIFICANT} after Holm's correction over {family}. Intervals are 95 %, uncorrected."
    tests = [(row.candidate.cell.title, row.paired.heterogeneity.get(name)) for row in rows if row.paired]
    texts = [formats.heterogeneity(title, test.q, test.df, test.p_value, test.tau2) for title, test in tests if test]
    notes = (note, f"{formats.HETEROGENEITY}: {'; '.join(texts)}.") if texts else (note,)
    return Table(f"{benchmark_title(task)} by {name}", tuple(columns), tuple(lines), notes)


def _change_text(part: GroupChange | None) -> str:
    if part is None:
        return formats.UNKNOWN
    star = " *" if part.significant else ""
    return formats.change(part.change.delta, part.change.ci95) + star


def _age(old: datetime | None, new: datetime | None) -> str:
    if old is None or new is None:
        return "its age is unknown"
    days = (new - old).days
    return f"recorded {old:%Y-%m-%d}" + (f", {days} days earlier" if days > 0 else "")
