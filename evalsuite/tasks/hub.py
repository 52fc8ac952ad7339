"""Reads pinned files of the Hugging Face hub as tables, with the package ``datasets``.

A file comes from the pinned commit: a cached copy needs no network call, and the copy of another commit is never used
instead (``datasets.load_dataset`` does that without a network). The result of ``datasets``, one Arrow file that is
mapped into memory, is in evalsuite's own cache folder and depends on the file's content alone.
"""

import contextlib
import errno
import hashlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from evalsuite.config.paths import cache_folder
from evalsuite.errors import BadInput, StorageFailed

CONNECT_SECONDS = 1.5
"""Seconds within which the hub, or the proxy on the way to it, must accept a connection; names are resolved in them."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Numbers of errors of a disk, which name no file when they arise while a file is written."""


class DatasetUnreachable(BadInput):
    """A data server does not answer; further requests to it would only take time."""


@dataclass(frozen=True, slots=True)
class Split:
    """One split of a dataset: its file or files."""

    file: str
    """Path in the hub's repository: Parquet, CSV or JSONL."""
    n: int
    """Number of rows at the pinned commit."""
    columns: tuple[str, ...]
    """Columns that the adapter reads."""
    sha256: str | tuple[str, ...] | None = None
    """Expected SHA-256 of the file, when known; of each file, when the split has several."""
    parts: tuple[str, ...] = ()
    """Replacements of the ``*`` in ``file`` when the split has several files."""
    hub: str = ""
    """Repository id, when it is not the dataset's."""
    revision: str = ""
    """Commit of that repository."""
    picture: str = ""
    """Column of a picture: rows that have one are left out, and columns that the adapter does not read too."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of this split's files in the hub's repository: one for each of ``parts``, in
        their order, else ``file`` alone.
        """
        return tuple(self.file.replace("*", part) for part in self.parts) or (self.file,)

    def expected_sha256(self, file: str) -> str | None:
        """Return the expected SHA-256 (hex) of ``file``, one of ``files``; None when the card states none."""
        return self.sha256[self.files.index(file)] if isinstance(self.sha256, tuple) else self.sha256


@dataclass(frozen=True, slots=True)
class Dataset:
    """A pinned dataset on the hub."""

    hub: str
    """Repository id."""
    config: str
    """Name of the configuration."""
    revision: str
    """Commit."""
    splits: Mapping[str, Split]
    """Name -> split."""
    gated: bool
    """Whether its terms must be accepted on the hub, so that a token is needed."""
    extra: tuple[str, ...] = ()
    """Further files of the repository that a run reads."""

    def holding(self, split: str) -> "Dataset":
        """Return the dataset that holds the split named ``split``.

        It is this one, or a copy with the split's ``hub`` and ``revision`` if the split is in a repository of its own.
        """
        pinned = self.splits[split]
        return replace(self, hub=pinned.hub, revision=pinned.revision) if pinned.hub else self

    def place(self, file: str) -> str:
        """Return a text for messages: repository, first 12 digits of the commit, and
        ``file``, a path in the repository.
        """
        return f"{self.hub}@{self.revision[:12]} {file}"


def cached_file(dataset: Dataset, name: str, advice: str) -> Path:
    """Return the path of a file of the pinned commit (``name``: its path in the repository) in the hub's cache.

    It is downloaded into the cache when missing. Raises ``BadInput`` when the file cannot be loaded, of the subclass
    ``DatasetUnreachable`` without a connection or when it breaks off; the message ends with ``advice``, what the user
    can do instead. Raises ``StorageFailed`` when the cache cannot be used. Warnings of ``huggingface_hub``, and its
    progress bars unless standard error is a terminal, stay hidden in this process from then on.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError
    from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # its HTTP client's own

    if not is_cached(dataset, name):
        check_reachable(dataset, name, advice)
    _silence()
    try:
        return Path(hf_hub_download(dataset.hub, name, repo_type="dataset", revision=dataset.revision))
    except GatedRepoError:
        page = f"https://huggingface.co/datasets/{dataset.hub}"
        raise BadInput(f"{dataset.hub} is gated: accept its terms at {page} and set HF_TOKEN; {advice}") from None
    except HfHubHTTPError as error:
        reason = " ".join(str(error).split())[:200]
        token = " (a private or gated dataset needs HF_TOKEN)" if dataset.gated else ""
        raise BadInput(f"the hub does not give {dataset.hub} {name}: {reason}{token}; {advice}") from None
    except ValueError as error:  # its HTTP client's, for a proxy or a token that cannot be used
        raise BadInput(
            f"the hub cannot be asked for {dataset.hub} {name} with the proxies (ALL_PROXY, HTTPS_PROXY) or the "
            f"HF_TOKEN of this shell ({type(error).__name__}): mend them, {advice}"
        ) from None
    except (OSError, EntryNotFoundError, TransportError) as error:
        if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
            place = error.filename or "the hub's cache"
            raise StorageFailed(f"{place} cannot be used: {error.strerror}; HF_HOME=DIR moves the cache") from None
        raise _unreachable(dataset, name, advice) from None


def is_cached(dataset: Dataset, name: str) -> bool:
    """Return whether a file of the pinned commit (``name``: its path in the repository) is in the hub's local cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(dataset.hub, name, revision=dataset.revision, repo_type="dataset")
    return isinstance(found, str)


def check_reachable(dataset: Dataset, name: str, advice: str) -> None:
    """Raise ``DatasetUnreachable`` when the hub accepts no connection (``accepts_connections``, tried once per process)
    or the client is set offline (``HF_HUB_OFFLINE``).

    ``dataset`` and ``name`` (a file's path) are named in the message, which ends with ``advice``, what the user can do
    instead. The file itself is not looked for.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or not accepts_connections(constants.ENDPOINT):
        raise _unreachable(dataset, name, advice)


def _unreachable(dataset: Dataset, name: str, advice: str) -> DatasetUnreachable:
    return DatasetUnreachable(
        f"{dataset.hub} {name} is not in the hub's cache (HF_HOME) and the hub cannot be reached"
        f"{_by_proxy()}: load it once where there is a network, {advice}"
    )


def _by_proxy() -> str:
    """Return a phrase for messages that names those of the environment variables HTTPS_PROXY and ALL_PROXY (in either
    case) that are set; empty if none is.
    """
    names = [name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)]
    return f" by the proxy in ${names[0]} (if it is dead: unset {' '.join(names)})" if names else ""


@cache
def accepts_connections(url: str, *, direct: bool = False) -> bool:
    """Return whether the server of ``url``, or the proxy of the environment before it,
    accepts a TCP connection in 1.5 s.

    Nothing is sent; name resolution counts in the time. False for a malformed address; true without a try for a proxy
    that is not HTTP(S). ``direct``: the server itself is tried, whatever proxy the environment names. The result for
    the same arguments is cached for the process.
    """
    stated = getproxies_environment()
    try:
        parts = urlsplit(url)
        proxy = stated.get(parts.scheme) or stated.get("all")
        if not direct and proxy and not proxy_bypass(parts.hostname or ""):
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            if parts.scheme not in ("http", "https"):
                return True  # whether such a proxy can be used is found by the client
    except ValueError:  # such as http://[::1
        return False
    connected = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError, UnicodeError, ValueError):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
            connected.set()

    thread = threading.Thread(target=connect, daemon=True)  # a resolver has a time limit of its own, and a longer one
    thread.start()
    thread.join(CONNECT_SECONDS)
    return connected.is_set()


def _silence() -> None:
    """Hide warnings of ``huggingface_hub`` in this process, and its progress bars
    unless standard error is a terminal.
    """
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()


@contextlib.contextmanager
def settled_client() -> Iterator[None]:
    """Context manager for a block in which another library loads from the hub by itself.

    When the hub accepts no connection, the libraries ``datasets`` and ``huggingface_hub`` are set offline for the
    block, so that they read their cache alone. Warnings of ``huggingface_hub``, and its progress bars unless standard
    error is a terminal, are hidden, also after the block. Yields None.
    """
    import datasets
    from huggingface_hub import constants

    _silence()
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if not before[0] and not accepts_connections(constants.ENDPOINT):
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def verified_file(dataset: Dataset, split: str, name: str, advice: str) -> Path:
    """Return the local path of one file of a split (``name``: its path in the repository), downloaded when missing.

    ``dataset`` is that of ``Dataset.holding(split)``. Raises ``BadInput`` when the file cannot be loaded (the message
    ends with ``advice``, what the user can do instead), and when its SHA-256 is not the one that the card states;
    without a stated one it is not checked. Raises ``StorageFailed`` when the hub's cache cannot be used.
    """
    path, expected = cached_file(dataset, name, advice), dataset.splits[split].expected_sha256(name)
    if expected is not None and sha256(path) != expected:
        place = dataset.place(name)
        raise BadInput(f"{place} has another content than its card states: remove {path} and load it again")
    return path


def tables(dataset: Dataset, split: str, advice: str) -> list[Any]:
    """Load a split; return one ``datasets.Dataset`` per file, in order, whose slices are Arrow tables.

    ``dataset`` is that of ``Dataset.holding(split)``. A JSONL file has one column, ``text``, with its lines, whose
    content is not checked. Raises ``BadInput`` when a file cannot be downloaded (the message ends with ``advice``, what
    the user can do instead), is damaged, its hash is not the card's, a column of the card is missing, or the number of
    rows (of all files; blank lines of a JSONL file do not count) is not the card's; ``StorageFailed`` when the cache of
    the hub or of ``datasets`` cannot be used.
    """
    pinned = dataset.splits[split]
    loaded, count = [], 0
    for name in pinned.files:
        path, place = verified_file(dataset, split, name, advice), dataset.place(name)
        rows = _read(path)
        if path.suffix == ".jsonl":
            count += sum(bool(line.strip()) for line in rows[:]["text"].to_pylist())
        else:
            check_columns(place, pinned.columns, rows.column_names)
            count += len(rows)
        loaded.append(rows)
    if count != pinned.n:
        place, remedy = dataset.place(pinned.file), f"remove {path} and load it again"
        raise BadInput(f"{place} has {count} rows, its card states {pinned.n}: {remedy}")
    return loaded


def check_columns(place: str, needed: Sequence[str], known: Sequence[str]) -> None:
    """Raise ``BadInput`` when a column of ``needed`` is not in ``known``.

    The message names ``place`` (the file), the missing columns and the present ones.
    """
    missing = [column for column in needed if column not in known]
    if missing:
        raise BadInput(f"{place} lacks {', '.join(missing)}: it has {', '.join(known) or 'nothing'}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Context manager: hides progress bars and log messages of the library ``datasets`` in the ``with`` block.

    Messages of level CRITICAL are still shown. Yields None; at the end both are as before.
    """
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
    """Read a CSV (``.csv``), JSONL (``.jsonl``) or Parquet file (any other name) as a ``datasets.Dataset`` in Arrow
    format; its cache is in evalsuite's cache folder.

    All values of a CSV file are texts; a JSONL file has one column ``text`` with its lines. Raises ``BadInput`` for a
    damaged file, ``StorageFailed`` when the file or the cache folder cannot be used, ``FileNotFoundError`` for a
    missing file.
    """
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
                table = datasets.Dataset.from_csv(files, split="train", **as_text, **cache)
            elif path.suffix == ".jsonl":
                table = datasets.Dataset.from_text(files, split="train", **cache)
            else:
                table = datasets.Dataset.from_parquet(files, split="train", **cache)
            return table.with_format("arrow")
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
    """Return the first row of a CSV file, its column names; empty for an empty file.

    Raises ``ValueError`` when it is not UTF-8 or cannot be parsed.
    """
    import csv

    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None
