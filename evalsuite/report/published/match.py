"""Finds the measured cells whose scores a published model card (``conf/card/*.yaml``) holds."""

from dataclasses import dataclass

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.errors import BadInput
from evalsuite.tasks.published import Card, card_named, published_cards


@dataclass(frozen=True, slots=True)
class Match:
    """A measured cell whose score a card publishes."""

    score: CellScore
    """Numbers of the cell."""
    column: str
    """Key of the card's column."""
    published: float
    """The published score, a fraction."""


def cards_for(suite: SuiteComparison, name: str | None, config_dir: str | None = None) -> tuple[Card, ...]:
    """Return the card ``name`` (or in the file of that path), or without a name (None) every card with a published
    score of one of the cells.

    ``config_dir`` is the user's folder of settings. Raises ``BadInput`` for an unknown or unreadable card, and for a
    named one that publishes no score of these cells.
    """
    if name is not None:
        card = card_named(name, config_dir)
        if not matches(suite, card):
            known = ", ".join(
                str(column.get("checkpoint") or column["key"]) for column in card.data.get("columns") or ()
            )
            raise BadInput(f"card {name} publishes no score of these cells; its columns are {known}")
        return (card,)
    return tuple(card for card in published_cards(config_dir).values() if matches(suite, card))


def matches(suite: SuiteComparison, card: Card) -> list[Match]:
    """Return the cells, incomplete ones included, whose checkpoint (where none is known: the model's name) and task
    have a score on the card, with its column and score; demo models never match.
    """
    matched: list[Match] = []
    for score in suite.scores:
        column = None if score.cell.demo else card.column(score.cell.identity.get("checkpoint"), score.cell.model)
        published = card.score(score.cell.task, column) if column is not None else None
        if column is not None and published is not None:
            matched.append(Match(score, column, published))
    return matched
