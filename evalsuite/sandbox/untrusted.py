"""The untrusted process itself: its walls, and the values that it writes."""

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
HANDLES = 4096
"""No descriptor that a zygote has open is higher."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the zygote puts around each job."""

    nested: bool
    """Each job gets namespaces of its own; else the zygote's are the job's, and the zygote serves no second one."""
    scratch: Path
    """Folder in which each job gets one of its own; the folder above it is a file system of limited size."""
    memory: int
    """Bytes, all processes of the job together, on top of what the zygote has loaded."""
    disk: int
    """Bytes of files, those without a name included."""
    processes: int
    """Processes and threads."""


def start(request: Mapping[str, Any], values: int, ready: int, folder: Path, walls: Isolation, mapped: int) -> None:
    """In the job's forked process: put up the walls, then run the untrusted code. Never returns: the process ends.

    ``request``: ``imports``, ``code`` and ``tests`` as source; ``values`` and ``ready`` are descriptors to write to
    (``R`` to the latter, or why it cannot start); ``folder``: the job's own; ``mapped``: bytes the zygote has mapped.
    The exit status is 0 whatever the code raises, another if it cannot start, is killed or ends the process itself with
    another.
    """
    try:
        os.setsid()
        lockdown.dumpable(True)
        if walls.nested:
            lockdown.new_namespaces(walls.scratch.parent, walls.disk)
            folder.mkdir(parents=True)
            inner = os.fork()
            if inner:
                os.closerange(3, HANDLES)
                os._exit(int(os.waitpid(inner, 0)[1] != 0))
        _enclose(folder, walls, mapped, {values, ready})
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
    """Seed the global random numbers of Python, and of NumPy if it is loaded, with 0, so that code that draws from
    these draws the same each time.
    """
    random.seed(0)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(0)


def _process_limit(walls: Isolation) -> int:
    """The value of RLIMIT_NPROC: the job's limit where the kernel counts the job alone (in a user namespace, since
    Linux 5.14).

    Else 64 times as many, as other processes of this user count, too; then the supervisor counts those of the job.
    """
    release = os.uname().release.split(".")
    counted = walls.nested and (int(release[0]), int(release[1])) >= (5, 14)
    return walls.processes if counted else 64 * walls.processes


def _enclose(folder: Path, walls: Isolation, mapped: int, keep: set[int]) -> None:
    """Close all descriptors but the two of ``keep``, set limits, give up privileges, filter system calls: for good.

    Standard input and outputs become /dev/null. Enters ``folder``, which becomes HOME and TMPDIR. ``mapped``: bytes on
    top of which the memory limit counts. Raises ``OSError`` if the kernel refuses.
    """
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    low, high = sorted(keep)
    for first, last in ((3, low), (low + 1, high), (high + 1, HANDLES)):
        os.closerange(first, last)
    os.chdir(folder)
    os.environ.update(TMPDIR=str(folder), HOME=str(folder), MPLCONFIGDIR=str(folder))
    limits = {
        resource.RLIMIT_AS: mapped + walls.memory,
        resource.RLIMIT_FSIZE: walls.disk,
        resource.RLIMIT_NPROC: _process_limit(walls),
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    lockdown.no_new_privileges()
    lockdown.drop_capabilities()
    lockdown.seccomp(signals_to=None if walls.nested else os.getpid())


def _run(request: Mapping[str, Any], values: int, names: dict[str, Any]) -> None:
    """Run the untrusted code, then the inner halves of the tests, with ``names`` as their globals.

    Writes a JSON line for each captured value and each test's end to the descriptor ``values``, and closes it; all of
    it is data, never a verdict. Where computing a value raises an ``Exception``, its line states that, and the test
    goes on; any other exception ends the run, is caught and written, with the number of the test (-1: the answer).
    """
    with open(values, "w", encoding="utf-8", errors="surrogatepass") as out:

        def write(frame: dict[str, Any]) -> None:
            out.write(json.dumps(frame) + "\n")
            out.flush()

        def emit(site: int, value: Callable[[], Any]) -> None:
            try:
                tree = encode(value())
            except Exception as error:  # noqa: BLE001  # the answer's own, of any kind
                write({"site": site, "error": _text_of(error)})
            else:
                write({"site": site, "value": tree})

        names[EMIT] = emit
        test = -1
        try:
            exec(compile(request["code"], "<answer>", "exec"), names)
            for test, inside in enumerate(request["tests"]):
                exec(compile(inside, f"<test {test + 1}>", "exec"), names)
                write({"end": test})
        except BaseException as error:  # noqa: BLE001  # SystemExit and whatever else an answer raises
            write({"test": test, "error": _text_of(error)})


def _text_of(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:  # noqa: BLE001  # its text is the answer's code as well
        return "an exception that cannot be shown"
