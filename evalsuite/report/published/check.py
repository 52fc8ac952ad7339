"""The card check: measured scores held against published ones, and published numbers held against arithmetic.

A published score is *reproduced* when the measured one differs by no more than both sides' sampling error, *not
reproduced* when by more, and *not comparable* when it is known to have been asked otherwise. What a card does not state
is no difference; it is listed, and the result carries it.
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
from evalsuite.tasks import datasets as data
from evalsuite.tasks.published import NOT_STATED, Card

REPEATS = (1, 2, 3, 4, 5, 8, 10, 16)
"""Numbers of passes that published scores are tried against."""
FLIPS = (0.02, 0.04, 0.08, 0.12)
"""Shares of items that change between two runs, for what pairing would have shown."""
DIGITS = 3
"""Decimals of a published fraction, at least (percent with one decimal)."""
_Z95 = 1.959963984540054
_PROTOCOL = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty")

Result = Literal["reproduced", "not reproduced", "not comparable", "incomplete"]


@dataclass(frozen=True, slots=True)
class CardCheck:
    """One measured cell beside its published score; fractions of 1, difference = measured - published."""

    task: str
    model: str
    column: str
    published: float
    measured: float | None
    ci95: Bounds | None
    difference: float | None
    difference_ci95: Bounds | None
    """With the sampling error of both sides; the publisher's is that of one pass where repeats are not stated."""
    result: Result
    differences: tuple[str, ...]
    """Known differences of protocol, ``what ours (card theirs)``."""
    unknown: tuple[str, ...]
    """What the card, or a cell recorded elsewhere, does not state."""


@dataclass(frozen=True, slots=True)
class Grim:
    """Whether the published scores of one row can be shares of ``n`` answers times whole passes."""

    task: str
    n: int
    scores: Mapping[str, float]
    possible: tuple[int, ...]
    """Passes at which every score of the row is possible; empty: at none that was tried."""
    impossible: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PublishedDelta:
    """The difference between two columns of a card, which cannot be paired: no answers are published."""

    task: str
    baseline: str
    candidate: str
    delta: float
    n: int
    ci95: Bounds
    """Unpaired, one pass of ``n`` items each (Newcombe 1998)."""
    paired: Mapping[float, Bounds]
    """Share of flipped items -> the interval that pairing would have given."""
    counted: bool
    """Whether both scores come with counts."""


@dataclass(frozen=True, slots=True)
class CardReport:
    """Everything that is said of one card."""

    card: Card
    checks: tuple[CardCheck, ...]
    grims: tuple[Grim, ...]
    deltas: tuple[PublishedDelta, ...]

    def to_json(self) -> dict[str, Any]:
        """One entry of ``cards`` in ``comparison.json``."""
        content = self.card.data
        return {
            "name": self.card.name,
            "title": self.card.title,
            "source": content.get("source"),
            "date": str(content.get("date", NOT_STATED)),
            "settings": dict(self.card.settings),
            "rows": [asdict(check) for check in self.checks],
            "grim": [asdict(one) for one in self.grims],
            "deltas": [
                {**asdict(one), "paired": {str(q): list(ci) for q, ci in one.paired.items()}} for one in self.deltas
            ],
            "groups": [
                {
                    "task": group["task"],
                    "group": group["group"],
                    "column": group["column"],
                    "values": [
                        {"value": value, "correct": right, "n": n, "score": right / n, "ci95": wilson(right, n)}
                        for value, (right, n) in self.card.counts(group["task"], group["column"]).items()
                    ],
                }
                for group in content.get("groups") or ()
            ],
            "errata": [" ".join(str(line).split()) for line in content.get("errata") or ()],
        }


def card_reports(overview: SuiteComparison | None, cards: Sequence[Card]) -> tuple[CardReport, ...]:
    """Check every card; without an overview, only against arithmetic."""
    return tuple(
        CardReport(
            card,
            tuple(check(card, match) for match in matches(overview, card)) if overview is not None else (),
            tuple(grims(card)),
            tuple(_published_deltas(card)),
        )
        for card in cards
    )


def check(card: Card, match: Match) -> CardCheck:
    """Hold one cell against its published score."""
    score, cell = match.score, match.score.cell
    differs, unknown = _protocol(card, match)
    plain = (cell.task, cell.title, match.column, match.published)
    if score.scored is None:
        return CardCheck(*plain, None, None, None, None, "incomplete", differs, unknown)
    measured = score.scored.score
    difference = measured - match.published
    half = _Z95 * sqrt((score.scored.stderr or 0.0) ** 2 + _publishers_variance(card, match))
    half += _half_step(match.published)
    bounds = (difference - half, difference + half)
    result: Result = "not comparable" if differs else "reproduced" if abs(difference) <= half else "not reproduced"
    return CardCheck(*plain, measured, score.scored.ci95, difference, bounds, result, differs, unknown)


def grims(card: Card) -> list[Grim]:
    """The rows whose number of scored answers is known: stated by the card, else by the benchmark's own card."""
    found: list[Grim] = []
    for row in card.data.get("rows") or ():
        scores = {str(key): float(value) for key, value in (row.get("scores") or {}).items() if value is not None}
        for n in _counts_of(row) if scores else ():
            digits = max(DIGITS, *(_digits(value) for value in scores.values()))
            possible = tuple(k for k in REPEATS if all(grim(value, n, k, digits) for value in scores.values()))
            found.append(Grim(str(row["task"]), n, scores, possible, tuple(k for k in REPEATS if k not in possible)))
    return found


def _published_deltas(card: Card) -> list[PublishedDelta]:
    """Every candidate column against the baseline column, row by row, where the number of items is known."""
    columns = card.data.get("columns") or ()
    base = next((str(one["key"]) for one in columns if one.get("role") == "baseline"), None)
    found: list[PublishedDelta] = []
    for row in card.data.get("rows") or () if base is not None else ():
        counts = _counts_of(row)
        for column in columns:
            key, scores = str(column["key"]), row.get("scores") or {}
            if column.get("role") != "candidate" or scores.get(key) is None or scores.get(base) is None or not counts:
                continue
            old, new = (_exact(card, str(row["task"]), str(one), float(scores[one])) for one in (base, key))
            n = counts[0]
            delta = new[0] - old[0]
            paired = {
                q: (delta - half, delta + half) for q in FLIPS if (half := _Z95 * sqrt(max(q - delta**2, 0.0) / n))
            }
            interval = newcombe(old[0], n, new[0], n)
            found.append(
                PublishedDelta(str(row["task"]), str(base), key, delta, n, interval, paired, old[1] and new[1])
            )
    return found


def newcombe(old: float, n_old: int, new: float, n_new: int) -> Bounds:
    """95 % interval of ``new - old``, two unpaired proportions (Newcombe, Statistics in Medicine 17, 1998)."""
    (low_old, high_old), (low_new, high_new) = (
        wilson(share * n, n) or (0.0, 1.0) for share, n in ((old, n_old), (new, n_new))
    )
    delta = new - old
    return (
        delta - sqrt((new - low_new) ** 2 + (high_old - old) ** 2),
        delta + sqrt((high_new - new) ** 2 + (old - low_old) ** 2),
    )


def _protocol(card: Card, match: Match) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(known differences, what is not stated) between how the cell and the card were asked."""
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
    """Sampling variance of the published score: of its counts or one pass, less where it states repeats."""
    counts = card.counts(match.score.cell.task, match.column)
    n = sum(total for _, total in counts.values()) or max(match.score.items, 1)
    repeats = card.settings.get("repeats")
    return match.published * (1 - match.published) / n / (repeats if isinstance(repeats, int) else 1)


def _counts_of(row: Mapping[str, Any]) -> list[int]:
    """What a published score may be a share of."""
    if isinstance(row.get("n"), int):
        return [int(row["n"])]
    task = str(row.get("task", ""))
    if not (shipped("tasks") / task / "card.yaml").is_file():
        return []
    return [int(n) for n in data.card(task)["design"]["scored"]]


def _exact(card: Card, task: str, column: str, score: float) -> tuple[float, bool]:
    """(score, whether it is counted): from published counts where there are any."""
    counts = card.counts(task, column)
    if not counts:
        return score, False
    return sum(right for right, _ in counts.values()) / sum(n for _, n in counts.values()), True


def _digits(value: float) -> int:
    return -int(Decimal(str(value)).as_tuple().exponent)


def _half_step(value: float) -> float:
    """Half of the last published digit: what rounding may hide."""
    return 0.5 * float(10 ** -max(DIGITS, _digits(value)))
