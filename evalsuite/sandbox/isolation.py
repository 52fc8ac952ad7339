"""The kinds of isolation, strongest first, and how the zygote is started in each.

``bubblewrap``  a file system that holds only the interpreter, no network, no processes but its own; on top of it, for
                each job: namespaces (process, network, IPC, mount, user), a scratch file system of limited size,
                Landlock where the kernel has it, seccomp, limits.
``bubblewrap_shared``  the same box, where the system forbids further namespaces in it (Ubuntu's AppArmor profile for
                bwrap): jobs share the zygote's, and are kept apart as in the next tier.
``landlock``    no namespaces (containers that forbid them): each job is held by Landlock, seccomp and limits; its
                processes are adopted and ended by its supervisor, its files are counted.
``plain``       limits only. Untrusted code can read and change all that its user can: for trusted answers alone, and
                never chosen unless named.
"""

import json
import os
import platform
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox.syscalls import NUMBERS
from evalsuite.sandbox.zygote import WARM

TIERS = ("bubblewrap", "bubblewrap_shared", "landlock", "plain")
ISOLATING = TIERS[:3]
NOBODY = 65534
MEMORY, DISK, PROCESSES = 4 << 30, 256 << 20, 64
"""Of one job: bytes of memory, bytes of files, processes and threads."""
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that untrusted code sees of an environment; one BLAS thread, because forks and threads do not mix."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/alternatives")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Tier:
    """One way to start the zygote on this machine."""

    name: str
    facts: str
    """What holds, for the results."""
    command: tuple[str, ...]
    scratch: Path | None
    """Folder on this side to make before and remove after; None: inside only."""


def missing(name: str) -> str:
    """Why a tier cannot work here, empty if it may."""
    if not sys.platform.startswith("linux"):
        return f"it needs Linux, this is {sys.platform}"
    if name == "plain":
        return ""
    if platform.machine() not in NUMBERS:
        return f"no system call table for {platform.machine()} (there are {', '.join(NUMBERS)})"
    if name.startswith("bubblewrap") and shutil.which("bwrap") is None:
        return "bwrap is not installed (package bubblewrap of the distribution)"
    if name != "bubblewrap" and lockdown.landlock_version() == 0:
        return "the kernel has no Landlock (Linux 5.13 or later, enabled at boot)"
    return ""


def tier(name: str, scratch: Path, *, memory: int = MEMORY, disk: int = DISK, warm: Sequence[str] = WARM) -> Tier:
    """How to start ``name`` here; ``scratch`` is a new name in the temporary folder for the tiers that need one."""
    root, version = can_become_nobody(), lockdown.landlock_version()
    boxed = name.startswith("bubblewrap")
    readable = [*_interpreter(), *(Path(path) for path in (*_SYSTEM, *_DEVICES))]
    config = {
        "namespaces": name == "bubblewrap",
        "landlock": name != "plain" and version > 0,
        "seccomp": name != "plain",
        "deny_signals": name in ("bubblewrap_shared", "landlock") and version < 6,
        "memory": memory,
        "disk": disk,
        "processes": PROCESSES,
        "scratch": f"{room(readable)}/jobs" if boxed else str(scratch),
        "readable": [str(path) for path in readable],
        "own_tmp": boxed,
        "uid": NOBODY if root and name != "plain" else None,
        "keep_reading": name == "landlock" and root and not _open_to_others(_interpreter()),
        "warm": list(warm),
    }
    python = _python(config)
    kernel = f"Linux {platform.release().partition('-')[0]}"
    if not boxed:
        facts = f"landlock {version}, seccomp, {kernel}" if name == "landlock" else "limits only"
        return Tier(name, f"{name}: {facts}", python, scratch)
    own = "namespaces of its own for each job, " if name == "bubblewrap" else ""
    walls = f"{own}{f'landlock {version}, ' if version else ''}seccomp, {kernel}"
    return Tier(name, f"{name}: {_bwrap_version()}, {walls}", (*_bwrap(readable, root), *python), None)


def room(readable: Sequence[Path]) -> str:
    """Where a box has its temporary files: each job's own file system covers it, so no library may lie below."""
    below = any(Path("/tmp") in path.parents for path in readable)
    return "/evalsuite-jobs" if below else "/tmp"


def can_become_nobody() -> bool:
    """Whether this is root, and not only its name in a user namespace that knows no other user."""
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    known = any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in ranges)
    return os.geteuid() == 0 and known


def _bwrap_version() -> str:
    said = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    return said.strip() or "bubblewrap"


def _bwrap(readable: Sequence[Path], root: bool) -> list[str]:
    """As root without a user namespace, so that the zygote can become nobody; else with one."""
    words = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else ["--unshare-user"]
    words += ["--new-session", "--proc", "/proc", "--dev", "/dev", "--tmpfs", room(readable)]
    for parent in sorted({parent for path in readable for parent in path.parents} - {Path("/"), Path(room(readable))}):
        words += ["--dir", str(parent)]  # else bwrap makes them closed to all but root
    for path in readable:
        if path.is_symlink() and str(path) in _SYSTEM:
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists() and str(path) not in _DEVICES:
            words += ["--ro-bind", str(path), str(path)]
    return [*words, "--chdir", "/"]


def _python(config: dict[str, Any]) -> tuple[str, ...]:
    """The interpreter without user folders or site customisation of the working directory."""
    extra = [str(path) for path in _libraries()]
    start = f"import sys; sys.path[:0] = {extra!r}; from evalsuite.sandbox.zygote import main; main()"
    return (sys.executable, "-s", "-P", "-B", "-c", start, json.dumps(config))


def judge_command() -> tuple[str, ...]:
    """How the judge is started, beside the zygote and outside of every wall."""
    extra = [str(path) for path in _libraries()]
    start = f"import sys; sys.path[:0] = {extra!r}; from evalsuite.sandbox.checker import main; main()"
    return (sys.executable, "-s", "-P", "-B", "-c", start)


def _package() -> Path:
    return Path(__file__).parents[1]


def _libraries() -> list[Path]:
    """Folders to import from: the package's own, and where the libraries lie."""
    found = [_package().parent]
    for name in ("numpy", "scipy", "sympy"):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parents[1])
    return list(dict.fromkeys(found))


def _interpreter() -> list[Path]:
    """Folders that hold the interpreter and its libraries, and nothing else of the user's."""
    site_packages = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    places = [Path(sys.base_prefix), Path(sys.prefix), Path(sys.executable).resolve().parents[1], *site_packages]
    places += [*_libraries()[1:], _package()]
    wide = {Path("/"), Path(os.path.expanduser("~")), Path(site.getuserbase())}  # noqa: PTH111  # never fails
    chosen = [path for path in dict.fromkeys(places) if path not in wide and path.is_dir()]
    covered = {Path("/usr"), *chosen}
    return [path for path in chosen if path != Path("/usr") and covered.isdisjoint(path.parents)]


def _open_to_others(places: Sequence[Path]) -> bool:
    """Whether any user can reach these folders."""
    return all(path.stat().st_mode & 0o001 for place in places for path in (place, *place.parents))
