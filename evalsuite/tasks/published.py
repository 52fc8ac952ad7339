"""Published model cards (``conf/card/*.yaml``) as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.files import folders, read_yaml
from evalsuite.errors import BadInput, unknown_name

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

    def column(self, checkpoint: str | None, model: str) -> str | None:
        """The card's column for a cell: the same checkpoint; for answers recorded elsewhere (None), the same name."""
        for column in self.data.get("columns") or ():
            same = column["key"] == model if checkpoint is None else column.get("checkpoint") == checkpoint
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


def published_cards(config_dir: str | None) -> dict[str, Card]:
    """Name -> card of every ``card/*.yaml``, those of ``--config-dir`` first. Raises ``BadInput`` for a wrong file."""
    return {name: _read(path) for name, path in _files(config_dir).items()}


def card_named(name: str, config_dir: str | None = None) -> Card:
    """A card by the name of its file, or by the path of one's own. Raises ``BadInput``."""
    own = Path(name).expanduser()
    if own.suffix == ".yaml" and own.is_file():
        return _read(own)
    files = _files(config_dir)
    if name not in files:
        raise unknown_name("card", name, files, "Your own: card=PATH.yaml, or card/NAME.yaml below --config-dir.")
    return _read(files[name])


def _files(config_dir: str | None) -> dict[str, Path]:
    """Name -> file of every card; a file of ``--config-dir`` replaces the shipped one of the same name."""
    found: dict[str, Path] = {}
    for folder in folders(config_dir):
        for path in sorted((folder / "card").glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def _read(path: Path) -> Card:
    data = read_yaml(path)
    if not data.get("columns"):
        raise BadInput(f"{path} is not a card: it must hold title, source, columns and rows")
    return Card(path.stem, data)
