"""A running zygote as evalsuite sees it: started in a wall, given jobs, ended with everything below it."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from evalsuite.sandbox.checker_process import SandboxFault
from evalsuite.sandbox.exchange import collect
from evalsuite.sandbox.isolation import Wall
from evalsuite.sandbox.supervisor import KILLING_SECONDS, PREPARING_SECONDS, descendants
from evalsuite.sandbox.zygote import READY

STARTING_SECONDS = 180.0


class ZygoteGone(Exception):
    """The zygote ended without a report."""


class NotStarted(ZygoteGone):
    """The zygote did not start."""


@dataclass(slots=True)
class ZygoteProcess:
    """Made by ``start``."""

    wall: Wall
    process: "subprocess.Popen[bytes]"
    control: socket.socket
    errors: IO[bytes]
    running: int = 0
    """Jobs that were given to it and have not ended; kept by the caller."""
    retired: bool = False
    """It is given no further job; kept by the caller."""
    _ready: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def alive(self) -> bool:
        """Whether its process has not ended."""
        return self.process.poll() is None

    def wait_ready(self) -> None:
        """Block until the zygote has loaded everything; return at once if an earlier call saw it ready.

        Raises ``NotStarted`` with its last message if it ends, was ended or takes over 180 s (``STARTING_SECONDS``).
        """
        with self._lock:
            if self._ready:
                return
            with contextlib.suppress(OSError):  # also where another thread has closed it
                self.control.settimeout(STARTING_SECONDS)
                self._ready = self.control.recv(len(READY)) == READY
            if not self._ready:
                raise NotStarted(f"{self.wall.name} does not start: {self._last_message()}")
            self.control.settimeout(None)

    def exchange(self, request: Mapping[str, Any], cancelled: threading.Event) -> tuple[bytes, dict[str, Any]]:
        """Run one job and block until it has ended: (values as raw bytes, report of ``supervisor.supervise``).

        ``request``: ``imports``, ``code``, ``tests`` (sources) and ``timeout`` (seconds). Raises ``NotStarted`` if the
        zygote does not start, ``ZygoteGone`` if the connection breaks or no report came in time, and ``SandboxFault``
        instead of a result where ``cancelled`` was set, even after the report.
        """
        self.wait_ready()
        seconds = PREPARING_SECONDS + request["timeout"] + KILLING_SECONDS + 30
        body = json.dumps(request).encode()
        try:
            if self.wall.nested:
                raw, text = self._shared(body, seconds, cancelled)
            else:
                raw, text = self._single(body, seconds, cancelled)
        except OSError as error:
            raise ZygoteGone(str(error)) from None
        if cancelled.is_set():
            raise SandboxFault("given up on request")
        if not text:
            raise ZygoteGone("no report of a job")
        return raw, json.loads(text)

    def _shared(self, body: bytes, seconds: float, cancelled: threading.Event) -> tuple[bytes, bytes]:
        """Send the request ``body`` by descriptors (a file, a pipe for the values, one for the report): (values,
        report).

        Waits for the report ``seconds`` at most, and not after ``cancelled`` is set; it is empty if none came. Raises
        ``OSError`` if the zygote is gone.
        """
        values_read, values_write = os.pipe()
        report_read, report_write = os.pipe()
        try:
            with tempfile.TemporaryFile() as file:
                file.write(body)
                file.flush()
                file.seek(0)
                socket.send_fds(self.control, [b"j"], [file.fileno(), values_write, report_write])
        except OSError:
            os.close(values_read)
            os.close(report_read)
            raise
        finally:
            os.close(values_write)
            os.close(report_write)
        return collect(values_read, report_read, seconds, cancelled.is_set)

    def _single(self, body: bytes, seconds: float, cancelled: threading.Event) -> tuple[bytes, bytes]:
        """Send the request ``body`` by the connection itself, which container commands pass on: (values, report).

        Both are empty if the zygote ended, ``seconds`` passed or ``cancelled`` was set before all had come. Raises
        ``OSError`` where the connection is broken.
        """
        self.control.sendall(struct.pack("Q", len(body)) + body)
        self.control.settimeout(0.2)
        received, wanted, deadline = bytearray(), 16, time.monotonic() + seconds
        while len(received) < wanted and time.monotonic() < deadline and not cancelled.is_set():
            with contextlib.suppress(TimeoutError):
                chunk = self.control.recv(1 << 20)
                if not chunk:
                    return b"", b""
                received += chunk
            if len(received) >= 16:
                wanted = 16 + sum(struct.unpack_from("QQ", received))
        if len(received) < wanted:
            return b"", b""
        cut = 16 + struct.unpack_from("Q", received)[0]
        return bytes(received[16:cut]), bytes(received[cut:wanted])

    def end(self) -> None:
        """Close the connection, upon which the zygote ends, and wait; what has not ended within 10 s is killed.

        A zygote that serves a single job is waited for first while it is still being started: in a container it would
        not see that the connection is closed already.
        """
        if not self.wall.nested and not self._ready and self.alive:
            with contextlib.suppress(ZygoteGone):
                self.wait_ready()
        self.control.close()
        try:
            self.process.wait(KILLING_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in [*descendants(self.process.pid), self.process.pid]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.errors.close()

    def _last_message(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        if self.errors.closed:
            return "it was ended"
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else f"exit code {self.process.poll()}"


def start(wall: Wall) -> ZygoteProcess:
    """Start a zygote process in ``wall``; returns before it is ready.

    Raises ``SandboxFault`` if the command cannot be started.
    """
    ours, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in end
    with theirs:
        try:
            process = subprocess.Popen(
                wall.command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL if wall.nested else theirs.fileno(),
                stderr=errors,
                env=dict(wall.environment),
                cwd=Path("/"),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            errors.close()
            raise SandboxFault(f"{wall.name} does not start: {error}") from None
    return ZygoteProcess(wall, process, ours, errors)
