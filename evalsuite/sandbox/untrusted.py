"""The untrusted process itself: its walls, and what it says of itself."""

import contextlib
import json
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox.serialization import encode
from evalsuite.sandbox.split_tests import EMIT

OPEN_FILES = 256


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the zygote was told to put around each job."""

    namespaces: bool
    landlock: bool
    seccomp: bool
    deny_signals: bool
    """No other wall keeps signals inside."""
    scratch: Path
    """Folder in which each job gets one of its own; with namespaces, the folder above it is the job's alone."""
    readable: tuple[Path, ...]
    memory: int
    """Bytes, all processes of the job together, on top of what the zygote has loaded."""
    disk: int
    """Bytes of files."""
    processes: int


def start(request: Mapping[str, Any], values: int, ready: int, folder: Path, walls: Isolation, mapped: int) -> None:
    """In the job's first process: put up the walls, then run. Never returns."""
    try:
        os.setsid()
        processes = _processes(walls)
        if walls.namespaces:
            lockdown.new_namespaces(walls.scratch.parent, walls.disk)
            folder.mkdir(parents=True)
            inner = os.fork()
            if inner:
                os.closerange(3, OPEN_FILES)
                os.waitpid(inner, 0)
                os._exit(0)
        _enclose(folder, walls, mapped, processes, {values, ready})
        names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        _seed()
        exec(compile(request["imports"], "<imports>", "exec"), names)
    except BaseException as error:  # noqa: BLE001  # whatever it is, nothing has been run yet
        os.write(ready, f"{type(error).__name__}: {error}"[:2000].encode(errors="replace"))
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.write(ready, b"R")
    os.close(ready)
    try:
        _run(request, values, names)
    finally:
        os._exit(0)


def _seed() -> None:
    """The same random numbers for each job, so that the same code has the same verdict."""
    random.seed(0)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(0)


def _processes(walls: Isolation) -> int:
    """RLIMIT_NPROC: since Linux 5.14 it counts within a user namespace, else all that this user runs."""
    if walls.namespaces:
        release = os.uname().release.split(".")
        return walls.processes if (int(release[0]), int(release[1])) >= (5, 14) else 64 * walls.processes
    running, me = 0, os.getuid()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == me:
                    running += len(os.listdir(f"{entry.path}/task"))  # noqa: PTH208
    return running + walls.processes


def _enclose(folder: Path, walls: Isolation, mapped: int, processes: int, keep: set[int]) -> None:
    """Limits, files, privileges, system calls: in an order in which each step can still be made."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    for handle in range(3, OPEN_FILES):
        if handle not in keep:
            with contextlib.suppress(OSError):
                os.close(handle)
    os.chdir(folder)
    os.environ.update(TMPDIR=str(folder), HOME=str(folder), MPLCONFIGDIR=str(folder))
    limits = {
        resource.RLIMIT_AS: mapped + walls.memory,
        resource.RLIMIT_FSIZE: walls.disk,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    lockdown.no_new_privileges()
    if walls.namespaces:
        lockdown.capabilities(0)
    if walls.landlock:
        lockdown.landlock(walls.readable, [folder, Path("/dev/null")])
    if walls.seccomp:
        lockdown.seccomp(deny_signals=walls.deny_signals)


def _run(request: Mapping[str, Any], values: int, names: dict[str, Any]) -> None:
    """The untrusted code and the inner halves of the tests; everything said here is data, never a verdict."""
    with open(values, "w", encoding="utf-8", errors="surrogatepass") as out:

        def say(frame: dict[str, Any]) -> None:
            out.write(json.dumps(frame) + "\n")
            out.flush()

        def emit(site: int, value: Callable[[], Any]) -> None:
            try:
                tree = encode(value())
            except Exception as error:  # noqa: BLE001  # the answer's own, of any kind
                say({"site": site, "error": _told(error)})
            else:
                say({"site": site, "value": tree})

        names[EMIT] = emit
        test = -1
        try:
            exec(compile(request["code"], "<answer>", "exec"), names)
            for test, inside in enumerate(request["tests"]):
                exec(compile(inside, f"<test {test + 1}>", "exec"), names)
                say({"end": test})
        except BaseException as error:  # noqa: BLE001  # SystemExit and whatever else an answer raises
            say({"test": test, "error": _told(error)})


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:  # noqa: BLE001  # its text is the answer's code as well
        return "an exception that cannot be shown"
