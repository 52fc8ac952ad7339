"""The process that waits inside the sandbox with everything loaded and forks once for each job.

Its standard input is the control socket: each message brings three descriptors (request, values, report). It ends when
the other side closes the socket, and so does everything below it.
"""

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox import scipy_compat as legacy
from evalsuite.sandbox.supervisor import supervise
from evalsuite.sandbox.untrusted import Isolation

WARM = ("numpy", "scipy.integrate", "scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.special", "sympy")
"""What answers import most: loaded once, shared by all forks."""


def main() -> None:
    """Take the configuration from the command line, get ready, and serve until the socket is closed."""
    config = json.loads(sys.argv[1])
    walls = Isolation(
        **{key: config[key] for key in ("namespaces", "landlock", "seccomp", "deny_signals")},
        **{key: config[key] for key in ("memory", "disk", "processes")},
        scratch=Path(config["scratch"]),
        readable=tuple(Path(path) for path in config["readable"]),
    )
    if config["own_tmp"]:
        walls.scratch.parent.chmod(0o1777)
    if config["uid"] is not None:
        lockdown.become(config["uid"], keep_reading=config["keep_reading"])
    if config["own_tmp"]:
        walls.scratch.mkdir()
    for name in config["warm"]:
        importlib.import_module(name)
    legacy.restore()
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=os.dup(0))
    control.sendall(b"ready\n")
    _serve(control, walls)


def _serve(control: socket.socket, walls: Isolation) -> None:
    running: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                running.discard(ended)
        if not message:
            break
        pid = os.fork()
        if pid == 0:
            control.close()
            _serve_one(descriptors, walls)
        running.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
    for pid in running:
        os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    shutil.rmtree(walls.scratch, ignore_errors=True)  # also when nobody is left on the other side to do it


def _serve_one(descriptors: list[int], walls: Isolation) -> None:
    """In the fork: one job, then the end."""
    try:
        request_file, values, report = descriptors
        with open(request_file, "rb") as file:  # noqa: PTH123
            request: dict[str, Any] = json.load(file)
        supervise(request, values, report, walls)
    finally:
        os._exit(0)
