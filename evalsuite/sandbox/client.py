"""evalsuite's side of the sandbox: start it, send jobs, have their values judged.

A *zygote* with NumPy, SciPy and SymPy loaded runs inside a wall (``isolation``). For each job it forks a *supervisor*,
which forks the untrusted process with namespaces, seccomp and limits (``supervisor``, ``untrusted``, ``confinement``).
A trusted test is split in two (``split_tests``): what needs the answer's code runs inside and its values leave as data
(``serialization``); the comparison with the target is made by a third process (``checker``). Targets never enter, and
no exit code, print or exception of untrusted code is ever a verdict. A zygote whose job was killed or hit a limit is
given no further job.

It is no virtual machine: a hole in the kernel, timing channels and the use of CPU time itself remain.
"""

import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evalsuite.errors import BadInput, unknown_name
from evalsuite.sandbox import isolation as walls
from evalsuite.sandbox.checker_process import CheckerProcess, SandboxFault
from evalsuite.sandbox.exchange import OUTPUT
from evalsuite.sandbox.split_tests import Halves
from evalsuite.sandbox.zygote import WARM
from evalsuite.sandbox.zygote_process import NotStarted, ZygoteGone, ZygoteProcess, start

Ending = Literal["pass", "wrong", "exception", "timeout", "memory", "processes", "output", "no_result"]
STARTS, STARTING_PAUSE = 4, 0.1
"""Times that a zygote is started for one job, and seconds between the first two."""
AUTO = ("bubblewrap", "podman", "apptainer")
"""The walls that are tried unasked: those that an ordinary user starts without a daemon."""
_FORMER = ("landlock", "bubblewrap_shared", "plain")
INSTALL = "install bubblewrap (apt-get install bubblewrap, or conda install -c conda-forge bubblewrap)"


class NoWall(BadInput):
    """No wall for untrusted code works on this machine."""


@dataclass(frozen=True, slots=True)
class Job:
    """One answer and its tests."""

    imports: str
    """Trusted import block; runs before the clock starts."""
    code: str
    """Untrusted."""
    tests: tuple[Halves, ...]
    timeout: float = 1800.0
    """Seconds for the answer and all its tests together."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended."""

    ending: Ending
    passed: tuple[bool, ...]
    """One per test."""
    why: str
    seconds: float
    """Of untrusted code."""

    @property
    def ok(self) -> bool:
        """Whether every test of the job passed."""
        return self.ending == "pass"


@dataclass(slots=True)
class Sandbox:
    """Zygotes in one kind of wall, and one checker; ``run`` may be called from several threads."""

    wall: str
    """``bubblewrap`` or the name of a container command."""
    nested: bool = True
    """Whether jobs share a zygote, each in namespaces of its own; else each job has a zygote."""
    memory: int = walls.MEMORY
    disk: int = walls.DISK
    warm: Sequence[str] = WARM
    """Modules that a zygote loads before its first job."""
    facts: str = ""
    """The wall in words, for the results."""
    _wall: walls.Wall | None = None
    _next: ZygoteProcess | None = None
    """Is given the next job."""
    _zygotes: list[ZygoteProcess] = field(default_factory=list)
    """All that have not ended."""
    _checker: CheckerProcess = field(default_factory=CheckerProcess)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run(self, job: Job, targets: Sequence[Any], cancelled: threading.Event | None = None) -> Result:
        """Run one job and judge its values; blocks. ``targets`` has one value per test and never enters the sandbox.

        Setting ``cancelled`` from another thread gives the job up, unless its values are being compared already.
        Raises ``SandboxFault`` for a job given up, when the sandbox or the trusted part failed, and after ``close``.
        Code of the answer that is wrong, raises, or breaks a limit is no error but a ``Result``.
        """
        raw, report = self._answered(job, cancelled or threading.Event())
        if report["end"] == "fault":
            raise SandboxFault(f"the sandbox failed: {report['text']}")
        seconds = float(report["seconds"])
        nothing = (False,) * len(job.tests)
        if len(raw) > OUTPUT:
            return Result("output", nothing, f"more than {OUTPUT >> 20} MiB of values", seconds)
        if report["end"] != "done":
            limit = f"{job.timeout:g} s" if report["end"] == "timeout" else report["text"]
            return Result(report["end"], nothing, f"{report['end']}: {limit}", seconds)
        verdict = self._checker.verdict(job.imports, job.tests, targets, raw)
        return Result(verdict["kind"], tuple(verdict["passed"]), verdict["why"], seconds)

    def _answered(self, job: Job, cancelled: threading.Event) -> tuple[bytes, dict[str, Any]]:
        """(values as raw bytes, report of how the job ended), from a zygote (see the module) inside the wall.

        The report is that of ``supervisor.supervise``. A zygote that ends over the first try is replaced once; one that
        does not start is started up to 4 times (``STARTS``), with pauses: where the number of namespaces is limited,
        the kernel counts those of an ended zygote for some milliseconds. Raises ``SandboxFault`` when that does not
        help, ``cancelled`` is set, or the sandbox is closed.
        """
        for attempt in range(1, STARTS + 1):
            try:
                return self._send(job, cancelled)
            except ZygoteGone as error:
                started = not isinstance(error, NotStarted)
                if attempt == STARTS or (started and attempt > 1) or self._closed:
                    raise SandboxFault(f"the sandbox ended: {error}" if started else str(error)) from None
                if not started:
                    cancelled.wait(STARTING_PAUSE * attempt)
        raise SandboxFault("the sandbox did not start")

    def close(self) -> None:
        """End all zygotes with everything in them, and the checker; blocks.

        Jobs that still run or come later raise ``SandboxFault``; one whose values are being compared is finished first.
        """
        with self._lock:
            self._closed = True
            ending, self._zygotes, self._next = self._zygotes, [], None
        for zygote in ending:
            zygote.end()
        self._checker.close()

    def _send(self, job: Job, cancelled: threading.Event) -> tuple[bytes, dict[str, Any]]:
        inside = [test.inside for test in job.tests]
        request = {"imports": job.imports, "code": job.code, "timeout": job.timeout, "tests": inside}
        zygote, clean = self._take(), False
        try:
            raw, report = zygote.exchange(request, cancelled)
            clean = bool(report["end"] == "done" and report["clean"])
            return raw, report
        finally:
            self._give_back(zygote, clean)

    def _take(self) -> ZygoteProcess:
        with self._lock:
            if self._closed:
                raise SandboxFault("the sandbox is closed")
            zygote = self._next if self._next is not None and self._next.alive else self._started()
            zygote.running += 1
            zygote.retired = not self.nested
            self._next = zygote if self.nested else self._started()
            return zygote

    def _started(self) -> ZygoteProcess:
        if self._wall is None:
            limits = {"memory": self.memory, "disk": self.disk}
            try:
                self._wall = walls.wall(self.wall, nested=self.nested, **limits, warm=self.warm)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise SandboxFault(str(error)) from None
            self.facts = self._wall.facts
        zygote = start(self._wall)
        self._zygotes.append(zygote)
        return zygote

    def _give_back(self, zygote: ZygoteProcess, clean: bool) -> None:
        """Count a job of ``zygote`` as ended.

        Unless the job left it ``clean`` the zygote gets no further job; a retired one is ended after its last job.
        """
        with self._lock:
            zygote.running -= 1
            zygote.retired |= not clean
            if zygote.retired and self._next is zygote:
                self._next = None
            over = zygote.retired and zygote.running == 0 and zygote in self._zygotes
            if over:
                self._zygotes.remove(zygote)
        if over:
            zygote.end()


def open_sandbox(wanted: str = "auto", *, memory: int = walls.MEMORY, disk: int = walls.DISK) -> Sandbox:
    """A sandbox in the wall named ``wanted`` (``bubblewrap``, ``podman``, ``docker`` or ``apptainer``), after a trial
    job, which blocks; ``auto``: the first of bubblewrap, podman and apptainer that holds.

    In bubblewrap all jobs are forked from one process, each in namespaces of its own, if the system allows that.
    ``memory`` and ``disk`` are bytes for each job. Raises ``NoWall`` when no wall holds here, ``BadInput`` for an
    unknown name.
    """
    check_name(wanted)
    reasons = []
    for name in AUTO if wanted == "auto" else (wanted,):
        reason = walls.missing(name)
        for nested in () if reason else (True, False) if name == "bubblewrap" else (False,):
            box = Sandbox(name, nested, memory, disk)
            try:
                _try_out(box)
            except SandboxFault as error:
                box.close()
                reason = f"{reason}; one process a job: {error}" if reason else str(error)
            else:
                return box
        reasons.append(f"{name}: {reason}")
    raise NoWall(
        f"no sandbox for code that a model wrote works here ({'; '.join(reasons)}). On Linux {INSTALL}, or name a "
        f"container command: tasks.T.options.sandbox={'|'.join(walls.WALLS[1:])}"
    )


def check_name(wanted: str) -> None:
    """Raise ``BadInput`` if ``wanted`` is neither ``auto`` nor the name of a wall."""
    if wanted in _FORMER:
        raise BadInput(
            f"sandbox={wanted} held too little and is gone: sandbox=auto, or one of {', '.join(walls.WALLS)}"
        )
    if wanted not in ("auto", *walls.WALLS):
        raise unknown_name("sandbox", wanted, ("auto", *walls.WALLS))


_TRIAL = """
import os, socket
def attempt(action):
    try:
        action()
    except OSError:
        return False
    return True
sees = [
    attempt(lambda: open(outside)),
    attempt(lambda: socket.socket()),
    attempt(lambda: open(f'/proc/{os.getppid()}/mem', 'rb')),
    attempt(lambda: os.kill(os.getppid(), 0)) and os.getppid() > 1,
    attempt(lambda: open('/dev/shm/evalsuite', 'w')),
]
"""


def _try_out(box: Sandbox) -> None:
    """Run one job in ``box`` that tries to reach files, network and other processes. Raises ``SandboxFault`` if it
    reaches any, or if the job fails.
    """
    test = Halves("__emit__(0, lambda: sees)", "assert __take__(0) == target")
    with tempfile.NamedTemporaryFile() as outside:
        Path(outside.name).chmod(0o644)
        job = Job("import numpy", f"outside = {outside.name!r}\n{_TRIAL}", (test,), 60.0)
        result = box.run(job, [[False] * 5])
    if not result.ok:
        raise SandboxFault(f"the wall does not hold: {result.why}")
