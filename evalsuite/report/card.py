"""Tables of model cards as plain data (``conf/card/*.yaml``), and which of their scores are of cells measured here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput, unknown_name
from evalsuite.overview import Overview
from evalsuite.paths import shipped
from evalsuite.scores import CellScore

NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Card:
    """A published table as plain data; see ``conf/card/``."""

    name: str
    data: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Who published it."""
        return str(self.data.get("title", self.name))

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it says of its protocol; ``not stated`` where it says nothing."""
        return self.data.get("settings") or {}

    def column(self, score: CellScore) -> str | None:
        """The card's column for a cell: the same checkpoint; for answers recorded elsewhere, the same name."""
        checkpoint = score.cell.identity.get("checkpoint")
        for column in self.data.get("columns") or ():
            same = column["key"] == score.cell.model if checkpoint is None else column.get("checkpoint") == checkpoint
            if same:
                return str(column["key"])
        return None

    def row(self, task: str) -> Mapping[str, Any] | None:
        """The card's row of a task."""
        return next((row for row in self.data.get("rows") or () if row.get("task") == task), None)

    def score(self, task: str, column: str) -> float | None:
        """The published score, a fraction of 1."""
        value = (self.row(task) or {}).get("scores", {}).get(column)
        return None if value is None else float(value)

    def counts(self, task: str, column: str) -> dict[str, tuple[int, int]]:
        """Stratum -> (right, items) where the card publishes counts, else empty."""
        for group in self.data.get("groups") or ():
            if (group.get("task"), group.get("column")) == (task, column):
                return {str(value): (int(one["correct"]), int(one["n"])) for value, one in group["values"].items()}
        return {}


@dataclass(frozen=True, slots=True)
class Match:
    """A cell measured here whose score a card publishes."""

    score: CellScore
    column: str
    published: float


def cards_for(overview: Overview, name: str | None, folder: Path | None = None) -> tuple[Card, ...]:
    """The card asked for, else every card with a published score of a cell of the table.

    Raises ``BadInput`` for an unknown or unreadable card, and for one that publishes nothing of these cells.
    ``folder`` is the shipped ``conf/card`` by default.
    """
    if name is not None:
        card = card_named(name, folder)
        if not matches(overview, card):
            known = ", ".join(str(one.get("checkpoint") or one["key"]) for one in card.data.get("columns") or ())
            raise BadInput(f"card {name} publishes no score of these cells; its columns are {known}")
        return (card,)
    cards = [_read(path) for path in _files(folder).values()]
    return tuple(card for card in cards if matches(overview, card))


def card_named(name: str, folder: Path | None = None) -> Card:
    """A card by the name of its file, or by the path of one's own. Raises ``BadInput``."""
    own = Path(name).expanduser()
    if own.suffix == ".yaml" and own.is_file():
        return _read(own)
    files = _files(folder)
    if name not in files:
        raise unknown_name("card", name, files, "Your own: card=PATH.yaml.")
    return _read(files[name])


def matches(overview: Overview, card: Card) -> list[Match]:
    """The cells whose scores the card publishes; never a demo model's."""
    found: list[Match] = []
    for score in overview.scores:
        column = None if score.cell.demo else card.column(score)
        published = card.score(score.cell.task, column) if column is not None else None
        if column is not None and published is not None:
            found.append(Match(score, column, published))
    return found


def _files(folder: Path | None) -> dict[str, Path]:
    where = folder or shipped("conf") / "card"
    return {path.stem: path for path in sorted(where.glob("*.yaml"))}


def _read(path: Path) -> Card:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path} is not a card: it must hold title, source, columns and rows")
    return Card(path.stem, data)
