"""Append-only JSON lines, durable before they are acknowledged.

Every writer has files of its own, so nothing is ever appended behind somebody else's torn line. One thread writes for
all cells of a process and commits in groups: all that waits is written, each file is synced once, then all are
acknowledged. A line that a crash cut short is the last of its file and is left out when reading.
"""

import asyncio
import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from evalsuite.errors import StorageFailed
from evalsuite.store.manifest import sync_folder

PATTERN = "journal-*.jsonl"


@dataclass(slots=True)
class JournalFile:
    """One writer's file."""

    path: Path
    handle: int
    size: int = 0
    """Bytes written whole."""


@dataclass(slots=True)
class _Line:
    file: JournalFile
    data: bytes
    written: "asyncio.Future[int] | None" = None
    """Who waits for the offset."""
    sync: bool = False
    """Whether it must survive the death of the machine, too."""


@dataclass(slots=True)
class CommitThread:
    """Writes the lines of all cells of this process. Use as a context manager around a run.

    A disk may stand still for minutes, which must not keep the event loop from reading answers. So a thread writes;
    what one turn of the loop has for it goes over at once, because handing over costs as much as writing a line.
    """

    _gathered: list[_Line] = field(default_factory=list)
    """Of this turn of the event loop."""
    _waiting: list[_Line] = field(default_factory=list)
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _closing: bool = False
    failure: StorageFailed | None = None
    """Set once writing has failed; nothing is accepted afterwards."""

    def __enter__(self) -> "CommitThread":
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hand_over()
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def note(self, file: JournalFile, event: dict[str, Any]) -> None:
        """Append without waiting. Raises ``StorageFailed`` if an earlier line could not be written."""
        self._put(_Line(file, encode(event)))

    async def write(self, file: JournalFile, event: dict[str, Any], *, sync: bool) -> int:
        """Append, wait until it is written, so that it survives the death of the process (``sync``: of the machine),
        and return its offset. Raises ``StorageFailed``."""
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(_Line(file, encode(event), written, sync))
        return await written

    def _put(self, line: _Line) -> None:
        if self.failure is not None:
            raise self.failure
        self._gathered.append(line)
        if len(self._gathered) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._hand_over)
            except RuntimeError:  # not in an event loop
                self._hand_over()

    def _hand_over(self) -> None:
        lines, self._gathered = self._gathered, []
        with self._wake:
            failure = self.failure
            if failure is None:
                self._waiting += lines
                self._wake.notify()
        if failure is not None:
            _tell([(line, 0) for line in lines], failure)

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                lines, self._waiting = self._waiting, []
                if not lines:
                    return
            self._write(lines)

    def _write(self, lines: list[_Line]) -> None:
        """Write a group; on a fault cut the file back to its last whole line and refuse everything from then on."""
        written: list[tuple[_Line, int]] = []
        for line in lines:
            try:
                written.append((line, write_whole(line.file, line.data)))
            except OSError as error:
                self._fail(lines, line.file.path, error)
                return
        _tell([(line, offset) for line, offset in written if not line.sync], None)
        rest = [(line, offset) for line, offset in written if line.sync]
        for file in {id(line.file): line.file for line, _ in rest}.values():
            try:
                os.fdatasync(file.handle)
            except OSError as error:
                self._fail([line for line, _ in rest], file.path, error)
                return
        _tell(rest, None)

    def _fail(self, lines: list[_Line], path: Path, error: OSError) -> None:
        failure = StorageFailed(f"cannot write {path}: {error.strerror or error}; what was acknowledged is safe")
        with self._wake:
            self.failure = failure
            lines = [*lines, *self._waiting]
            self._waiting = []
        _tell([(line, 0) for line in lines], failure)


def _tell(lines: list[tuple[_Line, int]], failure: StorageFailed | None) -> None:
    """Let those who wait for these lines go on, all of them in one turn of their event loop."""
    waiting: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int]]] = {}
    for line, offset in lines:
        if line.written is not None:
            waiting.setdefault(line.written.get_loop(), []).append((line.written, offset))
    for loop, found in waiting.items():
        loop.call_soon_threadsafe(_resolve, found, failure)


def _resolve(found: "list[tuple[asyncio.Future[int], int]]", failure: StorageFailed | None) -> None:
    for written, offset in found:
        if written.done():  # the waiting attempt was cancelled
            continue
        if failure is None:
            written.set_result(offset)
        else:
            written.set_exception(failure)


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
    """One line. Lone surrogates, which servers do send, are kept."""
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a surrogate, or a number beyond 64 bits
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The event of one line. Raises ``ValueError`` for what is none."""
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
    """The journals of a cell, oldest first: by the number in their first line, which outlives copies, unlike times."""
    return sorted(folder.glob(PATTERN), key=lambda path: (_number(path), path.stat().st_mtime_ns, path.name))


def next_number(folder: Path) -> int:
    """The number of the next journal in a folder."""
    return max((_number(path) for path in folder.glob(PATTERN)), default=0) + 1


def _number(path: Path) -> int:
    """The number that a journal's first line states; 0 where it states none (written before there were any)."""
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
