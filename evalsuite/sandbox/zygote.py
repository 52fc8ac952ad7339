"""The process that waits inside the wall with everything loaded and forks a supervisor for each job.

Its standard input is the control connection. A *shared* zygote gets three descriptors with each message (request,
values, report) and serves any number of jobs; a *single* one reads one request, writes values and report back on
its standard output, and ends. Both end, with everything below them, when the other side closes the connection.
"""

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox import scipy_compat as legacy
from evalsuite.sandbox.exchange import collect
from evalsuite.sandbox.supervisor import KILLING_SECONDS, PREPARING_SECONDS, supervise
from evalsuite.sandbox.untrusted import Isolation

WARM = ("numpy", "scipy.integrate", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.special", "sympy")
"""What answers import most: loaded once, shared by all forks."""
READY = b"ready\n"


def main() -> None:
    """Take the configuration (JSON) from the command line, load libraries, write the line ``ready`` to the connection,
    and serve jobs until that is closed.

    Becomes the user ``uid`` of the configuration if it is not null, and forks a supervisor for each job; serves a
    single job where jobs do not share a zygote.
    """
    config = json.loads(sys.argv[1])
    limits = {name: config[name] for name in ("nested", "memory", "disk", "processes")}
    walls = Isolation(**limits, scratch=Path(config["scratch"]))
    if config["uid"] is not None:
        walls.scratch.parent.chmod(0o1777)
        lockdown.become(config["uid"])
    lockdown.dumpable(False)  # closed to jobs that share its user
    walls.scratch.mkdir()
    for name in config["warm"]:
        importlib.import_module(name)
    legacy.restore()
    gc.collect()
    gc.freeze()
    if walls.nested:
        control = socket.socket(fileno=os.dup(0))
        control.sendall(READY)
        _serve(control, walls)
    else:
        os.write(1, READY)
        _serve_single(walls)


def _serve(control: socket.socket, walls: Isolation) -> None:
    running: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                running.discard(ended)
        if not message:
            break
        request, values, report = descriptors
        file = open(request, "rb")  # noqa: SIM115, PTH123  # closed in _supervised
        running.add(_supervised(file, values, report, walls, (control.fileno(),)))
    for pid in running:
        os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    shutil.rmtree(walls.scratch, ignore_errors=True)


def _serve_single(walls: Isolation) -> None:
    """Read one job from standard input, run it, and write its values and report to standard output, after the lengths
    of both.

    Nothing is run if the connection ends before the whole job came. A job without a report is given up here before
    the other side stops waiting.
    """
    with open(0, "rb", closefd=False, buffering=0) as source:
        head = _exactly(source, 8)
        body = _exactly(source, struct.unpack("Q", head)[0]) if head else b""
    if not body:
        return
    file = tempfile.TemporaryFile(dir=walls.scratch)  # noqa: SIM115  # closed in _supervised
    file.write(body)
    file.seek(0)
    values_read, values_write = os.pipe()
    report_read, report_write = os.pipe()
    pid = _supervised(file, values_write, report_write, walls, (values_read, report_read))
    seconds = PREPARING_SECONDS + float(json.loads(body)["timeout"]) + KILLING_SECONDS
    raw, report = collect(values_read, report_read, seconds, lambda: False, connection=0)
    os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError), open(1, "wb", closefd=False) as sink:
        sink.write(struct.pack("QQ", len(raw), len(report)) + raw + report)


def _exactly(source: IO[bytes], count: int) -> bytes:
    """``count`` bytes read from ``source``; empty where it ends before."""
    parts = bytearray()
    while len(parts) < count:
        part = source.read(count - len(parts))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def _supervised(file: IO[bytes], values: int, report: int, walls: Isolation, others: Sequence[int]) -> int:
    """Fork the supervisor of one job, whose request is the JSON in ``file``; returns its process id.

    ``values`` and ``report`` are descriptors for the job's output; they and ``file`` are closed in this process, the
    descriptors ``others`` in the supervisor.
    """
    pid = os.fork()
    if pid == 0:
        try:
            for handle in others:
                os.close(handle)
            request: dict[str, Any] = json.load(file)
            file.close()
            supervise(request, values, report, walls)
        finally:
            os._exit(0)
    file.close()
    os.close(values)
    os.close(report)
    return pid
