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


def _started(pid: int) -> str:
    """Start time of a process in clock ticks of the kernel; empty where it cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    """The namespace in which this process has its number; empty where the kernel has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _dead(path: Path, now: float) -> tuple[bool, str]:
    """(whether the holder of a lock file is certainly dead, the holder in words); ``now`` is in file time, seconds."""
    try:
        age = now - path.stat().st_mtime
        holder = json.loads(path.read_text(encoding="utf-8"))
        same_kernel = holder.get("host") == socket.gethostname() and holder.get("boot") == _boot()
        started = _started(int(holder["pid"])) if same_kernel else ""
    except FileNotFoundError:
        return True, ""
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return age > STALE_SECONDS, "an unreadable lock file"
    process = f"process {holder.get('pid')} on {holder.get('host')}"
    if same_kernel and holder.get("pid_namespace", _pid_namespace()) == _pid_namespace():
        return started != holder.get("started"), process  # in another namespace the number is another process's
    return age > STALE_SECONDS, process


def acquire(folder: Path) -> Path:
    """Take the lock of a cell and return its path. Raises ``CellInUse`` naming the holder."""
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
                return path
    except OSError as error:
        raise StorageFailed(f"cannot lock {folder}: {error.strerror or error}") from None
    finally:
        release(own)
    raise CellInUse(f"{folder} changes hands too quickly; try again")


def holder_of(folder: Path) -> str:
    """The process that writes a cell now, in words; empty if there is none, or it is certainly dead."""
    dead, process = _dead(folder / LOCK, time.time())
    return "" if dead else process


def show_alive(path: Path) -> None:
    """Touch the lock: its holder is alive. A disk that refuses this is reported by the journal's own writes."""
    with contextlib.suppress(OSError):
        os.utime(path)


def release(path: Path) -> None:
    """Release the lock. Where it cannot be removed, it ends with the death of its holder."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
