"""One job inside the sandbox: the supervisor that starts, watches and ends the untrusted process.

Runs in the zygote's forks only. Its report goes through a pipe that untrusted code never holds.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox.untrusted import Isolation, start

PREPARING_SECONDS = 120.0
"""Most time for namespaces and the trusted imports; the job's own time starts after them."""
KILLING_SECONDS = 10.0
TICK_SECONDS = 0.02
PAGE = os.sysconf("SC_PAGE_SIZE")


def supervise(request: Mapping[str, Any], values: int, report: int, walls: Isolation) -> None:
    """Run one job in a child to its end, kill all its processes, remove its folder, and report.

    ``request``: sources and ``timeout`` (seconds); ``values``: descriptor to which the job writes, closed here;
    ``report``: descriptor that gets a JSON object with ``end`` (``done``, ``timeout``, ``memory``, ``processes``, or
    ``fault`` where the job could not start or be ended, or was given up), ``text`` (why, often empty), ``clean``
    (whether the process ended by itself with exit status 0) and ``seconds`` of untrusted code.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    lockdown.subreaper()
    folder = walls.scratch / f"job-{os.getpid()}"
    folder.mkdir(mode=0o700)
    resident, mapped = _statm("self")
    ready_read, ready_write = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.close(ready_read)
        os.close(report)
        start(request, values, ready_write, folder, walls, mapped)
    os.close(values)
    os.close(ready_write)
    end, text, status, began = "fault", "", 1, time.monotonic()
    try:
        text = _readiness(ready_read, report)
        began = time.monotonic()
        if text == "R":
            end, text, status = _watch(leader, report, began + request["timeout"], walls, resident)
    finally:
        seconds = time.monotonic() - began
        if not _kill_all():
            end, text = "fault", "processes of the job could not be ended"
        _remove(folder)
        with contextlib.suppress(BrokenPipeError):
            os.write(report, json.dumps({"end": end, "text": text, "clean": not status, "seconds": seconds}).encode())


def _readiness(ready: int, report: int) -> str:
    """Wait for the descriptor ``ready``: ``R`` once the untrusted code is about to start, else why it could not (a
    text for people).

    Gives up after 120 s (``PREPARING_SECONDS``), or when the reader of ``report`` has closed it. Closes ``ready`` but
    in the last case.
    """
    deadline = time.monotonic() + PREPARING_SECONDS
    text = b""
    while time.monotonic() < deadline:
        readable, _, _ = select.select([ready], [], [], 0.2)
        if readable:
            chunk = os.read(ready, 4096)
            text += chunk
            if not chunk or text == b"R":
                break
        elif _hung_up(report):
            return "given up"
    os.close(ready)
    return text.decode(errors="replace") or "the walls could not be put up in time"


def _watch(leader: int, report: int, deadline: float, walls: Isolation, resident: int) -> tuple[str, str, int]:
    """Wait for the process ``leader`` or for the first limit that the job breaks: (end, text, wait status).

    ``end`` is ``done``, ``timeout``, ``memory``, ``processes`` or ``fault`` (closed or given up from outside); ``text``
    explains it, often empty; the status is 1 unless ``done``. ``deadline`` is a time of ``time.monotonic``;
    ``resident``: bytes of memory that each process has from the zygote and that do not count.
    """
    while True:
        caught = signal.sigtimedwait([signal.SIGCHLD, signal.SIGTERM], TICK_SECONDS)
        if caught is not None and caught.si_signo == signal.SIGTERM:
            return "fault", "the sandbox was closed", 1
        with contextlib.suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if child[0] == leader:
                    return "done", "", child[1]
        if time.monotonic() > deadline:
            return "timeout", "", 1
        if _hung_up(report):
            return "fault", "given up", 1
        below = descendants(os.getpid())
        used = sum(max(0, _statm(str(pid))[0] - resident) for pid in below)
        if used > walls.memory:
            return "memory", f"{used >> 20} MiB", 1
        if len(below) > 2 * walls.processes:  # where no other limit counts the job alone
            return "processes", f"more than {walls.processes}", 1


def _hung_up(report: int) -> bool:
    poll = select.poll()
    poll.register(report, 0)
    return bool(poll.poll(0))


def _statm(pid: str) -> tuple[int, int]:
    """(resident, mapped) bytes of the process ``pid`` (or ``self``); zeros for a process that is gone."""
    try:
        mapped, resident = Path("/proc", pid, "statm").read_text().split()[:2]
    except (OSError, ValueError):
        return 0, 0
    return int(resident) * PAGE, int(mapped) * PAGE


def descendants(root: int) -> list[int]:
    """Ids of all processes below the process ``root``, without it, in no certain order; orphans count where a subreaper
    (``root`` or one below it) adopts them.
    """
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int(Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, rest = [], [root]
    while rest:
        below = parents.get(rest.pop(), [])
        found += below
        rest += below
    return found


def _kill_all() -> bool:
    """Kill all descendants of this process and wait for them; True once it has no child left, False after 10 s
    (``KILLING_SECONDS``).
    """
    deadline = time.monotonic() + KILLING_SECONDS
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return True
        signal.sigtimedwait([signal.SIGCHLD], 0.01)
    return False


def _remove(folder: Path) -> None:
    """Delete a folder with all that is in it, making folders writable again that the job had closed;
    errors are ignored.
    """
    rest = [folder]
    while rest:
        with contextlib.suppress(OSError):
            inner = rest.pop()
            inner.chmod(0o700)
            rest += [path for path in inner.iterdir() if path.is_dir() and not path.is_symlink()]
    shutil.rmtree(folder, ignore_errors=True)
