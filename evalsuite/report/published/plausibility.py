"""Checks the baseline before a verdict: whether its scores agree with published ones."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.published.check import check
from evalsuite.report.published.match import Match, cards_for, matches
from evalsuite.tasks.published import Card

FAR = 0.05
"""Difference from the published value, a fraction, beyond which a baseline is implausible."""


@dataclass(frozen=True, slots=True)
class ImplausibleBaseline:
    """A cell of the baseline whose score disagrees with a published one; scores are fractions of 1."""

    model: str
    """Name of the model."""
    task: str
    """Name of the task."""
    measured: float
    """The measured score."""
    published: float
    """The published score."""
    card: str
    """Name of the card."""
    text: str
    """Description for reports."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``verdict.json``: a dict of all fields."""
        return asdict(self)


def implausible_baselines(suite: SuiteComparison, config_dir: str | None = None) -> tuple[ImplausibleBaseline, ...]:
    """Find baseline cells more than 5 points from a published value, or, for whole tasks, different by more than
    sampling error under a protocol that is known to be the same; one entry per cell and card, empty without any.

    Demo models have no published values. For a part of a task a far value counts only when it also lies outside the
    measured 95 % interval, because a part may be harder than the whole. ``config_dir`` is the user's folder of settings
    with further cards. Raises ``BadInput`` for an unreadable card.
    """
    baselines = {pair.baseline for pair in suite.pairs}
    return tuple(_implausible(suite, baselines, config_dir))


def _implausible(suite: SuiteComparison, baselines: set[str], config_dir: str | None) -> Iterator[ImplausibleBaseline]:
    for card in cards_for(suite, None, config_dir):
        for match in matches(suite, card):
            scored, cell = match.score.scored, match.score.cell
            if cell.model in baselines and scored is not None and (cause := _cause(card, match)):
                ours = f"measured {formats.score(scored.score, scored.ci95)} %"
                theirs = f"published {formats.percent(match.published)} % ({card.title})"
                text = f"{cell.title}, {match.score.benchmark}: {ours}, {theirs}: {cause}"
                yield ImplausibleBaseline(cell.model, cell.task, scored.score, match.published, card.name, text)


def _cause(card: Card, match: Match) -> str:
    scored, partial = match.score.scored, match.score.cell.partial
    assert scored is not None
    gap, interval = scored.score - match.published, scored.ci95
    outside = interval is not None and not interval[0] <= match.published <= interval[1]
    if abs(gap) > FAR and (outside or not partial):
        return f"{formats.points(gap, 1)} pt apart, more than {100 * FAR:g} pt"
    card_check = check(card, match)
    if card_check.result == "not reproduced" and not partial and not card_check.unknown:
        return "not reproduced under the same protocol"
    return ""
