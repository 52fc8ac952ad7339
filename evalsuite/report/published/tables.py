"""What the card check says, as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.console import Column, Table
from evalsuite.report.published.check import REPEATS, CardCheck, CardReport, PublishedDelta, card_reports
from evalsuite.report.published.match import matches
from evalsuite.stats.intervals import wilson
from evalsuite.tasks.datasets import benchmark_title
from evalsuite.tasks.published import NOT_STATED, Card


def published_tables(overview: SuiteComparison | None, cards: Sequence[Card]) -> tuple[Table, ...]:
    """Per card: measured beside published, its strata with intervals, its own differences, and GRIM.

    Without an overview only what the card says by itself.
    """
    found: list[Table] = []
    for report in card_reports(overview, cards):
        measured = [match.score for match in matches(overview, report.card)] if overview is not None else []
        if report.checks:
            found.append(_beside(report))
        else:
            found.append(_alone(report))
        for group in report.card.data.get("groups") or ():
            found.append(_strata(report.card, group, _measured(group, report.card, measured)))
        found += [table for table in (_deltas(report), _grim(report)) if table.rows]
    return tuple(found)


def _beside(report: CardReport) -> Table:
    columns = (
        Column("benchmark", number=False),
        Column("model", number=False),
        Column("published %"),
        Column("measured % [95 %]"),
        Column("difference pt [95 %]"),
        Column("result", number=False),
    )
    rows = tuple(
        (
            benchmark_title(check.task),
            check.model,
            formats.percent(check.published),
            formats.UNKNOWN if check.measured is None else formats.score(check.measured, check.ci95),
            formats.change(check.difference, check.difference_ci95),
            check.result,
        )
        for check in report.checks
    )
    notes = [*_source(report.card), *_why(report.checks), *_row_notes(report.card, {one.task for one in report.checks})]
    notes.append(
        "Reproduced: the difference is within both sides' sampling error (the card's: of one pass, if unstated)."
    )
    return Table(f"Measured beside published: {report.card.title}", columns, rows, tuple(notes))


def _alone(report: CardReport) -> Table:
    """A card without any cell of ours: its scores with the interval that one pass over the items has."""
    keys = [(str(one["key"]), str(one["title"])) for one in report.card.data.get("columns") or ()]
    columns = (Column("benchmark", number=False), Column("items"), *(Column(f"{title} %") for _, title in keys))
    sizes: dict[str, int] = {}
    for one in report.grims:
        sizes.setdefault(one.task, one.n)
    rows: list[tuple[str, ...]] = []
    for row in report.card.data.get("rows") or ():
        n = sizes.get(str(row["task"]))
        cells = []
        for key, _ in keys:
            share = (row.get("scores") or {}).get(key)
            interval = None if share is None or n is None else wilson(round(share * n), n)
            cells.append(formats.score(share, interval))
        rows.append((benchmark_title(str(row["task"])), formats.UNKNOWN if n is None else f"{n:,}", *cells))
    tasks = {str(row["task"]) for row in report.card.data.get("rows") or ()}
    notes = [*_source(report.card), *_row_notes(report.card, tasks)]
    if rows:
        notes.append("Intervals are Wilson's for one pass over the items: none is published, nor how many passes.")
    else:
        notes.append("The card measures no accuracy.")
    return Table(f"Published: {report.card.title}", columns, tuple(rows), tuple(notes))


def _source(card: Card) -> list[str]:
    silent = [name for name, value in card.settings.items() if value == NOT_STATED]
    stated = [f"{name} {value}" for name, value in card.settings.items() if value != NOT_STATED]
    notes = [
        f"Source: {' '.join(str(card.data.get('source', NOT_STATED)).split())}, {card.data.get('date', 'no date')}."
    ]
    notes += [f"The card's settings: {', '.join(stated)}."] if stated else []
    notes += [f"The card does not state: {', '.join(silent)}; differences may come from there."] if silent else []
    return notes


def _why(checks: Iterable[CardCheck]) -> list[str]:
    """Why scores are not comparable: one line for all that differ in the same."""
    where: dict[tuple[str, ...], list[str]] = {}
    for check in checks:
        if check.differences:
            where.setdefault(check.differences, []).append(f"{check.model}, {benchmark_title(check.task)}")
    return [f"Measured with {', '.join(lines)}: {'; '.join(names)}." for lines, names in where.items()]


def _row_notes(card: Card, tasks: Iterable[str]) -> list[str]:
    """What the card's rows need said, and its errors."""
    known = set(tasks)
    rows = [row for row in card.data.get("rows") or () if row.get("task") in known and row.get("note")]
    notes = [f"{benchmark_title(str(row['task']))}: {' '.join(str(row['note']).split())}" for row in rows]
    return notes + [f"Erratum: {' '.join(str(line).split())}" for line in card.data.get("errata") or ()]


def _measured(group: Mapping[str, Any], card: Card, scores: Iterable[CellScore]) -> CellScore | None:
    """The cell whose strata the card publishes, if it was measured."""
    for score in scores:
        column = card.column(score.cell.identity.get("checkpoint"), score.cell.model)
        if (group.get("task"), group.get("column")) == (score.cell.task, column) and score.groups:
            return score
    return None


def _strata(card: Card, group: Mapping[str, Any], score: CellScore | None) -> Table:
    """Published counts with Wilson intervals, beside the measured strata where there are any."""
    ours = {} if score is None else {_plain(part.value): part for part in score.groups.get(group["group"], ())}
    rows: list[tuple[str, ...]] = []
    counts = card.counts(str(group["task"]), str(group["column"]))
    for value, (right, n) in counts.items():
        mine = ours.get(_plain(value))
        measured = formats.UNKNOWN if mine is None else formats.score(mine.scored.score, mine.scored.ci95)
        shown = (value, f"{right:,}/{n:,}", formats.score(right / n, wilson(right, n)))
        rows.append((*shown, measured) if score is not None else shown)
    columns = [Column(str(group["group"]), number=False), Column("published count"), Column("published % [95 %]")]
    columns += [Column(f"{score.cell.title} % [95 %]")] if score is not None else []
    right, n = (sum(one[place] for one in counts.values()) for place in (0, 1))
    whole = formats.score(right / n, wilson(right, n))
    note = f"Published intervals are Wilson's, computed here from the counts; together {right:,}/{n:,}, {whole} %."
    return Table(
        f"{benchmark_title(str(group['task']))} by {group['group']}: {card.title}", tuple(columns), tuple(rows), (note,)
    )


def _plain(value: str) -> str:
    return value.replace(" ", "_")


def _deltas(report: CardReport) -> Table:
    """The differences that a card shows, with the interval that it does not."""
    titles = {str(one["key"]): str(one["title"]) for one in report.card.data.get("columns") or ()}
    columns = (
        Column("benchmark", number=False),
        Column("against", number=False, essential=False),
        Column("model", number=False),
        Column("difference pt [95 %]"),
        Column("items", essential=False),
        Column("", number=False),
    )
    rows = tuple(
        (
            benchmark_title(one.task),
            titles[one.baseline],
            titles[one.candidate],
            formats.change(one.delta, one.ci95),
            f"{one.n:,}",
            "no difference shown" if one.ci95[0] <= 0 <= one.ci95[1] else "differs",
        )
        for one in report.deltas
    )
    notes = [
        "External baseline, unpaired: without item-level answers two published scores are two independent samples "
        "(Newcombe's interval, one pass each).",
        *(_sensitivity(one) for one in report.deltas if one.delta > 0 and not one.counted and len(report.deltas) == 1),
    ]
    return Table(f"Differences published by {report.card.title}", columns, rows, tuple(notes))


def _sensitivity(one: PublishedDelta) -> str:
    """Why a published gain is none, even if pairing were allowed."""
    parts = [f"{100 * q:.0f} % flips {formats.change(one.delta, ci).partition(' ')[2]}" for q, ci in one.paired.items()]
    lost = [q for q, (low, high) in one.paired.items() if low <= 0 <= high]
    beyond = f" From {100 * min(lost):.0f} % on it holds 0." if lost else ""
    return (
        f"{benchmark_title(one.task)}, {formats.points(one.delta)} pt is no measured gain: the baseline is a bare "
        "rounded figure, without counts or answers, perhaps of another harness, so that pairing is void. Were both of "
        f"one harness, it would depend on how many items flip: {', '.join(parts)}.{beyond}"
    )


def _grim(report: CardReport) -> Table:
    columns = (
        Column("benchmark", number=False),
        Column("answers"),
        Column("scores %"),
        Column("possible with passes", number=False),
        Column("impossible with", number=False),
    )
    rows = tuple(
        (
            benchmark_title(one.task),
            f"{one.n:,}",
            ", ".join(formats.percent(value, 2 if round(value, 3) != value else 1) for value in one.scores.values()),
            "all that were tried" if not one.impossible else ", ".join(map(str, one.possible)) or "none that was tried",
            ", ".join(map(str, one.impossible)) or formats.UNKNOWN,
        )
        for one in report.grims
    )
    note = (
        f"GRIM (Brown and Heathers 2017): whether shares of whole answers round to what is published; tried "
        f"{', '.join(map(str, REPEATS))} passes. For right-or-wrong scores; averages of fractional ones escape it."
    )
    return Table(f"Can these numbers be: {report.card.title}", columns, rows, (note,))
