"""Journal lines of all cells of a process: written as they come, synced in groups, acknowledged when they are safe.

A disk may take seconds to sync, as network file systems do, or stand still for minutes. Neither may keep the event loop
from reading answers, and a sync must not keep the next reply from the kernel, which holds it even if this process dies
in the next moment. So one thread writes and another one syncs: all that was written while it was busy with one sync
shares the next.
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
    """Who waits for the offset."""
    sync: bool = False
    """Whether it must survive the death of the machine, too."""
    offset: int = 0


_Group = list[_Line] | threading.Event | None
"""What goes from thread to thread: lines, someone who waits until all before it is settled, or the end (None)."""


@dataclass(slots=True)
class JournalWriter:
    """Writes the lines of all cells of this process. Use as a context manager around a run.

    What one turn of the event loop has to write goes over at once, because handing over costs as much as writing a
    line.
    """

    failure: StorageFailed | None = None
    """Set once writing or syncing has failed; nothing is accepted afterwards."""
    _gathered: list[_Line] = field(default_factory=list)
    """Of this turn of the event loop."""
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
        self._hand_over()
        self._to_write.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = ()

    def note(self, file: JournalFile, event: dict[str, Any]) -> None:
        """Append without waiting. Raises ``StorageFailed`` if an earlier line could not be written."""
        self._put(_Line(file, encode(event)))

    async def write(self, file: JournalFile, event: dict[str, Any], *, sync: bool) -> int:
        """Append, wait until it is written, so that it survives the death of the process (``sync``: of the machine),
        and return its offset. Raises ``StorageFailed``."""
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(_Line(file, encode(event), written, sync))
        return await written

    def settle(self) -> None:
        """Return when the threads are done with everything so far, done well or not: its files may be closed then."""
        self._hand_over()
        if self._threads:
            settled = threading.Event()
            self._to_write.put(settled)
            settled.wait()

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
        if self._gathered:
            lines, self._gathered = self._gathered, []
            self._to_write.put(lines)

    def _write_all(self) -> None:
        """The writing thread."""
        while True:
            group = self._to_write.get()
            if isinstance(group, list):
                self._write(group)
            else:
                self._to_sync.put(group)
                if group is None:
                    return

    def _write(self, lines: list[_Line]) -> None:
        """Write a group, the lines of one file at once; after a fault refuse everything that is not written."""
        files: dict[int, list[_Line]] = {}
        for line in lines:
            files.setdefault(id(line.file), []).append(line)
        written: list[_Line] = []
        for group in files.values():
            count = self._append(group) if self.failure is None else 0
            written += group[:count]
            if count < len(group):
                _tell(group[count:], self.failure)
        _tell([line for line in written if not line.sync], None)
        durable = [line for line in written if line.sync]
        if durable:
            self._to_sync.put(durable)

    def _append(self, lines: list[_Line]) -> int:
        """Append lines to their file with one call, because each call hands the interpreter to another thread; returns
        how many are written. Where that fails, they are written one by one: those that still fit are kept, and the
        file ends with its last whole line."""
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
        """The syncing thread."""
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
        """Sync every file of a group once. After a fault nobody knows what is on disk, so all of it is refused."""
        for file in {id(line.file): line.file for line in lines}.values():
            if self.failure is not None:
                break
            try:
                os.fdatasync(file.handle)
            except OSError as error:
                self._fail(file, error)
        _tell(lines, self.failure)

    def _fail(self, file: JournalFile, error: OSError) -> None:
        self.failure = StorageFailed(
            f"cannot write {file.path}: {error.strerror or error}; what was acknowledged is safe"
        )


def _tell(lines: list[_Line], failure: StorageFailed | None) -> None:
    """Let those who wait for these lines go on, all of them in one turn of their event loop."""
    waiting: dict[asyncio.AbstractEventLoop, list[_Line]] = {}
    for line in lines:
        if line.written is not None:
            waiting.setdefault(line.written.get_loop(), []).append(line)
    for loop, found in waiting.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits any more
            loop.call_soon_threadsafe(_resolve, found, failure)


def _resolve(lines: list[_Line], failure: StorageFailed | None) -> None:
    for line in lines:
        if line.written is None or line.written.done():  # done: the waiting attempt was cancelled
            continue
        if failure is None:
            line.written.set_result(line.offset)
        else:
            line.written.set_exception(failure)
