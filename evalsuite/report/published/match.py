"""Tables of model cards as plain data (``conf/card/*.yaml``), and which of their scores are of cells measured here."""

from dataclasses import dataclass

from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.suite import SuiteComparison
from evalsuite.errors import BadInput
from evalsuite.tasks.published import Card, card_named, published_cards


@dataclass(frozen=True, slots=True)
class Match:
    """A cell measured here whose score a card publishes."""

    score: CellScore
    column: str
    published: float


def cards_for(overview: SuiteComparison, name: str | None, config_dir: str | None = None) -> tuple[Card, ...]:
    """The card asked for, else every card with a published score of a cell of the table.

    ``config_dir`` is the user's folder of settings. Raises ``BadInput`` for an unknown or unreadable card, and for one
    that publishes nothing of these cells.
    """
    if name is not None:
        card = card_named(name, config_dir)
        if not matches(overview, card):
            known = ", ".join(str(one.get("checkpoint") or one["key"]) for one in card.data.get("columns") or ())
            raise BadInput(f"card {name} publishes no score of these cells; its columns are {known}")
        return (card,)
    return tuple(card for card in published_cards(config_dir).values() if matches(overview, card))


def matches(overview: SuiteComparison, card: Card) -> list[Match]:
    """The cells whose scores the card publishes; never a demo model's."""
    found: list[Match] = []
    for score in overview.scores:
        column = None if score.cell.demo else card.column(score.cell.identity.get("checkpoint"), score.cell.model)
        published = card.score(score.cell.task, column) if column is not None else None
        if column is not None and published is not None:
            found.append(Match(score, column, published))
    return found
