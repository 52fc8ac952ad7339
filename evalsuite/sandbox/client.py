"""evalsuite's side of the sandbox: start it, send jobs, have their values judged.

The client starts a *zygote* with NumPy, SciPy and SymPy loaded inside the strongest isolation that the machine offers
(``isolation``). For each job the zygote forks a *supervisor*, which forks the untrusted process with namespaces,
Landlock, seccomp and limits of its own (``supervisor``, ``untrusted``, ``confinement``). A trusted test is split in two
(``split_tests``): what needs the answer's code runs inside and its values leave as data (``serialization``); the
comparison with the target is made by a third process (``checker``). Targets never enter, and no exit code, print or
exception of untrusted code is ever a verdict.

It is no virtual machine: a hole in the kernel, timing channels and the use of CPU time itself remain.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from evalsuite.errors import BadInput, unknown_name
from evalsuite.sandbox import isolation as tiers
from evalsuite.sandbox.checker_process import CheckerProcess, SandboxFault
from evalsuite.sandbox.split_tests import Halves
from evalsuite.sandbox.supervisor import KILLING_SECONDS, PREPARING_SECONDS

Ending = Literal["pass", "wrong", "exception", "timeout", "memory", "disk", "output", "no_result"]
STARTING_SECONDS = 180.0
OUTPUT = 64 << 20
"""Most bytes of values from one job."""


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
        """Whether every test passed."""
        return self.ending == "pass"


@dataclass(slots=True)
class Sandbox:
    """One zygote and one judge; ``run`` may be called from several threads."""

    tier: str
    """``bubblewrap``, ``landlock`` or ``plain``."""
    memory: int = tiers.MEMORY
    disk: int = tiers.DISK
    facts: str = ""
    """The isolation in words, for the results."""
    _zygote: "subprocess.Popen[bytes] | None" = None
    _control: socket.socket | None = None
    _scratch: Path | None = None
    _errors: IO[bytes] | None = None
    _judge: CheckerProcess = field(default_factory=CheckerProcess)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run(self, job: Job, targets: Sequence[Any], cancelled: threading.Event | None = None) -> Result:
        """Run one job and judge what came out; blocks. ``targets`` has one value per test and never goes in.

        Raises ``SandboxFault`` when the sandbox or the trusted part failed; a dead zygote is replaced once.
        """
        for attempt in (1, 2):
            try:
                raw, report = self._send(job, cancelled or threading.Event())
                break
            except _ZygoteGone as error:
                if attempt == 2 or self._closed:
                    raise SandboxFault(f"the sandbox ended: {error}") from None
        if report["end"] == "fault":
            raise SandboxFault(f"the sandbox failed: {report['text']}")
        seconds = float(report["seconds"])
        nothing = (False,) * len(job.tests)
        if len(raw) > OUTPUT:
            return Result("output", nothing, f"more than {OUTPUT >> 20} MiB of values", seconds)
        if report["end"] != "done":
            limit = f"{job.timeout:g} s" if report["end"] == "timeout" else report["text"]
            return Result(report["end"], nothing, f"{report['end']}: {limit}", seconds)
        verdict = self._judge.verdict(job.imports, [test.outside for test in job.tests], targets, raw)
        return Result(verdict["kind"], tuple(verdict["passed"]), verdict["why"], seconds)

    def close(self) -> None:
        """End the zygote with everything in it, and the judge."""
        with self._lock:
            self._closed = True
            self._end_zygote()
        self._judge.close()

    def start(self) -> None:
        """Start the zygote if it is not running. Raises ``SandboxFault`` with what it said."""
        with self._lock:
            self._started()

    def _started(self) -> socket.socket:
        if self._control is not None and self._zygote is not None and self._zygote.poll() is None:
            return self._control
        if self._closed:
            raise SandboxFault("the sandbox is closed")
        self._end_zygote()
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in _end_zygote
        scratch = Path(tempfile.gettempdir()) / f"evalsuite-sandbox-{os.getpid()}-{os.urandom(4).hex()}"
        chosen = tiers.tier(self.tier, scratch, memory=self.memory, disk=self.disk)
        if chosen.scratch is not None:
            chosen.scratch.mkdir(mode=0o700)
            self._scratch = chosen.scratch
            if tiers.can_become_nobody() and self.tier != "plain":
                os.chown(chosen.scratch, tiers.NOBODY, tiers.NOBODY)
        with theirs:
            self._zygote = subprocess.Popen(
                chosen.command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=tiers.ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        self._control, self.facts = ours, chosen.facts
        ours.settimeout(STARTING_SECONDS)
        try:
            ready = ours.recv(6)
        except TimeoutError:
            ready = b""
        if ready != b"ready\n":
            said = self._said()
            self._end_zygote()
            raise SandboxFault(f"tier {self.tier} does not start: {said}")
        ours.settimeout(None)
        return ours

    def _said(self) -> str:
        assert self._errors is not None
        assert self._zygote is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._zygote.wait(2)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {self._zygote.poll()}"

    def _end_zygote(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._zygote is not None:
            try:
                self._zygote.wait(KILLING_SECONDS)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
            self._zygote = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _send(self, job: Job, cancelled: threading.Event) -> tuple[bytes, dict[str, Any]]:
        request = {"imports": job.imports, "code": job.code, "timeout": job.timeout}
        body = json.dumps(request | {"tests": [test.inside for test in job.tests]}).encode()
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.flush()
            file.seek(0)
            values_read, values_write = os.pipe()
            report_read, report_write = os.pipe()
            try:
                with self._lock:
                    control = self._started()
                    socket.send_fds(control, [b"j"], [file.fileno(), values_write, report_write])
            except OSError as error:
                os.close(values_read)
                os.close(report_read)
                raise _ZygoteGone(str(error)) from None
            except SandboxFault:
                os.close(values_read)
                os.close(report_read)
                raise
            finally:
                os.close(values_write)
                os.close(report_write)
        limit = time.monotonic() + PREPARING_SECONDS + job.timeout + KILLING_SECONDS + 30
        raw, said = _collect(values_read, report_read, limit, cancelled)
        if cancelled.is_set():
            raise SandboxFault("given up on request")
        if not said:
            raise _ZygoteGone("no report of a job")
        return raw, json.loads(said)


class _ZygoteGone(Exception):
    """The zygote ended without a report."""


def _collect(values: int, report: int, limit: float, cancelled: threading.Event) -> tuple[bytes, bytes]:
    """Read both pipes until the report is whole; closing them early makes the supervisor end the job."""
    raw, said, rest = bytearray(), bytearray(), {values: True, report: True}
    try:
        while rest.get(report) and time.monotonic() < limit and not cancelled.is_set():
            for handle in select.select(list(rest), [], [], 0.2)[0]:
                chunk = os.read(handle, 1 << 20)
                if not chunk:
                    del rest[handle]
                elif handle == report:
                    said += chunk
                elif len(raw) <= OUTPUT:  # what comes after is read and dropped, so that the job is not held up
                    raw += chunk
        while rest.get(values) and said and len(raw) <= OUTPUT:  # all writers are dead by now
            chunk = os.read(values, 1 << 20)
            if not chunk:
                break
            raw += chunk
    finally:
        os.close(values)
        os.close(report)
    return bytes(raw), bytes(said)


def open_sandbox(wanted: str = "auto", *, memory: int = tiers.MEMORY, disk: int = tiers.DISK) -> Sandbox:
    """The strongest isolation that works here, tried out; ``wanted`` names one instead.

    Raises ``BadInput`` when none works; ``plain`` is never chosen unless it is named.
    """
    if wanted != "auto" and wanted not in tiers.TIERS:
        raise unknown_name("sandbox tier", wanted, ("auto", *tiers.TIERS))
    tried = []
    for name in tiers.ISOLATING if wanted == "auto" else (wanted,):
        reason = tiers.missing(name)
        if not reason:
            box = Sandbox(name, memory, disk)
            try:
                _try_out(box)
            except SandboxFault as error:
                box.close()
                reason = str(error)
            else:
                return box
        tried.append(f"{name}: {reason}")
    raise BadInput(
        f"no sandbox for code that a model wrote works here ({'; '.join(tried)}). Install bubblewrap, or run where "
        "user namespaces or Landlock are allowed; sandbox=plain runs such code without isolation"
    )


_TRIAL = """
def attempt(action):
    try:
        action()
    except OSError:
        return False
    return True
import os, socket
sees = [attempt(lambda: open('/etc/passwd')), attempt(lambda: socket.socket()), attempt(lambda: os.listdir('/proc/1'))]
"""


def _try_out(box: Sandbox) -> None:
    """One job that looks around. Raises ``SandboxFault`` if it sees what it should not."""
    seen = [False, False, False]
    job = Job("import numpy", _TRIAL, (Halves("__emit__(0, lambda: sees)", "assert __take__(0) == target"),), 60.0)
    result = box.run(job, [seen if box.tier != "plain" else [True, True, True]])
    if not result.ok and box.tier != "plain":
        box.close()
        raise SandboxFault(f"its walls do not hold: {result.why}")
