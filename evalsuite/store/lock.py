"""One writer per cell: a lock file that says who holds it, on any file system and across hosts."""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

from evalsuite.errors import CellInUse, StorageFailed

LOCK = "lock"
STALE_SECONDS = 120.0
"""Without a sign of life for this long, a holder on another host counts as dead."""
BEAT_SECONDS = 20.0
"""How often a holder shows that it lives."""


def _started(pid: int) -> str:
    """Start time of a process in clock ticks, as the kernel counts them; empty where that cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _dead(path: Path, now: float) -> tuple[bool, str]:
    """Whether the holder named in a lock file is certainly gone, and who it is; ``now`` as file times tell it."""
    try:
        age = now - path.stat().st_mtime
        holder = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True, ""
    except (json.JSONDecodeError, UnicodeDecodeError):
        return age > STALE_SECONDS, "an unreadable lock file"
    who = f"process {holder.get('pid')} on {holder.get('host')}"
    if holder.get("host") == socket.gethostname() and holder.get("boot") == _boot():
        return _started(int(holder["pid"])) != holder.get("started"), who
    return age > STALE_SECONDS, who


def acquire(folder: Path) -> Path:
    """Take the lock of a cell and return its path. Raises ``CellInUse`` naming the holder."""
    path = folder / LOCK
    pid = os.getpid()
    me = {"host": socket.gethostname(), "pid": pid, "boot": _boot(), "started": _started(pid)}
    own = folder / f".{LOCK}.{me['host']}.{pid}"
    try:
        own.write_text(json.dumps(me), encoding="utf-8")
        now = own.stat().st_mtime  # by the clock that times the holder's signs of life, which may not be this host's
        for _ in range(3):
            try:
                os.link(own, path)  # atomic everywhere, and the file is never seen half written
            except FileExistsError:
                dead, who = _dead(path, now)
                if not dead:
                    raise CellInUse(f"{folder} is being written by {who}; wait for it or stop it") from None
                path.unlink(missing_ok=True)
            else:
                return path
    except OSError as error:
        raise StorageFailed(f"cannot lock {folder}: {error.strerror or error}") from None
    finally:
        release(own)
    raise CellInUse(f"{folder} changes hands too quickly; try again")


def held(folder: Path) -> str:
    """Who writes a cell now, in words; empty: nobody, or someone who is certainly gone."""
    dead, who = _dead(folder / LOCK, time.time())
    return "" if dead else who


def beat(path: Path) -> None:
    """Show that the holder lives. A disk that refuses this is noticed by the journal, which has more to lose."""
    with contextlib.suppress(OSError):
        os.utime(path)


def release(path: Path) -> None:
    """Give the lock back. Where it cannot be removed, its holder's death frees it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
