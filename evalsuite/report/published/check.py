"""Compares measured scores with published ones, and checks published numbers for arithmetic possibility.

A published score is *reproduced* when the measured one differs by no more than the sampling error of both, *not
reproduced* when it differs by more, and *not comparable* when it is known to have been measured with another protocol.
What a card does not state is no difference; it is listed with the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from math import sqrt
from typing import Any, Literal

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.config.paths import shipped
from evalsuite.report.published.match import Match, matches
from evalsuite.stats.grim import grim
from evalsuite.stats.intervals import Bounds, wilson
from evalsuite.tasks import datasets
from evalsuite.tasks.published import NOT_STATED, Card, group_counts

REPEATS = (1, 2, 3, 4, 5, 8, 10, 16)
"""Numbers of passes that are tried for published scores."""
FLIPS = (0.02, 0.04, 0.08, 0.12)
"""Fractions of items that change between two runs, for the interval that pairing would have given."""
DIGITS = 3
"""Smallest number of decimals of a published fraction (percent with one decimal)."""
_Z95 = 1.959963984540054
_PROTOCOL = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty")
"""Sampling fields that are compared with the card's."""

Result = Literal["reproduced", "not reproduced", "not comparable", "incomplete"]
"""Result of the comparison of one score."""


@dataclass(frozen=True, slots=True)
class CardCheck:
    """One measured cell compared with its published score; fractions of 1, difference = measured - published."""

    task: str
    """Name of the task."""
    model: str
    """Title of the measured model."""
    column: str
    """Key of the card's column."""
    published: float
    """The published score."""
    measured: float | None
    """The measured score; None when the cell is incomplete."""
    ci95: Bounds | None
    """95 % interval of the measured score."""
    difference: float | None
    """Measured minus published; None when the cell is incomplete."""
    difference_ci95: Bounds | None
    """95 % interval with the sampling error of both; the publisher's is that of one pass when repeats are not
    stated."""
    result: Result
    """Result of the comparison."""
    differences: tuple[str, ...]
    """Known differences of protocol, as ``what ours (card theirs)``."""
    unknown: tuple[str, ...]
    """What the card, or an imported cell, does not state."""


@dataclass(frozen=True, slots=True)
class Grim:
    """Whether the published scores of one row can be fractions of ``n`` answers times whole passes."""

    task: str
    """Name of the task."""
    n: int
    """Number of scored answers of one pass."""
    scores: Mapping[str, float]
    """Column key -> published score, a fraction."""
    possible: tuple[int, ...]
    """Numbers of passes at which every score of the row is possible."""
    impossible: tuple[int, ...]
    """Numbers of passes at which some score of the row is impossible."""


@dataclass(frozen=True, slots=True)
class PublishedDelta:
    """Difference between two columns of a card; it cannot be paired, because no answers are published."""

    task: str
    """Name of the task."""
    baseline: str
    """Key of the baseline column."""
    candidate: str
    """Key of the candidate column."""
    delta: float
    """Candidate minus baseline, a fraction."""
    n: int
    """Number of items."""
    ci95: Bounds
    """Unpaired 95 % interval for one pass of ``n`` items each (Newcombe 1998)."""
    paired: Mapping[float, Bounds]
    """Fraction of flipped items -> the interval that pairing would have given."""
    counted: bool
    """Whether both scores are published with counts."""


@dataclass(frozen=True, slots=True)
class CardReport:
    """All checks of one card."""

    card: Card
    """The card."""
    checks: tuple[CardCheck, ...]
    """Comparisons with measured cells."""
    grims: tuple[Grim, ...]
    """GRIM tests of the rows."""
    deltas: tuple[PublishedDelta, ...]
    """Differences between the card's columns."""

    def to_json(self) -> dict[str, Any]:
        """Return one entry of the list ``cards`` in ``comparison.json``: the card's name, source and settings, all
        checks, published counts by group value with intervals, and errata.
        """
        content = self.card.data
        return {
            "name": self.card.name,
            "title": self.card.title,
            "source": content.get("source"),
            "date": str(content.get("date", NOT_STATED)),
            "settings": dict(self.card.settings),
            "rows": [asdict(check) for check in self.checks],
            "grim": [asdict(entry) for entry in self.grims],
            "deltas": [
                {**asdict(entry), "paired": {str(q): list(ci) for q, ci in entry.paired.items()}}
                for entry in self.deltas
            ],
            "groups": [
                {
                    "task": group["task"],
                    "group": group["group"],
                    "column": group["column"],
                    "values": [
                        {"value": value, "correct": right, "n": n, "score": right / n, "ci95": wilson(right, n)}
                        for value, (right, n) in group_counts(group).items()
                    ],
                }
                for group in content.get("groups") or ()
            ],
            "errata": [" ".join(str(line).split()) for line in content.get("errata") or ()],
        }


def card_reports(suite: SuiteComparison | None, cards: Sequence[Card]) -> tuple[CardReport, ...]:
    """Check every card: whether its numbers are possible, how its columns differ, and which of its scores are
    reproduced by the measured cells of ``suite`` (None for none). One report per card, in order.
    """
    return tuple(
        CardReport(
            card,
            tuple(check(card, match) for match in matches(suite, card)) if suite is not None else (),
            tuple(grims(card)),
            tuple(_published_deltas(card)),
        )
        for card in cards
    )


def check(card: Card, match: Match) -> CardCheck:
    """Compare one measured cell with its published score: difference, its interval with both sampling errors and that
    of rounding, and the result: "reproduced" when the interval holds 0, else "not reproduced".

    With known differences of protocol the result is "not comparable" instead. A cell without a score is "incomplete"
    in any case, and all its numbers but the published one are None.
    """
    score, cell = match.score, match.score.cell
    differs, unknown = _protocol(card, match)
    common = (cell.task, cell.title, match.column, match.published)
    if score.scored is None:
        return CardCheck(*common, None, None, None, None, "incomplete", differs, unknown)
    measured = score.scored.score
    difference = measured - match.published
    half = _Z95 * sqrt((score.scored.stderr or 0.0) ** 2 + _publishers_variance(card, match))
    half += _half_step(match.published)
    bounds = (difference - half, difference + half)
    result: Result = "not comparable" if differs else "reproduced" if abs(difference) <= half else "not reproduced"
    return CardCheck(*common, measured, score.scored.ci95, difference, bounds, result, differs, unknown)


def grims(card: Card) -> list[Grim]:
    """Test which numbers of passes (1, 2, 3, 4, 5, 8, 10 and 16 are tried) could give a row's published scores as
    rounded fractions of whole right answers (GRIM).

    Only rows with scores whose number of scored answers in one pass is stated by the card or by the benchmark's own
    card. Where the latter states several numbers, the row has one result for each.
    """
    tests: list[Grim] = []
    for row in card.data.get("rows") or ():
        scores = {str(key): float(value) for key, value in (row.get("scores") or {}).items() if value is not None}
        for n in _counts_of(row) if scores else ():
            digits = max(DIGITS, *(_digits(value) for value in scores.values()))
            possible = tuple(k for k in REPEATS if all(grim(value, n, k, digits) for value in scores.values()))
            tests.append(Grim(str(row["task"]), n, scores, possible, tuple(k for k in REPEATS if k not in possible)))
    return tests


def _published_deltas(card: Card) -> list[PublishedDelta]:
    """Return the difference of every candidate column to the baseline column, for rows with both scores and a known
    number of items; empty without a baseline column.
    """
    columns = card.data.get("columns") or ()
    base = next((str(column_key["key"]) for column_key in columns if column_key.get("role") == "baseline"), None)
    deltas: list[PublishedDelta] = []
    for row in card.data.get("rows") or () if base is not None else ():
        counts = _counts_of(row)
        for column in columns:
            key, scores = str(column["key"]), row.get("scores") or {}
            if column.get("role") != "candidate" or scores.get(key) is None or scores.get(base) is None or not counts:
                continue
            old, new = (
                _exact(card, str(row["task"]), str(column_key), float(scores[column_key])) for column_key in (base, key)
            )
            n = counts[0]
            delta = new[0] - old[0]
            paired = {
                q: (delta - half, delta + half) for q in FLIPS if (half := _Z95 * sqrt(max(q - delta**2, 0.0) / n))
            }
            interval = newcombe(old[0], n, new[0], n)
            deltas.append(
                PublishedDelta(str(row["task"]), str(base), key, delta, n, interval, paired, old[1] and new[1])
            )
    return deltas


def newcombe(old: float, n_old: int, new: float, n_new: int) -> Bounds:
    """Return the 95 % interval (low, high) of ``new - old`` for two unpaired proportions.

    ``old`` and ``new`` are fractions of ``n_old`` and ``n_new`` trials (Newcombe, Statistics in Medicine 17, 1998).
    """
    (low_old, high_old), (low_new, high_new) = (
        wilson(share * n, n) or (0.0, 1.0) for share, n in ((old, n_old), (new, n_new))
    )
    delta = new - old
    return (
        delta - sqrt((new - low_new) ** 2 + (high_old - old) ** 2),
        delta + sqrt((high_new - new) ** 2 + (old - low_old) ** 2),
    )


def _protocol(card: Card, match: Match) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (known differences of sampling, thinking and items between the cell and the card; names of what is not
    stated).
    """
    cell, stated = match.score.cell, card.settings
    differs: list[str] = []
    unknown = [name for name, value in stated.items() if value == NOT_STATED]
    ours: Mapping[str, Any] = cell.identity.get("sampling") or {}
    if cell.imported:
        unknown.append("sampling of the recorded answers")
    limits = stated.get(f"max_tokens_{cell.task}", stated.get("max_tokens"))
    for name, theirs in (*((name, stated.get(name)) for name in _PROTOCOL), ("max_tokens", limits)):
        if theirs not in (None, NOT_STATED) and name in ours and ours[name] != theirs:
            differs.append(f"{name} {ours[name]} (card {theirs})")
    thinking, theirs = cell.identity.get("thinking"), stated.get("thinking")
    if thinking is not None and isinstance(theirs, bool) and thinking != theirs:
        differs.append(f"thinking {'on' if thinking else 'off'} (card {'on' if theirs else 'off'})")
    n = (card.row(cell.task) or {}).get("n")
    if isinstance(n, int) and n != match.score.items:
        differs.append(f"{match.score.items:,} items (card {n:,})")
    elif cell.partial:
        differs.append(f"{cell.partial} (card: all)")
    return tuple(differs), tuple(dict.fromkeys(unknown))


def _publishers_variance(card: Card, match: Match) -> float:
    """Return the sampling variance of the published score, a fraction squared: of one pass over the counted (else
    measured) items, divided by the card's repeats where it states a number.
    """
    counts = card.counts(match.score.cell.task, match.column)
    n = sum(total for _, total in counts.values()) or max(match.score.items, 1)
    repeats = card.settings.get("repeats")
    return match.published * (1 - match.published) / n / (repeats if isinstance(repeats, int) else 1)


def _counts_of(row: Mapping[str, Any]) -> list[int]:
    """Return the possible numbers of scored answers of a card's row: its own ``n``, else those of the benchmark's card;
    empty when unknown.
    """
    if isinstance(row.get("n"), int):
        return [int(row["n"])]
    task = str(row.get("task", ""))
    if not (shipped("tasks") / task / "card.yaml").is_file():
        return []
    return [int(n) for n in datasets.card(task)["design"]["scored"]]


def _exact(card: Card, task: str, column: str, score: float) -> tuple[float, bool]:
    """Return (the score from published counts, True) when the card has counts for this task and column, else
    (``score``, False).

    Both scores are fractions of 1. ``column`` is the key of a column of the card; counts are summed over the values
    of the first group that has them.
    """
    counts = card.counts(task, column)
    if not counts:
        return score, False
    return sum(right for right, _ in counts.values()) / sum(n for _, n in counts.values()), True


def _digits(value: float) -> int:
    return -int(Decimal(str(value)).as_tuple().exponent)


def _half_step(value: float) -> float:
    """Return half a unit of the last published digit (at least three decimals) of a fraction: the largest error of
    rounding.
    """
    return 0.5 * float(10 ** -max(DIGITS, _digits(value)))
