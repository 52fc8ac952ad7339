"""Reads published model cards (``conf/card/*.yaml``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.files import folders, read_yaml
from evalsuite.config.paths import expanded
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
        """The title of the card; ``name`` when its file has no key ``title``."""
        return str(self.data.get("title", self.name))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the card's protocol, name -> value, as its file has them (``not
        stated`` is a value); may be empty.
        """
        return self.data.get("settings") or {}

    def column(self, checkpoint: str | None, model: str) -> str | None:
        """Return the key of the card's first score column that belongs to a model of a run; None without one.

        A column belongs to it when both have the same ``checkpoint``; for imported answers (``checkpoint`` None), when
        the column's key is the model's name, ``model``.
        """
        for column in self.data.get("columns") or ():
            same = column["key"] == model if checkpoint is None else column.get("checkpoint") == checkpoint
            if same:
                return str(column["key"])
        return None

    def row(self, task: str) -> Mapping[str, Any] | None:
        """Return the card's first row of a task (a mapping with ``task``, ``scores`` and others); None without one."""
        return next((row for row in self.data.get("rows") or () if row.get("task") == task), None)

    def score(self, task: str, column: str) -> float | None:
        """Return the published score of a task in a column (by its key), as the card states it: a fraction of 1.

        None when the card has no row of the task, or its first such row no score in the column.
        """
        value = ((self.row(task) or {}).get("scores") or {}).get(column)
        return None if value is None else float(value)

    def counts(self, task: str, column: str) -> dict[str, tuple[int, int]]:
        """Return the published counts of a task in a column (by its key): value of a group, such as a subject ->
        (number of correct items, number of all items).

        They are the first of the card for this task and column; empty when there are none.
        """
        for group in self.data.get("groups") or ():
            if (group.get("task"), group.get("column")) == (task, column):
                return group_counts(group)
        return {}


def group_counts(group: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the published counts of ``group``, one entry of a card's ``groups``: value of the group, such as a
    subject -> (number of correct items, number of all items).
    """
    return {str(value): (int(entry["correct"]), int(entry["n"])) for value, entry in group["values"].items()}


def published_cards(config_dir: str | None) -> dict[str, Card]:
    """Read all published model cards; return name (file name without ``.yaml``) -> card.

    Read are ``card/*.yaml`` in the shipped configuration and in ``config_dir`` (None: no folder of the user), whose
    files replace shipped ones of the same name. Raises ``BadInput`` for an invalid file, and when ``config_dir`` does
    not exist.
    """
    return {name: _read(path) for name, path in _files(config_dir).items()}


def card_named(name: str, config_dir: str | None = None) -> Card:
    """Read one published card: ``name`` is its name, or the path of an existing ``.yaml`` file of the user.

    ``config_dir`` is the user's configuration folder, searched before the shipped one (None: only the latter); a path
    comes first. Raises ``BadInput`` when there is no such card or folder, or the card's file is invalid.
    """
    own = expanded(name)
    if own.suffix == ".yaml" and own.is_file():
        return _read(own)
    files = _files(config_dir)
    if name not in files:
        raise unknown_name("card", name, files, "Your own: card=PATH.yaml, or card/NAME.yaml below --config-dir.")
    return _read(files[name])


def _files(config_dir: str | None) -> dict[str, Path]:
    """Return name -> path of every ``card/*.yaml``; a file in ``config_dir`` replaces the shipped one of the same name.

    Raises ``BadInput`` when ``config_dir`` does not exist.
    """
    paths: dict[str, Path] = {}
    for folder in folders(config_dir):
        for path in sorted((folder / "card").glob("*.yaml")):
            paths.setdefault(path.stem, path)
    return paths


def _read(path: Path) -> Card:
    data = read_yaml(path)
    if not data.get("columns"):
        raise BadInput(f"{path} is not a card: it must hold title, source, columns and rows")
    try:
        _check(data)
    except KeyError as error:
        raise BadInput(f"{path} is not a card: {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path} is not a card: {error}") from None
    return Card(path.stem, data)


def _check(data: Mapping[str, Any]) -> None:
    """Raise ``TypeError``, ``ValueError`` or ``KeyError`` unless a card's content has the keys and types that its
    readers need, scores (null, or 0 to 1) of its columns, numbers of items and repeats of at least 1, and groups with
    at least one value, each with ``correct`` from 0 to ``n``.
    """
    _from_one(_of(data.get("settings") or {}, dict, "settings").get("repeats"), "repeats")
    keys = [_of(_of(column, dict, "a column")["key"], str, "key of a column") for column in _list(data, "columns")]
    for column in data["columns"]:
        _of(column["title"], str, f"title of column {column['key']}")
    for row in _list(data, "rows"):
        task = _of(_of(row, dict, "a row")["task"], str, "task of a row")
        _from_one(row.get("n"), f"n of {task}")
        for key, score in _of(row.get("scores") or {}, dict, f"scores of {task}").items():
            if key not in keys:
                raise ValueError(f"{task} has a score of {key}, which is no column ({', '.join(keys)})")
            if score is not None and (
                isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1
            ):
                raise ValueError(f"{task}: the score {score!r} of {key} is no fraction of 1, such as 0.875")
    for group in _list(data, "groups"):
        named = [
            _of(_of(group, dict, "a group")[name], str, f"{name} of a group") for name in ("task", "group", "column")
        ]
        if not group["values"]:
            raise ValueError(f"values of {named[1]} are empty")
        for value, entry in _of(group["values"], dict, f"values of {named[1]}").items():
            right, n = (_of(entry[name], int, f"{name} of {value}") for name in ("correct", "n"))
            _from_one(n, f"n of {value}")
            if not 0 <= right <= n:
                raise ValueError(f"{value}: {right} of {n} answers cannot be correct")
    _list(data, "errata")


def _from_one(number: Any, name: str) -> None:
    """Raise ``ValueError`` for a truth value, and for a whole number below 1 or above 10^12; any other value, such as
    ``not stated``, passes. ``name`` names it in the message.
    """
    if isinstance(number, bool) or (isinstance(number, int) and not 1 <= number <= 10**12):
        raise ValueError(f"{name} must be a whole number from 1 on, not {f'{number}'[:40]}")


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    value: list[Any] = _of(data.get(key) or [], list, key)
    return value


def _of(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value
