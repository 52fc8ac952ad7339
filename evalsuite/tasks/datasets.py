"""Loads questions from a pinned file of the Hugging Face hub, or from a folder of JSONL files.

The data of a benchmark is described in ``tasks/<task>/card.yaml``: repository, commit, the files of each split, number
of rows, and the columns that are used. ``hub.py`` reads the hub's files with the package ``datasets``; a local folder
needs neither that package nor a network.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.config.files import GUEST, config_key, read_yaml
from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput, unknown_name
from evalsuite.sandbox.archives import lines, parse_json
from evalsuite.tasks import hub
from evalsuite.tasks.hub import Dataset, Split

KINDS = ("hub", "local")
"""Values of ``data=``."""
_NAME: tuple[type, ...] = (str, int)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "question_id", "key", "problem_id", "document_set_id"), _NAME),
    **dict.fromkeys(("options", "answer"), (str, int, list)),
    **dict.fromkeys(("sub_steps", "kwargs", "instruction_id_list"), (list,)),
    **dict.fromkeys(("Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3))), (str, type(None))),
    "input_tokens": _NAME,  # of a CSV file: digits
    "image": (object,),
}
"""Column of a shipped benchmark -> types that it has in the datasets; the other columns are texts."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where questions are loaded from: ``data=hub`` or ``data=local data.root=DIR``."""

    kind: str = "hub"
    """``hub`` or ``local``."""
    root: str | None = None
    """Folder with ``<task>/<split>.jsonl[.gz]``; only for ``local``."""

    def __post_init__(self) -> None:
        """Raise ``BadInput`` when ``kind`` is neither ``hub`` nor ``local``, and when it is ``local`` and ``root`` is
        None or empty.
        """
        if self.kind not in KINDS:
            raise unknown_name("data", self.kind, KINDS)
        if self.kind == "local" and not self.root:
            raise BadInput("data=local needs data.root=DIR, the folder that holds <task>/<split>.jsonl[.gz]")


HUB = Source()
"""The default source: the Hugging Face hub."""


def card(task: str) -> dict[str, Any]:
    """Return the content of ``tasks/<task>/card.yaml``, the description of a benchmark
    and its dataset, as a dictionary.

    Raises ``BadInput`` when the task has no card or the file cannot be read as a YAML mapping.
    """
    folder = shipped("tasks")
    path = folder / task / "card.yaml"
    if not path.is_file():
        raise unknown_name("task card", task, (known.parent.name for known in folder.glob("*/card.yaml")))
    return read_yaml(path)


@cache
def benchmark_title(task: str) -> str:
    """Return the title of a benchmark from its card, such as ``GPQA Diamond`` for gpqa_diamond.

    A task without a card keeps its name, without the prefix ``lm_eval_`` of lm-eval's tasks. Cached per process.
    """
    described = {path.parent.name for path in shipped("tasks").glob("*/card.yaml")}
    return str(card(task)["title"]) if task in described else task.removeprefix(config_key(GUEST))


def chance_level(task: str, variant: str) -> float | None:
    """Return the expected score of random guessing in a variant, a fraction of 1, as the benchmark's card states it.

    None when the task has no card, or the card states no chance level (for this variant).
    """
    stated = card(task).get("chance") if (shipped("tasks") / task / "card.yaml").is_file() else None
    level = stated.get(variant) if isinstance(stated, Mapping) else stated
    return None if level is None else float(level)


def pin(task: str) -> Dataset:
    """Return the pinned dataset of a benchmark, as its card states it; no question is loaded.

    Args:
        task: Name of a task with ``tasks/<task>/card.yaml``.

    Returns:
        Repository, configuration, commit, splits, whether it is gated, and its extra files.

    Raises:
        BadInput: The task has no card, or its data does not come from the hub.
    """
    content = card(task)
    stated = content["dataset"]
    if "hub" not in stated:
        raise BadInput(f"the questions of {task} do not come from the hub ({stated['uri']}); data= does not apply")
    hashes = {name: split.get("sha256") for name, split in stated["splits"].items()}
    splits = {
        name: Split(
            split["file"],
            split["n"],
            tuple(split["columns"]),
            tuple(hashes[name]) if isinstance(hashes[name], list) else hashes[name],
            tuple(split.get("parts", ())),
            split.get("hub", ""),
            split.get("revision", ""),
            split.get("picture", ""),
        )
        for name, split in stated["splits"].items()
    }
    extra = tuple(stated.get("extra", ()))
    return Dataset(stated["hub"], stated["config"], stated["revision"], splits, bool(content["gated"]), extra)


_GATED: ContextVar[list[str] | None] = ContextVar("_GATED", default=None)
"""Gated datasets that were read since ``gated_datasets`` began to note them."""


@contextmanager
def gated_datasets() -> Iterator[list[str]]:
    """Context manager: yields a list that collects the repository ids of the gated datasets read in the ``with`` block.

    Noted is each call of ``rows``, ``hub_tables`` and ``extra_file``, also by a user's own adapter and for local files
    in place of the hub's, but not in a new thread (``asyncio.to_thread`` excepted); an id can occur more than once.
    Reads in a further such block inside are noted in its list only.
    """
    noted: list[str] = []
    token = _GATED.set(noted)
    try:
        yield noted
    finally:
        _GATED.reset(token)


def _note(dataset: Dataset) -> None:
    noted = _GATED.get()
    if noted is not None and dataset.gated:
        noted.append(dataset.hub)


def rows(task: str, dataset: Dataset, split: str, source: Source) -> list[dict[str, Any]]:
    """Load the rows of a split; where the card names a picture column, rows with a picture and the column are left out.

    Args:
        task: Name of the task.
        dataset: The pinned dataset.
        split: Name of the split.
        source: The hub, or a local folder.

    Returns:
        The rows in the dataset's order, each a dictionary: column -> value; columns that the task does not need may be
            there, too.

    Raises:
        BadInput: The split is unknown, or the rows cannot be loaded, are damaged, or lack a column that the task needs
            (of a JSONL file of the hub the first row is looked at); from the hub also when hash or number of rows is
            not the card's, from a local folder when no row is left, or a value of a shipped benchmark has a wrong type.
        StorageFailed: The cache of the hub or of the package ``datasets`` cannot be used.
    """
    if split not in dataset.splits:
        raise unknown_name(f"split of {task}", split, dataset.splits)
    _note(dataset)
    if source.kind == "local":
        return _from_folder(task, dataset.splits[split], split, Path(str(source.root)))
    return _from_hub(task, dataset, split)


def local_path(root: Path, task: str, split: str) -> Path:
    """Return the path of a split's file in a local folder: ``root/<task>/<split>.jsonl``, else the same with ``.gz``.

    Raises ``BadInput`` with both paths when neither is a file.
    """
    plain = root / task / f"{split}.jsonl"
    for path in (plain, plain.with_name(f"{plain.name}.gz")):
        if path.is_file():
            return path
    raise BadInput(f"the {split} questions of {task} are neither at {plain} nor at {plain}.gz: check data.root")


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a JSONL file, which is gzipped when its name ends in ``.gz``.

    Blank lines are skipped, but counted; ``NaN`` and ``Infinity`` are taken as numbers. While iterating, raises
    ``BadInput`` for a line that is no JSON object (with file and line) and for a file that cannot be read.
    """
    for number, line in enumerate(lines(path), 1):
        if line.strip():
            yield number, _object(path, number, line)


def _object(path: Path | str, number: int, line: bytes | str) -> dict[str, Any]:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise BadInput(f"{path} line {number} is torn or not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} line {number} holds {type(value).__name__}, not one JSON object")
    return value


def _from_folder(task: str, pinned: Split, split: str, root: Path) -> list[dict[str, Any]]:
    path = local_path(root, task, split)
    loaded, ours = [], (shipped("tasks") / task / "card.yaml").is_file()
    for number, row in read_jsonl(path):
        hub.check_columns(f"{path} line {number}", pinned.columns, list(row))
        if ours:
            _check_types(f"{path} line {number}", pinned.columns, row)
        if not (pinned.picture and row.pop(pinned.picture, "")):
            loaded.append(row)
    if not loaded:
        raise BadInput(f"{path} holds no questions")
    return loaded


def _check_types(where: str, columns: Iterable[str], row: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` where the value of ``row`` in one of ``columns`` has none of the types that ``_TYPES`` states.

    A column that ``_TYPES`` does not name must be a text; a boolean is accepted only where any type is. The elements of
    lists are not looked at. ``where`` (file and line) begins the message. Raises ``KeyError`` for a column that ``row``
    lacks.
    """
    for column in columns:
        value, types = row[column], _TYPES.get(column, (str,))
        if not isinstance(value, types) or (isinstance(value, bool) and object not in types):
            names = " or ".join(kind.__name__ for kind in types)
            raise BadInput(f"{where}: {column} is {'null' if value is None else type(value).__name__}, not {names}")


def hub_tables(task: str, dataset: Dataset, split: str) -> list[Any]:
    """Return the rows of a split on the Hugging Face hub: one ``datasets.Dataset`` (slices are Arrow tables) per file.

    A JSONL file has one column ``text``, its lines. Files that are not in the hub's cache are downloaded into it.
    Raises ``BadInput`` when they cannot be downloaded (its message names the local files to use instead,
    ``DIR/<task>/<split>.jsonl``), are damaged or differ from the card; ``StorageFailed`` when a cache cannot be used.
    """
    _note(dataset)
    advice = f"or use data=local data.root=DIR with DIR/{task}/{split}.jsonl[.gz] in the dataset's own columns"
    return hub.tables(dataset.holding(split), split, advice)


def _from_hub(task: str, dataset: Dataset, split: str) -> list[dict[str, Any]]:
    pinned, tables = dataset.splits[split], hub_tables(task, dataset, split)
    if pinned.picture:
        tables = [table.select_columns([*pinned.columns, pinned.picture]) for table in tables]
    loaded: list[dict[str, Any]] = [row for table in tables for row in table[:].to_pylist()]
    if pinned.picture:
        return [row for row in loaded if not row.pop(pinned.picture)]
    if not pinned.file.endswith(".jsonl"):
        return loaded
    place = dataset.place(pinned.file)
    lines = [_object(place, number, row["text"]) for number, row in enumerate(loaded, 1) if row["text"].strip()]
    hub.check_columns(place, pinned.columns, list(lines[0]))
    return lines


def extra_file(task: str, dataset: Dataset, name: str, source: Source) -> Path:
    """Return the path of a further file of a dataset, such as an archive, by its path ``name`` in the hub's repository.

    With a local ``source`` it is ``root/<task>/<name>``; otherwise the copy in the hub's cache, downloaded when
    missing. Raises ``BadInput`` when it does not exist or cannot be downloaded, and ``StorageFailed`` when the cache
    cannot be used.
    """
    _note(dataset)
    if source.kind == "local":
        path = Path(str(source.root)) / task / name
        if not path.exists():
            raise BadInput(f"{task} needs {path}, which does not exist")
        return path
    return hub.cached_file(dataset, name, f"or use data=local data.root=DIR with DIR/{task}/{name}")
