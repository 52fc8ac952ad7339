"""Append-only files of JSON lines: the events of a cell, readable after a crash and after damage.

Every writer has files of its own, so that nothing is appended behind the torn line of another. The first line of a file
states its schema, its number and the cell that it belongs to; every line ends with a checksum::

    {"schema":2,"number":3,"cell":"<hash of the cell's identity>","event":"open","evalsuite":"0.2.0","crc":2774541931}
    {"event":"sent","item":"17","repeat":0,"who":"model","turn":0,"crc":1206930214}

``crc`` is zlib.crc32 of the line without it. A damaged line costs that line; a journal of another cell is refused.
Files of schema 1 have no checksum and no cell. ``writer`` decides when lines are written and synced.
"""

import json
import logging
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import orjson

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.records import canonical_sha
from evalsuite.store.manifest import sync_folder

PATTERN = "journal-*.jsonl"
SCHEMA = 2
"""Version of a journal's lines."""
MAX_LINE = 1 << 28
"""Longest line in bytes: what is longer is damage."""
_CRC = b',"crc":'
_STATED = re.compile(rb"(\d{1,10})\}\s*")
"""What follows ``_CRC`` in a whole line."""
_HEADER = (b'{"schema":', b'{"event":"open"')
"""How the first line begins, in both schemas."""
_LINE_START = re.compile(rb'\{"(?:event|schema)":')
_LINE_END = re.compile(rb',"crc":\d{1,10}\}')
_REPLY_HEAD = re.compile(
    rb'(\{"event":"reply","item":"(?:[^"\\]|\\.)*","repeat":\d+,"who":"[a-z]+","turn":\d+),"span":'
)
"""The first fields of a reply's line, as ``Cell.record_reply`` writes them."""
_CRC_SPACE = len(_CRC) + 12
"""Most bytes of the checksum at the end of a line."""


@dataclass(slots=True)
class JournalFile:
    """The open file of one writer."""

    path: Path
    handle: int
    size: int = 0
    """Bytes written whole."""


def write_whole(file: JournalFile, data: bytes) -> int:
    """Append all of ``data`` to an open journal, or nothing; returns the offset in bytes where it begins.

    ``file``'s ``size`` grows accordingly. Raises ``OSError`` after a failed write; the file is cut back to its former
    size before, unless that fails, too.
    """
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
    """The journal line of an event (not empty): JSON with a ``crc`` and a line feed; a dataclass in it becomes an
    object.

    Numbers must be finite, which is not checked. Lone surrogates, which servers do send, are kept. Raises ``TypeError``
    for bytes, sets, paths and most other values of no JSON type; dates and UUIDs become texts, enums their values.
    """
    try:
        line = orjson.dumps(event)
    except TypeError:  # a surrogate, or a number beyond 64 bits
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=asdict)
        line = text.encode("utf-8", "surrogatepass")
    return b'%b,"crc":%d}\n' % (line[:-1], crc32(line))


def decode(line: bytes) -> dict[str, Any]:
    """The event of one line, without its ``crc``. Raises ``ValueError`` for a line that is not a JSON object, or has a
    wrong checksum (``RecursionError`` for one nested too deeply); a line without one is accepted."""
    return _checked(line) if line.rfind(_CRC, -_CRC_SPACE) >= 0 else _parsed(line)


def _checked(line: bytes, *, brief: bool = False) -> dict[str, Any]:
    """The event, without its ``crc``, of a line that must have a checksum; ``brief``: of a reply, as
    ``Cell.record_reply`` writes it, only ``event``, ``item``, ``repeat``, ``who`` and ``turn``.

    Raises ``ValueError`` if there is no checksum, or another one than that of the line, or the line is no JSON object.
    """
    place = line.rindex(_CRC, -_CRC_SPACE)
    stated = _STATED.fullmatch(line, place + len(_CRC))
    if stated is None or crc32(b"}", crc32(line[:place])) != int(stated[1]):
        raise ValueError("a journal line has another checksum than it states")
    if brief and (head := _REPLY_HEAD.match(line)):
        return _parsed(head[1] + b"}")
    event = _parsed(line)
    del event["crc"]
    return event


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        event = json.loads(line.decode("utf-8", "surrogatepass"))
    if not isinstance(event, dict):
        raise ValueError("a journal line is a JSON object")
    return event


def cell_hash(identity: Mapping[str, Any]) -> str:
    """Hash (16 hexadecimal digits) of a cell's identity, by which a journal names its cell; independent of run and
    folder.

    A key whose value is None counts as missing, because later versions add keys.
    """
    return canonical_sha(_without_nulls(identity))[:16]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return value


def create(folder: Path) -> JournalFile:
    """Create an empty journal of this process in ``folder``, with a new name, and return it open. Raises
    ``StorageFailed``."""
    host = "".join(letter if letter.isalnum() else "_" for letter in socket.gethostname())[:40]
    path = folder / f"journal-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        sync_folder(folder)
    except OSError as error:
        raise StorageFailed(f"cannot create {path}: {error.strerror or error}") from None
    return JournalFile(path, handle)


def close(file: JournalFile) -> None:
    """Sync and close a journal; one without a whole line is removed. Raises ``StorageFailed``."""
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
    """Paths of the journals in a cell's folder, oldest first: by the number in their header, then by file time.

    Without a number (earlier versions) a journal comes first. One whose header is damaged stands behind the last one
    whose file time is not later. Raises ``OSError`` for a journal that cannot be read.
    """
    numbers = {path: _number(path) for path in folder.glob(PATTERN)}
    times = {path: path.stat().st_mtime_ns for path in numbers}
    paths = sorted(numbers, key=lambda path: (numbers[path] or 0, times[path], path.name))
    known = [path for path in paths if numbers[path] is not None]
    for path in paths:
        if numbers[path] is None:
            before = [place for place, other in enumerate(known, 1) if times[other] <= times[path]]
            known.insert(max(before, default=0), path)
    return known


def next_number(folder: Path) -> int:
    """The number for a new journal in ``folder``: the highest in the headers there plus 1; 1 if there is none."""
    return max((_number(path) or 0 for path in folder.glob(PATTERN)), default=0) + 1


def _number(path: Path) -> int | None:
    """The number in a journal's header; 0 where there is no header or no number (earlier versions), None where it is
    damaged or no whole number."""
    head = _head(path)
    number = 0 if head is None else head.get("number", 0) if head else None
    return number if isinstance(number, int) else None


def _head(path: Path) -> dict[str, Any] | None:
    """The header of a journal: its first line, or the first later one that looks like a header, where lines were
    swapped.

    None: the journal has none, and its first line is whole. Empty: it is damaged, or whether there is one is unknown
    (the file is empty, or its first line damaged or over 10,000 bytes long).
    """
    with path.open("rb") as file:
        line = first = file.readline(10_000)
        if not first.startswith(_HEADER):
            line = next((line for line in file if line.startswith(_HEADER)), b"")
    try:
        if not line:
            decode(first)
            return None
        head = decode(line)
    except (KeyError, ValueError, RecursionError):
        return {}
    return {} if "cell" in head and line.rfind(_CRC, -_CRC_SPACE) < 0 else head


def read(path: Path, cell: str = "", *, brief: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (offset in bytes, event without ``crc``) of every whole line; lines that are damaged are left out, and
    their number is logged at the end. Whole events with checksums in one line, whose line break was damaged, are
    yielded, too.

    A last line without an end is what a crash leaves. A machine that loses its power can leave a hole of zeros where
    lines stood that were not synced yet, and nothing acknowledged is among them: neither counts as damage.

    Args:
        path: The journal.
        cell: Hash of the identity of the cell in whose folder it is; empty: any.
        brief: Of a reply with a right checksum only the first fields: its text is not parsed.

    Raises:
        BadInput: At the first step: it is the journal of another cell, or of a later version.
        OSError: It cannot be read.
    """
    head = _head(path) or {}
    schema = head.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BadInput(f"{path} has schema {schema}; this evalsuite reads up to {SCHEMA}: upgrade it")
    if cell and head.get("cell", cell) != cell:
        raise BadInput(f"{path} is the journal of another cell: move it back into its folder, or away")
    damaged, offset, checked = 0, 0, schema == SCHEMA
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE):
            checked = checked or (offset == 0 and not head and (b'"cell":' in line or _CRC in line))
            try:
                if not checked and not line.endswith(b"\n"):
                    raise ValueError("no end")
                event = _checked(line, brief=brief) if checked else decode(line)
                yield offset, event
            except (KeyError, ValueError, RecursionError):
                pieces = list(_pieces(line)) if checked else []
                for place, event in pieces:
                    yield offset + place, event
                torn = not line.endswith(b"\n") and len(line) < MAX_LINE
                damaged += 0 if pieces or torn or b"\0" in line else 1
            offset += len(line)
    log_damage(path, damaged)


def _pieces(line: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (place in bytes, event) of whole events within one line whose line break was damaged: each ends where its
    checksum holds."""
    start = 0
    for match in _LINE_END.finditer(line):
        for begin in _LINE_START.finditer(line, start, match.start()):
            try:
                event = decode(line[begin.start() : match.end()])
            except (ValueError, RecursionError):
                continue
            yield begin.start(), event
            break
        start = match.end()


@cache
def log_damage(path: Path, damaged: int) -> None:
    """Log a warning of how many lines of a journal are damaged and left out; nothing for 0. Equal calls log once in a
    process."""
    if damaged == 0:
        return
    lines = "1 line is" if damaged == 1 else f"{damaged:,} lines are"
    logging.getLogger(__name__).warning("%s: %s damaged and left out; the others count", path, lines)


def read_at(path: Path, offset: int) -> dict[str, Any]:
    """The whole event, without ``crc``, of the journal ``path`` at an ``offset`` (bytes) that ``read`` yielded or
    ``JournalWriter.write`` returned. Its checksum is not checked again."""
    with reading() as event_at:
        return event_at(path, offset)


@contextmanager
def reading() -> Iterator[Callable[[Path, int], dict[str, Any]]]:
    """Yields a function (journal, offset in bytes) -> event, as ``read_at`` for many events: every journal is opened
    once and closed at the end of the block."""
    with ExitStack() as stack:
        files: dict[Path, BinaryIO] = {}

        def event_at(path: Path, offset: int) -> dict[str, Any]:
            file = files.get(path)
            if file is None:
                file = files[path] = stack.enter_context(path.open("rb"))
            file.seek(offset)
            line = file.readline()
            try:
                event = _parsed(line)  # ``read`` has checked it
                event.pop("crc", None)
                return event
            except ValueError:
                return next(event for place, event in _pieces(line) if place == 0)

        yield event_at
