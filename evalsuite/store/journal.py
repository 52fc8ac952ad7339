"""Append-only files of JSON lines: the events of a cell, readable after a crash.

Every writer has files of its own, so that nothing is appended behind the torn line of another. A line that a crash cut
short is the last of its file and is left out when reading. ``writer`` decides when lines are written and synced.
"""

import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from evalsuite.errors import StorageFailed
from evalsuite.store.manifest import sync_folder

PATTERN = "journal-*.jsonl"


@dataclass(slots=True)
class JournalFile:
    """The open file of one writer."""

    path: Path
    handle: int
    size: int = 0
    """Bytes written whole."""


def write_whole(file: JournalFile, data: bytes) -> int:
    """Append all of ``data`` or nothing; returns where it begins."""
    rest, offset = memoryview(data), file.size
    try:
        while rest:
            rest = rest[os.write(file.handle, rest) :]
    except OSError:
        os.ftruncate(file.handle, offset)
        raise
    file.size += len(data)
    return offset


def encode(event: dict[str, Any]) -> bytes:
    """The line of an event; a dataclass in it becomes an object. Lone surrogates, which servers do send, are kept."""
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a surrogate, or a number beyond 64 bits
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=asdict)
        return line.encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The event of one line. Raises ``ValueError`` for a line that is not a JSON object."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        event = json.loads(line.decode("utf-8", "surrogatepass"))
    if not isinstance(event, dict):
        raise ValueError("a journal line is a JSON object")
    return event


def create(folder: Path) -> JournalFile:
    """A new journal of this process in ``folder``. Raises ``StorageFailed``."""
    host = "".join(letter if letter.isalnum() else "_" for letter in socket.gethostname())[:40]
    path = folder / f"journal-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        sync_folder(folder)
    except OSError as error:
        raise StorageFailed(f"cannot create {path}: {error.strerror or error}") from None
    return JournalFile(path, handle)


def close(file: JournalFile) -> None:
    """Sync and close; a journal without a line is removed. Raises ``StorageFailed``."""
    try:
        try:
            os.fsync(file.handle)
        finally:
            os.close(file.handle)
        if file.size == 0:
            file.path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"cannot write {file.path}: {error.strerror or error}") from None


def ordered(folder: Path) -> list[Path]:
    """The journals of a cell, oldest first: by the number in their first line, which copies keep, unlike file times."""
    return sorted(folder.glob(PATTERN), key=lambda path: (_number(path), path.stat().st_mtime_ns, path.name))


def next_number(folder: Path) -> int:
    """The number of the next journal in a folder."""
    return max((_number(path) for path in folder.glob(PATTERN)), default=0) + 1


def _number(path: Path) -> int:
    """The number in a journal's first line; 0 where it has none (journals of earlier versions)."""
    with path.open("rb") as file:
        try:
            return int(decode(file.readline(10_000)).get("number", 0))
        except ValueError:
            return 0


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset, event) of every whole line. Raises ``StorageFailed`` on damage before the last line.

    A machine that loses its power can leave a hole of zeros where lines stood that were not synced yet, and nothing
    acknowledged is among them: what the hole touches is left out.
    """
    with path.open("rb") as file:
        offset, torn = 0, None
        for line in file:
            if torn is not None:
                raise StorageFailed(f"{path} is damaged at byte {torn}; move it away to ask its samples again")
            try:
                event = decode(line) if line.endswith(b"\n") else None
            except ValueError:
                event = None
            if event is not None:
                yield offset, event
            elif b"\0" not in line:
                torn = offset
            offset += len(line)


def read_at(path: Path, offset: int) -> dict[str, Any]:
    """The event at an offset that ``read`` or ``write`` returned."""
    with reading() as event_at:
        return event_at(path, offset)


@contextmanager
def reading() -> Iterator[Callable[[Path, int], dict[str, Any]]]:
    """``read_at`` for many events: every journal is opened once."""
    with ExitStack() as stack:
        files: dict[Path, BinaryIO] = {}

        def event_at(path: Path, offset: int) -> dict[str, Any]:
            file = files.get(path)
            if file is None:
                file = files[path] = stack.enter_context(path.open("rb"))
            file.seek(offset)
            return decode(file.readline())

        yield event_at
