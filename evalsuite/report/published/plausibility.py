"""Is the baseline what it should be: its scores beside the published ones, before anything is judged against it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from evalsuite.analysis.suite import SuiteComparison
from evalsuite.report import formats
from evalsuite.report.published.check import check
from evalsuite.report.published.match import Match, cards_for, matches
from evalsuite.tasks.published import Card

FAR = 0.05
"""A baseline further than this from its published value, a fraction, is not trusted."""


@dataclass(frozen=True, slots=True)
class ImplausibleBaseline:
    """Why a baseline's cell is not trusted."""

    model: str
    task: str
    measured: float
    published: float
    card: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``."""
        return asdict(self)


def implausible_baselines(overview: SuiteComparison, config_dir: str | None = None) -> tuple[ImplausibleBaseline, ...]:
    """Baseline cells that are far from a published value, or differ by more than sampling under the same protocol.

    Demo models have no published values. Of a part of a task a far value is only a doubt where it also lies outside
    the measured 95 % interval, as a part may be harder than the whole.
    """
    baselines = {pair.baseline for pair in overview.pairs}
    return tuple(_doubts(overview, baselines, config_dir))


def _doubts(overview: SuiteComparison, baselines: set[str], config_dir: str | None) -> Iterator[ImplausibleBaseline]:
    for card in cards_for(overview, None, config_dir):
        for match in matches(overview, card):
            scored, cell = match.score.scored, match.score.cell
            if cell.model in baselines and scored is not None and (why := _why(card, match)):
                ours = f"measured {formats.score(scored.score, scored.ci95)} %"
                theirs = f"published {formats.percent(match.published)} % ({card.title})"
                text = f"{cell.title}, {match.score.benchmark}: {ours}, {theirs}: {why}"
                yield ImplausibleBaseline(cell.model, cell.task, scored.score, match.published, card.name, text)


def _why(card: Card, match: Match) -> str:
    scored, partial = match.score.scored, match.score.cell.partial
    assert scored is not None
    gap, interval = scored.score - match.published, scored.ci95
    outside = interval is not None and not interval[0] <= match.published <= interval[1]
    if abs(gap) > FAR and (outside or not partial):
        return f"{formats.points(gap, 1)} pt apart, more than {100 * FAR:g} pt"
    found = check(card, match)
    if found.result == "not reproduced" and not partial and not found.unknown:
        return "not reproduced under the same protocol"
    return ""
