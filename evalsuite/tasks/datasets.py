"""Where questions come from: a pinned file of the Hugging Face hub, or a folder of JSONL files.

What a benchmark's data is stands in ``tasks/<task>/card.yaml``: repository, commit, the files of each split, row count
and the columns that are used. ``hub.py`` reads the hub's files with the package ``datasets``; a local folder needs
neither that package nor a network.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.config.files import read_yaml
from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput, unknown_name
from evalsuite.tasks import hub
from evalsuite.tasks.hub import Dataset, Split

KINDS = ("hub", "local")


@dataclass(frozen=True, slots=True)
class Source:
    """The user's choice ``data=hub`` or ``data=local data.root=DIR``."""

    kind: str = "hub"
    root: str | None = None
    """With ``local``: the folder that holds ``<task>/<split>.jsonl[.gz]``."""

    def __post_init__(self) -> None:
        """Raises ``BadInput`` for an unknown kind and for ``local`` without a folder."""
        if self.kind not in KINDS:
            raise unknown_name("data", self.kind, KINDS)
        if self.kind == "local" and not self.root:
            raise BadInput("data=local needs data.root=DIR, the folder that holds <task>/<split>.jsonl[.gz]")


HUB = Source()
"""The default."""


def card(task: str) -> dict[str, Any]:
    """``tasks/<task>/card.yaml`` as plain values. Raises ``BadInput`` when the task has none or it is not YAML."""
    folder = shipped("tasks")
    path = folder / task / "card.yaml"
    if not path.is_file():
        raise unknown_name("task card", task, (found.parent.name for found in folder.glob("*/card.yaml")))
    return read_yaml(path)


@cache
def benchmark_title(task: str) -> str:
    """The name of a benchmark as people write it: ``title`` of its card, such as ``GPQA Diamond`` for gpqa_diamond.

    A task that has no card (a user's own, one of lm-eval) is named as in commands.
    """
    described = {path.parent.name for path in shipped("tasks").glob("*/card.yaml")}
    return str(card(task)["title"]) if task in described else task


def is_gated(task: str) -> bool:
    """Whether a benchmark's items must not be shown (``gated`` in its card); what has no card is the user's own."""
    return (shipped("tasks") / task / "card.yaml").is_file() and bool(card(task).get("gated"))


def pin(task: str) -> Dataset:
    """The dataset pin of a task's card. Raises ``BadInput`` for a task whose data does not come from the hub."""
    stated = card(task)
    given = stated["dataset"]
    if "hub" not in given:
        raise BadInput(f"the questions of {task} do not come from the hub ({given['uri']}); data= does not apply")
    splits = {
        name: Split(
            split["file"], split["n"], tuple(split["columns"]), split.get("sha256"), tuple(split.get("parts", ()))
        )
        for name, split in given["splits"].items()
    }
    extra = tuple(given.get("extra", ()))
    return Dataset(given["hub"], given["config"], given["revision"], splits, bool(stated["gated"]), extra)


def rows(task: str, dataset: Dataset, split: str, source: Source) -> list[dict[str, Any]]:
    """All rows of a split in the dataset's order and columns.

    Raises ``BadInput`` when they cannot be had, are torn, or lack a column that the task needs.
    """
    if split not in dataset.splits:
        raise unknown_name(f"split of {task}", split, dataset.splits)
    if source.kind == "local":
        return _from_folder(task, dataset.splits[split], split, Path(str(source.root)))
    return _from_hub(task, dataset, split)


def local_path(root: Path, task: str, split: str) -> Path:
    """The file of a split below ``root``. Raises ``BadInput`` naming both possible places when there is none."""
    plain = root / task / f"{split}.jsonl"
    for path in (plain, plain.with_name(f"{plain.name}.gz")):
        if path.is_file():
            return path
    raise BadInput(f"the {split} questions of {task} are neither at {plain} nor at {plain}.gz: check data.root")


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of a JSONL file, gzipped if its name ends in ``.gz``; empty lines are skipped.

    Raises ``BadInput`` naming file and line for anything that is not one JSON object a line.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    yield number, _object(path, number, line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path} is torn or not gzip after line {number}: {error}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from None


def _object(path: Path | str, number: int, line: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} line {number} is torn or not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} line {number} holds {type(value).__name__}, not one JSON object")
    return value


def _from_folder(task: str, pinned: Split, split: str, root: Path) -> list[dict[str, Any]]:
    path = local_path(root, task, split)
    found = []
    for number, row in read_jsonl(path):
        hub.check_columns(f"{path} line {number}", pinned.columns, list(row))
        found.append(row)
    if not found:
        raise BadInput(f"{path} holds no questions")
    return found


def hub_tables(task: str, dataset: Dataset, split: str) -> list[Any]:
    """The rows of a split on the hub, as ``hub.tables`` gives them."""
    otherwise = f"or use data=local data.root=DIR with DIR/{task}/{split}.jsonl[.gz] in the dataset's own columns"
    return hub.tables(dataset, split, otherwise)


def _from_hub(task: str, dataset: Dataset, split: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [row for table in hub_tables(task, dataset, split) for row in table[:].to_pylist()]
    pinned = dataset.splits[split]
    if not pinned.file.endswith(".jsonl"):
        return found
    where = dataset.place(pinned.file)
    lines = [_object(where, number, row["text"]) for number, row in enumerate(found, 1) if row["text"].strip()]
    hub.check_columns(where, pinned.columns, list(lines[0]))
    return lines


def extra_file(task: str, dataset: Dataset, name: str, source: Source) -> Path:
    """A further file of a dataset's repository, such as an archive of texts: ``root/<task>/<name>``, or the hub's.

    Raises ``BadInput`` when it cannot be had.
    """
    if source.kind == "local":
        path = Path(str(source.root)) / task / name
        if not path.exists():
            raise BadInput(f"{task} needs {path}, which does not exist")
        return path
    return hub.cached_file(dataset, name, f"or use data=local data.root=DIR with DIR/{task}/{name}")
