"""What a snippet may have done outside of its wall: processes, files, sockets, memory, limits of others."""

import ctypes
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.sandbox.client import Sandbox
from evalsuite.sandbox.supervisor import descendants


def trees(box: Sandbox) -> set[int]:
    """Processes that are the sandbox's own: its zygotes, and its checker."""
    own = [zygote.process.pid for zygote in box._zygotes]
    checker = box._checker._process
    own += [] if checker is None else [checker.pid]
    return {pid for root in own for pid in (root, *descendants(root))}


def left(known: set[int]) -> set[int]:
    """Living descendants that are not ``known``; the job's supervisor has a moment to leave."""
    deadline = time.monotonic() + 10
    while living := {pid for pid in set(descendants(os.getpid())) - known if _state(pid) not in ("", "Z")}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return living


def _state(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    return ""


def command(pid: int) -> str:
    """The command line of a process, as far as it is there."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:60]
    return str(pid)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def own_state() -> tuple[Any, ...]:
    """What another process could change of this one: limits, priority, processors."""
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    return (*limits, os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)))


def files(folder: Path) -> set[tuple[str, tuple[Any, ...]]]:
    """Path and state of what must not change: home, the folder outside, targets, interpreter, libraries."""
    paths = [path for place in (folder / "home", folder / "outside") for path in (place, *place.rglob("*"))]
    paths += [folder / "targets.h5", Path(sys.executable).resolve(), Path(os.__file__), Path(np.__file__)]
    return {(str(path), _attributes(path)) for path in paths}


def _attributes(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    kept = (found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns, found.st_size)
    return (*kept, *(() if path.is_symlink() else os.listxattr(path)))


def marked(mark: str, folder: Path) -> list[str]:
    """Files outside whose name holds the snippet's own word."""
    places = ["/dev/shm", "/dev/mqueue", "/var/tmp", "/tmp", "/run", "/etc", "/usr/lib", "/", str(folder / "user")]
    places += [str(Path(np.__file__).parents[1]), str(Path(os.__file__).parent), str(folder)]
    found = []
    for place in places:
        with suppress(OSError):
            found += [entry.path for entry in os.scandir(place) if mark in entry.name]
    return found


@contextmanager
def listeners() -> Iterator[set[str]]:
    """Names of the listening sockets that were reached."""
    reached: set[str] = set()
    stream, datagram = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    abstract = socket.socket(socket.AF_UNIX)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with stream, datagram, abstract:
        stream.bind(("127.0.0.1", 45871))
        datagram.bind(("127.0.0.1", 45872))
        abstract.bind("\0relcanary")
        stream.listen()
        abstract.listen()
        yield reached
        for name, one in (("TCP", stream), ("UDP", datagram), ("an abstract socket", abstract)):
            one.setblocking(False)
            try:
                one.recv(1) if one is datagram else one.accept()[0].close()
                reached.add(name)
            except BlockingIOError:
                continue


@contextmanager
def watched() -> Iterator[list[int]]:
    """The peak of the memory of all processes that are not there yet, in its one element."""
    peak, over = [0], threading.Event()
    before = set(descendants(os.getpid()))

    def look() -> None:
        while not over.wait(0.03):
            peak[0] = max(peak[0], sum(_resident(pid) for pid in set(descendants(os.getpid())) - before))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def _resident(pid: int) -> int:
    """Bytes of memory of its own (what it shares with the zygote is not counted twice)."""
    try:
        parts: list[Any] = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(parts[1]) - int(parts[2])) * os.sysconf("SC_PAGE_SIZE")
