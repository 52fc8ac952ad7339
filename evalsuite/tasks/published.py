"""Reads published model cards (``conf/card/*.yaml``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.files import folders, read_yaml
from evalsuite.errors import BadInput, unknown_name

NOT_STATED = "not stated"
"""Value of a setting that a card does not state."""


@dataclass(frozen=True, slots=True)
class Card:
    """A published table of scores; see ``conf/card/``."""

    name: str
    """Name of its file."""
    data: Mapping[str, Any]
    """Content of its file."""

    @property
    def title(self) -> str:
        """Title of the card."""
        return str(self.data.get("title", self.name))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of its protocol; ``not stated`` for those that it does not state."""
        return self.data.get("settings") or {}

    def column(self, checkpoint: str | None, model: str) -> str | None:
        """Return the key of the card's column for a cell; None without one.

        A column matches by checkpoint, or for imported answers (``checkpoint`` None) by the name of the model.
        """
        for column in self.data.get("columns") or ():
            same = column["key"] == model if checkpoint is None else column.get("checkpoint") == checkpoint
            if same:
                return str(column["key"])
        return None

    def row(self, task: str) -> Mapping[str, Any] | None:
        """Return the card's row of a task; None without one."""
        return next((row for row in self.data.get("rows") or () if row.get("task") == task), None)

    def score(self, task: str, column: str) -> float | None:
        """Return the published score of a task in a column, a fraction of 1; None without one."""
        value = (self.row(task) or {}).get("scores", {}).get(column)
        return None if value is None else float(value)

    def counts(self, task: str, column: str) -> dict[str, tuple[int, int]]:
        """Return group value -> (correct, items) when the card publishes counts, else an empty dictionary."""
        for group in self.data.get("groups") or ():
            if (group.get("task"), group.get("column")) == (task, column):
                return {
                    str(value): (int(entry["correct"]), int(entry["n"])) for value, entry in group["values"].items()
                }
        return {}


def published_cards(config_dir: str | None) -> dict[str, Card]:
    """Return name -> card of every ``card/*.yaml``; files of ``--config-dir`` replace shipped ones of the same name.

    Raises ``BadInput`` for an invalid file.
    """
    return {name: _read(path) for name, path in _files(config_dir).items()}


def card_named(name: str, config_dir: str | None = None) -> Card:
    """Return a card by its name, or by the path of a file of the user.

    Raises ``BadInput`` when there is none.
    """
    own = Path(name).expanduser()
    if own.suffix == ".yaml" and own.is_file():
        return _read(own)
    files = _files(config_dir)
    if name not in files:
        raise unknown_name("card", name, files, "Your own: card=PATH.yaml, or card/NAME.yaml below --config-dir.")
    return _read(files[name])


def _files(config_dir: str | None) -> dict[str, Path]:
    """Return name -> file of every card; a file of ``--config-dir`` replaces the shipped one of the same name."""
    paths: dict[str, Path] = {}
    for folder in folders(config_dir):
        for path in sorted((folder / "card").glob("*.yaml")):
            paths.setdefault(path.stem, path)
    return paths


def _read(path: Path) -> Card:
    data = read_yaml(path)
    if not data.get("columns"):
        raise BadInput(f"{path} is not a card: it must hold title, source, columns and rows")
    return Card(path.stem, data)
