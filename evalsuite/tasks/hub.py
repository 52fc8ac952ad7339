"""Datasets of the Hugging Face hub: pinned files from the hub's cache, as tables that the package ``datasets`` reads.

A file comes from the pinned commit: a cached copy costs no network call, and another commit's copy is never taken in
its place (which ``datasets.load_dataset`` does without a network). What ``datasets`` makes of it, one Arrow file that
is mapped into memory, lies in evalsuite's own cache folder and depends on the file's content alone.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.paths import cache_folder
from evalsuite.errors import BadInput, StorageFailed


class DatasetUnreachable(BadInput):
    """A server that data comes from does not answer; asking it for more would only cost time."""


@dataclass(frozen=True, slots=True)
class Split:
    """The files of one split of a dataset."""

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

    def place(self, file: str) -> str:
        """A file of it, for messages: repository, commit and path."""
        return f"{self.hub}@{self.revision[:12]} {file}"


def cached_file(dataset: Dataset, name: str, otherwise: str) -> Path:
    """A file of the pinned commit in the hub's cache, downloaded if it is not there.

    Raises ``BadInput`` that ends with ``otherwise``, what else the user can do, when it cannot be had.
    """
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


def tables(dataset: Dataset, split: str, otherwise: str) -> list[Any]:
    """The rows of each file of a split, as a ``datasets.Dataset`` that gives Arrow tables.

    A JSONL file has one column, ``text``. Raises ``BadInput`` when the files cannot be had or are not those that the
    task's card states.
    """
    pinned = dataset.splits[split]
    found, count = [], 0
    for name in pinned.files:
        path, where = cached_file(dataset, name, otherwise), dataset.place(name)
        if pinned.sha256 is not None and sha256(path) != pinned.sha256:
            raise BadInput(f"{where} has another content than its card states: remove {path} and load it again")
        rows = _read(path)
        if path.suffix == ".jsonl":
            count += sum(bool(line.strip()) for line in rows[:]["text"].to_pylist())
        else:
            check_columns(where, pinned.columns, rows.column_names)
            count += len(rows)
        found.append(rows)
    if count != pinned.n:
        where, again = dataset.place(pinned.file), f"remove {path} and load it again"
        raise BadInput(f"{where} has {count} rows, its card states {pinned.n}: {again}")
    return found


def check_columns(where: str, needed: Sequence[str], known: Sequence[str]) -> None:
    """Raises ``BadInput`` naming the columns that are missing, and those that are there."""
    missing = [column for column in needed if column not in known]
    if missing:
        raise BadInput(f"{where} lacks {', '.join(missing)}: it has {', '.join(known) or 'nothing'}")


def sha256(path: Path) -> str:
    """Of a file's content, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, ``datasets`` draws no progress bars and logs nothing."""
    import datasets

    bars, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()


def _read(path: Path) -> Any:
    """A file through ``datasets``. Values stay what the file holds: the texts of a CSV file are not guessed."""
    import datasets
    import pyarrow as pa
    from datasets.data_files import DataFilesDict, DataFilesList

    folder, stat = cache_folder() / "datasets", path.stat()
    content = (str(path.resolve()), f"{stat.st_size} {stat.st_mtime_ns}")
    files, cache = DataFilesDict(train=DataFilesList([str(path)], [content])), {"cache_dir": str(folder)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            if path.suffix == ".csv":
                columns = datasets.Features({name: datasets.Value("string") for name in _header(path)})
                as_text = {"features": columns, "na_filter": False, "index_col": False}
                found = datasets.Dataset.from_csv(files, split="train", **as_text, **cache)
            elif path.suffix == ".jsonl":
                found = datasets.Dataset.from_text(files, split="train", **cache)
            else:
                found = datasets.Dataset.from_parquet(files, split="train", **cache)
            return found.with_format("arrow")
    except (datasets.exceptions.DatasetsError, pa.ArrowInvalid, OSError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and cause.errno is not None:
            raise StorageFailed(
                f"{cause.filename or folder} cannot be used: {cause.strerror}; the cache of datasets is {folder}: "
                "XDG_CACHE_HOME=DIR moves it"
            ) from None
        reason = " ".join(str(cause).split())
        raise BadInput(f"{path} is damaged: {reason}; remove it and load it again") from None


def _header(path: Path) -> list[str]:
    """Column names of a CSV file."""
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])
