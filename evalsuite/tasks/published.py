"""Published model cards (``conf/card/*.yaml``) as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.files import ConfigSource
from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput, unknown_name


def published_cards(source: ConfigSource) -> dict[str, dict[str, Any]]:
    """Name -> content of every ``card/*.yaml``, the user's own first. Raises ``BadInput`` for what is not YAML."""
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for folder in source.folders:
        for file in sorted((folder / "card").glob("*.yaml")):
            try:
                content = yaml.safe_load(file.read_text("utf-8"))
            except yaml.YAMLError as error:
                raise BadInput(f"{file} is not YAML: {' '.join(str(error).split())}") from None
            if isinstance(content, dict):
                found.setdefault(file.stem, content)
    return found


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


def card_named(name: str, folder: Path | None = None) -> Card:
    """A card by the name of its file, or by the path of one's own. Raises ``BadInput``."""
    own = Path(name).expanduser()
    if own.suffix == ".yaml" and own.is_file():
        return read_card(own)
    files = card_files(folder)
    if name not in files:
        raise unknown_name("card", name, files, "Your own: card=PATH.yaml.")
    return read_card(files[name])


def card_files(folder: Path | None) -> dict[str, Path]:
    """Name -> file of every card in ``folder``, by default the shipped ``conf/card``."""
    where = folder or shipped("conf") / "card"
    return {path.stem: path for path in sorted(where.glob("*.yaml"))}


def read_card(path: Path) -> Card:
    """The card in a YAML file. Raises ``BadInput`` for what is not one."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{path} is not a card: it must hold title, source, columns and rows")
    return Card(path.stem, data)
