"""``samples.parquet``: the table of a cell, one row per item x repeat, derived from its journals.

Arrow is imported where it is used: it costs 0.2 s, which no run needs before its first question.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.store import journal
from evalsuite.store.attempts import CutRequest, StoredAttempt, checked_reply, scan
from evalsuite.store.manifest import read_manifest, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

T = TypeVar("T")

SAMPLES = "samples.parquet"
BATCH_CHARACTERS = 16_000_000
"""Texts held in memory before a batch of rows is written."""
_BATCH_ROWS = 256
TYPES = {
    "task": "string",
    "version": "string",
    "variant": "string",
    "model": "string",
    "item_id": "string",
    "repeat": "int32",
    "cluster": "string",
    "weight": "double",
    "groups": "string",
    "outcome": "string",
    "value": "double",
    "answer": "string",
    "stage": "string",
    "parts": "string",
    "note": "string",
    "finish_reason": "string",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "reasoning_tokens": "int64",
    "text": "string",
    "reasoning": "string",
    "prompt_sha": "string",
    "seconds": "double",
    "attempts": "int32",
    "rerolled": "bool",
}
"""Column -> type, as Arrow names it."""
COLUMNS: tuple[str, ...] = tuple(TYPES)
_SORTED = json.JSONEncoder(sort_keys=True)


def sample_row(
    task: str, variant: str, model: str, event: Mapping[str, Any], reply: Mapping[str, Any]
) -> dict[str, Any]:
    """Column -> value of one row of the table, in the order of ``COLUMNS``.

    ``event``: the journal event of the score (see ``score_event``); ``reply``: the model's last reply as JSON; with an
    empty one ``text`` and ``reasoning`` are empty, and finish reason, counts and seconds None. ``groups`` and ``parts``
    become JSON texts, lone surrogates in answer, note, text and reasoning ``?``.
    """
    usage = reply.get("usage") or {}
    return {
        "task": task,
        "version": event["version"],
        "variant": variant,
        "model": model,
        "item_id": event["item"],
        "repeat": event["repeat"],
        "cluster": event["cluster"],
        "weight": event["weight"],
        "groups": _SORTED.encode(event["groups"]) if event["groups"] else "{}",
        "outcome": event["outcome"],
        "value": event["value"],
        "answer": _clean(event["answer"]),
        "stage": event["stage"],
        "parts": _SORTED.encode(event["parts"]) if event["parts"] else "{}",
        "note": _clean(event["note"]),
        "finish_reason": reply.get("finish_reason"),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "reasoning_tokens": usage.get("reasoning_tokens"),
        "text": _clean(reply.get("text", "")),
        "reasoning": _clean(reply.get("reasoning", "")),
        "prompt_sha": event["prompt_sha"],
        "seconds": reply.get("seconds"),
        "attempts": event["attempts"],
        "rerolled": event["rerolled"],
    }


def _clean(text: str | None) -> str | None:
    """The text as valid UTF-8, which Parquet needs: a lone surrogate becomes ``?``; None stays None."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def seal(folder: Path) -> None:
    """Write ``samples.parquet`` of the cell in ``folder`` from its journals, atomically; writes nothing for an imported
    cell.

    Raises ``StorageFailed`` if it cannot be written or the manifest not be read, ``BadInput`` for a missing or damaged
    manifest, a journal of another cell, or a reply of a form that no version writes, ``OSError`` for a journal that
    cannot be read.
    """
    manifest = read_manifest(folder)
    if manifest["imported"] is None:
        index = scan(folder)
        stated = {"journals": _journals(folder), "cuts": _cuts(index)}
        signs = _signs(index)
        write_table(folder, _rows(folder, manifest, index), stated, signs)


def read_samples(folder: Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """The rows of a cell as an Arrow table: from ``samples.parquet`` when that is up to date and whole, else from the
    journals.

    One row for each attempt with a score, by repeat, then in the order of the manifest's items (the one of the time
    when the table was written); of an imported cell in the order of its file. ``columns`` names a part of ``COLUMNS``
    (None or empty: all); leaving out the texts makes it quick. Raises ``BadInput`` for a damaged cell or none,
    ``StorageFailed`` or ``OSError`` for one that cannot be read.
    """
    import pyarrow as pa

    wanted = list(columns or COLUMNS)
    table = _from_parquet(folder, lambda file: file.read(wanted))
    if table is not None:
        return table
    return pa.Table.from_pylist(_journal_rows(folder, wanted), schema=schema()).select(wanted)


def read_rows(folder: Path, columns: Sequence[str] | None = None, item: str | None = None) -> list[dict[str, Any]]:
    """The rows of a cell as dictionaries, of all items (None) or of the one with id ``item``, empty if it has none: for
    few columns, or few rows.

    ``columns``, source, order and errors as ``read_samples``. Makes no Arrow table of the journals, for which Arrow
    would import pandas (0.5 s).
    """
    wanted = list(columns or COLUMNS)
    rows = _from_parquet(folder, lambda file: _rows_of(file, wanted, item))
    if rows is not None:
        return rows
    return [{name: row[name] for name in wanted} for row in _journal_rows(folder, wanted, item)]


def _from_parquet(folder: Path, read: "Callable[[pq.ParquetFile], T]") -> "T | None":
    """What ``read`` returns for a cell's open Parquet file; None where there is none, it was not made from the journals
    as they are now, or it is damaged.

    Raises ``BadInput`` for a damaged file of an imported cell, which has no journals, and as ``read_manifest``.
    """
    if not (folder / SAMPLES).exists():
        return None
    import pyarrow as pa

    manifest = read_manifest(folder)
    try:
        if _is_current(folder, manifest):
            with _opened(folder) as file:
                return read(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        _refuse_imported(folder, manifest, error)
    return None


@contextlib.contextmanager
def _opened(folder: Path) -> "Iterator[pq.ParquetFile]":
    """Yields a cell's Parquet file, open for the block; pages with another checksum than they state raise ``OSError``.

    Raises ``ValueError`` for a column of a name that no version writes.
    """
    import pyarrow.parquet as pq

    # pq.read_table would import pandas
    with pq.ParquetFile(folder / SAMPLES, page_checksum_verification=True) as file:
        unknown = set(file.schema_arrow.names) - set(COLUMNS)
        if unknown:
            raise ValueError(f"a column is called {min(unknown)!r}")
        yield file


def _refuse_imported(folder: Path, manifest: Mapping[str, Any], error: Exception) -> None:
    if manifest["imported"] is not None:
        raise BadInput(f"{folder / SAMPLES} is damaged ({error}); import the file again") from None


def _rows_of(file: "pq.ParquetFile", columns: Sequence[str], item: str | None) -> list[dict[str, Any]]:
    """The rows of an open table, with these columns: all (``item`` None), or those of the item with id ``item``. Of row
    groups that do not hold the item only the ids are read."""
    if item is None:
        return list(file.read(columns).to_pylist())
    rows: list[dict[str, Any]] = []
    for group in range(file.num_row_groups):
        names = file.read_row_group(group, ["item_id"])["item_id"].to_pylist()
        places = [place for place, name in enumerate(names) if name == item]
        if places:
            table = file.read_row_group(group, columns)
            rows += [row for place in places for row in table.slice(place, 1).to_pylist()]
    return rows


def read_batches(folder: Path, columns: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Yields the rows of a cell as lists of dictionaries, for columns with texts that would not fit into memory.

    From an up-to-date Parquet file at most 256 rows of ``columns`` at a time; else, and from where it is damaged, all
    (further) rows from the journals in one list, which may be empty, with all columns (``text`` and ``reasoning`` empty
    where ``columns`` names neither). Order and errors as ``read_samples``; raised while it is iterated over.
    """
    import pyarrow as pa

    done = 0
    if is_current(folder):
        try:
            with _opened(folder) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
                    yield batch.to_pylist()
                    done += batch.num_rows
                return
        except (pa.ArrowException, OSError, ValueError) as error:
            _refuse_imported(folder, read_manifest(folder), error)
    yield _journal_rows(folder, columns)[done:]


def _journal_rows(folder: Path, columns: Sequence[str], item: str | None = None) -> list[dict[str, Any]]:
    index = {key: attempt for key, attempt in scan(folder).items() if item in (None, key[0])}
    return list(_rows(folder, read_manifest(folder), index, texts="text" in columns or "reasoning" in columns))


def is_current(folder: Path) -> bool:
    """Whether a cell has a Parquet file that was made from its journals as they are now, by their names and sizes; for
    an imported cell, whether it has one. Raises as ``read_manifest`` where there is such a file."""
    return (folder / SAMPLES).exists() and _is_current(folder, read_manifest(folder))


def _is_current(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """``is_current`` for a cell that is known to have a Parquet file, with its manifest."""
    return manifest["imported"] is not None or _stated(folder / SAMPLES, "journals", {}) == _journals(folder)


def read_cuts(folder: Path) -> dict[tuple[str, int], list[CutRequest]]:
    """(item id, repeat) -> its requests that were cut by a deadline or a stop, for attempts that have any.

    Read from the Parquet file's metadata if that is current and they are valid, else from the journals, with their
    errors (see ``scan``).
    """
    if is_current(folder):
        with contextlib.suppress(TypeError, ValueError, OverflowError):  # damage, or a file of others
            return _by_attempt(_stated(folder / SAMPLES, "cuts", []))
    return _by_attempt(_cuts(scan(folder)))


def _by_attempt(rows: list[list[Any]]) -> dict[tuple[str, int], list[CutRequest]]:
    """(item id, repeat) -> its cut requests, from the rows that ``_cuts`` gives. Raises ``TypeError``, ``ValueError``
    or ``OverflowError`` for rows of another form."""
    cuts: dict[tuple[str, int], list[CutRequest]] = {}
    for item, repeat, tokens, seconds in rows:
        cut = CutRequest(None if tokens is None else float(tokens), float(seconds))
        cuts.setdefault((str(item), int(repeat)), []).append(cut)
    return cuts


def read_signs(folder: Path) -> dict[tuple[str, int], str] | None:
    """(item id, repeat) -> sign of a degenerate answer (``Sample.degenerate``), for answers that have one; empty if
    none has.

    Read from the Parquet file's metadata if that is current, else from the journals. None: unknown, because some
    answers were graded by a version that did not look for signs, or the metadata do not state them in a valid form.
    """
    rows = _stated(folder / SAMPLES, "degenerate", None) if is_current(folder) else _signs(scan(folder))
    try:
        return None if rows is None else {(str(item), int(repeat)): str(sign) for item, repeat, sign in rows}
    except (TypeError, ValueError, OverflowError):  # a file of others
        return None


def schema() -> "pa.Schema":
    """The Arrow schema of ``samples.parquet``: the columns of ``TYPES``."""
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in TYPES.items()])


def _stated(path: Path, what: str, nothing: Any) -> Any:
    """The parsed JSON under ``what`` in the metadata of the Parquet file ``path``; ``nothing`` if it is not there; None
    if the file is missing or damaged, or the text is no JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stated = (pq.read_metadata(path).metadata or {}).get(what.encode())
        return nothing if stated is None else json.loads(stated)
    except (pa.ArrowException, OSError, ValueError):
        return None


def _cuts(index: Mapping[tuple[str, int], StoredAttempt]) -> list[list[Any]]:
    """[item id, repeat, tokens (None: unknown), seconds] of every request that was cut."""
    return [[*key, cut.tokens, cut.seconds] for key, attempt in index.items() for cut in attempt.cuts]


def _signs(index: Mapping[tuple[str, int], StoredAttempt]) -> list[list[Any]] | None:
    """[item id, repeat, sign] of every degenerate answer; None where some scores do not state whether they have a
    sign."""
    signs = [[*key, attempt.sign] for key, attempt in index.items() if attempt.score is not None]
    return None if any(sign is None for *_, sign in signs) else [row for row in signs if row[-1]]


def _rows(
    folder: Path, manifest: Mapping[str, Any], index: Mapping[tuple[str, int], StoredAttempt], *, texts: bool = True
) -> Iterator[dict[str, Any]]:
    """Yields the table rows of all attempts with a score, by repeat and then in the manifest's order of items (those
    that it does not hold come last, by id).

    The fields of the reply are those of the model's last one, empty or None for a failed attempt and one without a
    reply. ``texts=False`` leaves ``text`` and ``reasoning`` empty. Raises ``BadInput`` for a reply of a form that no
    version writes.
    """
    cell = manifest["identity"]["task"], manifest["identity"]["variant"], folder.parent.name
    place = {item: number for number, item in enumerate(manifest["items"])}
    with journal.reading() as event_at:
        for key in sorted(index, key=lambda key: (key[1], place.get(key[0], len(place)), key[0])):
            attempt = index[key]
            if attempt.score is None:
                continue
            event = event_at(attempt.score.path, attempt.score.offset)
            reply: dict[str, Any] = {}
            last = attempt.last
            if last is not None and event["outcome"] != "failed":
                reply = checked_reply(event_at(last.path, last.offset), last)
            row = sample_row(*cell, event, reply)
            yield row if texts else {**row, "text": "", "reasoning": ""}


def _journals(folder: Path) -> dict[str, int]:
    """Name -> size in bytes of every journal in a cell's folder, as a Parquet file made from them states it."""
    return {path.name: path.stat().st_size for path in sorted(folder.glob(journal.PATTERN))}


def write_table(
    folder: Path, rows: Iterable[dict[str, Any]], stated: Mapping[str, Any], signs: list[list[Any]] | None
) -> None:
    """Write ``rows`` (as of ``sample_row``) to ``samples.parquet`` in the existing ``folder``, durably and atomically,
    with every value of ``stated`` as JSON under its key in the metadata.

    ``signs`` ([item id, repeat, sign] of degenerate answers, read after the last row) is added to it as ``degenerate``;
    None: unknown, not added. Raises ``StorageFailed`` for an ``OSError``, and what else iterating over ``rows`` raises.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / SAMPLES
    temporary = path.with_name(f".{SAMPLES}.{os.getpid()}.tmp")
    columns = schema().with_metadata({name: json.dumps(value) for name, value in stated.items()})
    try:
        with temporary.open("wb") as file:
            with pq.ParquetWriter(file, columns, compression="zstd", write_page_checksum=True) as writer:
                batch: list[dict[str, Any]] = []
                held = 0
                for row in rows:
                    batch.append(row)
                    held += len(row["text"]) + len(row["reasoning"]) + 500
                    if held > BATCH_CHARACTERS:
                        writer.write_table(pa.Table.from_pylist(batch, schema=columns))
                        batch, held = [], 0
                writer.write_table(pa.Table.from_pylist(batch, schema=columns))
                if signs is not None:
                    writer.add_key_value_metadata({"degenerate": json.dumps(signs)})
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(folder)
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
