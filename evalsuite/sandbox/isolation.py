"""The walls around the zygote and the command that starts it in each.

``bubblewrap``  a file system that holds only the interpreter and the system's libraries, all read-only; no network;
                user, process and IPC namespaces of its own.
``podman``, ``docker``, ``apptainer``  the same folders in an otherwise empty container without network.

In each wall a job is alone: in bubblewrap it gets further namespaces of its own and an empty file system of limited
size (``nested``); where the system forbids that, and in containers, each job gets a zygote of its own.
"""

import json
import os
import platform
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from evalsuite.sandbox import containers
from evalsuite.sandbox.syscalls import NUMBERS
from evalsuite.sandbox.zygote import WARM

WALLS = ("bubblewrap", *containers.COMMANDS)
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
"""The whole environment of untrusted code; one BLAS thread, because forks and threads do not mix."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/alternatives")


@dataclass(frozen=True, slots=True)
class Wall:
    """One way to start a zygote on this machine."""

    name: str
    facts: str
    """What holds, for the results."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """Of the command itself; the zygote's is ``ENVIRONMENT``."""
    nested: bool
    """Whether jobs share a zygote, each in namespaces of its own."""


def program(name: str) -> str:
    """The absolute path of ``bwrap`` or of a container command, found in PATH; empty if there is none."""
    found = shutil.which(name)
    return os.path.abspath(found) if found else ""  # noqa: PTH100  # a link such as busybox's keeps its name


def missing(name: str) -> str:
    """Why the wall ``name`` cannot work here (system, machine or program); empty if it may. Starts nothing."""
    if not sys.platform.startswith("linux"):
        return f"it needs Linux, this is {sys.platform}"
    if platform.machine() not in NUMBERS:
        return f"no system call table for {platform.machine()} (there are {', '.join(NUMBERS)})"
    if name == "bubblewrap" and not program("bwrap"):
        return "bwrap is not installed"
    if name != "bubblewrap" and not program(name):
        return f"the command {name} is not installed"
    return ""


def wall(name: str, *, nested: bool, memory: int = MEMORY, disk: int = DISK, warm: Sequence[str] = WARM) -> Wall:
    """How to start a zygote in the wall ``name`` on this machine; starts none.

    ``nested``: jobs share a zygote, each in namespaces of its own; ``memory`` and ``disk``: bytes for a job; ``warm``:
    modules that it loads before its first job. Raises ``OSError`` if the program is missing or a container cannot be
    prepared, ``subprocess.TimeoutExpired`` if the program hangs.
    """
    root = name == "bubblewrap" and can_become_nobody()
    readable = [*_interpreter(), *(Path(path) for path in _SYSTEM)]
    place = room(readable)
    config = {
        "nested": nested,
        "memory": memory,
        "disk": disk,
        "processes": PROCESSES,
        "scratch": f"{place}/jobs",
        "uid": NOBODY if root else None,
        "warm": list(warm),
    }
    python = _python("zygote", json.dumps(config))
    alone = "namespaces of its own" if nested else "a process of its own"
    facts = f"{alone} for each job, seccomp, Linux {platform.release().partition('-')[0]}"
    if name == "bubblewrap":
        path = program("bwrap")
        command = (*_bwrap(path, readable, place, root=root, disk=None if nested else disk), *python)
        return Wall(name, f"{name}: {_version(path)}, {facts}", command, ENVIRONMENT, nested)
    prefix = containers.command(name, program(name), readable, place, disk, ENVIRONMENT)
    return Wall(name, f"{name}: {_version(program(name))}, {facts}", (*prefix, *python), os.environ, nested)


def room(readable: Sequence[Path]) -> str:
    """The folder for a wall's temporary files: ``/tmp``, or ``/evalsuite-jobs`` if one of
    ``readable`` lies below ``/tmp``.

    The wall's file system for temporary files covers that folder, and so would hide what is below it.
    """
    below = any(Path("/tmp") in path.parents for path in readable)
    return "/evalsuite-jobs" if below else "/tmp"


def can_become_nobody() -> bool:
    """Whether this process is root and the user ``NOBODY`` (65534) exists for it (not so in a user
    namespace without that user).
    """
    ranges = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    known = any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in ranges)
    return os.geteuid() == 0 and known


def _version(path: str) -> str:
    seconds = containers.ANSWER_SECONDS
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=seconds)
    return done.stdout.strip().partition(",")[0] or Path(path).name


def _bwrap(path: str, readable: Sequence[Path], place: str, *, root: bool, disk: int | None) -> list[str]:
    """The words of bubblewrap (program ``path``) before the interpreter's: no network, ``readable`` folders read-only.

    ``root``: no user namespace, so that the zygote can become nobody; ``place``: the temporary folder; ``disk``: its
    bytes, None for a zygote whose jobs have file systems of their own.
    """
    words = [path, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else ["--unshare-user"]
    words += ["--new-session", "--as-pid-1", "--proc", "/proc", "--dev", "/dev"]
    words += [*([] if disk is None else ["--size", str(disk)]), "--tmpfs", place]
    for parent in sorted({parent for path in readable for parent in path.parents} - {Path("/"), Path(place)}):
        words += ["--dir", str(parent)]  # else bwrap makes them closed to all but root
    for folder in readable:
        if folder.is_symlink() and str(folder) in _SYSTEM:
            words += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.exists():
            words += ["--ro-bind", str(folder), str(folder)]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def _python(module: str, *words: str) -> tuple[str, ...]:
    """The command that runs ``main`` of ``evalsuite.sandbox.<module>`` with the arguments ``words``.

    In the real interpreter (a virtual environment is only where libraries are imported from), without user folders or
    modules of the working directory.
    """
    extra = [str(path) for path in _libraries()]
    start = f"import sys; sys.path[:0] = {extra!r}; from evalsuite.sandbox.{module} import main; main()"
    return (str(Path(sys.executable).resolve()), "-s", "-P", "-B", "-c", start, *words)


def checker_command() -> tuple[str, ...]:
    """The command that starts the checker, which runs outside of every wall."""
    return _python("checker")


def _package() -> Path:
    return Path(__file__).resolve().parents[1]


def _libraries() -> list[Path]:
    """Folders to import from: that of the package, and those of NumPy, SciPy, SymPy, h5py and pandas
    where installed.
    """
    found = [_package().parent]
    for name in ("numpy", "scipy", "sympy", "h5py", "pandas"):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parents[1].resolve())
    return list(dict.fromkeys(found))


def _interpreter() -> list[Path]:
    """Real folders that hold the interpreter and its libraries, without ``/usr`` and what lies below it or another of
    them.

    Never the root, the home folder or the user's base folder.
    """
    places = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    places += [Path(sys.base_prefix), Path(sys.executable).resolve().parents[1], *_libraries()[1:], _package()]
    real = [path.resolve() for path in places]
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # never fails
    wide = {Path("/"), home.resolve(), Path(site.getuserbase()).resolve()}
    chosen = [path for path in dict.fromkeys(real) if path not in wide and path.is_dir()]
    covered = {Path("/usr"), *chosen}
    return [path for path in chosen if path != Path("/usr") and covered.isdisjoint(path.parents)]
