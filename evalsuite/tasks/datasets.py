"""Where questions come from: a pinned file of the Hugging Face hub, or a folder of JSONL files.

What a benchmark's data is stands in ``tasks/<task>/card.yaml``: repository, commit, one file a split, row count and
the columns that are used. The hub's file is read straight from the pinned commit: a cached copy costs no network
call, and another commit's copy is never taken in its place (which ``datasets.load_dataset`` does when offline).
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput, unknown_name

KINDS = ("hub", "local")


class DatasetUnreachable(BadInput):
    """A server that data comes from does not answer; asking it for more would only cost time."""


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


@dataclass(frozen=True, slots=True)
class Split:
    """One file of a dataset."""

    file: str
    """Path in the hub's repository: Parquet, CSV or JSONL."""
    n: int
    """Rows at the pinned commit."""
    columns: tuple[str, ...]
    """Columns that the adapter reads."""
    sha256: str | None = None
    """Of the file, where we know it; checked."""
    parts: tuple[str, ...] = ()
    """What the ``*`` in ``file`` stands for, where a split is several files."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of all its files in the hub's repository, in order."""
        return tuple(self.file.replace("*", part) for part in self.parts) or (self.file,)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The pin of a dataset on the hub."""

    hub: str
    """Repository id."""
    config: str
    revision: str
    """Commit."""
    splits: Mapping[str, Split]
    gated: bool
    """True: its terms must be accepted there, and a token is needed."""
    extra: tuple[str, ...] = ()
    """Further files of the repository that a run reads."""


def card(task: str) -> dict[str, Any]:
    """``tasks/<task>/card.yaml`` as plain values. Raises ``BadInput`` when the task has none or it is not YAML."""
    import yaml

    folder = shipped("tasks")
    path = folder / task / "card.yaml"
    if not path.is_file():
        raise unknown_name("task card", task, (found.parent.name for found in folder.glob("*/card.yaml")))
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    return dict(loaded)


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


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
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
        _check_columns(f"{path} line {number}", pinned.columns, row)
        found.append(row)
    if not found:
        raise BadInput(f"{path} holds no questions")
    return found


def _check_columns(where: str, needed: tuple[str, ...], row: Mapping[str, Any]) -> None:
    missing = [column for column in needed if column not in row]
    if missing:
        raise BadInput(f"{where} lacks {', '.join(missing)}: it has {', '.join(row) or 'nothing'}")


def _from_hub(task: str, dataset: Dataset, split: str) -> list[dict[str, Any]]:
    pinned = dataset.splits[split]
    otherwise = f"or use data=local data.root=DIR with DIR/{task}/{split}.jsonl[.gz] in the dataset's own columns"
    path = _cached(dataset, pinned.file, otherwise)
    where = f"{dataset.hub}@{dataset.revision[:12]} {pinned.file}"
    if pinned.sha256 is not None and sha256(path) != pinned.sha256:
        raise BadInput(f"{where} has another content than its card states: remove {path} and load it again")
    found = _table(path)
    if len(found) != pinned.n:
        raise BadInput(f"{where} has {len(found)} rows, its card states {pinned.n}: remove {path} and load it again")
    _check_columns(where, pinned.columns, found[0])
    return found


def extra_file(task: str, dataset: Dataset, name: str, source: Source) -> Path:
    """A further file of a dataset's repository, such as an archive of texts: ``root/<task>/<name>``, or the hub's.

    Raises ``BadInput`` when it cannot be had.
    """
    if source.kind == "local":
        path = Path(str(source.root)) / task / name
        if not path.exists():
            raise BadInput(f"{task} needs {path}, which does not exist")
        return path
    return _cached(dataset, name, f"or use data=local data.root=DIR with DIR/{task}/{name}")


def _cached(dataset: Dataset, name: str, otherwise: str) -> Path:
    """A file of the pinned commit in the hub's cache, downloaded if it is not there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError
    from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # its HTTP client's own

    try:
        return Path(hf_hub_download(dataset.hub, name, repo_type="dataset", revision=dataset.revision))
    except GatedRepoError:
        page = f"https://huggingface.co/datasets/{dataset.hub}"
        raise BadInput(f"{dataset.hub} is gated: accept its terms at {page} and set HF_TOKEN; {otherwise}") from None
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split())[:200]
        token = " (a private or gated dataset needs HF_TOKEN)" if dataset.gated else ""
        raise BadInput(f"the hub does not give {dataset.hub} {name}: {reason}{token}; {otherwise}") from None
    except ValueError as error:  # its HTTP client's, for a proxy or a token that cannot be used
        raise BadInput(
            f"the hub cannot be asked for {dataset.hub} {name} with the proxies (ALL_PROXY, HTTPS_PROXY) or the "
            f"HF_TOKEN of this shell ({type(error).__name__}): mend them, {otherwise}"
        ) from None
    except (OSError, EntryNotFoundError, TransportError):
        raise DatasetUnreachable(
            f"{dataset.hub} {name} is not in the hub's cache (HF_HOME) and the hub cannot be reached: load it once "
            f"where there is a network, {otherwise}"
        ) from None


def _table(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [row for _, row in read_jsonl(path)]
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{path} is damaged: {error}; remove it and load it again") from None
    return found


def sha256(path: Path) -> str:
    """Of a file's content, as hex."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
