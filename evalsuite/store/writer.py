"""Writes the journal lines of all cells of a process: at once, synced in groups, acknowledged when they are safe.

A disk may take seconds to sync, as network file systems do, or hang for minutes. Neither may keep the event loop from
reading answers, and a sync must not delay the write of the next reply, which the kernel keeps even if this process
dies. So one thread writes and another one syncs: all lines that were written during one sync share the next.
"""

import asyncio
import contextlib
import os
import threading
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from evalsuite.errors import StorageFailed
from evalsuite.store.journal import JournalFile, encode, write_whole


@dataclass(slots=True)
class _Line:
    file: JournalFile
    data: bytes
    written: "asyncio.Future[int] | None" = None
    """Gets the offset; None: no task waits for it."""
    sync: bool = False
    """Whether it must also survive the death of the machine."""
    offset: int = 0


_Group = list[_Line] | threading.Event | None
"""What goes from thread to thread: lines, an event that is set when all lines before it are done, or the end (None)."""


@dataclass(slots=True)
class JournalWriter:
    """Writes the lines of all cells of this process. Use as a context manager around a run.

    The lines of one turn of the event loop go to the thread together, because that costs as much as writing a line.
    """

    failure: StorageFailed | None = None
    """Set once writing or syncing has failed; nothing is accepted afterwards."""
    _pending: list[_Line] = field(default_factory=list)
    """Lines of this turn of the event loop."""
    _to_write: "SimpleQueue[_Group]" = field(default_factory=SimpleQueue)
    _to_sync: "SimpleQueue[_Group]" = field(default_factory=SimpleQueue)
    _threads: tuple[threading.Thread, ...] = ()

    def __enter__(self) -> "JournalWriter":
        self._threads = (
            threading.Thread(target=self._write_all, name="journal-write", daemon=True),
            threading.Thread(target=self._sync_all, name="journal-sync", daemon=True),
        )
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._send_pending()
        self._to_write.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = ()

    def append(self, file: JournalFile, event: dict[str, Any]) -> None:
        """Have the writing thread append the line of an event to ``file``, without waiting for it. Raises
        ``StorageFailed`` if an earlier line, of any file, could not be written or synced."""
        self._put(_Line(file, encode(event)))

    async def write(self, file: JournalFile, event: dict[str, Any], *, sync: bool) -> int:
        """Append the line of an event to ``file``, wait until it is written (with ``sync`` also synced), and return its
        offset in bytes. Raises ``StorageFailed``, also for an earlier line.

        The line then survives the death of the process, and with ``sync`` that of the machine. A task that is cancelled
        while it waits does not keep the line from being written.
        """
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(_Line(file, encode(event), written, sync))
        return await written

    def wait_until_idle(self) -> None:
        """Block until the threads are done with all lines so far, written or failed: their files may be closed then.
        Returns at once outside the writer's ``with`` block."""
        self._send_pending()
        if self._threads:
            done = threading.Event()
            self._to_write.put(done)
            done.wait()

    def _put(self, line: _Line) -> None:
        if self.failure is not None:
            raise self.failure
        self._pending.append(line)
        if len(self._pending) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._send_pending)
            except RuntimeError:  # not in an event loop
                self._send_pending()

    def _send_pending(self) -> None:
        if self._pending:
            lines, self._pending = self._pending, []
            self._to_write.put(lines)

    def _write_all(self) -> None:
        """Body of the writing thread: writes groups of lines as they come and hands on what must be synced, until None
        arrives."""
        while True:
            group = self._to_write.get()
            if isinstance(group, list):
                self._write(group)
            else:
                self._to_sync.put(group)
                if group is None:
                    return

    def _write(self, lines: list[_Line]) -> None:
        """Write a group of lines, those of one file together (see ``_append``), and acknowledge them or hand them on to
        be synced.

        After a fault everything that is not written is refused: its waiting tasks get the failure.
        """
        files: dict[int, list[_Line]] = {}
        for line in lines:
            files.setdefault(id(line.file), []).append(line)
        written: list[_Line] = []
        for group in files.values():
            count = self._append(group) if self.failure is None else 0
            written += group[:count]
            if count < len(group):
                _acknowledge(group[count:], self.failure)
        _acknowledge([line for line in written if not line.sync], None)
        durable = [line for line in written if line.sync]
        if durable:
            self._to_sync.put(durable)

    def _append(self, lines: list[_Line]) -> int:
        """Append lines of one file (at least one) to it with one call, because each call hands the interpreter to
        another thread; sets the offsets of those written and returns how many are, counted from the first.

        Where the one call fails, they are written one by one up to the first that fails, too: that sets ``failure``,
        and the file ends with its last whole line if it can be cut. If none fails then, ``failure`` stays as it was.
        """
        file = lines[0].file
        with contextlib.suppress(OSError):
            offset = write_whole(file, b"".join([line.data for line in lines]))
            for line in lines:
                line.offset = offset
                offset += len(line.data)
            return len(lines)
        for number, line in enumerate(lines):
            try:
                line.offset = write_whole(file, line.data)
            except OSError as error:
                self._fail(file, error)
                return number
        return len(lines)

    def _sync_all(self) -> None:
        """Body of the syncing thread: syncs the lines that have come since the last sync together and sets the events
        behind them, until None arrives."""
        while True:
            group = self._to_sync.get()
            lines: list[_Line] = []
            while isinstance(group, list):
                lines += group
                try:
                    group = self._to_sync.get_nowait()
                except Empty:
                    break
            self._sync(lines)
            if isinstance(group, threading.Event):
                group.set()
            elif group is None:
                return

    def _sync(self, lines: list[_Line]) -> None:
        """Sync every file of a group of lines once and acknowledge the lines; after a fault, an earlier one too, it is
        not known what is on disk, so all of them are refused."""
        for file in {id(line.file): line.file for line in lines}.values():
            if self.failure is not None:
                break
            try:
                os.fdatasync(file.handle)
            except OSError as error:
                self._fail(file, error)
        _acknowledge(lines, self.failure)

    def _fail(self, file: JournalFile, error: OSError) -> None:
        self.failure = StorageFailed(
            f"cannot write {file.path}: {error.strerror or error}; what was acknowledged is safe"
        )


def _acknowledge(lines: list[_Line], failure: StorageFailed | None) -> None:
    """Have the event loop of waiting tasks give them the offsets of their lines, or ``failure`` if it is not None, all
    in one turn. May be called from any thread; lines for which no task waits are passed over."""
    waiting: dict[asyncio.AbstractEventLoop, list[_Line]] = {}
    for line in lines:
        if line.written is not None:
            waiting.setdefault(line.written.get_loop(), []).append(line)
    for loop, awaited in waiting.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: no task waits any more
            loop.call_soon_threadsafe(_resolve, awaited, failure)


def _resolve(lines: list[_Line], failure: StorageFailed | None) -> None:
    for line in lines:
        if line.written is None or line.written.done():  # done: the waiting attempt was cancelled
            continue
        if failure is None:
            line.written.set_result(line.offset)
        else:
            line.written.set_exception(failure)
