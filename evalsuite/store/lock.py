"""One writer per cell: a lock file that names its holder, on any file system and across hosts."""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

from evalsuite.errors import CellInUse, StorageFailed

LOCK = "lock"
STALE_SECONDS = 120.0
"""A holder on another host that has not touched its lock for this long counts as dead."""
BEAT_SECONDS = 20.0
"""How often a holder touches its lock."""
LEFTOVER_SECONDS = 3600.0
"""Temporary files untouched for this long were left by a process that died while it replaced a file."""


def _started(pid: int) -> str:
    """Start time of the process ``pid`` on this host, in clock ticks of the kernel as digits; empty where it cannot be
    read, as where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    """Identifier of the kernel's namespace in which this process has its id; empty where it cannot be read."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _dead(path: Path, now: float) -> tuple[bool, str]:
    """(whether the holder of the lock file ``path`` is dead, the holder in words); (True, "") if there is no lock.

    On this host, boot and process namespace (a lock that states no namespace counts as of this one) the process is
    looked up; elsewhere, and where the file holds something else than a lock, one untouched for more than
    ``STALE_SECONDS`` (120) counts as dead. ``now``: seconds in file time. Raises ``OSError`` if it cannot be read.
    """
    try:
        age = now - path.stat().st_mtime
        holder = json.loads(path.read_text(encoding="utf-8"))
        same_kernel = holder.get("host") == socket.gethostname() and holder.get("boot") == _boot()
        started = _started(int(holder["pid"])) if same_kernel else ""
    except FileNotFoundError:
        return True, ""
    except (ValueError, AttributeError, KeyError, TypeError, OverflowError, RecursionError):
        return age > STALE_SECONDS, "an unreadable lock file"
    process = f"process {holder.get('pid')} on {holder.get('host')}"
    if same_kernel and holder.get("pid_namespace", _pid_namespace()) == _pid_namespace():
        return started != holder.get("started"), process  # in another namespace the number is another process's
    return age > STALE_SECONDS, process


def acquire(folder: Path) -> Path:
    """Take the lock of the cell in ``folder``, replacing that of a dead holder, and return the lock file's path.

    Temporary files in the folder (``.*.tmp``) that are older than an hour are removed. Raises ``CellInUse`` naming the
    holder (this process, too, if it holds it), or after three tries at a lock that others take and leave;
    ``StorageFailed`` if a lock file cannot be written, read or removed.
    """
    path = folder / LOCK
    pid = os.getpid()
    holder = {"host": socket.gethostname(), "pid": pid, "boot": _boot(), "started": _started(pid)}
    holder["pid_namespace"] = _pid_namespace()
    own = folder / f".{LOCK}.{holder['host']}.{pid}"
    try:
        own.write_text(json.dumps(holder), encoding="utf-8")
        now = own.stat().st_mtime  # by the clock of the file system, which may not be this host's
        for _ in range(3):
            try:
                os.link(own, path)  # atomic everywhere, and the file is never seen half written
            except FileExistsError:
                dead, process = _dead(path, now)
                if not dead:
                    raise CellInUse(f"{folder} is being written by {process}; wait for it or stop it") from None
                path.unlink(missing_ok=True)
            else:
                _remove_leftovers(folder, now)
                return path
    except OSError as error:
        raise StorageFailed(f"cannot lock {folder}: {error.strerror or error}") from None
    finally:
        release(own)
    raise CellInUse(f"{folder} changes hands too quickly; try again")


def _remove_leftovers(folder: Path, now: float) -> None:
    """Remove temporary files (``.*.tmp``) from a cell's folder that are older than ``LEFTOVER_SECONDS`` at ``now``
    (seconds in file time), as killed writers leave them. Those that cannot be looked up or removed stay."""
    for temporary in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # a live writer may have moved it meanwhile
            if now - temporary.stat().st_mtime > LEFTOVER_SECONDS:
                temporary.unlink()


def holder_of(folder: Path) -> str:
    """The process that holds a cell's lock, in words for messages (``an unreadable lock file`` if the file does not
    state it and was touched within the last 120 s); empty if there is no lock or its holder is dead. Raises ``OSError``
    if it cannot be read."""
    dead, process = _dead(folder / LOCK, time.time())
    return "" if dead else process


def show_alive(path: Path) -> None:
    """Set the time of the lock file ``path`` to now: its holder is alive. An ``OSError``, as of a missing file, is
    ignored."""
    with contextlib.suppress(OSError):
        os.utime(path)


def release(path: Path) -> None:
    """Remove the lock file ``path``, if it is there. Where that fails nothing is raised: the lock ends with the death
    of its holder."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
