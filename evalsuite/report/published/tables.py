"""Builds the tables of the comparison with published scores."""

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
from evalsuite.tasks.published import NOT_STATED, Card, group_counts


def published_tables(suite: SuiteComparison | None, cards: Sequence[Card], *, audit: bool = True) -> tuple[Table, ...]:
    """Build the tables of each card: measured and published scores, group values, the card's own differences, and GRIM.

    A card without a measured cell (all, with ``suite`` None) shows only the published numbers. Without ``audit`` the
    tables do not judge the card itself: no differences of its columns, no GRIM, and no errata next to measured scores.
    """
    card_tables: list[Table] = []
    for report in card_reports(suite, cards):
        measured = [match.score for match in matches(suite, report.card)] if suite is not None else []
        if report.checks:
            card_tables.append(_comparison_table(report, audit=audit))
        else:
            card_tables.append(_published_table(report))
        for group in report.card.data.get("groups") or ():
            card_tables.append(_strata(report.card, group, _measured(group, report.card, measured)))
        card_tables += [table for table in (_deltas(report), _grim(report)) if audit and table.rows]
    return tuple(card_tables)


def _comparison_table(report: CardReport, *, audit: bool) -> Table:
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
    notes = [
        *_source(report.card),
        *_protocol_notes(report.checks),
        *_row_notes(report.card, {item.task for item in report.checks}),
        *(_errata(report.card) if audit else ()),
    ]
    notes.append(
        "Reproduced: the difference is within both sides' sampling error (the card's: of one pass, if unstated)."
    )
    return Table(f"Measured and published: {report.card.title}", columns, rows, tuple(notes))


def _published_table(report: CardReport) -> Table:
    """Build the table of a card without measured cells: its scores with the Wilson interval of one pass over the items,
    where their number is known.
    """
    keys = [(str(entry["key"]), str(entry["title"])) for entry in report.card.data.get("columns") or ()]
    columns = (Column("benchmark", number=False), Column("items"), *(Column(f"{title} %") for _, title in keys))
    sizes: dict[str, int] = {}
    for entry in report.grims:
        sizes.setdefault(entry.task, entry.n)
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
    notes = [*_source(report.card), *_row_notes(report.card, tasks), *_errata(report.card)]
    if rows:
        notes.append("Intervals are Wilson's for one pass over the items: none is published, nor how many passes.")
    else:
        notes.append("The card measures no accuracy.")
    return Table(f"Published: {report.card.title}", columns, tuple(rows), tuple(notes))


def _source(card: Card) -> list[str]:
    not_stated = [name for name, value in card.settings.items() if value == NOT_STATED]
    stated = [f"{name} {value}" for name, value in card.settings.items() if value != NOT_STATED]
    notes = [
        f"Source: {' '.join(str(card.data.get('source', NOT_STATED)).split())}, {card.data.get('date', 'no date')}."
    ]
    notes += [f"The card's settings: {', '.join(stated)}."] if stated else []
    notes += (
        [f"The card does not state: {', '.join(not_stated)}; differences may come from there."] if not_stated else []
    )
    return notes


def _protocol_notes(checks: Iterable[CardCheck]) -> list[str]:
    """Return one line for each set of protocol differences that makes scores not comparable, with the models and
    benchmarks.
    """
    cells_of: dict[tuple[str, ...], list[str]] = {}
    for check in checks:
        if check.differences:
            cells_of.setdefault(check.differences, []).append(f"{check.model}, {benchmark_title(check.task)}")
    return [f"Measured with {', '.join(lines)}: {'; '.join(names)}." for lines, names in cells_of.items()]


def _row_notes(card: Card, tasks: Iterable[str]) -> list[str]:
    """Return one line for each note that the card has on a row of these tasks."""
    known = set(tasks)
    rows = [row for row in card.data.get("rows") or () if row.get("task") in known and row.get("note")]
    return [f"{benchmark_title(str(row['task']))}: {' '.join(str(row['note']).split())}" for row in rows]


def _errata(card: Card) -> list[str]:
    return [f"Erratum: {' '.join(str(line).split())}" for line in card.data.get("errata") or ()]


def _measured(group: Mapping[str, Any], card: Card, scores: Iterable[CellScore]) -> CellScore | None:
    """Return the first measured cell of the task and column of ``group`` (an entry of the card) that has group values.

    None when there is none.
    """
    for score in scores:
        column = card.column(score.cell.identity.get("checkpoint"), score.cell.model)
        if (group.get("task"), group.get("column")) == (score.cell.task, column) and score.groups:
            return score
    return None


def _strata(card: Card, group: Mapping[str, Any], score: CellScore | None) -> Table:
    """Build the table of a card's published counts by group value (``group``: the card's entry) with Wilson intervals,
    next to the measured group values of ``score`` (None for none).
    """
    measured_parts = (
        {} if score is None else {_normalized(part.value): part for part in score.groups.get(group["group"], ())}
    )
    rows: list[tuple[str, ...]] = []
    counts = group_counts(group)
    for value, (right, n) in counts.items():
        part_score = measured_parts.get(_normalized(value))
        measured = (
            formats.UNKNOWN if part_score is None else formats.score(part_score.scored.score, part_score.scored.ci95)
        )
        shown = (value, f"{right:,}/{n:,}", formats.score(right / n, wilson(right, n)))
        rows.append((*shown, measured) if score is not None else shown)
    columns = [Column(str(group["group"]), number=False), Column("published count"), Column("published % [95 %]")]
    columns += [Column(f"{score.cell.title} % [95 %]")] if score is not None else []
    right, n = (sum(pair[place] for pair in counts.values()) for place in (0, 1))
    total = formats.score(right / n, wilson(right, n))
    note = f"Published intervals are Wilson's, computed here from the counts; together {right:,}/{n:,}, {total} %."
    return Table(
        f"{benchmark_title(str(group['task']))} by {group['group']}: {card.title}", tuple(columns), tuple(rows), (note,)
    )


def _normalized(value: str) -> str:
    return value.replace(" ", "_")


def _deltas(report: CardReport) -> Table:
    """Build the table of the differences between a card's columns, with the unpaired intervals that it does not
    show.
    """
    titles = {str(delta["key"]): str(delta["title"]) for delta in report.card.data.get("columns") or ()}
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
            benchmark_title(delta.task),
            titles[delta.baseline],
            titles[delta.candidate],
            formats.change(delta.delta, delta.ci95),
            f"{delta.n:,}",
            "no difference shown" if delta.ci95[0] <= 0 <= delta.ci95[1] else "differs",
        )
        for delta in report.deltas
    )
    notes = [
        "External baseline, unpaired: without item-level answers two published scores are two independent samples "
        "(Newcombe's interval, one pass each).",
        *(
            _sensitivity(delta)
            for delta in report.deltas
            if delta.delta > 0 and not delta.counted and len(report.deltas) == 1
        ),
    ]
    return Table(f"Published differences: {report.card.title}", columns, rows, tuple(notes))


def _sensitivity(delta: PublishedDelta) -> str:
    """Return a note on why a gain between two published columns is not a measured one, with the intervals that pairing
    would give at several fractions of flipped items.
    """
    parts = [
        f"{formats.percent(q, 0)} % flips {formats.change(delta.delta, ci).partition(' ')[2]}"
        for q, ci in delta.paired.items()
    ]
    covering = [q for q, (low, high) in delta.paired.items() if low <= 0 <= high]
    threshold = f" From {formats.percent(min(covering), 0)} % on it holds 0." if covering else ""
    return (
        f"{benchmark_title(delta.task)}, {formats.points(delta.delta)} pt is no measured gain: the baseline is a bare "
        "rounded figure, without counts or answers, perhaps of another harness, so that pairing is void. Were both of "
        f"one harness, it would depend on how many items flip: {', '.join(parts)}.{threshold}"
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
            benchmark_title(test.task),
            f"{test.n:,}",
            ", ".join(formats.percent(value, 2 if round(value, 3) != value else 1) for value in test.scores.values()),
            "all that were tried"
            if not test.impossible
            else ", ".join(map(str, test.possible)) or "none that was tried",
            ", ".join(map(str, test.impossible)) or formats.UNKNOWN,
        )
        for test in report.grims
    )
    note = (
        f"GRIM (Brown and Heathers 2017): whether shares of whole answers round to what is published; tried "
        f"{', '.join(map(str, REPEATS))} passes. For right-or-wrong scores; averages of fractional ones escape it."
    )
    return Table(f"Are these numbers possible: {report.card.title}", columns, rows, (note,))
